//! What spreads along a graph, layer by layer.

use burn::config::Config;
use burn::tensor::Tensor;
use contrastive_core::linear::SparseOperator;
use std::ops::RangeInclusive;

/// How layers become one embedding.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Readout {
    /// The mean over layers 0 to L (LightGCN).
    Mean,
    /// The sum over layers 0 to L (LightGCL).
    Sum,
}

impl Readout {
    /// The embedding from the sum over `layers + 1` layers.
    pub fn of(self, sum: Tensor<2>, layers: usize) -> Tensor<2> {
        match self {
            Self::Mean if layers > 0 => sum * (1.0 / (layers + 1) as f64),
            _ => sum,
        }
    }
}

/// Sums over the layers of a propagation, `[nodes, d]` each.
#[derive(Clone, Debug)]
pub struct LayerSums {
    /// Over layers 0 to L - 1: what the last product was of. With L = 0, layer 0.
    pub before_last: Tensor<2>,
    /// Over layers 0 to L.
    pub all: Tensor<2>,
}

/// The sums over the layers `x_l = A_l x_{l-1}`, `x_0 = x`.
///
/// One operator serves all `layers`, or there is one for each layer (the last serves the rest). With one operator, the
/// sums follow `s_l = x + A s_{l-1}`, so no layer is kept.
///
/// # Shapes
/// - x: `[nodes, d]`, operators: `[nodes, nodes]`
///
/// # Panics
/// When there is no operator for a layer, or a shape does not fit.
pub fn propagate(x: &Tensor<2>, operators: &[SparseOperator], layers: usize) -> LayerSums {
    let (mut before_last, mut all) = (x.clone(), x.clone());
    if let [one] = operators {
        for _ in 0..layers {
            before_last = all.clone();
            all = one.apply_add(all, x.clone());
        }
        return LayerSums { before_last, all };
    }
    let mut layer = x.clone();
    for l in 0..layers {
        layer = operators[l.min(operators.len() - 1)].apply(layer);
        before_last = all.clone();
        all = all + layer.clone();
    }
    LayerSums { before_last, all }
}

/// The layers `x_l = hook(l, A_l x_{l-1})` for l from 1 to L, `x_0 = x`, all kept. The hook adds noise, drops or scales; what it
/// returns is the layer, and what the next one is made of. Operators as in [`propagate`].
///
/// # Panics
/// As [`propagate`].
pub fn propagate_with(
    x: &Tensor<2>,
    operators: &[SparseOperator],
    layers: usize,
    mut hook: impl FnMut(usize, Tensor<2>) -> Tensor<2>,
) -> Layers {
    let mut all = vec![x.clone()];
    for l in 1..=layers {
        all.push(hook(l, operators[(l - 1).min(operators.len() - 1)].apply(all[l - 1].clone())));
    }
    Layers(all)
}

/// The layers of a propagation, from 0 to L, `[nodes, d]` each.
#[derive(Clone, Debug)]
pub struct Layers(Vec<Tensor<2>>);

impl Layers {
    /// Layer l.
    ///
    /// # Panics
    /// When there is no such layer.
    pub fn layer(&self, l: usize) -> Tensor<2> {
        self.0[l].clone()
    }

    /// The mean over some layers, `1..=3` say.
    ///
    /// # Panics
    /// When there is no such layer, or none is asked for.
    pub fn mean(&self, layers: RangeInclusive<usize>) -> Tensor<2> {
        let chosen = &self.0[layers];
        let sum = chosen.iter().cloned().reduce(|a, b| a + b).expect("one layer or more");
        if chosen.len() == 1 { sum } else { sum * (1.0 / chosen.len() as f64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::{to_array, to_tensor};
    use burn::tensor::Device;
    use contrastive_kernels::sparse::Csr;
    use ndarray::array;

    fn operator(value: f64) -> SparseOperator {
        SparseOperator::new(Csr::from_triplets(2, 2, &[(0, 1, value), (1, 0, value), (1, 1, 0.5)]).unwrap())
    }

    /// Layers by the definition, sums of them, and one operator against the same operator for each layer.
    #[test]
    fn layers_and_their_sums_follow_the_definition() {
        let x = to_tensor(array![[1.0, 2.0], [3.0, -1.0]].view(), &Device::default());
        let (a, b) = (operator(0.5), operator(0.25));
        let dense = [array![[0.0, 0.5], [0.5, 0.5]], array![[0.0, 0.25], [0.25, 0.5]]];
        let x0 = to_array(&x);
        let x1 = dense[0].dot(&x0);
        let x2 = dense[1].dot(&x1);
        let layers = propagate_with(&x, &[a.clone(), b.clone()], 2, |_, x| x);
        let near = |found: Tensor<2>, wanted: &ndarray::Array2<f32>| {
            assert!((to_array(&found) - wanted).iter().all(|gap| gap.abs() < 1e-6));
        };
        near(layers.layer(2), &x2);
        near(layers.mean(1..=2), &((&x1 + &x2) / 2.0));
        let sums = propagate(&x, &[a.clone(), b], 2);
        near(sums.all, &(&x0 + &x1 + &x2));
        near(sums.before_last, &(&x0 + &x1));
        let one = propagate(&x, std::slice::from_ref(&a), 2);
        near(one.all, &to_array(&propagate(&x, &[a.clone(), a.clone()], 2).all));
        // the hook makes the layer and what follows it
        let twice = propagate_with(&x, &[a], 1, |l, x| x * (l + 1) as f64);
        near(twice.layer(1), &(x1 * 2.0));
    }
}
