//! IRWE: the checks of its specification. No parity with the publication is claimed.

use crate::common::directions::losses_have_their_slope;
use crate::common::{close, tracked, values};
use burn::tensor::{DType, Device};
use contrastive_graph::node::augment::anonymous::{PatternRanks, anonymous};
use contrastive_graph::node::augment::walk::random_walks;
use contrastive_graph::node::data::{Cleaning, Direction, Graph, Loops, Normalisation, RoleGraphOptions, role_graph};
use contrastive_graph::node::method::irwe::{Irwe, IrweConfig, IrweInput, WalkStatistics, soft_binary_nce};
use contrastive_nn::Pass;
use contrastive_train::{Budget, FitOptions, MethodConfig, Training, testing};
use std::collections::BTreeSet;

fn graph(nodes: usize, edges: &[(u32, u32)]) -> Graph {
    Graph::from_edges(nodes, edges, &Cleaning::default()).unwrap()
}

#[test]
fn patterns_are_numbered_one_to_one_and_counted_by_bell() {
    assert_eq!(anonymous(&[5, 9, 2, 9, 5]), [0, 1, 2, 1, 0]);
    let bell = [1u64, 1, 2, 5, 15, 52, 203, 877, 4140, 21_147];
    for steps in 1..=8 {
        let ranks = PatternRanks::new(steps);
        assert_eq!(ranks.len(), bell[steps + 1], "all patterns of {steps} steps");
        let mut before: Option<Vec<u8>> = None;
        let mut moving = 0;
        for rank in 0..ranks.len() {
            let pattern = ranks.pattern(rank);
            assert_eq!(ranks.rank(&pattern), rank);
            assert!(before.is_none_or(|before| before < pattern), "in lexicographic order");
            moving += u64::from(pattern.windows(2).all(|pair| pair[0] != pair[1]));
            before = Some(pattern);
        }
        assert_eq!(moving, bell[steps], "patterns of {steps} steps that never stay");
    }
}

#[test]
fn walks_do_not_depend_on_threads_or_on_other_starts() {
    let graph = role_graph(&RoleGraphOptions::default()).unwrap();
    let adjacency = graph.matrix(Normalisation::None, Loops::Remove);
    let all: Vec<u32> = (0..graph.num_nodes() as u32).collect();
    let walks = random_walks(&adjacency, &all, 5, 6, 9).unwrap();
    let alone = random_walks(&adjacency, &[17, 3], 5, 6, 9).unwrap();
    assert!(walks.of(17).eq(alone.of(0)) && walks.of(3).eq(alone.of(1)));
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(one.install(|| random_walks(&adjacency, &all, 5, 6, 9).unwrap()), walks);
    for (start, node) in all.iter().enumerate() {
        for walk in walks.of(start) {
            assert!(walk[0] == *node && walk.len() == 7);
            assert!(walk.windows(2).all(|step| graph.has_edge(step[0], step[1])));
        }
    }
    // a node without neighbours keeps its walks
    let alone = random_walks(&self::graph(3, &[(0, 1)]).matrix(Normalisation::None, Loops::Remove), &[2], 1, 3, 1);
    assert_eq!(alone.unwrap().nodes, [2; 4]);
    assert!(random_walks(&adjacency, &[9999], 1, 1, 1).is_err());
}

/// The shares of `(0, 1, 0)` of all nodes.
fn returning(statistics: &WalkStatistics) -> Vec<f64> {
    // of two steps: pattern (0, 1, 0) is before (0, 1, 2)
    let row = |node| {
        let (columns, shares) = statistics.patterns.row(node);
        columns.iter().position(|&column| column == 0).map_or(0.0, |at| shares[at])
    };
    (0..statistics.num_nodes()).map(row).collect()
}

#[test]
fn walks_of_two_steps_have_closed_forms() {
    let leaves = 5;
    let star = graph(leaves + 1, &(1..=leaves as u32).map(|leaf| (0, leaf)).collect::<Vec<_>>());
    let (_, exact) = WalkStatistics::exact(&star, 2, 8).unwrap();
    let mut wanted = vec![1.0 / leaves as f64; leaves + 1];
    wanted[0] = 1.0;
    close("star", &returning(&exact), &wanted, 1e-12, 0.0);
    let cycle = graph(7, &(0..7).map(|node| (node, (node + 1) % 7)).collect::<Vec<_>>());
    close("cycle", &returning(&WalkStatistics::exact(&cycle, 2, 8).unwrap().1), &[0.5; 7], 1e-12, 0.0);
    let roles = role_graph(&RoleGraphOptions { motifs: 8, ..Default::default() }).unwrap();
    let degree = |node: u32| roles.neighbours(node).len() as f64;
    let mean = |node: u32| roles.neighbours(node).iter().map(|&u| 1.0 / degree(u)).sum::<f64>() / degree(node);
    let wanted: Vec<f64> = (0..roles.num_nodes() as u32).map(mean).collect();
    let (_, exact) = WalkStatistics::exact(&roles, 2, 8).unwrap();
    close("means over neighbours", &returning(&exact), &wanted, 1e-12, 0.0);
    let (_, drawn) = WalkStatistics::sampled(&roles, [4000, 2, 8], 1.0, None, 3).unwrap();
    // five standard deviations of 4000 draws
    close("drawn", &returning(&drawn), &wanted, 5.0 * 0.5 / 4000f64.sqrt(), 0.0);
}

/// A house on a pair of nodes, twice: nodes k and k + 7 are automorphic, and 1 and 2, 3 and 4 within a copy.
fn twins() -> Graph {
    let one = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 4), (0, 5), (5, 6)];
    let two = one.iter().map(|&(a, b)| (a + 7, b + 7));
    graph(14, &one.iter().copied().chain(two).collect::<Vec<_>>())
}

fn small() -> IrweConfig {
    let training = IrweConfig::default().training.with_batch_size(32).with_budget(Budget::Epochs(3));
    IrweConfig {
        dim: 8,
        steps: 4,
        statistics_walks: 50,
        encoder_walks: 3,
        bins: 6,
        heads: 2,
        training,
        ..Default::default()
    }
}

#[test]
fn automorphic_nodes_have_one_identity_and_two_places() {
    let graph = twins();
    let training = small().build(&graph, 5, &Device::default()).unwrap();
    let model = training.trained_model();
    let (index, exact) = WalkStatistics::exact(&graph, 4, 6).unwrap();
    // sampled and exact statistics know the same patterns: all that occur
    assert_eq!(index.num_patterns(), training.method().index().num_patterns());
    let input = IrweInput::new(&index, &exact, 8, 0, None, &Device::default());
    let all: Vec<u32> = (0..14).collect();
    let psi = model.identity.forward(&input, &all, model.identity.patterns(&input));
    let psi: Vec<Vec<f64>> = values(&psi).chunks(8).map(<[f64]>::to_vec).collect();
    for node in 0..7 {
        close("copies", &psi[node], &psi[node + 7], 1e-5, 0.0);
    }
    close("within a copy", &psi[1], &psi[2], 1e-5, 0.0);
    close("within a copy", &psi[3], &psi[4], 1e-5, 0.0);
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    assert!(apart(&psi[5], &psi[6]) > 1e-2, "other roles differ");
    let gamma = training.method().embed(&model).position;
    let row = |node: usize| gamma.row(node).iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    assert!((0..7).all(|node| apart(&row(node), &row(node + 7)) > 1e-3), "the copies are at two places");
    assert!((0..14).all(|node| (apart(&row(node), &[0.0; 8]) - 1.0).abs() < 1e-4), "of length 1");
}

#[test]
fn relabelled_nodes_have_relabelled_identities() {
    let edges: Vec<(u32, u32)> = twins().edges().map(|(a, b, _)| (a, b)).collect();
    let new: Vec<u32> = (0..14).map(|node| (5 * node + 3) % 14).collect();
    let moved: Vec<_> = edges.iter().map(|&(a, b)| (new[a as usize], new[b as usize])).collect();
    let [(index, one), (other_index, other)] =
        [twins(), graph(14, &moved)].map(|graph| WalkStatistics::exact(&graph, 4, 6).unwrap());
    assert_eq!(index, other_index);
    let all: Vec<u32> = (0..14).collect();
    let (rows, others) = (one.rows(&all, false), other.rows(&all, false));
    for node in 0..14 {
        let (a, b) = (rows.row(node), others.row(new[node] as usize));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "node {node}");
    }
    // codes of positions follow the rows of the projection
    let known: Vec<Option<u32>> = {
        let mut known = vec![None; 14];
        (0..14u32).for_each(|node| known[new[node as usize] as usize] = Some(node));
        known
    };
    let (here, there) = (one.positions(16, 3, None), other.positions(16, 3, Some(&known)));
    for node in 0..14 {
        let (a, b) = (here.row(node), there.row(new[node] as usize));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "node {node}");
    }
    let fresh = other.positions(16, 3, Some(&[None; 14]));
    assert!((&fresh - &there).iter().any(|x| x.abs() > 1e-3), "new nodes have rows of their own");
}

/// Free logits, minimised by Newton's method entry by entry through the tensors' gradients.
#[test]
fn the_minimum_is_shifted_pointwise_information() {
    let (_, exact) = WalkStatistics::exact(&graph(5, &[(0, 1), (1, 2), (2, 3), (3, 4), (0, 2)]), 3, 4).unwrap();
    let mut targets = vec![0.0; 25];
    for row in 0..5 {
        let (columns, shares) = exact.visits.row(row);
        columns.iter().zip(shares).for_each(|(&column, share)| targets[5 * row + column as usize] = *share);
    }
    let noise: Vec<f64> = (0..5).map(|j| 5.0 * [0.15, 0.25, 0.3, 0.2, 0.1][j]).collect();
    let pairs = targets.iter().filter(|&&p| p > 0.0).count() as f64;
    let mut x = vec![0.0; 25];
    for _ in 0..400 {
        let at = tracked(x.clone(), [5, 5], DType::F64);
        let plain = |values: Vec<f64>, shape| tracked(values, shape, DType::F64).detach();
        let loss = soft_binary_nce(at.clone(), plain(targets.clone(), [5, 5]), plain(noise.clone(), [1, 5]));
        let slope = values(&at.grad(&loss.backward()).unwrap());
        for (entry, slope) in slope.iter().enumerate() {
            let chance = 1.0 / (1.0 + f64::exp(-x[entry]));
            let curve = (targets[entry] + noise[entry % 5]) * chance * (1.0 - chance);
            // half of Newton's step, at most 1
            x[entry] -= (0.5 * slope * pairs / curve.max(1e-9)).clamp(-1.0, 1.0);
        }
    }
    for (entry, &target) in targets.iter().enumerate().filter(|entry| *entry.1 > 0.0) {
        let wanted = target.ln() - noise[entry % 5].ln();
        assert!((x[entry] - wanted).abs() < 1e-6, "entry {entry}: {} instead of {wanted}", x[entry]);
    }
}

#[test]
fn projections_keep_lengths_and_products() {
    let graph = role_graph(&RoleGraphOptions::default()).unwrap();
    let (_, statistics) = WalkStatistics::sampled(&graph, [50, 4, 8], 1.0, None, 1).unwrap();
    let dim = 256;
    let codes = statistics.positions(dim, 7, None).mapv(f64::from);
    let dense = |node: usize| {
        let mut row = vec![0.0; graph.num_nodes()];
        let (columns, shares) = statistics.visits.row(node);
        columns.iter().zip(shares).for_each(|(&column, share)| row[column as usize] = *share);
        ndarray::Array1::from(row)
    };
    let (mut ratio, nodes) = (0.0, graph.num_nodes());
    for node in 0..nodes {
        let (visits, other) = (dense(node), dense((node * 31 + 7) % nodes));
        let (code, far) = (codes.row(node), codes.row((node * 31 + 7) % nodes));
        ratio += code.dot(&code) / visits.dot(&visits) / nodes as f64;
        let scale = (visits.dot(&visits) * other.dot(&other)).sqrt();
        let error = (code.dot(&far) - visits.dot(&other)).abs() / scale;
        // the specification's 3 / sqrt(D) is three standard deviations; of 216 nodes some lie beyond
        assert!(error < 4.5 / (dim as f64).sqrt(), "node {node}: off by {error}");
    }
    assert!((ratio - 1.0).abs() < 0.02, "mean ratio of squared lengths {ratio}");
}

#[test]
fn wrong_graphs_and_settings_are_refused() {
    testing::settings_are_refused([
        (IrweConfig { steps: 1, ..small() }, "steps is 1; allowed is 2 to 20"),
        (IrweConfig { steps: 21, ..small() }, "steps is 21"),
        (IrweConfig { heads: 3, ..small() }, "heads is 3; allowed is a divisor of dim"),
        (IrweConfig { statistics_walks: 0, ..small() }, "statistics_walks is 0"),
        (IrweConfig { encoder_walks: 0, ..small() }, "encoder_walks is 0"),
        (IrweConfig { bins: 0, ..small() }, "bins is 0"),
        (IrweConfig { coverage: 0.0, ..small() }, "coverage is 0"),
        (IrweConfig { coverage: 1.1, ..small() }, "coverage is 1.1"),
        (IrweConfig { dropout: 1.0, ..small() }, "dropout is 1"),
        (IrweConfig { temperature: 0.0, ..small() }, "temperature is 0"),
        (IrweConfig { negatives: -1.0, ..small() }, "negatives is -1"),
        (IrweConfig { pattern_weight: -1.0, ..small() }, "pattern_weight is -1"),
        (IrweConfig { passes: [0, 0], ..small() }, "passes is [0, 0]"),
    ]);
    let error = |graph: &Graph| small().build(graph, 1, &Device::default()).err().unwrap().to_string();
    let message = error(&graph(3, &[]));
    assert!(message.starts_with("irwe: a graph of 3 nodes without an edge"), "{message}");
    let directed = Cleaning { direction: Direction::Directed, ..Default::default() };
    let message = error(&Graph::from_edges(3, &[(0, 1)], &directed).unwrap());
    assert!(message.starts_with("walks of IRWE of a directed graph; allowed"), "{message}");
    // a node without neighbours has rows of zeros and is counted
    let lonely = graph(5, &[(0, 1), (1, 2), (2, 3)]);
    let training = small().build(&lonely, 1, &Device::default()).unwrap();
    let embeddings = training.method().embed(&training.trained_model());
    assert_eq!(embeddings.isolated, [4]);
    assert!(embeddings.identity.row(4).iter().chain(embeddings.position.row(4)).all(|x| *x == 0.0));
    assert!(embeddings.identity.row(3).iter().any(|x| *x != 0.0));
}

#[test]
fn trainings_resume_bit_for_bit() {
    let graph = twins();
    let training = small().training.with_batch_size(5);
    for joint in [false, true] {
        let config = IrweConfig { joint, dropout: 0.1, training: training.clone(), ..small() };
        let build = || config.build(&graph, 7, &Device::default()).unwrap();
        testing::resumes_bit_for_bit(&build, 8);
    }
}

#[test]
fn gradients_of_the_whole_method_are_derivatives() {
    let graph = twins();
    // the first step of the one is of the identity, of the other of both; a position step stops gradients on purpose
    for joint in [false, true] {
        let training = IrweConfig { joint, ..small() }.build(&graph, 7, &Device::default()).unwrap();
        losses_have_their_slope(training.method().clone(), training.model(), 1e-6);
    }
}

#[test]
fn position_steps_leave_the_identity_alone_and_joint_ones_do_not() {
    let graph = twins();
    for joint in [false, true] {
        let config = IrweConfig { passes: [0, 1], joint, pattern_weight: 0.0, ..small() };
        let mut training = config.build(&graph, 7, &Device::default()).unwrap();
        let weight = |training: &Training<_>| {
            let training: &Training<Irwe> = training;
            values(&training.trained_model().identity.maps[0].weight.val())
        };
        let before = weight(&training);
        let losses = training.train_epoch().unwrap();
        assert_eq!(before != weight(&training), joint);
        let names: BTreeSet<&str> = losses.iter().map(|loss| loss.0).collect();
        assert_eq!(names.contains("statistics"), joint, "{names:?}");
    }
}

#[test]
fn new_graphs_and_new_nodes_are_read_without_training() {
    let graph = twins();
    let options = FitOptions::new(&Device::default()).seed(2).progress(false).handle_interrupt(false);
    let config = IrweConfig { statistics_walks: 400, ..small() };
    let trained = config.fit(&graph, &options).unwrap();
    // the training graph read again, all nodes known, is the training graph
    let known: Vec<Option<u32>> = (0..14).map(Some).collect();
    let again = trained.method.infer(&trained.model, &graph, Some(&known)).unwrap();
    assert_eq!(again, trained.method.embed(&trained.model));
    // all new: the same roles, other places
    let fresh = trained.method.infer(&trained.model, &graph, None).unwrap();
    assert_eq!(fresh.identity, again.identity);
    assert_ne!(fresh.position, again.position);
    assert_eq!(fresh.unseen, 0.0);
    // a graph with patterns that training never saw: long cycles have no returns by other ways, complete graphs do
    let all: Vec<_> = (0..6).flat_map(|i| (i + 1..6).map(move |j| (i, j))).collect();
    let ring = self::graph(12, &(0..12).map(|node| (node, (node + 1) % 12)).collect::<Vec<_>>());
    let trained = config.fit(&ring, &options).unwrap();
    let other = trained.method.infer(&trained.model, &self::graph(6, &all), None).unwrap();
    assert!(other.unseen > 0.1 && other.unseen < 1.0, "{}", other.unseen);
    assert!(other.identity.iter().all(|x| x.is_finite()) && other.position.iter().all(|x| x.is_finite()));
}

#[test]
fn attention_to_a_single_pattern_is_its_value() {
    // with one pattern the weight is 1, whatever the shift: psi = norm(query + output(value))
    let pair = graph(2, &[(0, 1)]);
    let training = small().build(&pair, 3, &Device::default()).unwrap();
    let (model, input) = (training.trained_model(), training.method().input().clone());
    assert_eq!(input.patterns, 1);
    let patterns = model.identity.patterns(&input);
    let psi = model.identity.forward(&input, &[0, 1], patterns.clone());
    let value = model.identity.maps[3].forward(model.identity.maps[2].forward(patterns));
    let query = model.identity.query.forward(input.statistics.clone(), &mut Pass::evaluation());
    let expected = model.identity.norm.forward(query + value);
    close("psi", &values(&psi), &values(&expected), 1e-5, 1e-5);
}
