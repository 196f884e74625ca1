//! PixPro as a step: projector on every cell, propagation, and a momentum copy that gives the other side.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use contrastive_core::head::{MlpHead, MlpHeadConfig};
use contrastive_core::memory::{Ema, update_target_parameters};
use contrastive_core::objective::*;

const SHAPE: [usize; 4] = [2, 4, 2, 3];

fn map(x: &Tensor<2>) -> Tensor<4> {
    x.clone().reshape(SHAPE)
}

fn head(seed: u64) -> MlpHead {
    MlpHeadConfig::new(4, 6, 5).init(seed, (&device().autodiff(), wide())).unwrap()
}

fn crops() -> [[CropBox; 2]; 2] {
    let crop = |corners| CropBox::new(corners).unwrap();
    [[crop([0.0, 0.0, 0.8, 0.9]), crop([0.5, 0.1, 0.1, 0.6])], [crop([0.1, 0.2, 1.0, 1.0]), crop([0.0, 0.0, 0.7, 0.5])]]
}

#[test]
fn every_cell_goes_through_the_same_map() {
    let x = tracked(normal(1, 48), SHAPE, wide());
    let weight = rows(2, [4, 3]);
    let y = on_cells(x.clone(), |cells| cells.matmul(weight.clone()));
    assert_eq!(y.dims(), [2, 3, 2, 3]);
    let (x, w, y) = (values(&x), values(&weight), values(&y));
    for (b, e, cell) in (0..36).map(|at| (at / 18, at / 6 % 3, at % 6)) {
        let expected: f64 = (0..4).map(|d| x[(b * 4 + d) * 6 + cell] * w[d * 3 + e]).sum();
        near("a cell", y[(b * 3 + e) * 6 + cell], expected, crate::spec_checks::tight());
    }
}

#[test]
#[should_panic(expected = "rows that a map of 2 x 6 cells became")]
fn cells_stay_as_many() {
    on_cells(tracked(normal(1, 48), SHAPE, wide()), |cells| cells.slice([0..3, 0..4]));
}

/// The online side of a step, from features, the projector's first weight and the propagation's transform.
fn smoothed(x: &[Tensor<2>], projector: &MlpHead) -> Tensor<4> {
    let mut projector = projector.clone();
    projector.maps[0].weight = Param::from_tensor(x[1].clone());
    let z = on_cells(map(&x[0]), |cells| projector.forward(cells));
    propagate(z.clone(), on_cells(z, |cells| cells.matmul(x[2].clone())), 2.0).unwrap()
}

#[test]
fn gradients_through_propagation_and_projector() {
    let ([first, second], pixpro) = (crops(), PixPro::new(0.9).unwrap());
    let (projector, keys) = (head(1), head(2));
    let other = on_cells(tracked(normal(9, 48), SHAPE, wide()), |cells| keys.forward(cells)).detach();
    let shapes = [[12, 4], [4, 6], [5, 5]];
    differences("a step of PixPro", &shapes, |x| pixpro.loss(smoothed(x, &projector), other.clone(), &first, &second));
}

#[test]
fn keys_come_from_a_momentum_copy() {
    let ([first, second], pixpro) = (crops(), PixPro::new(0.9).unwrap());
    let (online, schedule) = (head(1), Ema::cosine(0.99, 20).unwrap());
    close("schedule", &[schedule.momentum(0), schedule.momentum(20)], &[0.99, 1.0], 1e-15, 0.0);
    let mut keys = head(2).no_grad();
    let weight = |head: &MlpHead| values(&head.maps[0].weight.val());
    for step in [0, 10, 20] {
        let (before, m) = (weight(&keys), schedule.momentum(step));
        keys = schedule.update_parameters(&online, keys, step);
        let mixed: Vec<f64> = before.iter().zip(weight(&online)).map(|(k, q)| m * k + (1.0 - m) * q).collect();
        close("keys", &weight(&keys), &mixed, 1e-7, 0.0);
        let z =
            |seed: u64, head: &MlpHead| on_cells(tracked(normal(seed, 48), SHAPE, wide()), |cells| head.forward(cells));
        let (a, b) = (z(3, &online), z(4, &online));
        let (k_a, k_b) = (z(3, &keys), z(4, &keys));
        let y = |z: Tensor<4>| propagate(z.clone(), z, 2.0).unwrap();
        let loss = pixpro.loss(y(a), k_b.clone(), &first, &second) + pixpro.loss(y(b), k_a.clone(), &second, &first);
        let gradients = loss.backward();
        assert!(online.maps[0].weight.val().grad(&gradients).is_some());
        assert!(keys.maps.iter().all(|map| map.weight.val().grad(&gradients).is_none()));
    }
    let same = update_target_parameters(&online, keys, 0.0);
    close("momentum 0", &weight(&same), &weight(&online), 0.0, 0.0);
}

#[test]
#[should_panic(expected = "the shapes of the two crops' maps")]
fn maps_of_other_sizes_are_refused() {
    let [first, second] = crops();
    let other = tracked(normal(2, 32), [2, 4, 2, 2], wide());
    PixPro::new(0.9).unwrap().loss(map(&rows(1, [12, 4])), other, &first, &second);
}
