//! Tests of the readers through their public doors.

mod doors;
mod table;
