//! Tests of the readers through their public doors.

mod augment;
mod doors;
#[path = "../../../../tests/golden/mod.rs"]
mod golden;
mod images;
mod table;
mod text;
