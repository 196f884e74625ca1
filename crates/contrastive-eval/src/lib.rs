//! contrastive-eval
