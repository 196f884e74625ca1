//! Differentiable sorting, k-means and entropic optimal transport on tensors: golden values, the native form against the definition
//! in tensor operations, finite differences.

use crate::common::*;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::cluster::{KMeans, k_means, k_means_array, nearest_centroids};
use contrastive_core::objective::{Sinkhorn, SinkhornError};
use contrastive_core::optimal_transport::OptimalTransport;
use contrastive_core::sorting::{DiffSort, Relaxation, SortingNetwork};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RELAXATIONS: [Relaxation; 4] =
    [Relaxation::Cauchy, Relaxation::Logistic, Relaxation::Reciprocal, Relaxation::Optimal];

fn random(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect()
}

fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

fn plain<const D: usize>(values: Vec<f64>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (&device(), dtype))
}

/// Absolute and relative error allowed of values and gradients.
fn bound(dtype: DType) -> [(f64, f64); 2] {
    if dtype == DType::F64 { [(1e-12, 1e-10), (1e-9, 1e-9)] } else { [(1e-5, 1e-5), (1e-5, 1e-4)] }
}

/// `sum(output * cotangent)`.
fn contracted<const D: usize>(output: Tensor<D>, cotangent: &[f64]) -> Tensor<1> {
    let (shape, dtype) = (output.dims(), output.dtype());
    let cotangent = Tensor::from_inner(plain(cotangent.to_vec(), shape, dtype));
    (output * cotangent).sum()
}

/// The gradient of `x` with an upstream factor of -2, which is taken out again; zeros of what does not depend on it.
fn gradient(x: &Tensor<2>, value: Tensor<1>) -> Vec<f64> {
    if !value.is_tracked() {
        return vec![0.0; x.dims().iter().product()];
    }
    let all = (value * -2.0).backward();
    values(&x.grad(&all).expect("a gradient")).iter().map(|g| g / -2.0).collect()
}

#[test]
fn golden_diffsort() {
    let Some(file) = golden("diffsort") else { return };
    for case in cases(&file) {
        let (params, expected) = (&case["params"], &case["expected"]);
        let [_, n] = matrix_shape(&case["inputs"]["x"]);
        let network = match params["network"].as_str().unwrap() {
            "odd_even" => SortingNetwork::odd_even(n).unwrap(),
            "bitonic" => SortingNetwork::bitonic(n).unwrap(),
            other => panic!("no such network: {other}"),
        };
        let relaxation = match params["distribution"].as_str().unwrap() {
            "cauchy" => Relaxation::Cauchy,
            "logistic" => Relaxation::Logistic,
            other => panic!("no such relaxation: {other}"),
        };
        let sort = DiffSort::new(network, relaxation, params["steepness"].as_f64().unwrap()).unwrap();
        for (dtype, portable) in types().into_iter().flat_map(|t| [(t, false), (t, true)]) {
            let what = format!("{} {dtype:?}, portable {portable}", case["name"]);
            let _bodies = contrastive_core::testing::portable(portable);
            let x = matrix(&case["inputs"]["x"], dtype);
            let [value, slope] = bound(dtype);
            close(
                &format!("{what}, sorted"),
                &values(&sort.sort(x.clone())),
                &numbers(&expected["sorted"]),
                value.0,
                value.1,
            );
            let permutation = sort.permutation(x.clone());
            let want = numbers(&expected["permutation"]);
            close(&format!("{what}, permutation"), &values(&permutation), &want, value.0, value.1);
            let loss = contracted(permutation, &numbers(&case["inputs"]["cotangent"]));
            close(&format!("{what}, loss"), &values(&loss), &[expected["loss"].as_f64().unwrap()], value.0, value.1);
            let want = numbers(&expected["grads"]["x"]);
            // f32: slopes of up to 10 a comparator
            let slack = if dtype == DType::F64 { 1.0 } else { 10.0 };
            close(&format!("{what}, gradient"), &gradient(&x, loss), &want, slope.0 * slack, slope.1);
        }
    }
}

#[test]
fn native_sorts_are_the_definition() {
    for n in [1, 2, 5, 8, 11] {
        for network in [SortingNetwork::odd_even(n).unwrap(), SortingNetwork::bitonic(n).unwrap()] {
            for relaxation in RELAXATIONS {
                for dtype in types() {
                    // more rows than a block of the kernels
                    let (rows, k) = (35, 3);
                    let sort = DiffSort::new(network.clone(), relaxation, 4.0).unwrap();
                    let (data, v) = (random(rows * n, 1), random(n * k, 2));
                    let cotangents = [random(rows * n, 3), random(rows * n * k, 4), random(rows * n * n, 5)];
                    let run = |portable: bool| -> Vec<Vec<f64>> {
                        let _bodies = contrastive_core::testing::portable(portable);
                        let v = plain(v.clone(), [n, k], dtype);
                        let x = || tracked(data.clone(), [rows, n], dtype);
                        let (a, b, c) = (x(), x(), x());
                        let (sorted, sums, p) =
                            (sort.sort(a.clone()), sort.rank_sums(b.clone(), v), sort.permutation(c.clone()));
                        let outputs = [values(&sorted), values(&sums), values(&p)];
                        let slopes = [
                            gradient(&a, contracted(sorted, &cotangents[0])),
                            gradient(&b, contracted(sums, &cotangents[1])),
                            gradient(&c, contracted(p, &cotangents[2])),
                        ];
                        outputs.into_iter().chain(slopes).collect()
                    };
                    let tolerance = if dtype == DType::F64 { 1e-12 } else { 5e-5 };
                    for (k, (native, dense)) in run(false).iter().zip(&run(true)).enumerate() {
                        close(&format!("{n} {relaxation:?} {dtype:?} {k}"), native, dense, tolerance, tolerance);
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_of_both_results_by_differences() {
    if !has_f64() {
        return;
    }
    let (rows, n) = (3, 6);
    for relaxation in RELAXATIONS {
        let sort = DiffSort::new(SortingNetwork::bitonic(n).unwrap(), relaxation, 3.0).unwrap();
        let (data, on_sorted, on_p) = (random(rows * n, 1), random(rows * n, 2), random(rows * n * n, 3));
        let value = |data: &[f64]| {
            let x = tracked(data.to_vec(), [rows, n], DType::F64);
            let sorted = sort.sort(x.clone());
            // a product of both, so that neither gradient is constant
            let value = contracted(sorted, &on_sorted) * contracted(sort.permutation(x.clone()), &on_p);
            (x, value)
        };
        let (x, v) = value(&data);
        let exact = gradient(&x, v);
        for at in 0..data.len() {
            let [above, below] = [1e-5, -1e-5].map(|h| {
                let mut moved = data.clone();
                moved[at] += h;
                values(&value(&moved).1)[0]
            });
            let difference = (above - below) / 2e-5;
            assert!((exact[at] - difference).abs() < 1e-7, "{relaxation:?} at {at}: {} and {difference}", exact[at]);
        }
    }
}

#[test]
fn half_precision_is_computed_in_single() {
    if on_ndarray() {
        return;
    }
    let x = plain(vec![0.5, -1.0, 0.25, 2.0], [1, 4], DType::F32);
    let sort = DiffSort::bitonic(4, 20.0).unwrap();
    let half = sort.sort(x.clone().cast(DType::F16));
    assert_eq!(half.dtype(), DType::F32);
    close("f16", &values(&half), &values(&sort.sort(x)), 1e-6, 0.0);
}

#[test]
fn clusters_of_tensors_and_arrays() {
    let (n, d, k) = (120, 4, 3);
    let noise = random(n * d, 6);
    let data: Vec<f64> = (0..n * d).map(|at| ((at / d) % k * (1 + at % d)) as f64 * 5.0 + noise[at]).collect();
    let settings = KMeans { restarts: 4, ..KMeans::new(k, 1) };
    for dtype in types() {
        let x = tracked(data.clone(), [n, d], dtype);
        let found = k_means(&x, &settings).unwrap();
        assert!(!found.centroids.is_autodiff() && found.centroids.dtype() == dtype);
        assert!((0..n).all(|i| found.labels[i] == found.labels[i % k]), "{:?}", found.labels);
        assert_eq!(found.sizes, [n / k; 3]);
        let labels = nearest_centroids(&x, &found.centroids, false).unwrap();
        assert_eq!(labels, found.labels);
        let array = ndarray::Array2::from_shape_vec((n, d), data.clone()).unwrap();
        let again = k_means_array(array.view(), &settings).unwrap();
        assert_eq!(again.labels, found.labels);
        close("centroids", &values(&found.centroids), again.centroids.as_slice().unwrap(), 1e-5, 0.0);
        // columns first in memory: the same rows
        let other = k_means_array(array.t().as_standard_layout().t(), &settings).unwrap();
        assert_eq!(other.centroids, again.centroids);
    }
    let few = k_means(&tracked(vec![1.0, 2.0], [1, 2], DType::F32), &settings).unwrap_err().to_string();
    assert!(few.contains("3 clusters of 1 rows"), "{few}");
}

#[test]
fn golden_optimal_transport_plans() {
    let Some(file) = golden("optimal_transport") else { return };
    for case in cases(&file) {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        for dtype in types() {
            let mass = |name: &str| {
                let mass = numbers(&inputs[name]);
                let count = mass.len();
                plain(mass, [count], dtype)
            };
            let epsilon = case["params"]["reg"].as_f64().unwrap();
            // POT stops earlier, at 1e-8 of the plan
            let (tolerance, error) = if dtype == DType::F64 { (1e-12, 1e-8) } else { (1e-6, 1e-5) };
            let transport = OptimalTransport::new(epsilon).unwrap().with_tolerance(tolerance).unwrap();
            let cost = matrix(&inputs["cost"], dtype);
            let found = transport.plan(cost.clone(), mass("a"), mass("b")).unwrap();
            let what = format!("{} {dtype:?}", case["name"]);
            close(&what, &values(&found.plan), &numbers(&expected["plan"]), error, 0.0);
            let want = expected["cost_entropic_plan"].as_f64().unwrap();
            close(&format!("{what}, cost"), &[found.cost], &[want], error, 0.0);
            assert!(
                found.cost >= expected["emd_cost"].as_f64().unwrap() - error,
                "{what}: cheaper than the cheapest plan"
            );
            assert!(found.residual <= tolerance && found.iterations > 1);
            // tensor operations agree
            let _bodies = contrastive_core::testing::portable(true);
            let portable = Sinkhorn::new(epsilon, 10_000).unwrap();
            for sinkhorn in [portable.clone(), portable.with_log_domain()] {
                let plan = sinkhorn.converged_plan(cost.clone(), mass("a"), mass("b"), tolerance).unwrap();
                close(&format!("{what}, portable"), &values(&plan), &values(&found.plan), error, 0.0);
            }
        }
    }
}

#[test]
fn the_gradient_of_transport_is_its_plan() {
    let dtype = types()[0];
    let (n, m) = (4, 5);
    let mass = |count: usize, seed: u64| {
        let raw: Vec<f64> = random(count, seed).iter().map(|v| v + 1.5).collect();
        let sum: f64 = raw.iter().sum();
        plain(raw.iter().map(|v| v / sum).collect(), [count], dtype)
    };
    let (a, b) = (mass(n, 1), mass(m, 2));
    let tight = if dtype == DType::F64 { 1e-13 } else { 1e-6 };
    let transport = OptimalTransport::new(0.2).unwrap().with_tolerance(tight).unwrap();
    let data = random(n * m, 3);
    let cost = tracked(data.clone(), [n, m], dtype);
    let value = transport.value(cost.clone(), a.clone(), b.clone()).unwrap();
    let exact = gradient(&cost, value);
    let plan = transport.plan(cost, a.clone(), b.clone()).unwrap();
    close("plan", &exact, &values(&plan.plan), 1e-6, 0.0);
    for at in 0..n * m {
        let [above, below] = [1e-3, -1e-3].map(|h| {
            let mut moved = data.clone();
            moved[at] += h;
            transport.plan(plain(moved, [n, m], dtype), a.clone(), b.clone()).unwrap().objective
        });
        let difference = (above - below) / 2e-3;
        let error = if dtype == DType::F64 { 1e-6 } else { 1e-3 };
        assert!((exact[at] - difference).abs() < error, "at {at}: {} and {difference}", exact[at]);
    }
}

#[test]
fn transport_that_does_not_converge_says_so() {
    let dtype = types()[0];
    let third = || plain(vec![1.0 / 3.0; 3], [3], dtype);
    let cost = || plain(random(9, 4), [3, 3], dtype);
    let few = OptimalTransport::new(0.01).unwrap().with_iterations(2).unwrap();
    match few.plan(cost(), third(), third()) {
        Err(SinkhornError::NotConverged { iterations: 2, residual, tolerance }) => assert!(residual > tolerance),
        other => panic!("two iterations: {other:?}"),
    }
    let lost = plain(vec![f64::NAN, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0], [3, 3], dtype);
    match OptimalTransport::new(0.1).unwrap().plan(lost, third(), third()) {
        Err(SinkhornError::NotConverged { residual, .. }) => assert!(residual.is_nan()),
        other => panic!("NaN costs: {other:?}"),
    }
    let negative = plain(vec![-1.0, 1.0, 1.0], [3], dtype);
    let error = OptimalTransport::new(0.1).unwrap().plan(cost(), negative, third()).unwrap_err();
    assert!(error.to_string().contains("entry 0"), "{error}");
    for bad in [0.0, -1.0, f64::NAN] {
        assert!(OptimalTransport::new(bad).unwrap_err().to_string().contains("epsilon"));
    }
    assert!(OptimalTransport::new(1.0).unwrap().with_iterations(0).is_err());
    assert!(OptimalTransport::new(1.0).unwrap().with_tolerance(f64::NAN).is_err());
}
