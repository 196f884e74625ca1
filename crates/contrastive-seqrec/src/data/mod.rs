//! What comes in: lists of items, their split, the samples of training.

mod error;
mod events;
pub mod generate;
mod note;
mod partners;
mod samples;
mod sequences;
mod split;
mod text;

pub use error::SequenceError;
pub use events::EventColumns;
pub use note::Note;
pub use partners::{PartnerRule, Partners};
pub use samples::{Mode, Sample, Samples, dynamic_segments};
pub use sequences::Sequences;
pub use split::{LeaveOneOut, Part, ShortUsers, Taken};
