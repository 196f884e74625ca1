//! Time series: the convolution beside the framework's own and beside its count, TS2Vec's step, its causal vectors.
//!
//! ```text
//! cargo bench --bench series --no-default-features --features flex,timeseries
//! ```
//!
//! CPU seconds of all threads; GF count two operations a multiply-add of a tap that meets the series.

use burn::tensor::{Tensor, TensorData, module, ops::ConvOptions};
use contrastive::Device;
use contrastive::eval::ndarray::Array2;
use contrastive::kernels::convolution::{Convolution, Convolve};
use contrastive::nn::layer::{Conv1dOptions, Padding, conv1d};
use contrastive::timeseries::data::{Series, SeriesError, seasonal};
use contrastive::timeseries::encoder::{DilatedNetConfig, last_steps};
use contrastive::timeseries::method::Ts2VecConfig;
use contrastive::train::MethodConfig;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// User time of the process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    fields[11].parse::<f64>().expect("ticks") / 100.0
}

/// CPU seconds of one call, over at least half a second of them.
fn each(mut call: impl FnMut()) -> f64 {
    call();
    let (start, mut count) = (cpu(), 0);
    while cpu() - start < 0.5 {
        call();
        count += 1;
    }
    (cpu() - start) / f64::from(count)
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|k| ((k * 7919 % 1013) as f32 - 500.0) / 500.0).collect()
}

fn convolutions(device: &Device) {
    println!(
        "{:34} {:>10} {:>10} {:>10} {:>12} {:>12}",
        "16 series, 3 taps", "value GF/s", "dx GF/s", "dW GF/s", "all, ms", "framework, ms"
    );
    for (length, channels, dilation) in [(100, 64, 1), (100, 64, 64), (100, 320, 1), (24, 64, 1), (300, 64, 16)] {
        let on = Convolution {
            batch: 16,
            length,
            inputs: channels,
            outputs: channels,
            taps: 3,
            dilation,
            stride: 1,
            before: dilation,
            after: dilation,
            groups: 1,
        };
        let (x, w) = (numbers(16 * length * channels), numbers(3 * channels * channels));
        let dy = x.clone();
        let rate = |seconds: f64| 2.0 * on.multiply_adds() as f64 / seconds / 1e9;
        let rates = [
            rate(each(|| drop(f32::convolve(&on, &x, &w, None)))),
            rate(each(|| drop(f32::input_gradient(&on, &dy, &w)))),
            rate(each(|| drop(f32::weight_gradient(&on, &x, &dy)))),
        ];
        let on_autodiff = device.clone().autodiff();
        let tensor = |values: &[f32], shape: [usize; 3]| {
            Tensor::<3>::from_data(TensorData::new(values.to_vec(), shape), &on_autodiff).require_grad()
        };
        let ours = each(|| {
            let (x, w) = (tensor(&x, [16, length, channels]), tensor(&w, [3, channels, channels]));
            let options = Conv1dOptions { dilation, padding: Padding::Same, ..Conv1dOptions::default() };
            drop(conv1d(x, w, None, options).sum().backward());
        });
        let theirs = each(|| {
            let (x, w) = (tensor(&x, [16, channels, length]), tensor(&w, [channels, channels, 3]));
            let options = ConvOptions::new([1], [dilation], [dilation], 1);
            drop(module::conv1d(x, w, None, options).sum().backward());
        });
        let name = format!("{length} steps, {channels} channels, dilation {dilation}");
        println!(
            "{name:34} {:10.1} {:10.1} {:10.1} {:12.2} {:12.2}",
            rates[0],
            rates[1],
            rates[2],
            ours * 1e3,
            theirs * 1e3
        );
    }
}

fn main() -> Result<(), SeriesError> {
    let device = Device::default();
    convolutions(&device);
    println!("\n{:34} {:>14} {:>16}", "TS2Vec, 200 steps of batch 8", "CPU s", "released code, s");
    for (name, count, length, released) in
        [("GunPoint", 50, 150, 53.0), ("ECG200", 100, 96, 38.0), ("ItalyPowerDemand", 67, 24, 19.0)]
    {
        let series: Series = seasonal(count, length, 1)?;
        let mut training = Ts2VecConfig::new().build(&series, 1, &device)?;
        let step = each(|| drop(training.train_step()));
        println!("{name:34} {:14.1} {released:16.0}", 200.0 * step);
    }
    let net = DilatedNetConfig::new().init(8, &mut ChaCha8Rng::seed_from_u64(1), &device)?;
    let series = Series::new(vec![Array2::from_shape_vec((1024, 8), numbers(8192)).expect("8 channels")])?;
    let seconds = each(|| drop(last_steps(&net, series.of(0), 200, false, &device)));
    println!("\ncausal vectors of 17,420 windows of 201 steps: {:.1} CPU s", seconds * 17_420.0 / 1024.0);
    Ok(())
}
