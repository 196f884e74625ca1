//! Settings that nothing can be built from.

pub(crate) use contrastive_core::settings::Check;
pub use contrastive_core::settings::SettingError;
