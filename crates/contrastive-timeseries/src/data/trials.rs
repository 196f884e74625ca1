//! Folders of recordings, one text file each: `CLASS/...-PERSON.txt`.

use super::error::{SeriesError, quoted};
use super::series::{Names, Series};
use super::text::text_of;
use ndarray::Array2;
use std::path::{Path, PathBuf};

/// A coded value c of the wrist accelerometers of the HMP data set (Bruno et al. 2013), 0..63, in m/s2: `-14.709 + c / 63 * 2 * 14.709`.
pub fn hmp_acceleration(code: f32) -> f32 {
    -14.709 + code / 63.0 * 2.0 * 14.709
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, SeriesError> {
    let mut entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>())
        .map_err(SeriesError::io(folder))?;
    entries.sort();
    Ok(entries)
}

/// The HMP folder: the class from the folder of a file, the person from the last part of its name, the recording from its name; each line
/// `x y z` coded 0..63, in m/s2 here (32 a second). Folders whose names end in `_MODEL` repeat trials of others and are left out.
///
/// # Errors
/// When there are no trials, or a line is not three numbers of 0 to 63.
pub fn read_hmp(folder: impl AsRef<Path>) -> Result<Series, SeriesError> {
    let folder = folder.as_ref();
    let (mut trials, mut classes, mut persons, mut recordings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for class in listed(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = class.file_name().and_then(|n| n.to_str()).unwrap_or("").to_string();
        if name.ends_with("_MODEL") {
            continue;
        }
        for path in listed(&class)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "txt")) {
            let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("").to_string();
            let person = stem.rsplit('-').next().unwrap_or("").to_string();
            if person.is_empty() || person == stem {
                return Err(SeriesError::file(&path, "the name of a trial ends with \"-PERSON\""));
            }
            trials.push(trial(&path)?);
            classes.push(name.clone());
            persons.push(person);
            recordings.push(stem);
        }
    }
    if trials.is_empty() {
        return Err(SeriesError::file(folder, "no trials; CLASS/...-PERSON.txt are looked for"));
    }
    let axes = ["x", "y", "z"].map(str::to_string).to_vec();
    Series::new(trials)?
        .with_labels(Names::new(&classes))?
        .with_persons(Names::new(&persons))?
        .with_recordings(Names::new(&recordings))?
        .with_channel_names(axes)
}

fn trial(path: &Path) -> Result<Array2<f32>, SeriesError> {
    let text = text_of(path)?;
    let mut values = Vec::new();
    for (line, row) in (1..).zip(text.lines()).filter(|(_, row)| !row.trim().is_empty()) {
        let cells: Vec<&str> = row.split_whitespace().collect();
        if cells.len() != 3 {
            return Err(SeriesError::line(path, line, format!("{} numbers; a line is \"x y z\"", cells.len())));
        }
        for cell in cells {
            let code = cell.parse::<f32>().ok().filter(|code| (0.0..=63.0).contains(code));
            let code =
                code.ok_or_else(|| SeriesError::line(path, line, format!("{} is not in 0..=63", quoted(cell))))?;
            values.push(hmp_acceleration(code));
        }
    }
    if values.is_empty() {
        return Err(SeriesError::file(path, "a trial without samples"));
    }
    Ok(Array2::from_shape_vec((values.len() / 3, 3), values).expect("three numbers a line"))
}
