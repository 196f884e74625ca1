//! Lines of a text file.

use crate::{FileError, FileNote, Limits, Origin, all_lines, excerpt, file_name, read_text};
use std::path::Path;

/// How the bytes of a text file stand for characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8; anything else is an error with its line.
    Utf8,
    /// ISO-8859-1: each byte is the character of its number.
    Latin1,
    /// UTF-8 if the whole file is, else ISO-8859-1, with a note.
    #[default]
    Detect,
}

/// The lines of a text file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextLines {
    /// Every line without its end (LF, CR LF or CR), line number 1 first; empty lines included.
    pub lines: Vec<String>,
    /// What was in doubt.
    pub notes: Vec<FileNote>,
}

/// Reads the lines of a text file, gzipped or not.
///
/// # Errors
/// As [`read_text`]; [`FileError::NotText`] naming the first line that is not UTF-8 under [`Charset::Utf8`].
pub fn read_lines(path: &Path, limits: &Limits, charset: Charset) -> Result<TextLines, FileError> {
    let bytes = read_text(path, limits)?;
    let latin = match (charset, std::str::from_utf8(&bytes)) {
        (Charset::Latin1, _) => true,
        (_, Ok(_)) => false,
        (Charset::Detect, Err(_)) => true,
        (Charset::Utf8, Err(_)) => {
            let bad = all_lines(&bytes).find(|(_, line)| std::str::from_utf8(line).is_err());
            let line = bad.map_or(1, |(number, _)| number);
            return Err(FileError::NotText { origin: Origin::line(path, line), found: "bytes that are not UTF-8" });
        }
    };
    let decoded = |line: &[u8]| match latin {
        true => line.iter().map(|byte| char::from(*byte)).collect(),
        false => String::from_utf8_lossy(line).into_owned(),
    };
    let lines: Vec<String> = all_lines(&bytes).map(|(_, line)| decoded(line)).collect();
    let mut notes = Vec::new();
    if latin && charset == Charset::Detect {
        let bad = all_lines(&bytes).find(|(_, line)| std::str::from_utf8(line).is_err());
        let (number, text) = bad.map_or((1, String::new()), |(number, line)| (number, excerpt(line)));
        let taken = format!("line {number} is not UTF-8 ({text:?}): the file was read as ISO-8859-1");
        notes.push(FileNote::Layout { file: file_name(path), taken });
    }
    Ok(TextLines { lines, notes })
}
