//! Objectives that compare a positive with its negatives by a softmax or a sigmoid: InfoNCE and its relatives.

pub(crate) mod bilinear;
pub(crate) mod cacr;
pub(crate) mod clip;
pub(crate) mod cross_batch;
pub(crate) mod dcl;
pub(crate) mod debiased;
pub(crate) mod grace;
pub(crate) mod hard_contrastive;
pub(crate) mod identity;
pub(crate) mod info_nce;
pub(crate) mod jensen_shannon;
pub(crate) mod margin_band;
pub(crate) mod meta_nodes;
pub(crate) mod moco;
pub(crate) mod multiple_negatives_ranking;
pub(crate) mod n_pairs;
pub(crate) mod nca;
pub(crate) mod negatives;
pub(crate) mod nnclr;
pub(crate) mod nt_xent;
pub(crate) mod one_to_k;
pub(crate) mod pixpro;
pub(crate) mod ressl;
pub(crate) mod segments;
pub(crate) mod sig_lip;
pub(crate) mod sup_con;
pub(crate) mod ts2vec;

pub use bilinear::BilinearInfoNce;
pub use cacr::{Cacr, CacrEvaluation, CacrInfoNce};
pub use clip::Clip;
pub use cross_batch::CrossBatch;
pub use dcl::Dcl;
pub use debiased::DebiasedInfoNce;
pub use grace::Grace;
pub use hard_contrastive::HardContrastive;
pub use identity::IdentityContrast;
pub use info_nce::InfoNce;
pub use jensen_shannon::JensenShannon;
pub use margin_band::{MarginBand, margin_band_of_batch};
pub use meta_nodes::{MetaNodeProxy, MetaNodes, PamC, SparsePositives};
pub use moco::Moco;
pub use multiple_negatives_ranking::MultipleNegativesRanking;
pub use n_pairs::NPairs;
pub use nca::Nca;
pub use negatives::{
    ClusteredNegatives, Concentration, LearnedNegatives, NegativesError, PrototypicalTerm, WeightNetwork,
    concentrations,
};
pub use nnclr::NnClr;
pub use nt_xent::NtXent;
pub use one_to_k::{OneToK, OneToKParts};
pub use pixpro::{CropBox, PixContrast, PixPro, on_cells, propagate, same_place};
pub use ressl::ReSsl;
pub use segments::SegmentContrast;
pub use sig_lip::SigLip;
pub use sup_con::SupCon;
pub use ts2vec::{Ts2Vec, ViewsEvaluation};
