//! Lists of items to rows: the transformer of SASRec over packed lists.

mod batch;
mod settings;

pub use batch::ListBatch;
pub use settings::{EncoderConfig, Padding, Preset};

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use contrastive_core::linear::gather_rows;
use contrastive_nn::Pass;
use contrastive_nn::encoder::TokenEncoder;
use ndarray::Array2;

/// A large negative number: what is added to the score of rows of the table that are no candidates.
const NEVER: f64 = -1e30;
/// Lists encoded at a time outside of training.
const LISTS: usize = 512;

/// Which rows of the output are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The last one of each list, `[lists, d]`.
    Last,
    /// All, `[total, d]`.
    All,
}

/// SASRec's encoder: a causal transformer over lists, whose item table also scores what comes next.
///
/// Lists are packed: no padded position is computed, and where only last rows are wanted, the last block computes queries, feed-forward and
/// norms of these alone.
#[derive(Module, Debug)]
pub struct SequenceEncoder {
    /// Table and blocks. Row 0 of the table is padding, rows 1 to V the items, row V + 1 the mask token, if there is one.
    pub tokens: TokenEncoder,
    #[module(skip)]
    padding: Padding,
    max_len: usize,
    items: usize,
}

impl SequenceEncoder {
    pub(super) fn new(tokens: TokenEncoder, padding: Padding, max_len: usize, items: usize) -> Self {
        Self { tokens, padding, max_len, items }
    }

    /// V.
    pub fn num_items(&self) -> usize {
        self.items
    }

    /// L: the longest list; of a longer one the last L items count.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// Width of the rows.
    pub fn dim(&self) -> usize {
        self.table().dims()[1]
    }

    /// The table `[V + 1 or V + 2, d]`: padding, items, mask token.
    pub fn table(&self) -> Tensor<2> {
        self.tokens.embedding.token.weight.val()
    }

    /// Number of parameters.
    pub fn num_parameters(&self) -> usize {
        self.num_params()
    }

    /// `[rows of the table]`: 0 for items, and a number that no score outweighs for padding and mask: added to scores, it keeps these from
    /// being candidates.
    pub fn candidate_bias(&self, like: &Tensor<2>) -> Tensor<1> {
        let rows = self.table().dims()[0];
        let bias: Vec<f64> = (0..rows).map(|row| if (1..=self.items).contains(&row) { 0.0 } else { NEVER }).collect();
        Tensor::from_data(TensorData::new(bias, [rows]), (&like.device(), like.dtype()))
    }

    /// Encodes lists.
    ///
    /// # Panics
    /// When an item is not in the table, or all rows are wanted of lists with hidden items.
    pub fn encode(&self, batch: &ListBatch, read: Read, pass: &mut Pass) -> Tensor<2> {
        let positions = batch.positions(self.padding, self.max_len);
        let x = self.tokens.embedding.forward(batch.items(), &positions, None, pass);
        let (lists, transformer) = (batch.lists(), &self.tokens.transformer);
        if read == Read::All {
            assert!(!batch.has_hidden(), "all rows of lists with hidden items");
            return transformer.forward(x, lists, pass);
        }
        let last = lists.last_rows();
        if !batch.has_hidden() {
            return transformer.forward_at(x, lists, &last, pass);
        }
        transformer.forward_reaching(x, &batch.reach(), Some((&last, &batch.reach_of_last())), pass)
    }

    /// Encodes lists without dropout and autodiff, some at a time: `[lists, d]`.
    ///
    /// # Panics
    /// As [`encode`](Self::encode).
    pub fn encode_lists<'a>(&self, lists: impl ExactSizeIterator<Item = &'a [u32]>) -> Array2<f32> {
        let count = lists.len();
        let lists: Vec<&[u32]> = lists.collect();
        let mut values: Vec<f32> = Vec::with_capacity(count * self.dim());
        for lists in lists.chunks(LISTS) {
            let batch = ListBatch::new(lists.iter().copied(), self.max_len);
            let rows = self.encode(&batch, Read::Last, &mut Pass::evaluation());
            values.extend(rows.into_data().iter::<f32>());
        }
        Array2::from_shape_vec((count, self.dim()), values).expect("a row for each list")
    }

    /// `[V, d]`: the rows of items 1 to V.
    pub fn item_rows(&self) -> Array2<f32> {
        let rows: Vec<u32> = (1..=self.items as u32).collect();
        let values: Vec<f32> = gather_rows(self.table(), &rows).into_data().iter::<f32>().collect();
        Array2::from_shape_vec((self.items, self.dim()), values).expect("a row for each item")
    }
}
