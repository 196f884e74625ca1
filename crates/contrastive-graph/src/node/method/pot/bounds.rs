//! Bounds of the operator of any view within a budget, and of products with it.

use super::hold;
use crate::MethodError;
use crate::node::augment::edges::EdgeDraw;
use crate::node::augment::normalise::with_self_loops;
use crate::node::method::{NodeData, TwoViews, ViewRule};
use burn::tensor::{Tensor, TensorData};
use contrastive_core::linear::{SparseOperator, SparsePattern};
use contrastive_kernels::sparse::Csr;

/// How many edges a node may lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum EdgeBudget {
    /// As many as are expected to be dropped, and one fewer than there are at most (the paper). Drawn views may exceed it: that is counted.
    #[default]
    Expected,
    /// All: the bounds hold for every view.
    All,
}

/// Bounds of the entries of the operator of every view in which no node loses more edges than its budget. Computed once for a rule.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// `A^U`, with self loops.
    upper: SparseOperator,
    /// Its places.
    pattern: SparsePattern,
    /// `A^L`: a number for each node; the rest is 0.
    lower: Vec<f64>,
    degrees: Vec<usize>,
    budget: Vec<usize>,
}

/// A lower and an upper table.
#[derive(Clone, Debug)]
pub struct Interval {
    /// No number of the true table is below its number here.
    pub lower: Tensor<2>,
    /// Nor above this.
    pub upper: Tensor<2>,
}

/// The numbers above 0, and those below.
pub(super) fn parts(x: &Tensor<2>) -> [Tensor<2>; 2] {
    [x.clone().clamp_min(0.0), x.clone().clamp_max(0.0)]
}

impl Bounds {
    /// For views of a graph by a rule.
    ///
    /// # Errors
    /// When an edge has another weight than 1, has no equal edge back, or there are fewer than two nodes.
    pub fn new(data: &NodeData, rule: &ViewRule, budget: EdgeBudget) -> Result<Self, MethodError> {
        let probabilities = rule.edges.each(data.adjacency().nnz());
        Self::of(data.adjacency(), &probabilities, budget)
    }

    /// For an adjacency without self loops and a probability of being dropped for each of its entries.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Panics
    /// When there is not one probability for each entry.
    pub fn of(graph: &Csr<f64>, probabilities: &[f64], budget: EdgeBudget) -> Result<Self, MethodError> {
        assert_eq!(probabilities.len(), graph.nnz(), "probabilities for {} entries", graph.nnz());
        let nodes = graph.rows();
        hold(nodes >= 2, "number of nodes", nodes, "2 or more")?;
        if let Some(weight) = graph.values().iter().find(|weight| **weight != 1.0) {
            hold(false, "an edge weight", weight, "1: the bounds are those of graphs without weights")?;
        }
        hold(*graph == graph.transpose(), "the graph", "directed", "undirected: both directions of every edge")?;
        let row = |node: usize| graph.indptr()[node]..graph.indptr()[node + 1];
        let degrees: Vec<usize> = (0..nodes).map(|node| row(node).len()).collect();
        let lost = |node: usize| match budget {
            EdgeBudget::All => degrees[node],
            EdgeBudget::Expected => {
                let expected: f64 = probabilities[row(node)].iter().sum();
                (expected.round() as usize).min(degrees[node].saturating_sub(1))
            }
        };
        let budget: Vec<usize> = (0..nodes).map(lost).collect();
        let least: Vec<f64> = degrees.iter().zip(&budget).map(|(d, q)| (d + 1 - q) as f64).collect();
        let upper = with_self_loops(graph).map_entries(|i, j, _| 1.0 / (least[i] * least[j]).sqrt());
        let lower = degrees.iter().map(|degree| 1.0 / (degree + 1) as f64).collect();
        let pattern = SparsePattern::new(&upper);
        Ok(Self { upper: SparseOperator::new(upper), pattern, lower, degrees, budget })
    }

    /// Refuses views whose directions are drawn apart: the bounds do not hold for them.
    pub(super) fn check(views: &TwoViews) -> Result<(), MethodError> {
        hold(
            views.draw == EdgeDraw::PerPair,
            "edge_draw",
            "PerEntry",
            "PerPair: both directions of an edge go together",
        )
    }

    /// The number of edges that each node may lose.
    pub fn budget(&self) -> &[usize] {
        &self.budget
    }

    /// The bounds with `A^L` put equal to `A^U`: for tests of their limits.
    #[doc(hidden)]
    pub fn entries(&self) -> (&SparseOperator, &[f64]) {
        (&self.upper, &self.lower)
    }

    /// How many nodes of a view, given as an operator with self loops, lost more edges than their budget.
    ///
    /// # Panics
    /// When the view has another number of nodes.
    pub fn outside(&self, view: &SparseOperator) -> usize {
        let indptr = view.to_f64().indptr();
        assert_eq!(indptr.len(), self.budget.len() + 1, "nodes of a view and of the graph");
        let lost = |node: usize| self.degrees[node] + 1 - (indptr[node + 1] - indptr[node]);
        (0..self.budget.len()).filter(|&node| lost(node) > self.budget[node]).count()
    }

    /// `A^L x` for the diagonal `A^L`.
    fn diagonal(&self, x: Tensor<2>) -> Tensor<2> {
        let column = TensorData::new(self.lower.clone(), [self.lower.len(), 1]);
        let column = Tensor::<2>::from_data(column, (&x.device(), x.dtype()));
        x * column
    }

    /// Bounds of `A V` for every A within the bounds and every V in an interval: `A^L V_L+ + A^U V_L-` and `A^U V_U+ + A^L V_U-`. Two sparse
    /// products.
    pub fn product(&self, of: &Interval) -> Interval {
        let ([low_plus, low_minus], [high_plus, high_minus]) = (parts(&of.lower), parts(&of.upper));
        Interval {
            lower: self.upper.apply_add(low_minus, self.diagonal(low_plus)),
            upper: self.upper.apply_add(high_plus, self.diagonal(high_minus)),
        }
    }

    /// The least of `sum_j A_ij g_ij` over every A within the bounds, where `g_ij = left_i . right_j`: `[nodes, 1]`. Memory linear in the edges.
    pub(super) fn least(&self, left: &Tensor<2>, right: &Tensor<2>) -> Tensor<2> {
        let options = (&left.device(), left.dtype());
        let below = self.pattern.products(left.clone(), right.clone()).clamp_max(0.0);
        let values = TensorData::new(self.upper.to_f64().values().to_vec(), [self.upper.nnz()]);
        let values = below * Tensor::<1>::from_data(values, options);
        let sums = self.pattern.apply(values, Tensor::ones([left.dims()[0], 1], options));
        // off the diagonal a positive number adds nothing; on it, it keeps at least 1 / (d + 1)
        sums + self.diagonal((left.clone() * right.clone()).sum_dim(1).clamp_min(0.0))
    }
}

impl Interval {
    /// Bounds of `X M` for a fixed matrix M: `X_L M+ + X_U M-` and `X_U M+ + X_L M-`.
    pub fn times(&self, matrix: &Tensor<2>) -> Self {
        let [plus, minus] = parts(matrix);
        let product = |a: &Tensor<2>, b: &Tensor<2>| a.clone().matmul(plus.clone()) + b.clone().matmul(minus.clone());
        Self { lower: product(&self.lower, &self.upper), upper: product(&self.upper, &self.lower) }
    }

    /// Both plus a row.
    pub fn plus(self, row: &Tensor<2>) -> Self {
        Self { lower: self.lower + row.clone(), upper: self.upper + row.clone() }
    }

    /// The bounds of one table.
    pub fn exact(x: Tensor<2>) -> Self {
        Self { lower: x.clone(), upper: x }
    }
}
