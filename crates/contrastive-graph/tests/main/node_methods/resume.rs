//! Every method is trained, interrupted and resumed in the same way, and a resumed run is the uninterrupted one, bit by bit.

use super::*;
use contrastive_train::State;
use std::path::Path;

fn options(epochs: usize) -> FitOptions {
    FitOptions::new(&device()).epochs(epochs).seed(3).progress(false).handle_interrupt(false)
}

fn saved(folder: &Path) -> State {
    read_safetensors(&folder.join("model.safetensors")).unwrap().0
}

/// Six epochs at once, by hand, and two and then four more; returns the tensors that a run leaves.
fn resumes<C: NodeMethodConfig>(config: &C, graph: &Graph) -> State {
    let folder = tempfile::tempdir().unwrap();
    let [once, twice] = ["once", "twice"].map(|name| folder.path().join(name));
    let whole = config.fit(graph, &options(6).run_dir(&once)).unwrap();
    let name = whole.report.trainee.clone();
    config.fit(graph, &options(2).run_dir(&twice)).unwrap();
    let resumed = config.fit(graph, &options(6).run_dir(&twice).resume(true)).unwrap();
    assert_eq!(resumed.report.resumed_from, Some(2), "{name}");
    assert_eq!(whole.nodes, resumed.nodes, "{name}");
    assert_eq!(whole.shares, resumed.shares, "{name}");
    assert_eq!(saved(&once), saved(&twice), "{name}");
    let history = |run: &NodeEmbeddings| run.report.history.iter().map(|e| e.losses.clone()).collect::<Vec<_>>();
    assert_eq!(history(&whole), history(&resumed), "{name}");
    assert!(twice.join("embeddings").join("nodes.npy").exists() && twice.join("metrics.jsonl").exists());
    let mut by_hand = config.build(graph, 3, &device()).unwrap();
    let losses: Vec<f64> = (0..6).map(|_| by_hand.train_epoch().unwrap()).collect();
    assert_eq!(by_hand.embed(), whole.nodes, "{name}");
    assert_eq!(losses[5], whole.report.losses["loss"], "{name}");
    let build = || config.build(graph, 3, &device()).unwrap().into_inner();
    contrastive_train::testing::resumes_bit_for_bit(&build, 7);
    // a state that does not fit changes nothing, and one of another epoch everything
    let mut state = by_hand.state();
    state.pop_first();
    assert!(matches!(by_hand.load_state(state), Err(TrainError::State { .. })), "{name}");
    assert_eq!(by_hand.embed(), whole.nodes, "{name}: a state that does not fit changes nothing");
    let fresh = config.build(graph, 3, &device()).unwrap();
    by_hand.load_state(fresh.state()).unwrap();
    assert_eq!(by_hand.embed(), fresh.embed(), "{name}: back at the start");
    saved(&once)
}

#[test]
fn two_view_methods_resume_bit_by_bit() {
    let graph = blocks(80);
    let config = small().with_activation(Activation::PRelu);
    assert_eq!(resumes(&config, &graph).len(), 9);
    resumes(&small_csgcl().with_team_up_start(1), &graph);
    // batch normalisation: weights and biases of two layers, a slope, two running statistics of the first layer and its scale
    let gbt = GbtConfig::new().with_widths(vec![8, 6]).with_learning_rate(1e-2);
    assert_eq!(resumes(&gbt, &graph).len(), 9);
}

#[test]
fn companions_resume_bit_by_bit() {
    let graph = blocks(80);
    resumes(&DgiConfig::new().with_dim(8), &graph);
    let bgrl = BgrlConfig::new().with_widths(vec![8, 6]).with_predictor(8).with_warm_up(2).with_epochs(20);
    let saved = resumes(&bgrl.with_learning_rate(1e-2), &graph);
    let of_target = saved.keys().filter(|name| name.contains("target")).count();
    // two layers of weight, bias, scale, shift and two running statistics, and the slope
    assert_eq!(of_target, 13, "{:?}", saved.keys());
}

fn small_pamc() -> PamcConfig {
    PamcConfig::new(5).with_hidden(vec![16]).with_dim(4).with_restarts(2).with_pretraining_batch(32)
}

#[test]
fn both_stages_of_pamc_resume_bit_by_bit() {
    let graph = blocks(80);
    let config = small_pamc().with_pretraining_epochs(4);
    resumes(&config, &graph);
    resumes(&config.auto_encoder(), &graph);
    // interrupted in the auto-encoder
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    config.clone().with_pretraining_epochs(2).pretrain(&graph, &options(3).run_dir(&run)).unwrap();
    let resumed = config.fit(&graph, &options(3).run_dir(&run).resume(true)).unwrap();
    assert_eq!(resumed.report.resumed_from, None, "the second stage starts");
    let whole = config.fit(&graph, &options(3)).unwrap();
    assert_eq!(whole.nodes, resumed.nodes);
    assert_eq!(whole.clusters(), resumed.clusters());
    let stage = std::fs::read_to_string(run.join("pretraining").join("metrics.jsonl")).unwrap();
    assert_eq!(stage.lines().count(), 4);
    assert!(resumed.report.metrics.unwrap()["clusters"] >= 1.0);
    assert!(run.join("embeddings").join("shares.npy").exists());
    let other = config.with_tau(0.9).fit(&graph, &options(4).run_dir(&run).resume(true)).unwrap_err();
    assert!(matches!(other, MethodError::Train(TrainError::OtherConfig { .. })), "{other}");
}

#[test]
fn a_checkpoint_of_other_settings_is_refused_and_of_other_epochs_is_not() {
    let (graph, folder) = (blocks(60), tempfile::tempdir().unwrap());
    let kept = |epochs| options(epochs).run_dir(folder.path().join("run"));
    small().fit(&graph, &kept(1)).unwrap();
    assert_eq!(small().with_epochs(900).fit(&graph, &kept(2).resume(true)).unwrap().report.resumed_from, Some(1));
    let other = small().with_temperature(0.5).fit(&graph, &kept(3).resume(true)).unwrap_err();
    assert!(matches!(other, MethodError::Train(TrainError::OtherConfig { .. })), "{other}");
    // the epochs of a schedule decide every one of them
    let bgrl = BgrlConfig::new().with_widths(vec![4]).with_predictor(4).with_warm_up(1).with_epochs(5);
    let kept = |epochs| options(epochs).run_dir(folder.path().join("bgrl"));
    bgrl.fit(&graph, &kept(1)).unwrap();
    let other = bgrl.clone().with_epochs(6).fit(&graph, &kept(2).resume(true)).unwrap_err();
    assert!(matches!(other, MethodError::Train(TrainError::OtherConfig { .. })), "{other}");
    assert_eq!(bgrl.fit(&graph, &kept(2).resume(true)).unwrap().report.resumed_from, Some(1));
}

/// BGRL, from outside: the first epoch of the warm-up moves nothing; then the target follows with
/// `m = 1 - (1 - m_0) (1 + cos(pi k / K)) / 2`, and AdamW takes its share of the parameters beside the step.
#[test]
fn bgrl_steps_as_its_schedules_say() {
    let graph = blocks(60);
    let config = BgrlConfig::new().with_widths(vec![6, 4]).with_predictor(5).with_warm_up(2).with_epochs(8);
    let config = config.with_learning_rate(1e-2).with_weight_decay(0.5).with_momentum(0.9);
    let mut training = config.build(&graph, 1, &device()).unwrap();
    // the tensors of a part by name: model.target.layers...
    let read = |training: &NodeTraining<Bgrl>, part: &str| -> Vec<Vec<f64>> {
        let state = training.state();
        let of_part =
            state.iter().filter(|(name, _)| name.starts_with(&format!("model{part}.")) && !name.contains("running"));
        of_part.map(|(_, data)| data.iter::<f64>().collect()).collect()
    };
    let start = read(&training, ".encoder");
    assert!(read(&training, ".target") == start, "the target starts at the encoder");
    training.train_epoch().unwrap();
    assert!(read(&training, ".encoder") == start, "a rate of 0");
    for epoch in 2..=8 {
        let before = [read(&training, ".encoder"), read(&training, ".target")];
        let loss = training.train_epoch().unwrap();
        assert!((0.0..=8.0).contains(&loss), "{loss}");
        let after = [read(&training, ".encoder"), read(&training, ".target")];
        let momentum = 1.0 - 0.1 * 0.5 * (1.0 + (std::f64::consts::PI * (epoch as f64 - 1.0) / 8.0).cos());
        for (at, online) in after[0].iter().enumerate() {
            let mixed: Vec<f64> =
                before[1][at].iter().zip(online).map(|(t, o)| momentum * t + (1.0 - momentum) * o).collect();
            close(&format!("target, epoch {epoch}"), &after[1][at], &mixed, 1e-6, 1e-5);
        }
        assert!(after[0] != before[0]);
    }
    // the first step that moves: without decay the same, but for the share that AdamW takes before it
    let after_two = |decay: f64| {
        let mut training = config.clone().with_weight_decay(decay).build(&graph, 1, &device()).unwrap();
        (0..2).for_each(|_| assert!(training.train_epoch().unwrap() > 0.0));
        read(&training, ".encoder").concat()
    };
    let (with, without) = (after_two(0.5), after_two(0.0));
    let taken: Vec<f64> = without.iter().zip(&with).map(|(a, b)| a - b).collect();
    let share: Vec<f64> = start.concat().iter().map(|p| 1e-2 * 0.5 * 0.5 * p).collect();
    close("decay", &taken, &share, 1e-6, 0.0);
    assert!(share.iter().any(|s| *s > 1e-4));
}

/// Names the run folder of the process that is stopped; absent in an ordinary run of the tests.
const FOLDER: &str = "CONTRASTIVE_STOPPED_RUN";

fn long_pretraining() -> PamcConfig {
    small_pamc().with_pretraining_epochs(300)
}

/// What the process that is stopped does: asks itself to stop after the first epoch of the auto-encoder.
#[test]
fn stopped_in_the_pretraining() {
    let Some(run) = std::env::var_os(FOLDER).map(std::path::PathBuf::from) else { return };
    let metrics = run.join("pretraining").join("metrics.jsonl");
    std::thread::spawn(move || {
        while std::fs::metadata(&metrics).map_or(0, |file| file.len()) == 0 {
            std::thread::yield_now();
        }
        contrastive_train::request_stop();
    });
    let error = long_pretraining().fit(&blocks(80), &options(3).run_dir(&run)).unwrap_err();
    assert!(matches!(error, MethodError::Train(TrainError::Interrupted { .. })), "{error}");
    let (message, folder) = (error.to_string(), format!("run_dir({run:?})"));
    assert!(message.contains("in the pretraining") && message.contains(&folder), "{message}");
}

/// A stop asked for in the middle of the first stage, in a process of its own, since it stops every run of its process.
#[test]
fn a_pretraining_that_is_stopped_goes_on_where_it_was() {
    let (graph, folder) = (blocks(80), tempfile::tempdir().unwrap());
    let run = folder.path().join("run");
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    let output = process
        .args(["--exact", "node_methods::resume::stopped_in_the_pretraining"])
        .env(FOLDER, &run)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let done = std::fs::read_to_string(run.join("pretraining").join("metrics.jsonl")).unwrap().lines().count();
    assert!((1..300).contains(&done), "{done} epochs before the stop");
    let resumed = long_pretraining().fit(&graph, &options(3).run_dir(&run).resume(true)).unwrap();
    assert_eq!(resumed.nodes, long_pretraining().fit(&graph, &options(3)).unwrap().nodes);
}
