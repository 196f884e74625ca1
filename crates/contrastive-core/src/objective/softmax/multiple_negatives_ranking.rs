//! In-batch ranking of documents for queries, as text encoders are trained.

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative};
use crate::host::{column, numbers, to_f64};
use crate::objective::distributed::{Among, DistributedError, ObjectiveId, Place, Ranks};
use crate::objective::engine::log_sums::{LogSums, row_products};
use crate::objective::{Direction, Evaluation, Gradients, Inputs, PairObjective, Wanted, check_types};
use crate::pairs::{Exclusions, PairLists};
use crate::similarity::{Compared, Similarity};
use crate::temperature::Temperature;
use burn::tensor::Tensor;
use contrastive_kernels::scalar::log_add_exp;

/// Multiple-negatives ranking (Henderson et al. 2017, section 4.4; SimCSE, E5): the document of query i against all other
/// documents of the batch, hard negatives included.
///
/// Documents are `[m, d]`: row i < n belongs to query i; the further rows, if any, are hard negatives, n for each round:
/// row n + i, 2n + i, ... was chosen for query i. With query q_i, its document p_i, and s the cosine over T:
///
/// ```text
/// one way    l_i = log sum_j e^{s(q_i, d_j)} - s(q_i, p_i)
/// symmetric  the mean of that and log sum_j e^{s(p_i, q_j)} - s(q_i, p_i)
/// joint      l_i = log (sum_j e^{s(q_i, d_j)} + sum_{j != i} e^{s(q_i, q_j)} + sum_j e^{s(p_i, q_j)}
///                       + sum_{d_j not of i} e^{s(p_i, d_j)}) - s(q_i, p_i)
/// hardness   one way, each other document weighted with e^{alpha cos(q_i, d_j)}, a constant to the gradient
/// ```
///
/// The joint form is GTE's improved contrastive loss (Li et al. 2023) as sentence-transformers reads it: the
/// pair itself counts in both directions. The weights are those of LLaVE (Lan et al. 2025).
#[derive(Clone, Debug)]
pub struct MultipleNegativesRanking {
    temperature: f64,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    OneWay,
    Symmetric,
    Joint,
    Hardness(f64),
}

impl MultipleNegativesRanking {
    /// One way, cosine similarities at this temperature (sentence-transformers: a scale of 20, which is 0.05; the published
    /// encoders use 0.01 to 0.05).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        Ok(Self { temperature, form: Form::OneWay })
    }

    /// Queries among documents and documents among queries, the mean of both.
    pub fn with_both_directions(self) -> Self {
        Self { form: Form::Symmetric, ..self }
    }

    /// All four kinds of pairs in one denominator (GTE).
    pub fn with_joint_denominator(self) -> Self {
        Self { form: Form::Joint, ..self }
    }

    /// One way, the negatives weighted with `e^{alpha cos}`.
    ///
    /// # Errors
    /// When alpha is negative, infinite or NaN.
    pub fn with_hardness(self, alpha: f64) -> Result<Self, ObjectiveError> {
        let alpha = not_negative("strength of hardness weights", alpha)?;
        // the weights raise the scale
        Temperature::fixed(1.0 / (1.0 / self.temperature + alpha)).map_err(|_| ObjectiveError::Outside {
            name: "strength of hardness weights",
            value: alpha,
            allowed: "0 to 1e9 less the inverse temperature",
        })?;
        Ok(Self { form: Form::Hardness(alpha), ..self })
    }

    /// Queries `[n, d]` and their documents `[n, d]`. The mean over the queries, `[1]`; of a single pair, which has no
    /// negatives, 0.
    ///
    /// # Panics
    /// When the shapes differ, or there are no rows.
    pub fn loss(&self, queries: Tensor<2>, documents: Tensor<2>) -> Tensor<1> {
        assert_eq!(queries.dims(), documents.dims(), "the shapes of queries and documents");
        self.loss_among(queries, documents)
    }

    /// Queries `[n, d]`, their documents `[n, d]`, and hard negatives `[k n, d]`, k for each query: row i, n + i, ... for query
    /// i. The mean over the queries, `[1]`.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn loss_with_hard_negatives(
        &self,
        queries: Tensor<2>,
        documents: Tensor<2>,
        negatives: Tensor<2>,
    ) -> Tensor<1> {
        assert_eq!(queries.dims(), documents.dims(), "the shapes of queries and documents");
        check_types(&[("documents", documents.dtype()), ("hard negatives", negatives.dtype())]);
        self.loss_among(queries, Tensor::cat(vec![documents, negatives], 0))
    }

    /// The loss of the queries of all ranks together, among the documents of all: each rank brings its own queries `[n, d]` and their
    /// documents `[n, d]`. The value is `[1]`.
    ///
    /// # Errors
    /// When a rank is gone, or ranks disagree about choices, widths or types.
    ///
    /// # Panics
    /// As [`loss`](Self::loss), of this rank's rows.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        queries: Tensor<2>,
        documents: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        assert_eq!(queries.dims(), documents.dims(), "the shapes of queries and documents");
        self.loss_in(Among::all(ranks), queries, documents)
    }

    /// The same with each rank's hard negatives `[k n, d]`, which are negatives of all queries; k is the same on all ranks.
    ///
    /// # Errors
    /// As [`distributed_loss`](Self::distributed_loss), and when ranks disagree about k.
    ///
    /// # Panics
    /// As [`loss_with_hard_negatives`](Self::loss_with_hard_negatives), of this rank's rows.
    pub fn distributed_loss_with_hard_negatives(
        &self,
        ranks: &Ranks<'_>,
        queries: Tensor<2>,
        documents: Tensor<2>,
        negatives: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        assert_eq!(queries.dims(), documents.dims(), "the shapes of queries and documents");
        check_types(&[("documents", documents.dtype()), ("hard negatives", negatives.dtype())]);
        self.loss_in(Among::all(ranks), queries, Tensor::cat(vec![documents, negatives], 0))
    }

    fn loss_among(&self, queries: Tensor<2>, documents: Tensor<2>) -> Tensor<1> {
        self.loss_in(Among::HERE, queries, documents).expect("one process")
    }

    fn loss_in(
        &self,
        among: Among<'_>,
        queries: Tensor<2>,
        documents: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        let tracked = queries.is_tracked() || documents.is_tracked();
        let result = self.evaluate_in(among, &queries, &documents, tracked)?;
        let g = result.gradients;
        Ok(attach_gradients(result.value, [(&queries, g.anchors), (&documents, g.candidates)]))
    }

    /// Value, each query's value and, if wanted, the gradients of queries (anchors) and of all documents (candidates).
    ///
    /// # Panics
    /// When the widths differ, or the number of documents is not a multiple of the number of queries.
    pub fn evaluate(&self, queries: &Tensor<2>, documents: &Tensor<2>, gradients: bool) -> Evaluation {
        self.evaluate_in(Among::HERE, queries, documents, gradients).expect("one process")
    }

    fn evaluate_in(
        &self,
        among: Among<'_>,
        queries: &Tensor<2>,
        documents: &Tensor<2>,
        gradients: bool,
    ) -> Result<Evaluation, DistributedError> {
        let ([n, d], [m, e]) = (queries.dims(), documents.dims());
        assert!(
            n > 0 && m >= n && m.is_multiple_of(n) && d == e && d > 0,
            "queries [{n}, {d}] and documents [{m}, {e}]: as many or a multiple"
        );
        check_types(&[("queries", queries.dtype()), ("documents", documents.dtype())]);
        let (form, alpha) = match self.form {
            Form::OneWay => (0.0, 0.0),
            Form::Symmetric => (1.0, 0.0),
            Form::Joint => (2.0, 0.0),
            Form::Hardness(alpha) => (3.0, alpha),
        };
        let same = [
            ObjectiveId::MultipleNegativesRanking.to_agree(),
            ("form of the loss", form),
            ("strength of hardness weights", alpha),
            ("temperature", self.temperature),
            ("documents of each query", (m / n) as f64),
        ];
        let place = among.place(n, gradients, &same)?;
        let plain = Inputs::new(queries.clone(), documents.clone()).plain();
        let q = Compared::new(Similarity::Cosine, plain.anchors);
        let c = Compared::new(Similarity::Cosine, plain.candidates.expect("documents"));
        let mut result = match self.form {
            Form::OneWay => self.one_way(among, place, &q.rows, &c.rows),
            Form::Symmetric => self.both_ways(among, place, &q.rows, &c.rows),
            Form::Joint => self.jointly(among, place, &q.rows, &c.rows),
            Form::Hardness(alpha) => self.weighted(among, place, &q.rows, &c.rows, alpha),
        }?;
        result.gradients = Gradients {
            anchors: result.gradients.anchors.map(|g| q.backward(g)),
            candidates: result.gradients.candidates.map(|g| c.backward(g)),
            ..Gradients::default()
        };
        Ok(result)
    }

    /// Of unit rows, as all below.
    fn one_way(
        &self,
        among: Among<'_>,
        place: Place,
        q: &Tensor<2>,
        c: &Tensor<2>,
    ) -> Result<Evaluation, DistributedError> {
        let wanted = if place.any { Wanted::ALL } else { Wanted::VALUE };
        among.evaluate(&self.pairs(), &Inputs::new(q.clone(), c.clone()), wanted)
    }

    fn pairs(&self) -> PairObjective {
        PairObjective::new(self.temperature).expect("a checked temperature").with_similarity(Similarity::Dot)
    }

    fn both_ways(
        &self,
        among: Among<'_>,
        place: Place,
        q: &Tensor<2>,
        c: &Tensor<2>,
    ) -> Result<Evaluation, DistributedError> {
        let wanted = if place.any { Wanted::ALL } else { Wanted::VALUE };
        let ([n, d], [m, _]) = (q.dims(), c.dims());
        if n == m {
            let objective = self.pairs().with_direction(Direction::Both);
            let mut both = among.evaluate(&objective, &Inputs::new(q.clone(), c.clone()), wanted)?;
            both.rows = (both.rows + both.columns.take().expect("both directions")) * 0.5;
            return Ok(both);
        }
        let there = self.one_way(among, place, q, c)?;
        let back = among.evaluate(&self.pairs(), &Inputs::new(c.clone().slice([0..n, 0..d]), q.clone()), wanted)?;
        let (mut there_g, back_g) = (there.gradients, back.gradients);
        if let (Some(dq), Some(dc), Some(more_dp), Some(more_dq)) =
            (there_g.anchors.take(), there_g.candidates.take(), back_g.anchors, back_g.candidates)
        {
            there_g.anchors = Some((dq + more_dq) * 0.5);
            there_g.candidates = Some(add_first(dc, more_dp) * 0.5);
        }
        let (value, rows) = ((there.value + back.value) * 0.5, (there.rows + back.rows) * 0.5);
        Ok(Evaluation { value, rows, columns: None, gradients: there_g })
    }

    fn jointly(
        &self,
        among: Among<'_>,
        place: Place,
        q: &Tensor<2>,
        c: &Tensor<2>,
    ) -> Result<Evaluation, DistributedError> {
        let ([n, d], [m, _]) = (q.dims(), c.dims());
        let documents = c.clone().slice([0..n, 0..d]);
        let sums = || LogSums::new(self.temperature).expect("a checked temperature").with_similarity(Similarity::Dot);
        // queries among [documents, queries], documents among [queries, documents]; a document's own are left out
        let from_queries = sums().with_exclusions(Exclusions::own_row(m));
        let own = PairLists {
            offsets: (0..=n).map(|i| i * (m / n)).collect(),
            columns: (0..n).flat_map(|i| (n + i..n + m).step_by(n).map(|j| j as u32)).collect(),
            ..PairLists::default()
        };
        let from_documents = sums().with_exclusions(Exclusions::lists(own.shifted(place.first * (1 + m / n))));
        let asked = Inputs::new(q.clone(), Tensor::cat(vec![c.clone(), q.clone()], 0));
        let answered = Inputs::new(documents.clone(), Tensor::cat(vec![q.clone(), c.clone()], 0));
        let (a, b) = (among.values(&from_queries, &asked)?, among.values(&from_documents, &answered)?);
        let positive = to_f64(row_products(q, &documents) * (1.0 / self.temperature));
        let all: Vec<f64> = a.iter().zip(&b).map(|(a, b)| log_add_exp(*a, *b)).collect();
        let rows = all.iter().zip(&positive).map(|(l, s)| l - s).collect();
        let mut result = mean(among, place, rows, q)?;
        if place.any {
            let queries = place.all as f64;
            let share = |part: &[f64]| part.iter().zip(&all).map(|(p, l)| (p - l).exp() / queries).collect();
            let asked = among.weighted(&from_queries, &asked, share(&a), Wanted::ALL)?.gradients;
            let answered = among.weighted(&from_documents, &answered, share(&b), Wanted::ALL)?.gradients;
            let of = |g: Option<Tensor<2>>| g.expect("a gradient that was wanted");
            let (asked, first) = (of(asked.candidates), of(asked.anchors));
            let (answered, second) = (of(answered.candidates), of(answered.anchors));
            let pull = 1.0 / (self.temperature * queries);
            let dq = first + asked.clone().slice([m..m + n, 0..d]) + answered.clone().slice([0..n, 0..d]);
            let dc = asked.slice([0..m, 0..d]) + answered.slice([n..n + m, 0..d]);
            result.gradients.anchors = Some(dq - documents * pull);
            result.gradients.candidates = Some(add_first(dc, second - q.clone() * pull));
        }
        Ok(result)
    }

    fn weighted(
        &self,
        among: Among<'_>,
        place: Place,
        q: &Tensor<2>,
        c: &Tensor<2>,
        alpha: f64,
    ) -> Result<Evaluation, DistributedError> {
        let [n, d] = q.dims();
        let documents = c.clone().slice([0..n, 0..d]);
        // the weights only raise the scale, and the gradient keeps the share of it that is not weights
        let scale = 1.0 / self.temperature;
        let sums = LogSums::new(1.0 / (scale + alpha)).expect("a checked temperature").with_similarity(Similarity::Dot);
        let sums = sums.with_exclusions(Exclusions::own_row(0));
        let inputs = Inputs::new(q.clone(), c.clone());
        let positive = to_f64(row_products(q, &documents) * scale);
        let gaps: Vec<f64> = among.values(&sums, &inputs)?.iter().zip(&positive).map(|(l, s)| l - s).collect();
        let mut result = mean(among, place, gaps.iter().map(|&g| log_add_exp(g, 0.0)).collect(), q)?;
        if place.any {
            let pull: Vec<f64> = gaps.iter().map(|g| 1.0 / (place.all as f64 * (1.0 + (-g).exp()))).collect();
            let share = pull.iter().map(|p| p * scale / (scale + alpha)).collect();
            let pushed = among.weighted(&sums, &inputs, share, Wanted::ALL)?.gradients;
            let pull = column(&pull, q) * scale;
            result.gradients.anchors = pushed.anchors.map(|g| g - documents * pull.clone());
            result.gradients.candidates = pushed.candidates.map(|g| add_first(g, q.clone() * pull * -1.0));
        }
        Ok(result)
    }
}

/// Row values and their mean, over all rows that are compared.
fn mean(among: Among<'_>, place: Place, rows: Vec<f64>, like: &Tensor<2>) -> Result<Evaluation, DistributedError> {
    let value = numbers(&[among.total(rows.iter().sum())? / place.all as f64], like);
    Ok(Evaluation { value, rows: numbers(&rows, like), columns: None, gradients: Gradients::default() })
}

/// `to` with `more` added to its first rows.
fn add_first(to: Tensor<2>, more: Tensor<2>) -> Tensor<2> {
    let ([m, d], [n, _]) = (to.dims(), more.dims());
    if n == m {
        return to + more;
    }
    Tensor::cat(vec![to.clone().slice([0..n, 0..d]) + more, to.slice([n..m, 0..d])], 0)
}
