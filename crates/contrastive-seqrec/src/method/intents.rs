//! Intents: clusters of encodings, found once an epoch.

use burn::tensor::{Tensor, TensorData};
use contrastive_core::cluster::nearest_centroids;
use contrastive_core::cluster::{KMeans, KMeansError, MiniBatches, k_means, k_means_from, k_means_in_batches};
use contrastive_core::linear::gather_rows;

/// Centres of clusters, constants in training.
#[derive(Clone, Debug)]
pub struct Intents {
    centres: Tensor<2>,
    directions: Tensor<2>,
    inertia: f64,
}

impl Intents {
    /// Clusters encodings `[n, d]` (Euclidean, as they are): from `before` where there is something, else from k-means++ seeds with the
    /// restarts of `settings`; in mini-batches if wanted.
    ///
    /// # Errors
    /// When there are fewer rows than clusters, or a row is not finite.
    pub fn find(
        encodings: &Tensor<2>,
        settings: &KMeans,
        batches: Option<MiniBatches>,
        before: Option<&Self>,
    ) -> Result<Self, KMeansError> {
        let start = before.map(|intents| &intents.centres);
        let found = match (batches, start) {
            (Some(batches), start) => k_means_in_batches(encodings, start, settings, batches)?,
            (None, Some(start)) => k_means_from(encodings, start, settings)?,
            (None, None) => k_means(encodings, settings)?,
        };
        Ok(Self { inertia: found.inertia, ..Self::from_centres(found.centroids) })
    }

    /// Given centres `[k, d]`.
    pub fn from_centres(centres: Tensor<2>) -> Self {
        let lengths = (centres.clone() * centres.clone()).sum_dim(1).clamp_min(1e-24).sqrt();
        Self { directions: centres.clone() / lengths, centres, inertia: f64::NAN }
    }

    /// The centres `[k, d]`, outside of autodiff.
    pub fn centres(&self) -> &Tensor<2> {
        &self.centres
    }

    /// Sum of squared distances of the rows to their centres; NaN for centres that were given.
    pub fn inertia(&self) -> f64 {
        self.inertia
    }

    /// The nearest centre of each row (by Euclidean distance), and these centres at length 1, `[n, d]`: constants.
    ///
    /// # Errors
    /// When a row is not finite.
    pub fn of(&self, rows: &Tensor<2>) -> Result<(Vec<u32>, Tensor<2>), KMeansError> {
        let ids = nearest_centroids(rows, &self.centres, false)?;
        let directions = gather_rows(self.directions.clone(), &ids);
        Ok((ids, directions))
    }

    pub(super) fn data(&self) -> TensorData {
        self.centres.to_data()
    }
}
