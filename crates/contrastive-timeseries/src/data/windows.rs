//! Windows of series.

use super::error::{SeriesError, check};
use super::series::{Names, Series};
use ndarray::s;

/// What happens to series that are shorter than a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Short {
    /// They are left out and counted.
    #[default]
    Drop,
    /// They are an error.
    Refuse,
}

/// Windows of one length, with what their series had.
#[derive(Clone, Debug)]
pub struct Windows {
    /// The windows; labels, persons and times are those of their series, recordings too, which without recording ids are the series.
    pub series: Series,
    /// For each window its series and its first step.
    pub origins: Vec<[usize; 2]>,
    /// Series that were shorter than a window.
    pub dropped: usize,
}

/// Windows of `length` steps, each sharing `overlap` (0 to below 1) of its steps with the one before, from the first step on; steps behind
/// the last whole window are left out.
///
/// # Errors
/// When the length is 0, the overlap leaves no step between two windows, or a series is too short and that is refused, or all are.
pub fn windows(series: &Series, length: usize, overlap: f64, short: Short) -> Result<Windows, SeriesError> {
    check("windows", "length", length, length > 0, "at least 1")?;
    check("windows", "overlap", overlap, (0.0..1.0).contains(&overlap), "from 0 to below 1")?;
    let step = length - (length as f64 * overlap) as usize;
    check("windows", "overlap", overlap, step > 0, "so small that windows move on")?;
    let (mut each, mut origins, mut dropped) = (Vec::new(), Vec::new(), 0);
    for (i, one) in series.iter().enumerate() {
        if one.nrows() < length {
            if short == Short::Refuse {
                let steps = one.nrows();
                return Err(SeriesError::series(format!("series {i} has {steps} steps, and a window {length}")));
            }
            dropped += 1;
        }
        let mut from = 0;
        while from + length <= one.nrows() {
            each.push(one.slice(s![from..from + length, ..]).to_owned());
            origins.push([i, from]);
            from += step;
        }
    }
    if each.is_empty() {
        return Err(SeriesError::series(format!("no series has the {length} steps of a window")));
    }
    let mut cut = Series::new(each)?.with_channel_names(series.channel_names().to_vec())?;
    let of =
        |names: &Names| Names { ids: origins.iter().map(|o| names.ids[o[0]]).collect(), names: names.names.clone() };
    if let Ok(labels) = series.labels() {
        cut = cut.with_labels(of(labels))?;
    }
    if let Ok(persons) = series.persons() {
        cut = cut.with_persons(of(persons))?;
    }
    let recordings = match series.recordings() {
        Ok(recordings) => of(recordings),
        Err(_) => Names {
            ids: origins.iter().map(|o| o[0] as u32).collect(),
            names: (0..series.len()).map(|i| i.to_string()).collect(),
        },
    };
    cut = cut.with_recordings(recordings)?;
    if let Ok(times) = series.times() {
        let times = origins.iter().map(|&[i, from]| times[i][from..from + length].to_vec()).collect();
        cut = cut.with_times(times)?;
    }
    Ok(Windows { series: cut, origins, dropped })
}
