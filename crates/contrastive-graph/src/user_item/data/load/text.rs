//! The two formats without a header: LightGCN text and ratings.

use std::path::Path;

use super::super::error::DataError;
use super::ids::Ids;
use super::part::{Sink, excerpt};
use super::{Column, Columns, Format};

/// The whole file, without a byte order mark.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            DataError::NotFound { path: path.to_path_buf(), looked_for: "a file of interactions".into() }
        }
        _ => DataError::Io { path: path.to_path_buf(), source },
    })?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    Ok(bytes)
}

/// What a line should look like.
pub(super) fn expected(format: Format) -> &'static str {
    match format {
        Format::LightGcn => "lines such as `0 12 845 31`: a user id, then item ids",
        Format::Ratings => "lines such as `196 242 3 881250949`: user, item, and optionally rating and time",
        Format::RecBole => "a header such as `user_id:token item_id:token`, then rows",
        Format::Delimited => "rows of separated values with a user and an item column",
    }
}

/// Lines that hold something, with their numbers from 1, without line ends and surrounding blanks.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    bytes
        .split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty())
}

/// What stands between blanks.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// Lines of a user id and its item ids.
pub(super) fn light_gcn(bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), DataError> {
    sink.check_rating_column(false, "user and item ids only")?;
    for (line_number, line) in lines(bytes) {
        let mut words = words(line);
        let user = sink.user(words.next().unwrap_or_default(), line_number)?;
        let before = sink.part.users.len();
        for word in words {
            let item = sink.item(word, line_number)?;
            sink.pair(user, item, line_number);
        }
        if sink.part.users.len() == before {
            sink.part.bare_users.push((user, line_number as u32));
        }
    }
    Ok(())
}

/// What separates the columns of a file without a header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    DoubleColon,
    Byte(u8),
    Blanks,
}

fn separator(line: &[u8]) -> Separator {
    if line.windows(2).any(|pair| pair == b"::") {
        return Separator::DoubleColon;
    }
    b"\t,;|".iter().find(|byte| line.contains(byte)).map_or(Separator::Blanks, |&byte| Separator::Byte(byte))
}

fn split_into<'a>(line: &'a [u8], separator: Separator, fields: &mut Vec<&'a [u8]>) {
    fields.clear();
    match separator {
        Separator::Byte(byte) => fields.extend(line.split(|&b| b == byte)),
        Separator::Blanks => fields.extend(words(line)),
        Separator::DoubleColon => {
            let mut rest = line;
            while let Some(at) = rest.windows(2).position(|pair| pair == b"::") {
                fields.push(&rest[..at]);
                rest = &rest[at + 2..];
            }
            fields.push(rest);
        }
    }
}

/// Number of columns of a ratings line, to tell formats apart.
pub(super) fn ratings_columns(line: &[u8]) -> usize {
    let mut fields = Vec::new();
    split_into(line, separator(line), &mut fields);
    fields.len()
}

/// Rows of user, item, and optionally rating and time.
pub(super) fn ratings(bytes: &[u8], columns: &Columns, sink: &mut Sink<'_>) -> Result<(), DataError> {
    let Some((first_line, first)) = lines(bytes).next() else { return Ok(()) };
    let separator = separator(first);
    let mut fields = Vec::new();
    split_into(first, separator, &mut fields);
    let width = fields.len();
    let path = sink.part.path.clone();
    let explicit = *columns != Columns::default();
    if width < 2 || (width > 4 && !explicit) {
        return Err(DataError::ColumnCount {
            path,
            line: first_line,
            found: width,
            expected: "2 to 4 (user, item, rating, time), or more when LoadOptions::columns says which".into(),
            text: excerpt(first),
        });
    }
    let position = |column: &Option<Column>, name: &str, usual: usize| -> Result<Option<usize>, DataError> {
        match column {
            None => Ok((usual < width).then_some(usual)),
            Some(Column::Index(index)) if *index < width => Ok(Some(*index)),
            Some(column) => Err(DataError::MissingColumn {
                path: path.clone(),
                wanted: format!("{name} ({column})"),
                found: format!("{width} columns without a header"),
                allowed: format!("Column::Index below {width}"),
            }),
        }
    };
    let user = position(&columns.user, "user", 0)?.expect("two columns or more");
    let item = position(&columns.item, "item", 1)?.expect("two columns or more");
    let rating = position(&columns.rating, "rating", 2)?;
    let time = position(&columns.time, "time", 3)?;
    sink.check_rating_column(rating.is_some(), &format!("{width} columns"))?;
    for (line_number, line) in lines(bytes) {
        split_into(line, separator, &mut fields);
        if fields.len() != width {
            return Err(DataError::ColumnCount {
                path,
                line: line_number,
                found: fields.len(),
                expected: format!("{width}, as in the first row"),
                text: excerpt(line),
            });
        }
        sink.row(line_number, fields[user], fields[item], rating.map(|at| fields[at]), time.map(|at| fields[at]))?;
    }
    Ok(())
}

/// Reads `user_list.txt` or `item_list.txt` (header `org_id remap_id`), if it is there.
pub(super) fn original_ids(path: &Path, ids: &mut Ids) -> Result<(), DataError> {
    if !path.is_file() {
        return Ok(());
    }
    let bytes = read(path)?;
    for (line_number, line) in lines(&bytes) {
        let mut words = words(line);
        let (original, number) = (words.next().unwrap_or_default(), words.next());
        if line_number == 1 {
            if original != b"org_id" || number != Some(b"remap_id".as_slice()) {
                let (path, text) = (path.to_path_buf(), excerpt(line));
                return Err(DataError::BadHeader { path, text, allowed: "`org_id remap_id`".into() });
            }
            continue;
        }
        let Some(number) = number else {
            return Err(DataError::ColumnCount {
                path: path.to_path_buf(),
                line: line_number,
                found: 1,
                expected: "2 (original id, number)".into(),
                text: excerpt(line),
            });
        };
        let Ok(original) = std::str::from_utf8(original) else {
            return Err(DataError::NotText { path: path.to_path_buf(), line: line_number });
        };
        ids.list(number, original, path, line_number)?;
    }
    Ok(())
}
