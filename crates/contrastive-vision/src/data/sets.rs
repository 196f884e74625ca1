//! The data sets of the protocols, as [training part, test part].

use crate::VisionError;
use contrastive_data::Limits;
use contrastive_data::image::{Cifar, ImageSet, cifar, digits_csv, idx};
use contrastive_train::Check;
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

/// A long tail of a set, and the images that are left: of class c of C the first `most (least / most)^(c / (C - 1))` images, rounded, or all
/// there are. With `most = least` it is the first so many of every class. Images without a label stay in the rest.
///
/// # Errors
/// When a number is 0, `least` is above `most`, or a part would be empty.
pub fn long_tail(set: &ImageSet, most: usize, least: usize) -> Result<[ImageSet; 2], VisionError> {
    let check = Check::new("long tail");
    check.count("least", least)?;
    check.that(least <= most, "least", least, format!("1 to the most of {most}"))?;
    let last = set.classes().len().saturating_sub(1).max(1) as f64;
    let share = least as f64 / most as f64;
    let mut wanted: Vec<usize> =
        (0..set.classes().len()).map(|c| (most as f64 * share.powf(c as f64 / last)).round() as usize).collect();
    let (mut tail, mut rest) = (Vec::new(), Vec::new());
    for image in 0..set.len() {
        match set.label(image).map(|label| &mut wanted[label as usize]) {
            Some(left) if *left > 0 => {
                *left -= 1;
                tail.push(image);
            }
            _ => rest.push(image),
        }
    }
    if tail.is_empty() || rest.is_empty() {
        let what = format!("a long tail of {} and {} left: both parts need an image", tail.len(), rest.len());
        return Err(VisionError::images(set.name(), what));
    }
    Ok([set.select(&tail)?, set.select(&rest)?])
}
