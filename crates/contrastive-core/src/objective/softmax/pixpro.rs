//! Contrast of positions: cells of two crops that see the same place of an image (PixPro and PixContrast).

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::host::like;
use crate::objective::engine::grouped::{Grouped, GroupedInputs};
use crate::objective::{PairObjective, Placement, PositiveWeights, Reduction, check_types, computed_in};
use crate::pairs::{PairLists, Pairs};
use crate::similarity::{Compared, Similarity};
use burn::tensor::Tensor;
use rayon::prelude::*;
use std::sync::Arc;

/// The number of pairs that the sum over them is divided by: 1e-6 more, in f32, as the released code has it in every type. Nothing is
/// left of that from 32 pairs on, and an image without pairs divides 0 by it.
fn divisor(pairs: usize) -> f64 {
    f64::from(pairs as f32 + 1e-6)
}

/// Where a crop lies in its image, in units of the image; a horizontal flip swaps `x0` and `x1`, a vertical one `y0` and `y1`.
///
/// The released code's convention for an image of `W` x `H` pixels and a crop of `w` x `h` at column j and row i is
/// `x0 = j / (W - 1)`, `x1 = (j + w - 1) / (W - 1)`, and likewise for y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropBox {
    corners: [f64; 4],
}

impl CropBox {
    /// `[x0, y0, x1, y1]`.
    ///
    /// # Errors
    /// When a number is not finite, or the box has no area.
    pub fn new(corners: [f64; 4]) -> Result<Self, ObjectiveError> {
        let [x0, y0, x1, y1] = corners;
        if let Some(&value) = corners.iter().find(|v| !v.is_finite()) {
            return Err(ObjectiveError::Outside { name: "corner of a crop", value, allowed: "the finite numbers" });
        }
        let area = ((x1 - x0) * (y1 - y0)).abs();
        positive("area of a crop", area)?;
        Ok(Self { corners })
    }

    /// The centre of cell (column u, row v) of a map of `height` x `width` cells.
    fn centre(&self, [height, width]: [usize; 2], u: usize, v: usize) -> [f64; 2] {
        let [x0, y0, x1, y1] = self.corners;
        [(u as f64 + 0.5) * (x1 - x0) / width as f64 + x0, (v as f64 + 0.5) * (y1 - y0) / height as f64 + y0]
    }

    /// The diagonal of a cell.
    fn diagonal(&self, [height, width]: [usize; 2]) -> f64 {
        let [x0, y0, x1, y1] = self.corners;
        ((x1 - x0) / width as f64).hypot((y1 - y0) / height as f64)
    }
}

/// Which cells see the same place (Xie et al. 2021, equation 1): for each cell of the first crop (number `v width + u`) the cells of
/// the second one whose centre is nearer than `threshold` times the larger of the two cell diagonals.
///
/// # Errors
/// When the threshold is not a finite number above 0.
///
/// # Panics
/// When a map has no cells.
pub fn same_place(
    first: CropBox,
    second: CropBox,
    [height, width]: [usize; 2],
    threshold: f64,
) -> Result<PairLists, ObjectiveError> {
    positive("distance threshold", threshold)?;
    assert!(height > 0 && width > 0, "a map of {height} x {width} cells");
    let shape = [height, width];
    let limit = first.diagonal(shape).max(second.diagonal(shape));
    let centres = |crop: CropBox| -> Vec<[f64; 2]> {
        (0..height * width).map(|cell| crop.centre(shape, cell % width, cell / width)).collect()
    };
    let others = centres(second);
    let (mut offsets, mut columns) = (vec![0], Vec::new());
    for [x, y] in centres(first) {
        let near = |[p, q]: &[f64; 2]| ((x - p).powi(2) + (y - q).powi(2)).sqrt() / limit < threshold;
        columns.extend(others.iter().enumerate().filter(|(_, c)| near(c)).map(|(j, _)| j as u32));
        offsets.push(columns.len());
    }
    PairLists::new(offsets, columns, None)
}

/// Lists for every image of a batch.
fn places(boxes: [&[CropBox]; 2], maps: [[usize; 4]; 2], threshold: f64) -> Vec<PairLists> {
    let [b, _, height, width] = maps[0];
    assert_eq!(maps[0], maps[1], "the shapes of the two crops' maps");
    assert!(b > 0, "maps of no images");
    assert_eq!([boxes[0].len(), boxes[1].len()], [b, b], "crops of [first, second] view and images");
    let images = boxes[0].par_iter().zip(boxes[1]);
    let one =
        |(p, q): (&CropBox, &CropBox)| same_place(*p, *q, [height, width], threshold).expect("checked when it was set");
    images.map(one).collect()
}

/// `[B, D, h, w]` to `[B, h w, D]`: cell (u, v) is row `v w + u`.
fn cells(map: Tensor<4>) -> Tensor<3> {
    let [b, d, height, width] = map.dims();
    map.reshape([b, d, height * width]).swap_dims(1, 2)
}

/// The consistency of propagated features (PixPro, Xie et al. 2021, equation 4), from one view to the other: for each image
///
/// ```text
/// -(mean over the pairs of cells that see the same place of cos(y_i, x'_j))
/// ```
///
/// and the mean over images; an image whose crops do not meet counts as 0. (As in the released code the mean divides by 1e-6 more than
/// the number of pairs, in f32.) y are the smoothed features of one crop
/// ([`propagate`]), x' the momentum encoder's of the other. The paper adds both ways; the released code takes each twice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixPro {
    threshold: f64,
}

impl PixPro {
    /// With this threshold of distance, in diagonals of a cell (paper: 0.7).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(threshold: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { threshold: positive("distance threshold", threshold)? })
    }

    /// Maps `[B, D, h, w]` of the crops `first` and `second`; the value is `[1]`, attached to both maps where they carry a gradient:
    /// detach the momentum encoder's. No similarities are made: `sum_ij A_ij y_i . x'_j = sum_i y_i . (A x')_i`.
    ///
    /// # Panics
    /// When the shapes of the maps differ, or there are not as many crops as images.
    pub fn loss(&self, y: Tensor<4>, x: Tensor<4>, first: &[CropBox], second: &[CropBox]) -> Tensor<1> {
        let [b, d, height, width] = y.dims();
        let n = height * width;
        let lists = places([first, second], [y.dims(), x.dims()], self.threshold);
        check_types(&[("the first crops' maps", y.dtype()), ("the second crops' maps", x.dtype())]);
        let dtype = computed_in(y.dtype());
        let unit = |map: &Tensor<4>| {
            let map = map.clone().inner().cast(dtype);
            Compared::new(Similarity::Cosine, cells(map).reshape([b * n, d]))
        };
        let (from, to) = (unit(&y), unit(&x));
        let mut mask = vec![0.0; b * n * n];
        for (list, mask) in lists.iter().zip(mask.chunks_exact_mut(n * n)) {
            let share = -1.0 / (b as f64 * divisor(list.columns.len()));
            for (i, row) in mask.chunks_exact_mut(n).enumerate() {
                list.of(i).iter().for_each(|&j| row[j as usize] = share);
            }
        }
        let mask: Tensor<3> = like(mask, [b, n, n], &from.rows);
        let rows = |side: &Compared| -> Tensor<3> { side.rows.clone().reshape([b, n, d]) };
        let pulled = mask.clone().matmul(rows(&to));
        let value = (rows(&from) * pulled.clone()).sum();
        let back = |side: &Compared, gradient: Tensor<3>| -> Tensor<4> {
            let raw: Tensor<3> = side.backward(gradient.reshape([b * n, d])).reshape([b, n, d]);
            raw.swap_dims(1, 2).reshape([b, d, height, width])
        };
        let by_y = y.is_tracked().then(|| back(&from, pulled));
        let by_x = x.is_tracked().then(|| back(&to, mask.swap_dims(1, 2).matmul(rows(&from))));
        attach_gradients(value, [(&y, by_y), (&x, by_x)])
    }
}

/// Contrast of positions with negatives (PixContrast, Xie et al. 2021, equation 2), from one view to the other: for each cell i that sees
/// a place of the other crop,
///
/// ```text
/// -log( sum_{j at the same place} e^{cos(x_i, x'_j) / t} / sum_{all cells j of the image's other crop} e^{cos(x_i, x'_j) / t} )
/// ```
///
/// the mean over these cells, then over images; an image whose crops do not meet counts as 0.
#[derive(Clone, Debug)]
pub struct PixContrast {
    threshold: f64,
    contrast: Grouped,
}

impl PixContrast {
    /// With this temperature (paper: 0.3) and this threshold of distance, in diagonals of a cell (paper: 0.7).
    ///
    /// # Errors
    /// When one of them is not a finite number above 0.
    pub fn new(temperature: f64, threshold: f64) -> Result<Self, ObjectiveError> {
        let objective = PairObjective::new(temperature)?
            .with_placement(Placement::Inside)
            .with_positive_weights(PositiveWeights::Sum)
            .with_reduction(Reduction::MeanWithPositives);
        let threshold = positive("distance threshold", threshold)?;
        Ok(Self { threshold, contrast: Grouped::new(objective) })
    }

    /// Maps `[B, D, h, w]` of the crops `first` and `second`; the value is `[1]`, attached to both maps where they carry a gradient.
    ///
    /// # Panics
    /// When the shapes of the maps differ, or there are not as many crops as images.
    pub fn loss(&self, x: Tensor<4>, other: Tensor<4>, first: &[CropBox], second: &[CropBox]) -> Tensor<1> {
        let lists = places([first, second], [x.dims(), other.dims()], self.threshold);
        let pairs = lists.into_iter().map(|list| Pairs::Lists(Arc::new(list))).collect();
        self.contrast.clone().with_pairs(pairs).loss(&GroupedInputs::new(cells(x), cells(other)))
    }
}

/// The pixel propagation module (Xie et al. 2021, equation 3) without its transform: every cell becomes the sum of the
/// transformed features of all cells of its map, weighted by `max(cos(x_i, x_j), 0)^sharpness`,
///
/// ```text
/// y_i = unit( sum_j max(cos(x_i, x_j), 0)^gamma unit(g_j) )
/// ```
///
/// with both features of length 1, as in the released code. Differentiable by plain tensor operations; `B (h w)^2` similarities.
///
/// # Shapes
/// - x, transformed: `[B, D, h, w]` and `[B, E, h, w]`
/// - output: `[B, E, h, w]`
///
/// # Errors
/// When the sharpness is negative, infinite or NaN.
///
/// # Panics
/// When the numbers of images or the sizes of the maps differ.
pub fn propagate(x: Tensor<4>, transformed: Tensor<4>, sharpness: f64) -> Result<Tensor<4>, ObjectiveError> {
    not_negative("sharpness of the propagation", sharpness)?;
    let ([b, d, height, width], [c, e, h, w]) = (x.dims(), transformed.dims());
    assert_eq!([b, height, width], [c, h, w], "maps [{b}, {d}, {height}, {width}] and [{c}, {e}, {h}, {w}]");
    check_types(&[("maps", x.dtype()), ("transformed maps", transformed.dtype())]);
    let unit = |rows: Tensor<3>| {
        let lengths = (rows.clone() * rows.clone()).sum_dim(2).clamp_min(1e-24).sqrt();
        rows / lengths
    };
    let from = unit(cells(x));
    let similar = from.clone().matmul(from.swap_dims(1, 2)).clamp_min(0.0);
    let weights = match sharpness {
        1.0 => similar,
        2.0 => similar.clone() * similar,
        // a power below 1 has no slope at 0
        s if s < 1.0 => (similar + 1e-6).powf_scalar(s),
        s => similar.powf_scalar(s),
    };
    let smooth = unit(weights.matmul(unit(cells(transformed))));
    Ok(smooth.swap_dims(1, 2).reshape([b, e, height, width]))
}

/// A map of rows on every cell of maps: a head at each position, a 1 x 1 convolution.
///
/// # Shapes
/// - map: `[B, D, h, w]`
/// - f: `[B h w, D]` to `[B h w, E]`
/// - output: `[B, E, h, w]`
///
/// # Panics
/// When f changes the number of rows.
pub fn on_cells(map: Tensor<4>, f: impl FnOnce(Tensor<2>) -> Tensor<2>) -> Tensor<4> {
    let [b, d, height, width] = map.dims();
    let n = height * width;
    let rows = f(cells(map).reshape([b * n, d]));
    let [made, e] = rows.dims();
    assert_eq!(made, b * n, "rows that a map of {b} x {n} cells became");
    let rows: Tensor<3> = rows.reshape([b, n, e]);
    rows.swap_dims(1, 2).reshape([b, e, height, width])
}
