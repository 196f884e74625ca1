//! 8 x 8 digits: read, generated, seen in random views, and judged.

use contrastive::eval::EvalError;
use contrastive::eval::ndarray::Array2;
use contrastive::eval::neighbours::Knn;
use contrastive::eval::probe::{LogisticRegression, Targets};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;
use std::path::Path;

const SIDE: usize = 8;
pub const PIXELS: usize = SIDE * SIDE;

/// Rows of 64 pixels in 0..1 and their classes.
pub struct Digits {
    pub name: String,
    pub train: Array2<f32>,
    pub test: Array2<f32>,
    train_labels: Vec<u32>,
    test_labels: Vec<u32>,
}

impl Digits {
    /// The two files of optdigits in a folder; without one, generated digits.
    pub fn open(folder: Option<&Path>) -> Result<Self, Box<dyn Error>> {
        let Some(folder) = folder else {
            eprintln!("no --data: using GENERATED digits (strokes of a pixel, shifted and noisy)");
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let ((train, train_labels), (test, test_labels)) = (generated(2000, &mut rng), generated(1000, &mut rng));
            return Ok(Self { name: "generated digits".into(), train, test, train_labels, test_labels });
        };
        let (train, train_labels) = read(&folder.join("optdigits.tra"))?;
        let (test, test_labels) = read(&folder.join("optdigits.tes"))?;
        Ok(Self { name: "optdigits".into(), train, test, train_labels, test_labels })
    }

    /// A digest of what is trained on (FNV-1a).
    pub fn digest(&self) -> String {
        let bytes = self.train.iter().flat_map(|x| x.to_le_bytes());
        format!(
            "{:016x}",
            bytes.fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
        )
    }

    /// A view of each of these rows: shifted by up to one pixel, brighter or darker, noisy, and with a patch of 3 x 3 erased.
    pub fn views(&self, rows: &[usize], rng: &mut ChaCha8Rng) -> Array2<f32> {
        let mut out = Array2::zeros((rows.len(), PIXELS));
        for (row, mut view) in rows.iter().zip(out.rows_mut()) {
            let [dx, dy] = [0, 1].map(|_| rng.random_range(-1..=1i32));
            let bright = rng.random_range(0.6..1.4f32);
            let [px, py] = [0, 1].map(|_| rng.random_range(0..6i32));
            for (at, pixel) in view.iter_mut().enumerate() {
                let (x, y) = ((at % SIDE) as i32, (at / SIDE) as i32);
                let noise = rng.random_range(-0.1..0.1f32);
                let inside = (0..8).contains(&(x + dx)) && (0..8).contains(&(y + dy));
                let erased = (px..px + 3).contains(&x) && (py..py + 3).contains(&y);
                if inside && !erased {
                    *pixel = self.train[[*row, ((y + dy) * 8 + x + dx) as usize]] * bright + noise;
                }
            }
        }
        out
    }

    /// The share of test rows that their 20 nearest training rows classify rightly.
    pub fn knn(&self, train: &Array2<f32>, test: &Array2<f32>) -> Result<f64, EvalError> {
        let votes = Knn::new(20).classify(test.view(), train.view(), &self.train_labels, 10)?;
        Ok(votes.score(&self.test_labels)?.accuracy())
    }

    /// The share that a logistic regression on the training rows classifies rightly.
    pub fn probe(&self, train: &Array2<f32>, test: &Array2<f32>) -> Result<f64, EvalError> {
        let model = LogisticRegression::new(1.0).fit(train.view(), Targets::single(&self.train_labels, 10))?;
        let right = model.predict(test.view())?.iter().zip(&self.test_labels).filter(|(a, b)| a == b).count();
        Ok(right as f64 / self.test_labels.len() as f64)
    }
}

fn read(path: &Path) -> Result<(Array2<f32>, Vec<u32>), Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (at, line) in text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let numbers: Vec<u32> = line.split(',').map(|word| word.trim().parse().unwrap_or(u32::MAX)).collect();
        if numbers.len() != PIXELS + 1 || numbers[..PIXELS].iter().any(|n| *n > 16) || numbers[PIXELS] > 9 {
            return Err(
                format!("{}, line {}: 64 numbers of 0 to 16 and a digit are needed", path.display(), at + 1).into()
            );
        }
        pixels.extend(numbers[..PIXELS].iter().map(|n| *n as f32 / 16.0));
        labels.push(numbers[PIXELS]);
    }
    Ok((Array2::from_shape_vec((labels.len(), PIXELS), pixels)?, labels))
}

/// The ten digits as strokes, a row of bits each.
const STROKES: [[u8; 8]; 10] = [
    [0x3c, 0x42, 0x42, 0x42, 0x42, 0x42, 0x42, 0x3c],
    [0x08, 0x18, 0x28, 0x08, 0x08, 0x08, 0x08, 0x3e],
    [0x3c, 0x42, 0x02, 0x04, 0x08, 0x10, 0x20, 0x7e],
    [0x3c, 0x42, 0x02, 0x1c, 0x02, 0x02, 0x42, 0x3c],
    [0x04, 0x0c, 0x14, 0x24, 0x44, 0x7e, 0x04, 0x04],
    [0x7e, 0x40, 0x40, 0x7c, 0x02, 0x02, 0x42, 0x3c],
    [0x1c, 0x20, 0x40, 0x7c, 0x42, 0x42, 0x42, 0x3c],
    [0x7e, 0x02, 0x04, 0x08, 0x08, 0x10, 0x10, 0x10],
    [0x3c, 0x42, 0x42, 0x3c, 0x42, 0x42, 0x42, 0x3c],
    [0x3c, 0x42, 0x42, 0x3e, 0x02, 0x02, 0x04, 0x38],
];

fn generated(rows: usize, rng: &mut ChaCha8Rng) -> (Array2<f32>, Vec<u32>) {
    let mut pixels = Array2::zeros((rows, PIXELS));
    let labels: Vec<u32> = (0..rows).map(|_| rng.random_range(0..10)).collect();
    for (label, mut row) in labels.iter().zip(pixels.rows_mut()) {
        let [dx, dy] = [0, 1].map(|_| rng.random_range(-1..=1i32));
        let ink = rng.random_range(0.5..1.0f32);
        for (at, pixel) in row.iter_mut().enumerate() {
            let (x, y) = ((at % SIDE) as i32 + dx, (at / SIDE) as i32 + dy);
            let inside = (0..8).contains(&x) && (0..8).contains(&y);
            let stroke =
                inside && STROKES[*label as usize][y as usize] >> (7 - x) & 1 == 1 && rng.random::<f32>() > 0.15;
            let value = if stroke { ink } else { 0.0 };
            *pixel = (value + rng.random_range(-0.25..0.25f32)).clamp(0.0, 1.0);
        }
    }
    (pixels, labels)
}
