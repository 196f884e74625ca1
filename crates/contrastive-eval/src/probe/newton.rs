//! Truncated Newton: conjugate gradients for the step, a line search along it.

use super::problem::{Problem, along, norm};
use contrastive_kernels::vector::{axpy, dot};

/// Steps of conjugate gradients for one Newton step.
const INNER: usize = 500;

pub(super) struct Solution {
    /// `[classes, width]`
    pub weights: Vec<f64>,
    pub iterations: usize,
    /// Length of the gradient over that at zero weights.
    pub gradient: f64,
    pub converged: bool,
}

/// Minimises from `start`, or from zero.
pub(super) fn solve(problem: &Problem, c: f64, start: Option<Vec<f64>>, tolerance: f64, iterations: usize) -> Solution {
    let mut weights = start.unwrap_or_else(|| vec![0.0; problem.size()]);
    let (mut now, mut next) = (problem.state(), problem.state());
    let mut change = next.logits.clone();
    let mut spare = next.logits.clone();
    problem.logits(&weights, &mut now.logits);
    let mut value = problem.respond(&now.logits, &mut now.chances) + problem.penalised(&weights, &weights, c) / 2.0;
    let mut gradient = problem.gradient(&weights, &now.chances, c);
    let size = |gradient: &[f64]| if problem.scale > 0.0 { norm(gradient) / problem.scale } else { norm(gradient) };
    let mut done = 0;
    while done < iterations && size(&gradient) > tolerance {
        done += 1;
        let accuracy = size(&gradient).min(0.1);
        let diagonal = problem.diagonal(&now.chances, c);
        let multiply = |direction: &[f64]| problem.curvature(&now.chances, direction, c, &mut spare);
        let step = conjugate_gradients(&gradient, &diagonal, accuracy, multiply);
        problem.logits(&step, &mut change);
        let slope = dot(&gradient, &step);
        // The objective is a sum of many numbers, whose last digits are noise; a step that changes only these is the full one,
        // which near the optimum is right.
        let noise = 1e-10 * value.abs();
        let mut t = 1.0;
        let accepted = loop {
            next.logits.copy_from_slice(&now.logits);
            axpy(&mut next.logits, t, &change);
            let trial = along(&weights, t, &step);
            let height = problem.respond(&next.logits, &mut next.chances) + problem.penalised(&trial, &trial, c) / 2.0;
            if height <= value + 1e-4 * t * slope + noise {
                break Some((trial, height));
            }
            t /= 2.0;
            if t < 1e-9 {
                break None;
            }
        };
        let Some((trial, height)) = accepted else { break };
        (weights, value) = (trial, height);
        std::mem::swap(&mut now, &mut next);
        gradient = problem.gradient(&weights, &now.chances, c);
    }
    let gradient = size(&gradient);
    Solution { weights, iterations: done, gradient, converged: gradient <= tolerance }
}

/// Solves `H step = -gradient` to a residual of `accuracy` times the gradient; `H` positive semidefinite.
fn conjugate_gradients(
    gradient: &[f64],
    diagonal: &[f64],
    accuracy: f64,
    mut multiply: impl FnMut(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let mut step = vec![0.0; gradient.len()];
    let mut residual: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let goal = accuracy * norm(gradient);
    let precondition = |r: &[f64]| r.iter().zip(diagonal).map(|(r, d)| r / d).collect::<Vec<f64>>();
    let mut direction = precondition(&residual);
    let mut size = dot(&residual, &direction);
    for _ in 0..INNER {
        let product = multiply(&direction);
        let bend = dot(&direction, &product);
        if bend <= 0.0 {
            break;
        }
        axpy(&mut step, size / bend, &direction);
        axpy(&mut residual, -size / bend, &product);
        if norm(&residual) <= goal {
            break;
        }
        let conditioned = precondition(&residual);
        let next = dot(&residual, &conditioned);
        direction = along(&conditioned, next / size, &direction);
        size = next;
    }
    if step.iter().all(|s| *s == 0.0) { direction } else { step }
}
