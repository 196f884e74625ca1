//! Hallucinator: a small network makes one more positive for each query.

use super::joined::nothing;
use super::random::generator;
use crate::head::{HeadError, MlpHead, MlpHeadConfig, at_least};
use crate::memory::Queue;
use crate::objective::{Inputs, Moco, NtXent, check_types, simsiam};
use crate::pairs::Exclusions;
use crate::similarity::unit_rows;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use rand::RngExt;

/// Settings of a [`Hallucinator`].
#[derive(Config, Debug, PartialEq)]
pub struct HallucinatorConfig {
    /// Width of the features.
    pub width: usize,
    /// Extrapolations are uniform in `[0, this)`, one for a batch. Near 1 the network could read the key out of its input.
    #[config(default = 0.1)]
    pub largest_extrapolation: f64,
    /// Bring queries and keys to length 1 first, so that the strength of the extrapolation does not depend on their lengths?
    /// (The released code for MoCo mixes raw queries with unit keys.)
    #[config(default = true)]
    pub normalise: bool,
}

impl HallucinatorConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When the width is 0, or the extrapolation is negative or not finite.
    pub fn validate(&self) -> Result<(), HeadError> {
        at_least(&[("width of the features", self.width, 1)])?;
        let value = self.largest_extrapolation;
        if !value.is_finite() || value < 0.0 {
            return Err(HeadError::Outside { name: "largest extrapolation", value, allowed: "[0, infinity)" });
        }
        Ok(())
    }

    /// The network on a device, of that device's float type unless one is given.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, seed: u64, on: impl Into<TensorCreationOptions>) -> Result<Hallucinator, HeadError> {
        self.validate()?;
        let double = 2 * self.width;
        let mlp = MlpHeadConfig::new(double, double, self.width).with_layers(3);
        let mlp = mlp.with_hidden_norm(false).with_hidden_bias(true).init(seed, on)?;
        Ok(Hallucinator { mlp, largest_extrapolation: self.largest_extrapolation, normalise: self.normalise })
    }
}

/// The generator of HALLUCINATOR (Wu et al. 2023, section 3): with r uniform in `[0, r_max)`, one a batch,
///
/// ```text
/// e = (1 + r) q - r k        h = MLP([q ; e])        three linear maps of widths 2 d, 2 d, d with ReLU between
/// ```
///
/// The host's loss then sees every key with two queries, q and h, in equal parts. It trains with the host's loss and is thrown away
/// afterwards. Gradients flow into the network, q, and k where that carries one (not under MoCo).
#[derive(Module, Debug)]
pub struct Hallucinator {
    /// `[2 d]` to `[d]`.
    pub mlp: MlpHead,
    largest_extrapolation: f64,
    normalise: bool,
}

impl Hallucinator {
    /// The extrapolation r of a step.
    pub fn extrapolation(&self, step: usize, seed: u64) -> f64 {
        generator(seed, step).random::<f64>() * self.largest_extrapolation
    }

    fn scaled(&self, x: Tensor<2>) -> Tensor<2> {
        if self.normalise { unit_rows(x) } else { x }
    }

    /// `[n, d]`: e of queries and keys `[n, d]`.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn extrapolated(&self, queries: Tensor<2>, keys: Tensor<2>, r: f64) -> Tensor<2> {
        assert_eq!(queries.dims(), keys.dims(), "the shapes of queries and keys");
        check_types(&[("queries", queries.dtype()), ("keys", keys.dtype())]);
        self.scaled(queries) * (1.0 + r) - self.scaled(keys) * r
    }

    /// `[n, d]`: one more query for each key.
    ///
    /// # Panics
    /// When the shapes differ, or the width is not that of the network.
    pub fn forward(&self, queries: Tensor<2>, keys: Tensor<2>, r: f64) -> Tensor<2> {
        let e = self.extrapolated(queries.clone(), keys, r);
        self.mlp.forward(Tensor::cat(vec![self.scaled(queries), e], 1))
    }

    /// `[2 n, d]`: queries and hallucinated queries.
    fn doubled(&self, queries: Tensor<2>, keys: Tensor<2>, r: f64) -> Tensor<2> {
        let h = self.forward(queries.clone(), keys, r);
        Tensor::cat(vec![queries, h], 0)
    }

    /// MoCo on the doubled queries and the repeated keys: the mean over 2 n. The keys are constants; push them into the queue once,
    /// afterwards. 0 against an empty queue.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn moco_loss(&self, host: &Moco, queries: Tensor<2>, keys: Tensor<2>, queue: &Queue, r: f64) -> Tensor<1> {
        check_types(&[("queries", queries.dtype()), ("keys", keys.dtype()), ("the queue", queue.dtype())]);
        let keys = keys.detach();
        match queue.rows() {
            None => nothing([&queries, &keys]),
            Some(rows) => {
                host.loss_among(self.doubled(queries, keys.clone(), r), Tensor::cat(vec![keys.clone(), keys], 0), rows)
            }
        }
    }

    /// SimSiam on predictions p and projections z `[n, d]` of two views: `[p1 ; H(p1, p2)]` meets z2 twice, and the other way
    /// round, with an r for each direction.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn simsiam_loss(&self, predictions: [Tensor<2>; 2], projections: [Tensor<2>; 2], r: [f64; 2]) -> Tensor<1> {
        let tables = predictions.iter().chain(&projections);
        tables
            .for_each(|x| check_types(&[("the first predictions", predictions[0].dtype()), ("other rows", x.dtype())]));
        let [p0, p1] = predictions;
        let [z0, z1] = projections.map(|z| Tensor::cat(vec![z.clone(), z], 0));
        let first = self.doubled(p0.clone(), p1.clone(), r[0]);
        simsiam(first, self.doubled(p1, p0, r[1]), z0, z1)
    }

    /// NT-Xent on `[q ; h]` and `[k ; k]`, where everything of the same image is left out but the positive itself. (The released code
    /// counts the second copy of a query's own key as a negative.)
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn simclr_loss(&self, host: &NtXent, queries: Tensor<2>, keys: Tensor<2>, r: f64) -> Tensor<1> {
        let n = queries.dims()[0] as i64;
        let images: Vec<i64> = (0..4 * n).map(|row| row % n).collect();
        let objective = host.objective().clone().with_exclusions(Exclusions::same_ids(&images, &images));
        let table = Tensor::cat(vec![self.doubled(queries, keys.clone(), r), keys.clone(), keys], 0);
        objective.loss(&Inputs::self_contrast(table))
    }

    /// The mean of NT-Xent on (q, k) and on (h, k): no copy of any key meets the other copy, so that for h = q it is NT-Xent
    /// itself.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn simclr_halves_loss(&self, host: &NtXent, queries: Tensor<2>, keys: Tensor<2>, r: f64) -> Tensor<1> {
        let h = self.forward(queries.clone(), keys.clone(), r);
        (host.loss(queries, keys.clone()) + host.loss(h, keys)) * 0.5
    }
}
