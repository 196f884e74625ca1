//! Ids as they stand in files, and the numbers they get.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::error::{DataError, Side};
use super::super::note::Note;
use super::part::excerpt;
use super::{Format, IdPolicy};

/// What a column of ids may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integers,
    /// Integers or text, as its first id is.
    Undecided,
    /// Integers, because the first id was one.
    IntegersSoFar,
    Text,
}

/// How the ids that occurred are numbered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Numbering {
    Dense {
        base: u64,
    },
    /// Dense from 0 or 1, or relabelled when more than half of the numbers are left out.
    DenseIfPossible,
    Relabel,
}

pub(super) fn numbering(format: Format, policy: IdPolicy) -> Numbering {
    match (policy, format) {
        (IdPolicy::ZeroBased, _) | (IdPolicy::Auto, Format::LightGcn) => Numbering::Dense { base: 0 },
        (IdPolicy::OneBased, _) => Numbering::Dense { base: 1 },
        (IdPolicy::Auto, Format::Ratings) => Numbering::DenseIfPossible,
        (IdPolicy::Auto | IdPolicy::Relabel | IdPolicy::Tokens, _) => Numbering::Relabel,
    }
}

/// Empty user and item columns for a format.
pub(super) fn columns(format: Format, policy: IdPolicy) -> (Ids, Ids) {
    let kind = match (policy, format) {
        (IdPolicy::Tokens, _) | (IdPolicy::Auto | IdPolicy::Relabel, Format::RecBole) => Kind::Text,
        (IdPolicy::Auto | IdPolicy::Relabel, Format::Delimited) => Kind::Undecided,
        _ => Kind::Integers,
    };
    (Ids::new(Side::User, kind), Ids::new(Side::Item, kind))
}

/// The distinct ids of one side, coded in order of first occurrence.
pub(in super::super) struct Ids {
    pub side: Side,
    kind: Kind,
    codes_of_numbers: HashMap<u64, u32>,
    codes_of_names: HashMap<String, u32>,
    numbers: Vec<u64>,
    names: Vec<String>,
    /// File and line of first occurrence of each code.
    first: Vec<(u32, u32)>,
    files: Vec<PathBuf>,
    /// Original ids of dense numbers, from a list beside the data.
    listed: HashMap<u64, String>,
}

/// The outcome of numbering one side.
pub(in super::super) struct Numbered {
    /// How many numbers there are.
    pub count: usize,
    /// The number of each code.
    pub of_code: Vec<u32>,
    /// Original ids, when they are not the numbers themselves.
    pub original: Option<Vec<String>>,
}

impl Numbered {
    /// The original id of a number.
    pub fn label(&self, number: u32) -> String {
        self.original.as_ref().map_or_else(|| number.to_string(), |original| original[number as usize].clone())
    }
}

impl Ids {
    fn new(side: Side, kind: Kind) -> Self {
        Self {
            side,
            kind,
            codes_of_numbers: HashMap::new(),
            codes_of_names: HashMap::new(),
            numbers: Vec::new(),
            names: Vec::new(),
            first: Vec::new(),
            files: Vec::new(),
            listed: HashMap::new(),
        }
    }

    /// Whether ids are integers.
    pub fn is_integer(&self) -> bool {
        self.kind != Kind::Text
    }

    /// The provisional code of an id.
    pub fn code(&mut self, token: &[u8], path: &Path, line: usize) -> Result<u32, DataError> {
        let token = token.trim_ascii();
        let number = integer(token);
        if number.is_none() {
            self.refuse_unreadable(token, path, line)?;
        }
        if self.kind == Kind::Undecided {
            self.kind = if number.is_some() { Kind::IntegersSoFar } else { Kind::Text };
        }
        match (self.kind, number) {
            (Kind::Text, _) => {
                let Ok(name) = std::str::from_utf8(token) else {
                    return Err(DataError::NotText { path: path.to_path_buf(), line });
                };
                if let Some(&code) = self.codes_of_names.get(name) {
                    return Ok(code);
                }
                let code = self.new_code(path, line);
                self.codes_of_names.insert(name.to_owned(), code);
                self.names.push(name.to_owned());
                Ok(code)
            }
            (_, Some(number)) => {
                if let Some(&code) = self.codes_of_numbers.get(&number) {
                    return Ok(code);
                }
                let code = self.new_code(path, line);
                self.codes_of_numbers.insert(number, code);
                self.numbers.push(number);
                Ok(code)
            }
            (Kind::IntegersSoFar, None) => {
                Err(DataError::MixedIds { path: path.to_path_buf(), line, side: self.side, text: excerpt(token) })
            }
            (_, None) => Err(self.bad(token, path, line)),
        }
    }

    fn bad(&self, token: &[u8], path: &Path, line: usize) -> DataError {
        DataError::BadId {
            path: path.to_path_buf(),
            line,
            side: self.side,
            text: excerpt(token),
            allowed: "a whole number from 0 up, of at most 19 digits".into(),
        }
    }

    /// Negative numbers and empty ids are refused whatever the column holds.
    fn refuse_unreadable(&self, token: &[u8], path: &Path, line: usize) -> Result<(), DataError> {
        if let [b'-', digits @ ..] = token
            && !digits.is_empty()
            && digits.iter().all(u8::is_ascii_digit)
        {
            let (path, side, text) = (path.to_path_buf(), self.side, excerpt(token));
            return Err(DataError::NegativeId { path, line, side, text });
        }
        if token.is_empty() {
            let (path, side) = (path.to_path_buf(), self.side);
            return Err(DataError::BadId {
                path,
                line,
                side,
                text: String::new(),
                allowed: "an id that is not empty".into(),
            });
        }
        Ok(())
    }

    fn new_code(&mut self, path: &Path, line: usize) -> u32 {
        if self.files.last().is_none_or(|last| last != path) {
            self.files.push(path.to_path_buf());
        }
        self.first.push((self.files.len() as u32 - 1, line as u32));
        self.first.len() as u32 - 1
    }

    /// Remembers the original id of a dense number, which counts as occurring.
    pub fn list(&mut self, number: &[u8], original: &str, path: &Path, line: usize) -> Result<(), DataError> {
        let code = self.code(number, path, line)?;
        self.listed.insert(self.numbers[code as usize], original.to_owned());
        Ok(())
    }

    /// Gives every code its number.
    pub fn number(&self, numbering: Numbering, strict: bool, notes: &mut Vec<Note>) -> Result<Numbered, DataError> {
        if !self.is_integer() {
            return Ok(self.relabel_names());
        }
        let largest_code = (0..self.numbers.len()).max_by_key(|&code| self.numbers[code]);
        let Some(largest_code) = largest_code else {
            return Ok(Numbered { count: 0, of_code: Vec::new(), original: None });
        };
        let (largest, distinct) = (self.numbers[largest_code], self.numbers.len() as u64);
        let base = match numbering {
            Numbering::Dense { base } => base,
            Numbering::DenseIfPossible => u64::from(!self.codes_of_numbers.contains_key(&0)),
            Numbering::Relabel => return Ok(self.relabel_numbers()),
        };
        if let Some(code) = (0..self.numbers.len()).find(|&code| self.numbers[code] < base) {
            let (path, line) = self.place(code);
            let text = self.numbers[code].to_string();
            let allowed = format!("ids from {base} up");
            return Err(DataError::BadId { path, line, side: self.side, text, allowed });
        }
        let total = largest - base + 1;
        let absent = total - distinct;
        if absent > 0 {
            let missing = (base..).find(|number| !self.codes_of_numbers.contains_key(number)).expect("a gap exists");
            // Memory is proportional to the largest id: a stray huge one must not cost gigabytes.
            let hopeless = total > 16 * distinct + 4096 || total > u64::from(u32::MAX);
            let sparse = numbering == Numbering::DenseIfPossible && total > 2 * distinct;
            if strict || (hopeless && !sparse) {
                let (path, line) = self.place(largest_code);
                return Err(DataError::IdGap { path, line, side: self.side, missing, absent, largest });
            }
            if sparse {
                notes.push(Note::Relabelled { side: self.side, ids: self.numbers.len(), largest });
                return Ok(self.relabel_numbers());
            }
            notes.push(Note::IdGap { side: self.side, absent, first: missing });
        }
        let of_code = self.numbers.iter().map(|&number| (number - base) as u32).collect();
        let original = if base == 0 && self.listed.is_empty() {
            None
        } else {
            let label = |number: u64| self.listed.get(&number).cloned().unwrap_or_else(|| number.to_string());
            Some((base..=largest).map(label).collect())
        };
        Ok(Numbered { count: total as usize, of_code, original })
    }

    fn place(&self, code: usize) -> (PathBuf, usize) {
        let (file, line) = self.first[code];
        (self.files[file as usize].clone(), line as usize)
    }

    fn relabel_numbers(&self) -> Numbered {
        self.relabelled(
            |code| self.numbers[code],
            |code| {
                let number = self.numbers[code];
                self.listed.get(&number).cloned().unwrap_or_else(|| number.to_string())
            },
        )
    }

    fn relabel_names(&self) -> Numbered {
        let numbers: Option<Vec<u64>> = self.names.iter().map(|name| integer(name.as_bytes())).collect();
        let label = |code: usize| self.names[code].clone();
        match numbers {
            Some(numbers) => self.relabelled(|code| numbers[code], label),
            None => self.relabelled(|code| code as u64, label),
        }
    }

    /// Numbers codes by a key, equal keys (`7` and `07` as text) by first occurrence.
    fn relabelled(&self, key: impl Fn(usize) -> u64, label: impl Fn(usize) -> String) -> Numbered {
        let mut codes: Vec<usize> = (0..self.first.len()).collect();
        codes.sort_by_key(|&code| (key(code), code));
        let mut of_code = vec![0; codes.len()];
        for (number, &code) in codes.iter().enumerate() {
            of_code[code] = number as u32;
        }
        Numbered { count: codes.len(), of_code, original: Some(codes.into_iter().map(label).collect()) }
    }
}

/// A whole number of at most 19 digits, nothing else.
pub(crate) fn integer(token: &[u8]) -> Option<u64> {
    if token.is_empty() || token.len() > 19 || !token.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(token.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}
