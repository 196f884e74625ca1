//! What lies at a path.

use std::path::{Path, PathBuf};

use super::super::error::DataError;
use super::text::{lines, ratings_columns, read};
use super::{Files, Format, LoadOptions};

const LOOKED_FOR: &str = "a directory with train.txt and test.txt (LightGCN text), data1.txt and test1.txt (LastFM), \
     u1.base and u1.test, ua.base and ua.test, u.data or ratings.dat (MovieLens), NAME.train.inter and NAME.test.inter or \
     one .inter file (RecBole), train.csv and test.csv or one .csv (also .tsv); or one such file";

const VALIDATION_STEMS: &[&str] = &["valid", "val", "validation"];

/// The data set's name: the folder, or the file without its ending.
pub(super) fn name_of(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
}

/// The files that belong to a path, and their format.
pub(super) fn files_at(path: &Path, options: &LoadOptions) -> Result<Files, DataError> {
    if path.is_dir() {
        return in_directory(path, options);
    }
    if !path.exists() {
        return Err(DataError::NotFound { path: path.to_path_buf(), looked_for: LOOKED_FOR.into() });
    }
    let format = match options.format {
        Some(format) => format,
        None => format_of(path)?,
    };
    let (validation, test) = partners(path);
    Ok(Files { name: name_of(path), format, train: path.to_path_buf(), validation, test })
}

/// The validation and test files that belong to a training file by name, where they exist.
fn partners(train: &Path) -> (Option<PathBuf>, Option<PathBuf>) {
    let name = train.file_name().unwrap_or_default().to_string_lossy();
    let existing = |name: String| Some(train.with_file_name(name)).filter(|path| path.is_file());
    let validation = |make: &dyn Fn(&str) -> String| VALIDATION_STEMS.iter().find_map(|stem| existing(make(stem)));
    if let Some(stem) = name.strip_suffix(".base") {
        (None, existing(format!("{stem}.test")))
    } else if name == "data1.txt" {
        (None, existing("test1.txt".into()))
    } else if let Some(stem) = name.strip_suffix(".train.inter") {
        (validation(&|part| format!("{stem}.{part}.inter")), existing(format!("{stem}.test.inter")))
    } else if let Some(ending) = name.strip_prefix("train.") {
        (validation(&|part| format!("{part}.{ending}")), existing(format!("test.{ending}")))
    } else {
        (None, None)
    }
}

fn in_directory(folder: &Path, options: &LoadOptions) -> Result<Files, DataError> {
    let mut names = Vec::new();
    let io = |source| DataError::Io { path: folder.to_path_buf(), source };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        // The slash keeps a directory from passing for a file of that name, and tells the reader of the message why.
        let ending = if entry.path().is_dir() { "/" } else { "" };
        names.push(entry.file_name().to_string_lossy().into_owned() + ending);
    }
    names.sort();
    let has = |name: &str| names.iter().any(|found| found == name);
    let only = |ending: &str| -> Option<String> {
        let mut matching = names.iter().filter(|name| name.ends_with(ending));
        matching.next().filter(|_| matching.next().is_none()).cloned()
    };
    let fits = |name: &str| match options.format {
        None => true,
        Some(Format::RecBole) => name.ends_with(".inter"),
        Some(Format::Delimited) => name.ends_with(".csv") || name.ends_with(".tsv"),
        Some(Format::LightGcn) => name == "train.txt",
        Some(Format::Ratings) => !name.ends_with(".inter") && !name.ends_with(".csv") && !name.ends_with(".tsv"),
    };
    let fixed = [
        "train.txt",
        "data1.txt",
        "u1.base",
        "ua.base",
        "u.data",
        "ratings.dat",
        "train.csv",
        "train.tsv",
        "ratings.csv",
    ];
    let found = only(".train.inter").filter(|name| fits(name)).or_else(|| {
        fixed
            .iter()
            .map(|name| (*name).to_owned())
            .filter(|name| has(name))
            .chain([".inter", ".csv", ".tsv"].into_iter().filter_map(only))
            .find(|name| fits(name))
    });
    let Some(train) = found.map(|name| folder.join(name)) else {
        let mut found = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
        match names.len() {
            0 => found = "nothing".into(),
            count if count > 8 => found += &format!(" and {} more", count - 8),
            _ => (),
        }
        return Err(DataError::Unrecognised { path: folder.to_path_buf(), found, looked_for: LOOKED_FOR.into() });
    };
    let files = Files { name: name_of(folder), ..files_at(&train, options)? };
    // Half of a published split is a mistake, not a wish for another split.
    let train_name = train.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wanted = match train_name.as_str() {
        "data1.txt" => Some("test1.txt".to_owned()),
        "u1.base" => Some("u1.test".to_owned()),
        "ua.base" => Some("ua.test".to_owned()),
        name => name
            .strip_prefix("train.")
            .map(|ending| format!("test.{ending}"))
            .or_else(|| name.strip_suffix(".train.inter").map(|stem| format!("{stem}.test.inter"))),
    };
    match (wanted, &files.test) {
        (Some(wanted), None) => Err(DataError::NotFound {
            path: folder.join(wanted),
            looked_for: format!("the test part that belongs to {train_name} (open {train_name} itself to split it)"),
        }),
        _ => Ok(files),
    }
}

/// Recognises a file's format by its ending, else by its first line.
pub(super) fn format_of(path: &Path) -> Result<Format, DataError> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "inter" => return Ok(Format::RecBole),
        "csv" | "tsv" => return Ok(Format::Delimited),
        "base" | "data" | "dat" => return Ok(Format::Ratings),
        _ => (),
    }
    let bytes = read(path)?;
    let unrecognised = |found: &str| DataError::Unrecognised {
        path: path.to_path_buf(),
        found: found.into(),
        looked_for: LOOKED_FOR.into(),
    };
    if bytes.iter().take(4096).any(|&byte| byte == 0) {
        return Err(unrecognised("binary data"));
    }
    let Some((_, first)) = lines(&bytes).next() else {
        let expected = "interactions in one of the supported formats".into();
        return Err(DataError::Empty { path: path.to_path_buf(), expected });
    };
    let separated = first.contains(&b'\t') || first.contains(&b',') || first.windows(2).any(|pair| pair == b"::");
    let numeric = first.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    Ok(match (separated, numeric) {
        (true, false) if first.windows(6).any(|window| window == b":token") => Format::RecBole,
        (true, false) => Format::Delimited,
        (true, true) if ratings_columns(first) <= 4 => Format::Ratings,
        _ => Format::LightGcn,
    })
}
