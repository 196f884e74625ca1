//! One long series from a table: a line for each time step, plain or gzipped.

use super::calendar::parse_time;
use super::error::{SeriesError, quoted};
use super::series::Series;
use super::text::{number, text_of};
use ndarray::Array2;
use std::path::Path;

/// How a table lies in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// What separates the cells.
    pub delimiter: char,
    /// Whether the first line names the columns.
    pub header: bool,
    /// The column that holds the time: `YYYY-MM-DD[ HH:MM[:SS]]` (`/` and `T` serve as well) or seconds since 1970.
    pub time: Option<usize>,
}

impl Default for TableOptions {
    /// Commas, a header, the time in the first column.
    fn default() -> Self {
        Self { delimiter: ',', header: true, time: Some(0) }
    }
}

/// A series whose steps are the lines of the file and whose channels the columns beside the time; empty cells are missing values.
///
/// # Errors
/// When a line has another width than the first, a cell is neither a number nor a time, or times go back or repeat; with file and line.
pub fn read_table(path: impl AsRef<Path>, options: &TableOptions) -> Result<Series, SeriesError> {
    let path = path.as_ref();
    let text = text_of(path)?;
    let delimiter = u8::try_from(options.delimiter).map_err(|_| {
        SeriesError::file(path, format!("delimiter {:?}: one ASCII character is allowed", options.delimiter))
    })?;
    let mut lines =
        csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text.as_bytes());
    let (mut names, mut width): (Option<Vec<String>>, Option<usize>) = (None, None);
    let (mut values, mut times, mut rows): (Vec<f32>, Vec<i64>, usize) = (Vec::new(), Vec::new(), 0);
    for row in lines.records() {
        let row = row.map_err(|e| SeriesError::file(path, quoted(&e.to_string())))?;
        let line = row.position().map_or(0, |at| at.line() as usize);
        let expected = *width.get_or_insert(row.len());
        if row.len() != expected {
            return Err(SeriesError::line(
                path,
                line,
                format!("{} cells, where the first line has {expected}", row.len()),
            ));
        }
        if options.header && names.is_none() {
            names = Some(row.iter().map(|cell| cell.trim().to_string()).collect());
            continue;
        }
        for (column, cell) in row.iter().enumerate() {
            if options.time != Some(column) {
                values.push(number(cell, path, line)?);
                continue;
            }
            let time = parse_time(cell.trim()).ok_or_else(|| {
                SeriesError::line(path, line, format!("{} is not a time such as 2016-07-01 05:00:00", quoted(cell)))
            })?;
            if times.last().is_some_and(|last| time <= *last) {
                let what = format!("the time {} is not after that of the line before", quoted(cell));
                return Err(SeriesError::line(path, line, what));
            }
            times.push(time);
        }
        rows += 1;
    }
    let width = width.unwrap_or(0);
    if options.time.is_some_and(|column| column >= width) {
        let what = format!("the time is in column {}, and there are {width}", options.time.unwrap_or(0));
        return Err(SeriesError::file(path, what));
    }
    let channels = width - usize::from(options.time.is_some());
    if rows == 0 || channels == 0 {
        return Err(SeriesError::file(path, "no lines, or no columns beside the time"));
    }
    let array = Array2::from_shape_vec((rows, channels), values).expect("checked widths");
    let mut series = Series::new(vec![array]).map_err(|e| SeriesError::file(path, e))?;
    if let Some(names) = names {
        let own = names.iter().enumerate().filter(|(column, _)| options.time != Some(*column));
        series = series.with_channel_names(own.map(|(_, name)| name.to_string()).collect())?;
    }
    if options.time.is_some() { series.with_times(vec![times]) } else { Ok(series) }
}
