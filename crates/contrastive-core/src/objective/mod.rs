//! Objectives: what a comparison costs. Every one gives its value and its exact gradients in memory linear in the rows.
//!
//! # Which one?
//!
//! | I have | use | beyond that |
//! |---|---|---|
//! | two views of the same images (or rows, windows, nodes) | [`NtXent`] (SimCLR) | small batches: [`Dcl`]; a queue of past keys: [`Moco`], [`ReSsl`], [`NnClr`]; hard or false negatives: [`DebiasedInfoNce`], [`HardContrastive`]; more than two views: [`Cacr`], [`GroCo`] |
//! | the same, without negatives | [`VicReg`], [`BarlowTwins`], [`byol`], [`simsiam`] | prototypes: [`SwAv`], [`Dino`]; whitening: [`WMse`]; evenly spread: [`AlignmentUniformity`] |
//! | pairs of text and image | [`Clip`] | no normalisation over the batch: [`SigLip`]; captions in several languages: [`OneToK`] |
//! | a question and its answer (documents, code) | [`MultipleNegativesRanking`] | with a hard negative for each question: its `loss_with_hard_negatives` |
//! | one positive and given negatives | [`InfoNce`] (`loss_with_negatives`, `loss_with_own_negatives`) | a learned similarity: [`BilinearInfoNce`] |
//! | rows with class labels | [`SupCon`] | metric learning: [`MultiSimilarity`], [`Circle`], [`Triplet`]; average precision: [`SmoothAp`], [`FastAp`]; rows of past batches: [`CrossBatch`] |
//! | rows with class labels, many classes or small batches | [`ClassMargin`] (ArcFace, CosFace) | a learned row for each class: [`ProxyAnchor`], [`SoftTriple`], [`SphereFace`], [`Nca`] |
//! | a user and an item bought | [`bpr()`] | several sampled negatives: [`sampled_bce()`]; the other items of the batch as negatives: [`InfoNce`] |
//! | sentences in pairs, with scores | [`CoSent`] | [`AnglE`], [`cosine_regression()`] |
//! | pairs that are alike or not | [`ListedPairs`] | among all rows of a batch: [`PairContrastive`] |
//! | triplets: anchor, positive, negative | [`triplet_margin`] | [`MarginBased`], [`TupletMargin`]; mined: [`HardTriplet`], [`hardest_negatives`] |
//! | two views of the nodes of a graph | [`Grace`] | clusters in place of all negatives: [`PamC`] |
//! | two crops of time series, `[instances, time, channels]` | [`Ts2Vec`] | windows of recordings and persons: [`IdentityContrast`]; segments of a series: [`SegmentContrast`]; two sets as distributions: [`MaximumMeanDiscrepancy`] |
//! | two crops of images, cell by cell | [`PixPro`] | with negatives: [`PixContrast`] |
//! | negatives that do not all count alike | [`ClusteredNegatives`], [`LearnedNegatives`] | centroids as candidates, each with its temperature: [`PrototypicalTerm`] |
//! | originals and copies with a known number of edits | [`DiscrepancyLearning`] | |
//! | states of the tokens of sequences | [`SimCtg`] | |
//! | batches far too small for the temperature | [`SogClr`] | a temperature for each sample: [`ISogClr`]; noise contrastive estimation: [`Meco`] |
//! | positives of my own: lists, weights, excluded pairs | [`PairObjective`] with [`Pairs`](crate::pairs::Pairs) | candidates from several sources: [`CandidateBlocks`]; many small problems at once: [`Grouped`] |
//! | two views whose contrast has become too easy | [`MarginBand`] (MCLRec's regulariser, with NT-Xent in the same pass) | |
//! | a formula of my own | [`LogSums`] (of log-sum-exps), [`row_blocks`] (of anything) | |
//! | samples of two kinds: what they share, and what one has alone | [`SepClr`] | the entropy of two vectors together: [`JointEntropy`] |
//! | two views, a slow teacher, and neighbours from a memory | [`Beclr`] with [`DyCe`](crate::memory::DyCe) | |
//! | rows on several machines | the `_over` forms of the losses, with [`Ranks`](crate::distributed::Ranks) | |
//!
//! ```
//! # use burn::tensor::{Device, Distribution, Tensor};
//! # let device = Device::default().autodiff();
//! # let encode = || Tensor::<2>::random([8, 4], Distribution::Default, &device).require_grad();
//! use contrastive_core::objective::NtXent;
//!
//! let (first, second) = (encode(), encode()); // [n, d] each; row i of both is a view of sample i
//! let loss = NtXent::new(0.5)?.loss(first, second); // [1]
//! let gradients = loss.backward();
//! # let _ = gradients;
//! # Ok::<(), contrastive_core::error::ObjectiveError>(())
//! ```
//!
//! Nearly all have three forms: `loss` gives a value in autodiff, `evaluate` the value and the gradients of the inputs without a tape,
//! `dense` the same formula in plain tensor operations, with the whole matrix: the readable definition and the oracle of the tests.
//!
//! # Degenerate input
//!
//! An anchor without negatives, or compared with nothing, costs 0 and has no gradient; anchors without positives say at their objective
//! how they count; a NaN or infinite row makes the value NaN or infinite. No rows, shapes that do not fit, and tables of f32 and f64
//! mixed panic.
//! `docs/bad-inputs.md` has it objective by objective.
//!
//! # The softmax family, one engine
//!
//! [`PairObjective`] is the engine behind InfoNCE, NT-Xent, SupCon, CLIP, DCL and what lies between them. Row i (an anchor), positives p
//! with target weights `t_ip`, candidates j:
//!
//! ```text
//! s_ij = sim(a_i, c_j) / tau + bias_j
//! Outside: l_i = sum_p t_ip (log D_ip - s_ip)       Inside: l_i = log D_i - log sum_p t_ip e^{s_ip}
//! D: WithPositives  sum over all candidates          NegativesOnly  sum over the candidates that are not positives
//!    OwnPositive    e^{s_ip} + sum over the negatives, a denominator for each positive
//! ```

pub(crate) mod distributed;
pub(crate) mod engine;
mod metric;
mod non_contrastive;
mod proxy;
pub(crate) mod ranking;
mod softmax;
mod stateful;

pub use engine::*;
pub use metric::*;
pub use non_contrastive::*;
pub use proxy::*;
pub use ranking::*;
pub use softmax::*;
pub use stateful::*;

pub(crate) use engine::inputs::check_types;
pub(crate) use engine::numeric::{MASKED, computed, computed_in, in_range, zero_or_nan};
