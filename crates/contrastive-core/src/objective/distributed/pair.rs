//! The softmax family over ranks.

use super::keys::{KeyGradients, Keys, plus};
use super::relation::Relation;
use super::{DistributedError, Exchange, Ranks, ring, starts};
use crate::distributed::Floats;
use crate::error::ObjectiveError;
use crate::host::{numbers, to_f64};
use crate::objective::{Direction, Evaluation, Gradients, Inputs, PairObjective, Reduction, Wanted};
use crate::pairs::{PairLists, Pairs};
use crate::similarity::{Compared, Sides};
use burn::tensor::{DType, Tensor};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// One direction, on this rank.
pub(super) struct Side<'a> {
    pub objective: &'a PairObjective,
    /// `[n, d]`, as they are compared.
    pub anchors: &'a Tensor<2>,
    pub paired: Option<&'a Tensor<2>>,
    /// `[1]` or `[n]`.
    pub scale: &'a Tensor<1>,
    /// Those of this rank.
    pub keys: Keys,
    pub relation: Relation,
    /// Of the keys of all ranks.
    pub starts: &'a [usize],
    /// Anchors of all ranks.
    pub all: usize,
    /// Factor of this direction.
    pub share: f64,
    pub wanted: Wanted,
}

/// Value of this rank's anchors, and gradients.
#[derive(Default)]
pub(super) struct Part {
    pub value: f64,
    pub rows: Vec<f64>,
    pub anchors: Option<Tensor<2>>,
    pub paired: Option<Tensor<2>>,
    pub scale: Option<Tensor<1>>,
    pub keys: KeyGradients,
}

impl Side<'_> {
    /// `[n, 1]` or `[1, 1]`.
    pub fn scale_column(&self) -> Tensor<2> {
        self.scale.clone().reshape([self.scale.dims()[0], 1])
    }

    /// Weights of this rank's rows, which have so many positives.
    pub fn row_weights(&self, ranks: &Ranks<'_>, counts: &[usize]) -> Result<Vec<f64>, DistributedError> {
        let n = self.anchors.dims()[0];
        let share = self.share;
        let total = match &self.objective.reduction {
            Reduction::Sum => return Ok(vec![share; n]),
            Reduction::Weighted(w) => {
                assert_eq!(w.len(), n, "row weights and anchors");
                return Ok(w.to_vec());
            }
            Reduction::MeanWithPositives | Reduction::MeanOverPairs if self.paired.is_none() => {
                let pairs = self.objective.reduction == Reduction::MeanOverPairs;
                let mine: usize = counts.iter().map(|&c| if pairs { c } else { c.min(1) }).sum();
                ranks.total(mine as f64)?
            }
            _ => self.all as f64,
        };
        Ok(vec![share / total.max(1.0); n])
    }

    /// All keys at once: the engine's own way.
    fn gathered(&self, ranks: &Ranks<'_>) -> Result<Part, DistributedError> {
        let mut part = Part::default();
        let keys = ranks.visit_back(&self.keys, self.starts, |_, keys| {
            let (n, m) = (self.anchors.dims()[0], keys.len());
            let local = self.relation.within(self.objective, keys);
            let counts = match self.objective.reduction {
                Reduction::MeanWithPositives | Reduction::MeanOverPairs => {
                    let spec = local.spec([n, m], false, keys.bias.is_some(), Wanted::VALUE, None);
                    (0..n).map(|i| spec.positives_of(i).count()).collect()
                }
                _ => Vec::new(),
            };
            let weights = Arc::new(self.row_weights(ranks, &counts)?);
            let mut local = local.with_reduction(Reduction::Weighted(weights));
            local.temperature = crate::temperature::Temperature::Input;
            let mut inputs = Inputs::new(self.anchors.clone(), keys.rows.clone()).with_scale(self.scale.clone());
            inputs.paired = self.paired.cloned();
            inputs.bias = keys.bias.clone();
            let result = local.evaluate(&inputs, self.wanted);
            let g = result.gradients;
            part = Part {
                value: to_f64(result.value)[0],
                rows: to_f64(result.rows),
                anchors: g.anchors,
                paired: g.paired,
                scale: g.scale,
                keys: KeyGradients::default(),
            };
            Ok::<_, DistributedError>(KeyGradients { rows: g.candidates, bias: g.bias })
        })?;
        Ok(Part { keys, ..part })
    }

    fn evaluate(&self, ranks: &Ranks<'_>) -> Result<Part, DistributedError> {
        match ranks.exchange {
            Exchange::AllGather => self.gathered(ranks),
            Exchange::Ring => ring::evaluate(ranks, self),
        }
    }
}

/// Lists of this rank's anchors, which name candidates of all ranks, seen from this rank's candidates, which then name anchors
/// of all ranks: the lists go round the ring, and every rank takes what is its own.
fn reversed_lists(
    ranks: &Ranks<'_>,
    lists: &PairLists,
    anchors: &[usize],
    candidates: &[usize],
) -> Result<PairLists, DistributedError> {
    let (rank, world) = (ranks.rank(), ranks.world());
    let (low, high) = (candidates[rank] as f64, candidates[rank + 1] as f64);
    let mut passing = Vec::new();
    for i in 0..lists.anchors() {
        for (q, &j) in lists.of(i).iter().enumerate() {
            let weight = lists.weights.as_ref().map_or(1.0, |w| w[lists.start(i) + q]);
            passing.extend([(anchors[rank] + i) as f64, f64::from(j), weight]);
        }
    }
    let mut mine: Vec<(u32, u32, f64)> = Vec::new();
    for step in 0..world {
        let here = passing.chunks_exact(3).filter(|t| (low..high).contains(&t[1]));
        mine.extend(here.map(|t| ((t[1] - low) as u32, t[0] as u32, t[2])));
        if step + 1 < world {
            passing = ranks.communicator.ring(Floats::F64(passing))?.into_f64();
        }
    }
    mine.sort_unstable_by_key(|t| (t.0, t.1));
    let mut offsets = vec![0; candidates[rank + 1] - candidates[rank] + 1];
    mine.iter().for_each(|t| offsets[t.0 as usize + 1] += 1);
    (1..offsets.len()).for_each(|j| offsets[j] += offsets[j - 1]);
    let weights = lists.weights.as_ref().map(|_| mine.iter().map(|t| t.2).collect());
    Ok(PairLists::new(offsets, mine.iter().map(|t| t.1).collect(), weights)?)
}

/// What ranks found out about each other.
struct Agreed {
    wanted: Wanted,
    /// Where each rank's anchors start among all, and how many there are.
    anchor_starts: Vec<usize>,
    /// The same of candidates.
    candidate_starts: Vec<usize>,
}

impl PairObjective {
    /// A hash of the choices, without what is given for each row.
    fn choices(&self) -> f64 {
        let kinds = (
            std::mem::discriminant(&self.pairs),
            std::mem::discriminant(&self.weights),
            std::mem::discriminant(&self.reduction),
            [self.exclusions.same.is_some(), self.exclusions.lists.is_some(), self.denominator_weights.is_some()],
        );
        let plain = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            self.similarity,
            self.temperature,
            self.direction,
            self.shares,
            self.denominator,
            self.placement,
            self.offset,
            self.clamp
        );
        let mut hasher = DefaultHasher::new();
        (kinds, plain).hash(&mut hasher);
        f64::from(hasher.finish() as u32)
    }

    /// What is chosen that has no meaning over ranks, or contradicts itself.
    fn contradicts(&self, inputs: &Inputs, scale: &Tensor<1>, itself: bool) -> Option<&'static str> {
        let both = self.direction == Direction::Both;
        let local_only = self.reduction == Reduction::MeanNonZero
            || matches!(self.pairs, Pairs::Views(_) | Pairs::Band(_))
            || !inputs.pair_terms.is_empty();
        match () {
            () if local_only => {
                Some("over ranks there are no counts of pairs, views, bands or means of what is above 0")
            }
            () if both && (inputs.bias.is_some() || itself) => Some("both directions have no bias and need two tables"),
            () if both && scale.dims() != [1] => Some("both directions have one temperature"),
            () => None,
        }
    }

    /// Do all ranks mean the same objective? Which gradients any of them needs, and where each one's rows stand.
    fn agree(
        &self,
        ranks: &Ranks<'_>,
        plain: &Inputs,
        [n, m]: [usize; 2],
        itself: bool,
        wanted: Wanted,
    ) -> Result<Agreed, DistributedError> {
        let like = &plain.anchors;
        let both = self.direction == Direction::Both;
        let flag = |on: bool| f64::from(u8::from(on));
        let same = [
            ("objective and its choices, as a hash", self.choices()),
            ("width of the rows", like.dims()[1] as f64),
            ("f64 rather than f32", flag(like.dtype() == DType::F64)),
            ("a table with itself", flag(itself)),
            ("a bias", flag(plain.bias.is_some())),
        ];
        let fit = Relation::own_rows_fit(self, [n, m], itself);
        let mine = [n, m, usize::from(wanted.anchors), usize::from(wanted.candidates), usize::from(fit)];
        let counts = ranks.agree(mine, &same)?;
        if counts.iter().any(|c| c[4] == 0) {
            let what = "over ranks, the anchors' own rows must be among the candidates of the same rank";
            return Err(ObjectiveError::Contradiction(what).into());
        }
        let wanted = Wanted {
            anchors: counts.iter().any(|c| c[2] > 0 || (c[3] > 0 && (itself || both))),
            candidates: counts.iter().any(|c| c[3] > 0 || (c[2] > 0 && (itself || both))),
        };
        let anchor_starts = starts(counts.iter().map(|c| c[0]));
        let candidate_starts = starts(counts.iter().map(|c| c[1]));
        Ok(Agreed { wanted, anchor_starts, candidate_starts })
    }

    /// The objective of the rows of all ranks together: its value, and the gradients of this rank's inputs.
    ///
    /// Each rank brings its own anchors, candidates, paired positives and bias, at least one of each, in numbers that may
    /// differ, and describes its own rows: [`Pairs::Diagonal`], [`Pairs::TwoViews`] and own rows are meant within the rank; the
    /// same labels or ids belong together wherever they are; weights are those of this rank's anchors. Only
    /// [`Pairs::Lists`] and [`Exclusions::lists`](crate::pairs::Exclusions::lists) name candidates of all ranks, numbered rank by
    /// rank. A scale `[1]` is the same on all ranks, and its gradient is this rank's share: the sum over ranks is the gradient.
    ///
    /// Round the ring, memory is linear in this rank's rows, `world` numbers for each anchor, and the largest rank's keys; with
    /// the sum over positives inside the logarithm, a denominator for each positive or a clamp, also in its positive pairs.
    ///
    /// # Errors
    /// When a rank is gone, ranks disagree about choices or types, or the choices contradict or have no meaning over ranks.
    ///
    /// # Panics
    /// When this rank's shapes, pairs, exclusions or weights do not fit each other.
    pub fn distributed_evaluate(
        &self,
        ranks: &Ranks<'_>,
        inputs: &Inputs,
        wanted: Wanted,
    ) -> Result<Evaluation, DistributedError> {
        let (n, m, itself) = inputs.check(&self.pairs, &self.temperature);
        self.validate()?;
        let both = self.direction == Direction::Both;
        let plain = inputs.plain();
        let like = plain.anchors.clone();
        let scale = self.scale(&plain, &like);
        if let Some(what) = self.contradicts(&plain, &scale, itself) {
            return Err(ObjectiveError::Contradiction(what).into());
        }
        let Agreed { wanted: agreed, anchor_starts, candidate_starts } =
            self.agree(ranks, &plain, [n, m], itself, wanted)?;
        let (any, wanted) = (wanted != Wanted::VALUE, agreed);
        let rank = ranks.rank();
        let [all_anchors, all_candidates] = [&anchor_starts, &candidate_starts].map(|s| s[s.len() - 1]);

        let sides = ranks.sides(self.similarity, plain.anchors, plain.candidates, plain.paired)?;
        let Sides { anchors, candidates, paired } = sides;
        let keys = candidates.as_ref().unwrap_or(&anchors);
        let relation = Relation::new(self, [n, m], [candidate_starts[rank], all_candidates], itself);
        let listed = match &self.pairs {
            Pairs::Lists(lists) => Some(lists),
            _ => None,
        };
        let mut reversed = None;
        if both {
            let mut turned = [None, None];
            for (turned, lists) in turned.iter_mut().zip([listed, self.exclusions.lists.as_ref()]) {
                if let Some(lists) = lists {
                    *turned = Some(reversed_lists(ranks, lists, &anchor_starts, &candidate_starts)?);
                }
            }
            reversed = Some(relation.reversed(self, [m, n], anchor_starts[rank], turned));
        }
        let own = |rows: &Compared, first: usize, relation: &Relation, bias: Option<Tensor<1>>| Keys {
            first,
            rows: rows.rows.clone(),
            bias,
            names: relation.names.clone(),
        };
        let forward = Side {
            objective: self,
            anchors: &anchors.rows,
            paired: paired.as_ref().map(|p| &p.rows),
            scale: &scale,
            keys: own(keys, candidate_starts[rank], &relation, plain.bias.clone()),
            relation,
            starts: &candidate_starts,
            all: all_anchors,
            share: self.shares()[0],
            wanted,
        };
        let mut part = forward.evaluate(ranks)?;
        let mut columns = None;
        if let Some(relation) = reversed {
            let names = own(&anchors, anchor_starts[rank], &relation, None);
            let backward = Side {
                anchors: &keys.rows,
                keys: names,
                relation,
                starts: &anchor_starts,
                all: all_candidates,
                share: self.shares()[1],
                ..forward
            };
            let more = backward.evaluate(ranks)?;
            columns = Some(numbers(&more.rows, &like));
            part.value += more.value;
            part.anchors = plus(part.anchors, more.keys.rows);
            part.keys.rows = plus(part.keys.rows, more.anchors);
            part.scale = plus(part.scale, more.scale);
        }
        if candidates.is_none() {
            part.anchors = plus(part.anchors, part.keys.rows.take());
        }
        let mut of_anchors = part.anchors.filter(|_| wanted.anchors).map(|g| anchors.backward(g));
        let mut of_candidates = part.keys.rows.and_then(|g| candidates.as_ref().map(|c| c.backward(g)));
        if itself {
            of_anchors = plus(of_anchors, of_candidates.take());
        }
        let gradients = Gradients {
            anchors: of_anchors,
            candidates: of_candidates,
            paired: part.paired.and_then(|g| paired.as_ref().map(|p| p.backward(g))),
            scale: part.scale.filter(|_| any),
            bias: part.keys.bias,
            pair_terms: Vec::new(),
        };
        let value = numbers(&[ranks.total(part.value)?], &like);
        Ok(Evaluation { value, rows: numbers(&part.rows, &like), columns, gradients })
    }

    /// The value `[1]` of the rows of all ranks together, attached to every input of this rank that carries a gradient; see
    /// [`distributed_evaluate`](Self::distributed_evaluate). Gradients of parameters are this rank's share
    /// ([`sum_gradients`](crate::distributed::sum_gradients) adds them up).
    ///
    /// # Errors
    /// As [`distributed_evaluate`](Self::distributed_evaluate).
    ///
    /// # Panics
    /// As [`distributed_evaluate`](Self::distributed_evaluate).
    pub fn distributed_loss(&self, ranks: &Ranks<'_>, inputs: &Inputs) -> Result<Tensor<1>, DistributedError> {
        Ok(self.distributed_evaluate(ranks, inputs, self.wanted_by(inputs))?.attach_to(inputs))
    }
}
