//! Early stopping, losses that are not finite, bad settings, the contents of a run folder, devices by name.

use crate::common::*;
use contrastive_train::*;
use ndarray_npy::ReadNpyExt;
use serde_json::Value;
use std::fs;

const SCORES: [f64; 8] = [0.1, 0.3, f64::NAN, 0.3, 0.2, 0.25, 0.9, 0.9];

fn scored(dir: Option<&std::path::Path>, epochs: usize, resume: bool, patience: usize) -> (Logistic, RunReport) {
    let mut trainee = Logistic::new(0.05);
    trainee.scores = Some(SCORES.to_vec());
    let mut options = options(epochs).early_stopping("score", patience).resume(resume);
    if let Some(dir) = dir {
        options = options.run_dir(dir);
    }
    let report = fit(&mut trainee, &options).unwrap();
    (trainee, report)
}

#[test]
fn early_stopping_returns_the_best_state() {
    let dir = tempfile::tempdir().unwrap();
    for folder in [None, Some(dir.path())] {
        let (trainee, report) = scored(folder, 8, false, 3);
        assert!(report.stopped_early);
        assert_eq!(report.epochs, 5, "2 is best; 3, 4 and 5 are not better");
        assert_eq!(report.best, Some(Best { metric: "score".into(), value: 0.3, epoch: 2 }));
        assert_eq!(report.metrics.unwrap()["score"], 0.3);
        assert_eq!(trainee.values(), uninterrupted(2));
    }
    assert_eq!(checkpoint_epoch(&dir.path().join("best.safetensors")).unwrap(), 2);
    assert_eq!(checkpoint_epoch(&dir.path().join("checkpoint.safetensors")).unwrap(), 5);
    let saved: RunReport = serde_json::from_str(&fs::read_to_string(dir.path().join("report.json")).unwrap()).unwrap();
    assert_eq!((saved.best.unwrap().epoch, saved.history.len()), (2, 5));
    assert!(saved.history[2].metrics.as_ref().unwrap()["score"].is_nan());

    // The stopped run stays stopped, and goes on from its last epoch with more patience.
    let (trainee, report) = scored(Some(dir.path()), 8, true, 3);
    assert_eq!((report.epochs, report.resumed_from, trainee.values()), (5, Some(5), uninterrupted(2)));
    let (trainee, report) = scored(Some(dir.path()), 8, true, 5);
    assert_eq!((report.epochs, report.stopped_early, report.best.unwrap().epoch), (8, false, 7));
    assert_eq!(trainee.values(), uninterrupted(7));
}

#[test]
fn early_stopping_survives_a_resumption() {
    let dir = tempfile::tempdir().unwrap();
    scored(Some(dir.path()), 3, false, 3);
    let (trainee, report) = scored(Some(dir.path()), 8, true, 3);
    assert_eq!((report.epochs, report.stopped_early, report.best.unwrap().epoch), (5, true, 2));
    assert_eq!(trainee.values(), uninterrupted(2));
}

#[test]
fn the_lowest_value_can_be_the_best() {
    let mut trainee = Logistic::new(0.05);
    trainee.scores = Some(vec![3.0, 1.0, 2.0, 2.0]);
    let report = fit(&mut trainee, &options(4).early_stopping_on_lowest("score", 2)).unwrap();
    assert_eq!((report.best.unwrap().epoch, trainee.values()), (2, uninterrupted(2)));
}

#[test]
fn evaluations_come_as_often_as_asked() {
    for (every, want) in [(0, vec![7]), (1, vec![1, 2, 3, 4, 5, 6, 7]), (3, vec![3, 6, 7])] {
        let report = fit(&mut Logistic::new(0.05), &options(7).evaluate_every(every)).unwrap();
        let evaluated: Vec<usize> = report.history.iter().filter(|r| r.metrics.is_some()).map(|r| r.epoch).collect();
        assert_eq!(evaluated, want);
    }
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_keeps_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut trainee = Logistic::new(0.05);
    trainee.nan_at = Some((3, 4));
    let error = fit(&mut trainee, &options(5).run_dir(dir.path())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "loss \"logistic\" is NaN in step 4 of epoch 3; the last checkpoint is of epoch 2: to go on from it with another \
         learning rate, resume with allow_change(\"learning_rate\")"
    );
    let mut trainee = Logistic::new(0.05);
    let report = fit(&mut trainee, &options(5).run_dir(dir.path()).resume(true)).unwrap();
    assert_eq!((report.resumed_from, trainee.values()), (Some(2), uninterrupted(5)));
}

#[test]
fn settings_are_checked() {
    let table: [(FitOptions, &str); 5] = [
        (options(0), "training: epochs is 0; allowed is at least 1"),
        (options(1).resume(true), "training: resume is true; allowed is only together with run_dir"),
        (options(1).early_stopping("score", 0), "training: early_stopping patience is 0; allowed is at least 1"),
        (
            options(1).early_stopping("score", 1).evaluate_every(0),
            "training: evaluate_every is 0; allowed is at least 1 with early stopping",
        ),
        (
            options(1).early_stopping("recall@20", 1),
            "early stopping watches \"recall@20\", but the evaluation gives accuracy",
        ),
    ];
    for (options, message) in table {
        assert_eq!(fit(&mut Logistic::new(0.05), &options).unwrap_err().to_string(), message);
    }
}

struct Idle;

impl Trainee for Idle {
    fn name(&self) -> &str {
        "idle"
    }
    fn config(&self) -> Value {
        Value::Null
    }
    fn begin_epoch(&mut self, _: usize, _: rand_chacha::ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(0)
    }
    fn step(&mut self, _: usize) -> Result<Losses, TrainError> {
        unreachable!("there is no step")
    }
    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        Ok(None)
    }
    fn state(&self) -> State {
        State::new()
    }
    fn load_state(&mut self, _: State) -> Result<(), TrainError> {
        Ok(())
    }
    fn artifacts(&self) -> Vec<(String, ndarray::Array2<f32>)> {
        Vec::new()
    }
}

#[test]
fn an_epoch_without_steps_is_an_error() {
    let error = fit(&mut Idle, &options(1)).unwrap_err();
    assert_eq!(error.to_string(), "epoch 1 of idle has no steps: is the training set empty?");
}

#[test]
fn a_run_folder_holds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("deep/er");
    let mut trainee = Logistic::new(0.05);
    let report = fit(&mut trainee, &options(3).run_dir(&run)).unwrap();
    let config: Value = serde_json::from_str(&fs::read_to_string(run.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["trainee"], "logistic");
    assert_eq!(config["config"], trainee.config());
    assert_eq!((&config["seed"], &config["budget"]["epochs"]), (&5.into(), &3.into()));
    let device = config["device"].as_str().unwrap();
    assert_eq!(device, device_name(&burn::tensor::Device::default()));
    for key in ["contrastive-train", "burn", "rustc", "target"] {
        assert!(config["versions"][key].as_str().is_some_and(|v| v.len() > 3), "{key}: {config}");
    }
    let (model, metadata) = read_safetensors(&run.join("model.safetensors")).unwrap();
    assert_eq!(model["weights"].as_slice::<f32>().unwrap(), trainee.values());
    assert_eq!((model.len(), metadata["trainee"].as_str()), (1, "logistic"));
    let npy = ndarray::Array2::<f32>::read_npy(fs::File::open(run.join("embeddings/weights.npy")).unwrap()).unwrap();
    assert_eq!(npy.into_raw_vec_and_offset().0, trainee.values());
    assert_eq!(metrics_lines(&run), report.history);

    // The folder is not overwritten by accident.
    let error = fit(&mut Logistic::new(0.05), &options(1).run_dir(&run)).unwrap_err();
    assert!(matches!(&error, TrainError::Occupied { path, .. } if *path == run), "{error}");
    assert_eq!(checkpoint_epoch(&run.join("checkpoint.safetensors")).unwrap(), 3);
    let report = fit(&mut Logistic::new(0.05), &options(1).run_dir(&run).overwrite(true)).unwrap();
    assert_eq!((report.resumed_from, metrics_lines(&run).len()), (None, 1));
}

/// A trainee that starts a second run in the folder of the first.
struct Nested<'a>(Logistic, &'a std::path::Path);

impl Trainee for Nested<'_> {
    fn name(&self) -> &str {
        "nested"
    }
    fn config(&self) -> Value {
        Value::Null
    }
    fn begin_epoch(&mut self, epoch: usize, rng: rand_chacha::ChaCha8Rng) -> Result<usize, TrainError> {
        let error = fit(&mut Logistic::new(0.05), &options(1).run_dir(self.1)).unwrap_err();
        assert!(matches!(error, TrainError::Locked { .. }), "{error}");
        fit(&mut Logistic::new(0.05), &options(1)).unwrap();
        self.0.begin_epoch(epoch, rng)
    }
    fn step(&mut self, step: usize) -> Result<Losses, TrainError> {
        self.0.step(step)
    }
    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        Ok(None)
    }
    fn state(&self) -> State {
        self.0.state()
    }
    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.0.load_state(state)
    }
    fn artifacts(&self) -> Vec<(String, ndarray::Array2<f32>)> {
        vec![("../escape".into(), ndarray::Array2::zeros((1, 1)))]
    }
}

#[test]
fn folders_are_locked_runs_nest_and_names_stay_in_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let error = fit(&mut Nested(Logistic::new(0.05), dir.path()), &options(1).run_dir(dir.path())).unwrap_err();
    assert!(matches!(&error, TrainError::Name { name } if name == "../escape"), "{error}");
    assert_eq!(checkpoint_epoch(&dir.path().join("checkpoint.safetensors")).unwrap(), 1);
}

#[test]
fn devices_are_found_by_name() {
    for name in compiled_backends() {
        if matches!(name, "flex" | "ndarray") {
            let device = parse_device(&name.to_uppercase()).unwrap();
            assert!(device_name(&device).to_lowercase().contains(name), "{name}: {}", device_name(&device));
        }
    }
    parse_device("auto").unwrap();
    let list = compiled_backends().join(", ");
    let table = [
        ("gpu", format!("unknown device \"gpu\": this build has auto, cpu, {list}")),
        ("", format!("unknown device \"\": this build has auto, cpu, {list}")),
        ("cuda:x", "device \"cuda:x\": \"x\" is not an index (0, 1, ...)".to_string()),
        ("cuda:-1", "device \"cuda:-1\": \"-1\" is not an index (0, 1, ...)".to_string()),
    ];
    for (name, message) in table {
        assert_eq!(parse_device(name).unwrap_err().to_string(), message);
    }
    if compiled_backends() == ["flex"] {
        let error = parse_device("cuda:1").unwrap_err();
        let want = "device \"cuda:1\" needs the cargo feature \"cuda\": this build has auto, cpu, flex";
        assert_eq!(error.to_string(), want);
        let error = parse_device("flex:1").unwrap_err().to_string();
        assert_eq!(error, "device \"flex:1\": flex has one device, without an index (1)");
    }
}
