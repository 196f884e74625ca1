//! SepCLR.

use super::{Frame, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::{ImageBatch, TwoKinds};
use crate::encoder::Encoder;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::head::{MlpHead, MlpHeadConfig};
use contrastive_core::objective::{Attribute, SepClr as Objective};
use contrastive_core::sampler::{BalancedSampler, Remainder};
use contrastive_data::Digest;
use contrastive_data::image::ImageSet;
use contrastive_eval::ndarray::{Array2, Axis};
use contrastive_eval::neighbours::Knn;
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{Linear, LinearConfig};
use contrastive_train::{Batches, Check, Metrics, Step, TrainError, Weighted};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use std::sync::Arc;

/// Settings of [`SepClr`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SepClrConfig {
    /// For each image of the set 0 (background) or 1 (target).
    #[serde(serialize_with = "digest")]
    pub kinds: Arc<Vec<i64>>,
    /// Variance of the kernels (paper: 0.5).
    pub tau: f64,
    /// Weights of the salient, the background and the joint term (paper: 1000, 1000, 10 for batches of 512; small batches: 10, 10, 10).
    pub weights: [f64; 3],
    /// Width of both representations (paper: 32).
    pub representation: usize,
    /// Known attributes of the images: with these, the salient vector is the representation itself, one coordinate for each; none: as
    /// wide as the common one, and through a projector.
    #[serde(serialize_with = "digests")]
    pub attributes: Arc<Vec<Attribute>>,
}

fn digest<S: serde::Serializer>(kinds: &Arc<Vec<i64>>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Digest::new().u64s(kinds.iter().map(|kind| *kind as u64)))
}

fn digests<S: serde::Serializer>(attributes: &Arc<Vec<Attribute>>, to: S) -> Result<S::Ok, S::Error> {
    let all = |digest: Digest, a: &Attribute| digest.u64(a.width.to_bits()).u64s(a.values.iter().map(|x| x.to_bits()));
    to.collect_str(&attributes.iter().fold(Digest::new(), all))
}

impl SepClrConfig {
    /// For images of these kinds, with weights 10, 10, 10 and representations of width 32.
    pub fn new(kinds: &[i64]) -> Self {
        let (kinds, attributes) = (Arc::new(kinds.to_vec()), Arc::default());
        Self { kinds, tau: 0.5, weights: [10.0; 3], representation: 32, attributes }
    }

    /// With other weights of the salient, the background and the joint term.
    #[must_use]
    pub fn with_weights(mut self, weights: [f64; 3]) -> Self {
        self.weights = weights;
        self
    }

    /// With representations of another width.
    #[must_use]
    pub fn with_representation(mut self, width: usize) -> Self {
        self.representation = width;
        self
    }

    /// With known attributes, one salient coordinate each.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Vec<Attribute>) -> Self {
        self.attributes = Arc::new(attributes);
        self
    }
}

/// An encoder, a linear map to the representation, and a projector behind it, which the objective sees.
#[derive(Module, Debug)]
pub struct Tower {
    encoder: Encoder,
    map: Linear,
    projector: Option<MlpHead>,
}

impl Tower {
    /// Representations `[n, d]` of images.
    pub fn represent(&self, images: Tensor<4>) -> Tensor<2> {
        self.map.forward(self.encoder.forward(images))
    }

    /// What the objective sees.
    pub fn project(&self, images: Tensor<4>) -> Tensor<2> {
        let rows = self.represent(images);
        self.projector.iter().fold(rows, |rows, projector| projector.forward(rows))
    }
}

/// The two towers of [`SepClr`]. Its encoder is the common tower's; what is evaluated are the [representations](Self::represent).
#[derive(Module, Debug)]
pub struct SepClrModel {
    /// What both kinds have.
    pub common: Tower,
    /// What targets have.
    pub salient: Tower,
}

impl VisionModel for SepClrModel {
    fn encoder(&self) -> &Encoder {
        &self.common.encoder
    }

    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.common.project(images)
    }
}

impl SepClrModel {
    /// The common and the salient representations of all images of a set, by a model outside of autodiff, 512 images at a time.
    ///
    /// # Errors
    /// When a representation is not finite.
    pub fn represent(&self, set: &ImageSet, device: &Device) -> Result<[Array2<f32>; 2], VisionError> {
        let ([c, h, w], device) = (set.shape(), device.clone().inner());
        let pixels: Vec<f32> = set.rows().into_iter().collect();
        let of = |tower: &Tower| {
            let (mut all, mut width) = (Vec::new(), 0);
            for some in pixels.chunks(512 * c * h * w) {
                let shape = [some.len() / (c * h * w), c, h, w];
                let images = Tensor::<4>::from_data(TensorData::new(some.to_vec(), shape), &device);
                let rows = tower.represent(images);
                width = rows.dims()[1];
                all.extend(rows.into_data().iter::<f32>());
            }
            if all.iter().any(|x| !x.is_finite()) {
                return Err(VisionError::images(set.name(), "a representation is NaN or infinite"));
            }
            Ok(Array2::from_shape_vec((set.len(), width), all).expect("a row for each image"))
        };
        Ok([of(&self.common)?, of(&self.salient)?])
    }
}

/// SepCLR (Louiset et al. 2024): of images of two kinds a common vector, which finds its other view, and a salient one, which is 0 for
/// backgrounds; the more both spread out together, the less one tells of the other. Batches hold as many images of either kind.
#[derive(Debug)]
pub struct SepClr {
    config: SepClrConfig,
    objective: Objective,
    /// Mean lengths of the salient vectors of backgrounds and targets in the last batch.
    lengths: [f64; 2],
}

impl Settings for SepClrConfig {
    type Method = SepClr;

    fn name(&self) -> &'static str {
        match (self.attributes.is_empty(), self.weights[2] == 0.0) {
            (true, false) => "SepCLR",
            (true, true) => "SepCLR, no joint entropy",
            (false, _) => "SepCLR, attributes",
        }
    }

    fn validate(&self, frame: &Frame) -> Result<(), VisionError> {
        Objective::new(self.tau, self.weights)?;
        let (check, batch) = (Check::new("SepCLR"), frame.training.batch_size);
        check.count("representation", self.representation)?;
        check.that(batch >= 4, "batch_size", batch, "4 and more: two images of each kind")?;
        for (image, kind) in self.kinds.iter().enumerate() {
            let what = format!("0 (background) or 1 (target) for each image; this is image {image}");
            check.that((0..=1).contains(kind), "kind", kind, what)?;
        }
        for attribute in self.attributes.iter() {
            check.positive("width of an attribute", attribute.width)?;
            let (values, images) = (attribute.values.len(), self.kinds.len());
            check.that(
                values == images,
                "values of an attribute",
                values,
                format!("one for each of {images} images"),
            )?;
        }
        Ok(())
    }

    fn batches(&self, set: &ImageSet, batch: usize, seed: u64) -> Result<Option<Batches>, VisionError> {
        let targets = self.kinds.iter().filter(|kind| **kind == 1).count();
        let kinds = self.kinds.len();
        if kinds != set.len() || targets < 2 || kinds - targets < 2 {
            let of = kinds - targets.min(kinds);
            let what = format!(
                "kinds of {kinds} images, {of} backgrounds and {targets} targets, for {} images: one kind for each, and two images of either",
                set.len()
            );
            return Err(VisionError::images(set.name(), what));
        }
        Ok(Some(Batches::Balanced(BalancedSampler::new(&self.kinds, batch, Remainder::Drop, seed)?)))
    }

    fn start(&self, start: &Start<'_>) -> Result<(SepClr, SepClrModel), VisionError> {
        let (on, attributes) = ((&start.on.0, start.on.1), self.attributes.len());
        let tower = |seed: u64, width: usize, projected: bool| -> Result<Tower, VisionError> {
            let encoder = start.frame.encoder.init(start.set.shape(), seed, &start.on)?;
            let [hidden, output] = start.frame.projector;
            let projector = MlpHeadConfig::new(width, hidden, output);
            let map = LinearConfig::new(start.frame.encoder.width(), width).with_initial(Initial::KaimingNormal);
            let map = map.init(&mut ChaCha8Rng::seed_from_u64(seed.wrapping_add(50)), on)?;
            let projector = projected.then(|| projector.init(seed.wrapping_add(100), on)).transpose()?;
            Ok(Tower { encoder, map, projector })
        };
        let salient = if attributes > 0 { attributes } else { self.representation };
        let model = SepClrModel {
            common: tower(start.seed, self.representation, true)?,
            salient: tower(start.seed.wrapping_add(1000), salient, attributes == 0)?,
        };
        let objective = Objective::new(self.tau, self.weights)?;
        Ok((SepClr { config: self.clone(), objective, lengths: [0.0; 2] }, model))
    }
}

impl VisionMethod for SepClr {
    type Model = SepClrModel;

    fn losses(&mut self, model: &SepClrModel, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let kinds: Vec<i64> = batch.images.iter().map(|image| self.config.kinds[*image]).collect();
        let common = batch.pair(|view| model.common.project(view));
        let (first, terms) = if self.config.attributes.is_empty() {
            let salient = batch.pair(|view| model.salient.project(view));
            (salient[0].clone(), self.objective.terms(common, salient, &kinds))
        } else {
            let of = |attribute: &Attribute| Attribute {
                values: batch.images.iter().map(|image| attribute.values[*image]).collect(),
                width: attribute.width,
            };
            let attributes: Vec<Attribute> = self.config.attributes.iter().map(of).collect();
            let salient = model.salient.project(batch.view(0));
            (salient.clone(), self.objective.attribute_terms(common, salient, &kinds, &attributes))
        };
        let lengths: Vec<f64> = {
            let rows = first.inner();
            (rows.clone() * rows).sum_dim(1).sqrt().into_data().iter::<f64>().collect()
        };
        self.lengths = [0, 1].map(|wanted| {
            let own: Vec<f64> = lengths.iter().zip(&kinds).filter(|(_, k)| **k == wanted).map(|(l, _)| *l).collect();
            own.iter().sum::<f64>() / own.len().max(1) as f64
        });
        let terms = terms.map_err(TrainError::trainee)?;
        let [salient, background, joint] = self.objective.weights();
        Ok(vec![
            ("common", terms.common),
            ("salient", terms.salient * salient),
            ("background", terms.background * background),
            ("joint", terms.joint * joint),
        ])
    }

    /// The mean lengths of the salient vectors, which nothing bounds.
    fn observed(&self) -> Metrics {
        let [backgrounds, targets] = self.lengths;
        [("salient length, backgrounds".into(), backgrounds), ("salient length, targets".into(), targets)].into()
    }
}

/// How well either attribute is read from either space, of target images alone, in points of 100: neighbours' votes on centred rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Separation {
    /// The attribute that all images have, from the common and from the salient rows.
    pub common: [f64; 2],
    /// The attribute that targets alone have, from the common and from the salient rows.
    pub salient: [f64; 2],
}

impl Separation {
    /// Of rows of the two spaces, for a training and a test part; `neighbours` vote, or all where there are fewer.
    ///
    /// # Errors
    /// When an image has no label, a part has no targets, or a row is not finite.
    pub fn of(
        train: (&[Array2<f32>; 2], &TwoKinds),
        test: (&[Array2<f32>; 2], &TwoKinds),
        neighbours: usize,
    ) -> Result<Self, VisionError> {
        let [of_train, of_test] = [train.1, test.1].map(TwoKinds::targets);
        let labels = |of: &TwoKinds, targets: &[usize]| -> Result<Vec<u32>, VisionError> {
            let all = crate::data::class_labels(&of.set)?;
            Ok(targets.iter().map(|image| all[*image] as u32).collect())
        };
        let salient = |of: &TwoKinds, targets: &[usize]| targets.iter().map(|i| of.salient[*i]).collect::<Vec<u32>>();
        let score = |space: usize, own: &[u32], other: &[u32], classes: usize| -> Result<f64, VisionError> {
            let bank = train.0[space].select(Axis(0), &of_train);
            let mean = bank.mean_axis(Axis(0)).unwrap_or_default();
            let rows = test.0[space].select(Axis(0), &of_test) - &mean;
            let knn = Knn::new(neighbours.min(bank.nrows())).with_temperature(0.07);
            let votes = knn.classify(rows.view(), (bank - &mean).view(), own, classes)?;
            Ok(100.0 * votes.score(other)?.accuracy())
        };
        let (a, b) = (labels(train.1, &of_train)?, labels(test.1, &of_test)?);
        let (c, d) = (salient(train.1, &of_train), salient(test.1, &of_test));
        let classes = train.1.set.classes().len();
        let both = |own: &[u32], other: &[u32], classes: usize| -> Result<[f64; 2], VisionError> {
            Ok([score(0, own, other, classes)?, score(1, own, other, classes)?])
        };
        Ok(Self { common: both(&a, &b, classes)?, salient: both(&c, &d, train.1.salient_classes)? })
    }
}
