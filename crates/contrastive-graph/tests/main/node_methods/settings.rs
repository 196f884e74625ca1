//! Settings that are published, and settings and graphs that are refused.

use super::*;
use contrastive_graph::node::augment::edges::EdgeDraw;
use contrastive_graph::node::encoder::LayerKind;

/// One of the settings that a bad value was put into, or the graph's problem, is named.
#[test]
fn bad_input_is_refused_by_name() {
    let graph = blocks(50);
    let grace: Vec<(GraceConfig, &str)> = vec![
        (small().with_dim(0), "dim is 0"),
        (small().with_layers(0), "layers is 0"),
        (small().with_projection(0), "projection is 0"),
        (small().with_edge_drop([0.1, 1.5]), "edge_drop is 1.5; allowed is 0 to 1"),
        (small().with_feature_drop([f64::NAN, 0.1]), "feature_drop is NaN"),
        (small().with_temperature(0.0), "temperature"),
        (small().with_learning_rate(-1.0), "learning_rate is -1"),
        (small().with_weight_decay(f64::INFINITY), "weight_decay is inf"),
        (small().with_layer(LayerKind::Gat { heads: 3 }), "heads is 3"),
        (small().with_epochs(0), "epochs is 0"),
        (
            small().with_corruption(Corruption::Adaptive {
                centrality: Centrality::Degree,
                end: EdgeEnd::Mean,
                cut: 2.0,
            }),
            "cut of the corruption is 2",
        ),
    ];
    let said = |error: MethodError, part: &str| assert!(error.to_string().contains(part), "{error}: not {part}");
    for (config, part) in grace {
        said(config.build(&graph, 1, &device()).err().expect(part), part);
    }
    let csgcl = [
        (small_csgcl().with_edge_threshold(-0.1), "edge_threshold is -0.1"),
        (small_csgcl().with_feature_threshold(1.1), "feature_threshold is 1.1"),
        (small_csgcl().with_team_up_largest(-1.0), "team_up_largest is -1"),
        (small_csgcl().with_resolution(0.0), "resolution is 0"),
    ];
    for (config, part) in csgcl {
        said(config.build(&graph, 1, &device()).err().expect(part), part);
    }
    let short = small_csgcl().build_with_partition(&graph, Partition::from_labels(&[0, 1]), 1, &device());
    said(short.err().expect("a short partition"), "2 community labels, but the graph has 50");
    let features = |nodes: usize| Features::Dense(Array2::ones((nodes, 2)));
    let of = |nodes, edges: &[(u32, u32)]| Graph::from_edges(nodes, edges, &Cleaning::default()).unwrap();
    let graphs = [
        (of(1, &[]).with_features(features(1)).unwrap(), "1 nodes; allowed is 2 or more"),
        (of(4, &[]).with_features(features(4)).unwrap(), "4 nodes without an edge"),
        (of(4, &[(0, 1)]), "features"),
    ];
    for (graph, part) in &graphs {
        said(small().build(graph, 1, &device()).err().expect(part), part);
        said(small_csgcl().build(graph, 1, &device()).err().expect(part), part);
    }
    let directed = Cleaning { direction: Direction::Directed, ..Cleaning::default() };
    let directed = Graph::from_edges(3, &[(0, 1), (1, 2)], &directed).unwrap().with_features(features(3)).unwrap();
    said(small().build(&directed, 1, &device()).err().expect("directed"), "undirected graph stores both directions");
    small().with_edge_draw(EdgeDraw::PerEntry).build(&directed, 1, &device()).unwrap().train_epoch().unwrap();
    said(small_csgcl().build(&directed, 1, &device()).err().expect("directed"), "undirected");
    // A rate that blows the parameters up ends in an error, not in NaN.
    let mut wild = small().with_learning_rate(1e30).build(&graph, 1, &device()).unwrap();
    let failed = (0..20).find_map(|_| wild.train_epoch().err());
    if let Some(error) = failed {
        assert!(
            matches!(error, MethodError::Train(TrainError::NonFinite { .. } | TrainError::NonFiniteParameter { .. })),
            "{error}"
        );
    } else {
        assert!(wild.embed().iter().all(|x| x.is_finite()));
    }
}

/// Sizes and settings of the published experiments.
#[test]
fn presets_are_valid() {
    let each = [Centrality::Degree, Centrality::PageRank, Centrality::Eigenvector].map(|c| {
        [
            GraceConfig::wiki_cs(c),
            GraceConfig::computers(c),
            GraceConfig::photo(c),
            GraceConfig::coauthor_cs(c),
            GraceConfig::physics(c),
        ]
    });
    each.iter().flatten().for_each(|config| config.validate().unwrap());
    let plain = [GraceConfig::cora(), GraceConfig::citeseer(), GraceConfig::pubmed(), GraceConfig::dblp()];
    plain.iter().for_each(|config| config.validate().unwrap());
    assert_eq!(plain.map(|config| config.epochs()), [200, 200, 1500, 1000]);
    let csgcl = [CsgclConfig::wiki_cs(), CsgclConfig::computers(), CsgclConfig::photo(), CsgclConfig::coauthor_cs()];
    csgcl.iter().for_each(|config| config.validate().unwrap());
    assert_eq!(csgcl.map(|config| config.team_up_start), [1000, 2000, 2000, 1500]);
}
