//! Objectives of one table under labels.

use crate::bad_inputs::Shape::*;
use crate::bad_inputs::{Entry, Shape, entry, numbers};
use crate::common::values;
use burn::tensor::Tensor;
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;

fn labelled(name: &'static str, loss: impl Fn(Tensor<2>, &[i64]) -> Tensor<1> + 'static) -> Entry {
    let loss = move |t: &[Tensor<2>], labels: &[i64]| Ok(loss(t[0].clone(), labels));
    Entry { labelled: true, ..entry(name, &[("rows", Rows(1))], loss) }
}

/// With a second table.
fn beside(
    name: &'static str,
    table: (&'static str, Shape),
    loss: impl Fn(Tensor<2>, &[i64], Tensor<2>) -> Tensor<1> + 'static,
) -> Entry {
    let loss = move |t: &[Tensor<2>], labels: &[i64]| Ok(loss(t[0].clone(), labels, t[1].clone()));
    Entry { labelled: true, ..entry(name, &[("rows", Rows(1)), table], loss) }
}

/// An objective that tells the values of its rows.
macro_rules! by_rows {
    ($name:expr, $objective:expr) => {
        Entry {
            each: Some(Box::new(|rows, labels| values(&$objective.evaluate(rows, labels, false).rows))),
            ..labelled($name, |rows, labels| $objective.loss(rows, labels))
        }
    };
}

/// The same of inputs whose pairs are choices.
macro_rules! of_inputs {
    ($name:expr, $objective:expr) => {
        Entry {
            each: Some(Box::new(|rows, labels| {
                let objective = $objective.with_pairs(Pairs::labels(labels));
                values(&objective.evaluate(&Inputs::self_contrast(rows.clone()), Wanted::VALUE).rows)
            })),
            ..labelled($name, |rows, labels| {
                $objective.with_pairs(Pairs::labels(labels)).loss(&Inputs::self_contrast(rows))
            })
        }
    };
}

pub(crate) fn entries() -> Vec<Entry> {
    let weights = || ("weights", Fixed(6));
    vec![
        Entry {
            each: Some(Box::new(|rows, labels| {
                let objective = SupCon::new(0.1).unwrap().objective(labels);
                values(&objective.evaluate(&Inputs::self_contrast(rows.clone()), Wanted::VALUE).rows)
            })),
            ..labelled("SupCon", |a, labels| SupCon::new(0.1).unwrap().loss(a, labels))
        },
        labelled("NT-Xent of labels", |a, labels| NtXent::new(0.1).unwrap().loss_with_labels(a, labels)),
        by_rows!("multi-similarity", MultiSimilarity::new(2.0, 50.0, 0.5).unwrap()),
        by_rows!("multi-similarity, mined", MultiSimilarity::new(2.0, 50.0, 0.5).unwrap().with_mining(0.1).unwrap()),
        by_rows!("circle", Circle::new(0.4, 80.0).unwrap()),
        by_rows!("lifted structure", LiftedStructure::new(1.0).unwrap()),
        of_inputs!("contrastive", PairContrastive::of_distances(0.0, 2.0).unwrap()),
        labelled("NCA", |a, labels| Nca::new(10.0).unwrap().loss(a, labels)),
        by_rows!("triplet, all", Triplet::new(0.05).unwrap()),
        by_rows!("triplet, hard", Triplet::new(0.05).unwrap().with_mining(Mining::Hard).unwrap()),
        by_rows!("tuplet margin", TupletMargin::new(0.1, 64.0).unwrap()),
        by_rows!("FastAP", FastAp::new(10).unwrap()),
        by_rows!("intra-pair variance", IntraPairVariance::new(0.01, 0.01).unwrap()),
        by_rows!("hard triplets", HardTriplet::new(5.0).unwrap()),
        labelled("angular", |a, labels| Angular::new(0.7).unwrap().loss(a, labels)),
        by_rows!("lifted pairs", LiftedStructuredEmbedding::new(1.0).unwrap()),
        by_rows!("ranked list", RankedList::new(0.4, 1.9).unwrap()),
        by_rows!("Smooth-AP", SmoothAp::new(0.01).unwrap()),
        by_rows!("PNP", Pnp::new(0.01).unwrap()),
        by_rows!("PNP, increasing", Pnp::new(0.01).unwrap().with_increasing_cost()),
        by_rows!("histogram", Histogram::new(100).unwrap()),
        labelled("signal to noise", |a, labels| SignalToNoise::new(0.0, 4.0).unwrap().loss(a, labels)),
        of_inputs!(
            "threshold-consistent margin",
            PairContrastive::of_similarities(0.9, -0.9).unwrap().with_weights(1.0, 2.0).unwrap()
        ),
        of_inputs!("Jensen-Shannon", JensenShannon::new()),
        beside("margin-based", ("beta", Numbers(1, 1.2)), |a, labels, betas| {
            MarginBased::new(0.2).unwrap().with_penalty(0.1).unwrap().loss(a, labels, numbers(&betas))
        }),
        beside("margin-based of classes", ("betas", Numbers(6, 1.2)), |a, labels, betas| {
            MarginBased::new(0.2).unwrap().loss(a, labels, numbers(&betas))
        }),
        beside("Proxy-Anchor", ("proxies", Fixed(6)), |a, labels, proxies| {
            ProxyAnchor::new(0.1, 32.0).unwrap().loss(a, labels, proxies)
        }),
        beside("ArcFace", weights(), |a, labels, weights| {
            ClassMargin::arcface(0.5, 30.0).unwrap().loss(a, labels, weights)
        }),
        beside("SoftTriple", ("centres", Fixed(18)), |a, labels, centers| {
            let objective = SoftTriple::new(20.0, 0.1, 0.01, 3).unwrap();
            objective.loss(a, labels, centers.clone()) + objective.regularizer(centers)
        }),
        beside("sub-centre ArcFace", ("centres", Fixed(18)), |a, labels, centers| {
            SubCenterArcFace::new(0.5, 64.0, 3).unwrap().loss(a, labels, centers)
        }),
        beside("SphereFace", weights(), |a, labels, weights| SphereFace::new(4, 1.0).unwrap().loss(a, labels, weights)),
        beside("large-margin softmax", weights(), |a, labels, weights| {
            LargeMarginSoftmax::new(4, 1.0).unwrap().loss(a, labels, weights)
        }),
        beside("P2SGrad", weights(), |a, labels, weights| P2sGrad::new().loss(a, labels, weights)),
        labelled("PamC", |a, labels| {
            let n = a.dims()[0];
            let own: Vec<(u32, u32, f64)> = (0..n as u32).map(|i| (i, (i + 1) % n as u32, 1.0)).collect();
            let positives = contrastive_kernels::sparse::Csr::from_triplets(n, n, &own).unwrap();
            let clusters: Vec<u32> = labels.iter().map(|l| *l as u32).collect();
            PamC::new(0.5).unwrap().loss(&a, &SparsePositives::new(positives).unwrap(), &MetaNodes::new(&clusters))
        }),
        beside("cross-batch memory", ("memory", Fixed(3)), |a, labels, former| {
            let mut memory = Queue::labelled(12, former.dims()[1], (&a.device(), former.dtype())).unwrap();
            memory.push_labelled(former, &[0, 1, 2]);
            let batch = CrossBatch::new(a, labels, &mut memory);
            batch.loss(&PairObjective::new(0.1).unwrap().with_reduction(Reduction::MeanWithPositives))
        }),
    ]
}
