//! How data is read: a flag for each choice of the readers.

use crate::failure::Failure;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::str::FromStr;

/// How files are read. Each kind of data takes some of these, and refuses the others.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "How the data is read")]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// The layout, where it is not to be found by content and name. Interactions: light-gcn, ratings, rec-bole, delimited, sparse-matrix;
    /// nodes: planetoid, npz, geom-gcn, musae, tables, linqs, wiki-cs, matlab, edge-list.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// How ids are numbered inside: auto, zero-based, one-based, relabel, tokens (any text is an id).
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<String>,
    /// Column of the users, by name or by position from 0.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_column: Option<String>,
    /// Column of the items.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_column: Option<String>,
    /// Column of the ratings.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating_column: Option<String>,
    /// Column of the times.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_column: Option<String>,
    /// Column of the texts of a table.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_column: Option<String>,
    /// Whether the first row names the columns: true or false.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// comma, tab, semicolon, bar, double-colon or blanks.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Only rows rated at least this count.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_rating: Option<f64>,
    /// How test pairs are chosen where the data has none: per-user, random, leave-one-out or none.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Share of the pairs for testing where the data has no test part (0.2).
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_fraction: Option<f64>,
    /// Share of the training pairs for validation where the data has no validation part (0).
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_fraction: Option<f64>,
    /// Seed of the splits (0).
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<u64>,
    /// The greatest size of a file in bytes.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Leave out users and items of sequences with fewer events, again and again.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<usize>,
    /// All images are brought to this side (32).
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<usize>,
    /// Labels of an edge list, where they are not beside it.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_file: Option<PathBuf>,
    /// Features of an edge list, where they are not beside it.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_file: Option<PathBuf>,
    /// Edges keep their direction.
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub directed: bool,
    /// Edges from a node to itself stay.
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub keep_self_loops: bool,
    /// Weights of repeated edges are added up.
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub sum_duplicates: bool,
    /// Edges to unknown nodes are left out instead of refused.
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub drop_dangling: bool,
    /// Refuse what is otherwise only noted.
    #[arg(long)]
    #[serde(skip_serializing_if = "is_false")]
    pub strict: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a value of a flag must be, when it is not.
///
/// # Errors
/// A usage error with the flag and what is allowed.
pub fn parsed<T: FromStr>(flag: &str, text: &Option<String>) -> Result<Option<T>, Failure>
where
    T::Err: std::fmt::Display,
{
    let parse = |text: &String| text.parse().map_err(|error| Failure::usage(format!("--{flag}: {error}")));
    text.as_ref().map(parse).transpose()
}

impl Reading {
    /// Refuses a flag that `kind` of data does not take.
    ///
    /// # Errors
    /// A usage error with the flags that it takes.
    pub fn only(&self, kind: &str, flags: &[&str]) -> Result<(), Failure> {
        let given = serde_json::to_value(self).expect("flags are JSON");
        let flag = |key: &String| key.replace('_', "-");
        match given
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
            .map(flag)
            .find(|key| !flags.contains(&key.as_str()))
        {
            None => Ok(()),
            Some(other) => {
                let own: Vec<String> = flags.iter().map(|flag| format!("--{flag}")).collect();
                let own = if own.is_empty() { "none".into() } else { own.join(", ") };
                Err(Failure::usage(format!("--{other} does not apply to {kind}; of the reading flags it takes {own}")))
            }
        }
    }
}

/// Where data comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// A file or folder; without, generated data.
    pub data: Option<PathBuf>,
    /// How it is read.
    pub reading: Reading,
}

impl Source {
    /// A path for messages.
    pub fn shown(&self) -> String {
        self.data.as_ref().map_or_else(|| "generated data".into(), |path| path.display().to_string())
    }
}
