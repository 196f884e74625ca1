//! What single mechanisms do, each beside the same training without it: weighted attraction and repulsion (CACR), sorting (GroCo), gates for
//! pairs of classes (Hydra), several heads and temperatures of pairs (AMCL), temperatures of images (iSogCLR), ghosts and long regimes.
//!
//! ```sh
//! cargo run --release --example vision_mechanisms                                                    # rendered shapes: a smoke test
//! cargo run --release --example vision_mechanisms -- --data optdigits --seeds 3                      # all of them on digits
//! cargo run --release --example vision_mechanisms -- --data optdigits --seeds 3 --only cacr,groco    # some
//! ```

#[path = "shared/vision.rs"]
mod vision;

use burn::tensor::{Tensor, TensorData};
use clap::Parser;
use contrastive::data::augment::{Augmentation, Step, Views};
use contrastive::data::image::{ImageSet, Images};
use contrastive::eval::correlation::spearman;
use contrastive::nn::layer::ChannelNormKind;
use contrastive::norm::{Regime, WeightDiffusion};
use contrastive::train::{Budget, FitOptions, MethodConfig, OptimiserConfig, Schedule, TrainingConfig};
use contrastive::vision::data::long_tail;
use contrastive::vision::encoder::{EncoderConfig, embed};
use contrastive::vision::evaluate::{Measures, Outcome, Protocol, Quality};
use contrastive::vision::method::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: vision::Common,
    /// Of cacr, groco, hydra, amcl, isogclr, ghosts.
    #[arg(long, value_delimiter = ',', default_value = "cacr,groco,hydra,amcl,isogclr,ghosts")]
    only: Vec<String>,
}

/// Trains and scores; says what the last step saw.
fn arm<S: Settings>(
    common: &vision::Common,
    name: &str,
    protocol: &Protocol,
    settings: S,
    seed: u64,
) -> Result<Outcome> {
    let (row, run) = protocol.run_watched(settings, seed, &common.device()?)?;
    let seen: Vec<String> =
        run.method().method().observed().iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
    eprintln!("{name}, seed {seed}: NC5 {:.1}; {}", row.quality.nc5, seen.join(", "));
    Ok(Outcome { name: name.into(), ..row })
}

/// The methods of one mechanism, in the frame of the protocol. Comparisons that were published at fewer steps have them here.
fn mechanism(common: &vision::Common, which: &str) -> Result {
    let mut protocol = common.protocol()?;
    if matches!(which, "hydra" | "amcl") && common.data.is_some() && common.steps.or(common.epochs).is_none() {
        protocol = protocol.with_budget(Budget::Steps(400));
    }
    let mut four = protocol.clone();
    four.frame.views.each = vec![protocol.frame.views.each[0].clone(); 4];
    let mut rows = Vec::new();
    for seed in 0..common.seeds {
        let run = |rows: &mut Vec<Outcome>, row: Result<Outcome>| row.map(|row| rows.push(row));
        macro_rules! arms {
            ($($name:expr, $protocol:expr, $settings:expr;)*) => {
                {
                    $(run(&mut rows, arm(common, $name, $protocol, $settings, seed))?;)*
                }
            };
        }
        rows.push(protocol.untrained(seed, &common.device()?)?);
        match which {
            "cacr" => {
                let queue = CacrForm::Queue { rows: 256, momentum: 0.99 };
                let info_nce = CacrForm::InfoNce { temperature: 0.2, momentum: 0.99, predictor: 64 };
                let base = CacrConfig::default();
                arms! {
                    "NT-Xent", &protocol, SimClrConfig::new(0.2);
                    "CACR", &protocol, base;
                    "CACR, uniform repulsion", &protocol, base.with_repulsion(0.0);
                    "CACR, debiased 0.1", &protocol, base.with_debiasing(0.1);
                    "the same, as released", &protocol, CacrConfig { as_released: true, ..base.with_debiasing(0.1) };
                    "CACR, three positives", &four, base;
                    "CACR, queue", &protocol, base.with_form(queue);
                    "CACR, InfoNCE", &protocol, base.with_form(info_nce);
                }
            }
            "groco" => arms! {
                "GroCo", &protocol, GroCoConfig::new(10);
                "NT-Xent, same negatives", &protocol, GroCoConfig::new(10).with_ordering(Ordering::Softmax(0.2));
                "NT-Xent", &protocol, SimClrConfig::new(0.2);
            },
            "hydra" => arms! {
                "Hydra (labels)", &protocol, HydraConfig::new([64, 128]);
                "cosine form (labels)", &protocol, HydraConfig { cosine: true, ..HydraConfig::new([64, 128]) };
                "open gates (labels)", &protocol, HydraConfig::open();
                "SupCon (labels)", &protocol, HydraConfig::open().with_pairs(PairedClasses::Identical);
            },
            _ => arms! {
                "AMCL, 3 heads", &protocol, AmclConfig::new(3);
                "3 heads at .525", &protocol, AmclConfig::new(3).twin();
                "1 head at .525", &protocol, AmclConfig::constant(1, 0.525);
                "1 head at .2", &protocol, AmclConfig::constant(1, 0.2);
            },
        }
    }
    vision::table(&protocol, &rows);
    Ok(())
}

/// A long tail of 100 to 5 images a class, batches of 32, 60 epochs: temperatures by class, and a probe from ten labels a class of others.
fn tail(common: &vision::Common) -> Result {
    let (protocol, device) = (common.protocol()?, common.device()?);
    let count = |set: &ImageSet, c: usize| set.labelled().1.iter().filter(|label| **label as usize == c).count();
    let classes = protocol.train.classes().len();
    let least = (0..classes).map(|c| count(&protocol.train, c)).min().unwrap_or(0);
    let [images, rest] = long_tail(&protocol.train, (least / 2).min(100), 5)?;
    let [few, others] = long_tail(&rest, 10, 10)?;
    let epochs = common.epochs.unwrap_or(if common.data.is_some() { 60 } else { 3 });
    let training = TrainingConfig::new(Budget::Epochs(epochs), 32, 2e-3);
    let frame = Frame::new(EncoderConfig::mlp(&[128, 64]), [64, 32], protocol.frame.views.clone(), training);
    println!("{}, a long tail of {} images, {epochs} epochs of 32", protocol.name, images.len());
    let mut temperatures = vec![0.0; classes];
    for (name, tau) in [
        ("iSogCLR", None),
        ("SimCLR .1", Some((0.1, false))),
        ("SimCLR .3", Some((0.3, false))),
        ("SimCLR .5", Some((0.5, false))),
        ("SogCLR .1", Some((0.1, true))),
    ] {
        let mut probes = Vec::new();
        for seed in 0..common.seeds {
            let options = FitOptions::new(&device).seed(seed).progress(false).evaluate_every(0);
            let encoder = match tau {
                Some((tau, false)) => frame.train(SimClrConfig::new(tau)).fit(&images, &options)?.model.encoder,
                Some((tau, true)) => frame.train(ISogClrConfig::fixed(tau)).fit(&images, &options)?.model.encoder,
                None => {
                    let trained = frame.train(ISogClrConfig::default()).fit(&images, &options)?;
                    let all = trained.method.method().temperatures();
                    for (image, temperature) in all.iter().enumerate() {
                        let class = images.label(image).map_or(0, |label| label as usize);
                        temperatures[class] += temperature / (common.seeds as usize * count(&images, class)) as f64;
                    }
                    trained.model.encoder
                }
            };
            let (a, b) = (embed(&encoder, &few, &device)?, embed(&encoder, &others, &device)?);
            probes.push(Quality::of([a.view(), b.view()], [&few, &others], &Measures::DIGITS)?.probe / 100.0);
        }
        println!("{name:<12} probe {:.3}   {probes:.3?}", probes.iter().sum::<f64>() / probes.len() as f64);
    }
    let sizes: Vec<f64> = (0..classes).map(|c| count(&images, c) as f64).collect();
    println!("class           {}", (0..classes).map(|c| format!("{c:>6}")).collect::<String>());
    println!("images          {}", sizes.iter().map(|n| format!("{n:>6}")).collect::<String>());
    println!("temperature     {}", temperatures.iter().map(|t| format!("{t:>6.3}")).collect::<String>());
    println!("Spearman of the two {:.2}", spearman(&temperatures, &sizes)?);
    Ok(())
}

/// The share of images that a classifier puts into their class.
fn accuracy(model: &Projected, set: &ImageSet, common: &vision::Common) -> Result<f64> {
    let ([c, h, w], rows) = (set.shape(), set.rows());
    let pixels: Vec<f32> = rows.into_iter().collect();
    let device = common.device()?.inner();
    let scores = model.project(Tensor::<4>::from_data(TensorData::new(pixels, [set.len(), c, h, w]), &device));
    let found: Vec<i64> = scores.argmax(1).into_data().iter::<i64>().collect();
    let right = |(image, found): (usize, &i64)| set.label(image) == Some(*found as u32);
    Ok(found.iter().enumerate().filter(|x| right(*x)).count() as f64 / set.len() as f64)
}

/// The images with every tenth label drawn anew.
fn mislabelled(set: &ImageSet, seed: u64) -> Result<ImageSet> {
    let mut rng = ChaCha8Rng::seed_from_u64(300 + seed);
    let mut label = |image: usize| match rng.random::<f64>() < 0.1 {
        true => rng.random_range(0..set.classes().len()) as i32,
        false => set.label(image).map_or(-1, |label| label as i32),
    };
    Ok(ImageSet::new(Images {
        name: format!("{}, a tenth of the labels drawn", set.name()),
        shape: set.shape(),
        white: set.white(),
        pixels: (0..set.len()).flat_map(|image| set.bytes(image).to_vec()).collect(),
        labels: (0..set.len()).map(&mut label).collect(),
        classes: set.classes().to_vec(),
        ids: set.ids().to_vec(),
        notes: Vec::new(),
    })?)
}

/// 1,024 digits in small and large batches: the rate, ghosts, the length of the regime; and how far the second layer wanders.
fn regimes(common: &vision::Common) -> Result {
    let (protocol, device) = (common.protocol()?, common.device()?);
    let mut order: Vec<usize> = (0..protocol.train.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let count = if order.len() >= 1524 { 1024 } else { 256 };
    let train = protocol.train.select(&order[..count])?;
    let test = protocol.train.select(&order[count..order.len().min(count + 500)])?;
    let noisy = Augmentation::new(train.shape()[1]).then(Step::Noise(0.3).always());
    let (sb, lb) = (32, count / 2);
    let epochs = common.epochs.unwrap_or(if common.data.is_some() { 20 } else { 4 });
    let regime = |batch| Regime::new(batch, 0.05, epochs)?.with_drops(vec![epochs / 2, epochs * 3 / 4]);
    let (small, large) = (regime(sb)?, regime(lb)?);
    let (scaled, longer) = (small.with_scaled_rate(lb)?, small.for_batch(lb)?);
    let arms = [
        ("SB", &small, sb),
        ("LB", &large, lb),
        ("LB, rate", &scaled, lb),
        ("LB, rate, ghosts", &scaled, sb),
        ("LB, rate, longer", &longer, lb),
        ("all three", &longer, sb),
    ];
    println!("{}: {} images in batches of {sb} and {lb}, {} to judge by", protocol.name, train.len(), test.len());
    println!("{:<18} {:>8} {:>9} {:>8} {:>6}", "", "updates", "accuracy", "slope", "R^2");
    for (name, regime, ghost) in arms {
        let frame = || {
            let training = TrainingConfig::new(Budget::Epochs(regime.epochs()), regime.batch(), regime.rate())
                .with_optimiser(OptimiserConfig::sgd(0.9, 0.0))
                .with_schedule(Schedule::drops(regime.drops().to_vec(), 0.1).by_epoch());
            let encoder = EncoderConfig::mlp(&[128, 128]).with_norm(ChannelNormKind::Ghost(ghost));
            Frame::new(encoder, [1, 1], Views::two(noisy.clone()), training).train(SupervisedConfig::plain())
        };
        let (mut score, mut slope, mut explained) = (0.0, 0.0, 0.0);
        for seed in 0..common.seeds {
            let options = FitOptions::new(&device).seed(seed).progress(false).evaluate_every(0);
            score += accuracy(&frame().fit(&train, &options)?.model, &test, common)? / common.seeds as f64;
            // the first phase alone, with noisy labels
            let mut run = frame().build(&mislabelled(&train, seed)?, seed, &device)?;
            let (probe, steps) = (WeightDiffusion::from(run.model()), regime.drops()[0] * (count / regime.batch()));
            let mut curve = Vec::new();
            for step in 1..=steps {
                run.train_step()?;
                // weight and bias of the first map, then the second's weight
                curve.push((step, probe.distances(run.model())[2]));
            }
            let fit = contrastive::norm::fit_log(&curve, 0.02 * steps as f64)?;
            slope += fit.slope / common.seeds as f64;
            explained += fit.r_squared.unwrap_or(0.0) / common.seeds as f64;
        }
        println!("{name:<18} {:>8} {score:>9.3} {slope:>8.2} {explained:>6.2}", regime.updates(count));
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result {
    let arguments = Arguments::parse();
    for which in &arguments.only {
        match which.as_str() {
            "cacr" | "groco" | "hydra" | "amcl" => mechanism(&arguments.common, which)?,
            "isogclr" => tail(&arguments.common)?,
            "ghosts" => regimes(&arguments.common)?,
            _ => return Err(format!("--only {which}: allowed are cacr, groco, hydra, amcl, isogclr, ghosts").into()),
        }
    }
    Ok(())
}
