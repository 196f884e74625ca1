//! One batch over several ranks: InfoNCE whose negatives are the keys of all ranks, with the gradient of one process.
//!
//! ```text
//! cargo run --release --example distributed_infonce -- --in-process 4
//! cargo build --release --example distributed_infonce --features mpi
//! mpirun -np 4 target/release/examples/distributed_infonce --exchange ring
//! ```
//!
//! Every rank makes its part of a generated batch (pairs of noisy views), encodes it, takes the loss over all ranks, and adds
//! its encoder's gradients to those of the others. Then it does the whole batch alone, and compares. `--fail` shows that a run
//! with a lost rank ends with an error.

use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor, TensorData};
use clap::{Parser, ValueEnum};
use contrastive::Device;
use contrastive::distributed::{
    Communicator, DistributedError, Exchange, Floats, Metered, Ranks, in_process, sum_gradients,
};
use contrastive::objective::{InfoNce, Inputs};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::ops::Range;

#[derive(Parser, Clone)]
struct Options {
    /// Ranks as threads of this process; without it, those that mpirun started.
    #[arg(long)]
    in_process: Option<usize>,
    /// Pairs in the batch; the ranks' parts differ by a few.
    #[arg(long, default_value_t = 4096)]
    pairs: usize,
    /// Width of the representations.
    #[arg(long, default_value_t = 64)]
    width: usize,
    #[arg(long, value_enum, default_value = "ring")]
    exchange: Keys,
    /// f64 instead of f32.
    #[arg(long)]
    double: bool,
    /// What becomes of the last rank.
    #[arg(long, value_enum)]
    fail: Option<Fail>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Keys {
    Gathered,
    Ring,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Fail {
    Exit,
    Panic,
    Error,
}

const INPUTS: usize = 32;

fn numbers(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX) - 0.5).collect()
}

impl Options {
    fn tensor<const D: usize>(&self, values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        let dtype = if self.double { DType::F64 } else { DType::F32 };
        let data = TensorData::new(values, shape).convert_dtype(dtype);
        Tensor::from_data(data, (&Device::default().autodiff(), dtype))
    }

    fn encoder(&self) -> Linear {
        let mut encoder: Linear =
            LinearConfig::new(INPUTS, self.width).with_bias(false).init(&Device::default().autodiff());
        let weight = self.tensor(numbers(1, INPUTS * self.width), [INPUTS, self.width]);
        encoder.weight = Param::from_tensor(weight.require_grad());
        encoder
    }

    /// Two noisy views of things; each has its own seed, so that a rank makes its part alone.
    fn views(&self, things: Range<usize>) -> [Tensor<2>; 2] {
        let n = things.len();
        [1, 2].map(|view| {
            let row = |i: usize| {
                let (thing, noise) = (numbers(3 * i as u64 + 7, INPUTS), numbers(3 * i as u64 + 7 + view, INPUTS));
                thing.into_iter().zip(noise).map(|(x, e)| x + 0.5 * e)
            };
            self.tensor(things.clone().flat_map(row).collect(), [n, INPUTS])
        })
    }
}

/// The most memory this process has had, in MiB; 0 where the system does not say.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    line.unwrap_or(0.0) / 1024.0
}

fn rank(options: &Options, communicator: &dyn Communicator) -> Result<(), DistributedError> {
    let communicator = Metered::new(communicator);
    let (rank, world) = (communicator.rank(), communicator.world());
    // parts that are not equal
    let start = |r: usize| if r == world { options.pairs } else { options.pairs * r / world + r };
    let encoder = options.encoder();
    let objective = InfoNce::new(0.1).expect("a temperature above 0").objective().clone();
    let exchange = if matches!(options.exchange, Keys::Ring) { Exchange::Ring } else { Exchange::AllGather };
    let encode = |things| options.views(things).map(|x| encoder.forward(x));
    let [queries, keys] = encode(start(rank)..start(rank + 1));
    if rank + 1 == world {
        match options.fail {
            Some(Fail::Exit) => std::process::exit(3),
            Some(Fail::Panic) => panic!("as --fail wanted"),
            Some(Fail::Error) => {
                return Err(contrastive::error::ObjectiveError::Contradiction("as --fail wanted").into());
            }
            None => {}
        }
    }

    let loss = objective.distributed_loss(&Ranks::new(&communicator, exchange), &Inputs::new(queries, keys))?;
    let mine = GradientsParams::from_grads(loss.backward(), &encoder);
    let summed = sum_gradients(&communicator, &encoder, mine)?;
    let (sent, peak) = (communicator.sent(), peak());

    // the whole batch in one process
    let [queries, keys] = encode(0..options.pairs);
    let whole = objective.loss(&Inputs::new(queries, keys));
    let alone = GradientsParams::from_grads(whole.backward(), &encoder);
    let gradient = |g: &GradientsParams| g.get::<2>(encoder.weight.id).expect("a gradient of the weights");
    let largest = |x: Tensor<2>| Floats::of(x.abs().max()).into_f64()[0];
    let off = largest(gradient(&summed) - gradient(&alone)) / largest(gradient(&alone));
    let [loss, whole] = [loss, whole].map(|x| Floats::of(x).into_f64()[0]);
    let report = Floats::F64(vec![loss, whole, off, sent as f64, peak, (start(rank + 1) - start(rank)) as f64]);
    for (r, line) in
        communicator.all_gather(report)?.into_iter().map(Floats::into_f64).enumerate().filter(|_| rank == 0)
    {
        println!(
            "rank {r} of {world}: {} pairs, loss {:.10} (one process {:.10}), gradient off by {:.1e}, {:.2} MB sent, peak {:.0} MiB",
            line[5],
            line[0],
            line[1],
            line[2],
            line[3] / 1e6,
            line[4]
        );
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    if let Some(world) = options.in_process {
        in_process(world, |communicator| rank(&options, communicator)).map_err(|failure| failure.to_string())?;
        println!("{world} threads share the memory of one process");
        return Ok(());
    }
    #[cfg(feature = "mpi")]
    contrastive::distributed::mpi_ranks(|communicator| rank(&options, communicator))?;
    #[cfg(not(feature = "mpi"))]
    return Err("built without MPI: --in-process RANKS, or build with --features mpi".into());
    #[cfg(feature = "mpi")]
    Ok(())
}
