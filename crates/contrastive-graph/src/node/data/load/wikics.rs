//! WikiCS's `data.json` (Mernyei, Cangea 2020): features, labels, links of each node, and masks of its splits.

use std::path::Path;

use contrastive_data::{FileError, Limits, Origin};
use ndarray::Array2;
use serde::Deserialize;

use super::super::clean::{Edges, Places};
use super::super::error::GraphError;
use super::super::features::Features;
use super::super::graph::Draft;
use super::super::split::NodeSplit;
use super::{ReadOptions, classes_of, file_text, name_of};

/// What is read of the file; other keys are passed over.
#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    features: Vec<Vec<f32>>,
    #[serde(default)]
    labels: Vec<i64>,
    links: Vec<Vec<u64>>,
    #[serde(default)]
    train_masks: Vec<Vec<bool>>,
    #[serde(default)]
    val_masks: Vec<Vec<bool>>,
    #[serde(default)]
    test_mask: Vec<bool>,
}

/// Reads the file. Split `k` has `train_masks[k]`, `val_masks[k]` and the one `test_mask`, under the name `k`.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Draft, GraphError> {
    let bytes = file_text(path, options)?;
    let wrong = |error: serde_json::Error| {
        let allowed = "an object of features, labels, links and masks, as WikiCS's data.json";
        Origin::line(path, error.line().max(1)).malformed(error.to_string(), allowed)
    };
    let data: Data = serde_json::from_slice(&bytes).map_err(wrong)?;
    let nodes = data.links.len();
    if nodes as u64 > Limits::things(bytes.len()) {
        return Err(Origin::file(path).limit("the number of nodes", nodes as u64, Limits::things(bytes.len())).into());
    }
    let fits = |what: &str, found: usize| -> Result<(), FileError> {
        let allowed = format!("{nodes}, one for each list of links");
        let key = || Origin::part(path, what).malformed(format!("{found} of them"), allowed);
        if found == nodes { Ok(()) } else { Err(key()) }
    };
    let mut pairs = Vec::new();
    for (from, links) in (0u32..).zip(&data.links) {
        for &to in links {
            let beyond = || Origin::part(path, "links").malformed(format!("node {to}"), format!("0..{nodes}"));
            pairs.push((from, u32::try_from(to).ok().filter(|&to| (to as usize) < nodes).ok_or_else(beyond)?));
        }
    }
    let edges = Edges { pairs, weights: Vec::new(), places: Places::File(path.to_path_buf()), unordered: false };
    let mut draft = Draft::new(name_of(path), nodes, edges);
    if !data.features.is_empty() {
        fits("features", data.features.len())?;
        let width = data.features[0].len();
        if let Some(row) = data.features.iter().position(|row| row.len() != width) {
            let found = format!("{} values for node {row}", data.features[row].len());
            return Err(Origin::part(path, "features").malformed(found, format!("{width}, as for node 0")).into());
        }
        let rows = Array2::from_shape_vec((nodes, width), data.features.concat()).expect("rows of one width");
        draft.features = Some(Features::Dense(rows));
    }
    if !data.labels.is_empty() {
        fits("labels", data.labels.len())?;
        let tokens: Vec<String> = data.labels.iter().map(i64::to_string).collect();
        draft.labels = Some(classes_of(nodes, (0..).zip(tokens.iter().map(String::as_bytes)), path)?);
    }
    let marked = |mask: &[bool]| (0..).zip(mask).filter(|(_, mark)| **mark).map(|(node, _)| node).collect::<Vec<u32>>();
    for (number, train) in data.train_masks.iter().enumerate() {
        fits("train_masks", train.len())?;
        let validation = data.val_masks.get(number).map_or(&[][..], |mask| mask);
        for (what, mask) in [("val_masks", validation), ("test_mask", &data.test_mask)] {
            if !mask.is_empty() {
                fits(what, mask.len())?;
            }
        }
        let split = NodeSplit::new(marked(train), marked(validation), marked(&data.test_mask));
        draft.splits.push((number.to_string(), split));
    }
    Ok(draft)
}
