//! The rows of one file, before ids are numbered.

use std::path::{Path, PathBuf};

use super::super::error::DataError;
use super::ids::Ids;

/// The rows of one file that count as interactions, with provisional id codes.
pub(in super::super) struct Part {
    pub path: PathBuf,
    pub users: Vec<u32>,
    pub items: Vec<u32>,
    pub lines: Vec<u32>,
    /// Empty when the file has no times.
    pub times: Vec<f64>,
    /// Rows left out by `min_rating`.
    pub below: usize,
    /// Users that stand on a line without items, with the line.
    pub bare_users: Vec<(u32, u32)>,
    pub(super) min_rating: Option<f64>,
}

impl Part {
    pub(super) fn new(path: &Path, min_rating: Option<f64>) -> Self {
        Self {
            path: path.to_path_buf(),
            users: Vec::new(),
            items: Vec::new(),
            lines: Vec::new(),
            times: Vec::new(),
            below: 0,
            bare_users: Vec::new(),
            min_rating,
        }
    }

    /// Whether the file had no interaction, not even one below the minimum rating.
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.below == 0
    }

    /// The file's name without its folder.
    pub fn file_name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

/// Where a parser puts what it read.
pub(super) struct Sink<'a> {
    pub part: &'a mut Part,
    pub users: &'a mut Ids,
    pub items: &'a mut Ids,
}

impl Sink<'_> {
    pub fn user(&mut self, token: &[u8], line: usize) -> Result<u32, DataError> {
        self.users.code(token, &self.part.path, line)
    }

    /// A row: its ids are known from now on, and it counts unless its rating is too low.
    pub fn row(
        &mut self,
        line: usize,
        user: &[u8],
        item: &[u8],
        rating: Option<&[u8]>,
        time: Option<&[u8]>,
    ) -> Result<(), DataError> {
        let user = self.users.code(user, &self.part.path, line)?;
        let item = self.items.code(item, &self.part.path, line)?;
        let rating = rating.map(|text| number(text, "rating", &self.part.path, line)).transpose()?;
        let time = time.map(|text| number(text, "time", &self.part.path, line)).transpose()?;
        if let (Some(rating), Some(minimum)) = (rating, self.part.min_rating)
            && rating < minimum
        {
            self.part.below += 1;
            return Ok(());
        }
        self.pair(user, item, line);
        self.part.times.extend(time);
        Ok(())
    }

    pub fn pair(&mut self, user: u32, item: u32, line: usize) {
        self.part.users.push(user);
        self.part.items.push(item);
        self.part.lines.push(line as u32);
    }

    pub fn item(&mut self, token: &[u8], line: usize) -> Result<u32, DataError> {
        self.items.code(token, &self.part.path, line)
    }

    /// The error for a `min_rating` that nothing can be compared with.
    pub fn check_rating_column(&self, has_ratings: bool, found: &str) -> Result<(), DataError> {
        if self.part.min_rating.is_some() && !has_ratings {
            return Err(DataError::MissingColumn {
                path: self.part.path.clone(),
                wanted: "rating".into(),
                found: found.into(),
                allowed: "min_rating only with data that has ratings".into(),
            });
        }
        Ok(())
    }
}

fn number(text: &[u8], column: &'static str, path: &Path, line: usize) -> Result<f64, DataError> {
    let text = text.trim_ascii();
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    match parsed {
        Some(value) if value.is_finite() => Ok(value),
        _ => Err(DataError::BadNumber { path: path.to_path_buf(), line, column, text: excerpt(text) }),
    }
}

/// At most 40 characters of a text, for messages.
pub(crate) fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(200)]);
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
