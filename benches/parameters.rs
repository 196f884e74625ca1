//! A step of the optimisers on 8 M parameters, handed over (buffers are overwritten in place) and with a second handle on the model
//! held (every buffer is copied first): `cargo bench --bench parameters`.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use contrastive::train::{Group, OptimiserConfig, Parameters, Select};
use std::time::Instant;

#[derive(Module, Debug)]
struct Tables {
    tables: Vec<Param<Tensor<2>>>,
}

const ROWS: usize = 32_768;
const WIDTH: usize = 64;

/// The median of 9 steps in milliseconds.
fn median(parameters: &mut Parameters<Tables>, held: bool) -> f64 {
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let mut gradients = GradientsParams::new();
            for table in &parameters.model().tables {
                gradients.register(table.id, Tensor::<2>::ones([ROWS, WIDTH], &Device::default()) * 0.01);
            }
            let second = held.then(|| parameters.model().clone());
            let start = Instant::now();
            parameters.step(gradients, 1e-3, &Select::All);
            let time = start.elapsed().as_secs_f64() * 1e3;
            drop(second);
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[4]
}

fn main() {
    let device = Device::default().autodiff();
    let optimisers = [
        ("Adam", OptimiserConfig::adam()),
        ("AdamW", OptimiserConfig::adam_w(0.01)),
        ("SGD, momentum", OptimiserConfig::sgd(0.9, 0.0)),
        ("LARS", OptimiserConfig::lars(1e-4)),
    ];
    println!("{:<16} {:>12} {:>14} {:>7}", "4 x 32768 x 64", "handed over", "second handle", "ratio");
    for (name, config) in optimisers {
        let tables = (0..4).map(|_| Param::from_tensor(Tensor::<2>::ones([ROWS, WIDTH], &device)));
        let model = Tables { tables: tables.collect() };
        let groups = [Group::new(Select::All)];
        let mut parameters = Parameters::new(model, &config, &groups).expect("settings in range");
        median(&mut parameters, false);
        let (handed, held) = (median(&mut parameters, false), median(&mut parameters, true));
        println!("{name:<16} {handed:>9.1} ms {held:>11.1} ms {:>7.2}", held / handed);
    }
}
