//! SwAV: the code of one crop is predicted from the others.

use super::sinkhorn::Sinkhorn;
use super::soft_targets::cross_entropy;
use crate::error::ObjectiveError;
use crate::head::Prototypes;
use crate::memory::{MemoryError, Queue};
use crate::objective::{check_types, computed};
use crate::temperature::Temperature;
use burn::tensor::{Int, Tensor, TensorCreationOptions, TensorData};
use std::collections::BTreeMap;

/// SwAV (Caron et al. 2020, equations 1 to 3 and section 3.2): with the codes `q_a` of the scores of the large crops a,
///
/// ```text
/// loss = mean_a (1 / (V - 1)) sum_{v != a} of the mean over rows of -sum_k q_ak log softmax(s_v / temperature)_k
/// ```
///
/// over all V crops v. Scores are inner products of unit features and unit prototypes; codes carry no gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct SwAv {
    temperature: f64,
    sinkhorn: Sinkhorn,
}

impl SwAv {
    /// With this temperature of the predictions (paper: 0.1) and this assignment
    /// (paper: `Sinkhorn::new(0.05, 3)`).
    ///
    /// # Errors
    /// When the temperature is not a finite number above 0.
    pub fn new(temperature: f64, sinkhorn: Sinkhorn) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        Ok(Self { temperature, sinkhorn })
    }

    /// Scores `[n, k]` of n samples and k prototypes: of the large crops, which give the codes, and of the small ones. The
    /// value is `[1]`.
    ///
    /// # Panics
    /// When shapes differ, or as [`SwAvSizes::validate`] says.
    pub fn loss(&self, large: &[Tensor<2>], small: &[Tensor<2>]) -> Tensor<1> {
        self.evaluate(large, small, None)
    }

    /// The same with a queue of scores `[l, k]` for each large crop: former rows, scored with the present prototypes, that
    /// take part in the assignment.
    ///
    /// # Panics
    /// As [`loss`](Self::loss), and when there are not as many queues as large crops.
    pub fn loss_with_queues(&self, large: &[Tensor<2>], small: &[Tensor<2>], queues: &[Tensor<2>]) -> Tensor<1> {
        assert_eq!(queues.len(), large.len(), "queues and large crops");
        self.evaluate(large, small, Some(queues))
    }

    fn evaluate(&self, large: &[Tensor<2>], small: &[Tensor<2>], queues: Option<&[Tensor<2>]>) -> Tensor<1> {
        let [n, k] = large.first().map_or([1, 2], Tensor::dims);
        let sizes = SwAvSizes { large: large.len(), small: small.len(), rows: n, prototypes: k, queue: 0 };
        sizes.validate().unwrap_or_else(|e| panic!("SwAV: {e}"));
        let crops = large.len() + small.len();
        for scores in large.iter().chain(small).chain(queues.into_iter().flatten()) {
            check_types(&[("scores of the first crop", large[0].dtype()), ("scores of another", scores.dtype())]);
        }
        let codes: Vec<Tensor<2>> = large
            .iter()
            .enumerate()
            .map(|(a, scores)| {
                assert_eq!(scores.dims(), [n, k], "the shapes of the scores of the crops");
                let scores = computed(scores.clone().inner());
                match queues {
                    None => self.sinkhorn.codes(scores),
                    Some(queues) => {
                        let [l, width] = queues[a].dims();
                        assert_eq!(width, k, "scores [{n}, {k}] and a queue of scores [{l}, {width}]");
                        let queue = queues[a].clone().inner().cast(scores.dtype());
                        self.sinkhorn.codes(Tensor::cat(vec![scores, queue], 0)).slice([0..n, 0..k])
                    }
                }
            })
            .collect();
        // each crop once, with the sum of the codes it is to predict
        let share = 1.0 / (large.len() * (crops - 1)) as f64;
        let terms = large.iter().chain(small).enumerate().filter_map(|(v, scores)| {
            let targets = codes.iter().enumerate().filter(|(a, _)| *a != v).map(|(_, q)| q.clone());
            let sum = targets.reduce(|a, b| a + b)?;
            Some(cross_entropy(sum, scores, self.temperature, share))
        });
        terms.reduce(|a, b| a + b).expect("at least one crop to predict from")
    }
}

/// The sizes of a step of SwAV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwAvSizes {
    /// Crops that give codes.
    pub large: usize,
    /// Crops that do not.
    pub small: usize,
    /// Rows of a crop.
    pub rows: usize,
    /// Prototypes.
    pub prototypes: usize,
    /// Rows of a large crop's queue; 0 without one.
    pub queue: usize,
}

impl SwAvSizes {
    /// Is there anything to predict?
    ///
    /// # Errors
    /// When there is no large crop, there are fewer than two crops or two prototypes, or no rows.
    pub fn validate(&self) -> Result<(), ObjectiveError> {
        let sizes = [
            ("large crops", self.large, 1, "1 and more"),
            ("crops", self.large + self.small, 2, "2 and more"),
            ("rows of a crop", self.rows, 1, "1 and more"),
            ("prototypes", self.prototypes, 2, "2 and more"),
        ];
        match sizes.into_iter().find(|(_, value, least, _)| value < least) {
            Some((name, value, _, allowed)) => Err(ObjectiveError::Outside { name, value: value as f64, allowed }),
            None => Ok(()),
        }
    }

    /// What makes codes arbitrary although they are defined: more prototypes than rows that share them evenly.
    pub fn warning(&self) -> Option<String> {
        let (k, all) = (self.prototypes, self.rows + self.queue);
        (k > all)
            .then(|| format!("{k} prototypes are shared evenly by {all} rows (batch and queue): less than a row each"))
    }
}

/// The queues of SwAV (section 3.3 of the paper): former features of each large crop, which take part in the assignment so that a
/// small batch need not use all prototypes. They count once all are full, and are scored with the present prototypes.
///
/// A step: [`scores`](Self::scores) into [`SwAv::loss_with_queues`] (or [`SwAv::loss`] while there are none), then
/// [`push`](Self::push).
#[derive(Clone, Debug)]
pub struct SwAvQueues {
    queues: Vec<Queue>,
}

impl SwAvQueues {
    /// Empty queues of `capacity` rows of one width, one for each of `large` crops, for batches of `batch` rows (paper: 3,840 rows
    /// for batches of 256).
    ///
    /// # Errors
    /// When capacity, batch or width is 0, or the capacity is not a multiple of the batch.
    pub fn new(
        large: usize,
        capacity: usize,
        batch: usize,
        width: usize,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<Self, MemoryError> {
        if batch == 0 || !capacity.is_multiple_of(batch) {
            return Err(MemoryError::Batches { capacity, batch });
        }
        let on = on.into();
        let queues = (0..large).map(|_| Queue::new(capacity, width, on.clone()));
        Ok(Self { queues: queues.collect::<Result<_, _>>()? })
    }

    /// These queues, if they are not larger than a data set of `samples` samples.
    ///
    /// # Errors
    /// [`MemoryError::Data`] when they are larger.
    pub fn with_dataset_size(self, samples: usize) -> Result<Self, MemoryError> {
        let queues = self.queues.into_iter().map(|queue| queue.with_dataset_size(samples));
        Ok(Self { queues: queues.collect::<Result<_, _>>()? })
    }

    /// For each large crop the scores `[capacity, k]` of its queue, the newest row first, without gradients; `None` until all
    /// queues are full.
    ///
    /// # Panics
    /// When the widths differ.
    pub fn scores(&self, prototypes: &Prototypes) -> Option<Vec<Tensor<2>>> {
        let scores = |queue: &Queue| {
            let rows = queue.rows().filter(|_| queue.is_full())?;
            let newest: Vec<i32> = queue.newest(queue.len()).into_iter().rev().map(|place| place as i32).collect();
            let count = newest.len();
            let places = Tensor::<1, Int>::from_data(TensorData::new(newest, [count]), &rows.device());
            Some(prototypes.inner_scores(rows.select(0, places)))
        };
        self.queues.iter().map(scores).collect()
    }

    /// Takes the features `[n, width]` of each large crop in, detached.
    ///
    /// # Panics
    /// When there are not as many crops as queues, or a width differs.
    pub fn push(&mut self, features: &[Tensor<2>]) {
        assert_eq!(features.len(), self.queues.len(), "large crops and queues");
        self.queues.iter_mut().zip(features).for_each(|(queue, rows)| queue.push(rows.clone()));
    }

    /// The queues, one for each large crop.
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }

    /// The state of every queue, under `0.`, `1.` and so on.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let named = |(k, queue): (usize, &Queue)| {
            queue.state().into_iter().map(move |(name, data)| (format!("{k}.{name}"), data))
        };
        self.queues.iter().enumerate().flat_map(named).collect()
    }

    /// Takes over what [`state`](Self::state) gave. The queues are unchanged after an error.
    ///
    /// # Errors
    /// [`MemoryError::State`] when a part is missing or does not fit, or belongs to no queue.
    pub fn load_state(&mut self, state: &BTreeMap<String, TensorData>) -> Result<(), MemoryError> {
        let mut queues = self.queues.clone();
        let known = |name: &String| {
            name.split_once('.').and_then(|(k, _)| k.parse().ok()).is_some_and(|k: usize| k < queues.len())
        };
        if let Some(name) = state.keys().find(|name| !known(name)) {
            return Err(MemoryError::State(format!("{name} among the parts of {} queues", queues.len())));
        }
        for (k, queue) in queues.iter_mut().enumerate() {
            let prefix = format!("{k}.");
            let own =
                state.iter().filter_map(|(name, data)| Some((name.strip_prefix(&prefix)?.to_string(), data.clone())));
            queue.load_state(&own.collect())?;
        }
        self.queues = queues;
        Ok(())
    }
}
