//! The tests that every method on user-item graphs owes, as functions for its own tests.
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use contrastive_graph::parts::owed;
//! use contrastive_graph::user_item::method::{MethodConfig, XSimGclConfig};
//!
//! let config = XSimGclConfig::new().with_dim(4);
//! owed::gradients_are_slopes(&config, 3);
//! owed::settings_are_named(&[(config.with_temperature(0.0), "temperature")]);
//! # }
//! ```

use crate::user_item::data::generate::{PlantedOptions, planted};
use crate::user_item::data::{Dataset, NegativePolicy, PairSampler, Triples};
use crate::user_item::method::{Method, MethodConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_train::FitOptions;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::path::Path;

/// A small data set with communities.
fn data() -> Dataset {
    planted(&PlantedOptions { users: 60, items: 40, communities: 4, ..Default::default() })
        .expect("valid sizes")
        .dataset
}

/// Every configuration is refused, with a message that contains its word.
///
/// # Panics
/// When one is accepted, or its word is missing.
pub fn settings_are_named<C: MethodConfig>(wrong: &[(C, &str)]) {
    for (config, word) in wrong {
        match config.build(&data().train) {
            Ok(_) => panic!("a wrong {word} was accepted"),
            Err(error) => assert!(error.to_string().contains(word), "{error:?} does not name {word}"),
        }
    }
}

/// A training of 4 epochs equals, bit for bit, one that is interrupted after the second and resumed, and one of 7 steps those that go on
/// from a state within and between epochs (choose batches that make several steps an epoch); `folder` is empty.
///
/// # Panics
/// When it does not, or a run fails.
pub fn resume_is_exact<C: MethodConfig>(config: &C, folder: &Path) {
    let data = data();
    let options = |epochs| FitOptions::new(&Device::default()).epochs(epochs).seed(3).progress(false);
    let fit = |options: &FitOptions| config.fit(&data, options).unwrap_or_else(|error| panic!("{error}"));
    let whole = fit(&options(4));
    fit(&options(2).run_dir(folder));
    let resumed = fit(&options(4).run_dir(folder).resume(true));
    // and from every state within epochs
    let build = || config.training_on(&data, &options(4)).unwrap_or_else(|error| panic!("{error}")).into_inner();
    contrastive_train::testing::resumes_bit_for_bit(&build, 7);
    let bits = |table: &ndarray::Array2<f32>| table.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for (name, a, b) in [("users", &whole.users, &resumed.users), ("items", &whole.items, &resumed.items)] {
        assert!(bits(a) == bits(b), "the {name} of a resumed training differ");
    }
}

/// The gradient of the sum of all losses agrees with differences of five points, along random directions of the table, in f64. What
/// the method draws is drawn anew from the same generator each time.
///
/// # Panics
/// When it does not; on a device without f64.
pub fn gradients_are_slopes<C: MethodConfig>(config: &C, seed: u64) {
    let data = data();
    let mut method = config.build(&data.train).unwrap_or_else(|error| panic!("{error}"));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut triples = Triples::default();
    let sampler = PairSampler::new(&data.train, NegativePolicy::Reject).expect("generated data can be sampled");
    sampler.epoch(&mut rng, &mut triples);
    let shape = [data.train.num_users() + data.train.num_items(), config.table().dim];
    let mut draw = || (0..shape[0] * shape[1]).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>();
    let table = draw();
    let device = Device::default().autodiff();
    let mut loss = |values: Vec<f64>| {
        method.begin_epoch(ChaCha8Rng::seed_from_u64(seed)).unwrap_or_else(|error| panic!("{error}"));
        let table = Tensor::<2>::from_data(TensorData::new(values, shape), (&device, DType::F64)).require_grad();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let encoded = method.encode(&table, &mut rng);
        let losses = method.losses(&table, &encoded, &triples.batch(0, 50), &mut rng);
        (losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).expect("a method has a loss"), table)
    };
    let (total, tracked) = loss(table.clone());
    let gradient = tracked.grad(&total.backward()).expect("the losses depend on the table").into_data();
    let gradient: Vec<f64> = gradient.iter::<f64>().collect();
    for _ in 0..3 {
        let direction = draw();
        let mut at = |h: f64| {
            let moved = table.iter().zip(&direction).map(|(x, d)| x + h * d).collect();
            loss(moved).0.into_data().iter::<f64>().next().expect("one number")
        };
        // small, so that no number changes its sign on the way where a method looks at signs
        let h = 1e-6;
        let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        let found: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        assert!((found - slope).abs() <= 1e-6 * (1.0 + slope.abs()), "gradient {found}, slope {slope}");
    }
}
