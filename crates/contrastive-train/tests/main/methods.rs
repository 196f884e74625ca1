//! Methods in training: resume, budgets, accumulation, sub-steps, divergence.

use crate::moco;
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_train::*;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

fn config() -> TrainingConfig {
    TrainingConfig::new(Budget::Epochs(4), 8, 0.01)
        .with_optimiser(OptimiserConfig::adam_w(0.01))
        .with_schedule(Schedule::cosine(0.1).with_warm_up(3))
        .with_clipping(Clipping::Norm(0.5))
        .with_average(Averaging::Equal)
}

fn options() -> FitOptions {
    FitOptions::new(&Device::default()).seed(3).progress(false).handle_interrupt(false)
}

#[test]
fn what_a_method_owes() {
    testing::resumes_bit_for_bit(&|| moco::training(&config(), DType::F32), 15);
    testing::resumes_bit_for_bit(&|| moco::training(&config().with_accumulation(4), DType::F32), 5);
    testing::gradients_are_derivatives(&|| moco::training(&config(), DType::F64), 1e-6);
}

/// `fit` and a loop of one's own are the same, also where `fit` stops within an epoch and goes on.
#[test]
fn fit_and_steps_and_budgets_agree() {
    let mut own = moco::training(&config(), DType::F32);
    for _ in 0..24 {
        own.train_step().unwrap();
    }
    assert_eq!((own.epoch(), own.global_step(), own.method().seen.clone()), (4, 24, (0..24).collect::<Vec<_>>()));
    let mut whole = moco::training(&config(), DType::F32);
    let report = fit(&mut whole, &options()).unwrap();
    assert_eq!((report.epochs, report.steps), (4, 24));
    testing::same("fit", &own.state(), &whole.state());

    // within the first epoch, at its end, one step on, within the third
    let dir = tempfile::tempdir().unwrap();
    let fixed = config().with_schedule(Schedule::cosine(0.1).with_warm_up(3).with_length(24));
    let mut last = None;
    for (at, steps) in [2, 6, 7, 15, 24].into_iter().enumerate() {
        let mut part = moco::training(&fixed, DType::F32);
        let options = options().steps(steps).run_dir(dir.path()).resume(true);
        let report = fit(&mut part, &options).unwrap();
        assert_eq!((report.steps, report.epochs), (steps, steps / 6), "budget {at}");
        assert!(report.metrics.is_some());
        assert_eq!(report.history.iter().map(|record| record.steps).sum::<usize>(), steps);
        last = Some((part.state(), report));
    }
    let (state, report) = last.unwrap();
    testing::same("budgets of steps", &own.state(), &state);
    let losses: Vec<_> = whole_history(&fixed).into_iter().map(|record| record.losses).collect();
    assert_eq!(report.history.into_iter().map(|record| record.losses).collect::<Vec<_>>(), losses);
}

fn whole_history(config: &TrainingConfig) -> Vec<EpochRecord> {
    fit(&mut moco::training(config, DType::F32), &options()).unwrap().history
}

#[test]
fn a_schedule_that_ends_with_the_budget_is_part_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let fold = || options().run_dir(dir.path()).resume(true);
    fit(&mut moco::training(&config(), DType::F32), &fold().epochs(2)).unwrap();
    let error = fit(&mut moco::training(&config(), DType::F32), &fold().epochs(3)).unwrap_err();
    assert!(error.to_string().contains("config.training.budget.epochs was 2, is 3"), "{error}");
    // a constant rate knows no end
    let dir = tempfile::tempdir().unwrap();
    let fold = || options().run_dir(dir.path()).resume(true);
    let constant = config().with_schedule(Schedule::constant());
    fit(&mut moco::training(&constant, DType::F32), &fold().epochs(2)).unwrap();
    fit(&mut moco::training(&constant, DType::F32), &fold().epochs(3)).unwrap();
}

/// Two named points that two losses pull at, each in a step of its own.
struct Duel {
    noise: bool,
}

#[derive(Module, Debug)]
struct Points {
    first: Param<Tensor<1>>,
    second: Param<Tensor<1>>,
}

impl Method for Duel {
    type Model = Points;
    type Batch = Tensor<1>;

    fn name(&self) -> &str {
        "duel"
    }

    fn config(&self) -> Value {
        json!({})
    }

    fn data(&self) -> Value {
        json!({})
    }

    fn begin_epoch(&mut self, _epoch: usize, _rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(6)
    }

    fn batch(&mut self, step: Step) -> Result<Tensor<1>, TrainError> {
        let x = if self.noise { step.batch as f64 * 0.1 } else { 0.3 };
        Ok(Tensor::from_data(TensorData::new(vec![x], [1]), (&Device::default(), DType::F64)))
    }

    fn sub_steps(&self) -> Vec<SubStep> {
        vec![
            SubStep { name: "first", moves: Select::modules(["first"]) },
            SubStep { name: "second", moves: Select::modules(["second"]) },
        ]
    }

    fn losses(&mut self, model: &Points, batch: &Tensor<1>, step: Step) -> Result<Weighted, TrainError> {
        // the gradient of `first` passes through `second`
        let product = model.first.val() * model.second.val() - Tensor::from_inner(batch.clone());
        let name = ["towards", "away"][step.sub_step];
        Ok(vec![(name, product.powi_scalar(2) * [1.0, -0.5][step.sub_step])])
    }

    fn artifacts(&self, _model: &Points) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }
}

fn duel(config: &TrainingConfig, noise: bool) -> Training<Duel> {
    let point = |x: f64| {
        let device = Device::default().autodiff();
        Param::from_tensor(Tensor::<1>::from_data(TensorData::new(vec![x], [1]), (&device, DType::F64)))
    };
    let model = Points { first: point(1.5), second: point(0.8) };
    Training::new(Duel { noise }, model, config, 1).unwrap()
}

fn points(training: &Training<Duel>) -> [f64; 2] {
    let value = |p: &Param<Tensor<1>>| p.val().into_data().iter::<f64>().next().unwrap();
    [value(&training.model().first), value(&training.model().second)]
}

/// Alternating steps by hand: first moves down its loss with second as it is, then second down its own with the new first.
#[test]
fn sub_steps_move_their_own_parameters() {
    let rate = 0.05;
    let config = TrainingConfig::new(Budget::Steps(5), 1, rate).with_optimiser(OptimiserConfig::sgd(0.0, 0.0));
    let mut training = duel(&config, false);
    let (mut a, mut b) = (1.5, 0.8);
    for _ in 0..5 {
        let before = (a * b - 0.3) * (a * b - 0.3);
        a -= rate * 2.0 * (a * b - 0.3) * b;
        let between = -0.5 * (a * b - 0.3) * (a * b - 0.3);
        b += rate * (a * b - 0.3) * a;
        let losses = training.train_step().unwrap();
        assert_eq!(losses.iter().map(|loss| loss.0).collect::<Vec<_>>(), ["loss", "towards", "away"]);
        assert!((losses[1].1 - before).abs() < 1e-14 && (losses[2].1 - between).abs() < 1e-14);
        let found = points(&training);
        assert!((found[0] - a).abs() < 1e-14 && (found[1] - b).abs() < 1e-14, "{found:?} {a} {b}");
    }
    testing::gradients_are_derivatives(&|| duel(&config, false), 1e-8);
    testing::resumes_bit_for_bit(&|| duel(&config, false), 8);
}

/// The mean of the gradients of three batches, by hand; the rate of a group.
#[test]
fn gradients_accumulate_and_groups_have_rates() {
    let rate = 0.05;
    let config = TrainingConfig::new(Budget::Steps(2), 1, rate)
        .with_optimiser(OptimiserConfig::sgd(0.0, 0.0))
        .with_group(Group::new(Select::modules(["second"])).with_rate(0.0))
        .with_accumulation(3);
    let mut training = duel(&config, true);
    let mut a = 1.5;
    for step in 0..2 {
        let mean = |f: &dyn Fn(f64) -> f64| (0..3).map(|k| f((3 * step + k) as f64 * 0.1)).sum::<f64>() / 3.0;
        let loss = mean(&|x| (a * 0.8 - x) * (a * 0.8 - x));
        let slope = mean(&|x| 2.0 * (a * 0.8 - x) * 0.8);
        let losses = training.train_step().unwrap();
        assert!((losses[1].1 - loss).abs() < 1e-14);
        a -= rate * slope;
        let found = points(&training);
        assert!((found[0] - a).abs() < 1e-14 && found[1] == 0.8, "{found:?} {a}");
    }
    assert_eq!(training.epoch(), 1);
    let wrong =
        Parameters::new(training.model().clone(), &OptimiserConfig::adam(), &[Group::new(Select::modules(["third"]))]);
    let message = wrong.unwrap_err().to_string();
    assert!(message.contains("third") && message.contains("a selection among first, second"), "{message}");
}

/// A rate that is too high: the error names the step and the tensor, the last good checkpoint stays, and it goes on with another
/// rate where that is allowed.
#[test]
fn a_run_that_diverges_goes_on_from_its_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let fold = || options().run_dir(dir.path()).resume(true);
    let at = |rate: f64| {
        let drops = Schedule::of(Shape::Regular { every: 8, factor: 1e30 });
        TrainingConfig::new(Budget::Epochs(2), 8, rate)
            .with_optimiser(OptimiserConfig::sgd(0.0, 0.0))
            .with_schedule(drops)
    };
    let error = fit(&mut moco::training(&at(1e9), DType::F32), &fold()).unwrap_err();
    let TrainError::NonFiniteParameter { epoch: 2, step: 2, tensor, .. } = &error else { panic!("{error}") };
    assert_eq!(tensor, "weight");
    assert!(error.to_string().contains("allow_change(\"learning_rate\")"), "{error}");
    let slower = || moco::training(&at(1e-40), DType::F32);
    let error = fit(&mut slower(), &fold()).unwrap_err();
    assert!(matches!(error, TrainError::OtherConfig { .. }), "{error}");
    let report = fit(&mut slower(), &fold().allow_change("learning_rate")).unwrap();
    assert_eq!((report.resumed_from, report.epochs), (Some(1), 2));
    assert!(
        report.notes[0].contains("config.training.learning_rate was 1000000000.0 and is 1e-40"),
        "{:?}",
        report.notes
    );
}

/// The buffer of the parameters stays the same one: a step writes into it, since nothing else holds it.
#[cfg(feature = "flex")]
#[test]
fn a_step_overwrites_parameters_in_place() {
    use burn::backend::{BackendTensor, DispatchTensorKind};
    let config = TrainingConfig::new(Budget::Steps(9), 8, 0.01);
    let mut training = moco::training(&config, DType::F32);
    let place = |training: &Training<moco::Moco>| match training.model().weight.val().inner().into_dispatch().kind {
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) => tensor.bytes().as_ptr() as usize,
        other => panic!("{other:?}"),
    };
    training.train_step().unwrap();
    let before = place(&training);
    for _ in 0..3 {
        training.train_step().unwrap();
        assert_eq!(place(&training), before);
    }
}
