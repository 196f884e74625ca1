//! A temperature for each pair, predicted from its two rows.

use super::joined::products;
use super::{add, rows_of};
use crate::attach::attach;
use crate::head::seeded::Seeded;
use crate::head::{HeadError, at_least};
use crate::objective::computed_in;
use crate::objective::logistic;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Tensor, TensorCreationOptions};
use std::ops::Range;

/// Settings of a [`PairTemperature`].
#[derive(Config, Debug, PartialEq)]
pub struct PairTemperatureConfig {
    /// Width of the rows.
    pub width: usize,
    /// Width r of the features that are compared.
    #[config(default = 16)]
    pub rank: usize,
    /// Smallest temperature. It is part of the method: positives run to it. (Released code: 1e-5, where logits reach 1e5.)
    #[config(default = 0.05)]
    pub lowest: f64,
    /// Largest temperature: negatives run to it. (Released code: 2.)
    #[config(default = 1.0)]
    pub highest: f64,
}

impl PairTemperatureConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When a width is 0, or not `0 < lowest < highest`.
    pub fn validate(&self) -> Result<(), HeadError> {
        at_least(&[("width of the rows", self.width, 1), ("rank", self.rank, 1)])?;
        if !self.highest.is_finite() || self.highest <= 0.0 {
            let allowed = "(0, infinity)";
            return Err(HeadError::Outside { name: "highest temperature", value: self.highest, allowed });
        }
        if self.lowest.is_nan() || self.lowest <= 0.0 || self.lowest >= self.highest {
            let allowed = "(0, highest temperature)";
            return Err(HeadError::Outside { name: "lowest temperature", value: self.lowest, allowed });
        }
        Ok(())
    }

    /// The network on a device, of that device's float type unless one is given.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, seed: u64, on: impl Into<TensorCreationOptions>) -> Result<PairTemperature, HeadError> {
        self.validate()?;
        let on = on.into();
        let phi = Seeded::new(seed, on.clone()).linear(self.width, self.rank, true);
        let offset = Param::from_tensor(Tensor::zeros([1], on.clone()));
        let slope = Param::from_tensor(Tensor::ones([1], on));
        Ok(PairTemperature { phi, offset, slope, lowest: self.lowest, highest: self.highest })
    }
}

/// A temperature for each pair, differentiable:
///
/// ```text
/// tau_ij = lowest + (highest - lowest) logistic(b - w phi(z_i) . phi(z_j) / sqrt(r))
/// ```
///
/// with phi linear, b and w learned. A form of AMCL's network that needs one matrix product for all pairs instead of a network
/// on every concatenated pair. With the minus sign (w starts at 1) the most similar pairs get the smallest temperatures, as the
/// likelihood wants them.
#[derive(Module, Debug)]
pub struct PairTemperature {
    /// `[d]` to `[r]`.
    pub phi: Linear,
    /// `[1]`: b.
    pub offset: Param<Tensor<1>>,
    /// `[1]`: w.
    pub slope: Param<Tensor<1>>,
    lowest: f64,
    highest: f64,
}

/// A block of temperatures and what their derivatives need, all plain `[b, m]`.
struct Block {
    tau: Tensor<2>,
    share: Tensor<2>,
    product: Tensor<2>,
}

impl PairTemperature {
    /// `[n, r]`: features of rows `[n, d]`.
    ///
    /// # Panics
    /// When the width differs.
    pub fn features(&self, rows: Tensor<2>) -> Tensor<2> {
        self.phi.forward(rows)
    }

    fn norm(&self) -> f64 {
        1.0 / (self.phi.weight.dims()[1] as f64).sqrt()
    }

    /// `[n]`: the temperatures of rows with rows, from their features `[n, r]`; differentiable.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn of_pairs(&self, first: &Tensor<2>, second: &Tensor<2>) -> Tensor<1> {
        let x = self.offset.val() - products(first, second) * self.slope.val() * self.norm();
        logistic(x) * (self.highest - self.lowest) + self.lowest
    }

    /// `[n, m]`: the temperatures of all pairs, from features `[n, r]` and `[m, r]`; differentiable, with the whole matrix. The
    /// definition, and the oracle of the tests.
    ///
    /// # Panics
    /// When the widths differ.
    pub fn dense(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<2> {
        let product = first.matmul(second.transpose()) * self.norm();
        let x = self.offset.val().reshape([1, 1]) - product * self.slope.val().reshape([1, 1]);
        logistic(x) * (self.highest - self.lowest) + self.lowest
    }

    /// Plain features of a block of rows `[b, r]` and of all `[m, r]`.
    fn block(&self, first: Tensor<2>, second: Tensor<2>) -> Block {
        let product = first.matmul(second.transpose()) * self.norm();
        let one = |p: &Param<Tensor<1>>| p.val().inner().cast(product.dtype()).reshape([1, 1]);
        let share = logistic(one(&self.offset) - product.clone() * one(&self.slope));
        Block { tau: share.clone() * (self.highest - self.lowest) + self.lowest, share, product }
    }

    /// What `by_tau` `[b, m]`, the derivative by the temperatures of a block, means for the products of features `[b, m]`, and
    /// for b and w.
    fn back(&self, block: &Block, by_tau: Tensor<2>) -> (Tensor<2>, [Tensor<1>; 2]) {
        let rest = block.share.clone() * -1.0 + 1.0;
        let by_x = by_tau * block.share.clone() * rest * (self.highest - self.lowest);
        let slope = self.slope.val().inner().cast(by_x.dtype()).reshape([1, 1]);
        let numbers = [by_x.clone().sum(), (by_x.clone() * block.product.clone()).sum() * -1.0];
        (by_x * slope * -self.norm(), numbers)
    }
}

/// Where the temperatures of all pairs come from, block by block of rows; and the gradients that arrive there.
pub(super) trait Temperatures {
    /// Does any gradient flow from here?
    fn is_tracked(&self) -> bool;

    /// `[b, m]`: plain temperatures of a range of the n rows with all m.
    fn block(&mut self, range: &Range<usize>, shape: [usize; 2]) -> Tensor<2>;

    /// The derivative by the block that was given last.
    fn take(&mut self, range: &Range<usize>, by_tau: Tensor<2>);

    /// The value with all that was taken attached.
    fn attached(&mut self, value: Tensor<1>) -> Tensor<1>;
}

fn plain(x: &Tensor<2>) -> Tensor<2> {
    x.clone().inner().cast(computed_in(x.dtype()))
}

/// A matrix of temperatures.
pub(super) struct Given<'a> {
    tau: &'a Tensor<2>,
    by_rows: Vec<Tensor<2>>,
}

impl<'a> Given<'a> {
    pub fn new(tau: &'a Tensor<2>) -> Self {
        Self { tau, by_rows: Vec::new() }
    }
}

impl Temperatures for Given<'_> {
    fn is_tracked(&self) -> bool {
        self.tau.is_tracked()
    }

    fn block(&mut self, range: &Range<usize>, shape: [usize; 2]) -> Tensor<2> {
        assert_eq!(self.tau.dims(), shape, "the shapes of temperatures and of pairs");
        rows_of(&plain(self.tau), range)
    }

    fn take(&mut self, _: &Range<usize>, by_tau: Tensor<2>) {
        self.by_rows.push(by_tau);
    }

    fn attached(&mut self, value: Tensor<1>) -> Tensor<1> {
        attach(value, self.tau, Tensor::cat(std::mem::take(&mut self.by_rows), 0))
    }
}

/// A network's temperatures, made from features of both sides.
pub(super) struct Learned<'a> {
    network: &'a PairTemperature,
    features: [Tensor<2>; 2],
    plain: [Tensor<2>; 2],
    block: Option<Block>,
    by_first: Vec<Tensor<2>>,
    by_second: Option<Tensor<2>>,
    by_numbers: Option<[Tensor<1>; 2]>,
}

impl<'a> Learned<'a> {
    pub fn new(network: &'a PairTemperature, first: Tensor<2>, second: Tensor<2>) -> Self {
        let plain = [plain(&first), plain(&second)];
        let features = [first, second];
        Self { network, features, plain, block: None, by_first: Vec::new(), by_second: None, by_numbers: None }
    }
}

impl Temperatures for Learned<'_> {
    fn is_tracked(&self) -> bool {
        let numbers = [&self.network.offset, &self.network.slope];
        self.features.iter().any(Tensor::is_tracked) || numbers.iter().any(|p| p.val().is_tracked())
    }

    fn block(&mut self, range: &Range<usize>, _: [usize; 2]) -> Tensor<2> {
        let block = self.network.block(rows_of(&self.plain[0], range), self.plain[1].clone());
        self.block.insert(block).tau.clone()
    }

    fn take(&mut self, range: &Range<usize>, by_tau: Tensor<2>) {
        let block = self.block.take().expect("a block was given");
        let (by_product, [offset, slope]) = self.network.back(&block, by_tau);
        self.by_first.push(by_product.clone().matmul(self.plain[1].clone()));
        add(&mut self.by_second, by_product.transpose().matmul(rows_of(&self.plain[0], range)));
        self.by_numbers = Some(match self.by_numbers.take() {
            Some([a, b]) => [a + offset, b + slope],
            None => [offset, slope],
        });
    }

    fn attached(&mut self, value: Tensor<1>) -> Tensor<1> {
        let (Some(by_second), Some([offset, slope])) = (self.by_second.take(), self.by_numbers.take()) else {
            return value;
        };
        let value = attach(value, &self.features[0], Tensor::cat(std::mem::take(&mut self.by_first), 0));
        let value = attach(value, &self.features[1], by_second);
        let value = attach(value, &self.network.offset.val(), offset);
        attach(value, &self.network.slope.val(), slope)
    }
}
