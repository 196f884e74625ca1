//! Reinforcement learning: a run of contrastive UCB, rank-one updates of the bonus against inversions, the four losses of the grid, the contrast
//! of 4,096 transitions beside its dense form, and the pixel grid's step beside the products of its convolutions; CPU seconds.
//!
//! ```text
//! cargo bench --bench rl --no-default-features --features flex,rl
//! ```

use burn::tensor::{Distribution, Tensor};
use contrastive::Device;
use contrastive::linear::EllipticalBonus;
use contrastive::objective::NtXent;
use contrastive::rl::method::ucb::{Bonus, UcbConfig};
use contrastive::rl::method::video::{Negatives, VideoConfig, VideoObjective};
use contrastive::rl::world::grid::{ExoGrid, Noise, PIXELS, Sight, Videos, Walker};
use contrastive::rl::world::{LockMdp, LockSettings};
use contrastive::train::{Budget, FitOptions, MethodConfig, TrainingConfig};
use ndarray::{Array1, Array2};
use std::error::Error;

/// User time of the process so far, of all threads.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    fields[11].parse::<f64>().expect("ticks") / 100.0
}

fn time<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let start = cpu();
    let found = run();
    (cpu() - start, found)
}

/// The inverse by Gauss and Jordan: what a bonus without updates would do each time.
fn inverse(a: &Array2<f64>) -> Array2<f64> {
    let n = a.nrows();
    let (mut a, mut b) = (a.clone(), Array2::eye(n));
    for k in 0..n {
        let pivot = a[[k, k]];
        a.row_mut(k).mapv_inplace(|x| x / pivot);
        b.row_mut(k).mapv_inplace(|x| x / pivot);
        let (row, own) = (a.row(k).to_owned(), b.row(k).to_owned());
        for i in (0..n).filter(|i| *i != k) {
            let factor = a[[i, k]];
            a.row_mut(i).scaled_add(-factor, &row);
            b.row_mut(i).scaled_add(-factor, &own);
        }
    }
    b
}

/// NT-Xent with the whole matrix of similarities.
fn dense_form(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<1> {
    let n = a.dims()[0];
    let rows = Tensor::cat(vec![a.clone(), b.clone()], 0);
    let unit = rows.clone() / (rows.clone() * rows).sum_dim(1).sqrt();
    let s = unit.clone().matmul(unit.transpose()) * 10.0;
    let own = Tensor::<2>::eye(2 * n, &s.device()) * 1e9;
    let log = burn::tensor::activation::log_softmax(s - own, 1);
    let [first, second] = [0, n].map(|at| log.clone().slice([at..at + n, n - at..2 * n - at]));
    let diagonal = Tensor::<2>::eye(n, &first.device());
    ((first + second) * diagonal).sum() * (-0.5 / n as f64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex();
    let world = LockMdp::new(LockSettings::default())?;
    let options = || FitOptions::new(&device).epochs(300).seed(0).progress(false);
    let run = |bonus| time(|| UcbConfig::new().with_bonus(bonus).fit(&world, &options()));
    let ((learned, found), (none, _)) = (run(Bonus::Learned), run(Bonus::None));
    found?;
    println!(
        "contrastive UCB, 300 iterations: {learned:.2} CPU s, of which the bonus takes about {:.2}",
        learned - none
    );

    let d = 51;
    let row = |t: usize| Array1::from_shape_fn(d, |i| ((t * d + i) as f64 * 0.7).sin());
    let mut bonus = EllipticalBonus::new(d, 1.0, 1.0)?;
    let (updates, _) = time(|| (0..100_000).for_each(|t| bonus.observe(row(t).view()).expect("finite rows")));
    let mut sum = Array2::<f64>::eye(d);
    let (inversions, _) = time(|| {
        for t in 0..200 {
            let x = row(t).insert_axis(ndarray::Axis(1));
            sum += &x.dot(&x.t());
            std::hint::black_box(inverse(&sum));
        }
    });
    println!("bonus of width {d}: {:.1} us an update, {:.0} us an inversion", updates * 10.0, inversions * 5000.0);

    let contrast = VideoObjective::Contrast { negatives: Negatives::Anywhere };
    let objectives = [VideoObjective::Autoencoder, VideoObjective::Forward, contrast, VideoObjective::Acro];
    let grid = ExoGrid::new(Noise::Iid(0.3), 1)?;
    let videos = Videos::record(&grid, 400, 10, Walker::Uniform, 1);
    for objective in objectives {
        let config = VideoConfig::new(objective);
        let options = FitOptions::new(&device).seed(1).progress(false).evaluate_every(0);
        let (spent, done) = time(|| config.fit(&videos, &options));
        done?;
        println!("grid, {objective:?}: {spent:.2} CPU s for 1,000 steps of 128");
    }

    let autodiff = device.clone().autodiff();
    let rows = || Tensor::<2>::random([4096, 16], Distribution::Normal(0.0, 1.0), &autodiff).require_grad();
    let (a, b, objective) = (rows(), rows(), NtXent::new(0.1)?);
    let (streamed, _) = time(|| (0..3).for_each(|_| drop(objective.loss(a.clone(), b.clone()).backward())));
    let (dense, _) = time(|| (0..3).for_each(|_| drop(dense_form(&a, &b).backward())));
    println!("contrast of 4,096 transitions: {:.2} CPU s, dense {:.2}", streamed / 3.0, dense / 3.0);

    let pictures = ExoGrid::new(Noise::Exogenous(1.0), 1)?.with_sight(Sight::Picture);
    let videos = Videos::record(&pictures, 100, 10, Walker::Uniform, 1);
    let config = VideoConfig::new(VideoObjective::Acro)
        .with_training(TrainingConfig::new(Budget::Steps(40), 64, 1e-3))
        .with_pictures(PIXELS, &[8, 16, 32]);
    let mut training = config.build(&videos, 1, &device)?;
    let (spent, done) = time(|| (0..40).try_for_each(|_| training.train_step().map(drop)));
    done?;
    // multiply-adds of the three convolutions, forward and twice backward, of both frames
    let products =
        2.0 * 3.0 * 2.0 * 64.0 * 9.0 * (25.0 * 25.0 * 8.0 + 13.0 * 13.0 * 8.0 * 16.0 + 7.0 * 7.0 * 16.0 * 32.0);
    println!(
        "pixel grid: {:.1} CPU ms a step of 64, {:.1} GF a CPU second in its convolutions",
        spent * 25.0,
        products * 40.0 / spent / 1e9
    );
    Ok(())
}
