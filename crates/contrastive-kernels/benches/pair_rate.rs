//! Share of the bare matrix products that the fused pair objectives reach, in one run.
//!
//! ```text
//! cargo bench -p contrastive-kernels --bench pair_rate [-- rounds]
//! ```
//! The limit is measured beside the engine: the same number of products in panels of the same shapes on the same threads,
//! with nothing between them and every tile still in the cache. InfoNCE with both gradients counts 6 N M D flops, a table against itself 4 N^2 D. The rounds
//! interleave limit and engine; the best time of each counts. Shares are given of the wall clock and of processor time: the
//! latter is the fairer one on a machine that others use as well (Linux; elsewhere both are the wall clock).

use contrastive_kernels::real::gemm;
use contrastive_kernels::softmax::{
    Denominator, RowSets, RowValue, SoftmaxProblem, TwoSidedProblem, Wanted, rows, two_sided,
};
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Instant;

/// Rows and columns of a panel of the bare products.
const PANEL: usize = 512;

fn unit_rows(n: usize, d: usize, seed: u64) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut x: Vec<f32> = (0..n * d).map(|_| rng.random::<f32>() - 0.5).collect();
    for row in x.chunks_exact_mut(d) {
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter_mut().for_each(|v| *v /= norm);
    }
    x
}

/// The three products of each panel, one right after the other: a tile of similarities that never leaves the cache, its
/// stripe of the candidates' gradient, a part of the anchors' gradient.
struct Products {
    d: usize,
    columns: usize,
    stripes: Vec<[Vec<f32>; 2]>,
    tiles: Vec<Mutex<Vec<f32>>>,
}

impl Products {
    fn new(m: usize, d: usize) -> Self {
        let columns = PANEL.min(m / 4);
        let stripe = || [vec![0.0; PANEL * d], vec![0.0; columns * d]];
        Self {
            d,
            columns,
            stripes: (0..m / columns).map(|_| stripe()).collect(),
            tiles: (0..rayon::current_num_threads()).map(|_| Mutex::new(vec![0.0; PANEL * columns])).collect(),
        }
    }

    /// All of x against all of y, both a whole number of panels.
    fn run(&mut self, x: &[f32], y: &[f32]) {
        let (d, c, r) = (self.d, self.columns, PANEL);
        let tiles = &self.tiles;
        self.stripes.par_iter_mut().zip(y.par_chunks_exact(c * d)).with_max_len(1).for_each(|([dx, dy], y)| {
            let tile = &mut *tiles[rayon::current_thread_index().unwrap()].lock().unwrap();
            for x in x.chunks_exact(r * d) {
                gemm([r, c, d], tile, [c, 1], x, [d, 1], y, [1, d], 0.0, 1.0);
                gemm([c, d, r], dy, [d, 1], tile, [1, c], x, [d, 1], 1.0, 1.0);
                gemm([r, d, c], dx, [d, 1], tile, [c, 1], y, [d, 1], 0.0, 1.0);
            }
        });
    }
}

/// Processor time of all threads of this process so far.
fn processor_seconds() -> Option<f64> {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += text.split_whitespace().next()?.parse::<f64>().ok()?;
    }
    Some(total / 1e9)
}

/// Wall-clock and processor seconds.
fn seconds(f: impl FnOnce()) -> [f64; 2] {
    let (start, used) = (Instant::now(), processor_seconds());
    f();
    let wall = start.elapsed().as_secs_f64();
    [wall, processor_seconds().zip(used).map_or(wall, |(b, a)| b - a)]
}

fn main() {
    let rounds = std::env::args().skip(1).find_map(|a| a.parse::<usize>().ok()).unwrap_or(7);
    let d = 128;
    let threads = rayon::current_num_threads();
    println!(
        "f32, D = {d}, {threads} threads, best of interleaved rounds; shares of the products by wall clock | processor time"
    );
    println!("     N   products             InfoNCE          value only     NT-Xent, symmetric");
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
            value: RowValue::LogRatio,
            denominator: Denominator::WithPositives,
            row_weights: &weights,
            column_weights: &[],
            gradients: true,
        };
        let mut products = Products::new(n, d);
        let repeats = (4096 / n).pow(2).max(1);
        let mut best = [[f64::INFINITY; 2]; 4];
        let runs = rounds * if n < 16_384 { 4 } else { 1 };
        for _ in 0..runs {
            let times = [
                seconds(|| (0..repeats).for_each(|_| products.run(&x, &y))),
                seconds(|| (0..repeats).for_each(|_| drop(black_box(rows(&info))))),
                seconds(|| (0..repeats).for_each(|_| drop(black_box(rows(&value))))),
                seconds(|| (0..repeats).for_each(|_| drop(black_box(two_sided(&table))))),
            ];
            for (best, time) in best.iter_mut().flatten().zip(times.iter().flatten()) {
                *best = best.min(time / repeats as f64);
            }
        }
        let square = (n * n * d) as f64 / 1e9;
        let counts = [6.0, 6.0, 2.0, 4.0];
        let rates: Vec<[f64; 2]> = (0..4).map(|q| best[q].map(|t| counts[q] * square / t)).collect();
        print!("{n:>6} {:>5.0} GF/s", rates[0][0]);
        for rate in &rates[1..] {
            let share = |q: usize| 100.0 * rate[q] / rates[0][q];
            print!("  {:>5.0} {:>4.1} | {:>4.1} %", rate[0], share(0), share(1));
        }
        println!();
    }
}
