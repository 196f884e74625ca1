//! What users took, in order.

use super::{Asked, Described, Domain, Evaluation, Job, Recommended, Scores, Trained, check, parsed, say};
use crate::failure::Failure;
use crate::reading::{self, Source};
use crate::registry::Method;
use crate::run::Run;
use crate::table::Table;
use contrastive_eval::ranking::Seen;
use contrastive_seqrec::SeqRecError;
use contrastive_seqrec::data::generate::{GenerateOptions, markov_intents};
use contrastive_seqrec::data::{EventColumns, LeaveOneOut, Part, Sequences as Lists, ShortUsers};
use contrastive_seqrec::method::{SequenceMethod, SequenceModel};
use contrastive_train::MethodConfig;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A list of items for each user.
#[derive(Clone, Copy, Debug)]
pub struct Sequences;

const MODEL: &str = "sequences.safetensors";

/// A line of the registry.
pub fn method<C>(name: &'static str, about: &'static str, config: C) -> Method
where
    C: MethodConfig<Data = LeaveOneOut, Error = SeqRecError> + DeserializeOwned,
    C::Method: SequenceMethod,
{
    let defaults = serde_json::to_value(config).expect("settings are JSON");
    Method { name, about, domain: &Sequences, defaults, check: check::<C>, train: train::<C> }
}

fn read(source: &Source) -> Result<LeaveOneOut, Failure> {
    let reading = &source.reading;
    reading.only(Sequences.name(), Sequences.flags())?;
    let columns = EventColumns {
        user: reading::parsed("user-column", &reading.user_column)?,
        item: reading::parsed("item-column", &reading.item_column)?,
        time: reading::parsed("time-column", &reading.time_column)?,
    };
    let mut lists = match &source.data {
        Some(path) if columns == EventColumns::default() => Lists::read(path)?,
        Some(path) => Lists::read_events(path, &columns)?,
        None => markov_intents(&GenerateOptions { users: 120, items: 60, ..GenerateOptions::default() })?.sequences,
    };
    if let Some(core) = reading.core {
        lists = lists.k_core(core)?;
    }
    Ok(LeaveOneOut::new(&lists, ShortUsers::Drop)?)
}

fn described(data: &LeaveOneOut) -> Described {
    let all = data.sequences();
    let (users, items, events) = (all.num_users(), all.num_items(), all.num_events());
    let what = format!("{}: {users} users, {items} items, {events} events in order", all.name());
    let facts = vec![("users", json!(users)), ("items", json!(items)), ("events", json!(events))];
    Described { what, facts, notes: data.notes().iter().map(ToString::to_string).collect() }
}

/// Every user's whole list as the encoder sees it, and the items.
fn tables(model: &SequenceModel, lists: &Lists) -> Result<Vec<Table>, Failure> {
    let all: Vec<&[u32]> = lists.lists().collect();
    let users = (0..lists.num_users()).map(|user| lists.user_label(user).to_string()).collect();
    Ok(vec![
        Table::new("users", model.encode(&all)?, users),
        Table::new("items", model.item_embeddings(), lists.item_labels().to_vec()),
    ])
}

fn train<C>(settings: &Value, job: &Job) -> Result<Trained, Failure>
where
    C: MethodConfig<Data = LeaveOneOut, Error = SeqRecError> + DeserializeOwned,
    C::Method: SequenceMethod,
{
    let config: C = parsed(settings).map_err(Failure::new)?;
    config.validate()?;
    let data = read(&job.source)?;
    let described = described(&data);
    say(&described.notes);
    eprintln!("{}", described.what);
    let trained = config.fit(&data, &job.options)?;
    let model = SequenceModel::of_trained(&trained);
    model.save(job.folder.join(MODEL))?;
    Ok(Trained { tables: tables(&model, data.sequences())?, report: trained.report })
}

impl Domain for Sequences {
    fn name(&self) -> &'static str {
        "sequences"
    }

    fn about(&self) -> &'static str {
        "lists of items in time order: `user item item ...`, RecBole .inter, delimited text with a time column"
    }

    fn flags(&self) -> &'static [&'static str] {
        &["user-column", "item-column", "time-column", "core"]
    }

    fn watched(&self) -> Option<&'static str> {
        Some("ndcg@10")
    }

    fn describe(&self, source: &Source) -> Result<Described, Failure> {
        Ok(described(&read(source)?))
    }

    fn evaluate(&self, run: &Run, asked: &Evaluation) -> Result<Scores, Failure> {
        let data = read(&run.record.source)?;
        let model = SequenceModel::load_for(run.file(MODEL), data.sequences(), &run.device)?;
        let ranks = model.evaluate(&data, Part::Test, Seen::Exclude)?;
        let mut scores = Scores::default();
        for &k in &asked.cutoffs {
            scores.values.push((format!("hr@{k}"), ranks.hit_rate(k)));
            scores.values.push((format!("ndcg@{k}"), ranks.ndcg(k)));
        }
        scores.values.push(("mrr".into(), ranks.mrr(ranks.items())));
        scores.notes.push("leave-one-out over the whole catalogue, items already taken excluded".into());
        Ok(scores)
    }

    fn recommend(&self, run: &Run, asked: &Asked) -> Result<Vec<Recommended>, Failure> {
        let seen = if asked.keep_seen { Seen::Keep } else { Seen::Exclude };
        let shown =
            |items: Vec<(String, f32)>| items.into_iter().map(|(item, score)| (item, f64::from(score))).collect();
        if !asked.after.is_empty() {
            let model = SequenceModel::load(run.file(MODEL), &run.device)?;
            let best = model.recommend_labels(&asked.after, asked.k, seen)?;
            if !best.unknown.is_empty() {
                say(&[format!("items that the run does not know are passed over: {}", best.unknown.join(", "))]);
            }
            return Ok(vec![Recommended { user: asked.after.join(" "), items: shown(best.items) }]);
        }
        let data = read(&run.record.source)?;
        let lists = data.sequences();
        let model = SequenceModel::load_for(run.file(MODEL), lists, &run.device)?;
        let users = run.table(Some("users"))?;
        let rows: Vec<usize> = match asked.users.is_empty() {
            true => (0..users.ids.len()).collect(),
            false => asked.users.iter().map(|id| users.row(id)).collect::<Result<_, _>>()?,
        };
        let own: Vec<&[u32]> = rows.iter().map(|row| lists.list(*row)).collect();
        let best = model.recommend(&own, asked.k, seen)?;
        let named = |list: Vec<(u32, f32)>| {
            list.into_iter().map(|(item, score)| (lists.item_label(item).to_string(), score)).collect()
        };
        let of = |(row, list): (usize, Vec<(u32, f32)>)| Recommended {
            user: users.ids[row].clone(),
            items: shown(named(list)),
        };
        Ok(rows.into_iter().zip(best).map(of).collect())
    }
}
