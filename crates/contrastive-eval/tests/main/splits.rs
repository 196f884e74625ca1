//! Splits of rows and of edges, negatives, link prediction.

use crate::common::{Random, close};
use contrastive_eval::Similarity;
use contrastive_eval::links::*;
use contrastive_eval::ndarray::Array2;
use contrastive_eval::probe::{LogisticRegression, Split};
use std::collections::BTreeSet;

fn set<T: Ord + Copy>(parts: &[&[T]]) -> BTreeSet<T> {
    let all: BTreeSet<T> = parts.iter().flat_map(|part| part.iter().copied()).collect();
    assert_eq!(all.len(), parts.iter().map(|part| part.len()).sum::<usize>(), "parts overlap");
    all
}

#[test]
fn random_splits_use_every_row_once() {
    for seed in 0..10 {
        let rows = 11 + seed as usize;
        let split = Split::random(rows, 0.35, 0.2, seed).unwrap();
        let (train, validation) = ((0.35 * rows as f64) as usize, (0.2 * rows as f64) as usize);
        assert_eq!((split.train().len(), split.validation().len()), (train, validation));
        assert_eq!(set(&[split.train(), split.validation(), split.test()]), (0..rows as u32).collect());
        assert_eq!(Split::random(rows, 0.35, 0.2, seed).unwrap(), split);
        assert_ne!(Split::random(rows, 0.35, 0.2, seed + 1).unwrap(), split);
    }
    let some = Split::random_of(vec![3, 50, 7, 9], 0.5, 0.0, 1).unwrap();
    assert_eq!(set(&[some.train(), some.test()]), [3, 7, 9, 50].into());
}

#[test]
fn every_row_is_drawn_equally_often() {
    let mut drawn = [0; 20];
    (0..4000).for_each(|seed| {
        Split::random(20, 0.25, 0.0, seed).unwrap().train().iter().for_each(|&r| drawn[r as usize] += 1)
    });
    // 1000 +- 27 each
    assert!(drawn.iter().all(|count| (860..1140).contains(count)), "{drawn:?}");
}

#[test]
fn splits_by_class_and_by_mask() {
    let mut random = Random::new(1);
    let labels = random.labels(300, 4);
    let split = Split::per_class(&labels, 4, 7, 50, 60, 3).unwrap();
    set(&[split.train(), split.validation(), split.test()]);
    assert_eq!((split.train().len(), split.validation().len(), split.test().len()), (28, 50, 60));
    for class in 0..4 {
        assert_eq!(split.train().iter().filter(|&&row| labels[row as usize] == class).count(), 7);
    }
    let masks =
        Split::from_masks(&[true, false, false, false], &[false, true, false, false], &[false, false, false, true]);
    assert_eq!(masks.unwrap(), Split::new(4, vec![0], vec![1], vec![3]).unwrap());
}

/// A random graph, with repetitions in both directions and self-loops.
fn messy(random: &mut Random, nodes: usize, edges: usize) -> Vec<(u32, u32)> {
    (0..edges).map(|_| (random.below(nodes) as u32, random.below(nodes) as u32)).collect()
}

#[test]
fn edge_splits_partition_the_different_edges() {
    for (seed, directed) in [(0, false), (1, true), (2, false), (3, true)] {
        let mut random = Random::new(seed);
        let edges = messy(&mut random, 40, 300);
        let order = |&(a, b): &(u32, u32)| if directed || a < b { (a, b) } else { (b, a) };
        let different: BTreeSet<(u32, u32)> = edges.iter().filter(|e| e.0 != e.1).map(order).collect();
        let split = if directed { EdgeSplit::directed } else { EdgeSplit::undirected };
        let split = split(40, &edges, 0.1, 0.2, seed).unwrap();
        assert_eq!(set(&[&split.train[..], &split.validation, &split.test]), different);
        let loops = edges.iter().filter(|e| e.0 == e.1).count();
        assert_eq!((split.self_loops, split.duplicates), (loops, 300 - loops - different.len()));
        let count = |share: f64| (share * different.len() as f64) as usize;
        assert_eq!((split.validation.len(), split.test.len()), (count(0.1), count(0.2)));
        assert_eq!(split.validation_negatives.len(), split.validation.len());
        let negatives = set(&[&split.validation_negatives[..], &split.test_negatives]);
        assert_eq!(negatives.len(), count(0.1) + count(0.2));
        assert!(negatives.iter().all(|pair| pair.0 != pair.1 && order(pair) == *pair && !different.contains(pair)));
    }
}

#[test]
fn negatives_are_uniform_and_can_be_all_there_are() {
    // sparse: by rejection; dense: from the list of what is free
    for (nodes, edges) in [(8, vec![(0, 1), (2, 3)]), (4, vec![(0, 1), (2, 3)])] {
        let pairs = nodes * (nodes - 1) / 2;
        let free = pairs - edges.len();
        let all = sample_negatives(nodes, &edges, free, false, 5).unwrap();
        assert_eq!(set(&[&all[..]]).len(), free);
        let mut drawn = std::collections::BTreeMap::new();
        let rounds = 2000;
        for seed in 0..rounds {
            for pair in sample_negatives(nodes, &edges, 2, false, seed).unwrap() {
                *drawn.entry(pair).or_insert(0usize) += 1;
            }
        }
        let mean = 2.0 * rounds as f64 / free as f64;
        let bound = 5.0 * mean.sqrt();
        assert!(drawn.len() == free && drawn.values().all(|&count| (count as f64 - mean).abs() < bound), "{drawn:?}");
    }
    let directed = sample_negatives(3, &[(0, 1)], 5, true, 0).unwrap();
    assert_eq!(set(&[&directed[..]]), [(0, 2), (1, 0), (1, 2), (2, 0), (2, 1)].into());
}

#[test]
fn link_scores_are_the_similarities() {
    let mut random = Random::new(4);
    let x = random.table::<f32>(30, 5);
    let split = EdgeSplit::undirected(30, &messy(&mut random, 30, 150), 0.0, 0.5, 4).unwrap();
    let rows = x.mapv(f64::from);
    let score = |kind: Similarity, &(a, b): &(u32, u32)| {
        let (a, b) = (rows.row(a as usize), rows.row(b as usize));
        match kind {
            Similarity::Dot => a.dot(&b),
            Similarity::Cosine => a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt(),
            Similarity::Euclidean => -(&a - &b).mapv(|v| v * v).sum(),
        }
    };
    for kind in [Similarity::Dot, Similarity::Cosine, Similarity::Euclidean] {
        let scores = |pairs: &[(u32, u32)]| pairs.iter().map(|pair| score(kind, pair)).collect::<Vec<f64>>();
        let (positive, negative) = (scores(&split.test), scores(&split.test_negatives));
        let wins = positive.iter().flat_map(|p| negative.iter().map(move |n| f64::from(u8::from(p > n)))).sum::<f64>();
        let report = evaluate(x.view(), &split.test, &split.test_negatives, kind).unwrap();
        close("AUC", report.auc, wins / (positive.len() * negative.len()) as f64, 1e-12);
        let scored = evaluate_scores(&positive, &negative).unwrap();
        close("AP", report.average_precision, scored.average_precision, 1e-12);
        assert_eq!((report.positives, report.negatives), (positive.len(), negative.len()));
    }
}

#[test]
fn products_tell_edges_that_inner_products_do_not() {
    // two groups by the sign of the first coordinate; edges run between groups, so that the inner product is misleading
    let mut random = Random::new(6);
    let x = Array2::from_shape_fn((60, 4), |(node, d)| match d {
        0 => (if node % 2 == 0 { 1.0 } else { -1.0 }) + 0.2 * random.normal() as f32,
        _ => random.normal() as f32,
    });
    let edges: Vec<(u32, u32)> =
        (0..60).flat_map(|a| (0..a).map(move |b| (a, b))).filter(|(a, b)| (a + b) % 2 == 1).collect();
    let split = EdgeSplit::undirected(60, &edges, 0.4, 0.2, 1).unwrap();
    let test = [&split.test[..], &split.test_negatives];
    let dot = evaluate(x.view(), test[0], test[1], Similarity::Dot).unwrap();
    let train = [&split.validation[..], &split.validation_negatives];
    let learned = evaluate_hadamard(x.view(), train, test, &LogisticRegression::new(1.0)).unwrap();
    assert!(dot.auc < 0.4 && learned.auc > 0.98 && learned.average_precision > 0.98, "{dot}\n{learned}");
    let stopped = LogisticRegression::new(1.0).with_max_iterations(1);
    let stopped = evaluate_hadamard(x.view(), train, test, &stopped).unwrap();
    assert!(!stopped.converged && stopped.to_string().ends_with("stopped before it converged"));
    let back: LinkReport = serde_json::from_str(&serde_json::to_string(&learned).unwrap()).unwrap();
    assert_eq!(back, learned);
}
