//! Share of the bare matrix products that the fused pair objectives reach, in one run.
//!
//! ```text
//! cargo bench -p contrastive-kernels --bench pair_rate [-- rounds]
//! ```
//! The limit is measured beside the engine: the same number of products in the same panel shapes on the same threads,
//! with nothing between them. InfoNCE with both gradients counts 6 N M D flops, a table against itself 4 N^2 D. The rounds
//! interleave limit and engine; the best time of each counts.

use contrastive_kernels::real::gemm;
use contrastive_kernels::softmax::{Denominator, RowSets, SoftmaxProblem, TwoSidedProblem, Wanted, rows, two_sided};
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

const PANEL_ROWS: usize = 512;

fn unit_rows(n: usize, d: usize, seed: u64) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut x: Vec<f32> = (0..n * d).map(|_| rng.random::<f32>() - 0.5).collect();
    for row in x.chunks_exact_mut(d) {
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter_mut().for_each(|v| *v /= norm);
    }
    x
}

struct Panels {
    d: usize,
    columns: usize,
    /// The similarities of each stripe, its part of the anchors' gradient, the candidates' gradient.
    stripes: Vec<(Vec<f32>, Vec<f32>, Vec<f32>)>,
}

impl Panels {
    fn new(m: usize, d: usize, columns: usize) -> Self {
        let stripe = || (vec![0.0; PANEL_ROWS * columns], vec![0.0; PANEL_ROWS * d], vec![0.0; columns * d]);
        Self { d, columns, stripes: (0..m.div_ceil(columns)).map(|_| stripe()).collect() }
    }

    /// The three products of each tile of x against y; n and m are whole numbers of panels.
    fn products(&mut self, x: &[f32], y: &[f32]) {
        let (d, c, r) = (self.d, self.columns, PANEL_ROWS);
        for x in x.chunks_exact(r * d) {
            self.stripes.par_iter_mut().zip(y.par_chunks_exact(c * d)).with_max_len(1).for_each(|((tile, _, _), y)| {
                gemm([r, c, d], tile, [c, 1], x, [d, 1], y, [1, d], 0.0, 1.0);
            });
            self.stripes.par_iter_mut().zip(y.par_chunks_exact(c * d)).with_max_len(1).for_each(
                |((tile, dx, dy), y)| {
                    gemm([c, d, r], dy, [d, 1], tile, [1, c], x, [d, 1], 1.0, 1.0);
                    gemm([r, d, c], dx, [d, 1], tile, [c, 1], y, [d, 1], 0.0, 1.0);
                },
            );
        }
    }
}

fn seconds(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

fn main() {
    let rounds = std::env::args().skip(1).find_map(|a| a.parse::<usize>().ok()).unwrap_or(7);
    let d = 128;
    println!("f32, D = {d}, {} threads, best of interleaved rounds", rayon::current_num_threads());
    println!(
        "{:>6} {:>14} {:>14} {:>7} {:>14} {:>7} {:>14} {:>7}",
        "N", "products GF/s", "InfoNCE GF/s", "share", "value only", "share", "NT-Xent GF/s", "share"
    );
    for n in [1024usize, 4096, 16_384] {
        let (x, y) = (unit_rows(n, d, 1), unit_rows(n, d, 2));
        let offsets: Vec<usize> = (0..=n).collect();
        let diagonal: Vec<u32> = (0..n as u32).collect();
        let view: Vec<u32> = (0..n).map(|i| ((i + n / 2) % n) as u32).collect();
        let weights = vec![1.0 / n as f32; n];
        let info = SoftmaxProblem {
            positives: Some(RowSets::new(None, &offsets, &diagonal)),
            row_weights: Some(&weights),
            ..SoftmaxProblem::new(&x, &y, d, 20.0f32)
        };
        let value = SoftmaxProblem { wanted: Wanted::VALUE, ..info };
        let table = TwoSidedProblem {
            anchors: &x,
            candidates: None,
            width: d,
            scale: 20.0,
            positives: RowSets::new(None, &offsets, &view),
            column_positives: None,
            mean: true,
            denominator: Denominator::WithPositives,
            row_weights: &weights,
            column_weights: &[],
            gradients: true,
        };
        let mut panels = Panels::new(n, d, (n / 8).clamp(64, 512));
        let repeats = (4096 / n).pow(2).max(1);
        let mut best = [f64::INFINITY; 4];
        let runs = rounds * if n < 16_384 { 4 } else { 1 };
        for _ in 0..runs {
            let times = [
                seconds(|| (0..repeats).for_each(|_| panels.products(&x, &y))),
                seconds(|| (0..repeats).for_each(|_| drop(black_box(rows(&info))))),
                seconds(|| (0..repeats).for_each(|_| drop(black_box(rows(&value))))),
                seconds(|| (0..repeats).for_each(|_| drop(black_box(two_sided(&table))))),
            ];
            best.iter_mut().zip(times).for_each(|(b, t)| *b = b.min(t / repeats as f64));
        }
        let square = (n * n * d) as f64 / 1e9;
        let rate = [6.0 * square / best[0], 6.0 * square / best[1], 2.0 * square / best[2], 4.0 * square / best[3]];
        println!(
            "{n:>6} {:>14.1} {:>14.1} {:>6.1}% {:>14.1} {:>6.1}% {:>14.1} {:>6.1}%",
            rate[0],
            rate[1],
            100.0 * rate[1] / rate[0],
            rate[2],
            100.0 * rate[2] / rate[0],
            rate[3],
            100.0 * rate[3] / rate[0]
        );
    }
}
