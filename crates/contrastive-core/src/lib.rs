//! contrastive-core
