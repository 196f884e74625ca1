//! Files, as people bring them: what every domain reads through. No tensors here; the domain crates make of rows and arrays what
//! they need.
//!
//! | I have ... | use ... |
//! |---|---|
//! | a file, perhaps gzipped, perhaps hostile | [`read_text`], [`read_bytes`] with [`Limits`] |
//! | comma-, tab-, `::`- or blank-separated rows | [`Table`], [`Rows`] |
//! | a RecBole atomic file | [`Atomic`] |
//! | ids, some with leading zeros, some text | [`IdMap`] |
//! | times, as numbers or dates | [`Times`], [`date_seconds`] |
//! | numpy arrays, `.npy` or `.npz` | [`Array`], [`Archive`] |
//! | a pickled array or scipy matrix; a MATLAB file | [`Pickle`]; [`matlab_matrices`], as [`Triplets`] |
//! | sentences, vocabularies, tokens | [`text`] |
//! | to know whether data is the same as before | [`Digest`] |
//! | images: IDX, CIFAR, folders, digits, Omniglot | [`image`], an [`image::ImageSet`] each |
//! | random views of images | [`augment`] |
//! | something to say about a file | [`FileError`] with its [`Origin`], [`FileNote`] |
//!
//! Three rules hold for all of them. **Nothing is guessed in silence**: what could be read in two ways is a [`FileNote`], or an
//! error. **A file is refused with its place**: the line, byte or member, what was found, and what is allowed, in fewer than
//! 500 characters. **Memory follows what a file holds**, not what it claims: see [`Limits`].
//!
//! ```
//! use contrastive_data::{IdMap, Limits, Row, Table, TableOptions, Times, read_text};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = &folder.path().join("log.csv");
//! # std::fs::write(path, "user_id,item_id,when\nann,007,2010-10-01T23:55:27Z\nbob,7,2010-10-02\n")?;
//! let bytes = read_text(path, &Limits::default())?;
//! let table = Table::parse(path, &bytes, &TableOptions::default())?;
//! let item = table.find(&["itemid", "item"]).expect("an item column");
//! let (mut items, mut times) = (IdMap::new("item"), Times::default());
//! let (mut rows, mut row) = (table.rows(), Row::default());
//! while rows.read(&mut row)? {
//!     let code = items.code(&row.fields[item], path, row.line)?;
//!     let seconds = times.read(&row.fields[2], path, row.line)?;
//!     println!("{code} at {seconds:?}");
//! }
//! assert_eq!(items.relabel().labels, ["007", "7"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
pub mod augment;
mod column;
mod delimited;
mod digest;
mod error;
mod ids;
pub mod image;
mod lines;
mod matlab;
mod note;
mod npy;
mod npz;
mod number;
mod open;
mod pickle;
mod place;
mod sparse;
pub mod text;
mod time;
mod torch;

pub use atomic::{Atomic, FieldType, is_atomic};
pub use column::{Column, folded};
pub use delimited::{Delimiter, Doubt, Row, Rows, Table, TableOptions};
pub use digest::Digest;
pub use error::FileError;
pub use ids::{IdMap, Relabelled};
pub use lines::{Lines, all_lines, elided, excerpt, lines, listed, words};
pub use matlab::{Cells, Matrix, is_matlab, matlab_matrices};
pub use note::{FileNote, file_name};
pub use npy::Array;
pub use npz::Archive;
pub use number::{canonical_integer, finite, integer};
pub use open::{Limits, UNPACKED_FREE, UNPACKED_TIMES, read_bytes, read_start, read_text};
pub use pickle::{Neighbours, Pickle, is_pickle};
pub use place::{Origin, Place, shown};
pub use sparse::{Compressed, Triplets};
pub use time::{Times, date_seconds};
pub use torch::{TorchTensor, TorchValues, half_precision, is_zip, torch_tensors};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
