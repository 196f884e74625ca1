//! Objectives of two tables or two views.

use crate::bad_inputs::Shape::*;
use crate::bad_inputs::{Entry, entry, numbers, pair, queue, text};
use contrastive_core::objective::*;
use contrastive_core::similarity::Similarity;

const QUEUED: [(&str, crate::bad_inputs::Shape); 3] = [("queries", Rows(1)), ("keys", Rows(1)), ("queue", Fixed(5))];
const VIEWS: [(&str, crate::bad_inputs::Shape); 2] = [("first", Rows(1)), ("second", Rows(1))];

pub(crate) fn entries() -> Vec<Entry> {
    let cosine = |t: f64| PairObjective::new(t).unwrap();
    let scores = |labels: &[i64]| -> Vec<f64> { labels.iter().map(|l| *l as f64).collect() };
    vec![
        pair("InfoNCE", |a, c| InfoNce::new(0.1).unwrap().loss(a, c)),
        pair("InfoNCE of distances", move |a, c| {
            cosine(0.1).with_similarity(Similarity::NegativeSquaredDistance).loss(&Inputs::new(a, c))
        }),
        pair("InfoNCE, tiny temperature", |a, c| InfoNce::new(0.001).unwrap().loss(a, c)),
        entry("InfoNCE with pair terms", &[VIEWS[0], VIEWS[1], ("terms", Numbers(1, 1.5))], move |t, _| {
            let n = t[0].dims()[0];
            let term = PairTerm::classes(t[2].clone(), vec![0; n], vec![0; t[1].dims()[0]]);
            Ok(cosine(0.1).loss(&Inputs::new(t[0].clone(), t[1].clone()).with_pair_scale(term)))
        }),
        entry("InfoNCE with a bias", &[VIEWS[0], VIEWS[1], ("bias", Column)], move |t, _| {
            Ok(cosine(0.1).loss(&Inputs::new(t[0].clone(), t[1].clone()).with_bias(numbers(&t[2]))))
        }),
        entry("InfoNCE with a scale", &[VIEWS[0], VIEWS[1], ("scale", Scale(10.0))], |t, _| {
            let inputs = Inputs::new(t[0].clone(), t[1].clone()).with_scale(numbers(&t[2]));
            Ok(PairObjective::with_input_scale().loss(&inputs))
        }),
        entry("InfoNCE with own negatives", &[VIEWS[0], VIEWS[1], ("negatives", Rows(3))], |t, _| {
            let [rows, d] = t[2].dims();
            let own = t[2].clone().reshape([rows / 3, 3, d]);
            Ok(InfoNce::new(0.1).unwrap().loss_with_own_negatives(t[0].clone(), t[1].clone(), own))
        }),
        pair("NT-Xent", |a, c| NtXent::new(0.1).unwrap().loss(a, c)),
        pair("CLIP", |a, c| Clip::new(0.1).unwrap().loss(a, c)),
        entry("CLIP with a scale", &[VIEWS[0], VIEWS[1], ("scale", Scale(10.0))], |t, _| {
            Ok(Clip::with_logit_scale().loss_with_scale(t[0].clone(), t[1].clone(), numbers(&t[2])))
        }),
        pair("DCL", |a, c| Dcl::new(0.1).unwrap().loss(a, c)),
        pair("DCLW", |a, c| Dcl::new(0.1).unwrap().with_weights(0.5).unwrap().loss(a, c)),
        pair("GRACE", |a, c| Grace::new(0.4).unwrap().loss(a, c)),
        pair("debiased", |a, c| DebiasedInfoNce::new(0.5, 0.1).unwrap().loss(a, c)),
        pair("hard negatives", |a, c| DebiasedInfoNce::new(0.5, 0.1).unwrap().with_hardness(1.0).unwrap().loss(a, c)),
        entry("MoCo", &QUEUED, |t, _| Ok(Moco::new(0.1).unwrap().loss(t[0].clone(), t[1].clone(), &queue(&t[2])))),
        entry("NNCLR", &QUEUED, |t, _| Ok(NnClr::new(0.1).unwrap().loss(t[0].clone(), t[1].clone(), &queue(&t[2])))),
        entry("ReSSL", &QUEUED, |t, _| {
            Ok(ReSsl::new(0.1, 0.04).unwrap().loss(t[0].clone(), t[1].clone(), &queue(&t[2])))
        }),
        pair("ranking", |a, c| MultipleNegativesRanking::new(0.05).unwrap().loss(a, c)),
        pair("ranking, symmetric", |a, c| {
            MultipleNegativesRanking::new(0.05).unwrap().with_both_directions().loss(a, c)
        }),
        pair("ranking, joint", |a, c| MultipleNegativesRanking::new(0.05).unwrap().with_joint_denominator().loss(a, c)),
        pair("ranking, hardness", |a, c| {
            MultipleNegativesRanking::new(0.05).unwrap().with_hardness(2.0).unwrap().loss(a, c)
        }),
        entry("bilinear", &[VIEWS[0], VIEWS[1], ("weight", Square)], |t, _| {
            Ok(BilinearInfoNce::new().loss(t[0].clone(), t[1].clone(), t[2].clone()))
        }),
        entry("1-to-K", &VIEWS, |t, _| {
            let [n, d] = t[1].dims();
            text(OneToK::new(0.1).unwrap().loss(t[0].clone(), t[1].clone().reshape([n, 1, d]), None, None))
        }),
        entry("SigLIP", &[VIEWS[0], VIEWS[1], ("scale", Numbers(1, 10.0)), ("bias", Numbers(1, -10.0))], |t, _| {
            Ok(SigLip::new().loss(t[0].clone(), t[1].clone(), numbers(&t[2]), numbers(&t[3])))
        }),
        pair("N-pairs", |a, c| NPairs::new(0.02).unwrap().loss(a, c)),
        pair("CACR", |a, c| Cacr::new(1.0, 2.0).unwrap().loss(&[a, c])),
        pair("CACR with queries", |a, c| CacrInfoNce::new(0.1).unwrap().loss(&[a], &c)),
        pair("hard contrastive", |a, c| HardContrastive::new(0.2, 0.5).unwrap().loss(a, c)),
        pair("hard contrastive, simple", |a, c| HardContrastive::simple(2.0, 0.5).unwrap().loss(a, c)),
        pair("TS2Vec", |a, c| {
            let cube = |x: burn::tensor::Tensor<2>| {
                let [n, d] = x.dims();
                x.reshape([1, n, d])
            };
            Ts2Vec::new(0.5, 0).unwrap().loss(cube(a), cube(c))
        }),
        entry("dynamic soft margin", &VIEWS, |t, _| {
            text(DynamicSoftMargin::new(10, 0.01).unwrap().loss(t[0].clone(), t[1].clone()))
        }),
        entry("CoSENT", &VIEWS, move |t, labels| {
            Ok(CoSent::new(20.0).unwrap().loss(t[0].clone(), t[1].clone(), &scores(labels)))
        }),
        entry("AnglE", &VIEWS, move |t, labels| {
            Ok(AnglE::new(20.0).unwrap().loss(t[0].clone(), t[1].clone(), &scores(labels)))
        }),
        entry("cosine regression", &VIEWS, |t, labels| {
            let scores: Vec<f64> = labels.iter().map(|l| 0.5 * *l as f64).collect();
            Ok(cosine_regression(t[0].clone(), t[1].clone(), &scores))
        }),
        entry("listed pairs", &VIEWS, |t, labels| {
            let alike: Vec<bool> = labels.iter().map(|l| *l == 0).collect();
            Ok(ListedPairs::new(0.5).unwrap().loss(t[0].clone(), t[1].clone(), &alike))
        }),
        pair("GroCo", |a, c| {
            let k = (a.dims()[0].max(1) - 1).clamp(1, 3);
            GroCo::new(k).unwrap().loss(&[a.clone(), c.clone(), a * 0.9, c * 1.1], 2)
        }),
        entry("SogCLR", &VIEWS, |t, labels| {
            let samples: Vec<usize> = (0..labels.len()).collect();
            text(SogClr::new(16, 0.1, Views::Alike).unwrap().loss(t[0].clone(), t[1].clone(), &samples))
        }),
        entry("iSogCLR", &VIEWS, |t, labels| {
            let samples: Vec<usize> = (0..labels.len()).collect();
            let mut objective = ISogClr::new(16, TemperatureRule::bimodal(), Views::Modalities).unwrap();
            text(objective.loss(t[0].clone(), t[1].clone(), &samples))
        }),
        pair("alignment", |a, c| Alignment::new(2.0).unwrap().loss(a, c)),
        entry("uniformity", &[("rows", Rows(1))], |t, _| Ok(Uniformity::new(2.0).unwrap().loss(t[0].clone()))),
        pair("joint entropy", |c, s| JointEntropy::new(0.5).unwrap().loss(c, s)),
        entry("BECLR", &[("p0", Rows(1)), ("p1", Rows(1)), ("z0", Rows(1)), ("z1", Rows(1))], |t, _| {
            let [p0, p1, z0, z1] = [0, 1, 2, 3].map(|k: usize| Enhanced::plain(t[k].clone()));
            Ok(Beclr::new(2.0, 0.1).unwrap().loss(&[p0, p1], &[z0.clone(), z1.clone()], &[z0, z1]))
        }),
        pair("Barlow Twins", |a, c| BarlowTwins::new(5e-3).unwrap().loss(a, c)),
        pair("VICReg", |a, c| VicReg::default().loss(a, c)),
        pair("SimSiam", negative_cosine),
        entry("BYOL", &[("p0", Rows(1)), ("p1", Rows(1)), ("z0", Rows(1)), ("z1", Rows(1))], |t, _| {
            Ok(byol(t[0].clone(), t[1].clone(), t[2].clone(), t[3].clone()))
        }),
    ]
}
