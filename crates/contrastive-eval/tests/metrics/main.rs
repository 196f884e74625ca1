//! Everything but the ranking protocol: golden values, plain implementations, properties, bad input.

mod bad_input;
mod clusters;
mod common;
mod golden;
mod plain;
mod probes;
mod splits;
mod targets;
