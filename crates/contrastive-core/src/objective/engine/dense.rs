//! The same objectives in plain tensor operations, with the whole matrix: the readable definition.

use super::log_sums::mean_above_zero;
use crate::host::column;
use crate::objective::MASKED;
use crate::objective::engine::spec::Spec;
use crate::objective::{Direction, Inputs, PairObjective, Reduction, in_range};
use crate::similarity::defined;
use crate::temperature::Temperature;
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::softmax::{Denominator, Placement, Wanted};

impl PairObjective {
    /// The value `[1]` by plain, differentiable tensor operations: materialises several anchors x candidates matrices.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn dense(&self, inputs: &Inputs) -> Tensor<1> {
        let (n, m, itself) = inputs.check(&self.pairs, &self.temperature);
        let a = defined(self.similarity, &inputs.anchors, true);
        let c = defined(self.similarity, inputs.candidates.as_ref().unwrap_or(&inputs.anchors), false);
        let paired = inputs.paired.as_ref().map(|p| defined(self.similarity, p, false));
        let scale = match (self.temperature, &inputs.scale) {
            (Temperature::Input, Some(scale)) => scale.clone(),
            (Temperature::Fixed(t), _) => Tensor::from_data([1.0 / t], (&a.device(), a.dtype())),
            (Temperature::Input, None) => panic!("the inverse temperature is an input, but the inputs have none"),
        };
        let scale = scale * in_range(&a, &c);
        let spec = self.spec([n, m], itself, inputs.bias.is_some(), Wanted::ALL, None);
        let bias = inputs.bias.as_ref();
        let weighted = |rows: Tensor<2>, weights: &[f64]| {
            // the weights of a mean over what is above 0 follow from the values; `weights` are the direction's factor
            let weights = match self.reduction {
                Reduction::MeanNonZero => {
                    mean_above_zero(&rows.clone().inner()).iter().map(|w| w * weights[0]).collect()
                }
                _ => weights.to_vec(),
            };
            (rows.clone() * column(&weights, &rows)).sum()
        };
        let terms = inputs.pair_terms.whole();
        let rows = row_values(&a, &c, paired.as_ref(), &scale, bias, [&terms.0, &terms.1], &spec);
        let value = weighted(rows, &spec.row_weights);
        if self.direction == Direction::Both {
            let terms = inputs.pair_terms.transposed().whole();
            let spec = self.reversed(&spec, [n, m], None);
            let columns = row_values(&c, &a, None, &scale, None, [&terms.0, &terms.1], &spec);
            return value + weighted(columns, &spec.row_weights);
        }
        value
    }
}

/// `[n, 1]`: each anchor's value before the reduction, of rows whose inner products are the similarities.
pub(crate) fn row_values(
    a: &Tensor<2>,
    c: &Tensor<2>,
    paired: Option<&Tensor<2>>,
    scale: &Tensor<1>,
    bias: Option<&Tensor<1>>,
    [pair_scale, pair_bias]: [&Option<Tensor<2>>; 2],
    spec: &Spec,
) -> Tensor<2> {
    let ([n, _], [m, _]) = (a.dims(), c.dims());
    let (device, dtype) = (a.device(), a.dtype());
    let matrix =
        |values: Vec<f64>, shape: [usize; 2]| Tensor::<2>::from_data(TensorData::new(values, shape), (&device, dtype));
    let scale = scale.clone().reshape([scale.dims()[0], 1]);
    let mut s = a.clone().matmul(c.clone().transpose()) * scale.clone();
    if let Some(factor) = pair_scale {
        s = s * factor.clone();
    }
    if let Some(bias) = bias {
        s = s + bias.clone().reshape([1, m]);
    }
    if let Some(bias) = pair_bias {
        s = s + bias.clone();
    }
    let own = paired.map(|p| (a.clone() * p.clone()).sum_dim(1) * scale);

    let Cells { target, positive, hidden, has, total } = Cells::new(spec, [n, m], own.is_some());
    let column = |values: Vec<f64>| column(&values, a);
    let (target, positive, hidden) = (matrix(target, [n, m]), matrix(positive, [n, m]), matrix(hidden, [n, m]));
    let has = column(has);
    let own_weight = column((0..n).map(|i| spec.own_target(i)).collect());
    let total = column(spec.denominator_weights.clone().unwrap_or(total));
    let clamp = |s: Tensor<2>| match spec.clamp {
        Some(limit) => s.clamp(-limit, limit),
        None => s,
    };
    let open = s.clone() * (hidden.clone() * -1.0 + 1.0) + hidden * MASKED;
    let mut top = open.clone().detach().max_dim(1).clamp_min(-1e20);
    if let Some(own) = own.as_ref().filter(|_| spec.denominator != Denominator::NegativesOnly) {
        top = top.max_pair(own.clone().detach());
    }
    if spec.offset > 0.0 {
        top = top.clamp_min(spec.offset.ln());
    }
    let mut sum = (open - top.clone()).exp().sum_dim(1);
    if spec.offset > 0.0 {
        sum = sum + (top.clone() * -1.0 + spec.offset.ln()).exp();
    }
    if let Some(own) = own.as_ref().filter(|_| spec.denominator != Denominator::NegativesOnly) {
        sum = sum + (own.clone() - top.clone()).exp();
    }
    let l = if spec.denominator == Denominator::OwnPositive && own.is_none() {
        // log(e^s + e^log D) of each positive, from the larger of the two; the others are set aside before the exponentials
        let none = sum.clone().detach().lower_equal_elem(0.0);
        let log = top + sum.mask_fill(none.clone(), 1.0).log();
        let log = log.mask_fill(none, MASKED);
        let s = s * positive.clone();
        let high = log.clone().detach().expand([n, m]).max_pair(s.clone().detach());
        let log = ((log - high.clone()).exp() + (s.clone() - high.clone()).exp()).log() + high;
        ((log - clamp(s)) * target).sum_dim(1)
    } else {
        let log = (sum + (has.clone() * -1.0 + 1.0)).log() + top;
        let mut l = if spec.placement == Placement::Inside {
            let aside = positive.clone() * -1.0 + 1.0;
            let s = s * positive.clone() + aside * MASKED;
            let top = s.clone().detach().max_dim(1).clamp_min(-1e20);
            let sum = ((s - top.clone()).exp() * target).sum_dim(1);
            log - (sum + (has.clone() * -1.0 + 1.0)).log() - top
        } else {
            log * total - (clamp(s * positive) * target).sum_dim(1)
        };
        if let Some(own) = own {
            l = l - clamp(own) * own_weight;
        }
        l
    };
    l * has
}

/// Which pairs count how, as numbers.
struct Cells {
    /// n x m: target weights of the positives.
    target: Vec<f64>,
    /// n x m: 1 for positives.
    positive: Vec<f64>,
    /// n x m: 1 for what no denominator holds.
    hidden: Vec<f64>,
    /// n: 1 for anchors that have a value.
    has: Vec<f64>,
    /// n: sums of target weights.
    total: Vec<f64>,
}

impl Cells {
    /// `own`: does each anchor bring a positive of its own?
    fn new(spec: &Spec, [n, m]: [usize; 2], own: bool) -> Self {
        let (mut target, mut positive, mut hidden) = (vec![0f64; n * m], vec![0f64; n * m], vec![0f64; n * m]);
        let (mut has, mut total) = (vec![0f64; n], vec![0f64; n]);
        for i in 0..n {
            let count = spec.positives_of(i).count();
            for (at, j) in spec.positives_of(i) {
                let cell = i * m + j as usize;
                (target[cell], positive[cell], has[i]) = (spec.target(i, at, count), 1.0, 1.0);
                total[i] += target[cell];
            }
            for j in 0..m {
                let out = spec.is_excluded(i, j)
                    || (spec.denominator != Denominator::WithPositives && positive[i * m + j] > 0.0);
                hidden[i * m + j] = f64::from(out);
            }
            if spec.placement == Placement::Inside && total[i] == 0.0 {
                has[i] = 0.0;
            }
            if own {
                (has[i], total[i]) = (1.0, spec.own_target(i));
            }
            let beside = own && spec.denominator != Denominator::NegativesOnly;
            let full = beside || spec.offset > 0.0 || hidden[i * m..(i + 1) * m].contains(&0.0);
            let own_denominators = spec.denominator == Denominator::OwnPositive && !own;
            if !full && !own_denominators {
                has[i] = 0.0;
            }
        }
        Self { target, positive, hidden, has, total }
    }
}
