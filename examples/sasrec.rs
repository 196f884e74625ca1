//! SASRec (Kang and McAuley, ICDM 2018): tell the next item from all others with a causal transformer over the last ones.
//! `cargo run --release --example sasrec -- --data Beauty.txt --core 8`
//!
//! Smaller than published unless `--full`: width 32, one block, lists of at most 20. Published (Beauty, full ranking, sampled negatives):
//! HR@20 0.0894, NDCG@20 0.0386.

mod shared {
    pub mod sequences;
}

use clap::Parser;
use contrastive::eval::ranking::Seen;
use contrastive::seqrec::data::Part;
use contrastive::seqrec::method::SequenceModel;
use contrastive::train::MethodConfig;
use shared::sequences::Run;
use std::error::Error;

#[derive(Parser)]
#[command(about = "SASRec: self-attentive sequential recommendation")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    /// Recommend after these item labels.
    #[arg(long, value_delimiter = ',')]
    after: Vec<String>,
    /// Write the trained model here.
    #[arg(long)]
    save: Option<std::path::PathBuf>,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let Arguments { run, after, save } = Arguments::parse();
    let (data, generated) = run.dataset()?;
    let config = run.base()?;
    run.floor(&data, generated.as_ref())?;
    if run.by_hand {
        let (method, encoder) = config.parts(&data, run.seed, &run.device()?)?;
        return run.by_hand(method, encoder, &data);
    }
    run.untrained(&data, &config)?;
    run.train("sasrec", &data, &config)?;
    if after.is_empty() && save.is_none() {
        return Ok(());
    }
    // one more training, to keep its model
    let mut training = config.build(&data, run.seed, &run.device()?)?;
    for _ in 0..run.epochs {
        training.train_epoch()?;
    }
    let model = SequenceModel::of_training(&training);
    println!("test NDCG@10 {:.4}", model.evaluate(&data, Part::Test, run.seen)?.ndcg(10));
    if let Some(path) = save {
        model.save(&path)?;
        println!("model in {}", path.display());
    }
    if !after.is_empty() {
        let best = model.recommend_labels(&after, 5, Seen::Exclude)?;
        println!("after {after:?}: {:?}; unknown: {:?}", best.items, best.unknown);
    }
    Ok(())
}
