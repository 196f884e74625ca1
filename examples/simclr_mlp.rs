//! SimCLR, or MoCo with a queue, on 8 x 8 digits with an MLP:
//!
//! ```text
//! cargo run --release --example simclr_mlp -- [--data optdigits] [--queue 1024]
//! cargo run --release --example simclr_mlp -- --steps 50 --run-dir runs/digits          stopped within an epoch ...
//! cargo run --release --example simclr_mlp -- --steps 90 --run-dir runs/digits --resume ... goes on there, bit for bit
//! cargo build --release --example simclr_mlp --features mpi
//! mpirun -np 4 target/release/examples/simclr_mlp --steps 50
//! ```
//!
//! Without `--data`, generated digits. Views are shifted, stretched in brightness, noisy, and have a patch erased. At the end what
//! nearest neighbours and a linear probe find in the encoder's rows, beside raw pixels and the untrained encoder.

#[path = "shared/digits.rs"]
mod digits;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use clap::Parser;
use contrastive::distributed::{Communicator, Ranks, in_process};
use contrastive::eval::ndarray::Array2;
use contrastive::head::{MlpHead, MlpHeadConfig};
use contrastive::memory::{Ema, Queue};
use contrastive::objective::{Inputs, Moco, NtXent};
use contrastive::train::*;
use digits::{Digits, PIXELS};
use rand_chacha::ChaCha8Rng;
use std::error::Error;

#[derive(Module, Debug)]
struct Encoder {
    encoder: MlpHead,
    projector: MlpHead,
}

impl Encoder {
    fn project(&self, pixels: Tensor<2>) -> Tensor<2> {
        self.projector.forward(self.encoder.forward(pixels))
    }
}

/// MoCo's memory: a momentum encoder and the keys it gave to past batches.
struct Memory {
    keys: Encoder,
    queue: Queue,
    ema: Ema,
}

impl Memory {
    fn state(&self) -> State {
        let mut state = self.queue.state();
        save_module(&self.keys, "keys", &mut state);
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.keys = load_module(self.keys.clone(), "keys", &mut state)?;
        self.queue.load_state(&state).map_err(TrainError::trainee)
    }
}

struct SimClr {
    digits: Digits,
    batches: Batches,
    epoch: Vec<Vec<usize>>,
    temperature: f64,
    nt_xent: NtXent,
    moco: Moco,
    memory: Option<Memory>,
    on: (Device, DType),
}

impl Method for SimClr {
    type Model = Encoder;
    type Batch = [Tensor<2>; 2];

    fn name(&self) -> &str {
        if self.memory.is_some() { "MoCo" } else { "SimCLR" }
    }
    fn config(&self) -> serde_json::Value {
        let memory = self.memory.as_ref().map(|memory| (memory.queue.capacity(), memory.ema.momentum(0)));
        serde_json::json!({"temperature": self.temperature, "queue": memory})
    }
    fn data(&self) -> serde_json::Value {
        serde_json::json!({"name": self.digits.name, "rows": self.digits.train.nrows(), "digest": self.digits.digest()})
    }
    fn begin_epoch(&mut self, epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.epoch = self.batches.epoch(epoch, &mut rng);
        Ok(self.epoch.len())
    }
    fn batch(&mut self, step: Step) -> Result<Self::Batch, TrainError> {
        let rows = &self.epoch[step.batch];
        let mut rng = step.rng();
        let views = [0, 1].map(|_| self.digits.views(rows, &mut rng)); // of all ranks, in one order
        Ok(views.map(|view| tensor(view, &self.on).slice([step.share(rows.len())])))
    }
    fn losses(&mut self, model: &Encoder, [first, second]: &Self::Batch, _: Step) -> Result<Weighted, TrainError> {
        let anchors = model.project(first.clone().autodiff());
        let loss = match &self.memory {
            Some(memory) => {
                let keys = Tensor::from_inner(memory.keys.project(second.clone()));
                self.moco.loss(anchors, keys, &memory.queue)
            }
            None => self.nt_xent.loss(anchors, model.project(second.clone().autodiff())),
        };
        Ok(vec![("contrast", loss)])
    }
    fn after_step(&mut self, model: &Encoder, [_, second]: &Self::Batch, step: Step) {
        if let Some(memory) = &mut self.memory {
            memory.queue.push(memory.keys.project(second.clone()));
            memory.keys = memory.ema.update(model, memory.keys.clone(), step.global);
        }
    }
    fn state(&self) -> State {
        self.memory.as_ref().map_or_else(State::new, Memory::state)
    }
    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.memory.as_mut().map_or(Ok(()), |memory| memory.load_state(state))
    }
    fn evaluate(&mut self, model: &Encoder) -> Result<Option<Metrics>, TrainError> {
        let [train, test] = self.encoded(model);
        Ok(Some([("knn".to_string(), self.digits.knn(&train, &test).map_err(TrainError::trainee)?)].into()))
    }
    fn artifacts(&self, model: &Encoder) -> Vec<(String, Array2<f32>)> {
        let [train, test] = self.encoded(model);
        vec![("train".into(), train), ("test".into(), test)]
    }
}

/// Over ranks: the exact loss of the global batch, and the queue of all ranks' keys on each.
impl DistributedMethod for SimClr {
    fn distributed_losses(
        &mut self,
        model: &Encoder,
        batch: &Self::Batch,
        step: Step,
        ranks: &Ranks<'_>,
    ) -> Result<Weighted, TrainError> {
        if self.memory.is_some() {
            let rows = batch[0].dims()[0];
            let own = self.losses(model, batch, step)?;
            return own.into_iter().map(|(name, loss)| Ok((name, mean_over_ranks(&loss, rows, ranks)?))).collect();
        }
        let rows = batch.iter().map(|view| model.project(view.clone().autodiff())).collect();
        let inputs = Inputs::self_contrast(Tensor::cat(rows, 0));
        Ok(vec![("contrast", self.nt_xent.objective().distributed_loss(ranks, &inputs)?)])
    }

    fn distributed_after_step(
        &mut self,
        model: &Encoder,
        [first, second]: &Self::Batch,
        step: Step,
        ranks: &Ranks<'_>,
    ) -> Result<(), TrainError> {
        let all = if self.memory.is_some() { gather_rows(second.clone(), ranks)? } else { second.clone() };
        self.after_step(model, &[first.clone(), all], step);
        Ok(())
    }
}

impl SimClr {
    fn encoded(&self, model: &Encoder) -> [Array2<f32>; 2] {
        [&self.digits.train, &self.digits.test].map(|pixels| {
            let rows = model.encoder.forward(tensor(pixels.clone(), &self.on));
            let [n, d] = rows.dims();
            Array2::from_shape_vec((n, d), rows.into_data().iter::<f32>().collect()).expect("n rows of width d")
        })
    }
}

fn tensor(rows: Array2<f32>, (device, dtype): &(Device, DType)) -> Tensor<2> {
    let shape = [rows.nrows(), rows.ncols()];
    Tensor::from_data(TensorData::new(rows.into_iter().collect::<Vec<f32>>(), shape), (device, *dtype))
}

#[derive(Parser, Clone, Debug)]
struct Arguments {
    /// Folder with optdigits.tra and optdigits.tes. Without it, generated digits.
    #[arg(long)]
    data: Option<std::path::PathBuf>,
    #[arg(long, default_value_t = 30)]
    epochs: usize,
    /// A budget in steps instead.
    #[arg(long)]
    steps: Option<usize>,
    /// Rows of a global batch.
    #[arg(long, default_value_t = 256)]
    batch: usize,
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    #[arg(long, default_value_t = 0.2)]
    temperature: f64,
    /// MoCo: so many keys of past batches as negatives.
    #[arg(long)]
    queue: Option<usize>,
    #[arg(long, default_value_t = 0.99)]
    momentum: f64,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// f64 instead of f32.
    #[arg(long)]
    double: bool,
    #[arg(long)]
    run_dir: Option<std::path::PathBuf>,
    #[arg(long)]
    resume: bool,
    /// Ranks as threads of this process.
    #[arg(long)]
    ranks: Option<usize>,
    /// Rank 1 fails in this step.
    #[arg(long)]
    fail_at: Option<usize>,
}

impl Arguments {
    fn training(&self) -> Result<Training<SimClr>, Box<dyn Error>> {
        let digits = Digits::open(self.data.as_deref())?;
        let device = Device::default();
        let dtype = if self.double { DType::F64 } else { DType::F32 };
        let on = (&device.clone().autodiff(), dtype);
        let mlp = |input, width, output| {
            MlpHeadConfig::new(input, width, output).with_hidden_norm(false).with_hidden_bias(true)
        };
        let model = Encoder {
            encoder: mlp(PIXELS, 256, 128).init(self.seed, on)?,
            projector: mlp(128, 128, 64).init(self.seed + 1, on)?,
        };
        let queue = self.queue.map(|capacity| Queue::new(capacity, 64, (&device, dtype))).transpose()?;
        let ema = Ema::constant(self.momentum)?;
        let memory = queue.map(|queue| Memory { keys: model.clone().valid(), queue, ema });
        let batches = Batches::shuffled(digits.train.nrows(), self.batch)?.dropping_last();
        let temperature = self.temperature;
        let (nt_xent, moco) = (NtXent::new(temperature)?, Moco::new(temperature)?);
        let on = (device, dtype);
        let method = SimClr { digits, batches, epoch: Vec::new(), temperature, nt_xent, moco, memory, on };
        let config = TrainingConfig::new(Budget::Epochs(self.epochs), self.batch, self.lr)
            .with_optimiser(OptimiserConfig::adam_w(1e-4))
            .with_group(Group::plain_norms_and_biases());
        Ok(Training::new(method, model, &config, self.seed)?)
    }

    fn options(&self) -> FitOptions {
        let budget = self.steps.map_or(Budget::Epochs(self.epochs), Budget::Steps);
        let options = FitOptions::new(&Device::default()).budget(budget).seed(self.seed).evaluate_every(10);
        match &self.run_dir {
            Some(folder) => options.run_dir(folder).resume(self.resume),
            None => options,
        }
    }

    /// One rank of a group; `--fail-at` steps by hand, to show what becomes of the others.
    fn rank(&self, communicator: &dyn Communicator) -> Result<Trained<SimClr>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut training = self.training().map_err(|e| text(&e))?.distributed(Ranks::all_gather(communicator));
        for step in 0..self.fail_at.unwrap_or(0) {
            training.train_step().map_err(|e| text(&e))?;
            if communicator.rank() == 1 && Some(step + 1) == self.fail_at {
                return Err(format!("rank 1 fails after step {step}, as --fail-at wanted"));
            }
        }
        training.fit(&self.options()).map_err(|e| text(&e))
    }
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let start = arguments.training()?;
    let untrained = start.method().encoded(&start.trained_model());
    let trained = match arguments.ranks {
        Some(world) => in_process(world, |communicator| arguments.rank(communicator))?.swap_remove(0),
        #[cfg(feature = "mpi")]
        None if std::env::var_os("OMPI_COMM_WORLD_SIZE").is_some() || std::env::var_os("PMI_SIZE").is_some() => {
            let (rank, trained) = contrastive::distributed::mpi_ranks(|communicator| {
                arguments.rank(communicator).map(|trained| (communicator.rank(), trained))
            })?;
            if rank > 0 {
                return Ok(());
            }
            trained
        }
        None => start.fit(&arguments.options())?,
    };
    let method = &trained.method;
    let digits = &method.digits;
    let tables = [
        ("pixels", [digits.train.clone(), digits.test.clone()]),
        ("untrained encoder", untrained),
        (method.name(), method.encoded(&trained.model)),
    ];
    println!("{}: {} rows, {} steps", digits.name, digits.train.nrows(), trained.report.steps);
    println!("{:<18} {:>8} {:>13}", "", "20-NN", "linear probe");
    for (name, [train, test]) in tables {
        println!("{name:<18} {:>8.4} {:>13.4}", digits.knn(&train, &test)?, digits.probe(&train, &test)?);
    }
    let sum: f64 = method.encoded(&trained.model)[1].iter().map(|x| f64::from(*x)).sum();
    println!("sum of the test embeddings {sum:.12e}");
    Ok(())
}
