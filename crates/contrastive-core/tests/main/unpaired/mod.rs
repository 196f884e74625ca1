//! Objectives that compare no pairs, or few: identities, plain definitions in loops, limits, and finite differences in f64.

pub mod support;
mod targets;
mod triplets;
mod views;
mod whitening;

use contrastive_core::error::ObjectiveError;
use contrastive_core::objective::*;

#[test]
fn settings_out_of_range_are_refused() {
    let sinkhorn = || Sinkhorn::new(0.05, 3).unwrap();
    let refused: Vec<(ObjectiveError, &str)> = vec![
        (BarlowTwins::new(-1.0).unwrap_err(), "off-diagonal -1"),
        (BarlowTwins::new(0.1).unwrap().with_epsilon(0.0).unwrap_err(), "epsilon of the variances 0"),
        (BarlowTwins::new(0.1).unwrap().with_scale(f64::NAN).unwrap_err(), "scale of the loss NaN"),
        (VicReg::new(1.0, 1.0, -2.0).unwrap_err(), "covariance -2"),
        (Dino::new(0.0, 0.1, 0.9).unwrap_err(), "temperature 0"),
        (Dino::new(0.1, 0.1, 1.5).unwrap_err(), "[0, 1]"),
        (Sinkhorn::new(0.0, 3).unwrap_err(), "epsilon 0"),
        (Sinkhorn::new(0.1, 0).unwrap_err(), "iterations 0"),
        (SwAv::new(f64::INFINITY, sinkhorn()).unwrap_err(), "temperature inf"),
        (Alignment::new(0.5).unwrap_err(), "[1, infinity)"),
        (Uniformity::new(0.0).unwrap_err(), "sharpness of the kernel 0"),
        (Whitening::new(WhiteningForm::Zca, -1.0).unwrap_err(), "epsilon of the variances -1"),
        (Whitening::new(WhiteningForm::Zca, 1.0).unwrap().with_groups(0).unwrap_err(), "groups of columns 0"),
        (Triplet::new(-0.1).unwrap_err(), "margin -0.1"),
        (Triplet::new(0.1).unwrap().with_swap().unwrap().with_mining(Mining::Hard).unwrap_err(), "needs all triplets"),
    ];
    for (error, part) in refused {
        assert!(error.to_string().contains(part), "{error:?} does not speak of {part:?}");
    }
}
