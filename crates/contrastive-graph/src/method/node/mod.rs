//! Published methods on graphs of nodes with features: no users, no items, one table of embeddings.

mod autoencoder;
mod bgrl;
mod dgi;
mod gbt;
mod pamc;
mod powers;
mod published;
mod whole;

pub use autoencoder::{AutoEncoder, AutoEncoderConfig};
pub use bgrl::{Bgrl, BgrlConfig, BgrlModel};
pub use dgi::{Dgi, DgiConfig, DgiModel};
pub use gbt::{Gbt, GbtConfig};
pub use pamc::{Pamc, PamcConfig, PamcLosses, PamcModel, PamcNegatives, PamcStart};
pub use powers::powers;
pub use published::PamcData;
pub use whole::TwoViews;
