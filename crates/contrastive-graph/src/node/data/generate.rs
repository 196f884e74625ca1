//! Generated graphs whose classes are known: for examples and tests where no data is at hand, and for sizes that published
//! graphs do not have. Numbers measured on them say nothing about a real graph.
//!
//! A stochastic block model (Holland, Laskey, Leinhardt 1983): every pair of nodes is linked independently, with one
//! probability inside a community and another between communities. Features are bags of words; each community owns a share
//! of the vocabulary and uses its own words more often. Drawing costs time in proportion to what is drawn: the gap to the
//! next success of a row of trials is geometric (Batagelj, Brandes 2005).

use contrastive_kernels::sparse::Csr;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::clean::{Cleaning, Edges, Places};
use super::error::GraphError;
use super::features::{Features, Labels};
use super::graph::{Draft, Graph};
use crate::draw::{shuffle, unit};

/// How many links there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Density {
    /// Probabilities of a link between two nodes, 0 to 1.
    Probabilities {
        /// Of the same community.
        inside: f64,
        /// Of different communities.
        between: f64,
    },
    /// Expected numbers of neighbours of a node, from 0 up.
    Degrees {
        /// In its own community.
        inside: f64,
        /// In all others together.
        between: f64,
    },
}

/// Size and shape of a generated graph.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockModelOptions {
    /// Number of nodes. Default 1000.
    pub nodes: usize,
    /// Number of communities, which are the classes; their sizes differ by one at most. Default 5.
    pub communities: usize,
    /// Default 8 neighbours inside, 2 outside.
    pub density: Density,
    /// Size of the vocabulary; 0 for a graph without features. Word w belongs to community `w % communities`. Default 200.
    pub features: usize,
    /// Expected number of own words of a node. Default 6.
    pub own_words: f64,
    /// Expected number of words of other communities. Default 10.
    pub other_words: f64,
    /// Seed of everything. Default 7.
    pub seed: u64,
}

impl Default for BlockModelOptions {
    fn default() -> Self {
        let density = Density::Degrees { inside: 8.0, between: 2.0 };
        Self { nodes: 1000, communities: 5, density, features: 200, own_words: 6.0, other_words: 10.0, seed: 7 }
    }
}

/// The successes among `total` independent trials of probability `p`, in ascending order.
fn successes(rng: &mut ChaCha8Rng, total: u64, p: f64, mut success: impl FnMut(u64)) {
    if p <= 0.0 {
        return;
    }
    let log_failure = (-p).ln_1p();
    let mut at = 0u64;
    while at < total {
        if p < 1.0 {
            let gap = ((1.0 - unit(rng)).ln() / log_failure).floor();
            if gap >= (total - at) as f64 {
                return;
            }
            at += gap as u64;
        }
        success(at);
        at += 1;
    }
}

/// Each pair of `count` things with probability `p`.
fn pairs(rng: &mut ChaCha8Rng, count: u64, p: f64, mut pair: impl FnMut(u64, u64)) {
    // trials are the pairs (low, high), low < high, by low; successes ascend, so the row is found by moving on
    let (mut low, mut start) = (0, 0);
    successes(rng, count * count.saturating_sub(1) / 2, p, |at| {
        while at - start >= count - 1 - low {
            start += count - 1 - low;
            low += 1;
        }
        pair(low, low + 1 + at - start);
    });
}

fn check(name: &'static str, value: f64, greatest: f64, allowed: &'static str) -> Result<f64, GraphError> {
    let fits = value.is_finite() && (0.0..=greatest).contains(&value);
    if fits { Ok(value) } else { Err(GraphError::Option { name, value: value.to_string(), allowed }) }
}

/// `expected / of`, a probability.
fn share(name: &'static str, expected: f64, of: f64, allowed: &'static str) -> Result<f64, GraphError> {
    let expected = check(name, expected, of, allowed)?;
    Ok(if of > 0.0 { (expected / of).min(1.0) } else { 0.0 })
}

/// Draws a graph from a stochastic block model. Its labels are the communities; equal options give equal graphs.
///
/// # Errors
/// [`GraphError::Option`] when a number is out of its range, an expected degree or number of words exceeds what there is,
/// or more than 2^31 links or words are expected.
pub fn block_model(options: &BlockModelOptions) -> Result<Graph, GraphError> {
    let &BlockModelOptions { nodes, communities, density, features, own_words, other_words, seed } = options;
    if !(1..=1usize << 31).contains(&nodes) {
        return Err(GraphError::Option { name: "nodes", value: nodes.to_string(), allowed: "1 to 2147483648" });
    }
    if !(1..=nodes).contains(&communities) {
        let (value, allowed) = (communities.to_string(), "1 to the number of nodes");
        return Err(GraphError::Option { name: "communities", value, allowed });
    }
    let size = nodes as f64 / communities as f64;
    let (inside, between) = match density {
        Density::Probabilities { inside, between } => {
            (check("inside", inside, 1.0, "0 to 1")?, check("between", between, 1.0, "0 to 1")?)
        }
        Density::Degrees { inside, between } => (
            share("inside", inside, size - 1.0, "0 to the size of a community less one")?,
            share("between", between, nodes as f64 - size, "0 to the number of nodes in other communities")?,
        ),
    };
    let links = nodes as f64 / 2.0 * (inside * (size - 1.0) + between * (nodes as f64 - size));
    let most = (1u64 << 31) as f64;
    check("expected links", links, most, "at most 2147483648")?;
    check("expected words", nodes as f64 * (own_words + other_words), most, "at most 2147483648")?;

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut community: Vec<u32> = (0..nodes).map(|node| (node % communities) as u32).collect();
    shuffle(&mut rng, &mut community);
    let mut members = vec![Vec::new(); communities];
    for (node, &community) in (0u32..).zip(&community) {
        members[community as usize].push(node);
    }
    let mut links = Vec::with_capacity((1.05 * links) as usize);
    for own in &members {
        pairs(&mut rng, own.len() as u64, inside, |a, b| links.push((own[a as usize], own[b as usize])));
    }
    pairs(&mut rng, nodes as u64, between, |a, b| {
        if community[a as usize] != community[b as usize] {
            links.push((a as u32, b as u32));
        }
    });
    let edges = Edges { pairs: links, weights: Vec::new(), places: Places::Memory, unordered: true };
    let mut draft = Draft::new("generated (stochastic block model)", nodes, edges);
    if features > 0 {
        draft.features = Some(words(&mut rng, &community, features, communities, own_words, other_words)?);
    }
    let classes: Vec<Option<u32>> = community.iter().copied().map(Some).collect();
    draft.labels = Some(Labels::single(&classes));
    draft.finish(&Cleaning::default())
}

/// Bags of words.
fn words(
    rng: &mut ChaCha8Rng,
    community: &[u32],
    features: usize,
    communities: usize,
    own_words: f64,
    other_words: f64,
) -> Result<Features, GraphError> {
    let limit = super::load::MAX_FEATURES as usize;
    if !(communities..=limit).contains(&features) {
        let (value, allowed) = (features.to_string(), "0, or the number of communities to 4194304");
        return Err(GraphError::Option { name: "features", value, allowed });
    }
    // the least share of the vocabulary that a community owns
    let least = (features / communities) as f64;
    share("own_words", own_words, least, "0 to features / communities")?;
    share("other_words", other_words, features as f64 - least - 1.0, "0 to the number of words of other communities")
        .or_else(|error| if other_words == 0.0 { Ok(0.0) } else { Err(error) })?;
    let mut indptr = vec![0];
    let mut indices: Vec<u32> =
        Vec::with_capacity((1.05 * community.len() as f64 * (own_words + other_words)) as usize);
    for &own in community {
        let first = indices.len();
        let own = own as usize;
        let owned = (features - own).div_ceil(communities);
        successes(rng, owned as u64, (own_words / owned as f64).min(1.0), |at| {
            indices.push((own + at as usize * communities) as u32);
        });
        let others = (features - owned).max(1) as f64;
        successes(rng, features as u64, (other_words / others).min(1.0), |word| {
            if word as usize % communities != own {
                indices.push(word as u32);
            }
        });
        indices[first..].sort_unstable();
        indptr.push(indices.len());
    }
    let ones = vec![1.0; indices.len()];
    let matrix = Csr::from_parts(community.len(), features, indptr, indices, ones).expect("sorted distinct words");
    Ok(Features::Sparse(matrix))
}
