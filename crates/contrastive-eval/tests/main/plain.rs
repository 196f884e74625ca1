//! Against plain implementations of the definitions, on random input.

use crate::common::{Random, close, same_on_all_threads};
use contrastive_eval::Similarity;
use contrastive_eval::correlation::{kendall, pearson, spearman};
use contrastive_eval::ndarray::{Array2, ArrayView1, ArrayView2, array};
use contrastive_eval::neighbours::{Knn, nearest_centroids};
use contrastive_eval::ranking::{ItemSets, Score};
use contrastive_eval::retrieval::Retrieval;
use contrastive_eval::scores::{Classification, average_precision, macro_average_precision, roc_auc};
use contrastive_kernels::Real;

const SIMILARITIES: [Similarity; 3] = [Similarity::Cosine, Similarity::Dot, Similarity::Euclidean];

fn similarity<T: Real>(kind: Similarity, a: ArrayView1<'_, T>, b: ArrayView1<'_, T>) -> f64 {
    let (a, b) = (a.mapv(|v| v.f64()), b.mapv(|v| v.f64()));
    match kind {
        Similarity::Dot => a.dot(&b),
        Similarity::Cosine => a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt(),
        Similarity::Euclidean => -(&a - &b).mapv(|v| v * v).sum(),
    }
}

/// Candidates without `own`, best first.
fn ranking<T: Real>(
    kind: Similarity,
    query: ArrayView1<'_, T>,
    x: ArrayView2<'_, T>,
    own: Option<usize>,
) -> Vec<usize> {
    let scores: Vec<f64> = x.rows().into_iter().map(|row| similarity(kind, query, row)).collect();
    let mut order: Vec<usize> = (0..x.nrows()).filter(|&j| Some(j) != own).collect();
    order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap());
    order
}

fn knn<T: Score>(seed: u64) {
    let mut random = Random::new(seed);
    let (n, m, width, classes) = (1 + random.below(40), 2 + random.below(150), 1 + random.below(9), 5);
    let (queries, bank) = (random.table::<T>(n, width), random.table::<T>(m, width));
    let labels = random.labels(m, classes);
    let k = 1 + random.below(m - 1);
    for kind in SIMILARITIES {
        let vote = |order: Vec<usize>, query: ArrayView1<'_, T>, weigh: &dyn Fn(f64) -> f64| {
            let mut votes = vec![0.0; classes];
            for &j in order.iter().take(k) {
                votes[labels[j] as usize] += weigh(similarity(kind, query, bank.row(j)));
            }
            let total: f64 = votes.iter().sum();
            votes.into_iter().map(|v| v / total).collect::<Vec<f64>>()
        };
        let weighted = Knn::new(k).with_similarity(kind).with_temperature(0.5);
        let equal = weighted.clone().with_equal_votes();
        let weigh: [&dyn Fn(f64) -> f64; 2] = [&|s| (s / 0.5).exp(), &|_| 1.0];
        for (knn, weigh) in [weighted, equal].into_iter().zip(weigh) {
            let votes = knn.classify(queries.view(), bank.view(), &labels, classes).unwrap();
            let tolerance = if size_of::<T>() == 8 { 1e-9 } else { 1e-5 };
            for (i, query) in queries.rows().into_iter().enumerate() {
                let want = vote(ranking(kind, query, bank.view(), None), query, weigh);
                votes.shares().row(i).iter().zip(&want).for_each(|(g, w)| close("share", *g, *w, tolerance));
            }
            let votes = knn.leave_one_out(bank.view(), &labels, classes).unwrap();
            for (i, row) in bank.rows().into_iter().enumerate() {
                let want = vote(ranking(kind, row, bank.view(), Some(i)), row, weigh);
                votes.shares().row(i).iter().zip(&want).for_each(|(g, w)| close("own share", *g, *w, tolerance));
            }
        }
    }
}

#[test]
fn knn_is_the_plain_one() {
    (0..12).for_each(knn::<f64>);
    (0..12).for_each(knn::<f32>);
}

#[test]
fn knn_stays_finite_where_exponentials_would_not() {
    let bank = array![[1e30f32, 0.0], [0.0, 1e30], [0.0, 0.0]];
    let labels = [0, 1, 1];
    for kind in SIMILARITIES {
        let knn = Knn::new(3).with_similarity(kind).with_temperature(1e-9);
        let votes = knn.classify(bank.view(), bank.view(), &labels, 2).unwrap();
        assert!(votes.shares().iter().all(|share| (0.0..=1.0).contains(share)), "{kind:?} {votes:?}");
        assert_eq!(votes.predictions()[..2], [0, 1]);
        assert!(votes.log_totals().iter().all(|total| !total.is_nan()));
    }
    // scores that overflow the type of the embeddings
    let votes = Knn::new(2).with_temperature(1e-3).classify(bank.view(), bank.view(), &labels, 2).unwrap();
    assert_eq!(votes.shares().row(0)[0], 1.0);
}

#[test]
fn nearest_centroids_of_all_rows_is_the_plain_rule() {
    let mut random = Random::new(3);
    let (x, labels) = random.blobs::<f32>(90, 6, 3, 0.8);
    let unit = |row: ArrayView1<'_, f64>| &row / row.dot(&row).sqrt();
    let rows = x.mapv(f64::from);
    let mut means = Array2::<f64>::zeros((3, 6));
    for (row, &label) in rows.rows().into_iter().zip(&labels) {
        let mut mean = means.row_mut(label as usize);
        mean += &unit(row);
    }
    let predict = |row: ArrayView1<'_, f64>| ranking(Similarity::Cosine, row, means.view(), None)[0] as u32;
    let hits = rows.rows().into_iter().zip(&labels).filter(|(row, label)| predict(*row) == **label).count();
    let run = |per_class| nearest_centroids(x.view(), &labels, x.view(), &labels, 3, per_class, 4, 9).unwrap();
    assert_eq!(run(30), vec![hits as f64 / 90.0; 4]);
    // few labels: draws differ, and come again
    assert_eq!(run(2), run(2));
    assert!(run(2).iter().any(|accuracy| *accuracy != run(2)[0]));
}

/// Retrieval metrics by the definitions, from full rankings.
fn plain_retrieval(rankings: &[(Vec<usize>, Vec<bool>)], k: usize) -> [f64; 5] {
    let mut sums = [0.0; 5];
    let mut count = 0.0;
    for (order, relevant) in rankings {
        let hits: Vec<bool> = order.iter().map(|&j| relevant[j]).collect();
        let total = hits.iter().filter(|&&hit| hit).count();
        if total == 0 {
            continue;
        }
        count += 1.0;
        let precision = |at: usize| hits[..=at].iter().filter(|&&hit| hit).count() as f64 / (at + 1) as f64;
        let average = |end: usize| (0..end).filter(|&at| hits[at]).map(precision).sum::<f64>() / total as f64;
        let first = hits.iter().position(|&hit| hit).unwrap();
        let values = [
            average(hits.len()),
            average(total),
            precision(total - 1),
            1.0 / (first + 1) as f64,
            f64::from(u8::from(first < k)),
        ];
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    sums.map(|sum| sum / count)
}

fn retrieval<T: Real>(seed: u64) {
    let mut random = Random::new(seed);
    let (n, m, width, k) = (2 + random.below(60), 2 + random.below(60), 2 + random.below(6), 1 + random.below(5));
    // half of the time on a grid, where many scores are equal and sums are exact
    let grid = seed.is_multiple_of(2);
    let mut table = |rows| random.table::<T>(rows, width).mapv(|v| if grid { v.round() } else { v });
    let (x, y) = (table(n), table(m));
    let (of_x, of_y) = (random.labels(n, 4), random.labels(m, 4));
    for kind in if grid { &SIMILARITIES[1..] } else { &SIMILARITIES[..] } {
        let protocol = Retrieval::new(*kind, &[k]).unwrap();
        let within: Vec<_> = (0..n)
            .map(|i| (ranking(*kind, x.row(i), x.view(), Some(i)), of_x.iter().map(|&l| l == of_x[i]).collect()))
            .collect();
        let between: Vec<_> = (0..n)
            .map(|i| {
                (ranking(*kind, x.row(i), y.view(), None), of_y.iter().map(|&l| l == of_x[i]).collect::<Vec<bool>>())
            })
            .collect();
        let mut offsets = vec![0];
        let mut items = Vec::new();
        for (_, relevant) in &between {
            items.extend((0..m as u32).filter(|&j| relevant[j as usize]));
            offsets.push(items.len());
        }
        let reports = [
            (protocol.by_label(x.view(), &of_x), plain_retrieval(&within, k)),
            (protocol.by_label_between(x.view(), &of_x, y.view(), &of_y), plain_retrieval(&between, k)),
            (
                protocol.by_sets(x.view(), y.view(), ItemSets::new(&offsets, &items).unwrap()),
                plain_retrieval(&between, k),
            ),
        ];
        for (report, want) in reports {
            let Ok(report) = report else {
                assert!(want[0].is_nan(), "{report:?}");
                continue;
            };
            let got = [report.map, report.map_at_r, report.r_precision, report.mrr, report.recall_at(k).unwrap()];
            got.iter().zip(want).for_each(|(g, w)| close(&format!("{kind:?}, seed {seed}"), *g, w, 1e-12));
        }
    }
}

#[test]
fn retrieval_is_the_plain_one() {
    (0..16).for_each(retrieval::<f64>);
    (0..16).for_each(retrieval::<f32>);
}

#[test]
fn retrieval_reports() {
    let x = array![[0.0f64], [1.0], [1.5], [10.0]];
    let report = Retrieval::new(Similarity::Euclidean, &[1, 2, 99]).unwrap().by_label(x.view(), &[0, 0, 1, 0]).unwrap();
    // ranks of the relevant: of row 0: 1, 3; of row 1: 2, 3; of row 3: 2, 3; row 2 is alone
    assert_eq!((report.queries, report.skipped, report.candidates), (3, 1, 3));
    assert_eq!((report.median_rank, report.mean_rank), (2.0, 5.0 / 3.0));
    assert_eq!([1, 2, 99, 5].map(|k| report.recall_at(k)), [Some(1.0 / 3.0), Some(1.0), Some(1.0), None]);
    let text = report.to_string();
    assert!(text.starts_with("R@1           0.3333\nR@2"), "{text}");
    assert!(text.ends_with("3 queries, 3 candidates; 1 queries with nothing to find left out"), "{text}");
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<contrastive_eval::retrieval::RetrievalReport>(&json).unwrap(), report);
}

#[test]
fn an_image_without_captions_is_left_out_of_one_direction() {
    let scores = array![[0.9f32, 0.1, 0.8], [0.5, 0.6, 0.4], [0.4, 0.7, 0.2]];
    let report = Retrieval::new(Similarity::Dot, &[1]).unwrap().both_ways_scores(scores.view(), &[0, 2, 0]).unwrap();
    assert_eq!((report.forward.queries, report.forward.skipped, report.backward.queries), (2, 1, 3));
    assert_eq!(report.mean_recall(), 1.0);
    assert!(report.to_string().contains("backward\nR@1           1.0000"));
}

#[test]
fn areas_are_the_plain_ones() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let n = 2 + random.below(60);
        let mut positive: Vec<bool> = (0..n).map(|_| random.below(3) == 0).collect();
        (positive[0], positive[1]) = (true, false);
        let scores: Vec<f64> = (0..n).map(|_| (random.normal() * 3.0).round()).collect();
        let half = |a: f64, b: f64| {
            if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            }
        };
        let of = |kind: bool| (0..n).filter(|&i| positive[i] == kind).map(|i| scores[i]).collect::<Vec<f64>>();
        let (above, below) = (of(true), of(false));
        let wins: f64 = above.iter().map(|&a| below.iter().map(|&b| half(a, b)).sum::<f64>()).sum();
        close("AUC", roc_auc(&positive, &scores).unwrap(), wins / (above.len() * below.len()) as f64, 1e-12);
        // every positive's precision among the rows that score at least as high
        let at_least = |list: &[f64], score: f64| list.iter().filter(|&&s| s >= score).count() as f64;
        let precision = |&score: &f64| at_least(&above, score) / at_least(&scores, score);
        let want = above.iter().map(precision).sum::<f64>() / above.len() as f64;
        close("AP", average_precision(&positive, &scores).unwrap(), want, 1e-12);
        // two complementary columns
        let labels: Vec<u32> = positive.iter().map(|&p| u32::from(p)).collect();
        let table = Array2::from_shape_fn((n, 3), |(i, class)| if class == 0 { -scores[i] } else { scores[i] });
        let inverse: Vec<f64> = scores.iter().map(|s| -s).collect();
        let negative: Vec<bool> = positive.iter().map(|p| !p).collect();
        let want = (want + average_precision(&negative, &inverse).unwrap()) / 2.0;
        close("macro AP", macro_average_precision(&labels, table.view()).unwrap(), want, 1e-12);
    }
}

#[test]
fn correlations_are_the_plain_ones() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let n = 2 + random.below(40);
        let grid = if seed % 2 == 0 { 1.0 } else { 1e6 };
        let mut list = || (0..n).map(|_| (random.normal() * grid).round()).collect::<Vec<f64>>();
        let (x, y) = (list(), list());
        let sign = |x: &[f64], i: usize, j: usize| (x[i] - x[j]).partial_cmp(&0.0).unwrap() as i32 as f64;
        let pairs = |a: &[f64], b: &[f64]| {
            (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| sign(a, i, j) * sign(b, i, j)).sum::<f64>()
        };
        let (varied_x, varied_y) = (pairs(&x, &x), pairs(&y, &y));
        if varied_x == 0.0 || varied_y == 0.0 {
            assert!(kendall(&x, &y).is_err());
            continue;
        }
        close("kendall", kendall(&x, &y).unwrap(), pairs(&x, &y) / (varied_x * varied_y).sqrt(), 1e-12);
        // ranks by counting, and covariances of them
        let ranks = |x: &[f64]| -> Vec<f64> {
            x.iter()
                .map(|v| {
                    x.iter()
                        .map(|w| {
                            if w < v {
                                1.0
                            } else if w == v {
                                0.5
                            } else {
                                0.0
                            }
                        })
                        .sum()
                })
                .collect()
        };
        let linear = |x: &[f64], y: &[f64]| {
            let mean = |x: &[f64]| x.iter().sum::<f64>() / n as f64;
            let product =
                |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(v, w)| (v - mean(a)) * (w - mean(b))).sum::<f64>();
            product(x, y) / (product(x, x) * product(y, y)).sqrt()
        };
        close("pearson", pearson(&x, &y).unwrap(), linear(&x, &y), 1e-9);
        close("spearman", spearman(&x, &y).unwrap(), linear(&ranks(&x), &ranks(&y)), 1e-9);
        // no change of scale is seen, however large
        let scaled: Vec<f64> = x.iter().map(|v| v * 1e90 / grid + 1e80).collect();
        close("pearson", pearson(&scaled, &y).unwrap(), linear(&x, &y), 1e-6);
    }
}

#[test]
fn sets_of_labels_are_counted_as_decisions() {
    let sets = |offsets: &'static [usize], items: &'static [u32]| ItemSets::new(offsets, items).unwrap();
    // rows {0, 1}, {}, {2}; predicted {0}, {}, {1, 2}
    let (labels, predictions) = (sets(&[0, 2, 2, 3], &[0, 1, 2]), sets(&[0, 1, 1, 3], &[0, 1, 2]));
    let counts = Classification::multi(labels, predictions, 4).unwrap();
    assert_eq!((counts.rows(), counts.classes(), counts.accuracy()), (3, 4, 1.0 / 3.0));
    assert_eq!(counts.micro_f1(), 2.0 * 2.0 / 6.0);
    assert_eq!(counts.class_f1().collect::<Vec<_>>(), [Some(1.0), Some(0.0), Some(1.0), None]);
    assert_eq!((counts.macro_f1(), counts.macro_precision(), counts.macro_recall()), (2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0));
}

#[test]
fn blocks_and_threads_make_no_difference() {
    let mut random = Random::new(11);
    let (x, labels) = random.blobs::<f32>(700, 5, 6, 1.0);
    same_on_all_threads(|| {
        let retrieval = Retrieval::new(Similarity::Euclidean, &[1, 10]).unwrap().by_label(x.view(), &labels).unwrap();
        let knn = Knn::new(9).with_similarity(Similarity::Euclidean).leave_one_out(x.view(), &labels, 6).unwrap();
        let silhouette = contrastive_eval::clustering::silhouette(x.view(), &labels).unwrap();
        (retrieval, knn, silhouette.to_bits())
    });
}

/// Oracles: the definition written out over all pairs, and its ends.
#[test]
fn isotropy_is_one_minus_the_mean_cosine_within_texts() {
    use contrastive_eval::isotropy::isotropy;
    let equal = array![[1.0, 2.0], [2.0, 4.0], [0.5, 1.0]];
    assert!(isotropy(equal.view(), &[0, 3]).unwrap().abs() < 1e-12);
    let orthogonal = array![[0.0, 2.0], [3.0, 0.0]];
    assert!((isotropy(orthogonal.view(), &[0, 2]).unwrap() - 1.0).abs() < 1e-12);
    let states: Array2<f64> = array![[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [7.0, 7.0], [0.3, -0.4], [5.0, 1.0]];
    let cosine = |a: usize, b: usize| -> f64 {
        let (a, b) = (states.row(a), states.row(b));
        a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
    };
    // a text of one state has no pair; pairs are pooled, not averaged by text
    let want = 1.0 - 2.0 * (cosine(0, 1) + cosine(0, 2) + cosine(1, 2) + cosine(4, 5)) / 8.0;
    assert!((isotropy(states.view(), &[0, 3, 4, 6]).unwrap() - want).abs() < 1e-12);
    let longer = &states * &array![[2.0], [3.0], [0.1], [1.0], [9.0], [4.0]];
    assert!((isotropy(longer.view(), &[0, 3, 4, 6]).unwrap() - want).abs() < 1e-12);
    for (offsets, words) in [
        (&[0, 3, 2, 6][..], "offset"),
        (&[1, 6][..], "offset"),
        (&[0, 5][..], "last offset of the texts is 5"),
        (&[0, 1, 2, 3, 4, 5, 6][..], "2 states of one text are asked for, and there are 1"),
    ] {
        let error = isotropy(states.view(), offsets).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
