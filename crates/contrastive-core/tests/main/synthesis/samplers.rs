//! Samplers: what every batch holds, what an epoch covers, and that seeds and epochs decide.

use crate::synthesis::inputs::says;
use contrastive_core::sampler::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Labels of classes of random sizes between two bounds, in random order.
fn labels(seed: u64, classes: i64, sizes: std::ops::Range<usize>) -> Vec<i64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all: Vec<(u32, i64)> = Vec::new();
    for class in 0..classes {
        for _ in 0..rng.random_range(sizes.clone()) {
            all.push((rng.random(), 10 * class - 7));
        }
    }
    all.sort_unstable();
    all.into_iter().map(|(_, label)| label).collect()
}

fn counts(batch: &[usize], of: &[i64]) -> BTreeMap<i64, usize> {
    let mut counts = BTreeMap::new();
    batch.iter().for_each(|&row| *counts.entry(of[row]).or_default() += 1);
    counts
}

/// How often each row comes.
fn visits(batches: &[Vec<usize>], rows: usize) -> Vec<usize> {
    let mut visits = vec![0; rows];
    batches.iter().flatten().for_each(|&row| visits[row] += 1);
    visits
}

#[test]
fn every_batch_has_its_classes_and_rows() {
    for (seed, remainder) in (0..12).flat_map(|s| [(s, Remainder::Drop), (s, Remainder::Cover)]) {
        let labels = labels(seed, 9, 3..20);
        let (p, m) = (2 + seed as usize % 4, 1 + seed as usize % 3);
        let sampler = PerClassSampler::new(&labels, p, m, remainder, seed).unwrap();
        assert_eq!(sampler.batch_size(), p * m);
        let batches = sampler.epoch(3);
        for batch in &batches {
            let counts = counts(batch, &labels);
            assert_eq!(counts.len(), p, "different classes");
            assert!(counts.values().all(|&c| c == m), "{m} of each: {counts:?}");
            assert!(batch.chunks(m).all(|group| group.iter().all(|&row| labels[row] == labels[group[0]])));
        }
        let visits = visits(&batches, labels.len());
        match remainder {
            Remainder::Drop => {
                assert!(visits.iter().all(|&v| v <= 1), "no row twice");
                // no order of the groups gives more batches
                let groups: Vec<usize> =
                    counts(&(0..labels.len()).collect::<Vec<_>>(), &labels).values().map(|c| c / m).collect();
                let fits = |b: usize| groups.iter().map(|&g| g.min(b)).sum::<usize>() >= b * p;
                let most = (0..=labels.len()).rev().find(|&b| fits(b)).unwrap();
                assert_eq!(batches.len(), most);
            }
            Remainder::Cover => assert!(visits.iter().all(|&v| v >= 1), "every row"),
        }
        assert_eq!(sampler.epoch(3), batches, "the same epoch again");
        assert_ne!(sampler.epoch(4), batches, "another epoch");
        assert_ne!(PerClassSampler::new(&labels, p, m, remainder, seed + 1).unwrap().epoch(3), batches, "another seed");
    }
}

#[test]
fn equal_classes_are_covered_without_repeats() {
    // 12 classes of 6 rows, batches of 4 classes with 3 rows: 24 groups, 6 batches
    let labels: Vec<i64> = (0..72).map(|row| row % 12).collect();
    for remainder in [Remainder::Drop, Remainder::Cover] {
        let sampler = PerClassSampler::new(&labels, 4, 3, remainder, 1).unwrap();
        for epoch in 0..5 {
            let batches = sampler.epoch(epoch);
            assert_eq!(batches.len(), 6);
            assert_eq!(visits(&batches, 72), vec![1; 72]);
        }
    }
    // a class of two rows in groups of five repeats them evenly
    let labels = [0, 0, 1, 1, 1, 1, 1];
    let batches = PerClassSampler::new(&labels, 2, 5, Remainder::Cover, 1).unwrap().epoch(0);
    assert_eq!(batches.len(), 1);
    let visits = visits(&batches, 7);
    assert_eq!(visits[2..], [1; 5]);
    assert!(visits[0] + visits[1] == 5 && visits[0].abs_diff(visits[1]) == 1, "{visits:?}");
}

#[test]
fn a_balanced_batch_has_every_class_alike() {
    for seed in 0..10 {
        let labels = labels(seed, 5, 4..30);
        let class_of = counts(&(0..labels.len()).collect::<Vec<_>>(), &labels);
        let (smallest, largest) = (*class_of.values().min().unwrap(), *class_of.values().max().unwrap());
        for batch in [3, 5, 12] {
            for remainder in [Remainder::Drop, Remainder::Cover] {
                let sampler = BalancedSampler::new(&labels, batch, remainder, seed).unwrap();
                let batches = sampler.epoch(1);
                let mut total: BTreeMap<i64, usize> = BTreeMap::new();
                for rows in &batches {
                    assert_eq!(rows.len(), batch);
                    let counts = counts(rows, &labels);
                    let all: Vec<usize> = class_of.keys().map(|c| counts.get(c).copied().unwrap_or(0)).collect();
                    assert!(all.iter().max().unwrap() - all.iter().min().unwrap() <= 1, "{all:?}");
                    class_of.keys().zip(all).for_each(|(c, n)| *total.entry(*c).or_default() += n);
                }
                let (least, most) = (total.values().min().unwrap(), total.values().max().unwrap());
                assert!(most - least <= 1, "turns are shared over the epoch: {total:?}");
                let visits = visits(&batches, labels.len());
                match remainder {
                    Remainder::Drop => {
                        assert!(visits.iter().all(|&v| v <= 1));
                        assert!(*least <= smallest && most + batch.div_ceil(5) + 1 > smallest, "{most} of {smallest}");
                    }
                    Remainder::Cover => {
                        assert!(visits.iter().all(|&v| v >= 1));
                        assert!(*most >= largest && *least < largest + batch.div_ceil(5) + 1);
                        // a class that comes round again does so as a whole
                        for class in class_of.keys() {
                            let of: Vec<usize> = (0..labels.len()).filter(|&r| labels[r] == *class).collect();
                            let (a, b) = (of.iter().map(|&r| visits[r]).min(), of.iter().map(|&r| visits[r]).max());
                            assert!(b.unwrap() - a.unwrap() <= 1);
                        }
                    }
                }
                assert_eq!(sampler.epoch(1), batches);
                assert_ne!(sampler.epoch(2), batches);
            }
        }
    }
}

#[test]
fn a_hierarchical_batch_has_groups_classes_and_rows() {
    for (seed, remainder) in (0..8).flat_map(|s| [(s, Remainder::Drop), (s, Remainder::Cover)]) {
        let labels = labels(seed, 16, 3..9);
        // four groups of four classes
        let above: Vec<i64> = labels.iter().map(|label| (label + 7) / 10 % 4).collect();
        let sampler = HierarchicalSampler::new(&labels, &above, [2, 3, 2], remainder, seed).unwrap();
        assert_eq!(sampler.batch_size(), 12);
        let batches = sampler.epoch(0);
        assert!(!batches.is_empty());
        for batch in &batches {
            assert!(counts(batch, &above).values().eq(&[6, 6]), "two groups");
            assert!(counts(batch, &labels).values().eq(&[2; 6]), "six classes of two rows");
            for group in batch.chunks(6) {
                assert_eq!(group.iter().map(|&r| above[r]).collect::<BTreeSet<_>>().len(), 1);
            }
        }
        let visits = visits(&batches, labels.len());
        match remainder {
            Remainder::Drop => assert!(visits.iter().all(|&v| v <= 1)),
            Remainder::Cover => assert!(visits.iter().all(|&v| v >= 1)),
        }
        assert_eq!(sampler.epoch(0), batches);
        assert_ne!(sampler.epoch(1), batches);
    }
}

#[test]
fn labels_that_cannot_be_sampled_are_refused() {
    use Remainder::{Cover, Drop};
    let labels = [0, 0, 0, 1, 1, 2];
    let per_class = |p, m, r| PerClassSampler::new(&labels, p, m, r, 1).unwrap_err();
    says(per_class(0, 2, Cover), "classes of a batch: at least 1");
    says(per_class(2, 0, Cover), "rows of a class: at least 1");
    says(per_class(4, 1, Cover), "3 classes with enough rows, but a batch holds 4");
    says(per_class(3, 2, Drop), "2 classes with enough rows, but a batch holds 3");
    assert!(PerClassSampler::new(&labels, 3, 2, Cover, 1).is_ok());
    assert_eq!(PerClassSampler::new(&[], 1, 1, Cover, 1).unwrap_err(), SamplerError::Empty);
    assert_eq!(BalancedSampler::new(&[], 1, Cover, 1).unwrap_err(), SamplerError::Empty);
    says(BalancedSampler::new(&labels, 0, Cover, 1).unwrap_err(), "rows of a batch");
    says(BalancedSampler::new(&labels, 6, Drop, 1).unwrap_err(), "1 rows in the smallest class");
    let above = [0, 0, 0, 0, 0, 1];
    let hierarchical = |above: &[i64], counts, r| HierarchicalSampler::new(&labels, above, counts, r, 1).unwrap_err();
    says(hierarchical(&above[1..], [1, 1, 1], Cover), "6 labels and 5 labels");
    says(hierarchical(&[0, 0, 1, 0, 0, 1], [1, 1, 1], Cover), "label 0 stands under 0 and under 1, at row 2");
    says(hierarchical(&above, [2, 2, 1], Drop), "1 groups with enough rows, but a batch holds 2");
    says(hierarchical(&above, [1, 2, 1], Cover), "1 classes in a group with enough rows");
    says(hierarchical(&above, [0, 1, 1], Drop), "groups of a batch");
}
