//! AMCL.

use super::{Frame, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use crate::encoder::Encoder;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::head::{MultiHead, MultiHeadConfig};
use contrastive_core::synthesis::{Amcl as Objective, AmclForm, AmclHead, PairTemperature, PairTemperatureConfig};
use contrastive_train::{Check, Metrics, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// The temperatures of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairTemperatures {
    /// One for each pair and head, which a network shared by the heads predicts.
    Learned {
        /// The smallest; positives run to it (released code: 1e-5, where logits reach 1e5; here 0.05).
        lowest: f64,
        /// The largest; negatives run to it (released code: 2; here 1).
        highest: f64,
        /// Width of the features that the network compares.
        rank: usize,
    },
    /// The same for all.
    Constant(f64),
}

/// Settings of [`Amcl`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AmclConfig {
    /// Number of heads (paper: 3).
    pub heads: usize,
    /// Weight of the regulariser of the temperatures (code: 0.1).
    pub beta: f64,
    /// The most similar negative alone (the paper's table) instead of the log-sum-exp of all.
    pub nearest: bool,
    /// The positive among the candidates, as hosts with InfoNCE have it.
    pub with_positives: bool,
    /// The temperatures.
    pub temperatures: PairTemperatures,
}

impl AmclConfig {
    /// So many heads, beta 0.1, temperatures of 0.05 to 1 from features of width 16.
    pub fn new(heads: usize) -> Self {
        let temperatures = PairTemperatures::Learned { lowest: 0.05, highest: 1.0, rank: 16 };
        Self { heads, beta: 0.1, nearest: false, with_positives: false, temperatures }
    }

    /// So many heads at one temperature.
    pub fn constant(heads: usize, temperature: f64) -> Self {
        Self { temperatures: PairTemperatures::Constant(temperature), ..Self::new(heads) }
    }

    /// The same heads at one temperature, the middle of the range: what of a gain is the heads' alone.
    #[must_use]
    pub fn twin(self) -> Self {
        match self.temperatures {
            PairTemperatures::Learned { lowest, highest, .. } => {
                Self { temperatures: PairTemperatures::Constant(0.5 * (lowest + highest)), ..self }
            }
            PairTemperatures::Constant(_) => self,
        }
    }

    fn objective(&self) -> Result<Objective, VisionError> {
        let form = if self.nearest { AmclForm::Max } else { AmclForm::Smooth };
        let objective = Objective::new(self.beta)?.with_form(form);
        Ok(if self.with_positives { objective.with_positives() } else { objective })
    }

    /// The network of the temperatures for rows of this width.
    fn network(&self, width: usize) -> Option<PairTemperatureConfig> {
        let PairTemperatures::Learned { lowest, highest, rank } = self.temperatures else { return None };
        let config = PairTemperatureConfig::new(width).with_lowest(lowest).with_highest(highest);
        Some(config.with_rank(rank))
    }
}

/// Encoder, heads and the network of the temperatures of [`Amcl`].
#[derive(Module, Debug)]
pub struct AmclModel {
    /// The encoder.
    pub encoder: Encoder,
    /// The heads.
    pub heads: MultiHead,
    /// Predicts temperatures.
    pub temperature: Option<PairTemperature>,
}

impl VisionModel for AmclModel {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Unit rows of all heads, side by side.
    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        Tensor::cat(self.heads.forward(self.encoder.forward(images)), 1)
    }
}

/// AMCL (Wang et al. 2024) on SimCLR: several heads, drawn apart, and a temperature for each pair and head. The projector's widths are those
/// of each head: linear, rectifier, linear.
#[derive(Debug)]
pub struct Amcl {
    objective: Objective,
    constant: Option<f64>,
    /// Of each head in the last step: loss, mean temperature of positives and of negatives.
    heads: Vec<[f64; 3]>,
}

impl Settings for AmclConfig {
    type Method = Amcl;

    fn name(&self) -> &'static str {
        match self.temperatures {
            PairTemperatures::Learned { .. } => "AMCL",
            PairTemperatures::Constant(_) => "AMCL, one temperature",
        }
    }

    fn validate(&self, frame: &Frame) -> Result<(), VisionError> {
        self.objective()?;
        let check = Check::new("AMCL");
        check.count("heads", self.heads)?;
        if let PairTemperatures::Constant(temperature) = self.temperatures {
            check.positive("temperature", temperature)?;
        }
        self.network(frame.projector[1]).map_or(Ok(()), |network| Ok(network.validate()?))
    }

    fn start(&self, start: &Start<'_>) -> Result<(Amcl, AmclModel), VisionError> {
        let [hidden, output] = start.frame.projector;
        let on = || (&start.on.0, start.on.1);
        let encoder = start.frame.encoder.init(start.set.shape(), start.seed, &start.on)?;
        let heads = MultiHeadConfig::new(encoder.width()).with_heads(self.heads).with_hidden(hidden);
        let heads = heads.with_output(output).init(start.seed.wrapping_add(100), on())?;
        let network = self.network(output).map(|config| config.init(start.seed.wrapping_add(200), on()));
        let model = AmclModel { encoder, heads, temperature: network.transpose()? };
        let constant = match self.temperatures {
            PairTemperatures::Constant(temperature) => Some(temperature),
            PairTemperatures::Learned { .. } => None,
        };
        Ok((Amcl { objective: self.objective()?, constant, heads: Vec::new() }, model))
    }
}

impl Amcl {
    /// Of each head in the last step: loss, mean temperature of positives and of negatives.
    pub fn heads(&self) -> &[[f64; 3]] {
        &self.heads
    }
}

impl VisionMethod for Amcl {
    type Model = AmclModel;

    fn losses(&mut self, model: &AmclModel, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let [first, second] = batch.pair(|view| model.heads.forward(model.encoder.forward(view)));
        let heads = first.into_iter().zip(second).map(|(first, second)| AmclHead { first, second });
        let heads: Vec<AmclHead> = heads.collect();
        let found = match (&model.temperature, self.constant) {
            (Some(network), _) => self.objective.evaluate(&heads, network),
            (None, constant) => {
                let (rows, n) = (&heads[0].first, batch.images.len());
                let t = Tensor::full([n, n], constant.expect("a temperature"), (&rows.device(), rows.dtype()));
                self.objective.evaluate_given(&heads, &vec![t; heads.len()])
            }
        };
        let found = found.map_err(TrainError::trainee)?;
        self.heads = found.heads;
        Ok(vec![("contrast", found.loss)])
    }

    fn observed(&self) -> Metrics {
        let of = |(head, values): (usize, &[f64; 3])| {
            let names = ["loss", "temperature of positives", "temperature of negatives"];
            names.into_iter().zip(*values).map(move |(name, value)| (format!("head {head} {name}"), value))
        };
        self.heads.iter().enumerate().flat_map(of).collect()
    }
}
