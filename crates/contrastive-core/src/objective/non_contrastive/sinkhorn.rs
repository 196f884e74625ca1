//! Sinkhorn-Knopp: entropic optimal transport by alternating normalisation. Where nothing is differentiated the CPU backend
//! does it in place ([`contrastive_kernels::sinkhorn`]); elsewhere it is plain tensor operations.

use crate::error::{ObjectiveError, positive};
use crate::host::{is_native, like, to_vec};
use crate::objective::engine::numeric::log_sum_exp_along;
use burn::tensor::{DType, Element as BurnElement, Tensor, TensorData};
use contrastive_kernels::sinkhorn::{SinkhornProblem, sinkhorn};
use contrastive_kernels::vector::Element;
use thiserror::Error;

/// Why there is no transport plan.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SinkhornError {
    /// The columns' sums were still too far from their marginal. A residual of NaN: the costs are not finite, or the kernel
    /// `e^{-cost / epsilon}` vanished for a whole row or column in the plain domain; the log domain has no such limit.
    #[error(
        "after {iterations} iterations a column sum of the plan is off by {residual:e}; wanted: at most {tolerance:e}"
    )]
    NotConverged {
        /// Iterations made.
        iterations: usize,
        /// The largest difference of a column sum and its marginal.
        residual: f64,
        /// The largest difference allowed.
        tolerance: f64,
    },
    /// A marginal that is not a distribution of mass.
    #[error("marginal of the {side}: {problem}")]
    Marginal {
        /// Rows or columns.
        side: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// Entropic optimal transport (Cuturi 2013): of all plans P with row sums a and column sums b the one that minimises
/// `sum P cost + epsilon sum P (log P - 1)`; it has the form `u_i e^{-cost_ij / epsilon} v_j`.
///
/// An iteration makes the column sums right, then the row sums; after any number of them the rows are exact. The plain domain
/// scales `e^{-(cost - smallest) / epsilon}`, two matrix-vector products an iteration; the log domain adds potentials to
/// `-cost / epsilon`, two log-sum-exps an iteration, and is safe for any epsilon.
#[derive(Clone, Debug, PartialEq)]
pub struct Sinkhorn {
    epsilon: f64,
    iterations: usize,
    log: bool,
}

/// Iterations between two looks at the residual: each look waits for the device.
const LOOK: usize = 10;

impl Sinkhorn {
    /// With this weight of the entropy (in units of the costs) and this number of iterations, in the plain domain. The
    /// convergence-checked form stops earlier where it can.
    ///
    /// # Errors
    /// When epsilon is not a finite number above 0, or there are no iterations.
    pub fn new(epsilon: f64, iterations: usize) -> Result<Self, ObjectiveError> {
        positive("Sinkhorn's iterations", iterations as f64)?;
        Ok(Self { epsilon: positive("Sinkhorn's epsilon", epsilon)?, iterations, log: false })
    }

    /// The same in the log domain: for costs whose range is many times epsilon (above 80 or so in f32, 700 in f64).
    pub fn with_log_domain(mut self) -> Self {
        self.log = true;
        self
    }

    /// Soft assignments of n rows to k prototypes which use the prototypes evenly (SwAV, equation 3; SeLa): scores `[n, k]`
    /// (large is alike) to codes `[n, k]` whose rows sum to 1. Outside autodiff: codes are targets. Scores
    /// that are not finite give codes that are NaN, and so do rows that vanish in the plain domain.
    ///
    /// # Panics
    /// When there are no scores.
    pub fn codes(&self, scores: Tensor<2>) -> Tensor<2> {
        let [n, k] = scores.dims();
        assert!(n > 0 && k > 0, "codes of scores [{n}, {k}]");
        let scores = scores.inner();
        let uniform = |count: usize, shape: [usize; 2], mass: f64| {
            let values = TensorData::new(vec![mass / count as f64; count], shape);
            Tensor::<2>::from_data(values, (&scores.device(), scores.dtype()))
        };
        // mass 1 for each row: the codes are the plan itself
        if self.runs_natively(&scores) {
            let masses = [vec![1.0; n], vec![n as f64 / k as f64; k]];
            return self.in_place(&scores, masses, None).0;
        }
        let (rows, columns) = (uniform(n, [n, 1], n as f64), uniform(k, [1, k], n as f64));
        let mut state = State::new(self, scores * -1.0, rows, columns);
        (0..self.iterations).for_each(|_| state.step());
        state.plan()
    }

    /// The plan `[n, m]` after the set number of iterations, for costs `[n, m]` between masses `rows [n]` and `columns [m]`.
    /// Plain tensor operations: gradients of costs and masses are those of the unrolled iterations, on a tape of
    /// iterations x n x m numbers in the log domain.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn plan(&self, cost: Tensor<2>, rows: Tensor<1>, columns: Tensor<1>) -> Tensor<2> {
        let constant = !(cost.is_autodiff() || rows.is_autodiff() || columns.is_autodiff());
        if constant && self.runs_natively(&cost) {
            check_shapes(&cost, &rows, &columns);
            return self.in_place(&(cost * -1.0), [to_vec(&rows), to_vec(&columns)], None).0;
        }
        let mut state = self.start(cost, rows, columns);
        (0..self.iterations).for_each(|_| state.step());
        state.plan()
    }

    /// The plan whose column sums are all within `tolerance` of their masses; its row sums are exact. At most the set number
    /// of iterations, with a look at each or, on other backends than the CPU's, at every tenth. Outside autodiff.
    ///
    /// # Errors
    /// When the masses are negative, not finite or differ in sum, or the tolerance is not reached.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn converged_plan(
        &self,
        cost: Tensor<2>,
        rows: Tensor<1>,
        columns: Tensor<1>,
        tolerance: f64,
    ) -> Result<Tensor<2>, SinkhornError> {
        Ok(self.converged(cost, rows, columns, tolerance)?.0)
    }

    /// The same with the number of iterations and the residual.
    pub(crate) fn converged(
        &self,
        cost: Tensor<2>,
        rows: Tensor<1>,
        columns: Tensor<1>,
        tolerance: f64,
    ) -> Result<(Tensor<2>, usize, f64), SinkhornError> {
        let (cost, rows, columns) = (cost.inner(), rows.inner(), columns.inner());
        check_shapes(&cost, &rows, &columns);
        check_masses(&rows, &columns)?;
        if self.runs_natively(&cost) {
            let masses = [to_vec(&rows), to_vec(&columns)];
            let (plan, iterations, residual) = self.in_place(&(cost * -1.0), masses, Some(tolerance));
            return match residual <= tolerance {
                true => Ok((plan, iterations, residual)),
                false => Err(SinkhornError::NotConverged { iterations, residual, tolerance }),
            };
        }
        let m = columns.dims()[0];
        let wanted = columns.clone().reshape([1, m]);
        let mut state = self.start(cost, rows, columns);
        let mut residual = f64::NAN;
        for iteration in 1..=self.iterations {
            state.step();
            if iteration % LOOK != 0 && iteration != self.iterations {
                continue;
            }
            let plan = state.plan();
            let off = (plan.clone().sum_dim(0) - wanted.clone()).abs().into_data();
            // a maximum that lets NaN through
            residual = off.iter::<f64>().fold(0.0, |most, v| if v <= most { most } else { v });
            if residual <= tolerance {
                return Ok((plan, iteration, residual));
            }
        }
        Err(SinkhornError::NotConverged { iterations: self.iterations, residual, tolerance })
    }

    fn runs_natively(&self, x: &Tensor<2>) -> bool {
        is_native(x) && matches!(x.dtype(), DType::F32 | DType::F64)
    }

    /// The plan of plain scores in the kernels' memory, iterations and residual.
    fn in_place(&self, scores: &Tensor<2>, masses: [Vec<f64>; 2], tolerance: Option<f64>) -> (Tensor<2>, usize, f64) {
        match scores.dtype() {
            DType::F64 => self.in_place_of::<f64>(scores, masses, tolerance),
            _ => self.in_place_of::<f32>(scores, masses, tolerance),
        }
    }

    fn in_place_of<T: Element + BurnElement>(
        &self,
        scores: &Tensor<2>,
        masses: [Vec<f64>; 2],
        tolerance: Option<f64>,
    ) -> (Tensor<2>, usize, f64) {
        let mut plan = to_vec::<2, T>(scores);
        let [rows, columns] = masses.map(|side| side.into_iter().map(T::of).collect::<Vec<T>>());
        let problem = SinkhornProblem {
            rows: &rows,
            columns: &columns,
            epsilon: self.epsilon,
            iterations: self.iterations,
            tolerance,
            log: self.log,
        };
        let scaling = sinkhorn(&mut plan, &problem);
        (like(plan, scores.dims(), scores), scaling.iterations, scaling.residual)
    }

    fn start(&self, cost: Tensor<2>, rows: Tensor<1>, columns: Tensor<1>) -> State {
        let [n, m] = cost.dims();
        check_shapes(&cost, &rows, &columns);
        State::new(self, cost, rows.reshape([n, 1]), columns.reshape([1, m]))
    }
}

fn check_shapes(cost: &Tensor<2>, rows: &Tensor<1>, columns: &Tensor<1>) {
    let [n, m] = cost.dims();
    assert_eq!([rows.dims()[0], columns.dims()[0]], [n, m], "numbers of masses and the shape of the costs");
    assert!(n > 0 && m > 0, "a plan of costs [{n}, {m}]");
}

fn check_masses(rows: &Tensor<1>, columns: &Tensor<1>) -> Result<(), SinkhornError> {
    let values = |t: &Tensor<1>| t.to_data().iter::<f64>().collect::<Vec<_>>();
    let sides = [("rows", values(rows)), ("columns", values(columns))];
    for (side, masses) in &sides {
        if let Some(at) = masses.iter().position(|v| !v.is_finite() || *v < 0.0) {
            let problem = format!("mass {} of entry {at}; it must be finite and at least 0", masses[at]);
            return Err(SinkhornError::Marginal { side, problem });
        }
    }
    let [a, b] = [&sides[0].1, &sides[1].1].map(|masses| masses.iter().sum::<f64>());
    if (a - b).abs() > 1e-5 * a.max(b) || a == 0.0 {
        let problem = format!("its sum is {b}, that of the rows {a}; both must be the same, above 0");
        return Err(SinkhornError::Marginal { side: "columns", problem });
    }
    Ok(())
}

/// The iteration's state: factors in the plain domain, potentials over epsilon in the log domain.
struct State {
    log: bool,
    /// `[n, m]`: `e^{-(cost - smallest) / epsilon}`, or `-cost / epsilon`.
    kernel: Tensor<2>,
    /// `[n, 1]`: masses, or their logarithms.
    rows: Tensor<2>,
    /// `[1, m]`.
    columns: Tensor<2>,
    /// `[n, 1]`: of the rows.
    u: Tensor<2>,
    /// `[1, m]`: of the columns.
    v: Tensor<2>,
}

impl State {
    fn new(settings: &Sinkhorn, cost: Tensor<2>, rows: Tensor<2>, columns: Tensor<2>) -> Self {
        let scaled = cost * (-1.0 / settings.epsilon);
        if settings.log {
            let u = rows.zeros_like();
            let v = columns.zeros_like();
            return Self { log: true, kernel: scaled, rows: rows.log(), columns: columns.log(), u, v };
        }
        let largest = scaled.clone().detach().max().reshape([1, 1]);
        let (u, v) = (rows.ones_like(), columns.ones_like());
        Self { log: false, kernel: (scaled - largest).exp(), rows, columns, u, v }
    }

    fn step(&mut self) {
        if self.log {
            self.v = self.columns.clone() - log_sum_exp_along(self.kernel.clone() + self.u.clone(), 0);
            self.u = self.rows.clone() - log_sum_exp_along(self.kernel.clone() + self.v.clone(), 1);
        } else {
            self.v = self.columns.clone() / self.u.clone().transpose().matmul(self.kernel.clone());
            self.u = self.rows.clone() / self.kernel.clone().matmul(self.v.clone().transpose());
        }
    }

    fn plan(&self) -> Tensor<2> {
        match self.log {
            true => (self.kernel.clone() + self.u.clone() + self.v.clone()).exp(),
            false => self.kernel.clone() * self.u.clone() * self.v.clone(),
        }
    }
}
