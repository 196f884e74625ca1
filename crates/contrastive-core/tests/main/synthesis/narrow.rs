//! f32 against f64, and one thread against several.

use crate::common::*;
use crate::unpaired::support::normal;
use burn::tensor::{DType, Tensor};
use contrastive_core::memory::Queue;
use contrastive_core::similarity::unit_rows;
use contrastive_core::synthesis::*;

const SHAPE: [usize; 2] = [48, 16];

/// Random rows that f32 holds exactly.
fn rows_of(seed: u64, dtype: DType) -> Tensor<2> {
    let all = normal(seed, SHAPE[0] * SHAPE[1]).into_iter().map(|v| f64::from(v as f32)).collect();
    tracked(all, SHAPE, dtype)
}

/// Value and gradients of two tables under an objective.
fn evaluated(dtype: DType, loss: &Loss) -> Vec<f64> {
    let (a, b) = (rows_of(1, dtype), rows_of(2, dtype));
    let value = loss(a.clone(), b.clone(), dtype);
    let mut all = values(&value);
    let gradients = value.backward();
    all.extend(values(&a.grad(&gradients).unwrap()));
    all.extend(values(&b.grad(&gradients).unwrap()));
    all
}

fn mochi(a: Tensor<2>, b: Tensor<2>, dtype: DType) -> Tensor<1> {
    let mut queue = Queue::new(300, SHAPE[1], (&device(), dtype)).unwrap();
    (0..7).for_each(|k| queue.push(rows_of(10 + k, dtype)));
    Mochi::new(0.2, 20, 30, 20).unwrap().loss(a, b, &queue, 0, 3).unwrap()
}

fn ft(a: Tensor<2>, b: Tensor<2>, dtype: DType) -> Tensor<1> {
    let queue = unit_rows(rows_of(10, dtype).detach());
    FeatureTransform::new(0.2).unwrap().loss(unit_rows(a), unit_rows(b), queue, 0, 3).unwrap().0
}

fn amcl(a: Tensor<2>, b: Tensor<2>, dtype: DType) -> Tensor<1> {
    let network = PairTemperatureConfig::new(SHAPE[1]).init(2, (&device().autodiff(), dtype)).unwrap();
    Amcl::new(0.1).unwrap().loss(&[AmclHead { first: unit_rows(a), second: unit_rows(b) }], &network).unwrap()
}

fn hydra(form: GatedSimilarity, a: Tensor<2>, b: Tensor<2>, dtype: DType) -> Tensor<1> {
    let labels: Vec<i64> = (0..SHAPE[0] as i64).map(|i| i % 6).collect();
    let paired = ClassPairs::Arbitrary.draw(&labels, 6, 0, 1).unwrap();
    let gates = ((rows_of(3, dtype).detach() * -1.0).exp() + 1.0).recip();
    Hydra::new(0.1).unwrap().with_similarity(form).loss(a, b, gates, &labels, &paired).unwrap().0
}

type Loss = Box<dyn Fn(Tensor<2>, Tensor<2>, DType) -> Tensor<1> + Sync>;

fn losses() -> Vec<(&'static str, Loss)> {
    vec![
        ("MoCHi", Box::new(mochi)),
        ("FT", Box::new(ft)),
        ("AMCL", Box::new(amcl)),
        ("Hydra", Box::new(|a, b, t| hydra(GatedSimilarity::Projected, a, b, t))),
        ("Hydra, cosine", Box::new(|a, b, t| hydra(GatedSimilarity::Cosine, a, b, t))),
    ]
}

#[test]
fn narrow_values_and_gradients_are_the_wide_ones() {
    if !has_f64() {
        return;
    }
    for (what, loss) in losses() {
        let (wide, narrow) = (evaluated(DType::F64, &loss), evaluated(DType::F32, &loss));
        let largest = wide[1..].iter().fold(0f64, |a, g| a.max(g.abs()));
        assert!(largest > 1e-4, "{what}: a gradient of nothing");
        close(what, &narrow[..1], &wide[..1], 0.0, 1e-5);
        close(what, &narrow[1..], &wide[1..], 2e-5 * largest, 1e-4);
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    for (what, loss) in losses() {
        let by = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluated(DType::F32, &loss))
        };
        let alone = by(1);
        assert!([2, 5].iter().all(|&threads| by(threads) == alone), "{what}");
    }
}
