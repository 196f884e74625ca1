//! SepCLR: worked values of its specification, ends, gradients, and one pass against five.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::tensor::Tensor;
use contrastive_core::objective::*;
use contrastive_core::similarity::{Similarity, unit_rows};

/// `sin(0.7 i + 1.3 j + 0.2 i j + phase)`, rows of any length.
fn raw(n: usize, d: usize, phase: f64) -> Tensor<2> {
    let at = |at: usize| ((at / d) as f64, (at % d) as f64);
    let values = (0..n * d).map(at).map(|(i, j)| (0.7 * i + 1.3 * j + 0.2 * i * j + phase).sin());
    tracked(values.collect(), [n, d], wide())
}

fn of(terms: &SepClrTerms) -> [f64; 4] {
    [&terms.common, &terms.salient, &terms.background, &terms.joint].map(|term| one(term.clone()))
}

fn tight() -> f64 {
    if has_f64() { 1e-9 } else { 1e-4 }
}

/// Check 1.
#[test]
fn worked_values() {
    let loss = SepClr::new(0.5, [2.0, 3.0, 5.0]).unwrap();
    let views = || (views(), [raw(4, 2, 0.0), raw(4, 2, 0.35)]);
    let (c, s) = views();
    let terms = loss.terms(c, s, &[0, 1, 1, 0]).unwrap();
    let want = [-2.342901643, -1.341733514, 1.159677683, -1.083244300];
    close("terms", &of(&terms), &want, 1e-7, 0.0);
    assert_eq!(terms.warning, None);
    let (c, s) = views();
    let sum = one(loss.loss(c, s, &[0, 1, 1, 0]).unwrap());
    near("sum", sum, want[0] + 2.0 * want[1] + 3.0 * want[2] + 5.0 * want[3], 1e-6);
}

/// Check 2.
#[test]
fn ends_of_the_joint_entropy() {
    let jem = JointEntropy::new(0.5).unwrap();
    let same = || constant([0.6, 0.8].repeat(4), [4, 2]);
    near("identical", one(jem.loss(same(), same())), 0.0, tight());
    let far = constant((0..8).map(|k| 10.0 * k as f64).collect(), [4, 2]);
    near("far apart", one(jem.loss(far.clone(), same())), -(4f64.ln()), tight());
    let (c, s) = (raw(7, 3, 0.0), raw(7, 2, 1.0));
    near(
        "constant",
        one(jem.loss(c.clone(), constant(vec![0.4; 14], [7, 2]))),
        one(jem.loss(c.clone(), s.clone() * 0.0)),
        tight(),
    );
    let bound = -(7f64.ln());
    assert!(one(jem.loss(c, s)) >= bound);
    assert!(JointEntropy::new(0.0).is_err() && JointEntropy::new(f64::NAN).is_err());
}

/// Check 3: batches of one kind are defined.
#[test]
fn batches_of_one_kind() {
    let loss = SepClr::new(0.5, [10.0; 3]).unwrap();
    let (c, s) = (views(), [raw(4, 2, 0.0), raw(4, 2, 0.35)]);
    let none = loss.terms(c.clone(), s.clone(), &[0; 4]).unwrap();
    assert_eq!(of(&none)[1], 0.0);
    assert!(of(&none)[2] > 0.0 && none.warning.unwrap().contains("without targets"));
    let tape = none.joint.backward();
    assert!(s[0].grad(&tape).is_none_or(|g| values(&g).iter().all(|v| *v == 0.0)));
    let all = loss.terms(c.clone(), s.clone(), &[1; 4]).unwrap();
    assert_eq!(of(&all)[2], 0.0);
    assert!(all.warning.unwrap().contains("without backgrounds"));
    for terms in [of(&none), of(&all)] {
        assert!(terms.iter().all(|v| v.is_finite()), "{terms:?}");
    }
    for kinds in [[0; 4], [1; 4]] {
        let tape = loss.loss(c.clone(), s.clone(), &kinds).unwrap().backward();
        assert!(values(&c[0].grad(&tape).unwrap()).iter().all(|v| v.is_finite()));
    }
}

/// Check 4: differences, and backgrounds' salient rows, which have a gradient of the background term alone.
#[test]
fn gradients() {
    let loss = SepClr::new(0.4, [2.0, 3.0, 5.0]).unwrap();
    let kinds = [0, 1, 1, 0, 1, 0];
    let shapes = [[6, 3], [6, 3], [6, 2], [6, 2]];
    differences("sep_clr", &shapes, |t| {
        loss.loss([t[0].clone(), t[1].clone()], [t[2].clone(), t[3].clone()], &kinds).unwrap()
    });
    differences("joint entropy", &[[6, 3], [6, 2]], |t| {
        JointEntropy::new(0.7).unwrap().loss(t[0].clone(), t[1].clone())
    });
    // far rows: the kernels vanish in f32, the gradients of the uniformities do not
    let jem = SepClr::new(0.5, [1.0, 0.0, 0.0]).unwrap();
    let [a, b] = [0.0, 0.1].map(|shift| tracked((0..8).map(|k| 40.0 * k as f64 + shift).collect(), [4, 2], wide()));
    let terms = jem.terms(views(), [a.clone(), b], &[1; 4]).unwrap();
    let slope = values(&a.grad(&terms.salient.backward()).unwrap());
    assert!(slope.iter().all(|g| g.is_finite()) && slope.iter().any(|g| g.abs() > 0.1), "{slope:?}");
    // by term
    let (c, s) = (views(), [raw(4, 2, 0.0), raw(4, 2, 0.35)]);
    let slopes = |pick: fn(SepClrTerms) -> Tensor<1>| {
        let terms = loss.terms(c.clone(), s.clone(), &[0, 1, 1, 0]).unwrap();
        values(&s[0].grad(&pick(terms).backward()).unwrap())
    };
    for terms in [slopes(|t| t.salient), slopes(|t| t.joint)] {
        assert_eq!([&terms[..2], &terms[6..]].concat(), [0.0; 4]);
        assert!(terms[2..6].iter().any(|g| g.abs() > 1e-3));
    }
    let background = slopes(|t| t.background);
    assert_eq!(background[2..6], [0.0; 4]);
    assert!(background[0].abs() > 1e-3 || background[1].abs() > 1e-3);
}

/// Check 5: without the joint term the two vectors have nothing to do with each other.
#[test]
fn without_the_joint_term_two_problems() {
    let loss = SepClr::new(0.5, [1.0, 1.0, 0.0]).unwrap();
    let kinds = [0, 1, 1, 0];
    let s = || [raw(4, 2, 0.0), raw(4, 2, 0.35)];
    let slope = |c: [Tensor<2>; 2], s: [Tensor<2>; 2]| {
        let value = loss.loss(c.clone(), s.clone(), &kinds).unwrap();
        let tape = value.backward();
        [values(&c[0].grad(&tape).unwrap()), values(&s[0].grad(&tape).unwrap())]
    };
    let both = slope(views(), s());
    let other_s = slope(views(), [raw(4, 2, 2.0), raw(4, 2, 2.5)]);
    let other_c = slope([raw(4, 4, 2.0), raw(4, 4, 2.1)], s());
    close("of c", &both[0], &other_s[0], tight(), 0.0);
    close("of s", &both[1], &other_c[1], tight(), 0.0);
    // one vector for both: uniformity and alignment twice
    let [a, b] = views();
    let parts = loss.terms([a.clone(), b.clone()], [unit_rows(a.clone()), unit_rows(b.clone())], &[1; 4]).unwrap();
    near("the same twice", of(&parts)[0], of(&parts)[1], tight());
    let by_parts = AlignmentUniformity::new(Alignment::new(2.0).unwrap(), Uniformity::new(1.0).unwrap(), 2.0).unwrap();
    near("of its parts", of(&parts)[0], one(by_parts.loss(a, b)), tight());
}

/// Check 6.
#[test]
fn views_orders_and_lengths() {
    let loss = SepClr::new(0.5, [2.0, 3.0, 5.0]).unwrap();
    let kinds = [0, 1, 1, 0];
    let (c, s) = (views(), [raw(4, 2, 0.0), raw(4, 2, 0.35)]);
    let value = |c: [Tensor<2>; 2], s: [Tensor<2>; 2], kinds: &[i64]| one(loss.loss(c, s, kinds).unwrap());
    let base = value(c.clone(), s.clone(), &kinds);
    let [c1, c2] = c.clone();
    let [s1, s2] = s.clone();
    near("views", value([c2, c1], [s2, s1], &kinds), base, tight());
    let order = [2, 0, 3, 1];
    let moved = |x: &Tensor<2>| crate::spec_checks::reordered(x, &order);
    let kinds_moved = order.map(|i| kinds[i]);
    near("order", value(c.each_ref().map(moved), s.each_ref().map(moved), &kinds_moved), base, tight());
    near("length of c", value(c.clone().map(|c| c * 3.0), s.clone(), &kinds), base, tight());
    assert!((value(c, s.map(|s| s * 3.0), &kinds) - base).abs() > 0.1);
}

/// Check 7.
#[test]
fn what_cannot_be() {
    let loss = SepClr::new(0.5, [1.0; 3]).unwrap();
    let s = || [raw(4, 2, 0.0), raw(4, 2, 0.35)];
    let error = loss.loss(views(), s(), &[0, 1, 2, 0]).unwrap_err().to_string();
    assert!(error.contains("kind of a sample 2") && error.contains("0 (background), 1 (target)"), "{error}");
    let broken = constant(vec![0.0, f64::INFINITY, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [4, 2]);
    let error = loss.loss(views(), [broken, raw(4, 2, 0.0)], &[0, 1, 1, 0]).unwrap_err().to_string();
    assert!(error.contains("a salient vector NaN"), "{error}");
    let nan = constant([f64::NAN].iter().chain(&[0.5; 15]).copied().collect(), [4, 4]);
    assert!(one(loss.loss([nan.clone(), nan], s(), &[0, 1, 1, 0]).unwrap()).is_nan());
    for error in
        [SepClr::new(0.0, [1.0; 3]), SepClr::new(0.5, [-1.0, 1.0, 1.0]), SepClr::new(0.5, [1.0, 1.0, f64::NAN])]
    {
        assert!(error.is_err());
    }
}

/// The form with attributes against its formula in loops, and its gradients.
#[test]
fn one_coordinate_an_attribute() {
    let loss = SepClr::new(0.5, [1.0, 0.0, 1.0]).unwrap();
    let kinds = [0, 1, 1, 0, 1];
    let attributes = [
        Attribute { values: vec![0.0, 0.1, 0.4, 0.0, 0.9], width: 0.025 },
        Attribute { values: vec![0.0, 1.0, 2.0, 0.0, 1.0], width: 5e-6 },
    ];
    let (c, s) = ([raw(5, 3, 0.0), raw(5, 3, 0.2)], raw(5, 2, 0.7));
    let terms = loss.attribute_terms(c.clone(), s.clone(), &kinds, &attributes).unwrap();
    let all = values(&s);
    let mut want = 0.0;
    for (l, attribute) in attributes.iter().enumerate() {
        let at = |i: usize| all[2 * i + l];
        let t = |i: usize| if kinds[i] == 1 { at(i) } else { 0.0 };
        let pairs: Vec<(usize, usize)> = (0..5).flat_map(|i| (i + 1..5).map(move |j| (i, j))).collect();
        let even = pairs.iter().map(|&(i, j)| (-(t(i) - t(j)).powi(2)).exp()).sum::<f64>() / pairs.len() as f64;
        let targets: Vec<_> = pairs.iter().filter(|(i, j)| kinds[*i] == 1 && kinds[*j] == 1).collect();
        let weight =
            |i: usize, j: usize| (-(attribute.values[i] - attribute.values[j]).powi(2) / (2.0 * attribute.width)).exp();
        let alike = targets.iter().map(|&&(i, j)| weight(i, j) * (at(i) - at(j)).powi(2)).sum::<f64>();
        let zero = [0, 3].iter().map(|&i| at(i).powi(2) / 0.05).sum::<f64>() / 2.0;
        want += (even.ln() + 0.5 * (alike / targets.len() as f64 + zero)) / 2.0;
    }
    near("salient", one(terms.salient), want, tight());
    differences("attributes", &[[5, 3], [5, 3], [5, 2]], |t| {
        let terms = loss.attribute_terms([t[0].clone(), t[1].clone()], t[2].clone(), &kinds, &attributes).unwrap();
        terms.common + terms.salient + terms.joint * 2.0
    });
    let broken = [attributes[0].clone(), Attribute { width: 0.0, ..attributes[1].clone() }];
    assert!(loss.attribute_terms(c, s, &kinds, &broken).unwrap_err().to_string().contains("width of an attribute"));
}

/// The pass over blocks is the pass over all, and both are the objectives one by one.
#[test]
fn one_pass_is_five_sums() {
    let n = 700;
    let (c, s) = (unit_rows(rows(1, [n, 6])), rows(2, [n, 3]));
    let (c, s) = (tracked(values(&c), [n, 6], wide()), tracked(values(&s), [n, 3], wide()));
    let kinds: Vec<i64> = (0..n).map(|i| (i % 2) as i64).collect();
    let loss = SepClr::new(0.5, [1.0, 0.0, 1.0]).unwrap();
    let terms = loss.terms([c.clone(), c.clone()], [s.clone(), s.clone()], &kinds).unwrap();
    let t = s.clone() * plain(kinds.iter().map(|k| *k as f64).collect(), [n, 1]).into_autodiff_like(&s);
    let even = Uniformity::new(1.0).unwrap();
    near("of c", of(&terms)[0], 2.0 * one(even.loss(c.clone())), 1e-5);
    let even = even.with_similarity(Similarity::Dot);
    near("of t", of(&terms)[1], 2.0 * one(even.loss(t.clone())), 1e-5);
    let sums = LogSums::new(1.0).unwrap().with_similarity(Similarity::NegativeSquaredDistance);
    let both = Tensor::cat(vec![c.clone(), t], 1);
    let joint = sums.values(&Inputs::new(both.clone(), both)).iter().sum::<f64>() / n as f64 - (n as f64).ln();
    near("joint", of(&terms)[3], joint, 1e-5);
    let slope = values(&s.grad(&(terms.salient + terms.joint).backward()).unwrap());
    let small = {
        // the same by differences in one direction
        let moved = |by: f64| {
            let x = tracked(
                values(&s).iter().enumerate().map(|(k, v)| v + by * (k as f64).sin()).collect(),
                [n, 3],
                wide(),
            );
            let terms = loss.terms([c.clone(), c.clone()], [x.clone(), x], &kinds).unwrap();
            one(terms.salient) + one(terms.joint)
        };
        (moved(1e-5) - moved(-1e-5)) / 2e-5
    };
    if has_f64() {
        near("slope", slope.iter().enumerate().map(|(k, g)| g * (k as f64).sin()).sum(), small, 1e-6);
    }
}

trait Beside {
    fn into_autodiff_like(self, other: &Tensor<2>) -> Tensor<2>;
}

impl Beside for Tensor<2> {
    fn into_autodiff_like(self, other: &Tensor<2>) -> Tensor<2> {
        if other.is_autodiff() && !self.is_autodiff() { Tensor::from_inner(self) } else { self }
    }
}

/// The sums and their gradients in one pass against the objectives one by one, in CPU time of one thread; printed, not asserted.
#[test]
#[ignore = "a measurement"]
fn time_of_one_pass_and_of_five() {
    for n in [128, 512] {
        let t = || tracked(normal(2, n * 16), [n, 16], burn::tensor::DType::F32);
        let c = || unit_rows(tracked(normal(1, n * 16), [n, 16], burn::tensor::DType::F32));
        let (jem, even) = (JointEntropy::new(0.5).unwrap(), Uniformity::new(1.0).unwrap());
        let even = even.with_similarity(Similarity::Dot);
        let sums = LogSums::new(1.0).unwrap().with_similarity(Similarity::NegativeSquaredDistance);
        let sep = SepClr::new(0.5, [1.0, 0.0, 1.0]).unwrap();
        let kinds = vec![1; n];
        let seconds = |run: &dyn Fn()| {
            run();
            let start = std::time::Instant::now();
            (0..20).for_each(|_| run());
            start.elapsed().as_secs_f64() / 20.0
        };
        let one = seconds(&|| drop(sep.loss([c(), c()], [t(), t()], &kinds).unwrap().backward()));
        let five = seconds(&|| {
            let mut value = Alignment::new(2.0).unwrap().loss(c(), c()) + Alignment::new(2.0).unwrap().loss(t(), t());
            for _ in 0..2 {
                let both = Tensor::cat(vec![c(), t()], 1);
                let joint = sums.loss(&Inputs::new(both.clone(), both), vec![1.0 / n as f64; n]);
                value = value + even.loss(c()) + even.loss(t()) + joint;
            }
            drop(value.backward());
        });
        let alone = seconds(&|| drop(jem.loss(c(), t()).backward()));
        println!(
            "{n} rows: {:.2} ms in one pass a view, {:.2} ms one by one, {:.2} ms joint entropy alone",
            1e3 * one,
            1e3 * five,
            1e3 * alone
        );
    }
}
