//! Ids as they stand in files, and the numbers they get.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::FileError;
use super::lines::excerpt;
use super::note::{FileNote, file_name};
use super::number::canonical_integer;
use super::place::Origin;

/// The distinct ids of one kind of thing, coded in order of first occurrence.
///
/// Ids are text unless every one is a canonical whole number ([`canonical_integer`]: no leading zero, no sign, at most 19 digits).
/// So `007`, `7` and `07` are three things, hashes keep their zeros, and neither a text far below nor the order of rows changes
/// what an id is.
///
/// ```
/// use contrastive_data::IdMap;
/// use std::path::Path;
///
/// let mut ids = IdMap::new("item");
/// for (line, token) in (1..).zip(["40", "7", "40"]) {
///     ids.code(token.as_bytes(), Path::new("a.csv"), line)?;
/// }
/// let numbered = ids.relabel();
/// assert_eq!((numbered.labels, numbered.of_code), (vec!["7".to_string(), "40".into()], vec![1, 0]));
/// # Ok::<(), contrastive_data::FileError>(())
/// ```
#[derive(Debug)]
pub struct IdMap {
    what: &'static str,
    kind: Kind,
    /// File and line of first occurrence of each code.
    first: Vec<(u32, u32)>,
    files: Vec<PathBuf>,
    /// The code of the first id that is no whole number.
    first_text: Option<u32>,
    numbers_seen: usize,
}

#[derive(Debug)]
enum Kind {
    Numbers { codes: HashMap<u64, u32>, numbers: Vec<u64> },
    Text { codes: HashMap<Arc<str>, u32>, names: Vec<Arc<str>> },
}

/// Ids numbered without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relabelled {
    /// The number of each code.
    pub of_code: Vec<u32>,
    /// The id of each number.
    pub labels: Vec<String>,
}

impl IdMap {
    /// No ids yet; `what` (`user`, `item`, `node`) says in messages whose they are.
    pub fn new(what: &'static str) -> Self {
        let kind = Kind::Numbers { codes: HashMap::new(), numbers: Vec::new() };
        Self { what, kind, first: Vec::new(), files: Vec::new(), first_text: None, numbers_seen: 0 }
    }

    /// No ids yet, and whole numbers are text, too: every id is numbered by first occurrence.
    pub fn of_text(what: &'static str) -> Self {
        Self { kind: Kind::Text { codes: HashMap::new(), names: Vec::new() }, ..Self::new(what) }
    }

    /// Whose ids these are.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Number of distinct ids.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The code of an id, a new one if it has not occurred. Blanks around it do not count.
    ///
    /// # Errors
    /// [`FileError::BadId`] for an empty id, [`FileError::NotText`] for bytes that are not UTF-8, [`FileError::Limit`] beyond 2^32
    /// ids.
    pub fn code(&mut self, token: &[u8], path: &Path, line: usize) -> Result<u32, FileError> {
        let token = token.trim_ascii();
        let number = canonical_integer(token);
        if let (Some(number), Kind::Numbers { codes, .. }) = (number, &self.kind)
            && let Some(&code) = codes.get(&number)
        {
            return Ok(code);
        }
        if token.is_empty() {
            let (origin, allowed) = (Origin::line(path, line), "an id that is not empty".into());
            return Err(FileError::BadId { origin, what: self.what, text: "".into(), allowed });
        }
        let Ok(name) = std::str::from_utf8(token) else {
            return Err(FileError::NotText { origin: Origin::line(path, line), found: "not UTF-8 text (an id)" });
        };
        if number.is_none() {
            self.become_text();
        }
        if let Kind::Text { codes, .. } = &self.kind
            && let Some(&code) = codes.get(name)
        {
            return Ok(code);
        }
        let code = u32::try_from(self.first.len())
            .map_err(|_| Origin::line(path, line).limit("the number of ids", 1 << 32, u32::MAX.into()))?;
        match (&mut self.kind, number) {
            (Kind::Numbers { codes, numbers }, Some(number)) => {
                codes.insert(number, code);
                numbers.push(number);
            }
            (Kind::Text { codes, names }, _) => {
                let name: Arc<str> = name.into();
                codes.insert(name.clone(), code);
                names.push(name);
            }
            (Kind::Numbers { .. }, None) => unreachable!("ids became text above"),
        }
        match number {
            Some(_) => self.numbers_seen += 1,
            None if self.first_text.is_none() => self.first_text = Some(code),
            None => (),
        }
        if self.files.last().is_none_or(|last| last != path) {
            self.files.push(path.to_path_buf());
        }
        self.first.push((self.files.len() as u32 - 1, u32::try_from(line).unwrap_or(u32::MAX)));
        Ok(code)
    }

    /// Whole numbers become the text they were read from.
    fn become_text(&mut self) {
        if let Kind::Numbers { numbers, .. } = &self.kind {
            let names: Vec<Arc<str>> = numbers.iter().map(|number| number.to_string().into()).collect();
            let codes = names.iter().cloned().zip(0..).collect();
            self.kind = Kind::Text { codes, names };
        }
    }

    /// The code of an id that occurred.
    pub fn get(&self, token: &[u8]) -> Option<u32> {
        let token = token.trim_ascii();
        match &self.kind {
            Kind::Numbers { codes, .. } => codes.get(&canonical_integer(token)?).copied(),
            Kind::Text { codes, .. } => codes.get(std::str::from_utf8(token).ok()?).copied(),
        }
    }

    /// The ids by code, if all of them are whole numbers (and these were not asked to be text).
    pub fn numbers(&self) -> Option<&[u64]> {
        match &self.kind {
            Kind::Numbers { numbers, .. } => Some(numbers),
            Kind::Text { .. } => None,
        }
    }

    /// The id of a code as text.
    ///
    /// # Panics
    /// When there is no such code.
    pub fn label(&self, code: u32) -> String {
        match &self.kind {
            Kind::Numbers { numbers, .. } => numbers[code as usize].to_string(),
            Kind::Text { names, .. } => names[code as usize].to_string(),
        }
    }

    /// Where a code occurred first.
    ///
    /// # Panics
    /// When there is no such code.
    pub fn place(&self, code: u32) -> Origin {
        let (file, line) = self.first[code as usize];
        Origin::line(&self.files[file as usize], line as usize)
    }

    /// The first id that is not a canonical whole number, if there is one.
    pub fn first_text(&self) -> Option<u32> {
        self.first_text
    }

    /// A note where ids are text although at least half of them are whole numbers.
    pub fn note(&self) -> Option<FileNote> {
        let code = self.first_text.filter(|_| self.numbers_seen * 2 >= self.first.len())?;
        let (file, line) = self.first[code as usize];
        Some(FileNote::TextIds {
            file: file_name(&self.files[file as usize]),
            line: line as usize,
            what: self.what,
            text: excerpt(self.label(code).as_bytes()),
        })
    }

    /// Numbers the ids: whole numbers in ascending order, text in order of first occurrence.
    pub fn relabel(&self) -> Relabelled {
        let mut order: Vec<u32> = (0..self.first.len() as u32).collect();
        if let Kind::Numbers { numbers, .. } = &self.kind {
            order.sort_unstable_by_key(|&code| numbers[code as usize]);
        }
        let mut of_code = vec![0; order.len()];
        for (number, &code) in (0..).zip(&order) {
            of_code[code as usize] = number;
        }
        Relabelled { of_code, labels: order.into_iter().map(|code| self.label(code)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tokens: &[&str]) -> IdMap {
        let mut ids = IdMap::new("item");
        for (line, token) in (1..).zip(tokens) {
            ids.code(token.as_bytes(), Path::new("a.csv"), line).unwrap();
        }
        ids
    }

    #[test]
    fn leading_zeros_make_three_things() {
        let ids = read(&["007", "7", "07", "7"]);
        assert_eq!((ids.len(), ids.relabel().labels), (3, vec!["007".to_string(), "7".into(), "07".into()]));
    }

    #[test]
    fn the_order_of_rows_changes_no_label() {
        let mut forth = read(&["12", "5", "B00", "-4"]).relabel().labels;
        let mut back = read(&["-4", "B00", "5", "12"]).relabel().labels;
        forth.sort();
        back.sort();
        assert_eq!(forth, back);
        assert_eq!(read(&["12", "5", "B00"]).relabel().labels, ["12", "5", "B00"]);
        assert_eq!(read(&["12", "5"]).relabel().labels, ["5", "12"]);
    }

    #[test]
    fn a_text_among_numbers_is_noted_with_its_line() {
        let note = read(&["1", "2", "n/a"]).note().unwrap().to_string();
        assert_eq!(note, "a.csv:3: item ids are text, because \"n/a\" is not a plain whole number");
        assert_eq!(read(&["a", "b", "1"]).note(), None);
        assert_eq!(read(&["1", "2"]).note(), None);
    }

    #[test]
    fn codes_are_found_again_in_both_kinds() {
        for tokens in [["3", "4"], ["3", "x"]] {
            let ids = read(&tokens);
            assert_eq!((ids.get(b"3"), ids.get(b" 03"), ids.get(b"9")), (Some(0), None, None));
            assert_eq!((ids.label(1), ids.place(1).to_string()), (tokens[1].to_string(), "a.csv:2".into()));
        }
        assert!(
            IdMap::new("user").code(b" ", Path::new("a"), 4).unwrap_err().to_string().contains("a:4: user id \"\"")
        );
        assert!(IdMap::new("user").code(b"\xff", Path::new("a"), 4).is_err());
        assert_eq!(IdMap::of_text("user").numbers(), None);
    }
}
