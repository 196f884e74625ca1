//! LightGCN lists, and the lists of original ids beside them.

use std::path::Path;

use contrastive_data::{FileError, Limits, Origin, excerpt, lines, read_text, words};

use super::super::error::DataError;
use super::Format;
use super::ids::Ids;
use super::part::Sink;

/// What a line should look like.
pub(super) fn expected(format: Format) -> &'static str {
    match format {
        Format::LightGcn => "lines such as `0 12 845 31`: a user id, then item ids",
        Format::Ratings => "lines such as `196 242 3 881250949`: user, item, and optionally rating and time",
        Format::RecBole => "a header such as `user_id:token item_id:token`, then rows",
        Format::Delimited => "rows of separated values with a user and an item column",
        Format::SparseMatrix => "a pickled sparse matrix, users x items, with at least one entry",
    }
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

/// Reads `user_list.txt` or `item_list.txt` (header `org_id remap_id`), if it is there.
pub(super) fn original_ids(path: &Path, limits: &Limits, ids: &mut Ids) -> Result<(), DataError> {
    if !path.is_file() {
        return Ok(());
    }
    let bytes = read_text(path, limits)?;
    for (line_number, line) in lines(&bytes) {
        let mut words = words(line);
        let (original, number) = (words.next().unwrap_or_default(), words.next());
        if line_number == 1 {
            if original != b"org_id" || number != Some(b"remap_id".as_slice()) {
                let found = format!("header field {:?} is not valid", excerpt(line));
                return Err(Origin::line(path, 1).malformed(found, "`org_id remap_id`").into());
            }
            continue;
        }
        let origin = Origin::line(path, line_number);
        let Some(number) = number else {
            let (expected, text) = ("2 (original id, number)".into(), excerpt(line));
            return Err(FileError::ColumnCount { origin, found: 1, expected, text: text.into() }.into());
        };
        let Ok(original) = std::str::from_utf8(original) else {
            return Err(FileError::NotText { origin, found: "not UTF-8 text" }.into());
        };
        ids.list(number, original, path, line_number)?;
    }
    Ok(())
}
