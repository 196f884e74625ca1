//! The settings that PamC was published with.

use super::NodeMethodConfig;
use super::pamc::{PamcConfig, PamcNegatives};

/// A data set with published settings of PamC and of its unapproximated twin SCGC*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PamcData {
    /// Digits: 10 clusters, 256 features, nearest-neighbour graph.
    Usps,
    /// Sensor recordings: 6 clusters, 561 features, nearest-neighbour graph.
    Hhar,
    /// News: 4 clusters, 2000 features, nearest-neighbour graph.
    Reuters,
    /// Papers: 3 clusters, 1870 features.
    Acm,
    /// Authors: 4 clusters, 334 features.
    Dblp,
    /// Papers: 6 clusters, 3703 features.
    CiteSeer,
}

impl PamcData {
    /// Clusters, and the published weights alpha and beta, order and tau: of PamC, then of SCGC*.
    fn table(self) -> (usize, [(f64, f64, usize, f64); 2]) {
        match self {
            Self::Usps => (10, [(2.0, 2.0, 4, 0.5), (4.0, 0.1, 4, 0.25)]),
            Self::Hhar => (6, [(0.5, 12.5, 2, 1.5), (1.0, 10.0, 3, 2.25)]),
            Self::Reuters => (4, [(1.0, 0.2, 1, 0.25), (0.5, 0.1, 3, 0.25)]),
            Self::Acm => (3, [(0.5, 0.5, 1, 0.5), (1.0, 0.1, 1, 0.25)]),
            Self::Dblp => (4, [(2.0, 2.0, 1, 1.0), (1.0, 0.1, 1, 0.25)]),
            Self::CiteSeer => (6, [(2.0, 2.5, 3, 0.5), (1.0, 0.1, 1, 0.25)]),
        }
    }

    /// Number of neighbours of the graph, where it is made from the features.
    pub fn neighbours(self) -> Option<usize> {
        match self {
            Self::Usps | Self::Reuters => Some(3),
            Self::Hhar => Some(5),
            _ => None,
        }
    }

    fn config(self, twin: bool) -> PamcConfig {
        let (clusters, settings) = self.table();
        let (alpha, beta, order, tau) = settings[usize::from(twin)];
        let slow = self == Self::Reuters || (twin && self == Self::CiteSeer);
        PamcConfig::new(clusters)
            .with_alpha(alpha)
            .with_beta(beta)
            .with_order(order)
            .with_tau(tau)
            .with_learning_rate(if slow { 1e-4 } else { 1e-3 })
            .with_negatives(if twin { PamcNegatives::AllPairs } else { PamcNegatives::Official })
    }

    /// PamC's settings.
    pub fn pamc(self) -> PamcConfig {
        self.config(false)
    }

    /// The settings of SCGC*, which compares all pairs of nodes.
    pub fn unapproximated(self) -> PamcConfig {
        self.config(true)
    }
}
