//! BECLR.

use super::{Frame, Momentum, Predicted, Projected, Settings, Start, VisionMethod};
use crate::VisionError;
use crate::data::ImageBatch;
use burn::tensor::{Tensor, TensorData};
use contrastive_core::head::MlpHeadConfig;
use contrastive_core::memory::{DyCe, DyCeConfig, Ema, MemoryError};
use contrastive_core::objective::{Beclr as Objective, Enhanced, Pairing};
use contrastive_train::{Check, Metrics, State, Step, TrainError, Weighted};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// Blocks of the student's images set to 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockMask {
    /// Side of a block in pixels (paper: 16 of 224).
    pub side: usize,
    /// Share of the blocks (paper: 0.15) ...
    pub share: f64,
    /// ... within so much of it (paper: 0.1).
    pub spread: f64,
}

/// Settings of [`Beclr`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeclrConfig {
    /// Temperature of the repulsion (paper: 2).
    pub temperature: f64,
    /// Weight of the repulsion (paper: 0.1).
    pub repulsion: f64,
    /// Momentum of the teacher at the start, from where it rises to 1 on a cosine (paper: 0.995).
    pub momentum: f64,
    /// The memories; none: the same without neighbours.
    pub memory: Option<DyCeConfig>,
    /// The first epoch, counted from 1, in which neighbours take part (paper: 60).
    pub from_epoch: usize,
    /// The memories are clustered anew after every so many epochs (paper: 60).
    pub recluster: usize,
    /// What neighbours do.
    pub pairing: Pairing,
    /// Masked blocks of what the student sees.
    pub mask: Option<BlockMask>,
}

impl BeclrConfig {
    /// The paper's choices with these memories, without a mask.
    pub fn new(memory: DyCeConfig) -> Self {
        let (temperature, repulsion, momentum, pairing) = (2.0, 0.1, 0.995, Pairing::Intended);
        Self {
            temperature,
            repulsion,
            momentum,
            memory: Some(memory),
            from_epoch: 60,
            recluster: 60,
            pairing,
            mask: None,
        }
    }

    /// Without memories.
    #[must_use]
    pub fn without_memory(mut self) -> Self {
        self.memory = None;
        self
    }

    /// With neighbours from an epoch on, and memories clustered anew after every so many epochs.
    #[must_use]
    pub fn from_epoch(mut self, epoch: usize, recluster: usize) -> Self {
        (self.from_epoch, self.recluster) = (epoch, recluster);
        self
    }

    /// With another pairing.
    #[must_use]
    pub fn with_pairing(mut self, pairing: Pairing) -> Self {
        self.pairing = pairing;
        self
    }

    /// With masked blocks.
    #[must_use]
    pub fn with_mask(mut self, mask: BlockMask) -> Self {
        self.mask = Some(mask);
        self
    }
}

/// BECLR (Poulakakis-Daktylidis and Jamali-Rad 2024, algorithm 1): predictions of a student's views meet the projections of a slow teacher,
/// and the neighbours that a memory in clusters ([`DyCe`]) has of these.
///
/// The released code has a memory each of the teacher's rows, the student's predictions and its projections. That of the predictions is
/// read row to row alone, and is kept there alone. Neighbours are looked up before a batch enters the memories; in the released code it
/// enters first, so that most rows are their own first neighbour.
#[derive(Debug)]
pub struct Beclr {
    config: BeclrConfig,
    objective: Objective,
    teacher: Momentum<Projected>,
    /// Name, and the memory.
    memories: Vec<(&'static str, DyCe)>,
    /// What enters the memories after this step.
    pending: Vec<Tensor<2>>,
    /// Neighbours of a row in this step.
    enhanced: usize,
}

const TEACHER: &str = "teacher";
const PROJECTIONS: &str = "projections";
const PREDICTIONS: &str = "predictions";

impl Settings for BeclrConfig {
    type Method = Beclr;

    fn name(&self) -> &'static str {
        match (&self.memory, self.pairing) {
            (None, _) => "BECLR, no memory",
            (_, Pairing::Intended) => "BECLR",
            (_, Pairing::RowToRow) => "BECLR, row to row",
        }
    }

    fn validate(&self, frame: &Frame) -> Result<(), VisionError> {
        Objective::new(self.temperature, self.repulsion)?;
        Ema::constant(self.momentum)?;
        self.memory.iter().try_for_each(DyCeConfig::validate)?;
        let check = Check::new("BECLR");
        check.count("from_epoch", self.from_epoch)?;
        check.count("recluster", self.recluster)?;
        let output = frame.projector[1];
        check.that(
            output >= 4,
            "the projector's output",
            output,
            "4 and more: the predictor has a quarter of it inside",
        )?;
        if let Some(BlockMask { side, share, spread }) = self.mask {
            check.count("side of a mask", side)?;
            let good = share.is_finite() && spread >= 0.0 && share - spread >= 0.0 && share + spread < 1.0;
            check.that(good, "share of a mask", format!("{share} +- {spread}"), "0 to below 1 with its spread")?;
        }
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(Beclr, Predicted), VisionError> {
        // three layers, and a predictor of a quarter of the width
        let head = start.head().with_layers(3);
        let model = start.predicted(&head, &MlpHeadConfig::simsiam_predictor(head.output))?;
        let mut names = vec![TEACHER, PROJECTIONS];
        names.extend((self.pairing == Pairing::RowToRow).then_some(PREDICTIONS));
        let memory = |config: &DyCeConfig| -> Result<Vec<(&'static str, DyCe)>, MemoryError> {
            let seeded = |at: usize| DyCeConfig { seed: start.seed.wrapping_add(400 + at as u64), ..config.clone() };
            let made = |(at, name): (usize, &&'static str)| Ok((*name, DyCe::new(&seeded(at), head.output)?));
            names.iter().enumerate().map(made).collect()
        };
        let method = Beclr {
            config: self.clone(),
            objective: Objective::new(self.temperature, self.repulsion)?.with_pairing(self.pairing),
            teacher: Momentum::of(&model.network, Ema::cosine(self.momentum, start.steps())?),
            memories: self.memory.as_ref().map_or(Ok(Vec::new()), memory)?,
            pending: Vec::new(),
            enhanced: 0,
        };
        Ok((method, model))
    }
}

impl Beclr {
    /// A memory: of the `teacher`, the `projections`, or, row to row, the `predictions`.
    pub fn memory(&self, name: &str) -> Option<&DyCe> {
        self.memories.iter().find(|(own, _)| *own == name).map(|(_, memory)| memory)
    }

    /// Two views with the neighbours that a memory has, if it has any.
    fn enhanced(&self, name: &str, views: &[Tensor<2>; 2], on: bool) -> Result<[Enhanced; 2], MemoryError> {
        let memory = self.memory(name).filter(|memory| on && memory.is_ready());
        let of = |rows: &Tensor<2>| -> Result<Enhanced, MemoryError> {
            let neighbours = match memory {
                Some(memory) => memory.neighbours(rows)?,
                None => None,
            };
            Ok(Enhanced { rows: rows.clone(), neighbours })
        };
        Ok([of(&views[0])?, of(&views[1])?])
    }

    /// A view with its masked blocks.
    fn masked(&self, view: Tensor<4>, which: usize, step: Step) -> Tensor<4> {
        let Some(BlockMask { side, share, spread }) = self.config.mask else { return view };
        let [n, _, h, w] = view.dims();
        let mut rng = step.rng();
        // views have generators of their own
        rng.set_word_pos((1 << 40) * (which as u128 + 1));
        let (rows, columns) = (h.div_ceil(side), w.div_ceil(side));
        let mut kept = vec![1.0f32; n * h * w];
        for image in kept.chunks_exact_mut(h * w) {
            let share = share + spread * (2.0 * rng.random::<f64>() - 1.0);
            let count = (share * (rows * columns) as f64).round() as usize;
            for block in rand::seq::index::sample(&mut rng, rows * columns, count.min(rows * columns)) {
                let (top, left) = (block / columns * side, block % columns * side);
                for y in top..(top + side).min(h) {
                    image[y * w + left..y * w + (left + side).min(w)].fill(0.0);
                }
            }
        }
        let on = (&view.device(), view.dtype());
        let kept = Tensor::<4>::from_data(TensorData::new(kept, [n, 1, h, w]).convert_dtype(on.1), on);
        view * kept
    }
}

impl VisionMethod for Beclr {
    type Model = Predicted;

    fn losses(&mut self, model: &Predicted, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        let teacher = batch.pair(|view| self.teacher.project(view));
        let mut which = 0;
        let [[z0, p0], [z1, p1]] = batch.pair(|view| {
            which += 1;
            model.both(self.masked(view, which, step))
        });
        let (z, p) = ([z0, z1], [p0, p1]);
        let on = step.epoch >= self.config.from_epoch;
        let failed = |error: MemoryError| TrainError::trainee(error);
        let target = self.enhanced(TEACHER, &teacher, on).map_err(failed)?;
        let (student, projections) = (
            self.enhanced(PREDICTIONS, &p, on && target[0].neighbours.is_some()).map_err(failed)?,
            self.enhanced(PROJECTIONS, &z, on && target[0].neighbours.is_some()).map_err(failed)?,
        );
        self.enhanced = target[0].count();
        // row to row, all memories must be ready
        let ready = self.config.pairing == Pairing::Intended
            || [&student, &projections].iter().all(|views| views[0].count() == self.enhanced);
        let [student, target, projections] = match ready {
            true => [student, target, projections],
            false => {
                self.enhanced = 0;
                [p.clone(), teacher.clone(), z.clone()].map(|views| views.map(Enhanced::plain))
            }
        };
        let both = |views: &[Tensor<2>; 2]| Tensor::cat(views.each_ref().map(|x| x.clone().inner()).to_vec(), 0);
        self.pending = match self.memories.len() {
            0 => Vec::new(),
            2 => vec![both(&teacher), both(&z)],
            _ => vec![both(&teacher), both(&z), both(&p)],
        };
        let attraction = self.objective.attraction(&student, &target);
        let repulsion = self.objective.repulsion(&projections) * self.objective.weight();
        Ok(vec![("attraction", attraction), ("repulsion", repulsion)])
    }

    fn after_step(&mut self, model: &Predicted, step: Step) {
        for ((_, memory), rows) in self.memories.iter_mut().zip(self.pending.drain(..)) {
            // rows that are not finite have a loss that is not, at which the run ends
            let _ = memory.push(&rows);
            if step.in_epoch + 1 == step.steps && step.epoch.is_multiple_of(self.config.recluster) {
                memory.recluster();
            }
        }
        self.teacher.follow(&model.network, step.global);
    }

    /// Neighbours of a row in the last step, and the clusters in use.
    fn observed(&self) -> Metrics {
        let used = self.memory(TEACHER).map_or(0, |memory| memory.sizes().iter().filter(|size| **size > 0).count());
        [("neighbours".into(), self.enhanced as f64), ("clusters in use".into(), used as f64)].into()
    }

    fn state(&self) -> State {
        let mut state = State::new();
        self.teacher.save(&mut state);
        for (name, memory) in &self.memories {
            state.extend(memory.state().into_iter().map(|(part, data)| (format!("{name}.{part}"), data)));
        }
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.teacher.load(&mut state)?;
        for (name, memory) in &mut self.memories {
            let prefix = format!("{name}.");
            let own =
                state.iter().filter_map(|(key, data)| Some((key.strip_prefix(&prefix)?.to_string(), data.clone())));
            memory.load_state(&own.collect()).map_err(TrainError::trainee)?;
        }
        Ok(())
    }
}
