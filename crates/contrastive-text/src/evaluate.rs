//! What sentence embeddings are worth: semantic textual similarity, transfer tasks, alignment and uniformity, biases of the surface.

use crate::TextError;
use crate::data::{Labelled, ScoredPairs, StsSet, Transfer};
use crate::encoder::Embed;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::diagnostics::{alignment, uniformity};
use contrastive_data::text::split_words;
use contrastive_eval::correlation::{pearson, spearman};
use contrastive_eval::probe::{LinearProbe, Scaling, Split, Targets};
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::fmt::{Display, Formatter};

/// How the subsets of a year of STS become one number. Numbers of different protocols are not comparable: "mean" and "wmean" are often
/// higher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// One Spearman correlation over the pairs of all subsets together (SimCSE, and what most papers since report).
    #[default]
    All,
    /// The mean of the subsets' correlations.
    Mean,
    /// The same, each weighted with its number of pairs.
    WeightedMean,
}

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Mean => "mean",
            Self::WeightedMean => "wmean",
        })
    }
}

/// The cosine of each row of one table and the same row of another; 0 where a row has no length.
///
/// # Panics
/// When the shapes differ.
pub fn cosines(first: &Array2<f32>, second: &Array2<f32>) -> Vec<f64> {
    assert_eq!(first.dim(), second.dim(), "the shapes of two sides of pairs");
    let cosine = |(a, b): (ndarray::ArrayView1<f32>, ndarray::ArrayView1<f32>)| {
        let sum = |a: &ndarray::ArrayView1<f32>, b: &ndarray::ArrayView1<f32>| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let cosine = sum(&a, &b) / (sum(&a, &a).sqrt() * sum(&b, &b).sqrt()).max(1e-16);
        if cosine.is_nan() { 0.0 } else { cosine }
    };
    first.rows().into_iter().zip(second.rows()).map(cosine).collect()
}

/// The cosines of scored pairs.
///
/// # Errors
/// When a text cannot be encoded.
pub fn pair_cosines(model: &impl Embed, pairs: &[[String; 2]]) -> Result<Vec<f64>, TextError> {
    let side = |at: usize| model.embed(&pairs.iter().map(|pair| pair[at].as_str()).collect::<Vec<_>>());
    Ok(cosines(&side(0)?, &side(1)?))
}

/// Spearman's correlation of a model's cosines and the gold scores, between -1 and 1. No regressor is trained on top.
///
/// # Errors
/// When a text cannot be encoded, there are fewer than two pairs, or cosines or scores are all equal.
pub fn sts_pairs(model: &impl Embed, pairs: &ScoredPairs) -> Result<f64, TextError> {
    Ok(spearman(&pair_cosines(model, &pairs.pairs)?, &pairs.gold)?)
}

/// The same over the subsets of a year, by the protocol.
///
/// # Errors
/// As [`sts_pairs`].
pub fn sts_set(model: &impl Embed, set: &StsSet, protocol: Protocol) -> Result<f64, TextError> {
    let cosines = set.subsets.iter().map(|subset| pair_cosines(model, &subset.pairs));
    let cosines: Vec<Vec<f64>> = cosines.collect::<Result<_, _>>()?;
    let gold: Vec<&[f64]> = set.subsets.iter().map(|subset| subset.gold.as_slice()).collect();
    combined(&cosines, &gold, protocol)
}

/// The number of a year from the cosines and gold scores of its subsets.
///
/// # Errors
/// When there are fewer than two pairs, or cosines or scores are all equal: of a subset, or of all under [`Protocol::All`].
pub fn combined(cosines: &[Vec<f64>], gold: &[&[f64]], protocol: Protocol) -> Result<f64, TextError> {
    if protocol == Protocol::All {
        return Ok(spearman(&cosines.concat(), &gold.concat())?);
    }
    let each: Vec<f64> = cosines.iter().zip(gold).map(|(a, b)| spearman(a, b)).collect::<Result<_, _>>()?;
    let weight = |at: usize| if protocol == Protocol::Mean { 1.0 } else { gold[at].len() as f64 };
    let total: f64 = (0..each.len()).map(weight).sum();
    Ok(each.iter().enumerate().map(|(at, value)| weight(at) * value).sum::<f64>() / total)
}

/// Alignment of the pairs with a gold score above `above` (4 in SimCSE), and uniformity of all different sentences: rows of unit length,
/// lower is better for both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// `mean |f(x) - f(x+)|^2`.
    pub alignment: f64,
    /// `log mean e^{-2 |f(x) - f(y)|^2}` over all pairs of different sentences, in [-8, 0].
    pub uniformity: f64,
}

/// Alignment and uniformity on scored pairs (Wang and Isola, 2020; SimCSE, section 3).
///
/// # Errors
/// When a text cannot be encoded, no pair scores above `above`, there are fewer than two sentences, or a row has no length.
pub fn geometry(model: &impl Embed, pairs: &ScoredPairs, above: f64, device: &Device) -> Result<Geometry, TextError> {
    let mut texts: Vec<&str> = pairs.sentences().collect();
    texts.sort_unstable();
    texts.dedup();
    let close: Vec<&[String; 2]> =
        pairs.pairs.iter().zip(&pairs.gold).filter(|(_, gold)| **gold > above).map(|(pair, _)| pair).collect();
    let side = |at: usize| -> Result<Tensor<2>, TextError> {
        let texts: Vec<&str> = close.iter().map(|pair| pair[at].as_str()).collect();
        Ok(unit_tensor(&model.embed(&texts)?, device))
    };
    let alignment = alignment(&side(0)?, &side(1)?)?;
    let uniformity = uniformity(&unit_tensor(&model.embed(&texts)?, device), 2.0)?;
    Ok(Geometry { alignment, uniformity })
}

/// Rows of unit length; a row without length stays.
pub fn unit_tensor(rows: &Array2<f32>, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = rows
        .rows()
        .into_iter()
        .flat_map(|row| {
            let length = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt().max(1e-12);
            row.iter().map(|x| (f64::from(*x) / length) as f32).collect::<Vec<_>>()
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [rows.nrows(), rows.ncols()]), device)
}

/// `|corr(cosine, difference of the numbers of words)|` over random pairs of different texts: how much a model looks at length.
///
/// # Errors
/// When a text cannot be encoded, there are fewer than two, or cosines or differences are all equal.
pub fn length_bias(model: &impl Embed, texts: &[&str], pairs: usize, seed: u64) -> Result<f64, TextError> {
    contrastive_train::Check::new("length bias").that(texts.len() > 1, "texts", texts.len(), "2 or more")?;
    let rows = model.embed(texts)?;
    let lengths: Vec<f64> = texts.iter().map(|text| split_words(text).len() as f64).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pair = |_| {
        let i = rng.random_range(0..texts.len());
        (i, (i + 1 + rng.random_range(0..texts.len() - 1)) % texts.len())
    };
    let pairs: Vec<(usize, usize)> = (0..pairs).map(pair).collect();
    let first: Vec<usize> = pairs.iter().map(|pair| pair.0).collect();
    let second: Vec<usize> = pairs.iter().map(|pair| pair.1).collect();
    let select = |places: &[usize]| rows.select(ndarray::Axis(0), places);
    let cosines = cosines(&select(&first), &select(&second));
    let differences: Vec<f64> = pairs.iter().map(|(i, j)| (lengths[*i] - lengths[*j]).abs()).collect();
    Ok(pearson(&cosines, &differences)?.abs())
}

/// How a transfer task is scored.
#[derive(Clone, Debug)]
pub struct Probing {
    /// The classifier and its choice of C.
    pub probe: LinearProbe,
    /// Folds where a task has no parts.
    pub folds: usize,
    /// Seed of the folds.
    pub seed: u64,
}

impl Default for Probing {
    /// A logistic regression with C = 1 on standardised columns; ten folds, as in SentEval, which chooses C within each.
    fn default() -> Self {
        Self { probe: LinearProbe::new().with_scaling(Scaling::Standardise), folds: 10, seed: 0 }
    }
}

/// The accuracy of a logistic regression on frozen embeddings: on the test part, or the mean over folds where there is none.
///
/// # Errors
/// When a text cannot be encoded, or a part has one class alone.
pub fn transfer(model: &impl Embed, task: &Transfer, probing: &Probing) -> Result<f64, TextError> {
    let embedded = |part: &Labelled| model.embed(&part.texts.iter().map(String::as_str).collect::<Vec<_>>());
    let classes = task.classes.len();
    let train = embedded(&task.train)?;
    let targets = Targets::single(&task.train.labels, classes);
    if let Some(part) = &task.test {
        let test = embedded(part)?;
        let run = |x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>| {
            probing.probe.run_between((x, targets), (y, Targets::single(&part.labels, classes)))
        };
        return Ok(run(train.view(), test.view())?.accuracy().mean);
    }
    let (n, folds) = (task.train.texts.len(), probing.folds);
    let check = contrastive_train::Check::new("transfer");
    check.that((2..=n).contains(&folds), "folds", folds, format!("2 to the {n} texts"))?;
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(probing.seed));
    let split = |fold: usize| {
        let range = fold * n / folds..(fold + 1) * n / folds;
        let (test, rest) = (order[range.clone()].to_vec(), [&order[..range.start], &order[range.end..]].concat());
        Split::new(n, rest, Vec::new(), test)
    };
    let splits = (0..folds).map(split).collect::<Result<Vec<_>, _>>()?;
    Ok(probing.probe.run(train.view(), targets, &splits)?.accuracy().mean)
}
