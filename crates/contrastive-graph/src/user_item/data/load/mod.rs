//! Reading interaction files: options, formats, and the way from a path to a [`Dataset`](super::Dataset).

mod delimited;
mod detect;
mod ids;
mod part;
mod text;

use std::path::Path;

use super::assemble::assemble;
use super::dataset::Dataset;
use super::error::DataError;
use super::split::Split;

pub(crate) use ids::integer;
pub(super) use ids::{Ids, Numbered, Numbering};
pub(super) use part::Part;
pub(crate) use part::excerpt;
pub(crate) use text::{lines, words};

/// A layout of interaction files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `train.txt`, `test.txt`: a user id, then the ids of the user's items, separated by blanks; ids count from 0. A user
    /// may be repeated or stand without items. `user_list.txt`, `item_list.txt` beside them (header `org_id remap_id`)
    /// give the original ids.
    LightGcn,
    /// No header; user, item, and optionally rating and time, separated by tab, `::`, comma, semicolon, bar or blanks; integer
    /// ids (MovieLens `u.data`, `u1.base` with `u1.test`, `ratings.dat`; LastFM `data1.txt` with `test1.txt`).
    Ratings,
    /// RecBole atomic `.inter` files: tab-separated under a header of `name:type` fields, with `user_id:token`,
    /// `item_id:token` and optionally `rating:float`, `timestamp:float`.
    RecBole,
    /// Comma-, tab-, semicolon- or bar-separated values, quoted where needed, with or without a header.
    Delimited,
}

/// How ids become the numbers `0..n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdPolicy {
    /// What the format says: LightGCN text is [`ZeroBased`](Self::ZeroBased); ratings are zero- or one-based (whether id 0
    /// occurs), or renumbered with a note when more than half of the numbers are left out; RecBole and delimited files are
    /// renumbered.
    #[default]
    Auto,
    /// Integers from 0, kept. Numbers that never occur become users or items without interactions.
    ZeroBased,
    /// Integers from 1, shifted by one. Numbers that never occur become users or items without interactions.
    OneBased,
    /// The ids that occur are renumbered: integers in ascending order, anything else in order of first occurrence
    /// (train, validation, test).
    Relabel,
    /// As [`Relabel`](Self::Relabel), and any text is an id.
    Tokens,
}

/// A column by name or by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// The header's text (without RecBole's `:type`).
    Name(String),
    /// The position, from 0.
    Index(usize),
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Column::Name(name) => write!(f, "{name:?}"),
            Column::Index(index) => write!(f, "number {index} (from 0)"),
        }
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
    /// Whether a delimited file starts with a header; `None` (default) decides by its first row.
    pub header: Option<bool>,
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
    let format = match options.format {
        Some(format) => format,
        None => detect::format_of(train)?,
    };
    let files = Files {
        name: detect::name_of(train),
        format,
        train: train.to_path_buf(),
        validation: validation.map(Path::to_path_buf),
        test: test.map(Path::to_path_buf),
    };
    read(files, options)
}

fn read(files: Files, options: &LoadOptions) -> Result<Dataset, DataError> {
    let (mut users, mut items) = ids::columns(files.format, options.ids);
    let wants_time = options.wants_time(files.test.is_some());
    let mut read_part = |path: &Path| -> Result<Part, DataError> {
        let bytes = text::read(path)?;
        let mut part = Part::new(path, options.min_rating);
        let sink = &mut part::Sink { part: &mut part, users: &mut users, items: &mut items };
        match files.format {
            Format::LightGcn => text::light_gcn(&bytes, sink)?,
            Format::Ratings => text::ratings(&bytes, &options.columns, sink)?,
            Format::RecBole => delimited::recbole(&bytes, options, wants_time, sink)?,
            Format::Delimited => delimited::delimited(&bytes, options, wants_time, sink)?,
        }
        if part.is_empty() {
            return Err(DataError::Empty { path: path.to_path_buf(), expected: text::expected(files.format).into() });
        }
        Ok(part)
    };
    let train = read_part(&files.train)?;
    let validation = files.validation.as_deref().map(&mut read_part).transpose()?;
    let test = files.test.as_deref().map(&mut read_part).transpose()?;
    if files.format == Format::LightGcn && options.ids != IdPolicy::Tokens {
        text::original_ids(&files.train.with_file_name("user_list.txt"), &mut users)?;
        text::original_ids(&files.train.with_file_name("item_list.txt"), &mut items)?;
    }
    let numbering = ids::numbering(files.format, options.ids);
    assemble(&files.name, [Some(train), validation, test], users, items, numbering, options)
}
