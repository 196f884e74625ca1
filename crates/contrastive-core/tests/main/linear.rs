//! Linear operators on tensors against dense products, values and gradients.

mod pattern;

use crate::common::{assert_close, cases, computed_in, device, golden, has_f64, matrix_shape, numbers};
use burn::backend::Dispatch;
use burn::tensor::{DType, Int, Tensor, TensorData};
use contrastive_core::linear::{
    LinearOperator, LowRankOperator, SparseOperator, SparsePattern, SvdOptions, gather_rows, portable,
    portable_pattern, truncated_svd,
};
use contrastive_kernels::sparse::Csr;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn table(values: Vec<f64>, shape: [usize; 2], dtype: DType) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), (&device().autodiff(), dtype))
}

fn random_table(shape: [usize; 2], dtype: DType, seed: u64) -> Tensor<2> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    table((0..shape[0] * shape[1]).map(|_| rng.random_range(-1.0..1.0)).collect(), shape, dtype)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert_dtype(DType::F64).try_to_vec().unwrap()
}

fn random_matrix(rows: usize, cols: usize, count: usize, seed: u64) -> Csr<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut entry = || {
        let (row, column) = (rng.random_range(0..rows as u32), rng.random_range(0..cols as u32));
        (row, column, f64::from(rng.random_range(-1.0f32..1.0)))
    };
    Csr::from_triplets(rows, cols, &(0..count).map(|_| entry()).collect::<Vec<_>>()).unwrap()
}

fn dense(matrix: &Csr<f64>, dtype: DType) -> Tensor<2> {
    let mut values = vec![0.0; matrix.rows() * matrix.cols()];
    for r in 0..matrix.rows() {
        let (columns, entries) = matrix.row(r);
        columns.iter().zip(entries).for_each(|(&c, &v)| values[r * matrix.cols() + c as usize] = v);
    }
    table(values, [matrix.rows(), matrix.cols()], dtype)
}

/// Value of `sum(output * cotangent)`'s gradient in each input.
fn gradients(output: Tensor<2>, cotangent: Tensor<2>, inputs: &[&Tensor<2>]) -> Vec<Vec<f64>> {
    let gradients = (output * cotangent).sum().backward();
    inputs.iter().map(|x| values(x.grad(&gradients).expect("a gradient"))).collect()
}

/// The types of the device, and how close each comes.
fn types() -> Vec<(DType, f64)> {
    if has_f64() { vec![(DType::F64, 1e-12), (DType::F32, 3e-6)] } else { vec![(DType::F32, 1e-5)] }
}

#[test]
fn products_and_gradients_equal_dense_ones() {
    for (dtype, tolerance) in types() {
        for (rows, cols, count, width) in [(7, 5, 12, 1), (30, 40, 200, 8), (50, 20, 400, 67), (4, 4, 0, 3)] {
            let matrix = random_matrix(rows, cols, count, 1);
            let a = dense(&matrix, dtype);
            for operator in [SparseOperator::new(matrix.clone()), SparseOperator::from_f32(matrix.cast())] {
                let x = random_table([cols, width], dtype, 2).require_grad();
                let base = random_table([rows, width], dtype, 3).require_grad();
                let cotangent = random_table([rows, width], dtype, 4);
                let what = format!("{rows} x {cols} times width {width} in {dtype:?}");

                let (got, want) = (operator.apply(x.clone()), a.clone().matmul(x.clone()));
                assert_eq!(got.dtype(), dtype);
                assert_close(&values(got.clone()), &values(want.clone()), tolerance, tolerance, &what);
                let got = gradients(got, cotangent.clone(), &[&x]);
                let want = gradients(want, cotangent.clone(), &[&x]);
                assert_close(&got[0], &want[0], tolerance, tolerance, &format!("gradient of {what}"));

                let got = operator.apply_add(x.clone(), base.clone());
                let want = base.clone() + a.clone().matmul(x.clone());
                assert_close(&values(got.clone()), &values(want.clone()), tolerance, tolerance, &what);
                let got = gradients(got, cotangent.clone(), &[&x, &base]);
                let want = gradients(want, cotangent.clone(), &[&x, &base]);
                assert_close(&got[0], &want[0], tolerance, tolerance, &format!("gradient of x, base + {what}"));
                assert_eq!(got[1], values(cotangent), "gradient of base: the incoming one");
            }
        }
    }
}

#[test]
fn a_constant_base_or_table_gets_no_gradient() {
    let operator = SparseOperator::new(random_matrix(6, 5, 20, 5));
    let (x, base) = (random_table([5, 2], DType::F32, 1), random_table([6, 2], DType::F32, 2));
    let only_x = x.clone().require_grad();
    let gradients = operator.apply_add(only_x.clone(), base.clone()).sum().backward();
    assert!(only_x.grad(&gradients).is_some() && base.grad(&gradients).is_none());
    let only_base = base.detach().require_grad();
    let gradients = operator.apply_add(x.clone(), only_base.clone()).sum().backward();
    assert_eq!(values(only_base.grad(&gradients).unwrap()), [1.0; 12]);
    assert!(x.grad(&gradients).is_none());
    assert!(!operator.apply(x.inner()).is_tracked());
}

#[test]
fn non_contiguous_tensors_are_read_in_order() {
    let operator = SparseOperator::new(random_matrix(9, 6, 30, 6));
    let wide = random_table([4, 12], DType::F32, 7);
    let view = wide.transpose().slice([3..9, 1..4]);
    let copied = table(values(view.clone()), [6, 3], DType::F32);
    assert_eq!(values(operator.apply(view.clone())), values(operator.apply(copied.clone())));
    assert_eq!(values(gather_rows(view, &[5, 0, 5])), values(gather_rows(copied, &[5, 0, 5])));
}

/// `<A x, y> = <x, A^T y>`.
#[test]
fn transpose_is_the_adjoint() {
    fn inner(a: Tensor<2>, b: Tensor<2>) -> f64 {
        values((a * b).sum())[0]
    }
    fn check(operator: &impl LinearOperator) {
        let [rows, cols] = operator.shape();
        let (dtype, tolerance) = types()[0];
        let (x, y) = (random_table([cols, 6], dtype, 8), random_table([rows, 6], dtype, 9));
        let there = inner(operator.apply(x.clone()), y.clone());
        let back = operator.transpose();
        assert_eq!(back.shape(), [cols, rows]);
        assert!(there.abs() > 1e-3, "a product that is not 0 by accident");
        assert_close(&[inner(x, back.apply(y))], &[there], tolerance, tolerance, "the adjoint identity");
    }
    let matrix = random_matrix(31, 22, 180, 10);
    check(&SparseOperator::new(matrix.clone()));
    check(&SparseOperator::new(matrix.clone()).transpose());
    check(&SparseOperator::new(matrix.bipartite().unwrap()));
    let low_rank = LowRankOperator::from(truncated_svd(&matrix, 4, &SvdOptions::default()).unwrap());
    check(&low_rank);
    check(&low_rank.transpose());
}

#[test]
fn a_symmetric_matrix_is_recognised() {
    let matrix = random_matrix(8, 6, 20, 11);
    let joint = SparseOperator::new(matrix.bipartite().unwrap());
    assert!(joint.is_symmetric() && !SparseOperator::new(matrix).is_symmetric());
    assert!(std::ptr::eq(joint.to_f32(), joint.transpose().to_f32()), "one matrix for both directions");
    assert_eq!((joint.shape(), joint.nnz()), ([14, 14], joint.to_f64().nnz()));
}

#[test]
fn gathered_rows_and_gradients_equal_select() {
    let rows: Vec<u32> = vec![3, 0, 3, 9, 3, 1];
    for (dtype, tolerance) in types() {
        let x = random_table([10, 7], dtype, 12).require_grad();
        let cotangent = random_table([6, 7], dtype, 13);
        let index = Tensor::<1, Int>::from_data(TensorData::from([3i32, 0, 3, 9, 3, 1]), &device().autodiff());
        let (got, want) = (gather_rows(x.clone(), &rows), x.clone().select(0, index));
        assert_eq!(values(got.clone()), values(want.clone()));
        let got = gradients(got, cotangent.clone(), &[&x]);
        let want = gradients(want, cotangent, &[&x]);
        assert_close(&got[0], &want[0], tolerance, tolerance, "gradient of gathered rows");
        assert_eq!(gather_rows(x, &[]).dims(), [0, 7]);
    }
}

#[test]
fn portable_bodies_equal_native_ones() {
    for (dtype, tolerance) in types() {
        for (rows, cols, count, width) in [(30, 40, 200, 9), (5, 3, 0, 2), (700, 900, 9_000, 1_100)] {
            let operator = SparseOperator::new(random_matrix(rows, cols, count, 14));
            let plain = |shape, seed| random_table(shape, dtype, seed).inner();
            let (x, base) = (plain([cols, width], 15), plain([rows, width], 16));
            let body = |base: Option<Tensor<2>>| {
                let base = base.map(Tensor::into_dispatch);
                let out = portable::sparse_multiply::<Dispatch>(&operator, x.clone().into_dispatch(), base);
                values(Tensor::<2>::from_dispatch(out))
            };
            assert_close(&body(None), &values(operator.apply(x.clone())), tolerance, tolerance, "portable A x");
            let native = values(operator.apply_add(x.clone(), base.clone()));
            assert_close(&body(Some(base)), &native, tolerance, tolerance, "portable base + A x");
        }
        let x = random_table([10, 7], dtype, 12).require_grad();
        let rows = [3, 0, 3, 9, 3, 1];
        let cotangent = random_table([6, 7], dtype, 13);
        let inner = x.clone().inner().into_dispatch();
        let taken = Tensor::<2>::from_dispatch(portable::gather_rows::<Dispatch>(&rows, inner));
        assert_eq!(values(taken), values(gather_rows(x.clone(), &rows)));
        let parts = cotangent.clone().inner().into_dispatch();
        let sums = Tensor::<2>::from_dispatch(portable::scatter_rows::<Dispatch>(&rows, 10, parts));
        let native = gradients(gather_rows(x.clone(), &rows), cotangent, &[&x]);
        assert_close(&values(sums), &native[0], tolerance, tolerance, "portable scatter");
    }
}

#[cfg(feature = "flex")] // not every backend has the type
#[test]
fn half_precision_takes_the_portable_body() {
    let matrix = random_matrix(12, 10, 40, 20);
    let operator = SparseOperator::new(matrix.clone());
    let x = random_table([10, 4], DType::F16, 21).require_grad();
    let want = dense(&matrix, DType::F64).matmul(table(values(x.clone()), [10, 4], DType::F64));
    let got = operator.apply(x.clone());
    assert_eq!(got.dtype(), DType::F16);
    assert_close(&values(got.clone()), &values(want), 2e-2, 0.0, "A x in half precision");
    let gradient = x.grad(&got.sum().backward()).unwrap();
    let column_sums = dense(&matrix, DType::F64).sum_dim(0).transpose().repeat(&[1, 4]);
    assert_close(&values(gradient), &values(column_sums), 2e-2, 0.0, "gradient in half precision");
}

#[test]
fn low_rank_products_and_gradients_equal_dense_ones() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let mut side = |n| Array2::from_shape_fn((n, 3), |_| rng.random_range(-1.0..1.0));
    let (left, right, singular) = (side(11), side(7), vec![4.0, 1.0, 0.25]);
    let full = (&left * &ndarray::Array1::from(singular.clone())).dot(&right.t());
    let operator = LowRankOperator::new(left, singular, right);
    assert_eq!((operator.shape(), operator.rank()), ([11, 7], 3));
    for (dtype, tolerance) in types() {
        let a = table(full.iter().copied().collect(), [11, 7], dtype);
        for (operator, a) in [(operator.clone(), a.clone()), (operator.transpose(), a.transpose())] {
            let [rows, cols] = operator.shape();
            let x = random_table([cols, 5], dtype, 18).require_grad();
            let cotangent = random_table([rows, 5], dtype, 19);
            let (got, want) = (operator.apply(x.clone()), a.matmul(x.clone()));
            assert_close(&values(got.clone()), &values(want.clone()), tolerance, tolerance, "low-rank product");
            let got = gradients(got, cotangent.clone(), &[&x]);
            let want = gradients(want, cotangent, &[&x]);
            assert_close(&got[0], &want[0], tolerance, tolerance, "gradient of the low-rank product");
            assert!(!operator.apply(x.inner()).is_tracked());
        }
    }
}

/// LightGCN's propagation: mean of layers 0 to 3 over `D^-1/2 A D^-1/2`, against `torch_geometric`'s LGConv.
#[test]
fn golden_light_graph_convolution() {
    let Some(file) = golden("graph_layers.json") else { return };
    let light: Vec<_> =
        cases(&file).iter().filter(|case| case["name"].as_str().unwrap().starts_with("LGConv")).collect();
    assert!(!light.is_empty(), "LGConv cases");
    for case in light {
        let shape = matrix_shape(&case["inputs"]["x"]);
        let edges = numbers(&case["inputs"]["edge_index"]);
        let (sources, targets) = edges.split_at(edges.len() / 2);
        let entries: Vec<_> = targets.iter().zip(sources).map(|(&t, &s)| (t as u32, s as u32, 1.0)).collect();
        let adjacency = Csr::from_triplets(shape[0], shape[0], &entries).unwrap();
        let degree: Vec<f64> = (0..shape[0]).map(|node| adjacency.row(node).1.iter().sum()).collect();
        let normalised = adjacency.map_entries(|i, j, v| v / (degree[i] * degree[j]).sqrt());
        let operator = SparseOperator::new(normalised);
        let layers = case["params"]["layers"].as_u64().unwrap() as usize;
        let expected = &case["expected"];
        for (dtype, _) in types() {
            computed_in(dtype.size());
            let loose = dtype == DType::F32;
            let x = table(numbers(&case["inputs"]["x"]), shape, dtype).require_grad();
            let cotangent = table(numbers(&case["inputs"]["cotangent"]), shape, dtype);
            let (mut layer, mut sum) = (x.clone(), x.clone());
            for _ in 1..layers {
                layer = operator.apply(layer);
                sum = sum + layer.clone();
            }
            // The last layer is added inside the product.
            let output = operator.apply_add(layer, sum) / (layers + 1) as f64;
            let (name, tight) = (case["name"].as_str().unwrap(), if loose { 1e-6 } else { 1e-14 });
            assert_close(&values(output.clone()), &numbers(&expected["output"]), tight, tight, name);
            let loss = (output.clone() * cotangent.clone()).sum();
            assert_close(&values(loss), &[expected["loss"].as_f64().unwrap()], 0.0, 4.0 * tight, name);
            let got = gradients(output, cotangent, &[&x]);
            assert_close(&got[0], &numbers(&expected["grads"]["x"]), tight, tight, name);
        }
    }
}

#[test]
#[should_panic(expected = "sparse operator of shape [3, 2] applied to a tensor of shape [3, 4]")]
fn a_wrong_shape_is_named() {
    SparseOperator::new(random_matrix(3, 2, 4, 1)).apply(random_table([3, 4], DType::F32, 1));
}

#[test]
#[should_panic(expected = "base added to a sparse product of shape [3, 4]")]
fn a_wrong_base_is_named() {
    let operator = SparseOperator::new(random_matrix(3, 2, 4, 1));
    operator.apply_add(random_table([2, 4], DType::F32, 1), random_table([3, 5], DType::F32, 1));
}

#[test]
#[should_panic(expected = "row 3 of a table of shape [3, 4]")]
fn a_row_that_is_not_there_is_named() {
    gather_rows(random_table([3, 4], DType::F32, 1), &[0, 3]);
}
