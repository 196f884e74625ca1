//! Objectives of rows of similarities and of given pairs: reference values, definitions in loops, identities, forms against each other,
//! finite differences, bad settings.

mod blocks;
mod cacr;
mod forms;
mod halves;
mod margin_band;
mod mining;
mod sentence;

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::error::ObjectiveError;
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;
use forms::Form;
use serde_json::Value;

/// A golden case in one type.
struct Case<'a> {
    case: &'a Value,
    dtype: DType,
}

impl Case<'_> {
    /// Runs every case whose name starts with one of `names` in every type.
    fn each(file: &str, names: &[&str], test: impl Fn(&Case)) {
        let Some(file) = golden(file) else { return };
        let mut seen = 0;
        for dtype in if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] } {
            for case in cases(&file) {
                let case = Case { case, dtype };
                if names.iter().any(|name| case.is(name)) {
                    test(&case);
                    seen += 1;
                }
            }
        }
        assert!(seen >= 3, "{seen} cases of {names:?}");
    }

    fn name(&self) -> &str {
        self.case["name"].as_str().unwrap()
    }

    fn is(&self, start: &str) -> bool {
        self.name().starts_with(start)
    }

    fn number(&self, name: &str) -> f64 {
        self.case["params"][name].as_f64().unwrap_or_else(|| panic!("{name} of {}", self.name()))
    }

    fn list(&self, name: &str) -> Vec<f64> {
        numbers(&self.case["inputs"][name])
    }

    /// Compares value and gradients of every form at fresh inputs of the given names; `slack` multiplies what f32 may be off.
    fn check(&self, inputs: &[&str], slack: f64, forms: &[Form]) {
        for (k, form) in forms.iter().enumerate() {
            let leaves: Vec<Tensor<2>> = inputs.iter().map(|i| matrix(&self.case["inputs"][*i], self.dtype)).collect();
            let value = form(&leaves);
            let what = format!("{} in {:?}, form {k}", self.name(), self.dtype);
            let (loss, absolute, relative) = match self.dtype {
                DType::F64 => (1e-10, 1e-9, 1e-9),
                _ => (1e-5 * slack, 1e-5 * slack, 1e-4 * slack),
            };
            let expected = &self.case["expected"];
            close(&what, &values(&value), &[expected["loss"].as_f64().unwrap()], 0.0, loss);
            let gradients = value.backward();
            for (input, leaf) in inputs.iter().zip(&leaves) {
                let got = values(&leaf.grad(&gradients).unwrap_or_else(|| panic!("{what}: no gradient of {input}")));
                close(&format!("{input} of {what}"), &got, &numbers(&expected["grads"][*input]), absolute, relative);
            }
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused: Vec<(ObjectiveError, &str)> = vec![
        (Cacr::new(-1.0, 2.0).unwrap_err(), "sharpness of attraction -1"),
        (Cacr::new(1.0, f64::NAN).unwrap_err(), "sharpness of repulsion NaN"),
        (Cacr::new(1.0, 2.0).unwrap().with_costs(1.0, -1.0).unwrap_err(), "beta -1"),
        (Cacr::new(1.0, 2.0).unwrap().with_debiasing(1.0).unwrap_err(), "[0, 1)"),
        (Cacr::new(1.0, 2.0).unwrap().with_released_debiasing(f64::NAN).unwrap_err(), "false negatives NaN"),
        (CacrInfoNce::new(0.0).unwrap_err(), "temperature 0"),
        (CoSent::new(0.0).unwrap_err(), "scale 0"),
        (AnglE::new(f64::INFINITY).unwrap_err(), "scale inf"),
        (ListedPairs::new(-0.5).unwrap_err(), "margin -0.5"),
        (NPairs::new(-0.1).unwrap_err(), "penalty -0.1"),
        (HardTriplet::new(f64::NAN).unwrap_err(), "margin NaN"),
    ];
    for (error, part) in refused {
        assert!(error.to_string().contains(part), "{error:?} does not speak of {part:?}");
    }
}

#[test]
fn golden_grace_jensen_shannon() {
    Case::each("grace", &["pygcl_jsd"], |case| {
        let inputs = |x: &[Tensor<2>]| Inputs::new(x[0].clone(), x[1].clone());
        let objective = JensenShannon::new();
        let turned = |x: &[Tensor<2>]| objective.loss(&Inputs::new(x[1].clone(), x[0].clone()));
        let forms: [Form; 4] = [
            &|x| objective.loss(&inputs(x)),
            &|x| contrastive_core::testing::portably(|| objective.loss(&inputs(x))),
            &|x| objective.dense(&inputs(x)),
            &turned,
        ];
        case.check(&["z0", "z1"], 1.0, &forms);
    });
}

#[test]
#[should_panic(expected = "neither scale nor bias")]
fn a_scale_has_no_meaning() {
    let x = crate::unpaired::support::rows(1, [3, 2]);
    let scale = tracked(vec![1.0], [1], crate::unpaired::support::wide());
    JensenShannon::new().with_pairs(Pairs::Diagonal).loss(&Inputs::new(x.clone(), x).with_scale(scale));
}
