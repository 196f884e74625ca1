//! What embeddings of graphs are worth: a linear probe, and how well a model tells perturbed copies.

use super::augment::{ball, mask_labels, rewire};
use super::data::{GraphSet, GraphUnion, SmallGraph};
use super::method::{DslaConfig, DslaModel, Region};
use crate::MethodError;
use crate::draw::below;
use crate::graphs::method::facts;
use crate::parts::to_array;
use contrastive_eval::EvalError;
use contrastive_eval::correlation::spearman;
use contrastive_eval::probe::{LinearProbe, LogisticRegression, Scaling, Split, Targets};
use ndarray::ArrayView2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Accuracy of a linear probe on `test`, trained on `train`: columns standardised, a softmax whose penalty is chosen by five folds.
///
/// # Errors
/// When a graph is out of range, a list is empty, or the set has no classes.
pub fn linear_probe(
    set: &GraphSet,
    embeddings: ArrayView2<'_, f32>,
    [train, test]: [&[usize]; 2],
) -> Result<f64, MethodError> {
    let rows = |list: &[usize]| list.iter().map(|&graph| graph as u32).collect::<Vec<_>>();
    let classes = set.classes()?;
    let run = || -> Result<f64, EvalError> {
        let split = Split::new(set.len(), rows(train), Vec::new(), rows(test))?;
        let grid: Vec<f64> = (-4..4).map(|power| f64::from(2 * power).exp2()).collect();
        let classifier = LogisticRegression::new(1.0).with_missing_classes(true);
        let probe = LinearProbe::new().with_classifier(classifier).with_scaling(Scaling::Standardise);
        let probe = probe.with_cross_validation(&grid, 5);
        Ok(probe.run(embeddings, Targets::single(classes, set.num_classes()), &[split])?.accuracy().mean)
    };
    run().map_err(MethodError::Evaluation)
}

/// How well a model tells fresh copies of graphs from the graphs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discrimination {
    /// Share of graphs whose original has the highest score among its candidates; chance is one over their number.
    pub accuracy: f64,
    /// Spearman correlation of the number of replaced pairs (1 to 8) and the distance from the original, over all graphs together.
    pub correlation: f64,
    /// The mean over graphs of the correlation within a graph.
    pub within: f64,
}

/// Draws fresh candidates of these graphs as the settings say, and copies with 1 to 8 replaced pairs; labels are masked as in training for
/// the accuracy, and not for the distances.
///
/// # Errors
/// When there are no graphs or distances are not finite.
pub fn discrimination(
    config: &DslaConfig,
    model: &DslaModel,
    set: &GraphSet,
    graphs: &[usize],
    seed: u64,
) -> Result<Discrimination, MethodError> {
    let facts = facts(set);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut right, mut within) = (0, Vec::new());
    let (mut edits, mut distances) = (Vec::new(), Vec::new());
    for &graph in graphs {
        let original = set.graph(graph);
        let candidates: Vec<SmallGraph> =
            config.perturb(&original, &facts, &mut rng).into_iter().map(|c| c.graph).collect();
        let scores = to_array(&model.scores(&GraphUnion::new(&candidates, facts.edge_labels)));
        right += usize::from((1..candidates.len()).all(|at| scores[[0, 0]] > scores[[at, 0]]));
        let region = region(config, &original, &mut rng);
        let mut copies = vec![original.clone()];
        let mut own = Vec::new();
        for replace in 1..=8 {
            let copy = rewire(&original, &region, replace, &facts.edge_shares, config.count, &mut rng);
            if copy.replaced == replace {
                own.push(replace as f64);
                copies.push(copy.graph);
            }
        }
        // nothing is masked here: the distance is that of the links alone
        copies.iter_mut().for_each(|copy| mask_labels(copy, &region, 0.0, facts.mask, &mut rng));
        let rows = model.embed_graphs(&copies);
        let apart = |at: usize| {
            let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
            rows.row(at).iter().zip(rows.row(0)).map(square).sum::<f64>().sqrt()
        };
        let far: Vec<f64> = (1..copies.len()).map(apart).collect();
        if far.len() > 2 {
            within.extend(spearman(&own, &far).ok().filter(|value| value.is_finite()));
        }
        edits.extend(own);
        distances.extend(far);
    }
    let correlation = spearman(&edits, &distances).map_err(MethodError::Evaluation)?;
    let mean = within.iter().sum::<f64>() / within.len().max(1) as f64;
    Ok(Discrimination { accuracy: right as f64 / graphs.len().max(1) as f64, correlation, within: mean })
}

fn region(config: &DslaConfig, graph: &SmallGraph, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let nodes = graph.labels.len() as u32;
    match config.region {
        Region::Whole => (0..nodes).collect(),
        Region::Ball(hops) => ball(graph, below(rng, nodes), hops),
    }
}
