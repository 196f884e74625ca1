//! The step that SogCLR and iSogCLR share.

use super::average::AverageWeight;
use super::contrast::{Contrast, Statistics};
use super::samples::{Denominators, SampleError, check_batch, insert, list};
use super::temperatures::Temperatures;
use crate::attach::attach_gradients;
use crate::host::numbers;
use crate::objective::{Inputs, check_types};
use crate::pairs::{Exclusions, PairLists};
use crate::similarity::{Compared, Similarity};
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// What the two tables of a batch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// Two views of the same samples, encoded alike: each row is compared with both views of all other samples, and both
    /// views of a sample share one state.
    Alike,
    /// Two modalities (images and texts): each row is compared with the other table's rows of all other samples, and each
    /// modality has its own state.
    Modalities,
}

/// What the moving averages are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remembered {
    /// `e^{h / tau}`, h relative to the positive, as the papers have it and the released codes for two modalities.
    #[default]
    Differences,
    /// `e^{s / tau}` of the similarities themselves, as the released codes for two views have it: the objective is split into
    /// `tau log mean e^{s / tau}`, which is averaged, and the positive, which is not. The same with gamma = 1.
    Similarities,
}

/// A batch's estimate of the gradient over the whole training set. Plain tensors outside autodiff.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// `[1]`: the surrogate whose gradient this is. Its value has no meaning of its own: it may be negative, and jumps.
    pub value: Tensor<1>,
    /// `[n, d]`: the gradient of the first table.
    pub first: Tensor<2>,
    /// `[n, d]`: the gradient of the second table.
    pub second: Tensor<2>,
    /// What to watch: the mean over rows of `tau_i (log s_i + rho)`, the estimate of the objective over the training set
    /// (rho = 0 with one temperature for all; less the similarity of the positive where s is of [`Remembered::Similarities`]).
    pub objective: f64,
    /// The mean over rows of `KL(p || uniform)`, p the softmax over a row's negatives: by this reading rho is chosen.
    pub divergence: f64,
}

/// State and settings.
#[derive(Clone, Debug)]
pub(super) struct Global {
    views: Views,
    samples: usize,
    /// One, or one for each modality.
    sides: Vec<Side>,
    pub share: AverageWeight,
    pub epoch: usize,
    pub remembered: Remembered,
}

#[derive(Clone, Debug)]
struct Side {
    denominators: Denominators,
    temperatures: Temperatures,
}

/// What one comparison of a step found, before anything is stored.
struct Found {
    statistics: Statistics,
    /// Of each row: its new log-denominator, and what `e^{h / tau}` adds up to relative to it.
    logs: Vec<f64>,
    ratios: Vec<f64>,
}

impl Global {
    pub fn new(
        samples: usize,
        views: Views,
        share: AverageWeight,
        temperatures: Temperatures,
    ) -> Result<Self, SampleError> {
        if samples == 0 {
            return Err(SampleError::Empty);
        }
        let side = Side { denominators: Denominators::new(samples), temperatures };
        let sides = vec![side; if views == Views::Alike { 1 } else { 2 }];
        Ok(Self { views, samples, sides, share, epoch: 0, remembered: Remembered::Differences })
    }

    /// The first table's side, and the second's.
    fn side(&self, second: bool) -> &Side {
        &self.sides[if second { self.sides.len() - 1 } else { 0 }]
    }

    pub fn log_denominator(&self, second: bool, sample: usize) -> Option<f64> {
        assert!(sample < self.samples, "sample {sample} of {}", self.samples);
        self.side(second).denominators.get(sample)
    }

    pub fn temperature(&self, second: bool, sample: usize) -> f64 {
        assert!(sample < self.samples, "sample {sample} of {}", self.samples);
        self.side(second).temperatures.of(sample)
    }

    /// The comparisons of a batch of unit rows, one for each side.
    fn contrasts(&self, first: &Tensor<2>, second: &Tensor<2>, index: &[usize]) -> Vec<Contrast> {
        let n = index.len();
        let both = |a: &Tensor<2>, b: &Tensor<2>| Tensor::cat(vec![a.clone(), b.clone()], 0);
        let of = |side: &Side, rows: usize| (0..rows).map(|i| side.temperatures.of(index[i % n])).collect();
        let contrast =
            |side: &Side, anchors: Tensor<2>, candidates: Tensor<2>, positives: Tensor<2>, exclusions, negatives| {
                let temperatures = of(side, anchors.dims()[0]);
                Contrast {
                    anchors,
                    candidates,
                    positives,
                    exclusions,
                    negatives,
                    temperatures,
                    relative: self.remembered == Remembered::Differences,
                }
            };
        match self.views {
            Views::Alike => {
                let rows = both(first, second);
                let twins = PairLists::one_each((0..2 * n).map(|i| ((i + n) % (2 * n)) as u32).collect());
                let exclusions = Exclusions::lists(twins).with_own_row(0);
                vec![contrast(&self.sides[0], rows.clone(), rows, both(second, first), exclusions, 2 * n - 2)]
            }
            Views::Modalities => [(first, second), (second, first)]
                .into_iter()
                .zip(&self.sides)
                .map(|((a, b), side)| contrast(side, a.clone(), b.clone(), b.clone(), Exclusions::own_row(0), n - 1))
                .collect(),
        }
    }

    fn find(&self, side: &Side, contrast: &Contrast, index: &[usize]) -> Result<Found, SampleError> {
        let statistics = contrast.statistics();
        let (n, share) = (index.len(), self.share.at(self.epoch));
        let all = statistics.log_mean.iter().zip(&statistics.mean);
        if let Some(row) = all.into_iter().position(|(l, m)| !l.is_finite() || !m.is_finite()) {
            return Err(SampleError::NotFinite(row % n));
        }
        let new = statistics.log_mean.iter().enumerate();
        let logs: Vec<f64> = new.map(|(i, new)| side.denominators.with(index[i % n], *new, share)).collect();
        let ratios = statistics.log_mean.iter().zip(&logs).map(|(new, log)| (new - log).exp()).collect();
        Ok(Found { statistics, logs, ratios })
    }

    /// Takes what was found into the state.
    fn remember(side: &mut Side, contrast: &Contrast, found: &Found, index: &[usize]) {
        let (n, rows) = (index.len(), found.logs.len());
        let views = (rows / n) as f64;
        let radius = side.temperatures.radius();
        for (k, &sample) in index.iter().enumerate() {
            let own = || (k..rows).step_by(n);
            side.denominators.store(sample, own().map(|i| found.logs[i]));
            let slope = |i: usize| found.ratios[i] * found.statistics.mean[i] / contrast.temperatures[i];
            let derivative = own().map(|i| found.logs[i] + radius - slope(i)).sum::<f64>() / views;
            if let Some(change) = side.temperatures.step(sample, derivative) {
                let mean = own().map(|i| found.statistics.mean[i]).sum::<f64>() / views;
                side.denominators.shift(sample, mean * change);
            }
        }
    }

    /// One step: 8 n m d flops for each comparison of n anchors with m candidates, memory linear in the batch.
    pub fn step(&mut self, first: &Tensor<2>, second: &Tensor<2>, index: &[usize]) -> Result<Estimate, SampleError> {
        let n = first.dims()[0];
        assert_eq!(first.dims(), second.dims(), "the shapes of the two tables of a batch");
        check_types(&[("the first table", first.dtype()), ("the second table", second.dtype())]);
        check_batch(index, n, self.samples)?;
        let plain = Inputs::new(first.clone(), second.clone()).plain();
        let a = Compared::new(Similarity::Cosine, plain.anchors);
        let b = Compared::new(Similarity::Cosine, plain.candidates.expect("the second table"));
        let contrasts = self.contrasts(&a.rows, &b.rows, index);
        let found = contrasts.iter().zip(&self.sides).map(|(c, side)| self.find(side, c, index));
        let found = found.collect::<Result<Vec<_>, _>>()?;

        let mut gradients = [a.rows.zeros_like(), b.rows.zeros_like()];
        let (mut value, mut objective, mut divergence, mut rows) = (0.0, 0.0, 0.0, 0);
        for (k, (contrast, f)) in contrasts.iter().zip(&found).enumerate() {
            let shares: Vec<f64> = f.ratios.iter().map(|r| r / n as f64).collect();
            let radius = self.sides[k].temperatures.radius();
            for (i, t) in contrast.temperatures.iter().enumerate() {
                value += shares[i] * f.statistics.mean[i] - f.statistics.apart[i] / n as f64;
                objective += t * (f.logs[i] + radius) - f.statistics.apart[i];
                divergence += f.statistics.mean[i] / t - f.statistics.log_mean[i];
            }
            rows += shares.len();
            let own = if contrast.relative { shares.clone() } else { vec![1.0 / n as f64; shares.len()] };
            let pulls = contrast.pulls(&f.statistics, &shares, &own);
            let mut add = |table: usize, gradient: Tensor<2>| {
                gradients[table] = gradients[table].clone() + gradient;
            };
            match self.views {
                Views::Alike => {
                    let half = |x: &Tensor<2>, k: usize| x.clone().narrow(0, k * n, n);
                    let own = pulls.anchors + pulls.candidates;
                    for table in 0..2 {
                        add(table, half(&own, table) + half(&pulls.positives, 1 - table));
                    }
                }
                Views::Modalities => {
                    add(k, pulls.anchors);
                    add(1 - k, pulls.candidates + pulls.positives);
                }
            }
        }
        for ((side, contrast), found) in self.sides.iter_mut().zip(&contrasts).zip(&found) {
            Self::remember(side, contrast, found, index);
        }
        let [of_first, of_second] = gradients;
        Ok(Estimate {
            value: numbers(&[value], &a.rows),
            first: a.backward(of_first),
            second: b.backward(of_second),
            objective: objective / rows as f64,
            divergence: divergence / rows as f64,
        })
    }

    pub fn loss(&mut self, first: Tensor<2>, second: Tensor<2>, index: &[usize]) -> Result<Tensor<1>, SampleError> {
        let estimate = self.step(&first, &second, index)?;
        Ok(attach_gradients(estimate.value, [(&first, Some(estimate.first)), (&second, Some(estimate.second))]))
    }

    /// What stands before a name in the state of side `k`.
    fn prefix(&self, k: usize) -> &'static str {
        match self.views {
            Views::Alike => "",
            Views::Modalities => ["first.", "second."][k],
        }
    }

    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let mut state = BTreeMap::new();
        insert(&mut state, "", "epoch", TensorData::new(vec![self.epoch as i64], [1]));
        for (k, side) in self.sides.iter().enumerate() {
            side.denominators.save(self.prefix(k), &mut state);
            side.temperatures.save(self.prefix(k), &mut state);
        }
        state
    }

    pub fn load_state(&mut self, state: &BTreeMap<String, TensorData>) -> Result<(), SampleError> {
        let epoch = list(state, "", "epoch", 1)?[0];
        if epoch < 0.0 {
            return Err(SampleError::State(format!("epoch {epoch}")));
        }
        let side = |(k, side): (usize, &Side)| {
            let prefix = self.prefix(k);
            Ok(Side {
                denominators: Denominators::loaded(prefix, self.samples, state)?,
                temperatures: side.temperatures.loaded(prefix, state)?,
            })
        };
        let sides = self.sides.iter().enumerate().map(side).collect::<Result<Vec<_>, SampleError>>()?;
        (self.sides, self.epoch) = (sides, epoch as usize);
        Ok(())
    }
}
