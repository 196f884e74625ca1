//! Readers, k-core, split, samples, partners, the generator.

use crate::common::*;
use contrastive_eval::ranking::Seen;
use contrastive_seqrec::data::generate::{GenerateOptions, markov_intents};
use contrastive_seqrec::data::*;
use contrastive_seqrec::evaluate::{Popularity, Successors};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::sync::Arc;

fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn the_same_lists_from_every_form() {
    let (_a, lists) = file("x.txt", "7 3 1 3\n2 1 5\n");
    let (_b, inter) = file("x.inter", "user_id:token\titem_id:token\n7\t3\n2\t1\n7\t1\n2\t5\n7\t3\n");
    let (_c, timed) = file("x.csv", "item,user,time\n1,7,20\n3,7,10\n5,2,9\n3,7,30\n1,2,8\n");
    let of_lists = Sequences::read(lists).unwrap();
    for other in [Sequences::read(inter).unwrap(), Sequences::read(timed).unwrap()] {
        assert_eq!(other.lists().collect::<Vec<_>>(), of_lists.lists().collect::<Vec<_>>());
        assert_eq!(other.item_labels(), of_lists.item_labels());
    }
    // numbered by their ids: 2 before 7, items 1, 3, 5
    assert_eq!(of_lists.user_label(0), "2");
    assert_eq!(of_lists.item_labels(), ["1", "3", "5"]);
    assert_eq!(of_lists.list(1), [2, 1, 2]);
    assert_eq!((of_lists.item("5"), of_lists.item("2")), (Some(3), None));
}

#[test]
fn equal_times_keep_the_order_of_the_file_and_are_counted() {
    let (_a, path) = file("x.tsv", "1\t5\t4\t10\n1\t6\t4\t20\n1\t7\t4\t20\n2\t7\t4\t9\n2\t5\t4\t8\n2\t6\t4\t7\n");
    let sequences = Sequences::read(path).unwrap();
    let label = |user: usize| sequences.list(user).iter().map(|item| sequences.item_label(*item)).collect::<Vec<_>>();
    assert_eq!((label(0), label(1)), (vec!["5", "6", "7"], vec!["6", "5", "7"]));
    assert_eq!(sequences.notes(), [Note::TiedLastEvents { users: 1, of: 2 }]);
}

#[test]
fn a_core_is_taken_until_nothing_falls() {
    // item 9 occurs once; without it user 3 has one event; without that item 2 has one
    let lists = [vec![1, 3, 1], vec![3, 1, 3], vec![2, 1, 3], vec![9, 2]];
    let core = Sequences::from_lists("mine", &lists, 9).unwrap().k_core(2).unwrap();
    assert_eq!(core.lists().collect::<Vec<_>>(), [&[1, 2, 1][..], &[2, 1, 2], &[1, 2]]);
    assert_eq!(core.item_labels(), ["1", "3"]);
    let counts = |k: usize| {
        let core = core.k_core(k).unwrap();
        (1..=core.num_items() as u32).map(|v| core.lists().flatten().filter(|x| **x == v).count()).min().unwrap()
    };
    assert!(counts(3) >= 3);
    assert!(matches!(core.k_core(50), Err(SequenceError::NothingLeft { .. })));
}

#[test]
fn leave_one_out_and_samples() {
    let split = Arc::new(split_of(&[vec![1, 2, 3, 4, 5, 6], vec![7, 8], vec![3, 1, 2]], 8));
    assert_eq!(split.num_users(), 2);
    assert_eq!(split.held_out(0, Part::Validation), (&[1, 2, 3, 4][..], 5));
    assert_eq!(split.held_out(0, Part::Test), (&[1, 2, 3, 4, 5][..], 6));
    assert_eq!(split.targets(Part::Test), [5, 1]);
    let prefix = Samples::new(&split, Mode::Prefix, 2);
    let all: Vec<(&[u32], u32)> = (0..prefix.len()).map(|i| (prefix.get(i).input, prefix.target(i))).collect();
    assert_eq!(all, [(&[1][..], 2), (&[1, 2], 3), (&[2, 3], 4)]);
    let each = Samples::new(&split, Mode::PerPosition, 50);
    assert_eq!(each.len(), 1);
    assert_eq!(each.get(0), Sample { input: &[1, 2, 3], targets: &[2, 3, 4] });
}

#[test]
fn no_sample_holds_a_held_out_event() {
    // every event its own item: an item tells its place
    let lists: Vec<Vec<u32>> = (0..40u32).map(|u| (0..3 + u % 9).map(|k| u * 20 + k + 1).collect()).collect();
    let split = Arc::new(split_of(&lists, 800));
    for (mode, max_len) in [(Mode::Prefix, 50), (Mode::Prefix, 2), (Mode::PerPosition, 50), (Mode::PerPosition, 3)] {
        let samples = Samples::new(&split, mode, max_len);
        for i in 0..samples.len() {
            let (sample, at) = (samples.get(i), samples.user(i));
            let held = [split.held_out(at, Part::Validation).1, split.held_out(at, Part::Test).1];
            let clean = |items: &[u32]| items.iter().all(|item| !held.contains(item));
            assert!(clean(sample.input) && clean(sample.targets) && sample.input.len() <= max_len);
        }
    }
}

#[test]
fn dynamic_segments_are_the_prefix_samples() {
    let max_len = 6;
    assert_eq!(dynamic_segments(5, max_len).len(), 2);
    assert_eq!(dynamic_segments(max_len + 3, max_len).len(), max_len);
    assert_eq!(dynamic_segments(max_len + 4, max_len).len(), max_len + 1);
    for n in 3..20u32 {
        let list: Vec<u32> = (1..=n).collect();
        let samples = Samples::new(&Arc::new(split_of(std::slice::from_ref(&list), 20)), Mode::Prefix, max_len);
        let of_samples: Vec<(&[u32], u32)> =
            (0..samples.len()).map(|i| (samples.get(i).input, samples.target(i))).collect();
        let segments = dynamic_segments(n as usize, max_len);
        let of_segments: Vec<(&[u32], u32)> = segments.iter().map(|s| (&list[s.clone()], list[s.end])).collect();
        assert_eq!(of_samples, of_segments, "{n} events");
    }
}

#[test]
fn partners_have_the_same_target_and_another_list_and_are_drawn_evenly() {
    let split = Arc::new(small_split());
    let samples = Samples::new(&split, Mode::Prefix, 12);
    let partners = Partners::new(&samples);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for i in 0..samples.len() {
        for rule in [PartnerRule::Uniform, PartnerRule::Last] {
            let j = partners.partner(&samples, i, rule, &mut rng);
            assert_eq!(samples.target(i), samples.target(j));
            assert_eq!(samples.get(i).input == samples.get(j).input, partners.is_alone(i));
            assert!(!partners.is_alone(i) || i == j);
        }
    }
    let alone = (0..samples.len()).filter(|i| partners.is_alone(*i)).count();
    assert_eq!(partners.share_alone(), alone as f64 / samples.len() as f64);
    // chi-square of 10,000 draws; 0.999 quantile of k - 1 degrees by Wilson and Hilferty
    let i = (0..samples.len()).max_by_key(|i| partners.bucket(&samples, *i).len()).unwrap();
    let others = |j: &&u32| samples.get(**j as usize).input != samples.get(i).input;
    let k = partners.bucket(&samples, i).iter().filter(others).count();
    let mut counts = vec![0f64; samples.len()];
    (0..10_000).for_each(|_| counts[partners.partner(&samples, i, PartnerRule::Uniform, &mut rng)] += 1.0);
    let expected = 10_000.0 / k as f64;
    let drawn: Vec<f64> = partners.bucket(&samples, i).iter().filter(others).map(|j| counts[*j as usize]).collect();
    let chi: f64 = drawn.iter().map(|count| (count - expected).powi(2) / expected).sum();
    let f = (k - 1) as f64;
    let limit = f * (1.0 - 2.0 / (9.0 * f) + 3.09 * (2.0 / (9.0 * f)).sqrt()).powi(3);
    assert!(k > 5 && chi < limit, "chi-square {chi} of {k}, limit {limit}");
}

#[test]
fn what_generated_the_sequences_cannot_be_beaten() {
    let generated = markov_intents(&GenerateOptions { users: 2000, ..GenerateOptions::default() }).unwrap();
    let split = LeaveOneOut::new(&generated.sequences, ShortUsers::Refuse).unwrap();
    let probabilities = generated.after(split.held_out(3, Part::Test).0);
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    let best = generated.best_hit_rate(split.inputs(Part::Test), 5);
    // the targets were drawn from these probabilities: the filter's own hit rate is the expected one, within four deviations
    let found = (0..split.num_users()).filter(|&at| {
        let (input, target) = split.held_out(at, Part::Test);
        let next = generated.after(input);
        next.iter().filter(|p| **p >= next[target as usize - 1]).count() <= 5
    });
    let rate = found.count() as f64 / split.num_users() as f64;
    let deviation = (best * (1.0 - best) / split.num_users() as f64).sqrt();
    assert!((rate - best).abs() < 4.0 * deviation + 0.01, "{rate}, expected {best}");
    // the last item alone knows less, popularity nothing
    let successors = Successors::new(&split).rank(&split, Part::Test, Seen::Keep).unwrap().hit_rate(5);
    let popularity = Popularity::new(&split).rank(&split, Part::Test, Seen::Keep).unwrap().hit_rate(5);
    assert!(best > successors && successors > 2.0 * popularity, "{best}, {successors}, {popularity}");
    assert_eq!(
        markov_intents(&GenerateOptions { users: 2000, ..GenerateOptions::default() }).unwrap().sequences,
        generated.sequences
    );
}

#[test]
fn the_gap_of_cosines_is_its_definition() {
    use contrastive_eval::ndarray::Array2;
    let split = small_split();
    let n = split.num_users();
    let queries = Array2::from_shape_fn((n, 3), |(i, k)| ((i * 7 + k * 3) % 11) as f32 - 4.5);
    let targets = split.targets(Part::Test);
    let cosine = |i: usize, j: usize| {
        let (a, b) = (queries.row(i).mapv(f64::from), queries.row(j).mapv(f64::from));
        a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
    };
    let mean = |same: bool| {
        let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j);
        let all: Vec<f64> =
            pairs.filter(|(i, j)| !same || targets[*i] == targets[*j]).map(|(i, j)| cosine(i, j)).collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    let got = contrastive_seqrec::evaluate::same_target_cosine_gap(&split, Part::Test, queries.view());
    close("gap", &[got], &[mean(true) - mean(false)], 1e-9);
}
