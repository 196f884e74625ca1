//! Objectives that compare no pairs of rows, or only few: two views of a sample, dimensions with each other, rows with
//! prototypes.

mod alignment_uniformity;
mod barlow_twins;
mod beclr;
mod byol;
mod dino;
mod discrepancy;
mod hard_concrete;
mod joint_entropy;
mod moments;
mod sep_clr;
mod simsiam;
mod sinkhorn;
mod soft_targets;
mod swav;
mod vicreg;
mod w_mse;
mod whitening;

pub use alignment_uniformity::{Alignment, AlignmentUniformity, Uniformity};
pub use barlow_twins::BarlowTwins;
pub use beclr::{Beclr, Enhanced, Pairing};
pub use byol::byol;
pub use dino::{Dino, DinoCenter};
pub use discrepancy::{Discrepancy, MaximumMeanDiscrepancy};
pub use hard_concrete::HardConcrete;
pub use joint_entropy::JointEntropy;
pub use sep_clr::{Attribute, SepClr, SepClrTerms};
pub use simsiam::{negative_cosine, simsiam};
pub use sinkhorn::{Sinkhorn, SinkhornError};
pub use soft_targets::soft_cross_entropy;
pub use swav::{SwAv, SwAvQueues, SwAvSizes};
pub use vicreg::{Variance, VicReg};
pub use w_mse::WMse;
pub use whitening::{Whitening, WhiteningError, WhiteningForm};
