//! SimCTG (Su et al., NeurIPS 2022): states of different tokens of a sequence are told apart.

use crate::attach::attach;
use crate::settings::{Check, SettingError};
use crate::similarity::unit_rows;
use burn::tensor::Tensor;
use std::ops::Range;

/// Rows of a sequence that are compared with all of it at once.
const BLOCK: usize = 128;

/// SimCTG's contrastive loss (equation 2): a hinge on the cosine of every two tokens of a sequence,
///
/// ```text
/// L = 1 / pairs  sum over sequences, i != j of max(0, rho - 1 + cos(h_i, h_j))
/// ```
///
/// over the pairs of all sequences together (long sequences weigh more, as in the released code), in both orders, equal tokens
/// included. The gradient flows to both states. Memory is linear in the tokens: blocks of rows are compared one after the other. Without
/// a pair the loss is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimCtg {
    margin: f64,
}

impl SimCtg {
    /// rho: 0.5 in the paper, at most 2; 0 gives a loss of 0.
    ///
    /// # Errors
    /// When it is not in 0 to 2.
    pub fn new(margin: f64) -> Result<Self, SettingError> {
        Check::new("simctg").that((0.0..=2.0).contains(&margin), "margin", margin, "0 to 2")?;
        Ok(Self { margin })
    }

    /// The loss `[1]` of states `[tokens, e]`; only real tokens have a row, padding has none. `offsets`: where each sequence begins, and
    /// at the end the number of tokens.
    ///
    /// # Panics
    /// When the offsets do not rise from 0 to the number of tokens.
    pub fn loss(&self, hidden: Tensor<2>, offsets: &[usize]) -> Tensor<1> {
        let unit = unit_rows(hidden);
        let (value, gradient) = self.evaluate_unit(unit.clone().inner(), offsets);
        attach(value, &unit, gradient)
    }

    /// The loss `[1]` of rows of length 1, outside of autodiff, and its gradient.
    ///
    /// # Panics
    /// When the offsets do not rise from 0 to the number of tokens.
    pub fn evaluate_unit(&self, unit: Tensor<2>, offsets: &[usize]) -> (Tensor<1>, Tensor<2>) {
        let [total, width] = unit.dims();
        check(offsets, total);
        let (device, dtype) = (unit.device(), unit.dtype());
        let mut value = Tensor::<1>::zeros([1], (&device, dtype));
        let scale = 1.0 / pairs(offsets).max(1) as f64;
        let mut gradients = Vec::new();
        for range in ranges(offsets).filter(|range| !range.is_empty()) {
            let all = rows(&unit, range.clone());
            for start in range.clone().step_by(BLOCK) {
                let block = start..(start + BLOCK).min(range.end);
                // what is above 0 of margin - 1 + cosine, not of a token with itself
                let cosines = rows(&unit, block.clone()).matmul(all.clone().transpose());
                let hinge = (cosines + (self.margin - 1.0)).clamp_min(0.0);
                let own = Tensor::<2>::eye(range.len(), &device).cast(dtype);
                let own = own.narrow(0, block.start - range.start, block.len());
                let hinge = hinge * (own * -1.0 + 1.0);
                value = value + hinge.clone().sum() * scale;
                // both orders of a pair
                let active = hinge.greater_elem(0.0).float().cast(dtype);
                gradients.push(active.matmul(all.clone()) * (2.0 * scale));
            }
        }
        match gradients.is_empty() {
            true => (value, Tensor::zeros([total, width], (&device, dtype))),
            false => (value, Tensor::cat(gradients, 0)),
        }
    }

    /// The same in plain differentiable operations, each sequence's matrix of cosines at once: the definition.
    ///
    /// # Panics
    /// When the offsets do not rise from 0 to the number of tokens.
    pub fn dense(&self, hidden: Tensor<2>, offsets: &[usize]) -> Tensor<1> {
        check(offsets, hidden.dims()[0]);
        let (device, dtype, unit) = (hidden.device(), hidden.dtype(), unit_rows(hidden.clone()));
        let scale = 1.0 / pairs(offsets).max(1) as f64;
        ranges(offsets).filter(|range| range.len() > 1).fold(hidden.sum() * 0.0, |sum, range| {
            let x = rows(&unit, range.clone());
            let others = Tensor::<2>::eye(range.len(), &device).cast(dtype) * -1.0 + 1.0;
            let hinge = (x.clone().matmul(x.transpose()) + (self.margin - 1.0)).clamp_min(0.0);
            sum + (hinge * others).sum() * scale
        })
    }
}

fn check(offsets: &[usize], tokens: usize) {
    let fit = offsets.first() == Some(&0) && offsets.last() == Some(&tokens) && offsets.is_sorted();
    assert!(fit, "offsets {offsets:?} of {tokens} tokens: they must rise from 0 to the number of tokens");
}

fn ranges(offsets: &[usize]) -> impl Iterator<Item = Range<usize>> + '_ {
    offsets.windows(2).map(|pair| pair[0]..pair[1])
}

fn pairs(offsets: &[usize]) -> usize {
    ranges(offsets).map(|range| range.len() * range.len().saturating_sub(1)).sum()
}

fn rows(x: &Tensor<2>, range: Range<usize>) -> Tensor<2> {
    x.clone().narrow(0, range.start, range.len())
}
