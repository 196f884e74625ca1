//! What a user can get wrong beyond settings: labels that are missing, embeddings that are not finite, parts that do not fit.

use crate::{device, frame, images};
use contrastive_data::image::{ImageSet, Images, shapes};
use contrastive_train::MethodConfig;
use contrastive_vision::data::{cifar_subset, digits, fashion};
use contrastive_vision::evaluate::{Measures, Quality, spread};
use contrastive_vision::method::SupervisedConfig;
use ndarray::Array2;

fn relabelled(labels: Vec<i32>, classes: usize) -> ImageSet {
    let n = labels.len();
    ImageSet::new(Images {
        name: "some".into(),
        shape: [1, 1, 2],
        white: 255,
        pixels: (0..2 * n).map(|k| (k * 37 % 251) as u8).collect(),
        labels,
        classes: (0..classes).map(|c| c.to_string()).collect(),
        ids: (0..n).map(|k| k.to_string()).collect(),
        notes: Vec::new(),
    })
    .unwrap()
}

#[test]
fn labels_that_are_not_there_reach_no_probe() {
    let measures = Measures { neighbours: 3, temperature: 0.1, draws: 2 };
    // six labelled of each class, the others without
    let labels: Vec<i32> = (0..18).map(|k| if k < 12 { k % 2 } else { -1 }).collect();
    let set = relabelled(labels, 2);
    let rows = Array2::from_shape_fn((18, 3), |(i, j)| if i % 2 == j { 1.0 } else { 0.1 * i as f32 / 18.0 });
    let quality = Quality::of([rows.view(), rows.view()], [&set, &set], &measures).unwrap();
    assert_eq!((quality.nc5, quality.knn, quality.probe), (100.0, 100.0, 100.0));
    // four of a class are too few for NC5
    let few = relabelled((0..18).map(|k| if k < 9 { k % 2 } else { -1 }).collect(), 2);
    let error = Quality::of([rows.view(), rows.view()], [&few, &set], &measures).unwrap_err().to_string();
    assert!(error.contains("5 labelled rows of each class are asked for, and there are 4"), "{error}");
    let mut broken = rows.clone();
    broken[[3, 1]] = f32::NAN;
    let error = Quality::of([broken.view(), rows.view()], [&set, &set], &measures).unwrap_err().to_string();
    assert!(error.contains("NaN"), "{error}");
    let other = relabelled(vec![0, 1, 2], 3);
    assert!(Quality::of([rows.view(), rows.view()], [&set, &other], &measures).is_err());
    // supervised learning needs all labels
    let bare = shapes(48, 12, 1);
    let bare = ImageSet::new(Images {
        name: "bare".into(),
        shape: bare.shape(),
        white: 255,
        pixels: (0..48).flat_map(|k| bare.bytes(k).to_vec()).collect(),
        labels: (0..48).map(|k| if k == 0 { -1 } else { 0 }).collect(),
        classes: vec!["a".into(), "b".into()],
        ids: bare.ids().to_vec(),
        notes: Vec::new(),
    })
    .unwrap();
    let error = frame().train(SupervisedConfig::default()).build(&bare, 1, &device()).unwrap_err().to_string();
    assert!(error.contains("47 of 48 images have a label"), "{error}");
    assert!(frame().train(SupervisedConfig::default()).build(&images(), 1, &device()).is_ok());
}

#[test]
fn absent_sets_are_errors_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    for error in [
        digits(folder.path()).unwrap_err(),
        fashion(folder.path(), [10, 10]).unwrap_err(),
        cifar_subset(&folder.path().join("b.bin"), 3).unwrap_err(),
    ] {
        assert!(error.to_string().contains("no such file"), "{error}");
    }
}

/// Oracle: rows in all directions of the sphere have columns of deviation `1 / sqrt(d)`, equal rows of 0.
#[test]
fn spread_is_that_of_the_sphere_or_none() {
    let sphere = Array2::from_shape_fn((4000, 16), |(i, j)| ((i * 16 + j) as f32 * 12.9898).sin() * 43758.547 % 1.0);
    assert!((spread(sphere.view()) - 0.25).abs() < 0.01, "{}", spread(sphere.view()));
    let one = Array2::from_shape_fn((40, 16), |(i, j)| (1 + i) as f32 * (j as f32 - 7.0));
    assert!(spread(one.view()) < 1e-6);
}
