//! How positives are weighted, which direction is compared, and how rows become one value.

use std::sync::Arc;

/// Target weights `t_ip` of an anchor's positives.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PositiveWeights {
    /// `1 / |P_i|`: the mean over its positives.
    #[default]
    Mean,
    /// 1 each: the sum over its positives.
    Sum,
    /// One weight for all positives of an anchor, one for each anchor.
    PerAnchor(Arc<Vec<f64>>),
    /// The weights of the [`PairLists`](crate::pairs::PairLists).
    Listed,
}

/// Which direction is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Anchors among candidates.
    #[default]
    Forward,
    /// Also candidates among anchors; the value is the mean of the two (CLIP), or their sum when rows are summed.
    Both,
}

/// How the rows' values become one.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Reduction {
    /// The mean over all anchors; an anchor without positives counts as 0.
    #[default]
    Mean,
    /// The mean over the anchors that have a positive.
    MeanWithPositives,
    /// The mean over the anchors whose value is above 0 (the "average of the nonzero" of metric-learning libraries); 0 when there
    /// is none. The number of such anchors is a constant for the gradient. Costs one more pass for the values.
    MeanNonZero,
    /// The mean over positive pairs: with [`PositiveWeights::Sum`], every pair counts the same.
    MeanOverPairs,
    /// The sum over anchors.
    Sum,
    /// `sum_i w_i l_i` with these weights, one for each anchor.
    Weighted(Arc<Vec<f64>>),
}
