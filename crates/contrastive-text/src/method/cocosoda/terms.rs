//! The terms of the loss.

use burn::tensor::Tensor;
use contrastive_core::objective::{CandidateBlocks, PairObjective};
use contrastive_core::pairs::{Exclusions, Pairs};
use serde::{Deserialize, Serialize};

/// What rows are of; each has a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// `c`: code, by the encoder.
    Code,
    /// `q`: queries, by the encoder.
    Query,
    /// `c'`: code with replaced tokens, by the momentum encoder.
    ReplacedCode,
    /// `q'`: queries with replaced tokens, by the momentum encoder.
    ReplacedQuery,
}

impl Part {
    /// All, in their order.
    pub const ALL: [Self; 4] = [Self::Code, Self::Query, Self::ReplacedCode, Self::ReplacedQuery];

    pub(super) fn number(self) -> usize {
        self as usize
    }

    pub(super) fn is_momentum(self) -> bool {
        matches!(self, Self::ReplacedCode | Self::ReplacedQuery)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Query => "query",
            Self::ReplacedCode => "replaced_code",
            Self::ReplacedQuery => "replaced_query",
        }
    }
}

/// A term `T(anchors, candidates, queue of the candidates)`: each anchor finds its candidate among those of the batch and of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Term {
    /// `T(c, q)`.
    CodeToQuery,
    /// `T(c, q')`.
    CodeToReplacedQuery,
    /// `T(q, c)`.
    QueryToCode,
    /// `T(q, c')`.
    QueryToReplacedCode,
    /// `T(c, c')`.
    CodeToReplacedCode,
    /// `T(q, q')`.
    QueryToReplacedQuery,
}

impl Term {
    /// All six: the paper's loss.
    pub const ALL: [Self; 6] = [
        Self::CodeToQuery,
        Self::CodeToReplacedQuery,
        Self::QueryToCode,
        Self::QueryToReplacedCode,
        Self::CodeToReplacedCode,
        Self::QueryToReplacedQuery,
    ];

    /// The four between code and queries (inter-modal): what the released script trains.
    pub const ACROSS: [Self; 4] =
        [Self::CodeToQuery, Self::CodeToReplacedQuery, Self::QueryToCode, Self::QueryToReplacedCode];

    /// Its name in losses.
    pub fn name(self) -> &'static str {
        match self {
            Self::CodeToQuery => "code_to_query",
            Self::CodeToReplacedQuery => "code_to_replaced_query",
            Self::QueryToCode => "query_to_code",
            Self::QueryToReplacedCode => "query_to_replaced_code",
            Self::CodeToReplacedCode => "code_to_replaced_code",
            Self::QueryToReplacedQuery => "query_to_replaced_query",
        }
    }

    /// Whose rows look.
    pub fn anchors(self) -> Part {
        match self {
            Self::CodeToQuery | Self::CodeToReplacedQuery | Self::CodeToReplacedCode => Part::Code,
            Self::QueryToCode | Self::QueryToReplacedCode | Self::QueryToReplacedQuery => Part::Query,
        }
    }

    /// Whose rows are looked for.
    pub fn candidates(self) -> Part {
        match self {
            Self::QueryToCode => Part::Code,
            Self::CodeToQuery => Part::Query,
            Self::QueryToReplacedCode | Self::CodeToReplacedCode => Part::ReplacedCode,
            Self::CodeToReplacedQuery | Self::QueryToReplacedQuery => Part::ReplacedQuery,
        }
    }
}

/// The value `[1]` of a term, for rows in the order of [`Part::ALL`], a queue's rows with their groups, and the groups of the batch, where rows of
/// the same group are no negatives.
pub(super) fn term(
    objective: &PairObjective,
    term: Term,
    rows: &[Tensor<2>; 4],
    queue: Option<(Tensor<2>, &[i64])>,
    groups: Option<&[i64]>,
) -> Tensor<1> {
    let (anchors, candidates) = (&rows[term.anchors().number()], &rows[term.candidates().number()]);
    let n = anchors.dims()[0] as u32;
    // constants on the device of the anchors
    let constant = |x: Tensor<2>| if anchors.is_autodiff() && !x.is_autodiff() { Tensor::from_inner(x) } else { x };
    let mut blocks = CandidateBlocks::new().with_block(constant(candidates.clone()));
    let mut objective = objective.clone().with_pairs(Pairs::one_each((0..n).collect()));
    let mut of_candidates = groups.map(<[i64]>::to_vec);
    if let Some((queued, queued_groups)) = queue {
        blocks = blocks.with_block(constant(queued));
        of_candidates.as_mut().into_iter().for_each(|all| all.extend(queued_groups));
    }
    if let (Some(groups), Some(of_candidates)) = (groups, of_candidates) {
        objective = objective.with_exclusions(Exclusions::same_ids(groups, &of_candidates));
    }
    objective.loss(&blocks.inputs(anchors.clone()))
}
