//! Generated networks whose classes are known: for examples and tests where no data is at hand. Numbers measured on them say nothing about a
//! real network.

use super::error::HeteroError;
use super::graph::{HeteroGraph, NodeType};
use crate::draw::{below, unit};
use crate::node::data::{Features, Labels, NodeSplit};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Size and shape of a planted network: targets `P`, authors `A` and subjects `S`.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkOptions {
    /// Number of targets.
    pub targets: usize,
    /// Number of classes, which targets, authors and subjects share.
    pub classes: usize,
    /// Number of authors.
    pub authors: usize,
    /// Authors of a target, at most.
    pub authors_each: usize,
    /// Number of subjects; a target has one.
    pub subjects: usize,
    /// Number of words; a target has `words_each` of them.
    pub words: usize,
    /// Words of a target.
    pub words_each: usize,
    /// Share of links and words that ignore the class, 0 to 1.
    pub noise: f64,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            targets: 400,
            classes: 4,
            authors: 200,
            authors_each: 3,
            subjects: 24,
            words: 200,
            words_each: 6,
            noise: 0.5,
            seed: 7,
        }
    }
}

/// A network with planted classes, and a split `20` of 20 labelled targets a class (fewer where there are not enough), and the others in equal
/// parts for validation and test.
///
/// # Errors
/// [`HeteroError::Option`] when a size is 0, there are more classes than targets, authors, subjects or words, or the noise is not in 0 to 1.
pub fn planted_network(options: &NetworkOptions) -> Result<HeteroGraph, HeteroError> {
    let wrong = |name, value: String, allowed| Err(HeteroError::Option { name, value, allowed });
    let NetworkOptions { targets, classes, authors, authors_each, subjects, words, words_each, noise, seed } = *options;
    for (name, value) in [("authors_each", authors_each), ("words_each", words_each), ("classes", classes)] {
        if value == 0 {
            return wrong(name, "0".into(), "1 or more");
        }
    }
    for (name, value) in [("targets", targets), ("authors", authors), ("subjects", subjects), ("words", words)] {
        if value < classes || u32::try_from(value).is_err() {
            return wrong(name, value.to_string(), "at least the number of classes, below 2^32");
        }
    }
    if !(0.0..=1.0).contains(&noise) {
        return wrong("noise", noise.to_string(), "0 to 1");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let class: Vec<usize> = (0..targets).map(|target| target % classes).collect();
    // thing k belongs to class k mod classes
    let mut draw = |of: usize, class: usize| {
        if unit(&mut rng) < noise {
            return below(&mut rng, of as u32);
        }
        let own = (of - class).div_ceil(classes) as u32;
        below(&mut rng, own) * classes as u32 + class as u32
    };
    let (mut by, mut on, mut rows) = (Vec::new(), Vec::new(), Array2::<f32>::zeros((targets, words)));
    for (target, &class) in class.iter().enumerate() {
        by.extend((0..authors_each).map(|_| (target as u32, draw(authors, class))));
        on.push((target as u32, draw(subjects, class)));
        (0..words_each).for_each(|_| rows[[target, draw(words, class) as usize]] = 1.0);
    }
    by.sort_unstable();
    by.dedup();
    let types = vec![
        NodeType::new("P", targets).with_features(Features::Dense(rows)),
        NodeType::new("A", authors),
        NodeType::new("S", subjects),
    ];
    let graph =
        HeteroGraph::new("planted network", types, "P")?.with_links("P", "A", &by)?.with_links("P", "S", &on)?;
    let labels: Vec<Option<u32>> = class.iter().map(|&class| Some(class as u32)).collect();
    let each = 20.min(targets / (3 * classes)).max(1);
    let (mut parts, mut taken) = ([Vec::new(), Vec::new(), Vec::new()], vec![0; classes]);
    for target in 0..targets {
        taken[class[target]] += 1;
        let part = if taken[class[target]] <= each { 0 } else { 1 + taken[class[target]] % 2 };
        parts[part].push(target as u32);
    }
    let [train, validation, test] = parts;
    graph.with_labels(Labels::single(&labels))?.with_split("20", NodeSplit::new(train, validation, test))
}
