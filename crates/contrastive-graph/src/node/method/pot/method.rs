//! The regulariser around a method of two views.

use super::bounds::{Bounds, EdgeBudget};
use super::hold;
use super::score::{Compactness, Network, Score, Scored, directions};
use crate::MethodError;
use crate::node::data::Graph;
use crate::node::encoder::{LayerKind, NodeInput, Propagation};
use crate::node::method::{NodeMethod, NodeMethodConfig, NodeTraining, SeenViews, TwoViewMethod, TwoViews, ViewModel};
use burn::tensor::{Device, Tensor};
use contrastive_core::linear::SparseOperator;
use contrastive_train::{Check, TrainingConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Settings of [`Pot`]: those of the method it goes around, and its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PotConfig<C> {
    /// The method it goes around.
    pub host: C,
    /// kappa: the share of the regulariser, in 0 to 1; .4 around GRACE, .3 around GCA, .2 around COSTA (the authors' advice for Cora). 0 is
    /// the method itself.
    pub kappa: f64,
    /// Which score is pushed up; [`Score::Certified`] is a metric, not a loss.
    pub score: Score,
    /// How many edges a node may lose.
    pub budget: EdgeBudget,
}

impl<C> PotConfig<C> {
    /// kappa .4, the sound score, the paper's budgets.
    pub fn new(host: C) -> Self {
        Self { host, kappa: 0.4, score: Score::Sound, budget: EdgeBudget::Expected }
    }

    /// Sets the share of the regulariser.
    pub fn with_kappa(self, kappa: f64) -> Self {
        Self { kappa, ..self }
    }

    /// Sets the score that is pushed up.
    pub fn with_score(self, score: Score) -> Self {
        Self { score, ..self }
    }

    /// Sets how many edges a node may lose.
    pub fn with_budget(self, budget: EdgeBudget) -> Self {
        Self { budget, ..self }
    }
}

impl<C> NodeMethodConfig for PotConfig<C>
where
    C: NodeMethodConfig,
    C::Method: TwoViewMethod<Model = <C::Method as NodeMethod>::Model> + Clone,
{
    type Method = Pot<C::Method>;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("pot");
        check.probability("kappa", self.kappa)?;
        let fine = self.score != Score::Certified;
        check.that(fine, "score", format!("{:?}", self.score), "Sound or Official: Certified is a metric")?;
        self.host.validate()
    }

    fn training(&self) -> &TrainingConfig {
        self.host.training()
    }

    fn training_mut(&mut self) -> &mut TrainingConfig {
        self.host.training_mut()
    }

    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Self::Method>, MethodError> {
        self.validate()?;
        let host = self.host.build(graph, seed, device)?;
        let model = host.model().clone();
        let method = Pot::new(host.method().clone(), &model, self.kappa, self.score, self.budget)?;
        let mut config = serde_json::to_value(self).unwrap_or_default();
        if let Some(host) = config.get_mut("host").and_then(|host| host.as_object_mut()) {
            // the training adds its own, without the budget, so that a run may be extended
            host.remove("training");
        }
        NodeTraining::new(method, model, self.host.training(), &config, seed)
    }
}

/// A method of two views, and beside its loss the logistic loss of the nodes' scores, `(1 - kappa) L_host + kappa L_POT`. Views are those of the
/// method: with feature masks the bounds are those for the masked features. Published runs have none. Nothing is cut off from the gradient.
#[derive(Clone, Debug)]
pub struct Pot<M> {
    host: M,
    kappa: f64,
    score: Score,
    bounds: [Bounds; 2],
    clean: SparseOperator,
    outside: Arc<AtomicUsize>,
}

/// The operator of a view.
fn operator(graph: &Propagation) -> &SparseOperator {
    match graph {
        Propagation::Operator(operator) => operator,
        other => panic!("a view of graph convolutions: {other:?}"),
    }
}

impl<M: TwoViewMethod> Pot<M> {
    /// Around a method, for a model of its kind.
    ///
    /// # Errors
    /// When the encoder is not two graph convolutions with a rectifier, edges are drawn per entry or have weights, or there are fewer than two
    /// nodes.
    pub fn new(host: M, model: &M::Model, kappa: f64, score: Score, budget: EdgeBudget) -> Result<Self, MethodError> {
        let views = host.views();
        Bounds::check(views)?;
        let layer = views.data.layer();
        hold(layer == LayerKind::Gcn, "the encoder's layer", format!("{layer:?}"), "Gcn")?;
        Network::of(model.encoder())?;
        let bounds = |at: usize| Bounds::new(&views.data, &views.rules[at], budget);
        let bounds = [bounds(0)?, bounds(1)?];
        let clean = operator(&layer.prepare(views.data.adjacency())).clone();
        Ok(Self { host, kappa, score, bounds, clean, outside: Arc::default() })
    }

    /// The method it goes around.
    pub fn host(&self) -> &M {
        &self.host
    }

    /// The bounds of both views.
    pub fn bounds(&self) -> &[Bounds; 2] {
        &self.bounds
    }

    /// How many nodes of drawn views lost more edges than their budget since the last call: there the bound need not hold.
    pub fn take_outside(&self) -> usize {
        self.outside.swap(0, Ordering::Relaxed)
    }

    /// The score `[nodes, 1]` of both roles: view k against the directions of the other.
    fn scores(&self, model: &M::Model, seen: &SeenViews) -> Result<[Tensor<2>; 2], MethodError> {
        let network = Network::of(model.encoder())?;
        Ok([0, 1].map(|at| {
            let (graph, input): &(Propagation, NodeInput) = &seen.inputs[at];
            let (view, bounds) = (operator(graph), &self.bounds[at]);
            self.outside.fetch_add(bounds.outside(view), Ordering::Relaxed);
            let scored = Scored::new(network.clone(), bounds, input, self.score, &self.clean);
            scored.score(Some(view), bounds, &directions(seen.encoded[1 - at].clone()))
        }))
    }

    /// Scores of the first view of a pair that `seed` draws against the second, for an encoder of any training; without gradient. The
    /// certified score holds for every view of the first kind within the budget.
    ///
    /// # Errors
    /// When the encoder is of another kind, or views cannot be drawn.
    pub fn compactness(&self, model: &M::Model, score: Score, seed: u64) -> Result<Compactness, MethodError> {
        let [(graph, input), (other, features)] = self.views().inputs(&mut ChaCha8Rng::seed_from_u64(seed))?;
        let (bounds, view) = (&self.bounds[0], operator(&graph));
        let w = directions(model.encoder().forward(&other, &features));
        let z = model.encoder().forward(&graph, &input);
        let lengths = (z.clone() * z).sum_dim(1).sqrt().into_data().iter::<f64>().collect();
        let scored = Scored::new(Network::of(model.encoder())?, bounds, &input, score, &self.clean);
        let drawn = (score != Score::Certified).then_some(view);
        let nodes = scored.score(drawn, bounds, &w).into_data().iter::<f64>().collect();
        Ok(Compactness { nodes, lengths, outside: bounds.outside(view) })
    }
}

impl<M: TwoViewMethod> TwoViewMethod for Pot<M> {
    type Model = M::Model;

    fn method_name(&self) -> &'static str {
        "pot"
    }

    fn views(&self) -> &TwoViews {
        self.host.views()
    }

    fn contrast(&self, outputs: [Tensor<2>; 2], epoch: usize) -> Result<Tensor<1>, MethodError> {
        let contrast = self.host.contrast(outputs, epoch)?;
        Ok(if self.kappa == 0.0 { contrast } else { contrast * (1.0 - self.kappa) })
    }

    fn further(&self, model: &M::Model, seen: &SeenViews) -> Result<Vec<(&'static str, Tensor<1>)>, MethodError> {
        let mut losses = self.host.further(model, seen)?;
        if self.kappa > 0.0 {
            losses.iter_mut().for_each(|(_, loss)| *loss = loss.clone() * (1.0 - self.kappa));
            // softplus(-f), the mean over nodes and roles
            let [first, second] =
                self.scores(model, seen)?.map(|f| burn::tensor::activation::softplus(f * -1.0, 1.0).mean());
            losses.push(("compactness", (first + second) * (0.5 * self.kappa)));
        }
        Ok(losses)
    }
}
