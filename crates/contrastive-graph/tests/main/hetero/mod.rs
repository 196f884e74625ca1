//! Networks of several types of nodes: data and meta-paths, objectives, MEOW and AdaMEOW.

mod bad_input;
mod data;
mod method;
mod objectives;
