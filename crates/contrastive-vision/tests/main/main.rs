//! Images, end to end: what the methods promise, resume, protocols, loader, bad input.

#[path = "../../../../tests/golden/mod.rs"]
mod golden;

mod audit;
mod bad_input;
mod beclr;
mod encoder;
mod evaluate;
mod hard_negatives;
mod inflation;
mod kinds;
mod loader;
mod lsa;
mod mechanisms;
mod methods;

use burn::tensor::Device;
use contrastive_data::augment::{Augmentation, Interpolation, Step, Views};
use contrastive_data::image::{ImageSet, shapes};
use contrastive_train::{Budget, TrainingConfig};
use contrastive_vision::encoder::EncoderConfig;
use contrastive_vision::method::Frame;

fn device() -> Device {
    Device::default()
}

/// 48 rendered shapes of 12 x 12 pixels.
fn images() -> ImageSet {
    shapes(48, 12, 3)
}

fn views(size: usize) -> Augmentation {
    let crop = Step::Crop { area: [0.5, 1.0], aspect: [0.8, 1.25], interpolation: Interpolation::Bilinear, centre: 1 };
    Augmentation::new(size).then(crop.always()).then(Step::Flip.with(0.5)).then(Step::Noise(0.05).always())
}

/// Batches of 8: six steps an epoch.
fn frame() -> Frame {
    let training = TrainingConfig::new(Budget::Steps(20), 8, 1e-2);
    Frame::new(EncoderConfig::conv(&[4, 6]), [8, 5], Views::two(views(12)), training)
}
