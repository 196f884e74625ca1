//! Neighbourhood component analysis, among labelled rows or proxies of the classes.

use crate::error::{ObjectiveError, positive};
use crate::objective::distributed::{DistributedError, ObjectiveId, Ranks};
use crate::objective::proxy::classes::classes;
use crate::objective::{Inputs, PairObjective, Placement, PositiveWeights, Reduction};
use crate::pairs::Pairs;
use burn::tensor::Tensor;

/// Neighbourhood component analysis (Goldberger et al. 2004) of unit rows: `-log` of the share of an anchor's own label in the
/// softmax of `-scale d^2` over all others; the mean over anchors that have a positive.
#[derive(Clone, Debug)]
pub struct Nca(PairObjective);

impl Nca {
    /// The scale of the squared distances (1).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(scale: f64) -> Result<Self, ObjectiveError> {
        // -scale d^2 = 2 scale s - 2 scale
        let objective = PairObjective::new(0.5 / positive("scale", scale)?)?.with_placement(Placement::Inside);
        Ok(Self(objective.with_positive_weights(PositiveWeights::Sum).with_reduction(Reduction::MeanWithPositives)))
    }

    /// Rows `[n, d]` with a label each. The value is `[1]`; 0 where no row has a positive, or none a negative.
    ///
    /// # Panics
    /// When rows and labels differ in number, or there are no rows.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        self.0.clone().with_pairs(Pairs::labels(labels)).loss(&Inputs::self_contrast(rows))
    }

    /// The loss of the rows of all ranks together: each rank brings its own rows `[n, d]` and their labels, the same label is one class on
    /// all ranks. The value is `[1]`.
    ///
    /// # Errors
    /// When a rank is gone, or ranks disagree about scale, widths or types.
    ///
    /// # Panics
    /// When this rank's rows and labels differ in number, or it has no rows.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        rows: Tensor<2>,
        labels: &[i64],
    ) -> Result<Tensor<1>, DistributedError> {
        self.0.clone().with_pairs(Pairs::labels(labels)).distributed_loss(ranks, &Inputs::self_contrast(rows))
    }

    /// Proxy-NCA (Movshovitz-Attias et al. 2017, with the positive in the denominator): rows `[n, d]` among one proxy for each
    /// class, `[c, d]`; labels are class numbers. The value is `[1]`.
    ///
    /// # Panics
    /// When rows and labels differ in number, or a label is not a class.
    pub fn loss_with_proxies(&self, rows: Tensor<2>, labels: &[i64], proxies: Tensor<2>) -> Tensor<1> {
        let pairs = classes(labels, proxies.dims()[0]);
        self.0.clone().with_pairs(pairs).loss(&Inputs::new(rows, proxies))
    }

    /// Proxy-NCA of the rows of all ranks together: each rank brings its own rows `[n, d]`; the proxies `[c, d]` are the same everywhere, and
    /// their gradient is this rank's share. The value is `[1]`.
    ///
    /// # Errors
    /// When a rank is gone, or ranks disagree about the number of proxies or widths.
    ///
    /// # Panics
    /// As [`loss_with_proxies`](Self::loss_with_proxies).
    pub fn distributed_loss_with_proxies(
        &self,
        ranks: &Ranks<'_>,
        rows: Tensor<2>,
        labels: &[i64],
        proxies: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        let (n, [c, d]) = (rows.dims()[0], proxies.dims());
        let same = [ObjectiveId::ProxyNca.to_agree(), ("proxies", c as f64), ("width of the proxies", d as f64)];
        let all = ranks.place(n, false, &same)?.all;
        ranks.sum_of_losses(self.loss_with_proxies(rows, labels, proxies) * (n as f64 / all as f64))
    }
}
