//! Ranking metrics against golden values of RecBole and against a plain implementation.

use crate::common::reference;
use contrastive_eval::ndarray::{Array2, ArrayView2, Axis, array};
use contrastive_eval::ranking::*;
use contrastive_kernels::top_k::top_k_scores;
use serde_json::Value;
use std::collections::HashSet;

/// Sets as the flat arrays that [`ItemSets`] borrows.
struct Flat(Vec<usize>, Vec<u32>);

impl Flat {
    fn new(rows: impl IntoIterator<Item = Vec<u32>>) -> Self {
        let mut flat = Self(vec![0], Vec::new());
        for row in rows {
            flat.1.extend(row);
            flat.0.push(flat.1.len());
        }
        flat
    }

    fn sets(&self) -> ItemSets<'_> {
        ItemSets::new(&self.0, &self.1).unwrap()
    }
}

fn shape(tensor: &Value) -> (usize, usize) {
    (tensor["shape"][0].as_u64().unwrap() as usize, tensor["shape"][1].as_u64().unwrap() as usize)
}

fn sets_of(mask: &Value) -> Flat {
    let (_, items) = shape(mask);
    let data: Vec<bool> = mask["data"].as_array().unwrap().iter().map(|v| v.as_bool().unwrap()).collect();
    Flat::new(data.chunks(items).map(|row| (0..items as u32).filter(|&i| row[i as usize]).collect()))
}

/// Compares the metrics of scores of `T`.
fn close<T>(report: &RankingReport, case: &Value) {
    reference::computed_in(size_of::<T>());
    let metrics = case["expected"]["metrics"].as_object().unwrap();
    assert!(!metrics.is_empty());
    for (name, want) in metrics {
        let (got, want) = (report.get(name).unwrap_or_else(|| panic!("no {name}")), want.as_f64().unwrap());
        reference::close(&format!("{} {name}", case["name"]), &[got], &[want], 1e-12, 0.0);
    }
}

#[test]
fn golden_ranking_metrics() {
    let Some(file) = reference::golden("ranking_metrics") else { return };
    let cases = reference::cases(&file);
    for case in cases {
        let tensor = &case["inputs"]["scores"];
        let data: Vec<f64> = tensor["data"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let scores = Array2::from_shape_vec(shape(tensor), data).unwrap();
        let single = scores.mapv(|v| v as f32);
        assert!(single.iter().zip(&scores).all(|(&s, &d)| f64::from(s) == d), "the scores are exact in f32");
        let (train, test) = (sets_of(&case["inputs"]["train_mask"]), sets_of(&case["inputs"]["test_mask"]));
        let numbers = |v: &Value| v.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect::<Vec<_>>();
        let cutoffs: Vec<usize> = numbers(&case["params"]["ks"]).into_iter().map(|k| k as usize).collect();

        let each = evaluate_scores_per_user(scores.view(), train.sets(), test.sets(), &cutoffs).unwrap();
        let users: Vec<u64> = each.users().iter().map(|&u| u.into()).collect();
        assert_eq!(users, numbers(&case["expected"]["users_evaluated"]));
        close::<f64>(&each.mean(), case);
        close::<f32>(&evaluate_scores(single.view(), train.sets(), test.sets(), &cutoffs).unwrap(), case);

        // The identity as item embeddings makes the scores the users' embeddings.
        let items = Array2::<f32>::eye(single.ncols());
        close::<f32>(&evaluate(single.view(), items.view(), train.sets(), test.sets(), &cutoffs).unwrap(), case);

        // RecBole's own rankings, as lists
        let (_, longest) = shape(&case["expected"]["topk"]);
        let flat: Vec<u32> = numbers(&case["expected"]["topk"]["data"]).into_iter().map(|i| i as u32).collect();
        let lists: Vec<&[u32]> = flat.chunks(longest).collect();
        let evaluated: Vec<u32> = users.iter().map(|&u| u as u32).collect();
        let all = single.as_slice().unwrap();
        let rows: Vec<f32> =
            evaluated.iter().flat_map(|&u| all[u as usize * single.ncols()..][..single.ncols()].to_vec()).collect();
        let best = top_k_scores(&rows, single.ncols(), longest, Some((train.sets(), &evaluated)));
        assert_eq!(best.indices, flat, "the rankings are RecBole's");
        let given = Protocol::new(train.sets(), test.sets(), &cutoffs)
            .and_then(|p| p.with_users(&evaluated))
            .and_then(|p| p.ranked(&lists, scores.ncols()))
            .unwrap();
        assert_eq!((given.users(), given.mean().to_map()), (each.users(), each.mean().to_map()));
        close::<f32>(&given.mean(), case);
    }
}

/// Numbers from a linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn table<T: Score>(&mut self, rows: usize, columns: usize, grid: usize) -> Array2<T> {
        Array2::from_shape_simple_fn((rows, columns), || T::of(self.below(4 * grid) as f64 / grid as f64 - 2.0))
    }

    fn sets(&mut self, rows: usize, items: usize, most: usize) -> Flat {
        Flat::new((0..rows).map(|_| {
            let mut row: Vec<u32> = (0..self.below(most + 1)).map(|_| self.below(items) as u32).collect();
            row.sort_unstable();
            row.dedup();
            row
        }))
    }
}

/// The definitions of [`Metric`], each written out on its own from a fully sorted list.
fn plain<T: Score>(scores: ArrayView2<T>, train: ItemSets, test: ItemSets, k: usize) -> Vec<(String, f64)> {
    let (mut sums, mut count, mut shown) = ([0.0; 6], 0.0, HashSet::new());
    for (user, row) in scores.axis_iter(Axis(0)).enumerate() {
        let wanted: HashSet<u32> = test.row(user).iter().copied().collect();
        if wanted.is_empty() {
            continue;
        }
        let mut list: Vec<u32> = (0..row.len() as u32).filter(|i| !train.row(user).contains(i)).collect();
        list.sort_by(|&a, &b| row[b as usize].partial_cmp(&row[a as usize]).unwrap().then(a.cmp(&b)));
        list.truncate(k);
        shown.extend(list.iter().copied());
        let hit: Vec<f64> = list.iter().map(|i| f64::from(u8::from(wanted.contains(i)))).collect();
        let found: f64 = hit.iter().sum();
        let discount = |r: usize| (r as f64 + 2.0).log2().recip();
        let possible = k.min(wanted.len());
        let precision_at = |r: usize| hit[..=r].iter().sum::<f64>() / (r + 1) as f64;
        sums[0] += found / wanted.len() as f64;
        sums[1] += hit.iter().enumerate().map(|(r, h)| h * discount(r)).sum::<f64>()
            / (0..possible).map(discount).sum::<f64>();
        sums[2] += if found > 0.0 { 1.0 } else { 0.0 };
        sums[3] += hit.iter().position(|&h| h > 0.0).map_or(0.0, |r| 1.0 / (r + 1) as f64);
        sums[4] += hit.iter().enumerate().map(|(r, h)| h * precision_at(r)).sum::<f64>() / possible as f64;
        sums[5] += found / k as f64;
        count += 1.0;
    }
    let names = ["recall", "ndcg", "hit", "mrr", "map", "precision"];
    let mut values: Vec<_> = names.iter().zip(sums).map(|(n, s)| (format!("{n}@{k}"), s / count)).collect();
    values.push((format!("coverage@{k}"), shown.len() as f64 / scores.ncols() as f64));
    values
}

fn agrees<T: Score>(users: usize, items: usize, grid: usize, seed: u64) {
    let mut numbers = Numbers(seed);
    // Small multiples of 1/grid: products and their sums are exact in f32, so ties are ties in any order of summation.
    let (u, i) = (numbers.table::<T>(users, 5, grid), numbers.table::<T>(items, 5, grid));
    let scores = u.dot(&i.t());
    // Up to all items seen, so that some lists are shorter than the cutoffs.
    let (train, test) = (numbers.sets(users, items, 3 * items), numbers.sets(users, items, items / 2 + 2));
    let cutoffs = [items, 1, items / 2 + 1, 1];
    let report = evaluate(u.view(), i.view(), train.sets(), test.sets(), &cutoffs).unwrap();
    assert_eq!(report, evaluate_scores(scores.view(), train.sets(), test.sets(), &cutoffs).unwrap());
    assert!(report.cutoffs().is_sorted_by(|a, b| a < b));
    for &k in report.cutoffs() {
        for (name, want) in plain(scores.view(), train.sets(), test.sets(), k) {
            let got = report.get(&name).unwrap();
            assert!(
                (got - want).abs() < 1e-12,
                "{name} {got}, plain {want}; {users} x {items}, grid {grid}, seed {seed}"
            );
        }
    }
}

#[test]
fn equals_a_plain_implementation() {
    for seed in 0..20 {
        for (users, items) in [(12, 3), (40, 17), (300, 90), (30, 700)] {
            let seed = seed * 31 + items as u64 + 1;
            for grid in [1, 2, 16] {
                agrees::<f32>(users, items, grid, seed);
                agrees::<f64>(users, items, grid, seed);
            }
        }
    }
}

#[test]
fn worked_value() {
    // K = 3, hits at ranks 1 and 3, two test items: DCG = 1 + 1/2, ideal = 1 + 1/log2(3)
    let test = Flat::new([vec![4, 7], vec![]]);
    let report = evaluate_ranked(&[vec![7, 1, 4], vec![]], 8, test.sets(), &[3]).unwrap();
    assert_eq!((report.get("recall@3"), report.users(), report.items()), (Some(1.0), 1, 8));
    assert!((report.get("ndcg@3").unwrap() - 0.919_721).abs() < 1e-6);
    assert_eq!(report.get("coverage@3"), Some(3.0 / 8.0));
    assert!((report.get("map@3").unwrap() - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
}

#[test]
fn strided_views_and_chosen_users() {
    let mut numbers = Numbers(3);
    let (u, i) = (numbers.table::<f32>(50, 6, 1000), numbers.table::<f32>(40, 6, 1000));
    let (train, test) = (numbers.sets(50, 40, 9), numbers.sets(50, 40, 9));
    let each = evaluate_per_user(u.view(), i.view(), train.sets(), test.sets(), &[5, 10]).unwrap();
    assert!(each.users().len() > 20 && each.users().len() < 50);
    let (ut, it) = (u.t().as_standard_layout().into_owned(), i.t().as_standard_layout().into_owned());
    assert_eq!(each, evaluate_per_user(ut.t(), it.t(), train.sets(), test.sets(), &[10, 5]).unwrap());
    // any subset in any order has the same values, user by user
    let subset: Vec<u32> = (0..50).rev().step_by(3).collect();
    let some = Protocol::new(train.sets(), test.sets(), &[5, 10])
        .and_then(|p| p.with_users(&subset))
        .and_then(|p| p.embeddings(u.view(), i.view()))
        .unwrap();
    let (all, few) = (each.get("ndcg@10").unwrap(), some.get("ndcg@10").unwrap());
    for (user, value) in some.users().iter().zip(few) {
        assert_eq!(value, all[each.users().iter().position(|u| u == user).unwrap()]);
    }
    assert_eq!((each.get("coverage@5"), each.get("ndcg@7"), each.get("ndcg")), (None, None, None));
}

#[test]
fn reports_print_and_survive_serialisation() {
    let test = Flat::new([vec![1]]);
    let each = evaluate_ranked_per_user(&[[1, 0, 2]], 10, test.sets(), &[1, 3]).unwrap();
    let report = each.mean();
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.starts_with(r#"{"users":1,"items":10,"cutoffs":[1,3],"metrics":{"recall":[1.0,1.0]"#), "{json}");
    assert_eq!(serde_json::from_str::<RankingReport>(&json).unwrap(), report);
    assert_eq!(serde_json::from_str::<PerUserReport>(&serde_json::to_string(&each).unwrap()).unwrap(), each);
    let names: Vec<String> = report.iter().map(|(name, _)| name).collect();
    assert_eq!((names.len(), &names[..3]), (14, &["recall@1", "recall@3", "ndcg@1"].map(String::from)[..]));
    assert_eq!(report.to_map()["precision@3"], 1.0 / 3.0);
    let table = report.to_string();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "               @1      @3");
    assert_eq!(lines[6], "precision  1.0000  0.3333");
    assert_eq!(lines[8], "1 users, 10 items");
}

#[test]
fn every_error_is_reached_and_says_where() {
    let u = array![[1.0f32, 0.0], [0.0, 1.0]];
    let i = array![[1.0f32, 0.0], [0.0, 1.0], [1.0, 1.0]];
    let (train, test) = (Flat::new([vec![0], vec![]]), Flat::new([vec![1], vec![2]]));
    let (none, far, three) =
        (Flat::new([vec![], vec![]]), Flat::new([vec![], vec![1, 3]]), Flat::new([vec![], vec![], vec![]]));
    let run = |u: &Array2<f32>, i: &Array2<f32>, train: &Flat, test: &Flat, ks: &[usize]| {
        evaluate(u.view(), i.view(), train.sets(), test.sets(), ks).unwrap_err()
    };
    let mut nan = u.clone();
    nan[[1, 1]] = f32::NAN;
    let mut infinite = i.clone();
    infinite[[2, 0]] = f32::INFINITY;
    let protocol = || Protocol::new(train.sets(), test.sets(), &[1]).unwrap();
    let nan_scores = array![[f32::NAN, 0.0, 1.0], [0.0, 1.0, f32::NAN]]; // the first is masked
    let table: Vec<(RankingError, RankingError, &str)> = vec![
        (run(&u, &i, &train, &test, &[]), RankingError::NoCutoff, "at least one K"),
        (run(&u, &i, &train, &test, &[2, 0]), RankingError::ZeroCutoff, "at least 1"),
        (run(&u, &i, &train, &test, &[4]), RankingError::CutoffAboveCatalogue { k: 4, items: 3 }, "1..=3"),
        (
            run(&u, &Array2::zeros((3, 5)), &train, &test, &[1]),
            RankingError::WidthMismatch { users: 2, items: 5 },
            "2 columns",
        ),
        (
            run(&Array2::zeros((2, 0)), &Array2::zeros((3, 0)), &train, &test, &[1]),
            RankingError::WidthMismatch { users: 0, items: 0 },
            "at least 1",
        ),
        (
            run(&u, &i, &three, &test, &[1]),
            RankingError::UserCountMismatch { side: Side::Train, found: 3, expected: 2 },
            "the training sets have 3 rows",
        ),
        (
            run(&i, &i, &train, &test, &[1]),
            RankingError::UserCountMismatch { side: Side::Users, found: 3, expected: 2 },
            "user embeddings have 3 rows",
        ),
        (
            evaluate_scores(i.t().dot(&i).view(), three.sets(), Flat::new([vec![0], vec![], vec![]]).sets(), &[1])
                .unwrap_err(),
            RankingError::UserCountMismatch { side: Side::Scores, found: 2, expected: 3 },
            "the scores have 2 rows",
        ),
        (
            evaluate_ranked(&[[0]], 3, test.sets(), &[1]).unwrap_err(),
            RankingError::UserCountMismatch { side: Side::Ranked, found: 1, expected: 2 },
            "ranked lists have 1 rows",
        ),
        (
            run(&u, &i, &far, &test, &[1]),
            RankingError::ItemOutOfRange { side: Side::Train, user: 1, item: 3, items: 3 },
            "item 3 of user 1 in the training sets",
        ),
        (
            run(&u, &i, &train, &far, &[1]),
            RankingError::ItemOutOfRange { side: Side::Test, user: 1, item: 3, items: 3 },
            "item 3 of user 1 in the test sets",
        ),
        (
            evaluate_ranked(&[[0], [9]], 3, test.sets(), &[1]).unwrap_err(),
            RankingError::ItemOutOfRange { side: Side::Ranked, user: 1, item: 9, items: 3 },
            "ranked lists",
        ),
        (
            evaluate_ranked(&[[0, 1, 2], [2, 0, 2]], 3, test.sets(), &[1]).unwrap_err(),
            RankingError::RepeatedItem { user: 1, item: 2 },
            "item 2 is twice",
        ),
        (
            protocol().with_users(&[0, 2]).unwrap_err(),
            RankingError::UserOutOfRange { user: 2, users: 2 },
            "there are 2 users",
        ),
        (protocol().with_users(&[1, 1]).unwrap_err(), RankingError::RepeatedUser { user: 1 }, "chosen twice"),
        (protocol().with_users(&[]).unwrap_err(), RankingError::NoTestUser, "no user has a test item"),
        (run(&u, &i, &train, &none, &[1]), RankingError::NoTestUser, "nothing to average"),
        (
            run(&u, &infinite, &train, &test, &[1]),
            RankingError::NonFinite { side: Side::Items, row: 2, value: f64::INFINITY },
            "row 2 of the item embeddings holds inf",
        ),
        (
            evaluate_scores(nan_scores.view(), train.sets(), test.sets(), &[1]).unwrap_err(),
            RankingError::NanScore { user: 1, item: 2 },
            "user 1 for item 2 is NaN",
        ),
        (
            ItemSets::new(&[0, 2], &[1, 1]).unwrap_err().into(),
            ItemSetsError::RepeatedItem { row: 0, item: 1 }.into(),
            "twice",
        ),
    ];
    for (got, want, words) in table {
        assert_eq!(got, want);
        assert!(got.to_string().contains(words), "{got} should say {words:?}");
    }
    let error = run(&nan, &i, &train, &test, &[1]);
    assert!(matches!(error, RankingError::NonFinite { side: Side::Users, row: 1, value } if value.is_nan()), "{error}");
}

/// A fused sum that has overflowed stays infinite: the next product is exact before it is added, so it is finite. Plain products and
/// sums give NaN for the same rows.
#[test]
fn finite_embeddings_never_score_nan() {
    let u = array![[1e38f32, 1e38, 1e38]];
    let i = array![[0.0f32, 0.0, 0.0], [1e38, -1e38, 1e38], [-1e38, 1e38, 1e38]];
    let plain: f32 = u.row(0).iter().zip(i.row(1)).map(|(a, b)| a * b).sum();
    assert!(plain.is_nan());
    let test = Flat::new([vec![1]]);
    let report = evaluate(u.view(), i.view(), ItemSets::empty(1), test.sets(), &[1, 2]).unwrap();
    assert_eq!((report.get("hit@1"), report.get("coverage@2")), (Some(1.0), Some(2.0 / 3.0)));
}

/// The two protocols of a data set with a validation part, against lists ranked by hand.
#[test]
fn validation_items_are_ranked_or_left_out_and_the_report_says_which() {
    let scores = array![[5.0f32, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0]];
    let (train, validation) = (Flat::new([vec![0], vec![4]]), Flat::new([vec![1], vec![3, 4]]));
    let test = Flat::new([vec![2], vec![1]]);
    let protocol = || Protocol::new(train.sets(), test.sets(), &[1, 2]).unwrap();
    let ranked = protocol().scores(scores.view()).unwrap().mean();
    let left_out = protocol().without_validation(validation.sets()).unwrap().scores(scores.view()).unwrap().mean();
    assert_eq!((ranked.left_out(), left_out.left_out()), (Some(LeftOut::Train), Some(LeftOut::TrainAndValidation)));
    // 1, 2, 3, 4 and 3, 2, 1, 0 are ranked; then 2, 3, 4 and 2, 1, 0
    assert_eq!((ranked.get("hit@1"), ranked.get("hit@2")), (Some(0.0), Some(0.5)));
    assert_eq!((left_out.get("hit@1"), left_out.get("hit@2")), (Some(0.5), Some(1.0)));
    assert!(ranked.to_string().ends_with("; training items left out"));
    assert!(left_out.to_string().ends_with("; training and validation items left out"));
    let error = protocol().without_validation(Flat::new([vec![]]).sets()).unwrap_err();
    assert!(error.to_string().contains("the validation sets have 1 rows"), "{error}");
}

/// A model that scores everything alike finds the test items of a file sorted by popularity, and the report says why.
#[test]
fn ties_are_counted() {
    let test = Flat::new([vec![0], vec![1], vec![3]]);
    let run = |scores: Array2<f32>| evaluate_scores(scores.view(), ItemSets::empty(3), test.sets(), &[1, 2]).unwrap();
    let flat = run(Array2::zeros((3, 5)));
    assert_eq!((flat.tied_users(), flat.get("hit@2")), (Some(3), Some(2.0 / 3.0)));
    assert!(flat.to_string().contains("equal scores within the first 2 of 3 users"), "{flat}");
    // a tie behind the third place does not matter, one between the second and the third does
    let some = run(array![[5.0, 4.0, 3.0, 3.0, 3.0], [5.0, 4.0, 4.0, 3.0, 2.0], [5.0, 4.0, 3.0, 2.0, 1.0]]);
    assert_eq!(some.tied_users(), Some(1));
    assert!(
        !run(array![[3.0, 2.0, 1.0, 0.5, 0.0], [3.0, 2.0, 1.0, 0.5, 0.0], [3.0, 2.0, 1.0, 0.5, 0.0]])
            .to_string()
            .contains("equal scores")
    );
    assert_eq!(evaluate_ranked(&[[0], [0], [0]], 5, test.sets(), &[1]).unwrap().tied_users(), None);
}

/// NDCG with gains, written out (Jarvelin and Kekalainen 2002, with the discount log2(r + 1)); the other metrics do not change.
#[test]
fn gains_grade_ndcg_alone() {
    let test = Flat::new([vec![0, 2, 3], vec![1]]);
    let lists = [vec![2u32, 1, 0], vec![0, 1, 2]];
    let protocol = || Protocol::new(ItemSets::empty(2), test.sets(), &[3]).unwrap();
    let plain = protocol().ranked(&lists, 5).unwrap();
    let graded = protocol().with_gains(&[3.0, 1.0, 7.0, 0.5]).unwrap().ranked(&lists, 5).unwrap();
    let log = |r: f64| (r + 1.0).log2();
    let first = (1.0 / log(1.0) + 3.0 / log(3.0)) / (7.0 / log(1.0) + 3.0 / log(2.0) + 1.0 / log(3.0));
    let found = graded.get("ndcg@3").unwrap();
    assert!((found[0] - first).abs() < 1e-12 && (found[1] - 1.0 / log(2.0)).abs() < 1e-12, "{found:?}");
    for name in ["recall@3", "hit@3", "mrr@3", "map@3", "precision@3"] {
        assert_eq!(plain.get(name), graded.get(name));
    }
    let ones = protocol().with_gains(&[1.0; 4]).unwrap().ranked(&lists, 5).unwrap();
    assert_eq!(ones.get("ndcg@3"), plain.get("ndcg@3"));
    assert_eq!(protocol().with_gains(&[0.0; 4]).unwrap().ranked(&lists, 5).unwrap().get("ndcg@3"), Some(vec![0.0; 2]));
    assert_eq!(protocol().with_gains(&[1.0]).unwrap_err(), RankingError::GainCount { found: 1, expected: 4 });
    let error = protocol().with_gains(&[1.0, -2.0, 0.0, 0.0]).unwrap_err();
    assert_eq!(error, RankingError::BadGain { at: 1, gain: -2.0 });
}
