//! Objectives with moving averages, ghost batch normalisation and the long regime: golden values, plain definitions in loops,
//! identities, finite differences, and small studies on real digits.

mod meco;
mod norm;
mod samples;
mod settings;
mod studies;
mod support;
mod temperatures;
