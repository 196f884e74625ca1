//! Sparse products whose values are tensors against dense ones, values and gradients.

use super::*;

fn list(values: Vec<f64>, dtype: DType) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), (&device().autodiff(), dtype))
}

fn random_list(count: usize, dtype: DType, seed: u64) -> Tensor<1> {
    list(values(random_table([count, 1], dtype, seed)), dtype)
}

/// Flat positions of the entries in the dense matrix.
fn places(matrix: &Csr<f64>) -> Tensor<1, Int> {
    let row = |r: usize| matrix.row(r).0.iter().map(move |&c| (r * matrix.cols() + c as usize) as i32);
    let flat: Vec<i32> = (0..matrix.rows()).flat_map(row).collect();
    let count = flat.len();
    Tensor::from_data(TensorData::new(flat, [count]), &device().autodiff())
}

/// The dense matrix with these values and `fill` elsewhere.
fn spread(matrix: &Csr<f64>, given: Tensor<1>, fill: f64) -> Tensor<2> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let flat = list(vec![fill; rows * cols], given.dtype());
    let flat = flat.select_assign(0, places(matrix), given - fill, burn::tensor::IndexingUpdateOp::Add);
    flat.reshape([rows, cols])
}

fn collected(matrix: &Csr<f64>, dense: Tensor<2>) -> Tensor<1> {
    dense.reshape([matrix.rows() * matrix.cols()]).select(0, places(matrix))
}

/// Reads the gradient of one input.
type Reader<'a> = dyn Fn(&burn::tensor::Gradients) -> Vec<f64> + 'a;

/// Asserts that outputs and all gradients of `sum(output * cotangent)` agree.
fn agree<const D: usize>(what: &str, got: Tensor<D>, want: Tensor<D>, leaves: [&Reader<'_>; 2], tolerance: f64) {
    assert_close(&values(got.clone()), &values(want.clone()), tolerance, tolerance, what);
    let count = got.shape().num_elements();
    let cotangent = random_list(count, got.dtype(), 77).reshape(got.shape());
    let (got, want) = ((got * cotangent.clone()).sum().backward(), (want * cotangent).sum().backward());
    for (k, leaf) in leaves.iter().enumerate() {
        assert_close(&leaf(&got), &leaf(&want), tolerance, tolerance, &format!("{what}, gradient {k}"));
    }
}

fn of<const D: usize>(leaf: &Tensor<D>) -> impl Fn(&burn::tensor::Gradients) -> Vec<f64> {
    let leaf = leaf.clone();
    move |gradients| values(leaf.grad(gradients).expect("a gradient"))
}

#[test]
fn patterned_products_and_gradients_equal_dense_ones() {
    for (dtype, tolerance) in types() {
        for (rows, cols, count, width) in [(7, 5, 12, 1), (30, 40, 200, 8), (50, 20, 400, 67), (60, 70, 900, 2)] {
            let matrix = random_matrix(rows, cols, count, 1);
            let pattern = SparsePattern::new(&matrix);
            assert_eq!((pattern.shape(), pattern.nnz()), ([rows, cols], matrix.nnz()));
            let what = |name: &str| format!("{name} of {rows} x {cols}, width {width}, {dtype:?}");

            let left = random_table([rows, width], dtype, 2).require_grad();
            let right = random_table([cols, width], dtype, 3).require_grad();
            let got = pattern.products(left.clone(), right.clone());
            let want = collected(&matrix, left.clone().matmul(right.clone().transpose()));
            agree(&what("products"), got, want, [&of(&left), &of(&right)], tolerance);

            let given = random_list(matrix.nnz(), dtype, 4).require_grad();
            let got = pattern.apply(given.clone(), right.clone());
            let want = spread(&matrix, given.clone(), 0.0).matmul(right.clone());
            agree(&what("apply"), got, want, [&of(&given), &of(&right)], tolerance);
            let got = pattern.apply_transposed(given.clone(), left.clone());
            let want = spread(&matrix, given.clone(), 0.0).transpose().matmul(left.clone());
            agree(&what("apply_transposed"), got, want, [&of(&given), &of(&left)], tolerance);

            let got = pattern.softmax(given.clone());
            let filled = spread(&matrix, given.clone(), -1e4);
            let want = collected(&matrix, burn::tensor::activation::softmax(filled, 1));
            // The fill rounds the dense logits; in f64 to 1e-12.
            let loose = if dtype == DType::F64 { 1e-11 } else { 1e-3 };
            agree(&what("softmax"), got, want, [&of(&given), &of(&given)], loose);
        }
    }
}

/// Attention of three dense inputs: products, softmax and values at once.
fn attention(pattern: &SparsePattern, [left, right, x]: [Tensor<2>; 3], cotangent: Tensor<2>) -> Tensor<1> {
    let weights = pattern.softmax(pattern.products(left, right) * 2.0);
    let there = pattern.apply(weights.clone(), x.clone()) * cotangent.clone();
    let back = pattern.apply_transposed(weights, cotangent) * x;
    (there + back.powi_scalar(2)).sum()
}

#[test]
fn attention_agrees_with_finite_differences() {
    if !has_f64() {
        return;
    }
    let matrix = random_matrix(12, 12, 40, 8);
    let pattern = SparsePattern::new(&matrix);
    let start: Vec<Vec<f64>> = (0..3).map(|k| values(random_table([12, 3], DType::F64, 20 + k))).collect();
    let cotangent = random_table([12, 3], DType::F64, 30);
    let leaves = |tables: &[Vec<f64>]| {
        std::array::from_fn::<_, 3, _>(|k| table(tables[k].clone(), [12, 3], DType::F64).require_grad())
    };
    let at = |tables: &[Vec<f64>]| values(attention(&pattern, leaves(tables), cotangent.clone()))[0];
    let tracked = leaves(&start);
    let gradients = attention(&pattern, tracked.clone(), cotangent.clone()).backward();
    for (k, leaf) in tracked.iter().enumerate() {
        let exact = values(leaf.grad(&gradients).unwrap());
        let differences = (0..exact.len()).map(|entry| {
            let moved = |h: f64| {
                let mut tables = start.clone();
                tables[k][entry] += h;
                at(&tables)
            };
            let h = 1e-3;
            (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (12.0 * h)
        });
        assert_close(&exact, &differences.collect::<Vec<_>>(), 1e-9, 1e-8, &format!("gradient of input {k}"));
    }
}

#[test]
fn portable_pattern_bodies_equal_native_ones() {
    for (dtype, tolerance) in types() {
        for (rows, cols, count, width) in [(30, 40, 200, 9), (5, 3, 0, 2), (700, 900, 9_000, 600)] {
            let matrix = random_matrix(rows, cols, count, 14);
            let pattern = SparsePattern::new(&matrix);
            let (left, right) = (random_table([rows, width], dtype, 15), random_table([cols, width], dtype, 16));
            let (given, grad) = (random_list(matrix.nnz(), dtype, 17), random_list(matrix.nnz(), dtype, 18));
            let d = |t: &Tensor<2>| t.clone().inner().into_dispatch();
            let v = |t: &Tensor<1>| t.clone().inner().into_dispatch();
            let one = |t| values(Tensor::<1>::from_dispatch(t));
            let two = |t| values(Tensor::<2>::from_dispatch(t));
            let near = |got: Vec<f64>, want: Vec<f64>, what: &str| {
                assert_close(&got, &want, 10.0 * tolerance, tolerance, &format!("portable {what}, {rows} x {cols}"));
            };
            let products = portable_pattern::products::<Dispatch>(&pattern, d(&left), d(&right));
            near(one(products), values(pattern.products(left.clone(), right.clone())), "products");
            for (transposed, x) in [(false, &right), (true, &left)] {
                let body = portable_pattern::multiply::<Dispatch>(&pattern, transposed, v(&given), d(x));
                let native = if transposed {
                    pattern.apply_transposed(given.clone(), x.clone())
                } else {
                    pattern.apply(given.clone(), x.clone())
                };
                near(two(body), values(native), "multiply");
            }
            let leaf = given.clone().require_grad();
            let softmax = pattern.softmax(leaf.clone());
            let body = portable_pattern::softmax::<Dispatch>(&pattern, v(&given));
            near(one(body), values(softmax.clone()), "softmax");
            if matrix.nnz() > 0 {
                let body = portable_pattern::softmax_backward::<Dispatch>(&pattern, v(&softmax), v(&grad));
                let gradients = (softmax * grad).sum().backward();
                near(one(body), values(leaf.grad(&gradients).unwrap()), "softmax backward");
            }
        }
    }
}

#[test]
fn a_softmax_over_rows_sums_to_one_at_any_size_of_logits() {
    let matrix = random_matrix(40, 40, 600, 3);
    let pattern = SparsePattern::new(&matrix);
    for (dtype, _) in types() {
        for scale in [0.0, 1.0, 1e4] {
            let logits = random_list(matrix.nnz(), dtype, 4) * scale;
            let weights = pattern.softmax(logits.clone());
            let sums = values(pattern.apply(weights.clone(), table(vec![1.0; 40], [40, 1], dtype)));
            let want: Vec<f64> = (0..40).map(|r| f64::from(!matrix.row(r).0.is_empty())).collect();
            assert_close(&sums, &want, 1e-6, 0.0, "sums of the rows");
            let moved = values(pattern.softmax(logits - 3.0));
            assert_close(&moved, &values(weights), 1e-2, 0.0, "logits moved by a constant");
        }
    }
}

#[test]
fn patterned_results_do_not_depend_on_the_number_of_threads() {
    let matrix = random_matrix(400, 300, 30_000, 5);
    let pattern = SparsePattern::new(&matrix);
    let (left, right) = (random_table([400, 16], DType::F32, 6), random_table([300, 16], DType::F32, 7));
    let all = || {
        let weights = pattern.softmax(pattern.products(left.clone(), right.clone()));
        let back = pattern.apply_transposed(weights.clone(), left.clone());
        [values(pattern.apply(weights.clone(), right.clone())), values(back), values(weights)]
    };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    assert_eq!(pool(1).install(all), pool(3).install(all));
}

#[test]
#[should_panic(expected = "values for the entries of a pattern of shape [3, 2]")]
fn a_wrong_number_of_values_is_named() {
    let matrix = random_matrix(3, 2, 4, 1);
    SparsePattern::new(&matrix).apply(random_list(9, DType::F32, 1), random_table([2, 4], DType::F32, 1));
}

#[test]
#[should_panic(expected = "pattern of shape [3, 2] (transposed: true) applied to [2, 4]")]
fn a_wrong_table_of_a_pattern_is_named() {
    let matrix = random_matrix(3, 2, 4, 1);
    let given = random_list(matrix.nnz(), DType::F32, 1);
    SparsePattern::new(&matrix).apply_transposed(given, random_table([2, 4], DType::F32, 1));
}
