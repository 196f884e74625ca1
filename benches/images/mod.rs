//! Layers of images beside their limits, beside Burn's own, and beside the bodies of tensor operations.

use super::measure::{Measured, Work, numbers};
use super::{Options, in_turns};
use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d as BurnConv, Conv2dConfig as BurnConvConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig as BurnNormConfig, Linear as BurnLinear, LinearConfig as BurnLinearConfig};
use burn::tensor::{Tensor, TensorData, activation};
use contrastive::Device;
use contrastive::nn::encoder::{ResNetConfig, ResNetStem};
use contrastive::nn::layer::{
    BatchNormConfig, Conv2d, Conv2dConfig, Linear, LinearConfig, Pool2dOptions, avg_pool2d, max_pool2d,
};
use contrastive::nn::portable_bodies;
use contrastive_kernels::image::{Convolution2d, Images};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::hint::black_box;

fn device() -> Device {
    Device::flex().autodiff()
}

fn images(shape: [usize; 4], seed: u64) -> Tensor<4> {
    let values: Vec<f32> = numbers(1, shape.iter().product(), seed).into_iter().map(|x| 2.0 * x).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn nothing() -> (Tensor<1>, Tensor<2>) {
    (Tensor::zeros([1], &Device::flex()), Tensor::zeros([1, 1], &Device::flex()))
}

/// A forward and backward pass of the sum; the input's gradient is taken too where it is tracked.
fn both<const D: usize>(y: Tensor<D>) -> (Tensor<1>, Tensor<2>) {
    let loss = y.sum();
    black_box(loss.backward());
    (loss.inner(), nothing().1)
}

pub fn run(own: f64, options: &Options) {
    let seconds = if options.quick { 0.6 } else { 3.0 };
    step(own, seconds);
    products(own, seconds);
    elements(seconds);
    resnet(own, options.quick);
}

/// Conv 32, pool, conv 64, pool, linear on 256 x 28 x 28.
#[derive(Module, Debug)]
struct Ours {
    convolutions: [Conv2d; 2],
    linear: Linear,
}

#[derive(Module, Debug)]
struct Burns {
    convolutions: [BurnConv; 2],
    pool: MaxPool2d,
    linear: BurnLinear,
}

fn step(own: f64, seconds: f64) {
    let (rng, device) = (&mut ChaCha8Rng::seed_from_u64(1), device());
    let convolution = |input, output, rng: &mut ChaCha8Rng| {
        Conv2dConfig::new(input, output, [3, 3]).init(rng, &device).expect("settings")
    };
    let convolutions = [convolution(1, 32, rng), convolution(32, 64, rng)];
    let linear = LinearConfig::new(7 * 7 * 64, 10).init(rng, &device).expect("settings");
    let ours = Ours { convolutions, linear };
    let convolution = |input, output| {
        let config = BurnConvConfig::new([input, output], [3, 3]).with_padding(PaddingConfig2d::Same);
        config.init(&device)
    };
    let theirs = Burns {
        convolutions: [convolution(1, 32), convolution(32, 64)],
        pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        linear: BurnLinearConfig::new(7 * 7 * 64, 10).init(&device),
    };
    let x = images([256, 28, 28, 1], 1);
    let of_burn = x.clone().reshape([256, 1, 28, 28]);
    let ours: Work = Box::new(|| {
        let maps = ours.convolutions.iter().fold(x.clone(), |x, convolution| {
            max_pool2d(activation::relu(convolution.forward(x)), Pool2dOptions::square(2))
        });
        both(ours.linear.forward(maps.reshape([256, 7 * 7 * 64])))
    });
    let theirs: Work = Box::new(|| {
        let maps = theirs
            .convolutions
            .iter()
            .fold(of_burn.clone(), |x, convolution| theirs.pool.forward(activation::relu(convolution.forward(x))));
        both(theirs.linear.forward(maps.reshape([256, 64 * 7 * 7])))
    });
    // the first convolution has no gradient of its input
    let flops = 2.0 * 256.0 * (2.0 * 784.0 * 9.0 * 32.0 + 3.0 * 196.0 * 288.0 * 64.0 + 3.0 * 3136.0 * 10.0);
    let measured = in_turns(&[ours, theirs], 2.0 * seconds);
    let limit = 1e-6 * flops / own;
    println!(
        "\n| conv 32, pool, conv 64, pool, linear on 256 x 28 x 28 | CPU ms | MB | of bare products |\n|---|---|---|---|"
    );
    for (name, measured) in ["these layers", "Burn's layers"].iter().zip(&measured) {
        let ms = 1e3 * measured.cpu_each();
        println!("| {name} | {ms:.0} | {:.0} | {:.0} % |", 1e-6 * measured.bytes as f64, 100.0 * limit / ms);
    }
    println!("(bare products alone {limit:.0} ms)");
}

/// Forward and both backward products.
fn products(own: f64, seconds: f64) {
    println!(
        "\n| convolution, share of bare products | value | of input | of weight | all, CPU ms | Burn's, CPU ms | ratio |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (batch, side, [inputs, outputs], kernel, stride) in [
        (256, 28, [1, 32], 3, 1),
        (256, 14, [32, 64], 3, 1),
        (256, 28, [1, 32], 3, 2),
        (256, 14, [32, 64], 3, 2),
        (64, 32, [64, 64], 3, 1),
        (64, 32, [64, 128], 3, 2),
        (64, 8, [256, 256], 3, 1),
        (64, 4, [512, 512], 3, 1),
        (64, 16, [256, 64], 1, 1),
    ] {
        let padding = [(kernel / 2, kernel / 2); 2];
        let (image, kernels, stride) = ([side; 2], [kernel; 2], [stride; 2]);
        let on = Convolution2d { batch, image, inputs, outputs, kernel: kernels, stride, padding };
        let [rows, columns] = on.output();
        let x = numbers(1, batch * side * side * inputs, 1);
        let w = numbers(1, kernel * kernel * inputs * outputs, 2);
        let dy = numbers(1, batch * rows * columns * outputs, 3);
        let value: Work = Box::new(|| {
            black_box(f32::convolve_images(&on, &x, &w, None));
            nothing()
        });
        let of_input: Work = Box::new(|| {
            black_box(f32::images_gradient(&on, &dy, &w));
            nothing()
        });
        let of_weight: Work = Box::new(|| {
            black_box(f32::kernel_gradient(&on, &x, &dy));
            nothing()
        });
        let theirs = BurnConvConfig::new([inputs, outputs], kernels)
            .with_stride(stride)
            .with_padding(PaddingConfig2d::Explicit(kernel / 2, kernel / 2, kernel / 2, kernel / 2))
            .with_bias(false)
            .init(&device());
        let of_burn = images([batch, inputs, side, side], 4).require_grad();
        let theirs: Work = Box::new(|| both(theirs.forward(of_burn.clone())));
        let measured = in_turns(&[value, of_input, of_weight, theirs], seconds / 2.0);
        let limit = 2e-9 * on.multiply_adds() as f64 / own;
        let share = |k: usize| 100.0 * limit / measured[k].cpu_each();
        let all: f64 = measured[..3].iter().map(Measured::cpu_each).sum();
        println!(
            "| {batch} x {side} x {side}, {inputs} to {outputs}, kernel {kernel}, stride {} | {:.0} % | {:.0} % | {:.0} % | {:.1} | {:.1} | {:.1} |",
            stride[0],
            share(0),
            share(1),
            share(2),
            1e3 * all,
            1e3 * measured[3].cpu_each(),
            measured[3].cpu_each() / all
        );
    }
}

fn elements(seconds: f64) {
    let shape = [256, 14, 14, 64];
    let count: usize = shape.iter().product();
    let (x, device) = (images(shape, 1).require_grad(), device());
    let of_burn = images([256, 64, 14, 14], 1).require_grad();
    let norm = BatchNormConfig::new(64).init(&device).expect("settings");
    let their_norm: BatchNorm = BurnNormConfig::new(64).init(&device);
    let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
    let average = burn::nn::pool::AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
    let half = Pool2dOptions::square(2);
    let forms: Vec<(&str, Work, Work)> = vec![
        ("sum alone", Box::new(|| both(x.clone())), Box::new(|| both(of_burn.clone()))),
        (
            "batch norm and rectifier",
            Box::new(|| both(norm.forward_relu(x.clone()))),
            Box::new(|| both(activation::relu(their_norm.forward(of_burn.clone())))),
        ),
        (
            "maximum over 2 x 2",
            Box::new(|| both(max_pool2d(x.clone(), half))),
            Box::new(|| both(pool.forward(of_burn.clone()))),
        ),
        (
            "average over 2 x 2",
            Box::new(|| both(avg_pool2d(x.clone(), half))),
            Box::new(|| both(average.forward(of_burn.clone()))),
        ),
    ];
    println!("\n| 256 x 14 x 14 x 64, forward and backward | ns an element | Burn | ratio |\n|---|---|---|---|");
    for (name, ours, theirs) in forms {
        let measured = in_turns(&[ours, theirs], seconds);
        let each = [0, 1].map(|k| 1e9 * measured[k].cpu_each() / count as f64);
        println!("| {name} | {:.2} | {:.2} | {:.1} |", each[0], each[1], each[1] / each[0]);
    }
    println!("(the sum that each ends in is in the times)");
}

/// ResNet-18 with the stem for small images, forward and backward, without an optimiser.
fn resnet(own: f64, quick: bool) {
    let batch = if quick { 16 } else { 64 };
    let config = ResNetConfig::resnet18().with_stem(ResNetStem::Cifar);
    let net = config.init(&mut ChaCha8Rng::seed_from_u64(1), &device()).expect("settings");
    let x = images([batch, 3, 32, 32], 1);
    let ours: Work = Box::new(|| both(net.forward(x.clone())));
    let before: Work = Box::new(|| portable_bodies(|| both(net.forward(x.clone()))));
    let measured = in_turns(&[ours, before], 0.1);
    // 0.555 G multiply-adds an image, thrice; the stem's gradient of the image is not taken
    let flops = 6.0 * 0.555e9 * batch as f64;
    println!(
        "\n| ResNet-18, stem for 32 x 32, batch {batch}, forward and backward | images a CPU second | MB | of bare products |\n|---|---|---|---|"
    );
    for (name, measured) in ["these layers", "bodies of tensor operations"].iter().zip(&measured) {
        let each = measured.cpu_each();
        let (rate, share) = (batch as f64 / each, 100.0 * 1e-9 * flops / each / own);
        println!("| {name} | {rate:.1} | {:.0} | {share:.0} % |", 1e-6 * measured.bytes as f64);
    }
}
