//! k-means, matching and the metrics of clusterings.

use crate::common::{Random, close, same_on_all_threads};
use contrastive_eval::EvalError;
use contrastive_eval::clustering::{
    ClusterReport, ClusterRuns, KMeans, best_match, compare, davies_bouldin, silhouette,
};
use contrastive_eval::ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, array, s};
use contrastive_kernels::Real;

/// The largest agreement over all ways of giving clusters different classes.
fn best_by_trying(counts: &[Vec<usize>], row: usize, free: &mut Vec<bool>) -> usize {
    if row == counts.len() {
        return 0;
    }
    // a cluster may stay without a class
    let mut best = best_by_trying(counts, row + 1, free);
    for column in 0..free.len() {
        if free[column] {
            free[column] = false;
            best = best.max(counts[row][column] + best_by_trying(counts, row + 1, free));
            free[column] = true;
        }
    }
    best
}

#[test]
fn matching_is_the_best_of_all() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (n, classes, clusters) = (1 + random.below(60), 1 + random.below(6), 1 + random.below(6));
        let (a, b) = (random.labels(n, classes), random.labels(n, clusters));
        let mut counts = vec![vec![0; classes]; clusters];
        a.iter().zip(&b).for_each(|(&a, &b)| counts[b as usize][a as usize] += 1);
        let want = best_by_trying(&counts, 0, &mut vec![true; classes]) as f64 / n as f64;
        let report = compare(&a, &b).unwrap();
        close("accuracy", report.accuracy, want, 1e-12);
        // the matching itself is one to one, and gives the accuracy
        let names = best_match(&a, &b).unwrap();
        let mut used: Vec<u32> = names.iter().filter_map(|name| name.1).collect();
        let agreed = a.iter().zip(&b).filter(|(a, b)| names.iter().any(|n| n == &(**b, Some(**a)))).count();
        assert_eq!(agreed as f64 / n as f64, report.accuracy);
        let all = used.len();
        used.sort_unstable();
        used.dedup();
        assert_eq!((used.len(), all), (all, report.classes.min(report.clusters)));
    }
}

#[test]
fn a_large_matching_is_solved() {
    // 300 classes behind a permutation, with a tenth of the rows elsewhere
    let mut random = Random::new(5);
    let labels: Vec<u32> = (0..30_000).map(|row| row % 300).collect();
    let clusters: Vec<u32> = labels
        .iter()
        .map(|&l| if random.below(10) == 0 { random.below(300) as u32 } else { (l * 7 + 13) % 300 })
        .collect();
    let names = best_match(&labels, &clusters).unwrap();
    assert!(names.iter().all(|&(cluster, class)| cluster == (class.unwrap() * 7 + 13) % 300));
}

#[test]
fn names_do_not_matter_and_sides_only_to_some() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let n = 2 + random.below(80);
        let (a, b) = (random.labels(n, 4), random.labels(n, 5));
        let report = compare(&a, &b).unwrap();
        let named = |name: &dyn Fn(u32) -> u32| compare(&a, &b.iter().map(|&b| name(b)).collect::<Vec<u32>>()).unwrap();
        assert_eq!(named(&|b| b * 1_000_000 + 7), report);
        // of several best matchings another one may be taken, with another F1
        let reversed = named(&|b| (7 - b) * 1_000_000);
        for ((name, x), (_, y)) in reversed.iter().zip(report.iter()).filter(|pair| pair.0.0 != "macro_f1") {
            close(name, x, y, 1e-12);
        }
        let turned = compare(&b, &a).unwrap();
        for (x, y) in [
            (report.accuracy, turned.accuracy),
            (report.nmi, turned.nmi),
            (report.ari, turned.ari),
            (report.ami, turned.ami),
            (report.homogeneity, turned.completeness),
            (report.nmi, report.v_measure),
        ] {
            close("turned", x, y, 1e-12);
        }
        // the Rand index by its definition over pairs
        let together = |x: &[u32], i: usize, j: usize| f64::from(u8::from(x[i] == x[j]));
        let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
        let sum = |f: &dyn Fn(usize, usize) -> f64| pairs.iter().map(|&(i, j)| f(i, j)).sum::<f64>();
        let both = sum(&|i, j| together(&a, i, j) * together(&b, i, j));
        let (in_a, in_b) = (sum(&|i, j| together(&a, i, j)), sum(&|i, j| together(&b, i, j)));
        let chance = in_a * in_b / pairs.len() as f64;
        if (in_a + in_b) / 2.0 != chance {
            close("ARI", report.ari, (both - chance) / ((in_a + in_b) / 2.0 - chance), 1e-9);
        }
    }
}

#[test]
fn degenerate_clusterings_have_values() {
    let values = |labels: &[u32], clusters: &[u32]| {
        let report = compare(labels, clusters).unwrap();
        assert!(report.iter().all(|(_, value)| value.is_finite() && value.abs() <= 1.0), "{report:?}");
        report
    };
    let one = values(&[3, 3, 3], &[8, 8, 8]);
    assert!(one.iter().all(|(_, value)| value == 1.0));
    let collapsed = values(&[0, 0, 1, 1], &[5, 5, 5, 5]);
    assert_eq!((collapsed.accuracy, collapsed.nmi, collapsed.ari, collapsed.purity), (0.5, 0.0, 0.0, 0.5));
    assert_eq!((collapsed.homogeneity, collapsed.completeness, collapsed.ami), (0.0, 1.0, 0.0));
    assert_eq!(collapsed.macro_f1, (2.0 * 2.0 / 6.0) / 2.0);
    let apart = values(&[0, 0, 1, 1], &[1, 2, 3, 4]);
    assert_eq!((apart.accuracy, apart.purity, apart.ari, apart.homogeneity), (0.5, 1.0, 0.0, 1.0));
    values(&[0], &[0]);
}

/// Silhouette and Davies-Bouldin by their definitions.
fn plain_geometry<T: Real>(x: ArrayView2<'_, T>, clusters: &[u32]) -> [f64; 2] {
    let x = x.mapv(|v| v.f64());
    let k = 1 + *clusters.iter().max().unwrap() as usize;
    let distance = |a: usize, b: usize| (&x.row(a) - &x.row(b)).mapv(|v| v * v).sum().sqrt();
    let members: Vec<Vec<usize>> =
        (0..k).map(|c| (0..x.nrows()).filter(|&i| clusters[i] as usize == c).collect()).collect();
    let mut total = 0.0;
    for i in 0..x.nrows() {
        let own = clusters[i] as usize;
        if members[own].len() == 1 {
            continue;
        }
        let mean = |c: usize, size: usize| members[c].iter().map(|&j| distance(i, j)).sum::<f64>() / size as f64;
        let a = mean(own, members[own].len() - 1);
        let others = (0..k).filter(|&c| c != own && !members[c].is_empty());
        let b = others.map(|c| mean(c, members[c].len())).fold(f64::INFINITY, f64::min);
        total += (b - a) / a.max(b);
    }
    let used: Vec<&Vec<usize>> = members.iter().filter(|m| !m.is_empty()).collect();
    let centres: Vec<_> = used.iter().map(|m| x.select(Axis(0), m).mean_axis(Axis(0)).unwrap()).collect();
    let norm = |v: Array1<f64>| v.dot(&v).sqrt();
    let spread = |c: usize| used[c].iter().map(|&i| norm(&x.row(i) - &centres[c])).sum::<f64>() / used[c].len() as f64;
    let ratio = |i: usize, j: usize| (spread(i) + spread(j)) / norm(&centres[i] - &centres[j]);
    let worst = |i: usize| (0..used.len()).filter(|&j| j != i).map(|j| ratio(i, j)).fold(0.0, f64::max);
    [total / x.nrows() as f64, (0..used.len()).map(worst).sum::<f64>() / used.len() as f64]
}

fn geometry<T: Real>(seed: u64) {
    let mut random = Random::new(seed);
    let (n, width) = (4 + random.below(120), 1 + random.below(7));
    // far from the origin, where products alone would lose the distances
    let offset = T::of(if seed.is_multiple_of(2) { 0.0 } else { 1000.0 });
    let x = random.table::<T>(n, width).mapv(|v| v + offset);
    let mut clusters = random.labels(n, 5);
    (clusters[0], clusters[1]) = (0, 1);
    let [want, davies] = plain_geometry(x.view(), &clusters);
    close("silhouette", silhouette(x.view(), &clusters).unwrap(), want, 1e-10);
    close("Davies-Bouldin", davies_bouldin(x.view(), &clusters).unwrap(), davies, 1e-10);
}

#[test]
fn geometry_is_the_plain_one() {
    (0..12).for_each(geometry::<f64>);
    (0..12).for_each(geometry::<f32>);
}

#[test]
fn geometry_of_coincident_rows() {
    let x = array![[1.0f32, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]];
    assert_eq!(silhouette(x.view(), &[0, 0, 1, 1]).unwrap(), 0.0);
    assert_eq!(davies_bouldin(x.view(), &[0, 0, 1, 1]).unwrap(), 0.0);
    let x = array![[1.0f64], [-1.0], [2.0], [-2.0]];
    assert_eq!(davies_bouldin(x.view(), &[0, 0, 1, 1]).unwrap(), f64::INFINITY);
}

#[test]
fn k_means_finds_separate_groups_and_explains_itself() {
    let mut random = Random::new(1);
    let (x, labels) = random.blobs::<f32>(300, 8, 5, 0.05);
    let fitted = same_on_all_threads(|| KMeans::new(5).fit(x.view(), 3).unwrap());
    assert!(fitted.converged);
    assert_eq!(compare(&labels, &fitted.labels).unwrap().accuracy, 1.0);
    // a fixed point: centres are means, assignments are nearest, the inertia is theirs
    let x64 = x.mapv(f64::from);
    let squared = |row: usize, c: usize| (&x64.row(row) - &fitted.centroids.row(c)).mapv(|v| v * v).sum();
    let mut inertia = 0.0;
    for row in 0..300 {
        let own = fitted.labels[row] as usize;
        assert!((0..5).all(|c| squared(row, own) <= squared(row, c)));
        inertia += squared(row, own);
    }
    close("inertia", fitted.inertia, inertia, 1e-9);
    for c in 0..5u32 {
        let rows: Vec<usize> = (0..300).filter(|&row| fitted.labels[row] == c).collect();
        let mean = x64.select(Axis(0), &rows).mean_axis(Axis(0)).unwrap();
        mean.iter().zip(fitted.centroids.row(c as usize)).for_each(|(m, c)| close("centre", *c, *m, 1e-9));
    }
}

#[test]
fn k_means_is_never_worse_with_more_restarts_or_clusters() {
    for seed in 0..5 {
        let mut random = Random::new(seed);
        let x = random.table::<f64>(120, 3);
        let inertia = |k, restarts| KMeans::new(k).with_restarts(restarts).fit(x.view(), seed).unwrap().inertia;
        assert!(inertia(6, 12) <= inertia(6, 1));
        assert!(inertia(120, 1) < 1e-20, "as many clusters as rows");
        let mean = x.mean_axis(Axis(0)).unwrap();
        close("one cluster", inertia(1, 1), (&x - &mean).mapv(|v| v * v).sum(), 1e-12);
    }
}

/// Lloyd's iterations end where they have ended; centres that do not fit are errors.
#[test]
fn k_means_goes_on_from_centres() {
    let mut random = Random::new(11);
    let (x, _) = random.blobs::<f64>(90, 4, 3, 0.4);
    let k_means = KMeans::new(3);
    let found = k_means.fit(x.view(), 5).unwrap();
    let again = k_means.fit_from(x.view(), found.centroids.view()).unwrap();
    assert!(again.converged && again.labels == found.labels);
    close("inertia", again.inertia, found.inertia, 1e-12);
    // one iteration from elsewhere is no worse than the centres it began with
    let start = x.slice(s![..3, ..]).to_owned();
    let distance = |row: ArrayView1<'_, f64>| {
        let apart = start.rows().into_iter().map(|centre| (&row - &centre).mapv(|v| v * v).sum());
        apart.fold(f64::INFINITY, f64::min)
    };
    let before: f64 = x.rows().into_iter().map(distance).sum();
    assert!(k_means.clone().with_max_iterations(1).fit_from(x.view(), start.view()).unwrap().inertia <= before);
    for wrong in [start.slice(s![..2, ..]), start.slice(s![.., ..2])] {
        let error = k_means.fit_from(x.view(), wrong).unwrap_err();
        assert!(matches!(error, EvalError::LengthMismatch { .. }), "{error}");
    }
    let broken = start.mapv(|v| if v == start[[1, 1]] { f64::NAN } else { v });
    assert!(matches!(k_means.fit_from(x.view(), broken.view()), Err(EvalError::BadNumber { .. })));
}

#[test]
fn k_means_on_few_different_rows_keeps_every_cluster() {
    let x = Array2::from_shape_fn((40, 2), |(row, column)| (row % 2 * (column + 1)) as f32);
    let fitted = KMeans::new(4).with_restarts(2).fit(x.view(), 0).unwrap();
    assert_eq!(fitted.inertia, 0.0);
    assert!(fitted.centroids.iter().all(|v| v.is_finite()));
    let stopped = KMeans::new(4).with_max_iterations(1).with_restarts(1);
    let mut random = Random::new(2);
    let x = random.table::<f32>(200, 2);
    assert!(!stopped.fit(x.view(), 0).unwrap().converged);
    let report = stopped.evaluate(x.view(), &random.labels(200, 4), &[0, 1]).unwrap();
    assert_eq!(report.not_converged, 2);
    assert!(report.to_string().ends_with("2 runs on 200 rows; 2 were stopped before they converged"), "{report}");
}

#[test]
fn cluster_reports_print_and_survive_serialisation() {
    let mut random = Random::new(4);
    let (x, labels) = random.blobs::<f64>(60, 4, 3, 0.7);
    let runs = KMeans::new(3).with_unit_length(true).evaluate(x.view(), &labels, &[1, 2, 3]).unwrap();
    assert_eq!((runs.get("nmi").unwrap().runs, runs.each("ari").unwrap().len(), runs.get("no")), (3, 3, None));
    let back: ClusterRuns = serde_json::from_str(&serde_json::to_string(&runs).unwrap()).unwrap();
    assert_eq!(back, runs);
    assert!(runs.to_string().starts_with("                     mean     std\naccuracy "), "{runs}");
    let report = compare(&[0, 1], &[0, 0]).unwrap();
    let back: ClusterReport = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(back, report);
    assert!(report.to_string().starts_with("accuracy        0.5000\n"), "{report}");
    // scaling rows changes nothing for unit length, and everything without
    let scaled = Array2::from_shape_fn(x.dim(), |(r, c)| x[[r, c]] * (r + 1) as f64);
    let again = KMeans::new(3).with_unit_length(true).evaluate(scaled.view(), &labels, &[1, 2, 3]).unwrap();
    close("accuracy", again.get("accuracy").unwrap().mean, runs.get("accuracy").unwrap().mean, 1e-12);
}
