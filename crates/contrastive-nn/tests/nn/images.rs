//! Convolutions, pooling and norms of images against golden values, Burn's own, finite differences and each other.

use crate::common::{constant, device, noise, shape, tracked, values};
use crate::encoders::{every_case, length, loaded, name, rng, same_gradients, size, sum};
use crate::golden::{cases, close, computed_in, golden, numbers};
use burn::module::{Module, Param, RunningState};
use burn::tensor::{DType, Tensor, module};
use contrastive_nn::encoder::{
    ConvNetConfig, ResNet, ResNetBlock, ResNetConfig, ResNetStem, channels_first, channels_last,
};
use contrastive_nn::layer::{
    BatchNormConfig, ChannelNormKind, Conv2dConfig, Conv2dOptions, GroupNormConfig, Linear, LinearConfig, Padding,
    Pool2dOptions, adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d, conv2d, max_pool2d,
};
use contrastive_nn::portable_bodies;
use contrastive_nn::weights::{Array, KeyMap, Values, Weights, WeightsError};
use serde_json::Value;

const TYPES: [(DType, usize, [f64; 2]); 2] = [(DType::F64, 8, [1e-9, 1e-9]), (DType::F32, 4, [1e-5, 1e-4])];

/// A golden tensor `[n, channels, ..]`, differentiated, with as many axes as four, those left out of length 1.
fn first(value: &Value, dtype: DType) -> Tensor<4> {
    let mut axes = shape(value);
    axes.resize(4, 1);
    tracked(numbers(value), axes.try_into().expect("at most four axes"), dtype)
}

/// Numbers of a setting: one for both axes, or two.
fn pair(value: &Value, otherwise: usize) -> [usize; 2] {
    match value {
        Value::Array(list) => [0, 1].map(|k| list[k].as_u64().unwrap() as usize),
        Value::Number(one) => [one.as_u64().unwrap() as usize; 2],
        _ => [otherwise; 2],
    }
}

/// Both bodies in both types.
fn in_all_ways(file: &str, check: impl Fn(&Value, DType, [f64; 2])) {
    let Some(file) = golden(file) else { return };
    for (dtype, bytes, bounds) in TYPES {
        computed_in(bytes);
        for case in cases(&file) {
            let stress = dtype == DType::F32 && name(case).contains("stress");
            let bounds = if stress { [2e-3, 1e-3] } else { bounds };
            check(case, dtype, bounds);
            portable_bodies(|| check(case, dtype, bounds));
        }
    }
}

/// The output, the loss with the case's cotangent, and the gradients under their names.
fn compare<const D: usize>(
    case: &Value,
    output: Tensor<D>,
    inputs: Vec<(&str, Vec<f64>)>,
    [absolute, relative]: [f64; 2],
) {
    let expected = &case["expected"];
    close(name(case), &values(output), &numbers(&expected["output"]), absolute, relative);
    for (what, got) in inputs {
        close(&format!("{} {what}", name(case)), &got, &numbers(&expected["grads"][what]), absolute, relative);
    }
}

#[test]
fn golden_conv2d() {
    in_all_ways("conv2d", |case, dtype, at| {
        let (inputs, params) = (&case["inputs"], &case["params"]);
        let (x, weight) = (first(&inputs["x"], dtype), first(&inputs["weight"], dtype));
        let bias = inputs.get("bias").map(|bias| tracked(numbers(bias), [numbers(bias).len()], dtype));
        let padding = pair(&params["padding"], 0).map(|n| Padding::Explicit(n, n));
        let options = Conv2dOptions {
            stride: pair(&params["stride"], 1),
            dilation: pair(&params["dilation"], 1),
            groups: size(params, "groups"),
            padding,
        };
        let turned = weight.clone().permute([2, 3, 1, 0]);
        let output = channels_first(conv2d(channels_last(x.clone()), turned, bias.clone(), options));
        let gradients = (output.clone() * first(&inputs["cotangent"], dtype).detach()).sum().backward();
        let mut all = vec![("x", values(x.grad(&gradients).unwrap()))];
        all.push(("weight", values(weight.grad(&gradients).unwrap())));
        all.extend(bias.map(|bias| ("bias", values(bias.grad(&gradients).unwrap()))));
        compare(case, output, all, at);
    });
}

#[test]
fn golden_pool2d() {
    in_all_ways("pool2d", |case, dtype, at| {
        let (inputs, params) = (&case["inputs"], &case["params"]);
        let x = first(&inputs["x"], dtype);
        let options = Pool2dOptions {
            kernel: pair(&params["kernel"], 1),
            stride: pair(&params["stride"], 1),
            padding: pair(&params["padding"], 0),
            ceil: params["ceil_mode"].as_bool().unwrap_or(false),
            count_padding: params["count_include_pad"].as_bool().unwrap_or(true),
        };
        let (last, size) = (channels_last(x.clone()), pair(&params["output"], 1));
        let output = match name(case) {
            name if name.starts_with("adaptive_avg") => adaptive_avg_pool2d(last, size),
            name if name.starts_with("adaptive_max") => adaptive_max_pool2d(last, size),
            name if name.starts_with("avg") => avg_pool2d(last, options),
            name if name.starts_with("max") => max_pool2d(last, options),
            name => panic!("a pooling {name}"),
        };
        let output = channels_first(output);
        let gradients = (output.clone() * first(&inputs["cotangent"], dtype).detach()).sum().backward();
        compare(case, output, vec![("x", values(x.grad(&gradients).unwrap()))], at);
    });
}

#[test]
fn golden_group_norm() {
    in_all_ways("group_norm", |case, dtype, at| {
        let (inputs, params) = (&case["inputs"], &case["params"]);
        let x = first(&inputs["x"], dtype);
        let channels = x.dims()[1];
        let config = GroupNormConfig::new(size(params, "groups"), channels);
        let config = config.with_epsilon(params["eps"].as_f64().unwrap());
        let mut norm = config.init((&device(), dtype)).unwrap();
        norm.weight = Param::from_tensor(tracked(numbers(&inputs["weight"]), [channels], dtype));
        norm.bias = Param::from_tensor(tracked(numbers(&inputs["bias"]), [channels], dtype));
        let output = channels_first(norm.forward(channels_last(x.clone())));
        let gradients = (output.clone() * first(&inputs["cotangent"], dtype).detach()).sum().backward();
        let all = vec![
            ("x", values(x.grad(&gradients).unwrap())),
            ("weight", values(norm.weight.val().grad(&gradients).unwrap())),
            ("bias", values(norm.bias.val().grad(&gradients).unwrap())),
        ];
        compare(case, output, all, at);
    });
}

#[test]
fn golden_batch_norm_of_channels_that_lie_last() {
    in_all_ways("batch_norm", |case, dtype, at| {
        let (inputs, params, expected) = (&case["inputs"], &case["params"], &case["expected"]);
        let x = first(&inputs["x"], dtype);
        let channels = x.dims()[1];
        let [momentum, epsilon] = ["momentum", "eps"].map(|key| params[key].as_f64().unwrap());
        let config = BatchNormConfig::new(channels).with_momentum(momentum).with_epsilon(epsilon);
        let mut norm = config.init((&device(), dtype)).unwrap();
        let list = |key: &str| tracked(numbers(&inputs[key]), [channels], dtype);
        let affine = inputs.get("weight").is_some();
        if affine {
            norm.weight = Param::from_tensor(list("weight"));
            norm.bias = Param::from_tensor(list("bias"));
        }
        norm.running_mean = RunningState::new(list("running_mean").detach());
        norm.running_variance = RunningState::new(list("running_var").detach());
        norm.training = Param::from_bool(name(case).starts_with("train"));
        let output = channels_first(norm.forward(channels_last(x.clone())));
        let gradients = (output.clone() * first(&inputs["cotangent"], dtype).detach()).sum().backward();
        let mut all = vec![("x", values(x.grad(&gradients).unwrap()))];
        if affine {
            all.push(("weight", values(norm.weight.val().grad(&gradients).unwrap())));
            all.push(("bias", values(norm.bias.val().grad(&gradients).unwrap())));
        }
        compare(case, output, all, at);
        for (key, state) in [("running_mean", &norm.running_mean), ("running_var", &norm.running_variance)] {
            if let Some(want) = expected.get(key) {
                close(&format!("{} {key}", name(case)), &values(state.value_sync()), &numbers(want), at[0], at[1]);
            }
        }
    });
}

/// torchvision's model: the encoder and its last linear map.
#[derive(Module, Debug)]
struct Classifier {
    encoder: ResNet,
    fc: Linear,
}

#[test]
fn golden_resnet_tiny() {
    every_case("resnet_tiny", |case, dtype, at| {
        let (params, inputs, expected) = (&case["params"], &case["inputs"], &case["expected"]);
        let block = if params["block"] == "BasicBlock" { ResNetBlock::Basic } else { ResNetBlock::Bottleneck };
        let blocks = params["layers"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let cifar = params["stem"].as_str().unwrap().contains("CIFAR");
        let config = ResNetConfig::new(block, blocks).with_width(size(params, "width")).with_stem(if cifar {
            ResNetStem::Cifar
        } else {
            ResNetStem::ImageNet
        });
        let on = (&device(), dtype);
        let fc = LinearConfig::new(config.features(), size(params, "classes")).init(&mut rng(), on).unwrap();
        let keys = KeyMap::resnet().inside("encoder");
        let mut model = loaded(Classifier { encoder: config.init(&mut rng(), on).unwrap(), fc }, &keys, case);
        let training = name(case).starts_with("train");
        // the last maps are of one position, so that batch norm divides by the deviation of three numbers: moving weights and images of
        // the first case by 6e-8 of themselves moves a gradient of 3.27 by up to 1.5e-2, where others are 240 (differences in f64)
        let at = if training && dtype == DType::F32 { [5e-3, 2e-2] } else { at };
        model = frozen_statistics(model, !training);
        let x: Tensor<4> = tracked(numbers(&inputs["x"]), shape(&inputs["x"]).try_into().unwrap(), dtype);
        let maps = model.encoder.forward_maps(x.clone());
        let map = maps.last().unwrap().clone();
        let features = contrastive_nn::layer::mean_positions(map.clone());
        let logits = model.fc.forward(features.clone());
        for (k, map) in maps.iter().enumerate() {
            let got = values(map.clone());
            let [want_sum, want_length] = ["stage_sum", "stage_length"].map(|key| numbers(&expected[key])[k]);
            close(
                &format!("{} stage {k}", name(case)),
                &[sum(&got), length(&got)],
                &[want_sum, want_length],
                at[0],
                at[1].max(1e-8),
            );
        }
        close(name(case), &values(channels_first(map)), &numbers(&expected["map"]), at[0], at[1]);
        close(name(case), &values(features), &numbers(&expected["features"]), at[0], at[1]);
        close(name(case), &values(logits.clone()), &numbers(&expected["logits"]), at[0], at[1]);
        let cotangent: Tensor<2> = constant(numbers(&inputs["cotangent_logits"]), logits.dims(), dtype);
        let gradients = (logits * cotangent).sum().backward();
        if let Some(want) = expected["grads"].get("x") {
            close(name(case), &values(x.grad(&gradients).unwrap()), &numbers(want), at[0], at[1]);
        }
        let weights = Weights::of(&model, &keys);
        if let Some(running) = expected.get("running").and_then(Value::as_object) {
            for (key, want) in running {
                let got = weights.get(key).unwrap_or_else(|| panic!("a running statistic {key}"));
                close(&format!("{} {key}", name(case)), &got.values.doubles(), &numbers(want), at[0], at[1]);
            }
        }
        same_gradients(case, model, &keys, &gradients, at);
    });
}

/// The model with all norms reading (or making) statistics.
fn frozen_statistics(mut model: Classifier, frozen: bool) -> Classifier {
    let mut set = |norm: &mut contrastive_nn::layer::ChannelNorm| {
        norm.batch.as_mut().unwrap().training = Param::from_bool(!frozen);
    };
    set(&mut model.encoder.norm1);
    for block in model.encoder.stages.iter_mut().flatten() {
        set(&mut block.norm1);
        set(&mut block.norm2);
        block.norm3.as_mut().into_iter().for_each(&mut set);
        block.shortcut.as_mut().into_iter().for_each(|shortcut| set(&mut shortcut.norm));
    }
    model
}

/// Shapes of convolutions: batch, height, width, channels in and out, kernel, stride, padding before and behind.
type Case = ([usize; 5], [usize; 2], [usize; 2], [(usize, usize); 2]);
const SHAPES: [Case; 9] = [
    ([2, 9, 7, 3, 5], [3, 3], [1, 1], [(1, 1); 2]),
    ([3, 8, 8, 1, 33], [3, 3], [2, 2], [(1, 1); 2]),
    ([2, 13, 11, 3, 4], [7, 7], [2, 2], [(3, 3); 2]),
    ([2, 5, 6, 4, 70], [1, 1], [2, 2], [(0, 0); 2]),
    ([1, 6, 5, 17, 9], [2, 3], [1, 3], [(0, 1), (2, 0)]),
    ([4, 4, 4, 32, 32], [3, 3], [1, 1], [(1, 1); 2]),
    ([2, 6, 6, 2, 3], [5, 1], [3, 1], [(2, 2), (0, 0)]),
    ([1, 7, 7, 2, 3], [2, 2], [4, 3], [(0, 0); 2]),
    ([2, 1, 1, 3, 4], [3, 3], [1, 1], [(1, 1); 2]),
];

/// Output and the gradients of input, weight and bias, of a sum weighted with noise.
fn all_of(x: Vec<f64>, w: Vec<f64>, b: Vec<f64>, at: Case, dtype: DType, burns: bool) -> [Vec<f64>; 4] {
    let ([n, height, width, inputs, outputs], [high, wide], stride, padding) = at;
    let x = tracked(x, [n, height, width, inputs], dtype);
    let w = tracked(w, [high, wide, inputs, outputs], dtype);
    let b = tracked(b, [outputs], dtype);
    let y = match burns {
        false => {
            let padding = padding.map(|(before, after)| Padding::Explicit(before, after));
            conv2d(x.clone(), w.clone(), Some(b.clone()), Conv2dOptions { stride, padding, ..Conv2dOptions::default() })
        }
        true => {
            let on = burn::tensor::ops::ConvOptions { stride, padding, dilation: [1, 1], groups: 1 };
            channels_last(module::conv2d(
                channels_first(x.clone()),
                w.clone().permute([3, 2, 0, 1]),
                Some(b.clone()),
                on,
            ))
        }
    };
    let cotangent = constant(noise(y.shape().num_elements(), 7), y.dims(), dtype);
    let gradients = (y.clone() * cotangent).sum().backward();
    let of = values(x.grad(&gradients).unwrap());
    [values(y), of, values(w.grad(&gradients).unwrap()), values(b.grad(&gradients).unwrap())]
}

#[test]
fn convolutions_are_those_of_burn() {
    for at in SHAPES {
        let ([n, height, width, inputs, outputs], [high, wide], _, _) = at;
        let x = noise(n * height * width * inputs, 1);
        let (w, b) = (noise(high * wide * inputs * outputs, 2), noise(outputs, 3));
        for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 1e-5)] {
            let ours = all_of(x.clone(), w.clone(), b.clone(), at, dtype, false);
            let theirs = all_of(x.clone(), w.clone(), b.clone(), at, dtype, true);
            for (what, (ours, theirs)) in ["y", "x", "w", "b"].iter().zip(ours.iter().zip(&theirs)) {
                close(&format!("{at:?} {what}"), ours, theirs, tolerance * 4.0, tolerance);
            }
        }
    }
}

/// Central differences of a function of one list, at every `step`-th number.
fn slopes(x: &[f64], step: usize, f: impl Fn(Vec<f64>) -> f64) -> Vec<(usize, f64)> {
    let moved = |k: usize, by: f64| {
        let mut x = x.to_vec();
        x[k] += by;
        f(x)
    };
    (0..x.len()).step_by(step).map(|k| (k, (moved(k, 1e-5) - moved(k, -1e-5)) / 2e-5)).collect()
}

#[test]
fn gradients_of_convolutions_are_derivatives() {
    for at in SHAPES {
        let ([n, height, width, inputs, outputs], [high, wide], _, _) = at;
        let x = noise(n * height * width * inputs, 1);
        let (w, b) = (noise(high * wide * inputs * outputs, 2), noise(outputs, 3));
        let loss = |x: Vec<f64>, w: Vec<f64>, b: Vec<f64>| {
            let y = &all_of(x, w, b, at, DType::F64, false)[0];
            y.iter().zip(noise(y.len(), 7)).map(|(y, c)| y * c).sum::<f64>()
        };
        let [_, of_x, of_w, of_b] = all_of(x.clone(), w.clone(), b.clone(), at, DType::F64, false);
        let check = |got: &[f64], all: Vec<(usize, f64)>| {
            for (k, want) in all {
                assert!((got[k] - want).abs() < 1e-7, "{at:?}: {} instead of {want}", got[k]);
            }
        };
        check(&of_x, slopes(&x, 1 + x.len() / 12, |x| loss(x, w.clone(), b.clone())));
        check(&of_w, slopes(&w, 1 + w.len() / 12, |w| loss(x.clone(), w, b.clone())));
        check(&of_b, slopes(&b, 1 + b.len() / 4, |b| loss(x.clone(), w.clone(), b)));
    }
}

#[test]
fn gradients_of_norms_and_pooling_are_derivatives() {
    let dims = [4, 5, 6, 6];
    let count = dims.iter().product();
    let x = noise(count, 11);
    let [gain, bias] = [12, 13].map(|seed| tracked(noise(6, seed), [6], DType::F64));
    let on = (&device(), DType::F64);
    let kinds = [ChannelNormKind::Batch, ChannelNormKind::Ghost(2), ChannelNormKind::Group(3)];
    type Layer = Box<dyn Fn(Tensor<4>) -> Tensor<4>>;
    let mut layers: Vec<(String, Layer)> = Vec::new();
    for kind in kinds {
        let mut norm = kind.init(6, on).unwrap();
        for batch in norm.batch.iter_mut() {
            batch.weight = Param::from_tensor(gain.clone());
            batch.bias = Param::from_tensor(bias.clone());
        }
        for group in norm.group.iter_mut() {
            group.weight = Param::from_tensor(gain.clone());
            group.bias = Param::from_tensor(bias.clone());
        }
        let with_relu = norm.clone();
        layers.push((format!("{kind:?}"), Box::new(move |x| norm.forward(x))));
        layers.push((format!("{kind:?} and rectifier"), Box::new(move |x| with_relu.forward_relu(x))));
    }
    let pool = Pool2dOptions { kernel: [3, 2], stride: [2, 2], padding: [1, 0], ..Pool2dOptions::stem() };
    layers.push(("maximum".into(), Box::new(move |x| max_pool2d(x, pool))));
    layers.push(("average".into(), Box::new(move |x| avg_pool2d(x, pool))));
    layers.push(("adaptive maximum".into(), Box::new(|x| adaptive_max_pool2d(x, [2, 4]))));
    layers.push(("adaptive average".into(), Box::new(|x| adaptive_avg_pool2d(x, [2, 4]))));
    for (what, layer) in layers {
        let run = |x: Vec<f64>| {
            let x = tracked(x, dims, DType::F64);
            let y = layer(x.clone());
            let cotangent = constant(noise(y.shape().num_elements(), 7), y.dims(), DType::F64);
            let loss = (y * cotangent).sum();
            (values(loss.clone())[0], values(x.grad(&loss.backward()).unwrap()))
        };
        let (_, got) = run(x.clone());
        for (k, want) in slopes(&x, 19, |x| run(x).0) {
            assert!((got[k] - want).abs() < 1e-6, "{what} at {k}: {} instead of {want}", got[k]);
        }
        let portable = portable_bodies(|| run(x.clone()).1);
        close(&format!("{what}, portable"), &got, &portable, 1e-10, 1e-10);
    }
}

#[test]
fn ghosts_of_the_batch_are_batch_norm_and_halves_are_apart() {
    let on = (&device(), DType::F64);
    let x = constant(noise(6 * 4 * 3, 5), [6, 2, 2, 3], DType::F64);
    let whole = BatchNormConfig::new(3).init(on).unwrap();
    let ghost = BatchNormConfig::new(3).with_ghost(Some(6)).init(on).unwrap();
    assert_eq!(values(whole.forward(x.clone())), values(ghost.forward(x.clone())));
    let halves = BatchNormConfig::new(3).with_ghost(Some(3)).init(on).unwrap();
    let got = values(halves.forward(x.clone()));
    let second = values(whole.forward(x.clone().narrow(0, 3, 3)));
    close("the second half", &got[36..], &second, 1e-12, 0.0);
    assert!(halves.ghosts(7, 4).unwrap_err().to_string().contains("7"));
    assert!(whole.ghosts(1, 1).is_err());
    // core's layer, which has the channels in the second place
    let core = contrastive_core::norm::GhostBatchNormConfig::new(3).with_ghost(3).init(on).unwrap();
    let other = channels_last(core.forward(channels_first(x)));
    close("core", &got, &values(other), 1e-12, 1e-12);
    let again = BatchNormConfig::new(3).with_ghost(Some(3)).init(on).unwrap();
    again.forward(constant(noise(6 * 4 * 3, 5), [6, 2, 2, 3], DType::F64));
    let pairs = [(&again.running_mean, &core.running_mean), (&again.running_variance, &core.running_variance)];
    for (ours, theirs) in pairs {
        close("running", &values(ours.value_sync()), &values(theirs.value_sync()), 1e-12, 1e-12);
    }
}

#[test]
fn encoders_are_drawn_from_their_seed_and_give_their_maps() {
    let images = constant(noise(4 * 3 * 16 * 16, 9), [4, 3, 16, 16], DType::F32);
    for norm in [ChannelNormKind::Batch, ChannelNormKind::Ghost(2), ChannelNormKind::Group(4), ChannelNormKind::None] {
        let net = ConvNetConfig::halving(3, &[8, 16]).with_norm(norm);
        let [one, two] = [0, 1].map(|_| net.init(&mut rng(), &device()).unwrap());
        let (a, b) = (one.forward(images.clone()), two.forward(images.clone()));
        assert_eq!((a.dims(), one.width()), ([4, 16], 16));
        assert_eq!(values(a), values(b), "{norm:?}");
        let maps: Vec<_> = one.forward_maps(images.clone()).iter().map(Tensor::dims).collect();
        assert_eq!(maps, [[4, 8, 8, 8], [4, 4, 4, 16]]);
        let config = ResNetConfig::resnet18().with_width(8).with_stem(ResNetStem::Cifar).with_norm(norm);
        let net = config.init(&mut rng(), &device()).unwrap();
        assert_eq!(config.features(), 64);
        let maps: Vec<_> = net.forward_maps(images.clone()).iter().map(Tensor::dims).collect();
        assert_eq!(maps, [[4, 16, 16, 8], [4, 8, 8, 16], [4, 4, 4, 32], [4, 2, 2, 64]]);
    }
    // convolutions, norms, shortcuts: 11,176,512 of torchvision's resnet18 without its last map, 23,508,032 of resnet50
    assert_eq!(trained(&ResNetConfig::resnet18()), 11_176_512);
    assert_eq!(trained(&ResNetConfig::resnet34()), 21_284_672);
    assert_eq!(trained(&ResNetConfig::resnet50()), 23_508_032);
    assert_eq!(ResNetConfig::resnet50().features(), 2048);
}

/// The numbers of all weights, gains and biases.
fn trained(config: &ResNetConfig) -> usize {
    let weights = Weights::of(&config.init(&mut rng(), &device()).unwrap(), &KeyMap::resnet());
    let names = weights.names().filter(|name| !name.contains("running"));
    names.map(|name| weights.get(name).unwrap().values.len()).sum()
}

#[test]
fn settings_of_image_encoders_are_refused() {
    let (rng, device) = (&mut rng(), &device());
    let refused = |error: Result<(), contrastive_nn::SettingError>, name: &str| {
        let error = error.unwrap_err();
        assert_eq!(error.setting, name, "{error}");
    };
    refused(ConvNetConfig::new(1, vec![8, 8], vec![2]).init(rng, device).map(drop), "number of strides");
    refused(ConvNetConfig::halving(1, &[]).init(rng, device).map(drop), "number of widths");
    refused(ConvNetConfig::halving(1, &[8]).with_kernel(2).init(rng, device).map(drop), "kernel");
    let groups = ConvNetConfig::halving(1, &[8]).with_norm(ChannelNormKind::Group(3));
    refused(groups.init(rng, device).map(drop), "groups");
    let ghosts = ResNetConfig::resnet18().with_norm(ChannelNormKind::Ghost(0));
    refused(ghosts.init(rng, device).map(drop), "ghost");
    refused(ResNetConfig::new(ResNetBlock::Basic, vec![]).init(rng, device).map(drop), "number of stages");
    refused(ResNetConfig::resnet18().with_channels(0).init(rng, device).map(drop), "channels");
    refused(Conv2dConfig::new(3, 4, [3, 0]).init(rng, device).map(drop), "kernel");
    refused(Conv2dConfig::new(3, 4, [3, 3]).with_groups(2).init(rng, device).map(drop), "groups");
    refused(BatchNormConfig::new(3).with_momentum(1.5).init(device).map(drop), "momentum");
    refused(GroupNormConfig::new(0, 3).init(device).map(drop), "groups");
}

#[test]
fn a_resnet_comes_back_from_the_names_of_torchvision() {
    let config = ResNetConfig::new(ResNetBlock::Bottleneck, vec![1, 2]).with_width(4);
    let keys = KeyMap::resnet();
    let [one, two] = [1, 2].map(|seed| {
        let mut rng = <rand_chacha::ChaCha8Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(seed);
        config.init(&mut rng, &device()).unwrap()
    });
    let written = Weights::of(&one, &keys);
    let kernel = written.get("layer2.0.downsample.0.weight").expect("a name of theirs");
    assert_eq!(kernel.shape, [32, 16, 1, 1]);
    assert!(written.get("layer1.0.bn3.running_var").is_some() && written.get("bn1.running_mean").is_some());
    let loaded = written.load(two, &keys).unwrap();
    for name in written.names() {
        assert_eq!(Weights::of(&loaded, &keys).get(name), written.get(name), "{name}");
    }
    // a head that is not the encoder's is named, or left out on request
    let head = Array { shape: vec![10, 32], values: Values::F32(vec![0.0; 320]) };
    let arrays = written.names().map(|name| (name.to_string(), written.get(name).unwrap().clone()));
    let whole = Weights::new("a test", arrays.chain([("fc.weight".to_string(), head)]));
    let WeightsError::Mismatch { unused, .. } = whole.load(one.clone(), &keys).unwrap_err() else {
        panic!("a mismatch")
    };
    assert_eq!(unused, ["fc.weight"]);
    whole.load(one, &keys.ignoring("fc.")).unwrap();
}
