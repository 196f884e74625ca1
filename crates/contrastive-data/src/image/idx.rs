//! IDX: the format of MNIST and its successors.

use super::{ImageSet, Images};
use crate::{FileError, FileNote, Limits, Origin, file_name, read_bytes};
use std::path::Path;

/// Magic numbers: unsigned bytes of three dimensions, and of one.
const IMAGES: u32 = 2051;
const LABELS: u32 = 2049;

/// Reads images of an IDX file (plain or gzipped), and labels of a second one. Ids are positions in the file.
///
/// # Errors
/// [`FileError`]: of the files, of another magic number, of a size that is not that of the header, and of labels and images of different
/// number.
pub fn idx(images: &Path, labels: Option<&Path>, limits: &Limits) -> Result<ImageSet, FileError> {
    let bytes = read_bytes(images, limits)?;
    let (shape, pixels) = parse_idx_images(images, &bytes)?;
    let count = pixels.len() / (shape[1] * shape[2]);
    let labels = match labels {
        None => vec![-1; count],
        Some(path) => {
            let labels = parse_idx_labels(path, &read_bytes(path, limits)?)?;
            if labels.len() != count {
                let found = format!("{} labels for the {count} images of {}", labels.len(), file_name(images));
                return Err(Origin::file(path).malformed(found, "one label for each image"));
            }
            labels
        }
    };
    let classes = labels.iter().max().map_or(0, |label| label + 1).max(0);
    ImageSet::new(Images {
        name: file_name(images),
        shape,
        white: 255,
        pixels: pixels.to_vec(),
        labels,
        classes: (0..classes).map(|class| class.to_string()).collect(),
        ids: (0..count).map(|image| image.to_string()).collect(),
        notes: Vec::<FileNote>::new(),
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn header(path: &Path, bytes: &[u8], magic: u32, words: usize) -> Result<Vec<u64>, FileError> {
    let what = if magic == IMAGES { "images" } else { "labels" };
    let all: Option<Vec<u64>> = (0..words).map(|k| word(bytes, 4 * k).map(u64::from)).collect();
    let Some(all) = all else {
        let found = format!("{} bytes", bytes.len());
        return Err(Origin::file(path).malformed(found, format!("an IDX header of {} bytes", 4 * words)));
    };
    if all[0] != u64::from(magic) {
        let found = format!("the magic number {}", all[0]);
        return Err(Origin::byte(path, 0).malformed(found, format!("{magic}: unsigned bytes, IDX {what}")));
    }
    let size = all[1..].iter().try_fold(1u64, |product, side| product.checked_mul(*side));
    let there = (bytes.len() - 4 * words) as u64;
    match size {
        Some(size) if size == there && size > 0 => Ok(all),
        Some(0) => Err(Origin::byte(path, 4).malformed(format!("{:?} {what}", &all[1..]), "sides of 1 and more")),
        _ => {
            let found = format!("{there} bytes behind a header of {:?} {what}", &all[1..]);
            let needed = size.map_or_else(|| "fewer".into(), |size| size.to_string());
            Err(Origin::file(path).malformed(found, format!("{needed} bytes, neither more nor less")))
        }
    }
}

/// The shape `[1, height, width]` and the bytes of an IDX file of images, unpacked.
///
/// # Errors
/// [`FileError::Malformed`] for another magic number, a side of 0, or a size that is not that of the header.
pub fn parse_idx_images<'a>(path: &Path, bytes: &'a [u8]) -> Result<([usize; 3], &'a [u8]), FileError> {
    let header = header(path, bytes, IMAGES, 4)?;
    Ok(([1, header[2] as usize, header[3] as usize], &bytes[16..]))
}

/// The labels of an IDX file, unpacked.
///
/// # Errors
/// As [`parse_idx_images`].
pub fn parse_idx_labels(path: &Path, bytes: &[u8]) -> Result<Vec<i32>, FileError> {
    header(path, bytes, LABELS, 2)?;
    Ok(bytes[8..].iter().map(|label| i32::from(*label)).collect())
}
