//! Representations from videos without actions, and what persistent noise does to them (Misra et al. 2024).

mod model;
mod training;
mod transitions;

pub use model::{VideoModel, embed};
pub use training::{Negatives, Pictures, Video, VideoBatch, VideoConfig, VideoObjective};
pub use transitions::{Transition, Transitions};
