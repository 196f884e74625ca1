//! Bad worlds, settings and data give an error that says what is wrong and where.

use burn::tensor::Device;
use contrastive_rl::RlError;
use contrastive_rl::evaluate::{QLearning, q_learning};
use contrastive_rl::method::ucb::{Bonus, UcbConfig};
use contrastive_rl::method::video::{Negatives, Transitions, VideoConfig, VideoObjective};
use contrastive_rl::world::grid::{ExoGrid, Noise, Videos, Walker};
use contrastive_rl::world::{LockMdp, LockSettings, Policy, Tables, TabularWorld};
use contrastive_train::{Budget, MethodConfig, TrainingConfig};
use ndarray::{Array2, Array3, array};

fn says<T>(found: Result<T, RlError>, words: &[&str]) {
    let text = found.err().expect("an error").to_string();
    assert!(text.len() < 500, "{text}");
    words.iter().for_each(|word| assert!(text.contains(word), "{text:?} does not say {word:?}"));
}

#[test]
fn worlds() {
    let fine = || vec![array![[1.0, 0.0], [0.5, 0.5]]];
    let tables = |start: Vec<f64>, kernel: Vec<Array2<f64>>, reward: Vec<Array2<f64>>| {
        Tables::new(start, kernel, reward, vec![])
    };
    says(tables(vec![1.0, 0.0], vec![array![[1.0, 0.0], [0.5, 0.6]]], vec![Array2::zeros((2, 1))]), &["row 1", "1.1"]);
    says(
        tables(vec![1.0, 0.0], vec![array![[1.5, -0.5], [0.5, 0.5]]], vec![Array2::zeros((2, 1))]),
        &["row 0", "-0.5"],
    );
    says(tables(vec![0.7, 0.0], fine(), vec![Array2::zeros((2, 1))]), &["first state", "0.7"]);
    says(tables(vec![1.0, 0.0], fine(), vec![array![[0.0], [1.5]]]), &["state 1", "1.5", "0 to 1"]);
    says(tables(vec![1.0, 0.0], fine(), vec![array![[0.0], [f64::NAN]]]), &["state 1", "NaN"]);
    says(tables(vec![1.0, 0.0], vec![], vec![]), &["horizon", "at least 1"]);
    says(tables(vec![1.0, 0.0, 0.0], fine(), vec![Array2::zeros((3, 1))]), &["kernel", "[2, 2]", "[3, 3]"]);
    says(LockMdp::new(LockSettings { horizon: 0, ..Default::default() }), &["horizon"]);
    says(LockMdp::new(LockSettings { bait: f64::NAN, ..Default::default() }), &["bait", "NaN"]);
    let world = LockMdp::new(LockSettings::default()).unwrap();
    says(
        world.tables().value_of(&Policy::new(Array3::from_elem((1, 1, 1), 1.0)).unwrap()),
        &["(1, 1, 1)", "(5, 9, 3)"],
    );
    says(Policy::new(Array3::from_elem((1, 1, 2), 0.7)), &["policy of step 0", "1.4"]);
}

#[test]
fn settings_of_ucb() {
    let world = LockMdp::new(LockSettings::default()).unwrap();
    let build = |config: UcbConfig| config.build(&world, None, 0);
    says(build(UcbConfig::new().with_dim(0)), &["dim", "0"]);
    says(build(UcbConfig::new().with_lambda(0.0)), &["lambda", "above 0"]);
    says(build(UcbConfig::new().with_gamma(-0.1)), &["gamma", "-0.1"]);
    says(build(UcbConfig::new().with_fit_steps(0)), &["fitting steps"]);
    let mut law = vec![1.0 / 8.0; 9];
    law[4] = 0.0;
    says(UcbConfig::new().build(&world, Some(&law), 0), &["state 4", "above 0"]);
    says(UcbConfig::new().build(&world, Some(&[0.5; 2]), 0), &["2 noise states", "9"]);
    // a world without known features
    let bare = Bare(Tables::new(vec![1.0], vec![array![[1.0]]], vec![array![[0.0]]], vec![]).unwrap());
    says(UcbConfig::new().with_bonus(Bonus::TrueFeatures).build(&bare, None, 0), &["TrueFeatures"]);
}

struct Bare(Tables);

impl TabularWorld for Bare {
    fn tables(&self) -> &Tables {
        &self.0
    }

    fn name(&self) -> &'static str {
        "bare"
    }
}

#[test]
fn videos_and_their_settings() {
    says(ExoGrid::new(Noise::Iid(f64::NAN), 0), &["amplitude", "NaN"]);
    says(ExoGrid::new(Noise::Exogenous(-1.0), 0), &["amplitude", "-1"]);
    let world = ExoGrid::new(Noise::None, 0).unwrap();
    let data = Videos::record(&world, 5, 3, Walker::Uniform, 0);
    says(Transitions::new(&data, 0, 0.2, 0), &["max_k"]);
    says(Transitions::new(&data, 4, 0.2, 0), &["4 apart", "longest of 4 frames"]);
    says(Transitions::new(&data, 1, 1.0, 0), &["validation share"]);
    assert_eq!(Transitions::new(&data, 3, 0.0, 0).unwrap().short, 0);
    says(Videos::from_episodes(&[vec![vec![0.0, 1.0]], vec![vec![0.0]]]), &["frame 0 of episode 1", "1 numbers", "2"]);
    says(Videos::from_episodes(&[vec![vec![f32::NAN]]]), &["frame 0", "NaN"]);
    let silent = Videos::new(data.frames.clone(), data.states.clone(), vec![], data.offsets.clone()).unwrap();
    let build = |config: VideoConfig, data: &Videos| config.build(data, 0, &Device::flex());
    says(build(VideoConfig::new(VideoObjective::Acro), &silent), &["ACRO", "actions"]);
    says(Videos::new(data.frames.clone(), vec![], vec![], data.offsets.clone()), &["0 states for 20 frames"]);
    let contrast = |negatives| VideoConfig::new(VideoObjective::Contrast { negatives });
    let one = TrainingConfig::new(Budget::Steps(1), 1, 1e-2);
    says(build(contrast(Negatives::Anywhere).with_training(one), &data), &["batch_size", "at least 2"]);
    says(build(contrast(Negatives::Anywhere).with_temperature(0.0, true), &data), &["temperature"]);
    let short = Videos::record(&world, 5, 1, Walker::Uniform, 0);
    says(build(contrast(Negatives::SameEpisode), &short), &["same episode", "two pairs"]);
    let settings = QLearning { clusters: 100, ..Default::default() };
    says(q_learning(&world, data.frames.view(), |x| x.to_owned(), &settings, 0), &["clusters", "100"]);
}
