//! What is refused, and in which words.

use crate::common::*;
use crate::optimised::support::*;
use contrastive_core::objective::*;

#[test]
fn averages_follow_their_schedule() {
    let share = AverageWeight::cosine(0.2, 10).unwrap();
    close("start", &[share.at(0)], &[1.0], 1e-15, 0.0);
    close("middle", &[share.at(5)], &[0.6], 1e-15, 1e-12);
    close("end", &[share.at(10), share.at(99)], &[0.2, 0.2], 1e-15, 1e-12);
    close("constant", &[AverageWeight::constant(0.7).unwrap().at(3)], &[0.7], 0.0, 0.0);
}

#[test]
fn settings_out_of_range_are_refused() {
    let rule = TemperatureRule::unimodal;
    let sogclr = |samples, tau| SogClr::new(samples, tau, Views::Alike).unwrap_err().to_string();
    let refused = [
        (sogclr(0, 0.1), "0 samples"),
        (sogclr(5, 0.0), "temperature 0"),
        (sogclr(5, f64::NAN), "temperature NaN"),
        (ISogClr::new(0, rule(), Views::Modalities).unwrap_err().to_string(), "0 samples"),
        (AverageWeight::constant(0.0).unwrap_err().to_string(), "(0, 1]"),
        (AverageWeight::constant(1.1).unwrap_err().to_string(), "(0, 1]"),
        (AverageWeight::constant(f64::NAN).unwrap_err().to_string(), "NaN"),
        (AverageWeight::cosine(0.5, 0).unwrap_err().to_string(), "at least 1"),
        (rule().with_range(0.1, 0.0, 1.0).unwrap_err().to_string(), "temperature 0"),
        (rule().with_range(0.1, 0.05, f64::INFINITY).unwrap_err().to_string(), "temperature inf"),
        (rule().with_range(0.3, 0.5, 0.2).unwrap_err().to_string(), "must ascend"),
        (rule().with_radius(-0.1).unwrap_err().to_string(), "radius"),
        (rule().with_rate(f64::NAN).unwrap_err().to_string(), "learning rate"),
        (rule().with_momentum(0.0).unwrap_err().to_string(), "(0, 1]"),
        (rule().with_clip(Some(0.0)).unwrap_err().to_string(), "clip"),
        (Meco::new(0.0).unwrap_err().to_string(), "(0, 1]"),
        (Meco::new(0.5).unwrap().with_cap(-1.0).unwrap_err().to_string(), "largest weight"),
    ];
    for (error, part) in refused {
        assert!(error.contains(part), "{error:?} does not speak of {part:?}");
    }
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let mut objective = SogClr::new(5, 0.1, Views::Alike).unwrap();
    let before = objective.state();
    let mut error = |count: usize, index: &[usize]| {
        let table = |seed| tracked(normal(seed, count * 3), [count, 3], burn::tensor::DType::F32);
        objective.loss(table(1), table(2), index).unwrap_err()
    };
    assert_eq!(error(3, &[0, 1, 5]), SampleError::Index { row: 2, sample: 5, samples: 5 });
    assert_eq!(error(4, &[3, 1, 2, 3]), SampleError::Duplicate { sample: 3, rows: [0, 3] });
    assert_eq!(error(1, &[0]), SampleError::Small(1));
    assert_eq!(error(3, &[0, 1]), SampleError::Count { indices: 2, rows: 3 });
    assert!(error(3, &[0, 1, 5]).to_string().contains("row 2 of the batch is sample 5: the samples are 0 to 4"));
    assert_eq!(objective.state(), before, "nothing is remembered of a refused batch");
}

#[test]
fn states_of_other_objectives_are_refused() {
    let rule = TemperatureRule::unimodal();
    let each = ISogClr::new(4, rule, Views::Alike).unwrap();
    let mut one = SogClr::new(4, 0.1, Views::Alike).unwrap();
    assert!(one.load_state(&each.state()).unwrap_err().to_string().contains("one for all"));
    let mut other = ISogClr::new(5, rule, Views::Alike).unwrap();
    assert!(other.load_state(&each.state()).unwrap_err().to_string().contains("4 numbers, not 5"));
    let mut narrow = ISogClr::new(4, rule.with_range(0.3, 0.2, 0.4).unwrap(), Views::Alike).unwrap();
    assert!(narrow.load_state(&each.state()).unwrap_err().to_string().contains("temperature 0.1 of sample 0"));
    let mut two = ISogClr::new(4, rule, Views::Modalities).unwrap();
    assert!(two.load_state(&each.state()).unwrap_err().to_string().contains("first.log_denominators is missing"));
}
