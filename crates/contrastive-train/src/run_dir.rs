//! The folder of a run.

use crate::checkpoint::{self, RunState, previous};
use crate::device::device_name;
use crate::error::TrainError;
use crate::files::{TEMPORARY, atomic_write, write_npy, write_safetensors};
use crate::options::FitOptions;
use crate::report::{EpochRecord, RunReport};
use crate::trainee::{State, Trainee};
use crate::training::Budget;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The version of Burn this crate is built for; a test compares it with the lock file.
pub(crate) const BURN: &str = "0.22.1";

/// An open run folder; locked against other runs until it is dropped.
pub(crate) struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes and locks the folder, and clears it of what a killed process or (if allowed) an earlier run left.
    pub(crate) fn open(path: &Path, options: &FitOptions) -> Result<Self, TrainError> {
        fs::create_dir_all(path).map_err(TrainError::write(path))?;
        let lock_path = path.join("lock");
        let lock = File::options().write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(TrainError::write(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(TrainError::Locked { path: path.to_path_buf() }),
            // A file system without locks: go on without.
            Err(fs::TryLockError::Error(_)) => {}
        }
        let dir = Self { path: path.to_path_buf(), _lock: lock };
        for entry in fs::read_dir(path).map_err(TrainError::read(path))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(TEMPORARY) || name.ends_with(checkpoint::LINK) {
                fs::remove_file(entry.path()).ok();
            }
        }
        dir.clear_embeddings(|name| name.starts_with(TEMPORARY))?;
        if !options.resume {
            dir.vacate(options.overwrite)?;
        }
        Ok(dir)
    }

    fn vacate(&self, overwrite: bool) -> Result<(), TrainError> {
        let (checkpoint, best) = (self.checkpoint(), self.best());
        let models = [previous(&checkpoint), previous(&best), checkpoint, best, self.file("model.safetensors")];
        let found = models.iter().find(|file| file.exists());
        if let (Some(found), false) = (found, overwrite) {
            let what = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(TrainError::Occupied { path: self.path.clone(), what });
        }
        self.clear_embeddings(|name| name.ends_with(".npy"))?;
        for file in models.iter().chain(&[self.file("metrics.jsonl"), self.file("report.json")]) {
            match fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(TrainError::write(file)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes files of the folder of embeddings by their names, and the folder if it is empty then.
    fn clear_embeddings(&self, goes: impl Fn(&str) -> bool) -> Result<(), TrainError> {
        let folder = self.file("embeddings");
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
        for entry in entries.flatten().filter(|entry| goes(&entry.file_name().to_string_lossy())) {
            fs::remove_file(entry.path()).map_err(TrainError::write(&entry.path()))?;
        }
        fs::remove_dir(&folder).ok();
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.file("checkpoint.safetensors")
    }

    pub(crate) fn best(&self) -> PathBuf {
        self.file("best.safetensors")
    }

    pub(crate) fn write_config(&self, run: &RunState, options: &FitOptions, budget: Budget) -> Result<(), TrainError> {
        let stopping = options.early_stopping.as_ref().map(|e| json!({"metric": e.metric, "patience": e.patience}));
        let config = json!({
            "trainee": run.identity.trainee,
            "config": run.identity.config,
            "config_digest": run.config_digest,
            "seed": options.seed,
            "budget": budget,
            "evaluate_every": options.evaluate_every,
            "early_stopping": stopping,
            "device": device_name(&options.device),
            "versions": {
                "contrastive-train": env!("CARGO_PKG_VERSION"),
                "burn": BURN,
                "rustc": env!("CONTRASTIVE_RUSTC"),
                "target": env!("CONTRASTIVE_TARGET"),
            },
        });
        self.write_json("config.json", &config)
    }

    fn write_json(&self, name: &str, value: &impl serde::Serialize) -> Result<(), TrainError> {
        let text = serde_json::to_string_pretty(value).expect("numbers, strings and maps are JSON");
        atomic_write(&self.file(name), |out| writeln!(out, "{text}"))
    }

    /// Sets `metrics.jsonl` to these epochs: those of the checkpoint, without what was written after it.
    pub(crate) fn restart_metrics(&self, history: &[EpochRecord]) -> Result<(), TrainError> {
        atomic_write(&self.file("metrics.jsonl"), |out| {
            history.iter().try_for_each(|record| out.write_all(&line(record)))
        })
    }

    pub(crate) fn append_metrics(&self, record: &EpochRecord) -> Result<(), TrainError> {
        let path = self.file("metrics.jsonl");
        let file = File::options().append(true).create(true).open(&path);
        // One write, so that a killed process leaves a whole line or none.
        file.and_then(|mut file| file.write_all(&line(record))).map_err(TrainError::write(&path))
    }

    pub(crate) fn save(&self, run: &RunState, state: &State) -> Result<(), TrainError> {
        checkpoint::save(&self.checkpoint(), run, state)
    }

    /// The model, its embeddings and the report.
    pub(crate) fn write_results(
        &self,
        trainee: &(impl Trainee + ?Sized),
        report: &RunReport,
    ) -> Result<(), TrainError> {
        let metadata = BTreeMap::from([
            ("trainee".to_string(), report.trainee.clone()),
            ("config".to_string(), trainee.config().to_string()),
            ("epochs".to_string(), report.epochs.to_string()),
            ("seed".to_string(), report.seed.to_string()),
        ]);
        let (model, artifacts) = (trainee.model(), trainee.artifacts());
        for (name, table) in &artifacts {
            if let Some(&value) = table.iter().find(|value| !value.is_finite()) {
                return Err(report.not_finite(format!("embeddings/{name}"), f64::from(value)));
            }
        }
        write_safetensors(&self.file("model.safetensors"), &model, &metadata)?;
        if !artifacts.is_empty() {
            let folder = self.file("embeddings");
            fs::create_dir_all(&folder).map_err(TrainError::write(&folder))?;
            for (name, table) in artifacts {
                let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
                if name.is_empty() || name.starts_with('.') || !name.chars().all(good) {
                    return Err(TrainError::Name { name });
                }
                write_npy(&folder.join(format!("{name}.npy")), &table)?;
            }
        }
        self.write_json("report.json", report)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn line(record: &EpochRecord) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("numbers and strings are JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_recorded_version_of_burn_is_the_locked_one() {
        let lock = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        let Ok(lock) = std::fs::read_to_string(lock) else {
            println!("no lock file beside the workspace: nothing to compare");
            return;
        };
        assert!(lock.contains(&format!("name = \"burn\"\nversion = \"{}\"\n", super::BURN)));
    }
}
