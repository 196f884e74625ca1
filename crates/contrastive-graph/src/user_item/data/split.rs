//! Deterministic splits of interactions into two parts.
//!
//! Every function gives `(kept, held out)`; both parts keep the full shape, and together they are the input.

use std::cmp::Reverse;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::error::DataError;
use super::interactions::Interactions;
use crate::draw::{below, keep_exactly, share_of};

/// How test pairs are chosen when the data comes without a test part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// The same fraction of every user's items: [`per_user`].
    #[default]
    PerUser,
    /// A fraction of all pairs, wherever they fall: [`random`].
    Random,
    /// The last item of every user who has at least two: [`leave_one_out`].
    LeaveOneOut,
    /// No test part: everything is for training.
    None,
}

/// By name, as on a command line: `per-user`, `random`, `leave-one-out`, `none`.
impl std::str::FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_lowercase().replace(['-', '_'], "").as_str() {
            "peruser" => Self::PerUser,
            "random" => Self::Random,
            "leaveoneout" => Self::LeaveOneOut,
            "none" => Self::None,
            _ => return Err(format!("{text:?} is no split; allowed: per-user, random, leave-one-out, none")),
        })
    }
}

fn checked(fraction: f64) -> Result<(), DataError> {
    if (0.0..1.0).contains(&fraction) {
        Ok(())
    } else {
        Err(DataError::Option { name: "test_fraction", value: fraction.to_string(), allowed: "0 to 1, 1 excluded" })
    }
}

/// Holds out exactly `floor(len * fraction)` pairs, uniformly without replacement.
///
/// # Errors
/// [`DataError::Option`] when `fraction` is not in `0..1`.
pub fn random(data: &Interactions, fraction: f64, seed: u64) -> Result<(Interactions, Interactions), DataError> {
    Ok(data.partition(&random_marks(data, fraction, seed)?))
}

/// Holds out exactly `floor(d_u * fraction)` of each user's `d_u` items, uniformly without replacement, so that every
/// user keeps at least one.
///
/// # Errors
/// [`DataError::Option`] when `fraction` is not in `0..1`.
pub fn per_user(data: &Interactions, fraction: f64, seed: u64) -> Result<(Interactions, Interactions), DataError> {
    Ok(data.partition(&per_user_marks(data, fraction, seed)?))
}

/// Holds out one item of every user who has at least two: the one with the greatest `time`, or a random one without times.
///
/// `time` runs along [`Interactions::pairs`]; of equal times the greater item id is held out.
///
/// # Panics
/// When `time` is given with another length than `data.len()`.
pub fn leave_one_out(data: &Interactions, time: Option<&[u64]>, seed: u64) -> (Interactions, Interactions) {
    data.partition(&leave_one_out_marks(data, time, seed))
}

pub(super) fn random_marks(data: &Interactions, fraction: f64, seed: u64) -> Result<Vec<bool>, DataError> {
    checked(fraction)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Ok(keep_exactly(&mut rng, data.len(), share_of(data.len(), fraction)))
}

pub(super) fn per_user_marks(data: &Interactions, fraction: f64, seed: u64) -> Result<Vec<bool>, DataError> {
    checked(fraction)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut marks = Vec::with_capacity(data.len());
    for user in 0..data.num_users() as u32 {
        let degree = data.degree(user);
        marks.extend(keep_exactly(&mut rng, degree, share_of(degree, fraction).min(degree.saturating_sub(1))));
    }
    Ok(marks)
}

pub(super) fn leave_one_out_marks(data: &Interactions, time: Option<&[u64]>, seed: u64) -> Vec<bool> {
    if let Some(time) = time {
        assert_eq!(time.len(), data.len(), "{} times for {} pairs", time.len(), data.len());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut marks = vec![false; data.len()];
    for row in data.indptr().windows(2).filter(|row| row[1] - row[0] >= 2) {
        let held = match time {
            Some(time) => (row[0]..row[1]).min_by_key(|&pair| Reverse((time[pair], pair))).expect("two pairs or more"),
            None => row[0] + below(&mut rng, (row[1] - row[0]) as u32) as usize,
        };
        marks[held] = true;
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(users: u32, items: u32) -> Interactions {
        let pairs = (0..users * items).map(|n| (n / items, n % items));
        Interactions::from_pairs(users as usize, items as usize, pairs).unwrap()
    }

    fn assert_complete(all: &Interactions, kept: &Interactions, held: &Interactions) {
        assert_eq!(kept.len() + held.len(), all.len());
        assert!(all.pairs().all(|(user, item)| kept.contains(user, item) != held.contains(user, item)));
    }

    #[test]
    fn random_holds_out_an_exact_number() {
        let all = square(20, 17);
        let (kept, held) = random(&all, 0.25, 3).unwrap();
        assert_eq!(held.len(), 85);
        assert_complete(&all, &kept, &held);
        assert_eq!(random(&all, 0.25, 3).unwrap().1, held);
        assert_ne!(random(&all, 0.25, 4).unwrap().1, held);
    }

    #[test]
    fn per_user_leaves_everyone_a_training_item() {
        let all = Interactions::from_pairs(4, 10, (0..10).map(|i| (0, i)).chain([(1, 5), (2, 1), (2, 2)])).unwrap();
        let (kept, held) = per_user(&all, 0.9, 3).unwrap();
        assert_complete(&all, &kept, &held);
        assert_eq!(held.user_degrees(), [9, 0, 1, 0]);
    }

    #[test]
    fn leave_one_out_takes_the_latest() {
        let all = Interactions::from_pairs(3, 5, [(0, 0), (0, 2), (0, 4), (1, 1), (2, 3), (2, 4)]).unwrap();
        let (kept, held) = leave_one_out(&all, Some(&[7, 9, 8, 1, 5, 5]), 0);
        assert_eq!(held.pairs().collect::<Vec<_>>(), [(0, 2), (2, 4)]);
        assert_complete(&all, &kept, &held);
        let (kept, held) = leave_one_out(&all, None, 8);
        assert_eq!(held.user_degrees(), [1, 0, 1]);
        assert_complete(&all, &kept, &held);
    }

    #[test]
    fn fractions_outside_the_range_are_refused() {
        for fraction in [-0.1, 1.0, f64::NAN] {
            assert!(random(&square(2, 2), fraction, 0).is_err() && per_user(&square(2, 2), fraction, 0).is_err());
        }
    }
}
