//! contrastive-graph
