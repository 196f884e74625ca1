//! Operations against torchvision, boxes, draws, and settings that make no sense.

use crate::golden;
use contrastive_data::augment::*;
use contrastive_data::image::{ImageSet, Images, Picture, shapes};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

fn picture(case: &Value) -> Picture<f64> {
    let shape: Vec<usize> =
        case["inputs"]["image"]["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    Picture::new([shape[0], shape[1], shape[2]], golden::numbers(&case["inputs"]["image"]))
}

fn pair(value: &Value) -> [f64; 2] {
    let list = golden::numbers(value);
    [list[0], list[1]]
}

/// Oracle: torchvision 0.29.2. Its hue is computed in f32 whatever the image's type, so those cases are compared to 1e-6.
#[test]
fn golden_augment_image() {
    let Some(file) = golden::golden("augment_image") else { return };
    let mut seen = 0;
    for case in golden::cases(&file) {
        let name = case["name"].as_str().unwrap();
        let p = &case["params"];
        let number = |key: &str| p[key].as_f64().unwrap_or_else(|| panic!("{name}: {key}"));
        let count = |key: &str| number(key) as usize;
        let window = || ["top", "left", "height", "width"].map(count);
        let mut out = picture(case);
        let mut tolerance = 1e-10;
        let kind = name.rsplit_once("_s").unwrap().0;
        match kind {
            _ if kind.starts_with("resized_crop") => {
                let how = match p["interpolation"].as_str() {
                    Some("bicubic") => Interpolation::Bicubic,
                    _ => Interpolation::Bilinear,
                };
                let size = pair(&p["size"]).map(|side| side as usize);
                out = resized_crop(&out, window(), size, how, p["antialias"].as_bool().unwrap());
            }
            _ if kind.starts_with("affine") => {
                let how = match p["interpolation"].as_str() {
                    Some("nearest") => Interpolation::Nearest,
                    _ => Interpolation::Bilinear,
                };
                let (shift, shear) = (pair(&p["translate"]), pair(&p["shear"]));
                let by = Affine { turn: number("angle"), shift, scale: number("scale"), shear };
                out = affine(&out, &by, how, Some(number("fill")));
            }
            "hflip" => out = flip(&out),
            "grayscale" => {
                grey(&mut out);
                out.data.truncate(golden::numbers(&case["expected"]["output"]).len());
            }
            "hue" => {
                adjust_hue(&mut out, number("factor"));
                tolerance = 1e-6;
            }
            "brightness" => adjust_brightness(&mut out, number("factor")),
            "contrast" => adjust_contrast(&mut out, number("factor")),
            "saturation" => adjust_saturation(&mut out, number("factor")),
            "blur" => out = gaussian_blur(&out, pair(&p["kernel"]).map(|k| k as usize), pair(&p["sigma"])),
            "solarize" => solarise(&mut out, number("threshold")),
            "erase" => erase(&mut out, window(), number("value")),
            "jitter_in_order" => {
                for step in p["steps"].as_array().unwrap() {
                    let factor = step[1].as_f64().unwrap();
                    match step[0].as_str().unwrap() {
                        "contrast" => adjust_contrast(&mut out, factor),
                        "hue" => adjust_hue(&mut out, factor),
                        "brightness" => adjust_brightness(&mut out, factor),
                        "saturation" => adjust_saturation(&mut out, factor),
                        other => panic!("{other}"),
                    }
                }
                tolerance = 1e-6;
            }
            other => panic!("no such operation: {other}"),
        }
        golden::close(name, &out.data, &golden::numbers(&case["expected"]["output"]), tolerance, 0.0);
        seen += 1;
    }
    assert_eq!(seen, 25);
}

/// A set whose pixels name their place: channel 0 the column, channel 1 the row, in 16ths.
fn places() -> ImageSet {
    let side = 17usize;
    let pixels = (0..3 * side * side).map(|at| {
        let (channel, row, column) = (at / (side * side), at / side % side, at % side);
        [column, row, 0][channel] as u8
    });
    let images = Images {
        name: "places".into(),
        shape: [3, side, side],
        white: 16,
        pixels: pixels.collect(),
        labels: vec![-1],
        classes: Vec::new(),
        ids: vec!["only".into()],
        notes: Vec::new(),
    };
    ImageSet::new(images).unwrap()
}

/// A linear image stays linear under bilinear scaling, so the pixels of a view must be what its box says, flips and crops of crops included.
#[test]
fn boxes_say_what_views_show() {
    let set = places();
    let crop = |low, high, centre| Step::Crop {
        area: [low, high],
        aspect: [0.75, 4.0 / 3.0],
        interpolation: Interpolation::Bilinear,
        centre,
    };
    let recipe = Augmentation::new(9)
        .then(Step::Window { size: [15, 16] }.always())
        .then(crop(0.4, 0.9, 1).always())
        .then(Step::Flip.with(0.5))
        .then(Step::Window { size: [7, 7] }.with(0.3));
    recipe.validate([17, 17]).unwrap();
    let (mut flipped, mut seen) = (0, 0);
    for draw in 0..200 {
        let view = recipe.apply(set.picture(0), &mut view_rng(3, 1, draw, 0));
        let [x0, y0, x1, y1] = view.crop.unwrap();
        flipped += usize::from(x0 > x1);
        // the middle of the view is the middle of the box
        let middle = |channel: usize| f64::from(view.picture.data[channel * 81 + 40]);
        assert!((middle(0) - (x0 + x1) / 2.0).abs() < 0.03, "{} in {x0} to {x1}", middle(0));
        assert!((middle(1) - (y0 + y1) / 2.0).abs() < 0.03, "{} in {y0} to {y1}", middle(1));
        // and its left is the box's left
        let (left, right) = (view.picture.data[36], view.picture.data[44]);
        assert_eq!(left > right, x0 > x1);
        seen += usize::from((x1 - x0).abs() < 0.99);
    }
    assert!((60..140).contains(&flipped) && seen == 200, "{flipped} {seen}");
    let turned = presets::letters(17).apply(set.picture(0), &mut view_rng(0, 0, 0, 0));
    assert_eq!(turned.crop, None);
    // more of `centre` keeps to the middle: the mean distance of the middles shrinks
    let distance = |centre| -> f64 {
        let recipe = Augmentation::new(9).then(crop(0.2, 0.3, centre).always());
        let off = |draw| {
            let [x0, _, x1, _] = recipe.apply(set.picture(0), &mut view_rng(5, 0, draw, 0)).crop.unwrap();
            ((x0 + x1) / 2.0 - 0.5).abs()
        };
        (0..300).map(off).sum::<f64>() / 300.0
    };
    assert!(distance(4) < 0.7 * distance(1), "{} and {}", distance(4), distance(1));
}

#[test]
fn views_depend_on_seed_epoch_image_and_view_alone() {
    let set = shapes(3, 32, 5);
    let views = presets::swav(32, 16, 2);
    assert_eq!(views.len(), 4);
    let one = views.make(&set, 1, 3, 7, 2);
    assert_eq!(one.picture.shape(), [3, 16, 16]);
    assert_eq!(one, views.make(&set, 1, 3, 7, 2));
    for other in [
        views.make(&set, 2, 3, 7, 2),
        views.make(&set, 1, 2, 7, 2),
        views.make(&set, 1, 3, 8, 2),
        views.make(&set, 1, 3, 7, 3),
    ] {
        assert_ne!(one.crop, other.crop);
    }
    for recipe in
        views.each.iter().chain(&presets::byol(40).each).chain(&[presets::simclr(40, 1.0), presets::moco_v2(40)])
    {
        for draw in 0..40 {
            let view = recipe.apply(set.picture(0), &mut view_rng(1, 1, draw, 0));
            assert!(view.picture.data.iter().all(|x| (0.0..=1.0).contains(x)));
        }
    }
    // probabilities are kept: grey in a fifth of the cases
    let recipe = Augmentation::new(32).then(Step::Grey.with(0.2));
    let grey = (0..500).filter(|draw| {
        let view = recipe.apply(set.picture(0), &mut view_rng(2, 0, *draw, 0)).picture;
        view.data[..1024] == view.data[1024..2048]
    });
    let grey = grey.count();
    assert!((70..130).contains(&grey), "{grey} of 500");
}

#[test]
fn settings_out_of_range_are_refused() {
    let crop = |area, aspect| Step::Crop { area, aspect, interpolation: Interpolation::Bilinear, centre: 1 };
    let cases = [
        (Step::Window { size: [9, 8] }.always(), "window: size is 9 x 8; allowed is at most the image, 8 x 8"),
        (crop([0.5, 0.2], [1.0, 1.0]).always(), "crop: area is 0.5 to 0.2"),
        (crop([0.5, 1.5], [1.0, 1.0]).always(), "crop: area is 0.5 to 1.5"),
        (crop([0.5, 1.0], [2.0, 1.0]).always(), "crop: aspect is 2 to 1"),
        (Step::Flip.with(1.5), "flip: probability is 1.5; allowed is 0 to 1"),
        (Step::Grey.with(f64::NAN), "grey: probability is NaN"),
        (Step::Blur { sigma: [0.0, 1.0], kernel: None }.always(), "blur: sigma is 0 to 1"),
        (Step::Blur { sigma: [0.1, 1.0], kernel: Some(4) }.always(), "blur: kernel is 4; allowed is an odd number"),
        (Step::Jitter { brightness: -0.1, contrast: 0.0, saturation: 0.0, hue: 0.0 }.always(), "jitter: brightness"),
        (Step::Jitter { brightness: 0.1, contrast: 0.0, saturation: 0.0, hue: 0.6 }.always(), "jitter: hue is 0.6"),
        (Step::Block(9).always(), "block: side is 9; allowed is 1 to 8"),
        (Step::Noise(f64::INFINITY).always(), "noise: deviation is inf"),
    ];
    for (chance, words) in cases {
        let error = Augmentation::new(8).then(chance).validate([8, 8]).unwrap_err().to_string();
        assert!(error.contains(words), "{error:?} instead of {words:?}");
    }
    let none = Views { each: Vec::new() }.validate([8, 8]).unwrap_err().to_string();
    assert!(none.contains("views: number is 0"), "{none}");
    assert!(Augmentation::new(0).validate([8, 8]).is_err());
    // a blur beyond the side is reduced, and says so
    let wide = Augmentation::new(8).then(Step::Blur { sigma: [1.0, 1.0], kernel: Some(31) }.always());
    let notes = wide.validate([8, 8]).unwrap();
    assert!(notes[0].contains("reduced to 15"), "{notes:?}");
    let set = shapes(1, 8, 1);
    assert_eq!(wide.apply(set.picture(0), &mut view_rng(1, 1, 1, 1)).picture.shape(), [3, 8, 8]);
}

/// Check 6 of Hallucinator: the middle lies in the box (where the part fits there), parts never leave the image, small beta prefers the
/// edges, and with the whole image and beta 1 crops are spread like the plain ones.
#[test]
fn boxed_crops_have_their_middle_in_the_box() {
    let set = shapes(1, 40, 1);
    let middles = |within: [f64; 4], beta: f64| -> Vec<f64> {
        let step = Step::BoxedCrop {
            area: [0.09, 0.09],
            aspect: [1.0, 1.0],
            interpolation: Interpolation::Nearest,
            within,
            beta,
        };
        let views = Views { each: vec![Augmentation::new(12).then(step.always())] };
        assert!(views.validate([40, 40]).unwrap().is_empty());
        let each = (0..400).map(|epoch| {
            let crop = views.make(&set, 0, 0, 3, epoch).crop.unwrap();
            assert!(crop.iter().all(|x| (0.0..=1.0).contains(x)), "{crop:?}");
            (crop[1] + crop[3]) / 2.0
        });
        each.collect()
    };
    let boxed = middles([0.25, 0.25, 0.75, 0.75], 0.1);
    assert!(boxed.iter().all(|y| (0.24..=0.76).contains(y)));
    let near_edges = boxed.iter().filter(|y| (*y - 0.5).abs() > 0.2).count();
    assert!(near_edges > 240, "{near_edges} of 400 near the edges");
    let whole = middles([0.0, 0.0, 1.0, 1.0], 1.0);
    let mean = whole.iter().sum::<f64>() / 400.0;
    assert!((mean - 0.5).abs() < 0.04 && whole.iter().any(|y| *y < 0.2) && whole.iter().any(|y| *y > 0.8));
    let refused = |within: [f64; 4], beta: f64| {
        let step = Step::BoxedCrop {
            area: [0.2, 1.0],
            aspect: [1.0, 1.0],
            interpolation: Interpolation::Bilinear,
            within,
            beta,
        };
        Augmentation::new(12).then(step.always()).validate([40, 40]).unwrap_err().to_string()
    };
    assert!(refused([0.8, 0.2, 0.2, 0.8], 0.1).contains("top < bottom"));
    assert!(refused([0.2, 0.2, 0.8, 0.8], 0.0).contains("beta"));
    let boxed = presets::boxed(presets::simclr(32, 0.5), [0.25, 0.25, 0.75, 0.75], 0.1);
    assert!(boxed.steps.iter().any(|chance| matches!(chance.step, Step::BoxedCrop { .. })));
}

/// Mixup: shares of at least a half with the moments of a folded Beta number; rows that sum to 1 do so mixed; a permutation of partners.
#[test]
fn mixed_rows_are_shares_of_two() {
    use contrastive_data::augment::{Mix, Mixup};
    for (alpha, mean) in [(1.0, 0.75), (0.2, 0.898), (8.0, 0.5 + 0.0965)] {
        let mixup = Mixup::new(alpha).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let shares: Vec<f64> = (0..20_000).map(|_| mixup.draw(1, &mut rng).share).collect();
        assert!(shares.iter().all(|share| (0.5..=1.0).contains(share)));
        let got = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!((got - mean).abs() < 0.01, "{alpha}: {got} and {mean}");
    }
    let mix = Mixup::new(1.0).unwrap().draw(9, &mut ChaCha8Rng::seed_from_u64(1));
    let mut partners = mix.partners.clone();
    partners.sort_unstable();
    assert_eq!(partners, (0..9).collect::<Vec<_>>());
    let two = Mix { share: 0.75, partners: vec![1, 0] };
    assert_eq!(two.rows(&[1.0, 0.0, 0.0, 1.0], 2), [0.75, 0.25, 0.25, 0.75]);
    assert_eq!(Mix::none(2).rows(&[0.1, 0.2], 1), [0.1, 0.2]);
    assert!(Mixup::new(0.0).unwrap_err().to_string().contains("mixup: alpha is 0"));
}
