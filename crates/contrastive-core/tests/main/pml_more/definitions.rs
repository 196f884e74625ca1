//! Each loss against its definition: loops over triplets and pairs of scalars, differentiated by autodiff.

use crate::common::close;
use crate::common::numeric::differences;
use crate::pml_more::*;
use contrastive_core::pairs::Pairs;
use contrastive_core::similarity::unit_rows;

/// Classes of 4, 2, 2 and 1 rows.
pub const LABELS: [i64; 9] = [0, 1, 0, 2, 1, 0, 0, 3, 2];
pub const N: usize = LABELS.len();
pub const D: usize = 4;

/// A number of a tape.
pub type Scalar = Tensor<1>;

pub fn at(x: &Tensor<2>, i: usize, j: usize) -> Scalar {
    x.clone().slice([i..i + 1, j..j + 1]).reshape([1])
}

pub fn cosines(x: &Tensor<2>, y: &Tensor<2>) -> Tensor<2> {
    unit_rows(x.clone()).matmul(unit_rows(y.clone()).transpose())
}

/// The distance of rows i and j.
pub fn apart(s: &Tensor<2>, i: usize, j: usize) -> Scalar {
    (at(s, i, j) * -2.0 + 2.0).sqrt()
}

fn hinge(x: Scalar) -> Scalar {
    x.clamp_min(0.0)
}

pub fn number(x: &Scalar) -> f64 {
    values(x)[0]
}

pub fn sum(terms: Vec<Scalar>) -> Scalar {
    Tensor::cat(terms, 0).sum()
}

pub fn mean(terms: Vec<Scalar>) -> Scalar {
    let share = 1.0 / terms.len() as f64;
    sum(terms) * share
}

fn sigma(x: Scalar) -> Scalar {
    ((x * -1.0).exp() + 1.0).recip()
}

fn positives(i: usize) -> Vec<usize> {
    (0..N).filter(|&j| j != i && LABELS[j] == LABELS[i]).collect()
}

fn negatives(i: usize) -> Vec<usize> {
    (0..N).filter(|&j| LABELS[j] != LABELS[i]).collect()
}

/// Ordered positive pairs.
fn pairs() -> Vec<(usize, usize)> {
    (0..N).flat_map(|i| positives(i).into_iter().map(move |p| (i, p))).collect()
}

/// Every form in f64 (values, gradients, differences) and f32 against the definition.
pub fn check(what: &str, tables: &[Vec<f64>], forms: Vec<Form>, definition: impl Fn(&[Tensor<2>]) -> Scalar + 'static) {
    needs_f64!();
    let (value, gradients) = evaluated(tables, D, DType::F64, &form(definition));
    assert!(value.is_finite() && gradients.iter().flatten().any(|g| g.abs() > 1e-4), "{what}: {value} without slope");
    for (k, form) in forms.iter().enumerate() {
        for dtype in [DType::F64, DType::F32] {
            let tight = if dtype == DType::F64 { 1e-10 } else { 1e-4 };
            let (got, slopes) = evaluated(tables, D, dtype, form);
            close(&format!("{what}, form {k} in {dtype:?}"), &[got], &[value], tight, tight);
            for (t, (slopes, gradients)) in slopes.iter().zip(&gradients).enumerate() {
                close(&format!("{what}, form {k} in {dtype:?}, gradient {t}"), slopes, gradients, tight, 10.0 * tight);
            }
        }
        differences(&format!("{what}, form {k}"), tables, D, tables.len(), |x| form(x));
    }
}

pub fn rows() -> Vec<f64> {
    waves(N, D, 1.9, 0.2)
}

#[test]
fn angular_of_triplets() {
    let alpha = 0.6f64;
    let objective = Angular::new(alpha).unwrap();
    let square = alpha.tan().powi(2);
    check("angular", &[rows()], vec![form(move |x| objective.loss(x[0].clone(), &LABELS))], move |x| {
        let s = cosines(&x[0], &x[0]);
        let term = |(a, p): (usize, usize)| {
            let f = |n: usize| (at(&s, a, n) + at(&s, p, n)) * (4.0 * square) - at(&s, a, p) * (2.0 * (1.0 + square));
            sum(negatives(a).into_iter().map(|n| f(n).exp()).collect()).log1p()
        };
        mean(pairs().into_iter().map(term).collect())
    });
}

/// More pairs than a block has, of classes of 130, 40 and 20 rows; all sums at once.
#[test]
fn angular_of_many_blocks() {
    needs_f64!();
    let (n, square) = (190, 0.7f64.tan().powi(2));
    let label = |i: usize| i64::from(i >= 130) + i64::from(i >= 170);
    let labels: Vec<i64> = (0..n).map(label).collect();
    let tables = [waves(n, D, 1.3, 0.7)];
    let definition = form(move |x: &[Tensor<2>]| {
        let u = unit_rows(x[0].clone());
        let s = u.clone().matmul(u.transpose());
        let terms = (0..n).map(|a| {
            // of one anchor: its later positives, and the negatives
            let end = (a + 1..n).find(|&j| label(j) != label(a)).unwrap_or(n);
            let (first, last) = ((0..n).find(|&j| label(j) == label(a)).unwrap(), end);
            if end == a + 1 {
                return at(&s, 0, 0) * 0.0;
            }
            let row = |from: usize, to: usize| s.clone().slice([from..to, 0..n]);
            let f = (row(a + 1, end) + row(a, a + 1)) * (4.0 * square);
            let own = s.clone().slice([a + 1..end, a..a + 1]) * (2.0 * (1.0 + square));
            let e = (f - own).exp();
            let k = end - a - 1;
            let outside = e.clone().slice([0..k, 0..first]).sum_dim(1);
            let outside = if first == 0 { outside * 0.0 } else { outside };
            let beyond = if last == n { outside.clone() * 0.0 } else { e.slice([0..k, last..n]).sum_dim(1) };
            (outside + beyond).log1p().sum()
        });
        sum(terms.collect()) * (1.0 / (130.0 * 129.0 + 40.0 * 39.0 + 20.0 * 19.0) * 2.0)
    });
    let objective = Angular::new(0.7).unwrap();
    let streamed = form(move |x| objective.loss(x[0].clone(), &labels));
    let [got, want] = [streamed, definition].map(|f| evaluated(&tables, D, DType::F64, &f));
    crate::common::numeric::same("angular of blocks", got, want, 1e-10);
}

#[test]
fn lifted_pairs() {
    for (near, far) in [(0.0, 1.0), (0.3, 0.4)] {
        let objective = LiftedStructuredEmbedding::new(far).unwrap().with_positive_margin(near).unwrap();
        let forms = both!(objective.clone(), |o, x| o.loss(x[0].clone(), &LABELS));
        check("lifted", &[rows()], forms, move |x| {
            let s = cosines(&x[0], &x[0]);
            let side = |i: usize| sum(negatives(i).into_iter().map(|n| (apart(&s, i, n) * -1.0 + far).exp()).collect());
            let term = |(a, p): (usize, usize)| {
                let over = hinge(apart(&s, a, p) - near + (side(a) + side(p)).log());
                over.clone() * over * 0.5
            };
            mean(pairs().into_iter().map(term).collect())
        });
    }
}

/// One beta, betas of classes, and none that moves.
#[test]
fn margin_of_triplets() {
    for (classes, penalty) in [(1, 0.3), (4, 0.3), (4, 0.0)] {
        let objective = MarginBased::new(0.2).unwrap().with_penalty(penalty).unwrap();
        let betas: Vec<f64> = (0..classes).flat_map(|c| [1.1 + 0.1 * c as f64, 0.0, 0.0, 0.0]).collect();
        let forms = both!(objective.clone(), |o, x| o.loss(x[0].clone(), &LABELS, first_column(&x[1])));
        check("margin", &[rows(), betas], forms, move |x| {
            let s = cosines(&x[0], &x[0]);
            let beta = |i: usize| at(&x[1], if classes == 1 { 0 } else { LABELS[i] as usize }, 0);
            let (mut terms, mut penalties) = (Vec::new(), Vec::new());
            for (a, p) in pairs() {
                for n in negatives(a) {
                    terms.push(hinge(apart(&s, a, p) - beta(a) + 0.2));
                    terms.push(hinge(beta(a) - apart(&s, a, n) + 0.2));
                    penalties.push(beta(a));
                }
            }
            let count = terms.iter().filter(|t| number(t) > 0.0).count() as f64;
            let penalties = if classes == 1 { beta(0) } else { sum(penalties) * (1.0 / count) };
            sum(terms) * (1.0 / count) + penalties * penalty
        });
    }
}

#[test]
fn ranked_lists() {
    for (alpha, imbalance, t) in [(1.2, 0.5, [0.0, 10.0]), (1.0, 0.2, [3.0, 0.0]), (1.3, 0.7, [10.0, 30.0])] {
        let objective = RankedList::new(0.4, t[1]).unwrap().with_alpha(alpha).unwrap();
        let objective = objective.with_imbalance(imbalance).unwrap().with_positive_temperature(t[0]).unwrap();
        let forms = both!(objective.clone(), |o, x| o.loss(x[0].clone(), &LABELS));
        check("ranked list", &[rows()], forms, move |x| {
            let s = cosines(&x[0], &x[0]);
            let side = |costs: Vec<Scalar>, t: f64| {
                let costs: Vec<Scalar> = costs.into_iter().filter(|x| number(x) > 0.0).collect();
                if costs.is_empty() {
                    return at(&s, 0, 0) * 0.0;
                }
                let weights: Vec<Scalar> = costs.iter().map(|x| (x.clone() * t).exp()).collect();
                let total = sum(weights.clone()) + 1e-5 * N as f64;
                sum(costs.into_iter().zip(weights).map(|(x, w)| x * w).collect()) / total
            };
            let row = |i: usize| {
                let near = positives(i).into_iter().map(|p| apart(&s, i, p) - (alpha - 0.4)).collect();
                let far = negatives(i).into_iter().map(|n| apart(&s, i, n) * -1.0 + alpha).collect();
                side(near, t[0]) * (1.0 - imbalance) + side(far, t[1]) * imbalance
            };
            mean((0..N).map(row).collect())
        });
    }
}

/// The mean over anchors that have positives, and over these with the anchor, of a cost of the places among positives and negatives.
fn of_ranks(t: f64, cost: impl Fn(Scalar, Scalar) -> Scalar + 'static) -> impl Fn(&[Tensor<2>]) -> Scalar + 'static {
    move |x| {
        let s = cosines(&x[0], &x[0]);
        let row = |i: usize| {
            let own: Vec<usize> = (0..N).filter(|&j| LABELS[j] == LABELS[i]).collect();
            let before = |j: usize, among: Vec<usize>| {
                let terms = among.into_iter().filter(|&k| k != j);
                let terms = terms.map(|k| sigma((at(&s, i, k) - at(&s, i, j)) * (1.0 / t)));
                sum(terms.chain([at(&s, 0, 0) * 0.0]).collect())
            };
            mean(own.iter().map(|&j| cost(before(j, own.clone()) + 1.0, before(j, negatives(i)))).collect())
        };
        mean((0..N).filter(|&i| !positives(i).is_empty()).map(row).collect())
    }
}

#[test]
fn smooth_ap_of_ranks() {
    for t in [0.05, 0.3] {
        let forms = both!(SmoothAp::new(t).unwrap(), |o, x| o.loss(x[0].clone(), &LABELS));
        check("Smooth-AP", &[rows()], forms, of_ranks(t, |p, r| r.clone() / (p + r)));
    }
}

#[test]
fn pnp_of_ranks() {
    let pnp = || Pnp::new(0.1).unwrap();
    type Cost = fn(Scalar, Scalar) -> Scalar;
    let table: [(Pnp, Cost); 5] = [
        (pnp(), |_, r| r),
        (pnp().with_logarithmic_cost(), |_, r| r.log1p()),
        (pnp().with_power_cost(3.0).unwrap(), |_, r| (r.log1p() * -3.0).exp() * -1.0 + 1.0),
        (pnp().with_increasing_cost(), |_, r| (r.clone() + 1.0) * r.log1p()),
        (pnp().with_bounded_cost(2.0).unwrap(), |_, r| (r.clone() * 2.0 - (r * 2.0).log1p()) * 0.25),
    ];
    for (objective, cost) in table {
        let forms = both!(objective.clone(), |o, x| o.loss(x[0].clone(), &LABELS));
        check("PNP", &[rows()], forms, of_ranks(0.1, cost));
    }
}

#[test]
fn histograms_of_pairs() {
    for bins in [1, 7, 50] {
        let forms = both!(Histogram::new(bins).unwrap(), |o, x| o.loss(x[0].clone(), &LABELS));
        check("histogram", &[rows()], forms, move |x| {
            let s = cosines(&x[0], &x[0]);
            let width = 2.0 / bins as f64;
            let held = |list: &dyn Fn(usize) -> Vec<usize>, r: usize| {
                let point = -1.0 + r as f64 * width;
                let pairs: Vec<(usize, usize)> =
                    (0..N).flat_map(|i| list(i).into_iter().map(move |j| (i, j))).collect();
                let pulse = |(i, j): (usize, usize)| hinge((at(&s, i, j) - point).abs() * (-1.0 / width) + 1.0);
                mean(pairs.into_iter().map(pulse).collect())
            };
            let (mut before, mut total) = (at(&s, 0, 0) * 0.0, at(&s, 0, 0) * 0.0);
            for r in 0..=bins {
                before = before + held(&positives, r);
                total = total + held(&negatives, r) * before.clone();
            }
            total
        });
    }
}

/// Two blocks of the first pass and parts of rows, against a loop over all pairs.
#[test]
fn histograms_of_many_rows() {
    needs_f64!();
    const ROWS: usize = 1100;
    let (n, d, bins) = (ROWS, 3, 40);
    let x = waves(n, d, 1.3, 0.1);
    let labels: [i64; ROWS] = std::array::from_fn(|i| (i * i % 7) as i64);
    let mut held = [vec![0.0; bins + 2], vec![0.0; bins + 2]];
    let length = |r: &[f64]| r.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (i, j) in (0..n * n).map(|at| (at / n, at % n)).filter(|(i, j)| i != j) {
        let (a, b) = (&x[i * d..][..d], &x[j * d..][..d]);
        let s = a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() / (length(a) * length(b));
        let at = ((s + 1.0) * 0.5 * bins as f64).clamp(0.0, bins as f64);
        let side = &mut held[usize::from(labels[i] != labels[j])];
        side[at as usize] += 1.0 - at.fract();
        side[at as usize + 1] += at.fract();
    }
    let totals = held.clone().map(|h| h.iter().sum::<f64>());
    let (mut before, mut expected) = (0.0, 0.0);
    for (near, far) in held[0].iter().zip(&held[1]) {
        before += near / totals[0];
        expected += before * far / totals[1];
    }
    let forms = both!(Histogram::new(bins).unwrap(), |o, x| o.loss(x[0].clone(), &labels));
    let results: Vec<_> = forms.iter().map(|f| evaluated(std::slice::from_ref(&x), d, DType::F64, f)).collect();
    close("histogram of 1,100 rows", &[results[0].0], &[expected], 1e-10, 1e-10);
    crate::common::numeric::same("native and portable", results[0].clone(), results[1].clone(), 1e-10);
}

#[test]
fn signal_to_noise_of_pairs() {
    for (near, far) in [(0.0, 1.0), (0.4, 2.5)] {
        let forms = both!(SignalToNoise::new(near, far).unwrap(), |o, x| o.loss(x[0].clone(), &LABELS));
        check("signal to noise", &[rows()], forms, move |x| {
            let u = unit_rows(x[0].clone());
            let row = |i: usize| u.clone().slice([i..i + 1, 0..D]);
            let variance = |x: Tensor<2>| {
                let gap = x.clone() - x.mean_dim(1);
                (gap.clone() * gap).sum()
            };
            let distance = |i: usize, j: usize| variance(row(i) - row(j)) / variance(row(i));
            let side = |costs: Vec<Scalar>| mean(costs.into_iter().filter(|c| number(c) > 0.0).collect());
            let positive = pairs().into_iter().map(|(i, j)| hinge(distance(i, j) - near));
            let negative = (0..N).flat_map(|i| negatives(i).into_iter().map(move |j| (i, j)));
            let negative = negative.map(|(i, j)| hinge(distance(i, j) * -1.0 + far));
            side(positive.collect()) + side(negative.collect())
        });
    }
}

#[test]
fn threshold_consistent_margins_of_pairs() {
    let objective = PairContrastive::of_similarities(0.8, 0.1).unwrap().with_weights(2.0, 0.3).unwrap();
    let forms = both!(objective.clone().with_pairs(Pairs::labels(&LABELS)), |o, x| o
        .loss(&Inputs::self_contrast(x[0].clone())));
    check("threshold-consistent margin", &[rows()], forms, move |x| {
        let s = cosines(&x[0], &x[0]);
        let near: Vec<Scalar> = pairs().into_iter().map(|(i, j)| at(&s, i, j)).filter(|s| number(s) < 0.8).collect();
        let far = (0..N).flat_map(|i| negatives(i).into_iter().map(move |j| (i, j)));
        let far: Vec<Scalar> = far.map(|(i, j)| at(&s, i, j)).filter(|s| number(s) > 0.1).collect();
        (mean(near) * -1.0 + 0.8) * 2.0 + (mean(far) - 0.1) * 0.3
    });
}

/// Three batches in a row: nearest rows, histogram and weights by loops.
#[test]
fn dynamic_soft_margin_of_batches() {
    needs_f64!();
    let (n, bins, momentum) = (7, 10, 0.25);
    let mut objective = DynamicSoftMargin::new(bins, momentum).unwrap();
    let mut histogram = vec![0.0; bins + 1];
    for batch in 0..3 {
        let shift = 0.4 + batch as f64;
        let tables = [waves(n, D, 1.7, shift), waves(n, D, 1.7, shift + 0.7)];
        let nearest = |i: usize, s: &Tensor<2>| {
            let both = (0..n).filter(|&j| j != i).flat_map(|j| [(i, j), (j, i)]);
            both.min_by(|a, b| number(&apart(s, a.0, a.1)).total_cmp(&number(&apart(s, b.0, b.1)))).unwrap()
        };
        let of = |x: &[Tensor<2>]| -> Vec<Scalar> {
            let s = cosines(&x[0], &x[1]);
            let gap = |i: usize| {
                let (a, p) = nearest(i, &s);
                apart(&s, i, i) - apart(&s, a, p)
            };
            (0..n).map(gap).collect()
        };
        let plain: Vec<Tensor<2>> = tables.iter().map(|t| crate::common::numeric::leaf(t, D)).collect();
        let new = if batch == 0 { 1.0 } else { momentum };
        histogram.iter_mut().for_each(|h| *h *= 1.0 - new);
        let place = |v: f64| (v + 2.0) / 4.0 * bins as f64;
        let all: Vec<f64> = of(&plain).iter().map(number).collect();
        for at in all.iter().map(|v| place(*v)) {
            histogram[at as usize] += new * (1.0 - at.fract());
            histogram[at as usize + 1] += new * at.fract();
        }
        let total: f64 = histogram.iter().sum();
        histogram.iter_mut().for_each(|h| *h /= total);
        let easier: Vec<f64> = all.iter().map(|v| histogram[..=place(*v) as usize].iter().sum()).collect();
        let definition = form({
            let easier = easier.clone();
            move |x: &[Tensor<2>]| {
                let s = cosines(&x[0], &x[1]);
                let term = |i: usize| {
                    let both = (0..n).filter(|&j| j != i).flat_map(|j| [(i, j), (j, i)]);
                    let key = |p: &(usize, usize)| number(&apart(&s, p.0, p.1));
                    let (a, p) = both.min_by(|a, b| key(a).total_cmp(&key(b))).unwrap();
                    (apart(&s, i, i) - apart(&s, a, p)) * easier[i]
                };
                mean((0..n).map(term).collect())
            }
        });
        let before = objective.clone();
        let streamed = form(move |x| before.clone().loss(x[0].clone(), x[1].clone()).unwrap());
        let [got, want] = [streamed, definition].map(|f| evaluated(&tables, D, DType::F64, &f));
        crate::common::numeric::same("a batch", got, want, 1e-9);
        objective.loss(plain[0].clone(), plain[1].clone()).unwrap();
        close("the histogram", objective.histogram(), &histogram, 1e-12, 1e-12);
    }
}
