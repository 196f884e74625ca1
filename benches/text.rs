//! Steps of sentence embeddings and their parts, a batch of 4,096 in chunks, and a folder's model on sentences of STS, in CPU time.
//! `cargo bench --bench text -- [--steps 20] [--sentences 512] [--base 1]`; MiniLM-L6 only where `CONTRASTIVE_MODELS` names its folder; its
//! sentences are those of STS-B (dev) under `CONTRASTIVE_SHARED`, generated ones where it is not set. `--base 1` adds steps of BERT-base's shape;
//! `--chunk 256` ends with a batch of 4,096 in chunks of 256 rows, `--chunk 0` with one in one piece.
//!
//! Measured peer for MiniLM-L6 (sentence-transformers, 512 sentences of 14.8 words): 9.0 CPU ms a sentence at batch 32, 22.0 at batch 1.

use contrastive::Device;
use contrastive::text::data::generate::{GenerateOptions, paraphrases};
use contrastive::text::data::{Corpus, Tokens, read_sts_benchmark};
use contrastive::text::encoder::{BertOptions, Embed, Embedder, SmallEncoderConfig};
use contrastive::text::method::SimCseConfig;
use contrastive::train::{Budget, MethodConfig, TrainingConfig};
use contrastive_kernels::{real, top_k::top_k};
use std::path::PathBuf;
use std::sync::Arc;

/// CPU seconds of this process so far; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Resident memory at its peak, MiB; 0 where the system does not say.
fn peak() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn argument(name: &str, usual: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).and_then(|value| value.parse().ok()).unwrap_or(usual)
}

fn steps(name: &str, encoder: SmallEncoderConfig, corpus: &Corpus, steps: usize) {
    let config = SimCseConfig::new().with_encoder(encoder);
    let config = config.with_training(TrainingConfig::new(Budget::Steps(steps), 128, 1e-3));
    let mut training = config.build(corpus, 1, &Device::default()).expect("settings in range");
    training.train_step().expect("a step");
    let start = cpu_seconds();
    (0..steps).for_each(|_| drop(training.train_step().expect("a step")));
    let spent = (cpu_seconds() - start) / steps as f64;
    let t = training.timing();
    let all = (t.batch + t.losses + t.backward + t.optimiser).as_secs_f64() / 100.0;
    let [batch, losses, backward, optimiser] =
        [t.batch, t.losses, t.backward, t.optimiser].map(|part| part.as_secs_f64() / all);
    println!(
        "{name:28} {:7.1} CPU ms a step; batch {batch:.0}%, encoder and objective {losses:.0}%, backward {backward:.0}%, optimiser {optimiser:.0}%; peak {:.0} MiB",
        1e3 * spent,
        peak()
    );
}

/// One step of 4,096 sentences, whole or in chunks of rows; a process of its own, because the peak is the process's.
fn large(rows: usize, corpus: &Corpus) {
    let config = SimCseConfig::new().with_encoder(SmallEncoderConfig::new().with_layers(1));
    let config = config.with_training(TrainingConfig::new(Budget::Steps(3), 4096, 1e-3));
    let training = config.build(corpus, 1, &Device::default()).expect("settings in range");
    let mut training = if rows > 0 { training.with_gradient_cache(rows).expect("rows") } else { training };
    let (before, start) = (peak(), cpu_seconds());
    training.train_step().expect("a step");
    println!("  {rows:5} {:7.2} CPU s, {:5.0} MiB beyond {before:.0}", cpu_seconds() - start, peak() - before);
}

/// The 10 best of 100,000 code vectors for each of 10,000 queries, width 128, beside the products alone.
fn codebase() {
    let (queries, codes, width) = (10_000, 100_000, 128);
    let rows = |n: usize, seed: usize| -> Vec<f32> {
        (0..n * width).map(|k| (((k + seed) * 7919 % 100_003) as f32 - 50_000.0) / 50_000.0).collect()
    };
    let (q, c) = (rows(queries, 1), rows(codes, 2));
    let start = cpu_seconds();
    let best = top_k(&q, &c, width, 10, None);
    let ranked = cpu_seconds() - start;
    drop(best);
    let (tile, mut out) = (1000, vec![0.0f32; 1000 * 1000]);
    let start = cpu_seconds();
    for from in (0..queries).step_by(tile) {
        for at in (0..codes).step_by(tile) {
            let (a, b) = (&q[from * width..(from + tile) * width], &c[at * width..(at + tile) * width]);
            real::gemm([tile, tile, width], &mut out, [tile, 1], a, [width, 1], b, [1, width], 0.0, 1.0);
        }
    }
    let bare = cpu_seconds() - start;
    println!(
        "10 of {codes} codes for {queries} queries: {ranked:.1} CPU s, products alone {bare:.1}: {:.0} %",
        100.0 * bare / ranked
    );
}

/// Sentences of STS-B's development part, in their order.
fn sts_sentences() -> Option<Vec<String>> {
    let file = PathBuf::from(std::env::var_os("CONTRASTIVE_SHARED")?).join("data/sts/STSBenchmark/sts-dev.csv");
    Some(read_sts_benchmark(&file).ok()?.sentences().map(String::from).collect())
}

fn main() {
    let count = argument("--steps", 20);
    let options = GenerateOptions { sentences: 20_000, ..GenerateOptions::default() };
    let sentences = paraphrases(&options).sentences;
    // 24,000 rows, as a corpus of STS has
    let tokens = Arc::new(Tokens::words(&sentences, 1, 24_000).expect("words"));
    let corpus = Corpus::sentences("generated", &sentences, tokens, 32).expect("sentences");
    steps("bag of words, width 128", SmallEncoderConfig::new(), &corpus, count);
    steps("the same without dropout", SmallEncoderConfig::new().with_dropout(0.0), &corpus, count);
    steps("one block, width 128", SmallEncoderConfig::new().with_layers(1), &corpus, count);
    if argument("--base", 0) > 0 {
        let base = SmallEncoderConfig::new().with_width(768).with_layers(12).with_heads(12);
        steps("BERT-base's shape", base, &corpus, 1);
    }
    codebase();
    match argument("--chunk", usize::MAX) {
        usize::MAX => {}
        rows => return large(rows, &corpus),
    }
    let Some(folder) = std::env::var_os("CONTRASTIVE_MODELS").map(PathBuf::from) else {
        println!("MiniLM-L6: skipped, CONTRASTIVE_MODELS names no folder");
        return;
    };
    let (model, _) = Embedder::read(&folder, &BertOptions::default(), &Device::default()).expect("a model");
    let sentences = sts_sentences().unwrap_or(sentences);
    // evenly over the file: captions come first and are short
    let wanted = argument("--sentences", 512);
    let apart = sentences.iter().step_by((sentences.len() / wanted.max(1)).max(1));
    let texts: Vec<&str> = apart.take(wanted).map(String::as_str).collect();
    let words = texts.iter().map(|text| text.split_whitespace().count()).sum::<usize>() as f64 / texts.len() as f64;
    println!("{} sentences of {words:.1} words", texts.len());
    for batch in [32, 1] {
        let start = cpu_seconds();
        texts.chunks(batch).for_each(|part| drop(model.embed(part).expect("rows")));
        let each = 1e3 * (cpu_seconds() - start) / texts.len() as f64;
        println!("a folder's model, batch {batch:2}: {each:.1} CPU ms a sentence; peak {:.0} MiB", peak());
    }
}
