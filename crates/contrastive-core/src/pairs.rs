//! Who is compared with whom.
//!
//! [`Pairs`] names the positives of each anchor, [`Exclusions`] the pairs that are never compared; every other pair is a
//! negative. Both are rules: they become lists when the numbers of anchors and candidates are known.

use crate::error::ObjectiveError;
use std::collections::HashMap;
use std::sync::Arc;

/// For each anchor a list of candidates, strictly ascending, with an optional weight for each entry.
#[derive(Clone, Debug, PartialEq)]
pub struct PairLists {
    /// Anchor i has the list number `groups[i]`; with `None`, list number i.
    pub(crate) groups: Option<Vec<u32>>,
    /// Where each list starts; one longer than the number of lists.
    pub(crate) offsets: Vec<usize>,
    /// The candidates of all lists, one after the other.
    pub(crate) columns: Vec<u32>,
    /// A weight for each entry; not together with groups.
    pub(crate) weights: Option<Vec<f64>>,
}

impl Default for PairLists {
    /// Of no anchors.
    fn default() -> Self {
        Self { groups: None, offsets: vec![0], columns: Vec::new(), weights: None }
    }
}

impl PairLists {
    /// Anchor i has the candidates `columns[offsets[i]..offsets[i + 1]]`, with `weights` of the same layout if given.
    ///
    /// # Errors
    /// When the offsets do not ascend from 0 to the number of columns, a list is not strictly ascending, or the weights
    /// are not one finite, non-negative number for each entry.
    pub fn new(offsets: Vec<usize>, columns: Vec<u32>, weights: Option<Vec<f64>>) -> Result<Self, ObjectiveError> {
        let wrong = |what: String| Err(ObjectiveError::Pairs(what));
        if offsets.first() != Some(&0) || offsets.last() != Some(&columns.len()) || !offsets.is_sorted() {
            return wrong(format!("offsets must ascend from 0 to the number of entries, {}", columns.len()));
        }
        for (i, list) in offsets.windows(2).enumerate() {
            if !columns[list[0]..list[1]].is_sorted_by(|a, b| a < b) {
                return wrong(format!("the list of anchor {i} is not strictly ascending"));
            }
        }
        if let Some(weights) = &weights {
            if weights.len() != columns.len() {
                return wrong(format!("{} weights for {} entries", weights.len(), columns.len()));
            }
            if let Some(at) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
                return wrong(format!("weight {} of entry {at}: it must be finite and at least 0", weights[at]));
            }
        }
        Ok(Self { groups: None, offsets, columns, weights })
    }

    /// One candidate for each anchor.
    pub fn one_each(columns: Vec<u32>) -> Self {
        Self { groups: None, offsets: (0..=columns.len()).collect(), columns, weights: None }
    }

    /// Lists shared by all anchors of the same class: the candidates whose class is the anchor's.
    pub(crate) fn classes(anchors: &[i64], candidates: &[i64]) -> Self {
        let mut number = HashMap::new();
        let groups = anchors.iter().map(|c| {
            let next = number.len() as u32;
            *number.entry(*c).or_insert(next)
        });
        let groups: Vec<u32> = groups.collect();
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); number.len()];
        for (j, c) in candidates.iter().enumerate() {
            if let Some(&g) = number.get(c) {
                lists[g as usize].push(j as u32);
            }
        }
        let mut offsets = vec![0];
        let mut columns = Vec::new();
        for list in lists {
            columns.extend(list);
            offsets.push(columns.len());
        }
        Self { groups: Some(groups), offsets, columns, weights: None }
    }

    /// Number of anchors.
    pub fn anchors(&self) -> usize {
        self.groups.as_ref().map_or(self.offsets.len() - 1, Vec::len)
    }

    /// The candidates of anchor `i`, ascending.
    pub fn of(&self, i: usize) -> &[u32] {
        let list = self.groups.as_ref().map_or(i, |g| g[i] as usize);
        &self.columns[self.offsets[list]..self.offsets[list + 1]]
    }

    /// Where the entries of anchor `i` start among all entries.
    pub(crate) fn start(&self, i: usize) -> usize {
        self.offsets[self.groups.as_ref().map_or(i, |g| g[i] as usize)]
    }

    /// Where the entries of the anchors `i0..i0 + b` lie among all entries; all of them if lists are shared.
    pub(crate) fn entries(&self, i0: usize, b: usize) -> std::ops::Range<usize> {
        match self.groups {
            Some(_) => 0..self.columns.len(),
            None => self.offsets[i0]..self.offsets[i0 + b],
        }
    }

    /// The lists of the anchors `i0..i0 + b`.
    pub(crate) fn rows(&self, i0: usize, b: usize) -> Self {
        let entries = self.entries(i0, b);
        let offsets = match self.groups {
            Some(_) => self.offsets.clone(),
            None => self.offsets[i0..=i0 + b].iter().map(|o| o - entries.start).collect(),
        };
        Self {
            groups: self.groups.as_ref().map(|g| g[i0..i0 + b].to_vec()),
            offsets,
            columns: self.columns[entries.clone()].to_vec(),
            weights: self.weights.as_ref().map(|w| w[entries].to_vec()),
        }
    }

    /// The same relation seen from the candidates: list j holds the anchors that list j. Weights go with their pairs.
    pub(crate) fn transpose(&self, candidates: usize) -> Self {
        let n = self.anchors();
        let mut offsets = vec![0usize; candidates + 1];
        for i in 0..n {
            self.of(i).iter().for_each(|&j| offsets[j as usize + 1] += 1);
        }
        (0..candidates).for_each(|j| offsets[j + 1] += offsets[j]);
        let mut next = offsets.clone();
        let mut columns = vec![0u32; offsets[candidates]];
        let mut weights = self.weights.as_ref().map(|w| vec![0f64; w.len()]);
        for i in 0..n {
            for (q, &j) in self.of(i).iter().enumerate() {
                let at = next[j as usize];
                next[j as usize] += 1;
                columns[at] = i as u32;
                if let (Some(to), Some(from)) = (&mut weights, &self.weights) {
                    to[at] = from[self.start(i) + q];
                }
            }
        }
        Self { groups: None, offsets, columns, weights }
    }

    /// These lists without the entries of `other`; weights are dropped.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let n = self.anchors();
        let mut offsets = vec![0];
        let mut columns = Vec::new();
        for i in 0..n {
            let keep = other.of(i);
            columns.extend(self.of(i).iter().filter(|j| keep.binary_search(j).is_err()));
            offsets.push(columns.len());
        }
        Self { groups: None, offsets, columns, weights: None }
    }

    pub(crate) fn check(&self, what: &str, n: usize, m: usize) {
        assert_eq!(
            self.anchors(),
            n,
            "{what} for {} anchors, but there are {n} anchors ({m} candidates)",
            self.anchors()
        );
        let largest = self.columns.iter().max();
        assert!(
            largest.is_none_or(|&j| (j as usize) < m),
            "{what} name candidate {largest:?}, but there are {m} ({n} anchors)"
        );
    }
}

/// Which candidates are positives of which anchor.
#[derive(Clone, Debug, PartialEq)]
pub enum Pairs {
    /// Candidate i is the positive of anchor i (InfoNCE, CLIP).
    Diagonal,
    /// 2N rows that are two views of N samples, one view after the other: row i belongs to row i +- N (NT-Xent).
    TwoViews,
    /// V N rows that are V views of N samples, one view after the other: rows i and j belong together when i and j are the same
    /// modulo N (multi-crop and multi-view forms of NT-Xent and SupCon).
    Views(usize),
    /// Ordered rows: candidate j of the first n is a positive of anchor i when `|i - j|` is at most this; with a table compared
    /// with itself, a row is never its own positive (temporal neighbours).
    Band(usize),
    /// Anchors and candidates with the same label belong together (SupCon); a row is never its own positive when a table is
    /// compared with itself.
    Labels {
        /// One for each anchor.
        anchors: Arc<Vec<i64>>,
        /// One for each candidate.
        candidates: Arc<Vec<i64>>,
    },
    /// Listed for each anchor, possibly with target weights.
    Lists(Arc<PairLists>),
    /// Each anchor brings its own positive, which is not a candidate of the others (MoCo: the candidates are a queue);
    /// see [`Inputs::with_paired`](crate::objective::Inputs::with_paired).
    Beside,
}

impl Pairs {
    /// Rows of one table with the same label belong together.
    pub fn labels(labels: &[i64]) -> Self {
        let labels = Arc::new(labels.to_vec());
        Self::Labels { anchors: labels.clone(), candidates: labels }
    }

    /// Anchors and candidates with the same label belong together.
    pub fn labels_between(anchors: &[i64], candidates: &[i64]) -> Self {
        Self::Labels { anchors: Arc::new(anchors.to_vec()), candidates: Arc::new(candidates.to_vec()) }
    }

    /// Candidate `columns[i]` is the positive of anchor i.
    pub fn one_each(columns: Vec<u32>) -> Self {
        Self::Lists(Arc::new(PairLists::one_each(columns)))
    }

    /// Are the pairs the same when anchors and candidates change places?
    pub(crate) fn symmetric(&self) -> bool {
        match self {
            Self::Diagonal | Self::TwoViews | Self::Views(_) | Self::Band(_) => true,
            Self::Labels { anchors, candidates } => Arc::ptr_eq(anchors, candidates) || anchors == candidates,
            Self::Lists(_) | Self::Beside => false,
        }
    }

    /// The lists for `n` anchors and `m` candidates; `None` for [`Pairs::Beside`].
    ///
    /// # Panics
    /// When the rule does not fit the numbers.
    pub(crate) fn resolve(&self, n: usize, m: usize) -> Option<PairLists> {
        match self {
            Self::Diagonal => {
                assert!(n <= m, "the diagonal of {n} anchors and {m} candidates: too few candidates");
                Some(PairLists::one_each((0..n as u32).collect()))
            }
            Self::TwoViews => {
                assert!(
                    n == m && n.is_multiple_of(2),
                    "two views of {n} anchors and {m} candidates: one table of 2N rows is needed"
                );
                let half = n as u32 / 2;
                Some(PairLists::one_each((0..n as u32).map(|i| if i < half { i + half } else { i - half }).collect()))
            }
            Self::Views(views) => {
                assert!(
                    n == m && *views > 1 && n.is_multiple_of(*views),
                    "{views} views of {n} anchors and {m} candidates: one table of V N rows is needed, with V above 1"
                );
                let samples = n / views;
                let labels: Vec<i64> = (0..n).map(|i| (i % samples) as i64).collect();
                Some(PairLists::classes(&labels, &labels))
            }
            Self::Band(width) => {
                let (mut offsets, mut columns) = (vec![0], Vec::new());
                for i in 0..n {
                    columns.extend((i.saturating_sub(*width)..(i + width + 1).min(n.min(m))).map(|j| j as u32));
                    offsets.push(columns.len());
                }
                Some(PairLists { groups: None, offsets, columns, weights: None })
            }
            Self::Labels { anchors, candidates } => {
                assert_eq!(
                    [anchors.len(), candidates.len()],
                    [n, m],
                    "labels of [anchors, candidates] and their numbers"
                );
                Some(PairLists::classes(anchors, candidates))
            }
            Self::Lists(lists) => {
                lists.check("positives", n, m);
                Some(PairLists::clone(lists))
            }
            Self::Beside => None,
        }
    }
}

/// Pairs that are never compared, not even when they are listed as positives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exclusions {
    pub(crate) offset: Option<usize>,
    pub(crate) same: Option<[Arc<Vec<i64>>; 2]>,
    pub(crate) lists: Option<Arc<PairLists>>,
}

impl Exclusions {
    /// Everything is compared. (A table compared with itself still leaves out each row's comparison with itself.)
    pub fn none() -> Self {
        Self::default()
    }

    /// Anchor i and candidate `i + offset` are the same sample: 0 when the anchors are the first rows of the candidates.
    pub fn own_row(offset: usize) -> Self {
        Self { offset: Some(offset), ..Self::default() }
    }

    /// Anchors and candidates with the same id are not compared unless they are positives: the same item may stand in a
    /// batch several times, and is not a negative of itself.
    pub fn same_ids(anchors: &[i64], candidates: &[i64]) -> Self {
        Self { same: Some([Arc::new(anchors.to_vec()), Arc::new(candidates.to_vec())]), ..Self::default() }
    }

    /// Listed for each anchor; weights are ignored.
    pub fn lists(lists: PairLists) -> Self {
        Self { lists: Some(Arc::new(lists)), ..Self::default() }
    }

    /// These exclusions and, besides, each anchor's own row.
    pub fn with_own_row(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The lists for `n` anchors and `m` candidates.
    ///
    /// # Panics
    /// When the rule does not fit the numbers.
    pub(crate) fn resolve(&self, n: usize, m: usize, positives: Option<&PairLists>) -> Option<PairLists> {
        if let Some([anchors, candidates]) = &self.same {
            assert_eq!([anchors.len(), candidates.len()], [n, m], "ids of [anchors, candidates] and their numbers");
            let all = PairLists::classes(anchors, candidates);
            return Some(match positives {
                Some(positives) => all.without(positives),
                None => all,
            });
        }
        let lists = self.lists.as_deref()?;
        lists.check("exclusions", n, m);
        Some(PairLists { weights: None, ..lists.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_become_lists() {
        let two = Pairs::TwoViews.resolve(6, 6).unwrap();
        assert_eq!((0..6).map(|i| two.of(i)[0]).collect::<Vec<_>>(), [3, 4, 5, 0, 1, 2]);
        let labels = Pairs::labels_between(&[7, 8, 7], &[8, 7, 9, 7]).resolve(3, 4).unwrap();
        assert_eq!([labels.of(0), labels.of(1), labels.of(2)], [&[1, 3][..], &[0], &[1, 3]]);
        let back = labels.transpose(4);
        assert_eq!([back.of(0), back.of(1), back.of(2), back.of(3)], [&[1][..], &[0, 2], &[], &[0, 2]]);
    }

    #[test]
    fn equal_ids_spare_the_positives() {
        let positives = PairLists::one_each(vec![0, 1, 2]);
        let excluded = Exclusions::same_ids(&[5, 5, 6], &[5, 5, 6]).resolve(3, 3, Some(&positives)).unwrap();
        assert_eq!([excluded.of(0), excluded.of(1), excluded.of(2)], [&[1][..], &[0], &[]]);
    }

    #[test]
    fn bad_lists_are_named() {
        let error = |o: Vec<usize>, c: Vec<u32>, w: Option<Vec<f64>>| PairLists::new(o, c, w).unwrap_err().to_string();
        assert!(error(vec![0, 1], vec![0, 1], None).contains("ascend from 0"));
        assert!(error(vec![0, 2], vec![1, 1], None).contains("anchor 0"));
        assert!(error(vec![0, 1], vec![1], Some(vec![])).contains("0 weights for 1"));
        assert!(error(vec![0, 1], vec![1], Some(vec![f64::NAN])).contains("weight NaN of entry 0"));
    }
}
