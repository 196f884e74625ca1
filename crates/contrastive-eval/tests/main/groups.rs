//! Mixtures of two normals, weighted regressions, silhouettes row by row, outlier scores, precision at k.

use crate::common::{Random, all_close, close, golden, integers, matrix, numbers, same_on_all_threads};
use contrastive_eval::EvalError;
use contrastive_eval::clustering::{Distance, silhouette, silhouettes};
use contrastive_eval::mixture::GaussianMixture;
use contrastive_eval::ndarray::{Array2, Axis, concatenate};
use contrastive_eval::outliers::{density, spectral, two_means};
use contrastive_eval::probe::{ClassWeights, Link, LogisticRegression, Targets};
use contrastive_eval::scores::{precision_at, roc_auc};

#[test]
fn golden_gaussian_mixture() {
    for case in golden::<f64>("gaussian_mixture") {
        let (params, expected) = (&case["params"], &case["expected"]);
        let x = numbers::<f64>(&case["inputs"]["x"]);
        let number = |name: &str| params[name].as_f64().unwrap();
        let mixture = GaussianMixture::new()
            .with_steps(params["max_iter"].as_u64().unwrap() as usize)
            .with_tolerance(number("tol"))
            .with_floor(number("reg_covar"))
            .fit(&x)
            .unwrap();
        all_close("weights", &mixture.weights, &numbers(&expected["weights"]), 1e-8);
        all_close("means", &mixture.means, &numbers(&expected["means"]), 1e-8);
        all_close("variances", &mixture.variances, &numbers(&expected["variances"]), 1e-8);
        all_close("posterior", &mixture.high(&x), &numbers(&expected["posterior_of_second"]), 1e-8);
        let likelihood = expected["mean_log_likelihood"].as_f64().unwrap();
        close("likelihood", mixture.mean_log_likelihood(&x), likelihood, 1e-8);
        assert_eq!(mixture.steps() as u64, expected["steps_taken"].as_u64().unwrap(), "{}", case["name"]);
    }
}

/// Lsa.md, check 2: two separated normals within 2 %, components in the order of their means, a likelihood that does not fall, and equal
/// numbers that are all in the low group.
#[test]
fn a_mixture_finds_two_normals() {
    let mut random = Random::new(4);
    let x: Vec<f64> =
        (0..4000).map(|i| if i % 4 == 0 { 5.0 + 0.5 * random.normal() } else { 1.0 + 0.3 * random.normal() }).collect();
    let mixture = GaussianMixture::new().with_steps(50).with_tolerance(0.0).fit(&x).unwrap();
    for (got, want) in mixture.means.iter().zip([1.0, 5.0]) {
        assert!((got / want - 1.0).abs() < 0.02, "{mixture:?}");
    }
    close("share", mixture.weights[1], 0.25, 0.01);
    assert!(mixture.log_likelihoods.windows(2).all(|pair| pair[1] >= pair[0] - 1e-6));
    // numbers within 0 to 1: two means start where variances of 1 see one group
    let small: Vec<f64> = x.iter().map(|x| x / 100.0).collect();
    let few = GaussianMixture::new().with_steps(10).with_tolerance(1e-2);
    let high = few.with_two_means().fit(&small).unwrap().high(&small);
    let agree = high.iter().zip(&x).filter(|(high, x)| (**high > 0.5) == (**x > 3.0)).count();
    assert!(agree > 3990 && few.fit(&small).unwrap().high(&small).iter().all(|high| (high - 0.5).abs() < 0.2));
    let flipped: Vec<f64> = x.iter().map(|x| -x).collect();
    let mirrored = GaussianMixture::new().with_steps(50).with_tolerance(0.0).fit(&flipped).unwrap();
    close("mirrored", mirrored.means[0], -mixture.means[1], 1e-9);
    let (low, high) = (mixture.low(&x), mixture.high(&x));
    assert!(low.iter().zip(&high).all(|(low, high)| (low + high - 1.0).abs() < 1e-12));

    let equal = GaussianMixture::new().fit(&[0.3; 7]).unwrap();
    assert_eq!((equal.high(&[0.3, 9.0]), equal.low(&[0.3])), (vec![0.0; 2], vec![1.0]));
    assert!(equal.variances.iter().chain(&equal.means).all(|value| value.is_finite()));
    // values far out lose no digits to an overflow
    let far = GaussianMixture::new().fit(&[1e50, 1e50, -1e50]).unwrap();
    assert!(far.high(&[1e50])[0] > 0.5);

    let says = |mixture: GaussianMixture, x: &[f64], words: &str| {
        let error = mixture.fit(x).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    says(GaussianMixture::new(), &[1.0], "2 numbers are asked for, and there are 1");
    says(GaussianMixture::new(), &[1.0, f64::NAN], "row 1 of the numbers holds NaN");
    says(GaussianMixture::new().with_steps(0), &[1.0, 2.0], "steps is 0");
    says(GaussianMixture::new().with_floor(0.0), &[1.0, 2.0], "floor is 0");
    says(GaussianMixture::new().with_tolerance(-1.0), &[1.0, 2.0], "tolerance is -1");
}

#[test]
fn golden_logistic_weighted() {
    for case in golden::<f64>("logistic_weighted") {
        let (inputs, params, expected) = (&case["inputs"], &case["params"], &case["expected"]);
        let (x, x_test) = (matrix::<f64>(&inputs["x_train"]), matrix::<f64>(&inputs["x_test"]));
        let y = integers(&inputs["y_train"]);
        let weights: Vec<f64> =
            params["class_weights"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).collect();
        let classes = weights.len();
        let regression = params["C"].as_f64().map_or_else(LogisticRegression::without_penalty, LogisticRegression::new);
        // one vector of weights for two classes: a binary problem for each of them
        let link = if classes == 2 { Link::Sigmoid } else { Link::Softmax };
        let balanced = case["name"].as_str().unwrap().starts_with("balanced");
        let weights = if balanced { ClassWeights::Balanced } else { ClassWeights::Given(weights) };
        let regression = regression.with_link(link).with_class_weights(weights);
        let model = regression.fit(x.view(), Targets::single(&y, classes)).unwrap();
        assert!(model.converged());
        let want = matrix::<f64>(&expected["weights"]);
        let skip = usize::from(classes == 2);
        all_close("weights", model.weights().rows().into_iter().skip(skip).flatten(), &want, 1e-4);
        all_close("intercept", model.intercept().iter().skip(skip), &numbers(&expected["intercept"]), 1e-4);
        all_close(
            "probabilities",
            &model.probabilities(x_test.view()).unwrap(),
            &matrix(&expected["probabilities"]),
            1e-4,
        );
        assert_eq!(model.predict(x_test.view()).unwrap(), integers(&expected["prediction"]));
    }
}

/// Lsa.md, check 3: separable rows end without overflow, balanced weights are those written out, and weights are a matter of rows: a class
/// of weight 2 is one whose rows are there twice.
#[test]
fn weights_of_classes_are_repeated_rows() {
    let (x, y) = Random::new(3).blobs::<f64>(60, 3, 2, 0.8);
    let twice: Vec<usize> = (0..60).chain((0..60).filter(|row| y[*row] == 1)).collect();
    let labels: Vec<u32> = twice.iter().map(|row| y[*row]).collect();
    let fit = |weights: ClassWeights, x: &Array2<f64>, y: &[u32]| {
        let regression = LogisticRegression::new(0.7).with_class_weights(weights);
        regression.fit(x.view(), Targets::single(y, 2)).unwrap()
    };
    let weighted = fit(ClassWeights::Given(vec![1.0, 2.0]), &x, &y);
    let repeated = fit(ClassWeights::Equal, &x.select(Axis(0), &twice), &labels);
    all_close("weights", weighted.weights(), repeated.weights(), 1e-6);
    let counts = [0, 1].map(|class| labels.iter().filter(|label| **label == class).count() as f64);
    let written = counts.map(|count| labels.len() as f64 / (2.0 * count)).to_vec();
    let x2 = x.select(Axis(0), &twice);
    let [balanced, given] = [ClassWeights::Balanced, ClassWeights::Given(written)].map(|w| fit(w, &x2, &labels));
    all_close("balanced", balanced.weights(), given.weights(), 1e-12);

    let apart =
        Array2::from_shape_fn((40, 2), |(row, column)| if row < 20 { -1.0 } else { 1.0 } * (1.0 + column as f64));
    let sides: Vec<u32> = (0..40).map(|row| u32::from(row >= 20)).collect();
    let free = LogisticRegression::without_penalty().with_max_iterations(1000);
    let model = free.fit(apart.view(), Targets::single(&sides, 2)).unwrap();
    assert!(model.weights().iter().all(|weight| weight.is_finite()));
    assert_eq!(model.predict(apart.view()).unwrap(), sides);

    let says = |weights: ClassWeights, words: &str| {
        let regression = LogisticRegression::new(1.0).with_class_weights(weights);
        let error = regression.fit(x.view(), Targets::single(&y, 2)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    says(ClassWeights::Given(vec![1.0]), "there are 1 weights, and 2 classes");
    says(ClassWeights::Given(vec![1.0, 0.0]), "weight of a class is 0");
    let sets = contrastive_eval::ranking::ItemSets::new(&[0, 1, 3], &[0, 0, 1]).unwrap();
    let multi = LogisticRegression::new(1.0).with_link(Link::Sigmoid).with_class_weights(ClassWeights::Balanced);
    let error = multi.fit(x.select(Axis(0), &[0, 1]).view(), Targets::multi(sets, 2)).unwrap_err();
    assert_eq!(error, EvalError::WeightsOfSets);
}

#[test]
fn golden_silhouette() {
    for case in golden::<f64>("silhouette") {
        let (x, labels) = (matrix::<f64>(&case["inputs"]["x"]), integers(&case["inputs"]["labels"]));
        let distance = match case["params"]["distance"].as_str().unwrap() {
            "euclidean" => Distance::Euclidean,
            "cosine" => Distance::Cosine,
            "manhattan" => Distance::Manhattan,
            other => panic!("{other}"),
        };
        let each = silhouettes(x.view(), &labels, distance).unwrap();
        all_close("silhouettes", &each, &numbers(&case["expected"]["samples"]), 1e-10);
        let mean = case["expected"]["silhouette"].as_f64().unwrap();
        close("mean", each.iter().sum::<f64>() / each.len() as f64, mean, 1e-10);
        if distance == Distance::Euclidean {
            close("silhouette", silhouette(x.view(), &labels).unwrap(), mean, 1e-10);
        }
    }
}

/// Blto-audit.md, check 5: fifty equal rows among others.
#[test]
fn planted_rows_stand_out() {
    let mut random = Random::new(8);
    let plain = random.table::<f64>(950, 8);
    let planted = Array2::from_shape_fn((50, 8), |(_, column)| if column < 2 { 6.0 } else { 0.3 });
    let x = concatenate![Axis(0), plain, planted];
    let is_planted: Vec<bool> = (0..1000).map(|row| row >= 950).collect();
    let clusters: Vec<u32> = (0..1000).map(|row| row % 2).collect();
    let scores = same_on_all_threads(|| spectral(x.view(), &clusters).unwrap());
    // the scores of equal rows differ by their cluster alone
    assert!(precision_at(&is_planted, &scores, 50).unwrap() > 0.99);
    let near = same_on_all_threads(|| density(x.view(), 10).unwrap());
    close("density of equal rows", near[960], 1.0, 1e-9);
    assert!(roc_auc(&is_planted, &near).unwrap() > 0.999);
    let cut = same_on_all_threads(|| two_means(x.view(), &clusters, 1).unwrap());
    assert!(roc_auc(&is_planted, &cut).unwrap() > 0.999);
    // without anything planted, the main direction is that of the data, and scores are squares along it
    let line = Array2::from_shape_fn((5, 2), |(row, column)| if column == 0 { row as f64 } else { 1.0 });
    all_close("line", &spectral(line.view(), &[0; 5]).unwrap(), &[4.0, 1.0, 0.0, 1.0, 4.0], 1e-12);
    assert_eq!(spectral(Array2::<f64>::ones((4, 3)).view(), &[0, 0, 1, 1]).unwrap(), [0.0; 4]);
    assert_eq!(two_means(Array2::<f64>::ones((5, 3)).view(), &[0; 5], 1).unwrap(), [0.0; 5]);
}

#[test]
fn precision_counts_the_top_alone() {
    let positive = [true, false, true, false];
    let scores = [0.9, 0.8, 0.8, 0.1];
    assert_eq!([1, 2, 3, 4].map(|k| precision_at(&positive, &scores, k).unwrap()), [1.0, 0.5, 2.0 / 3.0, 0.5]);
    let says = |error: Result<f64, EvalError>, words: &str| {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    says(precision_at(&positive, &scores, 0), "k is 0");
    says(precision_at(&positive, &scores, 5), "5 rows are asked for, and there are 4");
    says(precision_at(&positive, &[0.0, f64::NAN, 0.0, 0.0], 1), "NaN");
    let x = Array2::<f64>::ones((4, 2));
    let none = |error: Result<Vec<f64>, EvalError>| error.map(|_| 0.0);
    says(none(density(x.view(), 4)), "4 neighbours are asked for, and there are 3");
    says(none(density(x.view(), 0)), "k is 0");
    says(none(spectral(x.view(), &[0, 1])), "there are 2 clusters, and 4 rows");
    says(none(two_means(x.view(), &[0, 1], 1)), "there are 2 clusters, and 4 rows");
}
