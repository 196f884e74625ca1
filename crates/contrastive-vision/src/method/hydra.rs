//! Hydra.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use crate::encoder::Encoder;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::synthesis::{
    ClassPairs, GatedSimilarity, Hydra as Objective, HydraAverage, HydraReport, NearClasses, PairGate, PairGateConfig,
    SynthesisError,
};
use contrastive_train::{Check, Metrics, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Which class an image is paired with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairedClasses {
    /// Any: the labels of the batch in another order.
    #[default]
    Arbitrary,
    /// Its own: with open gates the supervised contrastive loss, one positive at a time.
    Identical,
    /// Another class of the batch.
    Distinct,
    /// A class of the batch, with a weight of `(1 + distance)^-exponent`.
    Near {
        /// Distances of all classes with all, row by row.
        distances: Vec<f64>,
        /// 0: all alike.
        exponent: f64,
    },
}

/// Settings of [`Hydra`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HydraConfig {
    /// Temperature (code: 0.1).
    pub temperature: f64,
    /// Cosines of gated rows (the paper) instead of products of gated unit rows (the present code).
    pub cosine: bool,
    /// The mean over pairs of an anchor and a positive instead of over anchors.
    pub over_pairs: bool,
    /// The weight of `g (1 - g)`, which drives gates to 0 or 1 (off: 0).
    pub penalty: f64,
    /// Which class an image is paired with.
    pub pairs: PairedClasses,
    /// Width of a class's embedding and hidden width of the gates (paper: 512 and 1024); `None`: gates that are open.
    pub gate: Option<[usize; 2]>,
    /// The gate of the mean embedding of both classes, instead of the product of their gates.
    pub fuse: bool,
}

impl HydraConfig {
    /// At temperature 0.1, arbitrary pairs, with gates of these widths.
    pub fn new(gate: [usize; 2]) -> Self {
        Self { gate: Some(gate), ..Self::open() }
    }

    /// The same with gates that are open.
    pub fn open() -> Self {
        let pairs = PairedClasses::Arbitrary;
        Self { temperature: 0.1, cosine: false, over_pairs: false, penalty: 0.0, pairs, gate: None, fuse: true }
    }

    /// With other pairs of classes.
    #[must_use]
    pub fn with_pairs(mut self, pairs: PairedClasses) -> Self {
        self.pairs = pairs;
        self
    }

    fn objective(&self) -> Result<Objective, VisionError> {
        let similarity = if self.cosine { GatedSimilarity::Cosine } else { GatedSimilarity::Projected };
        let average = if self.over_pairs { HydraAverage::Entries } else { HydraAverage::Anchors };
        let objective = Objective::new(self.temperature)?.with_similarity(similarity).with_average(average);
        Ok(objective.with_gate_penalty(self.penalty)?)
    }
}

/// Encoder, projector and gates of [`Hydra`].
#[derive(Module, Debug)]
pub struct HydraModel {
    /// Encoder and projector.
    pub network: Projected,
    /// The gates.
    pub gate: Option<PairGate>,
}

impl VisionModel for HydraModel {
    fn encoder(&self) -> &Encoder {
        &self.network.encoder
    }

    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.network.project(images)
    }
}

/// How paired classes are drawn.
#[derive(Debug)]
enum Draw {
    Pairs(ClassPairs),
    Near(NearClasses),
}

/// Hydra (also SimLAP, "Rethinking Positive Pairs in Contrastive Learning", 2024): any two classes are positives of each other, in the
/// features that a learned gate of the pair lets through. It learns with labels. Anchors are first views, candidates second ones.
#[derive(Debug)]
pub struct Hydra {
    objective: Objective,
    draw: Draw,
    classes: usize,
    seed: u64,
    report: Option<HydraReport>,
}

impl Settings for HydraConfig {
    type Method = Hydra;

    fn name(&self) -> &'static str {
        match (&self.gate, &self.pairs) {
            (Some(_), _) => "Hydra",
            (None, PairedClasses::Identical) => "SupCon",
            (None, _) => "Hydra, open gates",
        }
    }

    fn validate(&self, frame: &Frame) -> Result<(), VisionError> {
        self.objective()?;
        let (check, batch) = (Check::new("Hydra"), frame.training.batch_size);
        check.that(batch > 2, "batch_size", batch, "3 and more: an anchor needs a positive and a negative")?;
        if let Some(widths) = self.gate {
            check.widths(&widths)?;
        }
        if let PairedClasses::Near { exponent, .. } = self.pairs {
            check.weight("exponent", exponent)?;
        }
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(Hydra, HydraModel), VisionError> {
        let least = if self.pairs == PairedClasses::Identical { 2 } else { 3 };
        let classes = start.classes("Hydra", least)?;
        let draw = match &self.pairs {
            PairedClasses::Arbitrary => Draw::Pairs(ClassPairs::Arbitrary),
            PairedClasses::Identical => Draw::Pairs(ClassPairs::Identical),
            PairedClasses::Distinct => Draw::Pairs(ClassPairs::Distinct),
            PairedClasses::Near { distances, exponent } => Draw::Near(NearClasses::new(distances, classes, *exponent)?),
        };
        let gate = |[embedding, hidden]: [usize; 2]| {
            let config = PairGateConfig::new(classes, start.frame.projector[1]).with_embedding(embedding);
            let config = config.with_hidden(hidden).with_fuse(self.fuse);
            config.init(start.seed.wrapping_add(200), (&start.on.0, start.on.1))
        };
        let model = HydraModel { network: start.network(&start.head())?, gate: self.gate.map(gate).transpose()? };
        let seed = start.seed.wrapping_add(400);
        Ok((Hydra { objective: self.objective()?, draw, classes, seed, report: None }, model))
    }
}

impl Hydra {
    /// What the last batch was made of: anchors, those skipped, the gates' mean and entropy.
    pub fn report(&self) -> Option<&HydraReport> {
        self.report.as_ref()
    }

    fn paired(&self, labels: &[i64], step: usize) -> Result<Vec<i64>, SynthesisError> {
        match &self.draw {
            Draw::Pairs(pairs) => pairs.draw(labels, self.classes, step, self.seed),
            Draw::Near(near) => near.draw(labels, step, self.seed),
        }
    }
}

impl VisionMethod for Hydra {
    type Model = HydraModel;

    fn losses(&mut self, model: &HydraModel, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        let labels: Vec<i64> = batch.labels.iter().map(|label| i64::from(*label)).collect();
        let paired = self.paired(&labels, step.global).map_err(TrainError::trainee)?;
        let [first, second] = batch.pair(|view| model.project(view));
        let gates = match &model.gate {
            Some(gate) => gate.forward(&labels, &paired).map_err(TrainError::trainee)?,
            None => first.ones_like().detach(),
        };
        let (loss, report) =
            self.objective.loss(first, second, gates, &labels, &paired).map_err(TrainError::trainee)?;
        self.report = Some(report);
        Ok(vec![("contrast", loss)])
    }

    fn observed(&self) -> Metrics {
        let Some(report) = self.report else { return Metrics::new() };
        let named = [
            ("gate mean", report.gate_mean),
            ("gate entropy", report.gate_entropy),
            ("anchors skipped", report.skipped as f64),
        ];
        named.map(|(name, value)| (name.to_string(), value)).into()
    }
}
