//! Texts of similar length together.

/// Batches of the numbers `0..lengths.len()`: the longest first, each batch as many as have at most `tokens` tokens and `rows` texts
/// together, one at least. Equal lengths keep their order.
///
/// ```
/// use contrastive_data::text::length_batches;
///
/// assert_eq!(length_batches(&[2, 9, 3, 2], 5, 10), [vec![1], vec![2, 0], vec![3]]);
/// assert_eq!(length_batches(&[1, 1, 1], 100, 2), [vec![0, 1], vec![2]]);
/// ```
pub fn length_batches(lengths: &[usize], tokens: usize, rows: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(lengths[at]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut sum = 0;
    for at in order {
        match batches.last_mut() {
            Some(batch) if batch.len() < rows && sum + lengths[at] <= tokens => {
                batch.push(at);
                sum += lengths[at];
            }
            _ => {
                batches.push(vec![at]);
                sum = lengths[at];
            }
        }
    }
    batches
}
