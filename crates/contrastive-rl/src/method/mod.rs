//! The methods: exploration in learned features, and representations from videos.

pub mod spr_ucb;
pub mod ucb;
pub mod video;
