//! Numbers that belong to a pair: inverse temperatures and log-weights that are not constant along rows or columns.

use burn::tensor::{DType, Int, Tensor, TensorData};
use std::fmt::{Debug, Formatter};
use std::sync::Arc;

/// An elementwise function of a block of numbers, in differentiable tensor operations.
type Map = Arc<dyn Fn(Tensor<2>) -> Tensor<2> + Send + Sync>;

/// A number for each pair of an anchor and a candidate, with a gradient to what it is made of.
#[derive(Clone, Debug)]
pub struct PairTerm(Form);

#[derive(Clone)]
enum Form {
    /// `[n, m]`.
    Matrix(Tensor<2>),
    /// `[K, L]`, and which row and column of it each anchor and candidate reads.
    Classes { table: Tensor<2>, anchors: Arc<Vec<u32>>, candidates: Arc<Vec<u32>> },
    /// `[n, r]` and `[m, r]`.
    Product { sides: Box<[Tensor<2>; 2]>, map: Map },
}

impl Debug for Form {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Matrix(x) => write!(f, "a matrix {:?}", x.dims()),
            Self::Classes { table, .. } => write!(f, "a table of classes {:?}", table.dims()),
            Self::Product { sides, .. } => write!(f, "a product of {:?} and {:?}", sides[0].dims(), sides[1].dims()),
        }
    }
}

impl PairTerm {
    /// The number of each pair, `[n, m]`: the caller pays for the matrix, the engine adds none.
    pub fn matrix(values: Tensor<2>) -> Self {
        Self(Form::Matrix(values))
    }

    /// `table[anchors[i], candidates[j]]` of a table `[K, L]`: numbers of pairs of classes or clusters. Memory n + m + K L.
    ///
    /// # Panics
    /// When a class is outside the table.
    pub fn classes(table: Tensor<2>, anchors: Vec<u32>, candidates: Vec<u32>) -> Self {
        let [rows, columns] = table.dims();
        for (classes, count, side) in [(&anchors, rows, "anchors"), (&candidates, columns, "candidates")] {
            let largest = classes.iter().max();
            assert!(
                largest.is_none_or(|&k| (k as usize) < count),
                "class {largest:?} of the {side} in a table [{rows}, {columns}]"
            );
        }
        Self(Form::Classes { table, anchors: Arc::new(anchors), candidates: Arc::new(candidates) })
    }

    /// `map(left_i . right_j)` of tables `[n, r]` and `[m, r]`; the map is elementwise, in tensor operations. Memory (n + m) r.
    ///
    /// # Panics
    /// When the widths differ.
    pub fn product(
        left: Tensor<2>,
        right: Tensor<2>,
        map: impl Fn(Tensor<2>) -> Tensor<2> + Send + Sync + 'static,
    ) -> Self {
        let (l, r) = (left.dims(), right.dims());
        assert_eq!(l[1], r[1], "the widths of the factors {l:?} and {r:?} of a pair term");
        Self(Form::Product { sides: Box::new([left, right]), map: Arc::new(map) })
    }

    /// (the pairs' shape)
    fn shape(&self) -> [usize; 2] {
        match &self.0 {
            Form::Matrix(x) => x.dims(),
            Form::Classes { anchors, candidates, .. } => [anchors.len(), candidates.len()],
            Form::Product { sides, .. } => [sides[0].dims()[0], sides[1].dims()[0]],
        }
    }

    /// What it is made of, and whether a part belongs to the anchors, row by row.
    fn parts(&self) -> Vec<(&Tensor<2>, bool)> {
        match &self.0 {
            Form::Matrix(x) => vec![(x, true)],
            Form::Classes { table, .. } => vec![(table, false)],
            Form::Product { sides, .. } => vec![(&sides[0], true), (&sides[1], false)],
        }
    }

    /// The same made of other tensors.
    fn with(&self, parts: impl Fn(&Tensor<2>) -> Tensor<2>) -> Self {
        Self(match &self.0 {
            Form::Matrix(x) => Form::Matrix(parts(x)),
            Form::Classes { table, anchors, candidates } => {
                Form::Classes { table: parts(table), anchors: anchors.clone(), candidates: candidates.clone() }
            }
            Form::Product { sides, map } => {
                let [left, right] = &**sides;
                Form::Product { sides: Box::new([parts(left), parts(right)]), map: map.clone() }
            }
        })
    }

    /// `[b, m]`: the numbers of the anchors from `i0` on, from the parts of [`parts`](Self::parts), those of the anchors cut to
    /// these b rows.
    fn block(&self, parts: &[Tensor<2>], i0: usize, b: usize) -> Tensor<2> {
        match &self.0 {
            Form::Matrix(_) => parts[0].clone(),
            Form::Classes { anchors, candidates, .. } => {
                let rows = parts[0].clone().select(0, places(&anchors[i0..i0 + b], &parts[0]));
                rows.select(1, places(candidates, &parts[0]))
            }
            Form::Product { map, .. } => map(parts[0].clone().matmul(parts[1].clone().transpose())),
        }
    }

    fn whole(&self) -> Tensor<2> {
        let parts: Vec<Tensor<2>> = self.parts().into_iter().map(|(x, _)| x.clone()).collect();
        self.block(&parts, 0, self.shape()[0])
    }

    fn transposed(&self) -> Self {
        Self(match &self.0 {
            Form::Matrix(x) => Form::Matrix(x.clone().transpose()),
            Form::Classes { table, anchors, candidates } => Form::Classes {
                table: table.clone().transpose(),
                anchors: candidates.clone(),
                candidates: anchors.clone(),
            },
            Form::Product { sides, map } => {
                let [left, right] = &**sides;
                Form::Product { sides: Box::new([right.clone(), left.clone()]), map: map.clone() }
            }
        })
    }

    /// Gradients of the parts of the transposed term, as those of this one.
    fn restored(&self, gradients: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        match &self.0 {
            Form::Product { .. } => gradients.into_iter().rev().collect(),
            _ => gradients.into_iter().map(Tensor::transpose).collect(),
        }
    }
}

fn places(of: &[u32], beside: &Tensor<2>) -> Tensor<1, Int> {
    let at: Vec<i32> = of.iter().map(|&k| k as i32).collect();
    Tensor::from_data(TensorData::new(at, [of.len()]), &beside.device())
}

/// The terms of an objective's inputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct PairTerms {
    pub scale: Option<PairTerm>,
    pub bias: Option<PairTerm>,
}

impl PairTerms {
    fn each(&self) -> impl Iterator<Item = &PairTerm> {
        self.scale.iter().chain(&self.bias)
    }

    fn map(&self, f: impl Fn(&PairTerm) -> PairTerm) -> Self {
        Self { scale: self.scale.as_ref().map(&f), bias: self.bias.as_ref().map(&f) }
    }

    pub fn is_empty(&self) -> bool {
        self.scale.is_none() && self.bias.is_none()
    }

    /// # Panics
    /// When a term is not of n anchors and m candidates.
    pub fn check(&self, n: usize, m: usize) {
        for (term, what) in [(&self.scale, "scale"), (&self.bias, "bias")] {
            if let Some(term) = term {
                assert_eq!(term.shape(), [n, m], "the pairs of a {what} and the [anchors, candidates]");
            }
        }
    }

    /// The tensors of the scale, then those of the bias.
    pub fn tensors(&self) -> Vec<&Tensor<2>> {
        self.each().flat_map(|t| t.parts()).map(|(x, _)| x).collect()
    }

    /// For each of [`tensors`](Self::tensors): does it belong to the anchors, row by row?
    pub fn by_rows(&self) -> Vec<bool> {
        self.each().flat_map(|t| t.parts()).map(|(_, rows)| rows).collect()
    }

    pub fn plain(&self, dtype: DType) -> Self {
        self.map(|t| t.with(|x| x.clone().inner().cast(dtype)))
    }

    pub fn transposed(&self) -> Self {
        self.map(PairTerm::transposed)
    }

    /// Gradients of the tensors of the transposed terms, as those of these.
    pub fn restored(&self, mut gradients: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        let mut all = Vec::with_capacity(gradients.len());
        for term in self.each() {
            let rest = gradients.split_off(term.parts().len().min(gradients.len()));
            all.extend(term.restored(std::mem::replace(&mut gradients, rest)));
        }
        all
    }

    /// Scale and bias of all pairs.
    pub fn whole(&self) -> (Option<Tensor<2>>, Option<Tensor<2>>) {
        (self.scale.as_ref().map(PairTerm::whole), self.bias.as_ref().map(PairTerm::whole))
    }

    /// Scale and bias `[b, m]` of the anchors from `i0` on, from [`tensors`](Self::tensors) whose rows are cut to these.
    pub fn block(&self, tensors: &[Tensor<2>], i0: usize, b: usize) -> [Option<Tensor<2>>; 2] {
        let mut rest = tensors;
        [&self.scale, &self.bias].map(|term| {
            term.as_ref().map(|term| {
                let (own, more) = rest.split_at(term.parts().len());
                rest = more;
                term.block(own, i0, b)
            })
        })
    }
}
