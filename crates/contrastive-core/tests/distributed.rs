//! Objectives over ranks against the same objective of all rows in one process, and what happens when a rank is gone.

mod common;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};
use common::*;
use contrastive_core::distributed::{
    Cause, CommunicationError, Communicator, DistributedError, Floats, InProcess, Metered, Ranks, Travel,
    average_gradients, in_process, sum_gradients,
};
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

const D: usize = 5;
const TRAVELS: [Travel; 2] = [Travel::Gathered, Travel::Ring];
/// Anchors and candidates of each rank, for 1 to 4 ranks.
const WORLDS: [&[[usize; 2]]; 4] =
    [&[[7, 9]], &[[4, 4], [6, 8]], &[[1, 2], [5, 5], [4, 7]], &[[2, 4], [1, 1], [6, 6], [3, 4]]];

fn normal(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| (0..6).map(|_| rng.random::<f64>()).sum::<f64>() - 3.0).collect()
}

fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-10 } else { 1e-5 }
}

fn precisions() -> &'static [DType] {
    if has_f64() { &[DType::F64, DType::F32] } else { &[DType::F32] }
}

/// Rows of all ranks; the anchors `n0..n1` and candidates `m0..m1` are one rank's.
struct Problem {
    counts: Vec<[usize; 2]>,
    itself: bool,
    paired: bool,
    biased: bool,
    /// Inverse temperatures among the inputs: none, one, or one for each anchor.
    scales: Option<usize>,
    dtype: DType,
}

#[derive(Clone, Copy)]
struct Part {
    n: [usize; 2],
    m: [usize; 2],
}

/// Value, then rows, columns and gradients of anchors, candidates, paired, bias, scale.
type Numbers = Vec<Vec<f64>>;

impl Problem {
    fn new(counts: &[[usize; 2]], dtype: DType) -> Self {
        Self { counts: counts.to_vec(), itself: false, paired: false, biased: false, scales: None, dtype }
    }

    fn parts(&self) -> Vec<Part> {
        let mut at = [0, 0];
        let next = self.counts.iter().map(|&[n, m]| {
            let part = Part { n: [at[0], at[0] + n], m: [at[1], at[1] + m] };
            at = [at[0] + n, at[1] + m];
            part
        });
        next.collect()
    }

    fn all(&self) -> Part {
        let parts = self.parts();
        Part { n: [0, parts.last().unwrap().n[1]], m: [0, parts.last().unwrap().m[1]] }
    }

    fn rows(&self, seed: u64, [from, to]: [usize; 2], width: usize) -> Tensor<2> {
        let all = normal(seed, to * width);
        tracked(all[from * width..].to_vec(), [to - from, width], self.dtype)
    }

    fn inputs(&self, part: Part) -> Inputs {
        let one = |x: Tensor<2>| x.clone().reshape([x.dims()[0]]);
        let mut inputs = match self.itself {
            true => Inputs::within(self.rows(1, part.n, D)),
            false => Inputs::new(self.rows(1, part.n, D), self.rows(2, part.m, D)),
        };
        if self.paired {
            inputs = inputs.with_paired(self.rows(3, part.n, D));
        }
        if self.biased {
            inputs = inputs.with_bias(one(self.rows(4, part.m, 1)));
        }
        match self.scales {
            Some(1) => inputs.with_scale(tracked(vec![3.0], [1], self.dtype)),
            Some(_) => inputs.with_scale(one(self.rows(5, part.n, 1)).abs() + 0.5),
            None => inputs,
        }
    }
}

fn numbers(e: &Evaluation) -> Numbers {
    let two = |t: &Option<Tensor<2>>| t.as_ref().map_or(Vec::new(), values);
    let one = |t: &Option<Tensor<1>>| t.as_ref().map_or(Vec::new(), values);
    let g = &e.gradients;
    let gradients = [two(&g.anchors), two(&g.candidates), two(&g.paired), one(&g.bias), one(&g.scale)];
    [values(&e.value), values(&e.rows), one(&e.columns)].into_iter().chain(gradients).collect()
}

/// What the ranks have together: values must agree, a common scale's gradients add up, everything else follows by rank.
fn together(ranks: Vec<Numbers>, common_scale: bool) -> Numbers {
    for rank in &ranks {
        assert_eq!(rank[0], ranks[0][0], "the values on different ranks");
    }
    (0..ranks[0].len())
        .map(|k| match k {
            0 => ranks[0][0].clone(),
            7 if common_scale => vec![ranks.iter().map(|r| r[7][0]).sum()],
            _ => ranks.iter().flat_map(|r| r[k].clone()).collect(),
        })
        .collect()
}

/// Both ways of travelling give what one process does: `local` is a rank's own description, `global` that of all rows.
fn same(what: &str, problem: &Problem, global: &PairObjective, local: &(dyn Fn(Part) -> PairObjective + Sync)) {
    let want = numbers(&global.evaluate(&problem.inputs(problem.all()), Wanted::ALL));
    for travel in TRAVELS {
        let what = format!("{what}, {:?}, {travel:?}, {:?}", problem.counts, problem.dtype);
        let got = in_process(problem.counts.len(), |communicator| {
            let part = problem.parts()[communicator.rank()];
            let result =
                local(part).evaluate_over(&Ranks::new(communicator, travel), &problem.inputs(part), Wanted::ALL);
            result.map(|e| numbers(&e))
        });
        let got = together(got.unwrap_or_else(|e| panic!("{what}: {e}")), problem.scales != Some(problem.all().n[1]));
        let names = ["value", "rows", "columns", "anchors", "candidates", "paired", "bias", "scale"];
        for (name, (got, want)) in names.iter().zip(got.iter().zip(&want)) {
            let largest = want.iter().fold(1f64, |a, b| a.max(b.abs()));
            close(&format!("{what}, {name}"), got, want, tolerance(problem.dtype) * largest, 0.0);
        }
    }
}

fn for_all(mut check: impl FnMut(&[[usize; 2]], DType)) {
    for dtype in precisions() {
        WORLDS.iter().for_each(|counts| check(counts, *dtype));
    }
}

/// Each rank has as many candidates as anchors.
fn square(counts: &[[usize; 2]]) -> Vec<[usize; 2]> {
    counts.iter().map(|c| [c[0], c[0]]).collect()
}

/// The diagonals of all ranks, in one process.
fn diagonals(problem: &Problem) -> Pairs {
    let columns = problem.parts().iter().flat_map(|p| (0..p.n[1] - p.n[0]).map(|i| (p.m[0] + i) as u32)).collect();
    Pairs::one_each(columns)
}

fn names(seed: i64, [from, to]: [usize; 2], kinds: i64) -> Vec<i64> {
    (from..to).map(|i| ((i as i64 * 7 + seed) % kinds) * 1_000_000_007 - 3).collect()
}

/// Lists of the anchors of `part` among `m` candidates, with weights: every anchor but each fourth has one to three.
fn lists(seed: usize, part: Part, m: usize) -> PairLists {
    let (mut offsets, mut columns, mut weights) = (vec![0], Vec::new(), Vec::new());
    for i in part.n[0]..part.n[1] {
        let mut row: Vec<u32> = (0..i % 4).map(|k| ((i * 5 + k * 3 + seed) % m) as u32).collect();
        row.sort_unstable();
        row.dedup();
        weights.extend(row.iter().map(|j| 0.25 + f64::from((*j + i as u32) % 3)));
        columns.extend(row);
        offsets.push(columns.len());
    }
    PairLists::new(offsets, columns, Some(weights)).unwrap()
}

fn per_anchor(seed: u64, part: Part) -> Arc<Vec<f64>> {
    Arc::new(normal(seed, part.n[1])[part.n[0]..].iter().map(|x| x.abs() + 0.1).collect())
}

/// The exclusions number `k` of a rank, or of all.
fn exclusions(k: usize, part: Part, m: usize) -> Exclusions {
    match k {
        0 => Exclusions::none(),
        1 => Exclusions::same_ids(&names(2, part.n, 4), &names(5, part.m, 4)),
        _ => Exclusions::lists(lists(4, part, m)),
    }
}

#[test]
fn every_choice_of_one_direction() {
    let base = || PairObjective::new(0.4).unwrap();
    let mut tried = 0;
    for_all(|counts, dtype| {
        for choice in 0..3 * 2 * 4 * 4 * 3 {
            let (denominator, rest) = (choice % 3, choice / 3);
            let (inside, rest) = (rest % 2 == 1, rest / 2);
            let (pairs, rest) = (rest % 4, rest / 4);
            let (weights, excluded) = (rest % 4, rest / 4);
            let mut problem = Problem::new(counts, dtype);
            problem.paired = pairs == 3;
            problem.biased = choice % 5 < 2;
            problem.scales = [None, Some(1), Some(problem.all().n[1])][choice % 7 % 3];
            let m = problem.all().m[1];
            let objective = |part: Part, diagonal: Pairs| {
                let mut objective = if problem.scales.is_some() { PairObjective::with_input_scale() } else { base() };
                objective = objective
                    .denominator(
                        [Denominator::WithPositives, Denominator::NegativesOnly, Denominator::OwnPositive][denominator],
                    )
                    .placement(if inside { Placement::Inside } else { Placement::Outside })
                    .similarity([Similarity::Cosine, Similarity::Dot][choice % 2])
                    .exclusions(exclusions(excluded, part, m))
                    .pairs(match pairs {
                        0 => diagonal,
                        1 => Pairs::labels_between(&names(0, part.n, 3), &names(1, part.m, 3)),
                        2 => Pairs::Lists(Arc::new(lists(0, part, m))),
                        _ => Pairs::Beside,
                    })
                    .positive_weights(match weights {
                        0 => PositiveWeights::Mean,
                        1 => PositiveWeights::Sum,
                        2 => PositiveWeights::PerAnchor(per_anchor(8, part)),
                        _ => PositiveWeights::Listed,
                    })
                    .reduction(match choice % 5 {
                        0 => Reduction::Mean,
                        1 => Reduction::MeanWithPositives,
                        2 => Reduction::MeanOverPairs,
                        3 => Reduction::Sum,
                        _ => Reduction::Weighted(per_anchor(9, part)),
                    });
                if choice % 4 == 1 && denominator != 2 {
                    objective = objective.denominator_offset(0.3).unwrap();
                }
                if choice % 3 == 0 && !inside {
                    objective = objective.positive_clamp(0.8).unwrap();
                }
                if choice % 11 == 0 && !inside && denominator != 2 {
                    objective = objective.denominator_weights(per_anchor(10, part));
                }
                objective
            };
            let global = objective(problem.all(), diagonals(&problem));
            if global.validate().is_err() {
                continue;
            }
            tried += 1;
            same(&format!("choice {choice}: {global:?}"), &problem, &global, &|part| objective(part, Pairs::Diagonal));
        }
    });
    println!("{tried} comparisons of one direction, each gathered and round the ring");
    assert!(tried > 1000);
}

#[test]
fn a_table_with_itself() {
    for_all(|counts, dtype| {
        let mut problem = Problem::new(&square(counts).map_double(), dtype);
        problem.itself = true;
        let views = |problem: &Problem| {
            let half = |p: &Part| (p.n[1] - p.n[0]) / 2;
            let other = |p: &Part, i: usize| if i < p.n[0] + half(p) { i + half(p) } else { i - half(p) };
            Pairs::one_each(problem.parts().iter().flat_map(|p| (p.n[0]..p.n[1]).map(|i| other(p, i) as u32)).collect())
        };
        let nt_xent = NtXent::new(0.3).unwrap().objective().clone();
        let global = nt_xent.clone().pairs(views(&problem));
        same("NT-Xent", &problem, &global, &|_| nt_xent.clone());
        let dcl = Dcl::new(0.3).unwrap().objective().clone();
        same("DCL", &problem, &dcl.clone().pairs(views(&problem)), &|_| dcl.clone());
        let sup_con = SupCon::new(0.2).unwrap();
        let labels = |part: Part| names(3, part.n, 4);
        same("SupCon", &problem, &sup_con.objective(&labels(problem.all())), &|p| sup_con.objective(&labels(p)));
        for (denominator, placement) in
            [(Denominator::OwnPositive, Placement::Outside), (Denominator::WithPositives, Placement::Inside)]
        {
            let objective = |p| {
                let objective = sup_con.objective(&labels(p)).denominator(denominator).placement(placement);
                objective.positive_weights(PositiveWeights::Sum).reduction(Reduction::MeanOverPairs)
            };
            same("labels", &problem, &objective(problem.all()), &objective);
        }
    });
}

trait Doubled {
    fn map_double(&self) -> Vec<[usize; 2]>;
}

impl Doubled for Vec<[usize; 2]> {
    fn map_double(&self) -> Vec<[usize; 2]> {
        self.iter().map(|c| [2 * c[0], 2 * c[1]]).collect()
    }
}

#[test]
fn both_directions() {
    for_all(|counts, dtype| {
        let mut problem = Problem::new(&square(counts), dtype);
        problem.scales = Some(1);
        let clip = Clip::with_logit_scale().objective().clone();
        same("CLIP", &problem, &clip, &|_| clip.clone());
        same("CLIP, portable", &problem, &clip, &|_| clip.clone().portable(true));
        let mut problem = Problem::new(counts, dtype);
        let m = problem.all().m[1];
        let both = PairObjective::new(0.3).unwrap().direction(Direction::Both);
        let listed = |p| {
            let pairs = Pairs::Lists(Arc::new(lists(1, p, m)));
            both.clone().pairs(pairs).positive_weights(PositiveWeights::Listed).reduction(Reduction::MeanWithPositives)
        };
        same("lists in both directions", &problem, &listed(problem.all()), &listed);
        problem.scales = Some(1);
        let labelled = |p: Part| {
            let objective = PairObjective::with_input_scale().direction(Direction::Both);
            let objective = objective.pairs(Pairs::labels_between(&names(0, p.n, 3), &names(1, p.m, 3)));
            objective.denominator(Denominator::OwnPositive).reduction(Reduction::Sum)
        };
        same("labels in both directions", &problem, &labelled(problem.all()), &labelled);
    });
}

#[test]
fn candidates_of_weight_zero_and_anchors_without_any() {
    // rank 0 has one anchor and nothing but its positive, rank 1 candidates of weight 0 beside the positives
    let mut problem = Problem::new(&[[1, 1], [2, 4]], precisions()[0]);
    problem.biased = true;
    let objective = InfoNce::new(0.5).unwrap().objective().clone().denominator(Denominator::NegativesOnly);
    let inputs = |part: Part| {
        let bias = [0.3, 0.1, -0.2, f64::NEG_INFINITY, f64::NEG_INFINITY][part.m[0]..part.m[1]].to_vec();
        let bias =
            Tensor::from_data(burn::tensor::TensorData::new(bias, [part.m[1] - part.m[0]]), (&device(), problem.dtype));
        problem.inputs(part).with_bias(bias)
    };
    let global = objective.clone().pairs(diagonals(&problem));
    let want = numbers(&global.evaluate(&inputs(problem.all()), Wanted::ALL));
    for travel in TRAVELS {
        let got = in_process(2, |c| {
            let part = problem.parts()[c.rank()];
            objective.evaluate_over(&Ranks::new(c, travel), &inputs(part), Wanted::ALL).map(|e| numbers(&e))
        });
        for (k, (got, want)) in together(got.unwrap(), true).iter().zip(&want).enumerate() {
            close(&format!("{travel:?} {k}"), got, want, tolerance(problem.dtype), 0.0);
        }
    }
}

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
    for travel in TRAVELS {
        let what = format!("{what}, {counts:?}, {travel:?}, {dtype:?}");
        let got = in_process(counts.len(), |communicator| {
            let mine = tables(problem.parts()[communicator.rank()]);
            let loss = over(&Ranks::new(communicator, travel), mine[0].clone(), mine[1].clone())?;
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
        for sig in [SigLip::new(), SigLip::new().portable(true)] {
            let one = |a, b| sig.loss(a, b, number(4.0), number(-2.0));
            same_loss("SigLIP", counts, dtype, one, |r, a, b| sig.loss_over(r, a, b, number(4.0), number(-2.0)));
        }
        let twins = BarlowTwins::new(0.05).unwrap().with_scale(0.7).unwrap();
        same_loss("Barlow Twins", counts, dtype, |a, b| twins.loss(a, b), |r, a, b| twins.loss_over(r, a, b));
        for form in [Variance::Mean, Variance::Sum] {
            let vicreg = VicReg::new(2.0, 3.0, 1.5).unwrap().with_variance(form);
            same_loss("VICReg", counts, dtype, |a, b| vicreg.loss(a, b), |r, a, b| vicreg.loss_over(r, a, b));
        }
        for (alpha, similarity) in [(2.0, Similarity::Cosine), (3.0, Similarity::Dot)] {
            let alignment = Alignment::new(alpha).unwrap().with_similarity(similarity);
            let uniformity = Uniformity::new(0.7).unwrap().with_similarity(similarity);
            let both = AlignmentUniformity::new(alignment.clone(), uniformity.clone(), 0.6).unwrap();
            let one = |a, b| alignment.loss(a, b);
            same_loss("alignment", counts, dtype, one, |r, a, b| alignment.loss_over(r, a, b));
            let one = |a, _| uniformity.loss(a);
            same_loss("uniformity", counts, dtype, one, |r, a, _| uniformity.loss_over(r, a));
            let one = |a, b| both.loss(a, b);
            same_loss("alignment and uniformity", counts, dtype, one, |r, a, b| both.loss_over(r, a, b));
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
                Some(ranks) => SigLip::new().loss_over(ranks, a, b, scale.clone(), bias.clone()).unwrap(),
                None => SigLip::new().loss(a, b, scale.clone(), bias.clone()),
            };
            let gradients = loss.backward();
            [scale, bias].map(|x| values(&x.grad(&gradients).unwrap())[0])
        };
        let want = gradient(problem.all(), None);
        for travel in TRAVELS {
            let shares = in_process(counts.len(), |c| {
                Ok::<_, DistributedError>(gradient(problem.parts()[c.rank()], Some(&Ranks::new(c, travel))))
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
        encoder.weight = burn::module::Param::from_tensor(values[0].clone().reshape([D, 3]).detach().require_grad());
        encoder.bias = Some(burn::module::Param::from_tensor(values[1].clone().detach().require_grad()));
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
    for travel in TRAVELS {
        let got = in_process(3, |c| {
            let part = problem.parts()[c.rank()];
            let loss = objective.loss_over(&Ranks::new(c, travel), &towers(&encoder, part))?;
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

#[test]
fn the_ring_sends_less_than_all_keys_need() {
    let objective = InfoNce::new(0.3).unwrap().objective().clone();
    let problem = Problem::new(&[[4, 4]; 4], DType::F32);
    let sent = |travel| {
        let all = in_process(4, |c| {
            let (part, metered) = (problem.parts()[c.rank()], Metered::new(c));
            objective.evaluate_over(&Ranks::new(&metered, travel), &problem.inputs(part), Wanted::ALL)?;
            Ok::<_, DistributedError>(metered.sent())
        });
        all.unwrap()
    };
    let block = (4 * D * 4) as u64;
    // gathered: 3 blocks of keys out, 3 of gradients back; ring: twice 3 of keys and 4 of gradients; and a few numbers
    for (travel, blocks) in [(Travel::Gathered, 6), (Travel::Ring, 10)] {
        for bytes in sent(travel) {
            assert!((blocks * block..blocks * block + 300).contains(&bytes), "{travel:?}: {bytes} bytes");
        }
    }
}

#[test]
fn a_rank_that_panics_ends_all() {
    for travel in TRAVELS {
        let problem = Problem::new(&[[2, 2]; 4], DType::F32);
        let heard = std::sync::Mutex::new(Vec::new());
        let result = in_process(4, |c| {
            if c.rank() == 2 {
                panic!("out of luck");
            }
            let part = problem.parts()[c.rank()];
            let objective = InfoNce::new(0.3).unwrap().objective().clone();
            let result = objective.evaluate_over(&Ranks::new(c, travel), &problem.inputs(part), Wanted::ALL);
            heard.lock().unwrap().push(result.as_ref().map(|_| ()).map_err(ToString::to_string));
            result.map(|_| ())
        });
        let failure = result.unwrap_err();
        assert_eq!(failure.rank, 2);
        assert!(matches!(&failure.cause, Cause::Panic(m) if m == "out of luck"), "{failure}");
        let heard = heard.into_inner().unwrap();
        assert_eq!(heard.len(), 3);
        for error in heard {
            assert!(error.unwrap_err().contains("rank 2 is gone: it panicked: out of luck"));
        }
    }
}

#[test]
fn a_rank_that_fails_or_leaves_ends_those_who_wait() {
    // in the middle of the ring, after one exchange
    let result = in_process(3, |c| {
        c.ring(Floats::F32(vec![c.rank() as f32]))?;
        if c.rank() == 1 {
            return Err(CommunicationError::TooLong { operation: "test", len: 1, most: 0 });
        }
        loop {
            c.ring(Floats::F32(vec![0.0; 8]))?;
        }
        #[allow(unreachable_code)]
        Ok(())
    });
    assert_eq!(result.unwrap_err().to_string(), "rank 1: test: 1 values; at most 0 in one message");
    for gather in [true, false] {
        let result = in_process(3, |c| match (c.rank(), gather) {
            (1, _) => Ok(()),
            (_, true) => c.all_gather(Floats::F64(vec![1.0])).map(|_| ()),
            (_, false) => c.ring(Floats::F64(vec![1.0])).and_then(|_| c.ring(Floats::F64(vec![1.0]))).map(|_| ()),
        });
        assert!(result.unwrap_err().to_string().contains("is gone"));
    }
    // dropped without a runner around it
    let mut group = InProcess::group(2);
    drop(group.pop());
    let error = group[0].all_reduce(Floats::F32(vec![1.0])).unwrap_err();
    assert_eq!(error.to_string(), "rank 0 in all_reduce: rank 1 is gone: it has finished");
}

#[test]
fn what_was_sent_before_leaving_still_arrives() {
    let got = in_process(3, |c| {
        let all = c.all_gather(Floats::F64(vec![c.rank() as f64; c.rank()]))?;
        let sum = c.all_reduce(Floats::F32(vec![1.0, c.rank() as f32]))?;
        let from = c.ring(Floats::F64(vec![c.rank() as f64]))?;
        Ok::<_, CommunicationError>((all.iter().map(Floats::len).sum::<usize>(), sum, from.into_f64()[0]))
    });
    for (rank, (len, sum, from)) in got.unwrap().into_iter().enumerate() {
        assert_eq!((len, sum, from as usize), (3, Floats::F32(vec![3.0, 3.0]), (rank + 2) % 3));
    }
}

#[test]
fn disagreements_are_named() {
    let fails = |inputs: &(dyn Fn(usize) -> (PairObjective, Inputs, Travel) + Sync)| {
        let result = in_process(2, |c| {
            let (objective, inputs, travel) = inputs(c.rank());
            objective.evaluate_over(&Ranks::new(c, travel), &inputs, Wanted::ALL).map(|_| ())
        });
        result.unwrap_err().to_string()
    };
    let objective = InfoNce::new(0.3).unwrap().objective().clone();
    let table = |width: usize, dtype| tracked::<2>(normal(1, 2 * width), [2, width], dtype);
    let plain = |width, dtype| Inputs::new(table(width, dtype), table(width, dtype));
    let error = fails(&|r| (objective.clone(), plain(3 + r, DType::F32), Travel::Ring));
    assert!(
        error.ends_with("width of the rows: 4 on rank 1, 3 on rank 0; it must be the same on all ranks"),
        "{error}"
    );
    let travels = |r| (objective.clone(), plain(3, DType::F32), TRAVELS[r]);
    assert!(fails(&travels).contains("way of travelling"));
    let choices = |r| (InfoNce::new(0.3 + r as f64).unwrap().objective().clone(), plain(3, DType::F32), Travel::Ring);
    assert!(fails(&choices).contains("its choices"));
    if has_f64() {
        let types = |r| (objective.clone(), plain(3, [DType::F32, DType::F64][r]), Travel::Ring);
        assert!(fails(&types).contains("f64 rather than f32: 1 on rank 1"));
    }
    let beyond = |_| (objective.clone().exclusions(Exclusions::own_row(1)), plain(3, DType::F32), Travel::Ring);
    assert!(fails(&beyond).contains("must be among the candidates of the same rank"));
    let contradiction = |_| {
        let objective = objective.clone().placement(Placement::Inside).denominator(Denominator::OwnPositive);
        (objective, plain(3, DType::F32), Travel::Ring)
    };
    assert!(fails(&contradiction).contains("no sum inside the logarithm"));
    let few = in_process(1, |c| {
        VicReg::default().loss_over(
            &Ranks::ring(c),
            table(3, DType::F32).slice([0..1]),
            table(3, DType::F32).slice([0..1]),
        )
    });
    assert_eq!(few.unwrap_err().to_string(), "rank 0: VICReg of 1 rows on 1 ranks: at least 2");
    let sums = in_process(2, |c| c.all_reduce(Floats::F32(vec![0.0; 1 + c.rank()])).map(|_| ()));
    assert!(sums.unwrap_err().to_string().contains("all_reduce: rank 1 brings 2 f32, rank 0 1 f32"));
}
