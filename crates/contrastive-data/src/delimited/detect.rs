//! Which delimiter, and whether the first row is a header.

use std::borrow::Cow;
use std::path::Path;

use super::super::column::folded;
use super::super::error::FileError;
use super::super::lines::split_line;
use super::super::note::{FileNote, file_name};
use super::super::number::finite;
use super::super::place::Origin;
use super::super::time::date_seconds;
use super::split::Splitter;
use super::{Delimiter, Doubt, Row, Table, TableOptions};

/// Rows that are looked at to find the delimiter.
const DELIMITED: usize = 200;

/// Rows that are looked at to find out whether the first one is a header.
const COMPARED: usize = 1000;

/// A line before the data that begins with `#` or `%`.
struct Remark<'a> {
    line: &'a [u8],
    /// From this line on.
    bytes: &'a [u8],
    lines_before: usize,
}

pub(super) fn table<'a>(path: &Path, bytes: &'a [u8], options: &TableOptions<'_>) -> Result<Table<'a>, FileError> {
    let (remarks, mut rest, mut lines_before) = start(bytes, options.comments);
    let mut notes = Vec::new();
    let delimiter = options.delimiter.unwrap_or_else(|| {
        let (taken, other) = delimiter(rest, options.quotes);
        notes.extend(other.map(|other| FileNote::Delimiter { file: file_name(path), taken, other }));
        taken
    });
    let sample = sample(path, rest, lines_before, delimiter, options)?;
    if options.comments
        && let Some(first) = sample.first()
    {
        // lines of the data's width without a blank after the mark are data where later ids begin with the mark as well
        let fits = |remark: &&Remark<'_>| {
            let mut fields = Vec::new();
            super::split::plain(remark.line, delimiter, &mut fields);
            remark.line.get(1).is_some_and(|byte| !byte.is_ascii_whitespace()) && fields.len() == first.fields.len()
        };
        let alike: Vec<&Remark<'_>> = remarks.iter().rev().take_while(fits).collect();
        let marked = |row: &Row<'_>| row.fields.iter().any(|field| field.starts_with(b"#"));
        match alike.last() {
            Some(earliest) if sample.iter().any(marked) => {
                (rest, lines_before) = (earliest.bytes, earliest.lines_before);
            }
            Some(earliest) => {
                let (file, count, line) = (file_name(path), alike.len(), earliest.lines_before + 1);
                notes.push(FileNote::Comments { file, count, line });
            }
            None => (),
        }
    }
    let mut splitter = Splitter::new(rest, lines_before, delimiter, options.quotes);
    let mut first = Row::default();
    let any = splitter.read(&mut first).map_err(|fault| fault.at(path))?;
    let usual = first.fields.iter().filter(|field| is_usual(field, options.names)).count();
    let header = any
        && options.header.unwrap_or_else(|| match evidence(&first, &sample) {
            Some(header) => header,
            None => match options.doubt {
                Doubt::Header => true,
                Doubt::Names => usual >= 2,
                Doubt::Data => false,
            },
        });
    if header && options.header.is_none() && usual < 2 {
        notes.push(FileNote::Header { file: file_name(path), line: first.line, text: first.excerpt(), header });
    }
    let header = if header {
        let name = |field: &Cow<'_, [u8]>| std::str::from_utf8(field).map(str::to_owned);
        let names = first.fields.iter().map(name).collect::<Result<Vec<_>, _>>();
        let line = Origin::line(path, first.line);
        let names = names.map_err(|_| FileError::NotText { origin: line, found: "not UTF-8 text (a header)" })?;
        (rest, lines_before) = splitter.rest();
        Some(names)
    } else {
        None
    };
    let (quotes, ragged, comments) = (options.quotes, options.ragged, options.comments);
    let width = first.fields.len();
    Ok(Table {
        path: path.to_path_buf(),
        bytes: rest,
        lines_before,
        delimiter,
        quotes,
        ragged,
        comments,
        header,
        width,
        notes,
    })
}

fn is_usual(field: &[u8], names: &[&str]) -> bool {
    std::str::from_utf8(field).is_ok_and(|field| names.contains(&&folded(field)[..]))
}

/// The remarks before the first row, and where that is.
fn start(bytes: &[u8], comments: bool) -> (Vec<Remark<'_>>, &[u8], usize) {
    let (mut rest, mut lines_before, mut remarks) = (bytes, 0, Vec::new());
    loop {
        let (line, after) = split_line(rest);
        let line = line.trim_ascii();
        let remark = comments && (line.starts_with(b"#") || line.starts_with(b"%"));
        if rest.is_empty() || !(remark || line.is_empty()) {
            return (remarks, rest, lines_before);
        }
        if remark {
            remarks.push(Remark { line, bytes: rest, lines_before });
        }
        rest = after;
        lines_before += 1;
    }
}

/// The first rows.
fn sample<'a>(
    path: &Path,
    bytes: &'a [u8],
    lines_before: usize,
    delimiter: Delimiter,
    options: &TableOptions<'_>,
) -> Result<Vec<Row<'a>>, FileError> {
    let mut splitter = Splitter::new(bytes, lines_before, delimiter, options.quotes);
    let mut rows = Vec::new();
    let mut row = Row::default();
    while rows.len() < COMPARED && splitter.read(&mut row).map_err(|fault| fault.at(path))? {
        rows.push(std::mem::take(&mut row));
    }
    Ok(rows)
}

/// How a delimiter divides the first rows.
#[derive(Clone, Copy)]
struct Division {
    delimiter: Delimiter,
    /// Fields of the first row.
    width: usize,
    /// The share of rows that are as wide.
    share: f64,
}

/// How a delimiter divides the first rows, unless it leaves the first one whole. A misplaced quote ends the comparison.
fn division(bytes: &[u8], delimiter: Delimiter, quotes: bool) -> Option<Division> {
    let mut splitter = Splitter::new(bytes, 0, delimiter, quotes);
    let mut row = Row::default();
    // a fault in the first row leaves the fields before it, which still show that it is divided
    let whole = splitter.read(&mut row).is_ok();
    let width = row.fields.len();
    let (mut alike, mut rows) = (1, 1);
    while whole && rows < DELIMITED && splitter.read(&mut row).unwrap_or(false) {
        let found = row.fields.len();
        alike += usize::from(found == width || (found == width + 1 && row.fields[width].is_empty()));
        rows += 1;
    }
    (width >= 2).then(|| Division { delimiter, width, share: alike as f64 / rows as f64 })
}

/// The delimiter that divides all rows alike, and another one that would. Where none does, one that divides most of them like
/// the first, so that the error names the row that differs. Blanks are the last resort: they divide words of a text, too.
fn delimiter(bytes: &[u8], quotes: bool) -> (Delimiter, Option<Delimiter>) {
    let mut found: Vec<Division> =
        Delimiter::ALL.iter().filter_map(|&delimiter| division(bytes, delimiter, quotes)).collect();
    // the order of `ALL` decides among equals
    found.sort_by_key(|division| {
        let blanks = division.delimiter == Delimiter::Blanks;
        (division.share < 0.5, blanks, division.share < 1.0, std::cmp::Reverse(division.width))
    });
    let Some((taken, others)) = found.split_first() else { return (Delimiter::Blanks, None) };
    let also = |other: &&Division| other.share == 1.0 && other.delimiter != Delimiter::Blanks && taken.share == 1.0;
    (taken.delimiter, others.iter().find(also).map(|other| other.delimiter))
}

/// Whether the first row is a header (true) or data (false), where the rows show it.
fn evidence(first: &Row<'_>, sample: &[Row<'_>]) -> Option<bool> {
    let measured = |field: &[u8]| finite(field).is_some() || date_seconds(field).is_some();
    if first.fields.iter().any(|field| measured(field)) {
        return Some(false);
    }
    let below = || sample.iter().filter(|row| row.line > first.line);
    let differs = |column: usize| {
        let mut fields = below().filter_map(|row| row.fields.get(column)).filter(|field| !field.is_empty()).peekable();
        fields.peek().is_some() && fields.all(|field| measured(field))
    };
    (0..first.fields.len()).any(differs).then_some(true)
}
