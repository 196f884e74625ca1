//! What the recommender examples share: the command line of a run, its data, and the report.

use clap::Args;
use contrastive::Device;
use contrastive::eval::ranking::LeftOut;
use contrastive::graph::user_item::Embeddings;
use contrastive::graph::user_item::data::{Dataset, LoadOptions, generate, split};
use contrastive::train::{FitOptions, parse_device};
use std::error::Error;
use std::path::PathBuf;

/// Data, budget and device of a run.
#[derive(Args, Debug)]
pub struct Run {
    /// Interactions: a folder or file of LightGCN lists, three-column ratings, RecBole .inter or CSV. Without it, a generated
    /// set with planted communities.
    #[arg(long)]
    data: Option<PathBuf>,
    /// auto, flex (CPU), ndarray, wgpu, vulkan, metal, cuda, ... as compiled in.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Passes over the training pairs.
    #[arg(long, default_value_t = 40)]
    pub epochs: usize,
    /// Seed of the table, the samples and the views.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Share of the training pairs to keep.
    #[arg(long, default_value_t = 1.0)]
    keep: f64,
    /// Share of the kept training pairs to hold out for validation, where the data has no validation part.
    #[arg(long)]
    validation: Option<f64>,
    /// Evaluate after every so many epochs.
    #[arg(long, default_value_t = 10)]
    evaluate_every: usize,
    /// Stop after so many evaluations without a better NDCG@20 on the validation part, and take the best epoch.
    #[arg(long)]
    patience: Option<usize>,
    /// Folder for checkpoints, metrics, the model and the embeddings.
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Go on from the checkpoint in the run folder.
    #[arg(long)]
    resume: bool,
    /// Width of the embeddings.
    #[arg(long, default_value_t = 32)]
    pub dim: usize,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 5e-3)]
    pub lr: f64,
    /// Triples in a batch.
    #[arg(long, default_value_t = 2048)]
    pub batch: usize,
}

impl Run {
    /// The data set, with what it is said aloud.
    pub fn dataset(&self) -> Result<Dataset, Box<dyn Error>> {
        let mut data = match &self.data {
            Some(path) => Dataset::open(path, &LoadOptions::default())?,
            None => {
                eprintln!("no --data: using GENERATED interactions (planted communities, popularity skew)");
                generate::planted(&generate::PlantedOptions::default())?.dataset
            }
        };
        for note in &data.notes {
            eprintln!("note: {note}");
        }
        if self.keep < 1.0 {
            data.train = data.train.subsample(self.keep, self.seed)?;
        }
        if let (Some(share), None) = (self.validation, &data.validation) {
            let (train, validation) = split::random(&data.train, share, self.seed)?;
            (data.train, data.validation) = (train, Some(validation));
        }
        let (train, test) = (&data.train, &data.test);
        println!(
            "{}: {} users, {} items, {} + {} pairs",
            data.name,
            train.num_users(),
            train.num_items(),
            train.len(),
            test.len()
        );
        Ok(data)
    }

    /// The budget and the device.
    pub fn options(&self) -> Result<FitOptions, Box<dyn Error>> {
        let device: Device = parse_device(&self.device)?;
        let mut options =
            FitOptions::new(&device).epochs(self.epochs).seed(self.seed).evaluate_every(self.evaluate_every);
        if let Some(patience) = self.patience {
            options = options.early_stopping("ndcg@20", patience);
        }
        if let Some(folder) = &self.run_dir {
            options = options.run_dir(folder).resume(self.resume);
        }
        Ok(options)
    }

    /// Prints the result on the test part, and an example of what it is good for.
    pub fn report(&self, data: &Dataset, model: &Embeddings) -> Result<(), Box<dyn Error>> {
        let cutoffs = [20.min(data.train.num_items())];
        println!("{}", model.evaluate_test(data, LeftOut::Train, &cutoffs)?);
        if data.validation.is_some() {
            println!("{}", model.evaluate_test(data, LeftOut::TrainAndValidation, &cutoffs)?);
        }
        if let Some(best) = model.report.as_ref().and_then(|report| report.best.as_ref()) {
            println!("epoch {}, the best on the validation part", best.epoch);
        }
        let best = model.recommend(&[0], 5, &data.train)?;
        println!("user 0 might like items {:?}", best.row(0).0);
        Ok(())
    }
}
