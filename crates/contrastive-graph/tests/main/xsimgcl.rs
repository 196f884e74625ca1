//! XSimGCL: what every method owes, its definition written out, and its limits.

use crate::common::*;
use burn::tensor::{DType, Device, Tensor};
use contrastive_graph::parts::{Noise, owed, to_array, to_tensor};
use contrastive_graph::user_item::data::{Interactions, TripleBatch, adjacency};
use contrastive_graph::user_item::method::{LightGcnConfig, Method, MethodConfig, XSimGclConfig};
use ndarray::Array2;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

fn config() -> XSimGclConfig {
    XSimGclConfig::new().with_dim(6)
}

#[test]
fn xsimgcl_resumes_exactly() {
    let folder = tempfile::tempdir().unwrap();
    owed::resume_is_exact(&config().with_batch_size(128), folder.path());
}

#[test]
fn xsimgcl_gradients_are_slopes() {
    if has_f64() {
        owed::gradients_are_slopes(&config(), 1);
        owed::gradients_are_slopes(&config().with_layers(3).with_contrast_layer(2), 2);
        owed::gradients_are_slopes(&config().with_epsilon(0.0), 3);
    }
}

#[test]
fn xsimgcl_names_wrong_settings() {
    owed::settings_are_named(&[
        (config().with_layers(0), "contrast_layer"),
        (config().with_contrast_layer(3), "contrast_layer"),
        (config().with_contrast_layer(0), "contrast_layer"),
        (config().with_epsilon(-0.1), "epsilon"),
        (config().with_temperature(0.0), "temperature"),
        (config().with_contrast_weight(f64::NAN), "contrast_weight"),
        (config().with_l2(-1.0), "l2"),
        (config().with_dim(0), "dim"),
    ]);
}

/// The generator of a step.
fn draws() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

fn train() -> Interactions {
    Interactions::from_pairs(4, 3, [(0, 0), (0, 1), (1, 1), (2, 0), (2, 2), (3, 2)]).unwrap()
}

/// The definition in plain loops over a dense adjacency, with the noise handed in: what a golden test of the reference would do.
#[test]
fn xsimgcl_with_noise_handed_in_is_its_definition() {
    let (train, d) = (train(), 5);
    let noise =
        [1, 2].map(|seed| to_array(&Noise::seeded(seed).uniform_like(&Tensor::zeros([7, d], &Device::default()))));
    let mut method = config().with_dim(d).build(&train).unwrap();
    method.noise = Noise::given(noise.iter().map(|noise| to_tensor(noise.view(), &Device::default())));
    let x = to_array(&Noise::seeded(3).uniform_like(&Tensor::zeros([7, d], &Device::default()))) - 0.5;
    let table = to_tensor(x.view(), &Device::default().autodiff());
    let layers = method.encode(&table, &mut draws());
    let parts = adjacency::joint(&train);
    let mut dense = Array2::<f32>::zeros((7, 7));
    for row in 0..7 {
        let (columns, values) = parts.row(row);
        columns.iter().zip(values).for_each(|(&column, &value)| dense[[row, column as usize]] = value as f32);
    }
    let mut wanted = vec![x];
    for noise in &noise {
        let mut next = dense.dot(wanted.last().unwrap());
        for (mut row, noise) in next.rows_mut().into_iter().zip(noise.rows()) {
            let length = noise.dot(&noise).sqrt();
            row.iter_mut().zip(noise).for_each(|(x, n)| *x += 0.2 * x.signum() * n / length);
        }
        wanted.push(next);
    }
    let flat = |x: &Array2<f32>| x.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
    close("layer 1", &values(&layers.layer(1)), &flat(&wanted[1]), 1e-6, 1e-6);
    close("layer 2", &values(&layers.layer(2)), &flat(&wanted[2]), 1e-6, 1e-6);
    let mean = (&wanted[1] + &wanted[2]) / 2.0;
    close("mean", &values(&layers.mean(1..=2)), &flat(&mean), 1e-6, 1e-6);
    // what is ranked has no noise
    let plain = (&dense.dot(&wanted[0]) + &dense.dot(&dense.dot(&wanted[0]))) / 2.0;
    close("embeddings", &values(&method.embed(&table)), &flat(&plain), 1e-6, 1e-6);
}

/// Without contrast and noise, and with one layer, it ranks by the layer alone: LightGCN's mean over layers 0 and 1, doubled, less the
/// table.
#[test]
fn xsimgcl_without_noise_and_contrast_is_lightgcn_without_layer_0() {
    let train = train();
    let mut method =
        config().with_layers(1).with_epsilon(0.0).with_contrast_weight(0.0).with_l2(0.0).build(&train).unwrap();
    let gcn = LightGcnConfig::new().with_layers(1).build(&train).unwrap();
    let numbers: Vec<f64> = (0..42).map(|k| f64::from(k * 29 % 17) / 17.0 - 0.5).collect();
    let table = tracked(numbers, [7, 6], DType::F32);
    close(
        "embeddings",
        &values(&method.embed(&table)),
        &values(&(gcn.embed(&table) * 2.0 - table.clone())),
        1e-6,
        1e-6,
    );
    let layers = method.encode(&table, &mut draws());
    let batch = TripleBatch { users: &[0, 3], positives: &[1, 2], negatives: &[2, 0] };
    let losses = method.losses(&table, &layers, &batch, &mut draws());
    assert_eq!(losses.iter().map(|loss| loss.0).collect::<Vec<_>>(), ["bpr", "contrast", "l2"]);
    assert_eq!((values(&losses[1].1)[0], values(&losses[2].1)[0]), (0.0, 0.0));
}
