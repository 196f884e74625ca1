//! Encoders against torch_geometric's layers, finite differences, and identities.

mod golden_layers;

use crate::common::directions::{Along, Moved, slope};
use crate::common::{close, has_f64, tracked, values};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Gradients, Tensor};
use contrastive_core::linear::{SparseOperator, SparsePattern};
use contrastive_graph::node::augment::normalise::{gcn_normalised, row_normalised, with_self_loops};
use contrastive_graph::node::encoder::*;
use contrastive_kernels::sparse::Csr;
use contrastive_nn::encoder::MlpConfig;
use contrastive_nn::layer::{Activation, Linear};
use contrastive_nn::{Pass, SettingError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

fn draws(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = rng(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// An undirected graph; the last node is isolated.
fn graph(nodes: u32, edges: usize, seed: u64) -> Csr<f64> {
    let mut rng = rng(seed);
    let mut pairs = std::collections::BTreeSet::new();
    while pairs.len() < edges {
        let (a, b) = (rng.random_range(0..nodes - 1), rng.random_range(0..nodes - 1));
        if a != b {
            pairs.insert((a.min(b), a.max(b)));
        }
    }
    let entries: Vec<_> = pairs.iter().flat_map(|&(a, b)| [(a, b, 1.0), (b, a, 1.0)]).collect();
    Csr::from_triplets(nodes as usize, nodes as usize, &entries).unwrap()
}

fn words(nodes: usize, features: usize, seed: u64) -> Csr<f64> {
    let mut rng = rng(seed);
    let mut entry = |n: usize| ((n % nodes) as u32, rng.random_range(0..features as u32), rng.random_range(0.1..1.0));
    Csr::from_triplets(nodes, features, &(0..3 * nodes).map(&mut entry).collect::<Vec<_>>()).unwrap()
}

fn written_out(x: &Csr<f64>) -> Vec<f64> {
    let mut out = vec![0.0; x.rows() * x.cols()];
    for row in 0..x.rows() {
        let (columns, entries) = x.row(row);
        columns.iter().zip(entries).for_each(|(&c, &v)| out[row * x.cols() + c as usize] = v);
    }
    out
}

fn kinds() -> Vec<EncoderConfig> {
    let config = || EncoderConfig::new(vec![5, 4, 6]);
    vec![
        config().with_activation(Activation::PRelu).with_residual(true),
        config().with_layer(LayerKind::Gat { heads: 2 }).with_activation(Activation::Elu),
        config().with_layer(LayerKind::Sage).with_normalisation(Normalisation::Layer),
        config().with_layer(LayerKind::Gin { train_epsilon: true }).with_activation(Activation::LeakyRelu(0.1)),
        config().with_layer(LayerKind::Linear).with_activate_last(false).with_residual(true),
        EncoderConfig::new(vec![5, 6, 6]).with_residual(true).with_activation(Activation::Identity),
        config().with_normalisation(Normalisation::Whole).with_activation(Activation::Tanh),
    ]
}

#[test]
fn gradients_of_encoders_agree_with_finite_differences() {
    if !has_f64() {
        return;
    }
    let (graph, words) = (graph(9, 12, 1), words(9, 5, 2));
    for config in kinds() {
        let encoder = config.init(&mut rng(3), &Device::default().autodiff()).unwrap();
        let propagation = encoder.prepare(&graph);
        let cotangent = tracked(draws(54, 4), [9, 6], DType::F64).detach();
        let loss = |step: f64, input: &NodeInput| {
            let moved = encoder.clone().map(&mut Moved(rng(5), step));
            let sum = (moved.forward(&propagation, input) * cotangent.clone()).sum();
            (moved, sum)
        };
        for input in [NodeInput::from(words.clone()), tracked(draws(45, 6), [9, 5], DType::F64).into()] {
            let (module, value) = loss(0.0, &input);
            let gradients = value.backward();
            let mut along = Along(rng(5), &gradients, 0.0);
            module.visit(&mut along);
            let at = |step| values(&loss(step, &input).1)[0];
            let h = 1e-5;
            let numeric = slope(at, h);
            assert!(along.2.abs() > 1e-3, "{config:?}: a derivative that is not 0 by accident");
            close(&format!("{config:?}, parameters"), &[along.2], &[numeric], 1e-7, 1e-7);
            if let NodeFeatures::Dense(x) = input.features() {
                let exact = values(&x.grad(&gradients).unwrap());
                for k in [0, 7, 23, 44] {
                    let moved = |step: f64| {
                        let mut x = values(x);
                        x[k] += step;
                        values(&loss(0.0, &tracked(x, [9, 5], DType::F64).into()).1)[0]
                    };
                    close(&format!("{config:?}, feature {k}"), &[exact[k]], &[slope(moved, h)], 1e-7, 1e-7);
                }
            }
        }
    }
}

/// `A (X W)` and `(A X) W`: dense features of a wide and of a narrow layer against the product written out.
#[test]
fn both_orders_of_multiplication_are_the_same_layer() {
    let graph = graph(11, 16, 7);
    let device = Device::default().autodiff();
    for (input, output) in [(3, 8), (8, 3)] {
        let x = tracked(draws(11 * input, 8), [11, input], DType::F32);
        let dense = |matrix: &Csr<f64>| tracked(written_out(matrix), [11, 11], DType::F32).detach();
        let check = |what: &str, got: Tensor<2>, want: Tensor<2>| {
            close(what, &values(&got), &values(&want), 1e-5, 1e-5);
            let grad = |y: Tensor<2>| values(&x.grad(&y.powi_scalar(2).sum().backward()).unwrap());
            close(what, &grad(got), &grad(want), 1e-4, 1e-4);
        };
        let gcn = GcnConfig::new(input, output).init(&mut rng(9), &device).unwrap();
        let normalised = gcn_normalised(&graph, true);
        let want = dense(&normalised).matmul(x.clone().matmul(gcn.map.weight.val()));
        check("gcn", gcn.forward(&SparseOperator::new(normalised), &x.clone().into()), want);
        let sage = SageConfig::new(input, output).init(&mut rng(9), &device).unwrap();
        let mean = row_normalised(&graph);
        let want = dense(&mean).matmul(x.clone().matmul(sage.neighbours.weight.val()))
            + x.clone().matmul(sage.own.weight.val());
        check("sage", sage.forward(&SparseOperator::new(mean), &x.clone().into()), want);
        let network = MlpConfig::new(vec![input, output]);
        let gin = GinConfig::new(network).with_epsilon(0.5).init(&mut rng(9), &device).unwrap();
        let sum = dense(&graph).matmul(x.clone()) + x.clone() * 1.5;
        let want = sum.matmul(gin.network.maps[0].weight.val());
        check("gin", gin.forward(&SparseOperator::new(graph.clone()), &x.clone().into()), want);
    }
}

#[test]
fn sparse_features_and_masked_columns_equal_the_table_written_out() {
    let (graph, words) = (graph(10, 14, 10), words(10, 5, 11));
    let keep = [true, false, true, true, false];
    let masked: Vec<f64> =
        written_out(&words).iter().enumerate().map(|(k, v)| if keep[k % 5] { *v } else { 0.0 }).collect();
    for config in kinds() {
        let encoder = config.init(&mut rng(12), &Device::default().autodiff()).unwrap();
        let propagation = encoder.prepare(&graph);
        let of = |input: NodeInput| values(&encoder.forward(&propagation, &input));
        let table = |values: Vec<f64>| NodeInput::from(tracked(values, [10, 5], DType::F32));
        let want = of(table(written_out(&words)));
        close("sparse", &of(words.clone().into()), &want, 1e-5, 1e-5);
        let want = of(table(masked.clone()));
        close("sparse, masked", &of(NodeInput::from(words.clone()).with_columns(&keep).unwrap()), &want, 1e-5, 1e-5);
        let input = table(written_out(&words)).with_columns(&keep).unwrap();
        close("dense, masked", &of(input), &want, 1e-5, 1e-5);
    }
}

/// A renumbering of the nodes renumbers the embeddings (GRACE, check 5).
#[test]
fn encoders_are_equivariant_to_permutations() {
    let (graph, words) = (graph(12, 20, 13), words(12, 5, 14));
    let new: Vec<u32> = (0..12).map(|node| (node * 5 + 3) % 12).collect();
    let columns: Vec<u32> = (0..5).collect();
    for config in kinds() {
        let encoder = config.init(&mut rng(15), &Device::default()).unwrap();
        let plain = values(&encoder.forward(&encoder.prepare(&graph), &words.clone().into()));
        let moved = encoder.prepare(&graph.relabel(&new, &new));
        let moved = values(&encoder.forward(&moved, &words.relabel(&new, &columns).into()));
        for (old, &new) in new.iter().enumerate() {
            close("permuted", &moved[new as usize * 6..][..6], &plain[old * 6..][..6], 1e-5, 1e-5);
        }
    }
}

#[test]
fn an_isolated_node_keeps_itself() {
    let graph = graph(8, 10, 16);
    let device = Device::default();
    let x = tracked(draws(8 * 5, 17), [8, 5], DType::F32).inner();
    let input = NodeInput::from(x.clone());
    let last = |t: Tensor<2>| values(&t.slice([7..8, 0..4]));
    let gcn = GcnConfig::new(5, 4).init(&mut rng(18), &device).unwrap();
    let got = gcn.forward(&SparseOperator::new(gcn_normalised(&graph, true)), &input);
    close("gcn", &last(got), &last(x.clone().matmul(gcn.map.weight.val())), 1e-6, 1e-6);
    let gat = GatConfig::new(5, 4).with_heads(2).init(&mut rng(18), &device).unwrap();
    let own = last(x.clone().matmul(gat.map.weight.val()));
    close("gat", &last(gat.forward(&SparsePattern::new(&with_self_loops(&graph)), &input)), &own, 1e-6, 1e-6);
    close("gat without self loops", &last(gat.forward(&SparsePattern::new(&graph), &input)), &[0.0; 4], 0.0, 0.0);
    let sage = SageConfig::new(5, 4).init(&mut rng(18), &device).unwrap();
    let got = sage.forward(&SparseOperator::new(row_normalised(&graph)), &input);
    close("sage", &last(got), &last(x.matmul(sage.own.weight.val())), 1e-6, 1e-6);
}

/// Heads averaged are the mean of the heads concatenated.
#[test]
fn averaged_heads_are_the_mean_of_concatenated_ones() {
    let pattern = SparsePattern::new(&with_self_loops(&graph(9, 12, 19)));
    let input = NodeInput::from(tracked(draws(45, 20), [9, 5], DType::F32).inner());
    let joined = GatConfig::new(5, 12).with_heads(3).init(&mut rng(21), &Device::default()).unwrap();
    let config = GatConfig::new(5, 4).with_heads(3).with_concatenate(false);
    let mut mean = config.init(&mut rng(22), &Device::default()).unwrap();
    (mean.map, mean.source, mean.target) = (joined.map.clone(), joined.source.clone(), joined.target.clone());
    let parts = joined.forward(&pattern, &input).reshape([9, 3, 4]).mean_dim(1).reshape([9, 4]);
    close("heads", &values(&mean.forward(&pattern, &input)), &values(&parts), 1e-6, 1e-6);
}

#[test]
fn dropout_follows_its_seed_and_keeps_the_mean() {
    let config = MlpConfig::new(vec![1, 20_000, 1]).with_activation(Activation::Identity).with_dropout(0.25);
    let mut mlp = config.init(&mut rng(23), &Device::default()).unwrap();
    mlp.maps[0].weight = Param::from_tensor(Tensor::ones([1, 20_000], &Device::default()));
    mlp.maps[1].weight = Param::from_tensor(Tensor::ones([20_000, 1], &Device::default()) * (1.0 / 20_000.0));
    let one = NodeInput::from(Tensor::<2>::ones([1, 1], &Device::default()));
    let drawn = |seed| values(&one.through(&mlp, &mut Pass::training(seed, 0)))[0];
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    // The standard deviation of the mean is sqrt(1/3 / 20000) = 0.0041.
    assert!((drawn(1) - 1.0).abs() < 6.0 * 0.0041, "{}", drawn(1));
    // 20,000 terms, which a device may add one after the other
    close("evaluation", &values(&one.through(&mlp, &mut Pass::evaluation())), &[1.0], 1e-3, 0.0);

    let encoder = EncoderConfig::new(vec![5, 16, 4]).with_dropout(0.5).init(&mut rng(24), &Device::default()).unwrap();
    let (propagation, input) = (encoder.prepare(&graph(9, 12, 25)), words(9, 5, 26).into());
    let drawn = |seed| values(&encoder.forward_training(&propagation, &input, &mut rng(seed)));
    assert_eq!(drawn(3), drawn(3));
    assert_ne!(drawn(3), drawn(4));
    assert_ne!(drawn(3), values(&encoder.forward(&propagation, &input)));
}

#[test]
fn weights_follow_their_seed_within_glorots_bound() {
    let config = EncoderConfig::new(vec![50, 30, 10]);
    let weights = |seed| {
        let encoder = config.init(&mut rng(seed), &Device::default()).unwrap();
        let Step::Gcn(gcn) = &encoder.layers[0].step else { panic!("a graph convolution") };
        values(&gcn.map.weight.val())
    };
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
    let (bound, drawn) = ((6.0f64 / 80.0).sqrt(), weights(1));
    assert!(drawn.iter().all(|w| w.abs() <= bound + 1e-7));
    let variance = drawn.iter().map(|w| w * w).sum::<f64>() / drawn.len() as f64;
    // A uniform variable has variance bound^2 / 3; its square varies by 0.89 of that, over 1500 draws by 0.023.
    assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 6.0 * 0.023, "{variance}");
}

#[test]
fn activations_are_exact_far_from_zero() {
    let device = Device::default().autodiff();
    let run = |kind: Activation| {
        let x = tracked(vec![-1000.0, -1.0, 0.0, 2.0, 1000.0], [1, 5], DType::F32);
        let y = kind.init(&device).forward(x.clone());
        (values(&y), values(&x.grad(&y.sum().backward()).unwrap()))
    };
    let e = (-1.0f64).exp();
    let (y, dy) = run(Activation::Elu);
    close("elu", &y, &[-1.0, e - 1.0, 0.0, 2.0, 1000.0], 1e-6, 1e-6);
    close("elu'", &dy, &[0.0, e, 1.0, 1.0, 1.0], 1e-6, 1e-6);
    let (y, dy) = run(Activation::PRelu);
    close("prelu", &y, &[-250.0, -0.25, 0.0, 2.0, 1000.0], 0.0, 1e-6);
    close("prelu'", &[dy[0], dy[1], dy[3], dy[4]], &[0.25, 0.25, 1.0, 1.0], 1e-6, 0.0);
    assert_eq!(run(Activation::Relu).0, [0.0, 0.0, 0.0, 2.0, 1000.0]);
    assert_eq!(run(Activation::LeakyRelu(0.5)).0, [-500.0, -0.5, 0.0, 2.0, 1000.0]);
    let (y, dy) = run(Activation::Tanh);
    close("tanh", &y, &[-1.0, -1f64.tanh(), 0.0, 2f64.tanh(), 1.0], 1e-6, 1e-6);
    close("tanh'", &dy, &[0.0, 1.0 - 1f64.tanh().powi(2), 1.0, 1.0 - 2f64.tanh().powi(2), 0.0], 1e-6, 1e-6);
}

#[test]
fn batch_normalisation_centres_columns_and_layer_normalisation_rows() {
    let graph = graph(40, 80, 27);
    let input = NodeInput::from(words(40, 5, 28));
    let config = EncoderConfig::new(vec![5, 6]).with_activation(Activation::Identity);
    let run = |over| {
        let encoder = config.clone().with_normalisation(over);
        let encoder = encoder.init(&mut rng(29), &Device::default().autodiff()).unwrap();
        encoder.forward(&encoder.prepare(&graph), &input)
    };
    for (over, dim) in [(Normalisation::Batch, 0), (Normalisation::Layer, 1)] {
        let y = run(over);
        let means = values(&y.clone().mean_dim(dim));
        close("mean", &means, &vec![0.0; means.len()], 1e-4, 0.0);
        // Rows without features are constant: their variance stays 0.
        let variances = values(&y.powi_scalar(2).mean_dim(dim));
        assert!(variances.iter().all(|v| *v < 1.01) && variances.iter().any(|v| *v > 0.9), "{variances:?}");
    }
    // one mean and one variance of all numbers, in proportion to what they were
    let (plain, whole) = (values(&run(Normalisation::None)), values(&run(Normalisation::Whole)));
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (centre, variance) = (mean(&plain), mean(&plain.iter().map(|v| v * v).collect::<Vec<_>>()));
    let deviation = (variance - centre * centre + 1e-5).sqrt();
    let wanted: Vec<f64> = plain.iter().map(|v| (v - centre) / deviation).collect();
    close("whole", &whole, &wanted, 1e-4, 1e-4);
}

#[test]
fn settings_are_checked_and_survive_a_file() {
    let refused = |result: Result<(), SettingError>, want: &str| {
        let message = result.expect_err(want).to_string();
        assert!(message.contains(want), "{message} instead of {want}");
    };
    refused(EncoderConfig::new(vec![4]).validate(), "encoder: number of widths is 1; allowed is 2 or more");
    refused(EncoderConfig::new(vec![4, 0]).validate(), "encoder: width is 0; allowed is 1 or more");
    refused(EncoderConfig::new(vec![4, 2]).with_dropout(1.0).validate(), "encoder: dropout is 1; allowed is 0 to 1");
    let heads = EncoderConfig::new(vec![4, 5, 2]).with_layer(LayerKind::Gat { heads: 2 });
    refused(heads.validate(), "gat: heads is 2; allowed is a divisor of the output width 5");
    refused(GatConfig::new(3, 4).with_heads(0).validate(), "gat: heads is 0");
    refused(GatConfig::new(3, 4).with_attention_dropout(-0.1).validate(), "gat: attention_dropout is -0.1");
    refused(GcnConfig::new(0, 4).validate(), "gcn: input is 0");
    refused(SageConfig::new(3, 0).validate(), "graphsage: output is 0");
    refused(MlpConfig::new(vec![3]).validate(), "mlp: number of widths is 1");
    refused(GinConfig::new(MlpConfig::new(vec![3, 2])).with_epsilon(f64::NAN).validate(), "gin: epsilon is NaN");
    let slope = EncoderConfig::new(vec![4, 2]).with_activation(Activation::LeakyRelu(f64::INFINITY));
    refused(slope.validate(), "activation: slope is inf");
    let columns = NodeInput::from(words(4, 5, 1)).with_columns(&[true; 4]).map(|_| ());
    refused(columns, "node input: number of column decisions is 4; allowed is one for each of 5");
    for config in kinds() {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<EncoderConfig>(&text).unwrap(), config);
    }
}

#[test]
#[should_panic(expected = "a graph that was not prepared for this kind of layer")]
fn a_graph_of_another_kind_is_refused() {
    let encoder = EncoderConfig::new(vec![5, 4]).init(&mut rng(1), &Device::default()).unwrap();
    encoder.forward(&LayerKind::Linear.prepare(&graph(6, 5, 1)), &words(6, 5, 1).into());
}

#[test]
#[should_panic(expected = "features of shape [6, 3] times a weight of shape [5, 4]")]
fn features_of_another_width_are_named() {
    let encoder = EncoderConfig::new(vec![5, 4]).init(&mut rng(1), &Device::default()).unwrap();
    encoder.forward(&encoder.prepare(&graph(6, 5, 1)), &words(6, 3, 1).into());
}
