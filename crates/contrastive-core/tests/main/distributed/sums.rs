//! Objectives of sums and moments, and gradients of what all ranks share.

use crate::common::*;
use crate::distributed::support::*;
use burn::module::Module;
use burn::module::{ModuleVisitor, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};
use contrastive_core::distributed::{
    Communicator, DistributedError, Ranks, average_gradients, in_process, sum_gradients,
};
use contrastive_core::objective::*;
use contrastive_core::similarity::Similarity;
use std::collections::BTreeMap;

/// A loss of two tables over ranks and in one process: value and gradients of both.
fn same_loss(
    what: &str,
    counts: &[[usize; 2]],
    dtype: DType,
    one: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
    over: impl Fn(&Ranks<'_>, Tensor<2>, Tensor<2>) -> Result<Tensor<1>, DistributedError> + Sync,
) {
    let problem = Problem::new(&square(counts), dtype);
    let tables = |part: Part| [problem.rows(1, part.n, D), problem.rows(2, part.n, D)];
    let result = |loss: Tensor<1>, [a, b]: [Tensor<2>; 2]| {
        let value = values(&loss);
        let gradients = (loss * 2.0).backward();
        let of = |x: &Tensor<2>| x.grad(&gradients).map_or(Vec::new(), |g| values(&(g * 0.5)));
        vec![value, of(&a), of(&b)]
    };
    let all = tables(problem.all());
    let want = result(one(all[0].clone(), all[1].clone()), all);
    for exchange in EXCHANGES {
        let what = format!("{what}, {counts:?}, {exchange:?}, {dtype:?}");
        let got = in_process(counts.len(), |communicator| {
            let mine = tables(problem.parts()[communicator.rank()]);
            let loss = over(&Ranks::new(communicator, exchange), mine[0].clone(), mine[1].clone())?;
            Ok::<_, DistributedError>(result(loss, mine))
        });
        let got = together(got.unwrap_or_else(|e| panic!("{what}: {e}")), false);
        for (name, (got, want)) in ["value", "first", "second"].iter().zip(got.iter().zip(&want)) {
            let largest = want.iter().fold(1f64, |a, b| a.max(b.abs()));
            close(&format!("{what}, {name}"), got, want, tolerance(dtype) * largest, 0.0);
        }
    }
}

#[test]
fn sums_and_moments() {
    for_all(|counts, dtype| {
        let number = |x: f64| tracked(vec![x], [1], dtype);
        for portable in [false, true] {
            let _bodies = contrastive_core::testing::portable(portable);
            let sig = SigLip::new();
            let one = |a, b| sig.loss(a, b, number(4.0), number(-2.0));
            same_loss("SigLIP", counts, dtype, one, |r, a, b| sig.distributed_loss(r, a, b, number(4.0), number(-2.0)));
        }
        let twins = BarlowTwins::new(0.05).unwrap().with_scale(0.7).unwrap();
        same_loss("Barlow Twins", counts, dtype, |a, b| twins.loss(a, b), |r, a, b| twins.distributed_loss(r, a, b));
        for form in [Variance::Mean, Variance::Sum] {
            let vicreg = VicReg::new(2.0, 3.0, 1.5).unwrap().with_variance(form);
            same_loss("VICReg", counts, dtype, |a, b| vicreg.loss(a, b), |r, a, b| vicreg.distributed_loss(r, a, b));
        }
        for (alpha, similarity) in [(2.0, Similarity::Cosine), (3.0, Similarity::Dot)] {
            let alignment = Alignment::new(alpha).unwrap().with_similarity(similarity);
            let uniformity = Uniformity::new(0.7).unwrap().with_similarity(similarity);
            let both = AlignmentUniformity::new(alignment.clone(), uniformity.clone(), 0.6).unwrap();
            let one = |a, b| alignment.loss(a, b);
            same_loss("alignment", counts, dtype, one, |r, a, b| alignment.distributed_loss(r, a, b));
            let one = |a, _| uniformity.loss(a);
            same_loss("uniformity", counts, dtype, one, |r, a, _| uniformity.distributed_loss(r, a));
            let one = |a, b| both.loss(a, b);
            same_loss("alignment and uniformity", counts, dtype, one, |r, a, b| both.distributed_loss(r, a, b));
        }
    });
}

#[test]
fn shares_of_scale_and_bias_add_up() {
    for_all(|counts, dtype| {
        let problem = Problem::new(&square(counts), dtype);
        let parameters = || [tracked::<1>(vec![4.0], [1], dtype), tracked(vec![-2.0], [1], dtype)];
        let gradient = |part: Part, ranks: Option<&Ranks<'_>>| {
            let [scale, bias] = parameters();
            let (a, b) = (problem.rows(1, part.n, D), problem.rows(2, part.n, D));
            let loss = match ranks {
                Some(ranks) => SigLip::new().distributed_loss(ranks, a, b, scale.clone(), bias.clone()).unwrap(),
                None => SigLip::new().loss(a, b, scale.clone(), bias.clone()),
            };
            let gradients = loss.backward();
            [scale, bias].map(|x| values(&x.grad(&gradients).unwrap())[0])
        };
        let want = gradient(problem.all(), None);
        for exchange in EXCHANGES {
            let shares = in_process(counts.len(), |c| {
                Ok::<_, DistributedError>(gradient(problem.parts()[c.rank()], Some(&Ranks::new(c, exchange))))
            });
            let shares = shares.unwrap();
            for k in 0..2 {
                let sum = shares.iter().map(|s| s[k]).sum::<f64>();
                close("scale and bias", &[sum], &[want[k]], tolerance(dtype), tolerance(dtype));
            }
        }
    });
}

#[test]
fn parameters_of_an_encoder() {
    let dtype = precisions()[0];
    let make = |values: &[Tensor<1>; 2]| {
        let mut encoder: Linear = LinearConfig::new(D, 3).init(&device().autodiff());
        encoder.weight = Param::from_tensor(values[0].clone().reshape([D, 3]).detach().require_grad());
        encoder.bias = Some(Param::from_tensor(values[1].clone().detach().require_grad()));
        encoder
    };
    let parameters = [tracked(normal(7, D * 3), [D * 3], dtype), tracked(normal(8, 3), [3], dtype)];
    let encoder = make(&parameters);
    let of = |g: &GradientsParams| {
        let weight = g.get::<2>(encoder.weight.id).unwrap();
        let bias = g.get::<1>(encoder.bias.as_ref().unwrap().id).unwrap();
        [values(&weight), values(&bias)].concat()
    };
    let objective = InfoNce::new(0.3).unwrap().objective().clone();
    let problem = Problem::new(&[[3, 3], [1, 1], [4, 4]], dtype);
    let towers = |encoder: &Linear, part: Part| {
        let [a, b] = [problem.rows(1, part.n, D), problem.rows(2, part.m, D)].map(|x| Tensor::from_inner(x.inner()));
        Inputs::new(encoder.forward(a), encoder.forward(b))
    };
    let loss = objective.loss(&towers(&encoder, problem.all()));
    let want = of(&GradientsParams::from_grads(loss.backward(), &encoder));
    for exchange in EXCHANGES {
        let got = in_process(3, |c| {
            let part = problem.parts()[c.rank()];
            let loss = objective.distributed_loss(&Ranks::new(c, exchange), &towers(&encoder, part))?;
            let mine = GradientsParams::from_grads(loss.backward(), &encoder);
            Ok::<_, DistributedError>(of(&sum_gradients(c, &encoder, mine)?))
        });
        for got in got.unwrap() {
            close("parameters", &got, &want, tolerance(dtype), tolerance(dtype));
        }
    }
    // the mean of losses that each rank computes alone; a rank without gradients counts as 0
    let part = |rank: usize| Part { n: [2 * rank, 2 * rank + 2], m: [2 * rank, 2 * rank + 2] };
    let alone =
        |rank: usize| GradientsParams::from_grads(objective.loss(&towers(&encoder, part(rank))).backward(), &encoder);
    let want: Vec<f64> = of(&alone(0)).iter().zip(of(&alone(1))).map(|(a, b)| (a + b) / 3.0).collect();
    let got = in_process(3, |c| {
        let mine = if c.rank() == 2 { GradientsParams::new() } else { alone(c.rank()) };
        average_gradients(c, &encoder, mine).map(|g| of(&g))
    });
    for got in got.unwrap() {
        close("averages", &got, &want, tolerance(dtype), tolerance(dtype));
    }
    assert_eq!(encoder.num_params(), D * 3 + 3);
}

/// What has gradients in all kinds of ways.
#[derive(Module, Debug)]
struct Parts {
    shared: Linear,
    /// Used on rank 1 alone.
    seldom: Linear,
    frozen: Linear,
    /// With running statistics.
    norm: BatchNorm,
}

impl Parts {
    fn loss(&self, rank: usize) -> Tensor<1> {
        let rows = Tensor::<2>::from_inner(tracked(normal(3 + rank as u64, 4 * D), [4, D], DType::F32).inner());
        let rows = self.frozen.forward(self.shared.forward(rows));
        let rows = self.norm.forward(rows);
        (if rank == 1 { self.seldom.forward(rows) } else { rows }).powi_scalar(2).sum()
    }
}

/// The gradients that are there, by the order of the parameters.
struct Present<'a> {
    gradients: &'a GradientsParams,
    found: BTreeMap<usize, Vec<f64>>,
    at: usize,
}

impl ModuleVisitor for Present<'_> {
    fn visit_float<const N: usize>(&mut self, param: &Param<Tensor<N>>) {
        if let Some(gradient) = self.gradients.get::<N>(param.id) {
            self.found.insert(self.at, values(&gradient));
        }
        self.at += 1;
    }
}

#[test]
fn what_has_no_gradient_on_any_rank_gets_none() {
    let linear = || LinearConfig::new(D, D).init(&device().autodiff());
    let parts = Parts {
        shared: linear(),
        seldom: linear(),
        frozen: linear().no_grad(),
        norm: BatchNormConfig::new(D).init(&device().autodiff()),
    };
    let present = |gradients: &GradientsParams| {
        let mut present = Present { gradients, found: BTreeMap::new(), at: 0 };
        parts.visit(&mut present);
        (present.found, present.at)
    };
    let alone = |rank| GradientsParams::from_grads(parts.loss(rank).backward(), &parts);
    let each: Vec<_> = (0..3).map(|rank| present(&alone(rank)).0).collect();
    // weight and bias, or scale and shift: shared 0 and 1, seldom 2 and 3, frozen 4 and 5, norm 6 and 7 and its two statistics
    assert_eq!(each[0].keys().copied().collect::<Vec<_>>(), [0, 1, 6, 7]);
    assert_eq!(each[1].keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 6, 7]);
    for mean in [false, true] {
        let got = in_process(3, |c| {
            let mine = alone(c.rank());
            let all = if mean { average_gradients(c, &parts, mine) } else { sum_gradients(c, &parts, mine) };
            all.map(|g| present(&g))
        });
        for (found, parameters) in got.unwrap() {
            assert_eq!(parameters, 10);
            assert_eq!(found.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 6, 7]);
            for (at, got) in found {
                let parts = each.iter().filter_map(|rank| rank.get(&at));
                let mut want = vec![0.0; got.len()];
                parts.for_each(|part| want.iter_mut().zip(part).for_each(|(w, p)| *w += p));
                want.iter_mut().filter(|_| mean).for_each(|w| *w /= 3.0);
                close(&format!("parameter {at}"), &got, &want, 1e-4, 1e-5);
            }
        }
    }
}
