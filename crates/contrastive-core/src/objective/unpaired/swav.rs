//! SwAV: the code of one crop is predicted from the others.

use super::sinkhorn::Sinkhorn;
use super::soft_targets::cross_entropy;
use crate::error::ObjectiveError;
use crate::temperature::Temperature;
use burn::tensor::Tensor;

/// SwAV (Caron et al. 2020, equations 1 to 3 and section 3.2): with the codes `q_a` of the scores of the large crops a,
///
/// ```text
/// loss = mean_a (1 / (V - 1)) sum_{v != a} of the mean over rows of -sum_k q_ak log softmax(s_v / temperature)_k
/// ```
///
/// over all V crops v. Scores are inner products of unit features and unit prototypes; codes carry no gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct SwAv {
    temperature: f64,
    sinkhorn: Sinkhorn,
}

impl SwAv {
    /// With this temperature of the predictions (paper: 0.1) and this assignment
    /// (paper: `Sinkhorn::new(0.05, 3)`).
    ///
    /// # Errors
    /// When the temperature is not a finite number above 0.
    pub fn new(temperature: f64, sinkhorn: Sinkhorn) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        Ok(Self { temperature, sinkhorn })
    }

    /// Scores `[n, k]` of n things and k prototypes: of the large crops, which give the codes, and of the small ones. The
    /// value is `[1]`.
    ///
    /// # Panics
    /// When shapes differ, there is no large crop, or fewer than two crops.
    pub fn loss(&self, large: &[Tensor<2>], small: &[Tensor<2>]) -> Tensor<1> {
        self.evaluate(large, small, None)
    }

    /// The same with a queue of scores `[l, k]` for each large crop: former rows, scored with the present prototypes, that
    /// take part in the assignment.
    ///
    /// # Panics
    /// As [`loss`](Self::loss), and when there are not as many queues as large crops.
    pub fn loss_with_queues(&self, large: &[Tensor<2>], small: &[Tensor<2>], queues: &[Tensor<2>]) -> Tensor<1> {
        assert_eq!(queues.len(), large.len(), "queues and large crops");
        self.evaluate(large, small, Some(queues))
    }

    fn evaluate(&self, large: &[Tensor<2>], small: &[Tensor<2>], queues: Option<&[Tensor<2>]>) -> Tensor<1> {
        let [n, k] = large.first().expect("SwAV of at least one large crop").dims();
        let crops = large.len() + small.len();
        assert!(crops > 1, "SwAV of one crop: two are needed");
        let codes: Vec<Tensor<2>> = large
            .iter()
            .enumerate()
            .map(|(a, scores)| {
                assert_eq!(scores.dims(), [n, k], "the shapes of the scores of the crops");
                let scores = scores.clone().inner();
                match queues {
                    None => self.sinkhorn.codes(scores),
                    Some(queues) => {
                        let queue = queues[a].clone().inner().cast(scores.dtype());
                        self.sinkhorn.codes(Tensor::cat(vec![scores, queue], 0)).slice([0..n, 0..k])
                    }
                }
            })
            .collect();
        // each crop once, with the sum of the codes it is to predict
        let share = 1.0 / (large.len() * (crops - 1)) as f64;
        let terms = large.iter().chain(small).enumerate().filter_map(|(v, scores)| {
            let targets = codes.iter().enumerate().filter(|(a, _)| *a != v).map(|(_, q)| q.clone());
            let sum = targets.reduce(|a, b| a + b)?;
            Some(cross_entropy(sum, scores, self.temperature, share))
        });
        terms.reduce(|a, b| a + b).expect("at least one crop to predict from")
    }
}
