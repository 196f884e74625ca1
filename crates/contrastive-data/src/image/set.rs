//! A set of images of one shape.

use super::Picture;
use crate::{Digest, FileError, FileNote, Origin, Place, elided};
use num_traits::Float;
use std::collections::HashMap;
use std::sync::Arc;

/// What an [`ImageSet`] is made of.
#[derive(Clone, Debug, Default)]
pub struct Images {
    /// Name of the set, for messages and files.
    pub name: String,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The byte that stands for 1; larger ones are refused.
    pub white: u8,
    /// The bytes of all images, `[n, channels, height, width]`.
    pub pixels: Vec<u8>,
    /// For each image its class, -1 for none.
    pub labels: Vec<i32>,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
    /// For each image its id, different from all others.
    pub ids: Vec<String>,
    /// What was in doubt when they were read.
    pub notes: Vec<FileNote>,
}

/// Images of one shape, each with an id, and with a label where there is one. A copy shares the pixels.
///
/// ```
/// use contrastive_data::image::shapes;
///
/// let set = shapes(12, 16, 7);
/// assert_eq!((set.len(), set.shape()), (12, [3, 16, 16]));
/// assert_eq!(set.picture::<f32>(0).shape(), [3, 16, 16]);
/// assert!(set.label(0).is_some());
/// ```
#[derive(Clone, Debug)]
pub struct ImageSet {
    inner: Arc<Images>,
}

impl ImageSet {
    /// Checks and takes images.
    ///
    /// # Errors
    /// [`FileError::Malformed`], naming the image: none at all, a side of 0, channels other than 1 and 3, bytes above white, a count that
    /// does not fit, a label without a class, two images of one id.
    pub fn new(images: Images) -> Result<Self, FileError> {
        let n = images.ids.len();
        let wrong = |what: String, allowed: &str| {
            Err(Origin::memory(Place::Part(format!("images {:?}", images.name))).malformed(what, allowed))
        };
        let [channels, height, width] = images.shape;
        if n == 0 {
            return wrong("no image".into(), "one image or more");
        }
        if !(channels == 1 || channels == 3) || height == 0 || width == 0 {
            return wrong(format!("images of {channels} x {height} x {width}"), "1 or 3 channels, sides of 1 and more");
        }
        let size = channels * height * width;
        if images.pixels.len() != n * size {
            return wrong(format!("{} bytes for {n} images of {size}", images.pixels.len()), "one byte for each pixel");
        }
        if images.labels.len() != n {
            return wrong(format!("{} labels for {n} images", images.labels.len()), "one label for each, -1 for none");
        }
        if images.white == 0 {
            return wrong("a white of 0".into(), "1 to 255");
        }
        if let Some(at) = images.pixels.iter().position(|byte| *byte > images.white) {
            let (value, id) = (images.pixels[at], elided(&images.ids[at / size], 40));
            return wrong(format!("a pixel of {value} in image {id}"), &format!("0 to {}", images.white));
        }
        let classes = images.classes.len() as i32;
        if let Some(at) = images.labels.iter().position(|label| !(-1..classes).contains(label)) {
            let found = format!("label {} of image {}", images.labels[at], elided(&images.ids[at], 40));
            return wrong(found, &format!("-1 (none) and 0 to {}", classes - 1));
        }
        let mut seen = HashMap::with_capacity(n);
        for (at, id) in images.ids.iter().enumerate() {
            if let Some(first) = seen.insert(id, at) {
                return wrong(format!("images {first} and {at} both have the id {}", elided(id, 60)), "different ids");
            }
        }
        Ok(Self { inner: Arc::new(images) })
    }

    /// Name of the set.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.inner.ids.len()
    }

    /// Whether there is none; never the case.
    pub fn is_empty(&self) -> bool {
        self.inner.ids.is_empty()
    }

    /// Channels, height and width.
    pub fn shape(&self) -> [usize; 3] {
        self.inner.shape
    }

    /// The bytes of an image, `[channels, height, width]`, of which [`white`](Self::white) stands for 1.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn bytes(&self, image: usize) -> &[u8] {
        let size: usize = self.inner.shape.iter().product();
        &self.inner.pixels[image * size..(image + 1) * size]
    }

    /// The byte that stands for 1.
    pub fn white(&self) -> u8 {
        self.inner.white
    }

    /// An image, its pixels between 0 and 1.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn picture<T: Float>(&self, image: usize) -> Picture<T> {
        let white = T::from(self.inner.white).expect("a byte is a number");
        let data = self.bytes(image).iter().map(|byte| T::from(*byte).expect("a byte is a number") / white);
        Picture::new(self.inner.shape, data.collect())
    }

    /// All pixels between 0 and 1, a row of `channels x height x width` numbers for each image.
    pub fn rows(&self) -> ndarray::Array2<f32> {
        let size: usize = self.inner.shape.iter().product();
        let white = f32::from(self.inner.white);
        let data = self.inner.pixels.iter().map(|byte| f32::from(*byte) / white).collect();
        ndarray::Array2::from_shape_vec((self.len(), size), data).expect("a row for each image")
    }

    /// The class of an image, if it has one.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn label(&self, image: usize) -> Option<u32> {
        u32::try_from(self.inner.labels[image]).ok()
    }

    /// The images that have a label, and their labels: what a probe may see.
    pub fn labelled(&self) -> (Vec<usize>, Vec<u32>) {
        (0..self.len()).filter_map(|image| Some((image, self.label(image)?))).unzip()
    }

    /// Names of the classes, by number.
    pub fn classes(&self) -> &[String] {
        &self.inner.classes
    }

    /// The id of each image.
    pub fn ids(&self) -> &[String] {
        &self.inner.ids
    }

    /// What was in doubt when they were read, and how it was decided.
    pub fn notes(&self) -> &[FileNote] {
        &self.inner.notes
    }

    /// These images, in this order. An image that is named twice is an error, as two images of one id are.
    ///
    /// # Errors
    /// As [`ImageSet::new`].
    ///
    /// # Panics
    /// When there is no such image.
    pub fn select(&self, images: &[usize]) -> Result<Self, FileError> {
        let inner = &self.inner;
        Self::new(Images {
            name: inner.name.clone(),
            shape: inner.shape,
            white: inner.white,
            pixels: images.iter().flat_map(|image| self.bytes(*image)).copied().collect(),
            labels: images.iter().map(|image| inner.labels[*image]).collect(),
            classes: inner.classes.clone(),
            ids: images.iter().map(|image| inner.ids[*image].clone()).collect(),
            notes: inner.notes.clone(),
        })
    }

    /// The first `count` images, or all where there are fewer.
    ///
    /// # Errors
    /// When `count` is 0.
    pub fn first(&self, count: usize) -> Result<Self, FileError> {
        self.select(&(0..count.min(self.len())).collect::<Vec<_>>())
    }

    /// A digest of shape, pixels and labels.
    pub fn digest(&self) -> Digest {
        let inner = &self.inner;
        let words = inner.pixels.chunks(8).map(|bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        });
        let shape = inner.shape.iter().map(|side| *side as u64);
        let labels = inner.labels.iter().map(|label| *label as u64);
        Digest::new().u64s(shape).u64(inner.white.into()).u64s(words).u64s(labels)
    }

    /// An image as a PNG file in memory: a thumbnail for a report.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn png(&self, image: usize) -> Vec<u8> {
        use ::image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
        let [channels, height, width] = self.inner.shape;
        let (bytes, area, white) = (self.bytes(image), height * width, u32::from(self.inner.white));
        let scaled = |byte: u8| ((u32::from(byte) * 255 + white / 2) / white) as u8;
        let mixed: Vec<u8> =
            (0..area).flat_map(|at| (0..channels).map(move |c| scaled(bytes[c * area + at]))).collect();
        let kind = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let mut out = Vec::new();
        let written = PngEncoder::new(&mut out).write_image(&mixed, width as u32, height as u32, kind);
        written.expect("a PNG of a checked shape in memory");
        out
    }
}
