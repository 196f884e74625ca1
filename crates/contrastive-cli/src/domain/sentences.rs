//! Sentences.

use super::{Described, Domain, Evaluation, Job, Scores, Trained, check, parsed, say};
use crate::failure::Failure;
use crate::reading::{self, Source};
use crate::registry::Method;
use crate::run::Run;
use crate::table::Table;
use contrastive_eval::spread::Spread;
use contrastive_text::TextError;
use contrastive_text::data::generate::{GenerateOptions, paraphrases};
use contrastive_text::data::{Corpus, Sentences as Texts, Tokens, read_sentences, read_sts_benchmark};
use contrastive_text::encoder::{Embed, Embedder, SmallEncoderConfig};
use contrastive_text::evaluate::sts_pairs;
use contrastive_text::method::SentenceModel;
use contrastive_train::MethodConfig;
use ndarray::Array2;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// Texts, one of each line or row.
#[derive(Clone, Copy, Debug)]
pub struct Sentences;

const MODEL: &str = "embedder.safetensors";
/// Tokens of a sentence in training, as in SimCSE.
const MOST: usize = 32;

/// A line of the registry.
pub fn method<C>(name: &'static str, about: &'static str, config: C) -> Method
where
    C: MethodConfig<Data = Corpus, Error = TextError> + DeserializeOwned,
    C::Method: contrastive_train::Method<Model = SentenceModel>,
{
    let defaults = serde_json::to_value(config).expect("settings are JSON");
    Method { name, about, domain: &Sentences, defaults, check: check::<C>, train: train::<C> }
}

fn read(source: &Source) -> Result<(String, Texts), Failure> {
    source.reading.only(Sentences.name(), Sentences.flags())?;
    match &source.data {
        Some(path) => {
            let column = reading::parsed("text-column", &source.reading.text_column)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, read_sentences(path, column.as_ref())?))
        }
        None => {
            let texts = paraphrases(&GenerateOptions { sentences: 200, ..GenerateOptions::default() }).sentences;
            Ok(("generated".into(), Texts { texts, notes: Vec::new() }))
        }
    }
}

fn described(name: &str, texts: &Texts) -> Described {
    let (count, words) =
        (texts.texts.len(), texts.texts.iter().map(|text| text.split_whitespace().count()).sum::<usize>());
    let mean = words as f64 / count as f64;
    let what = format!("{name}: {count} texts of {mean:.1} words");
    let facts = vec![("texts", json!(count)), ("words", json!(words))];
    Described { what, facts, notes: texts.notes.iter().map(ToString::to_string).collect() }
}

/// The texts that are not blank with their rows; ids are the numbers of their lines, from 1.
fn table(model: &Embedder, texts: &[String]) -> Result<Table, Failure> {
    let lines: Vec<usize> = (0..texts.len()).filter(|line| !texts[*line].is_empty()).collect();
    let kept: Vec<&str> = lines.iter().map(|line| texts[*line].as_str()).collect();
    let mut table =
        Table::new("sentences", model.embed(&kept)?, lines.iter().map(|line| (line + 1).to_string()).collect());
    table.texts = kept.into_iter().map(String::from).collect();
    Ok(table)
}

fn train<C>(settings: &Value, job: &Job) -> Result<Trained, Failure>
where
    C: MethodConfig<Data = Corpus, Error = TextError> + DeserializeOwned,
    C::Method: contrastive_train::Method<Model = SentenceModel>,
{
    let config: C = parsed(settings).map_err(Failure::new)?;
    config.validate()?;
    let (name, texts) = read(&job.source)?;
    let described = described(&name, &texts);
    say(&described.notes);
    eprintln!("{}", described.what);
    let tokens = Arc::new(Tokens::words(&texts.texts, 1, 64).map_err(TextError::from)?);
    let corpus = Corpus::sentences(name, &texts.texts, tokens, MOST)?;
    corpus.notes().iter().for_each(|note| eprintln!("note: {note}"));
    let trained = config.fit(&corpus, &job.options)?;
    let encoder: SmallEncoderConfig = parsed(&settings["encoder"]).map_err(Failure::new)?;
    // the supervised form of SimCSE keeps its head
    let model = trained.model.embedder(&encoder, settings["head"] == "kept", &corpus);
    model.save(job.folder.join(MODEL))?;
    Ok(Trained { tables: vec![table(&model, &texts.texts)?], report: trained.report })
}

impl Domain for Sentences {
    fn name(&self) -> &'static str {
        "sentences"
    }

    fn about(&self) -> &'static str {
        "texts: a file with one on each line, or a column of a table (--text-column)"
    }

    fn flags(&self) -> &'static [&'static str] {
        &["text-column"]
    }

    fn describe(&self, source: &Source) -> Result<Described, Failure> {
        let (name, texts) = read(source)?;
        Ok(described(&name, &texts))
    }

    fn evaluate(&self, run: &Run, asked: &Evaluation) -> Result<Scores, Failure> {
        if let Some(path) = &asked.pairs {
            let pairs = read_sts_benchmark(path)?;
            let model = Embedder::load(run.file(MODEL), &run.device)?;
            let notes = vec![format!("{} pairs of {}", pairs.pairs.len(), path.display())];
            return Ok(Scores { values: vec![("spearman".into(), sts_pairs(&model, &pairs)?)], notes });
        }
        let table = run.table(Some("sentences"))?;
        let spread = Spread::of(table.rows.view())?.unit_column_deviation;
        let healthy = 1.0 / (table.rows.ncols() as f64).sqrt();
        Ok(Scores {
            values: vec![("spread".into(), spread), ("spread of rows in all directions".into(), healthy)],
            notes: vec!["--pairs FILE (layout of STS-B) scores the cosines by Spearman's correlation".into()],
        })
    }

    fn embed(&self, run: &Run, source: &Source) -> Result<Table, Failure> {
        let (_, texts) = read(source)?;
        table(&Embedder::load(run.file(MODEL), &run.device)?, &texts.texts)
    }

    fn embed_texts(&self, run: &Run, texts: &[String]) -> Result<Array2<f32>, Failure> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(Embedder::load(run.file(MODEL), &run.device)?.embed(&texts)?)
    }
}
