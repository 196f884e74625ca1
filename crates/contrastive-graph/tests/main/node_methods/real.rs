//! The checks on real data, in short: fewer epochs and seeds than published, and so smaller gaps.

use super::*;
use contrastive_eval::clustering::KMeans;
use std::time::Instant;

/// GRACE, check 8, and CSGCL, check 8 b and c, on Cora: width 64 and 40 epochs of a larger rate instead of 200, one seed.
#[test]
fn golden_data_cora_in_short() {
    let Some(folder) = shared() else { return };
    let graph = Graph::read(folder.join("data/planetoid/ind.cora")).unwrap();
    let labels = graph.labels().unwrap().complete().unwrap();
    let raw = accuracy(&graph, &graph.features().unwrap().row_normalised().to_dense());
    let grace = GraceConfig::cora().with_dim(64).with_projection(64).with_learning_rate(2e-3);
    let csgcl = CsgclConfig::new().with_dim(64).with_projection(64).with_learning_rate(2e-3);
    let csgcl = csgcl.with_activation(Activation::Relu).with_edge_drop([0.2, 0.4]).with_feature_drop([0.3, 0.4]);
    let csgcl = csgcl.with_team_up_start(20);
    let nmi = |x: &Array2<f32>| KMeans::new(7).evaluate(x.view(), &labels, &[1]).unwrap().get("nmi").unwrap().mean;
    let mut grace = grace.build(&graph, 1, &device()).unwrap();
    let untrained = accuracy(&graph, &grace.embed());
    let start = Instant::now();
    let losses: Vec<f64> = (0..40).map(|_| grace.train_epoch().unwrap()).collect();
    println!("{:.3} s an epoch", start.elapsed().as_secs_f64() / 40.0);
    assert!((losses[0] - (2.0 * 2708.0 - 1.0f64).ln()).abs() < 0.8, "{losses:?}");
    assert!(losses[39] < losses[0] - 0.4, "{losses:?}");
    let mut csgcl = csgcl.build(&graph, 1, &device()).unwrap();
    (0..40).for_each(|_| assert!(csgcl.train_epoch().unwrap().is_finite()));
    let [of_grace, of_csgcl] = [grace.embed(), csgcl.embed()].map(|x| (accuracy(&graph, &x), nmi(&x)));
    println!("cora: features {raw:.3}, untrained {untrained:.3}, grace {of_grace:.3?}, csgcl {of_csgcl:.3?}");
    assert!(of_grace.0 > raw + 0.1 && of_grace.0 > untrained + 0.02);
    assert!(of_csgcl.0 > of_grace.0 - 0.015 && of_csgcl.1 > of_grace.1 - 0.02);
}
