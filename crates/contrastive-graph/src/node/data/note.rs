//! What was found and done while a graph was made.

use std::fmt::{Display, Formatter};

use contrastive_data::FileNote;

/// Something noteworthy about a graph, with what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GraphNote {
    /// Something about a file that could have been read in another way.
    File(FileNote),
    /// Nodes whose class a sparse column does not store: taken for class 0.
    ImpliedClass {
        /// How many.
        count: usize,
    },
    /// Edges from a node to itself.
    SelfLoops {
        /// How many, repeated ones included.
        count: usize,
        /// Original id of the first such node.
        first: String,
        /// Kept, or left out.
        kept: bool,
    },
    /// Edges that repeat an earlier one in the same direction (in an undirected petgraph: in either).
    DuplicateEdges {
        /// How many repetitions.
        count: usize,
        /// Weights added up, or the first weight kept.
        summed: bool,
    },
    /// Edges with an end that is not a node, left out.
    DanglingEdges {
        /// How many.
        count: usize,
        /// The first unknown end.
        first: String,
    },
    /// Links given in one direction only, to which the other was added.
    Symmetrised {
        /// How many.
        count: usize,
    },
    /// Links whose two directions had different weights; the greater was taken for both.
    UnequalWeights {
        /// How many.
        count: usize,
    },
    /// Nodes without an edge to another node.
    IsolatedNodes {
        /// How many.
        count: usize,
        /// Original id of the first.
        first: String,
    },
    /// Nodes without a feature row; they have zeros.
    MissingFeatures {
        /// How many.
        count: usize,
        /// Original id of the first.
        first: String,
    },
    /// Nodes without a label.
    MissingLabels {
        /// How many.
        count: usize,
        /// Original id of the first.
        first: String,
    },
    /// Node ids that are not 0, 1, 2, ...: renumbered, the original ids kept.
    Renumbered {
        /// How many ids.
        ids: usize,
        /// The id of node 0.
        first: String,
        /// The id of the last node.
        last: String,
    },
    /// Feature numbers at or beyond the number of features that the file states.
    MoreFeatures {
        /// Features stated.
        stated: usize,
        /// Features that occur: the greatest number and one more.
        found: usize,
    },
    /// Node targets cut into classes of equal size, for want of classes.
    TargetsCut {
        /// How many classes.
        classes: usize,
    },
    /// Rows about nodes that are not in the graph, left out.
    UnknownNodes {
        /// What the rows hold.
        what: &'static str,
        /// How many.
        count: usize,
        /// The first unknown id.
        first: String,
    },
}

impl Display for GraphNote {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(note) => note.fmt(f),
            Self::ImpliedClass { count } => {
                write!(f, "{count} nodes whose class a sparse column does not store were taken for class 0")
            }
            Self::SelfLoops { count, first, kept } => {
                write!(f, "{count} self-loops {} (the first at node {first})", if *kept { "kept" } else { "left out" })
            }
            Self::DuplicateEdges { count, summed: true } => write!(f, "{count} repeated edges added to the first"),
            Self::DuplicateEdges { count, summed: false } => write!(f, "{count} repeated edges left out"),
            Self::DanglingEdges { count, first } => {
                write!(f, "{count} edges to unknown nodes left out (the first to {first})")
            }
            Self::Symmetrised { count } => write!(f, "{count} links given in one direction got the other"),
            Self::UnequalWeights { count } => {
                write!(f, "{count} links with unequal weights of their directions got the greater")
            }
            Self::IsolatedNodes { count, first } => {
                write!(f, "{count} nodes without an edge to another (the first is {first})")
            }
            Self::MissingFeatures { count, first } => {
                write!(f, "{count} nodes without features got zeros (the first is {first})")
            }
            Self::MissingLabels { count, first } => write!(f, "{count} nodes without a label (the first is {first})"),
            Self::Renumbered { ids, first, last } => write!(f, "{ids} node ids from {first} to {last} renumbered"),
            Self::MoreFeatures { stated, found } => write!(f, "{found} features occur, {stated} were stated"),
            Self::TargetsCut { classes } => write!(f, "targets cut into {classes} classes of equal size"),
            Self::UnknownNodes { what, count, first } => {
                write!(f, "{count} rows of {what} for unknown nodes left out (the first for {first})")
            }
        }
    }
}
