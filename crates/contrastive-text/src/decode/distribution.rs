//! The next token of a row: probabilities, and what is drawn from them.

use super::DecodeError;
use burn::tensor::{DType, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The rows of a tensor on the host.
pub(super) fn host(x: Tensor<2>) -> Vec<f64> {
    x.into_data().convert_dtype(DType::F64).try_to_vec().expect("numbers in f64")
}

/// Log-probabilities of all tokens.
#[derive(Clone, Debug)]
pub(super) struct Distribution(Vec<f64>);

impl Distribution {
    /// The softmax of logits `[n, vocabulary]`, row by row; `rows` names their prompts.
    pub fn rows(logits: Tensor<2>, rows: &[usize], step: usize) -> Result<Vec<Self>, DecodeError> {
        let [_, vocabulary] = logits.dims();
        let logits = host(logits);
        let row = |(logits, row): (&[f64], &usize)| Self::of(logits).ok_or(DecodeError::NotFinite { row: *row, step });
        logits.chunks(vocabulary).zip(rows).map(row).collect()
    }

    /// `None` where the logits have no softmax.
    pub fn of(logits: &[f64]) -> Option<Self> {
        let top = logits.iter().fold(f64::NEG_INFINITY, |top, x| if x.is_nan() { f64::NAN } else { top.max(*x) });
        let sum: f64 = logits.iter().map(|x| (x - top).exp()).sum();
        let log = top + sum.ln();
        log.is_finite().then(|| Self(logits.iter().map(|x| x - log).collect()))
    }

    /// The same at another temperature.
    pub fn at(&self, temperature: f64) -> Self {
        if temperature == 1.0 {
            return self.clone();
        }
        let logits: Vec<f64> = self.0.iter().map(|x| x / temperature).collect();
        Self::of(&logits).unwrap_or_else(|| self.clone())
    }

    pub fn log(&self, token: u32) -> f64 {
        self.0[token as usize]
    }

    /// The most probable tokens, best first, equal ones by their number.
    pub fn top(&self, k: usize) -> Vec<u32> {
        let better = |a: &u32, b: &u32| self.log(*b).total_cmp(&self.log(*a)).then(a.cmp(b));
        let mut tokens: Vec<u32> = (0..self.0.len() as u32).collect();
        if k < tokens.len() {
            tokens.select_nth_unstable_by(k, better);
            tokens.truncate(k);
        }
        tokens.sort_unstable_by(better);
        tokens
    }

    /// Drawn among the `k` most probable.
    pub fn draw_top(&self, k: usize, rng: &mut ChaCha8Rng) -> u32 {
        self.draw(&self.top(k), rng)
    }

    /// Drawn among the fewest tokens whose probabilities add up to `p`.
    pub fn draw_nucleus(&self, p: f64, rng: &mut ChaCha8Rng) -> u32 {
        let tokens = self.top(self.0.len());
        self.draw(&tokens[..self.fewest(&tokens, p)], rng)
    }

    /// Drawn among the tokens whose information is closest to the entropy, the fewest whose probabilities add up to `mass`.
    pub fn draw_typical(&self, mass: f64, rng: &mut ChaCha8Rng) -> u32 {
        let tokens = self.typical(mass);
        self.draw(&tokens, rng)
    }

    pub fn typical(&self, mass: f64) -> Vec<u32> {
        let term = |log: &f64| if *log == f64::NEG_INFINITY { 0.0 } else { log.exp() * log };
        let entropy = -self.0.iter().map(term).sum::<f64>();
        let away = |token: &u32| (-self.log(*token) - entropy).abs();
        let mut tokens: Vec<u32> = (0..self.0.len() as u32).collect();
        tokens.sort_unstable_by(|a, b| away(a).total_cmp(&away(b)).then(a.cmp(b)));
        tokens.truncate(self.fewest(&tokens, mass));
        tokens
    }

    /// How many of these tokens, from the first on, have the probability.
    pub fn fewest(&self, tokens: &[u32], probability: f64) -> usize {
        let mut sum = 0.0;
        let enough = tokens.iter().position(|token| {
            sum += self.log(*token).exp();
            sum >= probability
        });
        enough.map_or(tokens.len(), |at| at + 1)
    }

    fn draw(&self, tokens: &[u32], rng: &mut ChaCha8Rng) -> u32 {
        let total: f64 = tokens.iter().map(|token| self.log(*token).exp()).sum();
        let mut left = rng.random::<f64>() * total;
        let found = tokens.iter().find(|token| {
            left -= self.log(**token).exp();
            left < 0.0
        });
        *found.or(tokens.last()).expect("a token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    fn of(probabilities: &[f64]) -> Distribution {
        Distribution::of(&probabilities.iter().map(|p| p.ln() + 3.0).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_best_come_first_and_equal_ones_by_number() {
        let p = of(&[0.2, 0.3, 0.3, 0.1, 0.1]);
        assert_eq!(p.top(3), [1, 2, 0]);
        assert_eq!(p.top(9), [1, 2, 0, 3, 4]);
        assert!((p.log(1).exp() - 0.3).abs() < 1e-12);
    }

    /// Sets by hand: the entropy of .5, .25, .125, .125 is 1.75 bits; their information is 1, 2, 3 and 3 bits.
    #[test]
    fn what_may_be_drawn() {
        let p = of(&[0.5, 0.25, 0.125, 0.125]);
        let order = p.top(4);
        assert_eq!([0.4, 0.6, 0.8, 1.0].map(|mass| p.fewest(&order, mass)), [1, 2, 3, 4]);
        assert_eq!([0.2, 0.5, 0.9].map(|mass| p.typical(mass)), [vec![1], vec![1, 0], vec![1, 0, 2, 3]]);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut drawn = |draw: &dyn Fn(&Distribution, &mut ChaCha8Rng) -> u32| {
            let mut counts = [0; 4];
            (0..4000).for_each(|_| counts[draw(&p, &mut rng) as usize] += 1);
            counts
        };
        let top = drawn(&|p, rng| p.draw_top(2, rng));
        assert!(top[2..] == [0, 0] && (top[0] as f64 / 4000.0 - 2.0 / 3.0).abs() < 0.03, "{top:?}");
        let nucleus = drawn(&|p, rng| p.draw_nucleus(0.8, rng));
        assert!(nucleus[3] == 0 && (nucleus[2] as f64 / 4000.0 - 1.0 / 7.0).abs() < 0.03, "{nucleus:?}");
        let typical = drawn(&|p, rng| p.draw_typical(0.2, rng));
        assert_eq!(typical, [0, 4000, 0, 0]);
    }

    #[test]
    fn logits_without_a_softmax_are_none() {
        assert!(Distribution::of(&[0.0, f64::NAN]).is_none());
        assert!(Distribution::of(&[f64::INFINITY, 0.0]).is_none());
        assert!(Distribution::of(&[f64::NEG_INFINITY; 2]).is_none());
        assert_eq!(Distribution::of(&[f64::NEG_INFINITY, 0.0]).unwrap().top(1), [1]);
        let far = Distribution::of(&[2000.0, 1999.0]).unwrap();
        assert!((far.log(0).exp() - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-12);
    }
}
