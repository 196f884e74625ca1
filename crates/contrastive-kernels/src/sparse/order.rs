//! Numberings of nodes.

/// New numbers for nodes such that the ones with most neighbours come first: node `i` becomes `result[i]`; nodes of one
/// degree keep their order.
///
/// Rows that are read often then lie together and stay in cache, which saves memory traffic in
/// [`Csr::multiply`](super::Csr::multiply) on graphs with power-law degrees.
///
/// # Panics
/// When there are more nodes than a `u32` can number.
pub fn degree_order(degrees: &[usize]) -> Vec<u32> {
    assert!(degrees.len() <= u32::MAX as usize, "{} nodes: at most {} can be numbered", degrees.len(), u32::MAX);
    let mut nodes: Vec<u32> = (0..degrees.len() as u32).collect();
    nodes.sort_by_key(|&node| std::cmp::Reverse(degrees[node as usize]));
    inverse(&nodes, degrees.len(), "nodes")
}

/// The inverse of a permutation of `0..count`.
pub(super) fn inverse(permutation: &[u32], count: usize, what: &str) -> Vec<u32> {
    assert_eq!(permutation.len(), count, "numbering of {} for {count} {what}", permutation.len());
    let mut result = vec![u32::MAX; count];
    for (from, &to) in permutation.iter().enumerate() {
        let slot = &mut result[to as usize];
        assert_eq!(*slot, u32::MAX, "numbering of {what} is not a permutation: {to} occurs twice");
        *slot = from as u32;
    }
    result
}
