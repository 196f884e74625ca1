//! A transformer over the patches of images.

use super::{Transformer, TransformerConfig};
use crate::error::Check;
use crate::init::Initial;
use crate::layer::{LayerNorm, LayerNormConfig, Linear, LinearConfig, first_rows};
use crate::{Pass, Ragged, SettingError};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions};
use rand_chacha::ChaCha8Rng;

/// What stands for the whole image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ImagePool {
    /// The row of the class token.
    #[default]
    ClassToken,
    /// The mean row of the patches, and a norm of it.
    Mean,
}

/// Settings of [`Vit`].
#[derive(Config, Debug, PartialEq)]
pub struct VitConfig {
    /// Height and width of the images.
    pub image: usize,
    /// Their channels.
    pub channels: usize,
    /// Side of a patch; it divides the image's.
    pub patch: usize,
    /// The blocks; without a final norm where the mean is pooled.
    pub transformer: TransformerConfig,
    /// What stands for the image.
    #[config(default = "ImagePool::ClassToken")]
    pub pool: ImagePool,
}

impl VitConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    /// When one is 0, the patch does not divide the image, or a setting of the transformer is wrong.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("vit");
        check.count("image", self.image)?;
        check.count("channels", self.channels)?;
        let fits = self.patch > 0 && self.image.is_multiple_of(self.patch);
        check.that(fits, "patch", self.patch, format!("a divisor of the image's side {}", self.image))?;
        self.transformer.validate()
    }

    /// The encoder: patches first, then the class token, positions and blocks.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<Vit, SettingError> {
        self.validate()?;
        let (on, width) = (on.into(), self.transformer.width);
        let inputs = self.channels * self.patch * self.patch;
        let patch = LinearConfig::new(inputs, width).with_initial(Initial::FanIn).init(rng, on.clone())?;
        let mut table = |rows| Initial::TruncatedNormal(0.02).param([rows, width], [rows, width], rng, on.clone());
        let (class_token, position) = (table(1), table((self.image / self.patch).pow(2) + 1));
        let transformer = self.transformer.init(rng, on.clone())?;
        let norm = LayerNormConfig::new(width).with_epsilon(self.transformer.epsilon);
        let pool_norm = (self.pool == ImagePool::Mean).then(|| norm.init(on)).transpose()?;
        Ok(Vit { patch, class_token, position, transformer, pool_norm, side: self.patch })
    }
}

/// ViT (Dosovitskiy et al., 2021): patches through a linear map, a class token before them, positions, transformer blocks.
#[derive(Module, Debug)]
pub struct Vit {
    /// `[channels * patch * patch, d]`.
    pub patch: Linear,
    /// `[1, d]`.
    pub class_token: Param<Tensor<2>>,
    /// `[patches + 1, d]`, the class token's first.
    pub position: Param<Tensor<2>>,
    /// The blocks.
    pub transformer: Transformer,
    /// The norm of the mean row, where that is pooled.
    pub pool_norm: Option<LayerNorm>,
    side: usize,
}

impl Vit {
    /// All rows of each image: the class token's, then those of the patches, line by line.
    ///
    /// # Shapes
    /// - images: `[n, channels, height, width]`
    /// - output: `[n, patches + 1, d]`
    ///
    /// # Panics
    /// When the images have another shape.
    pub fn forward_rows(&self, images: Tensor<4>, pass: &mut Pass) -> Tensor<3> {
        let ([n, channels, height, width], p) = (images.dims(), self.side);
        let (down, across) = (height / p, width / p);
        let [rows, d] = self.position.val().dims();
        assert_eq!(down * across + 1, rows, "patches of images {:?}, and positions", images.dims());
        let patches: Tensor<6> = images.reshape([n, channels, down, p, across, p]).permute([0, 2, 4, 1, 3, 5]);
        let patches = self.patch.forward(patches.reshape([n * down * across, channels * p * p]));
        let patches = patches.reshape([n, down * across, d]);
        let class_token = self.class_token.val().unsqueeze::<3>().expand([n, 1, d]);
        let x = Tensor::cat(vec![class_token, patches], 1) + self.position.val().unsqueeze::<3>();
        let x = self.transformer.forward(x.reshape([n * rows, d]), &Ragged::even(n, rows), pass);
        x.reshape([n, rows, d])
    }

    /// One row for each image.
    ///
    /// # Shapes
    /// - images: `[n, channels, height, width]`
    /// - output: `[n, d]`
    ///
    /// # Panics
    /// When the images have another shape.
    pub fn forward(&self, images: Tensor<4>, pass: &mut Pass) -> Tensor<2> {
        self.pooled(self.forward_rows(images, pass))
    }

    /// One row for each image from its rows `[n, patches + 1, d]`.
    pub fn pooled(&self, rows: Tensor<3>) -> Tensor<2> {
        let [n, count, d] = rows.dims();
        match &self.pool_norm {
            None => first_rows(rows.reshape([n * count, d]), &Ragged::even(n, count)),
            Some(norm) => norm.forward(rows.narrow(1, 1, count - 1).mean_dim(1).reshape([n, d])),
        }
    }
}
