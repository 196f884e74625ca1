//! Images: views a CPU second of each recipe and of each step, and the share of a training's time that steps wait for them.
//!
//! ```text
//! cargo bench --bench views --no-default-features --features flex,vision
//! ```
//!
//! One thread makes the views; CPU seconds of that thread. The training is SimCLR on rendered shapes with a thread that makes batches ahead.

use contrastive::Device;
use contrastive::data::augment::{Augmentation, Interpolation, Step, Views, presets};
use contrastive::data::image::{ImageSet, Images, shapes};
use contrastive::train::Budget;
use contrastive::vision::VisionError;
use contrastive::vision::evaluate::Protocol;
use contrastive::vision::method::SimClrConfig;

/// User time of the process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    fields[11].parse::<f64>().expect("ticks") / 100.0
}

/// Views a CPU second, over at least 0.4 of them.
fn rate(set: &ImageSet, recipe: &Augmentation) -> f64 {
    let views = Views { each: vec![recipe.clone()] };
    let (start, mut count) = (cpu(), 0);
    while cpu() - start < 0.4 {
        for image in 0..set.len() {
            std::hint::black_box(views.make(set, image, 0, 1, count as u64));
            count += 1;
        }
    }
    count as f64 / (cpu() - start)
}

/// The first channel of a set.
fn grey(set: &ImageSet) -> ImageSet {
    let [_, height, width] = set.shape();
    let pixels = (0..set.len()).flat_map(|image| set.bytes(image)[..height * width].to_vec()).collect();
    let labels = (0..set.len()).map(|image| set.label(image).map_or(-1, |label| label as i32)).collect();
    ImageSet::new(Images {
        name: "grey shapes".into(),
        shape: [1, height, width],
        white: 255,
        pixels,
        labels,
        classes: set.classes().to_vec(),
        ids: set.ids().to_vec(),
        notes: Vec::new(),
    })
    .expect("the same images")
}

fn main() -> Result<(), VisionError> {
    let (colour, small) = (shapes(200, 32, 1), grey(&shapes(200, 28, 1)));
    println!("{:34} {:>16}", "", "views a CPU s");
    println!("{:34} {:>16.0}", "28 x 28 grey, F28", rate(&small, &presets::f28()));
    println!("{:34} {:>16.0}", "28 x 28 grey, letters", rate(&small, &presets::letters(28)));
    println!("{:34} {:>16.0}", "32 x 32 colour, SimCLR 0.5", rate(&colour, &presets::simclr(32, 0.5)));
    println!("{:34} {:>16.0}", "32 x 32 colour, MoCo v2", rate(&colour, &presets::moco_v2(32)));
    let jitter = |hue| Step::Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue };
    let crop = |interpolation| Step::Crop { area: [0.2, 1.0], aspect: [0.75, 4.0 / 3.0], interpolation, centre: 1 };
    let steps = [
        ("no step", None),
        ("crop, bilinear", Some(crop(Interpolation::Bilinear))),
        ("crop, bicubic", Some(crop(Interpolation::Bicubic))),
        ("flip", Some(Step::Flip)),
        ("affine", Some(Step::Affine { turn: 10.0, scale: 0.2, shear: 10.0, shift: 2.0 })),
        ("jitter without hue", Some(jitter(0.0))),
        ("jitter with hue", Some(jitter(0.1))),
        ("grey", Some(Step::Grey)),
        ("blur, 3 pixels", Some(Step::Blur { sigma: [0.1, 2.0], kernel: Some(3) })),
        ("solarise", Some(Step::Solarise(0.5))),
        ("noise", Some(Step::Noise(0.1))),
        ("erase", Some(Step::Erase { area: [0.02, 0.3], aspect: [0.3, 3.3], value: 0.0 })),
    ];
    for (name, step) in steps {
        let recipe = Augmentation::new(32);
        let recipe = step.into_iter().fold(recipe, |recipe, step| recipe.then(step.always()));
        println!("{:34} {:>16.0}", format!("32 x 32 colour, {name}"), rate(&colour, &recipe));
    }
    let parts = [small.select(&(0..160).collect::<Vec<_>>())?, small.select(&(160..200).collect::<Vec<_>>())?];
    let mut f28 = Protocol::f28(parts).with_budget(Budget::Steps(20));
    f28.frame = f28.frame.with_batch(64);
    let found = f28.run(SimClrConfig::new(0.5), 1, &Device::default())?;
    println!("SimCLR, F28 frame, batch 64: {:.2} % of the time spent waiting for views", 100.0 * found.waiting);
    Ok(())
}
