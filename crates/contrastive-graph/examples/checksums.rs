//! SHA-256 of what short trainings end with, to show that a change of the code left every bit alone.
//!
//! ```text
//! cargo run --release -p contrastive-graph --example checksums -- SHARED_DATA [compare]
//! ```
//!
//! `SHARED_DATA` holds `lightgcn-lastfm` and `planetoid`. With `compare`, a sum that differs from `checksums.txt` beside this file
//! is an error. The order of sums in a product depends on the CPU's vector width, so another machine may print other sums: then
//! write them down before a change and compare after it.

use burn::tensor::Device;
use contrastive_graph::node::data::Graph;
use contrastive_graph::node::method::{CsgclConfig, GraceConfig, NodeMethodConfig, PamcConfig};
use contrastive_graph::user_item::Embeddings;
use contrastive_graph::user_item::data::{Dataset, LoadOptions};
use contrastive_graph::user_item::method::{LightGclConfig, LightGcnConfig, MethodConfig, SglConfig};
use contrastive_train::FitOptions;
use ndarray::Array2;
use sha2::{Digest, Sha256};
use std::error::Error;
use std::path::Path;

/// What was found at the commit that `checksums.txt` names.
const EXPECTED: &str = include_str!("checksums.txt");

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give the folder with lightgcn-lastfm and planetoid")?;
    let compare = arguments.next().is_some_and(|word| word == "compare");
    let mut different = Vec::new();
    for (name, sum) in sums(Path::new(&folder))? {
        println!("{name} {sum}");
        let expected = EXPECTED.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        if expected != Some(sum.as_str()) {
            different.push(name);
        }
    }
    match different.is_empty() || !compare {
        true => Ok(()),
        false => Err(format!("other numbers than in checksums.txt: {}", different.join(", ")).into()),
    }
}

fn sums(folder: &Path) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    let options = FitOptions::new(&Device::flex()).epochs(3).seed(7).progress(false);
    let data = Dataset::open(folder.join("lightgcn-lastfm"), &LoadOptions::default())?;
    let of = |model: Embeddings| sum(&[&model.users, &model.items]);
    let mut sums = vec![
        ("lightgcn", of(LightGcnConfig::new().with_dim(32).fit(&data, &options)?)),
        ("lightgcl", of(LightGclConfig::new().with_dim(32).fit(&data, &options)?)),
        ("sgl", of(SglConfig::new().with_dim(32).fit(&data, &options)?)),
    ];
    let cora = Graph::read(folder.join("planetoid/ind.cora"))?;
    sums.push(("grace", sum(&[&GraceConfig::cora().fit(&cora, &options)?.nodes])));
    sums.push(("csgcl", sum(&[&CsgclConfig::new().with_dim(64).fit(&cora, &options)?.nodes])));
    let pamc = PamcConfig::new(7).with_hidden(vec![500, 200]).with_pretraining_epochs(2).with_restarts(2);
    sums.push(("pamc", sum(&[&pamc.fit(&cora, &options)?.nodes])));
    Ok(sums)
}

/// The sum of the numbers of tables, row after row, little endian.
fn sum(tables: &[&Array2<f32>]) -> String {
    let mut hash = Sha256::new();
    tables.iter().flat_map(|table| table.iter()).for_each(|value| hash.update(value.to_le_bytes()));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
