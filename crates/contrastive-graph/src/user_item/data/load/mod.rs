//! Reading interaction files: options, formats, and the way from a path to a [`Dataset`](super::Dataset).

mod delimited;
mod detect;
mod ids;
mod layout;
mod matrix;
mod part;
mod text;

use std::path::Path;

use contrastive_data::{Column, Delimiter, FileError, Limits, read_bytes, read_text};

use super::assemble::assemble;
use super::dataset::Dataset;
use super::error::DataError;
use super::note::Note;
use super::split::Split;

pub(super) use ids::{Ids, Numbered, Numbering};
pub(super) use part::Part;

/// A layout of interaction files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `train.txt`, `test.txt`: a user id, then the ids of the user's items, separated by blanks; ids count from 0. A user
    /// may be repeated or stand without items. `user_list.txt`, `item_list.txt` beside them (header `org_id remap_id`)
    /// give the original ids.
    LightGcn,
    /// User, item, and optionally rating and time, separated by tab, `::`, comma, semicolon, bar or blanks (MovieLens `u.data`,
    /// `u1.base` with `u1.test`, `ratings.dat`; LastFM `data1.txt` with `test1.txt`). A header is understood where there is one.
    Ratings,
    /// RecBole atomic `.inter` files: tab-separated under a header of `name:type` fields, with `user_id:token`,
    /// `item_id:token` and optionally `rating:float`, `timestamp:float`.
    RecBole,
    /// Comma-, tab-, semicolon- or bar-separated values, quoted where needed, with or without a header.
    Delimited,
    /// A pickled scipy matrix (csr, csc or coo), users x items: `trnMat.pkl` with `tstMat.pkl` (LightGCL). What is not 0 is an
    /// interaction.
    SparseMatrix,
}

/// By name, as on a command line: `light-gcn`, `ratings`, `rec-bole`, `delimited`, `sparse-matrix`.
impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_lowercase().replace(['-', '_'], "").as_str() {
            "lightgcn" => Self::LightGcn,
            "ratings" => Self::Ratings,
            "recbole" | "inter" => Self::RecBole,
            "delimited" | "csv" => Self::Delimited,
            "sparsematrix" | "pickle" => Self::SparseMatrix,
            _ => {
                return Err(format!(
                    "{text:?} is no format; allowed: light-gcn, ratings, rec-bole, delimited, sparse-matrix"
                ));
            }
        })
    }
}

/// How ids become the numbers `0..n`.
///
/// Except where a format or a policy asks for numbers, ids are text unless every one of a column is a canonical whole number: no
/// leading zero, no sign, at most 19 digits. `007`, `7` and `07` are three ids, and the order of rows changes none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdPolicy {
    /// What the format says: LightGCN text is [`ZeroBased`](Self::ZeroBased); ratings without a header are zero- or one-based
    /// (whether id 0 occurs), or renumbered with a note when more than half of the numbers are left out; everything else, and
    /// text ids, are renumbered.
    #[default]
    Auto,
    /// Integers from 0, kept. Numbers that never occur become users or items without interactions.
    ZeroBased,
    /// Integers from 1, shifted by one. Numbers that never occur become users or items without interactions.
    OneBased,
    /// The ids that occur are renumbered: integers in ascending order, anything else in order of first occurrence
    /// (train, validation, test).
    Relabel,
    /// As [`Relabel`](Self::Relabel), and any text is an id in every format.
    Tokens,
}

/// By name, as on a command line: `auto`, `zero-based`, `one-based`, `relabel`, `tokens`.
impl std::str::FromStr for IdPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_lowercase().replace(['-', '_'], "").as_str() {
            "auto" => Self::Auto,
            "zerobased" | "zero" => Self::ZeroBased,
            "onebased" | "one" => Self::OneBased,
            "relabel" => Self::Relabel,
            "tokens" | "text" => Self::Tokens,
            _ => {
                return Err(format!(
                    "{text:?} is no policy for ids; allowed: auto, zero-based, one-based, relabel, tokens"
                ));
            }
        })
    }
}

/// Where the columns of a file are; `None` means the usual names, or positions 0, 1, 2, 3 without a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The user ids.
    pub user: Option<Column>,
    /// The item ids.
    pub item: Option<Column>,
    /// The ratings.
    pub rating: Option<Column>,
    /// The times.
    pub time: Option<Column>,
}

/// How [`Dataset::open`] reads.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Turns these findings from [`Note`](super::Note)s into errors: duplicate pairs, id gaps, users without training items,
    /// test users absent from the training part, test pairs that are training pairs. Default `false`.
    pub strict: bool,
    /// The layout; `None` (default) recognises it by name and content.
    pub format: Option<Format>,
    /// How ids are numbered. Default [`IdPolicy::Auto`].
    pub ids: IdPolicy,
    /// Only rows rated at least this count as interactions. Default `None`: every row counts.
    pub min_rating: Option<f64>,
    /// Where the columns are (ratings, RecBole and delimited files).
    pub columns: Columns,
    /// Whether a file with columns starts with a header; `None` (default) finds out: a header is a first row that cannot be data.
    pub header: Option<bool>,
    /// What divides the columns of ratings and delimited files; `None` (default) finds what divides all rows alike.
    pub delimiter: Option<Delimiter>,
    /// The greatest size of a file in bytes, also after unpacking. Default 2 GiB.
    pub max_bytes: u64,
    /// How test pairs are chosen when the data has no test part. Default [`Split::PerUser`].
    pub split: Split,
    /// The fraction of pairs for testing, in `0..1`, when the data has no test part. Default 0.2.
    pub test_fraction: f64,
    /// The fraction of the remaining training pairs for validation, in `0..1`, when the data has no validation part; under
    /// [`Split::LeaveOneOut`] anything above 0 holds out one more item per user. Default 0: none.
    pub validation_fraction: f64,
    /// Seed of the splits. Default 0.
    pub seed: u64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            strict: false,
            format: None,
            ids: IdPolicy::Auto,
            min_rating: None,
            columns: Columns::default(),
            header: None,
            delimiter: None,
            max_bytes: Limits::default().max_bytes,
            split: Split::PerUser,
            test_fraction: 0.2,
            validation_fraction: 0.0,
            seed: 0,
        }
    }
}

impl LoadOptions {
    /// Refuses options outside their range.
    fn validate(&self) -> Result<(), DataError> {
        let fractions = [("test_fraction", self.test_fraction), ("validation_fraction", self.validation_fraction)];
        for (name, value) in fractions {
            if !(0.0..1.0).contains(&value) {
                return Err(DataError::Option { name, value: value.to_string(), allowed: "0 to 1, 1 excluded" });
            }
        }
        match self.min_rating {
            Some(value) if !value.is_finite() => {
                Err(DataError::Option { name: "min_rating", value: value.to_string(), allowed: "a finite number" })
            }
            _ => Ok(()),
        }
    }

    /// Whether times decide anything.
    pub(super) fn wants_time(&self, has_test: bool) -> bool {
        self.split == Split::LeaveOneOut && (!has_test || self.validation_fraction > 0.0)
    }
}

/// The files of one data set.
pub(super) struct Files {
    pub name: String,
    pub format: Format,
    pub train: std::path::PathBuf,
    pub validation: Option<std::path::PathBuf>,
    pub test: Option<std::path::PathBuf>,
    /// What was in doubt when they were chosen.
    pub notes: Vec<Note>,
}

/// Recognises what lies at a path and reads it.
pub(super) fn open(path: &Path, options: &LoadOptions) -> Result<Dataset, DataError> {
    options.validate()?;
    read(detect::files_at(path, options)?, options)
}

/// Reads the given files.
pub(super) fn open_files(
    train: &Path,
    validation: Option<&Path>,
    test: Option<&Path>,
    options: &LoadOptions,
) -> Result<Dataset, DataError> {
    options.validate()?;
    let mut notes = Vec::new();
    let format = match options.format {
        Some(format) => format,
        None => layout::format_of(train, options, &mut notes)?,
    };
    let files = Files {
        name: detect::name_of(train),
        format,
        train: train.to_path_buf(),
        validation: validation.map(Path::to_path_buf),
        test: test.map(Path::to_path_buf),
        notes,
    };
    read(files, options)
}

fn read(files: Files, options: &LoadOptions) -> Result<Dataset, DataError> {
    let (mut users, mut items) = ids::columns(files.format, options.ids);
    let wants_time = options.wants_time(files.test.is_some());
    let limits = Limits::new(options.max_bytes);
    let (mut notes, mut header) = (files.notes, false);
    let mut read_part = |path: &Path| -> Result<Part, DataError> {
        let mut part = Part::new(path, options.min_rating);
        let sink = &mut part::Sink { part: &mut part, users: &mut users, items: &mut items };
        if files.format == Format::SparseMatrix {
            matrix::pickled(&read_bytes(path, &limits)?, sink)?;
        } else {
            let bytes = read_text(path, &limits)?;
            match files.format {
                Format::LightGcn => text::light_gcn(&bytes, sink)?,
                Format::RecBole => delimited::recbole(&bytes, options, wants_time, &mut notes, sink)?,
                format => header |= delimited::delimited(&bytes, format, options, wants_time, &mut notes, sink)?,
            }
        }
        part.notes(&mut notes);
        if part.is_empty() {
            let (path, expected) = (path.to_path_buf(), text::expected(files.format).into());
            return Err(FileError::Empty { path, expected }.into());
        }
        Ok(part)
    };
    let train = read_part(&files.train)?;
    let validation = files.validation.as_deref().map(&mut read_part).transpose()?;
    let test = files.test.as_deref().map(&mut read_part).transpose()?;
    if files.format == Format::LightGcn && options.ids != IdPolicy::Tokens {
        text::original_ids(&files.train.with_file_name("user_list.txt"), &limits, &mut users)?;
        text::original_ids(&files.train.with_file_name("item_list.txt"), &limits, &mut items)?;
    }
    let numbering = ids::numbering(files.format, options.ids, header);
    assemble(&files.name, [Some(train), validation, test], users, items, numbering, notes, options)
}
