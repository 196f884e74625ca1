//! SepCLR: what two kinds of samples share, and what only one of them has.

use super::{Alignment, JointEntropy, Uniformity};
use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::host::{numbers, to_f64};
use crate::objective::zero_or_nan;
use crate::similarity::{Similarity, unit_rows};
use burn::tensor::{Int, Tensor, TensorData};

/// SepCLR (Louiset et al. 2024): of samples of two kinds, background (0) and target (1), a common vector c on the sphere and a salient
/// vector s, which is 0 for backgrounds. With `k(a, b) = e^{-|a - b|^2 / (2 tau)}`, `align(x, y) = mean_i |x_i - y_i|^2 / (2 tau)`,
/// `unif(x) = log mean_{i < j} k(x_i, x_j)`, two views v, and t_v = s_v for targets, 0 for backgrounds:
///
/// ```text
/// common      align(c_1, c_2) + unif(c_1) + unif(c_2)
/// salient     align(s_1, s_2 | targets) + unif(t_1) + unif(t_2)
/// background  1/2 [align(0, s_1 | backgrounds) + align(0, s_2 | backgrounds)]
/// joint       1/2 [jem(c_1, t_1) + jem(c_2, t_2)]                              (JointEntropy)
/// loss        common + w_s salient + w_b background + w_j joint
/// ```
///
/// For each view the two uniformities and the joint entropy come of one pass over the pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct SepClr {
    tau: f64,
    weights: [f64; 3],
    joint: JointEntropy,
}

/// The terms of [`SepClr`], `[1]` each, without their weights.
#[derive(Clone, Debug)]
pub struct SepClrTerms {
    /// What holds for the common vectors of all samples.
    pub common: Tensor<1>,
    /// What holds for the salient vectors of the targets; 0 without targets.
    pub salient: Tensor<1>,
    /// What pulls the salient vectors of backgrounds to 0; 0 without backgrounds, and in the form with attributes, where it is within
    /// `salient`.
    pub background: Tensor<1>,
    /// Minus the joint entropy.
    pub joint: Tensor<1>,
    /// What the batch lacks.
    pub warning: Option<&'static str>,
}

/// A known attribute of all samples, for the form with one salient coordinate an attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its value for each sample; those of backgrounds are not looked at.
    pub values: Vec<f64>,
    /// Pairs of targets weigh `e^{-(y_i - y_j)^2 / (2 width)}` (paper: 0.025 for one of 0 to 1, 5e-6 for a discrete one).
    pub width: f64,
}

/// The backgrounds' pull to 0 in the form with attributes has this variance.
const ATTRIBUTE_TAU: f64 = 0.025;

impl SepClr {
    /// With this variance of the kernel (paper: 0.5) and these weights of the salient, the background and the joint term (paper: 1000, 1000,
    /// 10 for batches of 512; 10, 10, 10 for small ones).
    ///
    /// # Errors
    /// When the variance is not a finite number above 0, or a weight is negative, infinite or NaN.
    pub fn new(tau: f64, [salient, background, joint]: [f64; 3]) -> Result<Self, ObjectiveError> {
        let weights = [
            not_negative("weight of the salient term", salient)?,
            not_negative("weight of the background term", background)?,
            not_negative("weight of the joint entropy", joint)?,
        ];
        Ok(Self { tau, weights, joint: JointEntropy::new(tau)? })
    }

    /// The weights of the salient, the background and the joint term.
    pub fn weights(&self) -> [f64; 3] {
        self.weights
    }

    /// The weighted sum of the [`terms`](Self::terms), `[1]`.
    ///
    /// # Errors
    /// As [`terms`](Self::terms).
    ///
    /// # Panics
    /// As [`terms`](Self::terms).
    pub fn loss(
        &self,
        common: [Tensor<2>; 2],
        salient: [Tensor<2>; 2],
        kinds: &[i64],
    ) -> Result<Tensor<1>, ObjectiveError> {
        let terms = self.terms(common, salient, kinds)?;
        let [s, b, j] = self.weights;
        Ok(terms.common + terms.salient * s + terms.background * b + terms.joint * j)
    }

    /// Common vectors `[n, d_c]` and salient vectors `[n, d_s]` of two views, and the kind of each sample, 0 background and 1 target.
    ///
    /// # Errors
    /// When a kind is neither 0 nor 1, or a salient vector is NaN or infinite (nothing bounds its length).
    ///
    /// # Panics
    /// When the shapes do not fit, or there are fewer than two rows.
    pub fn terms(
        &self,
        common: [Tensor<2>; 2],
        salient: [Tensor<2>; 2],
        kinds: &[i64],
    ) -> Result<SepClrTerms, ObjectiveError> {
        let n = kinds.len();
        assert_eq!([common[0].dims()[0], salient[0].dims()[0]], [n, n], "the rows of both vectors and the kinds");
        salient.iter().try_for_each(finite)?;
        let [backgrounds, targets] = places(kinds)?;
        let common = common.map(unit_rows);
        let replaced = salient.clone().map(|s| without(&s, kinds));
        let half = 0.5 / self.tau;
        let flat = Alignment::new(2.0)?.with_similarity(Similarity::Dot);
        let mut of_c = flat.loss(common[0].clone(), common[1].clone()) * half;
        let mut of_t = nothing(&salient[0]);
        let mut joint = nothing(&salient[0]);
        for (c, t) in common.iter().zip(&replaced) {
            let sums = self.joint.sums(c, t);
            let [own_c, own_t] = sums.uniformity;
            let ([c_alone, c_joint], [t_alone, t_joint]) = (parts(sums.of_c), parts(sums.of_s));
            of_c = of_c + attach_gradients(own_c, [(c, c_alone)]);
            of_t = of_t + attach_gradients(own_t, [(t, t_alone)]);
            joint = joint + attach_gradients(sums.joint, [(c, c_joint), (t, t_joint)]) * 0.5;
        }
        let rows = |s: &Tensor<2>, which: &[i64]| {
            let index = Tensor::<1, Int>::from_data(TensorData::new(which.to_vec(), [which.len()]), &s.device());
            s.clone().select(0, index)
        };
        let salient_term = match targets.is_empty() {
            true => nothing(&salient[0]),
            false => of_t + flat.loss(rows(&salient[0], &targets), rows(&salient[1], &targets)) * half,
        };
        let background = match backgrounds.is_empty() {
            true => nothing(&salient[0]),
            false => {
                let pull = |s: &Tensor<2>| {
                    let s = rows(s, &backgrounds);
                    flat.loss(s.clone(), s.detach().zeros_like()) * (0.5 * half)
                };
                pull(&salient[0]) + pull(&salient[1])
            }
        };
        let warning = lacking(&backgrounds, &targets);
        Ok(SepClrTerms { common: of_c, salient: salient_term, background, joint, warning })
    }

    /// The form with known attributes (section 4.4 and the released code for dSprites), one salient coordinate for each; its terms, without
    /// their weights. Common vectors `[n, d_c]` of the sample and of one distorted view; salient vectors `[n, L]` of the sample alone.
    ///
    /// ```text
    /// common   align(c_1, c_2) + 1/2 [unif(c_1) + unif(c_2)]
    /// salient  mean over attributes l of  unif(t_l)
    ///            + 1/2 [mean_{i < j, targets} e^{-(y_i - y_j)^2 / (2 width_l)} (s_il - s_jl)^2 + mean_backgrounds s_l^2 / 0.05]
    /// joint    jem(c_1, t)
    /// ```
    ///
    /// # Errors
    /// As [`terms`](Self::terms), and when an attribute's width is not a finite number above 0 or a target's value of it is not finite.
    ///
    /// # Panics
    /// When the shapes do not fit: one column and one value a sample for each attribute.
    pub fn attribute_terms(
        &self,
        common: [Tensor<2>; 2],
        salient: Tensor<2>,
        kinds: &[i64],
        attributes: &[Attribute],
    ) -> Result<SepClrTerms, ObjectiveError> {
        let [n, columns] = salient.dims();
        assert_eq!([n, columns], [kinds.len(), attributes.len()], "salient vectors, and [kinds, attributes]");
        finite(&salient)?;
        let [backgrounds, targets] = places(kinds)?;
        let half = 0.5 / self.tau;
        let common = common.map(unit_rows);
        let flat = Alignment::new(2.0)?.with_similarity(Similarity::Dot);
        let even = Uniformity::new(half)?.with_similarity(Similarity::Dot);
        let replaced = without(&salient, kinds);
        let sums = self.joint.sums(&common[0], &replaced);
        let ([c_alone, c_joint], [_, t_joint]) = (parts(sums.of_c), parts(sums.of_s));
        let [own_c, _] = sums.uniformity;
        let first = attach_gradients(own_c, [(&common[0], c_alone)]);
        let of_c =
            flat.loss(common[0].clone(), common[1].clone()) * half + (first + even.loss(common[1].clone())) * 0.5;
        let joint = attach_gradients(sums.joint, [(&common[0], c_joint), (&replaced, t_joint)]);
        let mut of_t = nothing(&salient);
        for (l, attribute) in attributes.iter().enumerate() {
            assert_eq!(attribute.values.len(), n, "values of attribute {l} and samples");
            let width = positive("width of an attribute", attribute.width)?;
            let column = salient.clone().slice([0..n, l..l + 1]);
            if targets.is_empty() {
                continue;
            }
            of_t = of_t + even.loss(replaced.clone().slice([0..n, l..l + 1]));
            of_t = of_t + alike(&column, attribute, width, &targets)? * 0.5;
            if !backgrounds.is_empty() {
                let share: Vec<f64> = kinds.iter().map(|kind| 1.0 - *kind as f64).collect();
                let share =
                    numbers(&share, &column).reshape([n, 1]) * (0.5 / (ATTRIBUTE_TAU * backgrounds.len() as f64));
                of_t = of_t + (column.clone() * column * beside(share, &salient)).sum() * 0.5;
            }
        }
        let warning = lacking(&backgrounds, &targets);
        let salient_term = of_t * (1.0 / columns as f64);
        Ok(SepClrTerms { common: of_c, salient: salient_term, background: nothing(&salient), joint, warning })
    }
}

/// `mean_{i < j} e^{-(y_i - y_j)^2 / (2 width)} (s_i - s_j)^2` of targets: with symmetric weights w of the pairs it is
/// `2 [sum_i s_i^2 sum_j w_ij - s^T w s] / (m (m - 1))`.
fn alike(column: &Tensor<2>, attribute: &Attribute, width: f64, targets: &[i64]) -> Result<Tensor<1>, ObjectiveError> {
    let (n, m) = (column.dims()[0], targets.len());
    if m < 2 {
        return Ok(nothing(column));
    }
    let values: Vec<f64> = targets.iter().map(|i| attribute.values[*i as usize]).collect();
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return Err(ObjectiveError::Outside { name: "an attribute", value: *value, allowed: "the finite numbers" });
    }
    let pairs = 1.0 / (m * (m - 1)) as f64;
    let mut weights = vec![0.0; n * n];
    let mut sums = vec![0.0; n];
    for (a, &i) in targets.iter().enumerate() {
        for (b, &j) in targets.iter().enumerate().filter(|(b, _)| *b != a) {
            let weight = (-(values[a] - values[b]).powi(2) / (2.0 * width)).exp() * pairs;
            weights[i as usize * n + j as usize] = weight;
            sums[i as usize] += weight;
        }
    }
    let on = (column.device().inner(), column.dtype());
    let constant = |values: Vec<f64>, shape: [usize; 2]| {
        let data = TensorData::new(values, shape).convert_dtype(on.1);
        beside(Tensor::<2>::from_data(data, (&on.0, on.1)), column)
    };
    let (weights, sums) = (constant(weights, [n, n]), constant(sums, [n, 1]));
    Ok(((column.clone() * sums - weights.matmul(column.clone())) * column.clone()).sum() * 2.0)
}

/// `[1]`: 0, on the device and in the type of x, without a gradient.
fn nothing(x: &Tensor<2>) -> Tensor<1> {
    beside(Tensor::<1>::zeros([1], (&x.device().inner(), x.dtype())), x)
}

/// A constant where `x` is.
fn beside<const D: usize>(constant: Tensor<D>, x: &Tensor<2>) -> Tensor<D> {
    match (constant.is_autodiff(), x.is_autodiff()) {
        (false, true) => Tensor::from_inner(constant),
        _ => constant,
    }
}

fn parts(gradients: Option<[Tensor<2>; 2]>) -> [Option<Tensor<2>>; 2] {
    gradients.map_or([None, None], |[alone, joint]| [Some(alone), Some(joint)])
}

/// The salient vectors with those of backgrounds replaced by 0, which have no gradient here.
fn without(s: &Tensor<2>, kinds: &[i64]) -> Tensor<2> {
    let mask: Vec<f64> = kinds.iter().map(|kind| *kind as f64).collect();
    s.clone() * numbers(&mask, s).reshape([kinds.len(), 1])
}

/// The places of backgrounds and of targets.
fn places(kinds: &[i64]) -> Result<[Vec<i64>; 2], ObjectiveError> {
    if let Some(kind) = kinds.iter().find(|kind| !(0..=1).contains(*kind)) {
        let (name, allowed) = ("kind of a sample", "{0 (background), 1 (target)}");
        return Err(ObjectiveError::Outside { name, value: *kind as f64, allowed });
    }
    let of = |wanted: i64| (0..kinds.len() as i64).filter(|i| kinds[*i as usize] == wanted).collect();
    Ok([of(0), of(1)])
}

fn finite(s: &Tensor<2>) -> Result<(), ObjectiveError> {
    match to_f64(zero_or_nan(s))[0] == 0.0 {
        true => Ok(()),
        false => {
            let name = "a salient vector";
            Err(ObjectiveError::Outside { name, value: f64::NAN, allowed: "the finite numbers" })
        }
    }
}

fn lacking(backgrounds: &[i64], targets: &[i64]) -> Option<&'static str> {
    match (backgrounds.is_empty(), targets.is_empty()) {
        (_, true) => Some("a batch without targets: the salient term is 0"),
        (true, _) => Some("a batch without backgrounds: the background term is 0"),
        _ => None,
    }
}
