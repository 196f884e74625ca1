//! Reading graphs: formats, options, and the way from a path to a [`Graph`].

mod detect;
mod edges;
mod geom_gcn;
mod ids;
mod linqs;
mod matlab;
mod musae;
mod npz;
mod planetoid;
mod text;
mod wikics;

use std::path::{Path, PathBuf};

use contrastive_data::{FileError, Limits, read_bytes, read_text};

use super::clean::Cleaning;
use super::error::GraphError;
use super::graph::Graph;

use ids::classes_of;
pub(crate) use npz::sparse_features;

/// The greatest number of features, so that a stray number in a file cannot cost gigabytes.
pub(super) const MAX_FEATURES: u64 = 1 << 22;

/// A layout of files that hold a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `ind.NAME.{x,tx,allx,y,ty,ally,graph,test.index}`: pickles of protocols 0 to 5, old and new numpy's and scipy's names, read by
    /// a reader for exactly the opcodes and names that occur in them. The public split is there under the name `public`.
    Planetoid,
    /// `.npz` with the members `adj_data`, `adj_indices`, `adj_indptr`, `adj_shape` and likewise `attr_*` (or `adj_matrix.data` and so
    /// on; attributes also as one dense member), `labels`, `class_names`; or with `edges` (edges x 2), `node_features`,
    /// `node_labels` and masks of several splits (`train_masks`, ...), named `0`, `1`, ... Other members are not read.
    Npz,
    /// `out1_graph_edges.txt` and `out1_node_feature_label.txt`; splits from `NAME_split_*.npz` in the folder or in
    /// `../splits`, named `0`, `1`, ... by the number at their end.
    GeomGcn,
    /// `NAME_edges.csv`, `NAME_features.json` and optionally `NAME_target.csv`. A column `target` of many numbers is cut into
    /// five classes of equal size; few distinct whole numbers there, and any other last column, are classes.
    Musae,
    /// `edges.csv` (src,dst and optionally weight) with optional `features.csv` (node,feature,value), `labels.csv`
    /// (node,label; the list of nodes; -1 for no class) and `split.csv` (node,split with train, val, test or none).
    Tables,
    /// `NAME.content` (node, features, class) and `NAME.cites` (two nodes), with tabs between (Cora, CiteSeer as LINQS gave them out).
    Linqs,
    /// `data.json` with `features`, `labels`, `links`, `train_masks`, `val_masks`, `test_mask` (WikiCS). Splits are named `0`, `1`, ...
    WikiCs,
    /// MATLAB 5 `.mat` with the matrices `Network` (or `A`), `Attributes` (or `X`) and `Label` (or `group`), full or sparse.
    Matlab,
    /// Text with an edge on each line, `a b`, `a b weight` or networkx's `a b {'weight': w}`, separated by blanks, tabs or commas; lines
    /// before the first edge that begin with `#` or `%` are comments. Ids are whole numbers or names. Labels ("node class", several for several classes) and features ("node v v v" or
    /// "node i:v i:v") are looked for beside it: for `usa.edgelist` or `usa_edgelist.txt` in `labels-usa.txt`,
    /// `usa_labels.txt`, `usa.labels` and likewise with `features`.
    EdgeList,
}

/// By name, as on a command line: `planetoid`, `npz`, `geom-gcn`, `musae`, `tables`, `linqs`, `wiki-cs`, `matlab`, `edge-list`.
impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_lowercase().replace(['-', '_'], "").as_str() {
            "planetoid" => Self::Planetoid,
            "npz" => Self::Npz,
            "geomgcn" => Self::GeomGcn,
            "musae" => Self::Musae,
            "tables" => Self::Tables,
            "linqs" => Self::Linqs,
            "wikics" => Self::WikiCs,
            "matlab" => Self::Matlab,
            "edgelist" => Self::EdgeList,
            _ => {
                return Err(format!(
                    "{text:?} is no format; allowed: planetoid, npz, geom-gcn, musae, tables, linqs, wiki-cs, matlab, edge-list"
                ));
            }
        })
    }
}

/// How [`Graph::read_with`] reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// The layout; `None` (default) recognises it by names and content.
    pub format: Option<Format>,
    /// What happens to edges that need a decision.
    pub cleaning: Cleaning,
    /// The greatest size of a file in bytes, also of an archive after unpacking. Default 2 GiB.
    pub max_bytes: u64,
    /// Labels of an edge list, when they are not beside it under a usual name.
    pub labels: Option<PathBuf>,
    /// Features of an edge list, when they are not beside it under a usual name.
    pub features: Option<PathBuf>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { format: None, cleaning: Cleaning::default(), max_bytes: 2 << 30, labels: None, features: None }
    }
}

impl From<Cleaning> for ReadOptions {
    fn from(cleaning: Cleaning) -> Self {
        Self { cleaning, ..Self::default() }
    }
}

/// The whole file.
fn file_bytes(path: &Path, options: &ReadOptions) -> Result<Vec<u8>, FileError> {
    read_bytes(path, &Limits::new(options.max_bytes)).map_err(of_a_graph)
}

/// The whole file, which is text.
fn file_text(path: &Path, options: &ReadOptions) -> Result<Vec<u8>, FileError> {
    read_text(path, &Limits::new(options.max_bytes)).map_err(of_a_graph)
}

/// Says what a missing file was looked for.
fn of_a_graph(error: FileError) -> FileError {
    match error {
        FileError::NotFound { path, .. } => FileError::NotFound { path, looked_for: "this file of the graph".into() },
        other => other,
    }
}

/// The graph's name: the folder, or the file without its ending.
fn name_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let stem = |name: String| match path.is_dir() {
        true => name,
        false => {
            detect::plain(&name).rsplit_once('.').map_or(detect::plain(&name).to_owned(), |(stem, _)| stem.to_owned())
        }
    };
    name.map_or_else(|| "graph".into(), stem)
}

impl Graph {
    /// Reads the graph at a path, whatever its [`Format`]. Edges are cleaned by default: undirected, without self-loops, each
    /// once; [`notes`](Self::notes) tells how often that changed something.
    ///
    /// The path is a file of the graph or the folder that holds it alone. Where a folder holds several Planetoid graphs,
    /// `folder/ind.cora` or `folder/cora` names one.
    ///
    /// # Errors
    /// Any [`GraphError`] about files, with the file, the place in it, what was found, and what is allowed. Sizes that a file
    /// claims are checked against the bytes that are there before memory is asked for.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, GraphError> {
        Self::read_with(path, &ReadOptions::default())
    }

    /// Reads the graph at a path with options.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self, GraphError> {
        let found = detect::at(path.as_ref(), options)?;
        let draft = match &found.source {
            detect::Source::Planetoid(folder, name) => planetoid::read(folder, name, options)?,
            detect::Source::Npz(path) => npz::read(path, options)?,
            detect::Source::GeomGcn(folder) => geom_gcn::read(folder, options)?,
            detect::Source::Musae(folder, name) => musae::read(folder, name, options)?,
            detect::Source::Tables(folder) => text::tables(folder, options)?,
            detect::Source::Linqs { content, cites } => linqs::read(content, cites, options)?,
            detect::Source::WikiCs(path) => wikics::read(path, options)?,
            detect::Source::Matlab(path) => matlab::read(path, options)?,
            detect::Source::EdgeList { edges, labels, features } => {
                text::edge_list(edges, labels.as_deref(), features.as_deref(), options)?
            }
        };
        let mut graph = draft.finish(&options.cleaning)?;
        for (name, path) in found.splits {
            graph.read_split_with(&name, &path, options)?;
        }
        Ok(graph)
    }

    /// Adds a split from an npz archive of `train_mask`, `val_mask` and `test_mask` (geom-gcn).
    ///
    /// # Errors
    /// Any [`GraphError`] about files, and as [`add_split`](Self::add_split).
    pub fn read_split(&mut self, name: &str, path: impl AsRef<Path>) -> Result<(), GraphError> {
        self.read_split_with(name, path.as_ref(), &ReadOptions::default())
    }

    fn read_split_with(&mut self, name: &str, path: &Path, options: &ReadOptions) -> Result<(), GraphError> {
        let split = npz::read_split(path, self.num_nodes(), options)?;
        self.add_split(name, split)
    }
}
