//! Rows into fields.

use std::borrow::Cow;
use std::path::Path;

use super::super::error::FileError;
use super::super::lines::{excerpt, split_line, words};
use super::super::place::Origin;
use super::{Delimiter, Row};

/// Divides text into rows of fields.
#[derive(Clone, Debug)]
pub(super) struct Splitter<'a> {
    rest: &'a [u8],
    /// The line at the start of `rest`, from 0.
    number: usize,
    delimiter: Delimiter,
    quotes: bool,
    /// The first line of the last row.
    last: &'a [u8],
}

/// A quote in the wrong place.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    line: usize,
    found: String,
}

impl Fault {
    pub fn at(self, path: &Path) -> FileError {
        let allowed = "a closing quote at the end of every quoted field, and quotes inside it doubled";
        Origin::line(path, self.line).malformed(self.found, allowed)
    }
}

impl<'a> Splitter<'a> {
    /// Reads `rest`, before which there are `lines_before` lines.
    pub fn new(rest: &'a [u8], lines_before: usize, delimiter: Delimiter, quotes: bool) -> Self {
        Self { rest, number: lines_before, delimiter, quotes: quotes && delimiter.quotes(), last: &[] }
    }

    /// What was not read yet, and the number of lines before it.
    pub fn rest(&self) -> (&'a [u8], usize) {
        (self.rest, self.number)
    }

    /// The first line of the last row.
    pub fn line(&self) -> &'a [u8] {
        self.last
    }

    /// The next row that is not blank.
    pub fn read(&mut self, row: &mut Row<'a>) -> Result<bool, Fault> {
        row.fields.clear();
        loop {
            if self.rest.is_empty() {
                return Ok(false);
            }
            let (line, after) = split_line(self.rest);
            self.number += 1;
            row.line = self.number;
            if line.iter().all(u8::is_ascii_whitespace) {
                self.rest = after;
                continue;
            }
            self.last = line;
            if self.quotes && line.contains(&b'"') {
                return self.quoted(row).map(|()| true);
            }
            self.rest = after;
            plain(line, self.delimiter, &mut row.fields);
            return Ok(true);
        }
    }

    /// A row in which fields are quoted, perhaps over several lines.
    fn quoted(&mut self, row: &mut Row<'a>) -> Result<(), Fault> {
        let delimiter = self.delimiter.byte().expect("quotes go with one byte");
        let blank = |byte: u8| byte == b' ' || (byte == b'\t' && delimiter != b'\t');
        let bytes = self.rest;
        let mut at = 0;
        loop {
            at += bytes[at..].iter().take_while(|&&byte| blank(byte)).count();
            if bytes.get(at) == Some(&b'"') {
                let (opened, start) = (self.number, at);
                let field = self.quoted_field(bytes, &mut at).ok_or_else(|| Fault {
                    line: opened,
                    found: format!("a quote that is opened and never closed: {:?}", excerpt(&bytes[start..])),
                })?;
                at += bytes[at..].iter().take_while(|&&byte| blank(byte)).count();
                row.fields.push(field);
                if !matches!(bytes.get(at), None | Some(b'\n' | b'\r')) && bytes[at] != delimiter {
                    let found = format!(
                        "text after a closing quote: {:?}, in a field that starts with {:?}",
                        excerpt(split_line(&bytes[at..]).0),
                        excerpt(split_line(&bytes[start..]).0)
                    );
                    return Err(Fault { line: opened, found });
                }
            } else {
                let ends = |byte: &u8| *byte == delimiter || matches!(byte, b'\n' | b'\r');
                let end = bytes[at..].iter().position(ends).map_or(bytes.len(), |length| at + length);
                row.fields.push(Cow::Borrowed(bytes[at..end].trim_ascii()));
                at = end;
            }
            match bytes.get(at) {
                Some(&byte) if byte == delimiter => at += 1,
                _ => {
                    self.rest = split_line(&bytes[at..]).1;
                    return Ok(());
                }
            }
        }
    }

    /// The field in quotes that starts at `at`, which is moved behind it; `None` when it is not closed.
    fn quoted_field(&mut self, bytes: &'a [u8], at: &mut usize) -> Option<Cow<'a, [u8]>> {
        let start = *at + 1;
        let (mut from, mut owned) = (start, Vec::new());
        loop {
            let end = from + bytes[from..].iter().position(|&byte| byte == b'"')?;
            if bytes.get(end + 1) == Some(&b'"') {
                owned.extend_from_slice(&bytes[from..=end]);
                from = end + 2;
                continue;
            }
            self.number += breaks(&bytes[start..end]);
            *at = end + 1;
            if owned.is_empty() {
                return Some(Cow::Borrowed(&bytes[from..end]));
            }
            owned.extend_from_slice(&bytes[from..end]);
            return Some(Cow::Owned(owned));
        }
    }
}

/// Number of line ends.
fn breaks(bytes: &[u8]) -> usize {
    let ends = |at: &usize| bytes[*at] == b'\n' || (bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
    (0..bytes.len()).filter(ends).count()
}

/// The fields of a line without quotes.
pub(super) fn plain<'a>(line: &'a [u8], delimiter: Delimiter, fields: &mut Vec<Cow<'a, [u8]>>) {
    match delimiter.byte() {
        Some(delimiter) => {
            fields.extend(line.split(|&byte| byte == delimiter).map(|field| Cow::Borrowed(field.trim_ascii())));
        }
        None if delimiter == Delimiter::Blanks => fields.extend(words(line).map(Cow::Borrowed)),
        None => {
            let mut rest = line;
            while let Some(at) = rest.windows(2).position(|pair| pair == b"::") {
                fields.push(Cow::Borrowed(rest[..at].trim_ascii()));
                rest = &rest[at + 2..];
            }
            fields.push(Cow::Borrowed(rest.trim_ascii()));
        }
    }
}
