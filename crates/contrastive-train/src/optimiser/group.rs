//! Parameters that are treated differently from others.

use serde::{Deserialize, Serialize};

/// Which parameters, by the names of their modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Select {
    /// All.
    All,
    /// Those of these modules: `encoder` takes `encoder.0.weight`, not `encoder_2.weight`.
    Modules(Vec<String>),
    /// Those of all other modules.
    Except(Vec<String>),
    /// Biases, and the gains of norms: all with fewer than two dimensions.
    NormsAndBiases,
}

impl Select {
    /// Those of these modules.
    pub fn modules<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::Modules(names.into_iter().map(Into::into).collect())
    }

    /// Those of all modules but these.
    pub fn except<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::Except(names.into_iter().map(Into::into).collect())
    }

    /// Is the tensor at this path, of so many dimensions, one of them?
    pub fn takes(&self, path: &str, dimensions: usize) -> bool {
        let below = |name: &String| {
            path.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match self {
            Self::All => true,
            Self::Modules(names) => names.iter().any(below),
            Self::Except(names) => !names.iter().any(below),
            Self::NormsAndBiases => dimensions < 2,
        }
    }
}

/// What holds for some of the parameters. A tensor that several groups select gets what all of them say: factors multiply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Which parameters.
    pub select: Select,
    /// Factor on the learning rate.
    pub rate: f64,
    /// Whether weights decay.
    pub decay: bool,
    /// Whether an optimiser with a trust ratio uses it.
    pub trust_ratio: bool,
}

impl Group {
    /// These parameters, for now treated like all others.
    pub fn new(select: Select) -> Self {
        Self { select, rate: 1.0, decay: true, trust_ratio: true }
    }

    /// Norms and biases without decay and without trust ratio, as most published trainings have it.
    pub fn plain_norms_and_biases() -> Self {
        Self { decay: false, trust_ratio: false, ..Self::new(Select::NormsAndBiases) }
    }

    /// A factor on the learning rate; 0 keeps the parameters as they are.
    #[must_use]
    pub fn with_rate(mut self, factor: f64) -> Self {
        self.rate = factor;
        self
    }

    /// Without decay.
    #[must_use]
    pub fn without_decay(mut self) -> Self {
        self.decay = false;
        self
    }

    /// Without trust ratio.
    #[must_use]
    pub fn without_trust_ratio(mut self) -> Self {
        self.trust_ratio = false;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_go_by_whole_names() {
        let some = Select::modules(["encoder", "head.1"]);
        let paths = ["encoder", "encoder.0.weight", "encoder_2.weight", "head.1.bias", "head.10.bias", "head.0.bias"];
        let taken: Vec<bool> = paths.iter().map(|path| some.takes(path, 2)).collect();
        assert_eq!(taken, [true, true, false, true, false, false]);
        let others = Select::except(["encoder", "head.1"]);
        assert!(paths.iter().zip(&taken).all(|(path, taken)| others.takes(path, 2) != *taken));
        assert_eq!([0, 1, 2, 4].map(|d| Select::NormsAndBiases.takes("x", d)), [true, true, false, false]);
    }
}
