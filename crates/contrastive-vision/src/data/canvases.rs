//! Pictures made of several images, so that every place has a label of its own.

use crate::VisionError;
use contrastive_data::image::{ImageSet, Images};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Canvases of `side x side` tiles.
#[derive(Clone, Debug)]
pub struct Canvases {
    /// The pictures; as wholes they have no labels.
    pub images: ImageSet,
    /// Tiles along a side.
    pub side: usize,
    /// The label of each tile, `[images, side, side]` row by row.
    pub labels: Vec<u32>,
}

impl Canvases {
    /// `count` canvases of `side x side` labelled images of a set, drawn with replacement.
    ///
    /// # Errors
    /// When a number is 0 or no image has a label.
    pub fn new(set: &ImageSet, side: usize, count: usize, seed: u64) -> Result<Self, VisionError> {
        let (rows, known) = set.labelled();
        if side == 0 || count == 0 || rows.is_empty() {
            let what = format!("{count} canvases of {side} x {side} of {} labelled images: none may be 0", rows.len());
            return Err(VisionError::images(set.name(), what));
        }
        let [channels, height, width] = set.shape();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut pixels, mut labels) = (vec![0; count * channels * height * width * side * side], Vec::new());
        let size = [channels, side * height, side * width];
        for canvas in 0..count {
            for tile in 0..side * side {
                let drawn = rng.random_range(0..rows.len());
                labels.push(known[drawn]);
                let (top, left) = (tile / side * height, tile % side * width);
                for (at, value) in set.bytes(rows[drawn]).iter().enumerate() {
                    let [channel, row, column] = [at / (height * width), at / width % height, at % width];
                    let row = (canvas * channels + channel) * size[1] + top + row;
                    pixels[row * size[2] + left + column] = *value;
                }
            }
        }
        let images = ImageSet::new(Images {
            name: format!("{} as canvases", set.name()),
            shape: size,
            white: set.white(),
            pixels,
            labels: vec![-1; count],
            classes: set.classes().to_vec(),
            ids: (0..count).map(|at| at.to_string()).collect(),
            notes: Vec::new(),
        })?;
        Ok(Self { images, side, labels })
    }

    /// The labels of the cells of feature maps `[images, height, width]`, row by row: of the tile that a cell's middle lies in.
    pub fn of_cells(&self, [height, width]: [usize; 2]) -> Vec<u32> {
        let tile = |at: usize, cells: usize| (2 * at + 1) * self.side / (2 * cells);
        let one = |canvas: usize| {
            let tiles = &self.labels[canvas * self.side * self.side..][..self.side * self.side];
            let cell = move |at: usize| tiles[tile(at / width, height) * self.side + tile(at % width, width)];
            (0..height * width).map(cell)
        };
        (0..self.images.len()).flat_map(one).collect()
    }
}
