//! LINQS's files (Sen et al. 2008): `NAME.content` (node, features, class, with tabs between) and `NAME.cites` (two nodes).

use std::path::Path;

use contrastive_data::Origin;

use super::super::error::GraphError;
use super::super::features::Features;
use super::super::graph::Draft;
use super::edges::between;
use super::ids::{Nodes, classes_of};
use super::npz::bags;
use super::text::{all_rows, node_table, value};
use super::{MAX_FEATURES, ReadOptions, file_text, name_of};

/// Reads the two files; the nodes are those of the content.
pub(super) fn read(content: &Path, cites: &Path, options: &ReadOptions) -> Result<Draft, GraphError> {
    let (bytes, edge_bytes) = (file_text(content, options)?, file_text(cites, options)?);
    let mut notes = Vec::new();
    let table = node_table(content, &bytes, false, &mut notes)?;
    let rows = all_rows(&table, &mut notes)?;
    let width = table.width();
    if let Some(row) = rows.first().filter(|_| width < 3) {
        let found = format!("{width} columns in {:?}", row.excerpt());
        return Err(Origin::line(content, row.line).malformed(found, "a node, its features and its class").into());
    }
    if width as u64 > MAX_FEATURES {
        return Err(Origin::file(content).limit("the number of features", width as u64 - 2, MAX_FEATURES).into());
    }
    let nodes = Nodes::listed(content, rows.iter().map(|row| (row.line, &row.fields[0][..])), &mut notes)?;
    let edges = between(cites, &edge_bytes, &nodes, &options.cleaning, &mut notes)?;
    let mut draft = Draft { notes, ..Draft::new(name_of(content), nodes.count, edges) };
    let (mut entries, mut given) = (Vec::new(), vec![false; nodes.count]);
    let mut classes: Vec<(u32, &[u8])> = Vec::with_capacity(rows.len());
    for row in &rows {
        let node = nodes.get(&row.fields[0]).expect("every listed id is a node");
        if std::mem::replace(&mut given[node as usize], true) {
            return Err(Origin::line(content, row.line).malformed("a node again", "one line for a node").into());
        }
        for (column, token) in (0..).zip(&row.fields[1..width - 1]) {
            let value = value(token, content, row.line)?;
            if value != 0.0 {
                entries.push((node, column, value));
            }
        }
        classes.push((node, &row.fields[width - 1]));
    }
    let width = width.saturating_sub(2);
    draft.features = Some(Features::Sparse(bags(nodes.count, width, &entries, Origin::file(content))?));
    draft.labels = Some(classes_of(nodes.count, classes.into_iter(), content)?);
    draft.ids = nodes.ids;
    Ok(draft)
}
