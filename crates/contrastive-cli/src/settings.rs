//! Settings of a method from its defaults, a TOML file and `--set key=value`.
//!
//! A method's settings are a tree with names. A key is the dotted path of a setting (`table.training.learning_rate`) or its last parts, where
//! they are enough to tell it (`learning_rate`).

use crate::failure::Failure;
use serde_json::{Map, Value};

/// Letters of allowed names in a message, so that it stays below 500.
const SHOWN: usize = 250;

/// Whether settings can be read, or why not.
pub type Check<'a> = &'a dyn Fn(&Value) -> Result<(), String>;

/// The settings of `method`: its defaults, then those of a TOML file, then those of the command line, `key=value`.
///
/// # Errors
/// For a key that names no setting (with the nearest one, and those that are allowed) or several, for a value of another type, and for a file
/// that is not TOML.
pub fn settings(
    method: &str,
    defaults: &Value,
    file: Option<(&str, &str)>,
    sets: &[String],
    check: Check<'_>,
) -> Result<Value, Failure> {
    let mut tree = Tree { method, root: defaults.clone(), check };
    if let Some((name, text)) = file {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Failure::new(format!("{name} is not TOML: {}", one_line(&error.to_string())))
        })?;
        let value = serde_json::to_value(table).map_err(|error| Failure::new(format!("{name}: {error}")))?;
        tree.merge("", &value).map_err(|failure| Failure::new(format!("{name}: {failure}")))?;
    }
    for set in sets {
        let Some((key, value)) = set.split_once('=') else {
            return Err(Failure::usage(format!(
                "--set {set:?}: allowed is key=value, such as --set {}",
                tree.example()
            )));
        };
        let value = serde_json::from_str(value.trim()).unwrap_or_else(|_| Value::String(value.trim().into()));
        tree.set(key.trim(), value).map_err(|failure| Failure::usage(format!("--set {set}: {failure}")))?;
    }
    Ok(tree.root)
}

/// The dotted paths of all settings with their values, in order.
pub fn listed(settings: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    walk("", settings, &mut |path, value| {
        if value.as_object().is_none_or(Map::is_empty) {
            all.push((path.to_string(), value.clone()));
        }
    });
    all
}

/// All paths below the root, inner ones too.
fn walk(path: &str, value: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    if !path.is_empty() {
        visit(path, value);
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        walk(&joined(path, key), inner, visit);
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Tree<'a> {
    method: &'a str,
    root: Value,
    check: Check<'a>,
}

impl Tree<'_> {
    fn example(&self) -> String {
        let first = listed(&self.root).into_iter().find(|(_, value)| value.is_number());
        first.map_or_else(|| "key=value".into(), |(path, value)| format!("{path}={value}"))
    }

    /// Takes over what a file says below a path.
    fn merge(&mut self, path: &str, from: &Value) -> Result<(), Failure> {
        match (self.at(path), from.as_object()) {
            (Some(Value::Object(here)), Some(map)) if !renames(here, map) => {
                for (key, value) in map {
                    let path = joined(path, key);
                    match value.is_object() && self.at(&path).is_some() {
                        true => self.merge(&path, value)?,
                        false => self.set(&path, value.clone())?,
                    }
                }
                Ok(())
            }
            _ => self.set(path, from.clone()),
        }
    }

    fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').filter(|key| !key.is_empty()).try_fold(&self.root, |value, key| value.get(key))
    }

    /// Sets one setting.
    fn set(&mut self, key: &str, value: Value) -> Result<(), Failure> {
        let path = match self.found(key) {
            Ok(path) => path,
            Err(failure) => return self.choice(key, value).ok_or(failure),
        };
        let mut changed = self.root.clone();
        *pointed(&mut changed, &path) = value.clone();
        match (self.check)(&changed) {
            Ok(()) => self.root = changed,
            Err(problem) => return Err(Failure::new(format!("{path} cannot be {value}: {problem}"))),
        }
        Ok(())
    }

    /// A key that is not there because another choice is: `budget.steps` where there is `budget.epochs`.
    fn choice(&mut self, key: &str, value: Value) -> Option<()> {
        let (parent, choice) = key.rsplit_once('.')?;
        let path = self.found(parent).ok()?;
        self.at(&path)?.as_object().filter(|map| map.len() == 1)?;
        let mut changed = self.root.clone();
        *pointed(&mut changed, &path) = Value::Object(Map::from_iter([(choice.to_string(), value)]));
        (self.check)(&changed).ok()?;
        self.root = changed;
        Some(())
    }

    /// The path that a key names.
    fn found(&self, key: &str) -> Result<String, Failure> {
        if !key.is_empty() && self.at(key).is_some() {
            return Ok(key.to_string());
        }
        let (mut all, ending) = (Vec::new(), format!(".{key}"));
        walk("", &self.root, &mut |path, _| all.push(path.to_string()));
        let fitting: Vec<&String> = all.iter().filter(|path| path.ends_with(&ending)).collect();
        match fitting.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                let mut leaves: Vec<String> = listed(&self.root).into_iter().map(|(path, _)| path).collect();
                leaves.sort_by_key(|path| distance(key, path));
                let nearest = leaves.first().cloned().unwrap_or_default();
                let (mut shown, all) = (String::new(), leaves.len());
                let few = leaves.iter().take_while(|path| {
                    shown.push_str(path);
                    shown.len() < SHOWN
                });
                let few: Vec<&String> = few.collect();
                let more = match all - few.len() {
                    0 => String::new(),
                    more => format!(", and {more} more (contrastive methods {} lists all)", self.method),
                };
                let allowed: Vec<&str> = few.iter().map(|path| path.as_str()).collect();
                let allowed = allowed.join(", ");
                let method = self.method;
                Err(Failure::new(format!(
                    "{method} has no setting {key:?}; the nearest is {nearest:?}; allowed are {allowed}{more}"
                )))
            }
            several => {
                let names: Vec<&str> = several.iter().map(|path| path.as_str()).collect();
                Err(Failure::new(format!("{key:?} could be any of {}: write more of it", names.join(", "))))
            }
        }
    }
}

/// Does `map` name another choice than the one that is here?
fn renames(here: &Map<String, Value>, map: &Map<String, Value>) -> bool {
    here.len() == 1 && map.len() == 1 && here.keys().next() != map.keys().next()
}

fn pointed<'a>(root: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(root, |value, key| &mut value[key])
}

/// The name nearest to `key`, by the edits that lead to it or to its last parts.
pub fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.min_by_key(|name| distance(key, name))
}

/// The edits that lead from a key to a name or to its last parts.
fn distance(key: &str, name: &str) -> usize {
    let starts = std::iter::once(0).chain(name.match_indices('.').map(|(at, _)| at + 1));
    starts.map(|at| edits(key, &name[at..])).min().unwrap_or(usize::MAX)
}

/// Letters to insert, remove or replace.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
