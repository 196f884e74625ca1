//! Which layout a file has, by its content first and its ending second.

use std::collections::HashSet;
use std::path::Path;

use contrastive_data::{
    Delimiter, FileError, FileNote, Limits, canonical_integer, file_name, finite, is_atomic, is_pickle, lines,
    read_bytes, read_text, words,
};

use super::super::error::DataError;
use super::super::note::Note;
use super::detect::{LOOKED_FOR, WHAT};
use super::{Format, LoadOptions, delimited};

/// Rows that are looked at.
const LOOKED_AT: usize = 10_000;

/// Numbers up to here may be ratings.
const GREATEST_RATING: f64 = 10.0;

/// Recognises a file's format by its content, and by its ending where the content leaves it open.
pub(super) fn format_of(path: &Path, options: &LoadOptions, notes: &mut Vec<Note>) -> Result<Format, DataError> {
    let limits = Limits::new(options.max_bytes);
    let name = file_name(path).to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let bytes = read_bytes(path, &limits)?;
    if is_pickle(&bytes) || matches!(ending, "pkl" | "pickle") {
        return Ok(Format::SparseMatrix);
    }
    let binary: [&[u8]; 5] = [b"PK\x03\x04", b"\x93NUMPY", b"\x89HDF", b"PAR1", b"MATLAB"];
    if binary.iter().any(|start| bytes.starts_with(start)) {
        let (path, found) = (path.to_path_buf(), "binary data".into());
        return Err(FileError::Unrecognised { path, what: WHAT, found, looked_for: LOOKED_FOR.into() }.into());
    }
    drop(bytes);
    let bytes = read_text(path, &limits)?;
    let Some((_, first)) = lines(&bytes).next() else {
        let expected = "interactions in one of the supported formats".into();
        return Err(FileError::Empty { path: path.to_path_buf(), expected }.into());
    };
    let typed = [&b":token"[..], b":float"].iter().any(|kind| first.windows(6).any(|window| window == *kind));
    if is_atomic(&bytes) || (typed && first.contains(&b'\t')) {
        return Ok(Format::RecBole);
    }
    if ending == "inter" && !first.contains(&b',') {
        return Ok(Format::RecBole); // whose reader says what its header lacks
    }
    match ending {
        "csv" | "tsv" => return Ok(Format::Delimited),
        "base" | "data" | "dat" => return Ok(Format::Ratings),
        _ => (),
    }
    let table = delimited::table(path, &bytes, Format::Ratings, options)?;
    let blanks =
        matches!(table.delimiter(), Delimiter::Blanks) || (table.delimiter() == Delimiter::Tab && table.width() > 4);
    if table.header().is_some() {
        return Ok(if blanks { Format::Ratings } else { Format::Delimited });
    }
    let numeric = first.first().is_some_and(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'"' | b'#'));
    match (blanks, numeric) {
        (false, true) => Ok(Format::Ratings),
        (false, false) => Ok(Format::Delimited),
        (true, _) => lists_or_ratings(path, &bytes, notes),
    }
}

/// `0 12 845` may be a user with two items, or a user, an item and a rating.
///
/// Rows of one width of three or four are ratings where a user has several of them, or a third field is no whole number, or a
/// fourth can only be a time. Otherwise they are lists: each user on one line.
fn lists_or_ratings(path: &Path, bytes: &[u8], notes: &mut Vec<Note>) -> Result<Format, DataError> {
    let rows: Vec<Vec<&[u8]>> = lines(bytes).take(LOOKED_AT).map(|(_, line)| words(line).collect()).collect();
    let count = rows.len();
    let share = |width: usize| rows.iter().filter(|row| row.len() == width).count() as f64 / count as f64;
    let Some(width) = [3, 4].into_iter().find(|&width| share(width) > 0.9) else {
        // pairs of whole numbers are lists of one item each; other ids are not for lists
        let text = share(2) == 1.0 && rows.iter().flatten().any(is_text);
        return Ok(if text { Format::Ratings } else { Format::LightGcn });
    };
    let rows: Vec<&Vec<&[u8]>> = rows.iter().filter(|row| row.len() == width).collect();
    let column = |at: usize| rows.iter().map(move |row| row[at]);
    let users = column(0).collect::<HashSet<_>>().len();
    let fractions =
        column(2).all(|word| finite(word).is_some()) && column(2).any(|word| canonical_integer(word).is_none());
    let times = width == 4 && column(3).all(|word| finite(word).is_some_and(|time| time >= 1e6));
    let text = rows.iter().flat_map(|row| &row[..2]).any(is_text);
    let file = file_name(path);
    let mut says = |taken: String| notes.push(Note::File(FileNote::Layout { file: file.clone(), taken }));
    if fractions || times || (users < rows.len() && share(width) == 1.0) || 10 * users < 7 * rows.len() {
        says(format!("rows of {width} fields were taken for user, item and rating, not for lists of items"));
        return Ok(Format::Ratings);
    }
    let ratings = column(2).all(|word| finite(word).is_some_and(|value| (0.0..=GREATEST_RATING).contains(&value)));
    let beyond = column(1).any(|word| finite(word).is_some_and(|value| value > GREATEST_RATING));
    if text || (ratings && beyond && rows.len() >= 4) {
        let found = "rows of three fields that may be a user and two items, or a user, an item and a rating".into();
        let looked_for = "LoadOptions::format (--format light-gcn or --format ratings) to say which".into();
        return Err(FileError::Unrecognised { path: path.to_path_buf(), what: WHAT, found, looked_for }.into());
    }
    says(format!("rows of {width} fields were taken for lists of items, not for user, item and rating"));
    Ok(Format::LightGcn)
}

/// Whether an id can only be text: it is no whole number, or has leading zeros.
fn is_text(word: &&[u8]) -> bool {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    !digits.iter().all(u8::is_ascii_digit) || (digits.len() > 1 && digits[0] == b'0')
}
