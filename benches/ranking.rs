//! Full ranking at the shape of Gowalla: 29,858 users x 40,981 items x 64, Recall and NDCG at 20 and 40, in f32.
//!
//! `cargo bench --bench ranking [-- --data gowalla/train.txt] [--repeat N]`. The embeddings are random. With `--data`, a file of lines
//! "user item item ...", its items are masked; without, a generated mask of the same density. Each repetition measures the bare products
//! of the same shape (tiles of 512 x 1,024 that are overwritten), the exact top 40, and the whole evaluation. Shares are of CPU time;
//! the last lines are the medians.

use contrastive_eval::ndarray::ArrayView2;
use contrastive_eval::ranking::{ItemSets, evaluate};
use contrastive_kernels::{real, top_k::top_k};
use rayon::prelude::*;
use std::time::Instant;

const USERS: usize = 29_858;
const ITEMS: usize = 40_981;
const WIDTH: usize = 64;
const FLOPS: f64 = 2.0 * USERS as f64 * ITEMS as f64 * WIDTH as f64;

/// Numbers from a linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Sums of three uniform numbers: near enough to a normal distribution.
    fn embeddings(&mut self, rows: usize) -> Vec<f32> {
        let mut unit = || self.next() as f32 / (1u64 << 31) as f32 - 0.5;
        (0..rows * WIDTH).map(|_| 0.2 * (unit() + unit() + unit())).collect()
    }

    /// About `mean` items for each user.
    fn sets(&mut self, mean: usize) -> Vec<Vec<u32>> {
        (0..USERS)
            .map(|_| {
                (0..1 + self.next() as usize % (2 * mean)).map(|_| (self.next() as usize % ITEMS) as u32).collect()
            })
            .collect()
    }
}

/// Seconds the processors have spent on this process; none where `/proc` is not there to tell.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

struct Cost {
    wall: f64,
    cpu: f64,
}

/// CPU time falls back to wall time.
fn measure<R>(work: impl FnOnce() -> R) -> (R, Cost) {
    let (start, before) = (Instant::now(), cpu_seconds());
    let result = work();
    let wall = start.elapsed().as_secs_f64();
    let cpu = cpu_seconds().zip(before).map_or(wall, |(after, before)| after - before);
    (result, Cost { wall, cpu })
}

fn products(users: &[f32], items: &[f32]) -> Cost {
    let work = || {
        users.par_chunks(512 * WIDTH).for_each_init(
            || vec![0f32; 512 * 1024],
            |tile, users| {
                for items in items.chunks(1024 * WIDTH) {
                    let (m, n) = (users.len() / WIDTH, items.len() / WIDTH);
                    let tile = &mut tile[..m * n];
                    real::gemm([m, n, WIDTH], tile, [n, 1], users, [WIDTH, 1], items, [1, WIDTH], 0.0, 1.0);
                    std::hint::black_box(tile);
                }
            },
        );
    };
    measure(work).1
}

fn flat(mut sets: Vec<Vec<u32>>) -> (Vec<usize>, Vec<u32>) {
    let (mut offsets, mut items) = (vec![0], Vec::new());
    for set in &mut sets {
        set.sort_unstable();
        set.dedup();
        items.extend_from_slice(set);
        offsets.push(items.len());
    }
    (offsets, items)
}

fn read(path: &str) -> Vec<Vec<u32>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut sets = vec![Vec::new(); USERS];
    for (line, row) in text.lines().enumerate() {
        let mut ids =
            row.split_whitespace().map(|id| id.parse::<u32>().unwrap_or_else(|e| panic!("{path}:{}: {e}", line + 1)));
        if let Some(user) = ids.next() {
            let set = sets.get_mut(user as usize);
            set.unwrap_or_else(|| panic!("{path}:{}: user {user} of {USERS}", line + 1)).extend(ids);
        }
    }
    sets
}

fn median(costs: &[Cost], part: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(part).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1));
    let repeat: usize = value("--repeat").map_or(5, |n| n.parse().expect("--repeat takes a number"));
    let mut numbers = Numbers(7);
    let (users, items) = (numbers.embeddings(USERS), numbers.embeddings(ITEMS));
    let (train, mask) = match value("--data") {
        Some(path) => (flat(read(path)), path.as_str()),
        None => (flat(numbers.sets(27)), "generated"),
    };
    let test = flat(numbers.sets(7));
    let train = ItemSets::new(&train.0, &train.1).expect("sorted sets");
    let test = ItemSets::new(&test.0, &test.1).expect("sorted sets");
    println!(
        "{USERS} users x {ITEMS} items x {WIDTH}, f32, {} threads; mask {mask}, {} entries",
        rayon::current_num_threads(),
        train.len()
    );

    let every: Vec<u32> = (0..USERS as u32).collect();
    let view = |table, rows| ArrayView2::from_shape((rows, WIDTH), table).expect("shape");
    let mut costs: [Vec<Cost>; 4] = Default::default();
    for _ in 0..repeat.max(1) {
        costs[0].push(products(&users, &items));
        costs[1].push(measure(|| top_k(&users, &items, WIDTH, 20, Some((train, &every)))).1);
        costs[2].push(measure(|| top_k(&users, &items, WIDTH, 40, Some((train, &every)))).1);
        let whole = || evaluate(view(&users, USERS), view(&items, ITEMS), train, test, &[20, 40]).expect("valid input");
        let (report, cost) = measure(whole);
        assert_eq!(report.users(), USERS);
        costs[3].push(cost);
    }
    let bare = median(&costs[0], |c| c.cpu);
    println!("{:22} {:>7} {:>7} {:>9} {:>17}", "", "wall s", "CPU s", "GF/CPU s", "of bare products");
    for (name, costs) in ["bare products", "top 20", "top 40", "evaluate @20 and @40"].iter().zip(&costs) {
        let (wall, cpu) = (median(costs, |c| c.wall), median(costs, |c| c.cpu));
        println!("{name:22} {wall:7.3} {cpu:7.2} {:9.1} {:16.0}%", FLOPS / cpu / 1e9, 100.0 * bare / cpu);
    }
}
