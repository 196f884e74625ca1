//! The pair engine never holds the matrix: peak of the allocations beside inputs and results, counted.

use contrastive_kernels::softmax::{
    Denominator, RowSets, RowValue, SoftmaxProblem, TwoSidedProblem, Wanted, rows, two_sided,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The tests count the same allocations, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

// SAFETY: every call is handed to the system's allocator unchanged; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises about `at` and `layout` are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Largest number of bytes allocated while `f` runs, beyond what was there before and the `results` bytes of its output.
fn extra_bytes<R>(results: usize, f: impl FnOnce() -> R) -> (usize, R) {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let out = f();
    (PEAK.load(Relaxed) - before - results, out)
}

const MIB: usize = 1 << 20;

fn table(n: usize, d: usize) -> Vec<f32> {
    (0..n * d).map(|k| ((k * 7919 % 1009) as f32 / 1009.0 - 0.5) / (d as f32).sqrt()).collect()
}

#[test]
fn one_direction_stays_below_64_mib_at_16k() {
    let _turn = TURN.lock().unwrap();
    let (n, d) = (16_384, 128);
    let (x, y) = (table(n, d), table(n, d));
    let offsets: Vec<usize> = (0..=n).collect();
    let columns: Vec<u32> = (0..n as u32).collect();
    let problem = SoftmaxProblem {
        positives: Some(RowSets::new(None, &offsets, &columns)),
        ..SoftmaxProblem::new(&x, &y, d, 10.0)
    };
    let (extra, out) = extra_bytes((2 * n * d + 2 * n) * size_of::<f32>(), || rows(&problem));
    println!("one direction, N = {n}, D = {d}: {:.1} MiB extra", extra as f64 / MIB as f64);
    assert!(extra < 64 * MIB, "{extra} bytes");
    assert!(out.value > 0.0);
}

#[test]
fn a_table_against_itself_stays_below_64_mib_at_16k() {
    let _turn = TURN.lock().unwrap();
    let (n, d) = (16_384, 128);
    let x = table(n, d);
    let offsets: Vec<usize> = (0..=n).collect();
    let columns: Vec<u32> = (0..n as u32).map(|i| (i + n as u32 / 2) % n as u32).collect();
    let weights = vec![1.0; n];
    let problem = TwoSidedProblem {
        anchors: &x,
        candidates: None,
        width: d,
        scale: 10.0,
        positives: RowSets::new(None, &offsets, &columns),
        column_positives: None,
        mean: true,
        value: RowValue::LogRatio,
        denominator: Denominator::WithPositives,
        row_weights: &weights,
        column_weights: &[],
        gradients: true,
    };
    let (extra, out) = extra_bytes((n * d + n) * size_of::<f32>(), || two_sided(&problem));
    println!("symmetric, N = {n}, D = {d}: {:.1} MiB extra", extra as f64 / MIB as f64);
    assert!(extra < 64 * MIB, "{extra} bytes");
    assert!(out.value > 0.0);
}

/// A block of rows against 262,144 candidates: what a full problem of that size holds at any time, without its hours.
#[test]
fn a_quarter_of_a_million_candidates_fit() {
    let _turn = TURN.lock().unwrap();
    let (n, m, d) = (200, 262_144, 64);
    let (x, y) = (table(n, d), table(m, d));
    let offsets: Vec<usize> = (0..=n).collect();
    let columns: Vec<u32> = (0..n as u32).map(|i| i * 1000).collect();
    let problem = SoftmaxProblem {
        positives: Some(RowSets::new(None, &offsets, &columns)),
        wanted: Wanted::ALL,
        ..SoftmaxProblem::new(&x, &y, d, 10.0)
    };
    let (extra, out) = extra_bytes(((n + m) * d + 2 * n) * size_of::<f32>(), || rows(&problem));
    println!("one direction, N = {n}, M = {m}, D = {d}: {:.1} MiB extra", extra as f64 / MIB as f64);
    assert!(extra < 80 * MIB, "{extra} bytes");
    assert!(out.rows.iter().all(|l| (l - (m as f32).ln()).abs() < 10.0), "{:?}", &out.rows[..4]);
}
