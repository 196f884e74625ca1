//! Sorting networks and their relaxation: identities, the definition in loops, finite differences.

use contrastive_kernels::sorting::{DiffSort, Relaxation, Sortable, SortingNetwork};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ALL: [Relaxation; 4] = [Relaxation::Cauchy, Relaxation::Logistic, Relaxation::Reciprocal, Relaxation::Optimal];

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect()
}

fn networks(n: usize) -> [SortingNetwork; 2] {
    [SortingNetwork::odd_even(n).unwrap(), SortingNetwork::bitonic(n).unwrap()]
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect()
}

/// Sorted values and permutation of one row, by the definition: columns of P are mixed as the values are.
fn definition(sort: &DiffSort, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let n = x.len();
    let (mut x, mut p) = (x.to_vec(), identity(n));
    for c in sort.network().comparators() {
        let [a, b] = c.map(|wire| wire as usize);
        let w = sort.relaxation().chance(sort.steepness() * (x[b] - x[a]));
        let mix = |values: &mut [f64], a: usize, b: usize| {
            (values[a], values[b]) = (w * values[a] + (1.0 - w) * values[b], (1.0 - w) * values[a] + w * values[b]);
        };
        mix(&mut x, a, b);
        (0..n).for_each(|i| mix(&mut p, i * n + a, i * n + b));
    }
    (x, p)
}

#[test]
fn networks_sort_every_sequence_of_zeros_and_ones() {
    for n in 1..=12 {
        for network in networks(n) {
            let mut seen = 0;
            for layer in network.layers() {
                let mut wires: Vec<u32> = layer.iter().flatten().copied().collect();
                assert!(!layer.is_empty() && layer.iter().all(|c| c[0] < c[1] && (c[1] as usize) < n));
                wires.sort_unstable();
                assert!(wires.windows(2).all(|w| w[0] != w[1]), "a wire twice in a layer of {n}");
                seen += layer.len();
            }
            assert_eq!(seen, network.comparators().len());
            for bits in 0..1u32 << n {
                let mut x: Vec<u32> = (0..n).map(|i| bits >> i & 1).collect();
                for c in network.comparators() {
                    let [a, b] = c.map(|wire| wire as usize);
                    (x[a], x[b]) = (x[a].min(x[b]), x[a].max(x[b]));
                }
                assert!(x.is_sorted(), "{n} wires, {bits:b}");
            }
        }
        assert_eq!(networks(n)[0].comparators().len(), n * (n - 1) / 2);
    }
    // log2 n (log2 n + 1) / 2 layers of n / 2
    assert_eq!(networks(64)[1].layers().len(), 21);
    assert_eq!(networks(64)[1].comparators().len(), 21 * 32);
}

#[test]
fn chances_are_distribution_functions_with_their_slopes() {
    for relaxation in ALL {
        for k in -400..400 {
            let z = k as f64 / 37.0 + 1e-4;
            let (f, g) = (relaxation.chance(z), relaxation.chance(-z));
            assert!((f + g - 1.0).abs() < 1e-15, "{relaxation:?} at {z}");
            let h = 1e-5;
            let difference = (relaxation.chance(z + h) - relaxation.chance(z - h)) / (2.0 * h);
            let slope = relaxation.slope(z, f);
            assert!((slope - difference).abs() < 1e-8, "{relaxation:?} at {z}: {slope} and {difference}");
            assert!(slope > 0.0);
            let narrow = relaxation.chance(z as f32);
            assert!((f64::from(narrow) - relaxation.chance(f64::from(z as f32))).abs() < 2e-7, "{relaxation:?} at {z}");
        }
        assert_eq!([relaxation.chance(0.0), relaxation.chance(0.0f32).into()], [0.5; 2]);
    }
    let mut worst = 0f64;
    for k in -200_000..200_000 {
        let z = (k as f32 * 1e-4).powi(3) + 1e-6;
        worst = worst.max((f64::from(z.arctangent()) - f64::from(z).atan()).abs());
    }
    assert!(worst < 3e-7, "arctangent off by {worst:e}");
    assert!(f32::NAN.arctangent().is_nan());
}

#[test]
fn sorts_and_permutations_are_those_of_the_definition() {
    for n in [1, 2, 3, 5, 8, 11, 12] {
        for network in networks(n) {
            for relaxation in ALL {
                let sort = DiffSort::new(network.clone(), relaxation, 3.0).unwrap();
                // three blocks of rows, the last one short
                let count = 37;
                let x = numbers(count * n, n as u64);
                let (mut sorted, mut p) = (vec![0.0; count * n], vec![0.0; count * n * n]);
                sort.sort(&x, &mut sorted);
                sort.rank_sums(&x, &identity(n), &mut p);
                for (r, row) in x.chunks(n).enumerate() {
                    let (want, permutation) = definition(&sort, row);
                    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-13);
                    assert!(close(&sorted[r * n..][..n], &want), "{n} {relaxation:?} row {r}");
                    let p = &p[r * n * n..][..n * n];
                    assert!(close(p, &permutation), "{n} {relaxation:?} row {r}");
                    for k in 0..n {
                        let (row, column) = (&p[k * n..][..n], p.iter().skip(k).step_by(n));
                        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                        assert!((column.sum::<f64>() - 1.0).abs() < 1e-12);
                        assert!(row.iter().all(|v| (0.0..=1.0).contains(v)));
                    }
                }
            }
        }
    }
}

#[test]
fn steep_sorts_sort() {
    let n = 33;
    for network in networks(n) {
        for relaxation in ALL {
            let sort = DiffSort::new(network.clone(), relaxation, 1e9).unwrap();
            let x = numbers(20 * n, 3);
            let (mut sorted, mut narrow) = (vec![0.0; x.len()], vec![0f32; x.len()]);
            sort.sort(&x, &mut sorted);
            sort.sort(&x.iter().map(|v| *v as f32).collect::<Vec<_>>(), &mut narrow);
            for (row, (sorted, narrow)) in x.chunks(n).zip(sorted.chunks(n).zip(narrow.chunks(n))) {
                let mut want = row.to_vec();
                want.sort_by(f64::total_cmp);
                for (w, (s, f)) in want.iter().zip(sorted.iter().zip(narrow)) {
                    assert!(
                        (w - s).abs() < 1e-4 && (w - f64::from(*f)).abs() < 1e-4,
                        "{relaxation:?}: {s}, {f} for {w}"
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for n in [2, 5, 8] {
        for network in networks(n) {
            for relaxation in ALL {
                let sort = DiffSort::new(network.clone(), relaxation, 2.0).unwrap();
                let (count, k) = (18, 3);
                let x = numbers(count * n, 5);
                let v = numbers(n * k, 6);
                let (on_sorted, on_sums) = (numbers(count * n, 7), numbers(count * n * k, 8));
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                // values of: sorted alone, sums alone, both, the order of two groups
                let value = |x: &[f64]| {
                    let (mut sorted, mut sums) = (vec![0.0; count * n], vec![0.0; count * n * k]);
                    sort.sort(x, &mut sorted);
                    sort.rank_sums(x, &v, &mut sums);
                    let mut order = vec![0.0; count];
                    sort.group_order(x, n / 2, &mut order, None);
                    let (a, b) = (dot(&sorted, &on_sorted), dot(&sums, &on_sums));
                    [a, b, a + b, order.iter().sum()]
                };
                let mut gradients = vec![vec![0.0; x.len()]; 4];
                sort.backward(&x, Some(&on_sorted), None, &mut gradients[0]);
                sort.backward(&x, None, Some((&v, &on_sums)), &mut gradients[1]);
                sort.backward(&x, Some(&on_sorted), Some((&v, &on_sums)), &mut gradients[2]);
                let mut order = vec![0.0; count];
                sort.group_order(&x, n / 2, &mut order, Some(&mut gradients[3]));
                assert_eq!(order.iter().sum::<f64>(), value(&x)[3]);
                for at in 0..x.len() {
                    let [above, below] = [1e-6, -1e-6].map(|h| {
                        let mut moved = x.clone();
                        moved[at] += h;
                        value(&moved)
                    });
                    for (kind, gradient) in gradients.iter().enumerate() {
                        let difference = (above[kind] - below[kind]) / 2e-6;
                        let error = (gradient[at] - difference).abs();
                        assert!(error < 1e-7, "{n} {relaxation:?} {kind} at {at}: {} and {difference}", gradient[at]);
                    }
                }
            }
        }
    }
}

#[test]
fn the_order_of_two_groups() {
    let sort = |n: usize, steepness: f64| {
        DiffSort::new(SortingNetwork::odd_even(n).unwrap(), Relaxation::Cauchy, steepness).unwrap()
    };
    let value = |x: &[f64], low: usize, steepness: f64| {
        let mut out = [0.0];
        sort(x.len(), steepness).group_order(x, low, &mut out, None);
        out[0]
    };
    // the numbers of the method's specification
    assert!((value(&[0.3, 0.8], 1, 1.0) - 0.434507355).abs() < 1e-9);
    assert!((value(&[-0.2, 0.1, 0.3, 0.5, 0.8], 3, 1.0) - 0.390645348).abs() < 1e-9);
    for beta in [0.5, 1.0, 7.0] {
        let want = -(0.5 + (beta * (0.8f64 - 0.3)).atan() / std::f64::consts::PI).ln();
        assert!((value(&[0.3, 0.8], 1, beta) - want).abs() < 1e-12);
    }
    // the cross-entropy of the lower ranks is that of the upper ones: rows of P sum to 1
    for n in 2..=12 {
        for low in 1..n {
            let x = numbers(n, n as u64);
            let lower: Vec<f64> = (0..n).map(|r| if r < low { 1.0 } else { 0.0 }).collect();
            let mut p = vec![0.0; n];
            sort(n, 2.0).rank_sums(&x, &lower, &mut p);
            let cost = |(i, p): (usize, &f64)| -(if i < low { *p } else { 1.0 - p }).ln() / n as f64;
            let other: f64 = p.iter().enumerate().map(cost).sum();
            assert!((other - value(&x, low, 2.0)).abs() < 1e-10, "{n}, {low}");
        }
    }
    // positives up or negatives down: less; separated and steep: nothing; reversed: large, finite, with a finite gradient
    let base = [-0.2, 0.1, 0.3, 0.5, 0.8];
    for at in 0..5 {
        let mut moved = base;
        moved[at] += if at < 3 { -0.05 } else { 0.05 };
        assert!(value(&moved, 3, 1.0) < value(&base, 3, 1.0), "{at}");
    }
    assert!(value(&base, 3, 1e7) < 1e-5);
    let reversed = [0.8, 0.5, 0.3, 0.1, -0.2];
    for steepness in [1e3, 1e9, 1e16] {
        let (mut cost, mut gradient) = ([0f64], [0f64; 5]);
        sort(5, steepness).group_order(&reversed, 3, &mut cost, Some(&mut gradient));
        assert!(cost[0] > 1.0 && cost[0] <= 100.0, "{cost:?}");
        let narrow = reversed.map(|x| x as f32);
        let (mut c, mut g) = ([0f32], [0f32; 5]);
        sort(5, steepness).group_order(&narrow, 3, &mut c, Some(&mut g));
        assert!(c[0] > 1.0 && c[0] <= 100.0, "{c:?}");
        assert!(gradient.iter().all(|v| v.abs() < 10.0) && g.iter().all(|v| v.abs() < 10.0), "{gradient:?} {g:?}");
    }
}

#[test]
fn far_values_and_threads() {
    // differences beyond the largest number
    let x = [3e38f32, -3e38, 1.0, 0.0];
    for relaxation in ALL {
        let sort = DiffSort::new(SortingNetwork::bitonic(4).unwrap(), relaxation, 5.0).unwrap();
        let (mut sorted, mut gradient) = ([0f32; 4], [0f32; 4]);
        sort.sort(&x, &mut sorted);
        sort.backward(&x, Some(&[1.0, 2.0, 3.0, 4.0]), None, &mut gradient);
        assert!(sorted.iter().chain(&gradient).all(|v| v.is_finite()), "{relaxation:?} {sorted:?} {gradient:?}");
        assert!(sorted[0] < -2e38 && sorted[3] > 2e38);
    }
    let sort = DiffSort::new(SortingNetwork::odd_even(9).unwrap(), Relaxation::Cauchy, 5.0).unwrap();
    let x = numbers(9 * 500, 1);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut order, mut gradient) = (vec![0.0; 500], vec![0.0; x.len()]);
            sort.group_order(&x, 4, &mut order, Some(&mut gradient));
            (order, gradient)
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn wrong_settings_are_refused() {
    assert!(SortingNetwork::odd_even(0).unwrap_err().to_string().contains("0 wires"));
    assert!(SortingNetwork::bitonic(1 << 17).unwrap_err().to_string().contains("131072"));
    for steepness in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let network = SortingNetwork::bitonic(4).unwrap();
        let error = DiffSort::new(network, Relaxation::Cauchy, steepness).unwrap_err().to_string();
        assert!(error.contains(&format!("steepness {steepness}")), "{error}");
    }
}
