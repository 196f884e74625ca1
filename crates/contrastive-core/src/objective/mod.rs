//! The softmax family: one engine behind InfoNCE, NT-Xent, SupCon, CLIP, DCL and what lies between them.
//!
//! Row i (an anchor), positives p with target weights `t_ip`, candidates j:
//!
//! ```text
//! s_ij = sim(a_i, c_j) / tau + bias_j
//! Outside: l_i = sum_p t_ip (log D_ip - s_ip)       Inside: l_i = log D_i - log sum_p t_ip e^{s_ip}
//! D: WithPositives  sum over all candidates          NegativesOnly  sum over the candidates that are no positives
//!    OwnPositive    e^{s_ip} + sum over the negatives, a denominator for each positive
//! ```
//!
//! Degenerate input has a value: an anchor without negatives, or compared with nothing, costs 0 and has no gradient; anchors
//! without positives say at their objective how they count; rows that are not finite give a value that is not finite. No
//! rows, and shapes that do not fit, panic. `docs/bad-inputs.md` has it objective by objective.
//!
//! A [`PairObjective`] is an eager function: [`evaluate`](PairObjective::evaluate) gives the value and the gradients of its
//! inputs without a tape and without the anchors x candidates matrix; [`loss`](PairObjective::loss) hangs the same numbers
//! into autodiff; [`dense`](PairObjective::dense) is the same formula in plain tensor operations, the readable definition
//! and the oracle of the tests.

mod angle;
mod angular;
mod bilinear;
mod blocks;
mod bpr;
mod cacr;
mod candidates;
mod centers;
mod choices;
mod circle;
mod class_margin;
mod classes;
mod clip;
mod co_sent;
mod cosine_regression;
mod cross_batch;
mod dcl;
mod debiased;
mod dense;
mod distances;
mod dynamic_soft_margin;
mod evaluate;
mod fast_ap;
mod grace;
mod groco;
pub mod grouped;
mod hard_contrastive;
mod hard_triplet;
mod hardest;
mod histogram;
mod info_nce;
mod inputs;
mod intra_pair_variance;
mod jensen_shannon;
mod large_margin;
mod lifted_embedding;
mod lifted_structure;
mod listed_pairs;
pub(crate) mod log_sums;
mod margin_based;
mod margins;
mod meta_nodes;
mod metric_rows;
mod moco;
mod multi_similarity;
mod n_pairs;
mod nca;
mod nearest;
mod nnclr;
mod nt_xent;
mod one_to_k;
pub(crate) mod ops;
mod optimised;
pub(crate) mod over_ranks;
mod p2s_grad;
mod pair;
mod pair_contrastive;
mod pair_terms;
mod pixpro;
mod pnp;
mod portable;
mod proxy_anchor;
mod ranked_list;
mod ranking;
mod resolve;
mod ressl;
mod rowwise;
pub(crate) mod sampled_bce;
mod sentence_pairs;
mod sig_lip;
mod signal_to_noise;
mod smooth_ap;
mod soft_triple;
pub(crate) mod spec;
mod sphere_face;
mod sub_center_arcface;
mod sup_con;
mod triplet;
mod ts2vec;
mod tuplet_margin;
mod unpaired;
mod views;

pub use angle::AnglE;
pub use angular::Angular;
pub use bilinear::BilinearInfoNce;
pub use blocks::row_blocks;
pub use bpr::{bpr, bpr_from_scores, embedding_penalty};
pub use cacr::{Cacr, CacrEvaluation, CacrInfoNce};
pub use candidates::CandidateBlocks;
pub use choices::{Direction, PositiveWeights, Reduction};
pub use circle::Circle;
pub use class_margin::ClassMargin;
pub use clip::Clip;
pub use co_sent::CoSent;
pub use contrastive_kernels::softmax::{Denominator, Placement, Wanted};
pub use cosine_regression::cosine_regression;
pub use cross_batch::CrossBatch;
pub use dcl::Dcl;
pub use debiased::DebiasedInfoNce;
pub use dynamic_soft_margin::DynamicSoftMargin;
pub use fast_ap::FastAp;
pub use grace::Grace;
pub use groco::GroCo;
pub use grouped::{Grouped, GroupedEvaluation, GroupedInputs};
pub use hard_contrastive::HardContrastive;
pub use hard_triplet::HardTriplet;
pub use hardest::{TopK, hardest_negatives, hardest_positives, negatives_below, semi_hard_negatives};
pub use histogram::Histogram;
pub use info_nce::InfoNce;
pub use inputs::{Evaluation, Gradients, Inputs};
pub use intra_pair_variance::IntraPairVariance;
pub use jensen_shannon::JensenShannon;
pub use large_margin::LargeMarginSoftmax;
pub use lifted_embedding::LiftedStructuredEmbedding;
pub use lifted_structure::LiftedStructure;
pub use listed_pairs::ListedPairs;
pub use log_sums::LogSums;
pub use margin_based::MarginBased;
pub use meta_nodes::{MetaNodeProxy, MetaNodes, PamC, SparsePositives};
pub use moco::Moco;
pub use multi_similarity::MultiSimilarity;
pub use n_pairs::NPairs;
pub use nca::Nca;
pub use nearest::nearest_rows;
pub use nnclr::NnClr;
pub use nt_xent::NtXent;
pub use one_to_k::{OneToK, OneToKParts};
pub use optimised::*;
pub use p2s_grad::P2sGrad;
pub use pair::PairObjective;
pub use pair_contrastive::PairContrastive;
pub use pair_terms::PairTerm;
pub use pixpro::{CropBox, PixContrast, PixPro, on_cells, propagate, same_place};
pub use pnp::Pnp;
pub use proxy_anchor::ProxyAnchor;
pub use ranked_list::RankedList;
pub use ranking::MultipleNegativesRanking;
pub use ressl::ReSsl;
pub use sampled_bce::{logistic, sampled_bce, sampled_bce_from_scores, softplus};
pub use sig_lip::SigLip;
pub use signal_to_noise::SignalToNoise;
pub use smooth_ap::SmoothAp;
pub use soft_triple::SoftTriple;
pub use sphere_face::SphereFace;
pub use sub_center_arcface::SubCenterArcFace;
pub use sup_con::SupCon;
pub use triplet::{Mining, Triplet, triplet_margin};
pub use ts2vec::{Ts2Vec, ViewsEvaluation};
pub use tuplet_margin::TupletMargin;
pub use unpaired::*;

use burn::tensor::{DType, Tensor};

/// f16 and bf16 are computed in f32.
pub(crate) fn computed_in(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// `[1]`: 0, or NaN if a number is not finite; a constant.
pub(crate) fn nothing_of<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    (x.clone().detach() * 0.0).sum()
}

/// A tensor in the type that is computed in; differentiable.
pub(crate) fn computed<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = computed_in(x.dtype());
    if x.dtype() == dtype { x } else { x.cast(dtype) }
}
