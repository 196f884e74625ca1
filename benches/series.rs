//! Time series: the convolution beside the framework's own and beside its count, TS2Vec's step, its causal vectors, the temporal contrast of
//! long series, the steps of COMET and HaLP beside their parts.
//!
//! ```text
//! cargo bench --bench series --no-default-features --features flex,timeseries
//! ```
//!
//! CPU seconds of all threads; GF count two operations a multiply-add of a tap that meets the series.

#[path = "measure/mod.rs"]
mod measure;

use burn::tensor::{Tensor, TensorData, module, ops::ConvOptions};
use contrastive::Device;
use contrastive::eval::ndarray::Array2;
use contrastive::kernels::convolution::{Convolution, Convolve};
use contrastive::nn::Pass;
use contrastive::nn::layer::{Conv1dOptions, Directions, Padding, conv1d};
use contrastive::objective::Ts2Vec;
use contrastive::timeseries::augment::{Augmentation, Augmentations};
use contrastive::timeseries::data::{Over, Scaling, Series, SeriesError, Short, gaits, seasonal, windows};
use contrastive::timeseries::encoder::{ClipEncoderConfig, ClipNet, DilatedNetConfig, Steps, last_steps};
use contrastive::timeseries::method::{CometConfig, HalpConfig, Ts2VecConfig};
use contrastive::train::{Budget, MethodConfig, TrainingConfig};
use measure::{Work, measure};
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

/// The temporal contrast of two views of 8 series of 3,000 steps, width 64, with gradients.
fn temporal_contrast(device: &Device) -> Result<(), SeriesError> {
    let (batch, steps, width) = (8, 3000, 64);
    let view = |seed| {
        let values = measure::numbers(batch * steps, width, seed);
        Tensor::<3>::from_data(TensorData::new(values, [batch, steps, width]), device)
    };
    let views = [view(1), view(2)];
    let contrast = Ts2Vec::new(0.0, 0).expect("in range");
    let work: Work = Box::new(|| {
        let found = contrast.evaluate(&views, true);
        let [dx, _] = found.views.expect("gradients were wanted");
        (found.value, dx.reshape([-1, width as i32]))
    });
    let found = measure(&work, 0.5, false);
    let dense = 4 * batch * 2 * steps * 2 * steps;
    println!(
        "\ntemporal contrast of {batch} series of {steps} steps: {:.2} CPU s, {:.0} MB beyond the views; their matrices alone {:.0} MB",
        found.cpu_each(),
        found.bytes as f64 / 1e6,
        dense as f64 / 1e6
    );
    Ok(())
}

/// COMET's step beside four passes of its encoder, HaLP's beside MoCo's, on windows of generated gaits.
fn steps(device: &Device) -> Result<(), SeriesError> {
    let all = windows(&gaits(5, 8, 256, 1)?, 64, 0.5, Short::Drop)?.series;
    let all = Scaling::fit(&all, Over::Channels)?.apply(&all)?;
    let net = DilatedNetConfig::new().with_output(64).with_hidden(32).with_depth(5);
    let config = CometConfig::new().with_net(net.clone());
    let settings = config.training.clone().with_batch_size(64);
    let mut comet = config.with_training(settings).build(&all, 1, device)?;
    let step = each(|| drop(comet.train_step()));
    let on = device.clone().autodiff();
    let encoder = net.init(all.channels(), &mut ChaCha8Rng::seed_from_u64(1), &on)?;
    let values = TensorData::new(numbers(64 * 64 * all.channels()), [64, 64, all.channels()]);
    let x = Steps::all(Tensor::from_data(values, &on));
    let passes = each(|| {
        (0..4).for_each(|pass| drop(encoder.forward(&x, &mut Pass::training(1, pass)).sum().backward()));
    });
    println!("\nCOMET's step, 64 windows of 64: {:.2} of four passes of its encoder", step / passes);

    let views = Augmentations::always(vec![Augmentation::Jitter(0.1), Augmentation::Scale(0.1)]);
    let recurrent = ClipNet::Recurrent { hidden: 64, layers: 3, directions: Directions::Both };
    for (name, net) in [("convolutions", ClipNet::small()), ("recurrent units", recurrent)] {
        let config = HalpConfig::new()
            .with_encoder(ClipEncoderConfig::new().with_net(net).with_projection(64))
            .with_views(views.clone())
            .with_queue(256)
            .with_sample(256)
            .with_training(TrainingConfig::new(Budget::Epochs(1000), 64, 1e-3));
        let mut seconds = [0.0; 2];
        for (seconds, weight) in seconds.iter_mut().zip([0.0, 1.0]) {
            let mut training = config.clone().with_weight(weight).build(&all, 1, device)?;
            // past the warm-up of the queue, with prototypes of the newest keys every ten steps
            (0..20).try_for_each(|_| training.train_step().map(drop))?;
            *seconds = each(|| drop(training.train_step()));
        }
        println!("HaLP's step with {name}: {:.2} of MoCo's", seconds[1] / seconds[0]);
    }
    Ok(())
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
    temporal_contrast(&device)?;
    steps(&device)
}
