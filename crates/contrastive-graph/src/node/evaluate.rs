//! What node embeddings are worth: linear probes by the protocols of the field, and clusters.
//!
//! | name | what it is |
//! |---|---|
//! | `10/90` | GRACE's protocol on three random splits: rows of length 1, one class against the rest, C by cross-validation |
//! | `10/10/80` | GCA's: softmax on rows of length 1, C by the accuracy on the validation nodes, three random splits |
//! | `public` | GRACE's protocol on the split called `public`, where the graph has one |
//! | `k-means NMI` | k-means with as many clusters as classes, normalised mutual information with the classes |
//! | `of unit rows` | the same of rows of length 1, as most objectives compare them |
//!
//! A protocol that cannot run (a class too rare for a tenth of the nodes, say) is left out, with its reason; the others stand.

use super::data::{Graph, GraphError};
use contrastive_eval::clustering::KMeans;
use contrastive_eval::probe::{Intercept, LinearProbe, Link, LogisticRegression, Scaling, Split, Targets};
use contrastive_eval::{EvalError, Summary};
use ndarray::{Array2, ArrayView2};
use std::fmt;

/// The scores of one protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolScores {
    /// Its name, as in the table of the [module](self).
    pub name: &'static str,
    /// Accuracies (or NMI), one for each split and seed; empty when it could not run.
    pub values: Vec<f64>,
    /// Why it could not run, the first reason.
    pub left_out: Option<String>,
}

/// The scores of embeddings by protocol. Printed, it is a line of means and deviations, and a line for each protocol left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeReport {
    protocols: Vec<ProtocolScores>,
}

impl NodeReport {
    /// Evaluates embeddings `[nodes, d]` by every protocol; `seed` is that of the random splits and of k-means.
    ///
    /// # Errors
    /// [`GraphError::Missing`] for a graph without labels.
    ///
    /// # Panics
    /// When there is not one row for each node.
    pub fn of(graph: &Graph, embeddings: ArrayView2<'_, f32>, seed: u64) -> Result<Self, GraphError> {
        let (rows, nodes) = (embeddings.nrows(), graph.num_nodes());
        assert_eq!(rows, nodes, "{rows} rows of embeddings for {nodes} nodes");
        let nodes = Nodes::new(graph, embeddings, seed)?;
        let mut report = Self::default();
        report.add("10/90", nodes.grace());
        report.add("10/10/80", nodes.gca());
        if let Some(split) = graph.split("public") {
            let (train, validation, test) = (split.train.clone(), split.validation.clone(), split.test.clone());
            let split = Split::new(rows, train, validation, test);
            report.add("public", split.and_then(|split| nodes.probe(LinearProbe::grace(), &[split])));
        }
        if nodes.labelled.len() == rows {
            report.add("k-means NMI", nodes.nmi(embeddings));
            report.add("of unit rows", nodes.nmi(unit_rows(embeddings).view()));
        }
        Ok(report)
    }

    fn add(&mut self, name: &'static str, values: Result<Vec<f64>, EvalError>) {
        let (values, left_out) = match values {
            Ok(values) => (values, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        self.merge(ProtocolScores { name, values, left_out });
    }

    fn merge(&mut self, scores: ProtocolScores) {
        match self.protocols.iter_mut().find(|known| known.name == scores.name) {
            None => self.protocols.push(scores),
            Some(known) => {
                known.values.extend(scores.values);
                known.left_out = known.left_out.take().or(scores.left_out);
            }
        }
    }

    /// Adds the scores of another seed.
    pub fn extend(&mut self, other: Self) {
        other.protocols.into_iter().for_each(|scores| self.merge(scores));
    }

    /// The scores of every protocol, in the order of the table.
    pub fn protocols(&self) -> &[ProtocolScores] {
        &self.protocols
    }

    /// Mean and deviation of a protocol; `None` for one that did not run.
    pub fn get(&self, name: &str) -> Option<Summary> {
        let scores = self.protocols.iter().find(|scores| scores.name == name)?;
        (!scores.values.is_empty()).then(|| Summary::of(&scores.values))
    }
}

impl fmt::Display for NodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells =
            self.protocols.iter().filter_map(|scores| Some(format!("{} {}", scores.name, self.get(scores.name)?)));
        write!(f, "{}", cells.collect::<Vec<_>>().join("   "))?;
        for scores in &self.protocols {
            if let Some(reason) = &scores.left_out {
                write!(f, "\n{} left out: {reason}", scores.name)?;
            }
        }
        Ok(())
    }
}

/// What every protocol needs.
struct Nodes<'a> {
    x: ArrayView2<'a, f32>,
    classes: Vec<u32>,
    count: usize,
    labelled: Vec<u32>,
    seed: u64,
}

impl<'a> Nodes<'a> {
    fn new(graph: &Graph, x: ArrayView2<'a, f32>, seed: u64) -> Result<Self, GraphError> {
        let labels = graph.require_labels()?;
        let nodes = labels.num_nodes();
        let classes = (0..nodes).map(|node| labels.class(node).unwrap_or(0)).collect();
        let labelled = (0u32..).take(nodes).filter(|&node| labels.class(node as usize).is_some()).collect();
        Ok(Self { x, classes, count: labels.num_classes(), labelled, seed })
    }

    fn probe(&self, probe: LinearProbe, splits: &[Split]) -> Result<Vec<f64>, EvalError> {
        let report = probe.run(self.x, Targets::single(&self.classes, self.count), splits)?;
        Ok(report.runs().iter().map(|run| run.accuracy).collect())
    }

    fn random(&self, train: f64, validation: f64) -> Result<Vec<Split>, EvalError> {
        let split = |k| Split::random_of(self.labelled.clone(), train, validation, 10 * self.seed + k);
        (0..3).map(split).collect()
    }

    fn grace(&self) -> Result<Vec<f64>, EvalError> {
        let one_by_one = softmax().with_link(Link::Sigmoid).with_intercept(Intercept::Penalised);
        self.probe(LinearProbe::grace().with_classifier(one_by_one), &self.random(0.1, 0.0)?)
    }

    fn gca(&self) -> Result<Vec<f64>, EvalError> {
        let grid: Vec<f64> = (-10..10).map(|power| f64::from(power).exp2()).collect();
        let scaled = LinearProbe::new().with_classifier(softmax()).with_scaling(Scaling::UnitLength);
        self.probe(scaled.with_validation(&grid), &self.random(0.1, 0.1)?)
    }

    fn nmi(&self, x: ArrayView2<'_, f32>) -> Result<Vec<f64>, EvalError> {
        let report = KMeans::new(self.count).evaluate(x, &self.classes, &[self.seed])?;
        Ok(report.get("nmi").map(|nmi| nmi.mean).into_iter().collect())
    }
}

/// A class may be too rare to occur in a tenth of the nodes.
fn softmax() -> LogisticRegression {
    LogisticRegression::new(1.0).with_missing_classes(true)
}

fn unit_rows(x: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut unit = x.to_owned();
    for mut row in unit.rows_mut() {
        let length = row.dot(&row).sqrt().max(1e-12);
        row /= length;
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::super::data::{BlockModelOptions, block_model};
    use super::*;

    fn graph() -> Graph {
        block_model(&BlockModelOptions { nodes: 300, communities: 3, ..Default::default() }).unwrap()
    }

    /// Classes written out as embeddings are read off perfectly by every protocol.
    #[test]
    fn classes_as_embeddings_are_found_by_all() {
        let graph = graph();
        let labels = graph.require_labels().unwrap();
        let x = Array2::from_shape_fn((300, 3), |(node, class)| f32::from(labels.class(node) == Some(class as u32)));
        let mut report = NodeReport::of(&graph, x.view(), 1).unwrap();
        for name in ["10/90", "10/10/80", "k-means NMI", "of unit rows"] {
            assert!((report.get(name).unwrap().mean - 1.0).abs() < 1e-9, "{report}");
        }
        report.extend(NodeReport::of(&graph, x.view(), 2).unwrap());
        assert_eq!(report.get("10/90").unwrap().runs, 6);
    }

    #[test]
    fn a_protocol_that_cannot_run_is_left_out_with_its_reason() {
        let mut x = Array2::zeros((300, 2));
        x[[5, 1]] = f32::NAN;
        let report = NodeReport::of(&graph(), x.view(), 1).unwrap();
        assert_eq!(report.get("10/90"), None);
        assert!(report.to_string().contains("10/90 left out: "), "{report}");
    }
}
