//! SigLIP: the sigmoid loss of all pairs, without their matrix.

use crate::attach::attach_gradients;
use crate::host::numbers;
use crate::objective::Inputs;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::logistic;
use crate::pairs::Pairs;
use crate::similarity::{Similarity, unit_rows};
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::Sigmoid;

/// Sigmoid loss of all pairs (SigLIP, Zhai et al. 2023, equation 1): image i belongs to text i and to no other; the sum over
/// all pairs divided by their number of images.
#[derive(Clone, Debug, Default)]
pub struct SigLip {}

impl SigLip {
    /// Cosines; scale and bias are inputs of the loss (the paper starts them at 10 and -10).
    pub fn new() -> Self {
        Self::default()
    }

    /// Images `[n, d]` and their texts `[n, d]`, the scale `[1]` (not its logarithm) and the bias `[1]`. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no images, or the shapes do not fit.
    pub fn loss(&self, images: Tensor<2>, texts: Tensor<2>, scale: Tensor<1>, bias: Tensor<1>) -> Tensor<1> {
        assert_eq!(images.dims(), texts.dims(), "the shapes of images and texts");
        assert_eq!([scale.dims(), bias.dims()], [[1], [1]], "the shapes of scale and bias");
        let number = |x: &Tensor<1>| x.to_data().iter::<f64>().next().expect("a number");
        let function = Sigmoid { scale: number(&scale), bias: number(&bias), weights: [1.0; 2] };
        let n = images.dims()[0];
        let inputs = Inputs::new(images, texts);
        let problem = Problem::new(&inputs, &Pairs::Diagonal, Similarity::Cosine);
        let (result, sums) = problem.evaluate(&function, wanted(&inputs), mean_of_rows);
        let value = result.attach_to(&inputs);
        let like = &problem.anchors.rows;
        let slope = |sum: f64| Some(numbers(&[sum / n as f64], like));
        attach_gradients(value, [(&scale, slope(sums[0])), (&bias, slope(sums[1]))])
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

impl RowFunction for Sigmoid {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let x = s.clone() * self.scale + self.bias;
        let (positive, negative) = (positive * self.weights[0], negative * self.weights[1]);
        let rows = softplus(x.clone()) * negative.clone() + softplus(x.clone() * -1.0) * positive.clone();
        let share = logistic(x);
        let slope = share.clone() * negative + (share - 1.0) * positive;
        (sum_rows(rows), sums(vec![(slope.clone() * s).sum(), slope.sum()]))
    }
}
