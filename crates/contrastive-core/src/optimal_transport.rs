//! Entropic optimal transport between two distributions of mass, to a given accuracy.

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative};
use crate::objective::{Sinkhorn, SinkhornError, computed_in};
use burn::tensor::Tensor;

/// Entropic optimal transport (Cuturi 2013): the plan P with row sums a and column sums b that minimises
///
/// ```text
/// sum_ij P_ij cost_ij + epsilon sum_ij P_ij (log P_ij - 1)
/// ```
///
/// by Sinkhorn's iteration, until no column sum is off by more than the tolerance; row sums are exact.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimalTransport {
    sinkhorn: Sinkhorn,
    epsilon: f64,
    tolerance: f64,
}

/// A converged plan, outside autodiff.
#[derive(Clone, Debug)]
pub struct TransportPlan {
    /// `[n, m]`.
    pub plan: Tensor<2>,
    /// `sum P cost`.
    pub cost: f64,
    /// `sum P cost + epsilon sum P (log P - 1)`: what the plan minimises.
    pub objective: f64,
    /// The largest difference of a column sum and its mass.
    pub residual: f64,
    /// Iterations made.
    pub iterations: usize,
}

impl OptimalTransport {
    /// With this weight of the entropy (in units of the costs), in the log domain, to 1e-9 of mass (f64) within 10 000 iterations.
    ///
    /// # Errors
    /// When epsilon is not a finite number above 0.
    pub fn new(epsilon: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { sinkhorn: Sinkhorn::new(epsilon, 10_000)?.with_log_domain(), epsilon, tolerance: 1e-9 })
    }

    /// Another accuracy of the column sums; in f32 about 1e-6 times the total mass can be had.
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn with_tolerance(mut self, tolerance: f64) -> Result<Self, ObjectiveError> {
        self.tolerance = not_negative("tolerance of the column sums", tolerance)?;
        Ok(self)
    }

    /// Another limit of iterations.
    ///
    /// # Errors
    /// When there are none.
    pub fn with_iterations(mut self, iterations: usize) -> Result<Self, ObjectiveError> {
        self.sinkhorn = Sinkhorn::new(self.epsilon, iterations)?.with_log_domain();
        Ok(self)
    }

    /// The plan for costs `[n, m]` between masses `rows [n]` and `columns [m]`; no gradient.
    ///
    /// # Errors
    /// When the masses are negative, not finite or differ in sum, or the tolerance is not reached: costs that are not finite never
    /// reach it.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn plan(&self, cost: Tensor<2>, rows: Tensor<1>, columns: Tensor<1>) -> Result<TransportPlan, SinkhornError> {
        let dtype = computed_in(cost.dtype());
        let cost = cost.inner().cast(dtype);
        let (rows, columns) = (rows.inner().cast(dtype), columns.inner().cast(dtype));
        let (plan, iterations, residual) = self.sinkhorn.converged(cost.clone(), rows, columns, self.tolerance)?;
        let sum = |x: Tensor<2>| x.sum().into_data().iter::<f64>().next().expect("one number");
        // 0 log 0 = 0
        let log = plan.clone().clamp_min(f64::from(f32::MIN_POSITIVE)).log();
        let entropy = sum(plan.clone() * (log - 1.0));
        let cost = sum(plan.clone() * cost);
        Ok(TransportPlan { plan, cost, objective: cost + self.epsilon * entropy, residual, iterations })
    }

    /// What the plan minimises, `[1]`, attached to the costs: by the envelope theorem its gradient is the plan itself, no iteration
    /// is differentiated. The masses are constants.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn value(&self, cost: Tensor<2>, rows: Tensor<1>, columns: Tensor<1>) -> Result<Tensor<1>, SinkhornError> {
        let found = self.plan(cost.clone(), rows, columns)?;
        let value = Tensor::<1>::from_data([found.objective], (&found.plan.device(), found.plan.dtype()));
        Ok(attach_gradients(value.cast(cost.dtype()), [(&cost, Some(found.plan.cast(cost.dtype())))]))
    }
}
