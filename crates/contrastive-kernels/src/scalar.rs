//! Functions of single numbers that every crate needs: safe forms of `log(1 + e^x)` and its kin, and normal draws.

use rand::{Rng, RngExt};

/// `log(1 + e^x)` without overflow; NaN stays NaN.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `1 / (1 + e^-x)`, the derivative of [`softplus`], without overflow.
pub fn logistic(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// `log(e^a + e^b)`; minus infinity stands for a sum of nothing, and NaN on either side gives NaN.
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    if a == b { a + std::f64::consts::LN_2 } else { a.max(b) + (-(a - b).abs()).exp().ln_1p() }
}

/// `log sum e^x`; minus infinity for nothing, or for nothing but minus infinity.
pub fn log_sum_exp(x: &[f64]) -> f64 {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top.is_finite() { top + x.iter().map(|x| (x - top).exp()).sum::<f64>().ln() } else { top }
}

/// `log mean e^x`; minus infinity for nothing, or for nothing but minus infinity.
pub fn log_mean_exp(x: &[f64]) -> f64 {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top.is_finite() { top + (x.iter().map(|x| (x - top).exp()).sum::<f64>() / x.len() as f64).ln() } else { top }
}

/// A standard normal number (Box and Muller), of two uniform ones of the generator.
pub fn standard_normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    // 1 - u is never 0
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn safe_forms_are_the_plain_ones_and_survive_the_ends() {
        for x in [-30.0, -1.5, 0.0, 0.3, 30.0] {
            assert!((softplus(x) - (1.0 + f64::exp(x)).ln()).abs() < 1e-12, "{x}");
            assert!((logistic(x) - 1.0 / (1.0 + f64::exp(-x))).abs() < 1e-15, "{x}");
            assert!((log_add_exp(x, 1.0) - (f64::exp(x) + 1f64.exp()).ln()).abs() < 1e-12, "{x}");
        }
        assert_eq!([softplus(800.0), softplus(-800.0), logistic(800.0), logistic(-800.0)], [800.0, 0.0, 1.0, 0.0]);
        let none = f64::NEG_INFINITY;
        assert_eq!([log_add_exp(none, none), log_add_exp(2.0, none), log_sum_exp(&[])], [none, 2.0, none]);
        assert!((log_sum_exp(&[700.0, 701.0, none]) - (700.0 + (1.0 + 1f64.exp()).ln())).abs() < 1e-12);
        assert!((log_mean_exp(&[3.0, 3.0]) - 3.0).abs() < 1e-15);
        assert!([softplus(f64::NAN), logistic(f64::NAN), log_add_exp(f64::NAN, 1.0)].iter().all(|x| x.is_nan()));
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let n = 200_000;
        let draws: Vec<f64> = (0..n).map(|_| standard_normal(&mut rng)).collect();
        let moment = |k: i32| draws.iter().map(|x| x.powi(k)).sum::<f64>() / f64::from(n);
        assert!(moment(1).abs() < 0.01 && (moment(2) - 1.0).abs() < 0.02 && (moment(4) - 3.0).abs() < 0.1);
    }
}
