//! Every class as often as every other.

use super::{Remainder, SamplerError, by_label, generator, not_zero};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Batches in which the numbers of rows of any two classes differ by one at most; in random order. Where the batch is no
/// multiple of the number of classes, the classes take turns to have one more.
///
/// With [`Remainder::Drop`] an epoch ends before any row would come twice: it is as long as the smallest class allows. With
/// [`Remainder::Cover`] it ends when every row has come: it is as long as the largest class needs, and smaller classes come
/// round again, each time in a new order.
#[derive(Clone, Debug)]
pub struct BalancedSampler {
    rows: Vec<Vec<usize>>,
    batch: usize,
    remainder: Remainder,
    seed: u64,
}

/// The rows of a class, in an order that is drawn anew when it is used up.
struct Deck {
    order: Vec<usize>,
    next: usize,
    rounds: usize,
}

impl Deck {
    fn draw(&mut self, rng: &mut ChaCha8Rng) -> usize {
        if self.next == self.order.len() {
            self.order.shuffle(rng);
            self.next = 0;
        }
        self.next += 1;
        self.rounds += usize::from(self.next == self.order.len());
        self.order[self.next - 1]
    }
}

impl BalancedSampler {
    /// Batches of `batch` rows of these labels.
    ///
    /// # Errors
    /// When there are no labels, the batch is empty, or, with [`Remainder::Drop`], a class is too small for a single batch.
    pub fn new(labels: &[i64], batch: usize, remainder: Remainder, seed: u64) -> Result<Self, SamplerError> {
        not_zero(&[("rows of a batch", batch)])?;
        if labels.is_empty() {
            return Err(SamplerError::Empty);
        }
        let rows: Vec<Vec<usize>> = by_label(labels).into_values().collect();
        let sampler = Self { rows, batch, remainder, seed };
        let smallest = sampler.rows.iter().map(Vec::len).min().unwrap_or(0);
        let share = batch.div_ceil(sampler.rows.len());
        if remainder == Remainder::Drop && smallest < share {
            return Err(SamplerError::TooFew {
                what: "rows in the smallest class",
                available: smallest,
                needed: share,
            });
        }
        Ok(sampler)
    }

    /// The batches of an epoch, positions in the labels.
    pub fn epoch(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut rng = generator(self.seed, epoch);
        let classes = self.rows.len();
        let mut decks: Vec<Deck> = self
            .rows
            .iter()
            .map(|rows| {
                let mut order = rows.clone();
                order.shuffle(&mut rng);
                Deck { order, next: 0, rounds: 0 }
            })
            .collect();
        let mut turns: Vec<usize> = (0..classes).collect();
        turns.shuffle(&mut rng);
        let mut turn = 0;
        let mut batches = Vec::new();
        loop {
            let mut demand = vec![self.batch / classes; classes];
            (0..self.batch % classes).for_each(|k| demand[turns[(turn + k) % classes]] += 1);
            turn = (turn + self.batch % classes) % classes;
            let over = match self.remainder {
                Remainder::Drop => decks.iter().zip(&demand).any(|(d, &wanted)| d.next + wanted > d.order.len()),
                Remainder::Cover => decks.iter().all(|d| d.rounds > 0),
            };
            if over {
                return batches;
            }
            let mut batch = Vec::with_capacity(self.batch);
            for (deck, &wanted) in decks.iter_mut().zip(&demand) {
                batch.extend((0..wanted).map(|_| deck.draw(&mut rng)));
            }
            batch.shuffle(&mut rng);
            batches.push(batch);
        }
    }
}
