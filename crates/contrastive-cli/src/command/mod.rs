//! What each command does.

mod embed;
mod evaluate;
mod info;
mod methods;
mod neighbors;
mod recommend;
mod report;
mod train;

pub(crate) use embed::embed;
pub(crate) use evaluate::evaluate;
pub(crate) use info::info;
pub(crate) use methods::methods;
pub(crate) use neighbors::neighbors;
pub(crate) use recommend::recommend;
pub(crate) use report::report;
pub(crate) use train::train;

use crate::Answer;
use crate::failure::Failure;
use crate::run::Run;
use crate::table::{csv_text, write_csv};
use contrastive_train::parse_device;
use serde_json::{Value, json};
use std::path::Path;

fn open(folder: &Path, device: &str) -> Result<Run, Failure> {
    Run::open(folder, &parse_device(device)?)
}

/// Rows as CSV, in a file or as the text of the answer.
fn listed(header: &[&str], rows: &[Vec<String>], out: Option<&Path>, json: Value) -> Result<Answer, Failure> {
    let header: Vec<String> = header.iter().map(|name| name.to_string()).collect();
    match out {
        None => Ok(Answer { text: csv_text(&header, rows.iter().cloned()), json }),
        Some(path) => {
            write_csv(path, &header, rows.iter().cloned())?;
            let text = format!("{} rows to {}\n", rows.len(), path.display());
            Ok(Answer { text, json: json!({"file": path, "rows": rows.len()}) })
        }
    }
}

/// A score as people read it.
fn shown(value: f64) -> String {
    format!("{value:.4}")
}
