//! Cross-batch memory: the rows of a batch among labelled rows of past batches.

use crate::memory::Queue;
use crate::objective::{Inputs, PairObjective, check_types};
use crate::pairs::{Exclusions, PairLists, Pairs};
use burn::tensor::Tensor;

/// A batch among a memory of labelled rows (XBM, Wang et al. 2020): what to compare, for any objective of pairs.
///
/// The batch enters the memory first, detached, so that its rows also meet each other; no row meets its own copy.
/// Gradients flow into the batch alone.
#[derive(Clone, Debug)]
pub struct CrossBatch {
    /// The batch as anchors, the memory as candidates.
    pub inputs: Inputs,
    /// Equal labels.
    pub pairs: Pairs,
    /// Each row's own copy.
    pub exclusions: Exclusions,
}

impl CrossBatch {
    /// Pushes the rows `[n, d]` with their labels into the memory and compares them with all it then holds. Of a batch larger
    /// than the memory, the first rows have no copy there.
    ///
    /// # Panics
    /// When the batch is empty, the width the number of labels or the element type differs, or the memory has no labels.
    pub fn new(rows: Tensor<2>, labels: &[i64], memory: &mut Queue) -> Self {
        let n = rows.dims()[0];
        check_types(&[("rows", rows.dtype()), ("the memory", memory.dtype())]);
        memory.push_labelled(rows.clone(), labels);
        let candidates = memory.rows().expect("the batch has at least one row");
        let copies = memory.newest(n.min(memory.len()));
        let without = n - copies.len();
        let own = PairLists {
            offsets: (0..=n).map(|i| i.saturating_sub(without)).collect(),
            columns: copies,
            ..PairLists::default()
        };
        Self {
            inputs: Inputs::new(rows, candidates),
            pairs: Pairs::labels_between(labels, memory.labels().expect("a memory with labels")),
            exclusions: Exclusions::lists(own),
        }
    }

    /// An objective of the softmax family on this comparison; its own pairs and exclusions are replaced. The value is `[1]`.
    ///
    /// # Panics
    /// As [`PairObjective::loss`].
    pub fn loss(&self, objective: &PairObjective) -> Tensor<1> {
        let objective = objective.clone().with_pairs(self.pairs.clone()).with_exclusions(self.exclusions.clone());
        objective.loss(&self.inputs)
    }
}
