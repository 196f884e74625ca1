//! Rows of several ranks, and what one process makes of them all.

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::distributed::{Communicator, Exchange, Ranks, in_process};
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub const D: usize = 5;
pub const EXCHANGES: [Exchange; 2] = [Exchange::AllGather, Exchange::Ring];
/// Anchors and candidates of each rank, for 1 to 4 ranks.
pub const WORLDS: [&[[usize; 2]]; 4] =
    [&[[7, 9]], &[[4, 4], [6, 8]], &[[1, 2], [5, 5], [4, 7]], &[[2, 4], [1, 1], [6, 6], [3, 4]]];

pub fn normal(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| (0..6).map(|_| rng.random::<f64>()).sum::<f64>() - 3.0).collect()
}

pub fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-10 } else { 1e-5 }
}

pub fn precisions() -> &'static [DType] {
    if has_f64() { &[DType::F64, DType::F32] } else { &[DType::F32] }
}

/// Rows of all ranks; the anchors `n0..n1` and candidates `m0..m1` are one rank's.
pub struct Problem {
    pub counts: Vec<[usize; 2]>,
    pub itself: bool,
    pub paired: bool,
    pub biased: bool,
    /// Inverse temperatures among the inputs: none, one, or one for each anchor.
    pub scales: Option<usize>,
    pub dtype: DType,
}

#[derive(Clone, Copy)]
pub struct Part {
    pub n: [usize; 2],
    pub m: [usize; 2],
}

/// Value, then rows, columns and gradients of anchors, candidates, paired, bias, scale.
pub type Numbers = Vec<Vec<f64>>;

impl Problem {
    pub fn new(counts: &[[usize; 2]], dtype: DType) -> Self {
        Self { counts: counts.to_vec(), itself: false, paired: false, biased: false, scales: None, dtype }
    }

    pub fn parts(&self) -> Vec<Part> {
        let mut at = [0, 0];
        let next = self.counts.iter().map(|&[n, m]| {
            let part = Part { n: [at[0], at[0] + n], m: [at[1], at[1] + m] };
            at = [at[0] + n, at[1] + m];
            part
        });
        next.collect()
    }

    pub fn all(&self) -> Part {
        let parts = self.parts();
        Part { n: [0, parts.last().unwrap().n[1]], m: [0, parts.last().unwrap().m[1]] }
    }

    pub fn rows(&self, seed: u64, [from, to]: [usize; 2], width: usize) -> Tensor<2> {
        let all = normal(seed, to * width);
        tracked(all[from * width..].to_vec(), [to - from, width], self.dtype)
    }

    pub fn inputs(&self, part: Part) -> Inputs {
        let one = |x: Tensor<2>| x.clone().reshape([x.dims()[0]]);
        let mut inputs = match self.itself {
            true => Inputs::self_contrast(self.rows(1, part.n, D)),
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

pub fn flat(e: &Evaluation) -> Numbers {
    let two = |t: &Option<Tensor<2>>| t.as_ref().map_or(Vec::new(), values);
    let one = |t: &Option<Tensor<1>>| t.as_ref().map_or(Vec::new(), values);
    let g = &e.gradients;
    let gradients = [two(&g.anchors), two(&g.candidates), two(&g.paired), one(&g.bias), one(&g.scale)];
    [values(&e.value), values(&e.rows), one(&e.columns)].into_iter().chain(gradients).collect()
}

/// What the ranks have together: values must agree, a common scale's gradients add up, everything else follows by rank.
pub fn together(ranks: Vec<Numbers>, common_scale: bool) -> Numbers {
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

/// Both exchanges give what one process does: `local` is a rank's own description, `global` that of all rows.
pub fn same(what: &str, problem: &Problem, global: &PairObjective, local: &(dyn Fn(Part) -> PairObjective + Sync)) {
    let want = flat(&global.evaluate(&problem.inputs(problem.all()), Wanted::ALL));
    for exchange in EXCHANGES {
        let what = format!("{what}, {:?}, {exchange:?}, {:?}", problem.counts, problem.dtype);
        let got = in_process(problem.counts.len(), |communicator| {
            let part = problem.parts()[communicator.rank()];
            let result = local(part).distributed_evaluate(
                &Ranks::new(communicator, exchange),
                &problem.inputs(part),
                Wanted::ALL,
            );
            result.map(|e| flat(&e))
        });
        let got = together(got.unwrap_or_else(|e| panic!("{what}: {e}")), problem.scales != Some(problem.all().n[1]));
        let names = ["value", "rows", "columns", "anchors", "candidates", "paired", "bias", "scale"];
        for (name, (got, want)) in names.iter().zip(got.iter().zip(&want)) {
            let largest = want.iter().fold(1f64, |a, b| a.max(b.abs()));
            close(&format!("{what}, {name}"), got, want, tolerance(problem.dtype) * largest, 0.0);
        }
    }
}

pub fn for_all(mut check: impl FnMut(&[[usize; 2]], DType)) {
    for dtype in precisions() {
        WORLDS.iter().for_each(|counts| check(counts, *dtype));
    }
}

/// Each rank has as many candidates as anchors.
pub fn square(counts: &[[usize; 2]]) -> Vec<[usize; 2]> {
    counts.iter().map(|c| [c[0], c[0]]).collect()
}

/// The diagonals of all ranks, in one process.
pub fn diagonals(problem: &Problem) -> Pairs {
    let columns = problem.parts().iter().flat_map(|p| (0..p.n[1] - p.n[0]).map(|i| (p.m[0] + i) as u32)).collect();
    Pairs::one_each(columns)
}
