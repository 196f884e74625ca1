//! Batches of views, made ahead of the step in bounded memory.

use crate::VisionError;
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_data::augment::Views;
use contrastive_data::image::ImageSet;
use contrastive_train::{Batches, Prefetch};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far batches are made ahead. Changes no pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Threads that make batches; 0: each is made when it is asked for.
    pub threads: usize,
    /// Most batches that are made or in the making.
    pub batches: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { threads: 1, batches: 3 }
    }
}

/// The views of a batch of images.
#[derive(Clone, Debug)]
pub struct ImageBatch {
    /// For each view `[n, channels, height, width]`, outside of autodiff.
    pub views: Vec<Tensor<4>>,
    /// For each view the part of each image it shows, as [`View::crop`](contrastive_data::augment::View::crop) has it.
    pub crops: Vec<Vec<Option<[f64; 4]>>>,
    /// The position of each image in the set: its identity for queues and memories.
    pub images: Vec<usize>,
    /// The label of each image, -1 for none: for supervised objectives alone.
    pub labels: Vec<i32>,
}

impl ImageBatch {
    /// A view on autodiff.
    ///
    /// # Panics
    /// When there is no such view.
    pub fn view(&self, view: usize) -> Tensor<4> {
        Tensor::from_inner(self.views[view].clone())
    }

    /// What `encode` makes of the first two views.
    ///
    /// # Panics
    /// When there are fewer than two.
    pub fn pair<T>(&self, encode: impl FnMut(Tensor<4>) -> T) -> [T; 2] {
        [self.view(0), self.view(1)].map(encode)
    }
}

/// Pixels of a batch on the host.
struct Pixels {
    views: Vec<(Vec<f32>, [usize; 4])>,
    crops: Vec<Vec<Option<[f64; 4]>>>,
    images: Vec<usize>,
}

/// How long steps have waited for batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Batches handed out.
    pub batches: usize,
    /// The time until they were there.
    pub time: Duration,
}

/// Shuffles a set into whole batches and makes their views.
#[derive(Debug)]
pub struct Loader {
    set: ImageSet,
    views: Arc<Views>,
    batches: Batches,
    ahead: Ahead,
    epoch: Option<Prefetch<Pixels>>,
    waiting: Waiting,
    on: (Device, DType),
}

impl Loader {
    /// A loader of batches of `batch` images; what does not fill a batch is left out.
    ///
    /// # Errors
    /// When a view does not fit the images, the batch is 0 or larger than the set.
    pub fn new(
        set: &ImageSet,
        views: &Views,
        batch: usize,
        ahead: Ahead,
        on: (Device, DType),
    ) -> Result<Self, VisionError> {
        views.validate([set.shape()[1], set.shape()[2]])?;
        if batch > set.len() {
            let what = format!("a batch of {batch} images of {}: allowed is 1 to {}", set.len(), set.len());
            return Err(VisionError::images(set.name(), what));
        }
        let batches = Batches::shuffled(set.len(), batch)?.dropping_last();
        let (set, views) = (set.clone(), Arc::new(views.clone()));
        Ok(Self { set, views, batches, ahead, epoch: None, waiting: Waiting::default(), on })
    }

    /// Another way of making batches ahead.
    pub fn set_ahead(&mut self, ahead: Ahead) {
        self.ahead = ahead;
    }

    /// Another choice of who shares a batch; positions must be those of the set.
    pub fn set_batches(&mut self, batches: Batches) {
        self.batches = batches;
    }

    /// The images.
    pub fn set(&self) -> &ImageSet {
        &self.set
    }

    /// The recipes of the views.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// How long steps have waited so far.
    pub fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Starts an epoch: shuffles, and begins to make its batches. Returns their number.
    pub fn start(&mut self, epoch: usize, rng: &mut ChaCha8Rng) -> usize {
        // the batches of the epoch before are no longer wanted
        self.epoch = None;
        let order = self.batches.epoch(epoch, rng);
        let seed: u64 = rng.random();
        let (count, set, views) = (order.len(), self.set.clone(), self.views.clone());
        let copies = copies(&order, set.len());
        let make = move |batch: usize| pixels(&set, &views, (order[batch].clone(), &copies[batch]), seed, epoch as u64);
        self.epoch = Some(Prefetch::new(count, self.ahead.threads, self.ahead.batches, make));
        count
    }

    /// The next batch of the epoch.
    ///
    /// # Panics
    /// When no epoch was started, or all its batches were handed out.
    pub fn next_batch(&mut self) -> ImageBatch {
        let start = Instant::now();
        let pixels = self.epoch.as_mut().and_then(Prefetch::next).expect("a batch of an epoch that was started");
        self.waiting.time += start.elapsed();
        self.waiting.batches += 1;
        let (device, dtype) = &self.on;
        let tensor = |(pixels, shape)| Tensor::from_data(TensorData::new(pixels, shape), (device, *dtype));
        ImageBatch {
            views: pixels.views.into_iter().map(tensor).collect(),
            crops: pixels.crops,
            labels: pixels.images.iter().map(|image| self.set.label(*image).map_or(-1, |label| label as i32)).collect(),
            images: pixels.images,
        }
    }
}

/// For each draw how often its image has come before in the epoch.
fn copies(order: &[Vec<usize>], images: usize) -> Vec<Vec<u64>> {
    let mut seen = vec![0; images];
    let mut next = |image: &usize| {
        seen[*image] += 1;
        seen[*image] - 1
    };
    order.iter().map(|batch| batch.iter().map(&mut next).collect()).collect()
}

/// Views of images; copies of an image have views of their own.
fn pixels(set: &ImageSet, views: &Views, (images, copies): (Vec<usize>, &[u64]), seed: u64, epoch: u64) -> Pixels {
    let (mut made, mut crops) = (Vec::new(), Vec::new());
    for (view, recipe) in views.each.iter().enumerate() {
        let [height, width] = recipe.size;
        let shape = [images.len(), set.shape()[0], height, width];
        let mut data = Vec::with_capacity(shape.iter().product());
        let mut parts = Vec::with_capacity(images.len());
        for (&image, copy) in images.iter().zip(copies) {
            let seed = seed.wrapping_add(copy.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let one = views.make(set, image, view, seed, epoch);
            data.extend_from_slice(&one.picture.data);
            parts.push(one.crop);
        }
        made.push((data, shape));
        crops.push(parts);
    }
    Pixels { views: made, crops, images }
}
