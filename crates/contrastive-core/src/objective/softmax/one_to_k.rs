//! CCRK's 1-to-K objective: an anchor and its K aligned versions.

use crate::error::ObjectiveError;
use crate::objective::distributed::{DistributedError, ObjectiveId, Ranks};
use crate::objective::{Evaluation, Inputs, PairObjective, Wanted};
use crate::pairs::{PairLists, Pairs};
use burn::tensor::{Int, Tensor, TensorData};
use std::sync::Arc;

/// 1-to-K contrastive learning (CCRK, KDD 2024): an image among the texts of all instances in all K languages, and each text
/// among all images.
///
/// ```text
/// i2t = -1/N sum_j 1/K_j sum_k log( e^{v_j.t_jk/tau} / sum_{i,k'} e^{v_j.t_ik'/tau} )
/// t2i = -1/(sum_j K_j) sum_{j,k} log( e^{v_j.t_jk/tau} / sum_i e^{v_i.t_jk/tau} )        loss = (i2t + w t2i) / 2
/// ```
///
/// `w` is 1, which makes K = 1 symmetric InfoNCE. The released code has `w = 1/K`:
/// [`with_text_weight`](Self::with_text_weight).
#[derive(Clone, Debug)]
pub struct OneToK {
    objective: PairObjective,
    text_weight: f64,
    siblings: bool,
}

/// The two directions of [`OneToK`], each a mean, `[1]`.
#[derive(Clone, Debug)]
pub struct OneToKParts {
    /// Anchors among all versions.
    pub anchors_to_versions: Tensor<1>,
    /// Versions among the anchors.
    pub versions_to_anchors: Tensor<1>,
}

impl OneToK {
    /// Cosine similarities at this temperature (published: learned from 0.07, kept within [0.001, 0.5]).
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { objective: PairObjective::new(temperature)?, text_weight: 1.0, siblings: true })
    }

    /// The inverse temperature is an input of the loss.
    pub fn with_input_scale() -> Self {
        Self { objective: PairObjective::with_input_scale(), text_weight: 1.0, siblings: true }
    }

    /// The weight of the versions-to-anchors direction (the released code: 1 / K).
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn with_text_weight(mut self, weight: f64) -> Result<Self, ObjectiveError> {
        self.text_weight = crate::error::not_negative("weight of the versions", weight)?;
        Ok(self)
    }

    /// Each positive among the versions of other instances only, without its siblings: no floor of log K. Not in the paper.
    pub fn without_siblings(mut self) -> Self {
        self.siblings = false;
        self
    }

    /// Anchors `[n, d]`, versions `[n, k, d]`, and, with [`with_input_scale`](Self::with_input_scale), the inverse temperature
    /// `[1]`. `present[j * k + l]` says whether instance j has version l; absent ones are not compared and get no gradient.
    /// The value is `[1]`.
    ///
    /// # Errors
    /// When an instance has no version at all.
    ///
    /// # Panics
    /// When shapes do not fit, there are no instances, or there is a scale that is not an input.
    pub fn loss(
        &self,
        anchors: Tensor<2>,
        versions: Tensor<3>,
        scale: Option<Tensor<1>>,
        present: Option<&[bool]>,
    ) -> Result<Tensor<1>, ObjectiveError> {
        let (lists, inputs) = self.problem(anchors, versions, scale, present)?;
        Ok(self.objective(lists, 0.5 * self.text_weight)?.loss(&inputs))
    }

    /// The loss of the instances of all ranks together: each rank brings its own anchors `[n, d]` and versions `[n, k, d]`, k for each
    /// instance or as many as are present; the inverse temperature `[1]` is the same everywhere, and its gradient is this rank's share. The
    /// value is `[1]`.
    ///
    /// # Errors
    /// When a rank is gone, ranks disagree about choices, widths or types, or an instance of any rank has no version at all.
    ///
    /// # Panics
    /// As [`loss`](Self::loss), of this rank's.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        anchors: Tensor<2>,
        versions: Tensor<3>,
        scale: Option<Tensor<1>>,
        present: Option<&[bool]>,
    ) -> Result<Tensor<1>, DistributedError> {
        let problem = self.problem(anchors, versions, scale, present);
        let rows = problem.as_ref().map_or(0, |(lists, _)| lists.columns.len());
        let same = [ObjectiveId::OneToK.to_agree(), ("weight of the versions", self.text_weight)];
        // a rank without rows says so, so that the others do not wait for it
        let place = ranks.place(rows, problem.is_err(), &same)?;
        let (lists, inputs) = problem?;
        if place.any {
            return Err(ObjectiveError::Pairs("an instance of another rank has no version".to_string()).into());
        }
        self.objective(lists.shifted(place.first), 0.5 * self.text_weight)?.distributed_loss(ranks, &inputs)
    }

    /// The means of both directions, without gradients.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn parts(
        &self,
        anchors: Tensor<2>,
        versions: Tensor<3>,
        scale: Option<Tensor<1>>,
        present: Option<&[bool]>,
    ) -> Result<OneToKParts, ObjectiveError> {
        let (lists, inputs) = self.problem(anchors, versions, scale, present)?;
        let Evaluation { rows, columns, .. } = self.objective(lists, 0.5)?.evaluate(&inputs, Wanted::VALUE);
        Ok(OneToKParts {
            anchors_to_versions: rows.mean(),
            versions_to_anchors: columns.expect("values of both directions").mean(),
        })
    }

    /// Both directions, the versions of each anchor listed.
    fn objective(&self, lists: PairLists, backward: f64) -> Result<PairObjective, ObjectiveError> {
        let mut objective = self.objective.clone().with_pairs(Pairs::Lists(Arc::new(lists)));
        if !self.siblings {
            objective = objective.with_denominator(crate::objective::Denominator::OwnPositive);
        }
        objective.with_direction_weights(0.5, backward)
    }

    /// The versions that are present as candidates, and whose they are.
    fn problem(
        &self,
        anchors: Tensor<2>,
        versions: Tensor<3>,
        scale: Option<Tensor<1>>,
        present: Option<&[bool]>,
    ) -> Result<(PairLists, Inputs), ObjectiveError> {
        let ([n, d], [n2, k, d2]) = (anchors.dims(), versions.dims());
        assert_eq!([n, d], [n2, d2], "anchors [{n}, {d}] and versions [{n2}, {k}, {d2}]");
        if k == 0 {
            return Err(ObjectiveError::Pairs("instances without versions".to_string()));
        }
        let mut texts: Tensor<2> = versions.reshape([n * k, d]);
        let mut offsets: Vec<usize> = (0..=n).map(|j| j * k).collect();
        if let Some(present) = present {
            assert_eq!(present.len(), n * k, "which of [{n}, {k}] versions are present");
            let kept: Vec<i32> = (0..n * k).filter(|&at| present[at]).map(|at| at as i32).collect();
            let counts = present.chunks_exact(k).map(|row| row.iter().filter(|p| **p).count());
            offsets = vec![0];
            for (j, count) in counts.enumerate() {
                if count == 0 {
                    return Err(ObjectiveError::Pairs(format!("instance {j} has no version")));
                }
                offsets.push(offsets[j] + count);
            }
            let rows = kept.len();
            let kept = Tensor::<1, Int>::from_data(TensorData::new(kept, [rows]), &texts.device());
            texts = texts.select(0, kept);
        }
        let rows = *offsets.last().expect("a first offset") as u32;
        let lists = PairLists::new(offsets, (0..rows).collect(), None)?;
        let inputs = Inputs::new(anchors, texts);
        Ok((
            lists,
            match scale {
                Some(scale) => inputs.with_scale(scale),
                None => inputs,
            },
        ))
    }
}
