//! Rows in half precision: every objective gives the value and the gradients that the same rows have in f32, but for the rounding of what
//! it gives back.

use crate::common::*;
use crate::unpaired::support::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;
use contrastive_core::similarity::Similarity;
use contrastive_kernels::sparse::Csr;
use std::panic::{AssertUnwindSafe, catch_unwind};

const ROWS: usize = 8;
const WIDTH: usize = 4;
const LABELS: [i64; ROWS] = [0, 0, 1, 1, 2, 2, 3, 3];

/// A loss of three tables of equal size and the labels of their rows.
type Loss = Box<dyn Fn([Tensor<2>; 3], &[i64]) -> Tensor<1>>;

struct Entry {
    name: &'static str,
    loss: Loss,
}

fn entry(name: &'static str, loss: impl Fn([Tensor<2>; 3], &[i64]) -> Tensor<1> + 'static) -> Entry {
    Entry { name, loss: Box::new(loss) }
}

fn labelled(name: &'static str, loss: impl Fn(Tensor<2>, &[i64]) -> Tensor<1> + 'static) -> Entry {
    entry(name, move |[a, ..], labels| loss(a, labels))
}

/// The types of half precision, and how far a gradient may be off in units of its largest number: the rows are the same numbers in f32, so
/// what differs is the rounding of the result, 2^-11 and 2^-8 of a number at most, and that of the parts of a table that stands in several
/// places. None where the device has no half precision.
fn halves() -> Vec<(DType, f64)> {
    if on_ndarray() || !has_f64() {
        println!("no half precision on this device; not compared");
        return Vec::new();
    }
    vec![(DType::F16, 2e-3), (DType::BF16, 2e-2)]
}

/// A number that no type rounds.
fn number(value: f64, like: &Tensor<2>) -> Tensor<1> {
    Tensor::from_data([value], (&like.device(), like.dtype()))
}

fn queue(of: &Tensor<2>) -> Queue {
    let mut queue = Queue::new(ROWS, WIDTH, (&of.device(), of.dtype())).unwrap();
    queue.push(of.clone());
    queue
}

fn cube(x: Tensor<2>) -> Tensor<3> {
    x.reshape([2, ROWS / 2, WIDTH])
}

fn map(x: Tensor<2>) -> Tensor<4> {
    x.reshape([2, WIDTH, 2, ROWS / 4])
}

/// A row for each of the four classes.
fn class_rows(of: Tensor<2>) -> Tensor<2> {
    of.narrow(0, 0, 4)
}

/// Three rows for each of the four classes.
fn class_centers(first: Tensor<2>, second: Tensor<2>) -> Tensor<2> {
    Tensor::cat(vec![first, second.narrow(0, 0, 4)], 0)
}

fn crops() -> [[CropBox; 2]; 2] {
    let crop = |corners| CropBox::new(corners).unwrap();
    [[crop([0.0, 0.0, 1.0, 1.0]); 2], [crop([0.2, 0.1, 1.0, 1.0]), crop([1.0, 0.0, 0.3, 0.9])]]
}

fn scores(labels: &[i64]) -> Vec<f64> {
    labels.iter().map(|l| *l as f64).collect()
}

fn of_pairs() -> Vec<Entry> {
    let base = |t: f64| PairObjective::new(t).unwrap();
    vec![
        entry("InfoNCE", |[a, c, _], _| InfoNce::new(0.1).unwrap().loss(a, c)),
        entry("InfoNCE with negatives", |[a, c, b], _| InfoNce::new(0.1).unwrap().loss_with_negatives(a, c, b)),
        entry("InfoNCE with own negatives", |[a, c, b], _| {
            let own: Tensor<3> = b.reshape([ROWS, 1, WIDTH]);
            InfoNce::new(0.1).unwrap().loss_with_own_negatives(a, c, own)
        }),
        entry("InfoNCE of distances", move |[a, c, _], _| {
            base(0.5).with_similarity(Similarity::NegativeSquaredDistance).loss(&Inputs::new(a, c))
        }),
        entry("InfoNCE of inner products, portable", move |[a, c, _], _| {
            contrastive_core::testing::portably(|| base(0.5).with_similarity(Similarity::Dot).loss(&Inputs::new(a, c)))
        }),
        entry("InfoNCE with pair terms", move |[a, c, b], labels| {
            let classes: Vec<u32> = labels.iter().map(|l| *l as u32).collect();
            let term = PairTerm::classes(class_rows(b), classes.clone(), classes);
            base(0.2).loss(&Inputs::new(a, c).with_pair_bias(term))
        }),
        entry("NT-Xent", |[a, c, _], _| NtXent::new(0.1).unwrap().loss(a, c)),
        labelled("NT-Xent of labels", |a, labels| NtXent::new(0.1).unwrap().loss_with_labels(a, labels)),
        labelled("SupCon", |a, labels| SupCon::new(0.1).unwrap().loss(a, labels)),
        entry("CLIP", |[a, c, _], _| Clip::new(0.1).unwrap().loss(a, c)),
        entry("DCL", |[a, c, _], _| Dcl::new(0.1).unwrap().loss(a, c)),
        entry("DCLW", |[a, c, _], _| Dcl::new(0.1).unwrap().with_weights(0.5).unwrap().loss(a, c)),
        entry("DCLW, differentiated weights", |[a, c, _], _| {
            Dcl::new(0.1).unwrap().with_weights(0.5).unwrap().with_differentiated_weights(true).loss(a, c)
        }),
        entry("GRACE", |[a, c, _], _| Grace::new(0.4).unwrap().loss(a, c)),
        entry("debiased", |[a, c, _], _| DebiasedInfoNce::new(0.5, 0.1).unwrap().loss(a, c)),
        entry("MoCo", |[a, c, b], _| Moco::new(0.2).unwrap().loss(a, c, &queue(&b))),
        entry("NNCLR", |[a, c, b], _| NnClr::new(0.2).unwrap().loss(c, a, &queue(&b))),
        entry("ReSSL", |[a, c, b], _| ReSsl::new(0.1, 0.04).unwrap().loss(a, c, &queue(&b))),
        labelled("cross-batch memory", |a, labels| {
            let mut memory = Queue::labelled(2 * ROWS, WIDTH, (&a.device(), a.dtype())).unwrap();
            memory.push_labelled(a.clone() * -0.5, labels);
            CrossBatch::new(a, labels, &mut memory).loss(&PairObjective::new(0.2).unwrap())
        }),
        entry("ranking", |[a, c, _], _| MultipleNegativesRanking::new(0.05).unwrap().loss(a, c)),
        entry("symmetric ranking with hard negatives", |[a, c, b], _| {
            MultipleNegativesRanking::new(0.1).unwrap().with_both_directions().loss_with_hard_negatives(a, c, b)
        }),
        entry("joint ranking", |[a, c, _], _| {
            MultipleNegativesRanking::new(0.1).unwrap().with_joint_denominator().loss(a, c)
        }),
        entry("ranking by hardness", |[a, c, _], _| {
            MultipleNegativesRanking::new(0.1).unwrap().with_hardness(2.0).unwrap().loss(a, c)
        }),
        entry("bilinear", |[a, c, b], _| BilinearInfoNce::new().loss(a, c, class_rows(b))),
        entry("1-to-K", |[a, c, _], _| {
            let versions: Tensor<3> = c.reshape([ROWS, 1, WIDTH]);
            OneToK::new(0.1).unwrap().loss(a, versions, None, None).unwrap()
        }),
        entry("N-pairs", |[a, c, _], _| NPairs::new(0.02).unwrap().loss(a, c)),
        entry("log-sums", |[a, c, _], _| LogSums::new(0.2).unwrap().loss(&Inputs::new(a, c), vec![0.125; ROWS])),
        entry("groups", move |[a, c, _], _| Grouped::new(base(0.2)).loss(&GroupedInputs::new(cube(a), cube(c)))),
        entry("groups, portable", move |[a, ..], _| {
            let objective = base(0.2).with_pairs(Pairs::TwoViews);
            contrastive_core::testing::portably(|| Grouped::new(objective).loss(&GroupedInputs::self_contrast(cube(a))))
        }),
        entry("TS2Vec", |[a, c, _], _| Ts2Vec::default().loss(cube(a), cube(c))),
        entry("PixPro", |[a, c, _], _| {
            let [first, second] = crops();
            PixPro::new(0.9).unwrap().loss(map(a), map(c), &first, &second)
        }),
        entry("PixContrast", |[a, c, _], _| {
            let [first, second] = crops();
            PixContrast::new(0.3, 0.9).unwrap().loss(map(a), map(c), &first, &second)
        }),
        entry("SogCLR", |[a, c, _], _| {
            let samples: Vec<usize> = (0..ROWS).collect();
            SogClr::new(16, 0.1, Views::Alike).unwrap().loss(a, c, &samples).unwrap()
        }),
        entry("iSogCLR", |[a, c, _], _| {
            let samples: Vec<usize> = (0..ROWS).collect();
            ISogClr::new(16, TemperatureRule::bimodal(), Views::Modalities).unwrap().loss(a, c, &samples).unwrap()
        }),
    ]
}

fn of_rows() -> Vec<Entry> {
    vec![
        entry("SigLIP", |[a, c, _], _| {
            let (scale, bias) = (number(10.0, &a), number(-10.0, &a));
            SigLip::new().loss(a, c, scale, bias)
        }),
        labelled("multi-similarity", |a, labels| MultiSimilarity::new(2.0, 50.0, 0.5).unwrap().loss(a, labels)),
        labelled("circle", |a, labels| Circle::new(0.4, 80.0).unwrap().loss(a, labels)),
        labelled("circle, portable", |a, labels| {
            contrastive_core::testing::portably(|| Circle::new(0.4, 80.0).unwrap().loss(a, labels))
        }),
        labelled("lifted structure", |a, labels| LiftedStructure::new(1.0).unwrap().loss(a, labels)),
        labelled("contrastive", |a, labels| {
            let objective = PairContrastive::of_distances(0.0, 1.0).unwrap().with_pairs(Pairs::labels(labels));
            objective.loss(&Inputs::self_contrast(a))
        }),
        labelled("NCA", |a, labels| Nca::new(10.0).unwrap().loss(a, labels)),
        labelled("triplet, all", |a, labels| Triplet::new(0.5).unwrap().loss(a, labels)),
        labelled("triplet, hard", |a, labels| {
            Triplet::new(0.5).unwrap().with_mining(Mining::BatchHard).unwrap().loss(a, labels)
        }),
        labelled("hard triplets", |a, labels| HardTriplet::new(5.0).unwrap().loss(a, labels)),
        entry("given triplets", |[a, c, b], _| triplet_margin(a, c, b, 0.5, true).unwrap()),
        labelled("tuplet margin", |a, labels| TupletMargin::new(0.1, 64.0).unwrap().loss(a, labels)),
        labelled("FastAP", |a, labels| FastAp::new(10).unwrap().loss(a, labels)),
        labelled("intra-pair variance", |a, labels| IntraPairVariance::new(0.01, 0.01).unwrap().loss(a, labels)),
        entry("Proxy-Anchor", |[a, c, _], labels| ProxyAnchor::new(0.1, 32.0).unwrap().loss(a, labels, class_rows(c))),
        entry("ArcFace", |[a, c, _], labels| ClassMargin::arcface(0.5, 30.0).unwrap().loss(a, labels, class_rows(c))),
        labelled("angular", |a, labels| Angular::new(0.7).unwrap().loss(a, labels)),
        labelled("lifted pairs", |a, labels| LiftedStructuredEmbedding::new(1.0).unwrap().loss(a, labels)),
        labelled("margin-based", |a, labels| {
            let betas = number(1.25, &a);
            MarginBased::new(0.2).unwrap().with_penalty(0.125).unwrap().loss(a, labels, betas)
        }),
        labelled("ranked list", |a, labels| RankedList::new(0.4, 10.0).unwrap().loss(a, labels)),
        labelled("Smooth-AP", |a, labels| SmoothAp::new(0.1).unwrap().loss(a, labels)),
        labelled("PNP", |a, labels| Pnp::new(0.1).unwrap().loss(a, labels)),
        labelled("histogram", |a, labels| Histogram::new(10).unwrap().loss(a, labels)),
        labelled("signal to noise", |a, labels| SignalToNoise::new(0.0, 1.0).unwrap().loss(a, labels)),
        entry("SoftTriple", |[a, c, b], labels| {
            SoftTriple::new(20.0, 0.1, 0.01, 3).unwrap().loss(a, labels, class_centers(c, b))
        }),
        entry("SoftTriple's regulariser", |[a, c, _], _| {
            SoftTriple::new(20.0, 0.1, 0.01, 3).unwrap().regularizer(class_centers(a, c))
        }),
        entry("sub-centre ArcFace", |[a, c, b], labels| {
            SubCenterArcFace::new(0.5, 64.0, 3).unwrap().loss(a, labels, class_centers(c, b))
        }),
        entry("SphereFace", |[a, c, _], labels| SphereFace::new(4, 1.0).unwrap().loss(a, labels, class_rows(c))),
        entry("large-margin softmax", |[a, c, _], labels| {
            LargeMarginSoftmax::new(4, 1.0).unwrap().loss(a, labels, class_rows(c))
        }),
        entry("P2SGrad", |[a, c, _], labels| P2sGrad::new().loss(a, labels, class_rows(c))),
        entry("dynamic soft margin", |[a, c, _], _| DynamicSoftMargin::new(10, 0.01).unwrap().loss(a, c).unwrap()),
        labelled("Jensen-Shannon", |a, labels| {
            JensenShannon::new().with_pairs(Pairs::labels(labels)).loss(&Inputs::self_contrast(a))
        }),
        entry("CACR", |views, _| Cacr::new(1.0, 2.0).unwrap().loss(&views)),
        entry("CACR with queries", |[a, c, b], _| CacrInfoNce::new(0.2).unwrap().loss(&[a, c], &b)),
        entry("hard contrastive", |[a, c, _], _| HardContrastive::new(0.2, 0.5).unwrap().loss(a, c)),
        entry("GroCo", |views, _| GroCo::new(3).unwrap().loss(&views, 2)),
    ]
}

fn of_views_and_sentences() -> Vec<Entry> {
    let clusters = |labels: &[i64]| MetaNodes::new(&labels.iter().map(|l| *l as u32).collect::<Vec<_>>());
    let meta_nodes = move |name: &'static str, proxy: MetaNodeProxy| {
        labelled(name, move |a, labels| {
            let ring: Vec<(u32, u32, f64)> = (0..ROWS as u32).map(|i| (i, (i + 1) % ROWS as u32, 1.0)).collect();
            let positives = SparsePositives::new(Csr::from_triplets(ROWS, ROWS, &ring).unwrap()).unwrap();
            PamC::new(0.5).unwrap().with_proxy(proxy).loss(&a, &positives, &clusters(labels))
        })
    };
    vec![
        entry("CoSENT", |[a, c, _], labels| CoSent::new(20.0).unwrap().loss(a, c, &scores(labels))),
        entry("AnglE", |[a, c, _], labels| AnglE::new(20.0).unwrap().loss(a, c, &scores(labels))),
        entry("regression on cosines", |[a, c, _], labels| cosine_regression(a, c, &scores(labels))),
        entry("listed pairs", |[a, c, _], labels| {
            let alike: Vec<bool> = labels.iter().map(|l| *l < 2).collect();
            ListedPairs::new(0.5).unwrap().loss(a, c, &alike)
        }),
        entry("soft cross-entropy", |[a, c, _], _| soft_cross_entropy(c, a, 0.5).unwrap()),
        entry("SwAV", |[a, c, _], _| SwAv::new(0.1, Sinkhorn::new(0.5, 3).unwrap()).unwrap().loss(&[a, c], &[])),
        entry("DINO", |[a, c, b], _| {
            let center = DinoCenter::zeros(WIDTH, &a.device(), a.dtype());
            Dino::new(0.1, 0.05, 0.9).unwrap().loss(&[b, c.clone()], &[c, a], &center)
        }),
        entry("negative cosine", |[a, c, _], _| negative_cosine(a, c)),
        entry("SimSiam", |[a, c, b], _| simsiam(a, c.clone(), b, c)),
        entry("BYOL", |[a, c, b], _| byol(a, c.clone(), b, c)),
        entry("VICReg", |[a, c, _], _| VicReg::default().loss(a, c)),
        entry("Barlow Twins", |[a, c, _], _| BarlowTwins::new(5e-3).unwrap().loss(a, c)),
        entry("W-MSE", |[a, c, _], _| WMse::new(1e-3).unwrap().loss(a, c, None).unwrap()),
        entry("alignment", |[a, c, _], _| Alignment::new(2.0).unwrap().loss(a, c)),
        entry("uniformity", |[a, ..], _| Uniformity::new(2.0).unwrap().loss(a)),
        entry("alignment and uniformity", |[a, c, _], _| {
            let parts = (Alignment::new(2.0).unwrap(), Uniformity::new(2.0).unwrap());
            AlignmentUniformity::new(parts.0, parts.1, 1.0).unwrap().loss(a, c)
        }),
        entry("BPR", |[a, c, b], _| bpr(a, c, b)),
        entry("a penalty of embeddings", |[a, c, b], _| embedding_penalty(vec![a, c, b])),
        entry("sampled cross-entropy", |[a, c, b], _| sampled_bce(a, c, b, &[true; ROWS])),
        meta_nodes("PamC", MetaNodeProxy::Official),
        meta_nodes("PamC by Jensen's bound", MetaNodeProxy::Jensen),
        meta_nodes("PamC to second order", MetaNodeProxy::SecondOrder),
        meta_nodes("PamC for each anchor", MetaNodeProxy::PerAnchor),
    ]
}

/// What a loss gives: its value, and of each input that has one the gradient, with their types.
struct Found {
    value: f64,
    dtype: DType,
    gradients: [Option<(DType, Vec<f64>)>; 3],
}

/// The message of its panic if it panics.
fn found(entry: &Entry, tables: [Tensor<2>; 3]) -> Result<Found, String> {
    let run = || {
        let value = (entry.loss)(tables.clone(), &LABELS);
        let (number, dtype) = (values(&value)[0], value.dtype());
        // an upstream factor that rounds nothing
        let all = (value * 2.0).backward();
        let gradients = tables.each_ref().map(|x| x.grad(&all).map(|g| (g.dtype(), values(&g))));
        Found { value: number, dtype, gradients }
    };
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        message.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default()
    })
}

/// What differs between the rows in this type and the same rows in f32.
fn differences_of(entry: &Entry, dtype: DType, bound: f64) -> Vec<String> {
    let halves = [1, 2, 3].map(|seed| tracked(normal(seed, ROWS * WIDTH), [ROWS, WIDTH], dtype));
    let singles = halves.clone().map(|x| Tensor::from_inner(x.inner().cast(DType::F32)).require_grad());
    let (half, single) = match (found(entry, halves), found(entry, singles)) {
        (Ok(half), Ok(single)) => (half, single),
        (half, single) => return [half.err(), single.err()].into_iter().flatten().collect(),
    };
    let mut wrong = Vec::new();
    // a value that is itself in half precision is rounded to it
    let rounding = if half.dtype == DType::F32 { 1e-5 } else { 0.5 * bound };
    let near = (half.value - single.value).abs() <= rounding * single.value.abs() + 1e-6;
    if !near {
        wrong.push(format!("value {} in {:?} instead of {}", half.value, half.dtype, single.value));
    }
    for (k, (half, single)) in half.gradients.iter().zip(&single.gradients).enumerate() {
        let (half, single) = match (half, single) {
            (Some((stored, half)), Some((_, single))) => {
                if *stored != dtype {
                    wrong.push(format!("gradient {k} in {stored:?}"));
                }
                (half, single)
            }
            // tables that do not take part
            (None, None) if k > 0 => continue,
            _ => {
                wrong.push(format!("gradient {k}: {} here, {} in f32", half.is_some(), single.is_some()));
                continue;
            }
        };
        let largest = single.iter().fold(0f64, |a, g| a.max(g.abs()));
        if k == 0 && largest < 1e-4 {
            wrong.push(format!("nothing to compare: the largest number of the gradient is {largest:e}"));
        }
        // beside it, what numbers of f16 near 0 are apart
        let allowed = bound * largest + 1e-7;
        let off: Vec<f64> = half.iter().zip(single).map(|(x, y)| (x - y).abs()).collect();
        if !off.iter().all(|off| *off <= allowed) {
            let most = off.iter().fold(0f64, |a, x| a.max(*x));
            wrong.push(format!("gradient {k} off by {:.1e} of its largest number", most / largest));
        }
    }
    wrong
}

fn agree(entries: Vec<Entry>) {
    let mut wrong = Vec::new();
    for (dtype, bound) in halves() {
        for entry in &entries {
            let of = differences_of(entry, dtype, bound);
            wrong.extend(of.into_iter().map(|what| format!("{} in {dtype:?}: {what}", entry.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn objectives_of_pairs_are_computed_in_f32() {
    agree(of_pairs());
}

#[test]
fn losses_of_rows_are_computed_in_f32() {
    agree(of_rows());
}

#[test]
fn losses_of_views_and_sentences_are_computed_in_f32() {
    agree(of_views_and_sentences());
}

/// Scales, biases and betas have gradients of their own type, whether they are in half precision as the rows are or in f32.
#[test]
fn numbers_beside_rows_in_half_precision_have_their_gradients() {
    type Beside = Box<dyn Fn([Tensor<2>; 2], Tensor<1>) -> Tensor<1>>;
    // none of the numbers is rounded
    let each = |from: f64| (0..ROWS).map(|i| from + 0.5 * i as f64).collect::<Vec<_>>();
    let losses: Vec<(&str, Vec<f64>, Beside)> = vec![
        ("CLIP's scale", vec![8.0], Box::new(|[a, c], s| Clip::with_logit_scale().loss_with_scale(a, c, s))),
        (
            "scales of anchors",
            each(4.0),
            Box::new(|[a, c], s| PairObjective::with_input_scale().loss(&Inputs::new(a, c).with_scale(s))),
        ),
        (
            "biases of candidates",
            each(-1.0),
            Box::new(|[a, c], b| PairObjective::new(0.2).unwrap().loss(&Inputs::new(a, c).with_bias(b))),
        ),
        ("SigLIP's scale and bias", vec![4.0], Box::new(|[a, c], s| SigLip::new().loss(a, c, s.clone(), s * -0.5))),
        (
            "betas",
            vec![1.25],
            Box::new(|[a, _], beta| MarginBased::new(0.2).unwrap().with_penalty(0.125).unwrap().loss(a, &LABELS, beta)),
        ),
        (
            "a scale of groups",
            vec![8.0],
            Box::new(|[a, c], s| {
                let inputs = GroupedInputs::new(cube(a), cube(c)).with_scale(s);
                Grouped::new(PairObjective::with_input_scale()).loss(&inputs)
            }),
        ),
    ];
    for (dtype, bound) in halves() {
        for (name, numbers, loss) in &losses {
            let run = |of_rows: DType, of_numbers: DType| {
                let rows = [1, 2].map(|seed| {
                    let half = tracked(normal(seed, ROWS * WIDTH), [ROWS, WIDTH], dtype);
                    Tensor::<2>::from_inner(half.inner().cast(of_rows)).require_grad()
                });
                let numbers = tracked(numbers.clone(), [numbers.len()], of_numbers);
                let value = loss(rows.clone(), numbers.clone());
                let all = value.backward();
                let slopes = numbers.grad(&all).expect("a gradient of the numbers");
                let types = [rows[0].grad(&all).expect("a gradient of the rows").dtype(), slopes.dtype()];
                (one(value), types, values(&slopes))
            };
            let (value, _, slopes) = run(DType::F32, DType::F32);
            let largest = slopes.iter().fold(0f64, |a, g| a.max(g.abs()));
            assert!(largest > 1e-4, "{name}: {slopes:?}");
            for of_numbers in [dtype, DType::F32] {
                let what = format!("{name} in {of_numbers:?} beside rows in {dtype:?}");
                let (got, types, found) = run(dtype, of_numbers);
                assert_eq!(types, [dtype, of_numbers], "{what}");
                close(&what, &[got], &[value], 1e-6, 0.5 * bound);
                close(&format!("{what}, gradient"), &found, &slopes, bound * largest, 0.0);
            }
        }
    }
}
