//! Templated sentences whose similarity is known.

use super::{ScoredPairs, StsSet};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Who, what is done, to what, and where: words of a row mean the same.
const SLOTS: [&[&[&str]]; 4] = [
    &[
        &["man", "guy", "gentleman"],
        &["woman", "lady"],
        &["child", "kid", "youngster"],
        &["dog", "hound", "puppy"],
        &["cat", "kitten"],
        &["doctor", "physician"],
        &["teacher", "instructor"],
        &["soldier", "trooper"],
        &["farmer", "grower"],
        &["sailor", "seaman"],
        &["singer", "vocalist"],
        &["painter", "artist"],
    ],
    &[
        &["carries", "hauls"],
        &["watches", "observes"],
        &["cleans", "washes"],
        &["repairs", "fixes", "mends"],
        &["buys", "purchases"],
        &["finds", "discovers"],
        &["hides", "conceals"],
        &["throws", "tosses"],
        &["draws", "sketches"],
        &["sells", "vends"],
    ],
    &[
        &["ball", "sphere"],
        &["car", "automobile"],
        &["box", "crate"],
        &["stone", "rock"],
        &["bicycle", "bike"],
        &["picture", "photograph"],
        &["jacket", "coat"],
        &["boat", "vessel"],
        &["lamp", "lantern"],
        &["book", "volume"],
        &["bottle", "flask"],
        &["guitar", "instrument"],
    ],
    &[
        &["street", "road"],
        &["forest", "woods"],
        &["shop", "store"],
        &["beach", "shore"],
        &["garden", "yard"],
        &["kitchen", "galley"],
        &["harbour", "port"],
        &["school", "academy"],
    ],
];

/// How the four stand in a sentence; the words around them say nothing.
const TEMPLATES: [&str; 6] = [
    "the W V the O in the P",
    "in the P the W V the O",
    "there is a W in the P and it is the W that V the O there",
    "it is said that a W V a O at the P",
    "a W V a O near the P",
    "at the P one can see that the W V the O once again and again",
];

/// How much is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Sentences to learn from.
    pub sentences: usize,
    /// Scored pairs for validation, and as many for the test.
    pub pairs: usize,
    /// Triples of sentence, paraphrase and contradiction.
    pub triples: usize,
    /// The seed.
    pub seed: u64,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { sentences: 3000, pairs: 400, triples: 600, seed: 0 }
    }
}

/// What was generated.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// Sentences without scores.
    pub sentences: Vec<String>,
    /// Pairs with their similarity from 0 to 5: 5/4 for each of who, what is done, to what and where that means the same.
    pub validation: ScoredPairs,
    /// Two subsets of more pairs.
    pub test: StsSet,
    /// A sentence, one of the same meaning in other words and another template, and one with another actor and deed.
    pub triples: Vec<[String; 3]>,
}

/// Templated paraphrases. A bag of words sees the words of the templates, which say nothing, before it sees what a sentence means;
/// synonyms share no word.
pub fn paraphrases(options: &GenerateOptions) -> Generated {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let sentences = (0..options.sentences).map(|_| {
        let meaning = any(&mut rng);
        written(meaning, &mut rng)
    });
    let sentences = sentences.collect();
    let mut pairs = |name: &str, count: usize| {
        let (mut pairs, mut gold) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count {
            let (first, mut second) = (any(&mut rng), any(&mut rng));
            let share = rng.random_range(0..=4usize);
            let mut places = [0, 1, 2, 3];
            places.sort_by_cached_key(|_| rng.random::<u64>());
            places[..share].iter().for_each(|place| second[*place] = first[*place]);
            let same = first.iter().zip(&second).filter(|(a, b)| a == b).count();
            gold.push(5.0 * same as f64 / 4.0);
            pairs.push([written(first, &mut rng), written(second, &mut rng)]);
        }
        ScoredPairs { name: name.into(), pairs, gold, unscored: Vec::new(), notes: Vec::new() }
    };
    let validation = pairs("generated validation", options.pairs);
    let half = options.pairs / 2;
    let subsets = vec![pairs("first half", options.pairs - half), pairs("second half", half.max(2))];
    let test = StsSet { name: "generated test".into(), subsets };
    let mut triple = || {
        let meaning = any(&mut rng);
        let mut other = any(&mut rng);
        other[2..].copy_from_slice(&meaning[2..]);
        [written(meaning, &mut rng), written(meaning, &mut rng), written(other, &mut rng)]
    };
    let triples = (0..options.triples).map(|_| triple()).collect();
    Generated { sentences, validation, test, triples }
}

fn any(rng: &mut ChaCha8Rng) -> [usize; 4] {
    std::array::from_fn(|slot| rng.random_range(0..SLOTS[slot].len()))
}

fn written(meaning: [usize; 4], rng: &mut ChaCha8Rng) -> String {
    let words: [&str; 4] = std::array::from_fn(|slot| {
        let synonyms = SLOTS[slot][meaning[slot]];
        synonyms[rng.random_range(0..synonyms.len())]
    });
    let template = TEMPLATES[rng.random_range(0..TEMPLATES.len())];
    let place = |word: &str| match word {
        "W" => words[0].to_string(),
        "V" => words[1].to_string(),
        "O" => words[2].to_string(),
        "P" => words[3].to_string(),
        other => other.to_string(),
    };
    template.split(' ').map(place).collect::<Vec<_>>().join(" ")
}
