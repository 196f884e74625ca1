//! Arrays of numpy: `[series, length, channels]`, `[series, length]` or one series `[length, channels]`.

use super::error::SeriesError;
use super::series::Series;
use super::text::bytes_of;
use ndarray::{Array2, Array3, ArrayD, Axis, Ix2, Ix3};
use ndarray_npy::ReadNpyExt;
use std::io::Cursor;
use std::path::Path;

/// What the axes of a two-dimensional array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axes {
    /// `[series, length]`: univariate series.
    SeriesByTime,
    /// `[length, channels]`: one series.
    TimeByChannel,
}

/// Series of a `.npy` file of `f32` or `f64`; `axes` says what two dimensions are, three are `[series, length, channels]`.
///
/// # Errors
/// When it does not read, has other dimensions, or holds an infinite value.
pub fn read_npy(path: impl AsRef<Path>, axes: Axes) -> Result<Series, SeriesError> {
    let path = path.as_ref();
    let bytes = bytes_of(path)?;
    let single = ArrayD::<f32>::read_npy(Cursor::new(&bytes));
    let array = match single {
        Ok(array) => array,
        Err(_) => ArrayD::<f64>::read_npy(Cursor::new(&bytes))
            .map_err(|e| SeriesError::file(path, format!("no array of 32- or 64-bit floats: {e}")))?
            .mapv(|v| v as f32),
    };
    let dims = array.ndim();
    let series = match dims {
        3 => Series::from_array(&Array3::from(array.into_dimensionality::<Ix3>().expect("three dimensions"))),
        2 => {
            let table: Array2<f32> = array.into_dimensionality::<Ix2>().expect("two dimensions");
            match axes {
                Axes::SeriesByTime => Series::from_array(&table.insert_axis(Axis(2))),
                Axes::TimeByChannel => Series::new(vec![table]),
            }
        }
        _ => return Err(SeriesError::file(path, format!("{dims} dimensions; 2 or 3 are read"))),
    };
    series.map_err(|e| SeriesError::file(path, e))
}
