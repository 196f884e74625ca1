//! The data sets of the protocols, as [training part, test part].

use crate::VisionError;
use contrastive_data::Limits;
use contrastive_data::image::{Cifar, ImageSet, cifar, digits_csv, idx};
use std::path::Path;

/// optdigits in its own split: `optdigits.tra` (3,823) and `optdigits.tes` (1,797) of a folder.
///
/// # Errors
/// When a file is absent or not such digits.
pub fn digits(folder: &Path) -> Result<[ImageSet; 2], VisionError> {
    let read = |name: &str| digits_csv(&folder.join(name), 16, &Limits::default());
    Ok([read("optdigits.tra")?, read("optdigits.tes")?])
}

/// Fashion-MNIST, or another set of the same four files: the first `counts` images of each part.
///
/// # Errors
/// When a file is absent or not IDX.
pub fn fashion(folder: &Path, counts: [usize; 2]) -> Result<[ImageSet; 2], VisionError> {
    let read = |part: &str, count: usize| -> Result<ImageSet, VisionError> {
        let labels = folder.join(format!("{part}-labels-idx1-ubyte.gz"));
        let images = folder.join(format!("{part}-images-idx3-ubyte.gz"));
        Ok(idx(&images, Some(&labels), &Limits::default())?.first(count)?)
    };
    Ok([read("train", counts[0])?, read("t10k", counts[1])?])
}

/// A file of CIFAR-10 records: its first `train` images, and those after them.
///
/// # Errors
/// When the file is absent or no whole number of records, or nothing is left for the test part.
pub fn cifar_subset(file: &Path, train: usize) -> Result<[ImageSet; 2], VisionError> {
    let all = cifar(file, Cifar::Ten, &Limits::default())?;
    if train == 0 || train >= all.len() {
        let what = format!("{train} training images of {}: allowed is 1 to {}", all.len(), all.len() - 1);
        return Err(VisionError::images(all.name(), what));
    }
    let part = |range: std::ops::Range<usize>| all.select(&range.collect::<Vec<_>>());
    Ok([part(0..train)?, part(train..all.len())?])
}
