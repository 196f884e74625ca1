//! The simulator of inertial sensors: checks of UniMTS's specification, on paper and on one motion clip.

use crate::{close, generator};
use contrastive_timeseries::augment::random_rotation;
use contrastive_timeseries::data::*;
use ndarray::{Array2, Array3, s};

const IDENTITY: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

fn turned_about_y(angle: f64) -> [[f64; 3]; 3] {
    let (s, c) = angle.sin_cos();
    [[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]]
}

fn both() -> [Simulator; 2] {
    [Derivative::Spline, Derivative::Differences].map(|derivative| Simulator { derivative, ..Simulator::default() })
}

#[test]
fn at_rest_a_sensor_feels_gravity_and_nothing_else() {
    for simulator in both() {
        let still = Array2::from_elem((9, 3), 0.7);
        let got = simulator.sensor(still.view(), &[IDENTITY; 9]).unwrap();
        for row in got.rows() {
            assert_eq!(row.to_vec(), [0.0, GRAVITY, 0.0, 0.0, 0.0, 0.0]);
        }
        // a body in its rest pose, too
        let (mut body, _) = generated_captures(4, 6, 1).pop().unwrap();
        let first = body.slice(s![0, .., ..]).to_owned();
        body.outer_iter_mut().for_each(|mut frame| frame.assign(&first));
        let got = simulator.body(body.view()).unwrap();
        for (at, v) in got.indexed_iter() {
            let still = if at.2 < 3 { true } else { v.abs() < 1e-6 };
            assert!(still, "{at:?}: {v}");
        }
        for joint in 0..JOINTS {
            let f: f32 = (0..3).map(|c| got[[3, joint, c]].powi(2)).sum::<f32>().sqrt();
            close("length of gravity", &[f64::from(f)], &[GRAVITY], 1e-3);
        }
    }
}

#[test]
fn on_a_circle_it_feels_the_centre_and_the_turn() {
    let (radius, rate, frames) = (0.5, 1.0, 60);
    for simulator in both() {
        let angle = |t: usize| rate * t as f64 / 20.0;
        let path = Array2::from_shape_fn((frames, 3), |(t, axis)| match axis {
            0 => radius * angle(t).cos(),
            1 => 1.2,
            _ => -radius * angle(t).sin(),
        });
        // fixed to the bone: its x axis points outwards
        let turns: Vec<_> = (0..frames).map(|t| turned_about_y(angle(t))).collect();
        let got = simulator.sensor(path.view(), &turns).unwrap();
        // a natural spline takes a few frames to forget its ends
        for t in 8..frames - 8 {
            let row = got.row(t).to_vec();
            assert!((row[0] + radius * rate * rate).abs() < 0.01 * radius, "{row:?}");
            close("others", &[row[1], row[2]], &[GRAVITY, 0.0], 1e-3);
            close("rate", &row[3..], &[0.0, rate, 0.0], 1e-9);
        }
        if simulator.derivative == Derivative::Differences {
            let factor = (2.0 - 2.0 * (rate / 20.0).cos()) / (rate / 20.0).powi(2);
            close("factor of differences", &[-got[[20, 0]]], &[radius * factor], 1e-9);
        }
    }
}

fn rotated(positions: &Array3<f32>, by: &[[f64; 3]; 3]) -> Array3<f32> {
    Array3::from_shape_fn(positions.dim(), |(t, joint, axis)| {
        (0..3).map(|k| by[axis][k] * f64::from(positions[[t, joint, k]])).sum::<f64>() as f32
    })
}

fn largest(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn it_does_not_matter_which_way_a_body_faces() {
    for (kind, (body, _)) in generated_captures(4, 40, 3).into_iter().enumerate() {
        let simulator = Simulator::default();
        let (plain, turned) = (
            simulator.body(body.view()).unwrap(),
            simulator.body(rotated(&body, &turned_about_y(1.1)).view()).unwrap(),
        );
        // positions in f32 are known to 1e-7 m, and accelerations to 400 times that
        let change = largest(&plain, &turned);
        assert!(change < 2e-3, "{kind}: {change}");
    }
}

#[test]
fn golden_data_a_clip_of_motion_capture() {
    let Some(folder) = crate::reference::shared() else { return };
    let folder = folder.join("data/humanml3d-sample/new_joints");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let clip = read_npy(file, Axes::SeriesByTime).unwrap().padded();
    assert_eq!(clip.dim(), (170, 22, 3));
    let body = from_humanml3d(clip.view()).unwrap();
    // bones keep their lengths in this order, which the wrong order would not do
    for [child, parent] in bones() {
        let length =
            |t: usize| (0..3).map(|k| (body[[t, child, k]] - body[[t, parent, k]]).powi(2)).sum::<f32>().sqrt();
        let all: Vec<f32> = (0..170).map(length).collect();
        let (least, most) = all.iter().fold((f32::MAX, 0f32), |(a, b), v| (a.min(*v), b.max(*v)));
        assert!(most < 0.6 && least > 0.02 && most - least < 0.02, "{}: {least} to {most}", JOINT_NAMES[child]);
    }
    let [spline, differences] = both().map(|simulator| simulator.body(body.view()).unwrap());
    let turned = Simulator::default().body(rotated(&body, &turned_about_y(2.0)).view()).unwrap();
    assert!(largest(&spline, &turned) < 5e-3, "{}", largest(&spline, &turned));
    let mut off = 0.0;
    for joint in 0..JOINTS {
        let mean = |c: usize| (0..170).map(|t| f64::from(spline[[t, joint, c]])).sum::<f64>() / 170.0;
        let force =
            (0..170).map(|t| (0..3).map(|c| f64::from(spline[[t, joint, c]]).powi(2)).sum::<f64>().sqrt()).sum::<f64>()
                / 170.0;
        assert!((6.0..25.0).contains(&force), "{}: {force}", JOINT_NAMES[joint]);
        let turn = (0..170)
            .map(|t| (3..6).map(|c| f64::from(spline[[t, joint, c]]).powi(2)).sum::<f64>().sqrt())
            .fold(0.0, f64::max);
        assert!(turn < 60.0 && mean(0).is_finite(), "{}: {turn} rad/s", JOINT_NAMES[joint]);
        off += (0..170).map(|t| f64::from((spline[[t, joint, 1]] - differences[[t, joint, 1]]).abs())).sum::<f64>();
    }
    assert!(off / (170.0 * 22.0) < 2.0, "both derivatives tell the same motion: {}", off / (170.0 * 22.0));
    let (motions, short) = Motions::simulated(
        &[(body.clone(), vec!["a person moves".into()]), (body.slice(s![0..3, .., ..]).to_owned(), vec!["x".into()])],
        &Simulator::default(),
        false,
    )
    .unwrap();
    assert_eq!((motions.len(), motions.channels(), short), (1, 3, 1));
}

#[test]
fn rotations_are_rotations_and_average_to_nothing() {
    let mut rng = generator(6);
    let mut mean = [[0.0; 3]; 3];
    for _ in 0..10_000 {
        let q = random_rotation(&mut rng);
        for r in 0..3 {
            for c in 0..3 {
                let product: f64 = (0..3).map(|k| q[r][k] * q[c][k]).sum();
                assert!((product - f64::from(u8::from(r == c))).abs() < 1e-6);
                mean[r][c] += q[r][c] / 1e4;
            }
        }
        let minor = |a: usize, b: usize| q[1][a] * q[2][b] - q[1][b] * q[2][a];
        let determinant = q[0][0] * minor(1, 2) - q[0][1] * minor(0, 2) + q[0][2] * minor(0, 1);
        assert!((determinant - 1.0).abs() < 1e-6);
    }
    assert!(mean.iter().flatten().all(|v| v.abs() < 0.03), "{mean:?}");
}

#[test]
fn what_the_simulator_refuses() {
    let says = |error: SeriesError, text: &str| assert!(error.to_string().contains(text), "{error}");
    let simulator = Simulator::default();
    says(simulator.sensor(Array2::zeros((3, 3)).view(), &[IDENTITY; 3]).unwrap_err(), "a motion of 3 frames");
    says(simulator.sensor(Array2::zeros((5, 3)).view(), &[IDENTITY; 4]).unwrap_err(), "with 4 orientations");
    says(simulator.body(Array3::zeros((5, 21, 3)).view()).unwrap_err(), "21 joints");
    let mut holed = Array3::zeros((5, 22, 3));
    holed[[2, 7, 1]] = f32::NAN;
    says(simulator.body(holed.view()).unwrap_err(), "series 0, step 2, channel 22: a position of NaN; joint 7");
    let slow = Simulator { rate: 0.0, ..simulator };
    says(slow.body(Array3::zeros((5, 22, 3)).view()).unwrap_err(), "rate is 0");
    let loud = Simulator { noise: [-1.0, 0.0], ..simulator };
    says(loud.body(Array3::zeros((5, 22, 3)).view()).unwrap_err(), "noise is -1");
    says(from_humanml3d(Array3::zeros((5, 21, 3)).view()).unwrap_err(), "21 joints in 3 axes");
    // noise has its deviation, and its seed
    let noisy = Simulator { noise: [0.5, 0.1], seed: 3, ..simulator };
    let (body, _) = generated_captures(4, 200, 1).pop().unwrap();
    let (plain, first) = (simulator.body(body.view()).unwrap(), noisy.body(body.view()).unwrap());
    assert_eq!(first, noisy.body(body.view()).unwrap());
    let deviation = |from: usize| {
        let all = (&first - &plain).slice(s![.., .., from..from + 3]).mapv(|v| f64::from(v).powi(2));
        all.mean().unwrap().sqrt()
    };
    close("deviations", &[deviation(0), deviation(3)], &[0.5, 0.1], 0.01);
}
