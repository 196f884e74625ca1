//! What lies at a path.

use std::path::{Path, PathBuf};

use contrastive_data::{FileError, FileNote, listed};

use super::super::error::DataError;
use super::super::note::Note;
use super::layout::format_of;
use super::{Files, Format, LoadOptions};

pub(super) const WHAT: &str = "supported interaction data";

pub(super) const LOOKED_FOR: &str = "train.txt and test.txt (LightGCN text), u.data, u1.base, ratings.dat (MovieLens), data1.txt, \
     NAME.train.inter or one .inter (RecBole), trnMat.pkl, train.csv, or one .csv, .tsv, .txt or .dat; each also .gz";

const VALIDATION_STEMS: &[&str] = &["valid", "val", "validation"];

/// Files that are read from a folder, the first that is there.
const FIXED: &[&str] = &[
    "train.txt",
    "data1.txt",
    "u1.base",
    "ua.base",
    "u.data",
    "ratings.dat",
    "trnMat.pkl",
    "train_mat.pkl",
    "train.csv",
    "train.tsv",
    "ratings.csv",
    "user_artists.dat",
    "user_ratedmovies.dat",
];

/// Endings of which a folder may hold one file.
const ENDINGS: &[&str] = &[".inter", ".csv", ".tsv", ".dat", ".data", ".txt", ".pkl"];

/// A name without `.gz`.
fn plain(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}

/// The data set's name: the folder, or the file without its ending.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let stem = |name: String| match path.is_dir() {
        true => name,
        false => plain(&name).rsplit_once('.').map_or(plain(&name).to_owned(), |(stem, _)| stem.to_owned()),
    };
    name.map_or_else(|| "data".into(), stem)
}

/// The files that belong to a path, and their format.
pub(super) fn files_at(path: &Path, options: &LoadOptions) -> Result<Files, DataError> {
    if path.is_dir() {
        return in_directory(path, options);
    }
    if !path.exists() {
        return Err(FileError::NotFound { path: path.to_path_buf(), looked_for: LOOKED_FOR.into() }.into());
    }
    let (validation, test) = partners(path);
    let mut notes = Vec::new();
    let format = match options.format {
        Some(format) => format,
        None => format_of(path, options, &mut notes)?,
    };
    Ok(Files { name: name_of(path), format, train: path.to_path_buf(), validation, test, notes })
}

/// The validation and test files that belong to a training file by name, where they exist.
fn partners(train: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let name = train.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = plain(&name);
    let existing = |name: String| {
        let packed = train.with_file_name(format!("{name}.gz"));
        [train.with_file_name(name), packed].into_iter().find(|path| path.is_file())
    };
    let validation = |make: &dyn Fn(&str) -> String| VALIDATION_STEMS.iter().find_map(|stem| existing(make(stem)));
    if let Some(stem) = name.strip_suffix(".base") {
        (None, existing(format!("{stem}.test")))
    } else if name == "data1.txt" {
        (None, existing("test1.txt".into()))
    } else if let Some(ending) = name.strip_prefix("trnMat.") {
        (existing(format!("valMat.{ending}")), existing(format!("tstMat.{ending}")))
    } else if let Some(ending) = name.strip_prefix("train_mat.") {
        (existing(format!("valid_mat.{ending}")), existing(format!("test_mat.{ending}")))
    } else if let Some(stem) = name.strip_suffix(".train.inter") {
        (validation(&|part| format!("{stem}.{part}.inter")), existing(format!("{stem}.test.inter")))
    } else if let Some(ending) = name.strip_prefix("train.") {
        (validation(&|part| format!("{part}.{ending}")), existing(format!("test.{ending}")))
    } else {
        (None, None)
    }
}

/// The test file that a training file of this name must have beside it in a folder.
fn needed_partner(train: &str) -> Option<String> {
    let train = plain(train);
    match train {
        "data1.txt" => Some("test1.txt".to_owned()),
        "u1.base" => Some("u1.test".to_owned()),
        "ua.base" => Some("ua.test".to_owned()),
        name => name
            .strip_prefix("train.")
            .map(|ending| format!("test.{ending}"))
            .or_else(|| name.strip_prefix("trnMat.").map(|ending| format!("tstMat.{ending}")))
            .or_else(|| name.strip_prefix("train_mat.").map(|ending| format!("test_mat.{ending}")))
            .or_else(|| name.strip_suffix(".train.inter").map(|stem| format!("{stem}.test.inter"))),
    }
}

fn in_directory(folder: &Path, options: &LoadOptions) -> Result<Files, DataError> {
    let mut names = Vec::new();
    let io = |source| FileError::Io { path: folder.to_path_buf(), source };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        // The slash keeps a directory from passing for a file of that name, and tells the reader of the message why.
        let ending = if entry.path().is_dir() { "/" } else { "" };
        names.push(entry.file_name().to_string_lossy().into_owned() + ending);
    }
    names.sort();
    // a test part alone is not what is trained on
    let held_out = |name: &str| ["test", "valid", "val.", "tst", "ua.test"].iter().any(|start| name.starts_with(start));
    let only = |ending: &str| -> Option<&String> {
        let mut matching = names.iter().filter(|name| plain(name).ends_with(ending) && !held_out(name));
        matching.next().filter(|_| matching.next().is_none())
    };
    let fits = |name: &&String| {
        let name = plain(name);
        let columns = name.ends_with(".csv") || name.ends_with(".tsv");
        match options.format {
            None => true,
            Some(Format::RecBole) => name.ends_with(".inter"),
            Some(Format::Delimited) => !name.ends_with(".pkl"),
            Some(Format::LightGcn) => name.ends_with(".txt"),
            Some(Format::Ratings) => !name.ends_with(".inter") && !columns && !name.ends_with(".pkl"),
            Some(Format::SparseMatrix) => name.ends_with(".pkl"),
        }
    };
    let fixed = FIXED.iter().filter_map(|fixed| names.iter().find(|name| plain(name) == *fixed));
    let candidates: Vec<&String> = only(".train.inter").into_iter().chain(fixed).filter(fits).collect();
    let found = candidates.first().copied().or_else(|| ENDINGS.iter().filter_map(|ending| only(ending)).find(fits));
    let Some(train) = found else {
        let (path, looked_for) = (folder.to_path_buf(), LOOKED_FOR.into());
        return Err(FileError::Unrecognised { path, what: WHAT, found: listed(&names), looked_for }.into());
    };
    let mut files = Files { name: name_of(folder), ..files_at(&folder.join(train), options)? };
    // Half of a published split is a mistake, not a wish for another split.
    if let (Some(wanted), None) = (needed_partner(train), &files.test) {
        let looked_for = format!("the test part that belongs to {train} (open {train} itself to split it)");
        return Err(FileError::NotFound { path: folder.join(wanted), looked_for }.into());
    }
    let parts = [Some(&files.train), files.validation.as_ref(), files.test.as_ref()];
    let read = |name: &str| parts.iter().flatten().any(|path| path.file_name().is_some_and(|own| own == name));
    let others: Vec<String> = candidates.iter().filter(|name| !read(name)).map(|name| (*name).clone()).collect();
    if !others.is_empty() {
        files.notes.push(Note::File(FileNote::Chosen { file: train.clone(), others: listed(&others) }));
    }
    Ok(files)
}
