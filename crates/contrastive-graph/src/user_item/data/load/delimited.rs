//! Files with columns and, mostly, a header: RecBole atomic files and separated values.

use csv::{ByteRecord, ReaderBuilder};

use super::super::error::DataError;
use super::ids::integer;
use super::part::{Sink, excerpt};
use super::text::lines;
use super::{Column, Columns, LoadOptions};

const USER_NAMES: &[&str] = &["user", "userid", "uid", "reviewerid", "customerid"];
const ITEM_NAMES: &[&str] =
    &["item", "itemid", "iid", "movie", "movieid", "product", "productid", "asin", "artistid", "bookid", "businessid"];
const RATING_NAMES: &[&str] = &["rating", "ratings", "score", "stars", "weight", "overall"];
const TIME_NAMES: &[&str] = &["timestamp", "time", "unixtime", "unixreviewtime"];
const RECBOLE_TYPES: &[&str] = &["token", "float", "token_seq", "float_seq"];

/// The columns to read, as positions.
struct Positions {
    user: usize,
    item: usize,
    rating: Option<usize>,
    time: Option<usize>,
    width: usize,
}

/// A header name without case and joints: `User_ID` is `userid`.
fn folded(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ' | '.')).flat_map(char::to_lowercase).collect()
}

/// Finds the columns in a header, by the options or by their usual names.
fn find_columns(
    names: &[String],
    columns: &Columns,
    wants_time: bool,
    sink: &Sink<'_>,
) -> Result<Positions, DataError> {
    let missing = |wanted: String, usual: &[&str]| DataError::MissingColumn {
        path: sink.part.path.clone(),
        wanted,
        found: names.iter().map(|name| excerpt(name.as_bytes())).collect::<Vec<_>>().join(", "),
        allowed: format!("a column named {} (case and _ do not matter), or LoadOptions::columns", usual.join(", ")),
    };
    let find = |column: &Option<Column>, what: &str, usual: &[&str]| -> Result<Option<usize>, DataError> {
        match column {
            None => Ok(usual.iter().find_map(|usual| names.iter().position(|name| folded(name) == *usual))),
            Some(Column::Index(index)) if *index < names.len() => Ok(Some(*index)),
            Some(Column::Name(wanted)) if names.contains(wanted) => Ok(names.iter().position(|name| name == wanted)),
            Some(column) => Err(missing(format!("{what} ({column})"), usual)),
        }
    };
    let user = find(&columns.user, "user", USER_NAMES)?.ok_or_else(|| missing("user".into(), USER_NAMES))?;
    let item = find(&columns.item, "item", ITEM_NAMES)?.ok_or_else(|| missing("item".into(), ITEM_NAMES))?;
    let rating = find(&columns.rating, "rating", RATING_NAMES)?;
    let time = if wants_time || columns.time.is_some() { find(&columns.time, "time", TIME_NAMES)? } else { None };
    sink.check_rating_column(rating.is_some(), &names.join(", "))?;
    Ok(Positions { user, item, rating, time, width: names.len() })
}

/// Passes one row on.
fn row(fields: &[&[u8]], line: usize, positions: &Positions, sink: &mut Sink<'_>) -> Result<(), DataError> {
    if fields.len() != positions.width {
        return Err(DataError::ColumnCount {
            path: sink.part.path.clone(),
            line,
            found: fields.len(),
            expected: format!("{}, as in the first row", positions.width),
            text: excerpt(&fields.join(&b' ')),
        });
    }
    let (rating, time) = (positions.rating.map(|at| fields[at]), positions.time.map(|at| fields[at]));
    sink.row(line, fields[positions.user], fields[positions.item], rating, time)
}

/// RecBole: tab-separated, no quotes, header of `name:type`.
pub(super) fn recbole(
    bytes: &[u8],
    options: &LoadOptions,
    wants_time: bool,
    sink: &mut Sink<'_>,
) -> Result<(), DataError> {
    let mut positions = None;
    let mut fields = Vec::new();
    for (line_number, line) in lines(bytes) {
        fields.clear();
        fields.extend(line.split(|&byte| byte == b'\t'));
        match &positions {
            Some(positions) => row(&fields, line_number, positions, sink)?,
            None => {
                let names = fields.iter().map(|field| recbole_name(field, sink)).collect::<Result<Vec<_>, _>>()?;
                positions = Some(find_columns(&names, &options.columns, wants_time, sink)?);
            }
        }
    }
    Ok(())
}

/// The name in a `name:type` field.
fn recbole_name(field: &[u8], sink: &Sink<'_>) -> Result<String, DataError> {
    std::str::from_utf8(field)
        .ok()
        .and_then(|field| field.trim().rsplit_once(':'))
        .filter(|(name, kind)| !name.is_empty() && RECBOLE_TYPES.contains(kind))
        .map(|(name, _)| name.to_owned())
        .ok_or_else(|| DataError::BadHeader {
            path: sink.part.path.clone(),
            text: excerpt(field),
            allowed: format!("tab-separated fields `name:type` with a type of {}", RECBOLE_TYPES.join(", ")),
        })
}

/// The separator of a file: the most frequent candidate in its first line.
fn delimiter(first: &[u8]) -> u8 {
    let count = |delimiter: u8| first.iter().filter(|&&byte| byte == delimiter).count();
    b",\t;|".iter().copied().rev().max_by_key(|&delimiter| count(delimiter)).expect("four candidates")
}

/// Separated values with optional quotes and header.
pub(super) fn delimited(
    bytes: &[u8],
    options: &LoadOptions,
    wants_time: bool,
    sink: &mut Sink<'_>,
) -> Result<(), DataError> {
    let Some((_, first)) = lines(bytes).next() else { return Ok(()) };
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter(first)).has_headers(false).flexible(true).from_reader(bytes);
    let mut record = ByteRecord::new();
    let mut positions: Option<Positions> = None;
    // The parser tells where it started to look for a row, not where the row is: skip blank lines ourselves.
    let starts = LineStarts::new(bytes);
    loop {
        let read = reader.read_byte_record(&mut record).map_err(|error| DataError::Delimited {
            path: sink.part.path.clone(),
            line: error.position().map_or(1, |position| position.line() as usize),
            reason: error.to_string(),
        })?;
        if !read {
            return Ok(());
        }
        let line = starts.line_at(record.position().map_or(0, |position| position.byte() as usize));
        let fields: Vec<&[u8]> = record.iter().collect();
        if fields.iter().all(|field| field.trim_ascii().is_empty()) && fields.len() == 1 {
            continue;
        }
        match &positions {
            Some(positions) => row(&fields, line, positions, sink)?,
            None => {
                let (found, header) = first_row(&fields, options, wants_time, line, sink)?;
                if !header {
                    row(&fields, line, &found, sink)?;
                }
                positions = Some(found);
            }
        }
    }
}

/// Line numbers of byte positions.
struct LineStarts<'a> {
    bytes: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> LineStarts<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let after_breaks = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        Self { bytes, starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    /// The line (from 1) of the first byte at or after `at` that is not a line end.
    fn line_at(&self, at: usize) -> usize {
        let blank =
            self.bytes[at.min(self.bytes.len())..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.starts.partition_point(|&start| start <= at + blank)
    }
}

/// Columns from the first row, and whether that row is a header.
fn first_row(
    fields: &[&[u8]],
    options: &LoadOptions,
    wants_time: bool,
    line: usize,
    sink: &Sink<'_>,
) -> Result<(Positions, bool), DataError> {
    let columns = &options.columns;
    let names: Vec<String> = fields
        .iter()
        .map(|field| std::str::from_utf8(field.trim_ascii()).map(str::to_owned))
        .collect::<Result<_, _>>()
        .map_err(|_| DataError::NotText { path: sink.part.path.clone(), line })?;
    let by_name = [&columns.user, &columns.item, &columns.rating, &columns.time]
        .iter()
        .any(|column| matches!(column, Some(Column::Name(_))));
    let header = match options.header {
        Some(header) => header || by_name,
        None => {
            let user = match columns.user {
                Some(Column::Index(index)) => index,
                _ => 0,
            };
            by_name || fields.get(user).is_none_or(|field| !looks_like_id(field.trim_ascii()))
        }
    };
    if header {
        return Ok((find_columns(&names, columns, wants_time, sink)?, true));
    }
    if fields.len() < 2 {
        return Err(DataError::ColumnCount {
            path: sink.part.path.clone(),
            line,
            found: fields.len(),
            expected: "at least 2 (user, item)".into(),
            text: names.join(" "),
        });
    }
    let numbered = |column: &Option<Column>, usual: usize| match column {
        Some(column) => Some(column.clone()),
        None => (usual < fields.len()).then_some(Column::Index(usual)),
    };
    let positional = Columns {
        user: numbered(&columns.user, 0),
        item: numbered(&columns.item, 1),
        rating: numbered(&columns.rating, 2),
        time: numbered(&columns.time, 3).filter(|_| wants_time || columns.time.is_some()),
    };
    Ok((find_columns(&names, &positional, wants_time, sink)?, false))
}

/// Whether the first row starts with data: an integer, also a negative one (refused later, with its line).
fn looks_like_id(field: &[u8]) -> bool {
    integer(field.strip_prefix(b"-").unwrap_or(field)).is_some()
}
