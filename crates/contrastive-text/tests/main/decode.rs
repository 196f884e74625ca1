//! Decoders against their definitions, each other, and rows alone; what contrastive search promises.

use crate::support::{device, lists_of, values};
use burn::module::Param;
use burn::tensor::{DType, Tensor};
use contrastive_nn::Ragged;
use contrastive_nn::encoder::{Cache, TokenEncoderConfig, TransformerConfig};
use contrastive_nn::init::Initial;
use contrastive_nn::model::LanguageModel;
use contrastive_text::decode::*;
use contrastive_text::encoder::{CausalConfig, CausalModel};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const VOCABULARY: usize = 37;

fn model_of(vocabulary: usize, positions: usize, seed: u64, tied: bool) -> CausalModel {
    let blocks = TransformerConfig::gpt2(16, 2, 2).with_initial(Initial::Normal(0.3));
    let mut encoder = TokenEncoderConfig::gpt2(vocabulary, positions, blocks);
    encoder.embedding = encoder.embedding.with_initial(Initial::Normal(0.6));
    let config = CausalConfig::new(encoder).with_tied(tied);
    config.init(&mut ChaCha8Rng::seed_from_u64(seed), (&device(), DType::F64)).unwrap()
}

fn model() -> CausalModel {
    model_of(VOCABULARY, 140, 5, true)
}

fn prompts() -> Prompts {
    Prompts::new(vec![vec![3, 1, 4, 1, 5], vec![9], vec![2, 6, 5], vec![30, 31, 32, 33, 34, 35, 36]]).unwrap()
}

fn alone(prompts: &Prompts, row: usize) -> Prompts {
    Prompts::new(vec![prompts.lists()[row].clone()]).unwrap()
}

fn tokens(decoded: &Decoded) -> Vec<Vec<u32>> {
    decoded.texts.iter().map(|text| text.tokens.clone()).collect()
}

fn decode(decoder: &Decoder, model: &CausalModel, prompts: &Prompts) -> Vec<Vec<u32>> {
    tokens(&decoder.decode(model, prompts).unwrap())
}

fn contrastive(search: ContrastiveSearch, new: usize) -> Decoder {
    Decoder::new(Decoding::Contrastive(search), new)
}

/// Logits and states of a whole list, without a cache.
fn whole(model: &CausalModel, list: &[u32]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let (logits, hidden) = model.forward(list, &Ragged::even(1, list.len()), &mut Cache::new(1));
    let rows = |x: Tensor<2>| {
        let width = x.dims()[1];
        values(x).chunks(width).map(<[f64]>::to_vec).collect()
    };
    (rows(logits), rows(hidden))
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.iter().map(|x| x.exp() / sum).collect()
}

/// The decoding rule as the paper writes it, from whole prefixes.
fn by_definition(model: &CausalModel, prompt: &[u32], k: usize, alpha: f64, new: usize) -> Vec<u32> {
    let mut list = prompt.to_vec();
    for _ in 0..new {
        let (logits, context) = whole(model, &list);
        let p = softmax(logits.last().unwrap());
        let mut order: Vec<u32> = (0..p.len() as u32).collect();
        order.sort_by(|a, b| p[*b as usize].total_cmp(&p[*a as usize]));
        let cosine = |a: &[f64], b: &[f64]| {
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let score = |v: u32| {
            let (_, states) = whole(model, &[&list[..], &[v]].concat());
            let penalty = context.iter().map(|h| cosine(h, states.last().unwrap())).fold(f64::NEG_INFINITY, f64::max);
            assert!((-1.0..=1.0 + 1e-12).contains(&penalty));
            (1.0 - alpha) * p[v as usize] - alpha * penalty
        };
        let best = order[..k].iter().copied().map(|v| (score(v), v)).reduce(|a, b| if b.0 > a.0 { b } else { a });
        list.push(best.unwrap().1);
    }
    list[prompt.len()..].to_vec()
}

/// Numbers of the specification.
#[test]
fn scores_of_three_candidates() {
    let context = UnitRows::new(2, &[1.0, 0.0, 0.6, 0.8]);
    let (states, p) = ([0.8, 0.6, 0.0, 1.0, -1.0, 0.0], [0.5, 0.3, 0.2]);
    let scores = |alpha: f64| ContrastiveSearch::new(3, alpha).scores(&context, &states, &p);
    for (got, want) in scores(0.6).iter().zip([-0.376, -0.36, 0.44]) {
        assert!((got - want).abs() < 1e-6, "{got} instead of {want}");
    }
    assert_eq!(scores(0.0), p);
    // alpha 1 does not see probabilities
    assert_eq!(scores(1.0), ContrastiveSearch::new(3, 1.0).scores(&context, &states, &[0.1, 0.1, 0.8]));
    // a state seen before, longer or not, has the penalty 1; one of zeros 0
    assert!((context.most_alike(&[3.0, 4.0]) - 1.0).abs() < 1e-6 && context.most_alike(&[0.0, 0.0]) == 0.0);
    assert!((UnitRows::new(2, &[1.0, 0.0]).most_alike(&[-2.0, 0.0]) + 1.0).abs() < 1e-6);
}

#[test]
fn contrastive_search_is_its_definition() {
    let (model, prompts) = (model(), prompts());
    for (k, alpha) in [(4, 0.6), (5, 1.0), (3, 0.3)] {
        let got = decode(&contrastive(ContrastiveSearch::new(k, alpha), 12), &model, &prompts);
        for (row, got) in got.iter().enumerate() {
            assert_eq!(*got, by_definition(&model, &prompts.lists()[row], k, alpha, 12), "k {k}, alpha {alpha}");
        }
    }
}

#[test]
fn one_candidate_or_no_penalty_is_greedy_search() {
    for tied in [true, false] {
        let model = model_of(VOCABULARY, 140, 6, tied);
        let greedy = decode(&Decoder::new(Decoding::Greedy, 40), &model, &prompts());
        for search in [ContrastiveSearch::new(1, 0.7), ContrastiveSearch::new(5, 0.0)] {
            assert_eq!(decode(&contrastive(search, 40), &model, &prompts()), greedy);
        }
        let others =
            [Decoding::Beam { width: 1, length_penalty: 1.0 }, Decoding::TopK { k: 1 }, Decoding::Nucleus { p: 1e-9 }];
        for decoding in others {
            assert_eq!(decode(&Decoder::new(decoding, 40), &model, &prompts()), greedy);
        }
        let cold = Decoder::new(Decoding::Nucleus { p: 0.9 }, 40).with_temperature(1e-3);
        assert_eq!(decode(&cold, &model, &prompts()), greedy);
        assert_ne!(decode(&contrastive(ContrastiveSearch::new(5, 0.6), 40), &model, &prompts()), greedy);
    }
}

/// With a cache, viewed, expanded and one by one, and without: the same tokens over 100 steps; prompts together and alone.
#[test]
fn candidates_may_be_run_in_any_way() {
    let (model, prompts) = (model(), prompts());
    let search = ContrastiveSearch::new(5, 0.6);
    let viewed = decode(&contrastive(search, 100), &model, &prompts);
    assert!(viewed.iter().all(|text| text.len() == 100));
    for mode in [Candidates::Expanded, Candidates::OneByOne, Candidates::Recomputed] {
        assert_eq!(decode(&contrastive(search.with_candidates(mode), 100), &model, &prompts), viewed, "{mode:?}");
    }
    for row in 0..prompts.len() {
        assert_eq!(decode(&contrastive(search, 100), &model, &alone(&prompts, row)), viewed[row..row + 1]);
    }
}

#[test]
fn prompts_are_continued_alone_as_among_others() {
    let (model, prompts) = (model(), prompts());
    let start = DiverseStart { tokens: 2, p: 0.95 };
    let all = [
        Decoding::Greedy,
        Decoding::Beam { width: 3, length_penalty: 0.7 },
        Decoding::TopK { k: 6 },
        Decoding::Nucleus { p: 0.95 },
        Decoding::Typical { mass: 0.9 },
        Decoding::Contrastive(ContrastiveSearch::new(4, 0.6).with_start(start)),
    ];
    // the end token is one that greedy search writes, so that some texts end early
    let end = decode(&Decoder::new(Decoding::Greedy, 30), &model, &prompts)[0][7];
    for decoding in all {
        let decoder = Decoder::new(decoding, 30).with_end(end).with_seed(11);
        let together = decoder.decode(&model, &prompts).unwrap();
        for row in 0..prompts.len() {
            let decoder = decoder.clone().with_first_row(row as u64);
            let single = decoder.decode(&model, &alone(&prompts, row)).unwrap();
            assert_eq!(single.texts[0].tokens, together.texts[row].tokens, "{decoding:?}, prompt {row}");
            assert_eq!(single.texts[0].ended, together.texts[row].ended);
        }
        assert!(together.texts.iter().all(|text| !text.tokens.contains(&end)));
        assert!(together.texts.iter().all(|text| text.ended || text.tokens.len() == 30));
    }
}

/// A decoder that stops early writes the start of what it would have written.
#[test]
fn texts_end_at_the_end_token() {
    let (model, prompts) = (model(), prompts());
    for decoding in [Decoding::Greedy, Decoding::Contrastive(ContrastiveSearch::new(5, 0.6))] {
        let full = decode(&Decoder::new(decoding, 30), &model, &prompts);
        let end = full[2][4];
        let short = Decoder::new(decoding, 30).with_end(end).decode(&model, &prompts).unwrap();
        for (text, full) in short.texts.iter().zip(&full) {
            let stop = full.iter().position(|token| *token == end);
            assert_eq!(text.tokens, full[..stop.unwrap_or(30)]);
            assert_eq!(text.ended, stop.is_some());
        }
        assert!(short.texts[2].ended && short.texts[2].tokens.len() <= 4);
    }
}

#[test]
fn padding_is_left_out_wherever_it_stands() {
    let (model, prompts) = (model(), prompts());
    let want = decode(&contrastive(ContrastiveSearch::new(4, 0.6), 10), &model, &prompts);
    for left in [true, false] {
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for list in prompts.lists() {
            let (pad, real) = (vec![0; 8 - list.len()], vec![true; list.len()]);
            let off = vec![false; pad.len()];
            let parts = if left { [(pad, off), (list.clone(), real)] } else { [(list.clone(), real), (pad, off)] };
            parts.into_iter().for_each(|(tokens, marks)| {
                ids.extend(tokens);
                mask.extend(marks);
            });
        }
        let padded = Prompts::padded(&ids, &mask, 8).unwrap();
        assert_eq!(decode(&contrastive(ContrastiveSearch::new(4, 0.6), 10), &model, &padded), want);
    }
}

/// Oracle: all texts of three tokens.
#[test]
fn a_wide_beam_finds_the_most_probable_text() {
    let model = model_of(4, 10, 8, true);
    let prompt = Prompts::new(vec![vec![1, 2]]).unwrap();
    let log =
        |text: &[u32]| -> f64 { token_log_probabilities(&model, &prompt, &[text.to_vec()]).unwrap()[0].iter().sum() };
    let texts = lists_of(4, 3);
    let best = texts.iter().max_by(|a, b| log(a).total_cmp(&log(b))).unwrap();
    let beam = |width: usize| {
        Decoder::new(Decoding::Beam { width, length_penalty: 0.0 }, 3).decode(&model, &prompt).unwrap().texts.remove(0)
    };
    assert_eq!(beam(64).tokens, *best);
    assert!((beam(64).log_probability() - log(best)).abs() < 1e-9);
    let widths = [1, 2, 4, 16].map(|width| beam(width).log_probability());
    assert!(widths.iter().all(|found| *found <= log(best) + 1e-9));
    // with an end token texts of all lengths compete, the end counted
    let end = 3;
    let ended = Decoder::new(Decoding::Beam { width: 64, length_penalty: 1.0 }, 3).with_end(end);
    let ended = ended.decode(&model, &prompt).unwrap().texts.remove(0);
    let whole = |length: usize| lists_of(4, length).into_iter().filter(|text| !text[..text.len() - 1].contains(&end));
    let finished = (1..=3).flat_map(|length| whole(length).filter(move |text| length == 3 || text[length - 1] == end));
    let mean = |text: &Vec<u32>| log(text) / text.len() as f64;
    let best = finished.max_by(|a, b| mean(a).total_cmp(&mean(b))).unwrap();
    let got: Vec<u32> = ended.tokens.iter().copied().chain(ended.ended.then_some(end)).collect();
    assert_eq!(got, best);
}

#[test]
fn what_is_drawn_follows_the_seed() {
    let (model, prompts) = (model(), prompts());
    for decoding in [Decoding::TopK { k: 10 }, Decoding::Nucleus { p: 0.95 }, Decoding::Typical { mass: 0.9 }] {
        let draw = |seed: u64| decode(&Decoder::new(decoding, 30).with_seed(seed), &model, &prompts);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
    // equal prompts get different texts, and a start that is drawn makes them differ under contrastive search too
    let same = Prompts::new(vec![vec![1, 2, 3]; 6]).unwrap();
    let start = DiverseStart { tokens: 2, p: 0.95 };
    let drawn = decode(&contrastive(ContrastiveSearch::new(4, 0.6).with_start(start), 20), &model, &same);
    let plain = decode(&contrastive(ContrastiveSearch::new(4, 0.6), 20), &model, &same);
    assert!(plain.iter().all(|text| *text == plain[0]));
    assert!(drawn.iter().any(|text| *text != drawn[0]));
    // after its start the search goes on as from a longer prompt
    for text in &drawn {
        let longer = Prompts::new(vec![[&[1, 2, 3], &text[..2]].concat()]).unwrap();
        assert_eq!(decode(&contrastive(ContrastiveSearch::new(4, 0.6), 18), &model, &longer)[0], text[2..]);
    }
}

#[test]
fn log_probabilities_are_those_of_whole_texts() {
    let (model, prompts) = (model(), prompts());
    for decoding in [Decoding::Greedy, Decoding::Contrastive(ContrastiveSearch::new(5, 0.6)), Decoding::TopK { k: 5 }] {
        let decoded = Decoder::new(decoding, 9).with_temperature(1.5).decode(&model, &prompts).unwrap();
        let again = token_log_probabilities(&model, &prompts, &tokens(&decoded)).unwrap();
        for (text, again) in decoded.texts.iter().zip(&again) {
            for (a, b) in text.log_probabilities.iter().zip(again) {
                assert!((a - b).abs() < 1e-9);
            }
        }
        let mean = mean_log_probability(&model, &prompts, &tokens(&decoded)).unwrap();
        let want: f64 = decoded.texts.iter().map(|text| text.log_probability() / 9.0).sum::<f64>() / 4.0;
        assert!((mean - want).abs() < 1e-9);
    }
}

#[test]
fn states_that_are_alike_are_noted() {
    let mut model = model();
    let decoder = contrastive(ContrastiveSearch::new(4, 0.6), 5);
    assert!(states_isotropy(&model, &prompts()).unwrap() > LOW_ISOTROPY);
    assert!(decoder.decode(&model, &prompts()).unwrap().notes.is_empty());
    let norm = model.encoder.transformer.norm.as_mut().unwrap();
    norm.bias = Some(Param::from_tensor(Tensor::ones([16], (&device(), DType::F64)) * 20.0));
    let isotropy = states_isotropy(&model, &prompts()).unwrap();
    assert!(isotropy < 0.1);
    let notes = decoder.decode(&model, &prompts()).unwrap().notes;
    assert_eq!(notes, [DecodeNote::LowIsotropy { isotropy }]);
    assert!(notes[0].to_string().contains("below 0.3"));
    // greedy search has no penalty
    assert!(Decoder::new(Decoding::Greedy, 5).decode(&model, &prompts()).unwrap().notes.is_empty());
}

fn refused(decoder: &Decoder, words: &str) {
    let error = decoder.decode(&model(), &prompts()).unwrap_err().to_string();
    assert!(error.contains(words) && error.len() < 500, "{error:?} instead of {words:?}");
}

#[test]
fn settings_out_of_range_are_named() {
    let with = |k, alpha| contrastive(ContrastiveSearch::new(k, alpha), 5);
    refused(&with(0, 0.5), "k is 0; allowed is 1 to the vocabulary 37");
    refused(&with(38, 0.5), "k is 38");
    refused(&with(5, -0.1), "alpha is -0.1; allowed is 0 to 1");
    refused(&with(5, 1.5), "alpha is 1.5");
    refused(&with(5, f64::NAN), "alpha is NaN");
    let start = ContrastiveSearch::new(5, 0.5).with_start(DiverseStart { tokens: 2, p: 0.0 });
    refused(&contrastive(start, 5), "p of the diverse start is 0");
    refused(&Decoder::new(Decoding::TopK { k: 0 }, 5), "k is 0");
    refused(&Decoder::new(Decoding::Nucleus { p: 1.1 }, 5), "p is 1.1; allowed is above 0 and at most 1");
    refused(&Decoder::new(Decoding::Typical { mass: 0.0 }, 5), "mass is 0");
    refused(&Decoder::new(Decoding::Beam { width: 0, length_penalty: 1.0 }, 5), "width is 0");
    refused(&Decoder::new(Decoding::Beam { width: 2, length_penalty: f64::INFINITY }, 5), "length_penalty is inf");
    refused(&Decoder::new(Decoding::Greedy, 0), "max_new is 0");
    refused(&Decoder::new(Decoding::Greedy, 5).with_temperature(0.0), "temperature is 0");
    refused(&Decoder::new(Decoding::Greedy, 5).with_end(37), "end is 37; allowed is a token below the vocabulary 37");
    refused(&Decoder::new(Decoding::Greedy, 134), "prompt 3: 7 tokens and 134 new ones; the model has 140 positions");
}

#[test]
fn prompts_that_cannot_be_continued_are_named() {
    let error = |prompts: Result<Prompts, DecodeError>| prompts.unwrap_err().to_string();
    assert!(error(Prompts::new(Vec::new())).contains("no prompts"));
    assert!(error(Prompts::new(vec![vec![1], vec![]])).contains("prompt 1 has no tokens"));
    let masked = Prompts::padded(&[1, 2, 3, 4], &[true, true, false, false], 2);
    assert!(error(masked).contains("prompt 1: all of its 2 tokens are masked"));
    assert!(error(Prompts::padded(&[1, 2, 3], &[true; 3], 2)).contains("3 tokens and 3 marks of a mask in rows of 2"));
    assert!(error(Prompts::padded(&[1, 2], &[true], 2)).contains("2 tokens and 1 marks"));
    assert!(error(Prompts::padded(&[], &[], 0)).contains("rows of 0"));
    assert!(error(Prompts::padded(&[], &[], 3)).contains("no prompts"));
    let unknown = Prompts::new(vec![vec![1], vec![2, 37]]).unwrap();
    let unknown = Decoder::new(Decoding::Greedy, 5).decode(&model(), &unknown).unwrap_err();
    assert_eq!(unknown.to_string(), "prompt 1, token 1: 37; allowed are those below the vocabulary 37");
    let mut broken = model();
    let table = broken.encoder.embedding.token.weight.val() * f64::NAN;
    broken.encoder.embedding.token.weight = Param::from_tensor(table);
    let error = Decoder::new(Decoding::Greedy, 5).decode(&broken, &prompts()).unwrap_err();
    assert_eq!(error, DecodeError::NotFinite { row: 0, step: 0 });
}
