use super::*;
use burn::tensor::{DType, Device};

fn values(n: usize, salt: usize) -> Vec<f64> {
    (0..n).map(|k| ((k * 7919 + salt * 104_729) % 2003) as f64 / 1001.0 - 1.0).collect()
}

fn tensor(values: &[f64], shape: [usize; 2], dtype: DType) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (&Device::default(), dtype))
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data_dtype(DType::F64).try_to_vec::<f64>().unwrap()
}

const SHAPE: [usize; 2] = [13, 7];

fn config() -> AdamConfig {
    AdamConfig::new().with_lr(0.02).with_weight_decay(0.1)
}

/// Algorithm 1 of Kingma and Ba with coupled L2, written out in `f64`.
fn naive(steps: usize, c: &AdamConfig) -> Vec<f64> {
    let mut p = values(91, 0);
    let (mut m, mut v) = (vec![0.0; 91], vec![0.0; 91]);
    for t in 1..=steps {
        for (k, g) in values(91, t).into_iter().enumerate() {
            let g = g + c.weight_decay * p[k];
            m[k] = c.beta_1 * m[k] + (1.0 - c.beta_1) * g;
            v[k] = c.beta_2 * v[k] + (1.0 - c.beta_2) * g * g;
            let (b1, b2) = (1.0 - c.beta_1.powi(t as i32), 1.0 - c.beta_2.powi(t as i32));
            p[k] -= c.lr / t as f64 * (m[k] / b1) / ((v[k] / b2).sqrt() + c.epsilon);
        }
    }
    p
}

fn run(adam: &mut Adam, mut p: Tensor<2>, steps: std::ops::RangeInclusive<usize>, dtype: DType) -> Tensor<2> {
    for t in steps {
        adam.set_learning_rate(adam.config().lr / t as f64);
        adam.update(&mut p, tensor(&values(91, t), SHAPE, dtype));
    }
    p
}

#[test]
fn equals_the_algorithm_on_any_device() {
    for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 3e-6)] {
        let p = run(&mut Adam::new(config()), tensor(&values(91, 0), SHAPE, dtype), 1..=9, dtype);
        for (a, b) in host(p).iter().zip(naive(9, &config())) {
            assert!((a - b).abs() < tolerance, "{dtype:?}: {a} against {b}");
        }
    }
}

#[cfg(feature = "flex")]
#[test]
fn portable_body_equals_the_native_one() {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    let flat = |salt| FlexTensor::from_data(TensorData::new(values(50, salt), [50]));
    let square = |salt| FlexTensor::from_data(TensorData::new(values(50, salt).iter().map(|x| x * x).collect(), [50]));
    let rule = AdamStep { lr: 0.1, beta_1: 0.8, beta_2: 0.95, epsilon: 1e-6, weight_decay: 0.3, step: 4 };
    let a = Flex::adam_step(flat(1), flat(2), flat(3), square(4), rule);
    let b = portable::<Flex>(flat(1), flat(2), flat(3), square(4), rule);
    for (a, b) in [(a.0, b.0), (a.1, b.1), (a.2, b.2)] {
        for (a, b) in a.storage::<f64>().iter().zip(b.storage::<f64>()) {
            assert!((a - b).abs() < 1e-14, "{a} against {b}");
        }
    }
}

#[cfg(feature = "flex")]
#[test]
fn a_parameter_held_alone_is_overwritten_in_place() {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    let flat = |salt| FlexTensor::from_data(TensorData::new(values(50, salt), [50]));
    let rule = AdamStep { lr: 0.1, beta_1: 0.8, beta_2: 0.95, epsilon: 1e-6, weight_decay: 0.0, step: 1 };
    let (p, m) = (flat(1), flat(3));
    let (at_p, at_m) = (p.bytes().as_ptr(), m.bytes().as_ptr());
    let kept = m.clone();
    let (p, m, _) = Flex::adam_step(p, flat(2), m, FlexTensor::zeros([50].into(), DType::F64), rule);
    assert_eq!(p.bytes().as_ptr(), at_p);
    assert_ne!(m.bytes().as_ptr(), at_m, "a shared buffer must not be overwritten");
    assert_eq!(kept.storage::<f64>(), values(50, 3));
}

#[test]
fn shared_parameters_and_views_are_not_overwritten() {
    let before = values(91, 0);
    let p = tensor(&before, SHAPE, DType::F64);
    let turned = p.clone().transpose();
    let mut adam = Adam::new(config());
    let grad = tensor(&values(91, 1), SHAPE, DType::F64);
    let direct = host(Adam::new(config()).step(p.clone(), grad.clone()));
    let through = host(adam.step(turned, grad.transpose()).transpose());
    assert_eq!(direct, through);
    assert_eq!(host(p), before);
}

#[test]
fn a_saved_optimiser_goes_on_bit_by_bit() {
    let whole = host(run(&mut Adam::new(config()), tensor(&values(91, 0), SHAPE, DType::F32), 1..=8, DType::F32));
    let mut first = Adam::new(config());
    let p = run(&mut first, tensor(&values(91, 0), SHAPE, DType::F32), 1..=3, DType::F32);
    let mut state = State::new();
    first.save("table", &mut state);
    assert_eq!(state.keys().collect::<Vec<_>>(), ["table.m", "table.steps", "table.v"]);
    let mut second = Adam::new(config());
    second.load("table", &mut state.clone(), &SHAPE).unwrap();
    assert_eq!(second.steps(), 3);
    let mut again = State::new();
    second.save("table", &mut again);
    assert_eq!(state, again);
    assert_eq!(host(run(&mut second, p, 4..=8, DType::F32)), whole);

    let error = second.load("table", &mut state.clone(), &[7, 13]).unwrap_err();
    assert_eq!(error.to_string(), "tensor \"table.m\" of the saved state: shape [13, 7], expected [7, 13]");
    let error = second.load("items", &mut state, &SHAPE).unwrap_err();
    assert!(error.to_string().starts_with("tensor \"items.steps\" of the saved state: missing"), "{error}");
}

#[test]
fn settings_are_checked() {
    let c = AdamConfig::new;
    for (config, name) in [
        (c().with_lr(0.0), "lr"),
        (c().with_lr(f64::NAN), "lr"),
        (c().with_beta_1(1.0), "beta_1"),
        (c().with_beta_2(-0.1), "beta_2"),
        (c().with_epsilon(0.0), "epsilon"),
        (c().with_weight_decay(f64::INFINITY), "weight_decay"),
    ] {
        match config.validate() {
            Err(SettingError { setting, .. }) => assert_eq!(setting, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    c().validate().unwrap();
}

#[test]
#[should_panic(expected = "parameter of shape [13, 7], gradient of shape [7, 13]")]
fn shapes_are_checked() {
    let p = tensor(&values(91, 0), SHAPE, DType::F32);
    Adam::new(config()).step(p.clone(), p.transpose());
}

#[test]
#[should_panic(expected = "take its inner tensor")]
fn autodiff_parameters_are_refused() {
    let p = tensor(&values(91, 0), SHAPE, DType::F32).autodiff();
    Adam::new(config()).step(p.clone(), p);
}
