//! Columns by name or by position.

use std::convert::Infallible;
use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// A column by name or by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// The header's text (without RecBole's `:type`).
    Name(String),
    /// The position, from 0.
    Index(usize),
}

impl Display for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?}"),
            Self::Index(index) => write!(f, "number {index} (from 0)"),
        }
    }
}

/// As on a command line: a whole number is a position, anything else a name.
impl FromStr for Column {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let position = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        Ok(position.map_or_else(|| Self::Name(text.to_owned()), Self::Index))
    }
}

/// A column's name as it is compared: without case, blanks, and the joints `_`, `-`, `.`; `User_ID` is `userid`.
pub fn folded(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ' | '.')).flat_map(char::to_lowercase).collect()
}
