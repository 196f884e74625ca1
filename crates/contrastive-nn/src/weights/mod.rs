//! Weights from files of this and of other libraries, into a module and back.
//!
//! A file is a table of named tensors ([`Weights`]); a [`KeyMap`] says which of them make which parameter of a module. Loading is all
//! or nothing: missing, unused and wrongly shaped tensors are named, and the module comes back only when there are none.
//!
//! ```no_run
//! use burn::tensor::Device;
//! use contrastive_nn::encoder::{TokenEncoderConfig, TransformerConfig};
//! use contrastive_nn::weights::{KeyMap, Weights};
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//! use std::path::Path;
//!
//! let config = TokenEncoderConfig::bert(30522, 512, TransformerConfig::bert(384, 12, 1536, 6));
//! let encoder = config.init(&mut ChaCha8Rng::seed_from_u64(0), &Device::default())?;
//! let encoder = Weights::read(Path::new("model.safetensors"))?.load(encoder, &KeyMap::bert().ignoring("pooler."))?;
//! Weights::of(&encoder, &KeyMap::own()).write_safetensors(Path::new("ours.safetensors"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod keys;
mod module;
mod safetensors;
mod table;

pub use keys::KeyMap;
pub use table::{Array, Values, Weights};

use std::path::PathBuf;
use thiserror::Error;

/// What can be wrong with a file of weights.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of another format, or a damaged one.
    #[error("{}: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A damaged file of PyTorch, or one that holds more than tensors.
    #[error(transparent)]
    Torch(#[from] contrastive_data::FileError),
    /// Tensors that do not make the module.
    #[error("{}", mismatch(of, missing, unused, shapes))]
    Mismatch {
        /// Where the tensors are from.
        of: String,
        /// Tensors that the module needs and that are not there, by the names they should have.
        missing: Vec<String>,
        /// Tensors that no parameter takes.
        unused: Vec<String>,
        /// Tensors of another shape: name, shape there, shape wanted.
        shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
    },
}

/// The first few of each kind, and how many there are.
fn mismatch(of: &str, missing: &[String], unused: &[String], shapes: &[(String, Vec<usize>, Vec<usize>)]) -> String {
    let shapes: Vec<String> =
        shapes.iter().map(|(name, got, want)| format!("{} {got:?} instead of {want:?}", short(name))).collect();
    let kinds = [("missing", missing), ("unused", unused), ("of another shape", &shapes[..])];
    let kinds = kinds.iter().filter(|(_, names)| !names.is_empty()).map(|(kind, names)| {
        let shown: Vec<&str> = names.iter().take(2).map(|name| short(name)).collect();
        let more = if names.len() > 2 { ", .." } else { "" };
        format!("{} {kind} ({}{more})", names.len(), shown.join(", "))
    });
    format!(
        "{}: tensors do not fit the module: {}; nothing was loaded",
        short(of),
        kinds.collect::<Vec<_>>().join("; ")
    )
}

/// At most 60 characters, the last ones.
fn short(name: &str) -> &str {
    let skip = name.chars().count().saturating_sub(60);
    name.char_indices().nth(skip).map_or("", |(at, _)| &name[at..])
}
