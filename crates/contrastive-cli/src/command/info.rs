//! `contrastive info`.

use crate::Answer;
use crate::args::InfoArgs;
use crate::domain::{Described, Domain, domains};
use crate::failure::{Failure, USAGE};
use crate::reading::Source;
use crate::registry;
use serde_json::{Map, Value, json};

/// Notes that are shown of each kind; a damaged file may have thousands.
const NOTES: usize = 20;

pub(crate) fn info(args: &InfoArgs) -> Result<Answer, Failure> {
    let source = Source { data: Some(args.file.clone()), reading: args.reading.clone() };
    let path = source.shown();
    if !args.file.exists() {
        return Err(Failure::new(format!("{path}: there is no such file or folder")));
    }
    let chosen: Vec<&dyn Domain> = match &args.kind {
        Some(kind) => domains().into_iter().filter(|domain| domain.name() == kind).collect(),
        None => domains().to_vec(),
    };
    let (mut read, mut refused) = (Vec::new(), Vec::new());
    for domain in chosen {
        match domain.describe(&source) {
            Ok(described) => read.push((domain, described)),
            Err(failure) if failure.code == USAGE && args.kind.is_some() => return Err(failure),
            Err(failure) => refused.push((domain, failure.message)),
        }
    }
    if read.is_empty() {
        let reasons: Vec<String> = refused.iter().map(|(domain, why)| format!("as {}: {why}", domain.name())).collect();
        return Err(Failure::new(format!("{path} cannot be read\n  {}", reasons.join("\n  "))));
    }
    let mut text = format!(
        "{path} can be read as {}\n",
        read.iter().map(|(domain, _)| domain.name()).collect::<Vec<_>>().join(", ")
    );
    for (domain, described) in &read {
        text.push_str(&format!("\n{}: {}\n", domain.name(), described.what));
        described.notes.iter().take(NOTES).for_each(|note| text.push_str(&format!("  note: {note}\n")));
        if described.notes.len() > NOTES {
            text.push_str(&format!("  and {} more notes\n", described.notes.len() - NOTES));
        }
        text.push_str(&format!("  methods: {}\n", methods_of(*domain).join(", ")));
    }
    if !refused.is_empty() {
        text.push('\n');
    }
    refused.iter().for_each(|(domain, why)| text.push_str(&format!("not as {}: {why}\n", domain.name())));
    let as_json = |(domain, described): &(&dyn Domain, Described)| {
        let facts: Map<String, Value> =
            described.facts.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        json!({"kind": domain.name(), "what": described.what, "facts": facts, "notes": described.notes, "methods": methods_of(*domain)})
    };
    let reasons: Map<String, Value> =
        refused.iter().map(|(domain, why)| (domain.name().to_string(), json!(why))).collect();
    let readable: Vec<Value> = read.iter().map(as_json).collect();
    Ok(Answer { text, json: json!({"file": args.file, "read": readable, "refused": reasons}) })
}

fn methods_of(domain: &dyn Domain) -> Vec<&'static str> {
    registry::methods()
        .iter()
        .filter(|method| method.domain.name() == domain.name())
        .map(|method| method.name)
        .collect()
}
