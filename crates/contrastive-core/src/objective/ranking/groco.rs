//! GroCo: every positive closer than every hard negative, by differentiable sorting.

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, positive};
use crate::host::{is_native, like, to_vec};
use crate::linear::SparseOperator;
use crate::objective::{check_types, computed_in};
use crate::similarity::{Compared, Similarity};
use burn::tensor::{Bool, DType, Element as BurnElement, Tensor};
use contrastive_kernels::sorting::{DiffSort, Relaxation, Sortable, SortingNetwork};
use contrastive_kernels::sparse::Csr;
use contrastive_kernels::top_k::{ItemSets, Score, top_k};

/// Elements of a block of similarities.
const BLOCK_ELEMENTS: usize = 1 << 22;

/// Group ordering constraints (Shvetsova et al. 2023). For each view a as the anchor and each image i: cosines with the k most
/// similar other images of the same view, and with the same image in the other views that give positives, pre-ordered as
/// `[negatives ascending; positives ascending]`, go through an odd-even sorting network (Cauchy relaxation). With `q_r` the
/// probability that input r ends among the upper, positive ranks,
///
/// ```text
/// l_ai = -(1 / n) ( sum over positives of log q_r + sum over negatives of log(1 - q_r) )       n = k + positives
/// ```
///
/// and the value is the mean over images and anchor views. Only the anchor carries a gradient, unless asked otherwise. The images x images
/// matrix is not kept: k indices for each image are.
#[derive(Clone, Debug, PartialEq)]
pub struct GroCo {
    negatives: usize,
    steepness: f64,
    stop_gradient: bool,
}

/// What an anchor view gives: the sum of the images' values, and `d value / d cosine` of each pair compared.
struct Slopes {
    value: f64,
    /// B x B: image i with its negatives j.
    negatives: SparseOperator,
    /// For each positive view, B.
    positives: Vec<(usize, Vec<f64>)>,
}

impl GroCo {
    /// With this number k of hard negatives (paper: 10), steepness 1, and gradients to the anchors alone.
    ///
    /// # Errors
    /// When k is 0.
    pub fn new(negatives: usize) -> Result<Self, ObjectiveError> {
        positive("hard negatives", negatives as f64)?;
        Ok(Self { negatives, steepness: 1.0, stop_gradient: true })
    }

    /// Another steepness of the comparators.
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn with_steepness(mut self, steepness: f64) -> Result<Self, ObjectiveError> {
        self.steepness = positive("steepness", steepness)?;
        Ok(self)
    }

    /// Should positives and negatives be constants (the paper's choice)?
    pub fn with_stop_gradient(mut self, stop_gradient: bool) -> Self {
        self.stop_gradient = stop_gradient;
        self
    }

    /// Can views of this many images be compared, of which the first `positives` give positives?
    ///
    /// # Errors
    /// When there are too few images for the hard negatives, or an anchor without a positive.
    pub fn validate(&self, images: usize, views: usize, positives: usize) -> Result<(), ObjectiveError> {
        let outside = |name, value: usize, allowed| Err(ObjectiveError::Outside { name, value: value as f64, allowed });
        if images < 2 {
            return outside("images of a view", images, "2 and more");
        }
        if self.negatives >= images {
            return outside("hard negatives", self.negatives, "1 to one less than the images of a view");
        }
        if views < 2 {
            return outside("views", views, "2 and more");
        }
        if self.negatives + positives > 1 << 16 {
            return outside("hard negatives", self.negatives, "1 to 65536 less the views that give positives");
        }
        match positives == 0 || positives > views || positives == 1 {
            // the only positive view would itself be an anchor without a positive
            true => outside("views that give positives", positives, "2 to the number of views"),
            false => Ok(()),
        }
    }

    /// Views `[B, D]` of B images, each attached where it carries a gradient; the value is `[1]`. The first `positives` views give
    /// positives (multi-crop: the large crops), all views are anchors.
    ///
    /// # Panics
    /// When shapes differ, or as [`validate`](Self::validate) says, or a gradient is wanted of views that are not finite.
    pub fn loss(&self, views: &[Tensor<2>], positives: usize) -> Tensor<1> {
        let wanted = views.iter().any(Tensor::is_tracked);
        let (value, gradients) = self.evaluate(views, positives, wanted);
        let mut gradients = gradients.into_iter();
        attach_gradients(value, views.iter().map(|view| (view, gradients.next())))
    }

    /// The value `[1]` and, where wanted, the gradient `[B, D]` of each view, plain tensors.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, views: &[Tensor<2>], positives: usize, wanted: bool) -> (Tensor<1>, Vec<Tensor<2>>) {
        let [b, d] = views.first().expect("GroCo of at least two views").dims();
        for view in views {
            assert_eq!(view.dims(), [b, d], "the shapes of the views");
            check_types(&[("the first view", views[0].dtype()), ("another view", view.dtype())]);
        }
        self.validate(b, views.len(), positives).unwrap_or_else(|e| panic!("{e}"));
        let dtype = computed_in(views[0].dtype());
        let unit = |view: &Tensor<2>| Compared::new(Similarity::Cosine, view.clone().inner().cast(dtype));
        let compared: Vec<Compared> = views.iter().map(unit).collect();
        let rows: Vec<&Tensor<2>> = compared.iter().map(|c| &c.rows).collect();
        let mut value = 0.0;
        let mut gradients: Vec<Tensor<2>> = Vec::new();
        if wanted {
            gradients = rows.iter().map(|r| r.zeros_like()).collect();
        }
        let share = 1.0 / (views.len() * b) as f64;
        for a in 0..views.len() {
            let slopes = match dtype {
                DType::F64 => self.anchor::<f64>(a, &rows, positives, share, wanted),
                _ => self.anchor::<f32>(a, &rows, positives, share, wanted),
            };
            value += slopes.value * share;
            if !wanted {
                continue;
            }
            let mut own = slopes.negatives.apply(rows[a].clone());
            if !self.stop_gradient {
                own = own + slopes.negatives.transpose().apply(rows[a].clone());
            }
            for (v, slope) in slopes.positives {
                let slope = like(slope, [b, 1], rows[a]);
                own = own + rows[v].clone() * slope.clone();
                if !self.stop_gradient {
                    gradients[v] = gradients[v].clone() + rows[a].clone() * slope;
                }
            }
            gradients[a] = gradients[a].clone() + own;
        }
        let gradients = gradients.into_iter().zip(&compared);
        let gradients = gradients.map(|(g, c)| c.backward(g)).collect();
        (like(vec![value], [1], rows[0]), gradients)
    }

    fn anchor<T: Sortable + Score + BurnElement>(
        &self,
        a: usize,
        rows: &[&Tensor<2>],
        positives: usize,
        share: f64,
        wanted: bool,
    ) -> Slopes {
        let (k, b) = (self.negatives, rows[a].dims()[0]);
        let (indices, scores) = self.hardest::<T>(rows[a]);
        let views: Vec<usize> = (0..positives).filter(|v| *v != a).collect();
        let cosines = |v: usize| to_vec::<2, T>(&(rows[a].clone() * rows[v].clone()).sum_dim(1));
        let cosines: Vec<Vec<T>> = views.iter().map(|&v| cosines(v)).collect();
        let n = k + views.len();
        // [negatives ascending; positives ascending], and which view stands where
        let mut x = Vec::with_capacity(b * n);
        let mut order = Vec::with_capacity(b * views.len());
        for i in 0..b {
            x.extend(scores[i * k..(i + 1) * k].iter().rev());
            let mut own: Vec<usize> = (0..views.len()).collect();
            own.sort_by(|p, q| cosines[*p][i].f64().total_cmp(&cosines[*q][i].f64()));
            x.extend(own.iter().map(|p| cosines[*p][i]));
            order.extend(own);
        }
        let network = SortingNetwork::odd_even(n).expect("at least two inputs, fewer than 2^16");
        let sort = DiffSort::new(network, Relaxation::Cauchy, self.steepness).expect("a steepness that was checked");
        let (mut values, mut slopes) = (vec![T::zero(); b], vec![T::zero(); if wanted { b * n } else { 0 }]);
        sort.group_order(&x, k, &mut values, wanted.then_some(&mut slopes));
        let mut pairs = Vec::new();
        let mut by_view: Vec<(usize, Vec<f64>)> = views.iter().map(|&v| (v, vec![0.0; b])).collect();
        for (i, slopes) in slopes.chunks_exact(n).enumerate() {
            let found = indices[i * k..(i + 1) * k].iter().rev().zip(slopes);
            pairs.extend(found.map(|(&j, slope)| (i as u32, j, slope.f64() * share)));
            for (p, slope) in order[i * views.len()..][..views.len()].iter().zip(&slopes[k..]) {
                by_view[*p].1[i] = slope.f64() * share;
            }
        }
        let matrix = Csr::from_triplets(b, b, &pairs).unwrap_or_else(|e| panic!("slopes of the hard negatives: {e}"));
        Slopes {
            value: values.iter().map(|v| v.f64()).sum(),
            negatives: SparseOperator::new(matrix),
            positives: by_view,
        }
    }

    /// Of each row the k other rows of largest inner product, best first, and these products.
    fn hardest<T: Score + BurnElement>(&self, rows: &Tensor<2>) -> (Vec<u32>, Vec<T>) {
        let ([b, d], k) = (rows.dims(), self.negatives);
        if is_native(rows) {
            let table = to_vec::<2, T>(rows);
            let own: Vec<u32> = (0..b as u32).collect();
            let offsets: Vec<usize> = (0..=b).collect();
            let itself = ItemSets::new(&offsets, &own).expect("one item each");
            let found = top_k(&table, &table, d, k, Some((itself, &own)));
            return (found.indices, found.scores);
        }
        let transposed = rows.clone().transpose();
        let block = (BLOCK_ELEMENTS / b).clamp(1, b);
        let (mut indices, mut scores) = (Vec::with_capacity(b * k), Vec::with_capacity(b * k));
        for i0 in (0..b).step_by(block) {
            let r = block.min(b - i0);
            let products = rows.clone().slice([i0..i0 + r, 0..d]).matmul(transposed.clone());
            let own = Tensor::<2, Bool>::diag_mask([r, b], i0 as i64, &rows.device()).bool_not();
            let (best, places) = products.mask_fill(own, -1e30).topk_with_indices(k, 1);
            scores.extend(to_vec::<2, T>(&best));
            indices.extend(places.into_data().iter::<i64>().map(|j| j as u32));
        }
        (indices, scores)
    }
}
