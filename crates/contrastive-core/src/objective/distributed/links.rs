//! Sums over the positives of an anchor.

use crate::linear::SparseOperator;
use crate::objective::engine::spec::{Spec, Targets};
use burn::tensor::Tensor;
use contrastive_kernels::sparse::Csr;

/// The positives of n anchors among m keys as an operator `T`: `(T x)_i = sum_p t_ip x_p`. Anchors of a class share one sum, so
/// that large classes cost no more than small ones.
pub(super) struct Links {
    /// `[n, lists]`: which list is an anchor's.
    groups: Option<SparseOperator>,
    /// `[lists, m]`, or `[n, m]`.
    lists: SparseOperator,
    /// `[n, m]`: what of the list is the anchor itself.
    own: Option<SparseOperator>,
}

fn operator(n: usize, m: usize, offsets: Vec<usize>, columns: Vec<u32>, values: Vec<f64>) -> SparseOperator {
    SparseOperator::new(Csr::from_parts(n, m, offsets, columns, values).expect("lists that were checked"))
}

impl Links {
    /// With these entries, row by row.
    pub fn new(n: usize, m: usize, rows: impl Iterator<Item = Vec<(u32, f64)>>) -> Self {
        let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in rows {
            columns.extend(row.iter().map(|e| e.0));
            values.extend(row.iter().map(|e| e.1));
            offsets.push(columns.len());
        }
        Self { groups: None, lists: operator(n, m, offsets, columns, values), own: None }
    }

    /// The positives of a comparison with m keys, each with its listed weight or 1; and how many each anchor has.
    pub fn of(spec: &Spec, n: usize, m: usize) -> (Self, Vec<usize>) {
        let weight = |at: usize| match &spec.targets {
            Targets::Each(t) => t[at],
            _ => 1.0,
        };
        let classes = spec.positives.as_ref().filter(|_| spec.excluded.is_none());
        let Some((lists, groups)) = classes.and_then(|lists| Some((lists, lists.groups.as_ref()?))) else {
            let rows: Vec<Vec<_>> =
                (0..n).map(|i| spec.positives_of(i).map(|(at, j)| (j, weight(at))).collect()).collect();
            let counts = rows.iter().map(Vec::len).collect();
            return (Self::new(n, m, rows.into_iter()), counts);
        };
        let itself = |i: usize| {
            let own = spec.self_offset.and_then(|o| u32::try_from(i + o).ok());
            own.filter(|j| lists.of(i).binary_search(j).is_ok())
        };
        let counts = (0..n).map(|i| lists.of(i).len() - usize::from(itself(i).is_some())).collect();
        let sums = operator(
            lists.offsets.len() - 1,
            m,
            lists.offsets.clone(),
            lists.columns.clone(),
            vec![1.0; lists.columns.len()],
        );
        let shared = operator(n, lists.offsets.len() - 1, (0..=n).collect(), groups.clone(), vec![1.0; n]);
        let own = spec
            .self_offset
            .map(|_| Self::new(n, m, (0..n).map(|i| itself(i).map(|j| (j, 1.0)).into_iter().collect())).lists);
        (Self { groups: Some(shared), lists: sums, own }, counts)
    }

    /// `[n, width]`: `T x`.
    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        let listed = self.lists.apply(x.clone());
        let sums = match &self.groups {
            Some(groups) => groups.apply(listed),
            None => listed,
        };
        match &self.own {
            Some(own) => sums - own.apply(x),
            None => sums,
        }
    }

    /// `[m, width]`: `T' y`.
    pub fn back(&self, y: Tensor<2>) -> Tensor<2> {
        let grouped = match &self.groups {
            Some(groups) => groups.transpose().apply(y.clone()),
            None => y.clone(),
        };
        let all = self.lists.transpose().apply(grouped);
        match &self.own {
            Some(own) => all - own.transpose().apply(y),
            None => all,
        }
    }
}
