//! The decoupled contrastive loss, and its weighted form DCLW.

use crate::attach::attach;
use crate::error::{ObjectiveError, positive};
use crate::host::{numbers, to_f64};
use crate::objective::distributed::{DistributedError, ObjectiveId, Ranks};
use crate::objective::engine::views::{stacked, two_samples};
use crate::objective::ranking::sentence_pairs::cosines;
use crate::objective::{Denominator, Inputs, PairObjective, PositiveWeights, computed};
use crate::pairs::Pairs;
use crate::temperature::Temperature;
use burn::tensor::{Tensor, activation::softmax};
use std::sync::Arc;

/// Decoupled contrastive loss (Yeh et al. 2022, equation 6): NT-Xent whose denominator leaves the positive out.
#[derive(Clone, Debug)]
pub struct Dcl {
    objective: PairObjective,
    sigma: Option<f64>,
    differentiated: bool,
}

impl Dcl {
    /// Cosine similarities at this temperature, the mean over the 2N rows.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        let objective =
            PairObjective::new(temperature)?.with_pairs(Pairs::TwoViews).with_denominator(Denominator::NegativesOnly);
        Ok(Self { objective, sigma: None, differentiated: false })
    }

    /// DCLW (section 3.3): the positive term of sample i weighs `2 - N softmax_i(z0_i . z1_i / sigma)`, a constant to the
    /// gradient; `sigma` is 0.5 in the paper.
    ///
    /// # Errors
    /// When sigma is not a finite number above 0.
    pub fn with_weights(mut self, sigma: f64) -> Result<Self, ObjectiveError> {
        self.sigma = Some(positive("sigma of DCLW", sigma)?);
        Ok(self)
    }

    /// Do DCLW's weights carry gradients? The paper does not say; unless asked, they are constants.
    pub fn with_differentiated_weights(mut self, differentiated: bool) -> Self {
        self.differentiated = differentiated;
        self
    }

    /// The objective behind the name, on the two views stacked (without DCLW's weights, which depend on the batch).
    pub fn objective(&self) -> &PairObjective {
        &self.objective
    }

    /// DCLW's weight of each sample's positive, of mean 1; `None` for DCL, whose weights are all 1.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn weights(&self, first: &Tensor<2>, second: &Tensor<2>) -> Option<Vec<f64>> {
        let sigma = self.sigma?;
        let n = first.dims()[0] as f64;
        let share = softmax(cosines(first.clone().inner(), second.clone().inner()) * (1.0 / sigma), 0);
        Some(share.into_data().iter::<f64>().map(|p| 2.0 - n * p).collect())
    }

    /// Two views `[n, d]` of the same n samples. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or there are less than two samples: a single one has no negatives.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        two_samples("DCL", &first);
        let inputs = Inputs::self_contrast(stacked(first.clone(), second.clone()));
        let objective = match self.weights(&first, &second) {
            Some(weights) => self.weighing(&weights),
            None => self.objective.clone(),
        };
        let value = objective.loss(&inputs);
        match (self.sigma, objective.temperature) {
            (Some(sigma), Temperature::Fixed(t)) if self.differentiated => {
                // of the positive terms -w_i s_i / (n t) the part that moves with w_i = 2 - n p_i
                let s = cosines(first, second);
                let pushed = (softmax(s.clone() * (1.0 / sigma), 0) * s.detach()).sum() * (1.0 / t);
                value + pushed.clone() - pushed.detach()
            }
            _ => value,
        }
    }

    /// The loss of the samples of all ranks together: each rank brings its own two views `[n, d]`, and DCLW's softmax is over the samples of
    /// all. The value is `[1]`.
    ///
    /// # Errors
    /// When a rank is gone, ranks disagree about choices, widths or types, or there are less than two samples in all.
    ///
    /// # Panics
    /// When this rank's shapes differ, or it has no rows.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        first: Tensor<2>,
        second: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        let same = [
            ObjectiveId::Dcl.to_agree(),
            ("sigma of DCLW", self.sigma.unwrap_or(0.0)),
            ("weights with gradients", f64::from(u8::from(self.differentiated))),
        ];
        let rows = ranks.place(first.dims()[0], false, &same)?.all;
        if rows < 2 {
            let world = ranks.communicator().world();
            return Err(DistributedError::TooFew { what: "DCL", rows, world, least: 2 });
        }
        let inputs = Inputs::self_contrast(stacked(first.clone(), second.clone()));
        let (Some(sigma), Temperature::Fixed(t)) = (self.sigma, self.objective.temperature) else {
            return self.objective.distributed_loss(ranks, &inputs);
        };
        let like = computed(first.clone().inner());
        let cosines = cosines(first, second);
        let s = to_f64(cosines.clone().inner());
        let logits: Vec<f64> = s.iter().map(|s| s / sigma).collect();
        let all = ranks.log_sum(&logits)?;
        let shares: Vec<f64> = logits.iter().map(|s| (s - all).exp()).collect();
        let weights: Vec<f64> = shares.iter().map(|p| 2.0 - rows as f64 * p).collect();
        let value = self.weighing(&weights).distributed_loss(ranks, &inputs)?;
        if !self.differentiated {
            return Ok(value);
        }
        // sum_i p_i s_i / t by the logits of the shares p alone
        let terms = || shares.iter().zip(&s);
        let mean = ranks.total(terms().map(|(p, s)| p * s).sum())?;
        let slopes: Vec<f64> = terms().map(|(p, s)| p * (s - mean) / (sigma * t)).collect();
        Ok(attach(value, &cosines, numbers(&slopes, &like)))
    }

    /// The objective under these weights of the samples' positives.
    fn weighing(&self, weights: &[f64]) -> PairObjective {
        let weights = [weights, weights].concat();
        let objective = self.objective.clone().with_denominator_weights(Arc::new(vec![1.0; weights.len()]));
        objective.with_positive_weights(PositiveWeights::PerAnchor(Arc::new(weights)))
    }
}
