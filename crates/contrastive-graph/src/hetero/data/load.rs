//! Folders of HeCo's layout.

use super::error::HeteroError;
use super::graph::{HeteroGraph, NodeType};
use crate::node::data::{Features, Labels, NodeSplit, sparse_features};
use contrastive_data::{Archive, Array, FileError, Limits, Origin, read_bytes, read_text};
use std::path::Path;

/// The rates of labels that the splits are named by.
const RATES: [&str; 3] = ["20", "40", "60"];

impl HeteroGraph {
    /// A folder of HeCo's layout: pairs in files of two letters (`pa.txt`: paper, author), features in `X_feat.npz`, classes of the target
    /// in `labels.npy`, splits in `train_20.npy`, `val_20.npy`, `test_20.npy` and so on, named `20`, `40`, `60`. Types are named by the capital
    /// letters; the target is the first letter that all pairs share. A type without features has as many nodes as its greatest number and one
    /// more.
    ///
    /// # Errors
    /// When the folder has no pairs, or a file cannot be understood, with its place.
    pub fn open_heco(folder: &Path, limits: &Limits) -> Result<Self, HeteroError> {
        let files = std::fs::read_dir(folder).map_err(|error| {
            Origin::file(folder).malformed(format!("cannot be listed: {error}"), "a folder that can be read")
        })?;
        let mut names: Vec<String> = files.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let two = |name: &&String| {
            let stem = name.strip_suffix(".txt").map(str::as_bytes);
            matches!(stem, Some([a, b]) if a.is_ascii_lowercase() && b.is_ascii_lowercase())
        };
        let pairs: Vec<&String> = names.iter().filter(two).collect();
        let Some(first) = pairs.first().map(|name| name.as_bytes()[0]) else {
            let allowed = "files of pairs such as pa.txt beside labels.npy (HeCo)";
            return Err(Origin::file(folder).malformed("no file of pairs of two letters", allowed).into());
        };
        if let Some(other) = pairs.iter().find(|name| name.as_bytes()[0] != first) {
            let found = format!("pairs that start at another type than those of {}", pairs[0]);
            return Err(Origin::file(&folder.join(other)).malformed(found, "the target first in every file").into());
        }
        let letter = |byte: u8| char::from(byte.to_ascii_uppercase()).to_string();
        let mut lists = Vec::new();
        for name in &pairs {
            lists.push((name.as_bytes()[1], folder.join(name), pairs_of(&folder.join(name), limits)?));
        }
        let features = |byte: u8| -> Result<Option<Features>, HeteroError> {
            let path = folder.join(format!("{}_feat.npz", char::from(byte)));
            if !path.exists() {
                return Ok(None);
            }
            let bytes = read_bytes(&path, limits)?;
            Ok(Some(Features::Sparse(sparse_features(&mut Archive::open(&path, &bytes, limits)?, "")?)))
        };
        let most = |ends: &mut dyn Iterator<Item = u32>| ends.max().map_or(0, |greatest| greatest as usize + 1);
        let mut types = Vec::new();
        for (byte, ends) in
            std::iter::once((first, None)).chain(lists.iter().map(|(byte, _, list)| (*byte, Some(list))))
        {
            let of = match (features(byte)?, ends) {
                (Some(features), _) => NodeType::new(letter(byte), features.num_nodes()).with_features(features),
                (None, Some(list)) => NodeType::new(letter(byte), most(&mut list.iter().map(|(pair, _)| pair.1))),
                (None, None) => {
                    let all = lists.iter().flat_map(|(_, _, list)| list.iter().map(|(pair, _)| pair.0));
                    NodeType::new(letter(byte), most(&mut { all }))
                }
            };
            types.push(of);
        }
        let name = folder.file_name().map_or("heco".into(), |name| name.to_string_lossy().into_owned());
        let mut graph = Self::new(name, types, &letter(first))?;
        for (byte, path, list) in &lists {
            let only: Vec<(u32, u32)> = list.iter().map(|(pair, _)| *pair).collect();
            graph = graph.with_links_at(&letter(first), &letter(*byte), &only, |at| Origin::line(path, list[at].1))?;
        }
        let path = folder.join("labels.npy");
        if path.exists() {
            let classes = Array::read(&path, limits)?.below(1 << 16)?;
            graph = graph.with_labels(Labels::single(&classes.into_iter().map(Some).collect::<Vec<_>>()))?;
        }
        for rate in RATES.iter().filter(|rate| folder.join(format!("train_{rate}.npy")).exists()) {
            let nodes = graph.num_targets() as u64;
            let part = |part: &str| -> Result<Vec<u32>, FileError> {
                Array::read(&folder.join(format!("{part}_{rate}.npy")), limits)?.below(nodes)
            };
            let split = NodeSplit::new(part("train")?, part("val")?, part("test")?);
            graph = graph.with_split(rate, split)?;
        }
        Ok(graph)
    }
}

/// Pairs of numbers with their lines.
type Placed = Vec<((u32, u32), usize)>;

/// The pairs of a file.
fn pairs_of(path: &Path, limits: &Limits) -> Result<Placed, HeteroError> {
    let bytes = read_text(path, limits)?;
    let mut pairs = Vec::new();
    for (line, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let number = |field: &[u8]| std::str::from_utf8(field).ok().and_then(|field| field.parse::<u32>().ok());
        let fields: Vec<&[u8]> = text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).collect();
        match fields[..] {
            [a, b] if number(a).is_some() && number(b).is_some() => {
                pairs.extend(number(a).zip(number(b)).map(|pair| (pair, line + 1)));
            }
            _ => {
                let found: String = String::from_utf8_lossy(text).chars().take(60).collect();
                return Err(Origin::line(path, line + 1)
                    .malformed(format!("{found:?}"), "two whole numbers from 0")
                    .into());
            }
        }
    }
    Ok(pairs)
}
