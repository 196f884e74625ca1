//! Embeddings of users and items: what is wrong is a typed error, and both protocols of a test ranking.

use burn::tensor::TensorData;
use contrastive_eval::ranking::LeftOut;
use contrastive_graph::user_item::Embeddings;
use contrastive_graph::user_item::data::Interactions;
use contrastive_graph::user_item::data::generate::{PlantedOptions, planted};
use contrastive_graph::user_item::data::split;
use contrastive_train::write_safetensors;
use ndarray::{Array2, array};
use std::collections::BTreeMap;

fn embeddings() -> Embeddings {
    Embeddings::new(array![[1.0, 0.0], [0.0, 1.0]], array![[1.0, 0.0], [0.0, 1.0], [0.5, 0.6]])
}

#[test]
fn tables_of_different_widths_are_an_error_that_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let table = |columns: usize| TensorData::new(vec![0.5f32; 4 * columns], [4, columns]);
    let state = BTreeMap::from([("users".to_string(), table(3)), ("items".to_string(), table(2))]);
    write_safetensors(&path, &state, &BTreeMap::new()).unwrap();
    let error = Embeddings::load(&path).unwrap_err().to_string();
    assert!(error.contains("items") && error.contains("2 columns") && error.contains('3'), "{error}");
}

#[test]
fn recommending_from_damaged_or_foreign_tables_is_an_error() {
    let seen = |users, items| Interactions::from_pairs(users, items, [(0, 0)]).unwrap();
    let model = embeddings();
    assert_eq!(model.recommend(&[0], 2, &seen(2, 3)).unwrap().row(0).0, [2, 1]);
    for (seen, words) in
        [(seen(1, 3), "number of users of `seen` is 1"), (seen(2, 9), "number of items of `seen` is 9")]
    {
        let error = model.recommend(&[0, 1], 1, &seen).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut nan = embeddings();
    nan.users[[1, 0]] = f32::NAN;
    assert!(nan.recommend(&[0], 1, &seen(2, 3)).is_ok(), "the other user is as before");
    let error = nan.recommend(&[0, 1], 1, &seen(2, 3)).unwrap_err().to_string();
    assert!(error.contains("row 1 of the user embeddings holds NaN"), "{error}");
    let mut infinite = embeddings();
    infinite.items[[2, 1]] = f32::INFINITY;
    let error = infinite.recommend(&[0], 1, &seen(2, 3)).unwrap_err().to_string();
    assert!(error.contains("row 2 of the item embeddings holds inf"), "{error}");
}

/// Leaving validation items out can only move test items up; without a validation part there is one protocol.
#[test]
fn the_protocol_of_a_test_ranking_is_a_named_choice() {
    let mut data = planted(&PlantedOptions { users: 80, items: 60, ..Default::default() }).unwrap().dataset;
    let table = |rows: usize| Array2::from_shape_fn((rows, 4), |(i, j)| ((i * 7 + j * 13) % 11) as f32 - 5.0);
    let model = Embeddings::new(table(80), table(60));
    let recall = |data: &_, left_out| {
        let report = model.evaluate_test(data, left_out, &[10]).unwrap();
        (report.get("recall@10").unwrap(), report.left_out())
    };
    let plain = recall(&data, LeftOut::Train);
    assert_eq!(recall(&data, LeftOut::TrainAndValidation), plain);
    assert_eq!(plain.0, model.evaluate(&data.train, &data.test, &[10]).unwrap().get("recall@10").unwrap());
    let (train, validation) = split::random(&data.train, 0.2, 7).unwrap();
    (data.train, data.validation) = (train, Some(validation));
    let (ranked, left_out) = (recall(&data, LeftOut::Train), recall(&data, LeftOut::TrainAndValidation));
    assert_eq!((ranked.1, left_out.1), (Some(LeftOut::Train), Some(LeftOut::TrainAndValidation)));
    assert!(left_out.0 > ranked.0, "{} {}", left_out.0, ranked.0);
}
