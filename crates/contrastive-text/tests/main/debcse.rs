//! The checks of DebCSE's specification, 1 to 7.

use crate::common::*;
use burn::tensor::Tensor;
use contrastive_core::objective::InfoNce;
use contrastive_core::pairs::{Exclusions, PairLists};
use contrastive_core::sampler::weighted_draws;
use contrastive_core::synthesis::{JoinedInfoNce, Negatives};
use contrastive_text::data::{Corpus, Tokens};
use contrastive_text::method::debcse::*;
use contrastive_train::Method;
use ndarray::Array2;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::sync::Arc;

fn teacher(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 5), |(i, k)| ((i * 7 + k * 3) as f32).sin() + 0.4)
}

fn method(config: DebCseConfig) -> DebCse {
    let corpus = corpus();
    let data = DebCseData::new(corpus.clone(), &teacher(corpus.len())).unwrap();
    let config = config.with_encoder(small_encoder(0.1)).with_training(small_training());
    config.parts(&data, 1, &device()).unwrap().0
}

fn nothing_drawn(n: usize) -> Drawn {
    Drawn { positive_weights: vec![0.0; n], negatives: Vec::new(), masked: vec![Vec::new(); n] }
}

/// Check 1: without draws and mask it is SimCSE; with one hard negative, SimCSE's form with its own hard negative alone.
#[test]
fn the_limits_are_simcse() {
    let (n, d) = (5, 4);
    let [z, copy, p, h] = [1, 2, 3, 4].map(|seed| rows(seed, [n, d]));
    let deb = method(DebCseConfig::new().with_drawn_share(0.0));
    let three = || [z.clone(), copy.clone(), p.clone()];
    let [copies, drawn] = deb.terms(three(), None, &nothing_drawn(n));
    close("SimCSE", value(&copies), value(&InfoNce::new(0.05).unwrap().loss(z.clone(), copy.clone())), 1e-12);
    assert_eq!(value(&drawn), 0.0);
    let own = Drawn { negatives: vec![Some(0.0); n], ..nothing_drawn(n) };
    let [copies, _] = deb.terms(three(), Some(h.clone()), &own);
    let (zv, cv, hv) = (values(&z), values(&copy), values(&h));
    let row = |x: &'_ [f64], i: usize| x[i * d..(i + 1) * d].to_vec();
    let logit = |x: &[f64], i: usize, j: usize| cosine(&row(&zv, i), &row(x, j)) / 0.05;
    let term = |i: usize| {
        let all: f64 = (0..n).map(|j| logit(&cv, i, j).exp()).sum::<f64>() + logit(&hv, i, i).exp();
        all.ln() - logit(&cv, i, i)
    };
    close("own hard negative", value(&copies), (0..n).map(term).sum::<f64>() / n as f64, 1e-10);
}

/// The loss of the specification with everything in it, against the core's joined form.
#[test]
fn both_terms_are_the_specifications() {
    let (n, d, m, w) = (5, 4, 2, 0.3);
    let deb = method(DebCseConfig::new().with_drawn_share(w).with_negatives(m));
    let [z, copy, p] = [1, 2, 3].map(|seed| rows(seed, [n, d]));
    let h = rows(4, [n * m, d]);
    let masked = vec![vec![2, 4], vec![], vec![0], vec![1], vec![0, 1, 2, 3]];
    let weights = vec![1.0, 0.0, 1.0, 0.7, 1.0];
    let drawn = Drawn { positive_weights: weights.clone(), negatives: vec![Some(0.0); n * m], masked: masked.clone() };
    let [copies, drawn_term] = deb.terms([z.clone(), copy.clone(), p.clone()], Some(h.clone()), &drawn);
    let unit = |x: &Tensor<2>| {
        let length = (x.clone() * x.clone()).sum_dim(1).sqrt();
        x.clone() / length
    };
    let (zu, cu, pu, hu) = (unit(&z), unit(&copy), unit(&p), unit(&h).reshape([n, m, d]));
    let (mut offsets, mut columns) = (vec![0], Vec::new());
    for (i, list) in masked.iter().enumerate() {
        let mut list = list.clone();
        list.push(i as u32);
        list.sort_unstable();
        columns.extend(list);
        offsets.push(columns.len());
    }
    let exclusions = Exclusions::lists(PairLists::new(offsets, columns, None).unwrap());
    let terms = |positive: &Tensor<2>| {
        let similarities: Tensor<1> = (zu.clone() * positive.clone()).sum_dim(1).reshape([n]);
        let negatives = [
            Negatives::Shared { anchors: zu.clone(), candidates: cu.clone(), exclusions: exclusions.clone() },
            Negatives::Own { anchors: zu.clone(), rows: hu.clone() },
        ];
        JoinedInfoNce::new(0.05).unwrap().evaluate(similarities, &negatives).rows
    };
    let of_copies = terms(&cu).iter().sum::<f64>() / n as f64;
    close("copies", value(&copies), (1.0 - w) * of_copies, 1e-9);
    let of_drawn: f64 = terms(&pu).iter().zip(&weights).map(|(term, weight)| term * weight).sum::<f64>() / n as f64;
    close("drawn", value(&drawn_term), w * of_drawn, 1e-9);
}

/// Check 2: the law's limits, and the frequencies of the draws.
#[test]
fn the_law_has_its_limits_and_the_draws_follow_it() {
    let (sem, sur) = ([0.9, 0.8, 0.75, 0.95, 0.7], [0.8, 0.3, 0.1, 0.6, 0.2]);
    let law = |temperature: f64, relevance: f64| {
        Propensity { temperature, relevance, floor: 0.05 }.law(Side::Positives, &sem, &sur)
    };
    let normal = |weights: Vec<f64>| {
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect::<Vec<f64>>()
    };
    let near = |got: &[f64], want: &[f64]| got.iter().zip(want).for_each(|(a, b)| close("law", *a, *b, 1e-9));
    near(&law(f64::INFINITY, 2.0), &normal(sem.iter().map(|sem| sem * sem).collect()));
    near(&law(1e9, 2.0), &normal(sem.iter().map(|sem| sem * sem).collect()));
    let propensity = Propensity { temperature: 0.1, relevance: 0.0, floor: 0.05 };
    let e = propensity.propensities(Side::Positives, &sur);
    near(&law(0.1, 0.0), &normal(e.iter().map(|e| 1.0 / e).collect()));
    assert!(e.iter().all(|e| *e >= 0.01), "the floor of 0.05 / 5");
    let law = law(0.1, 2.0);
    close("sum", law.iter().sum(), 1.0, 1e-12);
    let (count, mut rng) = (100_000, ChaCha8Rng::seed_from_u64(5));
    let mut found = [0f64; 5];
    (0..count).for_each(|_| found[weighted_draws(&law, 1, &mut rng)[0]] += 1.0);
    let chi: f64 = found.iter().zip(&law).map(|(n, p)| (n - p * count as f64).powi(2) / (p * count as f64)).sum();
    assert!(chi < 13.28, "chi-square {chi} with 4 degrees of freedom: p below 0.01");
    // the second draw is by the weights that are left
    let (weights, mut pairs) = ([0.5, 0.3, 0.2], [[0f64; 3]; 3]);
    for _ in 0..count {
        let draw = weighted_draws(&weights, 2, &mut rng);
        pairs[draw[0]][draw[1]] += 1.0 / count as f64;
    }
    for (a, row) in pairs.iter().enumerate() {
        for (b, share) in row.iter().enumerate() {
            let want = if a == b { 0.0 } else { weights[a] * weights[b] / (1.0 - weights[a]) };
            assert!((share - want).abs() < 0.006, "{a} then {b}: {share}, expected {want}");
        }
    }
    assert_eq!(weighted_draws(&[1.0, 0.0], 9, &mut rng), [0, 1]);
}

/// Check 3: what is preferred.
#[test]
fn the_law_prefers_other_words_and_near_meanings() {
    let propensity = Propensity { temperature: 0.1, relevance: 2.0, floor: 0.05 };
    let law = |side, sem: &[f64], sur: &[f64]| propensity.law(side, sem, sur);
    let equal_sem = law(Side::Positives, &[0.8, 0.8], &[0.6, 0.4]);
    assert!(equal_sem[1] > equal_sem[0]);
    let equal_sur = law(Side::Positives, &[0.8, 0.9], &[0.5, 0.5]);
    assert!(equal_sur[1] > equal_sur[0]);
    let equal_sem = law(Side::Negatives, &[0.3, 0.3], &[0.6, 0.4]);
    assert!(equal_sem[0] > equal_sem[1]);
    let equal_sur = law(Side::Negatives, &[0.1, 0.3], &[0.5, 0.5]);
    assert!(equal_sur[0] > equal_sur[1]);
    let nothing = law(Side::Negatives, &[1.0, 1.0], &[0.5, 0.5]);
    assert_eq!(nothing, [0.5, 0.5]);
}

/// Check 4: draws by propensity, weighed by relevance over propensity, estimate the mean by relevance.
#[test]
fn inverse_propensities_are_unbiased() {
    let propensity = Propensity { temperature: 0.3, relevance: 2.0, floor: 0.05 };
    let (sem, sur) = ([0.9, 0.8, 0.7, 0.95], [0.9, 0.3, 0.1, 0.6]);
    let f = [1.0, -2.0, 3.0, 0.5];
    let e = propensity.propensities(Side::Positives, &sur);
    let rel = sem.map(|sem| propensity.relevance(Side::Positives, sem));
    let (mut rng, mut sums) = (ChaCha8Rng::seed_from_u64(9), [0.0, 0.0]);
    for _ in 0..100_000 {
        let mut u = rng.random::<f64>() * e.iter().sum::<f64>();
        let j = e
            .iter()
            .position(|e| {
                u -= e;
                u < 0.0
            })
            .unwrap_or(3);
        sums[0] += rel[j] / e[j] * f[j];
        sums[1] += rel[j] / e[j];
    }
    let want = rel.iter().zip(f).map(|(rel, f)| rel * f).sum::<f64>() / rel.iter().sum::<f64>();
    assert!((sums[0] / sums[1] - want).abs() < 0.03, "{} and {want}", sums[0] / sums[1]);
}

/// Check 5: the surface.
#[test]
fn surfaces_are_overlap_times_agreement_of_lengths() {
    let texts = ["a b c", "C b, a!", "a b c a b c", "x y", "", "a x"];
    let surfaces = Surfaces::new(&texts, 0.5);
    for i in 0..texts.len() {
        for j in 0..texts.len() {
            assert_eq!(surfaces.similarity(i, j), surfaces.similarity(j, i));
        }
    }
    assert_eq!(surfaces.similarity(0, 1), 1.0);
    assert_eq!(surfaces.similarity(0, 3), 0.0);
    assert_eq!(surfaces.similarity(0, 4), 0.0);
    close("repeated", surfaces.similarity(0, 2), 2.0 * 3.0 / 9.0 * 0.5f64.sqrt(), 1e-12);
    close("one word", surfaces.similarity(0, 5), 2.0 / 5.0 * (2.0f64 / 3.0).sqrt(), 1e-12);
    assert_eq!(surfaces.nearest(0, 2, 100, &[]), [1, 2]);
    assert_eq!(surfaces.nearest(0, 2, 100, &[1]), [2, 5]);
    assert!(surfaces.nearest(4, 2, 100, &[]).is_empty());
}

/// Check 6: a masked candidate has no gradient; with everything masked a term is 0.
#[test]
fn masked_candidates_have_no_gradient() {
    let (n, d) = (3, 4);
    let deb = method(DebCseConfig::new());
    let [z, copy, p] = [1, 2, 3].map(|seed| rows(seed, [n, d]));
    let drawn = Drawn { positive_weights: vec![1.0, 0.0, 0.0], ..nothing_drawn(n) };
    let masked = |lists: [Vec<u32>; 3]| Drawn { masked: lists.to_vec(), ..drawn.clone() };
    // sentence 2 is masked for both others, and has no drawn positive: its copy is only its own positive
    let lists = masked([vec![2], vec![2], vec![0, 1]]);
    let [_, term] = deb.terms([z.clone(), copy.clone(), p.clone()], None, &lists);
    let gradients = term.backward();
    let of = |x: &Tensor<2>| values(&x.grad(&gradients).unwrap());
    assert!(of(&copy)[2 * d..].iter().all(|x| *x == 0.0), "{:?}", of(&copy));
    assert!(of(&copy)[d..2 * d].iter().any(|x| *x != 0.0) && of(&p)[..d].iter().any(|x| *x != 0.0));
    let all = masked([vec![1, 2], vec![0, 2], vec![0, 1]]);
    let [copies, term] = deb.terms([z, copy, p], None, &all);
    assert_eq!((value(&copies), value(&term)), (0.0, 0.0));
}

fn pools_of(texts: &[&str], teacher: &Array2<f32>, config: &PoolConfig) -> Pools {
    Pools::new(texts, teacher, config).unwrap()
}

/// Pools hold what they should: by the teacher, and not the duplicates.
#[test]
fn pools_are_cut_by_teacher_and_surface() {
    let texts = ["a cat sits", "a kitten rests", "a cat sits now", "stocks fell", "a cat sits"];
    // the first three and the last mean the same
    let teacher = Array2::from_shape_vec((5, 2), vec![1.0, 0.0, 0.95, 0.3, 1.0, 0.05, 0.0, 1.0, 1.0, 0.0]).unwrap();
    let config = PoolConfig::new().with_nearest(4).with_surface(2).with_random(2).with_least_positive(Some(0.7));
    let pools = pools_of(&texts, &teacher, &config);
    assert_eq!(pools.positives[0].ids, [1, 2], "not itself, not its duplicate");
    assert_eq!(pools.negatives[0].ids, [3]);
    assert!(pools.positives[0].law[0] > pools.positives[0].law[1], "other words first");
    assert_eq!((pools.positives[3].ids.len(), pools.negatives[3].ids.as_slice()), (0, &[0, 1, 2, 4][..]));
    assert!(
        pools.notes.iter().any(|note| note.to_string() == "debcse: 1 of 5 sentences have no positive in their pools")
    );
    // check 7: more candidates than there are, and pools that are all empty
    let many = pools_of(&texts, &teacher, &PoolConfig::new().with_least_positive(Some(0.7)));
    assert!(many.notes[0].to_string().contains("nearest is 64, taken as 4"), "{}", many.notes[0]);
    let none = PoolConfig::new().with_nearest(4).with_least_positive(Some(1.0)).with_duplicate(0.5);
    let none = pools_of(&texts, &teacher, &none);
    assert!(none.notes.iter().any(|note| note.to_string().contains("no sentence has a positive in its pool")));
    assert!(Pools::new(&["a"], &Array2::ones((1, 2)), &config).unwrap_err().to_string().contains("1 sentences"));
    assert!(pools.least_positive == 0.7 && many.least_positive == 0.7);
}

/// Draws come from the pools; where there is none, the sentence stands in with no weight. Weighting has the law's expectation.
#[test]
fn batches_draw_from_the_pools() {
    for weighting in [false, true] {
        let mut deb = method(DebCseConfig::new().with_negatives(2).with_weighting(weighting));
        deb.begin_epoch(1, contrastive_train::epoch_rng(3, 1)).unwrap();
        let batch = deb.batch(first_step()).unwrap();
        assert_eq!(batch, deb.batch(first_step()).unwrap());
        let n = batch.rows.len();
        assert_eq!(batch.tokens.len(), 5 * n);
        for (at, row) in batch.rows.iter().enumerate() {
            let (pool, drawn) = (&deb.pools().positives[*row], batch.positives[at]);
            match pool.ids.iter().position(|id| *id == drawn) {
                Some(place) => {
                    let want = if weighting { pool.law[place] * pool.ids.len() as f64 } else { 1.0 };
                    close("weight", batch.drawn.positive_weights[at], want, 1e-12);
                }
                None => assert!(pool.ids.is_empty() && batch.drawn.positive_weights[at] == 0.0),
            }
            let drawn = &batch.negatives[2 * at..2 * at + 2];
            let pool = &deb.pools().negatives[*row].ids;
            for (negative, weight) in drawn.iter().zip(&batch.drawn.negatives[2 * at..2 * at + 2]) {
                assert_eq!(pool.contains(negative), weight.is_some());
            }
            assert!(pool.len() < 2 || drawn[0] != drawn[1], "without replacement");
            assert!(!batch.drawn.masked[at].contains(&(at as u32)), "the diagonal stays");
        }
    }
}

/// Check 7: with all pools empty, the loss is SimCSE's.
#[test]
fn empty_pools_are_simcse() {
    let tokens = Arc::new(Tokens::words(["one two three four five six"], 1, 1).unwrap());
    let corpus = Corpus::sentences("c", ["one", "two", "three", "four"], tokens, 9).unwrap();
    // every pair at 60 degrees: neither near nor far
    let teacher = Array2::from_shape_fn((4, 4), |(i, k)| if i == k { 2.236_068f32 + 1.0 } else { 1.0 });
    let data = DebCseData::new(corpus, &teacher).unwrap();
    let config = DebCseConfig::new().with_encoder(small_encoder(0.1)).with_training(small_training());
    let config = config.with_pools(PoolConfig::new().with_most_negative(0.1));
    let (mut deb, model) = config.parts(&data, 1, &device()).unwrap();
    assert_eq!(deb.notes().iter().filter(|note| note.to_string().contains("that part is SimCSE's")).count(), 2);
    deb.begin_epoch(1, contrastive_train::epoch_rng(3, 1)).unwrap();
    let batch = deb.batch(first_step()).unwrap();
    let losses = deb.losses(&model, &batch, first_step()).unwrap();
    let mut pass = contrastive_nn::Pass::training(first_step().seed, 0);
    let z = model.project(model.encoder.forward(&batch.tokens, &mut pass));
    let part = |k: usize| z.clone().slice([k * 4..(k + 1) * 4, 0..8]);
    let want = value(&InfoNce::new(0.05).unwrap().loss(part(0), part(1)));
    close("copies", value(&losses[0].1), 0.5 * want, 1e-5);
    assert_eq!(value(&losses[1].1), 0.0);
}
