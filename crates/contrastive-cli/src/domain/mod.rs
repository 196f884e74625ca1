//! The kinds of data: how each is read, trained on, evaluated and used.

pub mod images;
pub mod interactions;
pub mod nodes;
pub mod sentences;
pub mod sequences;
pub mod series;

use crate::failure::Failure;
use crate::reading::Source;
use crate::run::Run;
use crate::table::Table;
use burn::tensor::Device;
use contrastive_eval::neighbours::Knn;
use contrastive_eval::probe::{LinearProbe, LogisticRegression, Split, Targets};
use contrastive_train::{FitOptions, RunReport};
use ndarray::Array2;
use serde_json::Value;
use std::path::PathBuf;

/// What a training is given beside its settings.
#[derive(Clone, Debug)]
pub struct Job {
    /// The data.
    pub source: Source,
    /// Length, seed, run folder, device.
    pub options: FitOptions,
    /// The run folder.
    pub folder: PathBuf,
}

impl Job {
    /// The device.
    pub fn device(&self) -> &Device {
        self.options.device()
    }
}

/// What a training leaves.
#[derive(Clone, Debug)]
pub struct Trained {
    /// What the run reported.
    pub report: RunReport,
    /// The embeddings with their ids.
    pub tables: Vec<Table>,
}

/// What data is taken for.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Such as `12 users, 30 items, 60 + 24 pairs`.
    pub what: String,
    /// The numbers of it.
    pub facts: Vec<(&'static str, Value)>,
    /// What was in doubt or passed over.
    pub notes: Vec<String>,
}

/// Scores by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Name and value, in the order in which they are shown.
    pub values: Vec<(String, f64)>,
    /// By which protocol, and what was left out.
    pub notes: Vec<String>,
}

/// What is recommended to one user.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommended {
    /// The user's id.
    pub user: String,
    /// Items and scores, best first.
    pub items: Vec<(String, f64)>,
}

/// Whom to recommend to, and how much.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// These users; all for an empty list.
    pub users: Vec<String>,
    /// Items of somebody whom the run does not know, for sequences.
    pub after: Vec<String>,
    /// How many.
    pub k: usize,
    /// Whether items that the user has already may be among them.
    pub keep_seen: bool,
}

/// A kind of data.
pub trait Domain: Sync {
    /// Its name, such as `interactions`.
    fn name(&self) -> &'static str;

    /// What files it comes in.
    fn about(&self) -> &'static str;

    /// The reading flags that apply to it.
    fn flags(&self) -> &'static [&'static str];

    /// The metric that `--patience` watches, where training has one.
    fn watched(&self) -> Option<&'static str> {
        None
    }

    /// Reads the data and says what it is.
    ///
    /// # Errors
    /// Of the reader.
    fn describe(&self, source: &Source) -> Result<Described, Failure>;

    /// Scores a run on the data it was trained on.
    ///
    /// # Errors
    /// When the data cannot be read or has changed, or nothing can be scored.
    fn evaluate(&self, run: &Run, asked: &Evaluation) -> Result<Scores, Failure>;

    /// Embeds other data with the model of a run.
    ///
    /// # Errors
    /// For methods that embed what they were trained on alone, and as the readers.
    fn embed(&self, run: &Run, _source: &Source) -> Result<Table, Failure> {
        Err(Failure::usage(format!(
            "{} learns a row for each id it was trained on: it has none for other data (leave --data out)",
            run.record.method
        )))
    }

    /// Rows of texts.
    ///
    /// # Errors
    /// For everything but sentences.
    fn embed_texts(&self, run: &Run, _texts: &[String]) -> Result<Array2<f32>, Failure> {
        Err(Failure::usage(format!("--text is for sentences; {} has {} (--id)", run.record.method, self.name())))
    }

    /// Recommends.
    ///
    /// # Errors
    /// For data without users and items.
    fn recommend(&self, run: &Run, _asked: &Asked) -> Result<Vec<Recommended>, Failure> {
        Err(Failure::usage(format!(
            "{} learns from {}, which has no users to recommend to; `contrastive neighbors` finds what is alike",
            run.record.method,
            self.name()
        )))
    }
}

/// How to evaluate.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Cutoffs of rankings.
    pub cutoffs: Vec<usize>,
    /// Seed of random splits.
    pub seed: u64,
    /// Scored pairs of sentences.
    pub pairs: Option<PathBuf>,
}

/// All kinds of data.
pub fn domains() -> [&'static dyn Domain; 6] {
    [
        &interactions::Interactions,
        &nodes::Nodes,
        &sequences::Sequences,
        &series::Series,
        &sentences::Sentences,
        &images::Images,
    ]
}

/// Says on standard error what was in doubt.
pub fn say(notes: &[String]) {
    notes.iter().for_each(|note| eprintln!("note: {note}"));
}

/// Settings as a configuration.
pub(crate) fn parsed<C: serde::de::DeserializeOwned>(settings: &Value) -> Result<C, String> {
    serde_json::from_value(settings.clone()).map_err(|error| error.to_string())
}

/// Whether settings are a configuration.
pub(crate) fn check<C: serde::de::DeserializeOwned>(settings: &Value) -> Result<(), String> {
    parsed::<C>(settings).map(|_| ())
}

/// Scores of rows with classes: the 20 nearest others by cosine, and a linear probe on half of the rows.
pub(crate) fn labelled(table: &Table, seed: u64) -> Result<Scores, Failure> {
    let (numbers, names) = table.classes();
    let rows: Vec<usize> = (0..numbers.len()).filter(|row| numbers[*row] >= 0).collect();
    if rows.len() < 4 || names.len() < 2 {
        return Err(Failure::new(format!(
            "nothing to score by: {} of {} rows of {} have a class, of {} classes; at least 4 of 2 are needed",
            rows.len(),
            numbers.len(),
            table.name,
            names.len()
        )));
    }
    let x = table.rows.select(ndarray::Axis(0), &rows);
    let y: Vec<u32> = rows.iter().map(|row| numbers[*row] as u32).collect();
    let mut scores = Scores::default();
    let k = 20.min(rows.len() - 1);
    let votes = Knn::new(k).leave_one_out(x.view(), &y, names.len())?;
    scores.values.push((format!("accuracy of the {k} nearest"), votes.score(&y)?.accuracy()));
    let labelled: Vec<u32> = (0..rows.len() as u32).collect();
    let splits: Result<Vec<Split>, _> =
        (0..3).map(|k| Split::random_of(labelled.clone(), 0.5, 0.0, 10 * seed + k)).collect();
    let classifier = LogisticRegression::new(1.0).with_missing_classes(true);
    let probe = LinearProbe::new().with_classifier(classifier);
    match splits.and_then(|splits| probe.run(x.view(), Targets::single(&y, names.len()), &splits)) {
        Ok(report) => {
            let mean = report.runs().iter().map(|run| run.accuracy).sum::<f64>() / report.runs().len() as f64;
            scores.values.push(("accuracy of a linear probe".into(), mean));
        }
        Err(error) => scores.notes.push(format!("no linear probe: {error}")),
    }
    scores.notes.push(format!(
        "{} rows of {} classes; the probe learns from half of them, the mean of 3 splits",
        rows.len(),
        names.len()
    ));
    Ok(scores)
}
