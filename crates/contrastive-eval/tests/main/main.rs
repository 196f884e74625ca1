//! The tests of the crate: golden values, plain implementations, properties, bad input.

mod bad_input;
mod clusters;
mod common;
mod golden;
mod groups;
mod page;
mod plain;
mod probes;
mod ranking;
mod series;
mod splits;
mod targets;
mod vision;
