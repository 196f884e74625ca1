//! Users and items: recommenders.

use super::{Asked, Described, Domain, Evaluation, Job, Recommended, Scores, Trained, check, parsed, say};
use crate::failure::Failure;
use crate::reading::{self, Source};
use crate::registry::Method;
use crate::run::Run;
use crate::table::Table;
use contrastive_eval::ranking::LeftOut;
use contrastive_graph::user_item::Embeddings;
use contrastive_graph::user_item::data::{Columns, Dataset, LoadOptions, generate};
use contrastive_graph::user_item::method::MethodConfig;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Who touched what.
#[derive(Clone, Copy, Debug)]
pub struct Interactions;

/// A line of the registry.
pub fn method<C: MethodConfig + DeserializeOwned>(name: &'static str, about: &'static str, config: C) -> Method {
    let defaults = serde_json::to_value(config).expect("settings are JSON");
    Method { name, about, domain: &Interactions, defaults, check: check::<C>, train: train::<C> }
}

fn options(source: &Source) -> Result<LoadOptions, Failure> {
    let (reading, usual) = (&source.reading, LoadOptions::default());
    reading.only(Interactions.name(), Interactions.flags())?;
    let columns = Columns {
        user: reading::parsed("user-column", &reading.user_column)?,
        item: reading::parsed("item-column", &reading.item_column)?,
        rating: reading::parsed("rating-column", &reading.rating_column)?,
        time: reading::parsed("time-column", &reading.time_column)?,
    };
    Ok(LoadOptions {
        strict: reading.strict,
        format: reading::parsed("format", &reading.format)?,
        ids: reading::parsed("ids", &reading.ids)?.unwrap_or(usual.ids),
        min_rating: reading.min_rating,
        columns,
        header: reading.header,
        delimiter: reading::parsed("delimiter", &reading.delimiter)?,
        max_bytes: reading.max_bytes.unwrap_or(usual.max_bytes),
        split: reading::parsed("split", &reading.split)?.unwrap_or(usual.split),
        test_fraction: reading.test_fraction.unwrap_or(usual.test_fraction),
        validation_fraction: reading.validation_fraction.unwrap_or(usual.validation_fraction),
        seed: reading.split_seed.unwrap_or(usual.seed),
    })
}

fn read(source: &Source) -> Result<Dataset, Failure> {
    let options = options(source)?;
    match &source.data {
        Some(path) => Ok(Dataset::open(path, &options)?),
        None => {
            let planted = generate::PlantedOptions { users: 200, items: 150, communities: 10, ..Default::default() };
            Ok(generate::planted(&planted)?.dataset)
        }
    }
}

fn described(data: &Dataset) -> Described {
    let (users, items) = (data.num_users(), data.num_items());
    let (train, test) = (data.train.len(), data.test.len());
    let mut what = format!("{}: {users} users, {items} items, {train} pairs to train on, {test} to test", data.name);
    let validation = data.validation.as_ref().map(|part| part.len());
    if let Some(pairs) = validation {
        what = format!("{what}, {pairs} to validate");
    }
    let facts = vec![
        ("users", json!(users)),
        ("items", json!(items)),
        ("train", json!(train)),
        ("test", json!(test)),
        ("validation", json!(validation)),
    ];
    Described { what, facts, notes: data.notes.iter().map(ToString::to_string).collect() }
}

fn user_ids(data: &Dataset) -> Vec<String> {
    (0..data.num_users() as u32).map(|user| data.user_label(user)).collect()
}

fn item_ids(data: &Dataset) -> Vec<String> {
    (0..data.num_items() as u32).map(|item| data.item_label(item)).collect()
}

fn train<C: MethodConfig + DeserializeOwned>(settings: &Value, job: &Job) -> Result<Trained, Failure> {
    let config: C = parsed(settings).map_err(Failure::new)?;
    config.validate()?;
    let data = read(&job.source)?;
    let described = described(&data);
    say(&described.notes);
    eprintln!("{}", described.what);
    let model = config.fit(&data, &job.options)?;
    let tables = vec![
        Table::new("users", model.users.clone(), user_ids(&data)),
        Table::new("items", model.items.clone(), item_ids(&data)),
    ];
    Ok(Trained { report: model.report.expect("a training reports"), tables })
}

/// Embeddings and data of a run.
fn reopened(run: &Run) -> Result<(Embeddings, Dataset), Failure> {
    let (users, items) = (run.table(Some("users"))?, run.table(Some("items"))?);
    let data = read(&run.record.source)?;
    run.same_ids(&users, &user_ids(&data))?;
    run.same_ids(&items, &item_ids(&data))?;
    Ok((Embeddings::new(users.rows, items.rows), data))
}

impl Domain for Interactions {
    fn name(&self) -> &'static str {
        "interactions"
    }

    fn about(&self) -> &'static str {
        "users and items: LightGCN lists, ratings, RecBole .inter, CSV, pickled matrices"
    }

    fn flags(&self) -> &'static [&'static str] {
        &[
            "format",
            "ids",
            "user-column",
            "item-column",
            "rating-column",
            "time-column",
            "header",
            "delimiter",
            "min-rating",
            "split",
            "test-fraction",
            "validation-fraction",
            "split-seed",
            "max-bytes",
            "strict",
        ]
    }

    fn watched(&self) -> Option<&'static str> {
        Some("ndcg@20")
    }

    fn describe(&self, source: &Source) -> Result<Described, Failure> {
        Ok(described(&read(source)?))
    }

    fn evaluate(&self, run: &Run, asked: &Evaluation) -> Result<Scores, Failure> {
        let (model, data) = reopened(run)?;
        if data.test.is_empty() {
            return Err(Failure::new(
                "the data has no test part, so there is nothing to evaluate on (--split, --test-fraction)",
            ));
        }
        let mut scores = Scores::default();
        let mut add = |left_out: LeftOut, suffix: &str| -> Result<(), Failure> {
            let report = model.evaluate_test(&data, left_out, &asked.cutoffs)?;
            scores.values.extend(report.iter().map(|(name, value)| (format!("{name}{suffix}"), value)));
            scores.notes.extend(report.to_string().lines().filter(|line| line.contains(" users")).map(str::to_string));
            Ok(())
        };
        add(LeftOut::Train, "")?;
        if data.validation.is_some() {
            add(LeftOut::TrainAndValidation, ", validation items left out")?;
        }
        Ok(scores)
    }

    fn recommend(&self, run: &Run, asked: &Asked) -> Result<Vec<Recommended>, Failure> {
        if !asked.after.is_empty() {
            return Err(Failure::usage("--after is for methods on sequences; this run knows its users alone (--user)"));
        }
        let (model, data) = reopened(run)?;
        let users = run.table(Some("users"))?;
        let rows: Vec<u32> = match asked.users.is_empty() {
            true => (0..users.ids.len() as u32).collect(),
            false => asked.users.iter().map(|id| users.row(id).map(|row| row as u32)).collect::<Result<_, _>>()?,
        };
        let nothing;
        let seen = if asked.keep_seen {
            nothing =
                contrastive_graph::user_item::data::Interactions::from_pairs(data.num_users(), data.num_items(), [])?;
            &nothing
        } else {
            &data.train
        };
        let best = model.recommend(&rows, asked.k, seen)?;
        let of = |(at, user): (usize, &u32)| {
            let (items, scores) = best.row(at);
            let items = items.iter().zip(scores).map(|(item, score)| (data.item_label(*item), f64::from(*score)));
            Recommended { user: data.user_label(*user), items: items.collect() }
        };
        Ok(rows.iter().enumerate().map(of).collect())
    }
}
