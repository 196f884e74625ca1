//! Seeded random problems, and the definition of the softmax family written out over the whole matrix.

#![allow(dead_code)]

use contrastive_kernels::softmax::{
    Denominator, Placement, PositiveWeights, RowSets, Scale, SoftmaxOutput, SoftmaxProblem, Wanted,
};
use contrastive_kernels::vector::Element;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Lists of columns that own their memory.
#[derive(Clone, Debug)]
pub struct Sets {
    pub groups: Option<Vec<u32>>,
    pub offsets: Vec<usize>,
    pub columns: Vec<u32>,
}

impl Sets {
    pub fn of(lists: &[Vec<u32>]) -> Self {
        let mut offsets = vec![0];
        let mut columns = Vec::new();
        for list in lists {
            columns.extend(list);
            offsets.push(columns.len());
        }
        Self { groups: None, offsets, columns }
    }

    /// The columns `0..labels.len()` of each label, shared by all rows of that label.
    pub fn labels(rows: &[u32], columns: &[u32], classes: u32) -> Self {
        let lists: Vec<Vec<u32>> =
            (0..classes).map(|g| (0..columns.len() as u32).filter(|&j| columns[j as usize] == g).collect()).collect();
        Self { groups: Some(rows.to_vec()), ..Self::of(&lists) }
    }

    pub fn diagonal(n: usize, shift: usize, m: usize) -> Self {
        Self::of(&(0..n).map(|i| vec![((i + shift) % m) as u32]).collect::<Vec<_>>())
    }

    pub fn view(&self) -> RowSets<'_> {
        RowSets::new(self.groups.as_deref(), &self.offsets, &self.columns)
    }

    pub fn transposed(&self, n: usize, m: usize) -> Self {
        let view = self.view();
        let mut lists = vec![Vec::new(); m];
        for i in 0..n {
            for &j in view.of(i) {
                lists[j as usize].push(i as u32);
            }
        }
        Self::of(&lists)
    }
}

#[derive(Clone, Debug)]
pub enum Weights<T> {
    Mean,
    One,
    PerRow(Vec<T>),
    Each(Vec<T>),
}

/// A problem that owns its memory.
#[derive(Clone, Debug)]
pub struct Case<T> {
    pub n: usize,
    pub m: usize,
    pub width: usize,
    pub anchors: Vec<T>,
    pub candidates: Vec<T>,
    pub paired: Option<Vec<T>>,
    /// One value, or one for each row.
    pub scale: Vec<T>,
    pub bias: Option<Vec<T>>,
    pub self_offset: Option<usize>,
    pub excluded: Option<Sets>,
    pub positives: Option<Sets>,
    pub weights: Weights<T>,
    pub denominator: Denominator,
    pub placement: Placement,
    pub row_weights: Option<Vec<T>>,
    pub denominator_weights: Option<Vec<T>>,
    pub offset: T,
    pub positive_clamp: Option<T>,
    pub wanted: Wanted,
}

impl<T: Element> Case<T> {
    pub fn problem(&self) -> SoftmaxProblem<'_, T> {
        SoftmaxProblem {
            anchors: &self.anchors,
            candidates: &self.candidates,
            width: self.width,
            paired: self.paired.as_deref(),
            scale: if self.scale.len() == 1 { Scale::Uniform(self.scale[0]) } else { Scale::PerRow(&self.scale) },
            bias: self.bias.as_deref(),
            self_offset: self.self_offset,
            excluded: self.excluded.as_ref().map(Sets::view),
            positives: self.positives.as_ref().map(Sets::view),
            weights: match &self.weights {
                Weights::Mean => PositiveWeights::Mean,
                Weights::One => PositiveWeights::One,
                Weights::PerRow(t) => PositiveWeights::PerRow(t),
                Weights::Each(t) => PositiveWeights::Each(t),
            },
            denominator: self.denominator,
            placement: self.placement,
            row_weights: self.row_weights.as_deref(),
            denominator_weights: self.denominator_weights.as_deref(),
            offset: self.offset,
            positive_clamp: self.positive_clamp,
            wanted: self.wanted,
        }
    }
}

impl Case<f64> {
    /// The same numbers in single precision; exact for random cases, which are drawn as `f32`.
    pub fn single(&self) -> Case<f32> {
        let narrow = |v: &Vec<f64>| v.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        Case {
            n: self.n,
            m: self.m,
            width: self.width,
            anchors: narrow(&self.anchors),
            candidates: narrow(&self.candidates),
            paired: self.paired.as_ref().map(narrow),
            scale: narrow(&self.scale),
            bias: self.bias.as_ref().map(narrow),
            self_offset: self.self_offset,
            excluded: self.excluded.clone(),
            positives: self.positives.clone(),
            weights: match &self.weights {
                Weights::Mean => Weights::Mean,
                Weights::One => Weights::One,
                Weights::PerRow(t) => Weights::PerRow(narrow(t)),
                Weights::Each(t) => Weights::Each(narrow(t)),
            },
            denominator: self.denominator,
            placement: self.placement,
            row_weights: self.row_weights.as_ref().map(narrow),
            denominator_weights: self.denominator_weights.as_ref().map(narrow),
            offset: self.offset as f32,
            positive_clamp: self.positive_clamp.map(|c| c as f32),
            wanted: self.wanted,
        }
    }
}

/// A seeded source of numbers that are exact in `f32`.
pub struct Source(ChaCha8Rng);

impl Source {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        f64::from((low + (high - low) * self.0.random::<f64>()) as f32)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.0.random::<u64>() % n as u64) as usize
    }

    pub fn chance(&mut self, p: f64) -> bool {
        self.0.random::<f64>() < p
    }

    pub fn vector(&mut self, len: usize, low: f64, high: f64) -> Vec<f64> {
        (0..len).map(|_| self.uniform(low, high)).collect()
    }

    /// `n` random rows of length about 1.
    pub fn unit_rows(&mut self, n: usize, d: usize) -> Vec<f64> {
        let mut rows = self.vector(n * d, -1.0, 1.0);
        for row in rows.chunks_exact_mut(d) {
            let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-3);
            row.iter_mut().for_each(|x| *x = f64::from((*x / norm) as f32));
        }
        rows
    }

    /// For each row a random ascending list; about `1 / 8` of the rows stay empty.
    pub fn lists(&mut self, n: usize, m: usize, expected: f64) -> Sets {
        let p = (expected / m as f64).min(0.9);
        let lists: Vec<Vec<u32>> = (0..n)
            .map(|_| if self.chance(0.125) { Vec::new() } else { (0..m as u32).filter(|_| self.chance(p)).collect() })
            .collect();
        Sets::of(&lists)
    }

    pub fn labels(&mut self, n: usize, classes: u32) -> Vec<u32> {
        (0..n).map(|_| self.below(classes as usize) as u32).collect()
    }

    /// InfoNCE on the diagonal with everything else at its default.
    pub fn case(&mut self, n: usize, m: usize, width: usize, scale: f64) -> Case<f64> {
        Case {
            n,
            m,
            width,
            anchors: self.unit_rows(n, width),
            candidates: self.unit_rows(m, width),
            paired: None,
            scale: vec![scale],
            bias: None,
            self_offset: None,
            excluded: None,
            positives: Some(Sets::diagonal(n, 0, m)),
            weights: Weights::Mean,
            denominator: Denominator::WithPositives,
            placement: Placement::Outside,
            row_weights: None,
            denominator_weights: None,
            offset: 0.0,
            positive_clamp: None,
            wanted: Wanted::ALL,
        }
    }

    /// Any choice of the family, with every option drawn at random.
    pub fn any_case(
        &mut self,
        n: usize,
        m: usize,
        width: usize,
        denominator: Denominator,
        placement: Placement,
    ) -> Case<f64> {
        let scale = [0.5, 2.0, 14.0, 200.0][self.below(4)];
        let mut case = self.case(n, m, width, scale);
        (case.denominator, case.placement) = (denominator, placement);
        let classes = 1 + (m / 6).min(40) as u32;
        let (rows, columns) = (self.labels(n, classes), self.labels(m, classes));
        case.positives = match self.below(5) {
            0 => Some(Sets::diagonal(n, self.below(m), m)),
            1 => Some(self.lists(n, m, 1.0)),
            2 => Some(self.lists(n, m, 12.0)),
            3 => Some(Sets::labels(&rows, &columns, classes)),
            _ => {
                case.paired = Some(self.unit_rows(n, width));
                None
            }
        };
        if self.chance(0.3) {
            case.scale = self.vector(n, 0.5 * scale, scale);
        }
        if self.chance(0.4) {
            case.bias = Some(self.vector(m, -3.0, 1.0));
        }
        if self.chance(0.4) {
            case.self_offset = Some(self.below(m));
        }
        let others = self.labels(n, classes);
        case.excluded = match self.below(6) {
            0 => Some(self.lists(n, m, 5.0)),
            1 => Some(Sets::labels(&others, &columns, classes)),
            2 => Some(self.all_but_positives(&case)),
            _ => None,
        };
        case.weights = match (self.below(4), &case.positives) {
            (0, _) => Weights::One,
            (1, _) => Weights::PerRow(self.vector(n, 0.1, 2.0)),
            (2, Some(p)) if p.groups.is_none() => Weights::Each(self.vector(p.columns.len(), 0.1, 2.0)),
            _ => Weights::Mean,
        };
        if self.chance(0.4) {
            case.row_weights = Some(self.vector(n, -0.5, 1.5));
        }
        let own = denominator == Denominator::OwnPositive;
        if placement == Placement::Outside {
            if !own && self.chance(0.3) {
                case.denominator_weights = Some(self.vector(n, 0.0, 2.0));
            }
            if self.chance(0.3) {
                case.positive_clamp = Some(self.uniform(0.1, 0.5) * scale);
            }
        }
        if !own && self.chance(0.3) {
            case.offset = f64::from([1e-8_f32, 0.5, 3.0][self.below(3)]);
        }
        case
    }

    /// Every third row may be compared with nothing but its positives, every third with nothing at all.
    fn all_but_positives(&mut self, case: &Case<f64>) -> Sets {
        let positives = case.positives.as_ref().map(Sets::view);
        let lists: Vec<Vec<u32>> = (0..case.n)
            .map(|i| {
                let own: &[u32] = positives.map_or(&[], |p| p.of(i));
                match i % 3 {
                    0 => (0..case.m as u32).filter(|j| !own.contains(j)).collect(),
                    1 => (0..case.m as u32).collect(),
                    _ => Vec::new(),
                }
            })
            .collect();
        Sets::of(&lists)
    }
}

fn log_sum_exp(x: &[f64]) -> f64 {
    let max = x.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
    if max == f64::NEG_INFINITY { max } else { max + x.iter().map(|v| (v - max).exp()).sum::<f64>().ln() }
}

/// `l` of one row, from its logits (`None`: never compared), its positives (position, target weight), and the number added
/// to its denominators; with d l / d logit.
fn row_loss(case: &Case<f64>, i: usize, logits: &[Option<f64>], positives: &[(usize, f64)]) -> (f64, Vec<f64>) {
    let mut gradient = vec![0.0; logits.len()];
    let is_positive = |j: usize| positives.iter().any(|p| p.0 == j);
    let offset = if case.offset > 0.0 { case.offset.ln() } else { f64::NEG_INFINITY };
    let log_denominator = |members: &dyn Fn(usize) -> bool| {
        let mut terms: Vec<f64> = (0..logits.len()).filter(|&j| members(j)).filter_map(|j| logits[j]).collect();
        terms.push(offset);
        log_sum_exp(&terms)
    };
    let add_softmax = |gradient: &mut [f64], members: &dyn Fn(usize) -> bool, log: f64, factor: f64| {
        for j in (0..logits.len()).filter(|&j| members(j)) {
            gradient[j] += logits[j].map_or(0.0, |s| factor * (s - log).exp());
        }
    };
    if positives.is_empty() {
        return (0.0, gradient);
    }
    let clamped = |s: f64| case.positive_clamp.map_or(s, |c| s.clamp(-c, c));
    let mut l = 0.0;
    let pull = |gradient: &mut [f64]| {
        let mut sum = 0.0;
        for &(p, t) in positives {
            let s = logits[p].unwrap();
            sum += t * clamped(s);
            if clamped(s) == s {
                gradient[p] -= t;
            }
        }
        sum
    };
    if case.denominator == Denominator::OwnPositive {
        for &(p, t) in positives {
            let members = |j: usize| j == p || !is_positive(j);
            let log = log_denominator(&members);
            l += t * log;
            add_softmax(&mut gradient, &members, log, t);
        }
        return (l - pull(&mut gradient), gradient);
    }
    let with = case.denominator == Denominator::WithPositives;
    let members = |j: usize| with || !is_positive(j);
    let log = log_denominator(&members);
    if log == f64::NEG_INFINITY {
        return (0.0, gradient);
    }
    if case.placement == Placement::Inside {
        let terms: Vec<f64> = positives.iter().map(|&(p, t)| t.ln() + logits[p].unwrap()).collect();
        let inner = log_sum_exp(&terms);
        if inner == f64::NEG_INFINITY {
            return (0.0, gradient);
        }
        l = log - inner;
        add_softmax(&mut gradient, &members, log, 1.0);
        for (&(p, _), term) in positives.iter().zip(terms) {
            gradient[p] -= (term - inner).exp();
        }
        return (l, gradient);
    }
    let total = case.denominator_weights.as_ref().map_or(positives.iter().map(|p| p.1).sum(), |a| a[i]);
    l += total * log;
    add_softmax(&mut gradient, &members, log, total);
    (l - pull(&mut gradient), gradient)
}

/// The definition: all logits of all rows, a plain formula for each row, and products with the matrix of derivatives.
pub fn dense(case: &Case<f64>) -> SoftmaxOutput<f64> {
    let Case { n, m, width: d, .. } = *case;
    let problem = case.problem();
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut out = SoftmaxOutput {
        value: 0.0,
        rows: vec![0.0; n],
        anchors: vec![0.0; n * d],
        candidates: vec![0.0; m * d],
        paired: vec![0.0; if case.paired.is_some() { n * d } else { 0 }],
        scale: vec![0.0; n],
        bias: vec![0.0; if case.bias.is_some() { m } else { 0 }],
    };
    for i in 0..n {
        let scale = if case.scale.len() == 1 { case.scale[0] } else { case.scale[i] };
        let anchor = &case.anchors[i * d..][..d];
        let excluded: &[u32] = problem.excluded.map_or(&[], |e| e.of(i));
        let mut dots: Vec<f64> = (0..m).map(|j| inner(anchor, &case.candidates[j * d..][..d])).collect();
        let mut logits: Vec<Option<f64>> = (0..m)
            .map(|j| {
                let never = excluded.contains(&(j as u32)) || case.self_offset.is_some_and(|o| i + o == j);
                (!never).then(|| scale * dots[j] + case.bias.as_ref().map_or(0.0, |b| b[j]))
            })
            .collect();
        let listed: &[u32] = problem.positives.map_or(&[], |p| p.of(i));
        let start = case.positives.as_ref().map_or(0, |p| p.offsets[p.groups.as_ref().map_or(i, |g| g[i] as usize)]);
        let mut positives: Vec<(usize, usize)> = // (column, place in the lists)
            listed.iter().enumerate().map(|(q, &j)| (j as usize, start + q)).filter(|p| logits[p.0].is_some()).collect();
        if let Some(paired) = &case.paired {
            dots.push(inner(anchor, &paired[i * d..][..d]));
            logits.push(Some(scale * dots[m]));
            positives.push((m, i));
        }
        let count = positives.len() as f64;
        let weighted: Vec<(usize, f64)> = positives
            .iter()
            .map(|&(j, place)| {
                let t = match &case.weights {
                    Weights::Mean => 1.0 / count,
                    Weights::One => 1.0,
                    Weights::PerRow(t) => t[i],
                    Weights::Each(t) => t[place],
                };
                (j, t)
            })
            .collect();
        let (l, gradient) = row_loss(case, i, &logits, &weighted);
        let weight = case.row_weights.as_ref().map_or(1.0, |w| w[i]);
        out.rows[i] = l;
        out.value += weight * l;
        for (j, g) in gradient.into_iter().enumerate() {
            let g = weight * g;
            out.scale[i] += g * dots[j];
            let (other, other_gradient) = if j < m {
                (&case.candidates[j * d..][..d], &mut out.candidates[j * d..][..d])
            } else {
                (&case.paired.as_ref().unwrap()[i * d..][..d], &mut out.paired[i * d..][..d])
            };
            for q in 0..d {
                out.anchors[i * d + q] += g * scale * other[q];
                other_gradient[q] += g * scale * anchor[q];
            }
            if j < m && case.bias.is_some() {
                out.bias[j] += g;
            }
        }
    }
    out
}

/// Largest difference of two slices, relative to the largest entry of the second, at least to `floor`.
pub fn difference<T: Element>(got: &[T], want: &[f64], floor: f64) -> f64 {
    assert_eq!(got.len(), want.len());
    let size = want.iter().fold(floor, |m, v| m.max(v.abs()));
    got.iter().zip(want).fold(0.0, |worst, (g, w)| {
        let apart = (g.f64() - w).abs() / size;
        if apart > worst || apart.is_nan() { apart } else { worst }
    })
}

impl Case<f64> {
    pub fn largest_scale(&self) -> f64 {
        self.scale.iter().fold(0.0, |m, s| m.max(*s))
    }

    /// What `f32` can promise: 1e-5, and what the rounding of the largest logit to 24 bits does to its exponential.
    pub fn single_tolerance(&self) -> f64 {
        let d = self.width;
        let length =
            |x: &[f64]| x.chunks_exact(d).map(|r| r.iter().map(|v| v * v).sum::<f64>().sqrt()).fold(0.0, f64::max);
        let logit = self.largest_scale() * length(&self.anchors) * length(&self.candidates).max(1.0);
        1e-5 + 4.0 * logit * 2f64.powi(-24)
    }
}

/// Asserts that every part of an output agrees with the definition: relative to the largest entry of the part, at least
/// to `floor` (a gradient is a difference of terms of the size of the scale).
pub fn assert_agree<T: Element>(
    got: &SoftmaxOutput<T>,
    want: &SoftmaxOutput<f64>,
    tolerance: f64,
    floor: f64,
    what: &str,
) {
    let spread = want.rows.iter().map(|l| l.abs()).sum::<f64>().max(floor);
    let apart = (got.value - want.value).abs() / spread;
    assert!(apart <= tolerance, "{what}: value {} instead of {}", got.value, want.value);
    for (part, got, want) in [
        ("rows", &got.rows, &want.rows),
        ("anchors", &got.anchors, &want.anchors),
        ("candidates", &got.candidates, &want.candidates),
        ("paired", &got.paired, &want.paired),
        ("scale", &got.scale, &want.scale),
        ("bias", &got.bias, &want.bias),
    ] {
        assert_eq!(got.len(), want.len(), "{what}: length of {part}");
        let apart = difference(got, want, floor);
        assert!(apart <= tolerance, "{what}: {part} differ by {apart:e}");
    }
}
