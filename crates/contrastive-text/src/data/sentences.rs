//! A sentence on each line, or in a column of a table.

use super::{Note, TextDataError};
use contrastive_data::text::{Charset, read_lines};
use contrastive_data::{Column, Delimiter, FileError, Limits, Row, Table, TableOptions, file_name, read_text};
use std::path::Path;

/// Texts in their order, blank ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentences {
    /// The texts, without surrounding blanks.
    pub texts: Vec<String>,
    /// What was in doubt.
    pub notes: Vec<Note>,
}

/// Reads sentences: with a column, from a table (tabs in a `.tsv`, else commas; quotes; a column asked for by name needs a header); without one, from a text file
/// with a sentence on each line, in UTF-8, or, with a note, ISO-8859-1. Every line gives a text, a blank one too (noted), so that the
/// number of a text is that of its line.
///
/// # Errors
/// When the file cannot be read, holds no line, has no such column, or a row of the table is not UTF-8.
pub fn read_sentences(path: &Path, column: Option<&Column>) -> Result<Sentences, TextDataError> {
    let (texts, mut notes) = match column {
        None => {
            let read = read_lines(path, &Limits::default(), Charset::Detect)?;
            (read.lines, read.notes.into_iter().map(Note::from).collect::<Vec<_>>())
        }
        Some(column) => of_table(path, column)?,
    };
    let texts: Vec<String> = texts.iter().map(|text| text.trim().to_string()).collect();
    if texts.is_empty() {
        let expected = "a sentence on each line".to_string();
        return Err(FileError::Empty { path: path.to_path_buf(), expected }.into());
    }
    notes.extend(blanks(&file_name(path), &texts));
    Ok(Sentences { texts, notes })
}

/// A note of the texts without a word, if there are any.
pub(super) fn blanks(name: &str, texts: &[String]) -> Option<Note> {
    let blank = |text: &String| text.trim().is_empty();
    let first = texts.iter().position(blank)? + 1;
    Some(Note::Blank { name: name.into(), count: texts.iter().filter(|text| blank(text)).count(), first })
}

fn of_table(path: &Path, column: &Column) -> Result<(Vec<String>, Vec<Note>), TextDataError> {
    let bytes = read_text(path, &Limits::default())?;
    // sentences hold commas and semicolons: the name of the file tells the delimiter, not its content
    let delimiter = if path.extension().is_some_and(|end| end == "tsv") { Delimiter::Tab } else { Delimiter::Comma };
    let header = matches!(column, Column::Name(_)).then_some(true);
    let options = TableOptions { delimiter: Some(delimiter), header, comments: false, ..TableOptions::default() };
    let table = Table::parse(path, &bytes, &options)?;
    let at = table.position(column, "sentence")?;
    let (mut rows, mut row, mut texts) = (table.rows(), Row::default(), Vec::new());
    while rows.read(&mut row)? {
        let text = std::str::from_utf8(&row.fields[at]).map_err(|_| TextDataError::BadLine {
            path: path.to_path_buf(),
            line: row.line,
            problem: "bytes that are not UTF-8".into(),
            allowed: "UTF-8 text".into(),
        })?;
        texts.push(text.to_string());
    }
    Ok((texts, table.notes().iter().cloned().map(Note::from).collect()))
}
