//! Draws that the syntheses need.

use contrastive_kernels::scalar::standard_normal;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator of a step.
pub(super) fn generator(seed: u64, step: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(step as u64);
    rng
}

/// A number strictly between 0 and 1 from the symmetric Beta distribution, `a > 0`.
pub(super) fn beta(rng: &mut ChaCha8Rng, a: f64) -> f64 {
    let gap = log_gamma_draw(rng, a) - log_gamma_draw(rng, a);
    // rounding may reach the ends
    (1.0 / (1.0 + gap.exp())).clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON)
}

/// The logarithm of a draw from the Gamma distribution of shape `a` (Marsaglia and Tsang 2000); for shapes below 1 through
/// that of `a + 1`.
fn log_gamma_draw(rng: &mut ChaCha8Rng, a: f64) -> f64 {
    if a < 1.0 {
        let u: f64 = 1.0 - rng.random::<f64>();
        return log_gamma_draw(rng, a + 1.0) + u.ln() / a;
    }
    let d = a - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = standard_normal(rng);
        let v = (1.0 + c * x).powi(3);
        let u: f64 = 1.0 - rng.random::<f64>();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_draws_have_the_moments_of_beta() {
        // mean 1/2 and variance 1 / (4 (2 a + 1))
        for a in [0.1, 0.6, 1.0, 1.6, 2.0, 50.0] {
            let mut rng = generator(5, 0);
            let draws: Vec<f64> = (0..40_000).map(|_| beta(&mut rng, a)).collect();
            assert!(draws.iter().all(|x| *x > 0.0 && *x < 1.0));
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let expected = 0.25 / (2.0 * a + 1.0);
            assert!((mean - 0.5).abs() < 5.0 * (expected / draws.len() as f64).sqrt(), "a = {a}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.04, "a = {a}: variance {variance} instead of {expected}");
        }
        // the log-space form survives shapes whose draws underflow
        let mut rng = generator(5, 1);
        assert!((0..1000).map(|_| beta(&mut rng, 1e-4)).all(|x| x > 0.0 && x < 1.0));
    }
}
