//! Which nodes train, validate and test.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::error::GraphError;
use super::features::Labels;
use crate::draw::{share_of, shuffle};

/// Three disjoint lists of nodes, each in ascending order; nodes may be in none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSplit {
    /// Nodes whose labels may be used to fit.
    pub train: Vec<u32>,
    /// Nodes whose labels may be used to choose settings.
    pub validation: Vec<u32>,
    /// Nodes to be judged on.
    pub test: Vec<u32>,
}

impl NodeSplit {
    /// A split of these lists, sorted.
    pub fn new(mut train: Vec<u32>, mut validation: Vec<u32>, mut test: Vec<u32>) -> Self {
        [&mut train, &mut validation, &mut test].into_iter().for_each(|part| part.sort_unstable());
        Self { train, validation, test }
    }

    /// Sizes of the three parts.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.train.len(), self.validation.len(), self.test.len())
    }

    /// The usual semi-supervised draw (Yang et al. 2016; Shchur et al. 2018): `per_class` training nodes of every class, then
    /// `validation` and `test` nodes from the other labelled ones. A class counts a node with several classes in each.
    ///
    /// # Errors
    /// [`GraphError::ClassTooSmall`] when a class has fewer than `per_class` labelled nodes that are not taken yet,
    /// [`GraphError::Option`] when `per_class` is 0 or too few nodes are left for validation and test.
    pub fn per_class(
        labels: &Labels,
        per_class: usize,
        validation: usize,
        test: usize,
        seed: u64,
    ) -> Result<Self, GraphError> {
        if per_class == 0 {
            return Err(GraphError::Option { name: "per_class", value: "0".into(), allowed: "at least 1" });
        }
        let mut order = labelled(labels);
        shuffle(&mut ChaCha8Rng::seed_from_u64(seed), &mut order);
        let mut taken = vec![false; labels.num_nodes()];
        let mut train = Vec::new();
        for class in 0..labels.num_classes() {
            let free = |node: &&u32| !taken[**node as usize] && labels.of(**node as usize).contains(&(class as u32));
            let chosen: Vec<u32> = order.iter().filter(free).take(per_class).copied().collect();
            if chosen.len() < per_class {
                return Err(GraphError::ClassTooSmall { class, found: chosen.len(), wanted: per_class });
            }
            chosen.iter().for_each(|&node| taken[node as usize] = true);
            train.extend(chosen);
        }
        let rest: Vec<u32> = order.into_iter().filter(|&node| !taken[node as usize]).collect();
        if validation.checked_add(test).is_none_or(|wanted| wanted > rest.len()) {
            return Err(GraphError::Option {
                name: "validation + test",
                value: format!("{validation} + {test} with {} nodes left", rest.len()),
                allowed: "at most the labelled nodes that do not train",
            });
        }
        let (validating, others) = rest.split_at(validation);
        Ok(Self::new(train, validating.to_vec(), others[..test].to_vec()))
    }

    /// A random split of the labelled nodes: `floor(train x labelled)` for training, `floor(validation x labelled)` for
    /// validation, the others for testing.
    ///
    /// # Errors
    /// [`GraphError::Option`] when a fraction is outside 0 to 1, their sum exceeds 1, or no node is left to train on.
    pub fn fractions(labels: &Labels, train: f64, validation: f64, seed: u64) -> Result<Self, GraphError> {
        Self::of_nodes(labelled(labels), train, validation, seed)
    }

    /// As [`fractions`](Self::fractions), class by class, so that every class has its share in every part (geom-gcn draws
    /// its 60/20/20 so). A node counts with its first class.
    ///
    /// # Errors
    /// As [`fractions`](Self::fractions).
    pub fn stratified(labels: &Labels, train: f64, validation: f64, seed: u64) -> Result<Self, GraphError> {
        let mut classes = vec![Vec::new(); labels.num_classes()];
        for node in labelled(labels) {
            classes[labels.of(node as usize)[0] as usize].push(node);
        }
        let mut whole = Self::default();
        for (class, nodes) in classes.into_iter().enumerate() {
            let part = Self::drawn(nodes, train, validation, seed.wrapping_add(class as u64))?;
            whole.train.extend(part.train);
            whole.validation.extend(part.validation);
            whole.test.extend(part.test);
        }
        Self::new(whole.train, whole.validation, whole.test).training(train)
    }

    /// A random split of all nodes of a graph without labels.
    ///
    /// # Errors
    /// As [`fractions`](Self::fractions).
    pub fn random(nodes: usize, train: f64, validation: f64, seed: u64) -> Result<Self, GraphError> {
        Self::of_nodes((0..nodes as u32).collect(), train, validation, seed)
    }

    fn of_nodes(nodes: Vec<u32>, train: f64, validation: f64, seed: u64) -> Result<Self, GraphError> {
        Self::drawn(nodes, train, validation, seed)?.training(train)
    }

    fn drawn(mut nodes: Vec<u32>, train: f64, validation: f64, seed: u64) -> Result<Self, GraphError> {
        for (name, value) in [("train", train), ("validation", validation), ("train + validation", train + validation)]
        {
            if !(0.0..=1.0 + 1e-12).contains(&value) {
                return Err(GraphError::Option { name, value: value.to_string(), allowed: "0 to 1" });
            }
        }
        shuffle(&mut ChaCha8Rng::seed_from_u64(seed), &mut nodes);
        let training = share_of(nodes.len(), train);
        let validating = share_of(nodes.len(), validation).min(nodes.len() - training);
        let test = nodes.split_off(training + validating);
        let validation = nodes.split_off(training);
        Ok(Self::new(nodes, validation, test))
    }

    fn training(self, train: f64) -> Result<Self, GraphError> {
        if self.train.is_empty() {
            let allowed = "a fraction that leaves at least one labelled node to train on";
            return Err(GraphError::Option { name: "train", value: train.to_string(), allowed });
        }
        Ok(self)
    }

    /// Refuses lists that do not fit a graph.
    pub(crate) fn check(&self, name: &str, nodes: usize) -> Result<(), GraphError> {
        let wrong = |reason: String| GraphError::BadSplit { name: name.to_owned(), reason, nodes };
        let mut all: Vec<u32> = [&self.train[..], &self.validation, &self.test].concat();
        all.sort_unstable();
        if let Some(&beyond) = all.last().filter(|&&node| node as usize >= nodes) {
            return Err(wrong(format!("node {beyond} is not in the graph")));
        }
        if let Some(twice) = all.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(wrong(format!("node {} is named twice", twice[0])));
        }
        if self.train.is_empty() {
            return Err(wrong("no node to train on".into()));
        }
        Ok(())
    }
}

fn labelled(labels: &Labels) -> Vec<u32> {
    (0..labels.num_nodes() as u32).filter(|&node| !labels.of(node as usize).is_empty()).collect()
}
