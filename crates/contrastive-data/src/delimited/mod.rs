//! Delimited text: one reader for comma-, tab-, semicolon- and bar-separated values, `::`, and blanks.

mod detect;
mod split;

use std::borrow::Cow;
use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::column::{Column, folded};
use super::error::FileError;
use super::lines::{excerpt, listed};
use super::note::{FileNote, file_name};
use super::place::Origin;

/// What stands between the fields of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delimiter {
    /// `,`
    Comma,
    /// A tab. Blanks around fields do not count, tabs do.
    Tab,
    /// `;`
    Semicolon,
    /// `|`
    Bar,
    /// `::`
    DoubleColon,
    /// Any number of blanks and tabs.
    Blanks,
}

impl Delimiter {
    /// All of them, in the order in which they are preferred.
    pub const ALL: [Self; 6] = [Self::DoubleColon, Self::Tab, Self::Comma, Self::Semicolon, Self::Bar, Self::Blanks];

    /// Whether fields may stand in double quotes: not at `::` and blanks.
    pub fn quotes(self) -> bool {
        !matches!(self, Self::DoubleColon | Self::Blanks)
    }

    /// The byte it consists of, if it is one.
    fn byte(self) -> Option<u8> {
        match self {
            Self::Comma => Some(b','),
            Self::Tab => Some(b'\t'),
            Self::Semicolon => Some(b';'),
            Self::Bar => Some(b'|'),
            Self::DoubleColon | Self::Blanks => None,
        }
    }
}

impl Display for Delimiter {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Comma => "commas",
            Self::Tab => "tabs",
            Self::Semicolon => "semicolons",
            Self::Bar => "bars",
            Self::DoubleColon => "double colons",
            Self::Blanks => "blanks",
        })
    }
}

/// By name (`comma`, `tab`, `semicolon`, `bar`, `double-colon`, `blanks`) or by the text itself.
impl FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "," | "comma" => Self::Comma,
            "\t" | "\\t" | "tab" => Self::Tab,
            ";" | "semicolon" => Self::Semicolon,
            "|" | "bar" => Self::Bar,
            "::" | "double-colon" => Self::DoubleColon,
            " " | "blanks" | "blank" => Self::Blanks,
            _ => {
                return Err(format!(
                    "{text:?} is no delimiter; allowed: comma, tab, semicolon, bar, double-colon, blanks"
                ));
            }
        })
    }
}

/// What the first row is when nothing shows whether it is a header.
///
/// It is shown when it cannot be data: it holds no number and no date, and some column below it holds nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doubt {
    /// A header. What needs a column by name then says which names there are.
    Header,
    /// A header where two of its fields are [usual names](TableOptions::names), otherwise data.
    Names,
    /// Data.
    #[default]
    Data,
}

/// How [`Table::parse`] reads.
#[derive(Clone, Debug, PartialEq)]
pub struct TableOptions<'o> {
    /// The delimiter; `None` (default) finds the one that divides all rows alike.
    pub delimiter: Option<Delimiter>,
    /// Whether the first row is a header; `None` (default) finds out, and in doubt does as [`doubt`](Self::doubt) says.
    pub header: Option<bool>,
    /// What the first row is in doubt. Default [`Doubt::Data`].
    pub doubt: Doubt,
    /// Names of columns that the reader knows, folded ([`folded`]). A header without two of them is noted. Default none.
    pub names: &'o [&'o str],
    /// Whether fields may be quoted where the delimiter allows it. Default true.
    pub quotes: bool,
    /// Whether rows may have any number of fields. Default false.
    pub ragged: bool,
    /// Whether lines before the data that begin with `#` or `%` are comments. Default true.
    pub comments: bool,
}

impl Default for TableOptions<'_> {
    fn default() -> Self {
        Self {
            delimiter: None,
            header: None,
            doubt: Doubt::Data,
            names: &[],
            quotes: true,
            ragged: false,
            comments: true,
        }
    }
}

/// Delimited text of which the delimiter and the header are known.
///
/// ```
/// use contrastive_data::{Row, Table, TableOptions};
/// use std::path::Path;
///
/// let text = b"user;film;stars\r\n7;\"30; or more\";5\r\n";
/// let table = Table::parse(Path::new("log.csv"), text, &TableOptions::default())?;
/// assert_eq!(table.header().unwrap(), ["user", "film", "stars"]);
/// let film = table.find(&["item", "film"]).unwrap();
/// let (mut rows, mut row) = (table.rows(), Row::default());
/// while rows.read(&mut row)? {
///     assert_eq!((row.line, &row.fields[film][..]), (2, &b"30; or more"[..]));
/// }
/// # Ok::<(), contrastive_data::FileError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table<'a> {
    path: PathBuf,
    /// From the first row of data on.
    bytes: &'a [u8],
    /// Lines before it.
    lines_before: usize,
    delimiter: Delimiter,
    quotes: bool,
    ragged: bool,
    comments: bool,
    header: Option<Vec<String>>,
    width: usize,
    notes: Vec<FileNote>,
}

/// A row: its line from 1, and its fields without blanks around them.
#[derive(Clone, Debug, Default)]
pub struct Row<'a> {
    /// The line on which it starts, from 1.
    pub line: usize,
    /// The fields: as many as the table is wide.
    pub fields: Vec<Cow<'a, [u8]>>,
}

impl Row<'_> {
    /// The row as messages show it.
    pub fn excerpt(&self) -> String {
        excerpt(&self.fields.join(&b' '))
    }
}

impl<'a> Table<'a> {
    /// Finds delimiter and header.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for quotes that are not closed, or closed before the end of a field, in the first rows;
    /// [`FileError::NotText`] for a header that is not UTF-8. A file without rows is a table of width 0.
    pub fn parse(path: &Path, bytes: &'a [u8], options: &TableOptions<'_>) -> Result<Self, FileError> {
        detect::table(path, bytes, options)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the columns, if there is a header.
    pub fn header(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    /// Number of columns: those of the header or of the first row. 0 for a file without rows.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The delimiter.
    pub fn delimiter(&self) -> Delimiter {
        self.delimiter
    }

    /// What was in doubt before the first row of data.
    pub fn notes(&self) -> &[FileNote] {
        &self.notes
    }

    /// Other names for the columns.
    pub(super) fn rename(&mut self, names: Vec<String>) {
        if !names.is_empty() {
            self.header = Some(names);
        }
    }

    /// The position of the first of these names (folded, as [`folded`] does it) that the header has.
    pub fn find(&self, usual: &[&str]) -> Option<usize> {
        let names: Vec<String> = self.header.as_ref()?.iter().map(|name| folded(name)).collect();
        usual.iter().find_map(|usual| names.iter().position(|name| name == usual))
    }

    /// The position of a column that was asked for.
    ///
    /// # Errors
    /// [`FileError::MissingColumn`].
    pub fn position(&self, column: &Column, what: &str) -> Result<usize, FileError> {
        let found = match column {
            Column::Index(index) => Some(*index).filter(|&index| index < self.width),
            // as written, else without case and joints, where that is unique
            Column::Name(wanted) => self.header.as_ref().and_then(|names| {
                let same = |name: &String| folded(name) == folded(wanted);
                let alike =
                    || names.iter().position(same).filter(|_| names.iter().filter(|name| same(name)).count() == 1);
                names.iter().position(|name| name == wanted).or_else(alike)
            }),
        };
        found.ok_or_else(|| {
            let allowed = match self.header {
                Some(_) => format!("one of these names, or a position below {}", self.width),
                None => format!("a position below {}, or a header", self.width),
            };
            self.missing(&format!("{what} ({column})"), &allowed)
        })
    }

    /// The error for a column that is needed and not there.
    pub fn missing(&self, wanted: &str, allowed: &str) -> FileError {
        let found = match &self.header {
            Some(names) => listed(names),
            None => format!("{} columns without a header", self.width),
        };
        let path = self.path.clone();
        FileError::MissingColumn { path, wanted: wanted.into(), found, allowed: allowed.into() }
    }

    /// The rows of data.
    pub fn rows(&self) -> Rows<'a, '_> {
        let splitter = split::Splitter::new(self.bytes, self.lines_before, self.delimiter, self.quotes);
        Rows { table: self, splitter, comments: 0, first_comment: 0 }
    }
}

/// Reads rows one by one.
#[derive(Clone, Debug)]
pub struct Rows<'a, 't> {
    table: &'t Table<'a>,
    splitter: split::Splitter<'a>,
    comments: usize,
    first_comment: usize,
}

impl<'a> Rows<'a, '_> {
    /// The next row; false at the end. Blank lines are passed over. A line that begins with `#` and a blank, or with `#` and has
    /// another width than the table, is a comment ([`note`](Self::note)). One empty field beyond the width, as a delimiter at
    /// the end of every line makes it, is dropped.
    ///
    /// # Errors
    /// [`FileError::ColumnCount`] for another width than the table's, [`FileError::Malformed`] for quotes that are not closed or
    /// closed before the end of a field.
    pub fn read(&mut self, row: &mut Row<'a>) -> Result<bool, FileError> {
        let width = self.table.width;
        loop {
            if !self.splitter.read(row).map_err(|fault| fault.at(&self.table.path))? {
                return Ok(false);
            }
            let trailing = row.fields.last().is_some_and(|field| field.is_empty());
            if trailing && (row.fields.len() == width + 1 || (self.table.ragged && row.fields.len() > 1)) {
                row.fields.pop();
            }
            if self.table.comments && row.fields[0].first() == Some(&b'#') {
                let line = self.splitter.line();
                let remark = line.get(1).is_none_or(u8::is_ascii_whitespace);
                let fits = self.table.ragged || row.fields.len() == width;
                if (remark && self.table.delimiter == Delimiter::Blanks) || !fits {
                    self.comments += 1;
                    self.first_comment = if self.comments == 1 { row.line } else { self.first_comment };
                    continue;
                }
            }
            if row.fields.len() != width && !self.table.ragged {
                return Err(FileError::ColumnCount {
                    origin: Origin::line(&self.table.path, row.line),
                    found: row.fields.len(),
                    expected: format!("{width}, as in the first row"),
                    text: row.excerpt().into(),
                });
            }
            return Ok(true);
        }
    }

    /// What was passed over while rows were read.
    pub fn note(&self) -> Option<FileNote> {
        let (file, count, line) = (file_name(&self.table.path), self.comments, self.first_comment);
        (count > 0).then_some(FileNote::Comments { file, count, line })
    }
}
