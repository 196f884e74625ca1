//! Which objective ranks evaluate together.

/// An objective that is not a [`PairObjective`](crate::objective::PairObjective), which sends a hash of its choices.
#[derive(Clone, Copy)]
pub(crate) enum ObjectiveId {
    Sigmoid = 1,
    BarlowTwins,
    VicReg,
    Uniformity,
    Alignment,
    ProxyNca,
    Dcl,
    OneToK,
    MultipleNegativesRanking,
    DebiasedInfoNce,
}

impl ObjectiveId {
    /// Its published name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid loss",
            Self::BarlowTwins => "Barlow Twins",
            Self::VicReg => "VICReg",
            Self::Uniformity => "uniformity",
            Self::Alignment => "alignment",
            Self::ProxyNca => "Proxy-NCA",
            Self::Dcl => "DCL",
            Self::OneToK => "1-to-K",
            Self::MultipleNegativesRanking => "multiple-negatives ranking",
            Self::DebiasedInfoNce => "debiased InfoNCE",
        }
    }

    /// What all ranks must agree on first: a number that is negative, so that no hash of a `PairObjective` equals it.
    pub fn to_agree(self) -> (&'static str, f64) {
        (self.name(), -f64::from(self as u8))
    }
}
