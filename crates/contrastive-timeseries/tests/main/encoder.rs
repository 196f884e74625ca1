//! The dilated net against the released code, its reach, its cone, the trend, poolings.

use crate::reference::{self, golden, numbers, shared};
use crate::{close, device, generator, uniform, values};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_nn::Pass;
use contrastive_timeseries::encoder::{
    DilatedNet, DilatedNetConfig, Pooling, SeriesEncoder, Steps, TrendNet, last_steps, pooled,
};
use ndarray::{Array2, s};
use serde_json::Value;

fn small(depth: usize) -> DilatedNetConfig {
    DilatedNetConfig::new().with_output(5).with_hidden(4).with_depth(depth)
}

fn wide<const D: usize>(data: Vec<f64>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(data, shape), (device, DType::F64))
}

/// The weights of a file of the released code, in f64, on autodiff.
fn load(net: DilatedNet, file: &safetensors::SafeTensors<'_>) -> DilatedNet {
    let on = device().autodiff();
    let read = |name: &str| -> (Vec<f64>, Vec<usize>) {
        let view = file.tensor(name).unwrap_or_else(|_| panic!("no {name} among {:?}", file.names()));
        let values = view.data().as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect();
        (values, view.shape().to_vec())
    };
    let vector = |name: &str| {
        let (values, shape) = read(name);
        Param::from_tensor(wide(values, [shape[0]], &on))
    };
    // [out, in, taps] to [taps, in, out]
    let taps = |name: &str| {
        let (values, shape) = read(name);
        Param::from_tensor(wide(values, [shape[0], shape[1], shape[2]], &on).permute([2, 1, 0]).detach())
    };
    let matrix = |name: &str| {
        let (values, shape) = read(name);
        Param::from_tensor(wide(values, [shape[0], shape[1]], &on).transpose().detach())
    };
    let mut net = net;
    net.projection.weight = matrix("input_fc.weight");
    net.projection.bias = Some(vector("input_fc.bias"));
    for (i, block) in net.blocks.iter_mut().enumerate() {
        let name = |part: &str| format!("feature_extractor.net.{i}.{part}");
        block.conv1.weight = taps(&name("conv1.conv.weight"));
        block.conv1.bias = Some(vector(&name("conv1.conv.bias")));
        block.conv2.weight = taps(&name("conv2.conv.weight"));
        block.conv2.bias = Some(vector(&name("conv2.conv.bias")));
        if let Some(skip) = &mut block.skip {
            let (values, shape) = read(&name("projector.weight"));
            skip.weight = Param::from_tensor(wide(values, [shape[0], shape[1]], &on).transpose().detach());
            skip.bias = Some(vector(&name("projector.bias")));
        }
    }
    net
}

fn shape(tensor: &Value) -> Vec<usize> {
    tensor["shape"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
}

#[test]
fn golden_ts2vec_encoder() {
    let Some(file) = golden("ts2vec_encoder") else { return };
    let folder = shared().unwrap().join("golden");
    let on = device().autodiff();
    for case in reference::cases(&file) {
        let params = &case["params"];
        let size = |name: &str| params[name].as_u64().unwrap() as usize;
        let bytes = std::fs::read(folder.join(params["weights"].as_str().unwrap())).unwrap();
        let weights = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let config = DilatedNetConfig::new()
            .with_output(size("output_dims"))
            .with_hidden(size("hidden_dims"))
            .with_depth(size("depth"));
        let net = load(config.init(size("input_dims"), &mut generator(0), &on).unwrap(), &weights);
        let dims = shape(&case["inputs"]["x"]);
        let dims = [dims[0], dims[1], dims[2]];
        let raw = numbers(&case["inputs"]["x"]);
        let missing: Vec<bool> = raw.chunks(dims[2]).map(|row| row.iter().any(|v| v.is_nan())).collect();
        let clean = raw.chunks(dims[2]).flat_map(|row| {
            let gone = row.iter().any(|v| v.is_nan());
            row.iter().map(move |&v| if gone { 0.0 } else { v })
        });
        let x = wide(clean.collect(), dims, &on).require_grad();
        let kind = params["mask"].as_str().unwrap();
        let mask: Vec<bool> = match case["inputs"].get("mask") {
            Some(mask) => mask["data"].as_array().unwrap().iter().map(|v| v.as_bool().unwrap_or(v == 1)).collect(),
            None if kind.contains("last") => (0..dims[0] * dims[1]).map(|at| at % dims[1] != dims[1] - 1).collect(),
            None => vec![true; dims[0] * dims[1]],
        };
        let seen: Vec<bool> = mask.iter().zip(&missing).map(|(m, gone)| *m && !gone).collect();
        let steps = Steps::all(x.clone()).masked(&seen);
        let out = net.forward(&steps, &mut Pass::evaluation());
        let name = case["name"].as_str().unwrap();
        reference::close(name, &values(&out), &numbers(&case["expected"]["output"]), 1e-10, 1e-10);
        let last = net.last(&steps);
        let [b, t, d] = out.dims();
        let want = values(&out.clone().slice([0..b, t - 1..t, 0..d]));
        close("the cone of the last step", &values(&last), &want, 1e-12);
        let cotangent = wide(numbers(&case["inputs"]["cotangent"]), out.dims(), &device());
        let loss = (out * Tensor::from_inner(cotangent)).sum();
        reference::close("loss", &values(&loss), &[case["expected"]["loss"].as_f64().unwrap()], 1e-10, 1e-10);
        let gradients = loss.backward();
        let expected = &case["expected"];
        // a missing step has no gradient here; the released code's is 0 as well
        let of_x = values(&x.grad(&gradients).unwrap());
        reference::close("gradient of x", &of_x, &numbers(&expected["grads"]["x"]), 1e-9, 1e-9);
        let of = |name: &str| numbers(&expected["param_grads"][name]);
        let grads = |p: &Param<Tensor<3>>| values(&p.grad(&gradients).unwrap().permute([2, 1, 0]));
        for (i, block) in net.blocks.iter().enumerate() {
            let key = |part: &str| format!("feature_extractor.net.{i}.{part}");
            reference::close("conv1", &grads(&block.conv1.weight), &of(&key("conv1.conv.weight")), 1e-9, 1e-9);
            reference::close("conv2", &grads(&block.conv2.weight), &of(&key("conv2.conv.weight")), 1e-9, 1e-9);
            let bias = values(&block.conv1.bias.as_ref().unwrap().grad(&gradients).unwrap());
            reference::close("bias", &bias, &of(&key("conv1.conv.bias")), 1e-9, 1e-9);
        }
        let of_input = values(&net.projection.weight.grad(&gradients).unwrap().transpose());
        reference::close("projection", &of_input, &of("input_fc.weight"), 1e-9, 1e-9);
    }
}

#[test]
fn the_reach_is_that_of_two_convolutions_a_block() {
    let net = small(2).init(1, &mut generator(1), &device()).unwrap();
    assert_eq!(net.reach(), 14);
    let x = uniform((1, 60, 1), 2);
    let of = |x: &ndarray::Array3<f32>| values(&net.forward(&Steps::new(x.view(), &device()), &mut Pass::evaluation()));
    let before = of(&x);
    let mut moved = x.clone();
    moved[[0, 30, 0]] += 1.0;
    let after = of(&moved);
    for t in 0usize..60 {
        let same = (0..5).all(|d| before[t * 5 + d] == after[t * 5 + d]);
        assert_eq!(same, t.abs_diff(30) > 14, "step {t}");
    }
    assert_eq!(DilatedNetConfig::new().init(1, &mut generator(1), &device()).unwrap().reach(), 4094);
}

#[test]
fn a_missing_step_is_a_masked_step_and_the_input_stays_as_it_is() {
    let net = small(3).init(2, &mut generator(3), &device()).unwrap();
    let x = uniform((2, 20, 2), 4);
    let mut holed = x.clone();
    holed[[1, 7, 0]] = f32::NAN;
    let kept = holed.clone();
    let mut mask = vec![true; 40];
    mask[27] = false;
    let run = |steps: &Steps| values(&net.forward(steps, &mut Pass::evaluation()));
    let missing = run(&Steps::new(holed.view(), &device()));
    let masked = run(&Steps::new(x.view(), &device()).masked(&mask));
    assert_eq!(missing, masked);
    assert!(missing.iter().all(|v| v.is_finite()));
    assert!(holed.iter().zip(&kept).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())));
    // and differs from a step of zeros
    let mut zeros = x.clone();
    zeros.slice_mut(s![1, 7, ..]).fill(0.0);
    assert_ne!(run(&Steps::new(zeros.view(), &device())), masked);
}

#[test]
fn the_cone_gives_the_last_step_of_every_length() {
    let net = small(4).init(2, &mut generator(5), &device()).unwrap();
    for length in 1..70 {
        let mut x = uniform((3, length, 2), length as u64);
        if length > 4 {
            x[[1, 1, 0]] = f32::NAN;
        }
        let steps = Steps::new(x.view(), &device());
        let whole = net.forward(&steps, &mut Pass::evaluation());
        let want = values(&whole.slice([0..3, length - 1..length, 0..5]));
        close(&format!("{length} steps"), &values(&net.last(&steps)), &want, 1e-5);
    }
}

#[test]
fn sliding_windows_are_causal_and_begin_with_missing_steps() {
    let net = small(3).init(1, &mut generator(6), &device()).unwrap();
    let series = uniform((1, 50, 1), 7).slice(s![0, .., ..]).to_owned();
    let all = last_steps(&net, series.view(), 12, false, &device()).unwrap();
    assert_eq!(all.dim(), (50, 5));
    for t in [0, 3, 12, 30, 49] {
        let mut window = ndarray::Array3::from_elem((1, 13, 1), f32::NAN);
        for k in 0..13 {
            if t + k >= 12 {
                window[[0, k, 0]] = series[[t + k - 12, 0]];
            }
        }
        let h = net.forward(&Steps::new(window.view(), &device()), &mut Pass::evaluation());
        let want = values(&h.slice([0..1, 12..13, 0..5]));
        let got: Vec<f64> = all.row(t).iter().map(|&v| f64::from(v)).collect();
        close("a window", &got, &want, 1e-5);
    }
    let mut later = series.clone();
    later[[31, 0]] += 1.0;
    let after = last_steps(&net, later.view(), 12, false, &device()).unwrap();
    assert_eq!(all.slice(s![..31, ..]), after.slice(s![..31, ..]), "no step knows of later ones");
}

#[test]
fn the_trend_is_one_kernel() {
    let net = TrendNet::init(&small(1), 4, 1, &mut generator(8), &device()).unwrap();
    let h = Tensor::<3>::from_data(
        TensorData::new(uniform((2, 20, 5), 9).into_raw_vec_and_offset().0, [2, 20, 5]),
        &device(),
    );
    close("the mean of four", &values(&net.trend(h.clone())), &values(&net.branches(h.clone())), 1e-5);
    // causal: a step does not know of later ones
    let moved = h.clone().slice_assign([0..2, 10..11, 0..5], Tensor::ones([2, 1, 5], &device()));
    let part = |x: Tensor<3>| values(&net.trend(x).slice([0..2, 0..10, 0..5]));
    assert_eq!(part(h), part(moved));
    assert_eq!((SeriesEncoder::channels(&net), SeriesEncoder::width(&net)), (1, 5));
}

#[test]
fn poolings_are_maxima_over_their_spans() {
    let x = Array2::from_shape_fn((9, 2), |(t, c)| ((t * 7 + c * 5) % 11) as f32);
    let most = |c: usize, range: std::ops::Range<usize>| range.map(|t| x[[t, c]]).fold(f32::MIN, f32::max);
    let whole = pooled(x.view(), Pooling::FullSeries).unwrap();
    assert_eq!(whole.row(0).to_vec(), [most(0, 0..9), most(1, 0..9)]);
    // torch's max_pool1d(3, stride 1, padding 1), and (4, stride 1, padding 2) without its last
    let three = pooled(x.view(), Pooling::Window(3)).unwrap();
    let four = pooled(x.view(), Pooling::Window(4)).unwrap();
    for t in 0usize..9 {
        assert_eq!(three[[t, 1]], most(1, t.saturating_sub(1)..(t + 2).min(9)));
        assert_eq!(four[[t, 1]], most(1, t.saturating_sub(2)..(t + 2).min(9)));
    }
    // kernels 3, 5, 9: as long as half a kernel and one are shorter than the series
    let levels = pooled(x.view(), Pooling::Multiscale).unwrap();
    assert_eq!(levels.dim(), (9, 6));
    assert_eq!(levels[[4, 4]], most(0, 0..9));
    assert_eq!(pooled(x.view(), Pooling::PerTimestamp).unwrap(), x);
    assert!(pooled(x.view(), Pooling::Window(0)).unwrap_err().to_string().contains("window is 0"));
}

#[test]
fn gradients_of_the_net_are_finite_differences() {
    let on = device().autodiff();
    let net = small(2).with_dropout(0.3).init(1, &mut generator(10), &on).unwrap();
    let net = net.map(&mut ToDouble);
    let x: Vec<f64> = uniform((2, 9, 1), 11).iter().map(|&v| f64::from(v)).collect();
    let mask: Vec<bool> = (0..18).map(|k| k % 4 != 1).collect();
    let of = |x: Vec<f64>, tracked: bool| {
        let x = wide(x, [2, 9, 1], &on);
        let x = if tracked { x.require_grad() } else { x };
        let out = net.forward(&Steps::all(x.clone()).masked(&mask), &mut Pass::training(3, 4));
        (x, (out.clone() * out.tanh()).sum())
    };
    let (leaf, loss) = of(x.clone(), true);
    let got = values(&leaf.grad(&loss.backward()).unwrap());
    for k in 0..18 {
        let at = |h: f64| {
            let mut moved = x.clone();
            moved[k] += h;
            values(&of(moved, false).1)[0]
        };
        let want = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((got[k] - want).abs() < 1e-6 * want.abs().max(1.0), "{k}: {} instead of {want}", got[k]);
    }
}

struct ToDouble;

impl burn::module::ModuleMapper for ToDouble {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| Tensor::from_inner(tensor.inner().cast(DType::F64)).require_grad())
    }
}
