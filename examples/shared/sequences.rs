//! What the sequence examples share: the command line of a run, its data, the loop written out, and the table at the end.

use clap::Args;
use contrastive::Device;
use contrastive::eval::{Summary, ranking::Seen, ranking::TargetRanks};
use contrastive::seqrec::SeqRecError;
use contrastive::seqrec::data::generate::{GenerateOptions, Generated, markov_intents};
use contrastive::seqrec::data::{LeaveOneOut, Mode, Part, Partners, Samples, Sequences, ShortUsers};
use contrastive::seqrec::encoder::EncoderConfig;
use contrastive::seqrec::evaluate::{Popularity, Successors};
use contrastive::seqrec::method::{ItemLoss, SasRecConfig, SequenceMethod, SequenceModel};
use contrastive::train::{Budget, MethodConfig, Parameters, Select, Step, SubStep};
use contrastive::train::{TrainingConfig, epoch_rng, parse_device};
use std::error::Error;
use std::path::PathBuf;

/// Data, sizes, budget and device of a run.
#[derive(Args, Debug, Clone)]
pub struct Run {
    /// Sequences: lists (user item item ...), RecBole .inter, or delimited text with a time column. Without it, generated ones.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Leave out users and items with fewer events, again and again.
    #[arg(long)]
    pub core: Option<usize>,
    /// What becomes of items already taken: keep, exclude or zero-score.
    #[arg(long, default_value = "exclude")]
    pub seen: Seen,
    /// Passes over the samples.
    #[arg(long, default_value_t = 10)]
    pub epochs: usize,
    /// Epochs to report on the way.
    #[arg(long, value_delimiter = ',')]
    pub at: Vec<usize>,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// The published size (d 64, L 50, two layers, dropout 0.5) instead of the small one (32, 20, one, 0.3).
    #[arg(long)]
    pub full: bool,
    /// A target at every position instead of a sample for every prefix.
    #[arg(long)]
    pub per_position: bool,
    /// full-softmax, bce or bpr.
    #[arg(long, default_value = "full-softmax")]
    pub loss: String,
    /// Samples in a batch.
    #[arg(long, default_value_t = 256)]
    pub batch: usize,
    /// auto, flex (CPU), ndarray, wgpu, cuda, ... as compiled in.
    #[arg(long, default_value = "auto")]
    device: String,
    /// The loop written out instead of the library's.
    #[arg(long)]
    pub by_hand: bool,
    /// Stop after so many CPU minutes of each training.
    #[arg(long)]
    pub minutes: Option<f64>,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

impl Run {
    /// The data set, with what it is said aloud, and what generated it.
    pub fn dataset(&self) -> Result<(LeaveOneOut, Option<Generated>)> {
        let (mut sequences, generated) = match &self.data {
            Some(path) => (Sequences::read(path)?, None),
            None => {
                eprintln!("no --data: using GENERATED sequences (Markov chains over hidden intents)");
                let generated = markov_intents(&GenerateOptions::default())?;
                (generated.sequences.clone(), Some(generated))
            }
        };
        if let Some(core) = self.core {
            sequences = sequences.k_core(core)?;
        }
        let split = LeaveOneOut::new(&sequences, ShortUsers::Drop)?;
        split.notes().iter().for_each(|note| eprintln!("note: {note}"));
        let s = split.sequences();
        println!("{}: {} users, {} items, {} events", s.name(), s.num_users(), s.num_items(), s.num_events());
        Ok((split, generated))
    }

    /// Encoder, samples and item loss.
    pub fn base(&self) -> Result<SasRecConfig> {
        let encoder = if self.full { EncoderConfig::new() } else { EncoderConfig::small() };
        let loss = match self.loss.as_str() {
            "full-softmax" => ItemLoss::FullSoftmax,
            "bce" => ItemLoss::Bce,
            "bpr" => ItemLoss::Bpr,
            other => return Err(format!("loss {other:?}: allowed are full-softmax, bce and bpr").into()),
        };
        let mode = if self.per_position { Mode::PerPosition } else { Mode::Prefix };
        let training = TrainingConfig::new(Budget::Epochs(self.epochs), self.batch, 1e-3);
        Ok(SasRecConfig::new()
            .with_encoder(encoder)
            .with_loss(loss)
            .with_mode(mode)
            .with_seen(self.seen)
            .with_training(training))
    }

    /// The device.
    pub fn device(&self) -> Result<Device> {
        Ok(parse_device(&self.device)?)
    }

    /// Popularity, successors and, for generated data, the best that is possible.
    pub fn floor(&self, data: &LeaveOneOut, generated: Option<&Generated>) -> Result<()> {
        println!(
            "{:<24} {:>7}   HR@5, HR@10, HR@20, NDCG@10, NDCG@20, MRR (mean +- deviation over seeds)",
            "method", "epochs"
        );
        let samples = Samples::new(&std::sync::Arc::new(data.clone()), Mode::Prefix, self.base()?.encoder.max_len);
        let alone = 100.0 * Partners::new(&samples).share_alone();
        println!("{} prefix samples; {alone:.2}% have no other list with the same target", samples.len());
        let (popularity, successors) = (Popularity::new(data), Successors::new(data));
        for seen in self.policies() {
            Row::new("popularity", 0, seen).with(&popularity.rank(data, Part::Test, seen)?).print();
            Row::new("successors", 0, seen).with(&successors.rank(data, Part::Test, seen)?).print();
        }
        if let Some(generated) = generated {
            let best = |k| generated.best_hit_rate(data.inputs(Part::Test), k);
            println!("best possible, keep: HR@5 {:.4}, HR@10 {:.4}, HR@20 {:.4}", best(5), best(10), best(20));
        }
        Ok(())
    }

    /// The encoder as it is drawn.
    pub fn untrained(&self, data: &LeaveOneOut, base: &SasRecConfig) -> Result<()> {
        let mut rows = self.policies().map(|seen| Row::new("untrained", 0, seen));
        for seed in self.seed..self.seed + self.seeds {
            let model = SequenceModel::of_training(&base.build(data, seed, &self.device()?)?);
            for row in &mut rows {
                row.add(&model.evaluate(data, Part::Test, row.seen)?);
            }
        }
        rows.iter().for_each(Row::print);
        Ok(())
    }

    /// The policy asked for, and the other.
    fn policies(&self) -> [Seen; 2] {
        if self.seen == Seen::Keep { [Seen::Keep, Seen::Exclude] } else { [self.seen, Seen::Keep] }
    }

    /// Trains with every seed and prints the test metrics at the epochs asked for and at the end.
    pub fn train<C>(&self, name: &str, data: &LeaveOneOut, config: &C) -> Result<()>
    where
        C: MethodConfig<Data = LeaveOneOut, Error = SeqRecError>,
        C::Method: SequenceMethod,
    {
        let mut at = self.at.clone();
        at.push(self.epochs);
        at.sort_unstable();
        at.dedup();
        let rows = |epoch: usize| self.policies().map(|seen| Row::new(name, epoch, seen));
        let mut table: Vec<[Row; 2]> = at.iter().map(|epoch| rows(*epoch)).collect();
        let (start, mut gaps) = (cpu_seconds(), Vec::new());
        for seed in self.seed..self.seed + self.seeds {
            let mut training = config.build(data, seed, &self.device()?)?;
            let (before, mut spent) = (cpu_seconds(), 0.0);
            for epoch in 1..=self.epochs {
                let losses = training.train_epoch()?;
                let shown: Vec<String> = losses.iter().map(|(name, loss)| format!("{name} {loss:.4}")).collect();
                spent = cpu_seconds() - before;
                eprintln!("{name}, seed {seed}, epoch {epoch}: {}, {spent:.0} CPU s", shown.join(", "));
                let out = self.minutes.is_some_and(|minutes| spent > 60.0 * minutes);
                let row = at.iter().position(|at| *at == epoch).or(out.then(|| at.len() - 1));
                let Some(row) = row else { continue };
                let model = SequenceModel::of_training(&training);
                for row in &mut table[row] {
                    row.epoch = epoch;
                    row.add(&model.evaluate(data, Part::Test, row.seen)?);
                }
                if out {
                    break;
                }
            }
            gaps.push(SequenceModel::of_training(&training).same_target_gap(data, Part::Test));
            let timing = training.timing();
            let total = timing.batch + timing.losses + timing.backward + timing.optimiser;
            let share = |part: std::time::Duration| 100.0 * part.as_secs_f64() / total.as_secs_f64();
            eprintln!(
                "{name}, seed {seed}: {spent:.0} CPU s; batches {:.0}%, encoding and losses {:.0}%, backward {:.0}%, optimiser {:.0}%",
                share(timing.batch),
                share(timing.losses),
                share(timing.backward),
                share(timing.optimiser)
            );
        }
        table.iter().flatten().for_each(Row::print);
        println!(
            "{name}: {:.0} CPU s for {} seeds; cosine of test inputs with the same target minus that of any two: {}",
            cpu_seconds() - start,
            self.seeds,
            Summary::of(&gaps)
        );
        Ok(())
    }

    /// The same training as a loop: batch, losses, backward, step.
    pub fn by_hand<M: SequenceMethod>(&self, mut method: M, model: M::Model, data: &LeaveOneOut) -> Result<()> {
        let config = method.base().settings().training.clone();
        let mut parameters = Parameters::new(model, &config.optimiser, &config.groups)?;
        let mut parts = method.sub_steps();
        if parts.is_empty() {
            parts.push(SubStep { name: "step", moves: Select::All });
        }
        let mut global = 0;
        for epoch in 1..=self.epochs {
            let batches = method.begin_epoch(epoch, epoch_rng(self.seed, epoch))?;
            method.prepare_epoch(parameters.model(), epoch)?;
            let mut sum = 0.0;
            for batch in 0..batches {
                let mut step = Step {
                    epoch,
                    in_epoch: batch,
                    global,
                    steps: batches,
                    batch,
                    sub_step: 0,
                    seed: self.seed,
                    rank: 0,
                    world: 1,
                };
                let views = method.batch(step)?;
                for (number, part) in parts.iter().enumerate() {
                    step.sub_step = number;
                    let losses = method.losses(parameters.model(), &views, step)?;
                    let loss = losses.into_iter().map(|loss| loss.1).reduce(|a, b| a + b).expect("a loss");
                    let gradients = parameters.gradients(&loss);
                    parameters.step(gradients, config.learning_rate, &part.moves);
                    sum += loss.into_scalar::<f32>() / (batches * parts.len()) as f32;
                }
                method.after_step(parameters.model(), &views, step);
                global += 1;
            }
            println!("epoch {epoch}: loss {sum:.4}");
        }
        let model = SequenceModel::new(&method, parameters.model());
        for seen in self.policies() {
            Row::new(method.name(), self.epochs, seen).with(&model.evaluate(data, Part::Test, seen)?).print();
        }
        Ok(())
    }
}

/// CPU seconds of this process so far; 0 where the system does not say.
pub fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<f64> = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse().ok()).collect();
    ticks.iter().sum::<f64>() / 100.0
}

/// A row of the table: one value for each seed.
struct Row {
    name: String,
    epoch: usize,
    seen: Seen,
    values: Vec<[f64; 6]>,
}

impl Row {
    fn new(name: &str, epoch: usize, seen: Seen) -> Self {
        Self { name: name.into(), epoch, seen, values: Vec::new() }
    }

    fn add(&mut self, ranks: &TargetRanks) {
        let all = ranks.items();
        let hits = [5, 10, 20].map(|k| ranks.hit_rate(k));
        self.values.push([hits[0], hits[1], hits[2], ranks.ndcg(10), ranks.ndcg(20), ranks.mrr(all)]);
    }

    fn with(mut self, ranks: &TargetRanks) -> Self {
        self.add(ranks);
        self
    }

    fn print(&self) {
        if self.values.is_empty() {
            return;
        }
        let cells: Vec<String> = (0..6)
            .map(|k| {
                let column: Vec<f64> = self.values.iter().map(|values| values[k]).collect();
                let summary = Summary::of(&column);
                if column.len() > 1 {
                    format!("{:.4} +- {:.4}", summary.mean, summary.std)
                } else {
                    format!("{:.4}", summary.mean)
                }
            })
            .collect();
        println!("{:<24} {:>7}   {}", format!("{}, {}", self.name, self.seen), self.epoch, cells.join("  "));
    }
}
