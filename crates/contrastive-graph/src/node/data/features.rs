//! What is known of each node: features and classes.

use contrastive_core::linear::SparseOperator;
use contrastive_data::{Origin, Place};
use contrastive_kernels::sparse::Csr;
use ndarray::Array2;

use super::error::GraphError;

/// A feature row for every node.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// `[nodes, features]`, every value stored.
    Dense(Array2<f32>),
    /// `nodes x features` in compressed rows: bags of words. The first layer of an encoder multiplies it as it is.
    Sparse(Csr<f32>),
}

impl Features {
    /// Bags of words from (node, feature, value); values at one place are summed.
    ///
    /// # Errors
    /// [`GraphError::File`] for a node or feature out of range, or a value that is not finite.
    pub fn from_entries(nodes: usize, features: usize, entries: &[(u32, u32, f32)]) -> Result<Self, GraphError> {
        let matrix = Csr::from_triplets(nodes, features, entries).map_err(|error| {
            Origin::memory(Place::Whole)
                .malformed(format!("features: {error}"), format!("{nodes} x {features} finite values"))
        })?;
        Ok(Self::Sparse(matrix))
    }

    /// Number of rows.
    pub fn num_nodes(&self) -> usize {
        match self {
            Self::Dense(rows) => rows.nrows(),
            Self::Sparse(rows) => rows.rows(),
        }
    }

    /// Number of columns.
    pub fn num_features(&self) -> usize {
        match self {
            Self::Dense(rows) => rows.ncols(),
            Self::Sparse(rows) => rows.cols(),
        }
    }

    /// Number of values that are not 0.
    pub fn num_nonzero(&self) -> usize {
        let nonzero = |value: &&f32| **value != 0.0;
        match self {
            Self::Dense(rows) => rows.iter().filter(nonzero).count(),
            Self::Sparse(rows) => rows.values().iter().filter(nonzero).count(),
        }
    }

    /// The values of one row that are not 0, with their columns in ascending order.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn row(&self, node: usize) -> Vec<(u32, f32)> {
        let nonzero = |entry: &(u32, f32)| entry.1 != 0.0;
        match self {
            Self::Dense(rows) => (0u32..).zip(rows.row(node).iter().copied()).filter(nonzero).collect(),
            Self::Sparse(rows) => {
                let (columns, values) = rows.row(node);
                columns.iter().copied().zip(values.iter().copied()).filter(nonzero).collect()
            }
        }
    }

    /// Every row divided by the sum of its magnitudes (bags of words: the sum of its counts), as GRACE and its companions
    /// do before anything else. Rows of zeros stay zeros; the representation stays as it is.
    pub fn row_normalised(&self) -> Self {
        // `f64`, and the greatest magnitude first, so that neither a long row nor a huge value overflows
        let scale = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value.abs())).sum::<f64>();
        let divided = |value: f32, sum: f64| if sum == 0.0 { 0.0 } else { (f64::from(value) / sum) as f32 };
        match self {
            Self::Dense(rows) => {
                let mut rows = rows.clone();
                for mut row in rows.rows_mut() {
                    let sum = scale(&mut row.iter().copied());
                    row.mapv_inplace(|value| divided(value, sum));
                }
                Self::Dense(rows)
            }
            Self::Sparse(rows) => {
                let sums: Vec<f64> = (0..rows.rows()).map(|row| scale(&mut rows.row(row).1.iter().copied())).collect();
                Self::Sparse(rows.map_entries(|row, _, value| divided(value, sums[row])))
            }
        }
    }

    /// The rows as a dense table `[nodes, features]`.
    pub fn to_dense(&self) -> Array2<f32> {
        match self {
            Self::Dense(rows) => rows.clone(),
            Self::Sparse(matrix) => {
                let mut rows = Array2::zeros((matrix.rows(), matrix.cols()));
                for node in 0..matrix.rows() {
                    let (columns, values) = matrix.row(node);
                    for (&column, &value) in columns.iter().zip(values) {
                        rows[[node, column as usize]] = value;
                    }
                }
                rows
            }
        }
    }

    /// Sparse features as an operator `[nodes, features]`, so that a first layer `X W` is `operator.apply(W)`; `None` for
    /// dense ones.
    pub fn operator(&self) -> Option<SparseOperator> {
        match self {
            Self::Dense(_) => None,
            Self::Sparse(matrix) => Some(SparseOperator::from_f32(matrix.clone())),
        }
    }

    /// Refuses values that are not finite (sparse rows were checked when they were made).
    pub(crate) fn check(&self) -> Result<(), GraphError> {
        let Self::Dense(rows) = self else { return Ok(()) };
        match rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
            Some(((node, column), &value)) => {
                Err(GraphError::BadFeature { origin: Origin::memory(Place::Node(node)), column, value })
            }
            None => Ok(()),
        }
    }
}

/// The classes of each node: none, one, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    indptr: Vec<usize>,
    classes: Vec<u32>,
    num_classes: usize,
    names: Option<Vec<String>>,
}

impl Labels {
    /// At most one class per node; there are as many classes as the greatest number and one more.
    pub fn single(of_node: &[Option<u32>]) -> Self {
        let classes: Vec<u32> = of_node.iter().flatten().copied().collect();
        Self::from_lists(of_node.iter().map(|class| usize::from(class.is_some())), classes)
    }

    /// Any number of classes per node; a class named twice for one node counts once.
    pub fn multi(of_node: &[Vec<u32>]) -> Self {
        let sorted = of_node.iter().map(|classes| {
            let mut classes = classes.clone();
            classes.sort_unstable();
            classes.dedup();
            classes
        });
        let sorted: Vec<Vec<u32>> = sorted.collect();
        Self::from_lists(sorted.iter().map(Vec::len), sorted.concat())
    }

    fn from_lists(counts: impl Iterator<Item = usize>, classes: Vec<u32>) -> Self {
        let num_classes = classes.iter().max().map_or(0, |&greatest| greatest as usize + 1);
        let mut end = 0;
        let ends = counts.map(|count| {
            end += count;
            end
        });
        let indptr = std::iter::once(0).chain(ends).collect();
        Self { indptr, classes, num_classes, names: None }
    }

    /// The same labels with a name for every class, and as many classes as names.
    ///
    /// # Panics
    /// When there are fewer names than classes.
    pub fn with_names(mut self, names: Vec<String>) -> Self {
        assert!(names.len() >= self.num_classes, "{} names for {} classes", names.len(), self.num_classes);
        self.num_classes = names.len();
        self.names = Some(names);
        self
    }

    /// Number of nodes.
    pub fn num_nodes(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.num_classes
    }

    /// Whether no node has more than one class.
    pub fn is_single(&self) -> bool {
        self.indptr.windows(2).all(|ends| ends[1] - ends[0] <= 1)
    }

    /// The classes of a node, ascending.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn of(&self, node: usize) -> &[u32] {
        &self.classes[self.indptr[node]..self.indptr[node + 1]]
    }

    /// The first class of a node, if it has one: the class, where labels are single.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn class(&self, node: usize) -> Option<u32> {
        self.of(node).first().copied()
    }

    /// The class of every node, if each has exactly one.
    pub fn complete(&self) -> Option<Vec<u32>> {
        let complete = self.indptr.windows(2).all(|ends| ends[1] - ends[0] == 1);
        complete.then(|| self.classes.clone())
    }

    /// Number of nodes with a class.
    pub fn num_labelled(&self) -> usize {
        self.indptr.windows(2).filter(|ends| ends[1] > ends[0]).count()
    }

    /// Number of nodes in each class.
    pub fn class_sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.num_classes];
        for &class in &self.classes {
            sizes[class as usize] += 1;
        }
        sizes
    }

    /// The name of a class, or its number as text.
    pub fn name(&self, class: u32) -> String {
        self.names.as_ref().map_or_else(|| class.to_string(), |names| names[class as usize].clone())
    }
}
