//! contrastive-train
