//! Batches made ahead.

use crate::{device, images, views};
use burn::tensor::DType;
use contrastive_data::augment::{Augmentation, Step, Views};
use contrastive_train::epoch_rng;
use contrastive_vision::data::{Ahead, ImageBatch, Loader};

fn epoch(threads: usize, seed: u64) -> Vec<ImageBatch> {
    let views = Views::multi_crop([views(12), views(6)], [2, 1]);
    let ahead = Ahead { threads, batches: 2 };
    let mut loader = Loader::new(&images(), &views, 10, ahead, (device(), DType::F32)).unwrap();
    let count = loader.start(3, &mut epoch_rng(seed, 3));
    assert_eq!(count, 4, "48 images in batches of 10");
    let all = (0..count).map(|_| loader.next_batch()).collect();
    assert_eq!(loader.waiting().batches, 4);
    all
}

#[test]
fn any_number_of_threads_makes_the_same_pixels() {
    let pixels = |all: &[ImageBatch]| -> Vec<f32> {
        all.iter().flat_map(|b| b.views.iter().flat_map(|v| v.to_data().iter::<f32>().collect::<Vec<_>>())).collect()
    };
    let first = epoch(0, 1);
    assert_eq!(first[0].views[0].dims(), [10, 3, 12, 12]);
    assert_eq!(first[0].views[2].dims(), [10, 3, 6, 6]);
    for threads in [1, 3] {
        let other = epoch(threads, 1);
        assert_eq!(pixels(&first), pixels(&other));
        assert_eq!(first[2].crops, other[2].crops);
    }
    assert_ne!(pixels(&first), pixels(&epoch(1, 2)));
    // ids and labels travel: every image at most once, with its own label
    let set = images();
    let mut seen: Vec<usize> = first.iter().flat_map(|batch| batch.images.clone()).collect();
    for batch in &first {
        for (image, label) in batch.images.iter().zip(&batch.labels) {
            assert_eq!(set.label(*image), Some(*label as u32));
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 40);
}

#[test]
fn views_that_do_not_fit_are_refused_before_the_first_batch() {
    let views = Views::two(Augmentation::new(12).then(Step::Window { size: [20, 20] }.always()));
    let error = Loader::new(&images(), &views, 8, Ahead::default(), (device(), DType::F32)).unwrap_err().to_string();
    assert!(error.contains("window: size is 20 x 20; allowed is at most the image, 12 x 12"), "{error}");
}
