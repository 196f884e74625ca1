//! Sub-centre ArcFace.

use super::centers::{CenterLoss, NearestCenter, checked};
use crate::error::{ObjectiveError, not_negative, positive};
use contrastive_kernels::rowwise::{CenterPool, CenterSoftmax, MarginSoftmax, TargetMargin};

/// Sub-centre ArcFace (Deng et al. 2020, equation 3): [ArcFace](crate::objective::ClassMargin::arcface) whose classes have K centres each, of which
/// the nearest counts, so that one of them can gather what is labelled wrongly.
pub type SubCenterArcFace = CenterLoss<NearestCenter>;

impl SubCenterArcFace {
    /// The margin in radians, the scale, and the number of centres of a class (the paper's values are 0.5, 64 and 3).
    ///
    /// # Errors
    /// When the margin is negative, the scale not above 0, either not finite, or a class has no centre.
    pub fn new(margin: f64, scale: f64, centers: usize) -> Result<Self, ObjectiveError> {
        let margin = TargetMargin::Angle(not_negative("margin", margin)?);
        let softmax = MarginSoftmax { scale: positive("scale", scale)?, margin };
        let function = CenterSoftmax { softmax, centers: checked(centers)?, pool: CenterPool::Nearest };
        Ok(Self::of(function))
    }
}
