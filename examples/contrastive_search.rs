//! Contrastive search and SimCTG (Su et al., NeurIPS 2022): decoders compared on a small language model, and the training that makes its states isotropic.
//! `cargo run --release --example contrastive_search -- --data ../shared/data/wikitext-2`
//!
//! Two GPT-2 blocks of width 128 on 245,569 words stand for GPT-2 on WikiText-103 (where diversity is greedy .05, nucleus .94, contrastive .93): only the
//! order of the rows compares. Log-probability is that of the continuation under a second model, of another seed.

use clap::Parser;
use contrastive::Device;
use contrastive::eval::generation::{NGrams, Repetition};
use contrastive::nn::encoder::{TokenEncoderConfig, TransformerConfig};
use contrastive::text::data::{TokenStream, generated_words, read_words};
use contrastive::text::decode::*;
use contrastive::text::encoder::{CausalConfig, CausalModel};
use contrastive::text::method::CausalTrainingConfig;
use contrastive::train::{Budget, Clipping, Group, MethodConfig, OptimiserConfig, Schedule, TrainingConfig};
use std::error::Error;
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Contrastive search and SimCTG on a small language model")]
struct Arguments {
    /// The folder of WikiText-2, whose test part is trained on (it has no training part) and whose valid part gives the prompts; generated without.
    #[arg(long)]
    data: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// Most words of the vocabulary.
    #[arg(long, default_value_t = 4000)]
    words: usize,
    #[arg(long, default_value_t = 50)]
    prompts: usize,
    /// New tokens after each prompt of 32.
    #[arg(long, default_value_t = 100)]
    new: usize,
    #[arg(long, default_value_t = 5)]
    k: usize,
    #[arg(long, default_value_t = 0.6)]
    alpha: f64,
    /// rho of SimCTG.
    #[arg(long, default_value_t = 0.5)]
    rho: f64,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let (train, valid, width, prompts, new) = match &arguments.data {
        Some(folder) => {
            let read = |part| read_words(&folder.join(part));
            (read("test.txt")?, read("valid.txt")?, 128, arguments.prompts, arguments.new)
        }
        None => {
            eprintln!(
                "no --data: using GENERATED sentences of seven words; a smaller model, eight prompts, 40 new tokens"
            );
            (generated_words(600, 1), generated_words(100, 2), 32, 8, 40)
        }
    };
    let (stream, vocabulary) = TokenStream::of_words("text", &train, &valid, 2, arguments.words)?;
    let length = 32 + new;
    println!(
        "{} words to train on, {} to validate on, vocabulary {}, {prompts} prompts",
        train.len(),
        valid.len(),
        stream.vocabulary
    );
    let batch = 8;
    let steps = arguments.epochs * (stream.train.len() / length / batch);
    let blocks = TransformerConfig::gpt2(width, 4, 2);
    let model = CausalConfig::new(TokenEncoderConfig::gpt2(stream.vocabulary, length, blocks)).with_dropout(0.1);
    let training = TrainingConfig::new(Budget::Epochs(arguments.epochs), batch, 2e-3)
        .with_optimiser(OptimiserConfig::adam_w(0.01))
        .with_group(Group::plain_norms_and_biases())
        .with_schedule(Schedule::linear(0.1).with_warm_up(steps / 10).with_length(steps))
        .with_clipping(Clipping::Norm(1.0));
    let config = CausalTrainingConfig::new(model).with_length(length).with_training(training);
    let fit = |rho: f64, seed: u64| -> Result<(CausalModel, [f64; 2]), Box<dyn Error>> {
        let mut training = config.clone().with_margin(rho).build(&stream, seed, &Device::default())?;
        (0..arguments.epochs).try_for_each(|_| training.train_epoch().map(drop))?;
        let model = training.trained_model();
        let measured = training.method().validation(&model)?.ok_or("no sequence to validate on")?;
        Ok((model, measured))
    };
    let prompts = Prompts::new(stream.prompts(prompts, 32))?;
    let search = ContrastiveSearch::new(arguments.k, arguments.alpha);
    let decoders = [
        ("greedy", Decoding::Greedy),
        ("beam 4", Decoding::Beam { width: 4, length_penalty: 1.0 }),
        ("top-k 50", Decoding::TopK { k: 50.min(stream.vocabulary) }),
        ("nucleus .95", Decoding::Nucleus { p: 0.95 }),
        ("typical .95", Decoding::Typical { mass: 0.95 }),
        ("contrastive", Decoding::Contrastive(search)),
        ("contrastive, two drawn first", Decoding::Contrastive(search.with_start(DiverseStart { tokens: 2, p: 0.95 }))),
    ];
    for seed in 1..=arguments.seeds {
        let (plain, [plain_loss, plain_isotropy]) = fit(0.0, seed)?;
        let (judge, _) = fit(0.0, 1000 + seed)?;
        let (contrast, [loss, isotropy]) = fit(arguments.rho, seed)?;
        println!("\nseed {seed}\n| rho | validation loss | isotropy |\n|---|---|---|");
        println!("| 0 | {plain_loss:.3} | {plain_isotropy:.3} |\n| {} | {loss:.3} | {isotropy:.3} |", arguments.rho);
        println!(
            "| model | decoder | rep-2 | rep-3 | rep-4 | diversity | log-probability |\n|---|---|---|---|---|---|---|"
        );
        for (name, model) in [("rho 0", &plain), ("SimCTG", &contrast)] {
            for (decoder, decoding) in decoders {
                let decoded = Decoder::new(decoding, new).with_seed(seed).decode(model, &prompts)?;
                decoded.notes.iter().for_each(|note| eprintln!("{name}, {decoder}: {note}"));
                let texts: Vec<Vec<u32>> = decoded.texts.into_iter().map(|text| text.tokens).collect();
                let (repetition, log) =
                    (Repetition::of(&texts, NGrams::All), mean_log_probability(&judge, &prompts, &texts)?);
                let [two, three, four] = [2, 3, 4].map(|n| repetition.rep(n));
                println!(
                    "| {name} | {decoder} | {two:.1} | {three:.1} | {four:.1} | {:.3} | {log:.2} |",
                    repetition.diversity()
                );
                if seed == 1 && decoder == "contrastive" {
                    eprintln!("{name}: {}", vocabulary.text(&texts[0]));
                }
            }
        }
    }
    Ok(())
}
