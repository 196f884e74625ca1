//! Embeds a sentence a line, or a column of a table, with a model of one's own or a folder in the layout of Hugging Face.
//! `cargo run --release --example embed_sentences -- --data lines.txt --model all-MiniLM-L6-v2 --out rows.npy`
//!
//! Rows come in the order of the lines. A run that was stopped goes on where it was: parts of 4,096 sentences are kept beside the
//! output until it is complete. Without `--data`, generated sentences and a small untrained encoder, said aloud.

use clap::Parser;
use contrastive::data::{Array, Column, Digest, Limits};
use contrastive::text::data::generate::{GenerateOptions, paraphrases};
use contrastive::text::data::{Tokens, read_sentences};
use contrastive::text::encoder::{BertOptions, Embed, Embedder, Pool, SentenceEncoder, SmallEncoderConfig};
use contrastive::train::write_npy;
use contrastive::{Device, exit_code};
use ndarray::{Array2, Axis, Ix2, concatenate};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Parser)]
#[command(about = "Sentences in, rows out")]
struct Arguments {
    /// A text file, or a table with --column.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The column of the sentences, by name or by position from 0.
    #[arg(long)]
    column: Option<Column>,
    /// A folder with config.json, vocabulary and weights, or a file of this library.
    #[arg(long)]
    model: Option<PathBuf>,
    /// cls, cls_head, mean, max, first_last or last_two; without it, what the folder says.
    #[arg(long)]
    pool: Option<String>,
    /// Where the rows go.
    #[arg(long, default_value = "target/sentences.npy")]
    out: PathBuf,
    /// Rows of length 1.
    #[arg(long)]
    unit: bool,
}

/// Sentences in a part.
const PART: usize = 4096;

fn main() -> ExitCode {
    exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let texts = match &arguments.data {
        Some(path) => {
            let read = read_sentences(path, arguments.column.as_ref())?;
            read.notes.iter().for_each(|note| println!("  {note}"));
            read.texts
        }
        None => {
            println!("generated sentences (give --data for your own)");
            paraphrases(&GenerateOptions { sentences: 200, ..GenerateOptions::default() }).sentences
        }
    };
    let pool = arguments.pool.map(|pool| serde_json::from_value::<Pool>(pool.into())).transpose()?;
    let model = match &arguments.model {
        Some(path) => {
            let (model, notes) = Embedder::read(path, &BertOptions { pool }, &Device::default())?;
            notes.iter().for_each(|note| println!("  {note}"));
            model
        }
        None => {
            println!("an untrained encoder of random word vectors (give --model for a trained one)");
            let (config, tokens) = (SmallEncoderConfig::new(), Arc::new(Tokens::words(&texts, 1, 64)?));
            let encoder = config.init(tokens.size(), &mut ChaCha8Rng::seed_from_u64(1), &Device::default())?;
            Embedder::small(&SentenceEncoder::Small(encoder), None, &config, tokens)
        }
    };
    let folder = arguments.out.with_extension("parts");
    std::fs::create_dir_all(&folder)?;
    let (count, mut rows) = (texts.len(), Vec::new());
    for (at, part) in texts.chunks(PART).enumerate() {
        let texts: Vec<&str> = part.iter().map(String::as_str).collect();
        // a part is taken again only if its sentences and the model's path are the same
        let name = arguments.model.as_deref().map_or("none".into(), |path| path.display().to_string());
        let digest = texts.iter().fold(Digest::new().text(&name), |digest, text| digest.text(text));
        let path = folder.join(format!("{at}-{digest}-{pool:?}.npy"));
        if !path.is_file() {
            write_npy(&path, &model.embed(&texts)?)?;
        }
        rows.push(Array::read(&path, &Limits::default())?.to_f32()?.into_dimensionality::<Ix2>()?);
        println!("{} of {} sentences", at * PART + part.len(), count);
    }
    let views: Vec<_> = rows.iter().map(|part| part.view()).collect();
    let mut all: Array2<f32> = concatenate(Axis(0), &views)?;
    if arguments.unit {
        for mut row in all.rows_mut() {
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            row.iter_mut().for_each(|x| *x /= length);
        }
    }
    write_npy(&arguments.out, &all)?;
    std::fs::remove_dir_all(&folder)?;
    println!("{:?} to {}", all.dim(), arguments.out.display());
    Ok(())
}
