//! Objectives over ranks against the same objective of all rows in one process, and what happens when a rank is gone.

mod losses;
mod ranks;
mod softmax;
mod sums;
mod support;
