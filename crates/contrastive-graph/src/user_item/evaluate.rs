//! What a training leaves behind: embeddings of users and items.

use super::data::{Dataset, Interactions};
use crate::MethodError;
use burn::tensor::TensorData;
use contrastive_eval::ranking::{LeftOut, Protocol, RankingError, RankingReport, Side};
use contrastive_kernels::top_k::{ItemSets, TopK, top_k};
use contrastive_train::{Check, RunReport, State, TrainError, read_safetensors, take_tensor, write_safetensors};
use ndarray::{Array2, ArrayView2};
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

/// Fails for the first of these rows that is not finite.
fn finite(side: Side, table: ArrayView2<'_, f32>, mut rows: impl Iterator<Item = usize>) -> Result<(), RankingError> {
    let bad = |row: usize| table.row(row).iter().copied().find(|value| !value.is_finite()).map(|value| (row, value));
    match rows.find_map(bad) {
        Some((row, value)) => Err(RankingError::NonFinite { side, row, value: f64::from(value) }),
        None => Ok(()),
    }
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
        let protocol = Protocol::new(sets(train), sets(test), cutoffs)?;
        Ok(protocol.embeddings(self.users.view(), self.items.view())?.mean())
    }

    /// [`evaluate`](Self::evaluate) on the test part of a data set, where it has a validation part by either of the two protocols: the
    /// validation items are ranked beside the test items ([`LeftOut::Train`]), or left out with the training items
    /// ([`LeftOut::TrainAndValidation`], RecBole's). The report says which; without a validation part both are the first.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub fn evaluate_test(
        &self,
        data: &Dataset,
        left_out: LeftOut,
        cutoffs: &[usize],
    ) -> Result<RankingReport, MethodError> {
        let mut protocol = Protocol::new(sets(&data.train), sets(&data.test), cutoffs)?;
        if let (LeftOut::TrainAndValidation, Some(validation)) = (left_out, &data.validation) {
            protocol = protocol.without_validation(sets(validation))?;
        }
        Ok(protocol.embeddings(self.users.view(), self.items.view())?.mean())
    }

    /// The k best items for each of `users`, leaving out those in `seen` (usually the training part).
    ///
    /// # Errors
    /// When a user is not below I, or k not in 1..=J; when `seen` is of other numbers of users or items; when an embedding that takes part is
    /// NaN or infinite ([`RankingError::NonFinite`]).
    pub fn recommend(&self, users: &[u32], k: usize, seen: &Interactions) -> Result<TopK<f32>, MethodError> {
        let check = Check::new("recommend");
        let (count, items) = (self.users.nrows(), self.items.nrows());
        check.that((1..=items).contains(&k), "k", k, format!("1 to {items}, the number of items"))?;
        if let Some(user) = users.iter().find(|user| **user as usize >= count) {
            check.that(false, "user", user, format!("0 to {}", count.saturating_sub(1)))?;
        }
        for (setting, found, wanted) in [
            ("number of users of `seen`", seen.num_users(), count),
            ("number of items of `seen`", seen.num_items(), items),
        ] {
            check.that(found == wanted, setting, found, format!("{wanted}, as the embeddings have"))?;
        }
        finite(Side::Users, self.users.view(), users.iter().map(|user| *user as usize))?;
        finite(Side::Items, self.items.view(), 0..items)?;
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
    /// When the file is missing, damaged, or lacks a table, or the tables are of different widths.
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
        let (users, items) = (table("users")?, table("items")?);
        if users.ncols() != items.ncols() {
            let problem = format!("{} columns; allowed are {}, as users have", items.ncols(), users.ncols());
            return Err(TrainError::State { name: "items".into(), problem });
        }
        Ok(Self::new(users, items))
    }
}
