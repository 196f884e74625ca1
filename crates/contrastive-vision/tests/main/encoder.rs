//! Encoders: shapes, seeds, files.

use crate::{device, images};
use burn::module::Module;
use burn::tensor::{DType, Tensor};
use contrastive_nn::layer::ChannelNormKind;
use contrastive_vision::VisionError;
use contrastive_vision::encoder::*;

#[test]
fn encoders_are_drawn_from_their_seed_and_saved() {
    let (images, on) = (images(), (device(), DType::F32));
    let folder = tempfile::tempdir().unwrap();
    for config in [
        EncoderConfig::mlp(&[10, 7]),
        EncoderConfig::conv(&[4, 7]),
        EncoderConfig::conv(&[4, 7]).with_norm(ChannelNormKind::Ghost(4)),
        EncoderConfig::conv(&[4, 7]).with_norm(ChannelNormKind::None),
    ] {
        let [a, b, c] = [1, 1, 2].map(|seed| config.init([3, 12, 12], seed, &on).unwrap());
        let [x, y, z] = [&a, &b, &c].map(|encoder| embed(encoder, &images, &on.0).unwrap());
        assert_eq!(x.dim(), (48, 7));
        assert_eq!((a.width(), config.width()), (7, 7));
        assert!(x == y && x != z);
        let path = folder.path().join("encoder.safetensors");
        save_encoder(&path, &a, &config, [3, 12, 12]).unwrap();
        let (back, found, shape) = load_encoder(&path, &on.0).unwrap();
        assert_eq!((embed(&back, &images, &on.0).unwrap(), found, shape), (x, config, [3, 12, 12]));
    }
    // the mean over positions of the map is the embedding
    let conv = EncoderConfig::conv(&[4, 7]).init([3, 12, 12], 1, &on).unwrap();
    let pixels = Tensor::<4>::ones([2, 3, 12, 12], &on.0) * 0.3;
    let map = conv.feature_map(pixels.clone());
    assert_eq!(map.dims(), [2, 7, 3, 3]);
    let mean: Vec<f32> = map.reshape([2, 7, 9]).mean_dim(2).into_data().iter::<f32>().collect();
    // summed in another order
    let rows: Vec<f32> = conv.forward(pixels).into_data().iter::<f32>().collect();
    assert!(mean.iter().zip(&rows).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs()), "{mean:?} {rows:?}");
    assert!(conv.num_params() > 3 * 9 * 4 + 4 * 9 * 7);
}

#[test]
fn files_that_hold_no_encoder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    contrastive_train::write_safetensors(&path, &Default::default(), &Default::default()).unwrap();
    let error = load_encoder(&path, &device()).unwrap_err();
    assert!(matches!(error, VisionError::NotAnEncoder { .. }) && error.to_string().contains("no settings"), "{error}");
    assert!(load_encoder(&folder.path().join("no"), &device()).is_err());
}
