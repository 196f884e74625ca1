//! What a training leaves behind: embeddings of users and items.

use crate::MethodError;
use crate::user_item::data::Interactions;
use burn::tensor::TensorData;
use contrastive_eval::ranking::{RankingReport, evaluate};
use contrastive_kernels::top_k::{ItemSets, TopK, top_k};
use contrastive_train::{RunReport, State, TrainError, read_safetensors, take_tensor, write_safetensors};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::path::Path;

/// Embeddings of users `[I, d]` and items `[J, d]`; an item ranks by its inner product with the user.
#[derive(Clone, Debug)]
pub struct Embeddings {
    /// `[I, d]`.
    pub users: Array2<f32>,
    /// `[J, d]`.
    pub items: Array2<f32>,
    /// What the training reported; `None` for loaded embeddings.
    pub report: Option<RunReport>,
}

/// The item lists of the users.
fn sets(interactions: &Interactions) -> ItemSets<'_> {
    ItemSets::new(interactions.indptr(), interactions.indices()).expect("interactions have ascending rows")
}

impl Embeddings {
    /// From two tables of the same width.
    ///
    /// # Panics
    /// When the widths differ.
    pub fn new(users: Array2<f32>, items: Array2<f32>) -> Self {
        assert_eq!(users.ncols(), items.ncols(), "the widths of users {:?} and items {:?}", users.dim(), items.dim());
        Self { users, items, report: None }
    }

    pub(crate) fn with_report(mut self, report: RunReport) -> Self {
        self.report = Some(report);
        self
    }

    /// All-ranking metrics at the cutoffs on `test`, items of `train` left out, means over users with a test item.
    ///
    /// # Errors
    /// When a cutoff is 0 or above the number of items, shapes do not fit, or no user has a test item.
    pub fn evaluate(
        &self,
        train: &Interactions,
        test: &Interactions,
        cutoffs: &[usize],
    ) -> Result<RankingReport, MethodError> {
        Ok(evaluate(self.users.view(), self.items.view(), sets(train), sets(test), cutoffs)?)
    }

    /// The k best items for each of `users`, leaving out those in `seen` (usually the training part).
    ///
    /// # Errors
    /// When a user is not below I, or k not in 1..=J.
    pub fn recommend(&self, users: &[u32], k: usize, seen: &Interactions) -> Result<TopK<f32>, MethodError> {
        let wrong = |setting, value: usize, allowed| MethodError::Setting {
            method: "recommend",
            setting,
            value: value.to_string(),
            allowed,
        };
        let (count, items) = (self.users.nrows(), self.items.nrows());
        if k == 0 || k > items {
            return Err(wrong("k", k, format!("1 to {items}, the number of items")));
        }
        if let Some(user) = users.iter().find(|u| **u as usize >= count) {
            return Err(wrong("user", *user as usize, format!("0 to {}", count.saturating_sub(1))));
        }
        let at: Vec<usize> = users.iter().map(|u| *u as usize).collect();
        let queries = self.users.select(ndarray::Axis(0), &at);
        let items = self.items.as_standard_layout();
        let (queries, candidates) =
            (queries.as_slice().expect("standard layout"), items.as_slice().expect("standard layout"));
        Ok(top_k(queries, candidates, self.users.ncols(), k, Some((sets(seen), users))))
    }

    pub(crate) fn state(&self) -> State {
        let data = |a: &Array2<f32>| TensorData::new(a.iter().copied().collect::<Vec<f32>>(), [a.nrows(), a.ncols()]);
        State::from([("users".into(), data(&self.users)), ("items".into(), data(&self.items))])
    }

    /// Writes `users` and `items` to a safetensors file.
    ///
    /// # Errors
    /// [`TrainError::Write`] when the file cannot be written; what was there before is still there.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        write_safetensors(path, &self.state(), &BTreeMap::new())
    }

    /// Reads what [`save`](Self::save), or the `model.safetensors` of a run, holds.
    ///
    /// # Errors
    /// When the file is missing, damaged, or lacks a table.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let (mut state, _) = read_safetensors(path)?;
        let mut table = |name: &str| {
            let shape: Vec<usize> = state.get(name).map(|t| t.shape().iter().copied().collect()).unwrap_or_default();
            let two = [shape.first().copied().unwrap_or(0), shape.get(1).copied().unwrap_or(0)];
            let data = take_tensor(&mut state, name, &two)?;
            let values: Vec<f32> = data.iter::<f32>().collect();
            Array2::from_shape_vec((two[0], two[1]), values)
                .map_err(|e| TrainError::State { name: name.into(), problem: e.to_string() })
        };
        Ok(Self::new(table("users")?, table("items")?))
    }
}
