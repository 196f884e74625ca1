//! Which features two classes share: a gate for every pair of classes.

use super::random::generator;
use super::{SynthesisError, places};
use crate::error::{ObjectiveError, not_negative};
use crate::head::seeded::Seeded;
use crate::head::{HeadError, at_least};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Tensor, TensorCreationOptions, activation::relu};
use rand::RngExt;
use rand::seq::SliceRandom;
use std::collections::BTreeSet;

/// Settings of a [`PairGate`].
#[derive(Config, Debug, PartialEq)]
pub struct PairGateConfig {
    /// Number of classes C.
    pub classes: usize,
    /// Width D of the features that are gated.
    pub output: usize,
    /// Width of a class's embedding.
    #[config(default = 512)]
    pub embedding: usize,
    /// Hidden width.
    #[config(default = 1024)]
    pub hidden: usize,
    /// The gate of the mean embedding, instead of the product of both classes' gates?
    #[config(default = true)]
    pub fuse: bool,
}

impl PairGateConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When one is 0.
    pub fn validate(&self) -> Result<(), HeadError> {
        at_least(&[
            ("classes", self.classes, 1),
            ("output width", self.output, 1),
            ("embedding width", self.embedding, 1),
            ("hidden width", self.hidden, 1),
        ])
    }

    /// The gates on a device, of that device's float type unless one is given.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, seed: u64, on: impl Into<TensorCreationOptions>) -> Result<PairGate, HeadError> {
        self.validate()?;
        let mut seeded = Seeded::new(seed, on);
        Ok(PairGate {
            embedding: Param::from_tensor(seeded.normal([self.classes, self.embedding], 1.0)),
            norms: vec![seeded.batch_norm(self.embedding, true), seeded.batch_norm(self.hidden, true)],
            maps: vec![seeded.linear(self.embedding, self.hidden, true), seeded.linear(self.hidden, self.output, true)],
            fuse: self.fuse,
        })
    }
}

/// The gates of Hydra (also SimLAP): for a pair of classes a number in (0, 1) for each feature,
///
/// ```text
/// g(y, y') = sigmoid(MLP((E[y] + E[y']) / 2))        MLP: twice ReLU, batch norm, linear
/// ```
///
/// or, not fused, `g(y) g(y')`. Symmetric in the pair by construction.
#[derive(Module, Debug)]
pub struct PairGate {
    /// `[C, embedding]`.
    pub embedding: Param<Tensor<2>>,
    /// Before the two maps.
    pub norms: Vec<BatchNorm>,
    /// The two maps.
    pub maps: Vec<Linear>,
    fuse: bool,
}

impl PairGate {
    /// `[n, D]`: the gates of n pairs of labels.
    ///
    /// # Errors
    /// When a label is not a class.
    ///
    /// # Panics
    /// When the two lists differ in length.
    pub fn forward(&self, labels: &[i64], paired: &[i64]) -> Result<Tensor<2>, SynthesisError> {
        assert_eq!(labels.len(), paired.len(), "labels and paired labels");
        let table = self.embedding.val();
        let classes = table.dims()[0];
        let embedded = |labels: &[i64]| -> Result<Tensor<2>, SynthesisError> {
            check_labels(labels, classes)?;
            let rows: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
            Ok(table.clone().select(0, places(&rows, &table)))
        };
        let (first, second) = (embedded(labels)?, embedded(paired)?);
        Ok(match self.fuse {
            true => self.gate((first + second) * 0.5),
            false => {
                // one batch, so that both see the same statistics
                let (n, d) = (labels.len(), self.maps[1].weight.dims()[1]);
                let both = self.gate(Tensor::cat(vec![first, second], 0));
                both.clone().slice([0..n, 0..d]) * both.slice([n..2 * n, 0..d])
            }
        })
    }

    fn gate(&self, x: Tensor<2>) -> Tensor<2> {
        let layers = self.norms.iter().zip(&self.maps);
        let x = layers.fold(x, |x, (norm, map)| map.forward(norm.forward(relu(x))));
        ((x * -1.0).exp() + 1.0).recip()
    }
}

/// `Ok` when every label is a class.
pub(super) fn check_labels(labels: &[i64], classes: usize) -> Result<(), SynthesisError> {
    match labels.iter().position(|&label| label < 0 || label as usize >= classes) {
        Some(row) => Err(SynthesisError::Label { row, label: labels[row], classes }),
        None => Ok(()),
    }
}

/// Which class a row is paired with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassPairs {
    /// The labels of the batch in another order: any pair of classes.
    #[default]
    Arbitrary,
    /// Its own: the supervised contrastive setting.
    Identical,
    /// Another class of the batch, all with the same probability.
    Distinct,
}

/// Number of unordered pairs of C classes, a class with itself among them: `C (C + 1) / 2`.
pub fn class_pairs(classes: usize) -> usize {
    classes * (classes + 1) / 2
}

impl ClassPairs {
    /// The paired labels of a step.
    ///
    /// # Errors
    /// When there are fewer than three rows, a label is not a class, or there are too few classes: three for arbitrary pairs, without which
    /// mixed pairs have no negatives, and two different ones in the batch for distinct pairs.
    pub fn draw(self, labels: &[i64], classes: usize, step: usize, seed: u64) -> Result<Vec<i64>, SynthesisError> {
        few("rows of a batch", labels.len(), 3)?;
        check_labels(labels, classes)?;
        let mut rng = generator(seed, step);
        let mut paired = labels.to_vec();
        match self {
            Self::Identical => {}
            Self::Arbitrary => {
                few("classes", classes, 3)?;
                paired.shuffle(&mut rng);
            }
            Self::Distinct => {
                few("classes", classes, 3)?;
                let there: Vec<i64> = labels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
                few("classes in the batch", there.len(), 2)?;
                for label in &mut paired {
                    let own = there.binary_search(label).expect("a label of the batch");
                    *label = there[(own + rng.random_range(1..there.len())) % there.len()];
                }
            }
        }
        Ok(paired)
    }
}

/// Pairs of classes by how near they are: class y' of the batch is drawn with a weight of `(1 + distance(y, y'))^{-a}` (Hydra on ImageNet:
/// distances in WordNet, a = 0 or 2). With a = 0 all classes of the batch, a row's own among them, are alike.
#[derive(Clone, Debug)]
pub struct NearClasses {
    classes: usize,
    /// C x C.
    weights: Vec<f64>,
}

impl NearClasses {
    /// Of distances `[C, C]`, row-major, and the exponent a.
    ///
    /// # Errors
    /// When a or a distance is negative, infinite or NaN, or the distances are not those of `classes` classes.
    pub fn new(distances: &[f64], classes: usize, a: f64) -> Result<Self, ObjectiveError> {
        not_negative("exponent of the distances", a)?;
        if distances.len() != classes * classes {
            return Err(ObjectiveError::Pairs(format!("{} distances of {classes} classes", distances.len())));
        }
        let weight = |d: &f64| Ok((1.0 + not_negative("distance of two classes", *d)?).powf(-a));
        Ok(Self { classes, weights: distances.iter().map(weight).collect::<Result<_, _>>()? })
    }

    /// The paired labels of a step, each one of a class of the batch.
    ///
    /// # Errors
    /// When there are fewer than three rows, or a label is not a class.
    pub fn draw(&self, labels: &[i64], step: usize, seed: u64) -> Result<Vec<i64>, SynthesisError> {
        few("rows of a batch", labels.len(), 3)?;
        check_labels(labels, self.classes)?;
        let there: Vec<i64> = labels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let mut rng = generator(seed, step);
        let paired = labels.iter().map(|&own| {
            let weight = |other: i64| self.weights[own as usize * self.classes + other as usize];
            let mut left = rng.random::<f64>() * there.iter().map(|&other| weight(other)).sum::<f64>();
            let chosen = there.iter().find(|&&other| {
                left -= weight(other);
                left < 0.0
            });
            // rounding may leave a rest
            *chosen.unwrap_or(&there[there.len() - 1])
        });
        Ok(paired.collect())
    }
}

/// `Ok` when there are as many as needed.
fn few(what: &'static str, rows: usize, least: usize) -> Result<(), SynthesisError> {
    if rows < least { Err(SynthesisError::Rows { what, rows, least }) } else { Ok(()) }
}
