//! Runs and their folders, interruptions, damaged files, full disks; methods in training, optimisers and schedules.

mod common;
mod disk;
mod faults;
mod golden;
#[path = "../../../../tests/golden/mod.rs"]
mod golden_values;
#[cfg(unix)]
#[allow(clippy::explicit_counter_loop)]
mod interrupt;
mod methods;
mod moco;
mod ranks;
mod resume;
mod runs;
