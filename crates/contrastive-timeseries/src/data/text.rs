//! Text files, plain or gzipped, line by line.

use super::error::{SeriesError, quoted};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Largest text that is read, unpacked: 1 GiB. A gzipped file can hold a thousand times its size.
const LARGEST: u64 = 1 << 30;

/// The bytes of a file, unpacked if it starts as a gzipped one does.
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>, SeriesError> {
    let mut raw = Vec::new();
    let file = File::open(path).map_err(SeriesError::io(path))?;
    file.take(LARGEST + 1).read_to_end(&mut raw).map_err(SeriesError::io(path))?;
    if raw.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        let unpacked = flate2::read::MultiGzDecoder::new(&raw[..]).take(LARGEST + 1).read_to_end(&mut plain);
        unpacked.map_err(SeriesError::io(path))?;
        raw = plain;
    }
    if raw.len() as u64 > LARGEST {
        return Err(SeriesError::file(path, "more than 1 GiB of data; split the file"));
    }
    Ok(raw)
}

/// The text of a file, without a byte-order mark.
pub(crate) fn text_of(path: &Path) -> Result<String, SeriesError> {
    let text = String::from_utf8(bytes_of(path)?)
        .map_err(|e| SeriesError::file(path, format!("byte {} is not UTF-8 text", e.utf8_error().valid_up_to())))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

/// A number; an empty cell, `?`, `NA`, `NaN` and the like are NaN. Infinities are refused.
pub(crate) fn number(cell: &str, path: &Path, line: usize) -> Result<f32, SeriesError> {
    let cell = cell.trim();
    if matches!(cell.to_ascii_lowercase().as_str(), "" | "?" | "na" | "nan" | "null") {
        return Ok(f32::NAN);
    }
    match cell.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(SeriesError::line(path, line, format!("{} is infinite as a 32-bit number", quoted(cell)))),
        Err(_) => Err(SeriesError::line(path, line, format!("{} is not a number", quoted(cell)))),
    }
}
