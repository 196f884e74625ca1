//! Identities of the methods' losses: prefixes and positions, InfoNCE, weights of 0, finite differences.

use crate::common::*;
use crate::encoder::encoder;
use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::linear::gather_rows;
use contrastive_core::objective::{InfoNce, bpr, sampled_bce};
use contrastive_core::similarity::Similarity;
use contrastive_nn::Pass;
use contrastive_seqrec::augment::EditsConfig;
use contrastive_seqrec::data::{Mode, Samples};
use contrastive_seqrec::encoder::{ListBatch, Read, SequenceEncoder};
use contrastive_seqrec::method::*;
use contrastive_train::{Method, MethodConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::sync::Arc;

fn method(mode: Mode, loss: ItemLoss) -> SasRec {
    // 20 items, as the encoder has
    let lists: Vec<Vec<u32>> =
        (0..12u32).map(|u| (0..4 + u % 7).map(|k| (u * 5 + k * k * 3) % 20 + 1).collect()).collect();
    let split = Arc::new(split_of(&lists, 20));
    let samples = Arc::new(Samples::new(&split, mode, 12));
    SasRec::new(small_base(0.0).with_mode(mode).with_loss(loss), samples).unwrap()
}

fn loss(method: &SasRec, encoder: &SequenceEncoder) -> Tensor<1> {
    let rows: Vec<u32> = (0..method.samples().len() as u32).collect();
    let batch = method.next_items(&rows, &mut ChaCha8Rng::seed_from_u64(2));
    let states = method.states(encoder, &batch, &mut Pass::evaluation());
    method.item_loss(encoder, states, &batch)
}

/// Value, and the gradients of table, positions and the first block's map.
fn with_gradients(method: &SasRec, encoder: &SequenceEncoder) -> Vec<f64> {
    let loss = loss(method, encoder);
    let gradients = loss.backward();
    let block = &encoder.tokens.transformer.blocks[0].attention.query_key_value.weight;
    let position = &encoder.tokens.embedding.position.as_ref().unwrap().weight;
    let mut out = vec![value(&loss)];
    for weight in [&encoder.tokens.embedding.token.weight, position, block] {
        out.extend(values(&weight.val().grad(&gradients).unwrap()));
    }
    out
}

#[test]
fn the_losses_of_all_prefixes_are_those_of_all_positions() {
    let encoder = encoder(&small_encoder(0.0));
    let [prefix, position] =
        [Mode::Prefix, Mode::PerPosition].map(|mode| with_gradients(&method(mode, ItemLoss::FullSoftmax), &encoder));
    close("prefixes and positions", &prefix, &position, 1e-10);
    // the padding row and the mask row have no gradient
    let (row, rows) = (8, 22);
    assert!(prefix[1..1 + row].iter().chain(&prefix[1 + (rows - 1) * row..1 + rows * row]).all(|g| *g == 0.0));
}

#[test]
fn the_item_loss_is_info_nce_over_the_table() {
    let encoder = encoder(&small_encoder(0.0));
    let method = method(Mode::Prefix, ItemLoss::FullSoftmax);
    let rows: Vec<u32> = (0..method.samples().len() as u32).collect();
    let batch = method.next_items(&rows, &mut ChaCha8Rng::seed_from_u64(2));
    let states = method.states(&encoder, &batch, &mut Pass::evaluation());
    let got = value(&method.item_loss(&encoder, states.clone(), &batch));
    // oracle 1: the definition in loops over items 1 to V
    let (h, e) = (values(&states), values(&encoder.table()));
    let score = |i: usize, v: usize| (0..8).map(|k| h[i * 8 + k] * e[v * 8 + k]).sum::<f64>();
    let each = batch
        .targets
        .iter()
        .enumerate()
        .map(|(i, target)| (1..=20).map(|v| score(i, v).exp()).sum::<f64>().ln() - score(i, *target as usize));
    let want = each.sum::<f64>() / batch.targets.len() as f64;
    close("item loss", &[got], &[want], 1e-10);
    // oracle 2: the core's InfoNCE of states with their own targets among the other targets' rows, for distinct targets
    let own = gather_rows(encoder.table(), &batch.targets);
    let other = gather_rows(encoder.table(), &(1..=20).collect::<Vec<u32>>());
    let info = InfoNce::new(1.0).unwrap().with_similarity(Similarity::Dot);
    let one = |i: usize| {
        let target = batch.targets[i] as usize - 1;
        let negatives: Vec<u32> = (0..20).filter(|v| *v != target).map(|v| v as u32).collect();
        let row = |x: &Tensor<2>| x.clone().slice([i..i + 1, 0..8]);
        value(&info.loss_with_negatives(row(&states), row(&own), gather_rows(other.clone(), &negatives)))
    };
    let mean = (0..batch.targets.len()).map(one).sum::<f64>() / batch.targets.len() as f64;
    close("InfoNCE", &[got], &[mean], 1e-10);
}

#[test]
fn drawn_items_are_the_cores_losses_and_never_known_ones() {
    let encoder = encoder(&small_encoder(0.0));
    for mode in [Mode::Prefix, Mode::PerPosition] {
        for kind in [ItemLoss::Bce, ItemLoss::Bpr] {
            let method = method(mode, kind);
            let rows: Vec<u32> = (0..method.samples().len() as u32).collect();
            let batch = method.next_items(&rows, &mut ChaCha8Rng::seed_from_u64(2));
            let states = method.states(&encoder, &batch, &mut Pass::evaluation());
            let got = value(&method.item_loss(&encoder, states.clone(), &batch));
            let [p, n] = [&batch.targets, &batch.negatives].map(|items| gather_rows(encoder.table(), items));
            let real = vec![true; batch.targets.len()];
            let want = match kind {
                ItemLoss::Bce => sampled_bce(states, p, n, &real),
                _ => bpr(states, p, n),
            };
            close("drawn", &[got], &[value(&want)], 1e-10);
            let mut negatives = batch.negatives.iter();
            for row in 0..method.samples().len() {
                let known = method.samples().split().train(method.samples().user(row));
                for _ in method.samples().get(row).targets {
                    assert!(!known.contains(negatives.next().unwrap()));
                }
            }
        }
    }
}

#[test]
fn gradients_are_finite_differences() {
    for kind in [ItemLoss::FullSoftmax, ItemLoss::Bce] {
        let method = method(Mode::Prefix, kind);
        let encoder = encoder(&small_encoder(0.0));
        let gradients = loss(&method, &encoder).backward();
        let weight = encoder.tokens.transformer.blocks[1].inner.weight.val();
        let table = encoder.table();
        let shifted = |of_table: bool, at: usize, by: f64| {
            let mut moved = encoder.clone();
            let change = |x: &Tensor<2>| {
                let mut data = values(x);
                data[at] += by;
                let data = TensorData::new(data, x.dims());
                Param::from_tensor(Tensor::from_data(data, (&x.device(), DType::F64)))
            };
            match of_table {
                true => moved.tokens.embedding.token.weight = change(&table),
                false => moved.tokens.transformer.blocks[1].inner.weight = change(&weight),
            }
            value(&loss(&method, &moved))
        };
        for (of_table, x, places) in [(true, &table, [9, 40, 100, 150]), (false, &weight, [0, 17, 60, 127])] {
            let all = values(&x.grad(&gradients).unwrap());
            for at in places {
                let step = 1e-5;
                let difference = (shifted(of_table, at, step) - shifted(of_table, at, -step)) / (2.0 * step);
                close(&format!("{kind:?}, {of_table}, {at}"), &[all[at]], &[difference], 1e-6);
            }
        }
    }
}

/// The losses of the first batch of the first epoch.
fn first<C: MethodConfig<Data = contrastive_seqrec::data::LeaveOneOut>>(config: &C) -> Vec<(&'static str, f32)>
where
    C::Error: std::fmt::Debug,
{
    let mut training = config.build(&small_split(), 5, &device()).map_err(|_| "build").unwrap();
    let model = training.model().clone();
    let method = training.method_mut();
    method.begin_epoch(1, ChaCha8Rng::seed_from_u64(9)).unwrap();
    let batch = method.batch(first_step()).unwrap();
    let losses = method.losses(&model, &batch, first_step()).unwrap();
    losses.into_iter().map(|(name, loss)| (name, loss.into_scalar::<f32>())).collect()
}

#[test]
fn without_their_contrasts_all_are_sasrec_bit_for_bit() {
    let base = || small_base(0.3);
    let edits = EditsConfig::new().with_operators(vec![
        contrastive_seqrec::augment::Operator::Crop,
        contrastive_seqrec::augment::Operator::Reorder,
    ]);
    let sasrec = first(&base());
    assert_eq!(sasrec.len(), 1);
    assert_eq!(
        first(&Cl4SRecConfig::new().with_base(base()).with_edits(edits.clone()).with_contrast_weight(0.0)),
        sasrec
    );
    assert_eq!(first(&DuoRecConfig::new().with_base(base()).with_contrast_weight(0.0)), sasrec);
    let icsrec = IcsRecConfig::new().with_base(base()).with_coarse_weight(0.0).with_fine_weight(0.0);
    assert_eq!(first(&icsrec), sasrec);
    let mclrec = MclRecConfig::new().with_base(base()).with_edits(edits.clone());
    assert_eq!(first(&mclrec.clone().with_model_weight(0.0)), sasrec);
    // without its model contrast, MCLRec's loss is CL4SRec's
    let cl4srec = first(&Cl4SRecConfig::new().with_base(base()).with_edits(edits).with_contrast_weight(0.2));
    assert_eq!(cl4srec.len(), 2);
    assert_eq!(first(&mclrec.with_model_weight(0.0).with_contrast_weight(0.2)), cl4srec);
}

#[test]
fn equal_views_of_one_list_have_nothing_to_be_told_from() {
    // a batch of one sample: the contrast is 0 and finite for every method
    let one = || {
        small_base(0.3).with_training(contrastive_train::TrainingConfig::new(
            contrastive_train::Budget::Epochs(1),
            1,
            1e-3,
        ))
    };
    let contrast = |losses: Vec<(&'static str, f32)>, names: &[&str]| {
        assert!(losses.iter().all(|(_, loss)| loss.is_finite()));
        let found: Vec<f32> = losses.iter().filter(|(name, _)| names.contains(name)).map(|(_, loss)| *loss).collect();
        assert!(!found.is_empty() && found.iter().all(|loss| *loss == 0.0), "{losses:?}");
    };
    contrast(first(&Cl4SRecConfig::new().with_base(one())), &["contrast"]);
    contrast(
        first(&DuoRecConfig::new().with_base(one()).with_pairs(DuoRecPairs::Us)),
        &["dropout_contrast", "target_contrast"],
    );
    contrast(first(&IcsRecConfig::new().with_base(one()).with_fine_weight(0.0)), &["coarse"]);
    contrast(first(&MclRecConfig::new().with_base(one()).with_contrast_weight(0.1)), &["contrast", "model_contrast"]);
}

#[test]
fn dropout_is_off_outside_of_training() {
    let encoder = encoder(&small_encoder(0.5)).valid();
    let batch = ListBatch::new([&[1u32, 2, 3][..]], 12);
    let twice = [0, 1].map(|_| values(&encoder.encode(&batch, Read::Last, &mut Pass::evaluation())));
    assert_eq!(twice[0], twice[1]);
    let trained = values(&encoder.encode(&batch, Read::Last, &mut Pass::training(1, 1)));
    assert_ne!(twice[0], trained);
}
