//! Tests of the readers through their public doors.

mod doors;
#[path = "../../../../tests/golden/mod.rs"]
mod golden;
mod table;
mod text;
