//! What can be wrong with a graph of nodes, and where.

use contrastive_data::{FileError, Origin};
use thiserror::Error;

/// Why a graph was refused, or a computation on one. Every message names the place, what was found, and what is allowed.
///
/// Variants marked *strict* arise only with [`Cleaning::strict`](super::Cleaning::strict); otherwise the same finding is a
/// [`GraphNote`](super::GraphNote).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A file that cannot be opened, recognised or understood, or input beyond a limit, with its place.
    #[error(transparent)]
    File(#[from] FileError),
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
    /// A computation that is not defined on a graph of this kind.
    #[error("{what} of {found}; allowed: {allowed}")]
    Unsuited {
        /// What was to be computed.
        what: &'static str,
        /// What the graph is or has.
        found: String,
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
