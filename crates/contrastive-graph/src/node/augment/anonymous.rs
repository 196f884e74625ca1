//! Anonymous walks: walks whose nodes are named by the order in which they appear (Ivanov and Burnaev, ICML 2018).

/// The pattern of a walk: `(a, b, c, b, a)` becomes `(0, 1, 2, 1, 0)`.
///
/// # Panics
/// When the walk has more than 256 different nodes.
pub fn anonymous(walk: &[u32]) -> Vec<u8> {
    let mut known: Vec<u32> = Vec::with_capacity(walk.len());
    let name = |&node: &u32| {
        let at = known.iter().position(|&other| other == node).unwrap_or_else(|| {
            known.push(node);
            known.len() - 1
        });
        u8::try_from(at).expect("at most 256 different nodes")
    };
    walk.iter().map(name).collect()
}

/// Numbers of the patterns of walks of so many steps: all sequences that begin with 0 and in which a new number is the greatest so far and
/// one (restricted growth strings), in lexicographic order. Patterns that stay at a node have numbers, too; walks on simple graphs
/// never have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternRanks {
    steps: usize,
    /// `[rest][most]`: continuations by `rest` numbers where the greatest so far is `most`.
    counts: Vec<Vec<u64>>,
}

impl PatternRanks {
    /// The most steps, so that all numbers fit.
    pub const MOST_STEPS: usize = 20;

    /// Of walks of `steps` steps.
    ///
    /// # Panics
    /// When there are more than [`MOST_STEPS`](Self::MOST_STEPS).
    pub fn new(steps: usize) -> Self {
        assert!(steps <= Self::MOST_STEPS, "patterns of {steps} steps; at most {} have numbers", Self::MOST_STEPS);
        let mut counts = vec![vec![1u64; steps + 2]];
        for rest in 1..=steps {
            let before = &counts[rest - 1];
            let row = (0..steps + 2 - rest).map(|most| (most as u64 + 1) * before[most] + before[most + 1]).collect();
            counts.push(row);
        }
        Self { steps, counts }
    }

    /// Number of patterns, the Bell number of `steps + 1`.
    pub fn len(&self) -> u64 {
        self.counts[self.steps][0]
    }

    /// Are there none? Never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The number of a pattern.
    ///
    /// # Panics
    /// When it is not one of this length.
    pub fn rank(&self, pattern: &[u8]) -> u64 {
        assert!(
            pattern.len() == self.steps + 1 && pattern[0] == 0,
            "a pattern of {} steps from 0: {pattern:?}",
            self.steps
        );
        let (mut most, mut rank) = (0usize, 0);
        for (at, &symbol) in pattern.iter().enumerate().skip(1) {
            let symbol = symbol as usize;
            assert!(symbol <= most + 1, "{symbol} after {most} at place {at} of a pattern");
            rank += symbol as u64 * self.counts[self.steps - at][most];
            most = most.max(symbol);
        }
        rank
    }

    /// The pattern of a number.
    ///
    /// # Panics
    /// When there are not as many.
    pub fn pattern(&self, mut rank: u64) -> Vec<u8> {
        assert!(rank < self.len(), "pattern number {rank} of {}", self.len());
        let (mut most, mut pattern) = (0usize, vec![0]);
        for at in 1..=self.steps {
            let known = self.counts[self.steps - at][most];
            let symbol = ((rank / known) as usize).min(most + 1);
            rank -= symbol as u64 * known;
            pattern.push(symbol as u8);
            most = most.max(symbol);
        }
        pattern
    }
}
