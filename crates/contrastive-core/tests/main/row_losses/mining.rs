//! Hardest positives and negatives against a sort of every row.

use crate::common::*;
use crate::unpaired::support::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;
use contrastive_core::pairs::{PairLists, Pairs};
use contrastive_core::similarity::{Similarity, unit_rows};
use std::sync::Arc;

/// All similarities and the lists of positives, negatives of anchor i.
struct Dense {
    s: Vec<f64>,
    m: usize,
}

impl Dense {
    fn new(a: &Tensor<2>, c: &Tensor<2>, similarity: Similarity) -> Self {
        let place = |x: &Tensor<2>| match similarity {
            Similarity::Cosine => unit_rows(x.clone()),
            Similarity::Dot | Similarity::NegativeSquaredDistance => x.clone(),
        };
        let mut s = place(a).matmul(place(c).transpose());
        if similarity == Similarity::NegativeSquaredDistance {
            let squares = |x: &Tensor<2>| (x.clone() * x.clone()).sum_dim(1);
            s = s * 2.0 - squares(a) - squares(c).transpose();
        }
        Self { s: values(&s), m: c.dims()[0] }
    }

    /// The first k of the chosen columns, in order of their similarity times `sign`.
    fn first(&self, i: usize, k: usize, sign: f64, chosen: impl Fn(usize, f64) -> bool) -> Vec<u32> {
        let row = &self.s[i * self.m..(i + 1) * self.m];
        let mut all: Vec<usize> = (0..self.m).filter(|j| chosen(*j, row[*j])).collect();
        all.sort_by(|p, q| (sign * row[*q]).total_cmp(&(sign * row[*p])).then(p.cmp(q)));
        all.into_iter().take(k).map(|j| j as u32).collect()
    }
}

/// Random rows: equal similarities do not happen, so places must be equal.
fn check(a: &Tensor<2>, c: Option<&Tensor<2>>, pairs: &Pairs, positive: impl Fn(usize, usize) -> bool, k: usize) {
    let n = a.dims()[0];
    let own = |i: usize, j: usize| c.is_none() && i == j;
    let inputs = match c {
        Some(c) => Inputs::new(a.clone(), c.clone()),
        None => Inputs::self_contrast(a.clone()),
    };
    for similarity in [Similarity::Cosine, Similarity::Dot, Similarity::NegativeSquaredDistance] {
        let dense = Dense::new(a, c.unwrap_or(a), similarity);
        let negatives = hardest_negatives(&inputs, pairs, similarity, k);
        let positives = hardest_positives(&inputs, pairs, similarity, k);
        let semi = semi_hard_negatives(&inputs, pairs, similarity, k);
        let limits: Vec<f64> = normal(9, n).iter().map(|x| 0.3 * x).collect();
        let below = negatives_below(&inputs, pairs, similarity, &limits, k);
        for i in 0..n {
            let negative = |j: usize| !positive(i, j) && !own(i, j);
            assert_eq!(negatives.row(i).0, dense.first(i, k, 1.0, |j, _| negative(j)), "negatives of {i}");
            let alike = |j: usize| positive(i, j) && !own(i, j);
            assert_eq!(positives.row(i).0, dense.first(i, k, -1.0, |j, _| alike(j)), "positives of {i}");
            let nearest = dense.first(i, 1, 1.0, |j, _| alike(j)).first().map(|j| dense.s[i * dense.m + *j as usize]);
            let bound = nearest.unwrap_or(f64::NEG_INFINITY);
            let want = dense.first(i, k, 1.0, |j, s| negative(j) && s < bound);
            assert_eq!(semi.row(i).0, want, "semi-hard negatives of {i}");
            let want = dense.first(i, k, 1.0, |j, s| negative(j) && s < limits[i]);
            assert_eq!(below.row(i).0, want, "negatives of {i} below a limit");
            for (found, scores) in [negatives.row(i), positives.row(i), semi.row(i), below.row(i)] {
                let want: Vec<f64> = found.iter().map(|j| dense.s[i * dense.m + *j as usize]).collect();
                close("similarities", scores, &want, if has_f64() { 1e-12 } else { 1e-5 }, 0.0);
            }
        }
    }
}

#[test]
fn hardest_rows_under_labels() {
    for (n, d, classes, k) in [(1, 2, 1, 3), (6, 3, 1, 2), (60, 4, 5, 4), (300, 8, 40, 7), (20, 3, 20, 25)] {
        let labels: Vec<i64> = (0..n as i64).map(|i| (i * i) % classes).collect();
        let (x, pairs) = (rows(n as u64, [n, d]), Pairs::labels(&labels));
        check(&x, None, &pairs, |i, j| labels[i] == labels[j], k);
        let others: Vec<i64> = (0..37).map(|j| j % (classes + 1)).collect();
        let (c, pairs) = (rows(7, [37, d]), Pairs::labels_between(&labels, &others));
        check(&x, Some(&c), &pairs, |i, j| labels[i] == others[j], k);
    }
}

#[test]
fn hardest_rows_of_views_and_lists() {
    let x = rows(3, [24, 4]);
    check(&x, None, &Pairs::TwoViews, |i, j| i.abs_diff(j) == 12, 3);
    check(&x, Some(&rows(4, [30, 4])), &Pairs::Diagonal, |i, j| i == j, 3);
    let lists = PairLists::new((0..=24).map(|i| 2 * i).collect(), (0..24).flat_map(|_| [1, 20]).collect(), None);
    let pairs = Pairs::Lists(Arc::new(lists.unwrap()));
    check(&x, None, &pairs, |_, j| j == 1 || j == 20, 5);
}

#[test]
fn hardest_of_few_none_and_what_is_no_number() {
    let x = rows(1, [4, 3]);
    let pairs = Pairs::labels(&[0, 0, 0, 1]);
    let none = hardest_negatives(&Inputs::self_contrast(x.clone()), &pairs, Similarity::Cosine, 0);
    assert_eq!((none.rows(), none.indices.len()), (0, 0));
    let found = hardest_positives(&Inputs::self_contrast(x.clone()), &pairs, Similarity::Cosine, 2);
    assert_eq!([found.row(0).0.len(), found.row(3).0.len()], [2, 0]);
    let semi = semi_hard_negatives(&Inputs::self_contrast(x), &pairs, Similarity::Cosine, 2);
    assert!(semi.row(3).0.is_empty(), "without positives there is no semi-hard negative");
    let mut bad = normal(1, 12);
    bad[3] = f64::NAN;
    let bad = Inputs::self_contrast(tracked(bad, [4, 3], DType::F32));
    let found = hardest_positives(&bad, &pairs, Similarity::Dot, 1);
    assert!(found.row(0).0[0] == 1 && found.row(0).1[0].is_nan());
    let found = hardest_negatives(&bad, &pairs, Similarity::Dot, 1);
    assert!(found.row(3).0[0] == 1 && found.row(3).1[0].is_nan());
}

#[test]
#[should_panic(expected = "limits and anchors")]
fn one_limit_for_each_anchor() {
    let x = rows(1, [4, 3]);
    negatives_below(&Inputs::self_contrast(x), &Pairs::labels(&[0, 0, 1, 1]), Similarity::Cosine, &[0.0; 3], 1);
}
