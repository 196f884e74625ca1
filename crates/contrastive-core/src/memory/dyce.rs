//! BECLR's memory in clusters.

use super::MemoryError;
use crate::host::{like, to_vec};
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_kernels::k_means::{KMeans, k_means};
use contrastive_kernels::real::gemm;
use contrastive_kernels::sinkhorn::{SinkhornProblem, sinkhorn};
use contrastive_kernels::unit::unit_rows;
use contrastive_kernels::vector::dot;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings of [`DyCe`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DyCeConfig {
    /// Rows of the memory (paper: about 40 for each prototype).
    pub capacity: usize,
    /// Prototypes (paper: 200).
    pub prototypes: usize,
    /// Neighbours of each row (paper: 5).
    pub neighbours: usize,
    /// Weight of the entropy of the assignment, in units of distances of unit rows (paper: 0.05).
    pub epsilon: f64,
    /// Sinkhorn's iterations (paper: 10).
    pub iterations: usize,
    /// Momentum of the prototypes (released configurations: 0).
    pub momentum: f64,
    /// Starts of k-means (released code: 10).
    pub restarts: usize,
    /// Of k-means.
    pub seed: u64,
}

impl DyCeConfig {
    /// The paper's choices beside the sizes.
    pub fn new(capacity: usize, prototypes: usize, neighbours: usize) -> Self {
        Self { capacity, prototypes, neighbours, epsilon: 0.05, iterations: 10, momentum: 0.0, restarts: 10, seed: 0 }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// With the first that is out of its range.
    pub fn validate(&self) -> Result<(), MemoryError> {
        let wrong = |setting, value: String, allowed: String| Err(MemoryError::Setting { setting, value, allowed });
        let Self { capacity, prototypes, neighbours, epsilon, iterations, momentum, restarts, .. } = *self;
        if prototypes < 2 || prototypes > capacity {
            return wrong("prototypes", prototypes.to_string(), format!("2 to the {capacity} rows of the memory"));
        }
        if neighbours == 0 || neighbours >= capacity {
            return wrong(
                "neighbours",
                neighbours.to_string(),
                format!("1 to below the {capacity} rows of the memory"),
            );
        }
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return wrong("epsilon", epsilon.to_string(), "a finite number above 0".into());
        }
        for (setting, value) in [("iterations", iterations), ("restarts", restarts)] {
            if value == 0 {
                return wrong(setting, value.to_string(), "1 or more".into());
            }
        }
        if !(0.0..=1.0).contains(&momentum) {
            return Err(MemoryError::Momentum(momentum));
        }
        Ok(())
    }
}

/// DyCE, the memory of BECLR (Poulakakis-Daktylidis and Jamali-Rad 2024, algorithm 2): the newest rows, first in, first out, in clusters
/// around prototypes, from which the nearest neighbours of a batch are taken.
///
/// - Until it is full it only takes rows in, and gives no neighbours. When it is, k-means of its rows makes prototypes and labels.
/// - From then on a batch is spread over the prototypes by entropic optimal transport with even margins on the distances of unit rows, mass
///   `e^{-distance / epsilon}`, and each row has the label of its largest share. (The released code's sign is the other one, which
///   prefers far prototypes.) The batch overwrites the oldest rows and their labels.
/// - A prototype is the mean of its rows; that of a cluster without rows stays. The sums change by what arrives and what is overwritten:
///   `O(n d)` a batch, not `O(capacity d)`.
/// - Rows and prototypes are all of unit rows. The memory is on the host, where k-means, transport and search run, in f32, and without
///   gradients.
#[derive(Clone, Debug)]
pub struct DyCe {
    config: DyCeConfig,
    width: usize,
    /// len x width, of length 1.
    rows: Vec<f32>,
    /// len, once there are prototypes.
    labels: Vec<u32>,
    next: usize,
    /// prototypes x width; none before the first clustering.
    prototypes: Vec<f32>,
    /// prototypes x width: sums of the rows of each.
    sums: Vec<f64>,
    /// The places of the rows of each prototype, in no order that matters.
    members: Vec<Vec<u32>>,
    clusterings: u64,
}

/// How a batch was spread over the prototypes.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// For each row its prototype, the one with the largest share.
    pub labels: Vec<u32>,
    /// rows x prototypes: the plan, of mass 1.
    pub plan: Vec<f64>,
}

impl DyCe {
    /// An empty memory of rows of this width.
    ///
    /// # Errors
    /// As [`DyCeConfig::validate`], and when the width is 0.
    pub fn new(config: &DyCeConfig, width: usize) -> Result<Self, MemoryError> {
        config.validate()?;
        if width == 0 {
            return Err(MemoryError::Size { capacity: config.capacity, width });
        }
        let config = config.clone();
        let members = vec![Vec::new(); config.prototypes];
        let (rows, labels, prototypes, sums) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { config, width, rows, labels, next: 0, prototypes, sums, members, clusterings: 0 })
    }

    /// Rows that have arrived and are still there.
    pub fn len(&self) -> usize {
        self.rows.len() / self.width
    }

    /// Has nothing arrived yet?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Is it full, with prototypes: does it give neighbours?
    pub fn is_ready(&self) -> bool {
        !self.prototypes.is_empty()
    }

    /// The rows, of length 1, in the order of their places: `len x width`.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The prototype of each row; empty before there are prototypes.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The prototypes, `prototypes x width`; empty before there are any.
    pub fn prototypes(&self) -> &[f32] {
        &self.prototypes
    }

    /// Rows of each prototype.
    pub fn sizes(&self) -> Vec<usize> {
        self.members.iter().map(Vec::len).collect()
    }

    fn row(&self, place: u32) -> &[f32] {
        &self.rows[place as usize * self.width..][..self.width]
    }

    /// Unit rows of a batch on the host.
    fn units(&self, rows: &Tensor<2>) -> Result<Vec<f32>, MemoryError> {
        let [n, d] = rows.dims();
        assert_eq!(d, self.width, "rows [{n}, {d}] for a memory of width {}", self.width);
        let values: Vec<f32> = to_vec(&rows.clone().inner());
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(MemoryError::NotFinite { row: at / d });
        }
        Ok(unit_rows(&values, d, 1e-12).0)
    }

    /// Takes rows `[n, width]` in, detached, over the oldest ones.
    ///
    /// # Errors
    /// [`MemoryError::NotFinite`] when a row is NaN or infinite; the memory is unchanged then.
    ///
    /// # Panics
    /// When the width differs.
    pub fn push(&mut self, rows: &Tensor<2>) -> Result<(), MemoryError> {
        let units = self.units(rows)?;
        let free = (self.config.capacity * self.width - self.rows.len()).min(units.len());
        let (first, rest) = units.split_at(free);
        self.rows.extend_from_slice(first);
        if free > 0 && self.len() == self.config.capacity {
            self.recluster();
        }
        let (capacity, width) = (self.config.capacity, self.width);
        for rows in rest.chunks(capacity * width) {
            if !self.is_ready() {
                // as many prototypes as asked for could not be found so far: perhaps among these rows
                for row in rows.chunks_exact(width) {
                    self.rows[self.next * width..][..width].copy_from_slice(row);
                    self.next = (self.next + 1) % capacity;
                }
                self.recluster();
                continue;
            }
            let labels = self.assigned(rows).labels;
            self.overwrite(rows, &labels);
        }
        Ok(())
    }

    /// How a batch `[n, width]` would be spread over the prototypes; `None` before there are any.
    ///
    /// # Errors
    /// [`MemoryError::NotFinite`] when a row is NaN or infinite.
    ///
    /// # Panics
    /// When the width differs, or there are no rows.
    pub fn assign(&self, rows: &Tensor<2>) -> Result<Option<Assignment>, MemoryError> {
        let units = self.units(rows)?;
        Ok(self.is_ready().then(|| self.assigned(&units)))
    }

    fn assigned(&self, rows: &[f32]) -> Assignment {
        let (n, p, d) = (rows.len() / self.width, self.config.prototypes, self.width);
        let wide = |x: &[f32]| x.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let squares = |x: &[f64]| x.chunks_exact(d).map(|row| dot(row, row)).collect::<Vec<f64>>();
        let (rows, prototypes) = (wide(rows), wide(&unit_rows(&self.prototypes, d, 1e-12).0));
        let (of_rows, of_prototypes) = (squares(&rows), squares(&prototypes));
        let mut plan = vec![0.0; n * p];
        let blocks = plan.par_chunks_mut(64 * p).zip(rows.par_chunks(64 * d)).zip(of_rows.par_chunks(64));
        blocks.for_each(|((plan, rows), of_rows)| {
            gemm([of_rows.len(), p, d], plan, [p, 1], rows, [d, 1], &prototypes, [1, d], 0.0, 2.0);
            for (plan, a) in plan.chunks_exact_mut(p).zip(of_rows) {
                plan.iter_mut().zip(&of_prototypes).for_each(|(x, b)| *x = -(a + b - *x).max(0.0).sqrt());
            }
        });
        let (own, even) = (vec![1.0 / n as f64; n], vec![1.0 / p as f64; p]);
        let DyCeConfig { epsilon, iterations, .. } = self.config;
        // unit rows are at most 2 apart: above this no exponential of their distances vanishes
        let log = epsilon < 2.0 / 600.0;
        let problem = SinkhornProblem { rows: &own, columns: &even, epsilon, iterations, tolerance: None, log };
        sinkhorn(&mut plan, &problem);
        let largest = |shares: &[f64]| {
            let mut best = 0;
            (1..p).for_each(|k| best = if shares[k] > shares[best] { k } else { best });
            best as u32
        };
        Assignment { labels: plan.chunks_exact(p).map(largest).collect(), plan }
    }

    /// Rows, at most as many as the memory has, over the oldest ones.
    fn overwrite(&mut self, rows: &[f32], labels: &[u32]) {
        let (d, capacity) = (self.width, self.config.capacity);
        let mut changed = vec![false; self.config.prototypes];
        for (row, &label) in rows.chunks_exact(d).zip(labels) {
            let (place, label) = (self.next, label as usize);
            let before = self.labels[place] as usize;
            let old = &mut self.rows[place * d..][..d];
            let sum = &mut self.sums[before * d..][..d];
            sum.iter_mut().zip(&*old).for_each(|(sum, x)| *sum -= f64::from(*x));
            let sum = &mut self.sums[label * d..][..d];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            old.copy_from_slice(row);
            if before != label {
                let members = &mut self.members[before];
                let at = members.iter().position(|other| *other as usize == place).expect("a member of its cluster");
                members.swap_remove(at);
                self.members[label].push(place as u32);
                self.labels[place] = label as u32;
            }
            (changed[before], changed[label]) = (true, true);
            self.next = (place + 1) % capacity;
        }
        let momentum = self.config.momentum;
        for k in 0..self.config.prototypes {
            let count = self.members[k].len();
            // without momentum, what has not changed is its mean already
            if count == 0 || (momentum == 0.0 && !changed[k]) {
                continue;
            }
            let prototype = &mut self.prototypes[k * d..][..d];
            for (x, sum) in prototype.iter_mut().zip(&self.sums[k * d..][..d]) {
                *x = (momentum * f64::from(*x) + (1.0 - momentum) * sum / count as f64) as f32;
            }
        }
        if self.labels.iter().all(|label| *label == self.labels[0]) {
            self.recluster();
        }
    }

    /// New prototypes and labels by k-means of the rows; those there are stay when it finds fewer clusters than asked for. Nothing before
    /// the memory is full. `true` when there are new ones.
    pub fn recluster(&mut self) -> bool {
        if self.len() < self.config.capacity {
            return false;
        }
        let settings = KMeans {
            restarts: self.config.restarts,
            ..KMeans::new(self.config.prototypes, self.config.seed.wrapping_add(self.clusterings))
        };
        self.clusterings += 1;
        let Ok(found) = k_means(&self.rows, self.width, &settings) else { return false };
        if found.sizes.contains(&0) {
            return false;
        }
        self.labels = found.labels;
        self.prototypes = found.centroids;
        self.count();
        true
    }

    /// Sums and members from rows and labels.
    fn count(&mut self) {
        self.sums = vec![0.0; self.config.prototypes * self.width];
        self.gather();
        for (row, &label) in self.rows.chunks_exact(self.width).zip(&self.labels) {
            let sum = &mut self.sums[label as usize * self.width..][..self.width];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
    }

    /// Members from labels.
    fn gather(&mut self) {
        self.members.iter_mut().for_each(Vec::clear);
        self.labels.iter().enumerate().for_each(|(place, k)| self.members[*k as usize].push(place as u32));
    }

    /// The neighbours of rows `[n, width]`: `[k n, width]`, of length 1, the first of each row, then the second of each, and so on; on the
    /// device and in the type of the rows, outside autodiff. `None` before there are prototypes.
    ///
    /// A row's neighbours are those of largest cosine in the cluster of the prototype of largest cosine, or in the whole memory where that
    /// has no more than k rows; of equals the one in the lower place.
    ///
    /// # Errors
    /// [`MemoryError::NotFinite`] when a row is NaN or infinite.
    ///
    /// # Panics
    /// When the width differs.
    pub fn neighbours(&self, rows: &Tensor<2>) -> Result<Option<Tensor<2>>, MemoryError> {
        let Some(places) = self.nearest(rows)? else { return Ok(None) };
        let n = rows.dims()[0];
        let mut out = Vec::with_capacity(places.len() * self.config.neighbours * self.width);
        for at in 0..self.config.neighbours {
            places.iter().for_each(|own| out.extend_from_slice(self.row(own[at])));
        }
        Ok(Some(like(out, [n * self.config.neighbours, self.width], &rows.clone().inner())))
    }

    /// The places of the neighbours of each row, as [`neighbours`](Self::neighbours) takes them.
    ///
    /// # Errors
    /// As [`neighbours`](Self::neighbours).
    ///
    /// # Panics
    /// As [`neighbours`](Self::neighbours).
    pub fn nearest(&self, rows: &Tensor<2>) -> Result<Option<Vec<Vec<u32>>>, MemoryError> {
        let units = self.units(rows)?;
        if !self.is_ready() {
            return Ok(None);
        }
        let (d, k) = (self.width, self.config.neighbours);
        let prototypes = unit_rows(&self.prototypes, d, 1e-12).0;
        let of = |row: &[f32]| {
            let (mut own, mut best) = (0, f32::NEG_INFINITY);
            for (at, prototype) in prototypes.chunks_exact(d).enumerate() {
                let cosine = dot(row, prototype);
                if cosine > best {
                    (own, best) = (at, cosine);
                }
            }
            let scored = |place: u32| (dot(row, self.row(place)), place);
            let mut all: Vec<(f32, u32)> = match self.members[own].len() > k {
                true => self.members[own].iter().map(|place| scored(*place)).collect(),
                false => (0..self.len() as u32).map(scored).collect(),
            };
            let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            all.select_nth_unstable_by(k - 1, order);
            all.truncate(k);
            all.sort_unstable_by(order);
            all.into_iter().map(|(_, place)| place).collect()
        };
        Ok(Some(units.par_chunks_exact(d).map(of).collect()))
    }

    /// Everything a run needs to go on with this memory, by name.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let (d, p) = (self.width, self.prototypes.len() / self.width);
        let whole = |value: usize| value as i64;
        let ring = vec![whole(self.config.capacity), whole(self.next), self.clusterings as i64];
        let labels: Vec<i64> = self.labels.iter().map(|label| i64::from(*label)).collect();
        BTreeMap::from([
            ("rows".to_string(), TensorData::new(self.rows.clone(), [self.len(), d])),
            ("labels".to_string(), TensorData::new(labels, [self.labels.len()])),
            ("prototypes".to_string(), TensorData::new(self.prototypes.clone(), [p, d])),
            ("sums".to_string(), TensorData::new(self.sums.clone(), [p, d])),
            ("ring".to_string(), TensorData::new(ring, [3])),
        ])
    }

    /// Takes over what [`state`](Self::state) gave, of a memory of the same sizes, which is unchanged after an error.
    ///
    /// # Errors
    /// [`MemoryError::State`] when a part is missing or does not fit.
    pub fn load_state(&mut self, state: &BTreeMap<String, TensorData>) -> Result<(), MemoryError> {
        let wrong = |what: String| Err(MemoryError::State(what));
        let part = |name: &str| state.get(name).ok_or_else(|| MemoryError::State(format!("{name} is missing")));
        let ring: Vec<i64> = part("ring")?.iter::<i64>().collect();
        let [capacity, next, clusterings] = ring[..] else { return wrong(format!("ring has {} numbers", ring.len())) };
        let (limit, d, p) = (self.config.capacity, self.width, self.config.prototypes);
        if capacity != limit as i64 || !(0..limit as i64).contains(&next) || clusterings < 0 {
            return wrong(format!("place {next} of {capacity} rows; this memory has {limit}"));
        }
        let (rows, labels) = (part("rows")?, part("labels")?);
        let (prototypes, sums) = (part("prototypes")?, part("sums")?);
        let shape = rows.shape();
        if shape.num_dims() != 2 || shape[0] > limit || shape[1] != d || rows.dtype() != DType::F32 {
            return wrong(format!("rows {shape:?} for a memory [{limit}, {d}]"));
        }
        let ready = labels.num_elements() > 0;
        let wanted = if ready { [p, d] } else { [0, d] };
        if (ready && (shape[0] < limit || labels.num_elements() != limit))
            || [prototypes, sums].iter().any(|data| data.shape().as_slice() != wanted)
        {
            return wrong(format!("labels, prototypes or sums that do not fit {p} prototypes of width {d}"));
        }
        let labels: Vec<i64> = labels.iter::<i64>().collect();
        if let Some(label) = labels.iter().find(|label| !(0..p as i64).contains(*label)) {
            return wrong(format!("label {label} of {p} prototypes"));
        }
        self.rows = rows.iter::<f32>().collect();
        self.labels = labels.into_iter().map(|label| label as u32).collect();
        self.prototypes = prototypes.iter::<f32>().collect();
        self.sums = sums.iter::<f64>().collect();
        (self.next, self.clusterings) = (next as usize, clusterings as u64);
        self.gather();
        Ok(())
    }
}
