//! What the pair engine refuses, with the sizes in the message.

use contrastive_kernels::rowwise::{RowProblem, evaluate_table};
use contrastive_kernels::softmax::{
    Debiased, Denominator, Placement, PositiveWeights, RowSets, RowValue, Scale, SoftmaxProblem, TwoSidedProblem,
    Wanted, rows, two_sided,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message of the panic of `f`.
fn refusal(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("accepted");
    payload.downcast_ref::<String>().cloned().or(payload.downcast_ref::<&str>().map(|s| s.to_string())).unwrap()
}

#[test]
fn each_bad_problem_is_refused_by_name() {
    let (x, y) = (vec![0.5f32; 6], vec![0.25f32; 12]);
    let offsets = [0, 1, 2];
    let columns = [0, 3];
    let groups = [1u32, 0];
    let lists = RowSets::new(None, &offsets, &columns);
    let shared = RowSets::new(Some(&groups), &offsets, &columns);
    let good = SoftmaxProblem { positives: Some(lists), ..SoftmaxProblem::new(&x, &y, 3, 2.0) };
    assert!(rows(&good).value.is_finite());
    let three = [1.0f32; 3];
    let outside = [0, 4];
    let bad_scales = [1.0, -2.0];
    let cases: Vec<(SoftmaxProblem<'_, f32>, &[&str])> = vec![
        (SoftmaxProblem { width: 0, ..good }, &["width 0"]),
        (SoftmaxProblem { width: 4, ..good }, &["6 anchor values", "width 4"]),
        (SoftmaxProblem { candidates: &y[..11], ..good }, &["11 candidate values", "width 3"]),
        (SoftmaxProblem { bias: Some(&three), ..good }, &["bias has 3", "instead of 4"]),
        (SoftmaxProblem { row_weights: Some(&three), ..good }, &["row weights has 3", "instead of 2"]),
        (SoftmaxProblem { denominator_weights: Some(&three), ..good }, &["denominator weights has 3", "instead of 2"]),
        (SoftmaxProblem { scale: Scale::PerRow(&three), ..good }, &["scale has 3", "instead of 2"]),
        (SoftmaxProblem { scale: Scale::PerRow(&bad_scales), ..good }, &["scale -2", "of row 1 "]),
        (SoftmaxProblem { scale: Scale::Uniform(0.0), ..good }, &["scale 0 outside"]),
        (SoftmaxProblem { scale: Scale::Uniform(f32::INFINITY), ..good }, &["scale inf outside"]),
        (
            SoftmaxProblem { weights: PositiveWeights::PerRow(&three), ..good },
            &["positive weights has 3", "instead of 2"],
        ),
        (
            SoftmaxProblem { weights: PositiveWeights::Each(&three), ..good },
            &["positive weights has 3", "instead of 2"],
        ),
        (
            SoftmaxProblem { positives: Some(shared), weights: PositiveWeights::Each(&three[..2]), ..good },
            &["without a list for each row"],
        ),
        (SoftmaxProblem { positives: Some(RowSets::new(None, &offsets, &outside)), ..good }, &["column 4 of 4"]),
        (
            SoftmaxProblem { excluded: Some(RowSets::new(None, &[0, 1], &[1])), ..good },
            &["excluded has 1", "instead of 2"],
        ),
        (SoftmaxProblem { paired: Some(&x), ..good }, &["beside and among"]),
        (SoftmaxProblem { paired: Some(&y), positives: None, ..good }, &["paired has 12", "instead of 6"]),
        (
            SoftmaxProblem { denominator: Denominator::OwnPositive, placement: Placement::Inside, ..good },
            &["own positives inside"],
        ),
        (
            SoftmaxProblem { placement: Placement::Inside, positive_clamp: Some(1.0), ..good },
            &["clamped positives inside"],
        ),
        (
            SoftmaxProblem { placement: Placement::Inside, denominator_weights: Some(&three[..2]), ..good },
            &["denominator weights with", "Inside"],
        ),
        (SoftmaxProblem { denominator: Denominator::OwnPositive, offset: 1.0, ..good }, &["offset with own positives"]),
        (SoftmaxProblem { offset: -1.0, ..good }, &["offset of -1"]),
        (SoftmaxProblem { positive_clamp: Some(-1.0), ..good }, &["clamp to a negative"]),
    ];
    for (problem, parts) in &cases {
        let message = refusal(|| drop(rows(problem)));
        assert!(parts.iter().all(|part| message.contains(part)), "{message:?} lacks one of {parts:?}");
    }
}

#[test]
fn lists_of_columns_must_ascend() {
    assert!(refusal(|| _ = RowSets::new(None, &[0, 3], &[1, 2])).contains("last offset"));
    assert!(refusal(|| _ = RowSets::new(None, &[1, 2], &[1, 2])).contains("first offset"));
    assert!(refusal(|| _ = RowSets::new(None, &[0, 2, 1, 2], &[1, 2])).contains("do not ascend"));
    assert!(refusal(|| _ = RowSets::new(None, &[0, 1, 3], &[7, 2, 2])).contains("list 1"));
    assert!(refusal(|| _ = RowSets::new(Some(&[0, 2]), &[0, 1, 2], &[0, 1])).contains("group 2 of 2"));
}

#[test]
fn each_bad_two_sided_problem_is_refused_by_name() {
    let (x, y) = (vec![0.5f32; 6], vec![0.25f32; 9]);
    let (pairs, turned) = (([0, 1, 2], [0, 1]), ([0, 1, 2, 2], [0, 1]));
    let (two, three) = (vec![1.0f32; 2], vec![1.0f32; 3]);
    let good = TwoSidedProblem {
        anchors: &x,
        candidates: Some(&y),
        width: 3,
        scale: 2.0,
        positives: RowSets::new(None, &pairs.0, &pairs.1),
        column_positives: Some(RowSets::new(None, &turned.0, &turned.1)),
        mean: true,
        value: RowValue::LogRatio,
        denominator: Denominator::WithPositives,
        row_weights: &two,
        column_weights: &three,
        gradients: true,
    };
    assert!(two_sided(&good).value.is_finite());
    let debiased = |scale: f64, hardness| RowValue::Debiased(Debiased { scale, tau_plus: 0.1, hardness });
    let corrected =
        TwoSidedProblem { value: debiased(2.0, 1.0), denominator: Denominator::NegativesOnly, mean: false, ..good };
    assert!(two_sided(&corrected).value.is_finite());
    let cases: Vec<(TwoSidedProblem<'_, f32>, &[&str])> = vec![
        (TwoSidedProblem { value: corrected.value, ..good }, &["positives in the denominator"]),
        (TwoSidedProblem { value: debiased(3.0, 1.0), ..corrected }, &["the scale of Debiased"]),
        (TwoSidedProblem { value: debiased(2.0, -1.0), ..corrected }, &["the hardness of Debiased"]),
        (TwoSidedProblem { value: debiased(2.0, f64::NAN), ..corrected }, &["the hardness of Debiased"]),
        (TwoSidedProblem { scale: 200.0, value: debiased(200.0, 1.0), ..corrected }, &["too far apart"]),
        (
            TwoSidedProblem {
                positives: RowSets::new(None, &[0, 2, 3], &[0, 1, 2]),
                column_positives: Some(RowSets::new(None, &[0, 1, 2, 3], &[0, 0, 1])),
                ..corrected
            },
            &["Debiased", "several positives"],
        ),
        (TwoSidedProblem { denominator: Denominator::OwnPositive, ..good }, &["denominator for each positive"]),
        (TwoSidedProblem { column_positives: None, ..good }, &["positives of the columns are missing"]),
        (TwoSidedProblem { column_positives: Some(good.positives), ..good }, &["positives has 2", "instead of 3"]),
        (TwoSidedProblem { row_weights: &three, ..good }, &["row weights has 3", "instead of 2"]),
        (TwoSidedProblem { column_weights: &two, ..good }, &["2 column weights for 3"]),
        (TwoSidedProblem { scale: 0.0, ..good }, &["scale 0 outside"]),
        (
            TwoSidedProblem {
                anchors: &y,
                candidates: None,
                positives: RowSets::new(None, &[0, 1, 1, 1], &[2]),
                row_weights: &three,
                ..good
            },
            &["not symmetric"],
        ),
        (
            TwoSidedProblem { column_positives: Some(RowSets::new(None, &[0, 0, 1, 2], &[0, 1])), ..good },
            &["not the transpose"],
        ),
    ];
    for (problem, parts) in &cases {
        let message = refusal(|| drop(two_sided(problem)));
        assert!(parts.iter().all(|part| message.contains(part)), "{message:?} lacks one of {parts:?}");
    }
}

#[test]
fn a_table_is_against_itself_or_refused() {
    let (x, same) = (vec![0.5f64; 12], vec![0.5f64; 12]);
    let (offsets, pairs) = ([0, 1, 2, 3, 4], [1, 0, 3, 2]);
    let good = RowProblem {
        anchors: &x[..],
        candidates: &x[..],
        width: 3,
        positives: RowSets::new(None, &offsets, &pairs),
        excluded: None,
        self_offset: Some(0),
        wanted: Wanted::ALL,
    };
    // two negatives as near as the positive: log 3 a row
    let loss = Debiased { scale: 2.0, tau_plus: 0.0, hardness: 0.0 };
    assert!((evaluate_table(&good, &loss).value - 4.0 * 3f64.ln()).abs() < 1e-12);
    let none = RowSets::new(None, &[0], &[]);
    let empty = RowProblem { anchors: &x[..0], candidates: &x[..0], positives: none, ..good };
    assert_eq!(evaluate_table(&empty, &loss).value, 0.0);
    let cases: Vec<(RowProblem<'_, f64>, &str)> = vec![
        (RowProblem { candidates: &same[..], ..good }, "against another"),
        (
            RowProblem { anchors: &x[..6], positives: RowSets::new(None, &[0, 1, 2], &[1, 0]), ..good },
            "against another",
        ),
        (RowProblem { self_offset: None, ..good }, "compared with themselves"),
        (RowProblem { width: 0, ..good }, "width 0"),
        (RowProblem { positives: RowSets::new(None, &offsets, &[1, 0, 3, 4]), ..good }, "column 4 of 4"),
        (RowProblem { positives: RowSets::new(None, &[0, 1], &[1]), ..good }, "positives has 1 values instead of 4"),
    ];
    for (problem, part) in cases {
        let message = refusal(|| drop(evaluate_table(&problem, &loss)));
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}
