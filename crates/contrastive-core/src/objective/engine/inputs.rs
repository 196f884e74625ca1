//! What goes into an objective, and what comes out.

use super::pair_terms::{PairTerm, PairTerms};
use crate::objective::computed_in;
use crate::pairs::Pairs;
use crate::temperature::Temperature;
use burn::tensor::{DType, Tensor};

/// The one check of element types that all objectives share: their tables are computed in one type, and none is cast in silence. Half
/// precision is computed in f32 and goes with it.
///
/// # Panics
/// When a table is computed in another type than the first; the message names both and their types.
#[track_caller]
pub(crate) fn check_types(tables: &[(&str, DType)]) {
    let [(first, dtype), others @ ..] = tables else { return };
    for (other, own) in others {
        assert_eq!(computed_in(*dtype), computed_in(*own), "the element types of {first} and {other}");
    }
}

/// The tensors an objective compares.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub(crate) anchors: Tensor<2>,
    pub(crate) candidates: Option<Tensor<2>>,
    pub(crate) paired: Option<Tensor<2>>,
    pub(crate) scale: Option<Tensor<1>>,
    pub(crate) bias: Option<Tensor<1>>,
    pub(crate) pair_terms: PairTerms,
}

impl Inputs {
    /// Anchors `[n, d]` among candidates `[m, d]`.
    pub fn new(anchors: Tensor<2>, candidates: Tensor<2>) -> Self {
        Self {
            anchors,
            candidates: Some(candidates),
            paired: None,
            scale: None,
            bias: None,
            pair_terms: PairTerms::default(),
        }
    }

    /// A table `[n, d]` compared with itself: every row is an anchor, the other rows its candidates.
    pub fn self_contrast(table: Tensor<2>) -> Self {
        Self { candidates: None, ..Self::new(table.clone(), table) }
    }

    /// `[n, d]`: the own positive of each anchor, which is not a candidate; with [`Pairs::Beside`].
    pub fn with_paired(mut self, positives: Tensor<2>) -> Self {
        self.paired = Some(positives);
        self
    }

    /// `[1]` or `[n]`: the inverse temperature, from 1e-9 to 2e9; with [`Temperature::Input`]. Outside, native kernels panic, and tensor
    /// operations, which would have to wait for a device to look at it, give NaN.
    pub fn with_scale(mut self, scale: Tensor<1>) -> Self {
        self.scale = Some(scale);
        self
    }

    /// `[m]`: added to the logits of each candidate: its log-weight.
    pub fn with_bias(mut self, bias: Tensor<1>) -> Self {
        self.bias = Some(bias);
        self
    }

    /// An inverse temperature for each pair, besides that of the objective, which it multiplies; with a gradient.
    ///
    /// Pair terms are evaluated block by block through autodiff: memory stays linear, time is about four times the engine's.
    pub fn with_pair_scale(mut self, scale: PairTerm) -> Self {
        self.pair_terms.scale = Some(scale);
        self
    }

    /// Added to the logit of each pair: its log-weight; with a gradient. Computed like
    /// [`with_pair_scale`](Self::with_pair_scale).
    pub fn with_pair_bias(mut self, bias: PairTerm) -> Self {
        self.pair_terms.bias = Some(bias);
        self
    }

    /// Neither a scale nor a bias nor terms of pairs.
    pub(crate) fn has_rows_alone(&self) -> bool {
        self.scale.is_none() && self.bias.is_none() && self.pair_terms.is_empty()
    }

    /// (n, m, a table with itself?)
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub(crate) fn check(&self, pairs: &Pairs, temperature: &Temperature) -> (usize, usize, bool) {
        let [n, d] = self.anchors.dims();
        let [m, e] = self.candidates.as_ref().map_or([n, d], Tensor::dims);
        assert!(n > 0 && m > 0 && d > 0, "an objective of anchors [{n}, {d}] and candidates [{m}, {e}]");
        assert_eq!(d, e, "the widths of anchors [{n}, {d}] and candidates [{m}, {e}]");
        let type_of = |t: &Option<Tensor<2>>| t.as_ref().unwrap_or(&self.anchors).dtype();
        let (candidates, paired) = (type_of(&self.candidates), type_of(&self.paired));
        let anchors = self.anchors.dtype();
        check_types(&[("anchors", anchors), ("candidates", candidates), ("paired positives", paired)]);
        assert_eq!(
            self.paired.is_some(),
            *pairs == Pairs::Beside,
            "positives beside the candidates: among the inputs, and in the pairs"
        );
        if let Some(paired) = &self.paired {
            assert_eq!(paired.dims(), [n, d], "the shapes of paired positives and anchors");
        }
        if let (Temperature::Input, Some(scale)) = (temperature, &self.scale) {
            let k = scale.dims()[0];
            assert!(k == 1 || k == n, "a scale of {k} values for {n} anchors");
        }
        if let Some(bias) = &self.bias {
            assert_eq!(bias.dims(), [m], "the shape of the bias and the number of candidates");
        }
        self.pair_terms.check(n, m);
        (n, m, self.candidates.is_none())
    }

    /// The same without autodiff, in a type the engine computes in.
    pub(crate) fn plain(&self) -> Self {
        let dtype = computed_in(self.anchors.dtype());
        let two = |t: &Tensor<2>| t.clone().inner().cast(dtype);
        let one = |t: &Tensor<1>| t.clone().inner().cast(dtype);
        Self {
            anchors: two(&self.anchors),
            candidates: self.candidates.as_ref().map(two),
            paired: self.paired.as_ref().map(two),
            scale: self.scale.as_ref().map(one),
            bias: self.bias.as_ref().map(one),
            pair_terms: self.pair_terms.plain(dtype),
        }
    }
}

/// Value and gradients, plain tensors outside autodiff.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// `[1]`.
    pub value: Tensor<1>,
    /// `[n]`: each anchor's value before the reduction.
    pub rows: Tensor<1>,
    /// `[m]`: each candidate's value, when both directions are evaluated.
    pub columns: Option<Tensor<1>>,
    /// Of what was wanted.
    pub gradients: Gradients,
}

/// Gradients of the value with respect to the [`Inputs`]; `None` where there is no such input, or it was not wanted.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    /// `[n, d]`; of a table compared with itself the whole gradient where both sides' were wanted, else that of its rows as anchors.
    pub anchors: Option<Tensor<2>>,
    /// `[m, d]`.
    pub candidates: Option<Tensor<2>>,
    /// `[n, d]`.
    pub paired: Option<Tensor<2>>,
    /// `[1]` or `[n]`; also of a fixed temperature.
    pub scale: Option<Tensor<1>>,
    /// `[m]`.
    pub bias: Option<Tensor<1>>,
    /// Of the tensors of the pair terms: those of the scale, then those of the bias.
    pub pair_terms: Vec<Tensor<2>>,
}
