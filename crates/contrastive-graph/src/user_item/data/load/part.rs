//! The rows of one file, before ids are numbered.

use std::path::{Path, PathBuf};

use contrastive_data::{FileError, FileNote, Origin, Times, excerpt, file_name, finite};

use super::super::error::DataError;
use super::super::note::Note;
use super::ids::Ids;

/// The rows of one file that count as interactions, with provisional id codes.
pub(in super::super) struct Part {
    pub path: PathBuf,
    pub users: Vec<u32>,
    pub items: Vec<u32>,
    pub lines: Vec<u32>,
    /// Empty when the file has no times; -inf where one is missing, before all others.
    pub times: Vec<f64>,
    /// Rows left out by `min_rating`.
    pub below: usize,
    /// Users that stand on a line without items, with the line.
    pub bare_users: Vec<(u32, u32)>,
    pub(super) min_rating: Option<f64>,
    clock: Times,
    /// How many rows lack a rating or a time, and the first of them.
    unrated: (usize, usize),
    untimed: (usize, usize),
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
            clock: Times::default(),
            unrated: (0, 0),
            untimed: (0, 0),
        }
    }

    /// Whether the file had no interaction, not even one below the minimum rating.
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.below == 0
    }

    /// The file's name without its folder.
    pub fn file_name(&self) -> String {
        file_name(&self.path)
    }

    /// What was missing.
    pub(super) fn notes(&self, notes: &mut Vec<Note>) {
        for (what, (rows, line), outcome) in [
            ("a rating", self.unrated, "left out, as under the minimum rating"),
            ("a time", self.untimed, "taken for the earliest"),
        ] {
            if rows > 0 {
                notes.push(Note::File(FileNote::Missing { file: self.file_name(), what, rows, line, outcome }));
            }
        }
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

    /// A row: its ids are known from now on, and it counts unless its rating is too low. The rating is looked at only where a
    /// minimum is asked for.
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
        let time = match time {
            Some(text) => Some(self.part.clock.read(text, &self.part.path, line)?),
            None => None,
        };
        if let (Some(rating), Some(minimum)) = (rating, self.part.min_rating) {
            if rating.trim_ascii().is_empty() {
                count(&mut self.part.unrated, line);
                return Ok(());
            }
            if number(rating, "rating", &self.part.path, line)? < minimum {
                self.part.below += 1;
                return Ok(());
            }
        }
        self.pair(user, item, line);
        if let Some(time) = time {
            if time.is_none() {
                count(&mut self.part.untimed, line);
            }
            self.part.times.push(time.unwrap_or(f64::NEG_INFINITY));
        }
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
            return Err(FileError::MissingColumn {
                path: self.part.path.clone(),
                wanted: "rating".into(),
                found: found.into(),
                allowed: "min_rating only with data that has ratings".into(),
            }
            .into());
        }
        Ok(())
    }
}

fn count(missing: &mut (usize, usize), line: usize) {
    if missing.0 == 0 {
        missing.1 = line;
    }
    missing.0 += 1;
}

fn number(text: &[u8], what: &'static str, path: &Path, line: usize) -> Result<f64, FileError> {
    let bad = || FileError::BadNumber { origin: Origin::line(path, line), what, text: excerpt(text) };
    finite(text).ok_or_else(bad)
}
