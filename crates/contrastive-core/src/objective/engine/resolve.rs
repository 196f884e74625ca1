//! From choices to lists and numbers.

use super::spec::{BothSpec, Spec, Targets};
use crate::objective::{Denominator, Direction, PairObjective, Placement, PositiveWeights, Reduction, Wanted};
use crate::pairs::PairLists;

impl PairObjective {
    /// The factors of the two directions.
    pub(crate) fn shares(&self) -> [f64; 2] {
        let each = if self.direction == Direction::Both && self.reduction != Reduction::Sum { 0.5 } else { 1.0 };
        self.shares.unwrap_or([each; 2])
    }

    /// Weights of the rows' values on a side; `known` are those that follow from the values, which [`Reduction::MeanNonZero`]
    /// needs.
    fn row_weights(&self, spec: &Spec, n: usize, side: usize, known: Option<&[Vec<f64>; 2]>) -> Vec<f64> {
        let share = self.shares()[side];
        if let Some(known) = known {
            return known[side].iter().map(|w| w * share).collect();
        }
        match &self.reduction {
            Reduction::Mean => vec![share / n as f64; n],
            Reduction::Sum | Reduction::MeanNonZero => vec![share; n],
            Reduction::Weighted(w) => {
                assert_eq!(w.len(), n, "row weights and anchors");
                w.to_vec()
            }
            Reduction::MeanWithPositives | Reduction::MeanOverPairs => {
                let over_pairs = self.reduction == Reduction::MeanOverPairs;
                let count = |i| spec.positives_of(i).take(if over_pairs { usize::MAX } else { 1 }).count();
                let total = if spec.paired { n } else { (0..n).map(count).sum() };
                vec![share / total.max(1) as f64; n]
            }
        }
    }

    /// One direction, resolved.
    pub(crate) fn spec(
        &self,
        [n, m]: [usize; 2],
        itself: bool,
        biased: bool,
        wanted: Wanted,
        known: Option<&[Vec<f64>; 2]>,
    ) -> Spec {
        self.validate().unwrap_or_else(|e| panic!("{e}"));
        let positives = self.pairs.resolve(n, m);
        let excluded = self.exclusions.resolve(n, m, positives.as_ref());
        let targets = match &self.weights {
            PositiveWeights::Mean => Targets::Mean,
            PositiveWeights::Sum => Targets::One,
            PositiveWeights::PerAnchor(t) => {
                assert_eq!(t.len(), n, "positive weights and anchors");
                Targets::PerRow(t.to_vec())
            }
            PositiveWeights::Listed => match positives.as_ref().and_then(|p| p.weights.clone()) {
                Some(weights) => Targets::Each(weights),
                None => Targets::One,
            },
        };
        if let Some(a) = &self.denominator_weights {
            assert_eq!(a.len(), n, "denominator weights and anchors");
        }
        let mut spec = Spec {
            paired: positives.is_none(),
            positives,
            excluded,
            self_offset: self.exclusions.offset.or(itself.then_some(0)),
            targets,
            denominator: self.denominator,
            placement: self.placement,
            row_weights: Vec::new(),
            denominator_weights: self.denominator_weights.as_ref().map(|a| a.to_vec()),
            offset: self.offset,
            clamp: self.clamp,
            biased,
            wanted,
            portable: crate::testing::is_portable(),
        };
        spec.row_weights = self.row_weights(&spec, n, 0, known);
        spec
    }

    /// The reverse direction of `spec`.
    pub(crate) fn reversed(&self, spec: &Spec, [n, m]: [usize; 2], known: Option<&[Vec<f64>; 2]>) -> Spec {
        let transposed =
            |lists: &PairLists| if self.pairs.symmetric() && n == m { lists.clone() } else { lists.transpose(m) };
        let positives = spec.positives.as_ref().map(transposed);
        let targets = match (&spec.targets, positives.as_ref().and_then(|p| p.weights.clone())) {
            (Targets::Each(_), Some(weights)) => Targets::Each(weights),
            (other, _) => other.clone(),
        };
        let excluded = spec.excluded.as_ref().map(|e| e.transpose(m));
        let mut reversed = Spec { positives, excluded, targets, ..spec.clone() };
        reversed.row_weights = self.row_weights(&reversed, m, 1, known);
        reversed
    }

    /// Is the both-directions kernel able to do this?
    pub(crate) fn both_spec(
        &self,
        spec: &Spec,
        shape: [usize; 2],
        itself: bool,
        scales: usize,
        known: Option<&[Vec<f64>; 2]>,
    ) -> Option<BothSpec> {
        let both = self.direction == Direction::Both;
        let plain = scales == 1
            && !spec.biased
            && !spec.portable
            && spec.excluded.is_none()
            && spec.clamp.is_none()
            && spec.offset == 0.0
            && spec.denominator_weights.is_none()
            && matches!(spec.targets, Targets::Mean | Targets::One)
            && spec.placement == Placement::Outside
            && spec.denominator != Denominator::OwnPositive
            && spec.wanted != Wanted { anchors: true, candidates: false }
            && spec.wanted != Wanted { anchors: false, candidates: true };
        let fits = plain
            && match itself {
                true => self.pairs.symmetric() && !both && spec.self_offset == Some(0),
                false => both && spec.self_offset.is_none(),
            };
        let positives = spec.positives.clone().filter(|_| fits)?;
        let reversed = both.then(|| self.reversed(spec, shape, known));
        Some(BothSpec {
            positives,
            column_positives: reversed.as_ref().and_then(|r| r.positives.clone()),
            mean: matches!(spec.targets, Targets::Mean),
            denominator: spec.denominator,
            row_weights: spec.row_weights.clone(),
            column_weights: reversed.map_or_else(Vec::new, |r| r.row_weights),
            gradients: spec.wanted != Wanted::VALUE,
        })
    }
}
