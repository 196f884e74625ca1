//! The contrastive loss of pairs against its formula, and batches among a memory against lists made by hand.

use crate::common::numeric::*;
use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The contrastive loss of pairs in tensor operations, with the whole matrix.
fn plain_pairs(
    a: &Tensor<2>,
    c: &Tensor<2>,
    alike: &[f64],
    unlike: &[f64],
    margins: [f64; 2],
    distance: bool,
) -> Tensor<1> {
    let unit = |x: &Tensor<2>| contrastive_core::similarity::unit_rows(x.clone());
    let s = unit(a).matmul(unit(c).transpose());
    let [n, m] = s.dims();
    let mask = |x: &[f64]| tracked(x.to_vec(), [n, m], s.dtype()).detach();
    let (positive, negative) = match distance {
        false => (s.clone() * -1.0 + margins[0], s.clone() - margins[1]),
        true => {
            let d = (s.clone() * -2.0 + 2.0).clamp_min(1e-14).sqrt();
            (d.clone() - margins[0], d * -1.0 + margins[1])
        }
    };
    let mean = |x: Tensor<2>, among: &[f64]| {
        let cost = x.clamp_min(0.0) * mask(among);
        let count = values(&cost.clone()).iter().filter(|&&c| c > 0.0).count().max(1);
        cost.sum() * (1.0 / count as f64)
    };
    mean(positive, alike) + mean(negative, unlike)
}

#[test]
fn pair_contrastive_is_its_formula() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    // the last shape takes more than one block
    for (n, m, d) in [(1, 3, 2), (7, 12, 4), (12, 7, 3), (1100, 1100, 5)] {
        let tables = [normal(&mut rng, n, d), normal(&mut rng, m, d)];
        let classes = |rng: &mut ChaCha8Rng, k: usize| (0..k).map(|_| rng.random_range(0..3)).collect::<Vec<i64>>();
        let (of_a, of_c) = (classes(&mut rng, n), classes(&mut rng, m));
        let (mut alike, mut unlike) = (vec![0.0; n * m], vec![0.0; n * m]);
        for i in 0..n {
            // the exclusion: candidate i + 1 is the same sample as anchor i
            for j in (0..m).filter(|&j| j != i + 1) {
                (if of_a[i] == of_c[j] { &mut alike } else { &mut unlike })[i * m + j] = 1.0;
            }
        }
        for distance in [false, true] {
            let margins = if distance { [0.4, 1.3] } else { [0.8, -0.1] };
            let objective = match distance {
                true => PairContrastive::of_distances(margins[0], margins[1]),
                false => PairContrastive::of_similarities(margins[0], margins[1]),
            };
            let objective = objective.unwrap().with_pairs(Pairs::labels_between(&of_a, &of_c));
            let objective = objective.with_exclusions(Exclusions::own_row(1));
            let streamed = |x: &[Tensor<2>]| objective.loss(&Inputs::new(x[0].clone(), x[1].clone()));
            let plain = |x: &[Tensor<2>]| plain_pairs(&x[0], &x[1], &alike, &unlike, margins, distance);
            let what = format!("pairs {n} {m} {distance}");
            same(&what, gradients(&tables, d, streamed), gradients(&tables, d, plain), 1e-10);
            let result = objective.evaluate(&Inputs::new(leaf(&tables[0], d), leaf(&tables[1], d)), Wanted::VALUE);
            close("rows", &[values(&result.rows).iter().sum()], &values(&result.value), 1e-12, 1e-12);
            assert!(result.gradients.anchors.is_none() && result.gradients.candidates.is_none());
        }
    }
}

#[test]
fn pair_contrastive_of_a_table_with_itself() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut table = normal(&mut rng, 9, 4);
    let labels = [0, 0, 1, 2, 1, 0, 2, 3, 1];
    let within = |x: &[Tensor<2>]| {
        let objective = PairContrastive::of_distances(0.0, 1.2).unwrap().with_pairs(Pairs::labels(&labels));
        objective.loss(&Inputs::self_contrast(x[0].clone()))
    };
    differences("a table with itself", &[table.clone()], 4, 1, within);
    // rows of the same direction, one a positive and one a negative: costs are exact, gradients finite
    let twin: Vec<f64> = table[0..4].iter().map(|x| 2.0 * x).collect();
    table[4..8].copy_from_slice(&twin);
    table[8..12].copy_from_slice(&twin);
    let (value, all) = gradients(&[table], 4, within);
    assert!(value.is_finite() && all[0].iter().all(|g| g.is_finite() && g.abs() < 10.0), "{value} {all:?}");
    assert!(PairContrastive::of_distances(f64::NAN, 1.0).unwrap_err().to_string().contains("margins"));
}

#[test]
fn a_batch_meets_the_memory_but_not_itself() {
    needs_f64!();
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let d = 5;
    // the second batch wraps round; the third is larger than the memory
    let batches: Vec<(Vec<f64>, Vec<i64>)> =
        [4, 5, 9].map(|n: usize| (normal(&mut rng, n, d), (0..n).map(|_| rng.random_range(0..3)).collect())).to_vec();
    let mut memory = Queue::labelled(7, d, (&device(), DType::F64)).unwrap();
    let mut held: Vec<(usize, usize)> = Vec::new();
    let objective = PairObjective::new(0.3).unwrap().with_reduction(Reduction::MeanWithPositives);
    for (b, (rows, labels)) in batches.iter().enumerate() {
        let before = memory.clone();
        let streamed = |x: &[Tensor<2>]| {
            let batch = CrossBatch::new(x[0].clone(), labels, &mut before.clone());
            batch.loss(&objective)
        };
        // by hand: the newest seven rows in any order, each row's own copy excluded
        held.extend((0..labels.len()).map(|i| (b, i)));
        let drop = held.len().saturating_sub(7);
        held.drain(..drop);
        let candidates: Vec<f64> = held.iter().flat_map(|&(b, i)| batches[b].0[i * d..(i + 1) * d].to_vec()).collect();
        let their: Vec<i64> = held.iter().map(|&(b, i)| batches[b].1[i]).collect();
        let (mut offsets, mut columns) = (vec![0], Vec::new());
        for i in 0..labels.len() {
            columns.extend(held.iter().position(|&h| h == (b, i)).map(|j| j as u32));
            offsets.push(columns.len());
        }
        let own = Exclusions::lists(PairLists::new(offsets, columns, None).unwrap());
        let by_hand = |x: &[Tensor<2>]| {
            let objective =
                objective.clone().with_pairs(Pairs::labels_between(labels, &their)).with_exclusions(own.clone());
            objective.dense(&Inputs::new(x[0].clone(), leaf(&candidates, d).detach()))
        };
        let tables = [rows.clone()];
        same("cross-batch", gradients(&tables, d, streamed), gradients(&tables, d, by_hand), 1e-10);
        memory.push_labelled(leaf(rows, d), labels);
    }
}
