//! A folder of images in; embeddings, the encoder, and a report page out.
//!
//! ```sh
//! cargo run --release --example embed_images -- --out out                              # rendered shapes, SimCLR for 40 steps
//! cargo run --release --example embed_images -- --data PICTURES --side 32 --epochs 20 --out out
//! cargo run --release --example embed_images -- --data PICTURES --side 32 --encoder out/encoder.safetensors --out again
//! ```
//!
//! `out/` holds `embeddings.npy` (a row for each image), `images.csv` (their ids and classes), `encoder.safetensors`, `report.html`, and the
//! folder of the run. Widths are far below the paper's, so that it runs anywhere.

use burn::tensor::DType;
use clap::Parser;
use contrastive::Device;
use contrastive::data::augment::{Views, presets};
use contrastive::data::image::{FolderOptions, ImageSet, image_folder, shapes};
use contrastive::eval::ndarray::Array2;
use contrastive::eval::page::{Drawing, Page};
use contrastive::train::{Budget, FitOptions, MethodConfig, TrainingConfig, epoch_rng, parse_device, write_npy};
use contrastive::vision::data::{Ahead, Loader};
use contrastive::vision::encoder::{Encoder, EncoderConfig, embed, load_encoder, save_encoder};
use contrastive::vision::method::{Frame, SimClrConfig, VisionModel};
use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// A folder of PNG, JPEG and GIF files, flat or in one folder for each class. Without it, rendered shapes.
    #[arg(long)]
    data: Option<PathBuf>,
    /// All images are brought to this side.
    #[arg(long, default_value_t = 32)]
    side: usize,
    /// An encoder that `embed_images` wrote, instead of training one.
    #[arg(long)]
    encoder: Option<PathBuf>,
    #[arg(long, default_value_t = 4)]
    epochs: usize,
    #[arg(long, default_value_t = 64)]
    batch: usize,
    #[arg(long, default_value_t = 0.2)]
    temperature: f64,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Such as `flex`, `cuda:0`.
    #[arg(long)]
    device: Option<String>,
    /// Goes on with the run in the output folder.
    #[arg(long)]
    resume: bool,
    /// The output folder.
    #[arg(long, default_value = "runs/embed_images")]
    out: PathBuf,
}

fn main() -> std::process::ExitCode {
    contrastive::exit_code(run_it())
}

fn run_it() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let device = arguments.device.as_deref().map(parse_device).transpose()?.unwrap_or_default();
    let images = match &arguments.data {
        Some(folder) => {
            let mut options = FolderOptions::default();
            options.decoding.size = Some([arguments.side; 2]);
            image_folder(folder, &options)?
        }
        None => {
            eprintln!("no --data: using GENERATED images (rendered shapes)");
            shapes(640, arguments.side, 1)
        }
    };
    images.notes().iter().for_each(|note| eprintln!("{note}"));
    std::fs::create_dir_all(&arguments.out)?;
    let mut page = Page::new(&format!("Images of {}", images.name()));
    let (out, run) = (&arguments.out, arguments.out.join("run"));
    let views = Views::two(presets::simclr(arguments.side, 0.5));
    let encoder = match &arguments.encoder {
        Some(file) => load_encoder(file, &device)?.0,
        None => {
            let config = EncoderConfig::conv(&[32, 64, 128]);
            let training = TrainingConfig::new(Budget::Epochs(arguments.epochs), arguments.batch, 1e-3);
            let frame = Frame::new(config.clone(), [128, 64], views.clone(), training);
            let options = FitOptions::new(&device).seed(arguments.seed).run_dir(&run);
            let options = options.resume(arguments.resume).overwrite(!arguments.resume);
            let trained = frame.train(SimClrConfig::new(arguments.temperature)).fit(&images, &options)?;
            save_encoder(&out.join("encoder.safetensors"), trained.model.encoder(), &config, images.shape())?;
            page.run_folder(&run)?;
            trained.model.encoder
        }
    };
    let rows = embed(&encoder, &images, &device)?;
    write_npy(&out.join("embeddings.npy"), &rows)?;
    let mut list = String::from("id,class\n");
    for image in 0..images.len() {
        let class = images.label(image).map_or("", |label| images.classes()[label as usize].as_str());
        writeln!(list, "\"{}\",\"{}\"", images.ids()[image].replace('"', "\"\""), class.replace('"', "\"\""))?;
    }
    std::fs::write(out.join("images.csv"), list)?;

    let drawer = |image: usize| Drawing::Png(images.png(image));
    let labels: Vec<i32> = (0..images.len()).map(|image| images.label(image).map_or(-1, |l| l as i32)).collect();
    let classes: Vec<&str> = images.classes().iter().map(String::as_str).collect();
    let [first, second] = pair(&encoder, &images, &views, &device)?;
    page.pairs("Cosines of two views of an image, and of different images", first.view(), second.view())?;
    page.map("Map", rows.view(), &labels, &classes, &drawer)?;
    let asked: Vec<usize> = (0..images.len()).step_by(images.len().div_ceil(20)).collect();
    page.neighbours("Nearest images", rows.view(), &asked, 8usize.min(images.len() - 1), &drawer)?;
    page.write(&out.join("report.html"))?;
    println!(
        "{} images of {:?}, embeddings of {} numbers: {}",
        images.len(),
        images.shape(),
        rows.ncols(),
        out.display()
    );
    Ok(())
}

/// The embeddings of two views of up to 256 images.
fn pair(
    encoder: &Encoder,
    images: &ImageSet,
    views: &Views,
    device: &Device,
) -> Result<[Array2<f32>; 2], Box<dyn Error>> {
    let on = (device.clone(), DType::F32);
    let mut loader = Loader::new(images, views, 256usize.min(images.len()), Ahead::default(), on)?;
    loader.start(1, &mut epoch_rng(0, 1));
    let batch = loader.next_batch();
    let rows = [0, 1].map(|view| encoder.forward(batch.views[view].clone()));
    Ok(rows.map(|rows| {
        let [n, d] = rows.dims();
        Array2::from_shape_vec((n, d), rows.into_data().iter::<f32>().collect()).expect("n rows of width d")
    }))
}
