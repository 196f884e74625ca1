//! What can be wrong with a method's settings or data.

use crate::node::augment::AugmentError;
use crate::node::data::GraphError;
use crate::node::encoder::EncoderError;
use crate::user_item::data::DataError;
use contrastive_core::cluster::KMeansError;
use contrastive_core::error::ObjectiveError;
use contrastive_core::linear::SvdError;
use contrastive_eval::ranking::RankingError;
use contrastive_train::TrainError;
use thiserror::Error;

/// Why a method could not be built, trained or evaluated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MethodError {
    /// A setting outside of its range.
    #[error("{method}: {setting} is {value}; allowed is {allowed}")]
    Setting {
        /// The method.
        method: &'static str,
        /// Name of the setting.
        setting: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A graph too small to have a negative.
    #[error("{method}: a graph of {nodes} nodes; allowed is 2 or more")]
    TooFewNodes {
        /// The method.
        method: &'static str,
        /// Number of nodes.
        nodes: usize,
    },
    /// A graph in which no node has an edge to another.
    #[error("{method}: a graph of {nodes} nodes without an edge between two of them; at least one is needed")]
    NoEdges {
        /// The method.
        method: &'static str,
        /// Number of nodes.
        nodes: usize,
    },
    /// The interactions.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A graph of nodes.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The encoder.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// A view of a graph of nodes.
    #[error(transparent)]
    Augment(#[from] AugmentError),
    /// The clusters.
    #[error(transparent)]
    KMeans(#[from] KMeansError),
    /// The objective.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The low-rank view.
    #[error(transparent)]
    Svd(#[from] SvdError),
    /// The evaluation.
    #[error(transparent)]
    Ranking(#[from] RankingError),
    /// The training run, its files or its device.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// Checks settings of one method, whose name it holds. Every check fails with a [`MethodError::Setting`].
pub struct Check(pub &'static str);

impl Check {
    /// `good`, or the error with what is allowed.
    ///
    /// # Errors
    /// Unless `good`.
    pub fn that(
        &self,
        good: bool,
        setting: &'static str,
        value: impl ToString,
        allowed: &str,
    ) -> Result<(), MethodError> {
        match good {
            true => Ok(()),
            false => {
                Err(MethodError::Setting { method: self.0, setting, value: value.to_string(), allowed: allowed.into() })
            }
        }
    }

    /// A finite number above 0.
    ///
    /// # Errors
    /// When it is another.
    pub fn positive(&self, setting: &'static str, value: f64) -> Result<(), MethodError> {
        self.that(value.is_finite() && value > 0.0, setting, value, "a finite number above 0")
    }

    /// A finite number of at least 0.
    ///
    /// # Errors
    /// When it is another.
    pub fn weight(&self, setting: &'static str, value: f64) -> Result<(), MethodError> {
        self.that(value.is_finite() && value >= 0.0, setting, value, "a finite number of at least 0")
    }

    /// A number of at least 1.
    ///
    /// # Errors
    /// When it is 0.
    pub fn count(&self, setting: &'static str, value: usize) -> Result<(), MethodError> {
        self.that(value > 0, setting, value, "1 or more")
    }

    /// At least 0 and below 1.
    ///
    /// # Errors
    /// When it is another.
    pub fn share(&self, setting: &'static str, value: f64) -> Result<(), MethodError> {
        self.that((0.0..1.0).contains(&value), setting, value, "0 to 1, 1 excluded")
    }

    /// Every value is at least 0 and at most 1.
    ///
    /// # Errors
    /// With the first that is not.
    pub fn probabilities(&self, setting: &'static str, values: &[f64]) -> Result<(), MethodError> {
        let good = |value: f64| (0.0..=1.0).contains(&value);
        values.iter().try_for_each(|&value| self.that(good(value), setting, value, "0 to 1"))
    }

    /// Widths of layers: one or more, none of them 0.
    ///
    /// # Errors
    /// When there are none, or one is 0.
    pub fn widths(&self, widths: &[usize]) -> Result<(), MethodError> {
        self.count("number of widths", widths.len())?;
        widths.iter().try_for_each(|width| self.count("width", *width))
    }
}
