//! Diffusion against the series written out.

use super::{assert_close, dense, toy};
use contrastive_graph::node::data::{
    BlockModelOptions, DiffusionOptions, Direction, Graph, Kernel, Loops, Normalisation, Sparsification, Transition,
    block_model,
};
use ndarray::Array2;

/// The whole series in dense matrices.
fn dense_diffusion(graph: &Graph, options: &DiffusionOptions) -> Array2<f64> {
    let nodes = graph.num_nodes();
    // rows are starts here: the transpose of the matrix that gathers
    let mut walk = dense(&graph.matrix(Normalisation::None, Loops::AsIs)).reversed_axes();
    if options.loop_weight > 0.0 {
        (0..nodes)
            .filter(|&node| walk[[node, node]] == 0.0)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|node| walk[[node, node]] = options.loop_weight);
    }
    let degrees = walk.sum_axis(ndarray::Axis(1));
    let inverse = |node: usize, power: f64| if degrees[node] > 0.0 { degrees[node].powf(power) } else { 0.0 };
    let step = Array2::from_shape_fn((nodes, nodes), |(row, column)| match options.transition {
        Transition::Walk => walk[[row, column]] * inverse(row, -1.0),
        Transition::Symmetric => walk[[row, column]] * inverse(row, -0.5) * inverse(column, -0.5),
    });
    let (mut power, mut sum) = (Array2::<f64>::eye(nodes), Array2::<f64>::zeros((nodes, nodes)));
    let mut weight = match options.kernel {
        Kernel::PersonalisedPageRank { alpha } => alpha,
        Kernel::Heat { t } => (-t).exp(),
    };
    for k in 1..400 {
        sum = sum + &power * weight;
        power = power.dot(&step);
        weight *= match options.kernel {
            Kernel::PersonalisedPageRank { alpha } => 1.0 - alpha,
            Kernel::Heat { t } => t / f64::from(k),
        };
    }
    sum
}

#[test]
fn diffusion_is_its_series() {
    for direction in [Direction::Undirected, Direction::Directed] {
        for kernel in [
            Kernel::PersonalisedPageRank { alpha: 0.15 },
            Kernel::PersonalisedPageRank { alpha: 1.0 },
            Kernel::Heat { t: 3.0 },
        ] {
            for (transition, loop_weight) in [
                (Transition::Symmetric, 1.0),
                (Transition::Walk, 1.0),
                (Transition::Symmetric, 0.0),
                (Transition::Walk, 0.0),
            ] {
                let graph = toy(direction);
                let options = DiffusionOptions {
                    kernel,
                    transition,
                    loop_weight,
                    sparsification: Sparsification::TopK(7),
                    normalisation: Normalisation::None,
                    epsilon: 0.0,
                };
                let diffusion = graph.diffusion(&options).unwrap();
                assert_eq!(diffusion.greatest_loss, 0.0);
                let expected = dense_diffusion(&graph, &options);
                assert_close(&dense(&diffusion.matrix), &expected, 1e-12, &format!("{direction:?} {options:?}"));

                let k = DiffusionOptions {
                    sparsification: Sparsification::TopK(3),
                    normalisation: Normalisation::Mean,
                    ..options
                };
                let kept = dense(&graph.diffusion(&k).unwrap().matrix);
                for (row, kept) in kept.rows().into_iter().enumerate() {
                    let mut all: Vec<f64> = expected.row(row).to_vec();
                    all.sort_by(|a, b| b.total_cmp(a));
                    let total: f64 = all[..3].iter().sum();
                    assert!((kept.sum() - 1.0).abs() < 1e-12 && kept.iter().filter(|&&value| value > 0.0).count() <= 3);
                    let greatest = kept.iter().copied().fold(0.0, f64::max);
                    assert!((greatest - all[0] / total).abs() < 1e-12);
                }
                let least = DiffusionOptions { sparsification: Sparsification::Threshold(0.05), ..options };
                let kept = dense(&graph.diffusion(&least).unwrap().matrix);
                assert_close(
                    &kept,
                    &expected.mapv(|value| if value >= 0.05 { value } else { 0.0 }),
                    1e-12,
                    "threshold",
                );
            }
        }
    }
}

#[test]
fn diffusion_with_epsilon_stays_within_its_loss_and_ignores_threads() {
    let graph = block_model(&BlockModelOptions { nodes: 400, features: 0, ..Default::default() }).unwrap();
    for kernel in [Kernel::PersonalisedPageRank { alpha: 0.15 }, Kernel::Heat { t: 5.0 }] {
        let sparsification = Sparsification::TopK(400);
        let exact = DiffusionOptions {
            kernel,
            sparsification,
            transition: Transition::Walk,
            normalisation: Normalisation::None,
            epsilon: 0.0,
            ..Default::default()
        };
        let rough = DiffusionOptions { epsilon: 1e-4, ..exact };
        let (full, approximate) = (graph.diffusion(&exact).unwrap(), graph.diffusion(&rough).unwrap());
        assert!(approximate.greatest_loss > 0.0 && approximate.greatest_loss < 0.5, "{}", approximate.greatest_loss);
        let difference = dense(&full.matrix) - dense(&approximate.matrix);
        for row in difference.rows() {
            assert!(row.iter().all(|&value| value > -1e-12), "an approximation only loses");
            assert!(row.sum() <= approximate.greatest_loss + 1e-12);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(pool.install(|| graph.diffusion(&rough).unwrap().matrix), approximate.matrix);
    }
}
