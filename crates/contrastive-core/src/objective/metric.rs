//! Deep metric learning: losses of pairs and rows under labels, and the sigmoid loss of all pairs. None holds the
//! anchors x candidates matrix; every type has its definition beside it as `dense`.

use super::Inputs;
use super::log_sums::numbers;
use super::metric_rows::*;
use super::rowwise::RowFunction;
use super::sampled_bce::logistic;
use crate::attach::attach;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::pairs::Pairs;
use crate::similarity::{Similarity, unit_rows};
use burn::tensor::Tensor;
use contrastive_kernels::rowwise as kernel;

impl RowFunction for kernel::Sigmoid {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let x = s.clone() * self.scale + self.bias;
        let (positive, negative) = (positive * self.weights[0], negative * self.weights[1]);
        let rows = softplus(x.clone()) * negative.clone() + softplus(x.clone() * -1.0) * positive.clone();
        let share = logistic(x);
        let slope = share.clone() * negative + (share - 1.0) * positive;
        (sum_rows(rows), sums(vec![(slope.clone() * s).sum(), slope.sum()]))
    }
}

impl RowFunction for kernel::Margins {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        // distances grow where similarities fall
        let (far, near) = match self.measure {
            kernel::Measure::Similarity => (s.clone() * -1.0 + self.positive, s - self.negative),
            kernel::Measure::Distance => {
                let d = distances(s, positive.clone() + negative.clone());
                (d.clone() - self.positive, d * -1.0 + self.negative)
            }
        };
        let (far, near) = (far.clamp_min(0.0) * positive, near.clamp_min(0.0) * negative);
        let sums = sums(vec![
            far.clone().sum(),
            ones_above_zero(far.clone()).sum(),
            near.clone().sum(),
            ones_above_zero(near.clone()).sum(),
        ]);
        (sum_rows(far * self.weights[0] + near * self.weights[1]), sums)
    }
}

impl RowFunction for kernel::MultiSimilarity {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let (mut positive, mut negative) = (positive, negative);
        if let Some(epsilon) = self.epsilon {
            let aside = |mask: &Tensor<2>| (mask.clone() * -1.0 + 1.0) * -NOTHING;
            let plain = s.clone().detach();
            let easiest = (plain.clone() + aside(&positive)).min_dim(1);
            let hardest = (plain.clone() - aside(&negative)).max_dim(1);
            negative = negative * ones_above_zero(plain.clone() - easiest + epsilon);
            positive = positive * ones_above_zero(hardest - plain + epsilon);
        }
        let near = log_sum_exp((s.clone() - self.bases[0]) * -self.alpha, positive, true) * self.weights[0];
        let far = log_sum_exp((s - self.bases[1]) * self.beta, negative, true) * self.weights[1];
        let rows = near + far;
        let sums = no_sums(&rows);
        (rows, sums)
    }
}

impl RowFunction for kernel::Circle {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let (m, gamma) = (self.margin, self.gamma);
        let both = any(&positive) * any(&negative);
        let plain = s.clone().detach();
        let near = (plain.clone() * -1.0 + (1.0 + m)).clamp_min(0.0) * (s.clone() - (1.0 - m)) * -gamma;
        let far = (plain + m).clamp_min(0.0) * (s - m) * gamma;
        let all = log_sum_exp(far, negative, false) + log_sum_exp(near, positive, false);
        let b = both.dims()[0];
        let rows = softplus((all * both.clone()).reshape([b, 1])).reshape([b]) * both;
        let sums = sums(vec![ones_above_zero(rows.clone()).sum()]);
        (rows, sums)
    }
}

impl RowFunction for kernel::LiftedStructure {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let [some, others] = [any(&positive), any(&negative)];
        let d = distances(s, positive.clone() + negative.clone());
        let near = log_sum_exp(d.clone(), positive, false) * some;
        let rows = (near + log_sum_exp(d * -1.0 + self.margin, negative, false) * others).clamp_min(0.0);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}

impl RowFunction for kernel::MarginSoftmax {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let own = (s.clone() * positive.clone()).sum_dim(1);
        let own = match self.margin {
            kernel::TargetMargin::Cosine(m) => own - m,
            kernel::TargetMargin::Angle(m) => turned(own, m),
        } * self.scale;
        let [b, m] = s.dims();
        let others = only(s * self.scale, negative);
        let all = Tensor::cat(vec![own.clone(), others], 1);
        let mask = Tensor::ones([b, m + 1], (&all.device(), all.dtype()));
        let rows = (log_sum_exp(all, mask, false) - own.reshape([b])) * any(&positive);
        let sums = no_sums(&rows);
        (rows, sums)
    }
}

row_loss!(
    /// Multi-similarity loss (Wang et al. 2019, equation 15): `log(1 + sum_p e^{-alpha (s_p - base)}) / alpha +
    /// log(1 + sum_n e^{beta (s_n - base)}) / beta`, the mean over rows; for a row without
    /// positives (or negatives) that part is 0.
    MultiSimilarity,
    mean_of_rows
);

impl MultiSimilarity {
    /// The paper's values are 2, 50 and 0.5 (its base is 1 on its own data).
    ///
    /// # Errors
    /// When alpha or beta is no finite number above 0, or the base not finite.
    pub fn new(alpha: f64, beta: f64, base: f64) -> Result<Self, ObjectiveError> {
        positive("alpha", alpha)?;
        positive("beta", beta)?;
        not_negative("base", base.abs())?;
        let (bases, weights) = ([base; 2], [1.0 / alpha, 1.0 / beta]);
        Ok(Self { function: kernel::MultiSimilarity { alpha, beta, bases, weights, epsilon: None }, portable: false })
    }

    /// Only the pairs the paper's miner keeps (equations 11 and 12): negatives within `epsilon` of the hardest positive,
    /// positives within `epsilon` of the hardest negative (0.1).
    ///
    /// # Errors
    /// When epsilon is negative or not finite.
    pub fn mined(mut self, epsilon: f64) -> Result<Self, ObjectiveError> {
        self.function.epsilon = Some(not_negative("epsilon", epsilon)?);
        Ok(self)
    }
}

row_loss!(
    /// Circle loss (Sun et al. 2020, equation 6), the mean over rows whose value is above 0; rows without
    /// positives or without negatives have the value 0.
    Circle,
    mean_of_counted
);

impl Circle {
    /// The paper's values are a margin of 0.25 and gamma 256 for faces; PyTorch Metric Learning's are 0.4 and 80.
    ///
    /// # Errors
    /// When the margin is negative, gamma not above 0, or either not finite.
    pub fn new(margin: f64, gamma: f64) -> Result<Self, ObjectiveError> {
        not_negative("margin", margin)?;
        positive("gamma", gamma)?;
        Ok(Self { function: kernel::Circle { margin, gamma }, portable: false })
    }
}

row_loss!(
    /// Generalised lifted structure loss (Hermans et al. 2017, equation 9) on distances of unit rows, the mean over rows;
    /// for a row without positives (or negatives) that part is 0.
    LiftedStructure,
    mean_of_rows
);

impl LiftedStructure {
    /// Negatives farther than the margin weigh little (1).
    ///
    /// # Errors
    /// When the margin is negative or not finite.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        let margin = not_negative("margin", margin)?;
        Ok(Self { function: kernel::LiftedStructure { margin }, portable: false })
    }
}

/// Sigmoid loss of all pairs (SigLIP, Zhai et al. 2023, equation 1): image i belongs to text i and to no other; the sum over
/// all pairs divided by their number of images.
#[derive(Clone, Debug, Default)]
pub struct SigLip {
    pub(super) portable: bool,
}

impl SigLip {
    /// Cosines; scale and bias are inputs of the loss (the paper starts them at 10 and -10).
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses the body of tensor operations also where a native kernel exists.
    pub fn portable(mut self, portable: bool) -> Self {
        self.portable = portable;
        self
    }

    /// Images `[n, d]` and their texts `[n, d]`, the scale `[1]` (not its logarithm) and the bias `[1]`. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no images, or the shapes do not fit.
    pub fn loss(&self, images: Tensor<2>, texts: Tensor<2>, scale: Tensor<1>, bias: Tensor<1>) -> Tensor<1> {
        assert_eq!(images.dims(), texts.dims(), "the shapes of images and texts");
        assert_eq!([scale.dims(), bias.dims()], [[1], [1]], "the shapes of scale and bias");
        let number = |x: &Tensor<1>| x.to_data().iter::<f64>().next().expect("a number");
        let function = kernel::Sigmoid { scale: number(&scale), bias: number(&bias), weights: [1.0; 2] };
        let n = images.dims()[0];
        let inputs = Inputs::new(images, texts);
        let problem = Problem::new(&inputs, &Pairs::Diagonal, Similarity::Cosine);
        let (result, sums) = problem.evaluate(&function, wanted(&inputs), mean_of_rows, self.portable);
        let value = hang(&inputs, result);
        let like = &problem.anchors.rows;
        [(&scale, sums[0]), (&bias, sums[1])]
            .into_iter()
            .fold(value, |value, (input, sum)| attach(value, input, numbers(&[sum / n as f64], like)))
    }

    /// The same by plain, differentiable tensor operations: materialises several n x n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, images: Tensor<2>, texts: Tensor<2>, scale: Tensor<1>, bias: Tensor<1>) -> Tensor<1> {
        let n = images.dims()[0];
        let logits =
            unit_rows(images).matmul(unit_rows(texts).transpose()) * scale.reshape([1, 1]) + bias.reshape([1, 1]);
        let sign = Tensor::<2>::eye(n, &logits.device()).cast(logits.dtype());
        let sign = sign * -2.0 + 1.0;
        softplus(logits * sign).sum() * (1.0 / n as f64)
    }
}
