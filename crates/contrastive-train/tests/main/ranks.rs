//! Training by several ranks against one process, interrupted, resumed with other numbers of ranks, and with a rank that fails.

use crate::moco::{self, Moco};
use burn::tensor::{DType, Device};
use contrastive_core::distributed::{Communicator, InProcess, Ranks, in_process};
use contrastive_train::*;
use std::path::Path;

fn config() -> TrainingConfig {
    TrainingConfig::new(Budget::Steps(50), 10, 0.01)
        .with_optimiser(OptimiserConfig::adam_w(0.01))
        .with_schedule(Schedule::cosine(0.1).with_warm_up(3).with_length(50))
        .with_clipping(Clipping::Norm(0.5))
        .with_average(Averaging::Exponential { decay: 0.9 })
}

fn training(dtype: DType) -> Training<Moco> {
    let mut training = moco::training(&config(), dtype);
    training.method_mut().spread = true;
    training
}

fn options(steps: usize, folder: Option<&Path>) -> FitOptions {
    let options = FitOptions::new(&Device::default()).seed(3).steps(steps).progress(false).handle_interrupt(false);
    match folder {
        Some(folder) => options.run_dir(folder).resume(true),
        None => options,
    }
}

/// The state after a run by `world` ranks, the same on all of them.
fn by(world: usize, steps: usize, dtype: DType, folder: Option<&Path>) -> (State, RunReport) {
    let rank = |communicator: &InProcess| -> Result<_, TrainError> {
        let mut training = training(dtype).distributed(Ranks::all_gather(communicator));
        let report = fit_distributed(&mut training, &options(steps, folder), communicator)?;
        Ok((Trainee::state(&training), report))
    };
    let mut ranks = in_process(world, rank).unwrap();
    for (state, report) in &ranks[1..] {
        testing::same("ranks", &ranks[0].0, state);
        assert_eq!(report.metrics, ranks[0].1.metrics);
    }
    ranks.swap_remove(0)
}

fn compare(want: &State, got: &State, tolerance: f64) {
    assert_eq!(want.keys().collect::<Vec<_>>(), got.keys().collect::<Vec<_>>());
    let mut worst = 0f64;
    for (name, data) in want {
        for (a, b) in data.iter::<f64>().zip(got[name].iter::<f64>()) {
            worst = worst.max((a - b).abs());
            assert!((a - b).abs() <= tolerance, "{name}: {a} and {b}");
        }
    }
    println!("largest difference {worst:e}, allowed {tolerance:e}");
}

/// Parameters, moments, averages, momentum encoder and queue after 50 steps.
#[test]
fn ranks_train_what_one_process_trains() {
    for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-5)] {
        let mut one = training(dtype);
        let report = fit(&mut one, &options(50, None)).unwrap();
        assert_eq!(report.steps, 50);
        for world in [1, 2, 4] {
            let (state, found) = by(world, 50, dtype, None);
            compare(&one.state(), &state, tolerance);
            for (a, b) in report.history.iter().zip(&found.history) {
                for (name, loss) in &a.losses {
                    assert!((loss - b.losses[name]).abs() < tolerance.max(1e-10), "{name}: {loss} {}", b.losses[name]);
                }
            }
        }
    }
}

/// Stopped within epochs; each part by another number of ranks.
#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let mut one = training(DType::F64);
    let report = fit(&mut one, &options(50, None)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut last = None;
    for (world, steps) in [(2, 13), (4, 20), (1, 31), (3, 50)] {
        let (state, report) = by(world, steps, DType::F64, Some(dir.path()));
        assert_eq!(report.steps, steps);
        last = Some((state, report));
    }
    let (state, found) = last.unwrap();
    compare(&one.state(), &state, 1e-10);
    let size = |report: &RunReport| report.metrics.as_ref().unwrap()["size"];
    assert!((size(&report) - size(&found)).abs() < 1e-10);
    // and at last by one process alone, which has nothing left to do
    let report = fit(&mut training(DType::F64), &options(50, Some(dir.path()))).unwrap();
    assert_eq!(report.resumed_from, Some(10));
}

#[test]
fn a_rank_that_fails_ends_all() {
    let rank = |communicator: &InProcess| -> Result<usize, TrainError> {
        let mut training = training(DType::F32).distributed(Ranks::all_gather(communicator));
        for step in 0..20 {
            if communicator.rank() == 1 && step == 7 {
                return Err(TrainError::setting("step", step, "fewer"));
            }
            if let Err(error) = training.train_step() {
                assert_eq!(step, 7, "{error}");
                assert!(error.to_string().contains("rank 1 is gone"), "{error}");
                return Err(error);
            }
        }
        Ok(20)
    };
    let error = in_process(3, rank).unwrap_err();
    assert!(error.to_string().contains("step is 7"), "{error}");
}

/// The gradient cache: batches in chunks are batches as a whole.
#[test]
fn chunks_train_what_whole_batches_train() {
    let config = config().with_accumulation(2);
    let mut whole = moco::training(&config, DType::F64);
    let mut parts = moco::training(&config, DType::F64).with_gradient_cache(3).unwrap();
    for _ in 0..10 {
        let (a, b) = (whole.train_step().unwrap(), parts.train_step().unwrap());
        assert_eq!(a.len(), b.len());
        a.iter().zip(&b).for_each(|(a, b)| assert!(a.0 == b.0 && (a.1 - b.1).abs() < 1e-12));
    }
    compare(&whole.state(), &parts.state(), 1e-12);
    testing::resumes_bit_for_bit(&|| moco::training(&config, DType::F32).with_gradient_cache(3).unwrap(), 5);
    assert!(moco::training(&config, DType::F64).with_gradient_cache(0).is_err());
}
