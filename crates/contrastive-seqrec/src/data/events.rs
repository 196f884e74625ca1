//! Files of events: a row for each, with a user, an item and perhaps a time.

use super::error::SequenceError;
use super::sequences::{Event, Sequences};
use contrastive_data::{
    Atomic, Column, Limits, Row, Table, TableOptions, Times, integer, is_atomic, lines, read_text, words,
};
use std::path::Path;

const USER: [&str; 5] = ["userid", "user", "uid", "reviewerid", "sessionid"];
const ITEM: [&str; 6] = ["itemid", "item", "iid", "movieid", "asin", "productid"];
const TIME: [&str; 6] = ["timestamp", "time", "unixreviewtime", "date", "datetime", "ts"];

/// Which columns of delimited text hold what.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EventColumns {
    /// The user; without, a usual name of the header, or the first column.
    pub user: Option<Column>,
    /// The item; without, a usual name, or the second column.
    pub item: Option<Column>,
    /// The time; without, a usual name, or the last of four or more columns without a header. Where there is none, events stay in the order
    /// of the file.
    pub time: Option<Column>,
}

impl Sequences {
    /// Reads whatever of the three forms a file has: RecBole's atomic `.inter` (a header of `name:type`), lists (lines of whole numbers of
    /// different lengths), or delimited text.
    ///
    /// # Errors
    /// As [`read_lists`](Self::read_lists), [`read_inter`](Self::read_inter) and [`read_events`](Self::read_events).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, SequenceError> {
        let path = path.as_ref();
        let bytes = read_text(path, &Limits::default())?;
        if is_atomic(&bytes) {
            return Self::inter(path, &bytes);
        }
        let (mut widths, mut numbers) = (std::collections::HashSet::new(), true);
        for (_, line) in lines(&bytes) {
            let fields: Vec<&[u8]> = words(line).collect();
            if !fields.is_empty() {
                widths.insert(fields.len());
                numbers &= fields.iter().all(|field| integer(field).is_some());
            }
        }
        match numbers && widths.len() != 1 {
            true => Self::parse_lists(path, &bytes),
            false => Self::events(path, &bytes, &EventColumns::default()),
        }
    }

    /// Reads a RecBole atomic file of interactions, sorted by its time column where it has one.
    ///
    /// # Errors
    /// With file and line: a header that is not `name:type`, no user or item column, a time that is none, an empty id.
    pub fn read_inter(path: impl AsRef<Path>) -> Result<Self, SequenceError> {
        let path = path.as_ref();
        Self::inter(path, &read_text(path, &Limits::default())?)
    }

    /// Reads delimited text (commas, tabs, semicolons, bars, `::` or blanks; with or without a header), sorted by its time column where
    /// there is one.
    ///
    /// # Errors
    /// With file and line: a column that is missing, a time that is none, an empty id, rows of different lengths.
    pub fn read_events(path: impl AsRef<Path>, columns: &EventColumns) -> Result<Self, SequenceError> {
        let path = path.as_ref();
        Self::events(path, &read_text(path, &Limits::default())?, columns)
    }

    fn inter(path: &Path, bytes: &[u8]) -> Result<Self, SequenceError> {
        let table = Atomic::parse(path, bytes)?.table;
        let column = |usual: &[&str], what| match table.find(usual) {
            Some(at) => Ok(at),
            None => Err(table.missing(what, &format!("one of {}", usual.join(", ")))),
        };
        let (user, item) = (column(&USER, "the user")?, column(&ITEM, "the item")?);
        rows(path, &table, user, item, table.find(&TIME))
    }

    fn events(path: &Path, bytes: &[u8], columns: &EventColumns) -> Result<Self, SequenceError> {
        let names: Vec<&str> = USER.iter().chain(&ITEM).chain(&TIME).copied().collect();
        let table = Table::parse(path, bytes, &TableOptions { names: &names, ..TableOptions::default() })?;
        let column = |given: &Option<Column>, usual: &[&str], place: usize, what| match given {
            Some(column) => table.position(column, what),
            None => match table.find(usual).or((table.header().is_none() && place < table.width()).then_some(place)) {
                Some(at) => Ok(at),
                None => Err(table.missing(what, "a header with a usual name, or its column named")),
            },
        };
        let user = column(&columns.user, &USER, 0, "the user")?;
        let item = column(&columns.item, &ITEM, 1, "the item")?;
        let time = match &columns.time {
            Some(column) => Some(table.position(column, "the time")?),
            None => table.find(&TIME).or((table.header().is_none() && table.width() >= 4).then(|| table.width() - 1)),
        };
        rows(path, &table, user, item, time)
    }
}

fn rows(
    path: &Path,
    table: &Table<'_>,
    user: usize,
    item: usize,
    time: Option<usize>,
) -> Result<Sequences, SequenceError> {
    let (mut rows, mut row, mut times) = (table.rows(), Row::default(), Times::default());
    let mut events = Vec::new();
    while rows.read(&mut row)? {
        let text = |at: usize| String::from_utf8_lossy(row.fields[at].trim_ascii()).into_owned();
        let (user, item) = (text(user), text(item));
        if user.is_empty() || item.is_empty() {
            let problem = format!("an empty {}", if user.is_empty() { "user" } else { "item" });
            return Err(SequenceError::BadLine { path: path.to_path_buf(), line: row.line, problem });
        }
        let time = match time {
            None => None,
            Some(at) => match times.read(&row.fields[at], path, row.line)? {
                None => {
                    let path = path.to_path_buf();
                    return Err(SequenceError::BadTime { path, line: row.line, user, text: String::new() });
                }
                time => time,
            },
        };
        events.push(Event { user, item, time });
    }
    if events.is_empty() {
        let expected = "rows with a user, an item and perhaps a time";
        return Err(SequenceError::Empty { origin: path.display().to_string(), expected });
    }
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Sequences::from_events(&name, events))
}
