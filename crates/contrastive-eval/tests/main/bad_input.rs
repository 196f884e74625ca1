//! Everything a user can get wrong, and what is said about it.

use contrastive_eval::clustering::{KMeans, best_match, compare, davies_bouldin, silhouette};
use contrastive_eval::correlation::{kendall, pearson, spearman};
use contrastive_eval::links::{self, EdgeSplit, sample_negatives};
use contrastive_eval::ndarray::{Array2, array};
use contrastive_eval::neighbours::{Knn, nearest_centroids};
use contrastive_eval::probe::*;
use contrastive_eval::ranking::ItemSets;
use contrastive_eval::retrieval::Retrieval;
use contrastive_eval::scores::*;
use contrastive_eval::{EvalError, Similarity};

/// Rows of (result, words that its message must hold).
fn all_say(table: Vec<(Result<(), EvalError>, &str)>) {
    for (result, words) in table {
        let message = result.expect_err(words).to_string();
        assert!(message.contains(words), "{message:?} should say {words:?}");
    }
}

fn none<T>(result: Result<T, EvalError>) -> Result<(), EvalError> {
    result.map(|_| ())
}

fn x() -> Array2<f32> {
    array![[1.0, 0.0], [0.9, 0.2], [0.0, 1.0], [0.1, 0.8]]
}

fn nan() -> Array2<f32> {
    let mut x = x();
    x[[2, 1]] = f32::NAN;
    x
}

const LABELS: [u32; 4] = [0, 0, 1, 1];

#[test]
fn probes() {
    let run = |probe: LinearProbe, x: &Array2<f32>, labels: &[u32], classes, split: Result<Split, EvalError>| {
        none(split.and_then(|split| probe.run(x.view(), Targets::single(labels, classes), &[split])))
    };
    let fit = |classifier: LogisticRegression, x: &Array2<f32>, labels: &[u32], classes| {
        none(classifier.fit(x.view(), Targets::single(labels, classes)))
    };
    let (probe, regression) = (LinearProbe::new, || LogisticRegression::new(1.0));
    let good = || Split::new(4, vec![0, 2], vec![1], vec![3]);
    let (offsets, items) = (vec![0, 1, 1, 2, 4], vec![0, 1, 0, 1]);
    let sets = Targets::multi(ItemSets::new(&offsets, &items).unwrap(), 2);
    let sigmoid = || regression().with_link(Link::Sigmoid);
    let infinite = array![[1.0f64], [f64::INFINITY]];
    let huge = array![[1.0f64], [1e101]];
    let full = [vec![0usize, 1, 2, 3, 4], vec![0, 0, 0, 0]];
    let full_items: Vec<u32> = full[1].iter().map(|&i| i as u32).collect();
    all_say(vec![
        (run(probe(), &nan(), &LABELS, 2, good()), "row 2 of the embeddings holds NaN"),
        (none(regression().fit(infinite.view(), Targets::single(&[0, 1], 2))), "row 1 of the embeddings holds inf"),
        (none(regression().fit(huge.view(), Targets::single(&[0, 1], 2))), "at most 1e100"),
        (run(probe(), &Array2::zeros((0, 2)), &[], 2, good()), "the embeddings are empty"),
        (run(probe(), &Array2::zeros((4, 0)), &LABELS, 2, good()), "the embeddings are empty"),
        (run(probe(), &x(), &LABELS[..3], 2, good()), "there are 3 labels, and 4 rows"),
        (run(probe(), &x(), &[0, 0, 9, 1], 2, good()), "the label of row 2 of the labels is 9; there are 2 classes"),
        (
            run(probe(), &x(), &LABELS, 2, Split::new(5, vec![0, 2], vec![], vec![4])),
            "row 4 in the test rows is out of range",
        ),
        (run(probe(), &x(), &LABELS, 3, good()), "class 2 has no row among the training rows"),
        (run(probe(), &x(), &LABELS, 2, Split::new(4, vec![0, 1], vec![], vec![3])), "all of one class, 0"),
        (fit(regression(), &x(), &[1, 1, 1, 1], 2), "the training rows are all of one class, 1"),
        (fit(regression(), &x(), &[0, 0, 0, 2], 3), "class 1 has no row"),
        (fit(regression(), &x(), &[0, 5, 1, 1], 2), "the label of row 1"),
        (fit(regression().with_c(0.0), &x(), &LABELS, 2), "C is 0; it must be above 0"),
        (fit(regression().with_c(f64::NAN), &x(), &LABELS, 2), "C is NaN"),
        (fit(regression().with_tolerance(0.0), &x(), &LABELS, 2), "tolerance is 0"),
        (fit(regression().with_max_iterations(0), &x(), &LABELS, 2), "max_iterations is 0"),
        (none(regression().fit(x().view(), sets)), "sigmoid link"),
        (
            none(sigmoid().fit(x().view(), Targets::multi(ItemSets::new(&full[0], &full_items).unwrap(), 1))),
            "class 0 is that of every one",
        ),
        (
            none(sigmoid().fit(x().view(), Targets::multi(ItemSets::new(&offsets, &items).unwrap(), 1))),
            "is 1; there are 1 classes",
        ),
        (run(probe().with_validation(&[]), &x(), &LABELS, 2, good()), "the values of C are empty"),
        (run(probe().with_validation(&[1.0, -1.0]), &x(), &LABELS, 2, good()), "C is -1"),
        (
            run(probe().with_validation(&[1.0]), &x(), &LABELS, 2, Split::new(4, vec![0, 2], vec![], vec![3])),
            "1 validation rows to choose C by are asked for, and there are 0",
        ),
        (run(probe().with_cross_validation(&[1.0], 1), &x(), &LABELS, 2, good()), "folds is 1"),
        (
            run(probe().with_cross_validation(&[1.0], 3), &x(), &LABELS, 2, good()),
            "3 training rows, one for each fold,",
        ),
        (none(probe().run(x().view(), Targets::single(&LABELS, 2), &[])), "the splits are empty"),
        (none(Split::new(4, vec![0], vec![2], vec![2])), "row 2 is twice in the test rows"),
        (none(Split::new(4, vec![], vec![2], vec![3])), "the training rows are empty"),
        (none(Split::new(4, vec![1], vec![2], vec![])), "the test rows are empty"),
        (none(Split::from_masks(&[true], &[], &[false])), "there are 0 validation rows, and 1 training rows"),
        (none(Split::random(10, 0.01, 0.0, 0)), "the training rows are empty"),
        (none(Split::random(10, 0.6, 0.4, 0)), "train + validation is 1; it must be below 1"),
        (none(Split::random(10, f64::NAN, 0.4, 0)), "train is NaN"),
        (none(Split::random_of(vec![1, 1, 2, 3], 0.5, 0.0, 0)), "row 1 is twice"),
        (none(Split::per_class(&LABELS, 2, 3, 0, 1, 0)), "3 rows of each class are asked for, and there are 2"),
        (none(Split::per_class(&LABELS, 2, 1, 1, 2, 0)), "3 rows beside those to train on"),
        (none(Split::per_class(&LABELS, 2, 0, 1, 2, 0)), "per_class is 0"),
        (none(Ridge::new(-1.0).fit(x().view(), x().view())), "alpha is -1"),
        (
            none(Ridge::new(1e-30).fit(array![[1.0f64, 1.0], [2.0, 2.0]].view(), array![[1.0], [2.0]].view())),
            "larger for these",
        ),
        (none(Ridge::new(1.0).fit(x().view(), nan().view())), "row 2 of the targets holds NaN"),
        (none(Ridge::new(1.0).fit(x().view(), Array2::zeros((3, 1)).view())), "there are 3 targets, and 4 rows"),
    ]);
    let model = regression().fit(x().view(), Targets::single(&LABELS, 2)).unwrap();
    let wide = Array2::<f32>::zeros((1, 3));
    all_say(vec![
        (none(model.predict(wide.view())), "the embeddings have 3 columns and the weights 2"),
        (none(model.probabilities(nan().view())), "row 2"),
        (none(Ridge::new(1.0).fit(x().view(), x().view()).unwrap().predict(wide.view())), "3 columns"),
    ]);
}

#[test]
fn neighbours() {
    let knn = |knn: Knn, q: &Array2<f32>, bank: &Array2<f32>, labels: &[u32]| {
        none(knn.classify(q.view(), bank.view(), labels, 2))
    };
    let bank = x();
    let few = |from: &Array2<f32>, labels: &[u32], per_class| {
        none(nearest_centroids(bank.view(), &LABELS, from.view(), labels, 2, per_class, 1, 0))
    };
    all_say(vec![
        (knn(Knn::new(5), &bank, &bank, &LABELS), "5 neighbours are asked for, and there are 4"),
        (none(Knn::new(4).leave_one_out(bank.view(), &LABELS, 2)), "4 neighbours are asked for, and there are 3"),
        (
            none(Knn::new(1).leave_one_out(Array2::<f32>::zeros((0, 2)).view(), &[], 2)),
            "1 neighbours are asked for, and there are 0",
        ),
        (knn(Knn::new(0), &bank, &bank, &LABELS), "k is 0"),
        (knn(Knn::new(1).with_temperature(0.0), &bank, &bank, &LABELS), "temperature is 0"),
        (knn(Knn::new(1).with_temperature(f64::NAN), &bank, &bank, &LABELS), "temperature is NaN"),
        (knn(Knn::new(1), &nan(), &bank, &LABELS), "row 2 of the queries holds NaN"),
        (knn(Knn::new(1), &bank, &nan(), &LABELS), "row 2 of the bank holds NaN"),
        (knn(Knn::new(1), &bank, &Array2::zeros((4, 3)), &LABELS), "the queries have 2 columns and the bank 3"),
        (knn(Knn::new(1), &bank, &bank, &LABELS[1..]), "there are 3 labels, and 4 rows of the bank"),
        (knn(Knn::new(1), &bank, &bank, &[0, 0, 1, 2]), "the label of row 3 of the bank is 2"),
        (knn(Knn::new(1), &Array2::zeros((0, 2)), &bank, &LABELS), "the queries are empty"),
        (few(&bank, &LABELS, 3), "3 labelled rows of each class are asked for, and there are 2"),
        (few(&bank, &LABELS, 0), "per_class is 0"),
        (few(&bank, &[0, 0, 1, 7], 1), "row 3 of the bank is 7"),
        (few(&nan(), &LABELS, 1), "row 2 of the bank"),
    ]);
    let votes = Knn::new(1).classify(bank.view(), bank.view(), &LABELS, 2).unwrap();
    all_say(vec![
        (none(votes.score(&LABELS[1..])), "there are 4 predictions, and 3 labels"),
        (none(votes.score(&[0, 0, 3, 0])), "the label of row 2 of the labels is 3"),
    ]);
}

#[test]
fn clusters() {
    let k_means = |k_means: KMeans, x: &Array2<f32>| none(k_means.fit(x.view(), 0));
    all_say(vec![
        (k_means(KMeans::new(5), &x()), "5 clusters are asked for, and there are 4"),
        (k_means(KMeans::new(0), &x()), "clusters is 0"),
        (k_means(KMeans::new(2).with_restarts(0), &x()), "restarts is 0"),
        (k_means(KMeans::new(2).with_max_iterations(0), &x()), "max_iterations is 0"),
        (k_means(KMeans::new(2), &nan()), "row 2 of the embeddings holds NaN"),
        (k_means(KMeans::new(1), &Array2::zeros((0, 3))), "the embeddings are empty"),
        (none(KMeans::new(2).evaluate(x().view(), &LABELS[1..], &[0])), "there are 3 labels, and 4 rows"),
        (none(KMeans::new(2).evaluate(x().view(), &LABELS, &[])), "the seeds are empty"),
        (none(compare(&[], &[])), "the labels are empty"),
        (none(compare(&LABELS, &[0])), "there are 1 clusters, and 4 labels"),
        (none(best_match(&LABELS, &[0])), "there are 1 clusters"),
        (none(silhouette(x().view(), &[3, 3, 3, 3])), "the rows are all of one class, 3"),
        (none(silhouette(x().view(), &[0, 1])), "there are 2 clusters, and 4 rows"),
        (none(davies_bouldin(nan().view(), &LABELS)), "row 2"),
    ]);
}

#[test]
fn retrieval_and_links() {
    let retrieval = || Retrieval::new(Similarity::Cosine, &[1]).unwrap();
    let eye = Array2::<f32>::eye(2);
    let edges = [(0, 1), (1, 2), (2, 3)];
    let split = |nodes, edges: &[(u32, u32)], a, b| none(EdgeSplit::undirected(nodes, edges, a, b, 0));
    let link =
        |x: &Array2<f32>, a: &[(u32, u32)], b: &[(u32, u32)]| none(links::evaluate(x.view(), a, b, Similarity::Dot));
    let complete: Vec<(u32, u32)> = (0..4).flat_map(|a| (0..a).map(move |b| (a, b))).collect();
    let classifier = LogisticRegression::new(1.0);
    all_say(vec![
        (none(Retrieval::new(Similarity::Dot, &[])), "the cutoffs are empty"),
        (none(Retrieval::new(Similarity::Dot, &[3, 0])), "a cutoff is 0"),
        (none(retrieval().by_label(nan().view(), &LABELS)), "row 2 of the embeddings holds NaN"),
        (none(retrieval().by_label(x().view(), &[0, 1, 2, 3])), "no query has a relevant candidate"),
        (none(retrieval().by_label(x().view(), &LABELS[..1])), "there are 1 labels, and 4 rows"),
        (none(retrieval().by_label(Array2::<f32>::zeros((0, 2)).view(), &[])), "the embeddings are empty"),
        (none(retrieval().by_label_between(x().view(), &LABELS, Array2::zeros((1, 3)).view(), &[0])), "2 columns"),
        (none(retrieval().by_label_between(x().view(), &LABELS, eye.view(), &[7, 8])), "no query has"),
        (
            none(retrieval().by_sets(eye.view(), eye.view(), ItemSets::new(&[0, 1, 2], &[0, 2]).unwrap())),
            "the label of row 1 of the sets of relevant candidates is 2",
        ),
        (none(retrieval().by_sets(eye.view(), eye.view(), ItemSets::empty(2))), "no query has"),
        (none(retrieval().both_ways(eye.view(), x().view(), &[0, 0, 1, 2])), "the label of row 3 of the captions is 2"),
        (none(retrieval().both_ways(eye.view(), x().view(), &[0])), "there are 1 images of captions, and 4 captions"),
        (none(retrieval().both_ways_scores(nan().view(), &[0, 1])), "row 1 of the scores holds NaN"),
        (none(retrieval().both_ways_scores(Array2::<f32>::zeros((0, 2)).view(), &[0, 0])), "the images are empty"),
        (split(4, &edges, 0.5, 0.5), "validation + test is 1"),
        (split(4, &edges, -0.5, 0.5), "validation is -0.5"),
        (split(4, &[], 0.1, 0.1), "the edges are empty"),
        (split(4, &[(1, 1)], 0.1, 0.1), "the edges are empty"),
        (split(3, &edges, 0.1, 0.1), "row 3 in the edges is out of range; there are 3 rows"),
        (split(4, &complete, 0.0, 0.5), "3 pairs without an edge are asked for, and there are 0"),
        (none(sample_negatives(4, &edges, 4, false, 0)), "4 pairs without an edge are asked for, and there are 3"),
        (none(sample_negatives(0, &[], 1, false, 0)), "there are 0"),
        (link(&x(), &edges, &[]), "the pairs without an edge are empty"),
        (link(&x(), &[], &edges), "the edges are empty"),
        (link(&x(), &[(0, 4)], &edges), "row 4 in the edges"),
        (link(&nan(), &edges, &edges), "row 2 of the embeddings"),
        (none(links::evaluate_scores(&[f64::NAN], &[1.0])), "row 0 of the scores holds NaN"),
        (
            none(links::evaluate_hadamard(x().view(), [&edges, &[]], [&edges, &edges], &classifier)),
            "the pairs without an edge are empty",
        ),
    ]);
}

#[test]
fn scores_and_correlations() {
    let one = ItemSets::new(&[0, 1], &[2]).unwrap();
    all_say(vec![
        (none(Classification::single(&[], &[], 2)), "the labels are empty"),
        (none(Classification::single(&[0], &[0, 1], 2)), "there are 2 predictions, and 1 labels"),
        (none(Classification::single(&[0, 2], &[0, 1], 2)), "the label of row 1 of the labels is 2"),
        (none(Classification::single(&[0, 1], &[9, 1], 2)), "the label of row 0 of the predictions is 9"),
        (none(Classification::multi(one, ItemSets::empty(2), 3)), "there are 2 predictions, and 1 labels"),
        (none(Classification::multi(one, one, 2)), "the label of row 0 of the labels is 2"),
        (none(roc_auc(&[true, true], &[0.5, 0.1])), "all of one class, 1"),
        (none(roc_auc(&[false, false], &[0.5, 0.1])), "all of one class, 0"),
        (none(roc_auc::<f64>(&[], &[])), "the scores are empty"),
        (none(roc_auc(&[true, false], &[0.5, f64::NAN])), "row 1 of the scores holds NaN"),
        (none(average_precision(&[false], &[0.5])), "all of one class, 0"),
        (none(average_precision(&[false, true], &[0.5])), "there are 1 scores, and 2 labels"),
        (none(macro_average_precision(&[0, 3], array![[0.1, 0.2], [0.3, 0.4]].view())), "the label of row 1"),
        (none(pearson(&[1.0], &[2.0])), "2 pairs of numbers are asked for, and there are 1"),
        (none(spearman(&[1.0, 2.0], &[2.0])), "there are 1 second numbers, and 2 first numbers"),
        (none(kendall(&[1.0, 2.0], &[2.0, 2.0])), "the second numbers are all equal"),
        (none(pearson(&[0.0, -0.0], &[2.0, 1.0])), "the first numbers are all equal"),
        (none(pearson(&[1.0, f64::NAN], &[2.0, 1.0])), "row 1 of the first numbers holds NaN"),
    ]);
}
