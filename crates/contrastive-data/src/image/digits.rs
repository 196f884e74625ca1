//! Small digits as numbers.

use super::{ImageSet, Images};
use crate::{FileError, Limits, Origin, excerpt, file_name, lines, read_text};
use std::path::Path;

/// Reads comma-separated digits: a line for each, its pixels by rows (a square number of them, 0 to `white`), then its class (0 to 9).
/// optdigits has 64 pixels and a white of 16. Ids are positions in the file.
///
/// # Errors
/// [`FileError`] with the line: of another number of columns, or a number out of range.
pub fn digits_csv(path: &Path, white: u8, limits: &Limits) -> Result<ImageSet, FileError> {
    let text = read_text(path, limits)?;
    parse(path, &text, white)
}

fn parse(path: &Path, text: &[u8], white: u8) -> Result<ImageSet, FileError> {
    let (mut pixels, mut labels, mut side) = (Vec::new(), Vec::new(), 0usize);
    for (number, line) in lines(text) {
        let at = || Origin::line(path, number);
        let words: Vec<&[u8]> = line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
        if side == 0 {
            side = (words.len() - 1).isqrt();
        }
        if words.len() != side * side + 1 || side == 0 {
            let allowed = match side {
                0 => "pixels and a class, separated by commas".to_string(),
                side => format!("{} pixels and a class", side * side),
            };
            return Err(at().malformed(format!("{} columns in {:?}", words.len(), excerpt(line)), allowed));
        }
        for (column, word) in words.iter().enumerate() {
            let most = if column == side * side { 9 } else { white };
            let value = std::str::from_utf8(word).ok().and_then(|word| word.parse::<u8>().ok());
            let Some(value) = value.filter(|value| *value <= most) else {
                return Err(Origin::field(path, number, (column + 1).to_string())
                    .malformed(format!("{:?}", excerpt(word)), format!("whole numbers of 0 to {most}")));
            };
            match column == side * side {
                true => labels.push(i32::from(value)),
                false => pixels.push(value),
            }
        }
    }
    if labels.is_empty() {
        return Err(FileError::Empty { path: path.to_path_buf(), expected: "pixels and a class in each line".into() });
    }
    ImageSet::new(Images {
        name: file_name(path),
        shape: [1, side, side],
        white,
        pixels,
        ids: (0..labels.len()).map(|image| image.to_string()).collect(),
        labels,
        classes: (0..10).map(|class| class.to_string()).collect(),
        notes: Vec::new(),
    })
}
