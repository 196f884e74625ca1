//! Checkpoints: what one holds, how it is replaced by the next, and how a damaged one is passed over.

use crate::error::{Difference, TrainError};
use crate::files::{Digest, prepare_safetensors, read_safetensors};
use crate::report::{Best, EpochRecord};
use crate::trainee::State;
use crate::training::Budget;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
const RUN: &str = "run";
/// Suffix of the second name that a checkpoint has for a moment while it is replaced.
pub(crate) const LINK: &str = ".link";

/// What decides the numbers of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) trainee: String,
    pub(crate) seed: u64,
    pub(crate) config: Value,
}

/// Everything about a run after an epoch, except for its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    pub(crate) format: u32,
    pub(crate) identity: Identity,
    pub(crate) config_digest: String,
    /// Completed epochs.
    pub(crate) epoch: usize,
    pub(crate) history: Vec<EpochRecord>,
    pub(crate) best: Option<Best>,
    /// Evaluations since the best one.
    pub(crate) waiting: usize,
    /// The epoch in progress, where a run ended within one; its record is the last of the history.
    #[serde(default)]
    pub(crate) partial: Option<Partial>,
}

/// A part of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Partial {
    /// Steps taken.
    pub(crate) done: usize,
    /// Sum and number of the values of each loss.
    pub(crate) sums: BTreeMap<String, (f64, usize)>,
}

impl Identity {
    /// Dotted paths and JSON values; the number of epochs is left out.
    fn flat(&self) -> BTreeMap<String, String> {
        fn add(path: String, value: &Value, flat: &mut BTreeMap<String, String>) {
            match value {
                Value::Object(map) if !map.is_empty() => {
                    for (key, value) in map {
                        add(format!("{path}.{key}"), value, flat);
                    }
                }
                other => {
                    flat.insert(path, other.to_string());
                }
            }
        }
        let mut flat = BTreeMap::new();
        add("config".into(), &self.config, &mut flat);
        flat.remove("config.epochs");
        flat.insert("trainee".into(), self.trainee.clone());
        flat.insert("seed".into(), self.seed.to_string());
        flat
    }

    pub(crate) fn digest(&self) -> String {
        let mut digest = Digest::new();
        for (key, value) in self.flat() {
            digest.bytes(key.as_bytes());
            digest.bytes(value.as_bytes());
        }
        digest.hex()
    }

    fn differences(&self, now: &Self) -> Vec<Difference> {
        let (saved, now) = (self.flat(), now.flat());
        let keys: std::collections::BTreeSet<&String> = saved.keys().chain(now.keys()).collect();
        let text = |map: &BTreeMap<String, String>, key| map.get(key).cloned().unwrap_or_else(|| "(absent)".into());
        keys.into_iter()
            .filter(|key| saved.get(*key) != now.get(*key))
            .map(|key| Difference { key: key.clone(), saved: text(&saved, key), now: text(&now, key) })
            .collect()
    }
}

impl RunState {
    pub(crate) fn new(identity: Identity) -> Self {
        let config_digest = identity.digest();
        let history = Vec::new();
        Self { format: FORMAT, identity, config_digest, epoch: 0, history, best: None, waiting: 0, partial: None }
    }

    /// Steps taken, those of an epoch in progress included.
    pub(crate) fn steps(&self) -> usize {
        self.history.iter().map(|record| record.steps).sum()
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The checkpoint before this one, kept in case this one is damaged.
pub(crate) fn previous(path: &Path) -> PathBuf {
    with_suffix(path, ".prev")
}

/// Writes a checkpoint; the one that was there becomes `.prev`. At every moment `path`, or failing that `.prev`, is complete.
pub(crate) fn save(path: &Path, run: &RunState, state: &State) -> Result<(), TrainError> {
    let text = serde_json::to_string(run).expect("a run's state is JSON");
    let next = prepare_safetensors(path, state, &BTreeMap::from([(RUN.to_string(), text)]))?;
    if path.exists() {
        let prev = previous(path);
        let link = with_suffix(path, LINK);
        fs::remove_file(&link).ok();
        // A second name for the old file, so that `path` itself is never absent; where links do not exist, a rename.
        if fs::hard_link(path, &link).is_ok() {
            fs::rename(&link, &prev).map_err(TrainError::write(&prev))?;
        } else {
            fs::rename(path, &prev).map_err(TrainError::write(&prev))?;
        }
    }
    next.rename()
}

fn read(path: &Path) -> Result<(RunState, State), TrainError> {
    let (state, metadata) = read_safetensors(path)?;
    let corrupt = |reason: String| TrainError::Corrupt { path: path.to_path_buf(), reason };
    let text = metadata.get(RUN).ok_or_else(|| corrupt("tensors, but no record of a run".into()))?;
    let run: RunState = serde_json::from_str(text).map_err(|e| corrupt(format!("record of the run: {e}")))?;
    if run.format != FORMAT {
        return Err(corrupt(format!("checkpoint format {}, this version reads {FORMAT}", run.format)));
    }
    Ok((run, state))
}

/// Reads a checkpoint that `wanted` accepts, or the one before it. Notes say what was passed over. `None` if there is
/// neither.
pub(crate) fn load(
    path: &Path,
    notes: &mut Vec<String>,
    wanted: impl Fn(&RunState) -> bool,
) -> Result<Option<(RunState, State)>, TrainError> {
    let mut first = None;
    for candidate in [path.to_path_buf(), previous(path)] {
        match read(&candidate) {
            Ok((run, state)) if wanted(&run) => {
                if let Some(error) = first {
                    notes.push(format!("{error}; went on from {} (epoch {})", candidate.display(), run.epoch));
                    set_aside(path, notes);
                }
                return Ok(Some((run, state)));
            }
            Ok(_) => {}
            Err(TrainError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if first.is_none() => first = Some(error),
            Err(error) => {
                let (path, reason) = match first.take() {
                    Some(TrainError::Corrupt { path, reason }) => (path, reason),
                    Some(other) => return Err(other),
                    None => unreachable!("the first error is set"),
                };
                return Err(TrainError::Corrupt { path, reason: format!("{reason}; and the one before it: {error}") });
            }
        }
    }
    match first {
        Some(TrainError::Corrupt { path, reason }) => {
            Err(TrainError::Corrupt { path, reason: format!("{reason}; and there is no earlier checkpoint") })
        }
        Some(other) => Err(other),
        None => Ok(None),
    }
}

/// Renames a damaged file, so that it does not become the `.prev` of the next one in place of the good one.
fn set_aside(path: &Path, notes: &mut Vec<String>) {
    let aside = with_suffix(path, ".damaged");
    if path.exists() && fs::rename(path, &aside).is_ok() {
        notes.push(format!("the damaged file is kept as {}", aside.display()));
    }
}

/// Refuses a checkpoint of another run, except for the settings that may change; says which have.
pub(crate) fn check(
    path: &Path,
    saved: &RunState,
    now: &Identity,
    budget: Budget,
    allowed: &[String],
) -> Result<Vec<String>, TrainError> {
    let may = |key: &str| allowed.iter().any(|name| key == name || key.ends_with(&format!(".{name}")));
    let (changed, keys): (Vec<_>, Vec<_>) =
        saved.identity.differences(now).into_iter().partition(|difference| may(&difference.key));
    if !keys.is_empty() {
        return Err(TrainError::OtherConfig { path: path.to_path_buf(), keys });
    }
    let (name, wanted, has) = match budget {
        Budget::Epochs(epochs) => ("epochs", epochs, saved.epoch + usize::from(saved.partial.is_some())),
        Budget::Steps(steps) => ("steps", steps, saved.steps()),
    };
    if has > wanted {
        return Err(TrainError::setting(name, wanted, format!("at least {has}, the {name} of the checkpoint")));
    }
    Ok(changed.into_iter().map(|d| format!("{} was {} and is {} from here on", d.key, d.saved, d.now)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn identity(config: Value) -> Identity {
        Identity { trainee: "t".into(), seed: 1, config }
    }

    #[test]
    fn differences_name_the_key_and_both_values() {
        let a = identity(json!({"lr": 0.1, "epochs": 3, "loss": {"temperature": 0.2, "kind": "nce"}}));
        let b = Identity { seed: 2, ..identity(json!({"lr": 0.1, "epochs": 9, "loss": {"temperature": 0.5}})) };
        let found: Vec<_> = a.differences(&b).into_iter().map(|d| (d.key, d.saved, d.now)).collect();
        let want = [
            ("config.loss.kind", "\"nce\"", "(absent)"),
            ("config.loss.temperature", "0.2", "0.5"),
            ("seed", "1", "2"),
        ];
        assert_eq!(found, want.map(|(k, s, n)| (k.to_string(), s.to_string(), n.to_string())));
        assert_ne!(a.digest(), b.digest());
        let more_epochs = identity(json!({"loss": {"kind": "nce", "temperature": 0.2}, "epochs": 7, "lr": 0.1}));
        assert!(a.differences(&more_epochs).is_empty());
        assert_eq!(a.digest(), more_epochs.digest());
    }

    #[test]
    fn the_last_two_checkpoints_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.safetensors");
        let mut run = RunState::new(identity(json!({})));
        for epoch in 1..=3 {
            run.epoch = epoch;
            save(&path, &run, &State::new()).unwrap();
        }
        let mut notes = Vec::new();
        assert_eq!(load(&path, &mut notes, |_| true).unwrap().unwrap().0.epoch, 3);
        assert_eq!(load(&path, &mut notes, |r| r.epoch < 3).unwrap().unwrap().0.epoch, 2);
        fs::remove_file(&path).unwrap();
        assert_eq!(load(&path, &mut notes, |_| true).unwrap().unwrap().0.epoch, 2);
        assert!(load(&path, &mut notes, |r| r.epoch > 2).unwrap().is_none());
        assert!(notes.is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
