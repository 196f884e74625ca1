//! Settings that cannot be.

use burn::tensor::Tensor;
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::optimal_transport::OptimalTransport;
use contrastive_core::pairs::{PairLists, Pairs};
use contrastive_core::synthesis::*;
use contrastive_core::temperature::{LogitScale, TemperatureSchedule};
use std::fmt::Display;
use std::sync::Arc;

/// The message of an error; empty for none.
fn of<T, E: Display>(result: Result<T, E>) -> String {
    result.map_or_else(|e| e.to_string(), |_| String::new())
}

fn check(table: Vec<(String, &str)>) {
    let wrong: Vec<String> = table
        .into_iter()
        .filter(|(message, part)| !message.contains(part))
        .map(|(message, part)| format!("{message:?} does not say {part:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn temperatures_that_cannot_be_are_errors() {
    let mut table = Vec::new();
    for t in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-10, 1e10] {
        table.push((of(InfoNce::new(t)), "temperature"));
        table.push((of(PairObjective::new(t)), "temperature"));
        table.push((of(NtXent::new(t)), "temperature"));
        table.push((of(SupCon::new(t)), "temperature"));
        table.push((of(Clip::new(t)), "temperature"));
        table.push((of(Dcl::new(t)), "temperature"));
        table.push((of(Grace::new(t)), "temperature"));
        table.push((of(Moco::new(t)), "temperature"));
        table.push((of(NnClr::new(t)), "temperature"));
        table.push((of(OneToK::new(t)), "temperature"));
        table.push((of(LogSums::new(t)), "temperature"));
        table.push((of(ReSsl::new(0.1, t)), "temperature"));
        table.push((of(ReSsl::new(t, 0.1)), "temperature"));
        table.push((of(MultipleNegativesRanking::new(t)), "temperature"));
        table.push((of(BilinearInfoNce::with_temperature(t)), "temperature"));
        table.push((of(DebiasedInfoNce::new(t, 0.1)), "temperature"));
        table.push((of(HardContrastive::new(t, 0.5)), "temperature"));
        table.push((of(CacrInfoNce::new(t)), "temperature"));
        table.push((of(SogClr::new(4, t, Views::Alike)), "temperature"));
        table.push((of(Dino::new(t, 0.1, 0.9)), "temperature"));
        table.push((of(Dino::new(0.1, t, 0.9)), "temperature"));
        table.push((of(SwAv::new(t, Sinkhorn::new(0.05, 3).unwrap())), "temperature"));
        table.push((of(PixContrast::new(t, 0.7)), "temperature"));
        table.push((of(Mochi::new(t, 3, 2, 1)), "temperature"));
        table.push((of(FeatureTransform::new(t)), "temperature"));
        table.push((of(Hydra::new(t)), "temperature"));
        table.push((of(LogitScale::new(t, 100.0, &crate::common::device())), "temperature"));
        table.push((of(LogitScale::new(0.1, t, &crate::common::device())), "largest logit scale"));
        table.push((of(TemperatureSchedule::Constant(t).validate()), "temperature"));
        table.push((of(PamC::new(t)), "tau"));
    }
    for t in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        table.push((of(Uniformity::new(t)), "above 0"));
        table.push((of(JointEntropy::new(t)), "above 0"));
        table.push((of(SepClr::new(t, [1.0; 3])), "above 0"));
        table.push((of(Sinkhorn::new(t, 3)), "epsilon"));
    }
    table.push((of(TemperatureSchedule::Linear { from: 1.0, to: 0.1, steps: 0 }.validate()), "steps"));
    check(table);
}

#[test]
fn settings_that_cannot_be_are_errors() {
    let lists = |offsets: Vec<usize>, columns: Vec<u32>, weights: Option<Vec<f64>>| {
        of(PairLists::new(offsets, columns, weights))
    };
    let cosine = || PairObjective::new(0.1).unwrap();
    let inside = || cosine().with_placement(Placement::Inside);
    let per_anchor = |weights: &[f64]| PositiveWeights::PerAnchor(Arc::new(weights.to_vec()));
    check(vec![
        (lists(vec![0, 1], vec![0], Some(vec![-0.5])), "weight -0.5 of entry 0"),
        (lists(vec![0, 1], vec![0], Some(vec![f64::NAN])), "weight NaN of entry 0"),
        (lists(vec![0, 1], vec![0], Some(vec![f64::INFINITY])), "weight inf of entry 0"),
        (lists(vec![0, 1], vec![0], Some(vec![1.0, 1.0])), "2 weights for 1 entries"),
        (lists(vec![0, 2], vec![3, 3], None), "not strictly ascending"),
        (lists(vec![0, 3], vec![1], None), "number of entries, 1"),
        (of(cosine().with_denominator_offset(-1.0)), "denominator offset -1"),
        (of(cosine().with_positive_clamp(0.0)), "clamp of the positive logits 0"),
        (of(cosine().with_direction_weights(f64::NAN, 1.0)), "weight of a direction NaN"),
        (of(cosine().with_direction_weights(1.0, -1.0)), "weight of a direction -1"),
        (of(inside().with_denominator(Denominator::OwnPositive).validate()), "no sum inside the logarithm"),
        (of(inside().with_positive_weights(per_anchor(&[1.0, -0.5])).validate()), "negative weights of positives"),
        (
            of(inside().with_pairs(Pairs::Beside).with_positive_weights(per_anchor(&[1.0])).validate()),
            "weights of paired",
        ),
        (of(inside().with_positive_clamp(1.0).unwrap().validate()), "a clamp of the positive logits"),
        (of(Queue::new(0, 4, &crate::common::device())), "at least 1"),
        (of(Queue::new(4, 0, &crate::common::device())), "at least 1"),
        (of(Triplet::new(-0.1)), "margin"),
        (of(Angular::new(2.0)), "alpha 2"),
        (of(SubCenterArcFace::new(0.5, 64.0, 0)), "1 and more"),
        (of(SphereFace::new(0, 1.0)), "1 to 16"),
        (of(DebiasedInfoNce::new(0.5, 1.0)), "positives"),
        (of(DebiasedInfoNce::new(0.5, 0.1).unwrap().with_hardness(-1.0)), "hardness"),
        (of(PairContrastive::of_similarities(f64::NAN, 0.0)), "finite"),
        (of(PairContrastive::of_similarities(0.9, 0.5).unwrap().with_weights(-1.0, 1.0)), "weight of positives -1"),
        (of(HardContrastive::new(0.1, 0.0)), "(0, 1]"),
        (of(FastAp::new(0)), "1 to 65536"),
        (of(MultipleNegativesRanking::new(0.05).unwrap().with_hardness(1e10)), "strength of hardness weights 1"),
        (of(MultipleNegativesRanking::new(0.05).unwrap().with_hardness(-1.0)), "strength of hardness weights -1"),
        (of(GroCo::new(0)), "above 0"),
        (of(GroCo::new(6).unwrap().validate(6, 4, 2)), "one less than the images"),
        (of(GroCo::new(65_535).unwrap().validate(70_000, 4, 2)), "65536 less the views"),
        (of(SogClr::new(0, 0.1, Views::Alike)), "0"),
        (of(Meco::new(0.0)), "(0, 1]"),
        (of(Meco::new(0.1).unwrap().observe(&[])), "no samples of the noise"),
        (of(Meco::new(0.1).unwrap().observe(&[f64::NEG_INFINITY; 3])), "3 noise samples: the normaliser is 0"),
        (of(Dino::new(0.1, 0.04, 1.5)), "[0, 1]"),
        (of(Sinkhorn::new(0.05, 0)), "iterations"),
        (of(Whitening::new(WhiteningForm::Zca, -1.0)), "epsilon of the variances -1"),
        (of(WMse::new(f64::NAN)), "epsilon of the variances NaN"),
        (of(WMse::new(0.0).unwrap().with_sub_batches(0)), "rows of a sub-batch"),
        (of(CropBox::new([0.0, 0.0, f64::NAN, 1.0])), "corner of a crop NaN"),
        (of(CropBox::new([0.0, 0.0, 0.0, 1.0])), "area of a crop"),
        (of(PixPro::new(0.0)), "distance threshold"),
        (of(Amcl::new(-1.0)), "beta of the regulariser -1"),
        (of(PairTemperatureConfig::new(0).validate()), "width of the rows"),
        (of(PairTemperatureConfig::new(4).with_lowest(0.0).validate()), "lowest temperature"),
        (of(Mochi::new(0.2, 1, 2, 0)), "a pool of at least 2"),
        (of(Mochi::new(0.2, 3, 2, 1).unwrap().with_largest_share(1.5)), "(0, 1]"),
        (of(FeatureTransform::new(0.2).unwrap().with_extrapolation(Some(0.0))), "Beta"),
        (of(HallucinatorConfig::new(4).with_largest_extrapolation(-0.1).validate()), "largest extrapolation"),
        (of(Hydra::new(0.1).unwrap().with_gate_penalty(f64::NAN)), "gate penalty NaN"),
    ]);
}

/// A plan that two iterations cannot reach, masses that differ, and NaN costs.
#[test]
fn plans_that_cannot_be_are_errors() {
    let device = crate::common::device();
    let masses = |m: [f64; 2]| Tensor::<1>::from_data(m, &device);
    let cost = |last: f64| Tensor::<2>::from_data([[0.0, 1.0], [0.7, last]], &device);
    let plan = |rows: [f64; 2], iterations: usize| {
        let transport = OptimalTransport::new(0.01).unwrap().with_iterations(iterations).unwrap();
        of(transport.plan(cost(0.1), masses(rows), masses([0.5, 0.5])))
    };
    let sinkhorn = |last: f64, rows: [f64; 2], portable: bool| {
        let _bodies = contrastive_core::testing::portable(portable);
        let sinkhorn = Sinkhorn::new(0.01, 2).unwrap().with_log_domain();
        of(sinkhorn.converged_plan(cost(last), masses(rows), masses([0.5, 0.5]), 1e-6))
    };
    let mut table = vec![(plan([0.2, 0.8], 2), "2 iterations"), (plan([0.2, 0.7], 100), "sum")];
    for portable in [false, true] {
        table.push((sinkhorn(0.1, [0.2, 0.8], portable), "after 2 iterations a column sum of the plan is off by"));
        table.push((sinkhorn(f64::NAN, [0.2, 0.8], portable), "off by NaN"));
        table.push((sinkhorn(0.1, [-0.2, 1.2], portable), "marginal of the rows"));
        table.push((sinkhorn(0.1, [0.2, 0.7], portable), "marginal"));
    }
    check(table);
}
