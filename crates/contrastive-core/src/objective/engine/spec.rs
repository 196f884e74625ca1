//! An objective with every rule resolved to lists and numbers: what a backend gets.

use crate::pairs::PairLists;
use contrastive_kernels::softmax as kernel;

/// Target weights of the positives, resolved.
#[derive(Clone, Debug)]
pub enum Targets {
    /// The mean over a row's positives.
    Mean,
    /// The sum over a row's positives.
    One,
    /// One weight for all positives of a row.
    PerRow(Vec<f64>),
    /// One weight for each entry of the lists.
    Each(Vec<f64>),
}

/// One direction: n anchors against m candidates.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Positives among the candidates; `None` when each anchor brings its own.
    pub positives: Option<PairLists>,
    /// Pairs that are never compared.
    pub excluded: Option<PairLists>,
    /// Anchor i and candidate `i + offset` are the same sample.
    pub self_offset: Option<usize>,
    /// Target weights.
    pub targets: Targets,
    /// What the denominators hold.
    pub denominator: kernel::Denominator,
    /// Where the sum over positives stands.
    pub placement: kernel::Placement,
    /// n.
    pub row_weights: Vec<f64>,
    /// n; the sum of the target weights if absent.
    pub denominator_weights: Option<Vec<f64>>,
    /// Added to every denominator.
    pub offset: f64,
    /// Positive logits count as clamped to `[-c, c]`.
    pub clamp: Option<f64>,
    /// Does each anchor bring a positive that is not a candidate?
    pub paired: bool,
    /// Is there a bias for each candidate?
    pub biased: bool,
    /// Which gradients.
    pub wanted: kernel::Wanted,
    /// Use the portable body even where a native one exists.
    pub portable: bool,
}

impl Spec {
    /// Is the pair (i, j) never compared?
    pub fn is_excluded(&self, i: usize, j: usize) -> bool {
        self.self_offset.is_some_and(|o| i + o == j)
            || self.excluded.as_ref().is_some_and(|e| e.of(i).binary_search(&(j as u32)).is_ok())
    }

    /// The same of the anchors `i0..i0 + b` alone.
    pub fn block(&self, i0: usize, b: usize) -> Self {
        let cut = |values: &Vec<f64>| values[i0..i0 + b].to_vec();
        let entries = self.positives.as_ref().map(|p| p.entries(i0, b));
        let targets = match &self.targets {
            Targets::PerRow(t) => Targets::PerRow(cut(t)),
            Targets::Each(t) => Targets::Each(t[entries.clone().expect("weights of listed positives")].to_vec()),
            same => same.clone(),
        };
        Self {
            positives: self.positives.as_ref().map(|p| p.rows(i0, b)),
            excluded: self.excluded.as_ref().map(|e| e.rows(i0, b)),
            self_offset: self.self_offset.map(|o| o + i0),
            targets,
            row_weights: cut(&self.row_weights),
            denominator_weights: self.denominator_weights.as_ref().map(cut),
            ..self.clone_choices()
        }
    }

    /// The choices without the lists.
    fn clone_choices(&self) -> Self {
        Self {
            positives: None,
            excluded: None,
            self_offset: self.self_offset,
            targets: Targets::One,
            denominator: self.denominator,
            placement: self.placement,
            row_weights: Vec::new(),
            denominator_weights: None,
            offset: self.offset,
            clamp: self.clamp,
            paired: self.paired,
            biased: self.biased,
            wanted: self.wanted,
            portable: self.portable,
        }
    }

    /// The positives of anchor `i` that are compared, with their position among all entries.
    pub fn positives_of(&self, i: usize) -> impl Iterator<Item = (usize, u32)> + '_ {
        let all = self.positives.as_ref().map(|p| (p.start(i), p.of(i)));
        let (start, columns) = all.unwrap_or((0, &[]));
        columns
            .iter()
            .enumerate()
            .filter(move |(_, j)| !self.is_excluded(i, **j as usize))
            .map(move |(q, &j)| (start + q, j))
    }

    /// Target weight of the positive that anchor `i` brings itself.
    pub fn own_target(&self, i: usize) -> f64 {
        match &self.targets {
            Targets::PerRow(t) => t[i],
            _ => 1.0,
        }
    }

    /// Target weight of the entry at position `at`, a positive of anchor `i` which has `count` of them.
    pub fn target(&self, i: usize, at: usize, count: usize) -> f64 {
        match &self.targets {
            Targets::Mean => 1.0 / count as f64,
            Targets::One => 1.0,
            Targets::PerRow(t) => t[i],
            Targets::Each(t) => t[at],
        }
    }
}

/// Both directions at once, or a table against itself.
#[derive(Clone, Debug)]
pub struct BothSpec {
    /// Positives of the rows.
    pub positives: PairLists,
    /// Positives of the columns; `None` for a table against itself.
    pub column_positives: Option<PairLists>,
    /// The mean or the sum over positives.
    pub mean: bool,
    /// What the denominators hold; not the own positive.
    pub denominator: kernel::Denominator,
    /// n.
    pub row_weights: Vec<f64>,
    /// m; empty for a table against itself.
    pub column_weights: Vec<f64>,
    /// Compute the gradients?
    pub gradients: bool,
}

impl BothSpec {
    /// The two single directions this stands for: rows against columns, columns against rows (or the table's one).
    pub fn directions(&self) -> (Spec, Option<Spec>) {
        let wanted = if self.gradients { kernel::Wanted::ALL } else { kernel::Wanted::VALUE };
        let single = |positives: &PairLists, weights: &[f64]| Spec {
            positives: Some(positives.clone()),
            excluded: None,
            self_offset: self.column_positives.is_none().then_some(0),
            targets: if self.mean { Targets::Mean } else { Targets::One },
            denominator: self.denominator,
            placement: kernel::Placement::Outside,
            row_weights: weights.to_vec(),
            denominator_weights: None,
            offset: 0.0,
            clamp: None,
            paired: false,
            biased: false,
            wanted,
            portable: true,
        };
        (
            single(&self.positives, &self.row_weights),
            self.column_positives.as_ref().map(|p| single(p, &self.column_weights)),
        )
    }
}
