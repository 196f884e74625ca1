//! The text files of geom-gcn (Pei et al. 2020).

use std::path::Path;

use contrastive_data::{Origin, all_lines, excerpt, integer};
use ndarray::Array2;

use super::super::error::GraphError;
use super::super::features::Features;
use super::super::graph::Draft;
use super::super::note::GraphNote;
use super::edges::between;
use super::ids::{Nodes, classes_of};
use super::npz::bags;
use super::text::value;
use super::{MAX_FEATURES, ReadOptions, file_text, name_of};

/// Reads the two files of geom-gcn (Pei et al. 2020): `out1_graph_edges.txt` and `out1_node_feature_label.txt`, which lists
/// the nodes.
pub(super) fn read(folder: &Path, options: &ReadOptions) -> Result<Draft, GraphError> {
    let (edge_path, node_path) = (folder.join("out1_graph_edges.txt"), folder.join("out1_node_feature_label.txt"));
    let (edge_bytes, node_bytes) = (file_text(&edge_path, options)?, file_text(&node_path, options)?);
    let mut table = all_lines(&node_bytes).filter(|(_, line)| !line.trim_ascii().is_empty());
    let header = table.next().map_or(&b""[..], |(_, line)| line);
    if !header.starts_with(b"node_id\t") {
        let found = format!("{:?}", excerpt(header));
        return Err(Origin::line(&node_path, 1).malformed(found, "a header `node_id<TAB>feature...<TAB>label`").into());
    }
    // a header that states how many features there are goes with lists of those that are on
    let stated = header.split(|&byte| !byte.is_ascii_digit()).filter(|digits| !digits.is_empty()).find_map(integer);
    let mut listed = Vec::new();
    for (line, text) in table {
        let fields: Vec<&[u8]> = text.split(|&byte| byte == b'\t').collect();
        let &[node, features, class] = &fields[..] else {
            let found = format!("{} columns in {:?}", fields.len(), excerpt(text));
            return Err(Origin::line(&node_path, line)
                .malformed(found, "node, features and label, with tabs between")
                .into());
        };
        listed.push((line, node.trim_ascii(), features, class.trim_ascii()));
    }
    let mut notes = Vec::new();
    let nodes = Nodes::listed(&node_path, listed.iter().map(|&(line, node, ..)| (line, node)), &mut notes)?;
    let edges = between(&edge_path, &edge_bytes, &nodes, &options.cleaning, &mut notes)?;
    let mut draft = Draft { notes, ..Draft::new(name_of(folder), nodes.count, edges) };

    let mut given = vec![false; nodes.count];
    let (mut entries, mut dense, mut order, mut width) = (Vec::new(), Vec::new(), Vec::new(), None);
    for &(line, id, features, _) in &listed {
        let wrong =
            |found: String, allowed: String| GraphError::from(Origin::line(&node_path, line).malformed(found, allowed));
        let node = nodes.get(id).expect("every listed id is a node");
        if std::mem::replace(&mut given[node as usize], true) {
            return Err(wrong(format!("node {:?} again", excerpt(id)), "one line for a node".into()));
        }
        let items = features.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty());
        if stated.is_some() {
            for item in items {
                let column = integer(item).filter(|&column| column < MAX_FEATURES);
                let bad = || wrong(format!("feature {:?}", excerpt(item)), format!("numbers below {MAX_FEATURES}"));
                entries.push((node, column.ok_or_else(bad)? as u32));
            }
            continue;
        }
        let before = dense.len();
        for item in items {
            dense.push(value(item, &node_path, line)?);
        }
        let (found, width) = (dense.len() - before, *width.get_or_insert(dense.len() - before));
        if found != width || width == 0 {
            return Err(wrong(format!("{found} features"), format!("{width}, as in the first line, and at least one")));
        }
        order.push(node);
    }
    draft.features = Some(match width {
        Some(width) => {
            let mut rows = Array2::zeros((nodes.count, width));
            for (node, values) in order.into_iter().zip(dense.chunks_exact(width)) {
                rows.row_mut(node as usize).iter_mut().zip(values).for_each(|(to, from)| *to = *from);
            }
            Features::Dense(rows)
        }
        None => {
            let found = entries.iter().map(|entry| entry.1 as usize + 1).max().unwrap_or(0);
            // encoders have weights for every feature: a stated number must be near what occurs
            let (stated, most) = (stated.unwrap_or(0), 16 * found as u64 + 1024);
            if stated > most {
                return Err(Origin::line(&node_path, 1).limit("feature_amount", stated, most).into());
            }
            let stated = stated as usize;
            if found > stated {
                draft.notes.push(GraphNote::MoreFeatures { stated, found });
            }
            entries.sort_unstable();
            entries.dedup();
            let ones: Vec<(u32, u32, f32)> = entries.into_iter().map(|(node, column)| (node, column, 1.0)).collect();
            Features::Sparse(bags(nodes.count, found.max(stated), &ones, Origin::file(&node_path))?)
        }
    });
    let classes = listed.iter().map(|&(_, node, _, class)| (nodes.get(node).expect("a node"), class));
    draft.labels = Some(classes_of(nodes.count, classes, &node_path)?);
    draft.ids = nodes.ids;
    Ok(draft)
}
