//! Representations from videos: the checks of their description.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_core::objective::NtXent;
use contrastive_eval::ndarray::{Array2, Axis, s};
use contrastive_rl::evaluate::{QLearning, probe, q_learning, split};
use contrastive_rl::method::video::{Negatives, Transitions, VideoConfig, VideoModel, VideoObjective, embed};
use contrastive_rl::world::grid::{CELLS, ExoGrid, Noise, PIXELS, Sight, Videos, Walker};
use contrastive_train::{Budget, FitOptions, MethodConfig, TrainingConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn to_array(x: &Tensor<2>) -> Array2<f32> {
    let [n, d] = x.dims();
    Array2::from_shape_vec((n, d), x.clone().into_data().iter::<f32>().collect()).unwrap()
}

const CONTRAST: VideoObjective = VideoObjective::Contrast { negatives: Negatives::Anywhere };

fn videos(noise: Noise, episodes: usize, seed: u64) -> (ExoGrid, Videos) {
    let world = ExoGrid::new(noise, seed).unwrap();
    let videos = Videos::record(&world, episodes, 10, Walker::Uniform, seed);
    (world, videos)
}

fn trained(config: &VideoConfig, videos: &Videos, seed: u64) -> VideoModel {
    config.fit(videos, &FitOptions::new(&Device::flex()).seed(seed).progress(false)).unwrap().model
}

/// Check 1: pairs stay within their episodes, and the loss is NT-Xent.
#[test]
fn pairs_stay_within_episodes() {
    let (_, data) = videos(Noise::None, 30, 1);
    let pairs = Transitions::new(&data, 4, 0.2, 7).unwrap();
    assert_eq!(pairs.train.len() + pairs.validation.len(), 30 * (10 + 9 + 8 + 7));
    for t in pairs.train.iter().chain(&pairs.validation) {
        assert!((1..=4).contains(&t.k) && t.to == t.from + t.k);
        assert!(data.offsets[t.episode] <= t.from && t.to < data.offsets[t.episode + 1]);
    }
    let held_out: Vec<usize> = pairs.validation.iter().map(|t| t.episode).collect();
    assert!(pairs.train.iter().all(|t| !held_out.contains(&t.episode)));
    assert_eq!(pairs, Transitions::new(&data, 4, 0.2, 7).unwrap());
    assert_ne!(pairs, Transitions::new(&data, 4, 0.2, 8).unwrap());
}

#[test]
fn the_contrast_is_nt_xent() {
    let (_, data) = videos(Noise::None, 10, 1);
    let config = VideoConfig::new(CONTRAST);
    let training = config.build(&data, 3, &Device::flex()).unwrap();
    let (method, model) = (training.method(), training.model().valid());
    let batch = method.make(&method.transitions().train[..20]);
    let [first, second] = [&batch.from, &batch.to].map(|x| model.encode(x.clone()));
    let expected = NtXent::new(0.1).unwrap().loss(first, second).into_data();
    assert_eq!(method.loss(&model, &batch).into_data(), expected);
}

/// Other negatives are those of the dense definition: the log-sum over the rows that are allowed.
#[test]
fn negatives_by_episode_are_those_of_the_definition() {
    let (_, data) = videos(Noise::Exogenous(0.3), 6, 1);
    for negatives in [Negatives::OtherEpisodes, Negatives::SameEpisode] {
        let config = VideoConfig::new(VideoObjective::Contrast { negatives });
        let training = config.build(&data, 3, &Device::flex()).unwrap();
        let (method, model) = (training.method(), training.model().valid());
        let batch = method.make(&method.transitions().train[..25]);
        let found = f64::from(method.loss(&model, &batch).into_scalar::<f32>());
        let rows = to_array(&Tensor::cat([&batch.from, &batch.to].map(|x| model.encode(x.clone())).to_vec(), 0));
        let episodes = [batch.episodes.as_slice(), &batch.episodes].concat();
        let unit: Vec<Vec<f64>> = rows
            .rows()
            .into_iter()
            .map(|row| {
                let n = row.dot(&row).sqrt();
                row.iter().map(|x| f64::from(x / n)).collect()
            })
            .collect();
        let mut mean = 0.0;
        for i in 0..50 {
            let partner = (i + 25) % 50;
            let score = |j: usize| unit[i].iter().zip(&unit[j]).map(|(x, y)| x * y).sum::<f64>() / 0.1;
            let allowed = |j: usize| {
                j == partner || (j != i && (episodes[i] == episodes[j]) == (negatives == Negatives::SameEpisode))
            };
            let sum: f64 = (0..50).filter(|j| allowed(*j)).map(|j| score(j).exp()).sum();
            mean += (sum.ln() - score(partner)) / 50.0;
        }
        assert!((found - mean).abs() < 1e-5, "{negatives:?}: {found} and {mean}");
    }
}

/// Check 2: predicting the frame itself is the autoencoder.
#[test]
fn the_forward_model_of_no_motion_is_the_autoencoder() {
    let (_, mut data) = videos(Noise::Iid(0.3), 20, 5);
    // every frame of an episode is its first
    for w in data.offsets.clone().windows(2) {
        let first = data.frames.row(w[0]).to_owned();
        data.frames.slice_mut(s![w[0]..w[1], ..]).rows_mut().into_iter().for_each(|mut row| row.assign(&first));
    }
    let short = TrainingConfig::new(Budget::Steps(30), 32, 1e-2);
    let model = |objective| trained(&VideoConfig::new(objective).with_training(short.clone()), &data, 4);
    let features = |model: &VideoModel| embed(model, data.frames.view(), false);
    let [a, b] = [VideoObjective::Autoencoder, VideoObjective::Forward].map(model);
    assert_eq!(features(&a), features(&b));
}

/// Check 3: the linear autoencoder finds the space of the largest variance.
#[test]
fn the_linear_autoencoder_finds_the_principal_space() {
    let world = ExoGrid::new(Noise::Iid(1.0), 2).unwrap();
    let data = Videos::record(&world, 200, 10, Walker::Uniform, 2);
    // noise of 16 equal variances of 1 towers over the cells' 1 / 25
    let mut config = VideoConfig::new(VideoObjective::Autoencoder);
    config.validation = 0.0;
    config.training = TrainingConfig::new(Budget::Steps(4000), 256, 3e-3);
    let model = trained(&config, &data, 1);
    let decoder = to_array(&model.head.as_ref().unwrap().maps[0].weight.val()).mapv(f64::from);
    let mean = data.frames.mapv(f64::from).mean_axis(Axis(0)).unwrap();
    let centred = data.frames.mapv(f64::from) - &mean;
    let covariance = centred.t().dot(&centred);
    let space = orthonormal(power_iterations(&covariance, 16));
    let decoder = orthonormal(decoder);
    // the sine of the largest angle between the spaces, from the residual of each decoder direction
    let residual = &decoder - &decoder.dot(&space.t()).dot(&space);
    let gram = residual.dot(&residual.t());
    let worst = power_iterations(&gram, 1);
    let sine = (worst.row(0).dot(&gram.dot(&worst.row(0)))).max(0.0).sqrt();
    // at the end Adam still moves about: the angle is that of its last steps
    assert!(sine < 5e-2, "sine of the largest angle: {sine}");
}

/// Rows: an orthonormal basis of the dominant space of a symmetric matrix.
fn power_iterations(a: &Array2<f64>, k: usize) -> Array2<f64> {
    let n = a.nrows();
    let mut basis = orthonormal(Array2::from_shape_fn((k, n), |(i, j)| ((1 + i * n + j) as f64 * 0.7).sin()));
    for _ in 0..300 {
        basis = orthonormal(basis.dot(a));
    }
    basis
}

fn orthonormal(mut rows: Array2<f64>) -> Array2<f64> {
    for i in 0..rows.nrows() {
        for j in 0..i {
            let (before, mut row) = rows.multi_slice_mut((s![j, ..], s![i, ..]));
            let along = before.dot(&row);
            row.scaled_add(-along, &before);
        }
        let length = rows.row(i).dot(&rows.row(i)).sqrt();
        rows.row_mut(i).mapv_inplace(|x| x / length);
    }
    rows
}

/// Check 4: exogenous noise goes its own way; its memory is long, that of iid noise none.
#[test]
fn noise_ignores_the_agent() {
    let lag_one = |noise: Noise| {
        let (_, data) = videos(noise, 300, 11);
        // along a direction that no cell moves: the noise plane is what remains of differences within one cell
        let mut products = [0.0; 2];
        for w in data.offsets.windows(2) {
            for t in w[0]..w[1] - 1 {
                if data.states[t] == data.states[t + 1] {
                    let cell: Vec<usize> =
                        (0..data.states.len()).filter(|i| data.states[*i] == data.states[t]).collect();
                    let mean = data.frames.select(Axis(0), &cell).mean_axis(Axis(0)).unwrap();
                    let [x, y] = [t, t + 1].map(|t| &data.frames.row(t) - &mean);
                    products[0] += f64::from(x.dot(&y));
                    products[1] += f64::from(x.dot(&x) + y.dot(&y)) / 2.0;
                }
            }
        }
        products[0] / products[1]
    };
    let (iid, exogenous) = (lag_one(Noise::Iid(0.3)), lag_one(Noise::Exogenous(0.3)));
    assert!(iid.abs() < 0.05, "{iid}");
    assert!(exogenous > 0.9, "{exogenous}");
    // two policies, one law of the noise: mean squared change of a step within one cell, compared with its standard error
    let changes = |walker| {
        let world = ExoGrid::new(Noise::Exogenous(0.3), 1).unwrap();
        let data = Videos::record(&world, 400, 10, walker, 21);
        let still =
            data.offsets.windows(2).flat_map(|w| w[0]..w[1] - 1).filter(|t| data.states[*t] == data.states[*t + 1]);
        let found: Vec<f64> = still
            .map(|t| {
                let d = &data.frames.row(t) - &data.frames.row(t + 1);
                f64::from(d.dot(&d))
            })
            .collect();
        let n = found.len() as f64;
        let mean = found.iter().sum::<f64>() / n;
        (mean, found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n / n)
    };
    let ((a, va), (b, vb)) = (changes(Walker::Uniform), changes(Walker::RightAndDown));
    assert!((a - b).abs() < 4.0 * (va + vb).sqrt(), "{a} and {b}");
}

/// Check 5: reinforcement learning does not touch the encoder.
#[test]
fn q_learning_leaves_the_encoder_alone() {
    let (world, data) = videos(Noise::None, 60, 3);
    let model =
        trained(&VideoConfig::new(CONTRAST).with_training(TrainingConfig::new(Budget::Steps(50), 64, 1e-2)), &data, 3);
    let weights = |model: &VideoModel| model.encoder.maps[0].weight.val().into_data();
    let before = weights(&model);
    let features = embed(&model, data.frames.view(), true);
    let settings = QLearning { clusters: 30, episodes: 20, tests: 10, ..Default::default() };
    q_learning(&world, features.view(), |x| embed(&model, x, true), &settings, 3).unwrap();
    assert_eq!(before, weights(&model));
}

/// Check 6: the gradient of the contrast at B = 4, d = 3, in f64.
#[test]
fn gradients_of_the_contrast() {
    let device = Device::flex().autodiff();
    let numbers: Vec<f64> = (0..24).map(|i| (f64::from(i) * 1.7).sin()).collect();
    let loss = |numbers: &[f64], track: bool| {
        let half = |at: usize| {
            let x = Tensor::<2>::from_data(
                TensorData::new(numbers[at * 12..][..12].to_vec(), [4, 3]),
                (&device, DType::F64),
            );
            if track { x.require_grad() } else { x }
        };
        let (x, y) = (half(0), half(1));
        (NtXent::new(0.1).unwrap().loss(x.clone(), y.clone()), [x, y])
    };
    let (value, inputs) = loss(&numbers, true);
    let gradients = value.backward();
    let found: Vec<f64> =
        inputs.iter().flat_map(|x| x.grad(&gradients).unwrap().into_data().iter::<f64>().collect::<Vec<_>>()).collect();
    for at in 0..24 {
        let moved = |step: f64| {
            let mut numbers = numbers.clone();
            numbers[at] += step;
            loss(&numbers, false).0.into_data().iter::<f64>().next().unwrap()
        };
        let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!((found[at] - slope).abs() < 1e-6, "{at}: {} and {slope}", found[at]);
    }
}

/// Check 8, one seed of each cell that the description bounds (the example prints the whole table).
#[test]
fn what_each_objective_finds() {
    let accuracy = |noise: Noise, objective: VideoObjective| {
        let mut sum = 0.0;
        for seed in 0..2 {
            let (_, data) = videos(noise, 400, seed);
            let config = VideoConfig::new(objective);
            let features = embed(&trained(&config, &data, seed), data.frames.view(), config.unit_features());
            let [bank, tests] = split(features.nrows(), 100, 500, seed);
            let states = |rows: &[usize]| rows.iter().map(|r| data.states[*r]).collect::<Vec<_>>();
            let pick = |rows: &[usize]| features.select(Axis(0), rows);
            sum += probe(pick(&bank).view(), &states(&bank), pick(&tests).view(), &states(&tests)).unwrap() / 2.0;
        }
        sum
    };
    let (ae, forward, acro) = (VideoObjective::Autoencoder, VideoObjective::Forward, VideoObjective::Acro);
    let (iid, strong, weak) = (Noise::Iid(0.3), Noise::Exogenous(0.3), Noise::Exogenous(0.1));
    let above = |name: &str, found: f64, bound: f64| assert!(found > bound, "{name}: {found}");
    let below = |name: &str, found: f64, bound: f64| assert!(found < bound, "{name}: {found}");
    above("iid, contrast", accuracy(iid, CONTRAST), 0.8);
    above("iid, forward", accuracy(iid, forward), 0.8);
    below("iid, autoencoder", accuracy(iid, ae), 0.3);
    below("exogenous .3, contrast", accuracy(strong, CONTRAST), 0.4);
    below("exogenous .3, forward", accuracy(strong, forward), 0.4);
    above("exogenous .3, ACRO", accuracy(strong, acro), 0.7);
    above("exogenous .1, forward", accuracy(weak, forward), 0.8);
    below("exogenous .1, contrast", accuracy(weak, CONTRAST), 0.4);
}

#[test]
fn video_runs_resume_bit_for_bit() {
    let (_, data) = videos(Noise::Iid(0.3), 40, 1);
    let config = VideoConfig::new(VideoObjective::Acro).with_max_k(3).with_training(TrainingConfig::new(
        Budget::Epochs(4),
        64,
        1e-2,
    ));
    let run = |epochs: usize, folder: Option<&std::path::Path>| {
        let options = FitOptions::new(&Device::flex()).epochs(epochs).seed(5).progress(false);
        let options = match folder {
            Some(folder) => options.run_dir(folder).resume(true),
            None => options,
        };
        config.fit(&data, &options).unwrap().model
    };
    let folder = tempfile::tempdir().unwrap();
    let whole = run(4, None);
    run(2, Some(folder.path()));
    let rest = run(4, Some(folder.path()));
    assert_eq!(embed(&whole, data.frames.view(), false), embed(&rest, data.frames.view(), false));
    assert_eq!(data.states.iter().map(|s| *s as usize).max().unwrap(), CELLS - 1);
}

#[test]
fn pictures_show_the_cell_and_dots_drift_by_themselves() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let cell_of = |picture: &[f32]| {
        let sum = |cell: usize| -> f32 {
            let (top, left) = (cell / 5 * 10, cell % 5 * 10);
            (0..100).map(|at| picture[(top + at / 10) * PIXELS + left + at % 10]).sum()
        };
        (0..25).max_by(|a, b| sum(*a).total_cmp(&sum(*b))).unwrap()
    };
    let plain = ExoGrid::new(Noise::None, 1).unwrap().with_sight(Sight::Picture);
    assert_eq!(plain.width(), 2500);
    for cell in [0, 7, 24] {
        let state = plain.begin(cell, &mut rng);
        let picture = plain.observe(&state, &mut rng);
        assert_eq!(cell_of(&picture), cell);
        assert!((picture.iter().sum::<f32>() - 100.0).abs() < 10.0);
    }
    // the agent stays in its corner: what changes are the dots, all of them by less than three pixels
    let drifting = ExoGrid::new(Noise::Exogenous(1.0), 1).unwrap().with_sight(Sight::Picture);
    let mut state = drifting.begin(0, &mut rng);
    let before = state.clone();
    let [first, again] = [0, 1].map(|_| drifting.observe(&state, &mut rng));
    assert!(first.iter().zip(&again).all(|(a, b)| (a - b).abs() < 0.3));
    drifting.step(&mut state, 0, &mut rng);
    assert_eq!(state.cell, 0);
    for (old, new) in before.dots.iter().zip(&state.dots) {
        for axis in 0..2 {
            let moved = (new[axis] - old[axis]).rem_euclid(PIXELS as f64);
            assert!(moved.min(PIXELS as f64 - moved) <= 2.0);
        }
    }
    let second = drifting.observe(&state, &mut rng);
    assert!(first.iter().zip(&second).filter(|(a, b)| (*a - *b).abs() > 0.5).count() > 50);
    let anew = ExoGrid::new(Noise::Iid(1.0), 1).unwrap().with_sight(Sight::Picture);
    let state = anew.begin(12, &mut rng);
    let [first, again] = [0, 1].map(|_| anew.observe(&state, &mut rng));
    assert!(first.iter().zip(&again).filter(|(a, b)| (*a - *b).abs() > 0.5).count() > 200);
}

#[test]
fn a_net_reads_pictures() {
    let world = ExoGrid::new(Noise::Exogenous(1.0), 4).unwrap().with_sight(Sight::Picture);
    let videos = Videos::record(&world, 60, 6, Walker::Uniform, 4);
    let training = TrainingConfig::new(Budget::Steps(60), 64, 2e-3);
    let config = VideoConfig::new(VideoObjective::Acro).with_training(training).with_pictures(PIXELS, &[4, 8, 8]);
    let (first, second) = (trained(&config, &videos, 1), trained(&config, &videos, 1));
    let rows = embed(&first, videos.frames.view(), false);
    assert_eq!(rows.dim(), (420, 16));
    assert_eq!(rows, embed(&second, videos.frames.view(), false));
    let wrong = config.clone().with_pictures(20, &[4]);
    let error = wrong.build(&videos, 1, &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("20") && error.contains("2500"), "{error}");
    assert!(config.with_pictures(PIXELS, &[]).validate().is_err());
}
