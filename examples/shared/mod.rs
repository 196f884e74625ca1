//! What the recommender examples share: the command line of a run, its data, and the report.

use clap::Args;
use contrastive::Device;
use contrastive::data::{Column, Delimiter};
use contrastive::eval::ranking::LeftOut;
use contrastive::graph::user_item::Embeddings;
use contrastive::graph::user_item::data::{Columns, Dataset, Format, IdPolicy, LoadOptions, Split, generate, split};
use contrastive::train::{FitOptions, parse_device};
use std::error::Error;
use std::path::PathBuf;

/// How files are read: a flag for each of the [`LoadOptions`].
#[derive(Args, Debug)]
struct Reading {
    /// light-gcn, ratings, rec-bole, delimited or sparse-matrix; without it, found by content and name.
    #[arg(long)]
    format: Option<Format>,
    /// auto, zero-based, one-based, relabel, or tokens (any text is an id).
    #[arg(long, default_value = "auto")]
    ids: IdPolicy,
    /// Column of the user ids, by name or by position from 0.
    #[arg(long)]
    user_column: Option<Column>,
    /// Column of the item ids.
    #[arg(long)]
    item_column: Option<Column>,
    /// Column of the ratings.
    #[arg(long)]
    rating_column: Option<Column>,
    /// Column of the times.
    #[arg(long)]
    time_column: Option<Column>,
    /// Whether the first row is a header: true or false; without it, found out.
    #[arg(long)]
    header: Option<bool>,
    /// comma, tab, semicolon, bar, double-colon or blanks; without it, found out.
    #[arg(long)]
    delimiter: Option<Delimiter>,
    /// Only rows rated at least this count.
    #[arg(long)]
    min_rating: Option<f64>,
    /// How test pairs are chosen where the data has none: per-user, random, leave-one-out or none.
    #[arg(long, default_value = "per-user")]
    split: Split,
    /// Share of the pairs for testing where the data has no test part.
    #[arg(long, default_value_t = 0.2)]
    test_fraction: f64,
    /// Share of the training pairs for validation where the data has no validation part.
    #[arg(long, default_value_t = 0.0)]
    validation_fraction: f64,
    /// Seed of the splits.
    #[arg(long, default_value_t = 0)]
    split_seed: u64,
    /// The greatest size of a file in bytes.
    #[arg(long)]
    max_bytes: Option<u64>,
    /// Refuse what is otherwise only noted: repeated pairs, gaps, users without items.
    #[arg(long)]
    strict: bool,
}

impl Reading {
    fn options(&self) -> LoadOptions {
        let columns = Columns {
            user: self.user_column.clone(),
            item: self.item_column.clone(),
            rating: self.rating_column.clone(),
            time: self.time_column.clone(),
        };
        LoadOptions {
            strict: self.strict,
            format: self.format,
            ids: self.ids,
            min_rating: self.min_rating,
            columns,
            header: self.header,
            delimiter: self.delimiter,
            max_bytes: self.max_bytes.unwrap_or(LoadOptions::default().max_bytes),
            split: self.split,
            test_fraction: self.test_fraction,
            validation_fraction: self.validation_fraction,
            seed: self.split_seed,
        }
    }
}

/// Data, budget and device of a run.
#[derive(Args, Debug)]
pub struct Run {
    /// Interactions: a folder or file of LightGCN lists, ratings, RecBole .inter, CSV or pickled matrices (docs/formats.md). Without it, a generated
    /// set with planted communities.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
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
            Some(path) => Dataset::open(path, &self.reading.options())?,
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
