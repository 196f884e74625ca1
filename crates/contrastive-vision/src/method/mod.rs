//! The published methods. Each is what its paper's algorithm box says; what all share is the [`Frame`].
//!
//! | method | what it compares | what it keeps |
//! |---|---|---|
//! | [`SimClrConfig`] | each view with its other one, among all of the batch | |
//! | [`DclConfig`] | the same, without the positive in the denominator | |
//! | [`MocoConfig`] | a view with its key, among a queue of former keys | momentum encoder, queue |
//! | [`NnClrConfig`] | a view with the nearest former row of its other one | queue |
//! | [`ReSslConfig`] | relations to a queue, of student and teacher | momentum encoder, queue |
//! | [`SimSiamConfig`] | a prediction with the other view, which stands still | |
//! | [`ByolConfig`] | a prediction with the other view by a slow copy | momentum encoder |
//! | [`BarlowTwinsConfig`] | columns: alike across views, different from each other | |
//! | [`VicRegConfig`] | views, and the variance and covariance of columns | |
//! | [`SwAvConfig`] | the even assignment of one view to prototypes with the scores of the others | prototypes, queues |
//! | [`DinoConfig`] | the sharpened outputs of a teacher with those of the student | momentum encoder, centre |
//! | [`MochiConfig`] | the same as MoCo, with negatives mixed of the hardest | momentum encoder, queue |
//! | [`FeatureTransformConfig`] | the same, with positives pushed apart and negatives mixed at random | momentum encoder, queue |
//! | [`HallucinatorConfig`] | one more query for each key, made by a small network | with MoCo: momentum encoder, queue |
//! | [`PixProConfig`] | cells of two crops that see the same place | momentum encoder |
//! | [`CacrConfig`] | the farthest view attracts most, the nearest image repels most | with a queue: momentum encoder, queue |
//! | [`GroCoConfig`] | every positive nearer than every hard negative, by sorting | |
//! | [`AmclConfig`] | views in several heads, a temperature for each pair | |
//! | [`ISogClrConfig`] | each view with its other one, among all images of the data | a denominator and a temperature of each image |
//! | [`HydraConfig`] | classes with classes, behind a gate of the pair; with labels | |
//! | [`SepClrConfig`] | views of a common and of a salient vector, of images of two kinds | two encoders |
//! | [`AdaInfConfig`] | what another method compares, on real and generated images | that one's |
//! | [`BeclrConfig`] | a prediction with a slow copy's view and its neighbours | momentum encoder, memories in clusters |
//! | [`SupervisedConfig`] | outputs with labels: what the others are measured by | |
//!
//! A method of one's own: its settings implement [`Settings`], itself [`VisionMethod`], on one of the models here or one's own
//! ([`VisionModel`]). Training, views, resume and evaluation follow.

mod adainf;
mod amcl;
mod barlow_twins;
mod beclr;
mod byol;
mod cacr;
mod dcl;
mod dino;
mod feature_transform;
mod frame;
mod groco;
mod hallucinator;
mod hydra;
mod isogclr;
mod keys;
mod mochi;
mod moco;
mod model;
mod momentum;
mod nnclr;
mod pixpro;
mod ressl;
mod sepclr;
mod simclr;
mod simsiam;
mod supervised;
mod swav;
mod vicreg;

pub use adainf::{AdaInfConfig, DistinctSimClr, DistinctSimClrConfig};
pub use amcl::{Amcl, AmclConfig, AmclModel, PairTemperatures};
pub use barlow_twins::{BarlowTwins, BarlowTwinsConfig};
pub use beclr::{Beclr, BeclrConfig, BlockMask};
pub use byol::{Byol, ByolConfig};
pub use cacr::{Cacr, CacrConfig, CacrForm, CacrModel};
pub use dcl::{Dcl, DclConfig};
pub use dino::{Dino, DinoConfig, DinoModel};
pub use feature_transform::{FeatureTransform, FeatureTransformConfig};
pub use frame::{Frame, Settings, Start, Vision, VisionConfig, VisionMethod, VisionTraining};
pub use groco::{GroCo, GroCoConfig, Ordering};
pub use hallucinator::{Hallucinating, Hallucinator, HallucinatorConfig, Host};
pub use hydra::{Hydra, HydraConfig, HydraModel, PairedClasses};
pub use isogclr::{ISogClr, ISogClrConfig};
pub use keys::KeyQueue;
pub use mochi::{Mochi, MochiConfig};
pub use moco::{Moco, MocoConfig};
pub use model::{Predicted, Projected, VisionModel};
pub use momentum::Momentum;
pub use nnclr::{NnClr, NnClrConfig};
pub use pixpro::{CellLoss, PixPro, PixProConfig, PixProModel};
pub use ressl::{ReSsl, ReSslConfig};
pub use sepclr::{SepClr, SepClrConfig, SepClrModel, Separation, Tower};
pub use simclr::{SimClr, SimClrConfig};
pub use simsiam::{SimSiam, SimSiamConfig};
pub use supervised::{Supervised, SupervisedConfig};
pub use swav::{Codes, SwAv, SwAvConfig, SwAvModel};
pub use vicreg::{VicReg, VicRegConfig};
