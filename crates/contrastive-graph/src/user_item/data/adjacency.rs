//! Degree-normalised adjacency matrices of a user-item graph.
//!
//! With R the 0/1 interaction matrix (I users x J items) and d the degrees, LightGCN (SIGIR 2020, eq. 3 and 8) and the
//! methods built on it propagate along `A = D_u^-1/2 R D_i^-1/2`, entry `1 / sqrt(d_u d_i)`, without self loops. A user or
//! item without interactions has an empty row, never an infinite entry. The largest singular value of `A` is 1 whenever
//! there is an interaction.

use super::interactions::Interactions;
use super::order::Permutation;

/// A sparse matrix in compressed rows, as plain parts. Column numbers ascend within a row and are unique.
#[derive(Clone, Debug, PartialEq)]
pub struct AdjacencyParts {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Row offsets, `rows + 1` of them.
    pub indptr: Vec<usize>,
    /// Column of each entry.
    pub indices: Vec<u32>,
    /// Value of each entry.
    pub values: Vec<f64>,
}

impl AdjacencyParts {
    /// Number of stored entries.
    pub fn nnz(&self) -> usize {
        self.indices.len()
    }

    /// Columns and values of a row.
    ///
    /// # Panics
    /// When `row >= rows`.
    pub fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let range = self.indptr[row]..self.indptr[row + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// The same matrix with rows and columns under new numbers.
    ///
    /// # Panics
    /// When a permutation's length is not the number of rows or columns.
    pub fn permuted(&self, rows: &Permutation, cols: &Permutation) -> Self {
        assert_eq!(
            (rows.len(), cols.len()),
            (self.rows, self.cols),
            "permutations (left) do not fit the matrix shape (right)"
        );
        let mut indptr = Vec::with_capacity(self.indptr.len());
        let mut entries: Vec<(u32, f64)> = Vec::new();
        let mut indices = Vec::with_capacity(self.nnz());
        let mut values = Vec::with_capacity(self.nnz());
        indptr.push(0);
        for &old in rows.old_of_new() {
            let (columns, row_values) = self.row(old as usize);
            entries.clear();
            entries
                .extend(columns.iter().zip(row_values).map(|(&col, &value)| (cols.new_of_old()[col as usize], value)));
            entries.sort_unstable_by_key(|entry| entry.0);
            indices.extend(entries.iter().map(|entry| entry.0));
            values.extend(entries.iter().map(|entry| entry.1));
            indptr.push(indices.len());
        }
        Self { rows: self.rows, cols: self.cols, indptr, indices, values }
    }
}

/// `1 / sqrt(degree)`, 0 for degree 0.
fn inverse_roots(degrees: &[u32]) -> Vec<f64> {
    degrees.iter().map(|&degree| if degree == 0 { 0.0 } else { 1.0 / f64::from(degree).sqrt() }).collect()
}

/// `A = D_u^-1/2 R D_i^-1/2`, users x items.
pub fn bipartite(interactions: &Interactions) -> AdjacencyParts {
    let (user_degrees, item_degrees) = interactions.degrees();
    let (user_scale, item_scale) = (inverse_roots(&user_degrees), inverse_roots(&item_degrees));
    let values =
        interactions.pairs().map(|(user, item)| user_scale[user as usize] * item_scale[item as usize]).collect();
    AdjacencyParts {
        rows: interactions.num_users(),
        cols: interactions.num_items(),
        indptr: interactions.indptr().to_vec(),
        indices: interactions.indices().to_vec(),
        values,
    }
}

/// The symmetric matrix `[[0, A], [A^T, 0]]` of all nodes, users first, then items: `(I + J) x (I + J)`, every pair twice.
pub fn joint(interactions: &Interactions) -> AdjacencyParts {
    let users = interactions.num_users();
    let nodes = users + interactions.num_items();
    let (user_degrees, item_degrees) = interactions.degrees();
    let (user_scale, item_scale) = (inverse_roots(&user_degrees), inverse_roots(&item_degrees));

    let pairs = interactions.len();
    let mut indptr = Vec::with_capacity(nodes + 1);
    indptr.extend_from_slice(interactions.indptr());
    for &degree in &item_degrees {
        indptr.push(indptr[indptr.len() - 1] + degree as usize);
    }
    let mut indices = vec![0u32; 2 * pairs];
    let mut values = vec![0.0; 2 * pairs];
    // One pass over the pairs writes both halves: users ascend, so the item rows come out sorted.
    let mut next = indptr[users..nodes].to_vec();
    for (place, (user, item)) in interactions.pairs().enumerate() {
        let value = user_scale[user as usize] * item_scale[item as usize];
        indices[place] = users as u32 + item;
        values[place] = value;
        let mirrored = next[item as usize];
        indices[mirrored] = user;
        values[mirrored] = value;
        next[item as usize] += 1;
    }
    AdjacencyParts { rows: nodes, cols: nodes, indptr, indices, values }
}

#[cfg(test)]
mod tests {
    use super::super::order::Relabelling;
    use super::*;

    fn dense(parts: &AdjacencyParts) -> Vec<Vec<f64>> {
        let mut dense = vec![vec![0.0; parts.cols]; parts.rows];
        for (row, out) in dense.iter_mut().enumerate() {
            let (columns, values) = parts.row(row);
            assert!(columns.windows(2).all(|pair| pair[0] < pair[1]));
            for (&column, &value) in columns.iter().zip(values) {
                out[column as usize] = value;
            }
        }
        dense
    }

    /// The worked matrix of the LightGCN specification.
    #[test]
    fn worked_example_has_the_known_entries() {
        let toy = Interactions::from_pairs(3, 3, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)]).unwrap();
        let expected = [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]];
        for (row, expected) in dense(&bipartite(&toy)).iter().zip(expected) {
            for (value, expected) in row.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn joint_is_symmetric_and_holds_the_rectangle_twice() {
        let toy = Interactions::from_pairs(4, 3, [(0, 0), (0, 2), (1, 2), (3, 2), (3, 0)]).unwrap();
        let (rectangle, joint) = (dense(&bipartite(&toy)), dense(&joint(&toy)));
        assert!((rectangle[0][2] - 1.0 / 6f64.sqrt()).abs() < 1e-15);
        assert_eq!(rectangle[2], [0.0; 3], "a user without items has an empty row");
        for row in 0..7 {
            for col in 0..7 {
                let expected = match (row < 4, col < 4) {
                    (true, false) => rectangle[row][col - 4],
                    (false, true) => rectangle[col][row - 4],
                    _ => 0.0,
                };
                assert_eq!(joint[row][col], expected, "entry {row}, {col}");
            }
        }
    }

    #[test]
    fn permuting_the_matrix_equals_relabelling_the_interactions() {
        let toy = Interactions::from_pairs(4, 3, [(0, 0), (1, 2), (3, 2), (3, 0), (3, 1)]).unwrap();
        let relabelling = Relabelling::by_degree(&toy);
        let relabelled = relabelling.apply(&toy);
        assert_eq!(bipartite(&toy).permuted(&relabelling.users, &relabelling.items), bipartite(&relabelled));
        let nodes = relabelling.joint();
        assert_eq!(joint(&toy).permuted(&nodes, &nodes), joint(&relabelled));
    }
}
