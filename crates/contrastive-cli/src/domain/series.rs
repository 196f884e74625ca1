//! Time series.

use super::{Described, Domain, Evaluation, Job, Scores, Trained, check, labelled, parsed, say};
use crate::failure::Failure;
use crate::reading::Source;
use crate::registry::Method;
use crate::run::Run;
use crate::table::Table;
use burn::tensor::Device;
use contrastive_timeseries::data::{
    Axes, Over, Scaling, Series as Data, SeriesError, TableOptions, read_archive, read_arff, read_npy, read_table,
    read_ts, read_ucr_tsv, seasonal,
};
use contrastive_timeseries::encoder::{DilatedNet, DilatedNetConfig, embed_windows};
use contrastive_timeseries::evaluate::{Classifier, classify};
use contrastive_train::{
    Method as _, MethodConfig, State, Training, load_module, read_safetensors, save_module, write_safetensors,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Series of one or more channels.
#[derive(Clone, Copy, Debug)]
pub struct Series;

const MODEL: &str = "encoder.safetensors";

/// A line of the registry.
pub fn method<C>(name: &'static str, about: &'static str, config: C) -> Method
where
    C: MethodConfig<Data = Data, Error = SeriesError> + DeserializeOwned,
    C::Method: contrastive_train::Method<Model = DilatedNet>,
{
    let defaults = serde_json::to_value(config).expect("settings are JSON");
    Method { name, about, domain: &Series, defaults, check: check::<C>, train: train::<C> }
}

/// The training series, and those of a test part where there is one.
struct Parts {
    name: String,
    train: Data,
    test: Option<Data>,
    scaled: bool,
}

fn one_file(path: &Path) -> Result<Data, Failure> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    Ok(match ending.as_str() {
        "tsv" => read_ucr_tsv(path)?,
        "ts" => read_ts(path)?,
        "arff" => read_arff(path)?,
        "npy" => read_npy(path, Axes::SeriesByTime)?,
        "csv" | "gz" => read_table(path, &TableOptions::default())?,
        _ => {
            return Err(Failure::new(format!(
                "{}: not a file of series by its ending; allowed are .tsv, .ts and .arff of the archives, .npy, and .csv with a line for each time step",
                path.display()
            )));
        }
    })
}

fn read(source: &Source) -> Result<Parts, Failure> {
    source.reading.only(Series.name(), Series.flags())?;
    let (name, train, test) = match &source.data {
        None => ("generated".to_string(), seasonal(60, 50, 1)?, None),
        Some(path) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match path.is_dir() {
                true => {
                    let (train, test) = read_archive(path)?;
                    (name, train, Some(test))
                }
                false => (name, one_file(path)?, None),
            }
        }
    };
    if train.channels() == 1 {
        return Ok(Parts { name, train, test, scaled: false });
    }
    let scaling = Scaling::fit(&train, Over::Channels)?;
    let test = test.map(|test| scaling.apply(&test)).transpose()?;
    Ok(Parts { name, train: scaling.apply(&train)?, test, scaled: true })
}

fn described(parts: &Parts) -> Described {
    let series = &parts.train;
    let (count, channels) = (series.len(), series.channels());
    let (shortest, longest) = (series.shortest(), series.longest());
    let test = parts.test.as_ref().map_or(0, Data::len);
    let classes = series.labels().map_or(0, |labels| labels.names.len());
    let length = if shortest == longest { longest.to_string() } else { format!("{shortest} to {longest}") };
    let what = format!(
        "{}: {count} series of {channels} channels and {length} steps, {classes} classes, {test} series to test",
        parts.name
    );
    let facts = vec![
        ("series", json!(count)),
        ("channels", json!(channels)),
        ("shortest", json!(shortest)),
        ("longest", json!(longest)),
        ("classes", json!(classes)),
        ("test", json!(test)),
    ];
    let mut notes = Vec::new();
    if parts.scaled {
        notes.push("channels are brought to mean 0 and deviation 1 of the training part".into());
    }
    if count == 1 {
        notes.push("one series: what a line of this file is, is a time step".into());
    }
    Described { what, facts, notes }
}

/// The vector of each series, numbered from 0 as in the file.
fn table(net: &DilatedNet, series: &Data, device: &Device) -> Result<Table, Failure> {
    let rows = embed_windows(net, series, device)?;
    let table = Table::new("series", rows, (0..series.len()).map(|at| at.to_string()).collect());
    Ok(match series.labels() {
        Ok(labels) => table.with_labels(labels.ids.iter().map(|id| labels.names[*id as usize].clone()).collect()),
        Err(_) => table,
    })
}

fn train<C>(settings: &Value, job: &Job) -> Result<Trained, Failure>
where
    C: MethodConfig<Data = Data, Error = SeriesError> + DeserializeOwned,
    C::Method: contrastive_train::Method<Model = DilatedNet>,
{
    let config: C = parsed(settings).map_err(Failure::new)?;
    config.validate()?;
    let parts = read(&job.source)?;
    let described = described(&parts);
    say(&described.notes);
    eprintln!("{}", described.what);
    let training: Training<C::Method> = config.build(&parts.train, job.options.seed_value(), job.device())?;
    eprintln!("{} on windows of {} channels", training.method().name(), parts.train.channels());
    let trained = training.fit(&job.options)?;
    let mut state = State::new();
    save_module(&trained.model, "encoder", &mut state);
    let metadata = BTreeMap::from([("channels".to_string(), parts.train.channels().to_string())]);
    write_safetensors(&job.folder.join(MODEL), &state, &metadata)?;
    Ok(Trained { tables: vec![table(&trained.model, &parts.train, job.device())?], report: trained.report })
}

/// The encoder of a run.
fn load(run: &Run) -> Result<DilatedNet, Failure> {
    let path = run.file(MODEL);
    let (mut state, metadata) = read_safetensors(&path)?;
    let wrong = |problem: String| Failure::new(format!("{}: {problem}", path.display()));
    let channels = metadata.get("channels").and_then(|text| text.parse().ok());
    let channels = channels.ok_or_else(|| wrong("no number of channels in its metadata".into()))?;
    let config: DilatedNetConfig = parsed(&run.record.settings["net"]).map_err(wrong)?;
    let net = config.init(channels, &mut contrastive_train::epoch_rng(0, 1), &run.device)?;
    Ok(load_module(net, "encoder", &mut state)?)
}

impl Domain for Series {
    fn name(&self) -> &'static str {
        "series"
    }

    fn about(&self) -> &'static str {
        "time series: folders and files of the UCR and UEA archives, .npy, tables with a line for each time step"
    }

    fn flags(&self) -> &'static [&'static str] {
        &[]
    }

    fn describe(&self, source: &Source) -> Result<Described, Failure> {
        Ok(described(&read(source)?))
    }

    fn evaluate(&self, run: &Run, asked: &Evaluation) -> Result<Scores, Failure> {
        let parts = read(&run.record.source)?;
        let own = run.table(Some("series"))?;
        let Some(test) = &parts.test else { return labelled(&own, asked.seed) };
        let tested = embed_windows(&load(run)?, test, &run.device)?;
        let (y, y_test) = (parts.train.labels()?, test.labels()?);
        let of =
            |classifier| classify(classifier, (own.rows.view(), &y.ids), (tested.view(), &y_test.ids), y.names.len());
        let (svm, nearest) = (of(Classifier::Svm)?, of(Classifier::Nearest)?);
        Ok(Scores {
            values: vec![
                ("accuracy of a support vector machine".into(), svm.accuracy),
                ("its macro F1".into(), svm.f1),
                ("accuracy of the nearest".into(), nearest.accuracy),
            ],
            notes: vec![format!("learnt from {} series, tested on {}", parts.train.len(), test.len())],
        })
    }

    fn embed(&self, run: &Run, source: &Source) -> Result<Table, Failure> {
        let parts = read(source)?;
        if parts.scaled {
            say(&["channels are scaled by these series, not by those of the run".into()]);
        }
        table(&load(run)?, &parts.train, &run.device)
    }
}
