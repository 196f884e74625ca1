//! The encoder against its definition in loops on a padded batch, causality, sizes, presets.

use crate::common::*;
use burn::module::Param;
use burn::tensor::{DType, Tensor};
use contrastive_nn::Pass;
use contrastive_nn::layer::{LayerNorm, Linear};
use contrastive_seqrec::encoder::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

const ITEMS: usize = 20;

pub fn encoder(config: &EncoderConfig) -> SequenceEncoder {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut encoder = config.init(ITEMS, true, &mut rng, (&device().autodiff(), DType::F64)).unwrap();
    // weights of a size that matters
    let weight = encoder.table();
    let scale = Tensor::<2>::ones([1, 1], (&weight.device(), DType::F64)) * 20.0;
    encoder.tokens.embedding.token.weight = Param::from_tensor((weight * scale).detach());
    encoder
}

fn linear(x: &[f64], map: &Linear) -> Vec<f64> {
    let weight = map.weight.val();
    let [inputs, outputs] = weight.dims();
    let (w, b) = (values(&weight), map.bias.as_ref().map(|b| values(&b.val())).unwrap_or(vec![0.0; outputs]));
    (0..outputs).map(|o| b[o] + (0..inputs).map(|i| x[i] * w[i * outputs + o]).sum::<f64>()).collect()
}

fn norm(x: &[f64], norm: &LayerNorm) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let (g, b) = (values(&norm.weight.as_ref().unwrap().val()), values(&norm.bias.as_ref().unwrap().val()));
    x.iter().enumerate().map(|(k, v)| (v - mean) / (variance + 1e-12).sqrt() * g[k] + b[k]).collect()
}

/// GELU by its integral: `x Phi(x)`, Phi by Simpson's rule.
fn gelu(x: f64) -> f64 {
    let (n, low) = (4000, -12.0f64);
    let step = (x - low) / f64::from(n);
    let density = |t: f64| (-0.5 * t * t).exp() / std::f64::consts::TAU.sqrt();
    let sum: f64 = (0..=n)
        .map(|k| {
            let weight = if k == 0 || k == n {
                1.0
            } else if k % 2 == 1 {
                4.0
            } else {
                2.0
            };
            weight * density(low + f64::from(k) * step)
        })
        .sum();
    x * sum * step / 3.0
}

/// RecBole's SASRec on one list, padded on the right to `length`: mask -1e4 on later and padded keys. All rows.
fn definition(encoder: &SequenceEncoder, list: &[u32], length: usize, heads: usize) -> Vec<Vec<f64>> {
    let (items, positions) =
        (values(&encoder.table()), values(&encoder.tokens.embedding.position.as_ref().unwrap().weight.val()));
    let d = encoder.dim();
    let padded: Vec<u32> = list.iter().copied().chain(std::iter::repeat_n(0, length - list.len())).collect();
    let input = encoder.tokens.embedding.norm.as_ref().unwrap();
    let mut x: Vec<Vec<f64>> = padded
        .iter()
        .enumerate()
        .map(|(at, item)| {
            let sum: Vec<f64> = (0..d).map(|k| items[*item as usize * d + k] + positions[at * d + k]).collect();
            norm(&sum, input)
        })
        .collect();
    for block in &encoder.tokens.transformer.blocks {
        let qkv: Vec<Vec<f64>> = x.iter().map(|row| linear(row, &block.attention.query_key_value)).collect();
        let w = d / heads;
        let next = (0..length).map(|i| {
            let mut mixed = vec![0.0; d];
            for h in 0..heads {
                let logit = |j: usize| {
                    let dot: f64 = (0..w).map(|k| qkv[i][h * w + k] * qkv[j][d + h * w + k]).sum();
                    let open = j <= i && padded[j] > 0;
                    dot / (w as f64).sqrt() + if open { 0.0 } else { -1e4 }
                };
                let logits: Vec<f64> = (0..length).map(logit).collect();
                let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = logits.iter().map(|l| (l - top).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for (j, weight) in weights.iter().enumerate() {
                    (0..w).for_each(|k| mixed[h * w + k] += weight / sum * qkv[j][2 * d + h * w + k]);
                }
            }
            let out = linear(&mixed, block.attention.output.as_ref().unwrap());
            let y: Vec<f64> = x[i].iter().zip(&out).map(|(a, b)| a + b).collect();
            let y = norm(&y, &block.attention_norm);
            let inner: Vec<f64> = linear(&y, &block.inner).into_iter().map(gelu).collect();
            let fed = linear(&inner, &block.outer);
            let z: Vec<f64> = y.iter().zip(&fed).map(|(a, b)| a + b).collect();
            norm(&z, &block.feed_forward_norm)
        });
        x = next.collect();
    }
    x
}

fn rows(encoder: &SequenceEncoder, lists: &[&[u32]], read: Read) -> Vec<f64> {
    let batch = ListBatch::new(lists.iter().copied(), encoder.max_len());
    values(&encoder.encode(&batch, read, &mut Pass::evaluation()))
}

#[test]
fn packed_lists_are_encoded_as_padded_ones() {
    let encoder = encoder(&small_encoder(0.0));
    // the last two have hidden items (padding as mask), the last one at its end
    let lists: [&[u32]; 5] =
        [&[3, 1, 4, 1, 5], &[9], &[2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3], &[4, 0, 6, 0, 2], &[4, 7, 0, 6, 0]];
    let last = rows(&encoder, &lists, Read::Last);
    for (at, list) in lists.iter().enumerate() {
        let want = definition(&encoder, list, 12, 2);
        close(&format!("list {at}"), &last[at * 8..][..8], &want[list.len() - 1], 1e-9);
        if !list.contains(&0) {
            close(&format!("all of {at}"), &rows(&encoder, &[list], Read::All), &want[..list.len()].concat(), 1e-9);
        }
    }
}

#[test]
fn nothing_looks_ahead() {
    for preset in [Preset::RecBole, Preset::Original] {
        let encoder = encoder(&small_encoder(0.0).with_preset(preset));
        let list = [3, 1, 4, 1, 5, 9, 2];
        let before = rows(&encoder, &[&list], Read::All);
        for j in 0..list.len() {
            let mut changed = list;
            changed[j] = 17;
            let after = rows(&encoder, &[&changed], Read::All);
            assert_eq!(before[..j * 8], after[..j * 8], "{preset:?}: item {j} changed a row before it");
            assert!(before[j * 8..].iter().zip(&after[j * 8..]).any(|(a, b)| a != b));
        }
        // the row of a prefix is the row within the list
        for n in 1..=list.len() {
            close("prefix", &rows(&encoder, &[&list[..n]], Read::Last), &before[(n - 1) * 8..][..8], 1e-12);
        }
    }
}

#[test]
fn only_the_last_items_count_and_padding_says_what_a_position_is() {
    let list: Vec<u32> = (1..=15).collect();
    for padding in [Padding::Right, Padding::Left] {
        let encoder = encoder(&small_encoder(0.0).with_padding(padding));
        assert_eq!(rows(&encoder, &[&list], Read::Last), rows(&encoder, &[&list[3..]], Read::Last));
    }
    let batch = ListBatch::new([&[5u32, 0, 7][..], &[1]], 12);
    assert_eq!(batch.items(), [5, 7, 1]);
    assert_eq!(batch.positions(Padding::Right, 12), [0, 2, 0]);
    assert_eq!(batch.positions(Padding::Left, 12), [9, 11, 11]);
}

#[test]
fn lists_of_nothing_but_hidden_items_are_finite() {
    let encoder = encoder(&small_encoder(0.0));
    let x = rows(&encoder, &[&[0, 0, 0], &[0, 3]], Read::Last);
    assert!(x.iter().all(|v| v.is_finite()));
}

#[test]
fn published_sizes() {
    let config = EncoderConfig::new();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let encoder = config.init(12_101, false, &mut rng, &device()).unwrap();
    assert_eq!(encoder.num_parameters(), 877_824);
    assert_eq!(encoder.table().dims(), [12_102, 64]);
    assert!(values(&encoder.table())[..64].iter().all(|v| *v == 0.0));
    assert_eq!(encoder.item_rows().dim(), (12_101, 64));
}
