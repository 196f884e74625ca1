//! Sparse propagation against the gather/scatter form and the memory-bandwidth bound, in one run.
//!
//! ```text
//! cargo bench --bench propagation -- [--data DIR] [--width 64] [--repeats 7]
//! ```
//!
//! `DIR/train.txt` is in the LightGCN text format: a user and its items on every line. Without `--data` a bipartite
//! power-law graph is generated. The matrix is the normalised joint adjacency of users and items, `(I + J)^2`.
//!
//! The bound counts every entry's column, value and row of `x` as read from memory, and every output row as written:
//! `nnz (4 + 4 + 4 width) + 4 width rows` bytes, at the rate of a streaming copy measured between the other runs. A time
//! below it means that rows were found in cache.

use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use clap::Parser;
use contrastive::graph::user_item::data::{Interactions, Relabelling};
use contrastive::linear::SparseOperator;
use contrastive_kernels::sparse::{Csr, degree_order};
use rayon::prelude::*;
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Parser)]
struct Options {
    /// Folder with `train.txt` in the LightGCN text format; without it, a generated graph.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Columns of the propagated table.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    width: u16,
    /// Runs of each form; the fastest counts.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let (name, pairs) = match &options.data {
        Some(folder) => (folder.display().to_string(), read(&folder.join("train.txt"))?),
        None => ("generated power-law graph".to_string(), generate(30_000, 40_000, 800_000)),
    };
    let width = usize::from(options.width);
    let joint = adjacency(&pairs)?;
    println!(
        "{name}: {} nodes, {} entries, width {width}, {} threads",
        joint.rows(),
        joint.nnz(),
        rayon::current_num_threads()
    );
    let degrees: Vec<usize> = joint.indptr().windows(2).map(|w| w[1] - w[0]).collect();
    let order = degree_order(&degrees);
    println!("largest degree {}, median {}", degrees.iter().max().unwrap_or(&0), median(degrees.clone()));
    let by_degree = joint.relabel(&order, &order);
    let size = |ids: &mut dyn Iterator<Item = u32>| ids.max().map_or(0, |id| id as usize + 1);
    let (users, items) = (size(&mut pairs.iter().map(|p| p.0)), size(&mut pairs.iter().map(|p| p.1)));
    let interactions = Interactions::from_pairs(users, items, pairs.iter().copied())?;
    let start = Instant::now();
    let clusters = Relabelling::by_clusters(&interactions).joint();
    println!("order by clusters found in {:.2} s", start.elapsed().as_secs_f64());
    let by_clusters = joint.relabel(clusters.new_of_old(), clusters.new_of_old());
    report([("original order", joint), ("by degree", by_degree), ("by clusters", by_clusters)], width, options.repeats);
    Ok(())
}

fn median(mut values: Vec<usize>) -> usize {
    let middle = values.len() / 2;
    *values.select_nth_unstable(middle).1
}

/// Times all forms on the matrix in all orders, taking turns so that other load on the machine meets them all, and prints
/// ratios.
fn report(matrices: [(&str, Csr<f32>); 3], width: usize, repeats: u16) {
    let (rows, nnz) = (matrices[0].1.rows(), matrices[0].1.nnz());
    let orders = matrices.map(|(order, matrix)| (order, Forms::new(matrix, width)));
    let mut copy = Copy::new(rows * width);
    let mut per_byte = f64::INFINITY;
    let mut best = [[f64::INFINITY; 5]; 3];
    orders.iter().for_each(|(_, forms)| forms.check());
    for _ in 0..repeats {
        per_byte = per_byte.min(copy.seconds_per_byte());
        for (best, (_, forms)) in best.iter_mut().zip(&orders) {
            let times = forms.times();
            best.iter_mut().zip(times).for_each(|(best, time)| *best = best.min(time));
        }
    }
    let bytes = nnz * (4 + 4 + 4 * width) + 4 * width * rows;
    let bound = bytes as f64 * per_byte;
    println!(
        "streaming copy {:.1} GB/s; bound for {:.1} MB {:.2} ms",
        1e-9 / per_byte,
        bytes as f64 * 1e-6,
        bound * 1e3
    );
    for (best, order) in best.into_iter().zip(orders.each_ref().map(|(order, _)| *order)) {
        let [kernel, native, gather, native_both, gather_both] = best;
        println!("\n{order}");
        let line = |name: &str, time: f64, ratio: String| println!("  {name:<34}{:8.2} ms   {ratio}", time * 1e3);
        line("kernel, forward", kernel, format!("{:5.2} x the rate of the bound", bound / kernel));
        line("operator, forward", native, format!("{:5.2} x faster than gather/scatter", gather / native));
        line("gather/scatter, forward", gather, String::new());
        let ratio = format!("{:5.2} x faster than gather/scatter", gather_both / native_both);
        line("operator, forward and backward", native_both, ratio);
        line("gather/scatter, both", gather_both, String::new());
        println!("  {:.1} GF/s in the kernel", 2e-9 * (nnz * width) as f64 / kernel);
    }
    let [degree, clusters] = [1, 2].map(|at| best[0][0] / best[at][0]);
    println!("\nkernel by degree: {degree:.2} x, by clusters: {clusters:.2} x the speed of the original order");
}

/// Seconds of the second of two runs: the first warms caches, so that the form before leaves no trace.
fn timed(run: impl Fn()) -> f64 {
    run();
    once(run)
}

fn once(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// The same product in every form.
struct Forms {
    operator: SparseOperator,
    width: usize,
    x: Tensor<2>,
    host: Vec<f32>,
    sources: Tensor<1, Int>,
    targets: Tensor<1, Int>,
    values: Tensor<2>,
}

impl Forms {
    fn new(matrix: Csr<f32>, width: usize) -> Self {
        let device = Device::flex();
        let (size, nnz) = (matrix.rows(), matrix.nnz());
        let mut state = 9;
        let host: Vec<f32> = (0..size * width).map(|_| random(&mut state) as f32 - 0.5).collect();
        let targets = (0..size).flat_map(|row| std::iter::repeat_n(row as i32, matrix.row(row).0.len())).collect();
        let sources = matrix.indices().iter().map(|&column| column as i32).collect();
        let index = |list: Vec<i32>| Tensor::<1, Int>::from_data(TensorData::new(list, [nnz]), &device);
        Self {
            width,
            x: Tensor::from_data(TensorData::new(host.clone(), [size, width]), &device),
            host,
            sources: index(sources),
            targets: index(targets),
            values: Tensor::from_data(TensorData::new(matrix.values().to_vec(), [nnz, 1]), &device),
            operator: SparseOperator::from_f32(matrix),
        }
    }

    fn kernel(&self) {
        let mut out = vec![0.0; self.host.len()];
        self.operator.to_f32().multiply(&self.host, self.width, &mut out);
        black_box(out);
    }

    fn native(&self, x: Tensor<2>) -> Tensor<2> {
        self.operator.apply(x)
    }

    fn gather_scatter(&self, x: Tensor<2>) -> Tensor<2> {
        let parts = x.clone().select(0, self.sources.clone()) * self.values.clone();
        Tensor::zeros(x.dims(), &self.x.device()).select_assign(0, self.targets.clone(), parts, IndexingUpdateOp::Add)
    }

    /// The gradient of the sum of the product, through autodiff.
    fn gradient(&self, product: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let x = Tensor::from_inner(self.x.clone()).require_grad();
        let gradients = product(x.clone()).sum().backward();
        x.grad(&gradients).expect("a gradient of the propagated table")
    }

    /// Seconds of the kernel, of operator and gather/scatter forward, and of both forward and backward.
    fn times(&self) -> [f64; 5] {
        [
            timed(|| self.kernel()),
            timed(|| drop(black_box(self.native(self.x.clone())))),
            timed(|| drop(black_box(self.gather_scatter(self.x.clone())))),
            timed(|| drop(black_box(self.gradient(|x| self.native(x))))),
            timed(|| drop(black_box(self.gradient(|x| self.gather_scatter(x))))),
        ]
    }

    /// Both forms are the same map.
    fn check(&self) {
        let gap = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_data().convert::<f32>().try_to_vec::<f32>();
        let value = gap(self.native(self.x.clone()), self.gather_scatter(self.x.clone()));
        let gradient = gap(self.gradient(|x| self.native(x)), self.gradient(|x| self.gather_scatter(x)));
        for gap in [value, gradient] {
            let gap = gap.expect("a number")[0];
            assert!(gap < 1e-4, "the forms differ by {gap}");
        }
    }
}

/// A copy between buffers that no cache holds.
struct Copy {
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Copy {
    /// Buffers of at least 1 GiB together, whatever the size of the table.
    fn new(count: usize) -> Self {
        let count = count.max(1 << 27);
        Self { from: vec![1.0; count], to: vec![0.0; count] }
    }

    fn seconds_per_byte(&mut self) -> f64 {
        let bytes = 8 * self.from.len();
        let time = once(|| {
            let pieces = self.to.par_chunks_mut(1 << 16).zip(self.from.par_chunks(1 << 16));
            pieces.for_each(|(to, from)| to.copy_from_slice(from));
        });
        black_box(&self.to);
        time / bytes as f64
    }
}

/// `D^-1/2 [[0, R], [R^T, 0]] D^-1/2` of user-item pairs.
fn adjacency(pairs: &[(u32, u32)]) -> Result<Csr<f32>, Box<dyn Error>> {
    let size = |ids: &mut dyn Iterator<Item = u32>| ids.max().map_or(0, |id| id as usize + 1);
    let (users, items) = (size(&mut pairs.iter().map(|p| p.0)), size(&mut pairs.iter().map(|p| p.1)));
    let triplets: Vec<_> = pairs.iter().map(|&(user, item)| (user, item, 1.0f32)).collect();
    let joint = Csr::from_triplets(users, items, &triplets)?.map_values(|_| 1.0f32).bipartite()?;
    let degree: Vec<f32> = joint.indptr().windows(2).map(|w| (w[1] - w[0]) as f32).collect();
    Ok(joint.map_entries(|i, j, v| v / (degree[i] * degree[j]).sqrt()))
}

fn read(path: &Path) -> Result<Vec<(u32, u32)>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut pairs = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut ids = line.split_whitespace().map(|word| {
            word.parse::<u32>().map_err(|error| format!("{}:{}: {word:?}: {error}", path.display(), at + 1))
        });
        if let Some(user) = ids.next().transpose()? {
            for item in ids {
                pairs.push((user, item?));
            }
        }
    }
    match pairs.is_empty() {
        true => Err(format!("{}: no interactions", path.display()).into()),
        false => Ok(pairs),
    }
}

/// Pairs with power-law degrees on both sides: ids are `n u^3` for uniform `u`, scattered over the numbers.
fn generate(users: u32, items: u32, count: usize) -> Vec<(u32, u32)> {
    let mut state = 5;
    let mut draw = |n: u32, stride: u64| {
        let rank = (f64::from(n) * random(&mut state).powi(3)) as u64;
        (rank * stride % u64::from(n)) as u32
    };
    (0..count).map(|_| (draw(users, 7_919), draw(items, 7_919))).collect()
}

/// A uniform number in [0, 1) of a linear congruence.
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1u64 << 53) as f64
}
