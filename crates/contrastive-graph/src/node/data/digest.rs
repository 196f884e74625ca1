//! Whether a graph is the same as before.

use contrastive_data::Digest;

use super::features::Features;
use super::graph::Graph;

impl Graph {
    /// A digest of edges, weights, features and classes: a run that goes on does so with the same data. Name, ids, splits and
    /// notes do not count.
    pub fn digest(&self) -> Digest {
        let mut digest = Digest::new().u64(self.is_directed().into());
        digest = digest.u64s(self.indptr().iter().map(|&start| start as u64)).u32s(self.indices());
        if let Some(weights) = self.weights() {
            digest = digest.u64s(weights.iter().map(|weight| weight.to_bits()));
        }
        digest = match self.features() {
            None => digest.u64(0),
            Some(Features::Dense(rows)) => digest.u64(1).u64(rows.ncols() as u64).f32s(rows.iter().copied()),
            Some(Features::Sparse(rows)) => {
                let starts = rows.indptr().iter().map(|&start| start as u64);
                let digest = digest.u64(2).u64(rows.cols() as u64).u64s(starts);
                digest.u32s(rows.indices()).f32s(rows.values().iter().copied())
            }
        };
        match self.labels() {
            None => digest.u64(0),
            Some(labels) => (0..labels.num_nodes()).fold(digest.u64(1), |digest, node| digest.u32s(labels.of(node))),
        }
    }
}
