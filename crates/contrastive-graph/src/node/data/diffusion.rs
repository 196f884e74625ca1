//! Graph diffusion (Gasteiger, Weissenberger, Guennemann 2019): instead of its neighbours a node sees where walks from it
//! arrive, `S = sum_k theta_k T^k`.
//!
//! Every row is computed by itself, from a walk that starts at its node, and sparsified before the next one: memory is that
//! of the result and three numbers per node and thread. With `epsilon > 0` a walk goes no further from a node that holds
//! less than `epsilon` per degree of what is still to come, so that a row costs about `1 / epsilon` edges whatever the size
//! of the graph (Andersen, Chung, Lang 2006 for PageRank; Kloster, Gleich 2014 for the heat kernel).

use contrastive_core::linear::SparseOperator;
use contrastive_kernels::sparse::Csr;
use rayon::prelude::*;

use super::error::GraphError;
use super::graph::Graph;
use super::operator::{Loops, Normalisation, scaled, with_loops};

/// Weight left to terms of the series that are not computed.
const TAIL: f64 = 1e-14;

/// The coefficients `theta_k`, which sum to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// Personalised PageRank, `alpha (1 - alpha)^k`: a walk ends with probability alpha (0.001 to 1) at every step.
    PersonalisedPageRank {
        /// Teleport probability; 0.05 to 0.2 is usual.
        alpha: f64,
    },
    /// The heat kernel, `exp(-t) t^k / k!`: a walk of t steps on average (above 0, at most 100).
    Heat {
        /// Diffusion time; 1 to 10 is usual.
        t: f64,
    },
}

/// The matrix T whose powers are taken; D sums the weights of the edges that leave a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transition {
    /// `D^-1/2 A D^-1/2`, the paper's.
    #[default]
    Symmetric,
    /// `D^-1 A`: row i holds the probabilities of where a walk from i ends.
    Walk,
}

/// Which entries of a row stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sparsification {
    /// The k greatest (of equal ones, those of lower columns), k at least 1.
    TopK(usize),
    /// Those that are at least this, a number above 0.
    Threshold(f64),
}

/// Settings of [`Graph::diffusion`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiffusionOptions {
    /// Default personalised PageRank with alpha = 0.15.
    pub kernel: Kernel,
    /// Default [`Transition::Symmetric`].
    pub transition: Transition,
    /// Weight of the self-loop that nodes without one get before the walk, from 0 up. Default 1, the paper's.
    pub loop_weight: f64,
    /// Default the 64 greatest.
    pub sparsification: Sparsification,
    /// The scale of the result, by its own row sums. Default [`Normalisation::Mean`]: rows sum to 1.
    pub normalisation: Normalisation,
    /// Precision of a walk, from 0 (exact) up. Default 1e-6, at which walks on Cora lose less than 5 %
    /// ([`Diffusion::greatest_loss`]). A row costs up to `1 / epsilon` edges: 1e-5 is several times as fast and loses up to
    /// 15 % there, 1e-4 up to 40 %. The loss grows with the number of edges that walks can reach.
    pub epsilon: f64,
}

impl Default for DiffusionOptions {
    fn default() -> Self {
        Self {
            kernel: Kernel::PersonalisedPageRank { alpha: 0.15 },
            transition: Transition::Symmetric,
            loop_weight: 1.0,
            sparsification: Sparsification::TopK(64),
            normalisation: Normalisation::Mean,
            epsilon: 1e-6,
        }
    }
}

/// A sparsified diffusion.
#[derive(Clone, Debug)]
pub struct Diffusion {
    /// `[nodes, nodes]`; row i holds what node i sees.
    pub matrix: Csr<f64>,
    /// The greatest share of a walk that was cut off for [`DiffusionOptions::epsilon`], over rows; sparsification not
    /// counted.
    pub greatest_loss: f64,
}

impl Diffusion {
    /// The matrix as an operator.
    pub fn operator(self) -> SparseOperator {
        SparseOperator::new(self.matrix)
    }
}

impl Kernel {
    /// `theta_k` and, beside it, the sum of all later ones, until that is negligible.
    fn coefficients(self) -> Vec<(f64, f64)> {
        match self {
            Self::PersonalisedPageRank { alpha } => {
                let mut left = 1.0;
                let mut terms = Vec::new();
                while left > TAIL {
                    terms.push((alpha * left, (1.0 - alpha) * left));
                    left *= 1.0 - alpha;
                }
                terms
            }
            Self::Heat { t } => {
                let mut weights = vec![(-t).exp()];
                // past the greatest term every one is less than t / k of the one before
                while weights.len() as f64 <= t + 1.0 || weights[weights.len() - 1] > TAIL * 1e-3 {
                    weights.push(weights[weights.len() - 1] * t / weights.len() as f64);
                }
                let mut later = 0.0;
                let mut terms: Vec<(f64, f64)> = weights
                    .into_iter()
                    .rev()
                    .map(|weight| {
                        let term = (weight, later);
                        later += weight;
                        term
                    })
                    .collect();
                terms.reverse();
                terms
            }
        }
    }
}

impl DiffusionOptions {
    fn validate(&self) -> Result<(), GraphError> {
        let wrong = |name, value: String, allowed| Err(GraphError::Option { name, value, allowed });
        match self.kernel {
            Kernel::PersonalisedPageRank { alpha } if !(0.001..=1.0).contains(&alpha) => {
                return wrong("alpha", alpha.to_string(), "0.001 to 1");
            }
            Kernel::Heat { t } if !(t > 0.0 && t <= 100.0) => return wrong("t", t.to_string(), "above 0, at most 100"),
            _ => (),
        }
        match self.sparsification {
            Sparsification::TopK(0) => return wrong("top k", "0".into(), "at least 1"),
            Sparsification::Threshold(least) if !(least.is_finite() && least > 0.0) => {
                return wrong("threshold", least.to_string(), "a finite number above 0");
            }
            _ => (),
        }
        if !(self.loop_weight == 0.0 || (1e-150..=1e150).contains(&self.loop_weight)) {
            return wrong("loop_weight", self.loop_weight.to_string(), "0, or 1e-150 to 1e150");
        }
        if !(self.epsilon.is_finite() && self.epsilon >= 0.0) {
            return wrong("epsilon", self.epsilon.to_string(), "a finite number from 0 up");
        }
        Ok(())
    }
}

/// Columns and values of a row.
type Entries = Vec<(u32, f64)>;

/// Working memory of a walk: dense vectors with lists of the places in use.
struct Scratch {
    here: Vec<f64>,
    next: Vec<f64>,
    total: Vec<f64>,
    at: Vec<u32>,
    to: Vec<u32>,
    seen: Vec<u32>,
}

impl Scratch {
    fn new(nodes: usize) -> Self {
        let zeros = || vec![0.0; nodes];
        let (here, next, total) = (zeros(), zeros(), zeros());
        Self { here, next, total, at: Vec::new(), to: Vec::new(), seen: Vec::new() }
    }
}

/// What all walks share.
struct Walks<'a> {
    matrix: Csr<f64>,
    degrees: Vec<f64>,
    terms: Vec<(f64, f64)>,
    options: &'a DiffusionOptions,
}

impl Walks<'_> {
    /// The sparsified row of one node, columns ascending, and the share of its walk that was cut off.
    fn row(&self, start: u32, scratch: &mut Scratch) -> (Entries, f64) {
        let Scratch { here, next, total, at, to, seen } = scratch;
        let mut lost = 0.0;
        here[start as usize] = 1.0;
        at.push(start);
        for &(weight, later) in &self.terms {
            for &node in at.iter() {
                let held = std::mem::take(&mut here[node as usize]);
                if total[node as usize] == 0.0 {
                    seen.push(node);
                }
                total[node as usize] += weight * held;
                if total[node as usize] == 0.0 {
                    seen.pop();
                }
                let degree = self.degrees[node as usize];
                if held * later < self.options.epsilon * degree {
                    lost += held * later;
                } else if degree > 0.0 && later > 0.0 {
                    let (columns, weights) = self.matrix.row(node as usize);
                    for (&column, &edge) in columns.iter().zip(weights) {
                        let moved = held * (edge / degree);
                        if moved > 0.0 {
                            if next[column as usize] == 0.0 {
                                to.push(column);
                            }
                            next[column as usize] += moved;
                        }
                    }
                }
            }
            at.clear();
            std::mem::swap(at, to);
            std::mem::swap(here, next);
        }
        at.drain(..).for_each(|node| here[node as usize] = 0.0);
        let root = |node: u32| self.degrees[node as usize].sqrt();
        let own = root(start);
        let symmetric = self.options.transition == Transition::Symmetric;
        let entries = seen.drain(..).filter_map(|node| {
            let value = std::mem::take(&mut total[node as usize]);
            match symmetric && node != start {
                // a node that no edge leaves: D^-1/2 is 0 there, T leads nowhere
                true if root(node) == 0.0 => None,
                true => Some((node, value * own / root(node))),
                false => Some((node, value)),
            }
        });
        (self.sparsified(entries.collect()), lost)
    }

    fn sparsified(&self, mut row: Entries) -> Entries {
        match self.options.sparsification {
            Sparsification::TopK(k) if k < row.len() => {
                row.select_nth_unstable_by(k - 1, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                row.truncate(k);
            }
            Sparsification::TopK(_) => (),
            Sparsification::Threshold(least) => row.retain(|entry| entry.1 >= least),
        }
        row.sort_unstable_by_key(|entry| entry.0);
        row
    }
}

impl Graph {
    /// The sparsified diffusion matrix of this graph. In a directed graph walks follow the edges, and D is the out-degree;
    /// a walk that cannot go on ends. A node whose whole row falls below a threshold has an empty row.
    ///
    /// Time: terms of the series x edges reached, per node; results do not depend on the number of threads.
    ///
    /// # Errors
    /// [`GraphError::Option`] for settings out of range.
    pub fn diffusion(&self, options: &DiffusionOptions) -> Result<Diffusion, GraphError> {
        options.validate()?;
        let nodes = self.num_nodes();
        let loops = if options.loop_weight > 0.0 { Loops::Add } else { Loops::AsIs };
        let matrix = with_loops(&self.rows, loops, options.loop_weight);
        let degrees: Vec<f64> = (0..nodes).map(|node| matrix.row(node).1.iter().sum()).collect();
        let walks = Walks { matrix, degrees, terms: options.kernel.coefficients(), options };
        let chunk = nodes.div_ceil(8 * rayon::current_num_threads()).max(1);
        let chunks: Vec<usize> = (0..nodes).step_by(chunk).collect();
        let parts: Vec<Vec<(Entries, f64)>> = chunks
            .into_par_iter()
            .map(|first| {
                let mut scratch = Scratch::new(nodes);
                (first..nodes.min(first + chunk)).map(|node| walks.row(node as u32, &mut scratch)).collect()
            })
            .collect();
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut greatest_loss = 0f64;
        for (row, lost) in parts.into_iter().flatten() {
            indices.extend(row.iter().map(|entry| entry.0));
            values.extend(row.iter().map(|entry| entry.1));
            indptr.push(indices.len());
            greatest_loss = greatest_loss.max(lost);
        }
        let matrix = Csr::from_parts(nodes, nodes, indptr, indices, values).expect("sorted rows of finite shares");
        Ok(Diffusion { matrix: scaled(&matrix, options.normalisation), greatest_loss })
    }
}
