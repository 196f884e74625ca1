//! The formats of the UCR and UEA archive: `.tsv`, `.ts`, `.arff`.

use super::error::{SeriesError, quoted};
use super::series::{Names, Series};
use super::text::{number, text_of};
use ndarray::Array2;
use std::path::{Path, PathBuf};

/// Channels, each a list of values, of one case.
type Case = Vec<Vec<f32>>;

fn array(case: &[Vec<f32>], path: &Path, line: usize) -> Result<Array2<f32>, SeriesError> {
    let length = case.first().map_or(0, Vec::len);
    if length == 0 {
        return Err(SeriesError::line(path, line, "a series without values"));
    }
    if let Some(channel) = case.iter().position(|values| values.len() != length) {
        let what = format!("channel {channel} has {} values, channel 0 has {length}", case[channel].len());
        return Err(SeriesError::line(path, line, what));
    }
    Ok(Array2::from_shape_fn((length, case.len()), |(t, c)| case[c][t]))
}

fn gathered(
    path: &Path,
    cases: Vec<Array2<f32>>,
    classes: Vec<String>,
    declared: Option<Vec<String>>,
) -> Result<Series, SeriesError> {
    if cases.is_empty() {
        return Err(SeriesError::file(path, "no series; at least one is needed"));
    }
    let series = Series::new(cases).map_err(|e| SeriesError::file(path, e))?;
    if classes.is_empty() {
        return Ok(series);
    }
    let mut labels = Names::new(&classes);
    // the classes that a header declares, in the order of all names
    if let Some(declared) = declared {
        labels = labels.numbered_as(&Names::new(&declared).names, "class").map_err(|e| SeriesError::file(path, e))?;
    }
    series.with_labels(labels).map_err(|e| SeriesError::file(path, e))
}

/// The 2018 UCR archive's `.tsv`: the class, then the values of a univariate series, separated by tabs; NaN behind a series that is
/// shorter than the longest is cut off, elsewhere it is a missing value.
///
/// # Errors
/// When a line is not of numbers or has another width than the first.
pub fn read_ucr_tsv(path: impl AsRef<Path>) -> Result<Series, SeriesError> {
    let path = path.as_ref();
    let text = text_of(path)?;
    let (mut cases, mut classes, mut width) = (Vec::new(), Vec::new(), None);
    for (line, row) in (1..).zip(text.lines()) {
        if row.trim().is_empty() {
            continue;
        }
        let mut cells = row.split('\t');
        let class = cells.next().unwrap_or("").trim();
        if class.is_empty() {
            return Err(SeriesError::line(path, line, "no class in the first column"));
        }
        let mut values = cells.map(|cell| number(cell, path, line)).collect::<Result<Vec<f32>, _>>()?;
        let expected = *width.get_or_insert(values.len());
        if values.len() != expected {
            let what = format!("{} values, where line 1 has {expected}", values.len());
            return Err(SeriesError::line(path, line, what));
        }
        let end = values.iter().rposition(|v| !v.is_nan()).map_or(0, |last| last + 1);
        values.truncate(end);
        cases.push(array(&[values], path, line)?);
        classes.push(class.to_string());
    }
    gathered(path, cases, classes, None)
}

/// sktime's `.ts`: `@key value` lines, `@data`, then a case a line, channels separated by `:`, values by `,`, the class last where
/// `@classLabel true`. `?` is a missing value.
///
/// # Errors
/// When `@data` is absent, series have time stamps of their own (`@timeStamps true`), a line has another number of channels than the
/// first, or something is not a number.
pub fn read_ts(path: impl AsRef<Path>) -> Result<Series, SeriesError> {
    let path = path.as_ref();
    let text = text_of(path)?;
    let (mut data, mut declared) = (false, None::<Vec<String>>);
    let (mut cases, mut classes, mut channels) = (Vec::new(), Vec::new(), None);
    for (line, row) in (1..).zip(text.lines()) {
        let row = row.trim();
        if row.is_empty() || row.starts_with('#') {
            continue;
        }
        if !data {
            let mut words = row.split_whitespace();
            let key = words.next().unwrap_or("").to_ascii_lowercase();
            let value = words.next().unwrap_or("").to_ascii_lowercase();
            match (key.as_str(), value.as_str()) {
                ("@data", _) => data = true,
                ("@classlabel", "true") => declared = Some(words.map(str::to_string).collect()),
                ("@timestamps", "true") => {
                    return Err(SeriesError::line(path, line, "series with time stamps of their own are not read"));
                }
                (key, _) if key.starts_with('@') => {}
                _ => return Err(SeriesError::line(path, line, format!("{} before @data", quoted(row)))),
            }
            continue;
        }
        let mut parts: Vec<&str> = row.split(':').collect();
        if declared.is_some() {
            classes.push(parts.pop().unwrap_or("").trim().to_string());
        }
        let expected = *channels.get_or_insert(parts.len());
        if parts.len() != expected || parts.is_empty() {
            let what = format!("{} channels, where the first series has {expected}", parts.len());
            return Err(SeriesError::line(path, line, what));
        }
        let values = |part: &&str| part.split(',').map(|cell| number(cell, path, line)).collect();
        let case = parts.iter().map(values).collect::<Result<Case, _>>()?;
        cases.push(array(&case, path, line)?);
    }
    if !data {
        return Err(SeriesError::file(path, "no @data line"));
    }
    gathered(path, cases, classes, declared.filter(|names| !names.is_empty()))
}

/// Weka's `.arff` in the archive's two kinds: numeric attributes and a nominal class last (univariate), or one relational attribute, a
/// quoted string whose rows are the channels separated by the two characters `\n`, and a nominal class (multivariate).
///
/// # Errors
/// When it is of neither kind, `@data` is absent, or a line does not fit the attributes.
pub fn read_arff(path: impl AsRef<Path>) -> Result<Series, SeriesError> {
    let path = path.as_ref();
    let text = text_of(path)?;
    let (mut data, mut nested, mut relational) = (false, false, false);
    let (mut numeric, mut declared) = (0usize, None::<Vec<String>>);
    let (mut cases, mut classes): (Vec<Array2<f32>>, Vec<String>) = (Vec::new(), Vec::new());
    for (line, row) in (1..).zip(text.lines()) {
        let row = row.trim();
        if row.is_empty() || row.starts_with('%') {
            continue;
        }
        let wrong = |what: String| SeriesError::line(path, line, what);
        if !data {
            let lower = row.to_ascii_lowercase();
            if lower.starts_with("@data") {
                data = true;
                if declared.is_none() || (numeric == 0 && !relational) {
                    return Err(wrong(
                        "neither numeric attributes nor one relational attribute, and a nominal class last".into(),
                    ));
                }
            } else if lower.starts_with("@end") {
                nested = false;
            } else if lower.starts_with("@attribute") {
                match row.find('{') {
                    Some(from) if row.ends_with('}') => {
                        let names = row[from + 1..row.len() - 1].split(',');
                        declared = Some(names.map(|n| n.trim().trim_matches('\'').to_string()).collect());
                    }
                    _ if lower.ends_with("relational") => (relational, nested) = (true, true),
                    _ if lower.ends_with("numeric") || lower.ends_with("real") => numeric += usize::from(!nested),
                    _ => {
                        return Err(wrong(format!(
                            "{}: an attribute that is not numeric, relational or a class",
                            quoted(row)
                        )));
                    }
                }
            }
            continue;
        }
        let (values, class) = row.rsplit_once(',').ok_or_else(|| wrong("a line without a class".into()))?;
        let case: Case = if relational {
            let inner = values.trim();
            let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
            let inner = quote.and_then(|q| inner.strip_prefix(q)?.strip_suffix(q));
            let inner = inner.ok_or_else(|| wrong("a relational value is a quoted string".into()))?;
            let channel = |part: &str| part.split(',').map(|cell| number(cell, path, line)).collect();
            inner.split("\\n").map(channel).collect::<Result<_, _>>()?
        } else {
            let cells = values.split(',').map(|cell| number(cell, path, line)).collect::<Result<Vec<f32>, _>>()?;
            if cells.len() != numeric {
                return Err(wrong(format!("{} values for {numeric} numeric attributes", cells.len())));
            }
            vec![cells]
        };
        let one = array(&case, path, line)?;
        if cases.first().is_some_and(|first| first.ncols() != one.ncols()) {
            return Err(wrong(format!("{} channels, where the first series has {}", one.ncols(), cases[0].ncols())));
        }
        cases.push(one);
        classes.push(class.trim().trim_matches('\'').to_string());
    }
    if !data {
        return Err(SeriesError::file(path, "no @data line"));
    }
    gathered(path, cases, classes, declared)
}

/// The training and test part of a data set of the archive from its folder: `NAME_TRAIN.tsv`, `.ts` or `.arff`, whichever is there in
/// this order, the test part's classes numbered as in training.
///
/// # Errors
/// When neither is there, or a part does not read; when a class of the test part is absent from training.
pub fn read_archive(folder: impl AsRef<Path>) -> Result<(Series, Series), SeriesError> {
    let folder = folder.as_ref();
    let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or("").to_string();
    for ending in ["tsv", "ts", "arff"] {
        let part = |part: &str| folder.join(format!("{name}_{part}.{ending}"));
        let read = |path: PathBuf| match ending {
            "tsv" => read_ucr_tsv(path),
            "ts" => read_ts(path),
            _ => read_arff(path),
        };
        if part("TRAIN").exists() {
            let train = read(part("TRAIN"))?;
            let test = read(part("TEST"))?.labelled_as(&train)?;
            return Ok((train, test));
        }
    }
    Err(SeriesError::file(folder, format!("no {name}_TRAIN.tsv, .ts or .arff in it")))
}
