//! The queue of past rows.

use super::MemoryError;
use crate::head::seeded::Seeded;
use crate::similarity::unit_rows;
use burn::tensor::{DType, Tensor, TensorCreationOptions, TensorData};
use std::collections::BTreeMap;

/// The newest rows of past batches, first in, first out: a ring of `capacity` rows of one width, on the device, without
/// gradients (MoCo's dictionary, NNCLR's support set, the memory of cross-batch methods).
///
/// While it fills up ("warm-up") only the rows that have arrived are candidates. A full queue overwrites its oldest rows,
/// wrapping round in the middle of a batch where needed. Rows lie in the order of their places, not of their age:
/// [`rows`](Self::rows) and [`labels`](Self::labels) correspond.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use contrastive_core::memory::Queue;
///
/// let device = Device::default();
/// let mut queue = Queue::new(3, 2, &device)?;
/// assert!(queue.rows().is_none());
/// queue.push(Tensor::from_data([[1.0, 2.0], [3.0, 4.0]], &device));
/// queue.push(Tensor::from_data([[5.0, 6.0], [7.0, 8.0]], &device));
/// let rows = queue.rows().unwrap().into_data();
/// assert_eq!(rows.iter::<f64>().collect::<Vec<_>>(), [7.0, 8.0, 3.0, 4.0, 5.0, 6.0]);
/// # Ok::<(), contrastive_core::memory::MemoryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Queue {
    /// `[capacity, width]`; the first `len` rows have arrived.
    rows: Tensor<2>,
    /// `len` of them, or none at all.
    labels: Option<Vec<i64>>,
    len: usize,
    next: usize,
}

impl Queue {
    /// An empty queue of rows without labels, on a device, of that device's float type unless one is given
    /// (`(&device, DType::F64)`).
    ///
    /// # Errors
    /// When capacity or width is 0.
    pub fn new(capacity: usize, width: usize, on: impl Into<TensorCreationOptions>) -> Result<Self, MemoryError> {
        if capacity == 0 || width == 0 {
            return Err(MemoryError::Size { capacity, width });
        }
        let rows = Tensor::zeros([capacity, width], on).inner();
        Ok(Self { rows, labels: None, len: 0, next: 0 })
    }

    /// A full queue of random rows of length 1, which take part until they are overwritten: after `capacity` arrivals none is left.
    /// MoCo's released code starts this way; an empty queue starts with fewer negatives, but true ones.
    ///
    /// # Errors
    /// When capacity or width is 0.
    pub fn random_units(
        capacity: usize,
        width: usize,
        seed: u64,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<Self, MemoryError> {
        let on = on.into();
        let mut queue = Self::new(capacity, width, on.clone())?;
        queue.push(unit_rows(Seeded::new(seed, on).normal([capacity, width], 1.0)));
        Ok(queue)
    }

    /// An empty queue whose rows come with a label or an id each.
    ///
    /// # Errors
    /// When capacity or width is 0.
    pub fn labelled(capacity: usize, width: usize, on: impl Into<TensorCreationOptions>) -> Result<Self, MemoryError> {
        Ok(Self { labels: Some(Vec::with_capacity(capacity)), ..Self::new(capacity, width, on)? })
    }

    /// This queue, if it is not larger than a data set of `samples` samples, each of which gives one row an epoch. (A larger one
    /// holds two rows of the same sample, or its own row as a negative.)
    ///
    /// # Errors
    /// [`MemoryError::Data`] when it is larger.
    pub fn with_dataset_size(self, samples: usize) -> Result<Self, MemoryError> {
        match self.capacity() {
            capacity if capacity > samples => Err(MemoryError::Data { capacity, samples }),
            _ => Ok(self),
        }
    }

    /// Most rows it holds.
    pub fn capacity(&self) -> usize {
        self.rows.dims()[0]
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.rows.dims()[1]
    }

    /// The element type of its rows, which pushed rows are brought to.
    pub fn dtype(&self) -> DType {
        self.rows.dtype()
    }

    /// Rows that have arrived and are still there.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Has nothing arrived yet?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Has warm-up ended?
    pub fn is_full(&self) -> bool {
        self.len == self.capacity()
    }

    /// `[len, width]`, without gradients; `None` while the queue is empty.
    pub fn rows(&self) -> Option<Tensor<2>> {
        match self.len {
            0 => None,
            len if len == self.capacity() => Some(self.rows.clone()),
            len => Some(self.rows.clone().slice([0..len, 0..self.width()])),
        }
    }

    /// `len` labels, in the order of the rows; `None` for a queue without labels.
    pub fn labels(&self) -> Option<&[i64]> {
        self.labels.as_deref()
    }

    /// The places of the `count` newest rows, in the order of their arrival.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn newest(&self, count: usize) -> Vec<u32> {
        assert!(count <= self.len, "the {count} newest of {} rows", self.len);
        let capacity = self.capacity();
        (0..count).map(|k| ((self.next + capacity - count + k) % capacity) as u32).collect()
    }

    /// Takes rows `[n, width]` in, detached; of more than `capacity` rows the last ones.
    ///
    /// # Panics
    /// When the width differs, or the queue has labels.
    pub fn push(&mut self, rows: Tensor<2>) {
        assert!(self.labels.is_none(), "rows without labels for a queue with labels");
        self.write(rows, None);
    }

    /// Takes rows `[n, width]` with their labels in, detached; of more than `capacity` rows the last ones.
    ///
    /// # Panics
    /// When the width or the number of labels differs, or the queue has no labels.
    pub fn push_labelled(&mut self, rows: Tensor<2>, labels: &[i64]) {
        assert!(self.labels.is_some(), "rows with labels for a queue without labels");
        assert_eq!(rows.dims()[0], labels.len(), "rows and their labels");
        self.write(rows, Some(labels));
    }

    fn write(&mut self, rows: Tensor<2>, labels: Option<&[i64]>) {
        let ([n, d], [capacity, width]) = (rows.dims(), self.rows.dims());
        assert_eq!(d, width, "rows [{n}, {d}] for a queue [{capacity}, {width}]");
        let rows = rows.inner().cast(self.rows.dtype());
        // the part up to the end of the ring, then the part that wraps round
        let mut from = n.saturating_sub(capacity);
        while from < n {
            let count = (n - from).min(capacity - self.next);
            let to = self.next..self.next + count;
            let part = rows.clone().slice([from..from + count, 0..d]);
            // the only handle, so that the backend may write in place
            let ring = std::mem::replace(&mut self.rows, part.clone());
            self.rows = ring.slice_assign([to.clone(), 0..d], part);
            if let (Some(all), Some(new)) = (&mut self.labels, labels) {
                all.resize(all.len().max(to.end), 0);
                all[to.clone()].copy_from_slice(&new[from..from + count]);
            }
            self.len = self.len.max(to.end);
            self.next = to.end % capacity;
            from += count;
        }
    }

    /// Everything a run needs to go on with this queue, by name: `rows [len, width]`, `ring [2]` (capacity and the place
    /// of the next row), and, if there are labels, `labels [len]`.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let rows = match self.rows() {
            Some(rows) => rows.into_data(),
            None => TensorData::new(Vec::<f32>::new(), [0, self.width()]).convert_dtype(self.rows.dtype()),
        };
        let ring = TensorData::new(vec![self.capacity() as i64, self.next as i64], [2]);
        let mut state = BTreeMap::from([("rows".to_string(), rows), ("ring".to_string(), ring)]);
        if let Some(labels) = &self.labels {
            state.insert("labels".to_string(), TensorData::new(labels.clone(), [labels.len()]));
        }
        state
    }

    /// Takes over what [`state`](Self::state) gave, of a queue of the same capacity and width, with or without labels as
    /// this one. The queue is unchanged after an error.
    ///
    /// # Errors
    /// [`MemoryError::State`] when a part is missing or does not fit.
    pub fn load_state(&mut self, state: &BTreeMap<String, TensorData>) -> Result<(), MemoryError> {
        let wrong = |what: String| Err(MemoryError::State(what));
        let part = |name: &str| state.get(name).ok_or_else(|| MemoryError::State(format!("{name} is missing")));
        let [capacity, width] = self.rows.dims();
        let (rows, ring) = (part("rows")?, part("ring")?);
        let numbers: Vec<i64> = ring.iter::<i64>().collect();
        let [stored, next] = numbers[..] else { return wrong(format!("ring has {} numbers, not 2", numbers.len())) };
        if stored != capacity as i64 {
            return wrong(format!("it is of a queue of {stored} rows, this one has {capacity}"));
        }
        let (shape, dtype) = (rows.shape(), rows.dtype());
        if shape.num_dims() != 2 || shape[0] > capacity || shape[1] != width || !dtype.is_float() {
            return wrong(format!("rows {shape:?} of type {dtype:?} for a queue [{capacity}, {width}]"));
        }
        let len = shape[0];
        // a queue that is not full writes behind its rows
        let expected = if len < capacity { len as i64..len as i64 + 1 } else { 0..capacity as i64 };
        if !expected.contains(&next) {
            return wrong(format!("the next place {next} of {len} rows and {capacity} places"));
        }
        let labels = match (&self.labels, state.get("labels")) {
            (None, None) => None,
            (Some(_), Some(labels)) if labels.num_elements() == len => Some(labels.iter::<i64>().collect()),
            (Some(_), Some(labels)) => return wrong(format!("{} labels for {len} rows", labels.num_elements())),
            (Some(_), None) => return wrong("labels are missing".to_string()),
            (None, Some(_)) => return wrong("it has labels, this queue has none".to_string()),
        };
        let (device, dtype) = (self.rows.device(), self.rows.dtype());
        if len > 0 {
            let rows = Tensor::<2>::from_data(rows.clone().convert_dtype(dtype), (&device, dtype));
            self.rows = self.rows.clone().slice_assign([0..len, 0..width], rows);
        }
        (self.labels, self.len, self.next) = (labels, len, next as usize);
        Ok(())
    }
}
