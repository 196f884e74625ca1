//! HaLP: checks of its specification.

use crate::{device, generator, slopes, step, total, values};
use burn::module::Param;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::synthesis::Reach;
use contrastive_eval::Similarity;
use contrastive_eval::neighbours::Knn;
use contrastive_nn::layer::Directions;
use contrastive_timeseries::augment::{Augmentation, Augmentations};
use contrastive_timeseries::data::{Over, Scaling, Series, gaits, read_archive};
use contrastive_timeseries::encoder::{ClipEncoderConfig, ClipNet, embed_clips};
use contrastive_timeseries::method::{Halp, HalpConfig, Stream};
use contrastive_train::testing::{resumes_bit_for_bit, settings_are_refused};
use contrastive_train::{Budget, Method, MethodConfig, Trainee, Training, TrainingConfig, epoch_rng};
use ndarray::array;

fn views() -> Augmentations {
    Augmentations::always(vec![Augmentation::Crop(0.6), Augmentation::Jitter(0.1)])
}

fn small() -> HalpConfig {
    let net = ClipNet::Convolutional { widths: vec![6, 8], taps: 3, stride: 2 };
    HalpConfig::new()
        .with_encoder(ClipEncoderConfig::new().with_net(net).with_projection(6))
        .with_views(views())
        .with_queue(24)
        .with_sample(16)
        .with_prototypes(4)
        .with_every(3)
        .with_positives(10)
        .with_warm_up(1)
        .with_training(TrainingConfig::new(Budget::Epochs(4), 8, 0.05))
}

fn clips() -> Series {
    gaits(3, 4, 24, 5).unwrap()
}

#[test]
fn streams_are_differences_in_time_and_along_bones() {
    let clip = array![[1.0, 2.0, 3.0, 4.0, 6.0, 8.0], [2.0, 2.0, 2.0, 0.0, 0.0, 1.0]];
    assert_eq!(Stream::Joint.of(&clip, &[]), clip);
    let motion = array![[1.0, 0.0, -1.0, -4.0, -6.0, -7.0], [0.0; 6]];
    assert_eq!(Stream::Motion.of(&clip, &[]), motion);
    let bone = array![[0.0, 0.0, 0.0, 3.0, 4.0, 5.0], [0.0, 0.0, 0.0, -2.0, -2.0, -1.0]];
    assert_eq!(Stream::Bone.of(&clip, &[0, 0]), bone);
}

#[test]
fn without_weight_or_before_the_warm_up_it_is_moco() {
    let series = clips();
    let run = |config: HalpConfig, steps: usize| {
        let mut training: Training<Halp> = config.build(&series, 3, &device()).unwrap();
        let losses: Vec<_> = (0..steps).map(|_| training.train_step().unwrap()).collect();
        let state = training.state();
        let model: Vec<_> = state.into_iter().filter(|(name, _)| name.starts_with("model.")).collect();
        (losses, model, training)
    };
    // 24 samples have passed after three steps, more than 24 after four
    let (with, model, training) = run(small(), 4);
    let (without, plain, _) = run(small().with_weight(0.0), 4);
    assert!(model.iter().zip(&plain).all(|(a, b)| a.1.as_bytes() == b.1.as_bytes()), "the first steps are MoCo's");
    let latent = |losses: &Vec<(&str, f64)>| losses.iter().find(|(name, _)| *name == "latent").unwrap().1;
    assert!(with.iter().chain(&without).all(|losses| latent(losses) == 0.0), "{with:?}");
    assert!(training.method().prototypes(0).is_some(), "prototypes as soon as the queue is warm");
    let (with, model, training) = run(small(), 9);
    let (_, plain, other) = run(small().with_weight(0.0), 9);
    assert!(latent(&with[8]).is_finite() && latent(&with[8]) != 0.0, "{:?}", with[8]);
    assert!(model.iter().zip(&plain).any(|(a, b)| a.1.as_bytes() != b.1.as_bytes()));
    let share = training.method().kept_share();
    assert!(share > 0.0 && share <= 1.0 && other.method().kept_share().is_nan(), "{share}");
    assert_eq!(other.method().prototypes(0).map(Tensor::dims), None);
    // and none before its epoch: 36 clips are four steps of 8
    let (late, ..) = run(small().with_after(2), 10);
    assert!(late[..9].iter().all(|losses| latent(losses) == 0.0) && latent(&late[9]) != 0.0, "{late:?}");
}

#[test]
fn the_prototypes_are_of_length_1_and_change_every_third_step() {
    let mut training = small().build(&clips(), 1, &device()).unwrap();
    let mut seen: Vec<Option<Vec<f64>>> = Vec::new();
    for _ in 0..12 {
        training.train_step().unwrap();
        seen.push(training.method().prototypes(0).map(values));
    }
    let last = seen[11].clone().unwrap();
    assert!(last.chunks(6).all(|row| (row.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-5));
    let changed: Vec<usize> = (1..12).filter(|&k| seen[k] != seen[k - 1]).collect();
    // at once when the queue is warm (after the fourth step), then after steps 6, 9 and 12
    assert_eq!(changed, [3, 5, 8, 11]);
}

#[test]
fn what_a_method_owes() {
    let series = clips();
    let build = || small().build(&series, 7, &device()).unwrap();
    resumes_bit_for_bit(&build, 11);
    let streams = small().with_streams(vec![Stream::Joint, Stream::Motion, Stream::Bone]).with_parents(vec![0]);
    let recurrent = ClipNet::Recurrent { hidden: 5, layers: 1, directions: Directions::Both };
    let streams = streams.with_encoder(ClipEncoderConfig::new().with_net(recurrent).with_projection(6));
    resumes_bit_for_bit(&|| streams.build(&series, 7, &device()).unwrap(), 6);
    settings_are_refused([
        (small().with_temperature(0.0), "temperature 0"),
        (small().with_momentum(1.1), "momentum is 1.1; it must be in [0, 1]"),
        (small().with_reach(Reach::Uniform(2.0)), "reach of latent positives 2"),
        (small().with_streams(vec![]), "streams is 0"),
        (small().with_queue(0), "queue is 0"),
        (small().with_prototypes(1), "prototypes is 1; it must be at least 2"),
        (small().with_sample(3), "sample is 3; it must be at least the 4 prototypes"),
        (small().with_sample(25), "sample is 25; it must be at most the 24 keys of a queue"),
        (small().with_every(0), "every is 0"),
        (small().with_weight(-1.0), "weight is -1"),
        (small().with_positives(0), "positives of each key 0"),
    ]);
    let says = |config: HalpConfig, text: &str| {
        let error = config.build(&series, 1, &device()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    says(small().with_streams(vec![Stream::Bone]), "number of parents is 0; it must be one for each third of the 3");
    says(small().with_streams(vec![Stream::Bone]).with_parents(vec![4]), "parent is 4");
    says(small().with_training(TrainingConfig::new(Budget::Epochs(1), 64, 0.1)), "at most the 36 clips");
}

#[test]
fn the_gradient_of_a_step_is_the_slope_of_its_losses() {
    let mut training = small().with_temperature(0.2).build(&clips(), 7, &device()).unwrap();
    (0..8).for_each(|_| drop(training.train_step().unwrap()));
    let model = training.model().clone();
    let (method, step) = (training.method_mut(), step(3, 0, 7));
    method.begin_epoch(3, epoch_rng(7, 3)).unwrap();
    let batch = method.batch(step).unwrap();
    let losses = method.losses(&model, &batch, step).unwrap();
    assert!(values(&losses[1].1)[0] != 0.0, "latent positives take part");
    let gradients = total(method, &model, &batch, step).backward();
    // the last map: nothing with a kink follows
    let gradient = values(&model.streams[0].head.maps[1].weight.val().grad(&gradients).unwrap());
    let base = model.streams[0].head.maps[1].weight.val().inner();
    slopes(&gradient, 1e-2, |k, h| {
        let mut data: Vec<f64> = values(&base);
        data[k] += h;
        let mut moved = model.clone();
        let data = TensorData::new(data, base.dims()).convert_dtype(DType::F32);
        moved.streams[0].head.maps[1].weight = Param::from_tensor(Tensor::from_data(data, &device().autodiff()));
        values(&total(method, &moved, &batch, step))[0]
    });
}

#[test]
fn the_released_stepping_is_an_option_of_the_encoder() {
    let of = |directions| {
        let net = ClipNet::Recurrent { hidden: 4, layers: 2, directions };
        let encoder = ClipEncoderConfig::new().with_net(net).init(3, &mut generator(1), &device()).unwrap();
        embed_clips(&encoder, &clips(), &device()).unwrap()
    };
    let (both, released) = (of(Directions::Both), of(Directions::BothForward));
    assert_eq!(both.dim(), (36, 8));
    assert!(both != released);
}

fn neighbours(encoder: &contrastive_timeseries::encoder::ClipEncoder, train: &Series, test: &Series) -> f64 {
    let [x, x_test] = [train, test].map(|part| embed_clips(encoder, part, &device()).unwrap());
    let (y, y_test) = (train.labels().unwrap(), test.labels().unwrap());
    let knn = Knn::new(1).with_similarity(Similarity::Cosine);
    let found = knn.classify(x_test.view(), x.view(), &y.ids, y.names.len()).unwrap().predictions();
    found.iter().zip(&y_test.ids).filter(|(a, b)| a == b).count() as f64 / y_test.ids.len() as f64
}

/// A slice of the table in docs/results.md: few epochs of a small net, one seed.
#[test]
fn golden_data_natops() {
    let Some(folder) = crate::reference::shared() else { return };
    let (train, test) = read_archive(folder.join("data/uea/NATOPS")).unwrap();
    let scaling = Scaling::fit(&train, Over::Channels).unwrap();
    let (train, test) = (scaling.apply(&train).unwrap(), scaling.apply(&test).unwrap());
    let config = HalpConfig::new()
        .with_encoder(ClipEncoderConfig::new().with_net(ClipNet::small()).with_projection(32))
        .with_views(views())
        .with_momentum(0.99)
        .with_queue(128)
        .with_sample(128)
        .with_training(TrainingConfig::new(Budget::Epochs(16), 32, 1e-3));
    let run = |weight: f64| {
        let mut training = config.clone().with_weight(weight).build(&train, 1, &device()).unwrap();
        for _ in 0..12 {
            training.train_epoch().unwrap();
        }
        let share = training.method().kept_share();
        (neighbours(&training.trained_model().streams[0], &train, &test), share)
    };
    let ((moco, _), (halp, share)) = (run(0.0), run(1.0));
    println!("MoCo {moco:.3}, HaLP {halp:.3}, kept {share:.3}");
    assert!(share > 0.5, "most positives pass the rank filter: {share}");
    assert!(halp > 0.4 && halp > moco - 0.1, "MoCo {moco}, HaLP {halp}, of six gestures");
}
