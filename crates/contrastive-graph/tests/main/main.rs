//! Tests of the graph crate, one binary.

mod bad_input;
mod cases;
mod common;
mod data_formats;
mod data_fuzz;
mod data_sampling;
mod dccf;
mod dsla;
mod embeddings;
mod encoders;
mod golden_data;
mod golden_node_data;
mod graph_sets;
mod graphlets;
mod hetero;
mod irwe;
mod methods;
mod node_augment;
mod node_bad_input;
mod node_data;
mod node_files;
mod node_methods;
mod pamc;
mod pot;
mod treatments;
mod xsimgcl;
