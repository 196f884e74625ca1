//! Images, as they come in files: read into an [`ImageSet`], which is indexed, carries an id for each image, and labels where there are any.
//!
//! | I have ... | use ... |
//! |---|---|
//! | IDX files (MNIST, Fashion-MNIST), plain or gzipped | [`idx()`] |
//! | CIFAR-10 or CIFAR-100 in binary form | [`cifar()`] |
//! | a folder of PNG, JPEG or GIF files, by class or flat | [`image_folder`] |
//! | small digits as comma-separated numbers (optdigits) | [`digits_csv`] |
//! | Omniglot | [`omniglot()`], [`one_shot_runs`] |
//! | two sets, one to lie on the other | [`overlaid`] |
//! | nothing yet | [`shapes()`]: rendered shapes of known factors |
//!
//! Pixels are kept as bytes, `[channels, height, width]`, and handed out as [`Picture`]s between 0 and 1.

mod cifar;
mod decode;
mod digits;
mod folder;
mod idx;
mod omniglot;
mod overlay;
mod picture;
mod set;
mod shapes;

pub use cifar::{Cifar, cifar, parse_cifar};
pub use decode::{Background, Colour, Decoding, decode};
pub use digits::digits_csv;
pub use folder::{FolderOptions, image_folder};
pub use idx::{idx, parse_idx_images, parse_idx_labels};
pub use omniglot::{OneShotRun, omniglot, one_shot_runs};
pub use overlay::overlaid;
pub use picture::Picture;
pub use set::{ImageSet, Images};
pub use shapes::{SHAPES, shapes};
