//! A momentum encoder and the queue of what it made: what MoCo and its relatives share.

use super::{Momentum, Projected, Start, VisionModel};
use crate::VisionError;
use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use contrastive_core::memory::{Ema, Queue};
use contrastive_core::similarity::unit_rows;
use contrastive_train::{State, Step, TrainError};
use rand::seq::SliceRandom;

/// Keys by a momentum copy of the network, and a queue of former keys, which starts with random unit rows. Keys enter it after the step
/// in which they were positives, as they were made.
#[derive(Debug)]
pub struct KeyQueue<M: Module = Projected> {
    momentum: Momentum<M>,
    queue: Queue,
    shuffle: bool,
    pending: Vec<Tensor<2>>,
}

impl<M: VisionModel> KeyQueue<M> {
    /// A queue of so many keys of width `width`, at most the images of the data. With `shuffle`, keys are encoded in another order than
    /// queries: with ghost norms their statistics come from other images then.
    ///
    /// # Errors
    /// When the queue holds nothing or more than the images, or the momentum is not in `[0, 1]`.
    pub fn start(
        start: &Start<'_>,
        model: &M,
        [rows, width]: [usize; 2],
        momentum: f64,
        shuffle: bool,
    ) -> Result<Self, VisionError> {
        let (device, dtype) = start.plain();
        let queue = Queue::random_units(rows, width, start.seed.wrapping_add(300), (&device, dtype))?;
        let queue = queue.with_dataset_size(start.set.len())?;
        let momentum = Momentum::of(model, Ema::constant(momentum)?);
        Ok(Self { momentum, queue, shuffle, pending: Vec::new() })
    }

    /// The keys of images, unit rows without a gradient; they wait to enter the queue.
    pub fn make(&mut self, images: Tensor<4>, step: Step) -> Tensor<2> {
        let n = images.dims()[0];
        let mut order: Vec<i32> = (0..n as i32).collect();
        if self.shuffle {
            order.shuffle(&mut step.rng());
        }
        let mut back = vec![0; n];
        order.iter().enumerate().for_each(|(at, image)| back[*image as usize] = at as i32);
        let device = images.device();
        let list = |list: Vec<i32>| Tensor::<1, Int>::from_data(TensorData::new(list, [n]), &device);
        let keys = unit_rows(self.momentum.project(images.select(0, list(order))).select(0, list(back)));
        self.pending.push(keys.clone().inner());
        keys
    }

    /// Former keys.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Their rows, `[m, d]`, without a gradient.
    ///
    /// # Panics
    /// Never: the queue is full from the start.
    pub fn rows(&self) -> Tensor<2> {
        self.queue.rows().expect("a queue that is full from the start")
    }

    /// After a step: its keys enter the queue, and the copy follows the model.
    pub fn after_step(&mut self, model: &M, step: Step) {
        for keys in self.pending.drain(..) {
            self.queue.push(keys);
        }
        self.momentum.follow(model, step.global);
    }

    /// Queue and copy.
    pub fn state(&self) -> State {
        let mut state = self.queue.state();
        self.momentum.save(&mut state);
        state
    }

    /// Takes over what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// When something is missing or does not fit.
    pub fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.momentum.load(&mut state)?;
        self.queue.load_state(&state).map_err(TrainError::trainee)
    }
}
