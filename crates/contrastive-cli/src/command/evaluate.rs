//! `contrastive evaluate`.

use super::{open, shown};
use crate::Answer;
use crate::args::EvaluateArgs;
use crate::domain::Evaluation;
use crate::failure::Failure;
use serde_json::{Map, Value, json};

pub(crate) fn evaluate(args: &EvaluateArgs) -> Result<Answer, Failure> {
    let run = open(&args.run, &args.device)?;
    let asked = Evaluation { cutoffs: args.at.clone(), seed: args.seed, pairs: args.pairs.clone() };
    let domain = run.method()?.domain;
    if asked.pairs.is_some() && domain.name() != "sentences" {
        return Err(Failure::usage(format!("--pairs is for sentences, and this run is of {}", domain.name())));
    }
    let scores = domain.evaluate(&run, &asked)?;
    let width = scores.values.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = format!("{} on {}\n", run.record.method, run.record.source.shown());
    for (name, value) in &scores.values {
        text.push_str(&format!("{name:width$}  {}\n", shown(*value)));
    }
    scores.notes.iter().for_each(|note| text.push_str(&format!("({note})\n")));
    let values: Map<String, Value> = scores.values.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    Ok(Answer {
        text,
        json: json!({"method": run.record.method, "run": args.run, "scores": values, "notes": scores.notes}),
    })
}
