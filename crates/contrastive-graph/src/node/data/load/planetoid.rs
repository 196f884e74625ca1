//! Planetoid's files (Yang, Cohen, Salakhutdinov 2016): `ind.NAME.{x,tx,allx,y,ty,ally,graph,test.index}`.
//!
//! Rows of `allx`, `ally` are the nodes from 0; row i of `tx`, `ty` is node `test.index[i]`. Ids that are missing between
//! the least and the greatest test id (CiteSeer), and those beyond it that the graph lists (NELL), are nodes without features
//! or class. The public split trains on the rows of `y`, validates on the next 500 nodes and tests on `test.index`.

use std::path::{Path, PathBuf};

use contrastive_data::{FileError, Neighbours, Origin, Pickle, Triplets, excerpt, integer, lines};

use super::super::clean::Dangling;
use super::super::clean::{Edges, Places, Tally};
use super::super::error::GraphError;
use super::super::features::{Features, Labels};
use super::super::graph::Draft;
use super::super::note::GraphNote;
use super::super::split::NodeSplit;
use super::npz::bags;
use super::{MAX_FEATURES, ReadOptions, file_bytes, file_text};

/// Validation nodes of the public split.
const VALIDATION: usize = 500;

/// The greatest number of classes.
const MAX_CLASSES: usize = 1 << 16;

/// How far beyond the nodes that are listed a node may lie: the isolated ones are few.
fn most_nodes(listed: usize) -> usize {
    2 * listed + 1024
}

fn matrix(path: &Path, options: &ReadOptions) -> Result<Triplets, GraphError> {
    let bytes = file_bytes(path, options)?;
    let matrix = Pickle::parse(path, &bytes)?.matrix()?;
    match matrix.columns as u64 {
        columns if columns > MAX_FEATURES => {
            Err(matrix.origin.limit("the number of features", columns, MAX_FEATURES).into())
        }
        _ => Ok(matrix),
    }
}

/// A one-hot table, as the class of each row; rows without a one have none.
fn classes(path: &Path, options: &ReadOptions) -> Result<(Vec<Option<u32>>, usize), GraphError> {
    let bytes = file_bytes(path, options)?;
    let table = Pickle::parse(path, &bytes)?.matrix()?;
    let unfit = |found: String| table.origin.clone().malformed(found, "a table with one 1 in a row");
    // names are made for the columns, so the file must hold something for each
    let most = MAX_CLASSES.min(bytes.len());
    if table.columns > most {
        return Err(table.origin.limit("the number of classes", table.columns as u64, most as u64).into());
    }
    if table.columns == 0 {
        return Err(unfit(format!("{} rows of no column", table.rows)).into());
    }
    let mut classes = vec![None; table.rows];
    for &(row, class, value) in table.entries.iter().filter(|entry| entry.2 != 0.0) {
        if value != 1.0 || classes[row as usize].replace(class).is_some() {
            return Err(unfit(format!("row {row} with {value} in column {class}, or several of them")).into());
        }
    }
    Ok((classes, table.columns))
}

/// The ids of the test nodes, in the order of `tx`.
fn test_index(path: &Path, options: &ReadOptions) -> Result<Vec<u64>, GraphError> {
    let bytes = file_text(path, options)?;
    let id = |(line, text): (usize, &[u8])| {
        let wrong =
            || Origin::line(path, line).malformed(format!("{:?}", excerpt(text)), "one node number on each line");
        integer(text).ok_or_else(wrong)
    };
    Ok(lines(&bytes).map(id).collect::<Result<_, FileError>>()?)
}

/// Reads `folder/ind.NAME.*`.
pub(super) fn read(folder: &Path, name: &str, options: &ReadOptions) -> Result<Draft, GraphError> {
    let file = |part: &str| -> PathBuf { folder.join(format!("ind.{name}.{part}")) };
    let (all, test) = (matrix(&file("allx"), options)?, matrix(&file("tx"), options)?);
    let (all_classes, columns) = classes(&file("ally"), options)?;
    let (test_classes, test_columns) = classes(&file("ty"), options)?;
    let (train_classes, _) = classes(&file("y"), options)?;
    let train = matrix(&file("x"), options)?;
    let index_path = file("test.index");
    let index = test_index(&index_path, options)?;

    let agree = [
        ("rows of ally", all_classes.len(), all.rows),
        ("rows of ty", test_classes.len(), test.rows),
        ("rows of y", train_classes.len(), train.rows),
        ("lines of test.index", index.len(), test.rows),
        ("columns of tx", test.columns, all.columns),
        ("columns of x", train.columns, all.columns),
        ("columns of ty", test_columns, columns),
    ];
    if let Some((what, found, allowed)) = agree.into_iter().find(|(_, found, allowed)| found != allowed) {
        let allowed = format!("{allowed}, to fit the features and classes beside it");
        return Err(Origin::file(&file("allx")).malformed(format!("{found} {what}"), allowed).into());
    }
    if train.rows > all.rows {
        let found = format!("{} rows of x", train.rows);
        return Err(Origin::file(&file("x")).malformed(found, format!("at most the {} rows of allx", all.rows)).into());
    }
    let graph_path = file("graph");
    let graph_bytes = file_bytes(&graph_path, options)?;
    let lists = Pickle::parse(&graph_path, &graph_bytes)?.adjacency()?;
    drop(graph_bytes);
    let most = most_nodes(all.rows + test.rows + lists.len());
    if let Some((line, beyond)) = (1..).zip(&index).find(|(_, id)| !(all.rows as u64..most as u64).contains(id)) {
        let allowed = format!("node numbers from {} (the rows of allx) to {most}", all.rows);
        return Err(Origin::line(&index_path, line).malformed(format!("test node {beyond}"), allowed).into());
    }
    let index: Vec<u32> = index.into_iter().map(|id| id as u32).collect();
    let listed = index.iter().max().map_or(all.rows, |&greatest| greatest as usize + 1);
    // the keys of the graph are nodes, too, unless they lie far beyond
    let keys = lists.iter().filter_map(|list| usize::try_from(list.0).ok()).filter(|&key| key < most);
    let nodes = keys.map(|key| key + 1).max().unwrap_or(0).max(listed);

    let (edges, dangling) = adjacency(&graph_path, lists, nodes, options)?;
    let mut draft = Draft::new(name, nodes, edges);
    draft.notes.extend(dangling.note(|count, first| GraphNote::DanglingEdges { count, first }));
    let mut given = vec![false; nodes];
    let mut labels = all_classes;
    labels.resize(nodes, None);
    given[..all.rows].fill(true);
    let mut entries: Vec<(u32, u32, f32)> = Vec::with_capacity(all.entries.len() + test.entries.len());
    entries.extend(all.entries.iter().map(|&(row, column, value)| (row, column, value as f32)));
    entries.extend(test.entries.iter().map(|&(row, column, value)| (index[row as usize], column, value as f32)));
    for (&node, class) in index.iter().zip(test_classes) {
        if std::mem::replace(&mut given[node as usize], true) {
            return Err(Origin::file(&index_path)
                .malformed(format!("test node {node} twice"), "each node once")
                .into());
        }
        labels[node as usize] = class;
    }
    draft.missing_features = (0..nodes as u32).filter(|&node| !given[node as usize]).collect();
    draft.features = Some(Features::Sparse(bags(nodes, all.columns, &entries, Origin::file(&file("allx")))?));
    let names = (0..columns).map(|class| class.to_string()).collect();
    draft.labels = Some(Labels::single(&labels).with_names(names));
    let validated = all.rows.min(train.rows + VALIDATION);
    let (train, validation) = (0..train.rows as u32, train.rows as u32..validated as u32);
    draft.splits.push(("public".into(), NodeSplit::new(train.collect(), validation.collect(), index)));
    Ok(draft)
}

/// The edges of the `graph` file, each from both of its ends.
fn adjacency(
    path: &Path,
    lists: Vec<Neighbours>,
    nodes: usize,
    options: &ReadOptions,
) -> Result<(Edges, Tally), GraphError> {
    let mut dangling = Tally::default();
    let mut pairs = Vec::new();
    for (from, list, byte) in lists {
        for to in list {
            match [from, to].into_iter().find(|end| !(0..nodes as i64).contains(end)) {
                None => pairs.push((from as u32, to as u32)),
                Some(unknown) if options.cleaning.dangling == Dangling::Refuse => {
                    let (origin, node) = (Origin::byte(path, byte), unknown.to_string());
                    return Err(GraphError::DanglingEdge { origin, node, allowed: format!("0..{nodes}") });
                }
                Some(unknown) => dangling.add(|| unknown.to_string()),
            }
        }
    }
    let places = Places::File(path.to_path_buf());
    Ok((Edges { pairs, weights: Vec::new(), places, unordered: false }, dangling))
}
