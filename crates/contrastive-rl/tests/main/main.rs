//! What the two studies promise, checked on the worlds they were made for.

mod bad_inputs;
mod spr;
mod ucb;
mod video;
