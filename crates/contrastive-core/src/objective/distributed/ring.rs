//! The softmax family with keys that pass by: log-sums first, then gradients.
//!
//! The denominators of all blocks merge: with `L_iq` the log-sum of anchor i over block q, `L_i = log sum_q e^{L_iq}`. An
//! objective depends on its logits through `L_i` and its positives' logits alone, so that after the first round the slopes
//! `d value / d L_i` and `d value / d s_ip` are known. In the second round a block adds the gradient of `sum_i w_iq L_iq`
//! with `w_iq = (d value / d L_i) e^{L_iq - L_i}`, which the engine has, and that of its positives.

use super::keys::{KeyGradients, Keys, plus};
use super::links::Links;
use super::pair::{Part, Side};
use super::{DistributedError, Ranks};
use crate::distributed::CommunicationError;
use crate::host::{column, to_f64};
use crate::objective::engine::log_sums::{LogSums, row_products};
use crate::objective::engine::spec::Spec;
use crate::objective::{Denominator, Inputs, Placement, PositiveWeights, Wanted};
use crate::pairs::{Exclusions, PairLists};
use burn::tensor::Tensor;
use contrastive_kernels::scalar::{log_add_exp, logistic, softplus};

/// A positive whose logit counts by itself.
struct Pair {
    row: usize,
    key: u32,
    /// Its target weight; at the end, `d value / d logit`.
    weight: f64,
    logit: f64,
}

/// What the first round finds out about the anchors.
struct Tally {
    /// `L_iq`, by block.
    logs: Vec<Vec<f64>>,
    /// `L_i`.
    log: Vec<f64>,
    /// How many positives.
    counts: Vec<usize>,
    /// Sums of listed weights, or the counts.
    weights: Vec<f64>,
    /// `sum_p weight s_ip`.
    pulled: Vec<f64>,
    /// The positives by block, where each counts by itself.
    pairs: Option<Vec<Vec<Pair>>>,
}

/// What the second round needs.
struct Slopes {
    rows: Vec<f64>,
    /// `d value / d L_i`.
    logs: Vec<f64>,
    /// `d value / d sum_p weight s_ip`.
    pulls: Vec<f64>,
    /// `d value / d logit` of paired positives.
    own: Vec<f64>,
}

/// The log-sums of the denominators of a comparison.
fn denominators(spec: &Spec) -> LogSums {
    let positives = spec.positives.as_ref().filter(|_| spec.denominator != Denominator::WithPositives);
    let hidden = match (positives, &spec.excluded) {
        (Some(p), Some(e)) => Some(p.with(e)),
        (Some(p), None) => Some(PairLists { weights: None, ..p.clone() }),
        (None, e) => e.clone(),
    };
    let mut exclusions = hidden.map_or_else(Exclusions::none, Exclusions::lists);
    exclusions.offset = spec.self_offset;
    LogSums::with_input_scale().with_exclusions(exclusions)
}

fn inputs(side: &Side<'_>, keys: &Keys) -> Inputs {
    let inputs = Inputs::new(side.anchors.clone(), keys.rows.clone()).with_scale(side.scale.clone());
    match &keys.bias {
        Some(bias) => inputs.with_bias(bias.clone()),
        None => inputs,
    }
}

fn spec_of(side: &Side<'_>, keys: &Keys) -> Spec {
    let local = side.relation.within(side.objective, keys);
    local.spec([side.anchors.dims()[0], keys.len()], false, keys.bias.is_some(), side.wanted, None)
}

impl Tally {
    fn new(side: &Side<'_>) -> Self {
        let (n, objective) = (side.anchors.dims()[0], side.objective);
        let each = objective.placement == Placement::Inside
            || objective.denominator == Denominator::OwnPositive
            || objective.clamp.is_some();
        Self {
            logs: Vec::new(),
            log: vec![f64::NEG_INFINITY; n],
            counts: vec![0; n],
            weights: vec![0.0; n],
            pulled: vec![0.0; n],
            pairs: each.then(Vec::new),
        }
    }

    fn add(&mut self, side: &Side<'_>, keys: &Keys) {
        let (n, m) = (side.anchors.dims()[0], keys.len());
        let spec = spec_of(side, keys);
        let sums = denominators(&spec);
        let bias = keys.bias.clone().map_or_else(|| vec![0.0; m], to_f64);
        let mut logs = to_f64(sums.weighted(&inputs(side, keys), vec![1.0; n], Wanted::VALUE).rows);
        // an anchor that is compared with nothing has the value 0 as well
        let out = |i: usize, j: usize| {
            let positive = spec.denominator != Denominator::WithPositives
                && spec.positives.as_ref().is_some_and(|p| p.of(i).binary_search(&(j as u32)).is_ok());
            positive || spec.is_excluded(i, j) || bias[j] == f64::NEG_INFINITY
        };
        for i in 0..n {
            if logs[i] == 0.0 && (0..m).all(|j| out(i, j)) {
                logs[i] = f64::NEG_INFINITY;
            }
            self.log[i] = log_add_exp(self.log[i], logs[i]);
        }
        self.logs.push(logs);
        if spec.positives.is_none() {
            return;
        }
        match &mut self.pairs {
            None => self.add_sums(side, keys, &spec),
            Some(blocks) => {
                let pairs = pairs(side, keys, &spec, &bias);
                for pair in &pairs {
                    self.counts[pair.row] += 1;
                    self.weights[pair.row] += pair.weight;
                }
                blocks.push(pairs);
            }
        }
    }

    fn add_sums(&mut self, side: &Side<'_>, keys: &Keys, spec: &Spec) {
        let n = side.anchors.dims()[0];
        let (links, counts) = Links::of(spec, n, keys.len());
        let mut logits = row_products(side.anchors, &links.apply(keys.rows.clone())) * side.scale_column();
        if let Some(bias) = &keys.bias {
            logits = logits + links.apply(bias.clone().reshape([keys.len(), 1]));
        }
        let ones = Tensor::ones([keys.len(), 1], (&keys.rows.device(), keys.rows.dtype()));
        let (logits, weights) = (to_f64(logits), to_f64(links.apply(ones)));
        for i in 0..n {
            self.counts[i] += counts[i];
            self.weights[i] += weights[i];
            self.pulled[i] += logits[i];
        }
    }

    /// Values and slopes, with the logits of paired positives; the positives' weights become their slopes.
    fn finish(&mut self, side: &Side<'_>, own: Option<&[f64]>, row_weights: &[f64]) -> Slopes {
        let (n, objective) = (self.log.len(), side.objective);
        let target = |i: usize, count: usize| match &objective.weights {
            PositiveWeights::Mean => 1.0 / count.max(1) as f64,
            PositiveWeights::PerAnchor(t) => t[i],
            PositiveWeights::Sum | PositiveWeights::Listed => 1.0,
        };
        for i in 0..n {
            if let Some(own) = own.filter(|_| objective.denominator != Denominator::NegativesOnly) {
                self.log[i] = log_add_exp(self.log[i], own[i]);
            }
            if objective.offset > 0.0 {
                self.log[i] = log_add_exp(self.log[i], objective.offset.ln());
            }
        }
        let clamped =
            |s: f64| objective.clamp.map_or((s, 1.0), |c| (s.clamp(-c, c), f64::from(u8::from(s.abs() <= c))));
        let mut slopes = Slopes { rows: vec![0.0; n], logs: vec![0.0; n], pulls: vec![0.0; n], own: vec![0.0; n] };
        let each = self.pairs.is_some() && own.is_none();
        let inside = each && objective.placement == Placement::Inside;
        let own_denominators = objective.denominator == Denominator::OwnPositive && own.is_none();
        let mut active = vec![false; n];
        for i in 0..n {
            let positive = own.is_some() || if inside { self.weights[i] > 0.0 } else { self.counts[i] > 0 };
            active[i] = positive && (own_denominators || self.log[i] != f64::NEG_INFINITY);
            if !active[i] || own_denominators {
                continue;
            }
            let factor = target(i, self.counts[i]);
            let total = match (&objective.denominator_weights, inside) {
                (Some(weights), _) => weights[i],
                (None, true) => 1.0,
                (None, false) if own.is_some() => factor,
                (None, false) => factor * self.weights[i],
            };
            slopes.rows[i] = total * self.log[i];
            slopes.logs[i] = total;
            if let Some(own) = own {
                let (s, free) = clamped(own[i]);
                slopes.rows[i] -= factor * s;
                slopes.own[i] = -factor * free;
                if objective.denominator != Denominator::NegativesOnly {
                    slopes.own[i] += total * (own[i] - self.log[i]).exp();
                }
            } else if !each {
                slopes.rows[i] -= factor * self.pulled[i];
                slopes.pulls[i] = -factor;
            }
        }
        if let Some(blocks) = self.pairs.as_mut().filter(|_| each) {
            let pairs = || blocks.iter().flatten();
            // inside the logarithm: log sum_p t_ip e^{s_ip}
            let mut inner = vec![f64::NEG_INFINITY; n];
            for pair in pairs().filter(|p| inside && p.weight > 0.0) {
                let i = pair.row;
                let weight = pair.weight * target(i, self.counts[i]);
                if weight > 0.0 {
                    inner[i] = log_add_exp(inner[i], weight.ln() + pair.logit);
                }
            }
            for i in (0..n).filter(|_| inside) {
                active[i] = active[i] && inner[i] != f64::NEG_INFINITY;
                match active[i] {
                    true => slopes.rows[i] -= inner[i],
                    false => (slopes.rows[i], slopes.logs[i]) = (0.0, 0.0),
                }
            }
            for pair in blocks.iter_mut().flatten() {
                let (i, s) = (pair.row, pair.logit);
                let weight = pair.weight * target(i, self.counts[i]);
                let (kept, free) = clamped(s);
                pair.weight = if !active[i] {
                    0.0
                } else if inside {
                    -weight * (s - inner[i]).exp()
                } else if own_denominators {
                    let gap = self.log[i] - s;
                    let (gap, share) = (softplus(gap), logistic(gap));
                    slopes.rows[i] += weight * (gap + s - kept);
                    slopes.logs[i] += weight * share;
                    weight * (1.0 - free - share)
                } else {
                    slopes.rows[i] -= weight * kept;
                    -weight * free
                } * row_weights[i];
            }
        }
        for i in 0..n {
            for slope in [&mut slopes.logs, &mut slopes.pulls, &mut slopes.own] {
                slope[i] *= row_weights[i];
            }
        }
        slopes
    }
}

/// The positives of a block, each with its logit.
fn pairs(side: &Side<'_>, keys: &Keys, spec: &Spec, bias: &[f64]) -> Vec<Pair> {
    let [n, d] = side.anchors.dims();
    let scale = to_f64(side.scale.clone());
    let (anchors, rows) = (to_f64(side.anchors.clone()), to_f64(keys.rows.clone()));
    let listed = |at: usize| match &spec.targets {
        crate::objective::engine::spec::Targets::Each(t) => t[at],
        _ => 1.0,
    };
    let mut pairs = Vec::new();
    for i in 0..n {
        for (at, key) in spec.positives_of(i) {
            let j = key as usize;
            let dot: f64 = anchors[i * d..][..d].iter().zip(&rows[j * d..][..d]).map(|(x, y)| x * y).sum();
            let logit = dot * scale[if scale.len() == 1 { 0 } else { i }] + bias[j];
            pairs.push(Pair { row: i, key, weight: listed(at), logit });
        }
    }
    pairs
}

/// Gradients of the anchors' side so far.
#[derive(Default)]
struct Collected {
    anchors: Option<Tensor<2>>,
    scale: Option<Tensor<1>>,
}

impl Collected {
    /// The gradient of `sum_i pull_i scale_i <a_i, x_i>`, `pull` `[n, 1]`.
    fn add(&mut self, side: &Side<'_>, pull: &Tensor<2>, x: Tensor<2>) {
        let pulled = x * pull.clone();
        let moment = row_products(side.anchors, &pulled);
        let scale = match side.scale.dims()[0] {
            1 => moment.sum(),
            n => moment.reshape([n]),
        };
        self.scale = plus(self.scale.take(), Some(scale));
        self.anchors = plus(self.anchors.take(), Some(pulled * side.scale_column()));
    }
}

/// Value and gradients of one direction.
pub(super) fn evaluate(ranks: &Ranks<'_>, side: &Side<'_>) -> Result<Part, DistributedError> {
    let n = side.anchors.dims()[0];
    let mut tally = Tally::new(side);
    ranks.visit(&side.keys, side.starts, |_, keys| {
        tally.add(side, keys);
        Ok::<_, CommunicationError>(())
    })?;
    let own = side.paired.map(|p| to_f64(row_products(side.anchors, p) * side.scale_column()));
    let weights = side.row_weights(ranks, &tally.counts)?;
    let slopes = tally.finish(side, own.as_deref(), &weights);
    let value = slopes.rows.iter().zip(&weights).map(|(l, w)| l * w).sum();
    if side.wanted == Wanted::VALUE {
        return Ok(Part { value, rows: slopes.rows, ..Part::default() });
    }
    let pulls = column(&slopes.pulls, side.anchors);
    let mut collected = Collected::default();
    let keys = ranks.visit_back(&side.keys, side.starts, |k, keys| {
        let spec = spec_of(side, keys);
        let share = |i: usize| match tally.logs[k][i] == f64::NEG_INFINITY {
            true => 0.0,
            false => slopes.logs[i] * (tally.logs[k][i] - tally.log[i]).exp(),
        };
        let sums = denominators(&spec);
        let g = sums.weighted(&inputs(side, keys), (0..n).map(share).collect(), side.wanted).gradients;
        collected.anchors = plus(collected.anchors.take(), g.anchors);
        collected.scale = plus(collected.scale.take(), g.scale);
        let mut back = KeyGradients { rows: g.candidates, bias: g.bias };
        if spec.positives.is_none() {
            return Ok::<_, DistributedError>(back);
        }
        let (links, pulls) = match &tally.pairs {
            None => (Links::of(&spec, n, keys.len()).0, pulls.clone()),
            Some(blocks) => {
                // operators hold numbers: an anchor with a NaN weight is NaN
                let mut factors = vec![1.0; n];
                blocks[k].iter().filter(|p| !p.weight.is_finite()).for_each(|p| factors[p.row] = f64::NAN);
                let weight = |p: &Pair| if p.weight.is_finite() { p.weight } else { 1.0 };
                let mut pairs = blocks[k].iter().peekable();
                let rows = (0..n).map(|i| {
                    let next = || pairs.next_if(|p| p.row == i).map(|p| (p.key, weight(p)));
                    std::iter::from_fn(next).collect()
                });
                (Links::new(n, keys.len(), rows), column(&factors, side.anchors))
            }
        };
        if side.wanted.anchors {
            collected.add(side, &pulls, links.apply(keys.rows.clone()));
        }
        if side.wanted.candidates {
            let more = links.back(side.anchors.clone() * side.scale_column() * pulls.clone());
            back.rows = plus(back.rows, Some(more));
        }
        if back.bias.is_some() {
            back.bias = plus(back.bias, Some(links.back(pulls).reshape([keys.len()])));
        }
        Ok(back)
    })?;
    let mut paired = None;
    if let Some(p) = side.paired.filter(|_| side.wanted.anchors) {
        let pull = column(&slopes.own, side.anchors);
        collected.add(side, &pull, p.clone());
        paired = Some(side.anchors.clone() * side.scale_column() * pull);
    }
    Ok(Part { value, rows: slopes.rows, anchors: collected.anchors, paired, scale: collected.scale, keys })
}
