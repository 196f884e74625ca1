//! The STS protocols, geometry, transfer.

use crate::common::*;
use contrastive_text::TextError;
use contrastive_text::data::*;
use contrastive_text::encoder::Embed;
use contrastive_text::evaluate::*;
use ndarray::{Array2, array};

/// Rows by hand: texts are `angle` or `angle length`, in degrees.
struct Angles;

impl Embed for Angles {
    fn embed(&self, texts: &[&str]) -> Result<Array2<f32>, TextError> {
        let row = |text: &&str| {
            let mut numbers = text.split(' ').map(|number| number.parse::<f32>().unwrap());
            let (angle, length) = (numbers.next().unwrap().to_radians(), numbers.next().unwrap_or(1.0));
            [length * angle.cos(), length * angle.sin()]
        };
        let rows: Vec<f32> = texts.iter().flat_map(row).collect();
        Ok(Array2::from_shape_vec((texts.len(), 2), rows).unwrap())
    }
}

fn pairs(name: &str, angles: &[[&str; 2]], gold: &[f64]) -> ScoredPairs {
    let pairs = angles.iter().map(|pair| pair.map(String::from)).collect();
    ScoredPairs { name: name.into(), pairs, gold: gold.to_vec(), unscored: Vec::new(), notes: Vec::new() }
}

/// Check 5 of SimCSE: subsets that are each in perfect order, with cosines that are shifted against each other.
#[test]
fn the_protocols_differ_where_subsets_are_shifted() {
    // cosines fall as gold falls within each; across, the second has small cosines for large scores
    let near = pairs("near", &[["0", "5"], ["0", "10"], ["0", "20"]], &[2.0, 1.0, 0.0]);
    let far = pairs("far", &[["0", "60 3"], ["0", "70"]], &[5.0, 4.0]);
    let set = StsSet { name: "shifted".into(), subsets: vec![near, far.clone()] };
    close("mean", sts_set(&Angles, &set, Protocol::Mean).unwrap(), 1.0, 1e-12);
    close("wmean", sts_set(&Angles, &set, Protocol::WeightedMean).unwrap(), 1.0, 1e-12);
    // ranks by cosine 5 4 3 2 1, by gold 3 2 1 5 4: 1 - 6 (4 + 4 + 4 + 9 + 9) / 120
    close("all", sts_set(&Angles, &set, Protocol::All).unwrap(), 1.0 - 6.0 * 30.0 / 120.0, 1e-12);
    assert_eq!(
        [Protocol::All, Protocol::Mean, Protocol::WeightedMean].map(|p| p.to_string()),
        ["all", "mean", "wmean"]
    );
    close("pairs", sts_pairs(&Angles, &far).unwrap(), 1.0, 1e-12);
    // subsets of different size: the weighted mean counts pairs
    let turned = pairs("turned", &[["0", "1"], ["0", "2"], ["0", "3"]], &[0.0, 1.0, 2.0]);
    let set = StsSet { name: "two".into(), subsets: vec![far, turned] };
    close("mean", sts_set(&Angles, &set, Protocol::Mean).unwrap(), 0.0, 1e-12);
    close("wmean", sts_set(&Angles, &set, Protocol::WeightedMean).unwrap(), (2.0 - 3.0) / 5.0, 1e-12);
    let constant = pairs("constant", &[["0", "1"], ["5", "6"]], &[1.0, 1.0]);
    assert!(sts_pairs(&Angles, &constant).unwrap_err().to_string().contains("all equal"));
}

/// A row without length has the cosine 0; lengths do not count.
#[test]
fn cosines_of_rows() {
    let got = cosines(&array![[3.0, 0.0], [0.0, 0.0], [1.0, 1.0]], &array![[1.0, 1.0], [1.0, 0.0], [-2.0, -2.0]]);
    for (got, want) in got.iter().zip([0.5f64.sqrt(), 0.0, -1.0]) {
        close("cosine", *got, want, 1e-12);
    }
}

/// Check 6 of SimCSE through the protocol: identical pairs, antipodes.
#[test]
fn geometry_at_its_ends() {
    let same = pairs("same", &[["0", "0 5"], ["180", "180"]], &[5.0, 1.0]);
    let geometry = geometry(&Angles, &same, 4.0, &device()).unwrap();
    assert_eq!(geometry.alignment, 0.0);
    // rows 0, 0, 180: of six ordered pairs four are antipodal (e^-8), two equal (1)
    close("uniformity", geometry.uniformity, ((2.0 + 4.0 * (-8f64).exp()) / 6.0).ln(), 1e-5);
    assert!(contrastive_text::evaluate::geometry(&Angles, &same, 5.0, &device()).is_err(), "no pair above 5");
}

#[test]
fn length_bias_finds_a_model_of_lengths() {
    struct ByLength;
    impl Embed for ByLength {
        fn embed(&self, texts: &[&str]) -> Result<Array2<f32>, TextError> {
            let angle = |text: &&str| (text.split(' ').count() as f32 * 0.1).sin_cos();
            let rows: Vec<f32> = texts.iter().map(angle).flat_map(|(sin, cos)| [sin, cos]).collect();
            Ok(Array2::from_shape_vec((texts.len(), 2), rows).unwrap())
        }
    }
    let texts: Vec<String> = (1..15).map(|n| vec!["w"; n].join(" ")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert!(length_bias(&ByLength, &texts, 500, 1).unwrap() > 0.9);
    assert!(length_bias(&ByLength, &texts[..1], 5, 1).unwrap_err().to_string().contains("texts is 1"));
}

#[test]
fn transfer_tells_classes_that_lie_apart() {
    let part = |offset: usize| {
        let texts = (0..60).map(|n| format!("{}", (n % 2) * 90 + (n * 7 + offset) % 30)).collect();
        Labelled { texts, labels: (0..60).map(|n| n as u32 % 2).collect() }
    };
    let classes = vec!["a".to_string(), "b".to_string()];
    let whole = Transfer { task: Task::Mr, classes, train: part(0), validation: None, test: None, notes: Vec::new() };
    let probing = Probing { folds: 5, ..Probing::default() };
    assert_eq!(transfer(&Angles, &whole, &probing).unwrap(), 1.0);
    let parts = Transfer { test: Some(part(3)), ..whole.clone() };
    assert_eq!(transfer(&Angles, &parts, &probing).unwrap(), 1.0);
    let folds = Probing { folds: 1, ..Probing::default() };
    assert!(transfer(&Angles, &whole, &folds).unwrap_err().to_string().contains("folds is 1"));
}
