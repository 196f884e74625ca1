//! What can be wrong with a graph of nodes, and where.

use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Where in the input something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, or `None` for what was handed over in memory.
    pub path: Option<PathBuf>,
    /// The place in it.
    pub place: Place,
}

/// A place in a file or in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The whole.
    Whole,
    /// A line, from 1.
    Line(usize),
    /// An offset in bytes, from 0.
    Byte(usize),
    /// A named part: a member of an npz archive, a variable of a MATLAB file, a key of a JSON object.
    Part(String),
    /// The position of an edge in the input, from 0.
    Edge(usize),
    /// A node, by its number from 0.
    Node(usize),
}

impl Origin {
    /// A place in a file.
    pub(super) fn at(path: &Path, place: Place) -> Self {
        Self { path: Some(path.to_path_buf()), place }
    }

    /// A whole file.
    pub(super) fn file(path: &Path) -> Self {
        Self::at(path, Place::Whole)
    }

    /// A line of a file, from 1.
    pub(super) fn line(path: &Path, line: usize) -> Self {
        Self::at(path, Place::Line(line))
    }

    /// A byte of a file, from 0.
    pub(super) fn byte(path: &Path, byte: usize) -> Self {
        Self::at(path, Place::Byte(byte))
    }

    /// A named part of a file.
    pub(super) fn part(path: &Path, part: &str) -> Self {
        Self::at(path, Place::Part(part.to_owned()))
    }

    /// A place in what was handed over in memory.
    pub(super) fn memory(place: Place) -> Self {
        Self { path: None, place }
    }

    /// `Malformed` here.
    pub(super) fn malformed(self, found: impl Into<String>, allowed: impl Into<String>) -> GraphError {
        GraphError::Malformed { origin: self, found: found.into(), allowed: allowed.into() }
    }

    /// `Limit` here.
    pub(super) fn limit(self, what: &'static str, value: u64, limit: u64) -> GraphError {
        GraphError::Limit { origin: self, what, value, limit }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match (&self.path, &self.place) {
            (Some(path), Place::Whole) => return write!(f, "{}", path.display()),
            (Some(path), Place::Line(line)) => return write!(f, "{}:{line}", path.display()),
            (Some(path), _) => write!(f, "{}: ", path.display())?,
            (None, _) => (),
        }
        match &self.place {
            Place::Whole => f.write_str("the graph"),
            Place::Line(line) => write!(f, "line {line}"),
            Place::Byte(byte) => write!(f, "byte {byte}"),
            Place::Part(part) => f.write_str(part),
            Place::Edge(edge) => write!(f, "edge number {edge}"),
            Place::Node(node) => write!(f, "node number {node}"),
        }
    }
}

/// Why a graph was refused, or a computation on one. Every message names the place, what was found, and what is allowed.
///
/// Variants marked *strict* arise only with [`Cleaning::strict`](super::Cleaning::strict); otherwise the same finding is a
/// [`GraphNote`](super::GraphNote).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A path that does not exist.
    #[error("{}: no such file or directory; looked for {looked_for}", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
        /// What would have been accepted there.
        looked_for: String,
    },
    /// The operating system refused to read.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A path at which no supported format was recognised, or more than one graph.
    #[error("{}: no single graph in a supported format here (found {found}); looked for {looked_for}", path.display())]
    Unrecognised {
        /// The path asked for.
        path: PathBuf,
        /// What lies there.
        found: String,
        /// What would have been accepted.
        looked_for: String,
    },
    /// Something in a file that its format does not allow.
    #[error("{origin}: {found}; allowed: {allowed}")]
    Malformed {
        /// Where.
        origin: Origin,
        /// What stands there.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// A size that the input claims and that is beyond a limit; nothing was allocated for it.
    #[error("{origin}: {what} is {value}; allowed: at most {limit}")]
    Limit {
        /// Where.
        origin: Origin,
        /// What is too large.
        what: &'static str,
        /// Its size.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// A graph without a node.
    #[error("{origin}: no node; allowed: at least one")]
    NoNodes {
        /// Where.
        origin: Origin,
    },
    /// An edge whose end is not a node ([`Dangling::Refuse`](super::Dangling::Refuse)).
    #[error("{origin}: edge to an unknown node {node}; allowed: {allowed}, or Dangling::Drop to leave such edges out")]
    DanglingEdge {
        /// Where.
        origin: Origin,
        /// The unknown end.
        node: String,
        /// Which nodes there are.
        allowed: String,
    },
    /// An edge from a node to itself (*strict*).
    #[error(
        "{origin}: self-loop at node {node}; allowed in strict reading: edges between two nodes, or SelfLoops::Keep"
    )]
    SelfLoop {
        /// Where.
        origin: Origin,
        /// The node's original id.
        node: String,
    },
    /// An edge given twice (*strict*).
    #[error(
        "{origin}: edge {from} -> {to} occurred already; allowed in strict reading: each edge once, or Duplicates::Sum"
    )]
    DuplicateEdge {
        /// Where it occurs again.
        origin: Origin,
        /// Original id of its start.
        from: String,
        /// Original id of its end.
        to: String,
    },
    /// An edge weight that cannot be used.
    #[error("{origin}: edge weight {value}; allowed: 0, or 1e-150 to 1e150")]
    BadWeight {
        /// Where.
        origin: Origin,
        /// The weight.
        value: f64,
    },
    /// Nodes that lack something every node should have (*strict*).
    #[error("{origin}: {count} nodes {what}, the first is {first}; allowed in strict reading: none")]
    Incomplete {
        /// Where.
        origin: Origin,
        /// What they lack.
        what: &'static str,
        /// How many.
        count: usize,
        /// The original id of the first.
        first: String,
    },
    /// Features or labels for another number of nodes.
    #[error("{what} for {found} nodes; allowed: one row for each of the {nodes} nodes")]
    RowCount {
        /// `features`, `labels` or `targets`.
        what: &'static str,
        /// Rows given.
        found: usize,
        /// Nodes of the graph.
        nodes: usize,
    },
    /// A feature value that is NaN or infinite, or of the wrong place.
    #[error("{origin}: feature {column} is {value}; allowed: finite numbers")]
    BadFeature {
        /// The node.
        origin: Origin,
        /// The column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A split that does not fit the graph.
    #[error("split {name:?}: {reason}; allowed: disjoint lists of nodes below {nodes}, at least one for training")]
    BadSplit {
        /// The split's name.
        name: String,
        /// What is wrong.
        reason: String,
        /// Nodes of the graph.
        nodes: usize,
    },
    /// A split by class of a graph whose classes are too small or absent.
    #[error("class {class}: {found} labelled nodes; allowed: at least {wanted}")]
    ClassTooSmall {
        /// The class.
        class: usize,
        /// Its labelled nodes.
        found: usize,
        /// How many are needed.
        wanted: usize,
    },
    /// What was asked for needs something that the graph lacks.
    #[error("the graph has no {what}; allowed: {allowed}")]
    Missing {
        /// What it lacks.
        what: &'static str,
        /// What would do.
        allowed: &'static str,
    },
    /// An option outside its range.
    #[error("{name} = {value} is not valid; allowed: {allowed}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: &'static str,
    },
    /// An iteration that did not settle.
    #[error(
        "{measure} did not converge: after {iterations} iterations it still changes by {change:e}; allowed: at most {tolerance:e} (raise the tolerance or the number of iterations)"
    )]
    NotConverged {
        /// What was computed.
        measure: &'static str,
        /// Iterations done.
        iterations: usize,
        /// The last change, summed over nodes.
        change: f64,
        /// The largest change allowed.
        tolerance: f64,
    },
}
