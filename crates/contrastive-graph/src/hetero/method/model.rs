//! The network of MEOW.

use super::{MeowConfig, MeowData, Negatives};
use crate::node::encoder::{NodeInput, dropout, whole_normalised};
use crate::parts::unit_rows;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};
use contrastive_core::linear::SparseOperator;
use contrastive_core::objective::WeightNetwork;
use contrastive_core::settings::SettingError;
use contrastive_nn::layer::{Activation, ActivationLayer, Linear, LinearConfig};
use rand_chacha::ChaCha8Rng;

/// ```text
/// h   = ELU(X W + b) for each type, and h' of the masked features of the target
/// f_m = ELU(h + sum of its contexts' means U), f'_m likewise from h'
/// Enc(x, A) = LN(A PReLU(A x W_a) W_b), LN over the whole matrix, without a scale of its own
/// coarse: Enc(h, mean of the A_m)
/// fine:   the rows of Enc(f_m, A_m) and Enc(f'_m, A'_m), of length 1, mixed by shares that sum to 1 over the 2 M
/// ```
///
/// Dropout follows every product with a weight, and the vector that scores the views.
#[derive(Module, Debug)]
pub struct MeowModel {
    /// From the features of each type to the width.
    pub inputs: Vec<Linear>,
    /// Of all contexts, path after path.
    pub contexts: Vec<Linear>,
    /// `W_a`.
    pub first: Linear,
    /// The slope between.
    pub slope: ActivationLayer,
    /// `W_b`.
    pub second: Linear,
    /// Before the score of a view.
    pub attention: Linear,
    /// What scores it, `[1, width]`.
    pub score: Param<Tensor<2>>,
    /// What is discarded after training.
    pub projector: Linear,
    /// The weights of negatives, where they are learned.
    pub weights: Option<WeightNetwork>,
    dropout: f64,
}

/// What a forward pass makes.
#[derive(Clone, Debug)]
pub struct MeowOutputs {
    /// `[targets, width]`.
    pub coarse: Tensor<2>,
    /// `[targets, width]`: what is kept.
    pub fine: Tensor<2>,
    /// `[1, 2 paths]`: the shares of the views, those of the clean copies first.
    pub shares: Tensor<2>,
}

/// ELU, whose exponential is not formed where it is large.
fn elu(x: Tensor<2>) -> Tensor<2> {
    activation::relu(x.clone()) + (x.clamp_max(0.0).exp() - 1.0)
}

impl MeowModel {
    /// A model for prepared data, weights drawn from `rng`.
    ///
    /// # Errors
    /// When the width is 0, or a type of nodes has no features.
    pub fn new(
        config: &MeowConfig,
        data: &MeowData,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<Self, SettingError> {
        let d = config.dim;
        let learned = matches!(config.negatives, Negatives::Learned | Negatives::LearnedRaw);
        let contexts = data.contexts.iter().map(Vec::len).sum();
        let mut map = |input: usize, output: usize, bias: bool| {
            LinearConfig::new(input, output).with_bias(bias).init(rng, device)
        };
        Ok(Self {
            inputs: data.inputs.iter().map(|input| map(input.shape()[1], d, true)).collect::<Result<_, _>>()?,
            contexts: (0..contexts).map(|_| map(d, d, false)).collect::<Result<_, _>>()?,
            first: map(d, d, false)?,
            slope: Activation::PRelu.init(device),
            second: map(d, d, false)?,
            attention: map(d, d, true)?,
            score: Param::from_tensor(map(d, 1, false)?.weight.val().transpose().detach()),
            projector: map(d, d, true)?,
            weights: learned.then(|| WeightNetwork::new(d, config.hidden, rng, device)),
            dropout: config.dropout,
        })
    }

    /// `Enc(x, A)`.
    fn encoded(&self, x: &Tensor<2>, by: &SparseOperator, rng: &mut Option<&mut ChaCha8Rng>) -> Tensor<2> {
        let mut mapped =
            |x: Tensor<2>, map: &Linear| dropout(x.matmul(map.weight.val()), self.dropout, rng.as_deref_mut());
        let hidden = self.slope.forward(by.apply(mapped(x.clone(), &self.first)));
        whole_normalised(by.apply(mapped(hidden, &self.second)))
    }

    /// The forward pass, with dropout drawn from a generator if there is one.
    ///
    /// # Panics
    /// When the data are not those that the model was made for.
    pub fn forward(&self, data: &MeowData, mut rng: Option<&mut ChaCha8Rng>) -> MeowOutputs {
        let mut feature =
            |map: &Linear, input: &NodeInput| elu(dropout(input.mapped(map), self.dropout, rng.as_deref_mut()));
        let h: Vec<Tensor<2>> = self.inputs.iter().zip(&data.inputs).map(|(map, input)| feature(map, input)).collect();
        let masked = feature(&self.inputs[0], &data.masked_input);
        let coarse = self.encoded(&h[0], &data.coarse, &mut rng);
        let mut maps = self.contexts.iter();
        let (mut clean_views, mut masked_views) = (Vec::new(), Vec::new());
        for (path, contexts) in data.contexts.iter().enumerate() {
            let mut added: Option<Tensor<2>> = None;
            for ((place, mean), map) in contexts.iter().zip(maps.by_ref()) {
                let context = mean.apply(h[*place].clone()).matmul(map.weight.val());
                let context = dropout(context, self.dropout, rng.as_deref_mut());
                added = Some(added.map_or(context.clone(), |sum| sum + context));
            }
            let with = |x: &Tensor<2>| elu(added.clone().map_or(x.clone(), |added| x.clone() + added));
            clean_views.push(unit_rows(self.encoded(&with(&h[0]), &data.clean[path], &mut rng)));
            masked_views.push(unit_rows(self.encoded(&with(&masked), &data.masked[path], &mut rng)));
        }
        let views: Vec<Tensor<2>> = clean_views.into_iter().chain(masked_views).collect();
        let score = dropout(self.score.val(), self.dropout, rng);
        let scores = views.iter().map(|view| {
            let hidden = self.attention.forward(view.clone()).tanh().mean_dim(0);
            (hidden * score.clone()).sum_dim(1)
        });
        let shares = activation::softmax(Tensor::cat(scores.collect(), 1), 1);
        let mixed = views.into_iter().enumerate().map(|(at, view)| view * shares.clone().narrow(1, at, 1));
        let fine = mixed.reduce(|sum, view| sum + view).expect("a path or more");
        MeowOutputs { coarse, fine, shares }
    }

    /// `p(z)`: rows of length 1.
    pub fn projected(&self, z: Tensor<2>) -> Tensor<2> {
        unit_rows(self.projector.forward(z).tanh())
    }
}
