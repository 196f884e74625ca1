//! CIFAR in binary form.

use super::{ImageSet, Images};
use crate::{FileError, FileNote, Limits, Origin, file_name, read_bytes, read_text};
use std::path::Path;

/// Which CIFAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cifar {
    /// A byte of class, 3,072 of pixels.
    Ten,
    /// A byte of the coarse class, one of the fine class (which is the label), 3,072 of pixels.
    Hundred,
}

const PIXELS: usize = 3 * 32 * 32;

/// Reads a file of CIFAR records; their number follows from its size. Ids are positions in the file. Names of classes are taken from
/// `batches.meta.txt` (CIFAR-100: `fine_label_names.txt`) beside it where it has one line for each; else they are numbers.
///
/// # Errors
/// [`FileError`]: of the file, of one that is no whole number of records, and of a class out of range, by its record.
pub fn cifar(path: &Path, kind: Cifar, limits: &Limits) -> Result<ImageSet, FileError> {
    let mut images = parse_cifar(path, &read_bytes(path, limits)?, kind)?;
    let names = path.with_file_name(match kind {
        Cifar::Ten => "batches.meta.txt",
        Cifar::Hundred => "fine_label_names.txt",
    });
    if names.is_file() {
        let text = read_text(&names, limits)?;
        let text = String::from_utf8_lossy(&text);
        let found: Vec<String> =
            text.lines().map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect();
        match found.len() == images.classes.len() {
            true => images.classes = found,
            false => images.notes.push(FileNote::Layout {
                file: file_name(&names),
                taken: format!(
                    "{} names for {} classes: classes keep their numbers",
                    found.len(),
                    images.classes.len()
                ),
            }),
        }
    }
    ImageSet::new(images)
}

/// The images of CIFAR records, classes by number.
///
/// # Errors
/// [`FileError::Malformed`] when they are no whole number of records, or a class is out of range.
pub fn parse_cifar(path: &Path, bytes: &[u8], kind: Cifar) -> Result<Images, FileError> {
    let (before, classes) = match kind {
        Cifar::Ten => (1, 10),
        Cifar::Hundred => (2, 100),
    };
    let record = before + PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let found = format!("{} bytes, which is no whole number of records", bytes.len());
        return Err(Origin::file(path).malformed(found, format!("records of {record} bytes, one or more")));
    }
    let (mut pixels, mut labels) = (Vec::with_capacity(bytes.len()), Vec::new());
    for (at, record) in bytes.chunks_exact(record).enumerate() {
        let class = record[before - 1];
        if i32::from(class) >= classes {
            let found = format!("class {class} in record {at}");
            return Err(Origin::byte(path, at * (before + PIXELS) + before - 1)
                .malformed(found, format!("0 to {}", classes - 1)));
        }
        labels.push(class.into());
        pixels.extend_from_slice(&record[before..]);
    }
    Ok(Images {
        name: file_name(path),
        shape: [3, 32, 32],
        white: 255,
        pixels,
        ids: (0..labels.len()).map(|image| image.to_string()).collect(),
        labels,
        classes: (0..classes).map(|class| class.to_string()).collect(),
        notes: Vec::new(),
    })
}
