//! Sinkhorn codes in place, and SwAV's specification.

use crate::golden_grouped::*;

#[test]
fn codes_in_place_are_those_of_tensor_operations() {
    let (n, k) = (50, 7);
    for dtype in types() {
        let scores = || {
            Tensor::<2>::from_data(TensorData::new(random(n * k, 1), [n, k]).convert_dtype(dtype), (&device(), dtype))
        };
        for sinkhorn in [Sinkhorn::new(0.2, 3).unwrap(), Sinkhorn::new(0.2, 3).unwrap().with_log_domain()] {
            let (native, portable) =
                (sinkhorn.codes(scores()), contrastive_core::testing::portably(|| sinkhorn.codes(scores())));
            let bound = if dtype == DType::F64 { 1e-12 } else { 1e-5 };
            close("codes", &values(&native), &values(&portable), bound, bound);
        }
    }
}

#[test]
fn codes_of_the_swav_specification() {
    let prototypes = sines(3, 3, 0.9).inner();
    let scores = |phase: f64| sines(4, 3, phase).inner().matmul(prototypes.clone().transpose());
    let codes = |phase: f64, epsilon: f64| values(&Sinkhorn::new(epsilon, 3).unwrap().codes(scores(phase)));
    let want =
        [0.999999, 0.000001, 0.0, 0.980526, 0.019474, 0.0, 0.000876, 0.990776, 0.008348, 0.0, 0.002859, 0.997141];
    close("first view", &codes(0.0, 0.05), &want, 1e-5, 0.0);
    close("second view", &codes(0.35, 0.05)[3..6], &[0.522843, 0.477115, 0.000042], 1e-5, 0.0);
    close("blunt", &codes(0.0, 0.5)[..3], &[0.679151, 0.208350, 0.112499], 1e-5, 0.0);
    let sums: Vec<f64> = (0..3).map(|k| codes(0.0, 0.05).iter().skip(k).step_by(3).sum()).collect();
    close("columns", &sums, &[1.981, 1.013, 1.005], 1e-3, 0.0);
    let swav = SwAv::new(0.1, Sinkhorn::new(0.05, 3).unwrap()).unwrap();
    close("loss", &values(&swav.loss(&[scores(0.0), scores(0.35)], &[])), &[0.397701506], 1e-5, 0.0);
}
