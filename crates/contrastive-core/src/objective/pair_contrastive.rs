//! The contrastive loss of pairs: positives pulled up to a margin, negatives pushed beyond another.

use super::log_sums::{attached, host, numbers};
use super::{Evaluation, Gradients, Inputs, Wanted};
use crate::error::ObjectiveError;
use crate::pairs::{Exclusions, Pairs};
use crate::similarity::{Compared, Similarity};
use crate::temperature::Temperature;
use burn::tensor::{DType, Tensor, TensorData};

/// Elements of a block of similarities.
const BLOCK_ELEMENTS: usize = 1 << 20;

/// The contrastive loss of pairs (Hadsell et al. 2006, equation 4, with hinges that are not squared), of rows scaled to
/// length 1:
///
/// ```text
/// similarities  [m+ - s]_+ for a positive pair, [s - m-]_+ for a negative one        s = cos(a_i, c_j)
/// distances     [d - m+]_+ for a positive pair, [m- - d]_+ for a negative one        d = |u_i - u_j| = sqrt(2 - 2 s)
/// ```
///
/// The value is the mean over the positive pairs that cost something plus the mean over the negative pairs that do (PyTorch
/// Metric Learning's reading; 0 where none does). Evaluated by row blocks: memory is linear in anchors and candidates.
#[derive(Clone, Debug)]
pub struct PairContrastive {
    kind: Kind,
    positive: f64,
    negative: f64,
    pairs: Pairs,
    exclusions: Exclusions,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Similarity,
    Distance,
}

impl PairContrastive {
    /// Of cosines: positives below `positive` and negatives above `negative` cost (XBM: 1 and 0.5).
    ///
    /// # Errors
    /// When a margin is infinite or NaN.
    pub fn of_similarities(positive: f64, negative: f64) -> Result<Self, ObjectiveError> {
        Self::new(Kind::Similarity, positive, negative)
    }

    /// Of Euclidean distances between unit rows: positives beyond `positive` and negatives within `negative` cost (usual: 0
    /// and 1). Distances come from cosines, so in f32 those below 0.001 are not resolved; such pairs have no gradient.
    ///
    /// # Errors
    /// When a margin is infinite or NaN.
    pub fn of_distances(positive: f64, negative: f64) -> Result<Self, ObjectiveError> {
        Self::new(Kind::Distance, positive, negative)
    }

    fn new(kind: Kind, positive: f64, negative: f64) -> Result<Self, ObjectiveError> {
        if !(positive.is_finite() && negative.is_finite()) {
            return Err(ObjectiveError::Contradiction("the margins of positives and negatives must be finite"));
        }
        Ok(Self { kind, positive, negative, pairs: Pairs::Diagonal, exclusions: Exclusions::none() })
    }

    /// Who belongs to whom; the diagonal unless given. Positives beside the candidates are not supported.
    pub fn pairs(mut self, pairs: Pairs) -> Self {
        self.pairs = pairs;
        self
    }

    /// Who is never compared.
    pub fn exclusions(mut self, exclusions: Exclusions) -> Self {
        self.exclusions = exclusions;
        self
    }

    /// The value `[1]`, attached to anchors and candidates where they carry a gradient.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn loss(&self, inputs: &Inputs) -> Tensor<1> {
        let candidates = inputs.candidates.as_ref().is_some_and(Tensor::is_tracked);
        let result = self.evaluate(inputs, Wanted { anchors: inputs.anchors.is_tracked(), candidates });
        let g = result.gradients;
        let other = inputs.candidates.as_ref().unwrap_or(&inputs.anchors);
        attached(result.value, [(&inputs.anchors, g.anchors), (other, g.candidates)])
    }

    /// Value, each anchor's part of it, and gradients (of a table compared with itself, the whole as that of the anchors).
    ///
    /// # Panics
    /// When shapes, pairs and exclusions do not fit, or the inputs have a scale, a bias or paired positives.
    pub fn evaluate(&self, inputs: &Inputs, wanted: Wanted) -> Evaluation {
        assert!(inputs.scale.is_none() && inputs.bias.is_none(), "pair distances have neither scale nor bias");
        let (n, m, itself) = inputs.check(&self.pairs, &Temperature::Fixed(1.0));
        let positives = self.pairs.resolve(n, m).expect("positives among the candidates");
        let excluded = self.exclusions.resolve(n, m, Some(&positives));
        let own = self.exclusions.offset.or(itself.then_some(0));
        // a table against itself: its gradient has both parts
        let any = itself && (wanted.anchors || wanted.candidates);
        let wanted = Wanted { anchors: wanted.anchors || any, candidates: wanted.candidates || any };
        let plain = inputs.plain();
        let anchors = Compared::new(Similarity::Cosine, plain.anchors);
        let other = plain.candidates.map(|c| Compared::new(Similarity::Cosine, c));
        let (a, c) = (&anchors.rows, other.as_ref().map_or(&anchors.rows, |c| &c.rows));
        let d = a.dims()[1];

        let mut sums = [Side::default(), Side::default()];
        let block = (BLOCK_ELEMENTS / m).clamp(1, n);
        for i0 in (0..n).step_by(block) {
            let r = block.min(n - i0);
            let (mut alike, mut unlike) = (vec![0f32; r * m], vec![1f32; r * m]);
            for i in 0..r {
                let row = i * m..(i + 1) * m;
                let (alike, unlike) = (&mut alike[row.clone()], &mut unlike[row]);
                for &j in positives.of(i0 + i) {
                    (alike[j as usize], unlike[j as usize]) = (1.0, 0.0);
                }
                let listed = excluded.iter().flat_map(|e| e.of(i0 + i)).map(|&j| j as usize);
                for j in listed.chain(own.map(|o| i0 + i + o).filter(|&j| j < m)) {
                    (alike[j], unlike[j]) = (0.0, 0.0);
                }
            }
            let rows = a.clone().slice([i0..i0 + r, 0..d]);
            let s = rows.clone().matmul(c.clone().transpose());
            for (side, (mask, sign)) in sums.iter_mut().zip([(alike, 1.0), (unlike, -1.0)]) {
                let margin = if sign > 0.0 { self.positive } else { self.negative };
                let data = TensorData::new(mask, [r, m]).convert_dtype(a.dtype());
                let mask = Tensor::<2>::from_data(data, (&a.device(), a.dtype()));
                side.add(self.kind, &rows, c, &s, mask, margin, sign, wanted);
            }
        }

        let mut rows = vec![0f64; n];
        for side in &sums {
            rows.iter_mut().zip(&side.rows).for_each(|(all, part)| *all += part * side.share());
        }
        let mut gradients = Gradients::default();
        let [alike, unlike] = &mut sums;
        let both = |x: Option<Tensor<2>>, y: Option<Tensor<2>>| Some(x? * alike.share() + y? * unlike.share());
        let joined = |parts: &[Tensor<2>]| (!parts.is_empty()).then(|| Tensor::cat(parts.to_vec(), 0));
        let of_anchors = both(joined(&alike.anchors), joined(&unlike.anchors));
        let of_candidates = both(alike.candidates.clone(), unlike.candidates.clone());
        match &other {
            None => {
                let whole = of_anchors.zip(of_candidates).map(|(x, y)| x + y);
                gradients.anchors = whole.map(|g| anchors.backward(g));
            }
            Some(other) => {
                gradients.anchors = of_anchors.map(|g| anchors.backward(g));
                gradients.candidates = of_candidates.map(|g| other.backward(g));
            }
        }
        let value = numbers(&[rows.iter().sum()], a);
        Evaluation { value, rows: numbers(&rows, a), columns: None, gradients }
    }
}

/// The positive pairs, or the negative ones: sums that wait for the number of pairs that cost something.
#[derive(Default)]
struct Side {
    rows: Vec<f64>,
    count: f64,
    anchors: Vec<Tensor<2>>,
    candidates: Option<Tensor<2>>,
}

impl Side {
    /// One block; `sign` is 1 for positives.
    #[allow(clippy::too_many_arguments)]
    fn add(
        &mut self,
        kind: Kind,
        rows: &Tensor<2>,
        candidates: &Tensor<2>,
        s: &Tensor<2>,
        mask: Tensor<2>,
        margin: f64,
        sign: f64,
        wanted: Wanted,
    ) {
        let (excess, slope) = match kind {
            Kind::Similarity => ((s.clone() - margin) * -sign, None),
            Kind::Distance => {
                // below this the square of a distance is rounding
                let least = if s.dtype() == DType::F64 { 1e-14 } else { 1e-6 };
                let square = s.clone() * -2.0 + 2.0;
                let seen = square.clone().greater_elem(least).float().cast(s.dtype());
                let distance = square.clamp_min(least).sqrt() * seen.clone();
                // d distance / d s = -1 / distance
                let slope = seen.clone() / (distance.clone() + (seen * -1.0 + 1.0));
                ((distance - margin) * sign, Some(slope))
            }
        };
        let active = excess.clone().greater_elem(0.0).float().cast(s.dtype()) * mask;
        // a product and no maximum, so that what is not a number stays none
        let cost = excess * active.clone();
        self.rows.extend(host(cost.sum_dim(1)));
        self.count += host(active.clone().sum_dim(1)).iter().sum::<f64>();
        // d excess / d s is -sign in both forms, up to the slope
        let pull = active * -sign;
        let pull = if let Some(slope) = slope { pull * slope } else { pull };
        if wanted.anchors {
            self.anchors.push(pull.clone().matmul(candidates.clone()));
        }
        if wanted.candidates {
            let more = pull.transpose().matmul(rows.clone());
            self.candidates = Some(match self.candidates.take() {
                Some(sum) => sum + more,
                None => more,
            });
        }
    }

    fn share(&self) -> f64 {
        1.0 / self.count.max(1.0)
    }
}
