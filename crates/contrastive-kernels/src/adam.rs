//! The fused Adam update.
