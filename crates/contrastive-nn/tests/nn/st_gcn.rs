//! ST-GCN: the released code's partitions and blocks, true distances, finite differences; the small convolutional net.

use crate::common::{constant, device, noise, shape, tracked, values};
use crate::golden::{cases, close, computed_in, golden, numbers, shared};
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use contrastive_nn::encoder::{ConvNet1dConfig, Partition, SkeletonGraph, Skip, StGcnBlock, StGcnConfig};
use contrastive_nn::layer::RowNorm;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use safetensors::SafeTensors;
use serde_json::Value;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(3)
}

fn chain() -> SkeletonGraph {
    SkeletonGraph::new(3, &[[0, 1], [1, 2]], 0, Partition::Spatial, false).unwrap()
}

#[test]
fn golden_st_gcn_partitions() {
    let Some(file) = golden("st_gcn") else { return };
    let mut seen = 0;
    for case in cases(&file).iter().filter(|case| case["inputs"].get("edges").is_some()) {
        let params = &case["params"];
        let size = |key: &str| params[key].as_u64().unwrap() as usize;
        let edges: Vec<[usize; 2]> =
            numbers(&case["inputs"]["edges"]).chunks(2).map(|e| [e[0] as usize, e[1] as usize]).collect();
        let partition = match params["strategy"].as_str().unwrap() {
            "uniform" => Partition::Uniform,
            "distance" => Partition::Distance,
            _ => Partition::Spatial,
        };
        let graph = SkeletonGraph::new(size("nodes"), &edges, size("center"), partition, true).unwrap();
        close(case["name"].as_str().unwrap(), graph.values(), &numbers(&case["expected"]["adjacency"]), 1e-12, 0.0);
        seen += 1;
    }
    assert!(seen > 0, "no partition compared");
}

/// Axes of a golden tensor in another order.
fn turned<const D: usize>(value: &Value, order: [isize; D], dtype: DType) -> Tensor<D> {
    let s = shape(value);
    let x: Tensor<D> = constant(numbers(value), std::array::from_fn(|k| s[k]), dtype);
    x.permute(order).detach().require_grad()
}

#[test]
fn golden_st_gcn_blocks() {
    let Some(file) = golden("st_gcn") else { return };
    let folder = shared().unwrap().join("golden");
    for (dtype, bytes, [absolute, relative]) in [(DType::F64, 8, [1e-9, 1e-9]), (DType::F32, 4, [1e-4, 1e-3])] {
        computed_in(bytes);
        for case in cases(&file).iter().filter(|case| case["inputs"].get("x").is_some()) {
            let (name, params) = (case["name"].as_str().unwrap(), &case["params"]);
            let (inputs, expected) = (&case["inputs"], &case["expected"]);
            let size = |key: &str| params[key].as_u64().unwrap() as usize;
            let skip = match name {
                _ if name.contains("no_residual") => Skip::None,
                _ if name.contains("identity") => Skip::Identity,
                _ => Skip::Convolved,
            };
            let [parts, joints] = [0, 1].map(|k| shape(&inputs["adjacency"])[k]);
            let bones: Vec<[usize; 2]> = (1..joints).map(|j| [j - 1, j]).collect();
            let graph = SkeletonGraph::new(joints, &bones, 0, Partition::Spatial, false).unwrap();
            assert_eq!(parts, graph.parts());
            let widths = [size("in"), size("out")];
            let on = (&device(), dtype);
            let mut block =
                StGcnBlock::new(widths, size("temporal_kernel"), size("stride"), skip, &graph, &mut rng(), on).unwrap();
            let bytes = std::fs::read(folder.join(params["weights"].as_str().unwrap())).unwrap();
            let file = SafeTensors::deserialize(&bytes).unwrap();
            let read = |key: &str| -> (Vec<f64>, Vec<usize>) {
                let view = file.tensor(key).unwrap();
                let numbers = view.data().chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())));
                (numbers.collect(), view.shape().to_vec())
            };
            let list = |key: &str| {
                let (numbers, s) = read(key);
                Param::from_tensor(tracked(numbers, [s[0]], dtype))
            };
            // [out, in, taps, 1] there, [taps, in, out] here
            let taps = |key: &str| {
                let (numbers, s) = read(key);
                let x: Tensor<3> = constant(numbers, [s[0], s[1], s[2] * s[3]], dtype);
                Param::from_tensor(x.permute([2, 1, 0]).detach().require_grad())
            };
            let norm = |norm: &mut RowNorm, key: &str| {
                norm.gain = list(&format!("{key}.weight"));
                norm.bias = list(&format!("{key}.bias"));
                for (state, what) in [(&norm.running_mean, "running_mean"), (&norm.running_variance, "running_var")] {
                    state.update(list(&format!("{key}.{what}")).val().inner());
                    state.value_sync();
                }
            };
            let (numbers_, s) = read("gcn.conv.weight");
            let weight: Tensor<2> = constant(numbers_, [s[0], s[1]], dtype);
            block.spatial.weight = Param::from_tensor(weight.transpose().detach().require_grad());
            block.spatial.bias = Some(list("gcn.conv.bias"));
            norm(&mut block.inner, "tcn.0");
            block.temporal.weight = taps("tcn.2.weight");
            block.temporal.bias = Some(list("tcn.2.bias"));
            norm(&mut block.outer, "tcn.3");
            if let Some(skip) = &mut block.skip_map {
                skip.map.weight = taps("residual.0.weight");
                skip.map.bias = Some(list("residual.0.bias"));
                norm(&mut skip.norm, "residual.1");
            }
            block.importance = Param::from_tensor(turned(&inputs["importance"], [0, 1, 2], dtype));
            let evaluation = params["mode"] == "eval";
            if evaluation {
                block.inner.training = Param::from_bool(false);
                block.outer.training = Param::from_bool(false);
                block.skip_map.iter_mut().for_each(|skip| skip.norm.training = Param::from_bool(false));
            }
            // [batch, channel, time, node] there, [node, batch, time, channel] here
            let x = turned(&inputs["x"], [3, 0, 2, 1], dtype);
            let out = block.forward(x.clone(), turned(&inputs["adjacency"], [0, 1, 2], dtype).detach());
            let back = |x: Tensor<4>| values(x.permute([1, 3, 2, 0]));
            close(name, &back(out.clone()), &numbers(&expected["output"]), absolute, relative);
            let cotangent = turned(&inputs["cotangent"], [3, 0, 2, 1], dtype).detach();
            let gradients = (out * cotangent).sum().backward();
            let check = |what: &str, got: Vec<f64>| {
                let want = expected["grads"].get(what).unwrap_or(&expected["param_grads"][what]);
                close(&format!("{name} {what}"), &got, &numbers(want), absolute, relative);
            };
            let of = |p: &Param<Tensor<1>>| values(p.val().grad(&gradients).unwrap());
            let of_taps = |p: &Param<Tensor<3>>| values(p.val().grad(&gradients).unwrap().permute([2, 1, 0]));
            check("x", back(x.grad(&gradients).unwrap()));
            check("importance", values(block.importance.val().grad(&gradients).unwrap()));
            check("gcn.conv.weight", values(block.spatial.weight.val().grad(&gradients).unwrap().transpose()));
            check("gcn.conv.bias", of(block.spatial.bias.as_ref().unwrap()));
            check("tcn.2.weight", of_taps(&block.temporal.weight));
            check("tcn.2.bias", of(block.temporal.bias.as_ref().unwrap()));
            let mut norms = vec![("tcn.0", &block.inner), ("tcn.3", &block.outer)];
            if let Some(skip) = &block.skip_map {
                check("residual.0.weight", of_taps(&skip.map.weight));
                check("residual.0.bias", of(skip.map.bias.as_ref().unwrap()));
                norms.push(("residual.1", &skip.norm));
            }
            for (key, norm) in norms {
                check(&format!("{key}.weight"), of(&norm.gain));
                check(&format!("{key}.bias"), of(&norm.bias));
                for (state, what) in [(&norm.running_mean, "running_mean"), (&norm.running_variance, "running_var")] {
                    if let Some(want) = expected.get("running").and_then(|r| r.get(format!("{key}.{what}"))) {
                        let got = values(state.value_sync());
                        close(&format!("{name} {key}.{what}"), &got, &numbers(want), absolute, relative);
                    }
                }
            }
        }
    }
}

#[test]
fn a_chain_of_three_is_split_as_by_hand() {
    // columns are targets: joint 0 hears 0 and 1 (half each), joint 1 all three, joint 2 hears 1 and 2
    let third = 1.0 / 3.0;
    let own = [0.5, 0.0, 0.0, 0.0, third, 0.0, 0.0, 0.0, 0.5];
    // from a joint further away (or as far): 1 to 0, 2 to 1
    let further = [0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, third, 0.0];
    // from a nearer one: 0 to 1, 1 to 2
    let nearer = [0.0, third, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0];
    let want: Vec<f64> = [own, further, nearer].concat();
    close("true distances", chain().values(), &want, 1e-15, 0.0);
    // the released code takes joint 2 to be infinitely far: still further than joint 1
    let released = SkeletonGraph::new(3, &[[0, 1], [1, 2]], 0, Partition::Spatial, true).unwrap();
    assert_eq!(released, chain());
    // on a chain of four it takes 2 and 3 to be equally far
    let bones = [[0, 1], [1, 2], [2, 3]];
    let of = |reference| SkeletonGraph::new(4, &bones, 0, Partition::Spatial, reference).unwrap();
    let at = |g: &SkeletonGraph, part: usize| g.values()[(part * 4 + 2) * 4 + 3];
    assert_eq!((at(&of(false), 1), at(&of(false), 2)), (0.0, 0.5));
    assert_eq!((at(&of(true), 1), at(&of(true), 2)), (0.5, 0.0));
}

#[test]
fn gradients_of_graph_convolutions_are_finite_differences() {
    let net = StGcnConfig::new(2).with_widths(vec![3, 3, 4]).with_strides(vec![1, 1, 2]).with_taps(3);
    let net = net.init(&chain(), &mut rng(), (&device(), DType::F64)).unwrap();
    let base = noise(2 * 5 * 3 * 2, 8);
    let loss = |x: Tensor<4>| net.forward(x).powi_scalar(2).sum();
    let x = tracked(base.clone(), [2, 5, 3, 2], DType::F64);
    let gradients = loss(x.clone()).backward();
    let got = values(x.grad(&gradients).unwrap());
    for k in 0..base.len() {
        let at = |h: f64| {
            let mut moved = base.clone();
            moved[k] += h;
            values(loss(constant(moved, [2, 5, 3, 2], DType::F64)))[0]
        };
        let want = (at(1e-6) - at(-1e-6)) / 2e-6;
        assert!((got[k] - want).abs() < 1e-6, "{k}: {} instead of {want}", got[k]);
    }
    // importance: a gradient only where joints are neighbours
    let slope = values(net.blocks[0].importance.val().grad(&gradients).unwrap());
    for (slope, entry) in slope.iter().zip(chain().values()) {
        assert_eq!(*slope != 0.0, *entry != 0.0, "{slope} at an entry {entry}");
    }
}

#[test]
fn without_importance_only_the_bias_is_left() {
    let graph = chain();
    let new = |skip| StGcnBlock::new([2, 2], 3, 1, skip, &graph, &mut rng(), (&device(), DType::F64)).unwrap();
    let mut block = new(Skip::None);
    block.importance = Param::from_tensor((block.importance.val() * 0.0).detach());
    let run = |seed| {
        let x: Tensor<4> = constant(noise(3 * 2 * 5 * 2, seed), [3, 2, 5, 2], DType::F64);
        values(block.valid().forward(x.clone().inner(), graph.tensor(&x.inner())))
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn settings_of_the_nets_name_what_is_wrong() {
    let says = |error: contrastive_nn::SettingError, text: &str| assert!(error.to_string().contains(text), "{error}");
    says(StGcnConfig::new(3).with_taps(4).validate().unwrap_err(), "taps is 4; allowed is odd");
    says(StGcnConfig::new(3).with_strides(vec![1]).validate().unwrap_err(), "number of strides is 1");
    says(ConvNet1dConfig::new(0).validate().unwrap_err(), "channels is 0");
    says(ConvNet1dConfig::new(1).with_widths(vec![]).validate().unwrap_err(), "number of widths is 0");
    let graph = |joints, bones: &[[usize; 2]]| SkeletonGraph::new(joints, bones, 0, Partition::Spatial, false);
    says(graph(22, &[[0, 22]]).unwrap_err(), "joint of a bone is 22; allowed is below the number of joints 22");
    says(graph(3, &[[0, 1]]).unwrap_err(), "joint is 2; allowed is connected");
    let skip = StGcnBlock::new([2, 3], 3, 1, Skip::Identity, &chain(), &mut rng(), &device());
    says(skip.unwrap_err(), "skip is identity");
}

#[test]
fn the_convolutional_net_is_invariant_to_what_it_should_be_and_differentiable() {
    let net =
        ConvNet1dConfig::new(2).with_widths(vec![3, 4]).with_taps(3).init(&mut rng(), (&device(), DType::F64)).unwrap();
    let base = noise(3 * 9 * 2, 2);
    let loss = |x: Tensor<3>| net.forward(x).powi_scalar(2).sum();
    let x = tracked(base.clone(), [3, 9, 2], DType::F64);
    let got = values(x.grad(&loss(x.clone()).backward()).unwrap());
    for k in 0..base.len() {
        let at = |h: f64| {
            let mut moved = base.clone();
            moved[k] += h;
            values(loss(constant(moved, [3, 9, 2], DType::F64)))[0]
        };
        let want = (at(1e-6) - at(-1e-6)) / 2e-6;
        assert!((got[k] - want).abs() < 1e-6, "{k}: {} instead of {want}", got[k]);
    }
    // the batch of training does not matter in evaluation
    let whole = values(net.valid().forward(x.clone().inner()));
    let alone = values(net.valid().forward(x.inner().slice([1..2, 0..9, 0..2])));
    close("one of the batch", &alone, &whole[4..8], 1e-14, 0.0);
}
