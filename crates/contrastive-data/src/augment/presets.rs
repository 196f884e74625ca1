//! Published recipes by name. Sides are those of the views. As the papers have it, no blur at 32 pixels and below, but for AdaInf's.

use super::{AugmentError, Augmentation, Interpolation, Step, Views};

/// The ImageNet aspect ratios.
const ASPECT: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];

/// A crop of at least this share of the image, bilinear.
fn crop(low: f64, high: f64) -> Step {
    Step::Crop { area: [low, high], aspect: ASPECT, interpolation: Interpolation::Bilinear, centre: 1 }
}

fn jitter([brightness, contrast, saturation, hue]: [f64; 4]) -> Step {
    Step::Jitter { brightness, contrast, saturation, hue }
}

fn blur(recipe: Augmentation, probability: f64) -> Augmentation {
    match recipe.size[0] > 32 && probability > 0.0 {
        true => recipe.then(Step::Blur { sigma: [0.1, 2.0], kernel: None }.with(probability)),
        false => recipe,
    }
}

fn coloured(size: usize, area: Step, colours: [f64; 4], blurred: f64) -> Augmentation {
    let recipe = Augmentation::new(size)
        .then(area.always())
        .then(Step::Flip.with(0.5))
        .then(jitter(colours).with(0.8))
        .then(Step::Grey.with(0.2));
    blur(recipe, blurred)
}

/// SimCLR (Chen et al. 2020, appendix A): crops from 0.08 on, scaled bicubically, flips, colour of a strength (1 for ImageNet, 0.5 for
/// CIFAR), grey, blur.
pub fn simclr(size: usize, strength: f64) -> Augmentation {
    let area = Step::Crop { area: [0.08, 1.0], aspect: ASPECT, interpolation: Interpolation::Bicubic, centre: 1 };
    coloured(size, area, [0.8, 0.8, 0.8, 0.2].map(|c| c * strength), 0.5)
}

/// MoCo v2 and SimSiam (Chen et al. 2020; Chen and He 2021): crops from 0.2 on, colour (0.4, 0.4, 0.4, 0.1).
pub fn moco_v2(size: usize) -> Augmentation {
    coloured(size, crop(0.2, 1.0), [0.4, 0.4, 0.4, 0.1], 0.5)
}

/// BYOL's two views, which Barlow Twins and VICReg use, too (Grill et al. 2020, table 6): the first always blurred, the second seldom, and
/// solarised with probability 0.2.
pub fn byol(size: usize) -> Views {
    let view = |blurred| coloured(size, crop(0.08, 1.0), [0.4, 0.4, 0.2, 0.1], blurred);
    Views { each: vec![view(1.0), view(0.1).then(Step::Solarise(0.5).with(0.2))] }
}

/// SwAV's multi-crop (Caron et al. 2020): two large views of 0.14 to 1 of the image and `small` ones of 0.05 to 0.14.
pub fn swav(large: usize, small: usize, count: usize) -> Views {
    let colours = [0.8, 0.8, 0.8, 0.2];
    let recipes = [coloured(large, crop(0.14, 1.0), colours, 0.5), coloured(small, crop(0.05, 0.14), colours, 0.5)];
    Views::multi_crop(recipes, [2, count])
}

/// Views of 8 x 8 digits of the small protocol D8: turned, scaled, sheared and moved by one warp, brighter or darker, noisy, and in half of
/// the cases with a square of 2 x 2 pixels cut out. `strength`: 0.6 in the protocol.
pub fn d8(strength: f64) -> Augmentation {
    let s = strength;
    let warp = Step::Affine {
        turn: (0.35 * s).to_degrees(),
        scale: 0.25 * s,
        shear: (0.25 * s).atan().to_degrees(),
        shift: 1.3 * s,
    };
    Augmentation::new(8)
        .then(warp.always())
        .then(Step::Light(0.3 * s).always())
        .then(Step::Noise(0.08 * s).always())
        .then(Step::Block(2).with(0.5))
}

/// Views of the small protocol F28 on one-channel images: crops from 0.4 on, flips, brightness and contrast of 0.4.
pub fn f28() -> Augmentation {
    Augmentation::new(28)
        .then(crop(0.4, 1.0).always())
        .then(Step::Flip.with(0.5))
        .then(jitter([0.4, 0.4, 0.0, 0.0]).always())
}

/// A recipe whose crops have their middle in a box of the image (Hallucinator, Wu et al. 2023: the first view; box 0.25 to 0.75 and beta 0.1 on
/// CIFAR-10); a recipe without crops is left as it is.
pub fn boxed(mut recipe: Augmentation, within: [f64; 4], beta: f64) -> Augmentation {
    for chance in &mut recipe.steps {
        if let Step::Crop { area, aspect, interpolation, .. } = chance.step {
            chance.step = Step::BoxedCrop { area, aspect, interpolation, within, beta };
        }
    }
    recipe
}

/// Views of letters and strokes of `size` pixels: no flips; turned, scaled, sheared and moved, and crops from 0.6 on.
pub fn letters(size: usize) -> Augmentation {
    let warp = Step::Affine { turn: 10.0, scale: 0.2, shear: 10.0, shift: size as f64 * 0.07 };
    Augmentation::new(size).then(crop(0.6, 1.0).always()).then(warp.always())
}

/// A number between that of weak views, at 0, and that of strong ones, at 1.
fn between(strength: f64) -> Result<impl Fn(f64, f64) -> f64, AugmentError> {
    match (0.0..=1.0).contains(&strength) {
        true => Ok(move |weak: f64, strong: f64| (1.0 - strength) * weak + strength * strong),
        false => {
            let (value, allowed) = (strength.to_string(), "0 (weak) to 1 (strong)".into());
            Err(AugmentError { step: "AdaInf", setting: "strength", value, allowed })
        }
    }
}

/// AdaInf's views for symmetric methods (Wang et al. 2024; released CIFAR configurations): strong ones (1) for real images alone, weak ones
/// (0) when many generated images are added, and linearly between. Crops from 0.08 or 0.2 on, colour (0.8, 0.8, 0.8, 0.2) in 0.8 or
/// (0.4, 0.4, 0.4, 0.1) in 0.4 of the cases; grey 0.2, blur 0.5 and flips 0.5 in both.
///
/// # Errors
/// When the strength is not within 0 and 1.
pub fn adainf(size: usize, strength: f64) -> Result<Augmentation, AugmentError> {
    let at = between(strength)?;
    let area = [at(0.2, 0.08), 1.0];
    let recipe = Augmentation::new(size)
        .then(Step::Crop { area, aspect: ASPECT, interpolation: Interpolation::Bicubic, centre: 1 }.always())
        .then(jitter([at(0.4, 0.8), at(0.4, 0.8), at(0.4, 0.8), at(0.1, 0.2)]).with(at(0.4, 0.8)))
        .then(Step::Grey.with(0.2))
        .then(Step::Blur { sigma: [0.1, 2.0], kernel: None }.with(0.5))
        .then(Step::Flip.with(0.5));
    Ok(recipe)
}

/// AdaInf's views for BYOL and Barlow Twins: crops from 0.08 (strong, 1) or 0.2 on (weak, 0), colour (0.4, 0.4, 0.2, 0.1) in 0.8 or 0.4 of
/// the cases, grey 0.2, flips 0.5, no blur; the second view solarised in 0.2.
///
/// # Errors
/// When the strength is not within 0 and 1.
pub fn adainf_asymmetric(size: usize, strength: f64) -> Result<Views, AugmentError> {
    let at = between(strength)?;
    let area = [at(0.2, 0.08), 1.0];
    let first = Augmentation::new(size)
        .then(Step::Crop { area, aspect: ASPECT, interpolation: Interpolation::Bicubic, centre: 1 }.always())
        .then(jitter([0.4, 0.4, 0.2, 0.1]).with(at(0.4, 0.8)))
        .then(Step::Grey.with(0.2));
    let second = first.clone().then(Step::Solarise(0.5).with(0.2)).then(Step::Flip.with(0.5));
    Ok(Views { each: vec![first.then(Step::Flip.with(0.5)), second] })
}
