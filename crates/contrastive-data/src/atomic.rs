//! RecBole's atomic files: tab-separated, never quoted, under a header of `name:type` fields.

use std::path::Path;

use super::delimited::{Delimiter, Table, TableOptions};
use super::error::FileError;
use super::lines::{excerpt, lines};
use super::place::Origin;

/// The type of a column of an atomic file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// One id.
    Token,
    /// One number.
    Float,
    /// Ids with blanks between.
    TokenSeq,
    /// Numbers with blanks between.
    FloatSeq,
}

/// An atomic file: its rows under the names of the columns, and their types.
#[derive(Clone, Debug)]
pub struct Atomic<'a> {
    /// The rows; the header has the names without types.
    pub table: Table<'a>,
    /// The type of each column.
    pub types: Vec<FieldType>,
}

/// Whether text begins with the header of an atomic file: a type in each field that is divided by tabs.
pub fn is_atomic(bytes: &[u8]) -> bool {
    let first = lines(bytes).next().map_or(&b""[..], |(_, line)| line);
    first.split(|&byte| byte == b'\t').all(|field| field_type(field).is_some())
}

fn field_type(field: &[u8]) -> Option<(String, FieldType)> {
    let (name, kind) = std::str::from_utf8(field).ok()?.trim().rsplit_once(':')?;
    let kind = match kind {
        "token" => FieldType::Token,
        "float" => FieldType::Float,
        "token_seq" => FieldType::TokenSeq,
        "float_seq" => FieldType::FloatSeq,
        _ => return None,
    };
    (!name.is_empty() && !name.contains([':', ','])).then(|| (name.to_owned(), kind))
}

impl<'a> Atomic<'a> {
    /// Reads the header. A field may be empty: it has no value, and no quote and no `#` means anything.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for a header field that is not `name:type`.
    pub fn parse(path: &Path, bytes: &'a [u8]) -> Result<Self, FileError> {
        let options = TableOptions {
            delimiter: Some(Delimiter::Tab),
            header: Some(true),
            quotes: false,
            comments: false,
            ..TableOptions::default()
        };
        let mut table = Table::parse(path, bytes, &options)?;
        let line = lines(bytes).next().map_or(1, |(line, _)| line);
        let mut types = Vec::with_capacity(table.width());
        let mut names = Vec::with_capacity(table.width());
        for field in table.header().unwrap_or_default() {
            let (name, kind) = field_type(field.as_bytes()).ok_or_else(|| {
                let found = format!("header field {:?} is not valid", excerpt(field.as_bytes()));
                let allowed = "tab-separated fields `name:type` with a type of token, float, token_seq, float_seq";
                Origin::line(path, line).malformed(found, allowed)
            })?;
            names.push(name);
            types.push(kind);
        }
        table.rename(names);
        Ok(Self { table, types })
    }
}
