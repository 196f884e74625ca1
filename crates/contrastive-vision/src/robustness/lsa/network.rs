//! What LSA trains, and what it is trained on.

use crate::VisionError;
use crate::encoder::{Encoder, EncoderConfig};
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_data::augment::{Interpolation, resized_crop};
use contrastive_data::image::{ImageSet, Images, Picture};
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{Linear, LinearConfig};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// An encoder, a linear classifier and a linear projector.
#[derive(Module, Debug)]
pub struct Network {
    /// The encoder.
    pub encoder: Encoder,
    /// To scores of the classes.
    pub classifier: Linear,
    /// To the rows that are contrasted.
    pub projector: Linear,
}

/// One network, or two that learn from each other's guesses.
#[derive(Module, Debug)]
pub struct LsaModel {
    /// The networks.
    pub networks: Vec<Network>,
}

impl Network {
    pub(super) fn new(
        encoder: Encoder,
        [classes, output]: [usize; 2],
        seed: u64,
        on: &(Device, DType),
    ) -> Result<Self, VisionError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut linear = |to: usize| {
            LinearConfig::new(encoder.width(), to).with_initial(Initial::FanIn).init(&mut rng, (&on.0, on.1))
        };
        let (classifier, projector) = (linear(classes)?, linear(output)?);
        Ok(Self { encoder, classifier, projector })
    }

    /// Scores of the classes, `[n, classes]`, of images.
    pub fn scores(&self, images: Tensor<4>) -> Tensor<2> {
        self.classifier.forward(self.encoder.forward(images))
    }
}

/// An encoder with the weights of another one, made like `config`, on another device or type.
pub(super) fn copied(
    encoder: &Encoder,
    config: &EncoderConfig,
    shape: [usize; 3],
    on: &(Device, DType),
) -> Result<Encoder, VisionError> {
    let mut state = contrastive_train::State::new();
    contrastive_train::save_module(encoder, "encoder", &mut state);
    Ok(contrastive_train::load_module(config.init(shape, 0, on)?, "encoder", &mut state)?)
}

/// What is the matter with a sample: known in experiments alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// Nothing.
    Clean,
    /// An image of one class with the label of another one.
    Flipped,
    /// An image of no class.
    Foreign,
}

/// Images with labels that may be wrong.
#[derive(Clone, Debug)]
pub struct NoisyImages {
    /// The images to learn from; all have a label.
    pub train: ImageSet,
    /// The images to judge by, where there are any.
    pub test: Option<ImageSet>,
    /// What is the matter with each image of the training part, where it is known: for scores of detection, and [`Detector::Oracle`].
    ///
    /// [`Detector::Oracle`]: super::Detector::Oracle
    pub truth: Option<Vec<Truth>>,
    /// Encoders that were trained without labels: one for each network, or one for all. Without them networks start from their seeds.
    pub pretrained: Vec<Encoder>,
}

impl NoisyImages {
    /// These images alone.
    pub fn new(train: ImageSet) -> Self {
        Self { train, test: None, truth: None, pretrained: Vec::new() }
    }

    /// A set whose labels are spoilt: a share of its images gives way to `foreign` ones (scaled to its shape) under labels drawn from all
    /// classes, and a share of the rest gets another class's label. Both are counted from all images.
    ///
    /// # Errors
    /// When an image has no label, there are fewer than two classes, shares are out of 0 to 1 or above it together, or there are not enough
    /// foreign images.
    pub fn spoilt(
        set: &ImageSet,
        foreign: &ImageSet,
        [replaced, flipped]: [f64; 2],
        seed: u64,
    ) -> Result<Self, VisionError> {
        let (n, classes) = (set.len(), set.classes().len());
        let wrong = |what: String| Err(VisionError::images(set.name(), what));
        let mut labels: Vec<i32> = set.labelled().1.iter().map(|label| *label as i32).collect();
        if labels.len() < n || classes < 2 {
            return wrong(format!(
                "{} of {n} images have a label, of {classes} classes; all must, of 2 and more",
                labels.len()
            ));
        }
        let good = [replaced, flipped, replaced + flipped].iter().all(|share| (0.0..=1.0).contains(share));
        let [away, turned] = [replaced, flipped].map(|share| (share * n as f64).round() as usize);
        if !good || away > foreign.len() {
            return wrong(format!(
                "shares of {replaced} and {flipped}; allowed are 0 to 1, 1 at most together, and {} foreign images at most",
                foreign.len()
            ));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut order, mut others) = ((0..n).collect::<Vec<_>>(), (0..foreign.len()).collect::<Vec<_>>());
        order.shuffle(&mut rng);
        others.shuffle(&mut rng);
        let size: usize = set.shape().iter().product();
        let mut pixels: Vec<u8> = (0..n).flat_map(|image| set.bytes(image)).copied().collect();
        let mut truth = vec![Truth::Clean; n];
        for (&image, &other) in order[..away].iter().zip(&others) {
            let picture = fitted(&foreign.picture::<f32>(other), set.shape());
            let white = f32::from(set.white());
            let bytes = picture.data.iter().map(|x| (x.clamp(0.0, 1.0) * white).round() as u8);
            pixels[image * size..][..size].iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            labels[image] = rng.random_range(0..classes) as i32;
            truth[image] = Truth::Foreign;
        }
        for &image in &order[away..n.min(away + turned)] {
            labels[image] = (labels[image] + rng.random_range(1..classes) as i32) % classes as i32;
            truth[image] = Truth::Flipped;
        }
        let train = ImageSet::new(Images {
            name: format!("{}, spoilt", set.name()),
            shape: set.shape(),
            white: set.white(),
            pixels,
            labels,
            classes: set.classes().to_vec(),
            ids: set.ids().to_vec(),
            notes: Vec::new(),
        })?;
        Ok(Self { truth: Some(truth), ..Self::new(train) })
    }

    /// With images to judge by.
    #[must_use]
    pub fn with_test(mut self, test: ImageSet) -> Self {
        self.test = Some(test);
        self
    }

    /// With encoders to start from.
    #[must_use]
    pub fn with_pretrained(mut self, encoders: Vec<Encoder>) -> Self {
        self.pretrained = encoders;
        self
    }
}

/// A picture of this shape: scaled, and its channels repeated or averaged.
fn fitted(picture: &Picture<f32>, [channels, height, width]: [usize; 3]) -> Picture<f32> {
    let [from, h, w] = picture.shape();
    let scaled = resized_crop(picture, [0, 0, h, w], [height, width], Interpolation::Bilinear, true);
    let area = height * width;
    let data: Vec<f32> = match (from, channels) {
        (3, 1) => (0..area).map(|at| (0..3).map(|c| scaled.data[c * area + at]).sum::<f32>() / 3.0).collect(),
        (1, 3) => scaled.data.repeat(3),
        _ => scaled.data,
    };
    Picture::new([channels, height, width], data)
}

/// What `each` makes of all images of a set, `[n, d]` in one list, 512 at a time and outside of autodiff.
pub(super) fn over(
    set: &ImageSet,
    device: &Device,
    dtype: DType,
    mut each: impl FnMut(Tensor<4>) -> Tensor<2>,
) -> Vec<f64> {
    let ([c, h, w], white) = (set.shape(), f32::from(set.white()));
    let mut all = Vec::new();
    for start in (0..set.len()).step_by(512) {
        let range = start..(start + 512).min(set.len());
        let shape = [range.len(), c, h, w];
        let pixels: Vec<f32> = range.flat_map(|image| set.bytes(image)).map(|byte| f32::from(*byte) / white).collect();
        let images = Tensor::<4>::from_data(TensorData::new(pixels, shape), (device, dtype));
        all.extend(each(images).into_data().iter::<f64>());
    }
    all
}
