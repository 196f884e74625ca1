//! Where in the input something stands.

use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};

use super::error::FileError;
use super::lines::{MESSAGE, elided};

/// Where in the input something stands: a file, and a place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, or `None` for what was handed over in memory.
    pub path: Option<PathBuf>,
    /// The place in it.
    pub place: Place,
}

/// A place in a file or in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The whole.
    Whole,
    /// A line, from 1.
    Line(usize),
    /// A column of a line: the line from 1, and the column's name or position.
    Field(usize, String),
    /// An offset in bytes, from 0.
    Byte(usize),
    /// A named part: a member of an npz archive, a variable of a MATLAB file, a key of a JSON object.
    Part(String),
    /// The position of an edge in the input, from 0.
    Edge(usize),
    /// A node, by its number from 0.
    Node(usize),
}

impl Origin {
    /// A place in a file.
    pub fn at(path: &Path, place: Place) -> Self {
        Self { path: Some(path.to_path_buf()), place }
    }

    /// A whole file.
    pub fn file(path: &Path) -> Self {
        Self::at(path, Place::Whole)
    }

    /// A line of a file, from 1.
    pub fn line(path: &Path, line: usize) -> Self {
        Self::at(path, Place::Line(line))
    }

    /// A column of a line of a file, from 1.
    pub fn field(path: &Path, line: usize, column: impl Into<String>) -> Self {
        Self::at(path, Place::Field(line, column.into()))
    }

    /// A byte of a file, from 0.
    pub fn byte(path: &Path, byte: usize) -> Self {
        Self::at(path, Place::Byte(byte))
    }

    /// A named part of a file.
    pub fn part(path: &Path, part: &str) -> Self {
        Self::at(path, Place::Part(part.to_owned()))
    }

    /// A place in what was handed over in memory.
    pub fn memory(place: Place) -> Self {
        Self { path: None, place }
    }

    /// [`FileError::Malformed`] here.
    pub fn malformed(self, found: impl Into<String>, allowed: impl Into<String>) -> FileError {
        FileError::Malformed { origin: self, found: found.into(), allowed: allowed.into() }
    }

    /// [`FileError::Limit`] here.
    pub fn limit(self, what: &'static str, value: u64, limit: u64) -> FileError {
        FileError::Limit { origin: self, what, value, limit }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match (&self.path, &self.place) {
            (Some(path), Place::Whole) => return write!(f, "{}", shown(path)),
            (Some(path), Place::Line(line)) => return write!(f, "{}:{line}", shown(path)),
            (Some(path), Place::Field(line, column)) => {
                return write!(f, "{}:{line}: column {}", shown(path), elided(column, MESSAGE / 8));
            }
            (Some(path), _) => write!(f, "{}: ", shown(path))?,
            (None, _) => (),
        }
        match &self.place {
            Place::Whole => f.write_str("the graph"),
            Place::Line(line) => write!(f, "line {line}"),
            Place::Field(line, column) => write!(f, "line {line}, column {}", elided(column, MESSAGE / 8)),
            Place::Byte(byte) => write!(f, "byte {byte}"),
            Place::Part(part) => f.write_str(&elided(part, MESSAGE / 8)),
            Place::Edge(edge) => write!(f, "edge number {edge}"),
            Place::Node(node) => write!(f, "node number {node}"),
        }
    }
}

/// A path as messages show it: a long one without its middle.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let count = text.chars().count();
    if count <= 120 {
        return text.into_owned();
    }
    let head: String = text.chars().take(30).collect();
    let tail: String = text.chars().skip(count - 80).collect();
    format!("{head}…{tail}")
}
