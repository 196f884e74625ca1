//! Objectives of scores, maps, densities, groups; synthetic rows.

use crate::bad_inputs::Shape::*;
use crate::bad_inputs::{Entry, Shape, entry, numbers, queue, rows, text};
use crate::common::tracked;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;
use contrastive_core::similarity::unit_rows;
use contrastive_core::synthesis::*;

const QUEUED: [(&str, Shape); 3] = [("queries", Rows(1)), ("keys", Rows(1)), ("queue", Fixed(5))];
const VIEWS: [(&str, Shape); 2] = [("first", Rows(1)), ("second", Rows(1))];
const CELLS: [(&str, Shape); 2] = [("first", Rows(4)), ("second", Rows(4))];

/// Rows of four cells each as maps `[n, d, 2, 2]`.
fn maps(cells: &Tensor<2>) -> Tensor<4> {
    let [n, d] = cells.dims();
    let cells: Tensor<3> = cells.clone().reshape([n / 4, 4, d]);
    cells.swap_dims(1, 2).reshape([n / 4, d, 2, 2])
}

fn boxes(n: usize) -> Vec<CropBox> {
    vec![CropBox::new([0.0, 0.0, 1.0, 1.0]).unwrap(); n]
}

fn hallucinator(x: &Tensor<2>) -> Hallucinator {
    HallucinatorConfig::new(4).init(1, (&x.device(), x.dtype())).unwrap()
}

fn temperatures(x: &Tensor<2>) -> PairTemperature {
    PairTemperatureConfig::new(4).init(1, (&x.device(), x.dtype())).unwrap()
}

/// Whitened rows against fixed numbers.
fn weighed(white: Tensor<2>) -> Tensor<1> {
    let [n, d] = white.dims();
    let data = burn::tensor::TensorData::new(rows(n, d, 0.7), [n, d]);
    (white.clone() * Tensor::from_data(data, (&white.device(), white.dtype()))).sum()
}

fn hydra(similarity: GatedSimilarity, name: &'static str) -> Entry {
    entry(name, &[VIEWS[0], VIEWS[1], ("gates", Rows(1))], move |t, labels| {
        let n = labels.len();
        let paired: Vec<i64> = (0..n).map(|i| labels[(i + 2) % n]).collect();
        let objective = Hydra::new(0.1).unwrap().with_similarity(similarity);
        Ok(text(objective.loss(t[0].clone(), t[1].clone(), t[2].clone(), labels, &paired))?.0)
    })
}

pub(crate) fn entries() -> Vec<Entry> {
    let scores = || [("large 0", Rows(1)), ("large 1", Rows(1)), ("small", Rows(1))];
    let swav = |sinkhorn: Sinkhorn| {
        move |t: &[Tensor<2>], _: &[i64]| {
            let objective = SwAv::new(0.1, sinkhorn.clone()).unwrap();
            Ok(objective.loss(&[t[0].clone(), t[1].clone()], &[t[2].clone()]))
        }
    };
    vec![
        entry("SwAV", &scores(), swav(Sinkhorn::new(0.05, 3).unwrap())),
        entry("SwAV in the log domain", &scores(), swav(Sinkhorn::new(0.05, 3).unwrap().with_log_domain())),
        entry("SwAV, portable", &scores(), move |t: &[Tensor<2>], labels: &[i64]| {
            contrastive_core::testing::portably(|| swav(Sinkhorn::new(0.05, 3).unwrap())(t, labels))
        }),
        entry(
            "DINO",
            &[("teacher 0", Rows(1)), ("teacher 1", Rows(1)), ("student 0", Rows(1)), ("student 1", Rows(1))],
            |t, _| {
                let center = DinoCenter::zeros(t[0].dims()[1], &crate::common::device(), DType::F32);
                let [teacher, student] = [&t[..2], &t[2..]];
                Ok(Dino::new(0.1, 0.04, 0.9).unwrap().loss(teacher, student, &center))
            },
        ),
        entry("W-MSE", &VIEWS, |t, _| text(WMse::new(1e-3).unwrap().loss(t[0].clone(), t[1].clone(), None))),
        entry("whitening by ZCA", &[("rows", Rows(1))], |t, _| {
            Ok(weighed(text(Whitening::new(WhiteningForm::Zca, 1e-3).unwrap().whiten(t[0].clone()))?))
        }),
        entry("whitening by Cholesky", &[("rows", Rows(1))], |t, _| {
            Ok(weighed(text(Whitening::new(WhiteningForm::Cholesky, 1e-3).unwrap().whiten(t[0].clone()))?))
        }),
        entry("BPR", &[("users", Rows(1)), ("positives", Rows(1)), ("negatives", Rows(1))], |t, _| {
            Ok(bpr(t[0].clone(), t[1].clone(), t[2].clone()))
        }),
        entry("BPR of scores", &[("positives", Column), ("negatives", Column)], |t, _| {
            Ok(bpr_from_scores(numbers(&t[0]), numbers(&t[1])))
        }),
        entry("sampled BCE", &[("states", Rows(1)), ("positives", Rows(1)), ("negatives", Rows(1))], |t, labels| {
            Ok(sampled_bce(t[0].clone(), t[1].clone(), t[2].clone(), &vec![true; labels.len()]))
        }),
        entry("PixPro", &CELLS, |t, labels| {
            let boxes = boxes(labels.len());
            Ok(PixPro::new(0.7).unwrap().loss(maps(&t[0]), maps(&t[1]), &boxes, &boxes))
        }),
        entry("PixContrast", &CELLS, |t, labels| {
            let boxes = boxes(labels.len());
            Ok(PixContrast::new(0.3, 0.7).unwrap().loss(maps(&t[0]), maps(&t[1]), &boxes, &boxes))
        }),
        entry("MECO", &[("data", Column), ("noise", Density), ("noise density", Column)], |t, _| {
            let [x, y, q] = [0, 1, 2].map(|k| numbers(&t[k]));
            Ok(text(Meco::new(0.1).unwrap().loss(x, y, q))?.loss)
        }),
        entry(
            "binary NCE",
            &[
                ("data", Column),
                ("data density", Column),
                ("noise", Density),
                ("noise density", Column),
                ("normaliser", Scale(0.5)),
            ],
            |t, _| {
                let [x, p, y, q, c] = [0, 1, 2, 3, 4].map(|k| numbers(&t[k]));
                text(BinaryNce.loss([x, p], [y, q], c))
            },
        ),
        entry("AMCL", &VIEWS, |t, _| {
            let heads = [AmclHead { first: unit_rows(t[0].clone()), second: unit_rows(t[1].clone()) }];
            text(Amcl::new(0.1).unwrap().loss(&heads, &temperatures(&t[0])))
        }),
        entry("AMCL, the nearest", &VIEWS, |t, _| {
            let heads = [AmclHead { first: unit_rows(t[0].clone()), second: unit_rows(t[1].clone()) }];
            text(Amcl::new(0.1).unwrap().with_form(AmclForm::Max).loss(&heads, &temperatures(&t[0])))
        }),
        entry("AMCL of SimSiam", &[("p0", Rows(1)), ("p1", Rows(1)), ("z0", Rows(1)), ("z1", Rows(1))], |t, _| {
            let [p0, p1, z0, z1] = [0, 1, 2, 3].map(|k| t[k].clone());
            Ok(Amcl::new(0.1).unwrap().simsiam_loss([p0, p1], [z0, z1], &temperatures(&t[0])))
        }),
        hydra(GatedSimilarity::Projected, "Hydra"),
        hydra(GatedSimilarity::Cosine, "Hydra of gated cosines"),
        entry("MoCHi", &QUEUED, |t, _| {
            let objective = Mochi::new(0.2, 3, 2, 1).unwrap();
            text(objective.loss(t[0].clone(), t[1].clone(), &queue(&t[2]), 0, 0))
        }),
        entry("latent positives", &[("queries", Rows(1))], |t, _| {
            let n = t[0].dims()[0];
            let keys = unit_rows(tracked(rows(n, 4, 0.3), [n, 4], DType::F32));
            let prototypes = unit_rows(tracked(rows(5, 4, 0.6), [5, 4], DType::F32));
            let latent = LatentPositives::new(20).unwrap();
            text(latent.loss(t[0].clone(), &text(latent.make(&keys, &prototypes, 1, 0))?, 0.1))
        }),
        entry("feature transformation", &VIEWS, |t, _| {
            let [q, k] = [0, 1].map(|at| unit_rows(t[at].clone()));
            let queue = unit_rows(tracked(rows(5, 4, 0.6), [5, 4], DType::F32));
            Ok(text(FeatureTransform::new(0.2).unwrap().loss(q, k, queue, 0, 0))?.0)
        }),
        entry("feature transformation, the queue", &[("queue", Fixed(5))], |t, labels| {
            let n = labels.len();
            let [q, k] = [0.0, 0.3].map(|shift| unit_rows(tracked(rows(n, 4, shift), [n, 4], DType::F32)));
            let queue = unit_rows(t[0].clone());
            Ok(text(FeatureTransform::new(0.2).unwrap().loss(q, k, queue, 0, 0))?.0)
        }),
        entry("Hallucinator of MoCo", &QUEUED, |t, _| {
            let host = Moco::new(0.1).unwrap();
            Ok(hallucinator(&t[0]).moco_loss(&host, t[0].clone(), t[1].clone(), &queue(&t[2]), 0.05))
        }),
        entry("Hallucinator of NT-Xent", &VIEWS, |t, _| {
            let host = NtXent::new(0.1).unwrap();
            Ok(hallucinator(&t[0]).simclr_loss(&host, t[0].clone(), t[1].clone(), 0.05))
        }),
        entry("Hallucinator of NT-Xent, halves", &VIEWS, |t, _| {
            let host = NtXent::new(0.1).unwrap();
            Ok(hallucinator(&t[0]).simclr_halves_loss(&host, t[0].clone(), t[1].clone(), 0.05))
        }),
        entry(
            "Hallucinator of SimSiam",
            &[("p0", Rows(1)), ("p1", Rows(1)), ("z0", Rows(1)), ("z1", Rows(1))],
            |t, _| {
                let [p0, p1, z0, z1] = [0, 1, 2, 3].map(|k| t[k].clone());
                Ok(hallucinator(&t[0]).simsiam_loss([p0, p1], [z0, z1], [0.05; 2]))
            },
        ),
        entry("groups of InfoNCE", &[("anchors", Rows(2)), ("candidates", Rows(2))], |t, _| {
            let cube = |x: &Tensor<2>| -> Tensor<3> {
                let [n, d] = x.dims();
                x.clone().reshape([2, n / 2, d])
            };
            let objective = Grouped::new(PairObjective::new(0.1).unwrap());
            Ok(objective.loss(&GroupedInputs::new(cube(&t[0]), cube(&t[1]))))
        }),
        entry("soft cross-entropy", &[("targets", Rows(1)), ("scores", Rows(1))], |t, _| {
            text(soft_cross_entropy(t[0].clone(), t[1].clone(), 0.1))
        }),
    ]
}
