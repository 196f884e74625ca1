//! The tests of the kernels but for `softmax_memory`, which counts the allocations of its process.

mod k_means;
mod softmax_guards;
mod softmax_rows;
mod softmax_two_sided;
mod sorting;
mod sparse;
mod support;
mod top_k;
