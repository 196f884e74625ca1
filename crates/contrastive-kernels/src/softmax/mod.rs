//! The softmax family over anchors x candidates, value and gradients, without the matrix.
//!
//! Row i (an anchor), positives p with target weights `t_ip`, candidates j:
//!
//! ```text
//! s_ij = scale_i * <a_i, c_j> + bias_j            scale = 1 / temperature, bias = log-weight of a candidate
//! Outside: l_i = A_i log D_i - sum_p t_ip s_ip     Inside: l_i = log D_i - log sum_p t_ip e^{s_ip}
//! D_i    : WithPositives  sum over candidates + offset
//!          NegativesOnly  sum over candidates that are no positive of i + offset
//!          OwnPositive    e^{s_ip} + sum over the negatives, one denominator for each positive p
//! value  = sum_i row_weight_i l_i,   A_i = sum_p t_ip unless given
//! ```
//!
//! An excluded pair is never compared, not even when it is listed as a positive. A row without positives (inside: of
//! weight above 0), or whose denominator is empty, has the value 0 and no gradient.
//!
//! [`rows`] evaluates this for any problem; [`two_sided`] evaluates both directions of a comparison (CLIP), or a table
//! against itself (NT-Xent, SupCon), where symmetry saves a third of the work.

mod debiased;
mod far;
mod lanes;
mod merge;
mod rows;
mod sides;
mod tiles;
mod two_sided;

pub use debiased::{Debiased, RowValue};
pub use rows::rows;
pub(crate) use rows::rows_generic;
pub(crate) use two_sided::two_sided_generic;
pub use two_sided::{TwoSidedOutput, TwoSidedProblem, two_sided};

use crate::real::Real;

/// Most columns of a stripe.
const TILE_COLUMNS: usize = 512;
/// Most bytes of a stripe's candidates: they stay in the second-level cache, beside a panel, for all rows of a block.
const STRIPE_BYTES: usize = 256 << 10;
/// Fewest and most rows of a block: between them, as many as a stripe has columns, for what is done once for a row and a stripe is of the
/// weight of what is done once for a column and a block.
const BLOCK_ROWS: [usize; 2] = [256, 512];
/// A panel with more than one positive among so many pairs writes them into the tile.
const FEW: usize = 64;
/// Most bytes of a block of similarities; the block has fewer rows where there are many columns.
const BLOCK_BYTES: usize = 64 << 20;
/// The scales that are allowed, 1e-9 to 2e9 (a distance is twice an inner product) and their rounding to `f32`: masked similarities stay
/// below every other.
const SCALES: std::ops::RangeInclusive<f64> = 0.999e-9..=2.001e9;

/// For each row a sorted list of columns: its own, or the list of the group it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct RowSets<'a> {
    groups: Option<&'a [u32]>,
    offsets: &'a [usize],
    columns: &'a [u32],
}

impl<'a> RowSets<'a> {
    /// Row i has the columns `columns[offsets[i]..offsets[i + 1]]`, or, with `groups`, the list of number `groups[i]`.
    ///
    /// # Panics
    /// When the offsets do not ascend from 0 to the number of columns, a list is not strictly ascending, or a group has no
    /// list.
    pub fn new(groups: Option<&'a [u32]>, offsets: &'a [usize], columns: &'a [u32]) -> Self {
        assert_eq!(offsets.first().copied(), Some(0), "row sets: the first offset");
        assert_eq!(
            offsets.last().copied(),
            Some(columns.len()),
            "row sets: the last offset and the number of columns differ"
        );
        assert!(offsets.is_sorted(), "row sets: the offsets do not ascend");
        for (list, w) in offsets.windows(2).enumerate() {
            assert!(columns[w[0]..w[1]].is_sorted_by(|a, b| a < b), "row sets: list {list} is not strictly ascending");
        }
        if let Some(largest) = groups.and_then(|g| g.iter().max()) {
            assert!(
                (*largest as usize) < offsets.len() - 1,
                "row sets: group {largest} of {} lists",
                offsets.len() - 1
            );
        }
        Self { groups, offsets, columns }
    }

    /// # Panics
    /// When there are not `n` rows, or a column is not below `m`.
    pub(crate) fn check(&self, what: &str, n: usize, m: usize) {
        let rows = self.groups.map_or(self.offsets.len() - 1, <[u32]>::len);
        assert_eq!(rows, n, "{what} has {rows} values instead of {n} ({n} anchors, {m} candidates)");
        if let Some(largest) = self.columns.iter().max() {
            assert!((*largest as usize) < m, "{what} name column {largest} of {m}");
        }
    }

    /// The columns of row `i`, ascending.
    #[inline]
    pub fn of(&self, i: usize) -> &'a [u32] {
        let set = self.groups.map_or(i, |g| g[i] as usize);
        &self.columns[self.offsets[set]..self.offsets[set + 1]]
    }

    /// Is row i in list j of the other whenever j is in list i? Assumed, not checked, for group lists.
    fn is_in(&self, other: &Self) -> bool {
        let lists = |sets: &Self| 0..sets.offsets.len() - 1;
        let holds = |i: usize, j: u32| other.of(j as usize).binary_search(&(i as u32)).is_ok();
        self.groups.is_some() || other.groups.is_some() || lists(self).all(|i| self.of(i).iter().all(|&j| holds(i, j)))
    }

    /// Where the list of row `i` starts in the concatenation of all lists.
    #[inline]
    fn start(&self, i: usize) -> usize {
        self.offsets[self.groups.map_or(i, |g| g[i] as usize)]
    }

    /// The part of row `i` inside `[low, high)`, and the position of its first entry within the row's list.
    #[inline]
    fn within(&self, i: usize, low: usize, high: usize) -> (usize, &'a [u32]) {
        let all = self.of(i);
        if all.len() == 1 {
            let j = all[0] as usize;
            return if low <= j && j < high { (0, all) } else { (0, &[]) };
        }
        let from = all.partition_point(|&j| (j as usize) < low);
        let to = from + all[from..].partition_point(|&j| (j as usize) < high);
        (from, &all[from..to])
    }
}

/// Inverse temperature of the similarities.
#[derive(Clone, Copy, Debug)]
pub enum Scale<'a, T> {
    /// One for all pairs.
    Uniform(T),
    /// One for each anchor.
    PerRow(&'a [T]),
}

impl<T: Real> Scale<'_, T> {
    #[inline(always)]
    fn of(&self, i: usize) -> T {
        match self {
            Self::Uniform(s) => *s,
            Self::PerRow(s) => s[i],
        }
    }
}

/// Target weights `t_ip` of the positives.
#[derive(Clone, Copy, Debug)]
pub enum PositiveWeights<'a, T> {
    /// `1 / |P_i|`: the mean over a row's positives.
    Mean,
    /// 1 each: the sum over a row's positives.
    One,
    /// One weight for all positives of a row.
    PerRow(&'a [T]),
    /// One weight for each entry of the lists; not with groups.
    Each(&'a [T]),
}

/// What the denominator of a row sums over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denominator {
    /// All candidates that are not excluded (InfoNCE, NT-Xent, CLIP, SupCon).
    WithPositives,
    /// The negatives only (DCL).
    NegativesOnly,
    /// For each positive: itself and the negatives (NT-Xent with several positives).
    OwnPositive,
}

/// Where the sum over positives stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Outside the logarithm (SupCon L_out).
    Outside,
    /// Inside the logarithm (SupCon L_in), where target weights are not negative; not with
    /// [`Denominator::OwnPositive`].
    Inside,
}

/// Which gradients are wanted; the value costs 2 N M D flops, each of the two gradients 2 more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The gradient of the anchors (and of the paired positives, the scale and the bias).
    pub anchors: bool,
    /// The gradient of the candidates.
    pub candidates: bool,
}

impl Wanted {
    /// Everything.
    pub const ALL: Self = Self { anchors: true, candidates: true };
    /// The value alone.
    pub const VALUE: Self = Self { anchors: false, candidates: false };

    pub(crate) fn any(self) -> bool {
        self.anchors || self.candidates
    }
}

/// A comparison of n anchors with m candidates, all of width d.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxProblem<'a, T> {
    /// n x d.
    pub anchors: &'a [T],
    /// m x d.
    pub candidates: &'a [T],
    /// d.
    pub width: usize,
    /// n x d: the one positive of each row, standing beside the candidates (MoCo), without a bias, of weight 1 unless
    /// weights are given per row; not with `positives`.
    pub paired: Option<&'a [T]>,
    /// Inverse temperature, between 1e-9 and 2e9.
    pub scale: Scale<'a, T>,
    /// m: added to the logits of a candidate, its log-weight; `-inf` is a candidate of weight 0.
    pub bias: Option<&'a [T]>,
    /// Row i and column `i + offset` are the same sample and never compared.
    pub self_offset: Option<usize>,
    /// Further pairs that are never compared.
    pub excluded: Option<RowSets<'a>>,
    /// The positives of each row.
    pub positives: Option<RowSets<'a>>,
    /// Their target weights.
    pub weights: PositiveWeights<'a, T>,
    /// What the denominator holds.
    pub denominator: Denominator,
    /// Where the sum over positives stands.
    pub placement: Placement,
    /// n: weight of each row in the value; 1 if absent.
    pub row_weights: Option<&'a [T]>,
    /// n: `A_i`, the weight of the log-denominator; the sum of the target weights if absent. Not with
    /// [`Denominator::OwnPositive`] or [`Placement::Inside`].
    pub denominator_weights: Option<&'a [T]>,
    /// Constant added to every denominator, not negative (LightGCL: 1e-8); not with [`Denominator::OwnPositive`].
    pub offset: T,
    /// Positive logits count as clamped to `[-c, c]` where they are subtracted: beyond, they have no gradient of their own.
    /// Denominators are not clamped. Not with [`Placement::Inside`].
    pub positive_clamp: Option<T>,
    /// What to compute.
    pub wanted: Wanted,
}

/// Value and gradients of a [`SoftmaxProblem`]. Vectors that were not wanted are empty.
#[derive(Clone, Debug, Default)]
pub struct SoftmaxOutput<T> {
    /// `sum_i row_weight_i l_i`.
    pub value: f64,
    /// n: `l_i`.
    pub rows: Vec<T>,
    /// n x d.
    pub anchors: Vec<T>,
    /// m x d.
    pub candidates: Vec<T>,
    /// n x d.
    pub paired: Vec<T>,
    /// n: d value / d scale_i.
    pub scale: Vec<T>,
    /// m: d value / d bias_j; empty without a bias.
    pub bias: Vec<T>,
}

impl<'a, T: Real> SoftmaxProblem<'a, T> {
    /// InfoNCE: positives as listed, everything else at its default.
    pub fn new(anchors: &'a [T], candidates: &'a [T], width: usize, scale: T) -> Self {
        Self {
            anchors,
            candidates,
            width,
            paired: None,
            scale: Scale::Uniform(scale),
            bias: None,
            self_offset: None,
            excluded: None,
            positives: None,
            weights: PositiveWeights::Mean,
            denominator: Denominator::WithPositives,
            placement: Placement::Outside,
            row_weights: None,
            denominator_weights: None,
            offset: T::zero(),
            positive_clamp: None,
            wanted: Wanted::ALL,
        }
    }

    fn check(&self) -> [usize; 2] {
        let d = self.width;
        assert!(d > 0, "softmax: width 0");
        assert!(self.anchors.len().is_multiple_of(d), "softmax: {} anchor values for width {d}", self.anchors.len());
        assert!(
            self.candidates.len().is_multiple_of(d),
            "softmax: {} candidate values for width {d}",
            self.candidates.len()
        );
        let (n, m) = (self.anchors.len() / d, self.candidates.len() / d);
        let same = |what: &str, len: Option<usize>, want: usize| {
            if let Some(len) = len {
                assert_eq!(
                    len, want,
                    "softmax: {what} has {len} values instead of {want} ({n} anchors, {m} candidates, width {d})"
                );
            }
        };
        same("paired", self.paired.map(<[T]>::len), n * d);
        same("bias", self.bias.map(<[T]>::len), m);
        same("row weights", self.row_weights.map(<[T]>::len), n);
        same("denominator weights", self.denominator_weights.map(<[T]>::len), n);
        let allowed = |s: T| s.is_nan() || SCALES.contains(&s.f64());
        match self.scale {
            Scale::Uniform(s) => {
                assert!(allowed(s), "softmax: scale {s} outside 1e-9 to 2e9 (distances: twice the one given)")
            }
            Scale::PerRow(s) => {
                same("scale", Some(s.len()), n);
                if let Some(row) = s.iter().position(|&s| !allowed(s)) {
                    panic!("softmax: scale {} of row {row} outside 1e-9 to 2e9", s[row]);
                }
            }
        }
        if let PositiveWeights::PerRow(t) = self.weights {
            same("positive weights", Some(t.len()), n);
        }
        if let PositiveWeights::Each(t) = self.weights {
            let lists = self.positives.filter(|p| p.groups.is_none());
            assert!(lists.is_some(), "softmax: a weight for each positive without a list for each row");
            same("positive weights", Some(t.len()), lists.map_or(0, |p| p.columns.len()));
        }
        assert!(u32::try_from(m).is_ok(), "softmax: {m} candidates");
        for (what, sets) in [("positives", self.positives), ("excluded", self.excluded)] {
            let Some(sets) = sets else { continue };
            sets.check(&format!("softmax: {what}"), n, m);
        }
        let own = self.denominator == Denominator::OwnPositive;
        let inside = self.placement == Placement::Inside;
        assert!(
            self.paired.is_none() || self.positives.is_none(),
            "softmax: positives beside and among the candidates"
        );
        assert!(!(inside && own), "softmax: own positives inside the logarithm");
        assert!(!(inside && self.positive_clamp.is_some()), "softmax: clamped positives inside the logarithm");
        assert!(
            !((inside || own) && self.denominator_weights.is_some()),
            "softmax: denominator weights with {:?} {:?}",
            self.denominator,
            self.placement
        );
        assert!(self.offset == T::zero() || !own, "softmax: an offset with own positives");
        assert!(self.offset >= T::zero() && self.offset.is_finite(), "softmax: an offset of {}", self.offset);
        assert!(self.positive_clamp.is_none_or(|c| c >= T::zero()), "softmax: clamp to a negative number");
        [n, m]
    }

    /// Is the pair (i, j) never compared?
    #[inline]
    fn is_excluded(&self, i: usize, j: usize) -> bool {
        self.self_offset.is_some_and(|o| i + o == j)
            || self.excluded.is_some_and(|e| e.of(i).binary_search(&(j as u32)).is_ok())
    }

    /// Number of positives of row i that are compared.
    fn positive_count(&self, i: usize) -> usize {
        let Some(p) = self.positives else { return 0 };
        let all = p.of(i);
        if self.excluded.is_none() {
            let own =
                self.self_offset.is_some_and(|o| u32::try_from(i + o).is_ok_and(|j| all.binary_search(&j).is_ok()));
            return all.len() - usize::from(own);
        }
        all.iter().filter(|&&j| !self.is_excluded(i, j as usize)).count()
    }

    fn row_weight(&self, i: usize) -> T {
        self.row_weights.map_or(T::one(), |w| w[i])
    }
}
