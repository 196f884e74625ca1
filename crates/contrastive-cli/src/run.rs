//! A run folder as the commands see it: what was asked for, and what came out.

use crate::failure::Failure;
use crate::reading::Source;
use crate::registry::{self, Method};
use crate::table::{FileKind, Table};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What `train` was asked for: `command.json` of a run folder. It is what `--resume` goes on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The method, by its name in the registry.
    pub method: String,
    /// The data and how it is read.
    pub source: Source,
    /// All settings of the method.
    pub settings: Value,
    /// The seed.
    pub seed: u64,
    /// `--epochs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// `--steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// `--evaluate-every`.
    pub evaluate_every: usize,
    /// `--patience` with its metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<(String, usize)>,
}

const RECORD: &str = "command.json";

impl Record {
    /// Reads the record of a run folder.
    ///
    /// # Errors
    /// When the folder holds none, or it is damaged.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(RECORD);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::new(format!(
                "{} is not a run of `contrastive train`: {}: {error}",
                folder.display(),
                path.display()
            ))
        })?;
        serde_json::from_str(&text).map_err(|error| Failure::new(format!("{} is damaged: {error}", path.display())))
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        let text = serde_json::to_string_pretty(self).expect("a record is JSON");
        Ok(contrastive_train::atomic_write(&folder.join(RECORD), |out| writeln!(out, "{text}"))?)
    }
}

/// A run folder with its record, on a device.
#[derive(Clone, Debug)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// What it was asked for.
    pub record: Record,
    /// Where models go.
    pub device: Device,
}

impl Run {
    /// Opens a folder.
    ///
    /// # Errors
    /// As [`Record::read`].
    pub fn open(folder: &Path, device: &Device) -> Result<Self, Failure> {
        Ok(Self { folder: folder.into(), record: Record::read(folder)?, device: device.clone() })
    }

    /// The method of the run.
    ///
    /// # Errors
    /// When the registry has none of that name.
    pub fn method(&self) -> Result<Method, Failure> {
        registry::method(&self.record.method)
    }

    /// A file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The names of its tables of embeddings, in order.
    pub fn table_names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.file("embeddings")).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.path())
            .filter(|path| {
                path.extension().is_some_and(|ending| ending == "npy") && path.with_extension("csv").is_file()
            })
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
            .collect();
        names.sort();
        names
    }

    /// A table of the run; without a name, the only one.
    ///
    /// # Errors
    /// When there is none of that name, or no name and several.
    pub fn table(&self, name: Option<&str>) -> Result<Table, Failure> {
        let names = self.table_names();
        if names.is_empty() {
            return Err(Failure::new(format!(
                "{} has no embeddings yet: the run is not complete (contrastive train --resume --run-dir {} goes on)",
                self.folder.display(),
                self.folder.display()
            )));
        }
        let name = match (name, names.as_slice()) {
            (Some(name), _) if names.iter().any(|own| own == name) => name,
            (None, [only]) => only,
            (name, _) => {
                let asked = name.map_or("--table is needed".to_string(), |name| format!("there is no table {name:?}"));
                return Err(Failure::usage(format!("{asked}: {} has {}", self.folder.display(), names.join(", "))));
            }
        };
        Table::read(&self.file("embeddings").join(format!("{name}.npy")))
    }

    /// Writes a table.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_table(&self, table: &Table) -> Result<(), Failure> {
        table.write(&self.file("embeddings").join(format!("{}.npy", table.name)), FileKind::Npy).map(|_| ())
    }

    /// Fails where the data of a table is not what the run was trained on.
    ///
    /// # Errors
    /// Naming the first id that differs.
    pub fn same_ids(&self, table: &Table, ids: &[String]) -> Result<(), Failure> {
        if table.ids == ids {
            return Ok(());
        }
        let what = match table.ids.iter().zip(ids).find(|(own, other)| own != other) {
            Some((own, other)) => format!("{own:?} stands where it now has {other:?}"),
            None => format!("{} rows where it now has {}", table.ids.len(), ids.len()),
        };
        Err(Failure::new(format!("the data has changed since the run was trained: in {}, {what}", table.name)))
    }
}
