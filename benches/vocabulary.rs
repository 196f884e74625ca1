//! Every objective at growing N: time, share of the rate of bare products, and memory beyond the inputs, beside the same
//! objective with the whole matrix.
//!
//! ```text
//! cargo bench --bench vocabulary -- [--sizes 1024,4096,16384,65536] [--only NAME] [--rounds 5] [--dense-limit 16384] [--width 128]
//! ```
//!
//! N rows of width D in f32 on both sides; objectives of one table under labels have N rows of N / 4 classes, those of two
//! views N / 2 things. A run is the value and the gradients of all inputs, through autodiff. `made` is how many times N^2 D
//! operations the products of an objective take: 2 for the similarities and for each gradient, less where a table meets itself or
//! a side has no gradient, more where the similarities are made twice. The shares are those operations against the CPU time of bare
//! products of the `gemm` crate (the better on average of 2048^3 and N x N x D in tiles), and of the engine's own three products of a tile
//! in the cache, measured before and after the objective in each round, so that other load on the machine meets both: the mean of
//! the rounds' shares and its standard error. Objectives that do not compare all pairs have none. `dense` is the definition in
//! tensor operations and its backward pass.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Tensor, TensorData};
use clap::Parser;
use contrastive::Device;
use contrastive::objective::*;
use contrastive::pairs::{Exclusions, Pairs};
use contrastive::similarity::unit_rows;
use measure::{Measured, Products, available, measure, numbers};
use std::error::Error;

mod measure;

#[derive(Parser)]
struct Options {
    /// Numbers of rows.
    #[arg(long, value_delimiter = ',', default_values_t = [1024, 4096, 16_384])]
    sizes: Vec<usize>,
    /// Objectives whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds of products, objective, products.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The largest N at which the forms with the whole matrix run, if the memory is there.
    #[arg(long, default_value_t = 4096)]
    dense_limit: usize,
    /// Width of the rows.
    #[arg(long, default_value_t = 128)]
    width: usize,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The loss of two tables and their labels.
type Loss = Box<dyn Fn(&Tensor<2>, &Tensor<2>, &[i64]) -> Tensor<1>>;

struct Row {
    name: &'static str,
    /// Operations of its products over N^2 D; 0 if it does not compare all N x N pairs.
    made: f64,
    loss: Loss,
    dense: Option<Loss>,
}

fn row(
    name: &'static str,
    loss: impl Fn(&Tensor<2>, &Tensor<2>, &[i64]) -> Tensor<1> + 'static,
    dense: Option<Loss>,
) -> Row {
    Row { name, made: 6.0, loss: Box::new(loss), dense }
}

fn boxed(f: impl Fn(&Tensor<2>, &Tensor<2>, &[i64]) -> Tensor<1> + 'static) -> Option<Loss> {
    Some(Box::new(f))
}

/// The same rows without a gradient, as keys and queues have none (`detach` of a leaf stays a leaf).
fn constant(x: &Tensor<2>) -> Tensor<2> {
    Tensor::from_inner(x.clone().inner())
}

/// An objective whose products take this many N^2 D operations.
fn makes(made: f64, row: Row) -> Row {
    Row { made, ..row }
}

/// An objective of one table under labels.
fn labelled<O: Clone + 'static>(
    name: &'static str,
    objective: O,
    loss: impl Fn(&O, Tensor<2>, &[i64]) -> Tensor<1> + 'static,
    dense: impl Fn(&O, Tensor<2>, &[i64]) -> Tensor<1> + 'static,
) -> Row {
    let again = objective.clone();
    let dense = boxed(move |a, _, labels| dense(&again, a.clone(), labels));
    row(name, move |a, _, labels| loss(&objective, a.clone(), labels), dense)
}

/// Two halves of a table: two views of half as many things.
fn halves(a: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let [n, d] = a.dims();
    (a.clone().slice([0..n / 2, 0..d]), a.clone().slice([n / 2..n, 0..d]))
}

fn two(a: &Tensor<2>, c: &Tensor<2>) -> Inputs {
    Inputs::new(a.clone(), c.clone())
}

/// `[n, m]` cosines.
fn cosines(a: &Tensor<2>, c: &Tensor<2>) -> Tensor<2> {
    unit_rows(a.clone()).matmul(unit_rows(c.clone()).transpose())
}

/// 1 on the diagonal.
fn diagonal(n: usize, like: &Tensor<2>) -> Tensor<2> {
    Tensor::eye(n, &like.device())
}

/// 1 for different rows of one label.
fn same_label(labels: &[i64], like: &Tensor<2>) -> Tensor<2> {
    let n = labels.len();
    let one = |at: usize| f32::from(u8::from(at / n != at % n && labels[at / n] == labels[at % n]));
    Tensor::from_data(TensorData::new((0..n * n).map(one).collect::<Vec<_>>(), [n, n]), &like.device())
}

/// The definitions of objectives that have no form with the whole matrix of their own.
mod definitions {
    use super::*;

    /// MoCo of keys beside a queue.
    pub fn moco(a: &Tensor<2>, queue: &Tensor<2>, temperature: f64) -> Tensor<1> {
        let n = a.dims()[0];
        let own = (unit_rows(a.clone()) * unit_rows(constant(a))).sum_dim(1);
        let logits = Tensor::cat(vec![own, cosines(a, &constant(queue))], 1) * (1.0 / temperature);
        log_softmax(logits, 1).slice([0..n, 0..1]).mean() * -1.0
    }

    pub fn ressl(a: &Tensor<2>, queue: &Tensor<2>, [student, teacher]: [f64; 2]) -> Tensor<1> {
        let queue = constant(queue);
        let targets = softmax(cosines(&constant(a), &queue) * (1.0 / teacher), 1);
        (log_softmax(cosines(a, &queue) * (1.0 / student), 1) * targets).sum_dim(1).mean() * -1.0
    }

    /// Both directions.
    pub fn ranking(a: &Tensor<2>, c: &Tensor<2>, temperature: f64) -> Tensor<1> {
        let (n, logits) = (a.dims()[0], cosines(a, c) * (1.0 / temperature));
        let both = log_softmax(logits.clone(), 1) + log_softmax(logits, 0);
        (both * diagonal(n, a)).sum() * (-0.5 / n as f64)
    }

    pub fn nca(a: &Tensor<2>, labels: &[i64], scale: f64) -> Tensor<1> {
        let n = labels.len();
        let logits = cosines(a, a) * (2.0 * scale) - diagonal(n, a) * 1e9;
        (softmax(logits, 1) * same_label(labels, a)).sum_dim(1).log().mean() * -1.0
    }

    /// The mean positive distance, and what negatives are within the margin, over those that are.
    pub fn contrastive(a: &Tensor<2>, labels: &[i64], margin: f64) -> Tensor<1> {
        let n = labels.len();
        let (near, own) = (same_label(labels, a), diagonal(n, a));
        let d = (cosines(a, a) * -2.0 + 2.0).clamp_min(1e-6).sqrt();
        let mean = |x: Tensor<2>| {
            let some = x.clone().detach().greater_elem(0.0).float().sum().clamp_min(1.0);
            x.sum() / some
        };
        let far = (near.clone() + own) * -1.0 + 1.0;
        mean(d.clone() * near) + mean((d * -1.0 + margin).clamp_min(0.0) * far)
    }

    /// Alignment with exponent 2 and uniformity of both tables at 2.
    pub fn align_uniform(a: &Tensor<2>, c: &Tensor<2>) -> Tensor<1> {
        let n = a.dims()[0];
        let gap = unit_rows(a.clone()) - unit_rows(c.clone());
        let apart = diagonal(n, a) * -1.0 + 1.0;
        let uniform = |x: &Tensor<2>| {
            let potential = ((cosines(x, x) * 2.0 - 2.0) * 2.0).exp() * apart.clone();
            (potential.sum() * (1.0 / (n * (n - 1)) as f64)).log()
        };
        (gap.clone() * gap).sum() * (1.0 / n as f64) + (uniform(a) + uniform(c)) * 0.5
    }
}

fn softmax_family() -> Result<Vec<Row>, Box<dyn Error>> {
    let t = 0.2;
    let of_pairs = |name, objective: PairObjective| {
        let dense = objective.clone();
        row(name, move |a, c, _| objective.loss(&two(a, c)), boxed(move |a, c, _| dense.dense(&two(a, c))))
    };
    let within = |name, objective: PairObjective| {
        let dense = objective.clone();
        let table = |a: &Tensor<2>| Inputs::self_contrast(a.clone());
        row(name, move |a, _, _| objective.loss(&table(a)), boxed(move |a, _, _| dense.dense(&table(a))))
    };
    let own = NtXent::new(t)?.objective().clone().with_denominator(Denominator::OwnPositive);
    let own = own.with_positive_weights(PositiveWeights::Sum).with_reduction(Reduction::MeanOverPairs);
    let (debiased, hard) = (DebiasedInfoNce::new(t, 0.1)?, DebiasedInfoNce::new(t, 0.1)?.with_hardness(1.0)?);
    let views = |name, objective: DebiasedInfoNce| {
        let dense = objective.clone();
        let of_halves = |a: &Tensor<2>, f: &dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>| f(halves(a).0, halves(a).1);
        row(
            name,
            move |a, _, _| of_halves(a, &|x, y| objective.loss(x, y)),
            boxed(move |a, _, _| of_halves(a, &|x, y| dense.dense(x, y))),
        )
    };
    let (moco, ressl) = (Moco::new(t)?, ReSsl::new(0.1, 0.04)?);
    let ranking = MultipleNegativesRanking::new(0.05)?.with_both_directions();
    let nca = Nca::new(10.0)?;
    let (dclw, one_to_k) = (Dcl::new(t)?.with_weights(0.5)?, OneToK::new(t)?);
    Ok(vec![
        of_pairs("InfoNCE", InfoNce::new(t)?.objective().clone()),
        makes(4.0, within("NT-Xent", NtXent::new(t)?.objective().clone())),
        makes(4.0, within("DCL", Dcl::new(t)?.objective().clone())),
        makes(8.0, of_pairs("CLIP", Clip::new(t)?.objective().clone())),
        makes(
            4.0,
            labelled("SupCon", SupCon::new(t)?, SupCon::loss, |supcon, a, labels| {
                supcon.objective(labels).dense(&Inputs::self_contrast(a))
            }),
        ),
        labelled("NT-Xent, labels", NtXent::new(t)?, NtXent::loss_with_labels, move |_, a, labels| {
            own.clone().with_pairs(Pairs::labels(labels)).dense(&Inputs::self_contrast(a))
        }),
        makes(4.0, views("debiased", debiased)),
        makes(4.0, views("hard negatives", hard)),
        makes(
            4.0,
            row(
                "MoCo",
                move |a, c, _| moco.loss_among(a.clone(), constant(a), constant(c)),
                boxed(move |a, c, _| definitions::moco(a, c, t)),
            ),
        ),
        makes(
            8.0,
            row(
                "ReSSL",
                move |a, c, _| ressl.loss_among(a.clone(), constant(a), constant(c)),
                boxed(move |a, c, _| definitions::ressl(a, c, [0.1, 0.04])),
            ),
        ),
        makes(
            8.0,
            row(
                "ranking",
                move |a, c, _| ranking.loss(a.clone(), c.clone()),
                boxed(move |a, c, _| definitions::ranking(a, c, 0.05)),
            ),
        ),
        row(
            "NCA",
            move |a, _, labels| nca.loss(a.clone(), labels),
            boxed(move |a, _, labels| definitions::nca(a, labels, 10.0)),
        ),
        row("DCLW", move |a, _, _| dclw.loss(halves(a).0, halves(a).1), None),
        // half as many anchors as versions, in both directions
        makes(
            4.0,
            row(
                "1 to K, 2 versions",
                move |a, c, _| {
                    let [n, d] = c.dims();
                    let versions = c.clone().reshape([n / 2, 2, d]);
                    one_to_k.loss(halves(a).0, versions, None, None).expect("versions of each")
                },
                None,
            ),
        ),
        of_pairs(
            "distances",
            PairObjective::new(t)?.with_similarity(contrastive::similarity::Similarity::NegativeSquaredDistance),
        ),
    ])
}

fn row_functions() -> Result<Vec<Row>, Box<dyn Error>> {
    let number = |x: f32, like: &Tensor<2>| Tensor::<1>::from_data([x], &like.device());
    let (cacr, hard) = (Cacr::new(1.0, 2.0)?, HardContrastive::new(0.2, 0.25)?);
    let (again, of_pairs) = (cacr.clone(), hard.clone());
    let pairs = PairContrastive::of_distances(0.0, 1.0)?;
    let (arcface, proxies) = (ClassMargin::arcface(0.5, 30.0)?, 1000);
    Ok(vec![
        row(
            "SigLIP",
            move |a, c, _| SigLip::new().loss(a.clone(), c.clone(), number(10.0, a), number(-10.0, a)),
            boxed(move |a, c, _| SigLip::new().dense(a.clone(), c.clone(), number(10.0, a), number(-10.0, a))),
        ),
        labelled(
            "multi-similarity",
            MultiSimilarity::new(2.0, 50.0, 0.5)?,
            MultiSimilarity::loss,
            MultiSimilarity::dense,
        ),
        labelled("circle", Circle::new(0.4, 80.0)?, Circle::loss, Circle::dense),
        labelled("lifted structure", LiftedStructure::new(1.0)?, LiftedStructure::loss, LiftedStructure::dense),
        row(
            "contrastive",
            move |a, _, labels| pairs.clone().with_pairs(Pairs::labels(labels)).loss(&Inputs::self_contrast(a.clone())),
            boxed(move |a, _, labels| definitions::contrastive(a, labels, 1.0)),
        ),
        Row {
            made: 0.0,
            ..row(
                "ArcFace, 1,000 classes",
                move |a, c, labels| {
                    let [n, d] = c.dims();
                    let weights = c.clone().slice([0..proxies.min(n), 0..d]);
                    let classes: Vec<i64> = labels.iter().map(|l| l % proxies.min(n) as i64).collect();
                    arcface.loss(a.clone(), &classes, weights)
                },
                None,
            )
        },
        row(
            "CACR",
            move |a, c, _| cacr.loss(&[a.clone(), c.clone()]),
            boxed(move |a, c, _| again.dense(&[a.clone(), c.clone()])),
        ),
        labelled("tuplet margin", TupletMargin::new(0.1, 64.0)?, TupletMargin::loss, TupletMargin::dense),
        labelled("FastAP", FastAp::new(10)?, FastAp::loss, FastAp::dense),
        row(
            "Jensen-Shannon",
            move |a, c, _| JensenShannon::new().loss(&two(a, c)),
            boxed(move |a, c, _| JensenShannon::new().dense(&two(a, c))),
        ),
        row(
            "hard contrastive",
            move |a, c, _| hard.loss(a.clone(), c.clone()),
            boxed(move |a, c, _| of_pairs.dense(&two(a, c), &Pairs::Diagonal, &Exclusions::none())),
        ),
        labelled("triplet, all", Triplet::new(0.05)?, Triplet::loss, Triplet::dense),
    ])
}

fn aggregates() -> Result<Vec<Row>, Box<dyn Error>> {
    let uniform = AlignmentUniformity::new(Alignment::new(2.0)?, Uniformity::new(2.0)?, 1.0)?;
    let (barlow, vicreg) = (BarlowTwins::new(5e-3)?, VicReg::default());
    Ok(vec![
        makes(
            8.0,
            row(
                "align, uniform",
                move |a, c, _| uniform.loss(a.clone(), c.clone()),
                boxed(|a, c, _| definitions::align_uniform(a, c)),
            ),
        ),
        Row { made: 0.0, ..row("Barlow Twins", move |a, c, _| barlow.loss(a.clone(), c.clone()), None) },
        Row { made: 0.0, ..row("VICReg", move |a, c, _| vicreg.loss(a.clone(), c.clone()), None) },
    ])
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let d = options.width;
    let mut rows = softmax_family()?;
    rows.extend(row_functions()?);
    rows.extend(aggregates()?);
    rows.retain(|r| options.only.is_empty() || options.only.iter().any(|name| r.name.contains(name)));
    println!("f32, {} threads, D = {d}", rayon::current_num_threads());
    // bytes of the dense forms for each pair, measured at the size before
    let mut per_pair = vec![0.0; rows.len()];
    for &n in &options.sizes {
        let tables =
            [1, 2].map(|seed| Tensor::<2>::from_data(TensorData::new(numbers(n, d, seed), [n, d]), &Device::flex()));
        let labels: Vec<i64> = (0..n).map(|i| (i % (n / 4).max(1)) as i64).collect();
        let leaf = |k: usize| Tensor::<2>::from_inner(tables[k].clone()).require_grad();
        let run = |loss: &Loss| {
            let (a, c) = (leaf(0), leaf(1));
            let value = loss(&a, &c, &labels);
            let gradients = value.backward();
            std::hint::black_box(c.grad(&gradients));
            (value.inner(), a.grad(&gradients).expect("a gradient of the first table"))
        };
        println!("\nN = {n}");
        println!(
            "  {:<24}{:>10}{:>10}{:>6}{:>12}{:>12}{:>8}{:>12}{:>8}",
            "", "seconds", "CPU s", "made", "% of gemm", "% of own", "MB", "dense, MB", "x CPU"
        );
        for (at, row) in rows.iter().enumerate() {
            let flops = row.made * (n as f64).powi(2) * d as f64;
            let mut streaming = Measured::default();
            let mut shares = [const { Vec::new() }; 3];
            let mut products = Products::new(n, d);
            let mut before = products.measure_alone(0.1);
            for _ in 0..options.rounds.max(1) {
                let round = measure(&(Box::new(|| run(&row.loss)) as measure::Work), 0.2, streaming.runs == 0.0);
                let after = products.measure_alone(0.1);
                for (shares, (a, b)) in shares.iter_mut().zip(before.into_iter().zip(after)) {
                    shares.push(100.0 * 0.5 * (a + b) * flops / round.cpu_each());
                }
                streaming.merge(round);
                before = after;
            }
            let [square, tiles, own] = shares.map(|all| mean_and_error(&all));
            let gemm = if square.0 < tiles.0 { square } else { tiles };
            let shares = [gemm, own].map(|(mean, error)| match error {
                _ if row.made == 0.0 => "-".to_string(),
                Some(error) => format!("{mean:.0} +- {error:.1}"),
                None => format!("{mean:.0}"),
            });
            let needed = 1.25 * per_pair[at] * (n as f64).powi(2);
            let fits = n <= options.dense_limit && needed < available();
            let dense = row.dense.as_ref().filter(|_| fits).map(|dense| {
                let dense = measure(&(Box::new(|| run(dense)) as measure::Work), 0.3, true);
                check(row.name, &streaming, &dense);
                per_pair[at] = dense.bytes as f64 / (n as f64).powi(2);
                dense
            });
            let mega = |m: &Measured| format!("{:.1}", m.bytes as f64 * 1e-6);
            println!(
                "  {:<24}{:>10.4}{:>10.4}{:>6.1}{:>12}{:>12}{:>8}{:>12}{:>8}",
                row.name,
                streaming.wall,
                streaming.cpu_each(),
                row.made,
                shares[0],
                shares[1],
                mega(&streaming),
                dense.as_ref().map_or("-".to_string(), &mega),
                dense.as_ref().map_or("-".to_string(), |m| format!("{:.1}", m.cpu_each() / streaming.cpu_each())),
            );
        }
    }
    Ok(())
}

/// The mean and, of several, its standard error.
fn mean_and_error(all: &[f64]) -> (f64, Option<f64>) {
    let n = all.len() as f64;
    let mean = all.iter().sum::<f64>() / n;
    let squares: f64 = all.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (all.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt()))
}

/// Both forms are the same function.
fn check(name: &str, streaming: &Measured, dense: &Measured) {
    let number = |x: Tensor<1>| x.into_data().iter::<f64>().next().expect("a number");
    let result = |m: &Measured| m.result.clone().expect("the first run's result");
    let ((value, gradient), (want, slopes)) = (result(streaming), result(dense));
    let gap = (number(value.clone()) - number(want.clone())).abs() / (1e-3 + number(want).abs());
    assert!(gap < 1e-3, "{name}: the values differ by {gap} of them");
    let gap = number((gradient - slopes.clone()).abs().max()) / number(slopes.abs().max());
    assert!(gap < 1e-2, "{name}: the gradients differ by {gap} of the largest number");
}
