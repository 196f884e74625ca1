//! What comes in: series from files or arrays, windows, scaling, calendar columns.
//!
//! | file | reader |
//! |---|---|
//! | UCR and UEA archive: `.tsv`, `.ts`, `.arff` | [`read_archive`], or [`read_ucr_tsv`], [`read_ts`], [`read_arff`] |
//! | a table with a line for each time step, plain or gzipped | [`read_table`] |
//! | PhysioNet's WFDB | [`read_wfdb`], [`read_annotations`] |
//! | folders of trials (HMP) | [`read_hmp`] |
//! | `.npy` | [`read_npy`] |
//! | arrays | [`Series::new`], [`Series::from_array`] |
//! | motion capture of 22 joints | [`from_humanml3d`], [`Simulator`], [`Motions::simulated`] |
//! | sensors on known joints | [`Motions::from_series`] |

mod archive;
mod arrays;
mod body;
mod calendar;
mod error;
mod generate;
mod imu;
mod motions;
mod scaling;
mod series;
mod table;
mod text;
mod trials;
mod wfdb;
mod windows;

pub use archive::{read_archive, read_arff, read_ts, read_ucr_tsv};
pub use arrays::{Axes, read_npy};
pub use body::{JOINT_NAMES, JOINTS, PARENTS, bones, from_humanml3d};
pub use calendar::{CALENDAR, calendar_columns, calendar_of, parse_time};
pub use error::SeriesError;
pub(crate) use error::check;
pub(crate) use generate::normal;
pub use generate::{daily, gaits, seasonal};
pub use imu::{Derivative, GRAVITY, Simulator};
pub use motions::{Motion, Motions, generated_captures, shots};
pub(crate) use motions::{rotate_joint, spoken, wrapped};
pub use scaling::{Over, Scaling, standardise_each};
pub use series::{Names, Series};
pub use table::{TableOptions, read_table};
pub use trials::{hmp_acceleration, read_hmp};
pub use wfdb::{Annotation, Record, Signal, read_annotations, read_wfdb};
pub use windows::{Short, Windows, windows};
