//! Scores of the nodes: lower bounds of how much nearer each is to its positive than to its negatives.

use super::bounds::{Bounds, Interval, parts};
use super::hold;
use super::relaxation::Relaxed;
use crate::MethodError;
use crate::node::encoder::{Encoder, NodeInput, Step};
use crate::parts::unit_rows;
use burn::tensor::{Tensor, activation};
use contrastive_core::linear::SparseOperator;
use contrastive_eval::Summary;
use contrastive_nn::layer::Activation;

/// Which score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Score {
    /// At the drawn view: never above the true value while the view is within the bounds.
    #[default]
    Sound,
    /// As released: second layer bounded as if the first were not perturbed, and every neighbour with its own directions. Above the true value
    /// in a good part of all cases; for parity.
    Official,
    /// Below the true value of every view within the bounds: it does not depend on the drawn one.
    Certified,
}

/// The weights of an encoder of two graph convolutions, each followed by `max(x, a x)`.
#[derive(Clone, Debug)]
pub struct Network {
    /// `[features, d1]`.
    pub w1: Tensor<2>,
    /// `[1, d1]`.
    pub b1: Tensor<2>,
    /// `[d1, d2]`.
    pub w2: Tensor<2>,
    /// `[1, d2]`.
    pub b2: Tensor<2>,
    /// `[1, 1]`: the slope a below 0, in 0 to 1.
    pub slope: Tensor<2>,
}

impl Network {
    /// The weights of an encoder; gradients go through them.
    ///
    /// # Errors
    /// When it is not two graph convolutions without anything between but the activation, or that is not ReLU, leaky ReLU or PReLU with a
    /// slope in 0 to 1.
    pub fn of(encoder: &Encoder) -> Result<Self, MethodError> {
        hold(encoder.layers.len() == 2, "number of layers", encoder.layers.len(), "2")?;
        let maps = encoder.layers.iter().map(|layer| match &layer.step {
            Step::Gcn(gcn) if layer.is_plain(true) => Ok(&gcn.map),
            _ => hold(false, "a layer", "of another kind", "graph convolutions with an activation and nothing else")
                .map(|()| unreachable!("what does not hold is an error")),
        });
        let maps = maps.collect::<Result<Vec<_>, MethodError>>()?;
        let weight = |at: usize| maps[at].weight.val();
        let like = weight(0);
        let row = |at: usize| match &maps[at].bias {
            Some(bias) => bias.val().unsqueeze::<2>(),
            None => Tensor::zeros([1, maps[at].shape()[1]], (&like.device(), like.dtype())),
        };
        let constant = |a: f64| Tensor::<2>::full([1, 1], a, (&like.device(), like.dtype()));
        let slope = match (encoder.activation.kind(), &encoder.activation.slope) {
            (Activation::Relu, _) => constant(0.0),
            (Activation::LeakyRelu(a), _) => constant(a),
            (Activation::PRelu, Some(slope)) => slope.val().unsqueeze::<2>(),
            (other, _) => {
                hold(false, "the activation", format!("{other:?}"), "Relu, LeakyRelu or PRelu")?;
                unreachable!("what does not hold is an error")
            }
        };
        let a = slope.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        hold((0.0..=1.0).contains(&a), "the slope of the activation", a, "0 to 1")?;
        Ok(Self { b1: row(0), b2: row(1), w1: like, w2: weight(1), slope })
    }

    /// `max(x, a x)`.
    fn activated(&self, x: Tensor<2>) -> Tensor<2> {
        let above = activation::relu(x.clone());
        let below = x - above.clone();
        above + below * self.slope.clone()
    }
}

/// `w_i = zb_i N / (N - 1) - sum_j zb_j / (N - 1)`: the positive less the mean of the negatives, rows of `z: [nodes, d]` having length 1. They sum
/// to 0, and are the direction in which InfoNCE pulls at a high temperature.
pub fn directions(z: Tensor<2>) -> Tensor<2> {
    let n = z.dims()[0] as f64;
    let unit = unit_rows(z);
    let sum = unit.clone().sum_dim(0);
    unit * (n / (n - 1.0)) - sum * (1.0 / (n - 1.0))
}

/// What bounds a network's second layer on all views within the bounds: everything the scores have in common.
#[derive(Clone, Debug)]
pub struct Scored {
    network: Network,
    /// `X W1`.
    values: Tensor<2>,
    /// The bounds of the first layer before its activation.
    pub first: Interval,
    /// The bounds of the second layer before its activation.
    pub second: Interval,
    lines: [Relaxed; 2],
    official: bool,
}

impl Scored {
    /// Bounds for the features of a view. `clean`, the operator of the whole graph, is used by [`Score::Official`] alone.
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn new(network: Network, bounds: &Bounds, input: &NodeInput, score: Score, clean: &SparseOperator) -> Self {
        let values = input.multiply(network.w1.clone());
        let first = bounds.product(&Interval::exact(values.clone())).plus(&network.b1);
        let between = if score == Score::Official {
            let hidden = network.activated(clean.apply(values.clone()) + network.b1.clone());
            Interval::exact(hidden.matmul(network.w2.clone()))
        } else {
            let hidden = Interval {
                lower: network.activated(first.lower.clone()),
                upper: network.activated(first.upper.clone()),
            };
            hidden.times(&network.w2)
        };
        let second = bounds.product(&between).plus(&network.b2);
        let line = |of: &Interval| Relaxed::new(of.lower.clone(), of.upper.clone(), network.slope.clone());
        let lines = [line(&first), line(&second)];
        Self { lines, values, first, second, official: score == Score::Official, network }
    }

    /// The score `[nodes, 1]` of each node against directions `w: [nodes, d2]`: at the drawn view, or, without one, certified.
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn score(&self, view: Option<&SparseOperator>, bounds: &Bounds, w: &Tensor<2>) -> Tensor<2> {
        let ([one, two], network) = (&self.lines, &self.network);
        let [_, w_minus] = parts(w);
        // where w is below 0 the upper line counts: its shift, times w
        let base =
            (two.slope.clone() * w.clone() * network.b2.clone()).sum_dim(1) + (two.shift.clone() * w_minus).sum_dim(1);
        let l2 = two.slope.clone() * w.clone();
        // rows of W2 (slope w): what a neighbour's hidden numbers are worth to node i
        let worth = l2.matmul(network.w2.clone().transpose());
        let [plus, minus] = parts(&worth);
        if let (true, Some(view)) = (self.official, view) {
            let l1 = one.slope.clone() * worth.clone();
            let y = (self.values.clone() * l1.clone()).sum_dim(1);
            let beta = (l1 * network.b1.clone()).sum_dim(1) + (one.shift.clone() * minus).sum_dim(1);
            return view.apply(view.apply(y) + beta) + base;
        }
        match view {
            Some(view) => {
                let p = view.apply(self.values.clone()) + network.b1.clone();
                let low = one.slope.clone() * p;
                let high = low.clone() + one.shift.clone();
                base + (plus * view.apply(low)).sum_dim(1) + (minus * view.apply(high)).sum_dim(1)
            }
            None => {
                let low = one.slope.clone() * self.first.lower.clone();
                let high = one.slope.clone() * self.first.upper.clone() + one.shift.clone();
                base + bounds.least(&Tensor::cat(vec![plus, minus], 1), &Tensor::cat(vec![low, high], 1))
            }
        }
    }
}

/// Scores of all nodes of an encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Compactness {
    /// A score for each node.
    pub nodes: Vec<f64>,
    /// The length of each node's embedding in the first view. A score grows with it: `f_i = Z1_i . w_i`, where `Z1_i` has any length.
    pub lengths: Vec<f64>,
    /// How many of them have lost more edges than their budget in the drawn view: for these the bound need not hold.
    pub outside: usize,
}

impl Compactness {
    /// Mean and deviation over the nodes.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.nodes)
    }

    /// Mean and deviation of the scores over the lengths: what encoders of different scales are compared by; 0 where a length is.
    pub fn relative(&self) -> Summary {
        let ratio = |(score, length): (&f64, &f64)| if *length > 0.0 { score / length } else { 0.0 };
        Summary::of(&self.nodes.iter().zip(&self.lengths).map(ratio).collect::<Vec<_>>())
    }

    /// How many scores are below 0: nodes of which nothing is shown. No scale changes it.
    pub fn below_zero(&self) -> usize {
        self.nodes.iter().filter(|score| **score < 0.0).count()
    }
}
