//! Many chunks against one batch: values and gradients of every parameter, with and without chance.

use crate::common::*;
use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{DType, Tensor, activation::relu};
use contrastive_core::distributed::{Communicator, DistributedError, Ranks, in_process, sum_gradients};
use contrastive_core::error::ObjectiveError;
use contrastive_core::gradient_cache::{CacheError, Chunk, GradientCache, Tower, untaped};
use contrastive_core::objective::{Clip, InfoNce, Inputs, NtXent, VicReg};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::Cell;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Module, Debug)]
struct Mlp {
    first: Linear,
    second: Linear,
    dropout: Dropout,
}

/// The backend's generator is one for the process: who draws from it, draws alone.
fn alone() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dtype() -> DType {
    if has_f64() { DType::F64 } else { DType::F32 }
}

fn tolerance() -> f64 {
    if has_f64() { 1e-10 } else { 1e-5 }
}

fn numbers(seed: u64, len: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect()
}

impl Mlp {
    fn new(seed: u64, inputs: usize, dropout: f64) -> Self {
        let layer = |seed, from: usize, to: usize| {
            let mut layer: Linear = LinearConfig::new(from, to).init(&device().autodiff());
            layer.weight = Param::from_tensor(tracked(numbers(seed, from * to), [from, to], dtype()));
            layer.bias = Some(Param::from_tensor(tracked(numbers(seed + 1, to), [to], dtype())));
            layer
        };
        let dropout = DropoutConfig::new(dropout).init();
        Self { first: layer(seed, inputs, 8), second: layer(seed + 2, 8, 4), dropout }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.second.forward(self.dropout.forward(relu(self.first.forward(x))))
    }

    fn flat(&self, gradients: &GradientsParams) -> Vec<f64> {
        struct Flat<'a>(&'a GradientsParams, Vec<f64>);
        impl ModuleVisitor for Flat<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.1.extend(values(&self.0.get::<D>(param.id).expect("a gradient of every parameter")));
            }
        }
        let mut flat = Flat(gradients, Vec::new());
        self.visit(&mut flat);
        assert_eq!(flat.1.len(), self.num_params());
        flat.1
    }
}

fn rows(seed: u64, n: usize, width: usize) -> Tensor<2> {
    Tensor::from_inner(tracked(numbers(seed, n * width), [n, width], dtype()).inner())
}

fn part(rows: &Tensor<2>, chunk: &Chunk) -> Tensor<2> {
    rows.clone().slice([chunk.rows.clone()])
}

#[test]
fn chunks_of_any_size_equal_one_batch() {
    let _alone = alone();
    let n = 23;
    let (encoder, x, y) = (Mlp::new(1, 6, 0.0), rows(10, n, 6), rows(11, n, 6));
    type Loss<'a> = &'a dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>;
    let losses: [(&str, Loss<'_>); 3] = [
        ("InfoNCE", &|a, b| InfoNce::new(0.2).unwrap().loss(a, b)),
        ("NT-Xent", &|a, b| NtXent::new(0.2).unwrap().loss(a, b)),
        ("VICReg", &|a, b| VicReg::default().loss(a, b)),
    ];
    for (name, loss) in losses {
        let whole = loss(encoder.forward(x.clone()), encoder.forward(y.clone()));
        let want = encoder.flat(&GradientsParams::from_grads(whole.backward(), &encoder));
        for chunk in [1, 4, 7, 22, 23, 100] {
            let mut accumulator = GradientsAccumulator::new();
            let first = |c: &Chunk| encoder.forward(part(&x, c));
            let second = |c: &Chunk| encoder.forward(part(&y, c));
            let value = GradientCache::new(chunk).unwrap().backward(
                &[Tower::new(n, &first), Tower::new(n, &second)],
                |z| Ok::<_, Infallible>(loss(z[0].clone(), z[1].clone())),
                |g| accumulator.accumulate(&encoder, GradientsParams::from_grads(g, &encoder)),
            );
            let what = format!("{name}, chunks of {chunk}");
            close(&what, &values(&value.unwrap()), &values(&whole), tolerance(), tolerance());
            close(&what, &encoder.flat(&accumulator.grads()), &want, tolerance(), tolerance());
        }
    }
}

#[test]
fn two_encoders_and_a_learned_temperature() {
    let _alone = alone();
    let n = 11;
    let (images, texts) = (Mlp::new(1, 6, 0.0), Mlp::new(5, 3, 0.0));
    let (x, y) = (rows(10, n, 6), rows(11, n, 3));
    let log_scale = tracked::<1>(vec![1.3], [1], dtype());
    let loss = |a, b| Clip::with_logit_scale().loss_with_scale(a, b, log_scale.clone().exp());
    let whole = loss(images.forward(x.clone()), texts.forward(y.clone()));
    let mut g = whole.backward();
    let want_scale = values(&log_scale.grad_remove(&mut g).unwrap());
    let want = [&images, &texts].map(|m| m.flat(&GradientsParams::from_module(&mut g, m)));
    let mut sums = [GradientsAccumulator::new(), GradientsAccumulator::new()];
    let mut scale = Vec::new();
    let first = |c: &Chunk| images.forward(part(&x, c));
    let second = |c: &Chunk| texts.forward(part(&y, c));
    let value = GradientCache::new(3).unwrap().backward(
        &[Tower::new(n, &first), Tower::new(n, &second)],
        |z| Ok::<_, Infallible>(loss(z[0].clone(), z[1].clone())),
        |mut g| {
            scale.extend(log_scale.grad_remove(&mut g).map(|g| values(&g)[0]));
            for (sum, module) in sums.iter_mut().zip([&images, &texts]) {
                sum.accumulate(module, GradientsParams::from_module(&mut g, module));
            }
        },
    );
    close("value", &values(&value.unwrap()), &values(&whole), tolerance(), tolerance());
    close("scale", &scale, &want_scale, tolerance(), tolerance());
    for ((sum, module), want) in sums.iter_mut().zip([&images, &texts]).zip(want) {
        close("parameters", &module.flat(&sum.grads()), &want, tolerance(), tolerance());
    }
}

#[test]
fn dropout_is_replayed() {
    let _alone = alone();
    let n = 10;
    let (encoder, x) = (Mlp::new(1, 6, 0.5), rows(10, n, 6));
    let objective = InfoNce::new(0.2).unwrap();
    let cache = GradientCache::new(4).unwrap().with_seed(77);
    let seen = Mutex::new(Vec::new());
    let plain = untaped(&encoder);
    let encode = |c: &Chunk| {
        device().seed(c.seed);
        let z = if c.taped { encoder.forward(part(&x, c)) } else { plain.forward(part(&x, c)) };
        assert_eq!(z.is_tracked(), c.taped);
        seen.lock().unwrap().push((c.clone(), values(&z)));
        z
    };
    let towers = [Tower::new(n, &encode), Tower::new(n, &encode)];
    let run = || {
        let mut sum = GradientsAccumulator::new();
        let value = cache.backward(
            &towers,
            |z| Ok::<_, Infallible>(objective.loss(z[0].clone(), z[1].clone())),
            |g| sum.accumulate(&encoder, GradientsParams::from_grads(g, &encoder)),
        );
        (values(&value.unwrap()), encoder.flat(&sum.grads()))
    };
    let got = run();
    let seen_once = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen_once.len(), 12);
    for k in 0..6 {
        let ((first, z), (second, again)) = (&seen_once[k], &seen_once[k + 6]);
        assert!(!first.taped && second.taped);
        assert_eq!((&first.rows, first.tower, first.seed, z), (&second.rows, second.tower, second.seed, again));
    }
    // the towers see the same rows, and drop other units
    assert_eq!(seen_once[0].0.rows, seen_once[3].0.rows);
    assert_ne!(seen_once[0].1, seen_once[3].1);
    // one batch, with the masks the chunks had
    let pieces = |tower: usize| {
        let chunks = seen_once[6..].iter().map(|s| &s.0).filter(|c| c.tower == tower);
        Tensor::cat(chunks.map(&encode).collect(), 0)
    };
    let whole = objective.loss(pieces(0), pieces(1));
    close("value", &got.0, &values(&whole), tolerance(), tolerance());
    let want = encoder.flat(&GradientsParams::from_grads(whole.backward(), &encoder));
    close("parameters", &got.1, &want, tolerance(), tolerance());
    assert_eq!(run(), got, "the same seed again");
}

#[test]
fn an_encoder_that_does_not_repeat_itself_is_an_error() {
    let _alone = alone();
    let (encoder, x) = (Mlp::new(1, 6, 0.5), rows(10, 10, 6));
    device().seed(5);
    let encode = |c: &Chunk| encoder.forward(part(&x, c));
    let result = GradientCache::new(4).unwrap().backward(
        &[Tower::new(10, &encode), Tower::new(10, &encode)],
        |z| Ok::<_, Infallible>(InfoNce::new(0.2).unwrap().loss(z[0].clone(), z[1].clone())),
        |_| (),
    );
    let error = result.unwrap_err();
    assert!(matches!(&error, CacheError::Replay { tower: 0, rows, .. } if *rows == (0..4)), "{error}");
    // NaN is not taken for a repetition
    let calls = Cell::new(0);
    let encode = |c: &Chunk| {
        calls.set(calls.get() + 1);
        let factor = if calls.get() > 1 { f64::NAN } else { 1.0 };
        encoder.second.forward(encoder.first.forward(part(&x, c))) * factor
    };
    let sum = |z: &[Tensor<2>]| Ok::<_, Infallible>(z[0].clone().sum());
    let result = GradientCache::new(10).unwrap().backward(&[Tower::new(10, &encode)], sum, |_| ());
    assert!(matches!(result, Err(CacheError::Replay { .. })));
}

#[test]
fn a_copy_without_tape_leaves_the_module_alone() {
    let _alone = alone();
    // parameters are initialised when they are first looked at
    let layer: Linear = LinearConfig::new(6, 4).init(&device().autodiff());
    let plain = untaped(&layer);
    let x = Tensor::<2>::ones([2, 6], &device().autodiff());
    let (taped, bare) = (layer.forward(x.clone()), plain.forward(x));
    assert!(taped.is_tracked() && !bare.is_tracked());
    assert_eq!(values(&taped), values(&bare));
}

#[test]
fn a_frozen_tower_gets_no_gradient() {
    let _alone = alone();
    let (encoder, x) = (Mlp::new(1, 6, 0.0), rows(10, 10, 6));
    let (frozen, objective) = (Mlp::new(5, 6, 0.0).no_grad(), InfoNce::new(0.2).unwrap());
    let whole = objective.loss(encoder.forward(x.clone()), frozen.forward(x.clone()));
    let want = encoder.flat(&GradientsParams::from_grads(whole.backward(), &encoder));
    let mut sum = GradientsAccumulator::new();
    let (a, b) = (|c: &Chunk| encoder.forward(part(&x, c)), |c: &Chunk| frozen.forward(part(&x, c)));
    let value = GradientCache::new(4).unwrap().backward(
        &[Tower::new(10, &a), Tower::new(10, &b)],
        |z| Ok::<_, Infallible>(objective.loss(z[0].clone(), z[1].clone())),
        |g| sum.accumulate(&encoder, GradientsParams::from_grads(g, &encoder)),
    );
    close("value", &values(&value.unwrap()), &values(&whole), tolerance(), tolerance());
    close("parameters", &encoder.flat(&sum.grads()), &want, tolerance(), tolerance());
}

#[test]
fn what_is_wrong_is_said() {
    let _alone = alone();
    assert!(GradientCache::new(0).unwrap_err().to_string().contains("rows of a chunk"));
    assert!(GradientCache::new(1).unwrap().with_tolerance(f64::NAN).is_err());
    let (encoder, x) = (Mlp::new(1, 6, 0.0), rows(10, 10, 6));
    let encode = |c: &Chunk| encoder.forward(part(&x, c));
    let failing = |_: &[Tensor<2>]| Err(ObjectiveError::Temperature(0.0));
    let result = GradientCache::new(4).unwrap().backward(&[Tower::new(10, &encode)], failing, |_| ());
    assert_eq!(result.unwrap_err(), CacheError::Objective(ObjectiveError::Temperature(0.0)));
    let short = |_: &Chunk| encoder.forward(x.clone());
    let wrong = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let sum = |z: &[Tensor<2>]| Ok::<_, Infallible>(z[0].clone().sum());
        GradientCache::new(4).unwrap().backward(&[Tower::new(10, &short)], sum, |_| ())
    }));
    assert!(wrong.is_err());
}

#[test]
fn over_ranks_in_chunks() {
    let _alone = alone();
    let counts = [5, 8];
    let (encoder, x, y) = (Mlp::new(1, 6, 0.0), rows(10, 13, 6), rows(11, 13, 6));
    let objective = InfoNce::new(0.2).unwrap().objective().clone();
    let whole = objective.loss(&Inputs::new(encoder.forward(x.clone()), encoder.forward(y.clone())));
    let want = encoder.flat(&GradientsParams::from_grads(whole.backward(), &encoder));
    let got = in_process(2, |c| {
        let first = if c.rank() == 0 { 0 } else { counts[0] };
        let mine = |rows: &Tensor<2>, chunk: &Chunk| {
            encoder.forward(rows.clone().slice_dim(0, first + chunk.rows.start..first + chunk.rows.end))
        };
        let (a, b) = (|k: &Chunk| mine(&x, k), |k: &Chunk| mine(&y, k));
        let mut sum = GradientsAccumulator::new();
        let n = counts[c.rank()];
        let value = GradientCache::new(3).unwrap().backward(
            &[Tower::new(n, &a), Tower::new(n, &b)],
            |z| objective.distributed_loss(&Ranks::ring(c), &Inputs::new(z[0].clone(), z[1].clone())),
            |g| sum.accumulate(&encoder, GradientsParams::from_grads(g, &encoder)),
        );
        let value = value?;
        let all =
            sum_gradients(c, &encoder, sum.grads()).map_err(|e| CacheError::Objective(DistributedError::from(e)))?;
        Ok::<_, CacheError<DistributedError>>((values(&value), encoder.flat(&all)))
    });
    for (value, parameters) in got.unwrap() {
        close("value", &value, &values(&whole), tolerance(), tolerance());
        close("parameters", &parameters, &want, tolerance(), tolerance());
    }
}
