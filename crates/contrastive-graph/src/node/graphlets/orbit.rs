//! Keys of orbit adjacencies.

use crate::node::data::GraphError;
use std::fmt;

/// A key: the distance of two nodes within a graphlet, and their orbits. There are 28, of which 20 are no transposes of others.
///
/// The distance belongs to the key: orbits 4 and 5, and twice orbit 8, occur at two distances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Orbit {
    hops: u8,
    from: u8,
    to: u8,
}

const fn key(hops: u8, from: u8, to: u8) -> Orbit {
    Orbit { hops, from, to }
}

impl Orbit {
    /// The 20 keys with `from <= to`, those of edges first.
    pub const BASE: [Self; 20] = [
        key(1, 0, 0),
        key(1, 1, 2),
        key(1, 3, 3),
        key(1, 4, 5),
        key(1, 5, 5),
        key(1, 6, 7),
        key(1, 8, 8),
        key(1, 9, 11),
        key(1, 10, 10),
        key(1, 10, 11),
        key(1, 12, 13),
        key(1, 13, 13),
        key(1, 14, 14),
        key(2, 1, 1),
        key(2, 4, 5),
        key(2, 6, 6),
        key(2, 8, 8),
        key(2, 9, 10),
        key(2, 12, 12),
        key(3, 4, 4),
    ];

    /// The key of nodes on orbits `from` and `to` at a distance of `hops` within their graphlet.
    ///
    /// # Errors
    /// [`GraphError::Option`] when no graphlet of up to four nodes has such a pair.
    pub fn new(hops: u8, from: u8, to: u8) -> Result<Self, GraphError> {
        let asked = key(hops, from, to);
        if Self::BASE.contains(&asked.ascending()) {
            return Ok(asked);
        }
        let allowed = "one of the 28 keys (hops, from, to) of graphlets with up to four nodes: Orbit::all()";
        Err(GraphError::Option { name: "orbit", value: asked.to_string(), allowed })
    }

    /// All 28 keys.
    pub fn all() -> Vec<Self> {
        Self::BASE
            .iter()
            .flat_map(|&base| [Some(base), (base.from != base.to).then(|| base.transposed())])
            .flatten()
            .collect()
    }

    /// The distance within the graphlet, 1 to 3.
    pub fn hops(&self) -> u8 {
        self.hops
    }

    /// The orbits of the first and of the second node.
    pub fn orbits(&self) -> (u8, u8) {
        (self.from, self.to)
    }

    /// Whether its entries lie on edges.
    pub fn is_edge(&self) -> bool {
        self.hops == 1
    }

    /// The key whose matrix is the transpose.
    pub fn transposed(&self) -> Self {
        key(self.hops, self.to, self.from)
    }

    /// The one of the two in [`BASE`](Self::BASE).
    pub(super) fn ascending(&self) -> Self {
        if self.from <= self.to { *self } else { self.transposed() }
    }
}

impl fmt::Display for Orbit {
    /// As `4-5 at 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{} at {}", self.from, self.to, self.hops))
    }
}
