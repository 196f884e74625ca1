//! MCLRec: who moves when, symmetry, finite differences, use without augmenters.

use crate::common::*;
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::objective::{MarginBand, NtXent};
use contrastive_core::similarity::Similarity;
use contrastive_seqrec::method::*;
use contrastive_train::{Method, Parameters, SubStep, save_module};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn rows(seed: u64) -> Tensor<2> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let data: Vec<f64> = (0..32).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(data, [4, 8]), (&device().autodiff(), DType::F64)).require_grad()
}

struct Cast;

impl burn::module::ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let data = param.val().into_data().convert_dtype(DType::F64);
        Param::from_tensor(Tensor::from_data(data, (&device().autodiff(), DType::F64)))
    }
}

fn parts(config: MclRecConfig) -> (MclRec, Vec<Augmenter>) {
    let (method, model) = config.with_base(small_base(0.0)).parts(&small_split(), 3, &device()).unwrap();
    (method, model.augmenters.into_iter().map(|a| a.map(&mut Cast)).collect())
}

#[test]
fn transformed_rows_have_length_one_and_3696_parameters() {
    let augmenter = Augmenter::new(64, &mut ChaCha8Rng::seed_from_u64(1), &device()).unwrap();
    assert_eq!(augmenter.num_params(), 3696);
    let (_, augmenters) = parts(MclRecConfig::new());
    let z = values(&augmenters[0].forward(rows(1)));
    for row in z.chunks(8) {
        close("length", &[row.iter().map(|v| v * v).sum()], &[1.0], 1e-12);
    }
}

#[test]
fn the_model_contrast_is_the_sum_of_its_terms_in_every_form() {
    let (h1, h2) = (rows(1), rows(2));
    let c = |a: &Tensor<2>, b: &Tensor<2>| {
        value(&NtXent::new(1.0).unwrap().with_similarity(Similarity::Dot).loss(a.clone(), b.clone()))
    };
    let r = |a: &Tensor<2>, b: &Tensor<2>| value(&MarginBand::new().loss(a.clone(), b.clone()));
    for (pairs, factor) in [(BandPairs::All, 0.1), (BandPairs::ModelOnly, 0.1), (BandPairs::All, 0.0)] {
        let (method, augmenters) = parts(MclRecConfig::new().with_band_pairs(pairs).with_band(factor));
        let (z1, z2) = (augmenters[0].forward(h1.clone()), augmenters[1].forward(h2.clone()));
        let others = if pairs == BandPairs::All { r(&h1, &z2) + r(&h2, &z1) } else { 0.0 };
        let want = c(&z1, &z2) + c(&h1, &z2) + c(&h2, &z1) + factor * (r(&z1, &z2) + others);
        let got = method.model_contrast(&augmenters, h1.clone(), h2.clone());
        close(&format!("{pairs:?}"), &[value(&got)], &[want], 1e-10);
        // the views and their augmenters may change places
        let turned: Vec<Augmenter> = augmenters.iter().rev().cloned().collect();
        close("turned", &[value(&method.model_contrast(&turned, h2.clone(), h1.clone()))], &[want], 1e-10);
    }
}

#[test]
fn gradients_are_finite_differences_through_the_augmenters() {
    for scope in [BandScope::PerRow, BandScope::Global] {
        let (method, augmenters) = parts(MclRecConfig::new().with_band_scope(scope));
        let (h1, h2) = (rows(1), rows(2));
        let loss = method.model_contrast(&augmenters, h1.clone(), h2.clone());
        let gradients = loss.backward();
        let got = values(&h1.grad(&gradients).unwrap());
        let base = values(&h1);
        for at in [0, 7, 12, 25, 31] {
            let shifted = |by: f64| {
                let mut moved = base.clone();
                moved[at] += by;
                let moved = Tensor::from_data(TensorData::new(moved, [4, 8]), (&device().autodiff(), DType::F64));
                value(&method.model_contrast(&augmenters, moved, h2.clone()))
            };
            close(&format!("{scope:?}, {at}"), &[got[at]], &[(shifted(1e-5) - shifted(-1e-5)) / 2e-5], 1e-6);
        }
    }
}

fn tensors<M: Module>(module: &M) -> Vec<f64> {
    let mut state = Default::default();
    save_module(module, "x", &mut state);
    let mut all = Vec::new();
    state.into_values().for_each(|data| all.extend(data.iter::<f64>()));
    all
}

#[test]
fn each_part_of_a_step_moves_its_own_parameters_alone() {
    for schedule in [Schedule::EncoderAugEncoder, Schedule::EncoderAug, Schedule::Joint] {
        let config = MclRecConfig::new().with_base(small_base(0.3)).with_schedule(schedule).with_model_weight(0.1);
        let (mut method, model) = config.parts(&small_split(), 3, &device()).unwrap();
        let settings = &config.base.training;
        let mut parameters = Parameters::new(model, &settings.optimiser, &[]).unwrap();
        method.begin_epoch(1, ChaCha8Rng::seed_from_u64(1)).unwrap();
        let batch = method.batch(first_step()).unwrap();
        let mut subs = method.sub_steps();
        let joint = subs.is_empty();
        if joint {
            subs.push(SubStep { name: "step", moves: contrastive_train::Select::All });
        }
        assert_eq!(
            subs.len(),
            match schedule {
                Schedule::EncoderAugEncoder => 3,
                Schedule::EncoderAug => 2,
                Schedule::Joint => 1,
            }
        );
        for (number, sub) in subs.iter().enumerate() {
            let before = [tensors(&parameters.model().encoder), tensors(&parameters.model().augmenters)];
            let step = contrastive_train::Step { sub_step: number, ..first_step() };
            let losses = method.losses(parameters.model(), &batch, step).unwrap();
            let loss = losses.into_iter().map(|l| l.1).reduce(|a, b| a + b).unwrap();
            let gradients = parameters.gradients(&loss);
            parameters.step(gradients, 1e-2, &sub.moves);
            let after = [tensors(&parameters.model().encoder), tensors(&parameters.model().augmenters)];
            let moved = [before[0] != after[0], before[1] != after[1]];
            let want = if joint { [true, true] } else { [number != 1, number == 1] };
            assert_eq!(moved, want, "{schedule:?}, part {number}");
        }
    }
}

#[test]
fn a_model_is_used_saved_and_loaded_without_augmenters() {
    let split = small_split();
    let (method, mut model) = MclRecConfig::new().with_base(small_base(0.3)).parts(&split, 3, &device()).unwrap();
    let before = SequenceModel::new(&method, &model);
    let queries = before.encode(&[vec![1, 2, 3]]).unwrap();
    model.augmenters.reverse();
    assert_eq!(SequenceModel::new(&method, &model).encode(&[vec![1, 2, 3]]).unwrap(), queries);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    before.save(&path).unwrap();
    let (state, _) = contrastive_train::read_safetensors(&path).unwrap();
    assert!(state.keys().all(|name| !name.contains("augmenter")));
    let loaded = SequenceModel::load_for(&path, split.sequences(), &device()).unwrap();
    assert_eq!(loaded.encode(&[vec![1, 2, 3]]).unwrap(), queries);
    assert_eq!(loaded.item_embeddings(), before.item_embeddings());
    assert_eq!(loaded.method(), "mclrec");
}
