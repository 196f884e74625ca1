//! Sparse kernels against dense products in `f64`, and the errors of bad parts.

use contrastive_kernels::Real;
use contrastive_kernels::sparse::{
    Csr, Entry, SparseError, SparseRow, degree_order, gather_rows, map_rows, scatter_add_rows,
};

/// A small generator of reproducible numbers (a linear congruence).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
    fn signed(&mut self) -> f64 {
        self.below(2_001) as f64 / 1_000.0 - 1.0
    }
    fn table<T: Real>(&mut self, count: usize) -> Vec<T> {
        (0..count).map(|_| T::of(self.signed())).collect()
    }
}

fn random_triplets(numbers: &mut Numbers, rows: usize, cols: usize, count: usize) -> Vec<(u32, u32, f64)> {
    // Products of uniform numbers: low rows have many entries, high ones few or none, and places repeat.
    (0..count)
        .map(|_| {
            let row = numbers.below(rows) * numbers.below(rows) / rows;
            (row as u32, numbers.below(cols) as u32, numbers.signed())
        })
        .collect()
}

fn dense(triplets: &[(u32, u32, f64)], rows: usize, cols: usize) -> Vec<f64> {
    let mut table = vec![0.0; rows * cols];
    for &(r, c, v) in triplets {
        table[r as usize * cols + c as usize] += v;
    }
    table
}

fn dense_product(a: &[f64], rows: usize, cols: usize, x: &[f64], width: usize) -> Vec<f64> {
    let mut out = vec![0.0; rows * width];
    for r in 0..rows {
        for c in 0..cols {
            for d in 0..width {
                out[r * width + d] += a[r * cols + c] * x[c * width + d];
            }
        }
    }
    out
}

fn assert_close<T: Real>(got: &[T], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (k, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got.f64() - want).abs() <= tolerance * (1.0 + want.abs()), "{what}: at {k} {got} instead of {want}");
    }
}

fn products_equal_dense<T: Real>(tolerance: f64) {
    let mut numbers = Numbers(11);
    let (rows, cols) = (23, 17);
    let triplets = random_triplets(&mut numbers, rows, cols, 150);
    let a = dense(&triplets, rows, cols);
    let matrix = Csr::from_triplets(rows, cols, &triplets).unwrap();
    assert!(matrix.nnz() < triplets.len(), "the input has duplicates");
    assert!((0..rows).any(|r| matrix.row(r).0.is_empty()), "the input has empty rows");
    let matrix = matrix.cast::<T>();
    for width in 1..=130 {
        let (x, base) = (numbers.table::<T>(cols * width), numbers.table::<T>(rows * width));
        let exact: Vec<f64> = x.iter().map(|v| v.f64()).collect();
        let mut want = dense_product(&a, rows, cols, &exact, width);
        let mut out = vec![T::nan(); rows * width];
        matrix.multiply(&x, width, &mut out);
        assert_close(&out, &want, tolerance, &format!("A x of width {width}"));
        matrix.multiply_add(&x, width, &base, &mut out);
        want.iter_mut().zip(&base).for_each(|(w, b)| *w += b.f64());
        assert_close(&out, &want, tolerance, &format!("base + A x of width {width}"));
    }
}

#[test]
fn products_equal_dense_at_every_width() {
    products_equal_dense::<f64>(1e-13);
    products_equal_dense::<f32>(2e-6);
}

#[test]
fn transpose_equals_dense_and_twice_is_the_same() {
    let mut numbers = Numbers(5);
    for (rows, cols, count) in [(1, 1, 1), (4, 9, 0), (40, 3, 70), (30, 31, 500)] {
        let triplets = random_triplets(&mut numbers, rows, cols, count);
        let matrix = Csr::from_triplets(rows, cols, &triplets).unwrap();
        let swapped: Vec<_> = triplets.iter().map(|&(r, c, v)| (c, r, v)).collect();
        assert_eq!(matrix.transpose(), Csr::from_triplets(cols, rows, &swapped).unwrap());
        assert_eq!(matrix.transpose().transpose(), matrix);
    }
}

#[test]
fn duplicates_are_summed_in_sorted_rows() {
    let matrix = Csr::from_triplets(3, 4, &[(2, 3, 1.0), (0, 2, 2.0), (2, 1, 4.0), (2, 3, 8.0), (0, 2, -2.0)]).unwrap();
    assert_eq!(matrix.indptr(), [0, 1, 1, 3]);
    assert_eq!(matrix.indices(), [2, 1, 3]);
    assert_eq!(matrix.values(), [0.0, 4.0, 9.0]);
    assert_eq!(matrix.row(2), (&[1u32, 3][..], &[4.0, 9.0][..]));
    let parts = Csr::from_parts(3, 4, vec![0, 1, 1, 3], vec![2, 1, 3], vec![0.0, 4.0, 9.0]).unwrap();
    assert_eq!(matrix, parts);
    assert_eq!(matrix.map_entries(|r, c, v| (r * 100 + c * 10) as f32 + v as f32).values(), [20.0, 214.0, 239.0]);
}

/// A matrix with one row longer than a segment, many short ones, and empty ones.
fn skewed(numbers: &mut Numbers) -> Csr<f64> {
    let (rows, cols) = (3_000, 80_000);
    let long = (0..cols as u32).filter(|c| c % 17 != 3).map(|c| (1_234, c, f64::from(c % 13) - 6.0));
    let short = random_triplets(numbers, rows, cols, 60_000);
    Csr::from_triplets(rows, cols, &long.chain(short).collect::<Vec<_>>()).unwrap()
}

#[test]
fn long_rows_equal_plain_sums() {
    let mut numbers = Numbers(3);
    let matrix = skewed(&mut numbers);
    let longest = (0..matrix.rows()).map(|r| matrix.row(r).0.len()).max().unwrap();
    assert!(longest > 1 << 16, "{longest} entries in the longest row: it must need several segments");
    let width = 5;
    let (x, base) = (numbers.table::<f64>(matrix.cols() * width), numbers.table::<f64>(matrix.rows() * width));
    let mut want = base.clone();
    for r in 0..matrix.rows() {
        let (columns, values) = matrix.row(r);
        for (&c, &v) in columns.iter().zip(values) {
            for d in 0..width {
                want[r * width + d] += v * x[c as usize * width + d];
            }
        }
    }
    let mut out = vec![0.0; want.len()];
    matrix.multiply_add(&x, width, &base, &mut out);
    assert_close(&out, &want, 1e-10, "base + A x with a long row");
}

#[test]
fn results_do_not_depend_on_threads() {
    let mut numbers = Numbers(7);
    let matrix = skewed(&mut numbers).cast::<f32>();
    let transposed = matrix.transpose();
    for width in [1, 16, 67] {
        let x = numbers.table::<f32>(matrix.cols() * width);
        let base = numbers.table::<f32>(matrix.rows() * width);
        let index: Vec<u32> = (0..5_000).map(|_| (numbers.below(70) * numbers.below(70)) as u32).collect();
        let run = |threads: usize| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let (mut forward, mut back) = (vec![0.0; base.len()], vec![0.0; x.len()]);
                matrix.multiply_add(&x, width, &base, &mut forward);
                transposed.multiply(&forward, width, &mut back);
                let mut parts = vec![0.0; index.len() * width];
                gather_rows(&x, width, &index, &mut parts);
                let mut sums = x.clone();
                scatter_add_rows(&parts, width, &index, matrix.cols(), &mut sums);
                [forward, back, parts, sums].map(|v| v.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            })
        };
        let one = run(1);
        assert!(one == run(2), "2 threads, width {width}");
        assert!(one == run(3), "3 threads, width {width}");
    }
}

#[test]
fn gather_and_scatter_equal_plain_loops() {
    let mut numbers = Numbers(13);
    for (rows, width, count) in [(1, 1, 3), (50, 7, 0), (50, 7, 200), (300, 64, 4_000)] {
        let table = numbers.table::<f64>(rows * width);
        let grad = numbers.table::<f64>(count * width);
        let index: Vec<u32> = (0..count).map(|_| numbers.below(rows.div_ceil(2)) as u32).collect();
        let mut taken = vec![f64::NAN; count * width];
        gather_rows(&table, width, &index, &mut taken);
        let mut sums = table.clone();
        scatter_add_rows(&grad, width, &index, rows, &mut sums);
        let mut want = table.clone();
        for (k, &row) in index.iter().enumerate() {
            let at = row as usize * width;
            assert_eq!(taken[k * width..(k + 1) * width], table[at..at + width]);
            for d in 0..width {
                want[at + d] += grad[k * width + d];
            }
        }
        assert_eq!(sums, want);
    }
}

#[test]
fn bipartite_is_the_block_matrix() {
    let matrix = Csr::from_triplets(2, 3, &[(0, 0, 1.0), (0, 2, 2.0), (1, 2, 3.0)]).unwrap();
    let want = [(0, 2, 1.0), (0, 4, 2.0), (1, 4, 3.0), (2, 0, 1.0), (4, 0, 2.0), (4, 1, 3.0)];
    let joint = matrix.bipartite().unwrap();
    assert_eq!(joint, Csr::from_triplets(5, 5, &want).unwrap());
    assert_eq!(joint, joint.transpose());
}

#[test]
fn relabelling_permutes_the_product() {
    let mut numbers = Numbers(17);
    let (rows, cols, width) = (40, 30, 6);
    let matrix = Csr::from_triplets(rows, cols, &random_triplets(&mut numbers, rows, cols, 200)).unwrap();
    let degrees = |m: &Csr<f64>| m.indptr().windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
    let new_row = degree_order(&degrees(&matrix));
    let new_column = degree_order(&degrees(&matrix.transpose()));
    let relabelled = matrix.relabel(&new_row, &new_column);
    assert!(degrees(&relabelled).is_sorted_by(|a, b| a >= b), "rows by falling degree");
    let x = numbers.table::<f64>(cols * width);
    let mut moved = vec![0.0; x.len()];
    for (old, &new) in new_column.iter().enumerate() {
        moved[new as usize * width..][..width].copy_from_slice(&x[old * width..][..width]);
    }
    let (mut want, mut got) = (vec![0.0; rows * width], vec![0.0; rows * width]);
    matrix.multiply(&x, width, &mut want);
    relabelled.multiply(&moved, width, &mut got);
    for (old, &new) in new_row.iter().enumerate() {
        assert_close(&got[new as usize * width..][..width], &want[old * width..][..width], 1e-13, "a relabelled row");
    }
}

/// A matrix as its dense rows.
fn table<T: Entry>(matrix: &Csr<T>) -> Vec<T> {
    let mut table = vec![T::default(); matrix.rows() * matrix.cols()];
    for r in 0..matrix.rows() {
        let (columns, values) = matrix.row(r);
        columns.iter().zip(values).for_each(|(&c, &v)| table[r * matrix.cols() + c as usize] = v);
    }
    table
}

fn random(numbers: &mut Numbers, rows: usize, cols: usize, count: usize) -> Csr<f64> {
    Csr::from_triplets(rows, cols, &random_triplets(numbers, rows, cols, count)).unwrap()
}

#[test]
fn sparse_products_equal_dense() {
    let mut numbers = Numbers(23);
    // the fuller ones list their columns by a scan, the others by sorting them
    for (rows, inner, cols, count) in
        [(1, 1, 1, 1), (4, 9, 3, 0), (40, 30, 50, 300), (200, 150, 3_000, 400), (90, 70, 60, 9_000)]
    {
        let (a, b) = (random(&mut numbers, rows, inner, count), random(&mut numbers, inner, cols, count));
        let want = dense_product(&table(&a), rows, inner, &table(&b), cols);
        let product = a.product(&b).unwrap();
        assert_close(&table(&product), &want, 1e-13, "A B in f64");
        assert_close(&table(&a.cast::<f32>().product(&b.cast()).unwrap()), &want, 2e-5, "A B in f32");
        let stored = |m: &Csr<f64>| table(&m.map_values(|_| 1.0));
        let joined = dense_product(&stored(&a), rows, inner, &stored(&b), cols);
        assert_eq!(product.nnz(), joined.iter().filter(|&&count| count > 0.0).count(), "every place that is joined");
        assert_eq!(
            product,
            Csr::from_parts(
                rows,
                cols,
                product.indptr().to_vec(),
                product.indices().to_vec(),
                product.values().to_vec()
            )
            .unwrap()
        );

        let places = random(&mut numbers, rows, cols, count);
        let at = a.product_at(&b, &places).unwrap();
        assert_eq!((at.indptr(), at.indices()), (places.indptr(), places.indices()));
        for r in 0..rows {
            let (columns, values) = at.row(r);
            let all = product.row(r);
            for (c, &value) in columns.iter().zip(values) {
                // the same sum in the same order
                assert_eq!(value, all.0.binary_search(c).map_or(0.0, |at| all.1[at]), "({r}, {c})");
            }
        }

        let counts = |m: &Csr<f64>| m.map_values(|v| (v.abs() * 1000.0) as u64);
        let (a, b) = (counts(&a), counts(&b));
        let product = a.product(&b).unwrap();
        let real = a.map_values(|v| v as f64).product(&b.map_values(|v| v as f64)).unwrap();
        assert_eq!(product.map_values(|v| v as f64), real, "counts are whole numbers");
        assert_eq!(a.product_at(&b, &product).unwrap(), product);
        assert_eq!(product.transpose(), b.transpose().product(&a.transpose()).unwrap());
    }
}

#[test]
fn sparse_products_do_not_depend_on_threads() {
    let mut numbers = Numbers(29);
    let matrix = random(&mut numbers, 3_000, 3_000, 30_000).cast::<f32>();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (matrix.product(&matrix).unwrap(), matrix.product_at(&matrix, &matrix).unwrap()))
    };
    let one = run(1);
    assert!([2, 3, 7].into_iter().all(|threads| run(threads) == one));
}

#[test]
fn rows_are_chained_and_cut() {
    let mut numbers = Numbers(31);
    let [a, b, c] = [(30, 20), (20, 40), (40, 25)].map(|(rows, cols)| random(&mut numbers, rows, cols, 90));
    let whole = a.product(&b).unwrap().product(&c).unwrap();
    let chain = |row: &mut SparseRow<f64>, start: usize| {
        row.set_unit(start as u32);
        [&a, &b, &c].into_iter().for_each(|step| row.multiply(step));
    };
    assert_eq!(Csr::from_rows(30, 25, |at, row| chain(row, at)).unwrap(), whole);
    let sums: Vec<f64> = map_rows(30, |at, row| {
        chain(row, at);
        row.entries().1.iter().sum()
    });
    assert_eq!(sums, (0..30).map(|at| whole.row(at).1.iter().sum()).collect::<Vec<f64>>());
    for most in [0, 1, 3, 25] {
        let cut = |by: bool| {
            Csr::from_rows(30, 25, |at, row| {
                chain(row, at);
                if by { row.keep_largest_by(most, |_, value| value) } else { row.keep_largest(most) }
            })
        };
        let kept = cut(false).unwrap();
        assert_eq!(kept, cut(true).unwrap());
        for at in 0..30 {
            let mut entries: Vec<(u32, f64)> =
                whole.row(at).0.iter().copied().zip(whole.row(at).1.iter().copied()).collect();
            entries.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            entries.truncate(most);
            entries.sort_by_key(|entry| entry.0);
            assert_eq!(kept.row(at).0, entries.iter().map(|entry| entry.0).collect::<Vec<_>>());
        }
    }
    // a row that is cut may be added to, and a sum of 0 stays an entry
    let one = Csr::from_parts(1, 3, vec![0, 2], vec![0, 2], vec![2u64, 1]).unwrap();
    let sum = Csr::from_rows(1, 3, |_, row| {
        row.add(&one, 0, 5);
        row.keep_largest(1);
        row.add(&one, 0, 0);
    });
    assert_eq!(sum.unwrap().row(0), (&[0, 2][..], &[10, 0][..]));
}

#[test]
fn a_product_that_overflows_names_the_place() {
    let of = |values: Vec<u64>| Csr::from_parts(2, 2, vec![0, 1, 3], vec![0, 0, 1], values).unwrap();
    let (large, small) = (of(vec![1, 1 << 40, 1]), of(vec![1 << 20, 1 << 24, 1]));
    assert_eq!(large.product(&small).unwrap().get(1, 0), Some((1 << 60) + (1 << 24)));
    let want = SparseError::Overflow { row: 1, column: 0 };
    // the product itself, and its last sum
    for (a, b) in [(large.clone(), of(vec![1 << 24, 0, 0])), (of(vec![1, 1, 1]), of(vec![u64::MAX, 1, 0]))] {
        assert_eq!(a.product(&b), Err(want.clone()));
        assert_eq!(a.product_at(&b, &large), Err(want.clone()));
    }
    let real = large.map_values(|_| 1e200);
    assert_eq!(real.product(&real), Err(SparseError::Overflow { row: 0, column: 0 }));
    assert_eq!(real.product_at(&real, &real), Err(SparseError::Overflow { row: 0, column: 0 }));
    assert!(want.to_string().contains("(1, 0)") && want.to_string().contains("18446744073709551615"));
}

#[test]
#[should_panic(expected = "product of a 2 x 3 matrix and one of 2 x 3")]
fn matrices_that_do_not_fit_have_no_product() {
    let matrix = Csr::<f64>::from_triplets(2, 3, &[]).unwrap();
    let _ = matrix.product(&matrix);
}

#[test]
fn empty_shapes_are_fine() {
    let mut out = [5.0f32; 6];
    Csr::from_triplets(3, 0, &[]).unwrap().multiply(&[], 2, &mut out);
    assert_eq!(out, [0.0; 6]);
    Csr::<f32>::from_triplets(0, 3, &[]).unwrap().multiply(&[1.0; 6], 2, &mut []);
    Csr::<f32>::from_triplets(3, 3, &[(0, 0, 1.0)]).unwrap().multiply(&[], 0, &mut []);
}

#[test]
fn bad_parts_are_named() {
    let triplets = |entries: &[(u32, u32, f64)]| Csr::from_triplets(2, 3, entries).map(|_| ());
    let parts = |indptr: &[usize], indices: &[u32], values: &[f64]| {
        Csr::from_parts(2, 3, indptr.to_vec(), indices.to_vec(), values.to_vec()).map(|_| ())
    };
    let huge = u32::MAX as usize + 1;
    let infinite = f64::INFINITY;
    let table: Vec<(Result<(), SparseError>, SparseError, &str)> = vec![
        (triplets(&[(0, 0, 1.0), (2, 0, 1.0)]), SparseError::RowOutOfRange { at: 1, row: 2, rows: 2 }, "row 2"),
        (triplets(&[(0, 3, 1.0)]), SparseError::ColumnOutOfRange { at: 0, column: 3, cols: 3 }, "column 3"),
        (triplets(&[(0, 0, infinite)]), SparseError::NonFinite { at: 0, value: infinite }, "inf"),
        (
            triplets(&[(1, 1, f64::MAX), (0, 0, 1.0), (1, 1, f64::MAX)]),
            SparseError::NonFinite { at: 2, value: infinite },
            "entry 2",
        ),
        (
            Csr::<f32>::from_triplets(1, huge, &[]).map(|_| ()),
            SparseError::TooLarge { rows: 1, cols: huge },
            "4294967295",
        ),
        (parts(&[0, 0], &[], &[]), SparseError::PointerLength { found: 2, expected: 3 }, "the rows, 3"),
        (parts(&[0, 0, 1], &[1], &[]), SparseError::ValueCount { indices: 1, values: 0 }, "0 values beside 1"),
        (parts(&[1, 1, 1], &[1], &[1.0]), SparseError::PointerStart { found: 1 }, "starts at 1"),
        (parts(&[0, 2, 1], &[1], &[1.0]), SparseError::PointerDecreases { row: 1, start: 2, end: 1 }, "row 1 goes"),
        (parts(&[0, 1, 2], &[1], &[1.0]), SparseError::PointerEnd { found: 2, entries: 1 }, "ends at 2"),
        (parts(&[0, 0, 1], &[3], &[1.0]), SparseError::ColumnOutOfRange { at: 0, column: 3, cols: 3 }, "below 3"),
        (parts(&[0, 0, 2], &[1, 1], &[1.0, 1.0]), SparseError::Unsorted { row: 1, at: 1 }, "row 1 do not increase"),
        (parts(&[0, 0, 2], &[2, 0], &[1.0, 1.0]), SparseError::Unsorted { row: 1, at: 1 }, "entry 1"),
        (parts(&[0, 0, 1], &[0], &[-infinite]), SparseError::NonFinite { at: 0, value: -infinite }, "-inf"),
    ];
    for (got, want, message) in table {
        let text = want.to_string();
        assert_eq!(got, Err(want));
        assert!(text.contains(message), "{text:?} does not say {message:?}");
    }
    assert!(matches!(triplets(&[(0, 0, f64::NAN)]), Err(SparseError::NonFinite { at: 0, value }) if value.is_nan()));
}

#[test]
#[should_panic(expected = "row 4 of a table of 4 rows")]
fn gathering_a_row_that_is_not_there_panics() {
    gather_rows(&[0.0f32; 8], 2, &[1, 4], &mut [0.0; 4]);
}

#[test]
#[should_panic(expected = "row 9 of a table of 4 rows")]
fn scattering_to_a_row_that_is_not_there_panics() {
    scatter_add_rows(&[0.0f32; 4], 2, &[1, 9], 4, &mut [0.0; 8]);
}
