//! Contrastive UCB (Qiu et al. 2022): features learned by telling next states from noise, and exploration paid by an elliptical
//! bonus in them. One agent in a decision process ([`UcbConfig`]), two in a zero-sum game ([`GameConfig`]).

mod agent;
mod bonus;
mod equilibrium;
mod game;
mod model;
mod planning;
mod samples;

pub use agent::{Ucb, UcbConfig};
pub use bonus::Bonus;
pub use equilibrium::{Equilibrium, coarse_correlated_equilibrium};
pub use game::{Game, GameConfig, GameReport, gap_of};
pub(crate) use model::normal;
pub use model::{FeatureModel, FitSettings, SoftmaxTable, TableLoss, density_ratio_loss, info_nce_loss};
pub use planning::{Plan, plan};
pub use samples::{Samples, collect};
