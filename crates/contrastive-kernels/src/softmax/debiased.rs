//! Debiased and hard-negative InfoNCE: a row's value of its sums.

/// Debiased InfoNCE (Chuang et al. 2020), and its form with hard negatives (Robinson et al. 2021), of a row with one positive (of
/// several, the first): with the logits `scale s`, `s+` that of the positive, and `N` negatives,
///
/// ```text
/// R = N sum e^{(1 + beta) s} / sum e^{beta s}                  (beta = 0: the plain sum)
/// G = max((R - tau_plus N e^{s+}) / (1 - tau_plus), N e^{-scale})      value = log(1 + G / e^{s+})
/// ```
///
/// A row without a positive or without negatives counts as 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Debiased {
    /// Inverse temperature.
    pub scale: f64,
    /// The share of the negatives that are in truth positives, in `[0, 1)`.
    pub tau_plus: f64,
    /// beta.
    pub hardness: f64,
}

impl Debiased {
    /// Are negatives weighted by how hard they are? Less than this hardness is below the rounding of `f64`, and would let in what is masked.
    pub fn is_hard(&self) -> bool {
        self.hardness > 1e-18
    }

    /// A row's value, and its derivatives by log R and by the positive logit. All exponentials are taken relative to the larger
    /// of the two.
    pub fn value(&self, positive: f64, log_sum: f64, others: f64) -> [f64; 3] {
        let top = positive.max(log_sum);
        let (p, r) = ((positive - top).exp(), (log_sum - top).exp());
        let free = (r - self.tau_plus * others * p) / (1.0 - self.tau_plus);
        let least = (others.ln() - self.scale - top).exp();
        // in this order, so that NaN stays NaN
        let (negatives, by_sum, by_positive) = match free <= least {
            true => (least, 0.0, 0.0),
            false => (free, r / (1.0 - self.tau_plus), -self.tau_plus * others * p / (1.0 - self.tau_plus)),
        };
        let all = p + negatives;
        [all.ln() + top - positive, by_sum / all, (p + by_positive) / all - 1.0]
    }
}

/// What a row is worth, of its denominator and its positives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowValue {
    /// `A log D - sum of the positives' logits`.
    LogRatio,
    /// As [`Debiased`] says, of rows with at most one positive and a denominator of negatives.
    Debiased(Debiased),
}
