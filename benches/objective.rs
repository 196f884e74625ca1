//! Value and gradients of InfoNCE, NT-Xent and CLIP without the matrix, against the matrix and the rate of bare products.
//!
//! ```text
//! cargo bench --bench objective -- [--quick] [--huge] [--dense-limit 16384]
//! ```
//!
//! Every objective has N anchors and N candidates of width D in f32 (NT-Xent: two views of N / 2 each, stacked). Four forms:
//!
//! * streaming: `PairObjective::evaluate` of both gradients.
//! * one way: the same without what is shared between the two directions: NT-Xent with the table as anchors and, a
//!   second time, as candidates; CLIP as two evaluations of InfoNCE.
//! * tensors: what one writes in tensor operations (product, largest logit, exponential, sum, logarithm), and backward.
//! * dense: `PairObjective::dense` and backward: the definition of the whole family, with masks of every pair.
//!
//! The rate counts 6 N^2 D operations whatever a form does: 2 for the logits, 4 for both gradients. Symmetric forms need
//! fewer, so that their share of the product rate is nominal. The product rate is the better one of a 2048^3 product
//! and of N x N x D in tiles that are overwritten, on all threads. All forms take turns, so that other load on the machine
//! meets them all; a form's wall time is its fastest run. `cores` is the CPU time of all its runs over their wall time:
//! where the products have fewer cores than threads, something else had them, and shares of wall time (which may then
//! exceed 100 %) say nothing about the code. Shares by CPU time are of all runs together; they hold better under load, but
//! not exactly: caches are shared too, and the clock has ticks of 10 ms. `x wall`
//! and `x CPU` are a form's times over those of streaming. Memory is the most that is allocated during a run
//! beyond the inputs, gradients included.

use burn::tensor::{Tensor, TensorData};
use clap::Parser;
use contrastive::Device;
use contrastive::objective::{Clip, InfoNce, Inputs, NtXent, PairObjective, Wanted};
use contrastive::pairs::Exclusions;
use contrastive::similarity::unit_rows;
use measure::{Measured, Products, Work, available, measure, numbers};
use std::error::Error;
use std::hint::black_box;

mod measure;

#[derive(Parser)]
struct Options {
    /// Only the two small sizes, and shorter measurements.
    #[arg(long)]
    quick: bool,
    /// Also InfoNCE at N = 262,144 and D = 64 (minutes).
    #[arg(long)]
    huge: bool,
    /// The largest N at which the forms with the whole matrix run, if the memory is there.
    #[arg(long, default_value_t = 16_384)]
    dense_limit: usize,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

const TEMPERATURE: f64 = 0.2;
/// Above this N only InfoNCE runs.
const HUGE: usize = 100_000;
/// A form whose run takes more seconds than this runs once.
const LONG: f64 = 10.0;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    println!("f32, {} threads, temperature {TEMPERATURE}", rayon::current_num_threads());
    let mut sizes = vec![(1024, 128), (4096, 128)];
    if !options.quick {
        sizes.push((16_384, 128));
    }
    if options.huge {
        sizes.push((262_144, 64));
    }
    let seconds = if options.quick { 0.3 } else { 0.5 };
    // bytes of each pair, measured at the size before
    let mut per_pair = [[0.0; 4]; 3];
    for (n, d) in sizes {
        let tables = [numbers(n, d, 1), numbers(n, d, 2)].map(|x| {
            let x = TensorData::new(x, [n, d]);
            Tensor::<2>::from_data(x, &Device::flex())
        });
        let mut objectives = objectives(&tables)?;
        if n > HUGE {
            objectives.truncate(1);
        }
        let flops = 6.0 * (n as f64).powi(2) * d as f64;
        let mut products = Products::new(n, d);
        let mut runs: Vec<[Option<Measured>; 4]> = vec![Default::default(); objectives.len()];
        for turn in 0..3 {
            products.measure(seconds);
            for (at, objective) in objectives.iter().enumerate() {
                for (form, work) in objective.forms.iter().enumerate() {
                    if runs[at][form].as_ref().is_some_and(|m| m.wall > LONG) {
                        continue;
                    }
                    let whole_matrix = form >= 2;
                    let needed = 1.25 * per_pair[at][form] * (n as f64).powi(2);
                    if work.is_none() || whole_matrix && (n > options.dense_limit || needed > available()) {
                        continue;
                    }
                    let measured = measure(work.as_ref().expect("a form"), seconds, turn == 0);
                    runs[at][form].get_or_insert_default().merge(measured);
                }
            }
        }
        let wall = products.square.wall.min(products.tiles.wall);
        let cpu = products.square.cpu_each().min(products.tiles.cpu_each());
        println!(
            "\nN = {n}, D = {d}: products {:.1} GF/s wall (2048^3: {:.1} with {:.2} cores, \
             tiles of N x N x D: {:.1} with {:.2} cores); {:.1} GF/s of CPU; the engine's own: {:.1} GF/s of CPU",
            1e-9 / wall,
            1e-9 / products.square.wall,
            products.square.cores(),
            1e-9 / products.tiles.wall,
            products.tiles.cores(),
            1e-9 / cpu,
            1e-9 / products.own.cpu_each()
        );
        println!(
            "  {:<9}{:<11}{:>10}{:>8}{:>7}{:>9}{:>9}{:>8}{:>8}{:>11}",
            "", "", "seconds", "GF/s", "cores", "of wall", "of CPU", "x wall", "x CPU", "MB beyond"
        );
        for (at, (objective, forms)) in objectives.iter().zip(&runs).enumerate() {
            objective.check(forms);
            let streaming = forms[0].as_ref().expect("streaming always runs");
            for (form, name) in ["streaming", "one way", "tensors", "dense"].iter().enumerate() {
                if objective.forms[form].is_none() {
                    continue;
                }
                let Some(m) = &forms[form] else {
                    println!("  {:<9}{name:<11}{:>10}", objective.name, "left out");
                    continue;
                };
                per_pair[at][form] = m.bytes as f64 / (n as f64).powi(2);
                println!(
                    "  {:<9}{name:<11}{:>10.4}{:>8.1}{:>7.2}{:>8.0}%{:>8.0}%{:>8.2}{:>8.2}{:>11.1}",
                    objective.name,
                    m.wall,
                    1e-9 * flops / m.wall,
                    m.cores(),
                    100.0 * wall * flops / m.wall,
                    100.0 * cpu * flops / m.cpu_each(),
                    m.wall / streaming.wall,
                    m.cpu_each() / streaming.cpu_each(),
                    m.bytes as f64 * 1e-6
                );
            }
        }
    }
    Ok(())
}

struct Objective<'a> {
    name: &'static str,
    /// Streaming, one way, tensors, dense.
    forms: [Option<Work<'a>>; 4],
}

impl Objective<'_> {
    /// All forms are the same function.
    fn check(&self, forms: &[Option<Measured>; 4]) {
        let results = || forms.iter().flatten().filter_map(|m| m.result.as_ref());
        let (value, gradient) = results().next().expect("streaming always runs");
        let large = number(gradient.clone().abs().max());
        for (other, other_gradient) in results().skip(1) {
            let gap = (number(other.clone()) / number(value.clone()) - 1.0).abs();
            assert!(gap < 1e-4, "{}: the values differ by {gap} of them", self.name);
            let gap = number((other_gradient.clone() - gradient.clone()).abs().max()) / large;
            assert!(gap < 1e-3, "{}: the gradients differ by {gap} of the largest number", self.name);
        }
    }
}

fn number(x: Tensor<1>) -> f64 {
    x.into_data().iter::<f64>().next().expect("a number")
}

fn objectives<'a>(tables: &'a [Tensor<2>; 2]) -> Result<Vec<Objective<'a>>, Box<dyn Error>> {
    let [a, c] = tables;
    let [n, d] = a.dims();
    let views = Tensor::cat(vec![a.clone().slice([0..n / 2, 0..d]), c.clone().slice([0..n / 2, 0..d])], 0);
    let two = move || Inputs::new(a.clone(), c.clone());
    let (info, xent, clip) = (InfoNce::new(TEMPERATURE)?, NtXent::new(TEMPERATURE)?, Clip::new(TEMPERATURE)?);
    let (info, xent, clip) = (info.objective().clone(), xent.objective().clone(), clip.objective().clone());
    let tracked = |x: &Tensor<2>| Tensor::<2>::from_inner(x.clone()).require_grad();
    // value and gradient of a loss of two tracked tables
    let backward = move |loss: &dyn Fn(&Tensor<2>, &Tensor<2>) -> Tensor<1>| {
        let (a, c) = (tracked(a), tracked(c));
        let value = loss(&a, &c);
        let gradients = value.backward();
        black_box(c.grad(&gradients));
        (value.inner(), a.grad(&gradients).expect("a gradient"))
    };
    let backward_within = {
        let views = views.clone();
        move |loss: &dyn Fn(&Tensor<2>) -> Tensor<1>| {
            let table = tracked(&views);
            let value = loss(&table);
            let gradients = value.backward();
            (value.inner(), table.grad(&gradients).expect("a gradient"))
        }
    };
    let logits = |a: &Tensor<2>, c: &Tensor<2>| {
        let (a, c) = (unit_rows(a.clone()), unit_rows(c.clone()));
        let own = (a.clone() * c.clone()).sum_dim(1) * (1.0 / TEMPERATURE);
        (a.matmul(c.transpose()) * (1.0 / TEMPERATURE), own)
    };
    let one_way = PairObjective::new(TEMPERATURE)?.with_pairs(contrastive::pairs::Pairs::TwoViews);
    let one_way = one_way.with_exclusions(Exclusions::own_row(0));
    let (dense_info, dense_xent, dense_clip, info_twice) = (info.clone(), xent.clone(), clip.clone(), info.clone());
    let (stacked, both_sides, dense_within) = (views.clone(), views, backward_within.clone());
    Ok(vec![
        Objective {
            name: "InfoNCE",
            forms: [
                Some(Box::new(move || evaluated(&info, &two()))),
                None,
                Some(Box::new(move || {
                    backward(&|a, c| {
                        let (s, own) = logits(a, c);
                        (log_sum_exp(s, 1) - own).mean()
                    })
                })),
                Some(Box::new(move || backward(&|a, c| dense_info.dense(&Inputs::new(a.clone(), c.clone()))))),
            ],
        },
        Objective {
            name: "NT-Xent",
            forms: [
                Some(Box::new(move || evaluated(&xent, &Inputs::self_contrast(stacked.clone())))),
                Some(Box::new(move || {
                    let result = one_way.evaluate(&Inputs::new(both_sides.clone(), both_sides.clone()), Wanted::ALL);
                    let [a, c] = [result.gradients.anchors, result.gradients.candidates].map(|g| g.expect("wanted"));
                    (result.value, a + c)
                })),
                Some(Box::new(move || {
                    backward_within(&|table| {
                        let [n, d] = table.dims();
                        let unit = unit_rows(table.clone());
                        let [a, b] = [0..n / 2, n / 2..n].map(|rows| unit.clone().slice([rows, 0..d]));
                        let own = (a * b).sum_dim(1) * (1.0 / TEMPERATURE);
                        let itself = Tensor::eye(n, &table.device()) * 1e9;
                        let s = unit.clone().matmul(unit.transpose()) * (1.0 / TEMPERATURE) - itself;
                        log_sum_exp(s, 1).mean() - own.mean()
                    })
                })),
                Some(Box::new(move || dense_within(&|table| dense_xent.dense(&Inputs::self_contrast(table.clone()))))),
            ],
        },
        Objective {
            name: "CLIP",
            forms: [
                Some(Box::new(move || evaluated(&clip, &two()))),
                Some(Box::new(move || {
                    let there = info_twice.evaluate(&two(), Wanted::ALL);
                    let back = info_twice.evaluate(&Inputs::new(c.clone(), a.clone()), Wanted::ALL);
                    black_box(there.gradients.candidates.expect("wanted") + back.gradients.anchors.expect("wanted"));
                    let gradient =
                        there.gradients.anchors.expect("wanted") + back.gradients.candidates.expect("wanted");
                    ((there.value + back.value) * 0.5, gradient * 0.5)
                })),
                Some(Box::new(move || {
                    backward(&|a, c| {
                        let (s, own) = logits(a, c);
                        (log_sum_exp(s.clone(), 1).mean() + log_sum_exp(s, 0).mean()) * 0.5 - own.mean()
                    })
                })),
                Some(Box::new(move || backward(&|a, c| dense_clip.dense(&Inputs::new(a.clone(), c.clone()))))),
            ],
        },
    ])
}

fn evaluated(objective: &PairObjective, inputs: &Inputs) -> (Tensor<1>, Tensor<2>) {
    let result = objective.evaluate(inputs, Wanted::ALL);
    black_box(result.gradients.candidates);
    (result.value, result.gradients.anchors.expect("wanted"))
}

fn log_sum_exp(s: Tensor<2>, along: usize) -> Tensor<2> {
    let top = s.clone().detach().max_dim(along);
    (s - top.clone()).exp().sum_dim(along).log() + top
}
