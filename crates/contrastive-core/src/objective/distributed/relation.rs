//! Which pairs are positive, when candidates come in blocks.

use super::keys::Keys;
use crate::objective::PairObjective;
use crate::pairs::{Exclusions, PairLists, Pairs};
use std::sync::Arc;

/// The positives of this rank's anchors.
#[derive(Clone)]
enum Positives {
    /// Beside the candidates.
    Beside,
    /// Among this rank's candidates.
    Own(PairLists),
    /// All candidates with the anchor's label.
    Labels(Arc<Vec<i64>>),
    /// Among the candidates of all ranks.
    Listed(Arc<PairLists>),
}

/// This rank's anchors and all ranks' candidates.
#[derive(Clone)]
pub(super) struct Relation {
    n: usize,
    /// The number of this rank's first candidate, and how many it has.
    own: [usize; 2],
    positives: Positives,
    /// Anchor i and this rank's candidate `i + offset` are the same sample.
    offset: Option<usize>,
    /// Ids of the anchors: no candidate with the same one is compared, unless it is a positive.
    ids: Option<Arc<Vec<i64>>>,
    /// Candidates of all ranks that are not compared.
    excluded: Option<Arc<PairLists>>,
    /// Names of this rank's candidates: labels, then ids.
    pub names: Vec<Vec<i64>>,
}

impl PairLists {
    /// The entries in `[low, high)`, counted from `low`.
    fn between(&self, low: usize, high: usize) -> Self {
        let (mut offsets, mut columns, mut kept) = (vec![0], Vec::new(), Vec::new());
        for i in 0..self.anchors() {
            for (q, &j) in self.of(i).iter().enumerate().filter(|(_, j)| (low..high).contains(&(**j as usize))) {
                columns.push(j - low as u32);
                kept.push(self.start(i) + q);
            }
            offsets.push(columns.len());
        }
        let weights = self.weights.as_ref().map(|w| kept.iter().map(|&at| w[at]).collect());
        Self { groups: None, offsets, columns, weights }
    }

    /// All entries `by` further on.
    pub(crate) fn shifted(&self, by: usize) -> Self {
        Self { columns: self.columns.iter().map(|j| j + by as u32).collect(), ..self.clone() }
    }

    fn empty(n: usize) -> Self {
        Self { groups: None, offsets: vec![0; n + 1], columns: Vec::new(), weights: None }
    }

    /// The entries of both, without weights.
    pub(super) fn with(&self, other: &Self) -> Self {
        let (mut offsets, mut columns) = (vec![0], Vec::new());
        for i in 0..self.anchors() {
            let mut row = [self.of(i), other.of(i)].concat();
            row.sort_unstable();
            row.dedup();
            columns.extend(row);
            offsets.push(columns.len());
        }
        Self { groups: None, offsets, columns, weights: None }
    }
}

impl Relation {
    /// The pairs of an objective, for n anchors and candidates number `first..first + m` of `total` on this rank.
    ///
    /// # Panics
    /// When pairs and numbers do not fit.
    pub fn new(objective: &PairObjective, [n, m]: [usize; 2], [first, total]: [usize; 2], itself: bool) -> Self {
        let exclusions = &objective.exclusions;
        let offset = exclusions.offset.or(itself.then_some(0));
        let mut names = Vec::new();
        let positives = match &objective.pairs {
            Pairs::Labels { anchors, candidates } => {
                assert_eq!(
                    [anchors.len(), candidates.len()],
                    [n, m],
                    "labels of [anchors, candidates] and their numbers"
                );
                names.push(candidates.to_vec());
                Positives::Labels(anchors.clone())
            }
            Pairs::Lists(lists) => {
                lists.check("positives", n, total);
                Positives::Listed(lists.clone())
            }
            rule => rule.resolve(n, m).map_or(Positives::Beside, Positives::Own),
        };
        let mut ids = None;
        if let Some([anchors, candidates]) = &exclusions.same {
            assert_eq!([anchors.len(), candidates.len()], [n, m], "ids of [anchors, candidates] and their numbers");
            names.push(candidates.to_vec());
            ids = Some(anchors.clone());
        }
        if let Some(lists) = &exclusions.lists {
            lists.check("exclusions", n, total);
        }
        Self { n, own: [first, m], positives, offset, ids, excluded: exclusions.lists.clone(), names }
    }

    /// Do the anchors' own rows lie among the candidates of their rank, and, in both directions, the other way round?
    pub fn own_rows_fit(objective: &PairObjective, [n, m]: [usize; 2], itself: bool) -> bool {
        let offset = objective.exclusions.offset.or(itself.then_some(0));
        let both = objective.direction == crate::objective::Direction::Both;
        offset.is_none_or(|o| n + o <= m && (!both || n == m))
    }

    /// The reverse: candidates, n of them here, among anchors, number `first..first + m`. `listed` are the positives and the exclusions of
    /// the candidates where they are given as lists.
    pub fn reversed(
        &self,
        objective: &PairObjective,
        [n, m]: [usize; 2],
        first: usize,
        [listed, excluded]: [Option<PairLists>; 2],
    ) -> Self {
        let (positives, mut names) = match (&self.positives, &objective.pairs) {
            (_, Pairs::Labels { anchors, candidates }) => {
                (Positives::Labels(candidates.clone()), vec![anchors.to_vec()])
            }
            (Positives::Own(lists), _) => (Positives::Own(lists.transpose(n)), Vec::new()),
            (_, _) => (listed.map_or(Positives::Beside, |l| Positives::Listed(Arc::new(l))), Vec::new()),
        };
        let mut ids = None;
        if let Some([anchors, candidates]) = &objective.exclusions.same {
            names.push(anchors.to_vec());
            ids = Some(candidates.clone());
        }
        Self { n, own: [first, m], positives, offset: self.offset, ids, excluded: excluded.map(Arc::new), names }
    }

    /// Positives and exclusions among the keys of a block, counted from its first: an objective of the anchors and those keys
    /// alone, forward, of rows as they are, summed.
    pub fn within(&self, objective: &PairObjective, keys: &Keys) -> PairObjective {
        let [first, m] = self.own;
        let here = keys.first <= first && first + m <= keys.first + keys.len();
        let ahead = first.saturating_sub(keys.first);
        let positives = match &self.positives {
            Positives::Beside => None,
            Positives::Own(lists) if here => Some(lists.shifted(ahead)),
            Positives::Own(_) => Some(PairLists::empty(self.n)),
            Positives::Labels(anchors) => Some(PairLists::classes(anchors, &keys.names[0])),
            Positives::Listed(lists) => Some(lists.between(keys.first, keys.first + keys.len())),
        };
        let excluded = match (&self.ids, &self.excluded) {
            (Some(ids), _) => {
                let same = PairLists::classes(ids, keys.names.last().expect("ids exchange with the keys"));
                Some(positives.as_ref().map_or_else(|| same.clone(), |p| same.without(p)))
            }
            (None, Some(lists)) => Some(lists.between(keys.first, keys.first + keys.len())),
            (None, None) => None,
        };
        let mut exclusions = excluded.map_or_else(Exclusions::none, Exclusions::lists);
        exclusions.offset = self.offset.filter(|_| here).map(|o| o + ahead);
        let mut local = objective.clone();
        local.similarity = crate::similarity::Similarity::Dot;
        local.direction = crate::objective::Direction::Forward;
        local.pairs = positives.map_or(Pairs::Beside, |p| Pairs::Lists(Arc::new(p)));
        local.exclusions = exclusions;
        local.reduction = crate::objective::Reduction::Sum;
        local
    }
}
