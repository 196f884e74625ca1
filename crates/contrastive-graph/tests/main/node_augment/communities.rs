//! Communities, their strength, and the views that follow them: the checks of CSGCL.

use super::*;
use crate::common::shared;

/// CSGCL's worked example: K4, a triangle and an edge, joined by two bridges.
fn worked() -> (Csr<f64>, Partition) {
    let clique = (0..4u32).flat_map(|a| (a + 1..4).map(move |b| (a, b)));
    let rest = [(4, 5), (5, 6), (4, 6), (7, 8), (3, 4), (6, 7)];
    (undirected(9, clique.chain(rest)), Partition::from_labels(&[5, 5, 5, 5, 0, 0, 0, 9, 9]))
}

/// CSGCL, check 4.
#[test]
fn strengths_and_edge_probabilities_of_the_worked_example() {
    let (graph, partition) = worked();
    let strength = community_strength(&graph, &partition).unwrap();
    close("strength", &strength, &[0.206597, 0.138889, 0.067708], 1e-6, 0.0);
    close("modularity", &[modularity(&graph, &partition, 1.0).unwrap()], &[0.413194], 1e-6, 0.0);
    let nodes = node_strength(&partition, &strength).unwrap();
    assert_eq!([nodes[0], nodes[5], nodes[8]], [strength[0], strength[1], strength[2]]);
    let drop = community_edge_probabilities(&graph, &partition, &strength, 0.3, 1.0).unwrap();
    for ((u, v, _), p) in entries(&graph).into_iter().zip(&drop) {
        let keep = match (u.min(v), u.max(v)) {
            (3, 4) => 0.0,
            (6, 7) => 0.2194,
            (7, 8) => 0.6527,
            (_, 0..4) => 0.8721,
            _ => 0.7651,
        };
        close(&format!("keep {u}-{v}"), &[1.0 - p], &[keep], 5e-5, 0.0);
    }
    // Check 5: the mean is p while no clip at 1 is in force; the weakest kind of edge is always dropped.
    close("mean", &[mean(&drop)], &[0.3], 1e-12, 0.0);
    let clipped = community_edge_probabilities(&graph, &partition, &strength, 0.05, 1.0).unwrap();
    assert!(clipped.contains(&0.0) && clipped.contains(&1.0) && mean(&clipped) > 0.05);
    let floor = community_edge_probabilities(&graph, &partition, &strength, 0.3, 0.8).unwrap();
    close("threshold", &[floor.iter().copied().fold(0.0, f64::max)], &[0.8], 1e-12, 0.0);
}

/// CSGCL, check 3.
#[test]
fn identities_of_community_strength() {
    let (graph, groups) = blocks(4, 15, 0.4, 0.1, 12);
    let twice: f64 = degrees(&graph).iter().sum();
    let partition = Partition::from_labels(&groups);
    let mut brute = 0.0;
    let degree = degrees(&graph);
    for i in 0..60 {
        for j in (0..60).filter(|&j| groups[i] == groups[j]) {
            let a = f64::from(graph.row(i).0.contains(&(j as u32)));
            brute += (a - degree[i] * degree[j] / twice) / twice;
        }
    }
    let strength = community_strength(&graph, &partition).unwrap();
    close("modularity", &[strength.iter().sum()], &[brute], 1e-12, 0.0);
    let two: Vec<u32> = groups.iter().map(|g| u32::from(*g > 0)).collect();
    let strength = community_strength(&graph, &Partition::from_labels(&two)).unwrap();
    close("two communities", &[strength[0]], &[strength[1]], 1e-12, 0.0);
    close("one community", &community_strength(&graph, &Partition::from_labels(&[7; 60])).unwrap(), &[0.0], 1e-12, 0.0);
    let single = Partition::from_labels(&(0..60).collect::<Vec<_>>());
    let want: Vec<f64> = degree.iter().map(|d| -(d / twice).powi(2)).collect();
    close("singletons", &community_strength(&graph, &single).unwrap(), &want, 1e-15, 0.0);
    // A self loop is one edge and two of degree: L = 2, I = (2, 0), D = (3, 1).
    let looped = undirected(3, [(0, 0), (0, 1)]);
    let partition = Partition::from_labels(&[0, 1, 1]);
    let strength = community_strength(&looped, &partition).unwrap();
    close("self loop", &strength, &[0.5 - 9.0 / 16.0, -1.0 / 16.0], 1e-15, 0.0);
}

/// CSGCL, check 7 and the formula of CAV.
#[test]
fn features_of_weak_communities_go_first() {
    let sparse = features();
    let partition = Partition::from_labels(&[0, 0, 1, 2]);
    let of = |strength: &[f64], p, threshold| {
        community_feature_probabilities(FeatureView::Sparse(&sparse), &partition, strength, p, threshold).unwrap()
    };
    // Votes 0.6, 0.1 + 0.9, 0.3, 0.1, and none for the last, which counts as the strongest.
    let strength = [0.2, 0.1, 0.3];
    let a = [0.6f64, 1.0, 0.3, 0.1, 1.0].map(f64::ln);
    let w = a.map(|x| (a[1] - x) / (a[1] - a[3]));
    let drop = of(&strength, 0.2, 1.0);
    close("formula", &drop, &w.map(|x| x / mean(&w) * 0.2), 1e-12, 1e-12);
    close("mean", &[mean(&drop)], &[0.2], 1e-12, 0.0);
    let table = table();
    let dense = FeatureView::Dense(table.view());
    assert_eq!(community_feature_probabilities(dense, &partition, &strength, 0.2, 1.0).unwrap(), drop);
    assert!(of(&strength, 0.6, 0.7).iter().all(|&p| p <= 0.7));
    // A negative vote has no logarithm: as the weakest.
    let drop = of(&[0.2, -0.1, 0.3], 0.2, 1.0);
    assert!(drop.iter().all(|p| p.is_finite()));
    let negative = of(&[-0.2, 0.1, 0.3], 0.2, 1.0);
    assert!(negative[0] == negative[3] && negative[0] >= negative[1].max(negative[2]));
    assert_eq!(of(&[-0.2, -0.1, -0.3], 0.2, 1.0), vec![0.2; 5], "no vote above 0");
    assert_eq!(of(&[0.0; 3], 0.2, 1.0), vec![0.2; 5]);
    // Fewer than two kinds of edges.
    let ring = undirected(4, (0..4).map(|i| (i, (i + 1) % 4)));
    let one = Partition::from_labels(&[0; 4]);
    let drop = community_edge_probabilities(&ring, &one, &[0.0], 0.4, 1.0).unwrap();
    assert_eq!(drop, vec![0.4; 8]);
}

/// CSGCL, check 6.
#[test]
fn team_up_starts_at_its_epoch() {
    let ramp = |epoch| team_up_ramp(epoch, 500, 1.5).unwrap();
    assert_eq!([ramp(1), ramp(500), ramp(550), ramp(600), ramp(650), ramp(3000)], [0.0, 0.0, 0.5, 1.0, 1.5, 1.5]);
    refused(team_up_ramp(1, 0, f64::NAN), "largest gamma");
}

fn connected(graph: &Csr<f64>, partition: &Partition) -> bool {
    let labels = partition.labels();
    (0..partition.count() as u32).all(|community| {
        let members: Vec<u32> = (0..labels.len() as u32).filter(|&n| labels[n as usize] == community).collect();
        let (mut seen, mut stack) = (BTreeSet::from([members[0]]), vec![members[0]]);
        while let Some(node) = stack.pop() {
            for &other in graph.row(node as usize).0 {
                if labels[other as usize] == community && seen.insert(other) {
                    stack.push(other);
                }
            }
        }
        seen.len() == members.len()
    })
}

#[test]
fn planted_communities_are_found() {
    let (graph, groups) = blocks(8, 25, 0.4, 0.01, 13);
    let planted = Partition::from_labels(&groups);
    for detect in [louvain, leiden] {
        let found = detect(&graph, &DetectOptions::default()).unwrap();
        assert_eq!(found, planted);
        assert_eq!(found, detect(&graph, &DetectOptions { seed: 5, ..Default::default() }).unwrap());
    }
    let (graph, partition) = worked();
    for detect in [louvain, leiden] {
        let found = detect(&graph, &DetectOptions::default()).unwrap();
        let quality = modularity(&graph, &found, 1.0).unwrap();
        assert!(quality >= modularity(&graph, &partition, 1.0).unwrap() - 1e-12, "{quality}");
    }
}

/// Zachary's karate club: the greatest modularity is 0.4198 (Brandes et al., 2008).
#[test]
fn karate_club_is_solved() {
    let friends: [&[u32]; 33] = [
        &[1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31],
        &[2, 3, 7, 13, 17, 19, 21, 30],
        &[3, 7, 8, 9, 13, 27, 28, 32],
        &[7, 12, 13],
        &[6, 10],
        &[6, 10, 16],
        &[16],
        &[],
        &[30, 32, 33],
        &[33],
        &[],
        &[],
        &[],
        &[33],
        &[32, 33],
        &[32, 33],
        &[],
        &[],
        &[32, 33],
        &[33],
        &[32, 33],
        &[],
        &[32, 33],
        &[25, 27, 29, 32, 33],
        &[25, 27, 31],
        &[31],
        &[29, 33],
        &[33],
        &[31, 33],
        &[32, 33],
        &[32, 33],
        &[32, 33],
        &[33],
    ];
    let pairs = friends.iter().enumerate().flat_map(|(a, row)| row.iter().map(move |&b| (a as u32, b)));
    let graph = undirected(34, pairs);
    assert_eq!(graph.nnz(), 156);
    let quality = |detect: fn(&Csr<f64>, &DetectOptions) -> Result<Partition, AugmentError>, seed| {
        let found = detect(&graph, &DetectOptions { seed, ..Default::default() }).unwrap();
        modularity(&graph, &found, 1.0).unwrap()
    };
    let best = |detect| (0..10).map(|seed| quality(detect, seed)).fold(0.0, f64::max);
    close("leiden", &[best(leiden)], &[0.41979], 1e-5, 0.0);
    for seed in 0..10 {
        assert!(quality(leiden, seed) > 0.40 && quality(louvain, seed) > 0.38, "seed {seed}");
    }
}

#[test]
fn communities_of_leiden_are_connected_and_repeatable() {
    let mut gains = 0.0;
    for seed in 0..8 {
        let (graph, _) = blocks(6, 30, 0.12, 0.02, 20 + seed);
        let options = DetectOptions { seed, ..Default::default() };
        let found = leiden(&graph, &options).unwrap();
        assert!(connected(&graph, &found));
        assert_eq!(found, leiden(&graph, &options).unwrap());
        gains += modularity(&graph, &found, 1.0).unwrap()
            - modularity(&graph, &louvain(&graph, &options).unwrap(), 1.0).unwrap();
        let fine = leiden(&graph, &DetectOptions { resolution: 4.0, ..options }).unwrap();
        assert!(fine.count() > found.count(), "more communities at a higher resolution");
    }
    assert!(gains > -0.02, "leiden is behind louvain by {gains} over 8 graphs");
    // Parts that no edge joins, and isolated nodes, stay apart; weights of any size give the same communities.
    let apart = undirected(8, [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)]);
    for scale in [1.0, 1e-6, 1e6] {
        let found = leiden(&apart.map_values(|w| w * scale), &DetectOptions::default()).unwrap();
        assert_eq!(found.labels(), [0, 0, 0, 1, 1, 1, 2, 3]);
    }
}

/// CSGCL, check 8a, on Cora: dropped edges run between communities more often than edges do.
#[test]
fn golden_data_cora_loses_edges_between_communities_first() {
    let Some(shared) = shared() else { return };
    let text = std::fs::read_to_string(shared.join("data/planetoid/open/cora/edges.csv")).unwrap();
    let number = |word: &str| word.trim().parse::<u32>().unwrap();
    let pairs = text.lines().skip(1).map(|line| line.split_once(',').unwrap());
    let graph = undirected(2708, pairs.map(|(a, b)| (number(a), number(b))));
    assert_eq!(graph.nnz(), 2 * 5278);
    for seed in 0..5 {
        let options = DetectOptions { seed, ..Default::default() };
        let partition = leiden(&graph, &options).unwrap();
        let quality = modularity(&graph, &partition, 1.0).unwrap();
        let other = modularity(&graph, &louvain(&graph, &options).unwrap(), 1.0).unwrap();
        println!("cora, seed {seed}: {} communities, modularity {quality:.4} (louvain {other:.4})", partition.count());
        assert!(quality > 0.81 && connected(&graph, &partition));
        let strength = community_strength(&graph, &partition).unwrap();
        let drop = community_edge_probabilities(&graph, &partition, &strength, 0.3, 1.0).unwrap();
        let view = drop_edges_weighted(&graph, &drop, EdgeDraw::PerPair, &mut rng(seed)).unwrap();
        let labels = partition.labels();
        let between = |graph: &Csr<f64>| {
            entries(graph).iter().filter(|e| labels[e.0 as usize] != labels[e.1 as usize]).count() as f64
        };
        let all = between(&graph) / graph.nnz() as f64;
        let dropped = (between(&graph) - between(&view)) / (graph.nnz() - view.nnz()) as f64;
        println!("  between communities: {all:.4} of the edges, {dropped:.4} of the dropped ones");
        assert!(dropped > 1.5 * all, "{dropped} against {all}");
    }
}
