//! Attention written out, in f64, against the kernel in both types.

use super::*;
use crate::layer::{Layers, dropout::mix};

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    (0..count).map(|k| (mix(seed * 7919 + k as u64) >> 11) as f64 / 2f64.powi(51) - 2.0).collect()
}

/// Output, and the gradients of queries, keys and values for this cotangent, by the definition.
fn written_out(problem: &Attention, [q, k, v]: [&[f64]; 3], cotangent: &[f64]) -> [Vec<f64>; 4] {
    let (d, head) = (problem.width, problem.head_width());
    let mut all = [q.len(), q.len(), k.len(), v.len()].map(|count| vec![0.0; count]);
    for list in 0..problem.lists() {
        let keys = problem.keys[list]..problem.keys[list + 1];
        for query in problem.queries[list]..problem.queries[list + 1] {
            let seen = problem.visible.map_or(keys.len(), |visible| visible[query] as usize);
            for h in 0..problem.heads {
                let row = |x: &[f64], row: usize| x[row * d + h * head..][..head].to_vec();
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let (asked, pulled) = (row(q, query), row(cotangent, query));
                let logits: Vec<f64> =
                    (0..seen).map(|j| problem.scale * dot(&asked, &row(k, keys.start + j))).collect();
                let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logits.iter().map(|x| (x - most).exp()).sum();
                let weights: Vec<f64> = logits.iter().map(|x| (x - most).exp() / sum).collect();
                let factor = |j: usize| match problem.mask {
                    None => 1.0,
                    Some(mask) => {
                        let keeps = mask.row((query * problem.heads + h) as u64).keeps(j as u32);
                        if keeps { mask.factor() } else { 0.0 }
                    }
                };
                let of_weights: Vec<f64> =
                    (0..seen).map(|j| factor(j) * dot(&pulled, &row(v, keys.start + j))).collect();
                let mean: f64 = weights.iter().zip(&of_weights).map(|(w, g)| w * g).sum();
                for j in 0..seen {
                    let of_logit = weights[j] * (of_weights[j] - mean) * problem.scale;
                    for t in 0..head {
                        let (of, at) = (query * d + h * head + t, (keys.start + j) * d + h * head + t);
                        all[0][of] += weights[j] * factor(j) * v[at];
                        all[1][of] += of_logit * k[at];
                        all[2][at] += of_logit * q[of];
                        all[3][at] += weights[j] * factor(j) * cotangent[of];
                    }
                }
            }
        }
    }
    all
}

fn worst<T: Element>(got: &[T], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter()
        .zip(want)
        .map(|(got, want)| (got.f64() - want).abs())
        .fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
}

/// The largest difference of the kernel from the definition.
fn gap<T: Layers>(problem: Attention, tables: [&[f64]; 3], cotangent: &[f64]) -> f64 {
    let want = written_out(&problem, tables, cotangent);
    let of = |x: &[f64]| x.iter().map(|&x| T::of(x)).collect::<Vec<T>>();
    let held = tables.map(of);
    let rows = held.each_ref().map(|table| Rows::whole(table, problem.width));
    let mut out = vec![T::nan(); want[0].len()];
    T::attention(problem, rows, &mut out);
    let mut all = worst(&out, &want[0]);
    let AttentionGradients::Three(got) = T::attention_backward(problem, rows, &of(cotangent), false) else { panic!() };
    all = got.iter().zip(&want[1..]).map(|(got, want)| worst(got, want)).fold(all, f64::max);
    if problem.queries == problem.keys {
        // the same as thirds of one table
        let d = problem.width;
        let n = held[0].len() / d;
        let packed: Vec<T> = (0..n).flat_map(|row| held.iter().flat_map(move |t| t[row * d..][..d].to_vec())).collect();
        let rows = [0, 1, 2].map(|k| Rows { values: &packed[..], step: 3 * d, start: k * d });
        let mut again = vec![T::nan(); out.len()];
        T::attention(problem, rows, &mut again);
        assert_eq!(again, out);
        let AttentionGradients::One(of_packed) = T::attention_backward(problem, rows, &of(cotangent), true) else {
            panic!()
        };
        for (k, got) in got.iter().enumerate() {
            let third: Vec<T> = (0..n).flat_map(|row| of_packed[(row * 3 + k) * d..][..d].to_vec()).collect();
            assert_eq!(&third, got);
        }
    }
    all
}

#[test]
fn values_and_gradients_are_those_of_the_definition() {
    // lists of one, of none, of more than a panel; heads narrower and wider than a line
    let lists = [0, 1, 1, 20, 57, 107];
    for (heads, head) in [(1, 3), (2, 8), (2, 16), (1, 33), (3, 20)] {
        let d = heads * head;
        let n = lists[lists.len() - 1];
        let tables = [1, 2, 3].map(|seed| numbers(n * d, seed));
        let cotangent = numbers(n * d, 4);
        let causal: Vec<u32> = lists.windows(2).flat_map(|pair| 1..=(pair[1] - pair[0]) as u32).collect();
        // some queries see nothing
        let some: Vec<u32> =
            causal.iter().enumerate().map(|(k, &most)| (mix(k as u64) % u64::from(most + 1)) as u32).collect();
        for visible in [None, Some(&causal[..]), Some(&some[..])] {
            for mask in [None, Some(Mask::new(9, 0.4))] {
                let problem = Attention { queries: &lists, keys: &lists, visible, heads, width: d, scale: 0.4, mask };
                let tables = tables.each_ref().map(|x| &x[..]);
                let (single, double) =
                    (gap::<f32>(problem, tables, &cotangent), gap::<f64>(problem, tables, &cotangent));
                assert!(single < 2e-4 && double < 1e-12, "{heads} x {head}: {single:e}, {double:e}");
            }
        }
    }
}

#[test]
fn queries_of_other_lists_than_keys() {
    let (queries, keys, d) = ([0, 2, 2, 21], [0, 3, 40, 41], 12);
    let tables = [numbers(21 * d, 1), numbers(41 * d, 2), numbers(41 * d, 3)];
    let problem =
        Attention { queries: &queries, keys: &keys, visible: None, heads: 2, width: d, scale: 0.3, mask: None };
    let tables = tables.each_ref().map(|x| &x[..]);
    assert!(gap::<f64>(problem, tables, &numbers(21 * d, 4)) < 1e-12);
}

#[test]
fn logits_of_thousands_have_a_softmax() {
    let offsets = [0, 2];
    let problem =
        Attention { queries: &offsets, keys: &offsets, visible: None, heads: 1, width: 1, scale: 1.0, mask: None };
    let (q, k, v) = ([3000f32, -3000.0], [1f32, 2.0], [5f32, 7.0]);
    let mut out = [0f32; 2];
    f32::attention(problem, [&q, &k, &v].map(|x| Rows::whole(&x[..], 1)), &mut out);
    assert_eq!(out, [7.0, 5.0]);
}
