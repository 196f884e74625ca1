//! The protocol itself: who is evaluated, on what, at which cutoffs.

use super::error::{RankingError, Side};
use super::metric::{Discounts, Metric, user_values};
use super::report::{LeftOut, PerUserReport};
use contrastive_kernels::top_k::{ItemSets, Score, TopK, top_k, top_k_scores};
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::borrow::Cow;

/// Scores held at a time when they are given by a function: 32 MiB of `f32`.
const SCORES: usize = 1 << 23;

/// An evaluation, checked and ready to be applied to scores of any form.
///
/// ```
/// use contrastive_eval::ranking::{ItemSets, Protocol};
///
/// let test = ItemSets::new(&[0, 1, 2, 3], &[0, 1, 2])?;
/// let each = Protocol::new(ItemSets::empty(3), test, &[1])?
///     .with_users(&[0, 2])?
///     .score_blocks(4, |users, scores: &mut [f32]| {
///         for (user, scores) in users.iter().zip(scores.chunks_exact_mut(4)) {
///             scores.fill(0.0);
///             scores[*user as usize] = 1.0;
///         }
///     })?;
/// assert_eq!(each.users(), [0, 2]);
/// assert_eq!(each.get("recall@1"), Some(vec![1.0, 1.0]));
/// # Ok::<(), contrastive_eval::ranking::RankingError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Protocol<'a> {
    train: ItemSets<'a>,
    test: ItemSets<'a>,
    cutoffs: Vec<usize>,
    /// The chosen users, before those without test items are dropped.
    users: Option<Vec<u32>>,
    /// Training and validation items together, where both are left out: offsets and items.
    both: Option<(Vec<usize>, Vec<u32>)>,
    /// A gain for each test item, in the order of the sets.
    gains: Option<Vec<f64>>,
}

impl<'a> Protocol<'a> {
    /// Evaluates every user with test items; `train` and `test` have one row for each user, `cutoffs` may be in any order.
    ///
    /// # Errors
    /// [`RankingError::NoCutoff`], [`RankingError::ZeroCutoff`]; [`RankingError::UserCountMismatch`] when `train` and `test` differ in
    /// rows; [`RankingError::NoTestUser`].
    pub fn new(train: ItemSets<'a>, test: ItemSets<'a>, cutoffs: &[usize]) -> Result<Self, RankingError> {
        let mut cutoffs = cutoffs.to_vec();
        cutoffs.sort_unstable();
        cutoffs.dedup();
        match cutoffs.first() {
            None => return Err(RankingError::NoCutoff),
            Some(0) => return Err(RankingError::ZeroCutoff),
            Some(_) => {}
        }
        check_rows(Side::Train, train.rows(), test.rows())?;
        if test.is_empty() {
            return Err(RankingError::NoTestUser);
        }
        Ok(Self { train, test, cutoffs, users: None, both: None, gains: None })
    }

    /// Leaves validation items out of the ranking, too: RecBole's protocol for the test part. Without this they are ranked, and what a
    /// method has learnt to like but was not trained on stands above the test items. Numbers of the two protocols are not
    /// comparable; the report says which it was.
    ///
    /// # Errors
    /// [`RankingError::UserCountMismatch`].
    pub fn without_validation(mut self, validation: ItemSets<'_>) -> Result<Self, RankingError> {
        check_rows(Side::Validation, validation.rows(), self.test.rows())?;
        let (mut offsets, mut items) = (vec![0], Vec::new());
        for (train, validation) in self.train.iter().zip(validation.iter()) {
            let start = items.len();
            items.extend(train.iter().chain(validation));
            items[start..].sort_unstable();
            // an item that is in both parts stands once
            let mut kept = start;
            for at in start..items.len() {
                if at == start || items[at] != items[at - 1] {
                    items[kept] = items[at];
                    kept += 1;
                }
            }
            items.truncate(kept);
            offsets.push(items.len());
        }
        self.both = Some((offsets, items));
        Ok(self)
    }

    /// Graded relevance: a gain for each test item, in the order of the test sets (user after user, items ascending). Only NDCG looks at it:
    /// its hits count their gains, and the ideal ranking has the largest gains first. For the exponential form give `2^grade - 1`.
    ///
    /// # Errors
    /// [`RankingError::GainCount`], [`RankingError::BadGain`].
    pub fn with_gains(mut self, gains: &[f64]) -> Result<Self, RankingError> {
        if gains.len() != self.test.len() {
            return Err(RankingError::GainCount { found: gains.len(), expected: self.test.len() });
        }
        if let Some(at) = gains.iter().position(|gain| !gain.is_finite() || *gain < 0.0) {
            return Err(RankingError::BadGain { at, gain: gains[at] });
        }
        self.gains = Some(gains.to_vec());
        Ok(self)
    }

    /// The items that are not ranked, and what they are.
    fn left_out(&self) -> (ItemSets<'_>, LeftOut) {
        match &self.both {
            None => (self.train, LeftOut::Train),
            Some((offsets, items)) => {
                let sets = ItemSets::new(offsets, items).expect("merged sets are sorted");
                (sets, LeftOut::TrainAndValidation)
            }
        }
    }

    /// Evaluates these users only (cold-start users, say); those without test items are still left out.
    ///
    /// # Errors
    /// [`RankingError::UserOutOfRange`], [`RankingError::RepeatedUser`]; [`RankingError::NoTestUser`] when none of them has test items.
    pub fn with_users(mut self, users: &[u32]) -> Result<Self, RankingError> {
        let mut chosen = vec![false; self.test.rows()];
        for &user in users {
            match chosen.get_mut(user as usize) {
                None => return Err(RankingError::UserOutOfRange { user, users: self.test.rows() }),
                Some(true) => return Err(RankingError::RepeatedUser { user }),
                Some(new) => *new = true,
            }
        }
        if users.iter().all(|&user| self.test.row(user as usize).is_empty()) {
            return Err(RankingError::NoTestUser);
        }
        self.users = Some(users.to_vec());
        Ok(self)
    }

    /// Ranks by the inner products of embeddings, `[users, D]` and `[items, D]`.
    ///
    /// # Errors
    /// [`RankingError::WidthMismatch`], [`RankingError::UserCountMismatch`], [`RankingError::CutoffAboveCatalogue`],
    /// [`RankingError::ItemOutOfRange`], [`RankingError::NonFinite`]. Finite embeddings never score NaN: where they overflow
    /// the type, the score is infinite.
    pub fn embeddings<T: Score>(
        &self,
        users: ArrayView2<'_, T>,
        items: ArrayView2<'_, T>,
    ) -> Result<PerUserReport, RankingError> {
        let width = items.ncols();
        if users.ncols() != width || width == 0 {
            return Err(RankingError::WidthMismatch { users: users.ncols(), items: width });
        }
        check_rows(Side::Users, users.nrows(), self.test.rows())?;
        self.check_items(items.nrows())?;
        let users = users.as_standard_layout();
        let items = items.as_standard_layout();
        let (users, items) = (users.as_slice().expect("standard layout"), items.as_slice().expect("standard layout"));
        check_finite(Side::Users, users, width)?;
        check_finite(Side::Items, items, width)?;
        let evaluated = self.evaluated();
        let queries = if evaluated.len() == self.test.rows() && evaluated.is_sorted() {
            Cow::Borrowed(users)
        } else {
            let rows = evaluated.iter().flat_map(|&user| &users[user as usize * width..][..width]);
            Cow::Owned(rows.copied().collect())
        };
        // one more than is looked at, to see a tie at the end
        let best = top_k(&queries, items, width, self.longest() + 1, Some((self.left_out().0, &evaluated)));
        let items = items.len() / width;
        Ok(self.of_best(evaluated, items, &best))
    }

    /// Ranks by explicit scores, `[users, items]`. Minus infinity ranks last.
    ///
    /// # Errors
    /// [`RankingError::UserCountMismatch`], [`RankingError::CutoffAboveCatalogue`], [`RankingError::ItemOutOfRange`],
    /// [`RankingError::NanScore`] for an item that is ranked.
    pub fn scores<T: Score>(&self, scores: ArrayView2<'_, T>) -> Result<PerUserReport, RankingError> {
        check_rows(Side::Scores, scores.nrows(), self.test.rows())?;
        self.score_blocks(scores.ncols(), |users, block| {
            for (&user, block) in users.iter().zip(block.chunks_exact_mut(scores.ncols())) {
                for (to, &from) in block.iter_mut().zip(scores.row(user as usize)) {
                    *to = from;
                }
            }
        })
    }

    /// Ranks by the scores that a function gives for a block of users at a time: `score(users, scores)` fills `scores`,
    /// `[users.len(), items]`, row-major. Blocks come in the order of the users; at most 2^23 scores (or one user's) are
    /// held at a time. The buffer is not cleared between blocks.
    ///
    /// # Errors
    /// As [`Protocol::scores`], but for the number of rows.
    pub fn score_blocks<T: Score>(
        &self,
        items: usize,
        mut score: impl FnMut(&[u32], &mut [T]),
    ) -> Result<PerUserReport, RankingError> {
        self.check_items(items)?;
        let evaluated = self.evaluated();
        let block = (SCORES / items).clamp(1, evaluated.len());
        let mut scores = vec![T::zero(); block * items];
        let (longest, left_out) = (self.longest() + 1, self.left_out().0);
        let mut best = TopK { k: longest, indices: Vec::new(), scores: Vec::<T>::new() };
        for users in evaluated.chunks(block) {
            let scores = &mut scores[..users.len() * items];
            score(users, scores);
            let part = top_k_scores(scores, items, longest, Some((left_out, users)));
            check_scores(&part, users)?;
            best.indices.extend(part.indices);
            best.scores.extend(part.scores);
        }
        Ok(self.of_best(evaluated, items, &best))
    }

    /// Takes the rankings as given: one list for each user (for each chosen one after [`Protocol::with_users`]), best item
    /// first, possibly shorter than the cutoffs. The training sets are not looked at.
    ///
    /// # Errors
    /// [`RankingError::UserCountMismatch`], [`RankingError::CutoffAboveCatalogue`], [`RankingError::ItemOutOfRange`],
    /// [`RankingError::RepeatedItem`].
    pub fn ranked<L: AsRef<[u32]> + Sync>(&self, lists: &[L], items: usize) -> Result<PerUserReport, RankingError> {
        let chosen = self.chosen();
        check_rows(Side::Ranked, lists.len(), chosen.len())?;
        self.check_items(items)?;
        for (&user, list) in chosen.iter().zip(lists) {
            let mut sorted = list.as_ref().to_vec();
            sorted.sort_unstable();
            check_range(Side::Ranked, user as usize, &sorted, items)?;
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(RankingError::RepeatedItem { user: user as usize, item: pair[0] });
            }
        }
        let (evaluated, rows): (Vec<u32>, Vec<usize>) =
            (0..chosen.len()).filter(|&row| self.has_test(chosen[row])).map(|row| (chosen[row], row)).unzip();
        let longest = self.longest();
        Ok(self.report(evaluated, items, None, None, |row| {
            let list = lists[rows[row]].as_ref();
            &list[..list.len().min(longest)]
        }))
    }

    fn longest(&self) -> usize {
        *self.cutoffs.last().expect("checked when made")
    }

    fn has_test(&self, user: u32) -> bool {
        !self.test.row(user as usize).is_empty()
    }

    fn chosen(&self) -> Cow<'_, [u32]> {
        match &self.users {
            Some(users) => Cow::Borrowed(users),
            None => Cow::Owned((0..self.test.rows() as u32).collect()),
        }
    }

    fn evaluated(&self) -> Vec<u32> {
        self.chosen().iter().copied().filter(|&user| self.has_test(user)).collect()
    }

    fn check_items(&self, items: usize) -> Result<(), RankingError> {
        if self.longest() > items {
            return Err(RankingError::CutoffAboveCatalogue { k: self.longest(), items });
        }
        for (side, sets) in [(Side::Train, self.left_out().0), (Side::Test, self.test)] {
            for (user, set) in sets.iter().enumerate() {
                check_range(side, user, set, items)?;
            }
        }
        Ok(())
    }

    /// The report of rankings that are one item longer than the longest cutoff.
    fn of_best<T: Score>(&self, users: Vec<u32>, items: usize, best: &TopK<T>) -> PerUserReport {
        let longest = self.longest();
        let tied = |row: usize| best.row(row).1.windows(2).any(|pair| pair[0] == pair[1]);
        let tied = (0..users.len()).map(tied).collect();
        self.report(users, items, Some(self.left_out().1), Some(tied), |row| {
            let list = best.row(row).0;
            &list[..list.len().min(longest)]
        })
    }

    /// The gains of the test items of each user, where there are any.
    fn gains_of(&self) -> Option<Vec<&[f64]>> {
        let gains = self.gains.as_deref()?;
        let mut rest = gains;
        let each = self.test.iter().map(|items| {
            let (own, others) = rest.split_at(items.len());
            rest = others;
            own
        });
        Some(each.collect())
    }

    /// Turns the first items of each evaluated user into values.
    fn report<'l>(
        &self,
        users: Vec<u32>,
        items: usize,
        left_out: Option<LeftOut>,
        tied: Option<Vec<bool>>,
        list: impl Fn(usize) -> &'l [u32] + Sync,
    ) -> PerUserReport {
        let gains = self.gains_of();
        let cutoffs = &self.cutoffs;
        let discounts = Discounts::new(self.longest());
        let columns = Metric::PER_USER.len() * cutoffs.len();
        let mut values = vec![0.0; users.len() * columns];
        values.par_chunks_exact_mut(columns).enumerate().for_each(|(row, values)| {
            let user = users[row] as usize;
            let gains = gains.as_ref().map(|gains| gains[user]);
            user_values(list(row), self.test.row(user), gains, cutoffs, &discounts, values);
        });
        // the smallest cutoff at which anyone is shown an item
        let mut shown = vec![cutoffs.len(); items];
        for row in 0..users.len() {
            for (rank, &item) in list(row).iter().enumerate() {
                let at = cutoffs.partition_point(|&k| k <= rank);
                let first = &mut shown[item as usize];
                *first = at.min(*first);
            }
        }
        let mut coverage = vec![0.0; cutoffs.len()];
        for first in shown {
            for value in &mut coverage[first..] {
                *value += 1.0;
            }
        }
        for value in &mut coverage {
            *value /= items as f64;
        }
        PerUserReport { items, cutoffs: cutoffs.clone(), users, values, coverage, left_out, tied }
    }
}

fn check_rows(side: Side, found: usize, expected: usize) -> Result<(), RankingError> {
    if found == expected { Ok(()) } else { Err(RankingError::UserCountMismatch { side, found, expected }) }
}

/// `sorted` has its largest item last.
fn check_range(side: Side, user: usize, sorted: &[u32], items: usize) -> Result<(), RankingError> {
    match sorted.last() {
        Some(&item) if item as usize >= items => Err(RankingError::ItemOutOfRange { side, user, item, items }),
        _ => Ok(()),
    }
}

pub(super) fn check_finite<T: Score>(side: Side, table: &[T], width: usize) -> Result<(), RankingError> {
    let bad = |value: &&T| !value.is_finite();
    let row = table.par_chunks_exact(width).position_first(|row| row.iter().any(|value| bad(&value)));
    let Some(row) = row else { return Ok(()) };
    let value = table[row * width..].iter().find(bad).map_or(f64::NAN, |value| value.f64());
    Err(RankingError::NonFinite { side, row, value })
}

/// The kernel ranks a NaN score first, so the first of each row tells.
fn check_scores<T: Score>(best: &TopK<T>, users: &[u32]) -> Result<(), RankingError> {
    for (row, &user) in users.iter().enumerate() {
        let (items, scores) = best.row(row);
        if scores.first().is_some_and(|score| score.is_nan()) {
            return Err(RankingError::NanScore { user, item: items[0] });
        }
    }
    Ok(())
}
