//! Sorting networks: fixed lists of comparators that sort any input.

use super::SortingError;

/// A sorting network on `size` wires. A comparator (a, b), a < b, leaves the smaller value on wire a and the larger on wire b;
/// the comparators of a layer touch no wire twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortingNetwork {
    size: usize,
    comparators: Vec<[u32; 2]>,
    /// Where each layer ends among the comparators.
    ends: Vec<usize>,
}

impl SortingNetwork {
    /// Odd-even transposition sort: `size` layers of neighbours, layer l starting at wire l mod 2; size (size - 1) / 2
    /// comparators.
    ///
    /// # Errors
    /// When there is no wire, or more than 2^16.
    pub fn odd_even(size: usize) -> Result<Self, SortingError> {
        Self::build(size, |network| {
            for layer in 0..size {
                network.layer((layer % 2..size).step_by(2).map(|a| [a, a + 1]));
            }
        })
    }

    /// Bitonic sort (Batcher 1968): about (log2 size)^2 / 2 layers of size / 2 comparators. Every block is merged from both
    /// ends, so that all comparators point the same way and any size will do: what lies beyond it counts as largest.
    ///
    /// # Errors
    /// When there is no wire, or more than 2^16.
    pub fn bitonic(size: usize) -> Result<Self, SortingError> {
        Self::build(size, |network| {
            let full = size.next_power_of_two();
            let mut block = 2;
            while block <= full {
                let starts = (0..full).step_by(block);
                network.layer(starts.flat_map(|s| (0..block / 2).map(move |j| [s + j, s + block - 1 - j])));
                let mut apart = block / 4;
                while apart > 0 {
                    network.layer((0..full).filter(|i| i & apart == 0).map(|i| [i, i + apart]));
                    apart /= 2;
                }
                block *= 2;
            }
        })
    }

    fn build(size: usize, fill: impl FnOnce(&mut Self)) -> Result<Self, SortingError> {
        if size == 0 || size > 1 << 16 {
            return Err(SortingError::Size(size));
        }
        let mut network = Self { size, comparators: Vec::new(), ends: Vec::new() };
        fill(&mut network);
        Ok(network)
    }

    /// Adds the comparators that lie within the wires.
    fn layer(&mut self, comparators: impl Iterator<Item = [usize; 2]>) {
        let size = self.size;
        self.comparators.extend(comparators.filter(|c| c[1] < size).map(|c| c.map(|wire| wire as u32)));
        if self.ends.last().copied().unwrap_or(0) < self.comparators.len() {
            self.ends.push(self.comparators.len());
        }
    }

    /// Number of wires.
    pub fn size(&self) -> usize {
        self.size
    }

    /// All comparators in their order.
    pub fn comparators(&self) -> &[[u32; 2]] {
        &self.comparators
    }

    /// The layers in their order; none is empty.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = &[[u32; 2]]> {
        (0..self.ends.len())
            .map(|l| &self.comparators[l.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[l]])
    }
}
