//! GroCo.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use burn::tensor::Tensor;
use contrastive_core::objective::{GroCo as Objective, InfoNce};
use contrastive_core::similarity::unit_rows;
use contrastive_train::{Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// What is asked of positives and hard negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// Every positive before every negative, by differentiable sorting: the method.
    #[default]
    Sorted,
    /// NT-Xent at this temperature among the same negatives, which stand still, too: for comparisons.
    Softmax(f64),
}

/// Settings of [`GroCo`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroCoConfig {
    /// Hard negatives k of an anchor, at most the batch less 1 (paper: 10).
    pub negatives: usize,
    /// Steepness of the sorting network (paper: 1).
    pub steepness: f64,
    /// Only anchors have gradients (paper: yes).
    pub stop_gradient: bool,
    /// The first so many views give positives: the full crops of multi-crop (paper: 2).
    pub large: usize,
    /// What is asked of their order.
    pub ordering: Ordering,
}

impl GroCoConfig {
    /// With so many hard negatives; positives of the first two views.
    pub fn new(negatives: usize) -> Self {
        Self { negatives, steepness: 1.0, stop_gradient: true, large: 2, ordering: Ordering::Sorted }
    }

    /// With another question about the order.
    #[must_use]
    pub fn with_ordering(mut self, ordering: Ordering) -> Self {
        self.ordering = ordering;
        self
    }

    fn objective(&self) -> Result<Objective, VisionError> {
        let objective = Objective::new(self.negatives)?.with_steepness(self.steepness)?;
        Ok(objective.with_stop_gradient(self.stop_gradient))
    }

    fn softmax(&self) -> Result<Option<InfoNce>, VisionError> {
        match self.ordering {
            Ordering::Sorted => Ok(None),
            Ordering::Softmax(temperature) => Ok(Some(InfoNce::new(temperature)?)),
        }
    }
}

/// GroCo (Shvetsova et al. 2023): every positive nearer than every hard negative, which are the nearest other images of the same view. All
/// views are anchors, the first ones alone give positives.
#[derive(Debug)]
pub struct GroCo {
    config: GroCoConfig,
    objective: Objective,
    softmax: Option<InfoNce>,
}

impl Settings for GroCoConfig {
    type Method = GroCo;

    fn name(&self) -> &'static str {
        match self.ordering {
            Ordering::Sorted => "GroCo",
            Ordering::Softmax(_) => "NT-Xent, hard negatives",
        }
    }

    fn validate(&self, frame: &Frame) -> Result<(), VisionError> {
        self.softmax()?;
        Ok(self.objective()?.validate(frame.training.batch_size, frame.views.len(), self.large)?)
    }

    fn start(&self, start: &Start<'_>) -> Result<(GroCo, Projected), VisionError> {
        let groco = GroCo { config: *self, objective: self.objective()?, softmax: self.softmax()? };
        Ok((groco, start.network(&start.head())?))
    }
}

impl GroCo {
    /// NT-Xent of every view with the positives' views, among the k nearest other images of its own view.
    fn among_the_nearest(&self, objective: &InfoNce, views: &[Tensor<2>]) -> Tensor<1> {
        let ([n, d], k) = (views[0].dims(), self.config.negatives);
        let fixed = |rows: &Tensor<2>| match self.config.stop_gradient {
            true => rows.clone().detach(),
            false => rows.clone(),
        };
        let mut terms = Vec::new();
        for (a, anchors) in views.iter().enumerate() {
            let plain = unit_rows(anchors.clone().inner());
            let own = Tensor::<2>::eye(n, &plain.device()).cast(plain.dtype()) * -3.0;
            let (_, places) = (plain.clone().matmul(plain.transpose()) + own).topk_with_indices(k, 1);
            let places = Tensor::from_inner(places.reshape([n * k]));
            let nearest: Tensor<3> = unit_rows(fixed(anchors)).select(0, places).reshape([n, k, d]);
            for (_, positives) in views.iter().enumerate().take(self.config.large).filter(|(v, _)| *v != a) {
                terms.push(objective.loss_with_own_negatives(anchors.clone(), fixed(positives), nearest.clone()));
            }
        }
        let share = 1.0 / terms.len() as f64;
        terms.into_iter().reduce(|a, b| a + b).expect("two views at least") * share
    }
}

impl VisionMethod for GroCo {
    type Model = Projected;

    fn losses(&mut self, model: &Projected, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let rows: Vec<Tensor<2>> = (0..batch.views.len()).map(|view| model.project(batch.view(view))).collect();
        let loss = match &self.softmax {
            Some(objective) => self.among_the_nearest(objective, &rows),
            None => self.objective.loss(&rows, self.config.large),
        };
        Ok(vec![("order", loss)])
    }
}
