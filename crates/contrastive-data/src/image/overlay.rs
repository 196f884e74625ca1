//! Images on images.

use super::{ImageSet, Images, Picture};
use crate::{FileError, Origin, Place};

/// Each image of a set with another on it: `(1 - share) image + share other`, or `(1 - share) image` alone where there is none. Labels,
/// classes and ids are those of the set; pixels are kept as bytes, white being 255.
///
/// # Errors
/// [`FileError::Malformed`] when the share is not within 0 and 1, or a picture has another shape than the images.
pub fn overlaid(
    set: &ImageSet,
    share: f32,
    other: impl Fn(usize) -> Option<Picture<f32>>,
) -> Result<ImageSet, FileError> {
    let place = || Origin::memory(Place::Part(format!("overlays on {:?}", set.name())));
    if !(0.0..=1.0).contains(&share) {
        return Err(place().malformed(format!("a share of {share}"), "0 to 1"));
    }
    let mut pixels = Vec::with_capacity(set.len() * set.shape().iter().product::<usize>());
    for image in 0..set.len() {
        let base = set.picture::<f32>(image);
        let over = other(image);
        if let Some(over) = over.as_ref().filter(|over| over.shape() != base.shape()) {
            let found = format!("a picture of {:?} on image {image} of {:?}", over.shape(), base.shape());
            return Err(place().malformed(found, "the same channels, height and width"));
        }
        for (at, x) in base.data.iter().enumerate() {
            let y = over.as_ref().map_or(0.0, |over| over.data[at]);
            pixels.push((((1.0 - share) * x + share * y).clamp(0.0, 1.0) * 255.0).round() as u8);
        }
    }
    ImageSet::new(Images {
        name: set.name().into(),
        shape: set.shape(),
        white: 255,
        pixels,
        labels: (0..set.len()).map(|image| set.label(image).map_or(-1, |label| label as i32)).collect(),
        classes: set.classes().to_vec(),
        ids: set.ids().to_vec(),
        notes: set.notes().to_vec(),
    })
}
