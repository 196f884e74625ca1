//! Objectives that compare no pairs of rows, or only few: two views of a thing, dimensions with each other, rows with
//! prototypes, triplets.

mod alignment_uniformity;
mod barlow_twins;
mod byol;
mod dino;
mod moments;
mod simsiam;
mod sinkhorn;
mod soft_targets;
mod swav;
mod triplet;
mod vicreg;
mod whitening;

pub use alignment_uniformity::{Alignment, AlignmentUniformity, Uniformity};
pub use barlow_twins::BarlowTwins;
pub use byol::byol;
pub use dino::{Dino, DinoCenter};
pub use simsiam::{negative_cosine, simsiam};
pub use sinkhorn::{Sinkhorn, SinkhornError};
pub use soft_targets::soft_cross_entropy;
pub use swav::SwAv;
pub use triplet::{Mining, Triplet, triplet_margin};
pub use vicreg::{Variance, VicReg};
pub use whitening::{Whitening, WhiteningError, WhiteningForm};
