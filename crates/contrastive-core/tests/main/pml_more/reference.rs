//! Values and gradients of pytorch-metric-learning 2.9.0 (torch 2.2.2, f64): of rows `sin(1.7 k + 0.4)` and class weights
//! `sin(2.3 k + 1.1)`, k counting through the tables, each gradient summed up with weights `cos(0.9 k)`.

use crate::common::close;
use crate::pml_more::*;
use burn::tensor::DType;
use contrastive_core::pairs::Pairs;

const EVEN: [i64; 12] = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3];
const ODD: [i64; 12] = [0, 1, 0, 2, 1, 0, 0, 3, 2, 0, 1, 2];
/// 28.6 degrees.
const ARC: f64 = 0.4991641660703783;

/// Loss, and the sums of both gradients, of even labels and of odd ones.
const LABELLED: [(&str, [[f64; 3]; 2]); 15] = [
    ("angular", [[5.376440254761165, 0.09796130231965858, 0.0], [3.629610300888306, 0.03500836110073497, 0.0]]),
    ("lifted", [[9.68637785317445, -0.012044661748788321, 0.0], [6.3319683271037235, 0.24459063771786005, 0.0]]),
    ("histogram", [[0.6740429289717773, -0.07137903426774424, 0.0], [0.3944715631451632, 0.08259945566212215, 0.0]]),
    ("ranked list", [[0.8746428682710086, 0.004801209811622437, 0.0], [0.6275188015729619, 0.024993738759492557, 0.0]]),
    (
        "ranked list, all settings",
        [[0.9261725132277564, -0.015417660091250951, 0.0], [0.6495018083347966, -0.0029371292227795415, 0.0]],
    ),
    ("snr", [[3.8279080147894655, 0.04427784318351494, 0.0], [2.494166061588307, 0.2990320423032121, 0.0]]),
    ("tcm", [[3.0286062786929104, 0.053348519537563886, 0.0], [2.230646515349446, 0.40308450145033586, 0.0]]),
    ("instance", [[62.575116545218584, 4.469298281362291, 0.0], [44.15087545050958, 5.404441649533197, 0.0]]),
    ("pnp O", [[4.240836521492384, -0.2240762555044814, 0.0], [2.0146390113962043, 0.2408401976049732, 0.0]]),
    ("pnp Ds", [[1.454382049287016, -0.03732691438298402, 0.0], [0.8685126853780889, 0.026183683843344886, 0.0]]),
    ("pnp Dq", [[0.7931673272435147, -0.008272708261556785, 0.0], [0.5959878625060642, -0.002550865565934382, 0.0]]),
    ("pnp Iu", [[9.46751032394318, -0.6563247957647935, 0.0], [4.03356506969119, 0.7382447529444106, 0.0]]),
    ("pnp Ib", [[1.6280046268974184, -0.10126676422618847, 0.0], [0.6947428960626014, 0.11401981917594022, 0.0]]),
    (
        "margin one beta",
        [
            [0.7836642969501401, 0.0024925705111016423, -0.20120481927710865],
            [0.6697265173690689, 0.03282937298077412, -0.059663865546218386],
        ],
    ),
    (
        "margin class betas",
        [
            [0.8490426950814884, 0.006260382221951028, -0.015911000972268108],
            [0.7036944751068224, 0.035938816066296043, -0.020667128366829747],
        ],
    ),
];

/// The same of odd labels.
const CLASSES: [(&str, [f64; 3]); 7] = [
    ("soft triple", [2.5505043253592916, 0.018305097245714386, -1.7745666423512965]),
    ("soft triple regularised", [2.6843250876990523, 0.018305097245714386, -1.7727315086234636]),
    ("sphereface", [6.194557471675497, 0.6841759537227962, -0.26412274932031365]),
    ("sphereface 3", [8.420840187845608, 0.6827688011395223, -0.6317005866165359]),
    ("large margin", [9.327708606991637, 1.2810418891308273, 0.3695113946895392]),
    ("sub-centre", [4.669919523334534, -0.05924339339071735, -1.137288905244324]),
    ("p2sgrad", [0.5066056793971591, 0.11387448409144682, -0.32479741281610924]),
];

fn probe(gradient: &[f64]) -> f64 {
    gradient.iter().enumerate().map(|(k, g)| g * (0.9 * k as f64).cos()).sum()
}

/// All forms of a loss in all types.
fn check(name: &str, tables: &[Vec<f64>], forms: &[Form], expected: [f64; 3], tolerance: f64) {
    for dtype in types() {
        for (k, form) in forms.iter().enumerate() {
            let (value, gradients) = evaluated(tables, 5, dtype, form);
            let mut got = vec![value];
            got.extend(gradients.iter().map(|g| probe(g)));
            let tolerance = if dtype == DType::F64 { tolerance } else { 1e-4 };
            close(&format!("{name}, form {k} in {dtype:?}"), &got, &expected[..got.len()], tolerance, tolerance);
        }
    }
}

fn labelled(name: &str, labels: &'static [i64]) -> Vec<Form> {
    let margin = |objective: MarginBased, column: usize| {
        both!(objective.clone(), |o, x| {
            let betas = x[1].clone().slice([0..column, 0..1]).reshape([column]);
            o.loss(x[0].clone(), labels, betas)
        })
    };
    let lifted = LiftedStructuredEmbedding::new(1.0).unwrap().with_positive_margin(0.1).unwrap();
    let ranked = RankedList::new(0.4, 5.0).unwrap().with_imbalance(0.3).unwrap().with_alpha(1.1).unwrap();
    let ranked = ranked.with_positive_temperature(2.0).unwrap();
    let consistent = PairContrastive::of_similarities(0.9, 0.2).unwrap().with_weights(2.0, 0.5).unwrap();
    let pnp = Pnp::new(0.1).unwrap();
    let margins = MarginBased::new(0.2).unwrap().with_penalty(0.1).unwrap();
    match name {
        "angular" => vec![form(move |x| Angular::new(40f64.to_radians()).unwrap().loss(x[0].clone(), labels))],
        "lifted" => both!(lifted.clone(), |o, x| o.loss(x[0].clone(), labels)),
        "histogram" => both!(Histogram::new(20).unwrap(), |o, x| o.loss(x[0].clone(), labels)),
        "ranked list" => both!(RankedList::new(0.4, 10.0).unwrap(), |o, x| o.loss(x[0].clone(), labels)),
        "ranked list, all settings" => both!(ranked.clone(), |o, x| o.loss(x[0].clone(), labels)),
        "snr" => both!(SignalToNoise::new(0.1, 1.5).unwrap(), |o, x| o.loss(x[0].clone(), labels)),
        "tcm" => {
            both!(consistent.clone().with_pairs(Pairs::labels(labels)), |o, x| o
                .loss(&Inputs::self_contrast(x[0].clone())))
        }
        "instance" => {
            let places = labels.iter().map(|l| *l as u32).collect();
            let objective = PairObjective::new(1.0 / 64.0).unwrap().with_pairs(Pairs::one_each(places));
            both!(objective.clone(), |o, x| o.loss(&Inputs::new(x[0].clone(), x[0].clone())))
        }
        "pnp O" => both!(pnp.clone(), |o, x| o.loss(x[0].clone(), labels)),
        "pnp Ds" => both!(pnp.clone().with_logarithmic_cost(), |o, x| o.loss(x[0].clone(), labels)),
        "pnp Dq" => both!(pnp.clone().with_power_cost(1.5).unwrap(), |o, x| o.loss(x[0].clone(), labels)),
        "pnp Iu" => both!(pnp.clone().with_increasing_cost(), |o, x| o.loss(x[0].clone(), labels)),
        "pnp Ib" => both!(pnp.clone().with_bounded_cost(2.0).unwrap(), |o, x| o.loss(x[0].clone(), labels)),
        "margin one beta" => margin(margins, 1),
        "margin class betas" => margin(margins, 4),
        _ => panic!("{name}"),
    }
}

#[test]
fn labelled_losses_are_those_of_the_library() {
    for (name, expected) in LABELLED {
        for (labels, expected) in [&EVEN[..], &ODD].into_iter().zip(expected) {
            let mut tables = vec![waves(12, 5, 1.7, 0.4)];
            if name.starts_with("margin") {
                let betas = [1.25, 1.0, 1.125, 0.875];
                tables.push(betas.iter().flat_map(|b| [*b, 0.0, 0.0, 0.0, 0.0]).collect());
            }
            if name == "margin one beta" {
                tables[1].truncate(5);
            }
            let forms = labelled(name, labels);
            if !name.starts_with("margin") {
                // the library's distances lose digits
                check(name, &tables, &forms, expected, 1e-9);
                continue;
            }
            for dtype in types() {
                for form in &forms {
                    let (value, gradients) = evaluated(&tables, 5, dtype, form);
                    let betas: Vec<f64> = gradients[1].iter().step_by(5).copied().collect();
                    let tolerance = if dtype == DType::F64 { 1e-9 } else { 1e-4 };
                    let got = [value, probe(&gradients[0]), probe(&betas)];
                    close(&format!("{name} in {dtype:?}"), &got, &expected, tolerance, tolerance);
                }
            }
        }
    }
}

/// Three classes of three rows: with other numbers of both, the library takes groups of rows that are no classes.
#[test]
fn smooth_ap_is_that_of_the_library() {
    let labels = [0, 0, 0, 1, 1, 1, 2, 2, 2];
    let forms = both!(SmoothAp::new(0.1).unwrap(), |o, x| o.loss(x[0].clone(), &labels));
    let expected = [0.521319024227124, -0.015466648769412651, 0.0];
    check("Smooth-AP", &[waves(9, 5, 1.7, 0.4)], &forms, expected, 1e-10);
}

#[test]
fn class_losses_are_those_of_the_library() {
    let soft = SoftTriple::new(20.0, 0.1, 0.01, 3).unwrap();
    for (name, expected) in CLASSES {
        let sphere = |m: usize, s: f64| {
            vec![form(move |x| SphereFace::new(m, s).unwrap().loss(x[0].clone(), &ODD, x[1].clone()))]
        };
        let (centers, forms) = match name {
            "soft triple" => (3, both!(soft.clone(), |o, x| o.loss(x[0].clone(), &ODD, x[1].clone()))),
            "soft triple regularised" => {
                let loss = both!(soft.clone(), |o, x| {
                    o.loss(x[0].clone(), &ODD, x[1].clone()) + o.regularizer(x[1].clone()) * 0.2
                });
                (3, loss)
            }
            "sphereface" => (1, sphere(4, 1.0)),
            "sphereface 3" => (1, sphere(3, 2.0)),
            "large margin" => {
                let large = LargeMarginSoftmax::new(4, 1.0).unwrap();
                (1, vec![form(move |x| large.loss(x[0].clone(), &ODD, x[1].clone()))])
            }
            "sub-centre" => {
                let arc = SubCenterArcFace::new(ARC, 8.0, 3).unwrap();
                (3, both!(arc.clone(), |o, x| o.loss(x[0].clone(), &ODD, x[1].clone())))
            }
            _ => (1, vec![form(|x| P2sGrad::new().loss(x[0].clone(), &ODD, x[1].clone()))]),
        };
        let tables = [waves(12, 5, 1.7, 0.4), waves(4 * centers, 5, 2.3, 1.1)];
        if name == "p2sgrad" {
            // its weights are of length 1 but for 1e-7, and their gradient is another
            let (value, gradients) = evaluated(&tables, 5, types()[0], &forms[0]);
            close(name, &[value, probe(&gradients[0])], &expected[..2], 1e-6, 1e-6);
        } else {
            // the library's regulariser adds 1e-6 under its root
            let tolerance = if name == "soft triple regularised" { 1e-6 } else { 1e-9 };
            check(name, &tables, &forms, expected, tolerance);
        }
    }
}

#[test]
fn dynamic_soft_margin_is_that_of_the_library() {
    let mut objective = DynamicSoftMargin::new(10, 0.1).unwrap();
    let rows = |shift: f64| tracked(waves(8, 5, 1.7, shift), [8, 5], types()[0]);
    let batches = [([0.4, 0.5], -0.068_925_926_483_744), ([1.4, 2.0], 0.293_595_021_702_503)];
    for ([anchors, positives], expected) in batches {
        let value = objective.loss(rows(anchors), rows(positives)).unwrap();
        close("a batch", &values(&value), &[expected], 1e-6, 1e-6);
    }
}
