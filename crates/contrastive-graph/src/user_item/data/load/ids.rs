//! Ids as they stand in files, and the numbers they get.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use contrastive_data::{FileError, IdMap, Origin, canonical_integer, excerpt, integer};

use super::super::error::{DataError, Side};
use super::super::note::Note;
use super::{Format, IdPolicy};

/// What a column of ids may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integers,
    Any,
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

/// The numbering of a format; ratings under a header have ids of a catalogue, not numbers that count.
pub(super) fn numbering(format: Format, policy: IdPolicy, header: bool) -> Numbering {
    match (policy, format) {
        (IdPolicy::ZeroBased, _) | (IdPolicy::Auto, Format::LightGcn | Format::SparseMatrix) => {
            Numbering::Dense { base: 0 }
        }
        (IdPolicy::OneBased, _) => Numbering::Dense { base: 1 },
        (IdPolicy::Auto, Format::Ratings) if !header => Numbering::DenseIfPossible,
        (IdPolicy::Auto | IdPolicy::Relabel | IdPolicy::Tokens, _) => Numbering::Relabel,
    }
}

/// Empty user and item columns for a format.
pub(super) fn columns(format: Format, policy: IdPolicy) -> (Ids, Ids) {
    let kind = match (policy, format) {
        (IdPolicy::Tokens, _) => Kind::Any,
        (IdPolicy::Auto | IdPolicy::Relabel, Format::RecBole | Format::Delimited | Format::Ratings) => Kind::Any,
        _ => Kind::Integers,
    };
    (Ids::new(Side::User, kind), Ids::new(Side::Item, kind))
}

/// The distinct ids of one side, coded in order of first occurrence.
pub(in super::super) struct Ids {
    pub side: Side,
    kind: Kind,
    map: IdMap,
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
    /// The original id of a number, for messages: a long one is shortened.
    pub fn label(&self, number: u32) -> String {
        let original = self.original.as_ref().map(|original| excerpt(original[number as usize].as_bytes()));
        original.unwrap_or_else(|| number.to_string())
    }
}

impl Ids {
    fn new(side: Side, kind: Kind) -> Self {
        let map = IdMap::new(match side {
            Side::User => "user",
            Side::Item => "item",
        });
        Self { side, kind, map, listed: HashMap::new() }
    }

    /// Number of distinct ids so far.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// The provisional code of an id.
    pub fn code(&mut self, token: &[u8], path: &Path, line: usize) -> Result<u32, DataError> {
        if self.kind == Kind::Integers {
            self.check_integer(token.trim_ascii(), path, line)?;
        }
        Ok(self.map.code(token, path, line)?)
    }

    /// Where ids are numbers: refuses everything else.
    fn check_integer(&self, token: &[u8], path: &Path, line: usize) -> Result<(), DataError> {
        if canonical_integer(token).is_some() || token.is_empty() {
            return Ok(()); // the map refuses empty ids
        }
        if token.strip_prefix(b"-").is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)) {
            let (path, side, text) = (path.to_path_buf(), self.side, excerpt(token));
            return Err(DataError::NegativeId { path, line, side, text });
        }
        let allowed = match integer(token) {
            Some(_) => "numbers without leading zeros; IdPolicy::Tokens (--ids tokens) keeps every id as text",
            None => "a whole number from 0 up, of at most 19 digits; IdPolicy::Tokens (--ids tokens) reads any text",
        };
        let (origin, what, text) = (Origin::line(path, line), self.map.what(), excerpt(token));
        Err(FileError::BadId { origin, what, text: text.into(), allowed: allowed.into() }.into())
    }

    /// Remembers the original id of a dense number, which counts as occurring.
    pub fn list(&mut self, number: &[u8], original: &str, path: &Path, line: usize) -> Result<(), DataError> {
        let code = self.code(number, path, line)?;
        if let Some(numbers) = self.map.numbers() {
            self.listed.insert(numbers[code as usize], original.to_owned());
        }
        Ok(())
    }

    /// Gives every code its number.
    pub fn number(&self, numbering: Numbering, strict: bool, notes: &mut Vec<Note>) -> Result<Numbered, DataError> {
        notes.extend(self.map.note().map(Note::File));
        let Some(numbers) = self.map.numbers() else { return Ok(self.relabelled()) };
        let largest_code = (0..numbers.len()).max_by_key(|&code| numbers[code]);
        let Some(largest_code) = largest_code else {
            return Ok(Numbered { count: 0, of_code: Vec::new(), original: None });
        };
        let (largest, distinct) = (numbers[largest_code], numbers.len() as u64);
        let occurs = |number: u64| self.map.get(number.to_string().as_bytes()).is_some();
        let base = match numbering {
            Numbering::Dense { base } => base,
            Numbering::DenseIfPossible => u64::from(!occurs(0)),
            Numbering::Relabel => return Ok(self.relabelled()),
        };
        if let Some(code) = (0..numbers.len()).find(|&code| numbers[code] < base) {
            let (origin, what) = (self.map.place(code as u32), self.map.what());
            let (text, allowed) = (numbers[code].to_string(), format!("ids from {base} up"));
            return Err(FileError::BadId { origin, what, text: text.into(), allowed }.into());
        }
        let total = largest - base + 1;
        let absent = total - distinct;
        if absent > 0 {
            let missing = (base..).find(|&number| !occurs(number)).expect("a gap exists");
            // Memory is proportional to the largest id: a stray huge one must not cost gigabytes.
            let hopeless = total > 16 * distinct + 4096 || total > u64::from(u32::MAX);
            let sparse = numbering == Numbering::DenseIfPossible && total > 2 * distinct;
            if strict || (hopeless && !sparse) {
                let (path, line) = self.place(largest_code);
                return Err(DataError::IdGap { path, line, side: self.side, missing, absent, largest });
            }
            if sparse {
                notes.push(Note::Relabelled { side: self.side, ids: numbers.len(), largest });
                return Ok(self.relabelled());
            }
            notes.push(Note::IdGap { side: self.side, absent, first: missing });
        }
        let of_code = numbers.iter().map(|&number| (number - base) as u32).collect();
        let original = if base == 0 && self.listed.is_empty() {
            None
        } else {
            Some((base..=largest).map(|number| self.original(number)).collect())
        };
        Ok(Numbered { count: total as usize, of_code, original })
    }

    fn original(&self, number: u64) -> String {
        self.listed.get(&number).cloned().unwrap_or_else(|| number.to_string())
    }

    fn place(&self, code: usize) -> (PathBuf, usize) {
        let origin = self.map.place(code as u32);
        let line = match origin.place {
            contrastive_data::Place::Line(line) => line,
            _ => 1,
        };
        (origin.path.unwrap_or_default(), line)
    }

    fn relabelled(&self) -> Numbered {
        let mut relabelled = self.map.relabel();
        if !self.listed.is_empty() {
            for label in &mut relabelled.labels {
                if let Some(original) = canonical_integer(label.as_bytes()).and_then(|number| self.listed.get(&number))
                {
                    label.clone_from(original);
                }
            }
        }
        Numbered { count: relabelled.labels.len(), of_code: relabelled.of_code, original: Some(relabelled.labels) }
    }
}
