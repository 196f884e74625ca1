//! Properties of the samplers and views over random interaction sets.

use contrastive_graph::user_item::augment::{self, ViewKind};
use contrastive_graph::user_item::data::{
    Interactions, NegativePolicy, PairSampler, Relabelling, Triples, UniformUserSampler, adjacency, generate,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A random pattern: some users empty, some with all items but one, never one with all.
fn random_interactions(rng: &mut ChaCha8Rng) -> Interactions {
    let (users, items) = (1 + rng.next_u32() % 12, 2 + rng.next_u32() % 15);
    let mut pairs = Vec::new();
    for user in 0..users {
        let density = rng.next_u32() % 5;
        let spared = rng.next_u32() % items;
        pairs
            .extend((0..items).filter(|&item| item != spared && rng.next_u32() % 4 < density).map(|item| (user, item)));
    }
    Interactions::from_pairs(users as usize, items as usize, pairs).unwrap()
}

#[test]
fn an_epoch_of_pairs_is_the_training_set_with_untouched_negatives() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut triples = Triples::default();
    let mut checked = 0;
    for _ in 0..500 {
        let data = random_interactions(&mut rng);
        let Ok(sampler) = PairSampler::new(&data, NegativePolicy::Reject) else {
            assert!(data.is_empty());
            continue;
        };
        for _ in 0..3 {
            sampler.epoch(&mut rng, &mut triples);
            let mut pairs: Vec<(u32, u32)> =
                triples.users.iter().copied().zip(triples.positives.iter().copied()).collect();
            pairs.sort_unstable();
            assert!(data.pairs().eq(pairs), "every pair exactly once");
            assert!(triples.users.iter().zip(&triples.negatives).all(|(&user, &item)| !data.contains(user, item)));
            assert!(triples.negatives.iter().all(|&item| (item as usize) < data.num_items()));
            checked += triples.len();
        }
    }
    assert!(checked > 10_000);
}

#[test]
fn uniform_users_are_uniform_and_their_triples_valid() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut triples = Triples::default();
    for _ in 0..300 {
        let data = random_interactions(&mut rng);
        let Ok(sampler) = UniformUserSampler::new(&data, NegativePolicy::Reject) else { continue };
        sampler.epoch(&mut rng, &mut triples);
        assert_eq!(triples.len(), data.len());
        for ((&user, &positive), &negative) in triples.users.iter().zip(&triples.positives).zip(&triples.negatives) {
            assert!(data.contains(user, positive) && !data.contains(user, negative));
        }
    }
    // A user with one item is drawn as often as one with ninety; one without items, never.
    let data = Interactions::from_pairs(3, 100, (0..90).map(|item| (0, item)).chain([(2, 5)])).unwrap();
    let sampler = UniformUserSampler::new(&data, NegativePolicy::Reject).unwrap();
    let mut draws = [0u32; 3];
    let mut positives = [0u32; 90];
    for _ in 0..400 {
        sampler.epoch(&mut rng, &mut triples);
        for (&user, &item) in triples.users.iter().zip(&triples.positives) {
            draws[user as usize] += 1;
            if user == 0 {
                positives[item as usize] += 1;
            }
        }
    }
    // 36,400 draws: 6 standard deviations of a binomial with p = 1/2 are 572.
    assert!(draws[1] == 0 && draws[0].abs_diff(18_200) < 572, "{draws:?}");
    // About 202 draws of each item, standard deviation 14.
    assert!(positives.iter().all(|count| count.abs_diff(202) < 86), "{positives:?}");
}

#[test]
fn unchecked_negatives_come_from_the_whole_catalogue() {
    let data = Interactions::from_pairs(1, 4, [(0, 0), (0, 1), (0, 2)]).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut triples = Triples::default();
    let mut counts = [0u32; 4];
    for _ in 0..4_000 {
        PairSampler::new(&data, NegativePolicy::Unchecked).unwrap().epoch(&mut rng, &mut triples);
        triples.negatives.iter().for_each(|&item| counts[item as usize] += 1);
    }
    // 12,000 draws, p = 1/4: 6 standard deviations are 285.
    assert!(counts.iter().all(|count| count.abs_diff(3_000) < 285), "{counts:?}");
}

#[test]
fn the_order_of_an_epoch_is_uniformly_random() {
    let data = Interactions::from_pairs(2, 5, [(0, 0), (0, 1), (1, 2)]).unwrap();
    let sampler = PairSampler::new(&data, NegativePolicy::Reject).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut triples = Triples::default();
    let mut orders = std::collections::BTreeMap::<Vec<u32>, u32>::new();
    for _ in 0..12_000 {
        sampler.epoch(&mut rng, &mut triples);
        *orders.entry(triples.positives.clone()).or_default() += 1;
    }
    // 6 orders of 2,000 each, standard deviation 41.
    assert!(orders.len() == 6 && orders.values().all(|count| count.abs_diff(2_000) < 246), "{orders:?}");
}

#[test]
fn equal_seeds_give_equal_epochs_and_views() {
    let data = generate::planted(&generate::PlantedOptions::default()).unwrap().dataset.train;
    let epochs = |seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut all = vec![Triples::default(); 3];
        let pairs = PairSampler::new(&data, NegativePolicy::Reject).unwrap();
        pairs.epoch(&mut rng, &mut all[0]);
        pairs.epoch(&mut rng, &mut all[1]);
        UniformUserSampler::new(&data, NegativePolicy::Reject).unwrap().epoch(&mut rng, &mut all[2]);
        let kinds = [ViewKind::EdgeDropout, ViewKind::NodeDropout, ViewKind::RandomWalk];
        (all, kinds.map(|kind| kind.draw(&data, 0.1, 2, &mut rng).unwrap()))
    };
    let (first, again, other) = (epochs(5), epochs(5), epochs(6));
    assert!(first == again);
    assert_ne!(first.0[0], first.0[1], "epochs of one generator differ");
    assert!((0..3).all(|which| first.0[which] != other.0[which] && first.1[which] != other.1[which]));
}

#[test]
fn dropped_edges_are_spread_evenly() {
    let data = Interactions::from_pairs(4, 5, (0..20).map(|n| (n / 5, n % 5))).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut kept = [0u32; 20];
    for _ in 0..10_000 {
        for (user, item) in augment::edge_dropout(&data, 0.3, &mut rng).unwrap().pairs() {
            kept[(user * 5 + item) as usize] += 1;
        }
    }
    // 14 of 20 edges stay: 7,000 each, standard deviation 46.
    assert!(kept.iter().all(|count| count.abs_diff(7_000) < 275), "{kept:?}");
}

/// `||A||_2 = 1`: sqrt(degree) is mapped onto itself by every normalised graph and view, under any numbering.
#[test]
fn every_view_keeps_the_largest_singular_value_at_one() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for _ in 0..200 {
        let data = random_interactions(&mut rng);
        let view = augment::edge_dropout(&data, 0.3, &mut rng).unwrap();
        let view = Relabelling::by_degree(&view).apply(&view);
        let matrix = adjacency::joint(&view);
        let (users, items) = view.degrees();
        let root: Vec<f64> = users.iter().chain(&items).map(|&degree| f64::from(degree).sqrt()).collect();
        for (row, &expected) in root.iter().enumerate() {
            let (columns, values) = matrix.row(row);
            let product: f64 = columns.iter().zip(values).map(|(&column, &value)| value * root[column as usize]).sum();
            assert!((product - expected).abs() < 1e-12 * (1.0 + expected), "row {row}: {product}, expected {expected}");
        }
    }
}
