//! Candidates from several sources, as one.

use crate::error::{ObjectiveError, positive};
use crate::objective::Inputs;
use burn::tensor::{Tensor, TensorData};

/// Candidate blocks one after the other: the other view, a queue, a whole table, synthetic negatives, prototypes, or aggregated
/// members with their counts. Each block may have weights: a candidate of weight w counts in a denominator as w equal ones.
///
/// ```
/// # use burn::tensor::{Device, Tensor};
/// # use contrastive_core::objective::{CandidateBlocks, PairObjective};
/// # let device = Device::default();
/// # let table = |rows: usize| Tensor::<2>::ones([rows, 4], &device);
/// # let (queries, keys, queue, means, counts) = (table(2), table(2), table(8), table(3), [5.0, 9.0, 2.0]);
/// let candidates = CandidateBlocks::new().with_block(keys).with_block(queue).with_weighted_block(means, &counts)?;
/// assert_eq!(candidates.starts(), [0, 2, 10]);
/// let loss = PairObjective::new(0.1)?.loss(&candidates.inputs(queries));
/// # assert!(loss.into_scalar::<f32>() > 0.0);
/// # Ok::<(), contrastive_core::error::ObjectiveError>(())
/// ```
///
/// Pairs and exclusions count candidates through all blocks; [`starts`](Self::starts) tells where each begins. The rows are
/// copied into one table.
#[derive(Clone, Debug, Default)]
pub struct CandidateBlocks {
    tables: Vec<Tensor<2>>,
    /// Where weights other than 1 begin, and their logarithms.
    log_weights: Vec<(usize, Vec<f64>)>,
    rows: usize,
}

impl CandidateBlocks {
    /// No candidates yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows `[k, d]` of weight 1.
    pub fn with_block(mut self, table: Tensor<2>) -> Self {
        self.rows += table.dims()[0];
        self.tables.push(table);
        self
    }

    /// Rows `[k, d]`, each with its weight in the denominators: the mean of a cluster with the number of its members, a sampled
    /// negative with its inverse propensity.
    ///
    /// # Errors
    /// When a weight is not a finite number above 0.
    ///
    /// # Panics
    /// When there is not one weight for each row.
    pub fn with_weighted_block(mut self, table: Tensor<2>, weights: &[f64]) -> Result<Self, ObjectiveError> {
        assert_eq!(table.dims()[0], weights.len(), "the rows of {:?} and their weights", table.dims());
        let logs = weights.iter().map(|&w| Ok(positive("weight of a candidate", w)?.ln()));
        self.log_weights.push((self.rows, logs.collect::<Result<_, ObjectiveError>>()?));
        Ok(self.with_block(table))
    }

    /// The number of the first candidate of each block.
    pub fn starts(&self) -> Vec<usize> {
        let before = |rows: &mut usize, table: &Tensor<2>| {
            let start = *rows;
            *rows += table.dims()[0];
            Some(start)
        };
        self.tables.iter().scan(0, before).collect()
    }

    /// Number of candidates.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Are there no candidates?
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Anchors `[n, d]` among these candidates.
    ///
    /// # Panics
    /// When there are no blocks, or their widths differ.
    pub fn inputs(&self, anchors: Tensor<2>) -> Inputs {
        assert!(!self.tables.is_empty(), "anchors {:?} among no candidate blocks", anchors.dims());
        let width = self.tables[0].dims()[1];
        for table in &self.tables {
            assert_eq!(table.dims()[1], width, "the widths of candidate blocks");
        }
        let (device, dtype) = (anchors.device(), anchors.dtype());
        let inputs = Inputs::new(anchors, Tensor::cat(self.tables.clone(), 0));
        if self.log_weights.is_empty() {
            return inputs;
        }
        let mut bias = vec![0.0; self.rows];
        for (start, logs) in &self.log_weights {
            bias[*start..start + logs.len()].copy_from_slice(logs);
        }
        inputs.with_bias(Tensor::from_data(TensorData::new(bias, [self.rows]), (&device, dtype)))
    }
}
