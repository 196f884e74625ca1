//! BECLR: transport of class means, the memory in clusters, and the loss with neighbours.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::memory::{DyCe, DyCeConfig, MemoryError};
use contrastive_core::objective::{Beclr, Enhanced, Pairing};
use contrastive_core::opta::{OpTa, OpTaError, class_means, opta, standardised};
use ndarray::{Array2, array};

fn flat(x: &Array2<f64>) -> Vec<f64> {
    x.iter().copied().collect()
}

/// Checks 1 and 3.
#[test]
fn class_means_go_to_the_queries() {
    let support = array![[0.0, 0.0], [1.0, 0.0]];
    let queries = array![[0.1, 0.2], [-0.1, 0.1], [0.9, 0.3], [1.2, -0.1]];
    let of = |passes: usize| OpTa::one_shot().with_passes(passes);
    let once = of(1).align(support.view(), queries.view()).unwrap();
    close("one pass", &flat(&once), &[0.000003, 0.150000, 1.049988, 0.100000], 1e-5, 0.0);
    let five = opta(support.view(), queries.view()).unwrap();
    close("five passes", &flat(&five), &[0.000008, 0.150001, 1.049996, 0.099999], 1e-5, 0.0);
    let (plan, iterations) = of(1).plan(support.view(), queries.view()).unwrap();
    assert!(iterations <= 2, "{iterations} iterations; the specification has 2");
    plan.rows().into_iter().for_each(|row| near("a class's mass", row.sum(), 0.5, 1e-4));
    plan.columns().into_iter().for_each(|column| near("a query's mass", column.sum(), 0.25, 1e-4));
    // moved, scaled, in another order, and not at all
    let moved = of(5).align((&support * 3.0 + 1.5).view(), (&queries * 3.0 + 1.5).view()).unwrap();
    close("moved", &flat(&moved), &flat(&(&five * 3.0 + 1.5)), 1e-5, 0.0);
    let swapped = of(5).align(array![[1.0, 0.0], [0.0, 0.0]].view(), queries.view()).unwrap();
    close("swapped", &flat(&swapped), &[five[[1, 0]], five[[1, 1]], five[[0, 0]], five[[0, 1]]], 1e-5, 0.0);
    assert_eq!(of(0).align(support.view(), queries.view()).unwrap(), support);
    let own = array![[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]];
    close("fixed point", &flat(&of(5).align(support.view(), own.view()).unwrap()), &flat(&support), 1e-2, 0.0);
    let mixed = of(1).with_mix(0.7).unwrap().align(support.view(), queries.view()).unwrap();
    close("mixed", &flat(&mixed), &flat(&(&once * 0.7 + &support * 0.3)), 1e-12, 0.0);
    // f32 features
    let single = opta(support.mapv(|x| x as f32).view(), queries.mapv(|x| x as f32).view()).unwrap();
    close("f32", &flat(&single), &flat(&five), 1e-5, 0.0);
}

#[test]
fn features_and_what_cannot_be() {
    let x = array![[1.0, 3.0], [5.0, 5.0]];
    assert_eq!(standardised(x.view()), array![[-1.0, 1.0], [0.0, 0.0]]);
    let rows = array![[1.0, 0.0], [3.0, 0.0], [0.0, 4.0]];
    assert_eq!(class_means(rows.view(), &[0, 0, 1], 2).unwrap(), array![[2.0, 0.0], [0.0, 4.0]]);
    let error = class_means(rows.view(), &[0, 0, 0], 2).unwrap_err().to_string();
    assert!(error.contains("class 1 has no labelled row"), "{error}");
    assert!(class_means(rows.view(), &[0, 0, 2], 2).is_err() && class_means(rows.view(), &[0], 2).is_err());
    let two = array![[0.0, 0.0], [1.0, 0.0]];
    let error = |s: &Array2<f64>, q: &Array2<f64>| opta(s.view(), q.view()).unwrap_err();
    assert_eq!(error(&two, &Array2::zeros((0, 2))), OpTaError::NoQueries);
    assert_eq!(error(&array![[0.0, 1.0]], &two), OpTaError::Classes(1));
    assert_eq!(error(&two, &array![[1.0]]), OpTaError::Widths { support: 2, queries: 1 });
    assert_eq!(error(&two, &array![[0.0, 0.0], [f64::NAN, 0.0]]), OpTaError::NotFinite { what: "queries", row: 1 });
    for error in
        [OpTa::one_shot().with_epsilon(0.0), OpTa::one_shot().with_mix(1.1), OpTa::one_shot().with_epsilon(f64::NAN)]
    {
        assert!(error.is_err());
    }
    // all at one point: nothing to divide by
    let point = Array2::from_elem((3, 2), 0.5);
    assert!(opta(two.mapv(|_| 0.5).view(), point.view()).unwrap().iter().all(|v| (v - 0.5).abs() < 1e-12));
}

fn memory(capacity: usize, prototypes: usize, neighbours: usize, width: usize) -> DyCe {
    DyCe::new(&DyCeConfig { seed: 3, ..DyCeConfig::new(capacity, prototypes, neighbours) }, width).unwrap()
}

/// Unit rows around `groups` directions.
fn grouped(seed: u64, n: usize, groups: usize) -> Tensor<2> {
    let noise = normal(seed, n * groups);
    let values = (0..n * groups).map(|at| f64::from(u8::from(at / groups % groups == at % groups)) + 0.05 * noise[at]);
    tracked(units(values.collect(), groups), [n, groups], DType::F32)
}

/// Check 4: distances are costs: prototypes go to themselves, and the plan has even margins.
#[test]
fn prototypes_are_assigned_to_themselves() {
    let mut memory = memory(24, 4, 3, 4);
    memory.push(&grouped(1, 24, 4)).unwrap();
    let prototypes = memory.prototypes().iter().map(|v| f64::from(*v)).collect();
    let batch = tracked(prototypes, [4, 4], DType::F32);
    let found = memory.assign(&batch).unwrap().unwrap();
    assert_eq!(found.labels, [0, 1, 2, 3]);
    for k in 0..4 {
        near("a row's mass", found.plan[4 * k..4 * k + 4].iter().sum(), 0.25, 1e-4);
        near("a prototype's mass", (0..4).map(|i| found.plan[4 * i + k]).sum(), 0.25, 1e-4);
    }
}

/// Check 5: first in, first out; labels move with rows; prototypes are means, changed by what changed.
#[test]
fn the_memory_is_a_list_of_the_newest_rows() {
    let (capacity, d) = (20, 4);
    let mut memory = memory(capacity, 4, 3, d);
    let mut expected: Vec<Vec<f32>> = Vec::new();
    let mut place = 0;
    for step in 0..9 {
        let batch = grouped(10 + step, 7, d);
        assert_eq!(memory.neighbours(&batch).unwrap().is_some(), step > 2, "none before the memory is full");
        let before = memory.prototypes().to_vec();
        memory.push(&batch).unwrap();
        for row in values(&batch).chunks(d) {
            let row: Vec<f32> = row.iter().map(|v| *v as f32).collect();
            if expected.len() < capacity {
                expected.push(row);
            } else {
                expected[place] = row;
                place = (place + 1) % capacity;
            }
        }
        for (row, want) in memory.rows().chunks(d).zip(&expected) {
            row.iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < 1e-6));
        }
        if !memory.is_ready() {
            continue;
        }
        let sizes = memory.sizes();
        assert_eq!(sizes.iter().sum::<usize>(), capacity);
        for k in 0..4 {
            let own: Vec<&[f32]> = (0..capacity)
                .filter(|i| memory.labels()[*i] == k as u32)
                .map(|i| &memory.rows()[i * d..][..d])
                .collect();
            assert_eq!(own.len(), sizes[k]);
            for t in 0..d {
                let got = f64::from(memory.prototypes()[k * d + t]);
                let want = match own.len() {
                    0 => f64::from(before[k * d + t]),
                    count => own.iter().map(|row| f64::from(row[t])).sum::<f64>() / count as f64,
                };
                near("a prototype", got, want, 1e-6);
            }
        }
    }
}

/// An empty cluster keeps its prototype.
#[test]
fn an_empty_cluster_keeps_its_prototype() {
    let mut memory = memory(8, 4, 1, 4);
    memory.push(&grouped(1, 8, 4)).unwrap();
    assert_eq!(memory.sizes(), [2; 4]);
    // rows of one group alone: even margins spread a batch of 2 over 2 prototypes at most
    let one = tracked([1.0, 0.02, 0.0, 0.0, 1.0, 0.0, 0.02, 0.0].to_vec(), [2, 4], DType::F32);
    for _ in 0..4 {
        let before = memory.prototypes().to_vec();
        memory.push(&one).unwrap();
        let sizes = memory.sizes();
        for k in (0..4).filter(|k| sizes[*k] == 0) {
            assert_eq!(memory.prototypes()[4 * k..4 * k + 4], before[4 * k..4 * k + 4]);
        }
    }
    assert!(memory.sizes().contains(&0), "{:?}", memory.sizes());
}

#[test]
fn neighbours_are_of_the_own_cluster_or_of_all() {
    let (n, d) = (40, 4);
    let mut memory = memory(n, 4, 3, d);
    memory.push(&grouped(1, n, d)).unwrap();
    assert_eq!(memory.sizes(), [10; 4]);
    let batch = grouped(2, 4, d);
    let cosine = |row: &[f64], place: usize| -> f64 {
        row.iter().zip(&memory.rows()[place * d..]).map(|(a, b)| a * f64::from(*b)).sum()
    };
    let rows = values(&batch);
    let brute = |row: &[f64], among: Vec<usize>, k: usize| {
        let mut all = among;
        all.sort_by(|a, b| cosine(row, *b).total_cmp(&cosine(row, *a)).then(a.cmp(b)));
        all[..k].iter().map(|p| *p as u32).collect::<Vec<_>>()
    };
    let near_ones = memory.nearest(&batch).unwrap().unwrap();
    let table = values(&memory.neighbours(&batch).unwrap().unwrap());
    for (i, (row, got)) in rows.chunks(d).zip(&near_ones).enumerate() {
        let label = memory.labels()[brute(row, (0..n).collect(), 1)[0] as usize];
        let own: Vec<usize> = (0..n).filter(|p| memory.labels()[*p] == label).collect();
        assert_eq!(*got, brute(row, own, 3));
        // the j-th neighbour of row i is row j n + i of the table
        for (j, place) in got.iter().enumerate() {
            let want = &memory.rows()[*place as usize * d..][..d];
            table[(j * 4 + i) * d..][..d].iter().zip(want).for_each(|(a, b)| assert_eq!(*a as f32, *b));
        }
    }
    // clusters of 10 rows and 12 neighbours: the whole memory
    let mut wide = DyCe::new(&DyCeConfig { seed: 3, ..DyCeConfig::new(n, 4, 12) }, d).unwrap();
    wide.push(&grouped(1, n, d)).unwrap();
    for (row, got) in rows.chunks(d).zip(wide.nearest(&batch).unwrap().unwrap()) {
        assert_eq!(got, brute(row, (0..n).collect(), 12));
    }
}

/// Loaded in the middle, the memory goes on bit by bit; what does not fit is refused.
#[test]
fn the_memory_resumes() {
    let fresh = || memory(20, 4, 3, 4);
    let mut whole = fresh();
    for cut in [0, 2, 3, 5] {
        whole = fresh();
        (0..cut).for_each(|step| whole.push(&grouped(10 + step, 7, 4)).unwrap());
        let mut part = fresh();
        part.load_state(&whole.state()).unwrap();
        for step in cut..9 {
            let batch = grouped(10 + step, 7, 4);
            [&mut whole, &mut part].into_iter().for_each(|memory| memory.push(&batch).unwrap());
            assert_eq!(whole.state(), part.state(), "cut at {cut}, step {step}");
            assert_eq!(whole.nearest(&batch).unwrap(), part.nearest(&batch).unwrap());
        }
        assert!(whole.recluster() && part.recluster());
        assert_eq!(whole.state(), part.state());
    }
    let state = whole.state();
    let refused = |mut other: DyCe, words: &str| {
        let error = other.load_state(&state).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(memory(21, 4, 3, 4), "this memory has 21");
    refused(memory(20, 5, 3, 4), "do not fit 5 prototypes");
    refused(memory(20, 4, 3, 5), "a memory [20, 5]");
}

#[test]
fn memories_that_cannot_be() {
    let error = |config: DyCeConfig| DyCe::new(&config, 4).unwrap_err().to_string();
    assert!(error(DyCeConfig::new(8, 9, 2)).contains("prototypes of a memory in clusters is 9; allowed is 2 to the 8"));
    assert!(error(DyCeConfig::new(8, 4, 8)).contains("neighbours of a memory in clusters is 8; allowed is 1 to below"));
    assert!(error(DyCeConfig::new(8, 4, 0)).contains("neighbours"));
    assert!(error(DyCeConfig { epsilon: 0.0, ..DyCeConfig::new(8, 4, 2) }).contains("epsilon"));
    assert!(error(DyCeConfig { momentum: 1.5, ..DyCeConfig::new(8, 4, 2) }).contains("momentum 1.5"));
    assert!(error(DyCeConfig { restarts: 0, ..DyCeConfig::new(8, 4, 2) }).contains("restarts"));
    let mut some = memory(8, 4, 2, 2);
    let nan = tracked(vec![1.0, 0.0, f64::NAN, 1.0], [2, 2], DType::F32);
    assert_eq!(some.push(&nan).unwrap_err(), MemoryError::NotFinite { row: 1 });
    assert!(some.is_empty() && !some.recluster());
    // equal rows are no four clusters: no prototypes, and no panic
    (0..4).for_each(|_| some.push(&tracked([1.0, 0.0].repeat(4), [4, 2], DType::F32)).unwrap());
    assert!(!some.is_ready() && some.neighbours(&nan).is_err());
}

/// Check 2.
#[test]
fn repulsion_of_worked_rows() {
    for pairing in [Pairing::Intended, Pairing::RowToRow] {
        let loss = Beclr::new(2.0, 0.1).unwrap().with_pairing(pairing);
        near("worked", one(loss.repulsion(&views().map(Enhanced::plain))), 0.122612392, bound());
        let same = || Enhanced::plain(constant([0.6, 0.8].repeat(4), [4, 2]));
        near("equal rows", one(loss.repulsion(&[same(), same()])), 0.5, bound());
    }
    assert!(Beclr::new(0.0, 0.1).is_err() && Beclr::new(2.0, -0.1).is_err());
}

fn with(rows: Tensor<2>, neighbours: &Tensor<2>) -> Enhanced {
    Enhanced { rows, neighbours: Some(neighbours.clone()) }
}

/// Check 6: neighbours attract in the intended pairing and do not row to row; no gradient reaches them or the teacher.
#[test]
fn who_is_attracted() {
    let (n, d, k) = (5, 4, 2);
    let neighbours = |seed: u64| plain(units(normal(seed, k * n * d), d), [k * n, d]);
    let teacher = [rows(21, [n, d]), rows(22, [n, d])];
    let slope = |pairing: Pairing, of_teacher: u64| {
        let p = [rows(31, [n, d]), rows(32, [n, d])];
        let loss = Beclr::new(2.0, 0.1).unwrap().with_pairing(pairing);
        let student = p.clone().map(|p| with(p, &neighbours(41)));
        let target = teacher.clone().map(|t| with(t, &neighbours(of_teacher)));
        let tape = loss.attraction(&student, &target).backward();
        assert!(teacher.iter().all(|t| t.grad(&tape).is_none()), "the teacher has a gradient");
        values(&p[0].grad(&tape).unwrap())
    };
    let moved = |pairing| {
        let (a, b) = (slope(pairing, 51), slope(pairing, 52));
        a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    assert!(moved(Pairing::Intended) > 1e-3);
    assert_eq!(moved(Pairing::RowToRow), 0.0);
    // row to row, the attraction shrinks by 1 / (1 + k)
    let without = {
        let p = [rows(31, [n, d]), rows(32, [n, d])];
        let plain = |rows: &[Tensor<2>; 2]| rows.clone().map(Enhanced::plain);
        let tape = Beclr::new(2.0, 0.1).unwrap().attraction(&plain(&p), &plain(&teacher)).backward();
        values(&p[0].grad(&tape).unwrap())
    };
    let shrunk: Vec<f64> = without.iter().map(|g| g / 3.0).collect();
    close("row to row", &slope(Pairing::RowToRow, 51), &shrunk, bound(), 0.0);
}

/// The loss in loops, and its gradients.
#[test]
fn the_loss_is_its_definition() {
    let (n, d, k, t) = (4, 3, 2, 2.0);
    let unit = |x: &Tensor<2>| units(values(x), d);
    let table = |seed: u64| plain(normal(seed, k * n * d), [k * n, d]);
    let (z, further) = ([rows(1, [n, d]), rows(2, [n, d])], [table(3), table(4)]);
    let sides = [with(z[0].clone(), &further[0]), with(z[1].clone(), &further[1])];
    let loss = Beclr::new(t, 0.1).unwrap();
    let all: Vec<Vec<f64>> =
        z.iter().chain(&further).flat_map(|x| unit(x).chunks(d).map(<[f64]>::to_vec).collect::<Vec<_>>()).collect();
    let ids: Vec<usize> = (0..all.len()).map(|j| j % n).collect();
    let each = |i: usize| {
        let others: Vec<f64> =
            (0..all.len()).filter(|j| ids[*j] != ids[i]).map(|j| (dot(&all[i], &all[j]) / t).exp()).collect();
        others.iter().sum::<f64>() / others.len() as f64
    };
    let want = ((0..2 * n).map(each).sum::<f64>() / (2 * n) as f64).ln();
    near("intended", one(loss.repulsion(&sides)), want, bound());
    for pairing in [Pairing::Intended, Pairing::RowToRow] {
        let loss = loss.clone().with_pairing(pairing);
        differences("beclr", &[[n, d]; 4], |x| {
            let of = |x: &Tensor<2>, table: &Tensor<2>| with(x.clone(), table);
            let student = [of(&x[0], &further[0]), of(&x[1], &further[1])];
            let teacher = [rows(7, [n, d]), rows(8, [n, d])].map(|t| with(t, &table(9)));
            loss.loss(&student, &teacher, &[of(&x[2], &further[1]), of(&x[3], &further[0])])
        });
    }
}
