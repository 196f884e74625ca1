//! A network as MEOW takes it in.

use super::MeowConfig;
use crate::MethodError;
use crate::hetero::data::{HeteroError, HeteroGraph, MetaPath, NodeType, masked_copy, masked_features, normalised};
use crate::node::data::Features;
use crate::node::encoder::NodeInput;
use crate::parts::to_tensor;
use burn::tensor::Device;
use contrastive_core::linear::SparseOperator;
use contrastive_kernels::sparse::Csr;
use rand_chacha::ChaCha8Rng;

/// A network as MEOW takes it in: features of the types that take part, what each path links, and its masked copy. Masks are drawn once.
#[derive(Clone, Debug)]
pub struct MeowData {
    /// The features of each type that takes part, the target first.
    pub inputs: Vec<NodeInput>,
    /// The target's features with masked values.
    pub masked_input: NodeInput,
    /// For each path its contexts: which of `inputs`, and the mean over the nodes of that type on the paths of each target.
    pub contexts: Vec<Vec<(usize, SparseOperator)>>,
    /// For each path the normalised counts.
    pub clean: Vec<SparseOperator>,
    /// For each path the normalised masked copy.
    pub masked: Vec<SparseOperator>,
    /// The mean of `clean`.
    pub coarse: SparseOperator,
}

/// Features as an encoder takes them: without any, each node is a feature of its own.
fn input(of: &NodeType, device: &Device) -> NodeInput {
    match &of.features {
        Some(features) => of_features(features, device),
        None => {
            let ones: Vec<(u32, u32, f32)> = (0..of.count as u32).map(|node| (node, node, 1.0)).collect();
            let identity = Csr::from_triplets(of.count, of.count, &ones).expect("an identity");
            SparseOperator::from_f32(identity).into()
        }
    }
}

fn of_features(features: &Features, device: &Device) -> NodeInput {
    match features.operator() {
        Some(operator) => operator.into(),
        None => to_tensor(features.to_dense().view(), &device.clone().inner()).into(),
    }
}

impl MeowData {
    /// Prepares a network; masks are drawn from `rng`.
    ///
    /// # Errors
    /// When a path does not fit the network, or a target has no instance of any path.
    pub fn new(
        config: &MeowConfig,
        graph: &HeteroGraph,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<Self, MethodError> {
        let (target, nodes) = (graph.target_type(), graph.num_targets());
        let identity =
            || Features::from_entries(nodes, nodes, &(0..nodes as u32).map(|i| (i, i, 1.0)).collect::<Vec<_>>());
        let features = target.features.clone().map_or_else(identity, Ok)?;
        let masked_input = of_features(&masked_features(&features, config.feature_mask, rng), device);
        let (mut used, mut inputs) = (vec![graph.target()], vec![input(target, device)]);
        let (mut contexts, mut clean, mut masked) = (Vec::new(), Vec::new(), Vec::new());
        let mut sum = Vec::new();
        let mut reached = vec![false; nodes];
        let share = 1.0 / config.paths.len() as f64;
        for (at, name) in config.paths.iter().enumerate() {
            let path = MetaPath::new(graph, name)?;
            let counts = path.strongest(config.keep.get(at).copied().unwrap_or(usize::MAX))?;
            (0..nodes).for_each(|node| reached[node] |= !counts.row(node).0.is_empty());
            let whole = normalised(&counts);
            for row in 0..nodes {
                let (columns, values) = whole.row(row);
                sum.extend(columns.iter().zip(values).map(|(&column, &value)| (row as u32, column, share * value)));
            }
            clean.push(SparseOperator::new(whole));
            masked.push(SparseOperator::new(normalised(&masked_copy(&counts, config.edge_mask(at), rng))));
            let of_path = path.contexts().into_iter().map(|context| {
                let place = used.iter().position(|known| *known == context.of_type).unwrap_or_else(|| {
                    used.push(context.of_type);
                    inputs.push(input(&graph.types()[context.of_type], device));
                    used.len() - 1
                });
                let members = &context.members;
                let mean = members.map_entries(|row, _, one| one / members.row(row).0.len() as f64);
                (place, SparseOperator::new(mean))
            });
            contexts.push(of_path.collect());
        }
        if let Some(node) = reached.iter().position(|reached| !reached) {
            return Err(HeteroError::NoInstance { name: target.name.clone(), node }.into());
        }
        let coarse = Csr::from_triplets(nodes, nodes, &sum).expect("entries of square matrices");
        Ok(Self { inputs, masked_input, contexts, clean, masked, coarse: SparseOperator::new(coarse) })
    }

    /// Number of targets.
    pub fn num_targets(&self) -> usize {
        self.coarse.shape()[0]
    }

    /// Number of paths.
    pub fn num_paths(&self) -> usize {
        self.clean.len()
    }
}
