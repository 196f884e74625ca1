//! The method beside LightGCN, on generated interactions or a folder: `cargo run --release -- [FOLDER]`.

use burn::tensor::Device;
use contrastive_graph::user_item::data::{Dataset, LoadOptions, generate};
use contrastive_graph::user_item::method::{LightGcnConfig, MethodConfig};
use contrastive_train::FitOptions;
use external_method::XSimGclConfig;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = match std::env::args().nth(1) {
        Some(folder) => Dataset::open(folder, &LoadOptions::default())?,
        None => generate::planted(&generate::PlantedOptions::default())?.dataset,
    };
    let options = FitOptions::new(&Device::default()).epochs(20).seed(7).progress(false);
    let plain = LightGcnConfig::new().with_dim(32).with_learning_rate(5e-3).fit(&data, &options)?;
    println!("LightGCN\n{}", plain.evaluate(&data.train, &data.test, &[20])?);
    let contrast = XSimGclConfig::new().with_dim(32).with_learning_rate(5e-3).fit(&data, &options)?;
    println!("XSimGCL, from outside\n{}", contrast.evaluate(&data.train, &data.test, &[20])?);
    Ok(())
}
