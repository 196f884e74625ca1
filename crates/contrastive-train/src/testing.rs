//! The tests that every method owes, for the test suites of methods, here and in other crates.
//!
//! ```ignore
//! #[test]
//! fn what_a_method_owes() {
//!     let build = || MyConfig::new().build(&data(), 7, &Device::default()).unwrap();
//!     testing::resumes_bit_for_bit(&build, 7);
//!     testing::gradients_are_derivatives(&build_in_f64, 1e-6);
//!     testing::settings_are_refused([(MyConfig::new().with_temperature(0.0), "temperature is 0; allowed is")]);
//! }
//! ```

use crate::config::MethodConfig;
use crate::method::Method;
use crate::trainee::{State, Trainee};
use crate::training::Training;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::modules::{each_float, map_floats};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Display;

/// Trains `steps` steps, twice, and once more for several places to stop at, from the state that was saved there: the states at
/// the end must be equal bit for bit. Choose more steps than an epoch has, so that it stops within epochs and between them.
///
/// # Panics
/// When they differ, or a step fails.
#[track_caller]
pub fn resumes_bit_for_bit<M: Method>(build: &dyn Fn() -> Training<M>, steps: usize) {
    let step = |training: &mut Training<M>| training.train_step().unwrap_or_else(|error| panic!("{error}"));
    let mut whole = build();
    let mut states = vec![whole.state()];
    let mut boundaries = Vec::new();
    for at in 0..steps {
        step(&mut whole);
        states.push(whole.state());
        if whole.completes_epoch() {
            boundaries.push(at + 1);
        }
    }
    let changed = states[steps].iter().any(|(name, data)| states[0].get(name) != Some(data));
    assert!(changed, "{steps} steps have changed nothing");
    let cuts = [0, 1, steps / 3, steps / 2, steps.saturating_sub(1)];
    let mut cuts: Vec<usize> = cuts.into_iter().chain(boundaries).filter(|cut| *cut < steps).collect();
    cuts.sort_unstable();
    cuts.dedup();
    for cut in cuts {
        let mut part = build();
        if cut > 0 {
            part.load_state(states[cut].clone()).unwrap_or_else(|error| panic!("{error}"));
            same(&format!("loaded after {cut} steps"), &states[cut], &part.state());
        }
        (cut..steps).for_each(|_| drop(step(&mut part)));
        same(&format!("stopped after {cut} of {steps} steps"), &states[steps], &part.state());
    }
}

/// Fails unless the two states are equal bit for bit.
///
/// # Panics
/// With the first tensor that differs.
#[track_caller]
pub fn same(what: &str, want: &State, got: &State) {
    let (these, those): (Vec<_>, Vec<_>) = (want.keys().collect(), got.keys().collect());
    assert_eq!(these, those, "{what}: names");
    for (name, data) in want {
        let other = &got[name];
        assert_eq!((data.shape(), data.dtype()), (other.shape(), other.dtype()), "{what}: {name}");
        assert!(data.as_bytes() == other.as_bytes(), "{what}: {name} differs");
    }
}

/// Compares the gradients of the losses of a batch, in each sub-step, with differences of the losses along a random direction of
/// the parameters, by five points; the relative error must stay below `tolerance` (1e-6 for a model in f64, 0.02 in f32). Not for methods that
/// stop the gradient of what the same parameters gave: there the two differ by intent.
///
/// # Panics
/// When they differ, or the losses fail.
#[track_caller]
pub fn gradients_are_derivatives<M: Method>(build: &dyn Fn() -> Training<M>, tolerance: f64) {
    let mut training = build();
    training.train_step().unwrap_or_else(|error| panic!("{error}"));
    let (mut method, model, step) = training.into_losses().unwrap_or_else(|error| panic!("{error}"));
    let batch = method.batch(step).unwrap_or_else(|error| panic!("{error}"));
    let state = method.state();
    for sub_step in 0..method.sub_steps().len().max(1) {
        let step = crate::method::Step { sub_step, ..step };
        let moves = method.sub_steps().get(sub_step).map_or(crate::optimiser::Select::All, |part| part.moves.clone());
        let mut loss = |model: &M::Model| -> Tensor<1> {
            method.load_state(state.clone()).unwrap_or_else(|error| panic!("{error}"));
            let losses = method.losses(model, &batch, step).unwrap_or_else(|error| panic!("{error}"));
            losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).expect("a method has a loss")
        };
        let gradients = GradientsParams::from_grads(loss(&model).backward(), &model);
        let (mut rng, mut along, mut size, mut double) = (direction(), 0.0, 0f64, true);
        each_float(&model, |float| {
            double &= float.value().dtype() == DType::F64;
            let gradient = float.gradient(&gradients).map(|gradient| gradient.into_data());
            let gradient: Vec<f64> = gradient.iter().flat_map(|data| data.iter::<f64>()).collect();
            for at in 0..float.value().dims()[0] {
                let (d, g): (f64, f64) = (rng.random_range(-1.0..1.0), gradient.get(at).copied().unwrap_or(0.0));
                along += g * d;
                size = size.hypot(g);
            }
        });
        let h = if double { 1e-5 } else { 3e-3 };
        let mut at = |h: f64| loss(&moved(&model, h)).into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        let error = (slope - along).abs() / slope.abs().max(size * 1e-3).max(f64::MIN_POSITIVE);
        assert!(
            error < tolerance,
            "sub-step {sub_step} ({moves:?}): gradients say {along}, differences {slope} (off by {error:e})"
        );
    }
}

/// Every configuration is refused by its own check, with a message that holds the given words and stays below 500 characters.
///
/// # Panics
/// When one is accepted, or the message differs.
#[track_caller]
pub fn settings_are_refused<'a, C: MethodConfig>(cases: impl IntoIterator<Item = (C, &'a str)>)
where
    C::Error: Display,
{
    for (config, words) in cases {
        match config.validate() {
            Ok(()) => panic!("accepted, instead of {words:?}"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(words), "{text:?} instead of {words:?}");
                assert!(text.len() < 500, "{} characters: {text}", text.len());
            }
        }
    }
}

fn direction() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(11)
}

/// The module, its parameters moved this far along the direction. What is not trained stays.
fn moved<M: Module>(module: &M, by: f64) -> M {
    let mut rng = direction();
    map_floats(module.clone(), |float| {
        let trained = float.is_trained();
        float.replace(|old| {
            let kind = (&old.device(), old.dtype());
            let values = old.clone().into_data();
            let new: Vec<f64> = values.iter::<f64>().map(|x| x + by * rng.random_range(-1.0..1.0)).collect();
            let data = TensorData::new(new, old.shape()).convert_dtype(old.dtype());
            if trained { Tensor::from_data(data, kind) } else { old }
        });
    })
}

/// A module in f64, for [`gradients_are_derivatives`]; its methods must take inputs in f64.
pub fn in_f64<M: Module>(module: M) -> M {
    map_floats(module, |float| float.replace(|values| values.cast(DType::F64)))
}
