//! Hallucinator.

use super::{Frame, KeyQueue, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use crate::encoder::Encoder;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::memory::Ema;
use contrastive_core::objective::{Moco, NtXent};
use contrastive_core::similarity::unit_rows;
use contrastive_core::synthesis::{Hallucinator as Generator, HallucinatorConfig as GeneratorConfig};
use contrastive_train::{Metrics, State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// What sees the hallucinated queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// MoCo with a queue of so many keys.
    Moco(usize),
    /// SimCLR: all rows of the image are left out but the positive.
    SimClr,
}

/// Settings of [`Hallucinator`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HallucinatorConfig {
    /// The host.
    pub host: Host,
    /// Temperature (paper, MoCo: 0.2).
    pub temperature: f64,
    /// Momentum of the key encoder under MoCo (paper: 0.999).
    pub momentum: f64,
    /// Extrapolations are uniform below this, one a batch (paper: 0.1).
    pub largest_extrapolation: f64,
    /// Bring queries to length 1 before they are extrapolated? (The released code for MoCo does not.)
    pub normalise: bool,
    /// Off: the host alone, with the same views and head.
    pub on: bool,
}

impl HallucinatorConfig {
    /// The paper's on this host, at momentum 0.99.
    pub fn new(host: Host) -> Self {
        Self { host, temperature: 0.2, momentum: 0.99, largest_extrapolation: 0.1, normalise: true, on: true }
    }

    /// With another temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// The host alone.
    #[must_use]
    pub fn off(mut self) -> Self {
        self.on = false;
        self
    }

    fn generator(&self, width: usize) -> GeneratorConfig {
        GeneratorConfig::new(width)
            .with_largest_extrapolation(self.largest_extrapolation)
            .with_normalise(self.normalise)
    }
}

/// A network and the generator, which is thrown away after the training.
#[derive(Module, Debug)]
pub struct Hallucinating {
    /// Encoder and projector.
    pub network: Projected,
    /// The generator.
    pub generator: Generator,
}

impl VisionModel for Hallucinating {
    fn encoder(&self) -> &Encoder {
        &self.network.encoder
    }

    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.network.project(images)
    }
}

/// Hallucinator (Wu et al., ICCV 2023): every key has one more query, which a small network makes of the query and a slight extrapolation away
/// from the key. The paper's first view has crops biased to the centre ([`presets`](contrastive_data::augment::presets)). Keys
/// enter the queue once. Metrics: `r`, and the mean cosines `cos_qk`, `cos_hk`, `cos_hq`.
#[derive(Debug)]
pub struct Hallucinator {
    config: HallucinatorConfig,
    keys: Option<KeyQueue<Hallucinating>>,
    seed: u64,
    observed: Metrics,
}

impl Settings for HallucinatorConfig {
    type Method = Hallucinator;

    fn name(&self) -> &'static str {
        match (self.host, self.on) {
            (Host::Moco(_), true) => "Hallucinator on MoCo",
            (Host::Moco(_), false) => "Hallucinator off, MoCo",
            (Host::SimClr, true) => "Hallucinator on SimCLR",
            (Host::SimClr, false) => "Hallucinator off, SimCLR",
        }
    }

    fn validate(&self, frame: &Frame) -> Result<(), VisionError> {
        NtXent::new(self.temperature)?;
        Ema::constant(self.momentum)?;
        Ok(self.generator(frame.projector[1]).validate()?)
    }

    fn start(&self, start: &Start<'_>) -> Result<(Hallucinator, Hallucinating), VisionError> {
        let head = start.head();
        let generator = self.generator(head.output).init(start.seed.wrapping_add(400), (&start.on.0, start.on.1))?;
        let model = Hallucinating { network: start.network(&head)?, generator };
        let keys = match self.host {
            Host::Moco(rows) => Some(KeyQueue::start(start, &model, [rows, head.output], self.momentum, true)?),
            Host::SimClr => None,
        };
        Ok((Hallucinator { config: *self, keys, seed: start.seed, observed: Metrics::new() }, model))
    }
}

impl VisionMethod for Hallucinator {
    type Model = Hallucinating;

    fn losses(&mut self, model: &Hallucinating, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        let r = model.generator.extrapolation(step.global, self.seed);
        let queries = model.project(batch.view(0));
        let (t, on) = (self.config.temperature, self.config.on);
        let refused = "the temperature was checked";
        let (keys, loss) = match &mut self.keys {
            Some(queue) => {
                let (host, keys) = (Moco::new(t).expect(refused), queue.make(batch.view(1), step));
                let (q, k) = (queries.clone(), keys.clone());
                let loss = match on {
                    true => model.generator.moco_loss(&host, q, k, queue.queue(), r),
                    false => host.loss(q, k, queue.queue()),
                };
                (keys, loss)
            }
            None => {
                let (host, keys) = (NtXent::new(t).expect(refused), model.project(batch.view(1)));
                let (q, k) = (queries.clone(), keys.clone());
                let loss = match on {
                    true => model.generator.simclr_loss(&host, q, k, r),
                    false => host.loss(q, k),
                };
                (keys, loss)
            }
        };
        let plain = |x: Tensor<2>| unit_rows(x.detach());
        let h = plain(model.generator.forward(queries.clone(), keys.clone(), r));
        let (q, k) = (plain(queries), plain(keys));
        let cosine = |a: &Tensor<2>, b: &Tensor<2>| {
            let mean = (a.clone() * b.clone()).sum_dim(1).mean();
            mean.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
        };
        let seen = [("r", r), ("cos_qk", cosine(&q, &k)), ("cos_hk", cosine(&h, &k)), ("cos_hq", cosine(&h, &q))];
        self.observed = seen.into_iter().map(|(name, x)| (name.to_string(), x)).collect();
        Ok(vec![("contrast", loss)])
    }

    fn after_step(&mut self, model: &Hallucinating, step: Step) {
        if let Some(keys) = &mut self.keys {
            keys.after_step(model, step);
        }
    }

    fn observed(&self) -> Metrics {
        self.observed.clone()
    }

    fn state(&self) -> State {
        self.keys.as_ref().map_or_else(State::new, KeyQueue::state)
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        match &mut self.keys {
            Some(keys) => keys.load_state(state),
            None => Ok(()),
        }
    }
}
