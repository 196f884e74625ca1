//! What the examples of sentence embeddings share: the command line, the data, and a row of the table.

use clap::Args;
use contrastive::Device;
use contrastive::data::text::split_words;
use contrastive::eval::Summary;
use contrastive::text::TextError;
use contrastive::text::data::generate::{GenerateOptions, paraphrases};
use contrastive::text::data::*;
use contrastive::text::encoder::{Embed, Embedder, SentenceEncoder, SmallEncoderConfig};
use contrastive::text::evaluate::{Protocol, geometry, length_bias, sts_pairs, sts_set};
use contrastive::text::method::SentenceModel;
use contrastive::train::{Budget, FitOptions, Method, MethodConfig, Schedule, TrainingConfig};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::collections::HashSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The command line of a run.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The folder with `sts`, `sick` and `snli-dev-test` (SentEval's layout); without it, generated paraphrases.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Seeds 1, 2, ...: the table has the mean and the deviation over them.
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// Steps of a training.
    #[arg(long, default_value_t = 270)]
    pub steps: usize,
    /// Sentences in a batch.
    #[arg(long, default_value_t = 128)]
    pub batch: usize,
    /// The learning rate, which falls to 0.
    #[arg(long, default_value_t = 1e-3)]
    pub rate: f64,
    /// Width of the encoder.
    #[arg(long, default_value_t = 128)]
    pub width: usize,
    /// Blocks of a transformer between words and their mean.
    #[arg(long, default_value_t = 0)]
    pub layers: usize,
    /// Share of numbers dropped.
    #[arg(long, default_value_t = 0.1)]
    pub dropout: f64,
    /// Leaves the sentences of STS-B dev and test out of what is learnt from.
    #[arg(long)]
    pub without_evaluated: bool,
}

/// Sentences, pairs and triples to learn from, and what is evaluated on.
pub struct TextSets {
    /// Sentences, with the validation pairs.
    pub corpus: Corpus,
    /// STS-B dev.
    pub validation: ScoredPairs,
    /// STS-B test.
    pub test: ScoredPairs,
    /// The years of STS, and SICK.
    pub sets: Vec<StsSet>,
    /// Pairs of a gold score of 4 or more.
    pub pairs: Vec<[String; 2]>,
    /// Premises and what follows.
    pub entailments: Vec<[String; 2]>,
    /// Premise, entailment, contradiction.
    pub triples: Vec<[String; 3]>,
}

impl Run {
    /// Reads or generates the data, and says what it is.
    pub fn sets(&self) -> Result<TextSets, Box<dyn Error>> {
        let sets = match &self.data {
            Some(folder) => self.read(folder)?,
            None => {
                println!(
                    "generated paraphrases (give --data for STS, SICK and SNLI): templates, synonyms, known similarity"
                );
                let all = paraphrases(&GenerateOptions::default());
                let tokens = Arc::new(Tokens::words(&all.sentences, 1, 64)?);
                let corpus =
                    Corpus::sentences("generated", &all.sentences, tokens, 32)?.with_validation(&all.validation)?;
                let entailments = all.triples.iter().map(|[a, b, _]| [a.clone(), b.clone()]).collect();
                let [test, pairs] = [all.test.subsets[0].clone(), all.test.subsets[1].clone()];
                let (sets, pairs) = (vec![all.test], pairs.at_least(4.0));
                TextSets { corpus, validation: all.validation, test, sets, pairs, entailments, triples: all.triples }
            }
        };
        let (corpus, count) = (&sets.corpus, sets.corpus.len());
        let words: usize = corpus.texts(0).iter().map(|text| split_words(text).len()).sum();
        println!(
            "{}: {count} sentences of {:.1} words, {} tokens",
            corpus.name(),
            words as f64 / count as f64,
            corpus.tokens().size()
        );
        corpus.notes().iter().for_each(|note| println!("  {note}"));
        Ok(sets)
    }

    fn read(&self, folder: &Path) -> Result<TextSets, Box<dyn Error>> {
        let sts = folder.join("sts");
        let benchmark = |part: &str| read_sts_benchmark(&sts.join(format!("STSBenchmark/sts-{part}.csv")));
        let (train, validation, test) = (benchmark("train")?, benchmark("dev")?, benchmark("test")?);
        let years = (12..17).map(|year| sts.join(format!("STS{year}-en-test"))).filter(|path| path.is_dir());
        let mut sets = years.map(|path| read_sts(&path)).collect::<Result<Vec<_>, _>>()?;
        let sick = |part: &str| read_sick(&folder.join(format!("sick/SICK_{part}.txt")));
        let sick_train = sick("train")?;
        // the sentences of STS15 images are captions of Flickr8k: nothing learns from them
        let learnt = sets.iter().flat_map(|set| set.subsets.iter().map(move |subset| (set.name.as_str(), subset)));
        let learnt = learnt.filter(|(year, subset)| !(year.contains("15") && subset.name == "images"));
        let mut texts: Vec<String> = learnt.flat_map(|(_, subset)| subset.all_sentences()).map(String::from).collect();
        texts.extend(sick_train.sentences().chain(train.sentences()).map(String::from));
        if self.without_evaluated {
            let evaluated: HashSet<&str> = validation.sentences().chain(test.sentences()).collect();
            texts.retain(|text| !evaluated.contains(text.as_str()));
        }
        let snli = folder.join("snli-dev-test");
        let inference = read_inference(&snli, "dev")?.with(read_inference(&snli, "test")?);
        let (entailments, triples) = (inference.entailments(), inference.triples());
        let all = texts.iter().chain(inference.pairs.iter().flatten());
        let tokens = Arc::new(Tokens::words(all, 1, 4096)?);
        let name = if self.without_evaluated { "STS, SICK without STS-B dev and test" } else { "STS, SICK" };
        let corpus = Corpus::sentences(name, &texts, tokens, 32)?.with_validation(&validation)?;
        sets.push(StsSet { name: "SICK-R".into(), subsets: vec![sick("test_annotated")?] });
        let pairs = train.at_least(4.0);
        Ok(TextSets { corpus, validation, test, sets, pairs, entailments, triples })
    }

    /// The encoder.
    pub fn encoder(&self) -> SmallEncoderConfig {
        let config = SmallEncoderConfig::new().with_width(self.width).with_layers(self.layers);
        config.with_dropout(self.dropout)
    }

    /// So many steps, and a rate that falls to 0.
    pub fn training(&self) -> TrainingConfig {
        let training = TrainingConfig::new(Budget::Steps(self.steps), self.batch, self.rate);
        training.with_schedule(Schedule::linear(0.0))
    }

    /// Random rows of the words, their mean weighted by idf or not: the encoder before training.
    pub fn untrained(&self, corpus: &Corpus, idf: bool, seed: u64) -> Result<Embedder, Box<dyn Error>> {
        let (tokens, mut rng) = (corpus.tokens().clone(), ChaCha8Rng::seed_from_u64(seed));
        let bag = self.encoder().init(tokens.size(), &mut rng, &Device::default())?;
        let bag = if idf { bag.with_weights(tokens.idf(corpus.lists(0))) } else { bag };
        Ok(Embedder::small(&SentenceEncoder::Small(bag), None, &self.encoder(), tokens))
    }

    /// Trains with a seed; `keep` says whether the head is kept.
    pub fn train<C>(
        &self,
        config: &C,
        data: &C::Data,
        corpus: &Corpus,
        keep: bool,
        seed: u64,
    ) -> Result<Embedder, Box<dyn Error>>
    where
        C: MethodConfig<Error = TextError>,
        C::Method: Method<Model = SentenceModel>,
    {
        let options = FitOptions::new(&Device::default()).seed(seed).progress(false).evaluate_every(0);
        let trained = config.fit(data, &options)?;
        Ok(trained.model.embedder(&self.encoder(), keep, corpus))
    }
}

/// What the columns of the table are.
pub fn columns(sets: &TextSets) -> String {
    let years: Vec<&str> = sets.sets.iter().map(|set| set.name.trim_end_matches("-en-test")).collect();
    format!("| row | dev | test | {} | uniformity | alignment | length bias |", years.join(" | "))
}

/// Spearman's correlation times 100 by the protocol "all", geometry on the validation pairs, and the bias of length.
pub fn measured(model: &impl Embed, sets: &TextSets) -> Result<Vec<f64>, TextError> {
    let mut row = vec![100.0 * sts_pairs(model, &sets.validation)?, 100.0 * sts_pairs(model, &sets.test)?];
    for set in &sets.sets {
        row.push(100.0 * sts_set(model, set, Protocol::All)?);
    }
    // generated pairs score 3.75 where three of four parts are the same
    let geometry = geometry(model, &sets.validation, 4.0, &Device::default())?;
    let texts: Vec<&str> = sets.validation.sentences().collect();
    row.extend([geometry.uniformity, geometry.alignment, length_bias(model, &texts, 20_000, 0)?]);
    Ok(row)
}

/// Prints a row: the mean over seeds, and the deviation where there are several.
pub fn print_row(name: &str, runs: &[Vec<f64>]) {
    let cells = (0..runs[0].len()).map(|column| {
        let summary = Summary::of(&runs.iter().map(|run| run[column]).collect::<Vec<_>>());
        let digits = if column + 3 < runs[0].len() { 1 } else { 2 };
        match runs.len() {
            1 => format!("{:.digits$}", summary.mean),
            _ => format!("{:.digits$} ± {:.digits$}", summary.mean, summary.std),
        }
    });
    println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
}
