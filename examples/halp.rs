//! HaLP (Shah et al. 2023): MoCo on clips, then on with extra positives made between keys and prototypes, beside MoCo going on alone.
//!
//! ```sh
//! cargo run --release --example halp                                           # generated persons with their own gait
//! cargo run --release --example halp -- --data uea/NATOPS --seeds 3 --epochs 100
//! cargo run --release --example halp -- --data hmp-adl --seeds 3 --epochs 10
//! ```
//!
//! The paper trains three recurrent layers on NTU-60 for 200 + 250 epochs; this has three convolutions, Adam at 1e-3, momentum 0.99.

use clap::Parser;
use contrastive::Device;
use contrastive::eval::{Similarity, neighbours::Knn};
use contrastive::timeseries::augment::{Augmentation, Augmentations};
use contrastive::timeseries::data::*;
use contrastive::timeseries::encoder::{ClipEncoder, ClipEncoderConfig, ClipNet, embed_clips};
use contrastive::timeseries::evaluate::classify_raw;
use contrastive::timeseries::method::HalpConfig;
use contrastive::train::{Budget, MethodConfig, Trainee, TrainingConfig};
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Folder of a data set of the UEA archive, or of the HMP trials; generated clips without.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Persons of the test part (HMP).
    #[arg(long, value_delimiter = ',', default_value = "f2,m1,m3")]
    test: Vec<String>,
    /// Epochs of MoCo, and as many after them with and without latent positives.
    #[arg(long, default_value_t = 8)]
    epochs: usize,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Weight of the latent positives.
    #[arg(long, default_value_t = 1.0)]
    weight: f64,
}

fn persons(all: &Series, test: &[String]) -> Result<(Series, Series), SeriesError> {
    let persons = all.persons()?;
    let tested = |i: &usize| test.contains(&persons.names[persons.ids[*i] as usize]);
    let (test, train): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(tested);
    Ok((all.select(&train)?, all.select(&test)?))
}

/// Training and test part, keys of the queue, clips of a batch, views. Of HMP the activities with a hundred trials or more.
fn data(arguments: &Arguments) -> Result<(Series, Series, usize, usize, Augmentations), SeriesError> {
    let sensor = vec![Augmentation::Crop(0.5), Augmentation::Jitter(0.1), Augmentation::Scale(0.1)];
    let Some(folder) = &arguments.data else {
        println!("generated gaits of five persons, the last one for the test");
        let all = windows(&standardise_each(&gaits(5, 4, 96, 1)?), 32, 0.5, Short::Drop)?.series;
        let (train, test) = persons(&all, &["p4".to_string()])?;
        return Ok((train, test, 128, 32, Augmentations::always(sensor)));
    };
    if !folder.join("Walk").exists() {
        let (train, test) = read_archive(folder)?;
        let scaling = Scaling::fit(&train, Over::Channels)?;
        let corrupt = vec![Augmentation::JointMask(5), Augmentation::Shear(1.0)];
        let views = Augmentations::always(vec![Augmentation::Crop(0.5), Augmentation::Either(corrupt)]);
        return Ok((scaling.apply(&train)?, scaling.apply(&test)?, 128, 32, views));
    }
    let all = read_hmp(folder)?;
    let classes = all.labels()?.clone();
    let count = |class: u32| classes.ids.iter().filter(|id| **id == class).count();
    let rows: Vec<usize> = (0..all.len()).filter(|&i| count(classes.ids[i]) >= 100).collect();
    let all = windows(&all.select(&rows)?.relabelled()?, 64, 0.5, Short::Drop)?.series;
    let (train, test) = persons(&all, &arguments.test)?;
    let scaling = Scaling::fit(&train, Over::Channels)?;
    Ok((scaling.apply(&train)?, scaling.apply(&test)?, 1024, 64, Augmentations::always(sensor)))
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run().map_err(Into::into))
}

fn run() -> Result<(), SeriesError> {
    let arguments = Arguments::parse();
    let device = Device::default();
    let (train, test, queue, batch, views) = data(&arguments)?;
    println!("{} clips to train on, {} to test on; a queue of {queue} keys", train.len(), test.len());
    let (y, y_test) = (train.labels()?, test.labels()?);
    let accuracy = |encoder: &ClipEncoder| -> Result<f64, SeriesError> {
        let (x, x_test) = (embed_clips(encoder, &train, &device)?, embed_clips(encoder, &test, &device)?);
        let knn = Knn::new(1).with_similarity(Similarity::Cosine);
        let votes = knn.classify(x_test.view(), x.view(), &y.ids, y.names.len())?;
        let right = votes.predictions().iter().zip(&y_test.ids).filter(|(a, b)| a == b).count();
        Ok(right as f64 / test.len() as f64)
    };
    let config = HalpConfig::new()
        .with_encoder(ClipEncoderConfig::new().with_net(ClipNet::small()).with_projection(64))
        .with_views(views)
        .with_momentum(0.99)
        .with_queue(queue)
        .with_sample(queue.min(256))
        .with_training(TrainingConfig::new(Budget::Epochs(2 * arguments.epochs), batch, 1e-3));
    let mut columns = vec![Vec::new(); 6];
    columns[0].push(classify_raw(&train, &test)?.accuracy);
    for seed in 0..arguments.seeds {
        let build = |weight: f64| config.clone().with_weight(weight).build(&train, seed, &device);
        let mut first = build(0.0)?;
        columns[1].push(accuracy(&first.trained_model().streams[0])?);
        (0..arguments.epochs).try_for_each(|_| first.train_epoch().map(drop))?;
        columns[2].push(accuracy(&first.trained_model().streams[0])?);
        for (at, weight) in [(3, 0.0), (4, arguments.weight)] {
            let mut further = build(weight)?;
            further.load_state(first.state())?;
            (0..arguments.epochs).try_for_each(|_| further.train_epoch().map(drop))?;
            columns[at].push(accuracy(&further.trained_model().streams[0])?);
            if weight > 0.0 {
                columns[5].push(further.method().kept_share());
            }
        }
    }
    println!("{:18} 1-NN accuracy, {} seeds, E = {}", "", arguments.seeds, arguments.epochs);
    let names =
        ["raw (Euclidean)", "untrained", "MoCo, E epochs", "MoCo, 2 E epochs", "MoCo, then HaLP", "positives kept"];
    for (name, scores) in names.iter().zip(&columns) {
        let (n, mean) = (scores.len() as f64, scores.iter().sum::<f64>() / scores.len() as f64);
        let deviation = (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
        println!("{name:18} {mean:.3} ±{deviation:.3}");
    }
    Ok(())
}
