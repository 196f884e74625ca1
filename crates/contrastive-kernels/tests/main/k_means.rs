//! k-means: the definition in loops, known clusters, empty clusters, seeds and threads.

use contrastive_kernels::k_means::{
    Clustering, KMeans, KMeansError, MiniBatches, k_means, k_means_from, k_means_in_batches, nearest_centroids,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows around `centres` far apart, in turn; their true clusters are the row numbers modulo the number of centres.
fn blobs(n: usize, width: usize, centres: usize, spread: f64, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut noise = |scale: f64| (rng.random::<f64>() - 0.5) * scale;
    let middle: Vec<f64> = (0..centres * width).map(|_| noise(20.0)).collect();
    (0..n * width).map(|at| middle[at / width % centres * width + at % width] + noise(spread)).collect()
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Labels are nearest centroids, centroids means (or unit mean directions) of their rows, and the inertia adds up.
fn assert_fixed_point(x: &[f64], width: usize, found: &Clustering<Vec<f64>>, spherical: bool) {
    let unit = |row: &[f64]| {
        let length = if spherical { row.iter().map(|v| v * v).sum::<f64>().sqrt() } else { 1.0 };
        row.iter().map(|v| v / length).collect::<Vec<f64>>()
    };
    let rows: Vec<Vec<f64>> = x.chunks(width).map(unit).collect();
    let centroids: Vec<&[f64]> = found.centroids.chunks(width).collect();
    let mut inertia = 0.0;
    for (row, &label) in rows.iter().zip(&found.labels) {
        let own = squared(row, centroids[label as usize]);
        assert!(centroids.iter().all(|c| squared(row, c) >= own - 1e-9));
        inertia += own;
    }
    assert!((inertia - found.inertia).abs() < 1e-8 * inertia.max(1.0), "{inertia} and {}", found.inertia);
    for (c, centroid) in centroids.iter().enumerate() {
        let own: Vec<&Vec<f64>> =
            rows.iter().zip(&found.labels).filter(|(_, l)| **l as usize == c).map(|r| r.0).collect();
        assert_eq!(own.len(), found.sizes[c]);
        let mean: Vec<f64> = (0..width).map(|k| own.iter().map(|r| r[k]).sum::<f64>() / own.len() as f64).collect();
        assert!(squared(&unit(&mean), centroid) < 1e-18, "centroid {c} is not the mean of its rows");
    }
}

#[test]
fn finds_the_clusters_there_are() {
    // more rows than a task, more clusters than a tile in the last case
    for (n, width, clusters) in [(600, 3, 5), (1000, 20, 12), (1300, 2, 1)] {
        let x = blobs(n, width, clusters, 0.3, 1);
        let found = k_means(&x, width, &KMeans { restarts: 8, tolerance: 0.0, ..KMeans::new(clusters, 3) }).unwrap();
        assert!(found.converged);
        assert_fixed_point(&x, width, &found, false);
        for i in 0..n {
            assert_eq!(found.labels[i], found.labels[i % clusters], "row {i} of {n}");
        }
        assert_eq!(nearest_centroids(&x, &found.centroids, width, false).unwrap(), found.labels);
        let far: Vec<f64> = x.iter().map(|v| v + 1e4).collect();
        let narrow: Vec<f32> = far.iter().map(|v| *v as f32).collect();
        let moved =
            k_means(&narrow, width, &KMeans { restarts: 8, tolerance: 0.0, ..KMeans::new(clusters, 3) }).unwrap();
        assert_eq!(moved.labels, found.labels, "far from the origin, in single precision");
    }
    let x = blobs(3000, 2, 700, 0.5, 2);
    let found = k_means(&x, 2, &KMeans { tolerance: 0.0, ..KMeans::new(700, 3) }).unwrap();
    assert_fixed_point(&x, 2, &found, false);
}

#[test]
fn iterations_and_tolerance() {
    let x = blobs(800, 4, 30, 8.0, 4);
    let run = |iterations: usize, tolerance: f64, restarts: usize| {
        k_means(&x, 4, &KMeans { iterations, tolerance, restarts, ..KMeans::new(20, 5) }).unwrap()
    };
    let mut before = f64::INFINITY;
    for iterations in 1..12 {
        let found = run(iterations, 0.0, 1);
        assert!(found.inertia <= before * (1.0 + 1e-12), "{} after {before}", found.inertia);
        assert!(found.iterations == iterations || found.converged);
        before = found.inertia;
    }
    let (early, late) = (run(500, 0.05, 1), run(500, 0.0, 1));
    assert!(early.converged && late.converged && early.iterations < late.iterations);
    assert_fixed_point(&x, 4, &late, false);
    assert!(run(500, 0.0, 10).inertia <= late.inertia);
    assert!(!run(1, 0.0, 1).converged);
}

#[test]
fn spherical_clusters_know_directions_only() {
    let (n, width, clusters) = (900, 6, 7);
    let mut x = blobs(n, width, clusters, 1.0, 6);
    let settings = KMeans { spherical: true, restarts: 8, tolerance: 0.0, ..KMeans::new(clusters, 1) };
    let found = k_means(&x, width, &settings).unwrap();
    assert_fixed_point(&x, width, &found, true);
    for (i, row) in x.chunks_mut(width).enumerate() {
        assert_eq!(found.labels[i], found.labels[i % clusters]);
        row.iter_mut().for_each(|v| *v *= 0.01 + (i % 13) as f64);
    }
    let scaled = k_means(&x, width, &settings).unwrap();
    assert_eq!(scaled.labels, found.labels);
    assert!((scaled.inertia - found.inertia).abs() < 1e-9);
    assert_eq!(nearest_centroids(&x, &found.centroids, width, true).unwrap(), found.labels);
    // rows without a direction hurt nobody
    x[..2 * width].fill(0.0);
    let found = k_means(&x, width, &settings).unwrap();
    assert!(found.centroids.iter().all(|c| c.is_finite()) && found.inertia.is_finite());
}

/// Well separated clusters, one iteration: the seeds decide. Greedy draws seldom put two into one cluster.
#[test]
fn the_best_of_several_draws_gives_better_seeds() {
    let x = blobs(900, 3, 30, 0.5, 11);
    let settings = |draws, seed| KMeans { draws, iterations: 1, ..KMeans::new(30, seed) };
    let mean = |draws| (0..20).map(|seed| k_means(&x, 3, &settings(draws, seed)).unwrap().inertia).sum::<f64>() / 20.0;
    let (plain, greedy) = (mean(1), mean(5));
    assert!(greedy < 0.5 * plain, "{greedy} of greedy seeds, {plain} of plain ones");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let alone = pool.install(|| k_means(&x, 3, &settings(5, 3)).unwrap());
    assert_eq!(alone, k_means(&x, 3, &settings(5, 3)).unwrap());
}

#[test]
fn clusters_without_rows() {
    // every row a cluster
    let x = blobs(40, 3, 40, 0.1, 7);
    let found = k_means(&x, 3, &KMeans::new(40, 2)).unwrap();
    assert_eq!(found.sizes, vec![1; 40]);
    assert!(found.inertia < 1e-20);
    // three places, five clusters: two stay empty and the places are found
    let x: Vec<f64> = (0..60).flat_map(|i| [(i % 3) as f64, 1.0]).collect();
    for seed in 0..20 {
        let found = k_means(&x, 2, &KMeans::new(5, seed)).unwrap();
        assert_eq!(found.sizes.iter().filter(|s| **s == 0).count(), 2, "{:?}", found.sizes);
        assert!(found.inertia < 1e-20 && found.centroids.iter().all(|c| c.is_finite()));
    }
    // two iterations from one far seed leave clusters that take the farthest rows
    let mut x = vec![0.0; 50];
    x[49] = 1e6;
    x.iter_mut().enumerate().take(49).for_each(|(i, v)| *v = i as f64 * 1e-3);
    for seed in 0..50 {
        let found = k_means(&x, 1, &KMeans::new(10, seed)).unwrap();
        assert!(found.sizes.iter().all(|s| *s > 0), "seed {seed}: {:?}", found.sizes);
    }
}

#[test]
fn the_seed_decides_and_not_the_threads() {
    let x = blobs(2000, 5, 50, 12.0, 8);
    let run = |threads: usize, seed: u64, spherical: bool| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| k_means(&x, 5, &KMeans { spherical, ..KMeans::new(30, seed) }).unwrap())
    };
    for spherical in [false, true] {
        assert_eq!(run(1, 1, spherical), run(3, 1, spherical));
        assert_ne!(run(2, 1, spherical).labels, run(2, 2, spherical).labels);
    }
}

#[test]
fn wrong_inputs_are_refused() {
    let x = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    let refused = |x: &[f32], width: usize, settings: KMeans| k_means(x, width, &settings).unwrap_err().to_string();
    let cases = [
        (refused(&x, 4, KMeans::new(1, 0)), "6 values in rows of 4"),
        (refused(&x, 0, KMeans::new(1, 0)), "rows of 0"),
        (refused(&x, 2, KMeans::new(0, 0)), "0 clusters of 3 rows"),
        (refused(&x, 2, KMeans::new(4, 0)), "4 clusters of 3 rows"),
        (refused(&[], 2, KMeans::new(1, 0)), "1 clusters of 0 rows"),
        (refused(&x, 2, KMeans { iterations: 0, ..KMeans::new(1, 0) }), "0 iterations"),
        (refused(&x, 2, KMeans { restarts: 0, ..KMeans::new(1, 0) }), "0 starts"),
        (refused(&x, 2, KMeans { draws: 0, ..KMeans::new(1, 0) }), "0 draws"),
        (refused(&[1.0, 2.0, f32::NAN, 1.0], 2, KMeans::new(1, 0)), "row 1, value 0"),
        (nearest_centroids(&x, &[], 2, false).unwrap_err().to_string(), "0 clusters"),
        (nearest_centroids(&[f32::INFINITY, 0.0], &x, 2, true).unwrap_err().to_string(), "row 0, value 0"),
    ];
    for (message, part) in cases {
        assert!(message.contains(part), "{message:?} does not speak of {part:?}");
    }
}

#[test]
fn from_its_own_centroids_nothing_moves_and_from_others_the_inertia_only_falls() {
    let x = blobs(900, 5, 12, 9.0, 4);
    for spherical in [false, true] {
        let settings = KMeans { spherical, tolerance: 0.0, ..KMeans::new(12, 3) };
        let found = k_means(&x, 5, &settings).unwrap();
        let again = k_means_from(&x, 5, &found.centroids, &settings).unwrap();
        assert_eq!(again.labels, found.labels);
        assert!(again.iterations <= 1 && again.converged, "{} iterations", again.iterations);
        // from any rows: each iteration more leaves no larger a sum
        let start = &x[..12 * 5];
        let mut before = f64::INFINITY;
        for iterations in 1..12 {
            let few = KMeans { iterations, ..settings.clone() };
            let now = k_means_from(&x, 5, start, &few).unwrap();
            assert!(now.inertia <= before + 1e-9, "{} after {before}", now.inertia);
            assert_eq!(now, k_means_from(&x, 5, start, &few).unwrap());
            before = now.inertia;
        }
    }
}

#[test]
fn mini_batches_find_clusters_that_are_far_apart() {
    let x = blobs(3000, 4, 6, 1.0, 2);
    let start: Vec<f64> = x[..6 * 4].to_vec();
    let (settings, batches) = (KMeans::new(6, 1), MiniBatches { rows: 100, batches: 30 });
    for start in [Some(start.as_slice()), None] {
        let found = k_means_in_batches(&x, 4, start, &settings, batches).unwrap();
        let whole = k_means_from(&x, 4, &x[..6 * 4], &settings).unwrap();
        if start.is_some() {
            assert!((0..3000).all(|i| found.labels[i] == found.labels[i % 6]));
            assert!(found.inertia < 1.1 * whole.inertia, "{} and {}", found.inertia, whole.inertia);
        }
        assert_eq!(found.sizes.iter().sum::<usize>(), 3000);
        assert_eq!(found, k_means_in_batches(&x, 4, start, &settings, batches).unwrap());
        // labels are those of the nearest centroids
        assert_eq!(nearest_centroids(&x, &found.centroids, 4, false).unwrap(), found.labels);
    }
}

#[test]
fn given_centroids_that_do_not_fit_are_named() {
    let x = blobs(20, 3, 2, 1.0, 1);
    let settings = KMeans::new(4, 1);
    let from = |centroids: &[f64]| k_means_from(&x, 3, centroids, &settings).unwrap_err();
    assert_eq!(from(&[0.0; 9]), KMeansError::Centroids { values: 9, clusters: 4, width: 3 });
    let mut bad = [0.0; 12];
    bad[7] = f64::NAN;
    assert_eq!(from(&bad), KMeansError::NonFiniteCentroid { centroid: 2, column: 1 });
    let none = MiniBatches { rows: 0, batches: 1 };
    assert_eq!(k_means_in_batches(&x, 3, None, &settings, none).unwrap_err(), KMeansError::Batches);
    assert_eq!(
        k_means_from(&x, 3, &[0.0; 90], &KMeans::new(30, 1)).unwrap_err(),
        KMeansError::Clusters { clusters: 30, rows: 20 }
    );
}
