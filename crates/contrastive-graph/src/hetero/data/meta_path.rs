//! Meta-paths: which targets are linked through which nodes of other types.

use super::error::HeteroError;
use super::graph::HeteroGraph;
use contrastive_kernels::sparse::Csr;
use rayon::prelude::*;

/// A walk through the types of a network that starts and ends at the target, `P-A-P` say, and the relations it takes.
///
/// ```
/// use contrastive_graph::hetero::data::{HeteroGraph, MetaPath, NodeType};
///
/// let types = vec![NodeType::new("P", 3), NodeType::new("A", 2)];
/// let graph = HeteroGraph::new("papers", types, "P")?.with_links("P", "A", &[(0, 0), (1, 0), (1, 1), (2, 1)])?;
/// let path = MetaPath::new(&graph, "P-A-P")?;
/// // papers 0 and 1 share an author, and each its own
/// assert_eq!(path.counts().row(0), (&[0, 1][..], &[1.0, 1.0][..]));
/// assert_eq!(path.counts().row(1), (&[0, 1, 2][..], &[1.0, 2.0, 1.0][..]));
/// # Ok::<(), contrastive_graph::hetero::data::HeteroError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MetaPath {
    name: String,
    types: Vec<usize>,
    steps: Vec<Csr<f64>>,
}

/// Which nodes of one type lie on the paths of each target.
#[derive(Clone, Debug)]
pub struct Context {
    /// The place of the type.
    pub of_type: usize,
    /// Ones, targets x nodes of the type.
    pub members: Csr<f64>,
}

impl MetaPath {
    /// A path by the names of its types, with `-` between them.
    ///
    /// # Errors
    /// When it has fewer than two types, does not start and end at the target, names a type that there is not, or two of its neighbours have
    /// no relation or several.
    pub fn new(graph: &HeteroGraph, name: &str) -> Result<Self, HeteroError> {
        let wrong =
            |problem: String, allowed: String| HeteroError::MetaPath { path: name.to_owned(), problem, allowed };
        let names: Vec<&str> = name.split('-').collect();
        let types = names.iter().map(|name| graph.type_named(name)).collect::<Result<Vec<_>, _>>()?;
        let target = graph.target();
        if types.len() < 2 {
            return Err(wrong("a single type".into(), "types with '-' between them, such as P-A-P".into()));
        }
        if types[0] != target || types[types.len() - 1] != target {
            let problem = format!("it goes from {} to {}", names[0], names[names.len() - 1]);
            return Err(wrong(problem, format!("from the target {0} back to {0}", graph.target_type().name)));
        }
        let mut steps = Vec::with_capacity(types.len() - 1);
        for (pair, names) in types.windows(2).zip(names.windows(2)) {
            let (from, to) = (pair[0], pair[1]);
            let joins = |r: &&super::Relation| [(r.from, r.to), (r.to, r.from)].contains(&(from, to));
            let found: Vec<_> = graph.relations().iter().filter(joins).collect();
            let [relation] = found[..] else {
                let problem = format!("{} relations between {} and {}", found.len(), names[0], names[1]);
                return Err(wrong(problem, "exactly one between neighbours".into()));
            };
            let forward = (relation.from, relation.to) == (from, to);
            steps.push(if forward { relation.links.clone() } else { relation.links.transpose() });
        }
        Ok(Self { name: name.to_owned(), types, steps })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of targets.
    pub fn num_targets(&self) -> usize {
        self.steps[0].rows()
    }

    /// One row of each target through the first `steps` steps: the nodes that are reached, ascending, and the number of ways to each.
    fn rows<R: Send>(&self, steps: usize, take: impl Fn(usize, &[u32], &[f64]) -> R + Sync) -> Vec<R> {
        let widest = self.steps.iter().map(Csr::cols).max().unwrap_or(0);
        let scratch = || (vec![0.0f64; widest], Vec::new(), Vec::new(), Vec::new());
        let row = |(sums, now, ways, next): &mut (Vec<f64>, Vec<u32>, Vec<f64>, Vec<u32>), target: usize| {
            now.clear();
            ways.clear();
            now.push(target as u32);
            ways.push(1.0);
            for step in &self.steps[..steps] {
                next.clear();
                for (&node, &count) in now.iter().zip(ways.iter()) {
                    for &to in step.row(node as usize).0 {
                        // counts are whole and above 0: a sum of 0 is a node that was not reached yet
                        if sums[to as usize] == 0.0 {
                            next.push(to);
                        }
                        sums[to as usize] += count;
                    }
                }
                next.sort_unstable();
                ways.clear();
                ways.extend(next.iter().map(|&to| std::mem::take(&mut sums[to as usize])));
                std::mem::swap(now, next);
            }
            take(target, now, ways)
        };
        (0..self.num_targets()).into_par_iter().map_init(scratch, row).collect()
    }

    /// `C`: the number of instances of the path between any two targets, exact below 2^53. Fills in: [`strongest`](Self::strongest) keeps
    /// memory in bounds.
    pub fn counts(&self) -> Csr<f64> {
        let rows = self.rows(self.steps.len(), |_, nodes, ways| (nodes.to_vec(), ways.to_vec()));
        gathered(rows, self.num_targets())
    }

    /// `C_ii`: the number of instances from each target back to itself.
    pub fn returns(&self) -> Vec<f64> {
        self.rows(self.steps.len(), |target, nodes, ways| {
            nodes.binary_search(&(target as u32)).map_or(0.0, |at| ways[at])
        })
    }

    /// The counts of the `keep` targets that are most alike to each by PathSim (Sun et al. 2011), `2 C_ij / (C_ii + C_jj)`, with 0 / 0 = 0; of
    /// equal ones those of lower numbers. The values are the counts; the result may be asymmetric. The whole of `C` is never held.
    ///
    /// # Errors
    /// When `keep` is 0.
    pub fn strongest(&self, keep: usize) -> Result<Csr<f64>, HeteroError> {
        if keep == 0 {
            return Err(HeteroError::Option {
                name: "number of kept targets",
                value: "0".into(),
                allowed: "1 or more",
            });
        }
        let own = self.returns();
        let rows = self.rows(self.steps.len(), |target, nodes, ways| {
            let alike = |at: &usize| {
                let sum = own[target] + own[nodes[*at] as usize];
                if sum > 0.0 { 2.0 * ways[*at] / sum } else { 0.0 }
            };
            let mut places: Vec<usize> = (0..nodes.len()).collect();
            if places.len() > keep {
                places.sort_by(|a, b| alike(b).total_cmp(&alike(a)).then(a.cmp(b)));
                places.truncate(keep);
                places.sort_unstable();
            }
            (places.iter().map(|&at| nodes[at]).collect(), places.iter().map(|&at| ways[at]).collect())
        });
        Ok(gathered(rows, self.num_targets()))
    }

    /// The contexts: for every place of the path between its ends, which nodes of that type lie there on some path of each target. `P-A-P` has
    /// one, the authors; `A-P-C-P-A` the papers of an author, their venues, and the papers of these venues.
    pub fn contexts(&self) -> Vec<Context> {
        let context = |steps: usize| {
            let rows = self.rows(steps, |_, nodes, _| (nodes.to_vec(), vec![1.0; nodes.len()]));
            Context { of_type: self.types[steps], members: gathered(rows, self.steps[steps - 1].cols()) }
        };
        (1..self.steps.len()).map(context).collect()
    }
}

/// Rows as a matrix.
fn gathered(rows: Vec<(Vec<u32>, Vec<f64>)>, cols: usize) -> Csr<f64> {
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    let count = rows.len();
    for (columns, weights) in rows {
        indices.extend(columns);
        values.extend(weights);
        indptr.push(indices.len());
    }
    Csr::from_parts(count, cols, indptr, indices, values).expect("ascending rows of counts")
}
