//! The one-to-one matching of clusters and classes that agrees on the most rows.

use super::contingency::Contingency;
use crate::error::EvalError;

/// For each different cluster, ascending, the class it stands for in the one-to-one matching with the largest number of rows in
/// agreement (Kuhn 1955, "Hungarian"; shortest augmenting paths, O(min^2 max) of the numbers of classes and clusters). None for
/// the clusters that are left over when there are more of them than classes.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`].
pub fn best_match(labels: &[u32], clusters: &[u32]) -> Result<Vec<(u32, Option<u32>)>, EvalError> {
    let table = Contingency::new(labels, clusters)?;
    let class_of = match_clusters(&table);
    let named = table.clusters.iter().zip(class_of);
    Ok(named.map(|(cluster, class)| (cluster.id, class.map(|class| table.classes[class].id))).collect())
}

/// The class of each cluster, by rank.
pub(super) fn match_clusters(table: &Contingency) -> Vec<Option<usize>> {
    let (classes, clusters) = (table.classes.len(), table.clusters.len());
    let mut class_of = vec![None; clusters];
    if classes <= clusters {
        for (class, cluster) in assign(&table.lists(true), clusters).into_iter().enumerate() {
            class_of[cluster] = Some(class);
        }
    } else {
        for (cluster, class) in assign(&table.lists(false), classes).into_iter().enumerate() {
            class_of[cluster] = Some(class);
        }
    }
    class_of
}

/// The column of each row with the largest total gain; `gains` lists the entries of each row that are not 0, and there are at least
/// as many columns as rows.
fn assign(gains: &[Vec<(usize, usize)>], columns: usize) -> Vec<usize> {
    const FREE: usize = usize::MAX;
    // A cost is minus a gain. Dual prices of rows and columns keep cost - row price - column price >= 0.
    let (mut row_price, mut column_price) = (vec![0i64; gains.len()], vec![0i64; columns]);
    let mut row_of = vec![FREE; columns];
    let mut gain = vec![0i64; columns];
    for start in 0..gains.len() {
        // Dijkstra from row `start` over alternating paths to the nearest free column
        let (mut nearest, mut previous) = (vec![i64::MAX; columns], vec![FREE; columns]);
        let mut done = vec![false; columns];
        let (mut row, mut through) = (start, FREE);
        let end = loop {
            gains[row].iter().for_each(|&(column, g)| gain[column] = g as i64);
            let (mut best, mut step) = (FREE, i64::MAX);
            for column in (0..columns).filter(|&column| !done[column]) {
                let reduced = -gain[column] - row_price[row] - column_price[column];
                if reduced < nearest[column] {
                    (nearest[column], previous[column]) = (reduced, through);
                }
                if nearest[column] < step {
                    (best, step) = (column, nearest[column]);
                }
            }
            gains[row].iter().for_each(|&(column, _)| gain[column] = 0);
            row_price[start] += step;
            for column in 0..columns {
                if done[column] {
                    row_price[row_of[column]] += step;
                    column_price[column] -= step;
                } else {
                    nearest[column] -= step;
                }
            }
            done[best] = true;
            if row_of[best] == FREE {
                break best;
            }
            (row, through) = (row_of[best], best);
        };
        let mut column = end;
        while previous[column] != FREE {
            row_of[column] = row_of[previous[column]];
            column = previous[column];
        }
        row_of[column] = start;
    }
    let mut column_of = vec![FREE; gains.len()];
    for (column, &row) in row_of.iter().enumerate().filter(|&(_, &row)| row != FREE) {
        column_of[row] = column;
    }
    column_of
}
