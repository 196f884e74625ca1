#![allow(missing_docs, clippy::all)]
use contrastive_kernels::real::gemm;
use contrastive_kernels::softmax::*;
use rayon::prelude::*;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (v[11].parse::<f64>().unwrap() + v[12].parse::<f64>().unwrap()) / 100.0
}
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let (n, m, d) = (a[0], a[1], a[2]);
    let mut s = 12345u64;
    let mut rnd = |k: usize| -> Vec<f32> {
        (0..k)
            .map(|_| {
                s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((s >> 40) as f32 / 16777216.0 - 0.5) * 0.3
            })
            .collect()
    };
    let (q, k) = (rnd(n * d), rnd(m * d));
    let off: Vec<usize> = (0..=n).collect();
    let cols: Vec<u32> = (0..n as u32).collect();
    // rate of bare products
    for _ in 0..std::env::var("REP").map_or(3, |v| v.parse().unwrap()) {
        let rate = {
            let c0 = cpu();
            let mut total = 0.0;
            while cpu() - c0 < 0.1 {
                let flops: f64 = (0..16usize)
                    .into_par_iter()
                    .map(|_| {
                        let mut c = vec![0f32; 512 * 512];
                        for _ in 0..8 {
                            gemm(
                                [512, 512, d],
                                &mut c,
                                [512, 1],
                                &q[..512 * d],
                                [d, 1],
                                &k[..512 * d],
                                [1, d],
                                0.0,
                                1.0,
                            );
                        }
                        8.0 * 2.0 * 512.0 * 512.0 * d as f64
                    })
                    .sum();
                total += flops;
            }
            total / (cpu() - c0)
        };
        let mut p = SoftmaxProblem::new(&q[..], &k[..], d, 5.0f32);
        p.positives = Some(RowSets::new(None, &off, &cols));
        let c0 = cpu();
        let t = std::time::Instant::now();
        let mut runs = 0.0;
        let mut v = 0.0;
        while t.elapsed().as_secs_f64() < 8.0 {
            v = rows(&p).value;
            runs += 1.0;
        }
        let each = (cpu() - c0) / runs;
        println!(
            "rate {:.1} GF/cpu s; {:.3} cpu s each, share {:.1} %, value {v:.6}",
            rate / 1e9,
            each,
            100.0 * 6.0 * n as f64 * m as f64 * d as f64 / each / rate
        );
    }
}
