//! Few-shot episodes and the spread of an embedding.

use crate::common::{Random, all_close, close, golden, matrix, numbers, same_on_all_threads};
use contrastive_eval::few_shot::{Episodes, FewShot, one_shot_error};
use contrastive_eval::ndarray::{Array2, array};
use contrastive_eval::spread::Spread;
use contrastive_eval::{EvalError, Similarity};
use contrastive_kernels::Real;
use std::collections::BTreeSet;

fn effective_rank<T: Real>(tolerance: f64) {
    for case in golden::<T>("effective_rank") {
        let want = |name: &str| case["expected"][name].as_f64().unwrap();
        let spread = Spread::of(matrix::<T>(&case["inputs"]["x"]).view()).unwrap();
        close("effective rank", spread.effective_rank, want("effective_rank"), tolerance);
        close("RankMe", spread.rank_me, want("rankme"), tolerance);
        close("covariance", spread.effective_rank_covariance, want("effective_rank_covariance"), tolerance);
        close("participation", spread.participation_ratio, want("participation_ratio"), tolerance);
        close("condition", spread.condition_number, want("condition_number"), tolerance);
        close("deviation", spread.unit_column_deviation, want("unit_column_deviation"), tolerance);
        let values: Vec<f64> = numbers(&case["expected"]["singular_values"]);
        all_close("singular values", &spread.singular_values, &values, tolerance);
    }
}

#[test]
fn golden_effective_rank() {
    effective_rank::<f64>(1e-10);
    effective_rank::<f32>(1e-5);
}

#[test]
fn spread_of_known_spectra() {
    // orthogonal rows of equal length: every rank is the number of columns; more columns than rows
    let corners = array![[3.0, 0.0, 0.0], [0.0, 3.0, 0.0]];
    let spread = Spread::of(corners.view()).unwrap();
    close("two directions", spread.effective_rank, 2.0, 1e-12);
    close("one way between two points", spread.effective_rank_covariance, 1.0, 1e-12);
    close("condition", spread.condition_number, 1.0, 1e-12);
    // all rows equal: nothing is spread, whatever rounding leaves
    let equal = Array2::from_elem((7, 3), 0.1);
    let spread = Spread::of(equal.view()).unwrap();
    assert_eq!((spread.effective_rank_covariance, spread.participation_ratio), (0.0, 0.0));
    assert_eq!(spread.condition_number, f64::INFINITY);
    close("one direction", spread.effective_rank, 1.0, 1e-12);
    let zeros = Spread::of(Array2::<f64>::zeros((3, 2)).view()).unwrap();
    assert_eq!((zeros.effective_rank, zeros.rank_me, zeros.unit_column_deviation), (0.0, 0.0, 0.0));
    // rows evenly around: 1 / sqrt(d)
    let table = Random::new(3).table::<f64>(4000, 16);
    let spread = Spread::of((table - 0.0).view()).unwrap();
    assert!((spread.unit_column_deviation - 0.25).abs() < 0.05, "{}", spread.unit_column_deviation);
}

#[test]
fn episodes_draw_other_rows_to_learn_from_and_to_classify() {
    let labels: Vec<u32> = (0..60).map(|row| row % 6 + 10).collect();
    let episodes = Episodes::new(4, 2).with_queries(3).with_count(30).with_seed(9);
    let drawn = episodes.draw(&labels).unwrap();
    assert_eq!(drawn, episodes.draw(&labels).unwrap());
    assert_ne!(drawn, episodes.clone().with_seed(8).draw(&labels).unwrap());
    assert_eq!(drawn[..5], episodes.clone().with_count(5).draw(&labels).unwrap()[..]);
    let mut seen: BTreeSet<u32> = BTreeSet::new();
    for episode in &drawn {
        assert_eq!(episode.classes.iter().collect::<BTreeSet<_>>().len(), 4);
        let rows: BTreeSet<_> = episode.support.iter().chain(&episode.queries).collect();
        assert_eq!(rows.len(), 4 * 5, "a row is used once");
        for (k, &row) in episode.support.iter().enumerate() {
            assert_eq!(labels[row], episode.classes[k / 2]);
        }
        for (k, &row) in episode.queries.iter().enumerate() {
            assert_eq!(labels[row], episode.classes[k / 3]);
        }
        seen.extend(&episode.classes);
    }
    assert_eq!(seen.len(), 6, "every class is drawn at some time");
}

#[test]
fn nearest_means_find_separate_classes_and_guess_on_noise() {
    let labels: Vec<u32> = (0..200).map(|row| row % 10).collect();
    let noise = Random::new(5).table::<f32>(200, 12) - 0.5;
    let episodes = Episodes::new(5, 1).with_queries(10).with_count(300);
    let guessed = episodes.nearest_means(noise.view(), &labels).unwrap();
    assert!((guessed.mean - 0.2).abs() < 0.03, "{guessed}");
    let mut apart = noise * 0.1;
    for (row, &label) in labels.iter().enumerate() {
        apart[[row, label as usize]] += 1.0;
    }
    let found = episodes.nearest_means(apart.view(), &labels).unwrap();
    assert!(found.mean > 0.99, "{found}");
    // the same through a classifier of one's own, and on any number of threads
    let always_first = episodes.evaluate(&labels, |episode| Ok(vec![0; episode.queries.len()])).unwrap();
    close("one of five", always_first.mean, 0.2, 1e-12);
    close("always the same", always_first.interval, 0.0, 1e-12);
    same_on_all_threads(|| episodes.nearest_means(apart.view(), &labels).unwrap());
}

#[test]
fn the_interval_is_that_of_the_mean() {
    let result = FewShot::of(vec![0.2, 0.4, 0.6, 0.8]);
    close("mean", result.mean, 0.5, 1e-12);
    close("interval", result.interval, 1.96 * (0.2 / 3.0f64).sqrt() / 2.0, 1e-12);
    assert_eq!(FewShot::of(vec![0.7]).interval, 0.0);
}

#[test]
fn one_shot_runs_count_what_is_missed() {
    let candidates = array![[1.0f32, 0.0], [0.0, 1.0], [1.0, 1.0]];
    let queries = array![[2.0f32, 0.1], [0.1, 3.0], [0.0, 1.0], [5.0, 4.9]];
    let error = |of: &[u32]| one_shot_error(queries.view(), candidates.view(), of, Similarity::Cosine);
    assert_eq!(error(&[0, 1, 1, 2]).unwrap(), 0.0);
    assert_eq!(error(&[0, 1, 2, 2]).unwrap(), 0.25);
    assert!(matches!(error(&[0, 1, 3, 2]), Err(EvalError::RowOutOfRange { row: 3, .. })));
    assert!(matches!(error(&[0]), Err(EvalError::LengthMismatch { .. })));
}

#[test]
fn episodes_that_cannot_be_drawn_say_why() {
    let labels = [0, 0, 0, 1, 1, 1];
    let x = Array2::<f64>::ones((6, 2));
    let refused = |episodes: Episodes, words: &str| {
        let message = episodes.nearest_means(x.view(), &labels).unwrap_err().to_string();
        assert!(message.contains(words), "{message:?} should say {words:?}");
    };
    let small = |ways, shots| Episodes::new(ways, shots).with_queries(2);
    refused(small(1, 1), "ways");
    refused(small(2, 0), "shots");
    refused(small(2, 1).with_queries(0), "queries");
    refused(small(2, 1).with_count(0), "episodes");
    refused(small(3, 1), "3 classes of an episode");
    refused(small(2, 2), "4 rows of each class");
    assert!(small(2, 1).nearest_means(x.view(), &labels[..5]).is_err());
    assert!(Spread::of(Array2::<f64>::zeros((0, 3)).view()).is_err());
    assert!(Spread::of(array![[1.0, f64::NAN]].view()).is_err());
}
