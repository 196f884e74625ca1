//! Pairs of frames k steps apart, within one episode.

use crate::error::{RlError, setting};
use crate::world::grid::Videos;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Two frames of one episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The earlier frame.
    pub from: usize,
    /// The later frame.
    pub to: usize,
    /// Steps between them.
    pub k: usize,
    /// The episode.
    pub episode: usize,
}

/// All pairs of frames 1 to `max_k` steps apart, split by episode into training and validation.
#[derive(Clone, Debug, PartialEq)]
pub struct Transitions {
    /// For training.
    pub train: Vec<Transition>,
    /// For validation; of other episodes.
    pub validation: Vec<Transition>,
    /// Episodes that are too short for a pair `max_k` apart: they give the pairs they have.
    pub short: usize,
}

impl Transitions {
    /// A share of the episodes, drawn from the seed, is for validation (0.2 in the released code).
    ///
    /// # Errors
    /// When `max_k` is 0, the share does not lie in `[0, 1)`, no episode is longer than `max_k`, or the split leaves nothing to
    /// train on.
    pub fn new(videos: &Videos, max_k: usize, validation: f64, seed: u64) -> Result<Self, RlError> {
        setting("video", "max_k", max_k, max_k > 0, "at least 1")?;
        let share = (0.0..1.0).contains(&validation);
        setting("video", "validation share", validation, share, "0 to 1, 1 excluded")?;
        let mut order: Vec<usize> = (0..videos.episodes()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(3);
        order.shuffle(&mut rng);
        let held_out = (videos.episodes() as f64 * validation).round() as usize;
        let mut is_held_out = vec![false; videos.episodes()];
        order[..held_out].iter().for_each(|e| is_held_out[*e] = true);
        let mut found = Self { train: Vec::new(), validation: Vec::new(), short: 0 };
        for (episode, held_out) in is_held_out.into_iter().enumerate() {
            let (start, end) = (videos.offsets[episode], videos.offsets[episode + 1]);
            found.short += usize::from(end - start <= max_k);
            let list = if held_out { &mut found.validation } else { &mut found.train };
            for from in start..end {
                list.extend((1..=max_k.min(end - 1 - from)).map(|k| Transition { from, to: from + k, k, episode }));
            }
        }
        let longest = videos.offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
        if found.train.is_empty() || longest <= max_k {
            return Err(RlError::Data(format!(
                "no pairs of frames {max_k} apart to train on: {} episodes, the longest of {longest} frames, {held_out} of \
                 them held out",
                videos.episodes()
            )));
        }
        Ok(found)
    }
}
