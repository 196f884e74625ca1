//! Renumbering users and items, for memory locality.

use super::adjacency::{AdjacencyParts, bipartite};
use super::interactions::Interactions;
use burn::config::Config;
use contrastive_core::cluster::{KMeans, k_means_array};
use contrastive_core::linear::{SvdOptions, truncated_svd};
use contrastive_kernels::sparse::Csr;
use ndarray::{Array2, Axis, concatenate, s};

/// How users and items are numbered inside a training, for locality. What leaves a training is in the original numbers, and initial
/// values depend on these; the orders differ in the order of sums, so in rounding.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum NodeOrder {
    /// [`Relabelling::by_clusters`] from [`NodeOrder::LARGE`] nodes on, below as [`Degree`](Self::Degree): a smaller table stays in
    /// cache in any order.
    Clusters,
    /// [`Relabelling::by_degree`].
    Degree,
    /// As in the data.
    File,
}

impl NodeOrder {
    /// Users and items together from which on clusters pay.
    pub const LARGE: usize = 16_384;

    /// The numbering under which random numbers are drawn: one that does not depend on the CPU. [`Clusters`](Self::Clusters)
    /// draws as [`Degree`](Self::Degree), so that a training with one differs from the other in rounding only.
    pub(crate) fn drawn_in(self, interactions: &Interactions) -> Relabelling {
        match self {
            Self::Clusters | Self::Degree => Self::Degree.relabelling(interactions),
            Self::File => Self::File.relabelling(interactions),
        }
    }

    /// The numbering for some interactions.
    pub fn relabelling(self, interactions: &Interactions) -> Relabelling {
        let nodes = interactions.num_users() + interactions.num_items();
        match self {
            Self::Clusters if nodes >= Self::LARGE => Relabelling::by_clusters(interactions),
            Self::Clusters | Self::Degree => Relabelling::by_degree(interactions),
            Self::File => Relabelling::identity(interactions.num_users(), interactions.num_items()),
        }
    }
}

/// A renumbering of `0..len()` and its inverse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permutation {
    new_of_old: Vec<u32>,
    old_of_new: Vec<u32>,
}

impl Permutation {
    /// The permutation that changes nothing.
    pub fn identity(len: usize) -> Self {
        let numbers: Vec<u32> = (0..len as u32).collect();
        Self { new_of_old: numbers.clone(), old_of_new: numbers }
    }

    /// Numbers by descending degree, equal degrees by old number: rows that many others point at lie together.
    pub fn by_descending_degree(degrees: &[u32]) -> Self {
        let mut old_of_new: Vec<u32> = (0..degrees.len() as u32).collect();
        old_of_new.sort_by_key(|&old| (std::cmp::Reverse(degrees[old as usize]), old));
        Self::from_old_of_new(old_of_new)
    }

    /// From the old numbers in their new order.
    fn from_old_of_new(old_of_new: Vec<u32>) -> Self {
        let mut new_of_old = vec![0u32; old_of_new.len()];
        for (new, &old) in old_of_new.iter().enumerate() {
            new_of_old[old as usize] = new as u32;
        }
        Self { new_of_old, old_of_new }
    }

    /// How many numbers are permuted.
    pub fn len(&self) -> usize {
        self.new_of_old.len()
    }

    /// Whether it changes nothing.
    pub fn is_identity(&self) -> bool {
        self.new_of_old.iter().enumerate().all(|(old, &new)| old == new as usize)
    }

    /// Whether there is nothing to permute.
    pub fn is_empty(&self) -> bool {
        self.new_of_old.is_empty()
    }

    /// The new number of each old one.
    pub fn new_of_old(&self) -> &[u32] {
        &self.new_of_old
    }

    /// The old number of each new one.
    pub fn old_of_new(&self) -> &[u32] {
        &self.old_of_new
    }

    /// This permutation, followed by `other` on the numbers after it (joint nodes: users, then items).
    pub fn followed_by(&self, other: &Self) -> Self {
        let shift = self.len() as u32;
        let join =
            |first: &[u32], second: &[u32]| first.iter().copied().chain(second.iter().map(|&n| n + shift)).collect();
        Self {
            new_of_old: join(&self.new_of_old, &other.new_of_old),
            old_of_new: join(&self.old_of_new, &other.old_of_new),
        }
    }
}

/// Singular vectors that an order by clusters looks at.
const VECTORS: usize = 18;
/// Clusters of an order by clusters.
const CLUSTERS: usize = 128;
/// Effort for them: an order needs no digits.
const POWER_ITERATIONS: usize = 2;
const CLUSTER_ITERATIONS: usize = 10;

/// The mean of `slow` over the cluster of each node; clusters are those of the rows of `vectors` by their direction.
fn cluster_means(mut vectors: Array2<f32>, slow: &[f64]) -> Vec<f64> {
    for mut row in vectors.rows_mut() {
        let length = row.dot(&row).sqrt();
        row.mapv_inplace(|v| if length > 0.0 { v / length } else { 0.0 });
    }
    let count = CLUSTERS.min(slow.len());
    let settings = KMeans { iterations: CLUSTER_ITERATIONS, ..KMeans::new(count, 0) };
    let found = k_means_array(vectors.view(), &settings).expect("finite rows, no fewer than clusters");
    let mut sums = vec![0.0; count];
    found.labels.iter().zip(slow).for_each(|(&label, value)| sums[label as usize] += value);
    let mean = |&label: &u32| sums[label as usize] / found.sizes[label as usize].max(1) as f64;
    found.labels.iter().map(mean).collect()
}

/// New numbers for users and items. Users stay before items in joint node order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relabelling {
    /// New user numbers.
    pub users: Permutation,
    /// New item numbers.
    pub items: Permutation,
}

impl Relabelling {
    /// Numbers users and items by descending degree, which puts the rows that propagation reads most into few pages.
    pub fn by_degree(interactions: &Interactions) -> Self {
        Self {
            users: Permutation::by_descending_degree(&interactions.user_degrees()),
            items: Permutation::by_descending_degree(&interactions.item_degrees()),
        }
    }

    /// The numbering that changes nothing.
    pub fn identity(users: usize, items: usize) -> Self {
        Self { users: Permutation::identity(users), items: Permutation::identity(items) }
    }

    /// Numbers users and items so that those with the same neighbours lie together, and a product reads few different cache lines
    /// within a short time.
    ///
    /// With the singular vectors of the normalised matrix, those of users and items side by side: 128 k-means clusters of the vectors
    /// 3 to 18, rows scaled to length 1; clusters and the nodes in each sorted by the second vector divided by the square root of
    /// the degree (the direction in which a random walk mixes slowest). Nodes without interactions come last. Where the matrix has fewer
    /// than 3 singular vectors, or no entries, by degree.
    ///
    /// The result does not depend on the number of threads; where the vector width of the CPU changes a sum, it may change a number.
    pub fn by_clusters(interactions: &Interactions) -> Self {
        let AdjacencyParts { rows, cols, indptr, indices, values } = bipartite(interactions);
        let rank = VECTORS.min(rows).min(cols);
        if rank < 3 || interactions.is_empty() {
            return Self::by_degree(interactions);
        }
        let matrix = Csr::from_parts(rows, cols, indptr, indices, values).expect("adjacencies have ascending rows");
        let options = SvdOptions { power_iterations: POWER_ITERATIONS, ..SvdOptions::default() };
        let Ok(svd) = truncated_svd(&matrix, rank, &options) else { return Self::by_degree(interactions) };
        let vectors = concatenate(Axis(0), &[svd.left.view(), svd.right.view()]).expect("of one width");
        let (user_degrees, item_degrees) = interactions.degrees();
        let degrees = [user_degrees, item_degrees].concat();
        let slow: Vec<f64> =
            vectors.column(1).iter().zip(&degrees).map(|(v, &degree)| v / f64::from(degree.max(1)).sqrt()).collect();
        let cluster = cluster_means(vectors.slice(s![.., 2..]).mapv(|v| v as f32), &slow);
        let side = |first: usize, count: usize| {
            let mut order: Vec<u32> = (0..count as u32).collect();
            order.sort_by(|&a, &b| {
                let (x, y) = (first + a as usize, first + b as usize);
                let alone = (degrees[x] == 0).cmp(&(degrees[y] == 0));
                alone.then(cluster[x].total_cmp(&cluster[y])).then(slow[x].total_cmp(&slow[y])).then(a.cmp(&b))
            });
            Permutation::from_old_of_new(order)
        };
        Self { users: side(0, rows), items: side(rows, cols) }
    }

    /// From these new numbers to those of `other`, for users and for items.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn to(&self, other: &Self) -> [Vec<u32>; 2] {
        let side = |from: &Permutation, to: &Permutation| {
            assert_eq!(from.len(), to.len(), "two numberings of different shapes");
            from.old_of_new.iter().map(|&old| to.new_of_old[old as usize]).collect()
        };
        [side(&self.users, &other.users), side(&self.items, &other.items)]
    }

    /// The permutation of joint nodes (users, then items).
    pub fn joint(&self) -> Permutation {
        self.users.followed_by(&self.items)
    }

    /// The interactions under their new numbers.
    ///
    /// # Panics
    /// When the shape differs from that of the interactions.
    pub fn apply(&self, interactions: &Interactions) -> Interactions {
        assert_eq!(
            (self.users.len(), self.items.len()),
            (interactions.num_users(), interactions.num_items()),
            "relabelling of (users, items) applied to interactions of another shape"
        );
        let mut indptr = Vec::with_capacity(self.users.len() + 1);
        let mut indices = Vec::with_capacity(interactions.len());
        indptr.push(0);
        for &old_user in self.users.old_of_new() {
            let start = indices.len();
            indices.extend(interactions.items(old_user).iter().map(|&item| self.items.new_of_old()[item as usize]));
            indices[start..].sort_unstable();
            indptr.push(indices.len());
        }
        Interactions::from_sorted_rows(interactions.num_items(), indptr, indices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relabelling_by_degree_sorts_degrees_and_keeps_pairs() {
        let old = Interactions::from_pairs(3, 4, [(0, 1), (1, 1), (1, 3), (1, 0), (2, 3), (2, 1)]).unwrap();
        let relabelling = Relabelling::by_degree(&old);
        let new = relabelling.apply(&old);
        assert_eq!(new.degrees(), (vec![3, 2, 1], vec![3, 2, 1, 0]));
        for (user, item) in new.pairs() {
            let (user, item) =
                (relabelling.users.old_of_new()[user as usize], relabelling.items.old_of_new()[item as usize]);
            assert!(old.contains(user, item));
        }
        assert_eq!(new.len(), old.len());
        let joint = relabelling.joint();
        for (new, &old) in joint.old_of_new().iter().enumerate() {
            assert_eq!(joint.new_of_old()[old as usize] as usize, new);
        }
        assert_eq!(joint.len(), 7);
        assert_eq!(Relabelling::identity(3, 4).joint(), Permutation::identity(7));
        assert_eq!(Permutation::identity(3).followed_by(&Permutation::identity(4)), Permutation::identity(7));
    }

    /// Blocks of users and items that only meet each other, in mixed order, are numbered block by block, and nodes without pairs last.
    #[test]
    fn clusters_put_blocks_together() {
        let (users, items, blocks) = (400, 240, 8);
        let pairs = (0..users).flat_map(|user| {
            let own = (0..items)
                .filter(move |item| item % blocks == user % blocks && (user / blocks + item / blocks) % 3 != 0);
            own.map(move |item| (user, item)).chain([(user, (user * 7) % items)])
        });
        let old = Interactions::from_pairs(users as usize + 1, items as usize + 2, pairs).unwrap();
        let relabelling = Relabelling::by_clusters(&old);
        let new = relabelling.apply(&old);
        assert_eq!(new.len(), old.len());
        assert_eq!(relabelling.users.old_of_new().last(), Some(&users));
        assert!(new.pairs().all(|(user, item)| {
            old.contains(relabelling.users.old_of_new()[user as usize], relabelling.items.old_of_new()[item as usize])
        }));
        // neighbouring numbers are of one block: 8 runs, where a random order of 400 users has 350
        let of_block: Vec<u32> =
            relabelling.users.old_of_new()[..users as usize].iter().map(|user| user % blocks).collect();
        let runs = 1 + of_block.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(runs < 80, "{runs} runs");
        assert_eq!(relabelling, Relabelling::by_clusters(&old));
    }

    #[test]
    fn small_and_empty_data_are_numbered_by_degree() {
        let empty = Interactions::from_pairs(3, 4, []).unwrap();
        assert_eq!(Relabelling::by_clusters(&empty), Relabelling::by_degree(&empty));
        let small = Interactions::from_pairs(2, 4, [(0, 0), (1, 0), (1, 3)]).unwrap();
        assert_eq!(Relabelling::by_clusters(&small), Relabelling::by_degree(&small));
        assert_eq!(NodeOrder::Clusters.relabelling(&small), NodeOrder::Degree.relabelling(&small));
        assert_eq!(NodeOrder::File.relabelling(&small), Relabelling::identity(2, 4));
    }
}
