//! The parts of SPR-UCB.

use burn::tensor::{Device, Tensor};
use contrastive_core::linear::EllipticalBonus;
use contrastive_core::objective::negative_cosine;
use contrastive_rl::method::spr_ucb::{Counting, EndOfEpisode, ReplayBonus, SprConfig, n_step_bonus, spr_distances};
use contrastive_rl::world::grid::{ExoGrid, Noise, Videos, Walker};
use contrastive_train::{Budget, FitOptions, MethodConfig, TrainingConfig};
use ndarray::array;

/// The loss is 2 + 2 times the core's negative cosine.
#[test]
fn distances_are_cosines() {
    let device = Device::flex();
    let p = Tensor::<2>::from_data([[1.0f32, 2.0, -1.0], [0.5, 0.0, 3.0]], &device);
    let t = Tensor::<2>::from_data([[2.0f32, 1.0, 1.0], [-1.0, 2.0, 0.5]], &device);
    let found = spr_distances(p.clone(), t.clone()).mean().into_scalar::<f32>();
    let core = negative_cosine(p, t).into_scalar::<f32>();
    assert!((found - (2.0 + 2.0 * core)).abs() < 1e-6, "{found} and {core}");
}

#[test]
fn a_replayed_transition_counts_once_or_again() {
    let features = array![[1.0, 0.0], [0.6, 0.8]];
    let mut bonuses = [Counting::Replayed, Counting::Once].map(|how| ReplayBonus::new(2, 0.1, 1.0, how).unwrap());
    for bonus in &mut bonuses {
        bonus.observe(&[3, 9], features.view()).unwrap();
        bonus.observe(&[3, 9], features.view()).unwrap();
    }
    assert_eq!(bonuses.each_ref().map(ReplayBonus::counted), [4, 2]);
    let [replayed, once] =
        bonuses.each_mut().map(|b| b.observe(&[3], features.slice(ndarray::s![..1, ..])).unwrap()[0]);
    assert!(replayed < once);
    let mut plain = EllipticalBonus::new(2, 0.1, 1.0).unwrap();
    features.rows().into_iter().for_each(|row| plain.observe(row).unwrap());
    assert_eq!(once, plain.bonus(features.row(0)));
}

#[test]
fn n_step_sums() {
    let (b, done) = ([1.0, 2.0, 4.0, 8.0], [false, false, true, false]);
    let released = n_step_bonus(&b, &done, 3, 0.5, EndOfEpisode::FirstOnly);
    assert_eq!(released, [1.0 + 1.0 + 1.0, 2.0 + 2.0 + 2.0, 0.0, 8.0]);
    let stopped = n_step_bonus(&b, &done, 3, 0.5, EndOfEpisode::Everywhere);
    assert_eq!(stopped, [1.0 + 1.0, 2.0, 0.0, 8.0]);
}

/// Training lowers the loss below that of the start, and resumes bit for bit with its momentum copy.
#[test]
fn spr_learns_and_resumes() {
    let world = ExoGrid::new(Noise::None, 1).unwrap();
    let data = Videos::record(&world, 60, 10, Walker::Uniform, 1);
    let config =
        SprConfig { momentum: 0.9, training: TrainingConfig::new(Budget::Epochs(6), 64, 1e-3), ..Default::default() };
    let run = |epochs: usize, folder: Option<&std::path::Path>| {
        let options = FitOptions::new(&Device::flex()).epochs(epochs).seed(5).progress(false);
        let options = match folder {
            Some(folder) => options.run_dir(folder).resume(true),
            None => options,
        };
        config.fit(&data, &options).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = run(6, None);
    run(2, Some(folder.path()));
    let rest = run(6, Some(folder.path()));
    let losses = |t: &contrastive_train::RunReport| t.history.iter().map(|e| e.losses["spr"]).collect::<Vec<_>>();
    assert_eq!(losses(&whole.report), losses(&rest.report));
    let found = losses(&whole.report);
    assert!(found[5] < 0.8 * found[0], "{found:?}");
}
