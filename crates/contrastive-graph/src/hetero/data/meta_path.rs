//! Meta-paths: which targets are linked through which nodes of other types.

use super::error::HeteroError;
use super::graph::HeteroGraph;
use contrastive_kernels::sparse::{Csr, SparseRow, map_rows};

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

    /// The nodes that a target reaches by the first `steps` steps, and the number of ways to each.
    fn ways(&self, target: usize, steps: usize, row: &mut SparseRow<f64>) {
        row.set_unit(target as u32);
        self.steps[..steps].iter().for_each(|step| row.multiply(step));
    }

    /// `C`: the number of instances of the path between any two targets, exact below 2^53. Fills in: [`strongest`](Self::strongest) keeps
    /// memory in bounds.
    pub fn counts(&self) -> Csr<f64> {
        let targets = self.num_targets();
        Csr::from_rows(targets, targets, |target, row| self.ways(target, self.steps.len(), row)).expect(FINITE)
    }

    /// `C_ii`: the number of instances from each target back to itself.
    pub fn returns(&self) -> Vec<f64> {
        map_rows(self.num_targets(), |target, row| {
            self.ways(target, self.steps.len(), row);
            let (nodes, ways) = row.entries();
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
        let (own, targets) = (self.returns(), self.num_targets());
        let strongest = Csr::from_rows(targets, targets, |target, row| {
            self.ways(target, self.steps.len(), row);
            row.keep_largest_by(keep, |other, ways| {
                let sum = own[target] + own[other as usize];
                if sum > 0.0 { 2.0 * ways / sum } else { 0.0 }
            });
        });
        Ok(strongest.expect(FINITE))
    }

    /// The contexts: for every place of the path between its ends, which nodes of that type lie there on some path of each target. `P-A-P` has
    /// one, the authors; `A-P-C-P-A` the papers of an author, their venues, and the papers of these venues.
    pub fn contexts(&self) -> Vec<Context> {
        let context = |steps: usize| {
            let width = self.steps[steps - 1].cols();
            let ways = Csr::from_rows(self.num_targets(), width, |target, row| self.ways(target, steps, row));
            Context { of_type: self.types[steps], members: ways.expect(FINITE).map_values(|_| 1.0) }
        };
        (1..self.steps.len()).map(context).collect()
    }
}

/// The links are ones, so that a count is no more than a number of walks.
const FINITE: &str = "finite counts";
