//! Image files: PNG, JPEG, GIF.

use super::Picture;
use crate::augment::{Interpolation, resized_crop};
use crate::{FileError, Origin};
use image::{DynamicImage, ImageFormat, ImageReader, Limits as Bounds};
use std::io::Cursor;
use std::path::Path;

/// Channels that an image is read into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// One: 0.299 R + 0.587 G + 0.114 B.
    Grey,
    /// Three; a grey image three times.
    #[default]
    Rgb,
}

/// What shows through where an image is transparent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// White.
    #[default]
    White,
    /// Black.
    Black,
    /// Any other: red, green, blue.
    Rgb(u8, u8, u8),
}

/// How image files become pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoding {
    /// Grey or colour.
    pub colour: Colour,
    /// What shows through where an image is transparent.
    pub background: Background,
    /// Height and width: the middle part of this shape, as large as fits, scaled (bilinear, with antialiasing). `None`: as it is.
    pub size: Option<[usize; 2]>,
    /// White on black from black on white.
    pub invert: bool,
    /// Most pixels of a file; more are refused before anything is allocated for them.
    pub max_pixels: u64,
}

impl Default for Decoding {
    fn default() -> Self {
        let (colour, background) = (Colour::default(), Background::default());
        Self { colour, background, size: None, invert: false, max_pixels: 1 << 26 }
    }
}

/// The pixels of an image file (PNG with any depth, JPEG, the first frame of a GIF), its shape, and whether it had 16 bits a channel, of
/// which 8 are kept.
///
/// # Errors
/// [`FileError::Malformed`] for what is no such file or a damaged one, [`FileError::Limit`] for too many pixels.
pub fn decode(path: &Path, bytes: &[u8], how: &Decoding) -> Result<(Vec<u8>, [usize; 3], bool), FileError> {
    let origin = || Origin::file(path);
    let allowed = "an undamaged PNG, JPEG or GIF file";
    let reader = || {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
        let reader = reader.map_err(|error| origin().malformed(error.to_string(), allowed))?;
        match reader.format() {
            Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif) => Ok(reader),
            _ => Err(origin().malformed("bytes of no image format that is read here", allowed)),
        }
    };
    let damaged = |error: image::ImageError| origin().malformed(error.to_string(), allowed);
    let (width, height) = reader()?.into_dimensions().map_err(damaged)?;
    let area = u64::from(width) * u64::from(height);
    if area == 0 {
        return Err(origin().malformed(format!("an image of {width} x {height} pixels"), "sides of 1 and more"));
    }
    if area > how.max_pixels {
        return Err(origin().limit("the number of pixels", area, how.max_pixels));
    }
    if let Some([0, _] | [_, 0]) = how.size {
        return Err(origin().malformed("a wanted size with a side of 0", "sides of 1 and more"));
    }
    let mut reader = reader()?;
    let mut bounds = Bounds::default();
    bounds.max_alloc = Some(16 * area + (16 << 20));
    reader.limits(bounds);
    let image = reader.decode().map_err(damaged)?;
    let deep = matches!(
        image,
        DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageLumaA16(_)
            | DynamicImage::ImageRgb16(_)
            | DynamicImage::ImageRgba16(_)
    );
    let (height, width) = (height as usize, width as usize);
    let pixels = flat(&image.into_rgba8(), how);
    let channels = if how.colour == Colour::Grey { 1 } else { 3 };
    let Some(size) = how.size.filter(|size| *size != [height, width]) else {
        return Ok((pixels, [channels, height, width], deep));
    };
    // the largest window of the wanted shape in the middle
    let scale = (height as f64 / size[0] as f64).min(width as f64 / size[1] as f64);
    let window = [size[0], size[1]].map(|side| (side as f64 * scale).round().max(1.0) as usize);
    let window = [window[0].min(height), window[1].min(width)];
    let picture = Picture::new([channels, height, width], pixels.iter().map(|p| f32::from(*p)).collect());
    let corner = [(height - window[0]) / 2, (width - window[1]) / 2];
    let small =
        resized_crop(&picture, [corner[0], corner[1], window[0], window[1]], size, Interpolation::Bilinear, true);
    let pixels = small.data.iter().map(|p| p.round().clamp(0.0, 255.0) as u8).collect();
    Ok((pixels, [channels, size[0], size[1]], deep))
}

/// Bytes by channel, row and column; transparency over the background.
fn flat(image: &image::RgbaImage, how: &Decoding) -> Vec<u8> {
    let background = match how.background {
        Background::White => [255; 3],
        Background::Black => [0; 3],
        Background::Rgb(r, g, b) => [r, g, b],
    };
    let over = |pixel: &image::Rgba<u8>| -> [f32; 3] {
        let alpha = f32::from(pixel[3]) / 255.0;
        [0, 1, 2].map(|c| f32::from(pixel[c]) * alpha + f32::from(background[c]) * (1.0 - alpha))
    };
    let byte = |value: f32| {
        let value = value.round().clamp(0.0, 255.0) as u8;
        if how.invert { 255 - value } else { value }
    };
    match how.colour {
        Colour::Grey => {
            let grey = |p: &image::Rgba<u8>| {
                let [r, g, b] = over(p);
                byte(0.299 * r + 0.587 * g + 0.114 * b)
            };
            image.pixels().map(grey).collect()
        }
        Colour::Rgb => (0..3).flat_map(|c| image.pixels().map(move |p| byte(over(p)[c]))).collect(),
    }
}
