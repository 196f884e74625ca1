//! One image as numbers.

use num_traits::Float;

/// An image of numbers, 0 (black) to 1 (white): `channels x height x width`, rows from the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture<T> {
    /// Channels: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The numbers, by channel, row and column.
    pub data: Vec<T>,
}

impl<T: Float> Picture<T> {
    /// A picture of these numbers.
    ///
    /// # Panics
    /// When their count is not `channels x height x width`, or there are none.
    pub fn new([channels, height, width]: [usize; 3], data: Vec<T>) -> Self {
        let count = data.len();
        assert!(
            count > 0 && count == channels * height * width,
            "{count} numbers for a picture of {channels} x {height} x {width}"
        );
        Self { channels, height, width, data }
    }

    /// Channels, height and width.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Numbers of a channel.
    pub(crate) fn area(&self) -> usize {
        self.height * self.width
    }
}
