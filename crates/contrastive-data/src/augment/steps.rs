//! Recipes of random steps.

use super::colour::{adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, erase, grey, solarise};
use super::filter::gaussian_blur;
use super::geometry::{Affine, Interpolation, affine, flip, resized_crop};
use crate::image::Picture;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A setting of a view outside of its range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{step}: {setting} is {value}; allowed is {allowed}")]
pub struct AugmentError {
    /// The step.
    pub step: &'static str,
    /// The setting.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

/// A random change of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Step {
    /// A part of random area and shape at a random place, scaled to the size of the views; ten tries, then the middle.
    Crop {
        /// Its share of the image, `[low, high]`, in (0, 1].
        area: [f64; 2],
        /// Width over height, `[low, high]`, uniform in the logarithm.
        aspect: [f64; 2],
        /// How it is scaled.
        interpolation: Interpolation,
        /// Its place within what is free is the median of `2 centre - 1` uniform numbers, a Beta(centre, centre) number: 1 is
        /// uniform, more keeps to the middle.
        centre: usize,
    },
    /// A part of random area and shape whose middle lies in a fixed box of the image, mostly near the box's edges (the centre-biased crop of
    /// Wu et al. 2023, a ContrastiveCrop without relocalisation): along each axis the place is `low + (high - low) b`, where low and high
    /// are those at which the middle lies on the box's edges, kept within the image, and b is a Beta(beta, beta) number.
    BoxedCrop {
        /// Its share of the image, `[low, high]`, in (0, 1].
        area: [f64; 2],
        /// Width over height, `[low, high]`, uniform in the logarithm.
        aspect: [f64; 2],
        /// How it is scaled.
        interpolation: Interpolation,
        /// Top, left, bottom, right of the box, as shares of the image (paper: 0.25, 0.25, 0.75, 0.75).
        within: [f64; 4],
        /// The shape of the law (paper: 0.1 on small images, 0.6 on ImageNet); below 1 it prefers the edges, at most 10.
        beta: f64,
    },
    /// A part of exactly this height and width at a random place.
    Window {
        /// Height and width.
        size: [usize; 2],
    },
    /// Left and right exchanged.
    Flip,
    /// Turned, scaled, sheared and moved, by one bilinear warp with zeros beyond the border. The view has no box then.
    Affine {
        /// Degrees to either side.
        turn: f64,
        /// The scale is within this of 1.
        scale: f64,
        /// Degrees of shear along x, to either side.
        shear: f64,
        /// Pixels in each direction.
        shift: f64,
    },
    /// Brightness, contrast, saturation and hue in random order. Factors are uniform within so much of 1 (not below 0), the hue within so
    /// many turns of 0.
    Jitter {
        /// At least 0.
        brightness: f64,
        /// At least 0.
        contrast: f64,
        /// At least 0.
        saturation: f64,
        /// 0 to 0.5.
        hue: f64,
    },
    /// All pixels times one factor within this of 1, which may leave 0 to 1.
    Light(f64),
    /// Grey in as many channels.
    Grey,
    /// A Gaussian blur.
    Blur {
        /// Deviation in pixels, `[low, high]`.
        sigma: [f64; 2],
        /// Pixels, odd; `None`: the odd number nearest to a tenth of the side.
        kernel: Option<usize>,
    },
    /// `1 - x` from this value on.
    Solarise(f64),
    /// Normal numbers of this deviation added; nothing below 0 remains.
    Noise(f64),
    /// A part of random area and shape set to a value.
    Erase {
        /// Its share of the image, `[low, high]`.
        area: [f64; 2],
        /// Width over height, `[low, high]`.
        aspect: [f64; 2],
        /// The value.
        value: f64,
    },
    /// A square of so many pixels set to 0.
    Block(usize),
}

/// A step and how often it is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// 0 to 1.
    pub probability: f64,
    /// The step.
    pub step: Step,
}

/// A recipe for views of one size: steps in order, each taken with its probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augmentation {
    /// Height and width of the views; what no crop has brought to it is scaled at the end.
    pub size: [usize; 2],
    /// The steps.
    pub steps: Vec<Chance>,
}

/// A view of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Its pixels.
    pub picture: Picture<f32>,
    /// The part of the image it shows, `[x0, y0, x1, y1]` in the units of [PixPro's code]: for an image of W x H pixels and a part of
    /// w x h at column j and row i, `x0 = j / (W - 1)`, `x1 = (j + w - 1) / (W - 1)`, and likewise for y. A flip swaps x0 and x1.
    /// `None` where it was turned or sheared.
    ///
    /// [PixPro's code]: https://github.com/zdaxie/PixPro
    pub crop: Option<[f64; 4]>,
}

fn within(rng: &mut ChaCha8Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

fn about(rng: &mut ChaCha8Rng, reach: f64) -> f64 {
    within(rng, [-reach, reach])
}

pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Height and width of a part of random area and shape; `None` after ten tries.
fn part(rng: &mut ChaCha8Rng, [height, width]: [usize; 2], area: [f64; 2], aspect: [f64; 2]) -> Option<[usize; 2]> {
    let logs = aspect.map(f64::ln);
    (0..10).find_map(|_| {
        let size = (height * width) as f64 * within(rng, area);
        let ratio = within(rng, logs).exp();
        let [h, w] = [(size / ratio).sqrt().round() as usize, (size * ratio).sqrt().round() as usize];
        (1..=height).contains(&h).then_some(()).and((1..=width).contains(&w).then_some([h, w]))
    })
}

/// The largest part in the middle whose shape is allowed.
fn middle([height, width]: [usize; 2], [low, high]: [f64; 2]) -> [usize; 4] {
    let ratio = width as f64 / height as f64;
    let (h, w) = match ratio {
        r if r < low => ((width as f64 / low).round() as usize, width),
        r if r > high => (height, (height as f64 * high).round() as usize),
        _ => (height, width),
    };
    let (h, w) = (h.clamp(1, height), w.clamp(1, width));
    [(height - h) / 2, (width - w) / 2, h, w]
}

/// The kernel a blur has on a side of so many pixels.
fn kernel_on(side: usize, kernel: Option<usize>) -> usize {
    let wanted = kernel.unwrap_or_else(|| 2 * ((side as f64 * 0.1 / 2.0).round() as usize).max(1) + 1);
    // the reflection reaches over the side at most
    wanted.min(2 * (side - 1) + 1)
}

impl Step {
    /// Always.
    pub fn always(self) -> Chance {
        self.with(1.0)
    }

    /// With this probability.
    pub fn with(self, probability: f64) -> Chance {
        Chance { probability, step: self }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Crop { .. } => "crop",
            Self::BoxedCrop { .. } => "boxed crop",
            Self::Window { .. } => "window",
            Self::Flip => "flip",
            Self::Affine { .. } => "affine",
            Self::Jitter { .. } => "jitter",
            Self::Light(_) => "light",
            Self::Grey => "grey",
            Self::Blur { .. } => "blur",
            Self::Solarise(_) => "solarise",
            Self::Noise(_) => "noise",
            Self::Erase { .. } => "erase",
            Self::Block(_) => "block",
        }
    }

    /// Checks the step on images of this height and width, which become those of its result; adds what it warns of.
    fn validate(&self, size: &mut [usize; 2], to: [usize; 2], notes: &mut Vec<String>) -> Result<(), AugmentError> {
        let that = |good: bool, setting: &'static str, value: String, allowed: &str| match good {
            true => Ok(()),
            false => Err(AugmentError { step: self.name(), setting, value, allowed: allowed.into() }),
        };
        let range = |setting, [low, high]: [f64; 2], most: f64| {
            let good = low > 0.0 && low <= high && high <= most && high.is_finite();
            let allowed = if most == 1.0 { "0 < low <= high <= 1" } else { "0 < low <= high" };
            that(good, setting, format!("{low} to {high}"), allowed)
        };
        let weight = |setting, value: f64| {
            that(value.is_finite() && value >= 0.0, setting, value.to_string(), "a finite number of at least 0")
        };
        match self {
            Self::Crop { area, aspect, centre, .. } => {
                range("area", *area, 1.0)?;
                range("aspect", *aspect, f64::INFINITY)?;
                that(*centre > 0 && *centre < 100, "centre", centre.to_string(), "1 to 99")?;
                *size = to;
            }
            Self::BoxedCrop { area, aspect, within: [top, left, bottom, right], beta, .. } => {
                range("area", *area, 1.0)?;
                range("aspect", *aspect, f64::INFINITY)?;
                let ordered =
                    0.0 <= *top && top < bottom && *bottom <= 1.0 && 0.0 <= *left && left < right && *right <= 1.0;
                let value = format!("top {top}, left {left}, bottom {bottom}, right {right}");
                that(ordered, "within", value, "0 <= top < bottom <= 1 and 0 <= left < right <= 1")?;
                that(*beta > 0.0 && *beta <= 10.0, "beta", beta.to_string(), "above 0, at most 10")?;
                *size = to;
            }
            Self::Window { size: wanted } => {
                let good = (1..=size[0]).contains(&wanted[0]) && (1..=size[1]).contains(&wanted[1]);
                let allowed = format!("at most the image, {} x {}, and at least 1 x 1", size[0], size[1]);
                that(good, "size", format!("{} x {}", wanted[0], wanted[1]), &allowed)?;
                *size = *wanted;
            }
            Self::Affine { turn, scale, shear, shift } => {
                [("turn", turn), ("shift", shift)].iter().try_for_each(|(name, value)| weight(name, **value))?;
                that((0.0..1.0).contains(scale), "scale", scale.to_string(), "0 to 1, 1 excluded")?;
                that((0.0..90.0).contains(shear), "shear", shear.to_string(), "0 to 90 degrees, 90 excluded")?;
            }
            Self::Jitter { brightness, contrast, saturation, hue } => {
                weight("brightness", *brightness)?;
                weight("contrast", *contrast)?;
                weight("saturation", *saturation)?;
                that((0.0..=0.5).contains(hue), "hue", hue.to_string(), "0 to 0.5 turns")?;
            }
            Self::Light(reach) => that((0.0..=1.0).contains(reach), "reach", reach.to_string(), "0 to 1")?,
            Self::Blur { sigma, kernel } => {
                range("sigma", *sigma, f64::INFINITY)?;
                if let Some(kernel) = kernel {
                    that(kernel % 2 == 1, "kernel", kernel.to_string(), "an odd number")?;
                    let most = kernel_on(size[0].min(size[1]), Some(*kernel));
                    if most < *kernel {
                        notes.push(format!(
                            "blur: a kernel of {kernel} pixels on images of {} x {}: it is reduced to {most}",
                            size[0], size[1]
                        ));
                    }
                }
            }
            Self::Solarise(value) => that((0.0..=1.0).contains(value), "threshold", value.to_string(), "0 to 1")?,
            Self::Noise(deviation) => weight("deviation", *deviation)?,
            Self::Erase { area, aspect, value } => {
                range("area", *area, 1.0)?;
                range("aspect", *aspect, f64::INFINITY)?;
                that((0.0..=1.0).contains(value), "value", value.to_string(), "0 to 1")?;
            }
            Self::Block(side) => {
                let most = size[0].min(size[1]);
                that((1..=most).contains(side), "side", side.to_string(), &format!("1 to {most}, the image's"))?;
            }
            Self::Flip | Self::Grey => {}
        }
        Ok(())
    }

    fn apply(&self, view: &mut View, to: [usize; 2], rng: &mut ChaCha8Rng) {
        let picture = &mut view.picture;
        let [height, width] = [picture.height, picture.width];
        match self {
            Self::Crop { area, aspect, interpolation, centre } => {
                let window = match part(rng, [height, width], *area, *aspect) {
                    Some([h, w]) => {
                        let mut place = |free: usize| {
                            let mut all: Vec<f64> = (0..2 * centre - 1).map(|_| rng.random()).collect();
                            all.sort_by(f64::total_cmp);
                            ((all[centre - 1] * (free + 1) as f64) as usize).min(free)
                        };
                        [place(height - h), place(width - w), h, w]
                    }
                    None => middle([height, width], *aspect),
                };
                view.cut(window, to, *interpolation);
            }
            Self::BoxedCrop { area, aspect, interpolation, within: [top, left, bottom, right], beta } => {
                let window = match part(rng, [height, width], *area, *aspect) {
                    Some([h, w]) => {
                        let mut place = |side: usize, own: usize, low: f64, high: f64| {
                            let at =
                                |edge: f64| (side as f64 * edge - own as f64 / 2.0).clamp(0.0, (side - own) as f64);
                            let b = super::mixup::beta(*beta, rng);
                            ((at(low) + (at(high) - at(low)) * b).round() as usize).min(side - own)
                        };
                        [place(height, h, *top, *bottom), place(width, w, *left, *right), h, w]
                    }
                    None => middle([height, width], *aspect),
                };
                view.cut(window, to, *interpolation);
            }
            Self::Window { size: [h, w] } => {
                let window = [rng.random_range(0..=height - h), rng.random_range(0..=width - w), *h, *w];
                *picture = resized_crop(picture, window, [*h, *w], Interpolation::Nearest, false);
                view.crop = view.crop.map(|crop| cut(crop, window, [height, width]));
            }
            Self::Flip => {
                *picture = flip(picture);
                view.crop = view.crop.map(|[x0, y0, x1, y1]| [x1, y0, x0, y1]);
            }
            Self::Affine { turn, scale, shear, shift } => {
                let by = Affine {
                    turn: about(rng, *turn),
                    scale: 1.0 + about(rng, *scale),
                    shear: [about(rng, *shear), 0.0],
                    shift: [about(rng, *shift), about(rng, *shift)],
                };
                *picture = affine(picture, &by, Interpolation::Bilinear, None);
                view.crop = None;
            }
            Self::Jitter { brightness, contrast, saturation, hue } => {
                let mut factor = |reach: f64| within(rng, [(1.0 - reach).max(0.0), 1.0 + reach]);
                let factors = [factor(*brightness), factor(*contrast), factor(*saturation)];
                let by = about(rng, *hue);
                let mut order = [0, 1, 2, 3];
                (1..4).rev().for_each(|k| order.swap(k, rng.random_range(0..=k)));
                for which in order {
                    match which {
                        0 if *brightness > 0.0 => adjust_brightness(picture, factors[0]),
                        1 if *contrast > 0.0 => adjust_contrast(picture, factors[1]),
                        2 if *saturation > 0.0 => adjust_saturation(picture, factors[2]),
                        3 if *hue > 0.0 => adjust_hue(picture, by),
                        _ => {}
                    }
                }
            }
            Self::Light(reach) => {
                let factor = (1.0 + about(rng, *reach)) as f32;
                picture.data.iter_mut().for_each(|x| *x *= factor);
            }
            Self::Grey => grey(picture),
            Self::Blur { sigma, kernel } => {
                let sigma = within(rng, *sigma);
                let kernel = [kernel_on(width, *kernel), kernel_on(height, *kernel)];
                *picture = gaussian_blur(picture, kernel, [sigma; 2]);
            }
            Self::Solarise(threshold) => solarise(picture, *threshold),
            Self::Noise(deviation) => {
                picture.data.iter_mut().for_each(|x| *x = (*x + (deviation * normal(rng)) as f32).max(0.0));
            }
            Self::Erase { area, aspect, value } => {
                if let Some([h, w]) = part(rng, [height, width], *area, *aspect) {
                    let window = [rng.random_range(0..=height - h), rng.random_range(0..=width - w), h, w];
                    erase(picture, window, *value);
                }
            }
            Self::Block(side) => {
                let window = [rng.random_range(0..=height - side), rng.random_range(0..=width - side), *side, *side];
                erase(picture, window, 0.0);
            }
        }
    }
}

/// The box of a window `[top, left, height, width]` of a view that has the box `crop` and so many pixels.
fn cut([x0, y0, x1, y1]: [f64; 4], [top, left, h, w]: [usize; 4], [height, width]: [usize; 2]) -> [f64; 4] {
    let along =
        |from: f64, to: f64, at: usize, side: usize| from + (to - from) * at as f64 / (side as f64 - 1.0).max(1.0);
    [
        along(x0, x1, left, width),
        along(y0, y1, top, height),
        along(x0, x1, left + w - 1, width),
        along(y0, y1, top + h - 1, height),
    ]
}

impl View {
    /// Keeps a window, scaled.
    fn cut(&mut self, window: [usize; 4], to: [usize; 2], interpolation: Interpolation) {
        let from = [self.picture.height, self.picture.width];
        self.picture = resized_crop(&self.picture, window, to, interpolation, true);
        if interpolation == Interpolation::Bicubic {
            self.picture.data.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
        }
        self.crop = self.crop.map(|crop| cut(crop, window, from));
    }
}

impl Augmentation {
    /// Views of `size x size` pixels without a step.
    pub fn new(size: usize) -> Self {
        Self { size: [size, size], steps: Vec::new() }
    }

    /// With one more step.
    #[must_use]
    pub fn then(mut self, chance: Chance) -> Self {
        self.steps.push(chance);
        self
    }

    /// Checks every step on images of this height and width; what is reduced or in doubt comes back as a list of warnings.
    ///
    /// # Errors
    /// With the step and the setting that is out of range.
    pub fn validate(&self, from: [usize; 2]) -> Result<Vec<String>, AugmentError> {
        let wrong = |setting, value: String, allowed: &str| AugmentError {
            step: "view",
            setting,
            value,
            allowed: allowed.into(),
        };
        if self.size.contains(&0) {
            return Err(wrong("size", format!("{} x {}", self.size[0], self.size[1]), "sides of 1 and more"));
        }
        let (mut size, mut notes) = (from, Vec::new());
        for chance in &self.steps {
            if !(0.0..=1.0).contains(&chance.probability) {
                let error = wrong("probability", chance.probability.to_string(), "0 to 1");
                return Err(AugmentError { step: chance.step.name(), ..error });
            }
            chance.step.validate(&mut size, self.size, &mut notes)?;
        }
        Ok(notes)
    }

    /// A view of a picture.
    ///
    /// # Panics
    /// When the steps do not fit the picture (see [`validate`](Self::validate)).
    pub fn apply(&self, picture: Picture<f32>, rng: &mut ChaCha8Rng) -> View {
        let mut view = View { picture, crop: Some([0.0, 0.0, 1.0, 1.0]) };
        for chance in &self.steps {
            if chance.probability >= 1.0 || rng.random::<f64>() < chance.probability {
                chance.step.apply(&mut view, self.size, rng);
            }
        }
        let (height, width) = (view.picture.height, view.picture.width);
        if [height, width] != self.size {
            view.picture = resized_crop(&view.picture, [0, 0, height, width], self.size, Interpolation::Bilinear, true);
        }
        view
    }
}
