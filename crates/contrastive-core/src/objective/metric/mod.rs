//! Metric learning on labelled rows: pairs, triplets and lists of similarities with margins, and the mining of hard ones.

pub(crate) mod angular;
pub(crate) mod circle;
pub(crate) mod dynamic_soft_margin;
pub(crate) mod hard_triplet;
pub(crate) mod hardest;
pub(crate) mod histogram;
pub(crate) mod intra_pair_variance;
pub(crate) mod lifted_embedding;
pub(crate) mod lifted_structure;
pub(crate) mod margin_based;
pub(crate) mod margins;
pub(crate) mod multi_similarity;
pub(crate) mod pair_contrastive;
pub(crate) mod ranked_list;
pub(crate) mod signal_to_noise;
pub(crate) mod triplet;
pub(crate) mod tuplet_margin;

pub use angular::Angular;
pub use circle::Circle;
pub use dynamic_soft_margin::DynamicSoftMargin;
pub use hard_triplet::HardTriplet;
pub use hardest::{TopK, hardest_negatives, hardest_positives, negatives_below, semi_hard_negatives};
pub use histogram::Histogram;
pub use intra_pair_variance::IntraPairVariance;
pub use lifted_embedding::LiftedStructuredEmbedding;
pub use lifted_structure::LiftedStructure;
pub use margin_based::MarginBased;
pub use multi_similarity::MultiSimilarity;
pub use pair_contrastive::PairContrastive;
pub use ranked_list::RankedList;
pub use signal_to_noise::SignalToNoise;
pub use triplet::{Mining, Triplet, triplet_margin};
pub use tuplet_margin::TupletMargin;
