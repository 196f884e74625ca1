//! Without a build script cargo passes over build dependencies.
fn main() {}
