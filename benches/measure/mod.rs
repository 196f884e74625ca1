//! What the benchmarks of objectives share: an allocator that counts, runs that are timed, and the rate of bare products.
#![allow(dead_code)]

use burn::tensor::Tensor;
use contrastive::Device;
use contrastive_kernels::{product::Panels, real};
use rayon::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

/// The system's allocator, counting.
pub struct Counting;

static PRESENT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grow(bytes: usize) {
    let present = PRESENT.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(present, Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        PRESENT.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        PRESENT.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Value and the gradient of the first table.
pub type Work<'a> = Box<dyn Fn() -> (Tensor<1>, Tensor<2>) + 'a>;

/// The runs of one form.
#[derive(Clone, Default)]
pub struct Measured {
    /// Seconds of the fastest.
    pub wall: f64,
    /// CPU seconds of all.
    pub cpu: f64,
    pub runs: f64,
    /// Wall seconds of all.
    pub elapsed: f64,
    pub bytes: usize,
    pub result: Option<(Tensor<1>, Tensor<2>)>,
}

impl Measured {
    pub fn cpu_each(&self) -> f64 {
        self.cpu / self.runs
    }

    pub fn cores(&self) -> f64 {
        self.cpu / self.elapsed
    }

    pub fn merge(&mut self, other: Self) {
        self.wall = if self.runs == 0.0 { other.wall } else { self.wall.min(other.wall) };
        self.cpu += other.cpu;
        self.runs += other.runs;
        self.elapsed += other.elapsed;
        self.bytes = self.bytes.max(other.bytes);
        self.result = self.result.take().or(other.result);
    }
}

/// Runs until `seconds` are over; the first run counts only if it is longer than that.
pub fn measure(work: &Work, seconds: f64, keep: bool) -> Measured {
    let mut result = None;
    let mut measured = measure_for(work, 0.0, &mut result);
    if measured.wall < seconds {
        let first = measured.bytes;
        measured = measure_for(work, seconds, &mut None);
        measured.bytes = measured.bytes.max(first);
    }
    measured.result = result.filter(|_| keep);
    measured
}

/// Runs once, and again until `seconds` are over.
pub fn measure_for(work: &Work, seconds: f64, result: &mut Option<(Tensor<1>, Tensor<2>)>) -> Measured {
    let mut measured = Measured { wall: f64::INFINITY, ..Measured::default() };
    let (before, begin) = (cpu_seconds(), Instant::now());
    while measured.runs == 0.0 || begin.elapsed().as_secs_f64() < seconds {
        *result = None;
        let inputs = PRESENT.load(Relaxed);
        PEAK.store(inputs, Relaxed);
        let start = Instant::now();
        *result = Some(black_box(work()));
        measured.wall = measured.wall.min(start.elapsed().as_secs_f64());
        measured.bytes = measured.bytes.max(PEAK.load(Relaxed).saturating_sub(inputs));
        measured.runs += 1.0;
    }
    measured.elapsed = begin.elapsed().as_secs_f64();
    measured.cpu = cpu_seconds().zip(before).map_or(f64::NAN, |(after, before)| after - before);
    measured
}

/// CPU seconds of a call, the most bytes it held beyond those before it, and what it gave.
pub fn cost<T>(work: impl FnOnce() -> T) -> (f64, usize, T) {
    let (before, cpu) = (PRESENT.load(Relaxed), cpu_seconds());
    PEAK.store(before, Relaxed);
    let found = black_box(work());
    let seconds = cpu_seconds().zip(cpu).map_or(f64::NAN, |(after, before)| after - before);
    (seconds, PEAK.load(Relaxed).saturating_sub(before), found)
}

/// Bare products; seconds are for one operation.
pub struct Products {
    n: usize,
    d: usize,
    a: Vec<f32>,
    c: Vec<f32>,
    /// A product of 2048^3 by the `gemm` crate.
    pub square: Measured,
    /// N x N x D by the `gemm` crate in tiles that are overwritten.
    pub tiles: Measured,
    /// The engine's own three products of a tile that stays in the cache: what is left of an objective without its function.
    pub own: Measured,
}

const SQUARE: usize = 2048;

impl Products {
    pub fn new(n: usize, d: usize) -> Self {
        // the rate needs no more rows than this
        let n = n.min(16_384);
        let count = (n * d).max(SQUARE * SQUARE);
        let [a, c] = [numbers(1, count, 3), numbers(1, count, 4)];
        let none = Measured::default;
        Self { n, d, a, c, square: none(), tiles: none(), own: none() }
    }

    /// CPU seconds an operation of the best products of the `gemm` crate, and of the engine's own.
    pub fn cpu_each(&self) -> [f64; 2] {
        [self.square.cpu_each().min(self.tiles.cpu_each()), self.own.cpu_each()]
    }

    /// CPU seconds an operation of both products of the `gemm` crate and of the engine's own, in this measurement alone, without those
    /// before.
    pub fn measure_alone(&mut self, seconds: f64) -> [f64; 3] {
        [&mut self.square, &mut self.tiles, &mut self.own].into_iter().for_each(|m| *m = Measured::default());
        self.measure(seconds);
        [&self.square, &self.tiles, &self.own].map(|m| m.cpu_each())
    }

    pub fn measure(&mut self, seconds: f64) {
        let per_operation = |m: Measured, flops: f64| Measured {
            wall: m.wall / flops,
            cpu: m.cpu / flops,
            elapsed: m.elapsed / flops,
            ..m
        };
        let (a, c, n, d) = (&self.a, &self.c, self.n, self.d);
        let nothing = || (Tensor::zeros([1], &Device::flex()), Tensor::zeros([1, 1], &Device::flex()));
        let out = RefCell::new(vec![0f32; SQUARE * SQUARE]);
        let square: Work = Box::new(|| {
            let mut out = out.borrow_mut();
            out.par_chunks_mut(256 * SQUARE).zip(a.par_chunks(256 * SQUARE)).for_each(|(out, a)| {
                let [row, shape] = [[SQUARE, 1]; 2];
                real::gemm([256, SQUARE, SQUARE], out, row, a, shape, c, shape, 0.0, 1.0);
            });
            black_box(&mut *out);
            nothing()
        });
        let tiles: Work = Box::new(|| {
            // two thirds of a gradient are products of this shape transposed; all have the same operations
            a[..n * d].par_chunks(256 * d).for_each_init(
                || vec![0f32; 256 * 1024],
                |tile, a| {
                    for c in c[..n * d].chunks(1024 * d) {
                        let shape = [a.len() / d, c.len() / d, d];
                        real::gemm(shape, tile, [shape[1], 1], a, [d, 1], c, [1, d], 0.0, 1.0);
                        black_box(&mut *tile);
                    }
                },
            );
            nothing()
        });
        let panels = Panels::new::<f32>(d);
        let (r, c_of_tile, line) = (256.min(n), 512.min(n), panels.line());
        let (anchors, candidates) = (&a[..r * d], &c[..c_of_tile * d]);
        let mut transposed = vec![0f32; panels.transposed_len(r)];
        panels.transpose(anchors, &mut transposed);
        let mut lines = vec![0f32; panels.lines_len(r)];
        panels.lines(anchors, None, &mut lines);
        let threads = rayon::current_num_threads();
        let pairs = n.min(4096).pow(2);
        let repeats = pairs.div_ceil(r * c_of_tile * threads).max(1);
        let own: Work = Box::new(|| {
            (0..threads).into_par_iter().with_max_len(1).for_each(|_| {
                let mut tile = vec![0f32; panels.count(r) * line * c_of_tile];
                let (mut of_anchors, mut of_candidates) = (vec![0f32; transposed.len()], vec![0f32; c_of_tile * d]);
                for _ in 0..repeats {
                    let parts = of_anchors.chunks_exact_mut(d * line).zip(transposed.chunks_exact(d * line));
                    for (panel, (part, anchors)) in tile.chunks_exact_mut(c_of_tile * line).zip(parts) {
                        panels.similarities(candidates, anchors, panel, false);
                        panels.of_anchors(candidates, panel, part, false);
                    }
                    panels.of_candidates(&tile, &lines, &mut of_candidates, |_| ());
                }
                black_box((tile, of_anchors, of_candidates));
            });
            nothing()
        });
        let own = measure(&own, seconds, false);
        self.own.merge(per_operation(own, 6.0 * (threads * repeats * r * c_of_tile * d) as f64));
        let (square, tiles) = (measure(&square, seconds, false), measure(&tiles, seconds, false));
        self.square.merge(per_operation(square, 2.0 * (SQUARE as f64).powi(3)));
        self.tiles.merge(per_operation(tiles, 2.0 * (n as f64).powi(2) * d as f64));
    }
}

/// Seconds the processors have spent on the threads of this process that are there; none where `/proc` is not there to tell.
pub fn cpu_seconds() -> Option<f64> {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += text.split_whitespace().next()?.parse::<f64>().ok()?;
    }
    Some(total * 1e-9)
}

/// Bytes that may still be allocated; all where `/proc` is not there to tell.
pub fn available() -> f64 {
    let kib = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:").map(str::to_string))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    });
    kib.map_or(f64::INFINITY, |kib| 1024.0 * kib)
}

/// Uniform in [-0.5, 0.5) from a linear congruence.
pub fn numbers(rows: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..rows * width).map(|_| next()).collect()
}
