//! The randomised SVD against dense ones.

use crate::common::{assert_close, cases, golden, matrix_shape, numbers};
use contrastive_core::linear::{SvdError, SvdOptions, TruncatedSvd, truncated_svd};
use contrastive_kernels::sparse::Csr;
use ndarray::{Array2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn to_sparse(a: &Array2<f64>) -> Csr<f64> {
    let entries: Vec<_> =
        a.indexed_iter().filter(|e| *e.1 != 0.0).map(|((i, j), &v)| (i as u32, j as u32, v)).collect();
    Csr::from_triplets(a.nrows(), a.ncols(), &entries).unwrap()
}

fn product(svd: &TruncatedSvd) -> Array2<f64> {
    let scaled = &svd.left * &ndarray::Array1::from(svd.singular_values.clone());
    scaled.dot(&svd.right.t())
}

fn assert_orthonormal(columns: &Array2<f64>, what: &str) {
    let gram = columns.t().dot(columns);
    let want = Array2::<f64>::eye(columns.ncols());
    assert_close(gram.as_slice().unwrap(), want.as_slice().unwrap(), 1e-12, 0.0, what);
}

/// A matrix with about a quarter of its entries set.
fn random(rows: usize, cols: usize, seed: u64) -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_fn((rows, cols), |_| if rng.random_bool(0.25) { rng.random_range(-1.0..1.0) } else { 0.0 })
}

fn flat(a: &Array2<f64>) -> Vec<f64> {
    a.iter().copied().collect()
}

#[test]
fn golden_svd() {
    let Some(file) = golden("svd.json") else { return };
    for case in cases(&file) {
        let name = case["name"].as_str().unwrap();
        let table = |value| Array2::from_shape_vec(matrix_shape(value), numbers(value)).unwrap();
        let (a, x) = (table(&case["inputs"]["a"]), table(&case["inputs"]["x"]));
        let rank = case["params"]["rank"].as_u64().unwrap() as usize;
        let svd = truncated_svd(&to_sparse(&a), rank, &SvdOptions::default()).unwrap();
        let expected = &case["expected"];
        let values = numbers(&expected["singular_values"]);
        // The file allows 1e-4. Rank plus oversampling covers two of the matrices wholly; the third has 20 columns for 15.
        let tolerance = if rank + 10 >= a.ncols() { 1e-12 } else { 1e-6 };
        assert_close(&svd.singular_values, &values[..rank], 0.0, tolerance, name);
        let scale = values[0];
        let best = numbers(&expected["rank_r_approximation"]);
        assert_close(&flat(&product(&svd)), &best, tolerance * scale, 0.0, name);
        let times_x = numbers(&expected["rank_r_times_x"]);
        assert_close(&flat(&product(&svd).dot(&x)), &times_x, 10.0 * tolerance * scale, 0.0, name);
    }
}

#[test]
fn full_rank_gives_the_matrix_back() {
    for (rows, cols) in [(9, 14), (14, 9), (1, 5), (5, 1)] {
        let mut a = random(rows, cols, 3);
        a[[0, 0]] = 1.5;
        let svd = truncated_svd(&to_sparse(&a), rows.min(cols), &SvdOptions::default()).unwrap();
        assert_close(&flat(&product(&svd)), &flat(&a), 1e-12, 0.0, "all triplets of the matrix");
        assert_orthonormal(&svd.left, "left vectors");
        assert_orthonormal(&svd.right, "right vectors");
        assert!(svd.singular_values.is_sorted_by(|a, b| a >= b), "{:?}", svd.singular_values);
    }
}

/// A known spectrum: `U diag(s) V^T` with planted, widely spaced values above a flat tail of 0.01.
#[test]
fn planted_spectrum_is_found() {
    let (rows, cols, planted) = (120, 90, [9.0, 5.0, 2.0, 1.0]);
    let factor = |n, seed| nalgebra::DMatrix::from_iterator(n, n, flat(&random(n, n, seed))).qr().q();
    let (u, v) = (factor(rows, 1), factor(cols, 2));
    let value = |k: usize| planted.get(k).copied().unwrap_or(0.01);
    let a = Array2::from_shape_fn((rows, cols), |(i, j)| (0..cols).map(|k| u[(i, k)] * value(k) * v[(j, k)]).sum());
    let svd = truncated_svd(&to_sparse(&a), 4, &SvdOptions { seed: 8, ..SvdOptions::default() }).unwrap();
    assert_close(&svd.singular_values, &planted, 0.0, 1e-10, "planted singular values");
    for k in 0..4 {
        let cosine: f64 = (0..rows).map(|i| u[(i, k)] * svd.left[[i, k]]).sum();
        assert_close(&[cosine.abs()], &[1.0], 1e-10, 0.0, "a planted left vector");
    }
    // Eckart and Young: what is left has the first value of the tail as its spectral norm.
    let left_over = &a - &product(&svd);
    let norm = nalgebra::DMatrix::from_iterator(cols, rows, flat(&left_over)).svd(false, false).singular_values.max();
    assert_close(&[norm], &[0.01], 0.0, 1e-6, "spectral norm of the rest");
}

#[test]
fn rank_deficient_matrices_have_zero_values_and_orthonormal_vectors() {
    let a = Array2::from_shape_fn((8, 6), |(i, j)| if i < 4 && j < 3 { 1.0 } else { 0.0 });
    let svd = truncated_svd(&to_sparse(&a), 3, &SvdOptions::default()).unwrap();
    assert_close(&svd.singular_values, &[12f64.sqrt(), 0.0, 0.0], 1e-12, 0.0, "values of a rank-one matrix");
    assert_orthonormal(&svd.left, "left vectors");
    assert_orthonormal(&svd.right, "right vectors");
}

#[test]
fn signs_are_canonical_and_results_follow_the_seed() {
    let matrix = to_sparse(&random(60, 50, 4));
    let run = |seed, threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| truncated_svd(&matrix, 5, &SvdOptions { seed, ..SvdOptions::default() }).unwrap())
    };
    let one = run(1, 1);
    assert!(one == run(1, 2) && one == run(1, 3), "any number of threads");
    for column in one.left.axis_iter(Axis(1)) {
        let largest = column.iter().copied().fold(0.0f64, |m, v| if v.abs() > m.abs() { v } else { m });
        assert!(largest > 0.0, "largest entry {largest}");
    }
    let other = run(2, 1);
    assert_ne!(one, other);
    let many = SvdOptions { oversampling: 50, ..SvdOptions::default() };
    let exact = truncated_svd(&matrix, 5, &many).unwrap();
    for svd in [one, other] {
        assert_close(&svd.singular_values, &exact.singular_values, 0.0, 1e-2, "values of a flat spectrum");
        let above = svd.singular_values.iter().zip(&exact.singular_values).any(|(a, b)| *a > b * (1.0 + 1e-12));
        assert!(!above, "a projection cannot exceed the singular values");
    }
}

#[test]
fn bad_requests_are_named() {
    let matrix = Csr::from_triplets(3, 5, &[(0, 0, 1.0), (2, 4, 2.0)]).unwrap();
    let empty = Csr::from_triplets(3, 5, &[]).unwrap();
    let nothing = Csr::from_triplets(0, 5, &[]).unwrap();
    let huge = Csr::from_triplets(2, 2, &[(0, 0, 1e300), (1, 1, -1e300), (0, 1, 1e300)]).unwrap();
    let table = [
        (&matrix, 0, SvdError::RankZero { rows: 3, cols: 5 }, "rank 0 of a matrix of 3 x 5 (allowed: 1 to 3)"),
        (
            &matrix,
            4,
            SvdError::RankTooLarge { rank: 4, rows: 3, cols: 5 },
            "rank 4 of a matrix of 3 x 5 (allowed: 1 to 3)",
        ),
        (&empty, 1, SvdError::Empty { rows: 3, cols: 5 }, "3 x 5 without entries"),
        (&nothing, 1, SvdError::Empty { rows: 0, cols: 5 }, "0 x 5 without entries"),
        (&huge, 1, SvdError::NonFinite { largest: 1e300 }, "1e300"),
    ];
    for (matrix, rank, want, message) in table {
        let text = want.to_string();
        assert_eq!(truncated_svd(matrix, rank, &SvdOptions::default()), Err(want));
        assert!(text.contains(message), "{text:?} does not say {message:?}");
    }
}
