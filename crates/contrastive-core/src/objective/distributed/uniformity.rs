//! Alignment and uniformity over ranks.

use super::keys::Keys;
use super::{DistributedError, ObjectiveId, Ranks, starts};
use crate::attach::attach_gradients;
use crate::host::{column, numbers, to_f64};
use crate::objective::{Alignment, AlignmentUniformity, Inputs, Uniformity, Wanted, computed_in};
use crate::pairs::Exclusions;
use crate::similarity::{Compared, Similarity};
use burn::tensor::{DType, Tensor};

/// Log-sums of this rank's rows over the keys that have passed, and their gradients, merged as blocks come.
struct Merged {
    logs: Vec<f64>,
    gradients: Option<Tensor<2>>,
}

impl Merged {
    fn add(&mut self, more: &[f64], gradients: Option<Tensor<2>>, like: &Tensor<2>) {
        let mut shares = [vec![0.0; more.len()], vec![0.0; more.len()]];
        for (i, log) in self.logs.iter_mut().enumerate() {
            let top = log.max(more[i]);
            if top > f64::NEG_INFINITY {
                let parts = [(*log - top).exp(), (more[i] - top).exp()];
                let sum = parts[0] + parts[1];
                *log = top + sum.ln();
                (shares[0][i], shares[1][i]) = (parts[0] / sum, parts[1] / sum);
            }
        }
        let [old, new] = shares.map(|s| column(&s, like));
        self.gradients = match (self.gradients.take(), gradients) {
            (Some(sum), Some(more)) => Some(sum * old + more * new),
            (sum, more) => sum.or(more),
        };
    }
}

impl Uniformity {
    /// The uniformity of the rows of all ranks together; each rank brings its own `[n, d]`, at least one. The value is `[1]`.
    /// One round: shares of pairs are symmetric, so that no gradient has to be sent.
    ///
    /// # Errors
    /// When a rank is gone, ranks disagree about widths or types, or there are fewer than two rows in all.
    ///
    /// # Panics
    /// When this rank has no rows.
    pub fn distributed_loss(&self, ranks: &Ranks<'_>, x: Tensor<2>) -> Result<Tensor<1>, DistributedError> {
        let [n, d] = x.dims();
        assert!(n > 0 && d > 0, "the uniformity of rows [{n}, {d}]");
        let dtype = computed_in(x.dtype());
        let same = [
            ObjectiveId::Uniformity.to_agree(),
            ("width of the rows", d as f64),
            ("f64 rather than f32", f64::from(u8::from(dtype == DType::F64))),
            ("sharpness of the kernel", self.t),
            ("cosines", f64::from(u8::from(self.similarity == Similarity::Cosine))),
        ];
        let starts = starts(ranks.agree([n], &same)?.into_iter().map(|c| c[0]));
        let (first, all) = (starts[ranks.rank()], starts[starts.len() - 1]);
        if all < 2 {
            return Err(DistributedError::TooFew { what: "uniformity", rows: all, world: ranks.world(), least: 2 });
        }
        let compared = Compared::new(self.similarity, x.clone().inner().cast(dtype));
        let rows = match self.similarity {
            Similarity::Cosine => compared.rows.clone(),
            _ => {
                let mean = ranks.sum(compared.rows.clone().sum_dim(0))? * (1.0 / all as f64);
                compared.rows.clone() - mean
            }
        };
        let squares = (rows.clone() * rows.clone()).sum_dim(1) * self.t;
        let own =
            Keys { first, rows: rows.clone(), bias: Some((squares.clone() * -1.0).reshape([n])), names: Vec::new() };
        let nothing = rows.zeros_like();
        let wanted = Wanted { anchors: x.is_tracked(), candidates: false };
        let mut merged = Merged { logs: vec![f64::NEG_INFINITY; n], gradients: None };
        ranks.visit(&own, &starts, |_, keys| {
            let here = keys.first <= first && first < keys.first + keys.len();
            let exclusions = if here { Exclusions::own_row(first - keys.first) } else { Exclusions::none() };
            let mut inputs = Inputs::new(rows.clone(), keys.rows.clone()).with_paired(nothing.clone());
            inputs.bias = keys.bias.clone();
            let result = self.engine.clone().with_exclusions(exclusions).evaluate(&inputs, wanted);
            let logs = match here && keys.len() == 1 {
                true => vec![f64::NEG_INFINITY],
                false => to_f64(result.rows),
            };
            merged.add(&logs, result.gradients.anchors, &rows);
            Ok::<_, DistributedError>(())
        })?;
        let r: Vec<f64> = merged.logs.iter().zip(to_f64(squares)).map(|(log, square)| log - square).collect();
        let total = ranks.log_sum(&r)?;
        let value = numbers(&[total - (all as f64).ln() - ((all - 1) as f64).ln()], &rows);
        let weights: Vec<f64> = r.iter().map(|r| (r - total).exp()).collect();
        let gradient = |pulled| (pulled * 2.0 - rows.clone() * (4.0 * self.t)) * column(&weights, &rows);
        let gradient = merged.gradients.map(|pulled| compared.backward(gradient(pulled)));
        Ok(attach_gradients(value, [(&x, gradient)]))
    }
}

impl Alignment {
    /// The alignment of the rows of all ranks together; each rank brings its own rows and partners `[n, d]`. The value is `[1]`.
    ///
    /// # Errors
    /// When a rank is gone.
    ///
    /// # Panics
    /// When this rank's shapes differ, or it has no rows.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        x: Tensor<2>,
        y: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        let n = x.dims()[0];
        let counts = ranks.agree([n], &[ObjectiveId::Alignment.to_agree()])?;
        let all: usize = counts.iter().map(|c| c[0]).sum();
        ranks.sum_of_losses(self.loss(x, y) * (n as f64 / all as f64))
    }
}

impl AlignmentUniformity {
    /// Alignment and uniformity of the rows of all ranks together; each rank brings its own rows `[n, d]` of both views. The
    /// value is `[1]`.
    ///
    /// # Errors
    /// As [`Uniformity::distributed_loss`].
    ///
    /// # Panics
    /// When this rank's shapes differ, or it has no rows.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        x: Tensor<2>,
        y: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        let spread = [&x, &y].map(|rows| self.uniformity.distributed_loss(ranks, rows.clone()));
        let [first, second] = spread;
        Ok(self.alignment.distributed_loss(ranks, x, y)? + (first? + second?) * (self.weight / 2.0))
    }
}
