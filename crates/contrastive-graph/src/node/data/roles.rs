//! A generated graph in which nodes far from each other have the same role.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::clean::{Cleaning, Edges, Places};
use super::error::GraphError;
use super::features::Labels;
use super::graph::{Draft, Graph};
use crate::draw::{below, shuffle};

/// Size and shape of a [`role_graph`].
#[derive(Clone, Debug, PartialEq)]
pub struct RoleGraphOptions {
    /// Motifs that hang on a cycle, in equal numbers of four kinds: star, complete graph, house, chain. Default 24.
    pub motifs: usize,
    /// Links between random nodes, which blur the roles, as a share of all others, 0 to 1. Default 0.03.
    pub noise: f64,
    /// Seed of everything. Default 7.
    pub seed: u64,
}

impl Default for RoleGraphOptions {
    fn default() -> Self {
        Self { motifs: 24, noise: 0.03, seed: 7 }
    }
}

/// The links of a motif of five nodes and the role of each; node 0 hangs on the cycle.
type Motif = (&'static [(u32, u32)], [u32; 5]);

const MOTIFS: [Motif; 4] = [
    (&[(0, 1), (0, 2), (0, 3), (0, 4)], [1, 2, 2, 2, 2]),
    (&[(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)], [3, 4, 4, 4, 4]),
    (&[(0, 1), (1, 2), (2, 3), (3, 0), (2, 4), (3, 4)], [5, 5, 6, 6, 7]),
    (&[(0, 1), (1, 2), (2, 3), (3, 4)], [8, 8, 8, 8, 9]),
];

/// A cycle of twice as many nodes as motifs, with a motif at every second node, in random order; labels are the 10 roles: of the cycle,
/// centre and leaf of a star, joint and rest of a complete graph, wall, eave and ridge of a house, inside and end of a chain (as the
/// synthetic graphs of GraphWave, Donnat et al., KDD 2018). Equal options give equal graphs.
///
/// # Errors
/// [`GraphError::Option`] when there are fewer than 4 motifs or more than 2^24, or the noise is not in `0..=1`.
pub fn role_graph(options: &RoleGraphOptions) -> Result<Graph, GraphError> {
    let &RoleGraphOptions { motifs, noise, seed } = options;
    if !(4..=1 << 24).contains(&motifs) {
        return Err(GraphError::Option { name: "motifs", value: motifs.to_string(), allowed: "4 to 16777216" });
    }
    if !(0.0..=1.0).contains(&noise) {
        return Err(GraphError::Option { name: "noise", value: noise.to_string(), allowed: "0 to 1" });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut kinds: Vec<usize> = (0..motifs).map(|motif| motif % MOTIFS.len()).collect();
    shuffle(&mut rng, &mut kinds);
    let cycle = 2 * motifs as u32;
    let mut links: Vec<(u32, u32)> = (0..cycle).map(|node| (node, (node + 1) % cycle)).collect();
    let mut roles: Vec<Option<u32>> = vec![Some(0); cycle as usize];
    for (at, &kind) in (0u32..).zip(&kinds) {
        let (own, of_nodes) = MOTIFS[kind];
        let first = roles.len() as u32;
        links.push((2 * at, first));
        links.extend(own.iter().map(|&(a, b)| (first + a, first + b)));
        roles.extend(of_nodes.map(Some));
    }
    let nodes = roles.len();
    for _ in 0..(links.len() as f64 * noise).round() as usize {
        let ends = [(); 2].map(|()| below(&mut rng, nodes as u32));
        if ends[0] != ends[1] {
            links.push((ends[0], ends[1]));
        }
    }
    let edges = Edges { pairs: links, weights: Vec::new(), places: Places::Memory, unordered: true };
    let mut draft = Draft::new("generated (motifs on a cycle)", nodes, edges);
    draft.labels = Some(Labels::single(&roles));
    draft.finish(&Cleaning::default())
}
