//! MUSAE's files (Rozemberczki, Allen, Sarkar 2021): `NAME_edges.csv`, `NAME_features.json`, `NAME_target.csv`.

use std::fmt::Formatter;
use std::path::Path;

use contrastive_data::{FileNote, Origin, Row, file_name, folded, integer};
use contrastive_kernels::sparse::Csr;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::super::error::GraphError;
use super::super::features::{Features, Labels};
use super::super::graph::Draft;
use super::super::note::GraphNote;
use super::edges::{between, number};
use super::ids::{Nodes, Strangers, classes_of};
use super::npz::bags;
use super::text::{all_rows, node_table};
use super::{MAX_FEATURES, ReadOptions, file_text};

/// Classes that traffic counts are cut into, as those who classify these pages do (Pei et al. 2020).
const CLASSES: usize = 5;

/// The pairs of a JSON object of lists of numbers, a repeated key included.
struct Bags(Vec<(String, Vec<u64>)>);

impl<'de> Deserialize<'de> for Bags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Bags;
            fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of node: [feature, ...]")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bags, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Bags(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

fn bags_of(path: &Path, bytes: &[u8]) -> Result<Vec<(String, Vec<u64>)>, GraphError> {
    let wrong = |error: serde_json::Error| {
        Origin::line(path, error.line()).malformed(error.to_string(), "an object of node: [feature, ...]")
    };
    let Bags(pairs) = serde_json::from_slice(bytes).map_err(wrong)?;
    for (node, features) in &pairs {
        let malformed = |found: String, allowed: String| {
            Err(Origin::part(path, &format!("key {node:?}")).malformed(found, allowed).into())
        };
        if integer(node.as_bytes()).is_none() {
            return malformed("not a node number".into(), "whole numbers from 0 up as keys".into());
        }
        if let Some(beyond) = features.iter().find(|&&feature| feature >= MAX_FEATURES) {
            return malformed(format!("feature {beyond}"), format!("numbers below {MAX_FEATURES}"));
        }
    }
    Ok(pairs)
}

/// Greatest number of distinct whole numbers in a column `target` that are classes, each of at least three nodes on average.
const MANY: usize = 256;

/// The columns of a node and of its target: the first and the last, unless the header tells otherwise (Twitch: `new_id`, `mature`).
fn target_columns(header: &[String], width: usize) -> (usize, usize) {
    let find = |wanted: &str| header.iter().position(|name| folded(name) == wanted);
    match find("newid") {
        Some(node) => (node, find("mature").or_else(|| find("target")).unwrap_or(width.saturating_sub(2))),
        None => (0, find("target").unwrap_or(width - 1)),
    }
}

/// Reads `folder/{name}_edges.csv` and what lies beside it. The nodes are those of the targets; without targets those of
/// the features.
pub(super) fn read(folder: &Path, name: &str, options: &ReadOptions) -> Result<Draft, GraphError> {
    let file = |part: &str| {
        let name = format!("{name}_{part}");
        super::detect::packed_or_plain(folder, &name).unwrap_or_else(|| folder.join(name))
    };
    let (edge_path, bag_path, target_path) = (file("edges.csv"), file("features.json"), file("target.csv"));
    let (edge_bytes, bag_bytes) = (file_text(&edge_path, options)?, file_text(&bag_path, options)?);
    let bags_read = bags_of(&bag_path, &bag_bytes)?;
    let target_bytes = if target_path.is_file() { Some(file_text(&target_path, options)?) } else { None };
    let (mut notes, mut rows, mut header) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(bytes) = &target_bytes {
        let table = node_table(&target_path, bytes, false, &mut notes)?;
        rows = all_rows(&table, &mut notes)?;
        header = table.header().unwrap_or_default().to_vec();
    }
    if let Some(row) = rows.iter().find(|row: &&Row<'_>| row.fields.len() < 2) {
        let found = format!("{:?}", row.excerpt());
        return Err(Origin::line(&target_path, row.line).malformed(found, "a node and its target").into());
    }
    let (node_column, target_column) = target_columns(&header, rows.first().map_or(2, |row| row.fields.len()));
    let targets: Vec<(usize, &[u8], &[u8])> =
        rows.iter().map(|row| (row.line, &row.fields[node_column][..], &row.fields[target_column][..])).collect();
    let nodes = match &target_bytes {
        Some(_) => Nodes::listed(&target_path, targets.iter().map(|&(line, node, _)| (line, node)), &mut notes)?,
        None => Nodes::listed(&bag_path, bags_read.iter().map(|(node, _)| (1, node.as_bytes())), &mut notes)?,
    };
    let edges = between(&edge_path, &edge_bytes, &nodes, &options.cleaning, &mut notes)?;
    let mut draft = Draft { notes, ..Draft::new(name, nodes.count, edges) };

    let mut strangers = Strangers::new("features", &options.cleaning);
    let (mut entries, mut given) = (Vec::new(), vec![false; nodes.count]);
    for (id, features) in &bags_read {
        let origin = Origin::part(&bag_path, &format!("key {id:?}"));
        let Some(node) = strangers.find(&nodes, id.as_bytes(), origin.clone())? else { continue };
        if std::mem::replace(&mut given[node as usize], true) {
            return Err(origin.malformed("a repeated key", "one list for a node").into());
        }
        entries.extend(features.iter().map(|&feature| (node, feature as u32, 1.0)));
    }
    strangers.note(&mut draft.notes);
    draft.missing_features = (0..nodes.count as u32).filter(|&node| !given[node as usize]).collect();
    let width = entries.iter().map(|entry| entry.1 as usize + 1).max().unwrap_or(0);
    // a feature that is listed twice is on, not two
    let bags: Csr<f32> = bags(nodes.count, width, &entries, Origin::file(&bag_path))?.map_values(|_| 1.0);
    draft.features = Some(Features::Sparse(bags));
    if target_bytes.is_some() {
        let known = targets.iter().map(|&(line, node, target)| (line, nodes.get(node).expect("a node"), target));
        let counted = header.get(target_column).is_some_and(|name| folded(name) == "target");
        if counted && !are_classes(&targets, nodes.count) {
            regression(&mut draft, &target_path, known, nodes.count)?;
        } else {
            if counted {
                let (file, taken) =
                    (file_name(&target_path), "few whole numbers as targets were taken for classes".into());
                draft.notes.push(GraphNote::File(FileNote::Layout { file, taken }));
            }
            let classes = known.map(|(_, node, class)| (node, class));
            draft.labels = Some(classes_of(nodes.count, classes, &target_path)?);
        }
    }
    draft.ids = nodes.ids;
    Ok(draft)
}

/// Whether targets are classes: few distinct whole numbers.
fn are_classes(targets: &[(usize, &[u8], &[u8])], nodes: usize) -> bool {
    let numbers: Option<std::collections::BTreeSet<u64>> = targets.iter().map(|target| integer(target.2)).collect();
    numbers.is_some_and(|numbers| numbers.len() <= MANY && 3 * numbers.len() <= nodes)
}

/// A number per node, and classes of equal size cut from it: the class is the share of nodes with a smaller target.
fn regression<'a>(
    draft: &mut Draft,
    path: &Path,
    rows: impl Iterator<Item = (usize, u32, &'a [u8])>,
    nodes: usize,
) -> Result<(), GraphError> {
    let mut targets = vec![None; nodes];
    for (line, node, token) in rows {
        if targets[node as usize].replace(number(token, path, line)?).is_some() {
            return Err(Origin::line(path, line)
                .malformed(format!("node {node} again"), "one target for a node")
                .into());
        }
    }
    // every node is one of the file's, so each has a target
    let targets: Vec<f64> = targets.into_iter().flatten().collect();
    let mut sorted = targets.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let class = |target: &f64| CLASSES * sorted.partition_point(|other| other < target) / nodes;
    let classes: Vec<Option<u32>> = targets.iter().map(|target| Some(class(target) as u32)).collect();
    let names = (0..CLASSES).map(|class| class.to_string()).collect();
    draft.labels = Some(Labels::single(&classes).with_names(names));
    draft.targets =
        Some(targets.into_iter().map(|target| target.clamp(f32::MIN.into(), f32::MAX.into()) as f32).collect());
    draft.notes.push(GraphNote::TargetsCut { classes: CLASSES });
    Ok(())
}
