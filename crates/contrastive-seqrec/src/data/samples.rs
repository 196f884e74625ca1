//! What training learns from: a prefix and the item after it, or a list and the item after each of its positions.

use super::split::LeaveOneOut;
use std::sync::Arc;

/// A sample's list and what comes after its positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// The last L items at most.
    pub input: &'a [u32],
    /// Of prefix samples the item after the last position; of per-position samples one for each position.
    pub targets: &'a [u32],
}

/// Where samples end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Mode {
    /// A sample for every prefix of what training sees of a user, of length 1 to n - 3, and the item after it: n - 3 samples of a list of n
    /// (RecBole, DuoRec, MCLRec; ICSRec's "dynamic segments" are the same).
    #[default]
    Prefix,
    /// A sample for each user, with a target after every position (SASRec, S3-Rec, CL4SRec): some n times cheaper.
    PerPosition,
}

/// The training samples of a split. No input and no target holds a held-out event.
#[derive(Clone, Debug)]
pub struct Samples {
    split: Arc<LeaveOneOut>,
    mode: Mode,
    max_len: usize,
    /// User of the split and number of items before the last target.
    ends: Vec<(u32, u32)>,
}

impl Samples {
    /// All samples, inputs cut to their last `max_len` items.
    ///
    /// # Panics
    /// When `max_len` is 0.
    pub fn new(split: &Arc<LeaveOneOut>, mode: Mode, max_len: usize) -> Self {
        assert!(max_len > 0, "samples of at most 0 items");
        let mut ends = Vec::new();
        for (at, list) in split.train_lists().enumerate() {
            let n = list.len() as u32;
            match mode {
                Mode::Prefix => ends.extend((1..n).map(|end| (at as u32, end))),
                Mode::PerPosition => ends.extend((n > 1).then(|| (at as u32, n - 1))),
            }
        }
        Self { split: split.clone(), mode, max_len, ends }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// None, because all users have three events?
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How samples end.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The split they are from.
    pub fn split(&self) -> &Arc<LeaveOneOut> {
        &self.split
    }

    /// Sample `i`.
    ///
    /// # Panics
    /// When there is no such sample.
    pub fn get(&self, i: usize) -> Sample<'_> {
        let (at, end) = self.ends[i];
        let (list, end) = (self.split.train(at as usize), end as usize);
        let start = end.saturating_sub(self.max_len);
        let targets = match self.mode {
            Mode::Prefix => &list[end..end + 1],
            Mode::PerPosition => &list[start + 1..end + 1],
        };
        Sample { input: &list[start..end], targets }
    }

    /// The user of sample `i`, as the split counts them.
    pub fn user(&self, i: usize) -> usize {
        self.ends[i].0 as usize
    }

    /// The target after the last position of sample `i`.
    pub fn target(&self, i: usize) -> u32 {
        *self.get(i).targets.last().expect("a sample has a target")
    }
}

/// ICSRec's dynamic segmentation of a list of `n` events (Qin et al. 2024, section 3.2, as the released code has it), as ranges
/// `input.start..input.end` with the target at `input.end`: prefixes of length 4 to L + 3, then every window of length L + 3, each without
/// its last two entries. These are the samples of [`Mode::Prefix`].
pub fn dynamic_segments(n: usize, max_len: usize) -> Vec<std::ops::Range<usize>> {
    let window = max_len + 3;
    let prefixes = (4..=n.min(window)).map(|m| 0..m - 3);
    let windows = (1..(n + 1).saturating_sub(window)).map(|start| start..start + window - 3);
    prefixes.chain(windows).collect()
}
