//! Language models: a cache whose lists grow, split and are chosen, against whole prefixes.

use crate::common::{device, values};
use burn::tensor::DType;
use contrastive_nn::encoder::{BesideRows, Cache, TokenEncoder, TokenEncoderConfig, TransformerConfig};
use contrastive_nn::model::LanguageModel;
use contrastive_nn::{Ragged, portable_bodies};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn close(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    got.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < 1e-10, "{what}: {a} instead of {b}"));
}

fn models() -> Vec<TokenEncoder> {
    let blocks = [
        TransformerConfig::gpt2(8, 2, 2).with_initial(contrastive_nn::init::Initial::Normal(0.5)),
        TransformerConfig::sasrec(8, 2, 16, 2),
        TransformerConfig::sasrec_original(8, 2, 1),
    ];
    let model = |blocks| {
        TokenEncoderConfig::gpt2(11, 9, blocks).init(&mut ChaCha8Rng::seed_from_u64(3), (&device(), DType::F64))
    };
    blocks.into_iter().map(|blocks| model(blocks).unwrap()).collect()
}

/// States and logits of the last token of each list, computed anew.
fn anew(model: &TokenEncoder, lists: &[Vec<u32>]) -> [Vec<f64>; 2] {
    let (mut states, mut logits) = (Vec::new(), Vec::new());
    for list in lists {
        let (all, hidden) = LanguageModel::forward(model, list, &Ragged::even(1, list.len()), &mut Cache::new(1));
        let last = list.len() - 1;
        states.extend(values(hidden.narrow(0, last, 1)));
        logits.extend(values(all.narrow(0, last, 1)));
    }
    [states, logits]
}

/// Oracle: every prefix without a cache. Lists of equal and of different lengths, and lists without rows.
fn candidates_beside_each_other() {
    for model in models() {
        for lists in [vec![vec![1, 2, 3], vec![4], vec![5, 6]], vec![vec![7, 8], vec![2, 2]], vec![vec![], vec![]]] {
            let lengths: Vec<usize> = lists.iter().map(Vec::len).collect();
            let mut cache = Cache::new(lists.len());
            if lengths.iter().sum::<usize>() > 0 {
                model.hidden(&lists.concat(), &Ragged::from_lengths(&lengths), &mut cache);
            }
            let candidate = |list: usize, k: usize| ((3 * list + 5 * k + 1) % 11) as u32;
            let each = 3;
            let ids: Vec<u32> = (0..lists.len()).flat_map(|list| (0..each).map(move |k| candidate(list, k))).collect();
            let (hidden, rows) = model.hidden_beside(&ids, &cache);
            let longer = |list: &Vec<u32>, id: u32| list.iter().copied().chain([id]).collect::<Vec<u32>>();
            let prefixes: Vec<Vec<u32>> =
                ids.iter().enumerate().map(|(at, id)| longer(&lists[at / each], *id)).collect();
            let [states, logits] = anew(&model, &prefixes);
            close("states", &values(hidden.clone()), &states);
            close("logits", &values(model.logits(hidden)), &logits);
            // one candidate after the other gives the same rows
            let parts: Vec<BesideRows> = (0..each)
                .map(|k| {
                    let ids: Vec<u32> = (0..lists.len()).map(|list| candidate(list, k)).collect();
                    model.hidden_beside(&ids, &cache).1
                })
                .collect();
            let chosen: Vec<usize> = (0..lists.len()).map(|list| (list + 1) % each).collect();
            for rows in [rows, BesideRows::joined(&parts)] {
                let mut cache = cache.clone();
                cache.append(&rows, &chosen);
                // lists chosen, and one of them twice
                let order: Vec<usize> = (0..lists.len()).rev().chain([0]).collect();
                let mut cache = cache.select(&order);
                let next: Vec<u32> = order.iter().map(|list| *list as u32 + 6).collect();
                let got = model.hidden(&next, &Ragged::even(order.len(), 1), &mut cache);
                let whole: Vec<Vec<u32>> = order
                    .iter()
                    .zip(&next)
                    .map(|(&list, id)| longer(&prefixes[list * each + chosen[list]], *id))
                    .collect();
                close("next", &values(got), &anew(&model, &whole)[0]);
            }
        }
    }
}

#[test]
fn candidates_beside_each_other_are_those_of_whole_prefixes() {
    candidates_beside_each_other();
    portable_bodies(candidates_beside_each_other);
}

#[test]
fn a_model_says_what_it_knows() {
    let model = &models()[0];
    assert_eq!((model.vocabulary(), model.positions()), (11, Some(9)));
}

#[test]
#[should_panic(expected = "row 2 of 2 beside each other")]
fn a_row_that_is_not_there_cannot_be_chosen() {
    let (model, mut cache) = (&models()[0], Cache::new(1));
    model.hidden(&[1], &Ragged::even(1, 1), &mut cache);
    let (_, rows) = model.hidden_beside(&[1, 2], &cache);
    cache.append(&rows, &[2]);
}
