//! Rows among one learned row for each class: a proxy, a column of a classifier.

use crate::pairs::Pairs;

/// Class numbers of proxies `0..c`.
///
/// # Panics
/// When a label is none of them.
pub(crate) fn classes(labels: &[i64], c: usize) -> Pairs {
    let largest = labels.iter().max();
    let inside = labels.iter().all(|&l| l >= 0 && (l as usize) < c);
    assert!(inside, "labels from {:?} to {largest:?} for {c} classes", labels.iter().min());
    Pairs::one_each(labels.iter().map(|&l| l as u32).collect())
}
