//! Files of weights that do not fit, and a round trip.

use crate::common::device;
use contrastive_nn::encoder::{MlpConfig, TokenEncoder, TokenEncoderConfig, TransformerConfig};
use contrastive_nn::weights::{Array, KeyMap, Values, Weights, WeightsError};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn encoder(seed: u64) -> TokenEncoder {
    let config = TokenEncoderConfig::bert(11, 7, TransformerConfig::bert(6, 2, 10, 2));
    config.init(&mut ChaCha8Rng::seed_from_u64(seed), &device()).unwrap()
}

#[test]
fn weights_come_back_from_a_file_in_every_convention() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for keys in [KeyMap::own(), KeyMap::transposed(), KeyMap::bert()] {
        let written = Weights::of(&encoder(1), &keys);
        written.write_safetensors(&path).unwrap();
        let read = Weights::read(&path).unwrap();
        let loaded = read.load(encoder(2), &keys).unwrap();
        assert_eq!(Weights::of(&loaded, &keys).names().count(), written.names().count());
        for name in written.names() {
            assert_eq!(Weights::of(&loaded, &keys).get(name), written.get(name), "{name}");
        }
    }
    let theirs = Weights::of(&encoder(1), &KeyMap::bert());
    let query = theirs.get("encoder.layer.1.attention.self.value.weight").expect("a name of theirs");
    assert_eq!(query.shape, [6, 6]);
}

#[test]
fn what_does_not_fit_is_named_and_nothing_is_loaded() {
    let one = |shape: &[usize]| Array { shape: shape.to_vec(), values: Values::F32(vec![0.5; shape.iter().product()]) };
    let module = || MlpConfig::new(vec![3, 2]).init(&mut ChaCha8Rng::seed_from_u64(1), &device()).unwrap();
    let arrays = [("maps.0.weight", one(&[3, 2])), ("other", one(&[1]))].map(|(name, array)| (name.to_string(), array));
    let weights = Weights::new("a test", arrays);
    let error = weights.load(module(), &KeyMap::transposed()).unwrap_err();
    let WeightsError::Mismatch { missing, unused, shapes, .. } = &error else { panic!("{error}") };
    assert_eq!((&missing[..], &unused[..]), (&["maps.0.bias".to_string()][..], &["other".to_string()][..]));
    assert_eq!(shapes, &[("maps.0.weight".to_string(), vec![3, 2], vec![2, 3])]);
    let message = error.to_string();
    assert!(message.len() < 500 && message.contains("nothing was loaded"), "{message}");
}

#[test]
fn files_of_another_format_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    assert!(matches!(Weights::read(&path), Err(WeightsError::Io { .. })));
    std::fs::write(&path, b"PK and so on, no header of a safetensors file").unwrap();
    assert!(matches!(Weights::read(&path), Err(WeightsError::Format { .. })));
}
