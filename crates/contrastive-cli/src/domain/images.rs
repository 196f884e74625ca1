//! Images.

use super::{Described, Domain, Evaluation, Job, Scores, Trained, check, labelled, parsed, say};
use crate::failure::Failure;
use crate::reading::Source;
use crate::registry::Method;
use crate::run::Run;
use crate::table::Table;
use burn::tensor::Device;
use contrastive_data::Limits;
use contrastive_data::augment::{Views, presets};
use contrastive_data::image::{Cifar, FolderOptions, ImageSet, cifar, digits_csv, image_folder, shapes};
use contrastive_train::{Budget, MethodConfig, TrainingConfig};
use contrastive_vision::encoder::{Encoder, EncoderConfig, embed, load_encoder, save_encoder};
use contrastive_vision::method::{Frame, Settings, VisionMethod, VisionModel};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Pictures of one size.
#[derive(Clone, Copy, Debug)]
pub struct Images;

const MODEL: &str = "encoder.safetensors";

/// The settings of a method on images: its own, and what all share.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ImageConfig<S> {
    /// The method's own.
    method: S,
    encoder: EncoderConfig,
    projector: [usize; 2],
    /// How strong the colours of SimCLR's views change, at least 0; the views are of the images' own side.
    strength: f64,
    training: TrainingConfig,
}

/// A line of the registry: a small convolutional net, 20 epochs of 64 images.
pub fn method<S>(name: &'static str, about: &'static str, config: S) -> Method
where
    S: Settings + DeserializeOwned + 'static,
{
    let encoder = EncoderConfig::conv(&[32, 64, 128]);
    let training = TrainingConfig::new(Budget::Epochs(20), 64, 1e-3);
    let config = ImageConfig { method: config, encoder, projector: [128, 64], strength: 0.5, training };
    let defaults = serde_json::to_value(config).expect("settings are JSON");
    Method { name, about, domain: &Images, defaults, check: check::<ImageConfig<S>>, train: train::<S> }
}

fn read(source: &Source) -> Result<ImageSet, Failure> {
    source.reading.only(Images.name(), Images.flags())?;
    let side = source.reading.side.unwrap_or(32);
    let Some(path) = &source.data else { return Ok(shapes(600, 16, 1)) };
    if path.is_file() {
        let limits = Limits::default();
        return Ok(match path.extension().is_some_and(|ending| ending == "bin") {
            true => cifar(path, Cifar::Ten, &limits)?,
            false => digits_csv(path, 16, &limits)?,
        });
    }
    let mut options = FolderOptions::default();
    options.decoding.size = Some([side; 2]);
    Ok(image_folder(path, &options)?)
}

fn described(set: &ImageSet) -> Described {
    let ([channels, height, width], count, classes) = (set.shape(), set.len(), set.classes().len());
    let what = format!("{}: {count} images of {channels} x {height} x {width}, {classes} classes", set.name());
    let facts = vec![("images", json!(count)), ("shape", json!(set.shape())), ("classes", json!(classes))];
    Described { what, facts, notes: set.notes().iter().map(ToString::to_string).collect() }
}

fn table(encoder: &Encoder, set: &ImageSet, device: &Device) -> Result<Table, Failure> {
    let table = Table::new("images", embed(encoder, set, device)?, set.ids().to_vec());
    let label = |image: usize| set.label(image).map_or(String::new(), |label| set.classes()[label as usize].clone());
    Ok(match set.classes().is_empty() {
        true => table,
        false => table.with_labels((0..set.len()).map(label).collect()),
    })
}

fn train<S>(settings: &Value, job: &Job) -> Result<Trained, Failure>
where
    S: Settings + DeserializeOwned + 'static,
{
    let config: ImageConfig<S> = parsed(settings).map_err(Failure::new)?;
    let set = read(&job.source)?;
    let described = described(&set);
    say(&described.notes);
    eprintln!("{}", described.what);
    let side = set.shape()[1].min(set.shape()[2]);
    let views = Views::two(presets::simclr(side, config.strength));
    let frame = Frame::new(config.encoder.clone(), config.projector, views, config.training);
    let trained = frame.train(config.method).fit(&set, &job.options)?;
    let encoder = encoder_of::<S>(&trained.model);
    save_encoder(&job.folder.join(MODEL), encoder, &config.encoder, set.shape())?;
    Ok(Trained { tables: vec![table(encoder, &set, job.device())?], report: trained.report })
}

fn encoder_of<S: Settings>(model: &<S::Method as VisionMethod>::Model) -> &Encoder {
    model.encoder()
}

impl Domain for Images {
    fn name(&self) -> &'static str {
        "images"
    }

    fn about(&self) -> &'static str {
        "images: a folder of PNG, JPEG and GIF (one folder for each class, or flat), CIFAR-10 .bin, digits of 8 x 8"
    }

    fn flags(&self) -> &'static [&'static str] {
        &["side"]
    }

    fn describe(&self, source: &Source) -> Result<Described, Failure> {
        Ok(described(&read(source)?))
    }

    fn evaluate(&self, run: &Run, asked: &Evaluation) -> Result<Scores, Failure> {
        labelled(&run.table(Some("images"))?, asked.seed)
    }

    fn embed(&self, run: &Run, source: &Source) -> Result<Table, Failure> {
        let (encoder, _, shape) = load_encoder(&run.file(MODEL), &run.device)?;
        let set = read(source)?;
        if set.shape() != shape {
            return Err(Failure::new(format!(
                "images of {:?} (channels, height, width) for an encoder of {shape:?}: --side {} brings them to its side",
                set.shape(),
                shape[1]
            )));
        }
        table(&encoder, &set, &run.device)
    }
}
