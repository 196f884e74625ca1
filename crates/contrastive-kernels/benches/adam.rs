//! Memory traffic of a step of Adam beside that of an in-place `y <- y + a x` of the same arrays, in GB/s.
//!
//! ```text
//! cargo bench -p contrastive-kernels --bench adam
//! ```

use contrastive_kernels::adam::{AdamStep, adam_step};
use contrastive_kernels::vector::axpy;
use rayon::prelude::*;
use std::time::Instant;

/// Elements of a task.
const CHUNK: usize = 32 * 1024;

/// GB/s of the fastest of 15 runs over `bytes`.
fn best(bytes: usize, mut run: impl FnMut()) -> f64 {
    let seconds = (0..15).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    bytes as f64 / seconds.fold(f64::INFINITY, f64::min) / 1e9
}

fn main() {
    let threads = rayon::current_num_threads();
    for n in [1 << 20, 4 << 20, 16 << 20] {
        let [mut p, mut m, mut v] = [1.0f32, 0.0, 0.0].map(|x| vec![x; n]);
        let g: Vec<f32> = (0..n).map(|k| (k * 7919 % 2003) as f32 / 1001.0 - 1.0).collect();
        let mut step = 0;
        // reads and writes of p, m and v, and a read of g
        let adam = best(28 * n, || {
            step += 1;
            let rule = AdamStep { lr: 0.01, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.05, step };
            adam_step(&mut p, &g, &mut m, &mut v, &rule);
        });
        let axpy =
            best(12 * n, || p.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).for_each(|(p, g)| axpy(p, 1e-3, g)));
        println!("{n} parameters, {threads} threads: adam {adam:.1} GB/s, in-place axpy {axpy:.1} GB/s");
    }
}
