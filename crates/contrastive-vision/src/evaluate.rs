//! What an encoder is worth, always by its embeddings, never by the projector's rows: the scores of [`Quality`], and the small protocols.
//!
//! | protocol | images | encoder | budget |
//! |---|---|---|---|
//! | [`Protocol::d8`] | 8 x 8 digits (optdigits) | perceptron 64-192-64 | 600 steps of 128 |
//! | [`Protocol::f28`] | Fashion-MNIST, 6,000 and 2,000 | convolutions 16, 32, 64 | 20 epochs of 128 |
//! | [`Protocol::c32`] | CIFAR-10, 3,000 and 1,000 | convolutions 32, 64, 128 | 20 epochs of 128 |
//!
//! A method of any kind is measured by the same call, [`Protocol::run`], beside [`Protocol::raw`], [`Protocol::untrained`] and
//! [`Protocol::supervised`].

mod few_shot;

pub use few_shot::{ByMeans, FewShotTask};

use crate::VisionError;
use crate::data::{Ahead, Canvases};
use crate::encoder::{Encoder, EncoderConfig, embed};
use crate::method::{Frame, Settings, SupervisedConfig, VisionConfig, VisionMethod, VisionModel};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_data::augment::{Augmentation, Step, Views, presets};
use contrastive_data::image::{ImageSet, OneShotRun};
use contrastive_eval::ndarray::{Array2, ArrayView2, Axis};
use contrastive_eval::neighbours::{Knn, nearest_centroids};
use contrastive_eval::probe::{LogisticRegression, Targets};
use contrastive_eval::spread::Spread;
use contrastive_train::{Budget, MethodConfig, OptimiserConfig, Training, TrainingConfig};
use std::time::Instant;

/// How embeddings are scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measures {
    /// Neighbours that vote, or all where there are fewer.
    pub neighbours: usize,
    /// Votes weigh `exp(cosine / temperature)`.
    pub temperature: f64,
    /// Draws of five labelled images a class.
    pub draws: usize,
}

impl Measures {
    /// 20 neighbours at 0.07 (ImageNet's), 40 draws.
    pub const DIGITS: Self = Self { neighbours: 20, temperature: 0.07, draws: 40 };
    /// 200 neighbours at 0.1 (CIFAR's), 40 draws.
    pub const IMAGES: Self = Self { neighbours: 200, temperature: 0.1, draws: 40 };
}

/// Accuracies, in points of 100, and the spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// NC5: the nearest class mean of five labelled images a class, the mean of fixed draws.
    pub nc5: f64,
    /// Weighted nearest neighbours.
    pub knn: f64,
    /// Multinomial logistic regression on standardised embeddings, to convergence, L2 1e-3.
    pub probe: f64,
    /// See [`spread`], of the test part.
    pub spread: f64,
}

impl Quality {
    /// Scores of embeddings `[n, d]` of a training and a test part. Images without a label are left out.
    ///
    /// # Errors
    /// When the parts have other classes, no labels, a class has fewer than five labelled training images, or an embedding is not finite.
    pub fn of(
        [train, test]: [ArrayView2<'_, f32>; 2],
        [train_set, test_set]: [&ImageSet; 2],
        measures: &Measures,
    ) -> Result<Self, VisionError> {
        let classes = train_set.classes().len();
        if classes != test_set.classes().len() {
            let what = format!("{} classes, and {classes} in {}", test_set.classes().len(), train_set.name());
            return Err(VisionError::images(test_set.name(), what));
        }
        let ((rows, y), (test_rows, y_test)) = (train_set.labelled(), test_set.labelled());
        let (x, x_test) = (train.select(Axis(0), &rows), test.select(Axis(0), &test_rows));
        let nc5 = nearest_centroids(x_test.view(), &y_test, x.view(), &y, classes, 5, measures.draws, 5)?;
        let knn = Knn::new(measures.neighbours.min(x.nrows())).with_temperature(measures.temperature);
        let knn = knn.classify(x_test.view(), x.view(), &y, classes)?.score(&y_test)?.accuracy();
        let [x, x_test] = standardised(&x, &x_test);
        // the mean loss and 1e-3 / 2 |W|^2, to four digits of the gradient
        let probe = LogisticRegression::new(1e3 / x.nrows() as f64).with_tolerance(1e-4);
        let found = probe.fit(x.view(), Targets::single(&y, classes))?.predict(x_test.view())?;
        let right = found.iter().zip(&y_test).filter(|(a, b)| a == b).count() as f64 / y_test.len() as f64;
        Ok(Self {
            nc5: 100.0 * nc5.iter().sum::<f64>() / nc5.len() as f64,
            knn: 100.0 * knn,
            probe: 100.0 * right,
            spread: spread(test),
        })
    }
}

/// Columns of mean 0 and deviation 1 over the training part; a constant column becomes 0.
fn standardised(train: &Array2<f32>, test: &Array2<f32>) -> [Array2<f32>; 2] {
    let (mean, deviation) = (train.mean_axis(Axis(0)).expect("rows"), train.std_axis(Axis(0), 0.0));
    let scale = deviation.mapv(|d| if d > 1e-6 { 1.0 / d } else { 0.0 });
    [train, test].map(|x| (x - &mean) * &scale)
}

/// [`Spread::unit_column_deviation`] of rows: about `1 / sqrt(d)` for rows in all directions, 0 after a collapse to one; NaN where a number
/// is not finite or there are no rows.
pub fn spread(rows: ArrayView2<'_, f32>) -> f64 {
    Spread::of(rows).map_or(f64::NAN, |spread| spread.unit_column_deviation)
}

/// What the objective sees of the images of a set, `[n, d]`, by a model outside of autodiff.
pub(crate) fn projections<M: VisionModel>(model: &M, set: &ImageSet, device: &Device) -> Array2<f32> {
    let [c, h, w] = set.shape();
    let rows = set.rows();
    let shape = [set.len(), c, h, w];
    let pixels = Tensor::<4>::from_data(TensorData::new(rows.into_iter().collect::<Vec<f32>>(), shape), device);
    let out = model.project(pixels);
    let [n, d] = out.dims();
    Array2::from_shape_vec((n, d), out.into_data().iter::<f32>().collect()).expect("n rows of width d")
}

/// What a run of a protocol found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Name of the method, or of what stands beside it.
    pub name: String,
    /// Scores of the encoder.
    pub quality: Quality,
    /// The [`spread`] of the projector's rows of the first 512 training images; NaN without a projector.
    pub projected: f64,
    /// Wall time of the training in seconds.
    pub seconds: f64,
    /// The share of it that steps waited for views.
    pub waiting: f64,
}

/// A set in two parts, a frame, and how embeddings are scored: what makes methods comparable.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// Its name.
    pub name: &'static str,
    /// The part to learn from.
    pub train: ImageSet,
    /// The part to judge by.
    pub test: ImageSet,
    /// Encoder, projector, views, training.
    pub frame: Frame,
    /// How embeddings are scored.
    pub measures: Measures,
    /// How far views are made ahead.
    pub ahead: Ahead,
}

impl Protocol {
    /// D8: 8 x 8 digits (`data::digits`), the views of [`presets::d8`] at 0.6, a perceptron 64-192-64, projector 64-64-32, Adam at 2e-3 with
    /// decay 1e-5, 600 steps of 128.
    pub fn d8([train, test]: [ImageSet; 2]) -> Self {
        let training = TrainingConfig::new(Budget::Steps(600), 128, 2e-3)
            .with_optimiser(OptimiserConfig::adam().with_weight_decay(1e-5));
        let frame = Frame::new(EncoderConfig::mlp(&[192, 64]), [64, 32], Views::two(presets::d8(0.6)), training);
        Self { name: "D8", train, test, frame, measures: Measures::DIGITS, ahead: Ahead::default() }
    }

    /// F28: one-channel images of 28 x 28 (`data::fashion`, 6,000 and 2,000), the views of [`presets::f28`], convolutions 16, 32, 64,
    /// projector 64-128-64, 20 epochs of 128, Adam at 1e-3.
    pub fn f28([train, test]: [ImageSet; 2]) -> Self {
        let training = TrainingConfig::new(Budget::Epochs(20), 128, 1e-3);
        let frame = Frame::new(EncoderConfig::conv(&[16, 32, 64]), [128, 64], Views::two(presets::f28()), training);
        Self { name: "F28", train, test, frame, measures: Measures::IMAGES, ahead: Ahead::default() }
    }

    /// C32: colour images of 32 x 32 (`data::cifar_subset`, 3,000 and 1,000), SimCLR's views at strength 0.5 with crops from 0.2 on,
    /// convolutions 32, 64, 128, projector 128-128-64, 20 epochs of 128, Adam at 1e-3.
    pub fn c32([train, test]: [ImageSet; 2]) -> Self {
        let mut recipe: Augmentation = presets::simclr(32, 0.5);
        if let Some(Step::Crop { area, .. }) = recipe.steps.first_mut().map(|chance| &mut chance.step) {
            area[0] = 0.2;
        }
        let training = TrainingConfig::new(Budget::Epochs(20), 128, 1e-3);
        let frame = Frame::new(EncoderConfig::conv(&[32, 64, 128]), [128, 64], Views::two(recipe), training);
        Self { name: "C32", train, test, frame, measures: Measures::IMAGES, ahead: Ahead::default() }
    }

    /// The same with another budget.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.frame.training.budget = budget;
        self
    }

    /// A method in this protocol's frame.
    pub fn config<S: Settings>(&self, settings: S) -> VisionConfig<S> {
        VisionConfig { ahead: self.ahead, ..self.frame.train(settings) }
    }

    /// Trains a method, and scores its encoder.
    ///
    /// # Errors
    /// When a setting is out of range, or the training or the evaluation cannot go on.
    pub fn run<S: Settings>(&self, settings: S, seed: u64, device: &Device) -> Result<Outcome, VisionError> {
        Ok(self.run_watched(settings, seed, device)?.0)
    }

    /// As [`run`](Self::run), and gives the training as it ended, to look at the method and the model.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    #[allow(clippy::type_complexity)]
    pub fn run_watched<S: Settings>(
        &self,
        settings: S,
        seed: u64,
        device: &Device,
    ) -> Result<(Outcome, Training<crate::method::Vision<S>>), VisionError>
    where
        S::Method: VisionMethod,
    {
        let name = settings.name().to_string();
        let mut training = self.config(settings).build(&self.train, seed, device)?;
        let start = Instant::now();
        match self.frame.training.budget {
            Budget::Steps(steps) => {
                for _ in 0..steps {
                    training.train_step()?;
                }
            }
            Budget::Epochs(epochs) => {
                for _ in 0..epochs {
                    training.train_epoch()?;
                }
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let model = training.trained_model();
        let plain = device.clone().inner();
        let projected = spread(projections(&model, &self.train.first(512)?, &plain).view());
        let waiting = training.method().loader().waiting().time.as_secs_f64() / seconds.max(1e-9);
        let quality = self.quality(model.encoder(), device)?;
        Ok((Outcome { name, quality, projected, seconds, waiting }, training))
    }

    /// The scores of an encoder outside of autodiff.
    ///
    /// # Errors
    /// As [`Quality::of`].
    pub fn quality(&self, encoder: &Encoder, device: &Device) -> Result<Quality, VisionError> {
        let (train, test) = (embed(encoder, &self.train, device)?, embed(encoder, &self.test, device)?);
        Quality::of([train.view(), test.view()], [&self.train, &self.test], &self.measures)
    }

    fn beside(&self, name: &str, quality: Quality) -> Outcome {
        Outcome { name: name.into(), quality, projected: f64::NAN, seconds: 0.0, waiting: 0.0 }
    }

    /// The scores of the pixels themselves.
    ///
    /// # Errors
    /// As [`Quality::of`].
    pub fn raw(&self) -> Result<Outcome, VisionError> {
        let (train, test) = (self.train.rows(), self.test.rows());
        let quality = Quality::of([train.view(), test.view()], [&self.train, &self.test], &self.measures)?;
        Ok(self.beside("raw pixels", quality))
    }

    /// The scores of the encoder as the seed makes it.
    ///
    /// # Errors
    /// As [`Quality::of`].
    pub fn untrained(&self, seed: u64, device: &Device) -> Result<Outcome, VisionError> {
        let plain = (device.clone().inner(), DType::F32);
        let encoder = self.frame.encoder.init(self.train.shape(), seed, &plain)?;
        Ok(self.beside("untrained", self.quality(&encoder, device)?))
    }

    /// The scores of an encoder of the same size that was trained with the labels, for the same budget.
    ///
    /// # Errors
    /// As [`run`](Self::run), and when an image has no label.
    pub fn supervised(&self, seed: u64, device: &Device) -> Result<Outcome, VisionError> {
        self.run(SupervisedConfig::default(), seed, device)
    }
}

/// Accuracy in points of a linear probe on single cells: the encoder stands still, every cell of its feature map is a row with the label of
/// the tile that the cell's middle lies in. Without an encoder, the pixels of each tile.
///
/// # Errors
/// When the two parts have other numbers of tiles, or a feature is not finite.
pub fn cell_probe(
    encoder: Option<&Encoder>,
    [train, test]: [&Canvases; 2],
    device: &Device,
) -> Result<f64, VisionError> {
    if train.side != test.side {
        let what = format!("{} tiles a side, and {} in {}", test.side, train.side, train.images.name());
        return Err(VisionError::images(test.images.name(), what));
    }
    let ((x, y), (x_test, y_test)) = (cells(encoder, train, device), cells(encoder, test, device));
    let [x, x_test] = standardised(&x, &x_test);
    let probe = LogisticRegression::new(1e3 / x.nrows() as f64).with_tolerance(1e-4);
    let classes = train.images.classes().len();
    let found = probe.fit(x.view(), Targets::single(&y, classes))?.predict(x_test.view())?;
    Ok(100.0 * found.iter().zip(&y_test).filter(|(a, b)| a == b).count() as f64 / y_test.len() as f64)
}

/// The cells of all canvases as rows, and their labels.
fn cells(encoder: Option<&Encoder>, canvases: &Canvases, device: &Device) -> (Array2<f32>, Vec<u32>) {
    let device = device.clone().inner();
    let ([c, h, w], count, pixels) = (canvases.images.shape(), canvases.images.len(), canvases.images.rows());
    let Some(encoder) = encoder else {
        let [th, tw] = [h / canvases.side, w / canvases.side];
        let mut rows = Array2::zeros((canvases.labels.len(), c * th * tw));
        for ((row, column), value) in rows.indexed_iter_mut() {
            let (canvas, tile) = (row / canvases.side.pow(2), row % canvases.side.pow(2));
            let (channel, y, x) = (column / (th * tw), column / tw % th, column % tw);
            let (top, left) = (tile / canvases.side * th, tile % canvases.side * tw);
            *value = pixels[[canvas, (channel * h + top + y) * w + left + x]];
        }
        return (rows, canvases.labels.clone());
    };
    let (mut all, mut size, mut width) = (Vec::new(), [0, 0], 0);
    for start in (0..count).step_by(256) {
        let block = pixels.slice(contrastive_eval::ndarray::s![start..(start + 256).min(count), ..]);
        let shape = [block.nrows(), c, h, w];
        let images =
            Tensor::<4>::from_data(TensorData::new(block.iter().copied().collect::<Vec<f32>>(), shape), &device);
        let map = encoder.feature_map(images);
        let [_, d, height, width_of_map] = map.dims();
        (size, width) = ([height, width_of_map], d);
        all.extend(map.permute([0, 2, 3, 1]).into_data().iter::<f32>());
    }
    let rows = Array2::from_shape_vec((all.len() / width.max(1), width), all).expect("rows of one width");
    (rows, canvases.of_cells(size))
}

/// The share of wrong answers in Omniglot's one-shot tasks, one for each run: each test image is given the training image of the largest
/// cosine, of embeddings, or of pixels without an encoder.
///
/// # Errors
/// When an embedding is not finite.
pub fn one_shot_errors(
    encoder: Option<&Encoder>,
    runs: &[OneShotRun],
    device: &Device,
) -> Result<Vec<f64>, VisionError> {
    let rows = |set: &ImageSet| -> Result<Array2<f32>, VisionError> {
        match encoder {
            Some(encoder) => embed(encoder, set, device),
            None => Ok(set.rows()),
        }
    };
    let error = |run: &OneShotRun| -> Result<f64, VisionError> {
        let (training, test) = (rows(&run.training)?, rows(&run.test)?);
        let labels: Vec<u32> = (0..training.nrows() as u32).collect();
        let found = Knn::new(1).classify(test.view(), training.view(), &labels, labels.len())?.predictions();
        let wrong = found.iter().zip(&run.answers).filter(|(found, answer)| **found as usize != **answer).count();
        Ok(wrong as f64 / run.answers.len() as f64)
    };
    runs.iter().map(error).collect()
}
