//! Contrastive UCB in a combination lock for one agent and for two: which bonus pays for exploration?
//! `cargo run --release --example contrastive_ucb -- [--seeds 3] [--world lock|game] [--observations 3] [--iterations 300]`
//!
//! Every iteration: two transitions for each step of the world, features fitted to all data so far by telling next states from noise,
//! a bonus in these features, optimistic planning, and the exact regret. The worlds are generated; nothing is read from disk.

use clap::{Parser, ValueEnum};
use contrastive::Device;
use contrastive::rl::method::ucb::{Bonus, GameConfig, TableLoss, UcbConfig};
use contrastive::rl::world::{LockGame, LockMdp, LockSettings};
use contrastive::train::FitOptions;
use std::error::Error;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum World {
    Lock,
    Game,
    Both,
}

#[derive(Parser, Debug)]
struct Arguments {
    /// Runs of each bonus.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// The world.
    #[arg(long, value_enum, default_value_t = World::Both)]
    world: World,
    /// Iterations (the study: 300 in the lock, 200 in the game).
    #[arg(long)]
    iterations: Option<usize>,
    /// Observations of each hidden state of the lock.
    #[arg(long, default_value_t = 3)]
    observations: usize,
    /// Width of the features in the lock.
    #[arg(long, default_value_t = 3)]
    dim: usize,
    /// Steps of fitting for each step of the world, each iteration.
    #[arg(long, default_value_t = 60)]
    fit_steps: usize,
    /// Fresh tables tried every 50 iterations.
    #[arg(long, default_value_t = 0)]
    restarts: usize,
    /// Noise states against each real one: InfoNCE instead of the binary loss.
    #[arg(long)]
    noise: Option<usize>,
    /// Folder for the curves, one run folder a run; runs in it are resumed.
    #[arg(long)]
    run_dir: Option<std::path::PathBuf>,
}

impl Arguments {
    fn options(&self, name: &str, seed: u64, iterations: usize) -> FitOptions {
        let options = FitOptions::new(&Device::flex()).epochs(iterations).seed(seed).progress(false);
        match &self.run_dir {
            Some(folder) => options.run_dir(folder.join(format!("{name}-{seed}"))).resume(true),
            None => options,
        }
    }
}

const BONUSES: [(&str, Bonus); 4] = [
    ("learned", Bonus::Learned),
    ("none", Bonus::None),
    ("true features", Bonus::TrueFeatures),
    ("counts", Bonus::Counts),
];

fn lock(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let iterations = arguments.iterations.unwrap_or(300);
    println!(
        "\nLock: {iterations} iterations; first iteration with regret below .1 and mean regret of the last 50, by seed"
    );
    println!("{:<14} {:>24} {:>28} {:>8}", "bonus", "first below .1", "last 50", "s a run");
    for (name, bonus) in BONUSES {
        let config = UcbConfig::new().with_bonus(bonus).with_dim(arguments.dim).with_fit_steps(arguments.fit_steps);
        let loss = arguments.noise.map_or(TableLoss::Binary, |noise| TableLoss::InfoNce { noise });
        let config = config.with_restarts(arguments.restarts).with_loss(loss);
        let (mut first, mut late) = (Vec::new(), Vec::new());
        let start = Instant::now();
        for seed in 0..arguments.seeds {
            let settings = LockSettings { observations: arguments.observations, seed, ..Default::default() };
            let world = LockMdp::new(settings)?;
            let (agent, _) = config.fit(&world, &arguments.options(&format!("lock-{name}"), seed, iterations))?;
            first.push(agent.first_below(0.1).map_or("never".to_string(), |k| k.to_string()));
            late.push(format!("{:.2}", agent.late_regret(50)));
        }
        let seconds = start.elapsed().as_secs_f64() / arguments.seeds as f64;
        println!("{name:<14} {:>24} {:>28} {seconds:>8.2}", first.join(", "), late.join(", "));
    }
    Ok(())
}

fn game(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let iterations = arguments.iterations.unwrap_or(200);
    println!("\nLock game, value .5: {iterations} iterations; means over {} seeds", arguments.seeds);
    println!("{:<14} {:>10} {:>10} {:>10} {:>10}", "bonus", "first gap", "last gap", "lower", "upper");
    for (name, bonus) in BONUSES {
        let mut sums = [0.0; 4];
        for seed in 0..arguments.seeds {
            let world = LockGame::new(LockGame::settings(seed))?;
            let config = GameConfig::new().with_bonus(bonus).with_fit_steps(arguments.fit_steps);
            let (game, _) = config.fit(&world, &arguments.options(&format!("game-{name}"), seed, iterations))?;
            let (first, last) = (game.history()[0], game.history()[iterations - 1]);
            let values = [first.gap, last.gap, last.lower, last.upper];
            sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += x / arguments.seeds as f64);
        }
        println!("{name:<14} {:>10.3} {:>10.3} {:>10.3} {:>10.3}", sums[0], sums[1], sums[2], sums[3]);
    }
    Ok(())
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if arguments.world != World::Game {
        lock(&arguments)?;
    }
    if arguments.world != World::Lock {
        game(&arguments)?;
    }
    Ok(())
}
