//! CoCoSoDa: the checks of its specification.

use crate::golden::shared;
use crate::support::{device, values};
use burn::module::Module;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::Clip;
use contrastive_eval::ndarray::{Array2, array};
use contrastive_eval::ranking::{ItemSets, RankingError, Seen, TargetRanks};
use contrastive_nn::Pass;
use contrastive_nn::encoder::TransformerConfig;
use contrastive_text::data::code::*;
use contrastive_text::method::*;
use contrastive_train::{Budget, Method, MethodConfig, Step, Training, TrainingConfig, testing};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Functions whose words and descriptions are about the same of eight things.
fn pairs(count: usize, seed: u64) -> Vec<CodePair> {
    let things = ["file", "list", "user", "date", "graph", "image", "query", "socket"];
    let acts = [("read", "load"), ("write", "store"), ("sort", "order"), ("count", "number"), ("find", "search")];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|number| {
            let (thing, (act, says)) = (things[number % 8], acts[number / 8 % 5]);
            let extra = rng.random_range(0..1000);
            let (code, language) = match number % 3 {
                0 => (format!("int {act}({thing} a) {{ return \"n{extra}\"; }}"), Language::Java),
                _ => (format!("def {act}_{thing}(a):\n    return a.v{extra} + {number}"), Language::Python),
            };
            CodePair { code, query: format!("{says} the {thing} q{extra}"), language, number }
        })
        .collect()
}

fn corpus(count: usize) -> CodeCorpus {
    let all = pairs(count + 40, 1);
    let tokenizer = CodeTokenizer::build(&all, 1, 5000).unwrap();
    CodeCorpus::new("generated", &tokenizer, &all[..count], &all[count..]).unwrap()
}

fn small() -> CoCoSoDaConfig {
    let training = TrainingConfig::new(Budget::Steps(20), 6, 1e-2);
    CoCoSoDaConfig::new().with_encoder(CodeEncoderConfig::new().with_width(8)).with_queue(24).with_training(training)
}

fn build(config: &CoCoSoDaConfig) -> Training<CoCoSoDa> {
    config.build_on(&corpus(90), 3, (&device().autodiff(), DType::F64)).unwrap()
}

/// The method, the model, and a batch with its step.
fn first_batch(config: &CoCoSoDaConfig) -> (CoCoSoDa, CodeEncoder, CodeBatch, Step) {
    let training = build(config);
    let (mut method, model) = (training.method().clone(), training.model().clone());
    method.begin_epoch(1, ChaCha8Rng::seed_from_u64(9)).unwrap();
    let steps = 10;
    let step = Step { epoch: 1, in_epoch: 0, global: 0, steps, batch: 0, sub_step: 0, seed: 3, rank: 0, world: 1 };
    let batch = method.batch(step).unwrap();
    (method, model, batch, step)
}

fn one(x: Tensor<1>) -> f64 {
    values(x)[0]
}

/// `T(A, P, Q)` from rows on the host.
fn term(anchors: &[f64], candidates: &[f64], queue: &[f64], d: usize, tau: f64) -> f64 {
    let n = anchors.len() / d;
    let of = |(i, a): (usize, &[f64])| {
        let s = |x: &[f64]| (a.iter().zip(x).map(|(x, y)| x * y).sum::<f64>() / tau).exp();
        let all: f64 = candidates.chunks(d).chain(queue.chunks(d)).map(s).sum();
        all.ln() - s(&candidates[i * d..(i + 1) * d]).ln()
    };
    anchors.chunks(d).enumerate().map(of).sum::<f64>() / n as f64
}

/// Without queues, replacements and momentum the terms across are the symmetric InfoNCE; the primed ones have the same value and move the anchors' side alone.
#[test]
fn terms_across_are_the_symmetric_contrast() {
    let config = small().with_queue(0).with_rate(0.0).with_momentum(0.0).with_mask_same(false);
    let (mut method, model, batch, step) = first_batch(&config.clone().with_terms(Term::ACROSS.to_vec()));
    let losses = method.losses(&model, &batch, step).unwrap();
    let encode = |part: usize| model.forward(&batch.parts[part], &mut Pass::evaluation());
    let clip = one(Clip::new(0.07).unwrap().loss(encode(0), encode(1)));
    let of = |name: &str| one(losses.iter().find(|loss| loss.0 == name).unwrap().1.clone()) * 4.0;
    let (c, q) = (of("code_to_query"), of("query_to_code"));
    assert!((c + q - 2.0 * clip).abs() < 1e-10);
    assert!((of("code_to_replaced_query") - c).abs() < 1e-10 && (of("query_to_replaced_code") - q).abs() < 1e-10);
    // the gradient of the primed term is that of the plain one with the candidates detached
    let gradient = |loss: Tensor<1>| values(model.embedding.token.weight.val().grad(&loss.backward()).unwrap());
    let primed = gradient(losses.iter().find(|loss| loss.0 == "query_to_replaced_code").unwrap().1.clone() * 4.0);
    let objective = contrastive_core::objective::InfoNce::new(0.07).unwrap();
    let plain = gradient(objective.loss(encode(1), encode(0).detach()));
    assert!(primed.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-9));
    let both = gradient(objective.loss(encode(1), encode(0)));
    assert!(plain.iter().zip(&both).any(|(a, b)| (a - b).abs() > 1e-4));
}

#[test]
fn the_loss_is_the_mean_of_six_terms() {
    let config = small().with_mask_same(false);
    let mut training = build(&config);
    (0..5).for_each(|_| drop(training.train_step().unwrap()));
    let (mut method, model, batch, step) = first_batch(&config);
    let rows =
        |encoder: &CodeEncoder, part: usize| values(encoder.forward(&batch.parts[part], &mut Pass::evaluation()));
    let momentum = method.momentum_encoder().clone();
    let parts = [rows(&model, 0), rows(&model, 1), rows(&momentum, 2), rows(&momentum, 3)];
    let queues = Part::ALL.map(|part| values(method.queue(part).unwrap().rows().unwrap()));
    let losses = method.losses(&model, &batch, step).unwrap();
    assert_eq!(losses.len(), 6);
    let mut sum = 0.0;
    for (term_of, (name, loss)) in Term::ALL.into_iter().zip(losses) {
        let (a, p) = (term_of.anchors() as usize, term_of.candidates() as usize);
        let want = term(&parts[a], &parts[p], &queues[p], 8, 0.07);
        assert!((one(loss) * 6.0 - want).abs() < 1e-9, "{name}");
        sum += want / 6.0;
    }
    let total: f64 = method.losses(&model, &batch, step).unwrap().into_iter().map(|loss| one(loss.1)).sum();
    assert!((total - sum).abs() < 1e-9);
    // a pair alone, without queues, has nothing to be told from
    let single = TrainingConfig::new(Budget::Steps(1), 1, 1e-2);
    let (mut method, model, batch, step) = first_batch(&small().with_queue(0).with_training(single));
    assert!(method.losses(&model, &batch, step).unwrap().into_iter().all(|loss| one(loss.1) == 0.0));
}

/// Rows enter after the loss, in order; 24 places and batches of 10 wrap round in the middle of one.
#[test]
fn queues_hold_the_newest_rows() {
    let training = TrainingConfig::new(Budget::Steps(20), 10, 1e-2);
    let (mut method, model, _, step) = first_batch(&small().with_training(training));
    let mut pushed: [Vec<f64>; 4] = Default::default();
    for k in 0..3 {
        let step = Step { global: k, batch: k, in_epoch: k, ..step };
        let batch = method.batch(step).unwrap();
        let before = Part::ALL.map(|part| values(method.queue(part).unwrap().rows().unwrap()));
        method.losses(&model, &batch, step).unwrap();
        assert_eq!(Part::ALL.map(|part| values(method.queue(part).unwrap().rows().unwrap())), before);
        let momentum = method.momentum_encoder().clone();
        for (part, pushed) in pushed.iter_mut().enumerate() {
            let encoder = if part < 2 { &model } else { &momentum };
            pushed.extend(values(encoder.forward(&batch.parts[part], &mut Pass::evaluation())));
        }
        method.after_step(&model, &batch, step);
    }
    for (part, pushed) in Part::ALL.into_iter().zip(&pushed) {
        let queue = method.queue(part).unwrap();
        let rows = values(queue.rows().unwrap());
        let ordered: Vec<f64> =
            queue.newest(24).iter().flat_map(|row| rows[*row as usize * 8..][..8].to_vec()).collect();
        let last = &pushed[pushed.len() - 24 * 8..];
        assert!(ordered.iter().zip(last).all(|(a, b)| (a - b).abs() < 1e-12), "{part:?}");
    }
}

#[test]
fn the_momentum_encoder_follows() {
    let mut training = build(&small().with_momentum(0.9));
    let before = values(training.method().momentum_encoder().embedding.token.weight.val());
    assert_eq!(before, values(training.model().embedding.token.weight.val()));
    training.train_step().unwrap();
    let (online, copy) = (training.model(), training.method().momentum_encoder());
    let (online, copy) = (values(online.embedding.token.weight.val()), values(copy.embedding.token.weight.val()));
    assert!(online.iter().zip(&before).any(|(a, b)| (a - b).abs() > 1e-4));
    for ((copy, online), before) in copy.iter().zip(&online).zip(&before) {
        assert!((copy - (0.9 * before + 0.1 * online)).abs() < 1e-12);
    }
}

/// Rows of the same group are no negatives, in the batch and in the queues.
#[test]
fn equal_pairs_are_no_negatives() {
    let mut all = pairs(60, 1);
    for at in 0..30 {
        all[2 * at].query = all[2 * at + 1].query.clone();
    }
    let tokenizer = CodeTokenizer::build(&all, 1, 5000).unwrap();
    let corpus = CodeCorpus::new("twins", &tokenizer, &all, &[]).unwrap();
    assert!((0..30).all(|at| corpus.train[2 * at].group == corpus.train[2 * at + 1].group));
    let training = TrainingConfig::new(Budget::Steps(20), 20, 1e-2);
    let config = small().with_terms(vec![Term::QueryToCode]).with_language_power(1.0).with_training(training);
    let mut values_of = Vec::new();
    for mask in [true, false] {
        let config = config.clone().with_mask_same(mask);
        let mut training = config.build_on(&corpus, 3, (&device().autodiff(), DType::F64)).unwrap();
        training.train_step().unwrap();
        let (mut method, model) = (training.method().clone(), training.model().clone());
        let step =
            Step { epoch: 1, in_epoch: 1, global: 1, steps: 3, batch: 1, sub_step: 0, seed: 3, rank: 0, world: 1 };
        let batch = method.batch(step).unwrap();
        let rows = |part: usize| values(model.forward(&batch.parts[part], &mut Pass::evaluation()));
        let (queries, codes) = (rows(1), rows(0));
        let queue = method.queue(Part::Code).unwrap();
        let (queued, groups) = (values(queue.rows().unwrap()), queue.labels().unwrap().to_vec());
        let of = |i: usize| {
            let s =
                |x: &[f64]| (queries[i * 8..(i + 1) * 8].iter().zip(x).map(|(x, y)| x * y).sum::<f64>() / 0.07).exp();
            let other = |group: i64| !mask || group != batch.groups[i];
            let in_batch =
                codes.chunks(8).enumerate().filter(|(j, _)| *j == i || other(batch.groups[*j])).map(|(_, x)| s(x));
            let in_queue = queued.chunks(8).zip(&groups).filter(|(_, group)| other(**group)).map(|(x, _)| s(x));
            (in_batch.sum::<f64>() + in_queue.sum::<f64>()).ln() - s(&codes[i * 8..(i + 1) * 8]).ln()
        };
        let want = (0..20).map(of).sum::<f64>() / 20.0;
        let got = one(method.losses(&model, &batch, step).unwrap().remove(0).1);
        assert!((got - want).abs() < 1e-9, "masked {mask}: {got} and {want}");
        values_of.push(got);
    }
    assert!(values_of[0] < values_of[1]);
}

fn tokens(count: usize) -> (CodeTokens, SoftAugment, ReplacementTokens) {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let ids: Vec<u32> = (0..count).map(|at| if at < 3 { at as u32 + 1 } else { rng.random_range(20..1020) }).collect();
    let types = (0..count).map(|at| if at < 3 { 10 } else { rng.random_range(0..6) }).collect();
    let of = ReplacementTokens { mask: 4, types: (5..16).collect(), ordinary: 16..1020 };
    (CodeTokens::new(ids, types, 3).unwrap(), SoftAugment::new(0.15, of.clone()).unwrap(), of)
}

/// Over 100,000 tokens, within three deviations.
#[test]
fn replacements_have_their_rates() {
    let count = 100_000;
    let (code, augment, of) = tokens(count);
    let run =
        |replacement, seed: u64| augment.apply(&[&code], replacement, &mut ChaCha8Rng::seed_from_u64(seed)).remove(0);
    let changed = |new: &[u32]| new.iter().zip(code.ids()).filter(|(a, b)| a != b).count();
    let near = |what: &str, got: usize, of: usize, share: f64| {
        let (mean, deviation) = (of as f64 * share, (of as f64 * share * (1.0 - share)).sqrt());
        assert!((got as f64 - mean).abs() < 3.0 * deviation + 1.0, "{what}: {got} of {of}, expected {mean:.0}");
    };
    let masked = run(Replacement::Masking, 1);
    // a random token is the old one once in 1,004
    near("masking", changed(&masked), count, 0.15 * (0.9 - 0.1 / 1004.0));
    near("masks", masked.iter().filter(|id| **id == of.mask).count(), count, 0.15 * 0.8);
    assert!(masked.iter().all(|id| *id <= 4 || *id >= 16));
    let by_type = run(Replacement::ByType, 2);
    near("by type", changed(&by_type), count, 0.15 * 0.8);
    let is_type = |(new, (old, kind)): (&u32, (&u32, &u8))| new == old || *new == of.types[*kind as usize];
    assert!(by_type.iter().zip(code.ids().iter().zip(code.types())).all(is_type));
    for (replacement, masks) in [(Replacement::OneTypeByType, false), (Replacement::OneTypeMasking, true)] {
        for seed in 0..4 {
            let new = run(replacement, seed);
            let touched: std::collections::BTreeSet<u8> = new
                .iter()
                .zip(code.ids())
                .zip(code.types())
                .filter(|((a, b), _)| a != b)
                .map(|(_, kind)| *kind)
                .collect();
            assert_eq!(touched.len(), 1, "{replacement:?}");
            let kind = *touched.first().unwrap();
            let there = code.types()[3..].iter().filter(|other| **other == kind).count();
            near("one type", changed(&new), there, 0.15);
            let token = if masks { of.mask } else { of.types[kind as usize] };
            assert!(new.iter().zip(code.ids()).all(|(a, b)| a == b || *a == token));
        }
    }
    for replacement in Replacement::ALL {
        assert_eq!(run(replacement, 5), run(replacement, 5));
        assert_ne!(run(replacement, 5), run(replacement, 6));
        assert_eq!(run(replacement, 5)[..3], code.ids()[..3]);
        let none = SoftAugment::new(0.0, of.clone()).unwrap();
        assert_eq!(none.apply(&[&code], replacement, &mut ChaCha8Rng::seed_from_u64(1))[0], code.ids());
        // special tokens alone stay
        let bare = CodeTokens::new(vec![1, 2, 3], vec![10; 3], 3).unwrap();
        let all = SoftAugment::new(1.0, of.clone()).unwrap();
        assert_eq!(all.apply(&[&bare], replacement, &mut ChaCha8Rng::seed_from_u64(1))[0], [1, 2, 3]);
    }
}

/// The paper replaces at every step; the released code masks at every fourth.
#[test]
fn what_is_replaced_when() {
    let replaced = |config: CoCoSoDaConfig| {
        let (mut method, _, _, step) = first_batch(&config.with_rate(0.5));
        let of = |global: usize| {
            let batch = method.batch(Step { global, batch: global, in_epoch: global, ..step }).unwrap();
            assert_eq!(
                batch.parts[0].iter().map(Vec::len).collect::<Vec<_>>(),
                batch.parts[2].iter().map(Vec::len).collect::<Vec<_>>()
            );
            [batch.parts[0] != batch.parts[2], batch.parts[1] != batch.parts[3]]
        };
        (0..8).map(of).collect::<Vec<_>>()
    };
    assert!(replaced(small()).iter().all(|[_, query]| *query));
    let released = replaced(small().with_augment_every(AugmentEvery::FourthStep));
    assert_eq!(released, (0..8).map(|k| [k % 4 == 0; 2]).collect::<Vec<_>>());
    let config = CoCoSoDaConfig::released();
    assert_eq!((config.terms.len(), config.queue, config.augment_every), (4, 1024, AugmentEvery::FourthStep));
    assert!((config.temperature - 0.0035).abs() < 1e-12);
}

/// Numbers of the specification: ranks 1, 2, 4 and 1,001, the last of which counts nothing; ties count against the model.
#[test]
fn ranks_beyond_a_thousand_count_nothing() {
    let rank = [1usize, 2, 4, 1001];
    let (offsets, none) = ([0; 5], []);
    let sets = || ItemSets::new(&offsets, &none).unwrap();
    let score = |query: usize, scores: &mut [f64]| {
        scores.iter_mut().enumerate().for_each(|(item, score)| *score = if item < rank[query] - 1 { 2.0 } else { 0.0 });
        scores[1999] = 1.0;
    };
    let ranks = TargetRanks::of_scores(2000, &[1999; 4], sets(), Seen::Keep, score).unwrap();
    assert_eq!(ranks.ranks(), [1, 2, 4, 1001]);
    assert!((ranks.mrr(RANK_CUTOFF) - 0.4375).abs() < 1e-12);
    let (queries, codes): (Array2<f32>, Array2<f32>) = (array![[1.0, 0.0]], array![[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]);
    assert_eq!(TargetRanks::of_pairs(queries.view(), codes.view(), &[0]).unwrap().ranks(), [2]);
    let absent = TargetRanks::of_pairs(queries.view(), codes.view(), &[3]).unwrap_err();
    assert!(matches!(absent, RankingError::ItemOutOfRange { item: 3, .. }), "{absent}");
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    testing::resumes_bit_for_bit(&|| small().build(&corpus(90), 3, &device()).unwrap(), 20);
    let blocks = CodeEncoderConfig::new()
        .with_width(8)
        .with_blocks(Some(TransformerConfig::bert(8, 2, 16, 1).with_dropout(0.1)));
    let config = small().with_queue(0).with_encoder(blocks);
    testing::resumes_bit_for_bit(&|| config.build(&corpus(90), 3, &device()).unwrap(), 4);
}

#[test]
fn gradients_are_derivatives() {
    testing::gradients_are_derivatives(&|| build(&small().with_temperature(0.5)), 1e-6);
    testing::gradients_are_derivatives(&|| build(&small().with_temperature(0.5).in_batch()), 1e-6);
}

#[test]
fn settings_and_data_out_of_range_are_named() {
    testing::settings_are_refused([
        (small().with_temperature(0.0), "temperature is 0; allowed is"),
        (small().with_momentum(1.1), "momentum is 1.1"),
        (small().with_rate(-0.1), "rate is -0.1"),
        (small().with_language_power(2.0), "language_power is 2"),
        (small().with_terms(Vec::new()), "number of terms is 0"),
        (small().with_terms(vec![Term::QueryToCode; 2]), "QueryToCode twice; allowed is each term once"),
        (small().with_encoder(CodeEncoderConfig::new().with_width(0)), "width is 0"),
    ]);
    let refused = |config: CoCoSoDaConfig, words: &str| {
        let error = config.build(&corpus(90), 3, &device()).err().unwrap().to_string();
        assert!(error.contains(words), "{error:?} instead of {words:?}");
    };
    refused(small().with_queue(91), "queue is 91; allowed is at most the number of training pairs, 90");
    refused(
        small().with_training(TrainingConfig::new(Budget::Steps(1), 31, 0.1)),
        "batch_size is 31; allowed is at most",
    );
    let blocks = Some(TransformerConfig::bert(8, 2, 16, 1));
    let narrow = CodeEncoderConfig::new().with_width(8).with_positions(5).with_blocks(blocks.clone());
    refused(small().with_encoder(narrow), "positions is 5; allowed is at least the longest sequence");
    refused(
        small().with_encoder(CodeEncoderConfig::new().with_width(12).with_blocks(blocks)),
        "width of the blocks is 8",
    );
    let tokenizer = CodeTokenizer::build(&pairs(4, 1), 1, 100).unwrap();
    let none = CodeCorpus::new("none", &tokenizer, &[], &[]).unwrap_err().to_string();
    assert!(none.contains("number of training pairs is 0"));
    let of = ReplacementTokens { mask: 1, types: vec![2; 11], ordinary: 3..3 };
    assert!(SoftAugment::new(0.1, of.clone()).unwrap_err().to_string().contains("ordinary tokens is 0"));
    let few = ReplacementTokens { types: vec![2], ordinary: 3..9, ..of };
    assert!(SoftAugment::new(0.1, few).unwrap_err().to_string().contains("type tokens is 1"));
}

#[test]
#[should_panic(expected = "list 1 of 2 has no tokens")]
fn a_sequence_without_tokens_has_no_mean() {
    let training = build(&small());
    training.model().forward(&[vec![1u32], vec![]], &mut Pass::evaluation());
}

/// Batches are of one language, and with power 1 languages come in proportion to their pairs.
#[test]
fn batches_are_of_one_language() {
    let training = build(&small().with_language_power(1.0));
    let mut method = training.method().clone();
    let (mut java, mut all) = (0, 0);
    for epoch in 1..60 {
        let steps = method.begin_epoch(epoch, ChaCha8Rng::seed_from_u64(epoch as u64)).unwrap();
        for batch in 0..steps {
            let step =
                Step { epoch, in_epoch: batch, global: 0, steps, batch, sub_step: 0, seed: 3, rank: 0, world: 1 };
            let groups = method.batch(step).unwrap().groups;
            let languages: std::collections::BTreeSet<bool> = groups.iter().map(|group| group % 3 == 0).collect();
            assert_eq!(languages.len(), 1);
            java += usize::from(languages.contains(&true));
            all += 1;
        }
    }
    let share = java as f64 / all as f64;
    assert!((share - 1.0 / 3.0).abs() < 0.06, "{share}");
}

/// A slice of real functions: far above chance, and the queue does no harm. (The table of `docs/results.md` has them all.)
#[test]
fn golden_data_code_is_found() {
    let Some(data) = shared().map(|shared| shared.join("data/cosqa/open/code_docstring.jsonl")) else { return };
    let (read, _) = read_code_search_net(&data).unwrap().without_duplicates();
    let mut pairs = read.pairs;
    pairs.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let (held_out, train) = (&pairs[..300], &pairs[300..2300]);
    let tokenizer = CodeTokenizer::build(train, 2, 20_000).unwrap();
    let corpus = CodeCorpus::new("cosqa", &tokenizer, train, held_out).unwrap();
    let training = TrainingConfig::new(Budget::Epochs(2), 32, 3e-3);
    let config = CoCoSoDaConfig::new().with_queue(512).with_training(training);
    let config = config.with_encoder(CodeEncoderConfig::new().with_width(64));
    let mrr = |config: CoCoSoDaConfig, epochs: usize| {
        let mut training = config.build(&corpus, 2, &device()).unwrap();
        (0..epochs).for_each(|_| drop(training.train_epoch().unwrap()));
        training.method().validation(&training.model().valid()).unwrap().unwrap().mrr(RANK_CUTOFF)
    };
    let (untrained, plain, full) = (mrr(config.clone(), 0), mrr(config.clone().in_batch(), 2), mrr(config, 2));
    println!("MRR of 300: untrained {untrained:.3}, InfoNCE {plain:.3}, CoCoSoDa {full:.3}");
    assert!(plain > untrained + 0.05 && full > plain - 0.03 && untrained > 0.1);
}
