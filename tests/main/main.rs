//! Tests of the package: what its examples say.

mod examples;
