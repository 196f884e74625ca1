//! Contrastive attraction and contrastive repulsion.

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative};
use crate::host::{numbers, to_f64};
use crate::objective::engine::log_sums::row_products;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::{Comparison, RowFunction};
use crate::objective::{Inputs, PairObjective, Reduction, Wanted, check_types, computed_in};
use crate::pairs::PairLists;
use crate::similarity::{Compared, Similarity, unit_rows};
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::ExpectedSimilarity;
use std::sync::Arc;

/// CACR (Zheng et al. 2023, equations 4 to 7): of the positives of a query the farther ones attract more, of its negatives the
/// closer ones repel more. With `c(a, b) = |a - b|^2` of unit rows and V views of n samples:
///
/// ```text
/// attraction   alpha mean over x, i of sum_{y != x} p_y c(x_i, y_i)            p = softmax_y(t+ c)
/// repulsion   -beta mean over x < y, i of sum_{j != i} n_j c(x_i, y_j)         n = softmax_j(-t- c)
/// ```
///
/// The value is their sum, a difference of costs that is mostly negative. With `t = 0` weights are uniform; uniform repulsion is
/// content with any embedding of mean 0, even on a line.
///
/// 3 V (V - 1) n^2 d flops for value and gradients; memory linear in n.
#[derive(Clone, Debug)]
pub struct Cacr {
    sharpness: [f64; 2],
    costs: [f64; 2],
    detached: Option<bool>,
    /// The share of false negatives, and the sign of their correction.
    debiased: Option<(f64, f64)>,
}

/// What [`Cacr::evaluate`] finds; plain tensors.
#[derive(Clone, Debug)]
pub struct CacrEvaluation {
    /// `[1]`: attraction and repulsion together.
    pub value: Tensor<1>,
    /// Times alpha.
    pub attraction: f64,
    /// Times minus beta.
    pub repulsion: f64,
    /// For each view `[n, V - 1]`: the weights of the other views, in their order; rows add up to 1.
    pub positive_weights: Vec<Tensor<2>>,
    /// For each view `[n, d]`; none if not wanted.
    pub gradients: Vec<Tensor<2>>,
}

/// Attraction of queries to targets, all unit rows.
struct Attraction {
    value: f64,
    /// For each query view `[n, V - 1]`.
    weights: Vec<Tensor<2>>,
    /// For each query view and each other view `[n, 1]`: the derivative by the inner product of query and target, which times the
    /// target is the query's gradient, and times the query the target's.
    pulls: Vec<Vec<Tensor<2>>>,
}

/// Adds to a gradient that may have no part yet.
fn add(total: &mut Option<Tensor<2>>, part: Tensor<2>) {
    *total = Some(match total.take() {
        Some(before) => before + part,
        None => part,
    });
}

fn costs(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    row_products(a, b) * -2.0 + 2.0
}

fn softmax(x: Tensor<2>) -> Tensor<2> {
    let top = x.clone().detach().max_dim(1);
    let e = (x - top).exp();
    e.clone() / e.sum_dim(1)
}

/// The other views than `x`, in their order.
fn others(views: usize, x: usize) -> impl Iterator<Item = usize> {
    (0..views).filter(move |y| *y != x)
}

/// Views with their gradients, of which there may be none.
fn with_their_gradients(
    views: &[Tensor<2>],
    gradients: Vec<Tensor<2>>,
) -> impl Iterator<Item = (&Tensor<2>, Option<Tensor<2>>)> {
    let mut gradients = gradients.into_iter();
    views.iter().map(move |view| (view, gradients.next()))
}

fn compared(x: &Tensor<2>) -> Compared {
    Compared::new(Similarity::Cosine, x.clone().inner().cast(computed_in(x.dtype())))
}

impl Cacr {
    /// The sharpness of attraction and repulsion (1 and 2; 0.9 instead of 2 on CIFAR-10).
    ///
    /// # Errors
    /// When one is negative, infinite or NaN.
    pub fn new(attraction: f64, repulsion: f64) -> Result<Self, ObjectiveError> {
        let sharpness =
            [not_negative("sharpness of attraction", attraction)?, not_negative("sharpness of repulsion", repulsion)?];
        Ok(Self { sharpness, costs: [1.0; 2], detached: None, debiased: None })
    }

    /// The factors alpha and beta of attraction and repulsion (1 and 1).
    ///
    /// # Errors
    /// When one is negative, infinite or NaN.
    pub fn with_costs(mut self, alpha: f64, beta: f64) -> Result<Self, ObjectiveError> {
        self.costs = [not_negative("alpha", alpha)?, not_negative("beta", beta)?];
        Ok(self)
    }

    /// Are the weights constants to the gradient? Unless given: no for [`loss`](Self::loss), yes for
    /// [`loss_with_queue`](Self::loss_with_queue), as published.
    pub fn with_detached_weights(mut self, detached: bool) -> Self {
        self.detached = Some(detached);
        self
    }

    /// Corrects for negatives that are positives, a share `tau` of them: with `r` the repulsion of a query and `c` the cost of its
    /// positive, `(r + tau c) / (1 - tau)` (0.1).
    ///
    /// # Errors
    /// When the share is negative, 1 or more, or NaN.
    pub fn with_debiasing(self, tau: f64) -> Result<Self, ObjectiveError> {
        self.corrected(tau, 1.0)
    }

    /// The same with `(r - tau c) / (1 - tau)`, the sign of the released code, which pushes positives apart.
    ///
    /// # Errors
    /// As [`with_debiasing`](Self::with_debiasing).
    pub fn with_released_debiasing(self, tau: f64) -> Result<Self, ObjectiveError> {
        self.corrected(tau, -1.0)
    }

    fn corrected(mut self, tau: f64, sign: f64) -> Result<Self, ObjectiveError> {
        if !(0.0..1.0).contains(&tau) {
            return Err(ObjectiveError::Outside { name: "share of false negatives", value: tau, allowed: "[0, 1)" });
        }
        self.debiased = Some((tau, sign));
        Ok(self)
    }

    /// V views `[n, d]` of the same n samples. The value is `[1]`.
    ///
    /// # Panics
    /// When there are fewer than two views or rows, or the shapes differ.
    pub fn loss(&self, views: &[Tensor<2>]) -> Tensor<1> {
        let result = self.evaluate(views, views.iter().any(Tensor::is_tracked));
        attach_gradients(result.value, with_their_gradients(views, result.gradients))
    }

    fn check(views: &[Tensor<2>]) -> usize {
        assert!(views.len() >= 2, "CACR of {} views: there must be at least two", views.len());
        let shape = views[0].dims();
        assert!(shape[0] >= 2 && shape[1] > 0, "CACR of views {shape:?}: there must be at least two rows");
        for view in views {
            assert_eq!(view.dims(), shape, "the shapes of the views");
            check_types(&[("the first view", views[0].dtype()), ("another view", view.dtype())]);
        }
        shape[0]
    }

    /// Value, its parts, the weights of the positives and, if wanted, the gradients of the views; no tape.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, views: &[Tensor<2>], gradients: bool) -> CacrEvaluation {
        let n = Self::check(views);
        let compared: Vec<Compared> = views.iter().map(compared).collect();
        let rows: Vec<Tensor<2>> = compared.iter().map(|c| c.rows.clone()).collect();
        let detached = self.detached.unwrap_or(false);
        let pairs: Vec<(usize, usize)> =
            (0..views.len()).flat_map(|x| (x + 1..views.len()).map(move |y| (x, y))).collect();
        let factor = self.costs[1] / (pairs.len() * n) as f64;
        let (tau, sign) = self.debiased.unwrap_or((0.0, 1.0));
        let factor = factor / (1.0 - tau);
        // a view's gradient is one table, to which the parts are added as they come
        let mut totals: Vec<Option<Tensor<2>>> = vec![None; views.len()];
        let mut repulsion = 0.0;
        for (x, y) in pairs {
            let (a, b) = (&rows[x], &rows[y]);
            let (cost, slopes) = self.repel(a, b, 0, detached, gradients);
            repulsion += cost * factor;
            if tau > 0.0 {
                repulsion += to_f64(costs(a, b)).iter().sum::<f64>() * sign * tau * factor;
            }
            let Some([da, db]) = slopes else { continue };
            add(&mut totals[x], da * factor);
            add(&mut totals[y], db * factor);
            if tau > 0.0 {
                let pull = -2.0 * sign * tau * factor;
                add(&mut totals[x], b.clone() * pull);
                add(&mut totals[y], a.clone() * pull);
            }
        }
        let attraction = self.attract(&rows, &rows, detached);
        for (x, pulls) in attraction.pulls.iter().enumerate().filter(|_| gradients) {
            for (y, pull) in others(views.len(), x).zip(pulls) {
                add(&mut totals[x], rows[y].clone() * pull.clone());
                add(&mut totals[y], rows[x].clone() * pull.clone());
            }
        }
        let gradients = totals.into_iter().zip(&compared).filter_map(|(g, x)| g.map(|g| x.backward(g))).collect();
        let value = numbers(&[attraction.value + repulsion], &rows[0]);
        let (positive_weights, attraction) = (attraction.weights, attraction.value);
        CacrEvaluation { value, attraction, repulsion, positive_weights, gradients }
    }

    /// Times alpha.
    fn attract(&self, queries: &[Tensor<2>], targets: &[Tensor<2>], detached: bool) -> Attraction {
        let (views, n) = (queries.len(), queries[0].dims()[0]);
        let factor = self.costs[0] / (views * n) as f64;
        let mut out = Attraction { value: 0.0, weights: Vec::new(), pulls: Vec::new() };
        for (x, query) in queries.iter().enumerate() {
            let cost = Tensor::cat(others(views, x).map(|y| costs(query, &targets[y])).collect(), 1);
            let weights = softmax(cost.clone() * self.sharpness[0]);
            let mean = (weights.clone() * cost.clone()).sum_dim(1);
            out.value += to_f64(mean.clone()).iter().sum::<f64>() * factor;
            let slope = match detached {
                true => weights.clone(),
                false => weights.clone() * ((cost - mean) * self.sharpness[0] + 1.0),
            };
            let pull = slope * (-2.0 * factor);
            out.pulls.push((0..views - 1).map(|k| pull.clone().slice([0..n, k..k + 1])).collect());
            out.weights.push(weights);
        }
        out
    }

    /// The sum over queries `a` of minus their expected cost among `b`, where row i of `a` is row `i + own` of `b` and left out, and
    /// the gradients of both.
    fn repel(
        &self,
        a: &Tensor<2>,
        b: &Tensor<2>,
        own: usize,
        detached: bool,
        gradients: bool,
    ) -> (f64, Option<[Tensor<2>; 2]>) {
        let n = a.dims()[0];
        let function = ExpectedSimilarity { sharpness: 2.0 * self.sharpness[1], detached };
        let comparison = no_positives(n, own);
        let wanted = if gradients { Wanted::ALL } else { Wanted::VALUE };
        let out = comparison.evaluate(&function, a, b, wanted);
        (2.0 * out.value - 2.0 * n as f64, gradients.then(|| [out.anchors * 2.0, out.candidates * 2.0]))
    }

    /// The form of a momentum queue: queries `[n, d]` of V views, the keys `[n, d]` that the momentum encoder made of the same
    /// views, and a queue `[k, d]` of earlier keys. Query x is attracted by the keys of the other views and repelled by the queue
    /// and by the other queries of its own view. Only queries have gradients. The value is `[1]`.
    ///
    /// # Panics
    /// When there are fewer than two views or rows, or the shapes do not fit; also when a correction for false negatives was
    /// chosen, which this form does not have.
    pub fn loss_with_queue(&self, queries: &[Tensor<2>], keys: &[Tensor<2>], queue: &Tensor<2>) -> Tensor<1> {
        let n = Self::check(queries);
        assert_eq!(Self::check(keys), n, "the rows of queries and keys");
        assert_eq!(queries.len(), keys.len(), "the views of queries and keys");
        assert_eq!(queue.dims()[1], queries[0].dims()[1], "the widths of queue and queries");
        check_types(&[("queries", queries[0].dtype()), ("keys", keys[0].dtype()), ("the queue", queue.dtype())]);
        assert!(self.debiased.is_none(), "the queue form of CACR has no correction for false negatives");
        let detached = self.detached.unwrap_or(true);
        let gradients = queries.iter().any(Tensor::is_tracked);
        let compared_queries: Vec<Compared> = queries.iter().map(compared).collect();
        let rows: Vec<Tensor<2>> = compared_queries.iter().map(|c| c.rows.clone()).collect();
        let keys: Vec<Tensor<2>> = keys.iter().map(|k| compared(k).rows).collect();
        let queue = compared(queue).rows;
        let [k, d] = queue.dims();
        let attraction = self.attract(&rows, &keys, detached);
        let factor = self.costs[1] / (rows.len() * n) as f64;
        let (mut value, mut totals) = (attraction.value, vec![None; rows.len()]);
        for (x, query) in rows.iter().enumerate() {
            let among = Tensor::cat(vec![queue.clone(), query.clone()], 0);
            let (repulsion, slopes) = self.repel(query, &among, k, detached, gradients);
            value += repulsion * factor;
            if let Some([own, all]) = slopes {
                add(&mut totals[x], (own + all.slice([k..k + n, 0..d])) * factor);
                for (y, pull) in others(keys.len(), x).zip(&attraction.pulls[x]) {
                    add(&mut totals[x], keys[y].clone() * pull.clone());
                }
            }
        }
        let gradients =
            totals.into_iter().zip(&compared_queries).filter_map(|(g, x)| g.map(|g| x.backward(g))).collect();
        attach_gradients(numbers(&[value], &rows[0]), with_their_gradients(queries, gradients))
    }

    /// The weights of the negatives of every query, `[n, n]` with a diagonal of 0 and rows that add up to 1: what the repulsion of
    /// view `queries` from view `candidates` weighs them with. This is the whole matrix; for a look at small batches.
    ///
    /// # Panics
    /// When there are fewer than two rows, or the shapes differ.
    pub fn negative_weights(&self, queries: &Tensor<2>, candidates: &Tensor<2>) -> Tensor<2> {
        let n = Self::check(&[queries.clone().inner(), candidates.clone().inner()]);
        let s = compared(queries).rows.matmul(compared(candidates).rows.transpose());
        let others = Tensor::<2>::eye(n, &s.device()).cast(s.dtype()) * -1.0 + 1.0;
        softmax(only(s * (2.0 * self.sharpness[1]), others))
    }

    /// The value `[1]` of [`loss`](Self::loss) by plain, differentiable tensor operations: materialises n x n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, views: &[Tensor<2>]) -> Tensor<1> {
        let n = Self::check(views);
        let v = views.len();
        let detached = self.detached.unwrap_or(false);
        let rows: Vec<Tensor<2>> = views.iter().map(|x| unit_rows(x.clone())).collect();
        let constant = |w: Tensor<2>| if detached { w.detach() } else { w };
        let eye = Tensor::<2>::eye(n, &rows[0].device()).cast(rows[0].dtype());
        let (tau, sign) = self.debiased.unwrap_or((0.0, 1.0));
        let mut total = rows[0].clone().sum() * 0.0;
        for x in 0..v {
            let cost = Tensor::cat(others(v, x).map(|y| costs(&rows[x], &rows[y])).collect(), 1);
            let weights = constant(softmax(cost.clone() * self.sharpness[0]));
            total = total + (weights * cost).sum() * (self.costs[0] / (v * n) as f64);
            for y in x + 1..v {
                let cost = rows[x].clone().matmul(rows[y].clone().transpose()) * -2.0 + 2.0;
                let logits = only(cost.clone() * -self.sharpness[1], eye.clone() * -1.0 + 1.0);
                let weights = constant(softmax(logits));
                let share = self.costs[1] / ((v * (v - 1) / 2 * n) as f64 * (1.0 - tau));
                let own = (cost.clone() * eye.clone()).sum() * (sign * tau);
                total = total + (own - (weights * cost).sum()) * share;
            }
        }
        total
    }
}

/// n anchors without positives, of which row i is candidate `i + own`.
fn no_positives(n: usize, own: usize) -> Comparison {
    let positives = PairLists::new(vec![0; n + 1], Vec::new(), None).expect("empty lists");
    Comparison { positives, excluded: None, own: Some(own) }
}

impl RowFunction for ExpectedSimilarity {
    fn dense(&self, s: Tensor<2>, _: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let some = any(&negative);
        let weights = softmax(only(s.clone() * self.sharpness, negative.clone())) * negative;
        let weights = if self.detached { weights.detach() } else { weights };
        (sum_rows(weights * s), sums(vec![some.sum()]))
    }
}

/// CACR's form for large batches (its released code for ImageNet): InfoNCE whose rows are weighted towards the farthest view. With keys
/// `k` of one view and queries `q_a` of the others, all unit rows:
///
/// ```text
/// 2 T mean over i of sum_a p_a[i] (-log e^{q_a[i] k_i / T} / sum_j e^{q_a[i] k_j / T})      p[i] = softmax_a(|q_a[i] - k_i|^2 / T)
/// ```
///
/// The weights `p` are constants to the gradient. A training step takes the mean over the views that serve as keys.
#[derive(Clone, Debug)]
pub struct CacrInfoNce {
    temperature: f64,
    objective: PairObjective,
}

impl CacrInfoNce {
    /// The temperature (0.2).
    ///
    /// # Errors
    /// When it is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { temperature, objective: PairObjective::new(temperature)? })
    }

    /// Queries `[n, d]` of the other views, and the keys `[n, d]`. The value is `[1]`; of one row, which has no negatives, 0.
    ///
    /// # Panics
    /// When there are no queries or no rows, or the shapes differ.
    pub fn loss(&self, queries: &[Tensor<2>], keys: &Tensor<2>) -> Tensor<1> {
        assert!(!queries.is_empty(), "CACR's InfoNCE without queries");
        let key = compared(keys).rows;
        let cost = |query: &Tensor<2>| {
            assert_eq!(query.dims(), keys.dims(), "the shapes of queries and keys");
            check_types(&[("queries", query.dtype()), ("keys", keys.dtype())]);
            costs(&compared(query).rows, &key)
        };
        let cost = Tensor::cat(queries.iter().map(cost).collect(), 1);
        let weights = softmax(cost * (1.0 / self.temperature));
        let n = keys.dims()[0];
        let parts = queries.iter().enumerate().map(|(a, query)| {
            let share = to_f64(weights.clone().slice([0..n, a..a + 1]) * (2.0 * self.temperature / n as f64));
            let objective = self.objective.clone().with_reduction(Reduction::Weighted(Arc::new(share)));
            objective.loss(&Inputs::new(query.clone(), keys.clone()))
        });
        parts.reduce(|a, b| a + b).expect("queries")
    }
}
