//! Layers forward and backward, beside Burn's own and beside their limits.
//!
//! ```text
//! cargo bench --bench layers -- [--quick]
//! ```
//!
//! Functions, dropout and norms: CPU nanoseconds an element, forward and backward. Attention: its share of the rate of the engine's
//! own products in the cache, by the operations of seven products (two forward, five backward) over the pairs that exist. A
//! transformer step: 256 lists of 50 rows of width 64, two blocks of two heads, 256 inside, dropout .2, forward and backward without
//! an optimiser; the share counts its products. All forms take turns; times are CPU times of all runs of a form.

use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use burn::nn::{
    Dropout, DropoutConfig, LayerNorm as BurnNorm, LayerNormConfig as BurnNormConfig, Linear as BurnLinear,
    LinearConfig as BurnLinearConfig,
};
use burn::tensor::{Tensor, TensorData, activation};
use clap::Parser;
use contrastive::Device;
use contrastive::nn::encoder::TransformerConfig;
use contrastive::nn::layer::{self, AttentionOptions, LayerNormConfig, Reach};
use contrastive::nn::{Pass, Ragged};
use measure::{Measured, Products, Work, measure, numbers};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

mod measure;

#[derive(Parser)]
struct Options {
    /// Shorter measurements.
    #[arg(long)]
    quick: bool,
    /// Given by `cargo bench`; ignored.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Lists of a batch, their rows, and the width of these.
const LISTS: usize = 256;
const LENGTH: usize = 50;
const WIDTH: usize = 64;

fn table(width: usize, seed: u64, rows: usize) -> Tensor<2> {
    let device = Device::flex().autodiff();
    let values: Vec<f32> = numbers(rows, width, seed).into_iter().map(|x| 4.0 * x).collect();
    Tensor::<2>::from_data(TensorData::new(values, [rows, width]), &device).require_grad()
}

/// Forward and backward of a function of a table.
fn both(x: &Tensor<2>, f: impl Fn(Tensor<2>) -> Tensor<2>) -> (Tensor<1>, Tensor<2>) {
    let y = f(x.clone()).sum();
    let gradients = y.backward();
    (y.inner(), x.grad(&gradients).expect("a gradient"))
}

/// Measures forms in turns and gives their CPU seconds a run.
fn in_turns(forms: &[Work], seconds: f64) -> Vec<Measured> {
    let mut all = vec![Measured::default(); forms.len()];
    for _ in 0..3 {
        for (form, all) in forms.iter().zip(&mut all) {
            all.merge(measure(form, seconds / 3.0, false));
        }
    }
    all
}

fn main() {
    let options = Options::parse();
    let seconds = if options.quick { 0.6 } else { 3.0 };
    println!("f32, {} threads", rayon::current_num_threads());
    let mut products = Products::new(4096, WIDTH);
    products.measure(seconds / 3.0);
    let [gemm, own] = products.cpu_each().map(|each| 1e-9 / each);
    println!("products: gemm {gemm:.0}, own {own:.0} GF per CPU second");
    elements(seconds);
    attention(own, seconds);
    step(own, seconds);
}

fn elements(seconds: f64) {
    let (rows, width) = (LISTS * LENGTH, 4 * WIDTH);
    let x = table(width, 1, rows);
    let device = x.device();
    let norm = LayerNormConfig::new(width).init(&device).expect("a width");
    let burn_norm: BurnNorm = BurnNormConfig::new(width).init(&device);
    let burn_dropout: Dropout = DropoutConfig::new(0.2).init();
    let forms: Vec<(&str, Work, Work)> = vec![
        ("sum alone", Box::new(|| both(&x, |x| x)), Box::new(|| both(&x, |x| x))),
        ("GELU, erf", Box::new(|| both(&x, layer::gelu)), Box::new(|| both(&x, activation::gelu))),
        ("GELU, tanh", Box::new(|| both(&x, layer::gelu_tanh)), Box::new(|| both(&x, activation::gelu_approximate))),
        (
            "dropout",
            Box::new(|| both(&x, |x| layer::dropout(x, 0.2, &mut Pass::training(1, 1)))),
            Box::new(|| both(&x, |x| burn_dropout.forward(x))),
        ),
        ("layer norm", Box::new(|| both(&x, |x| norm.forward(x))), Box::new(|| both(&x, |x| burn_norm.forward(x)))),
    ];
    println!("\n| {rows} x {width}, forward and backward | ns an element | Burn | ratio |\n|---|---|---|---|");
    let mut base = [0.0; 2];
    for (name, ours, theirs) in forms {
        let measured = in_turns(&[ours, theirs], seconds);
        let each = [0, 1].map(|k| 1e9 * measured[k].cpu_each() / (rows * width) as f64);
        if name == "sum alone" {
            base = each;
        }
        let net = [0, 1].map(|k| each[k] - if name == "sum alone" { 0.0 } else { base[k] });
        println!("| {name} | {:.2} | {:.2} | {:.1} |", net[0], net[1], net[1] / net[0]);
    }
    println!("(what the sum costs, and its backward pass, is taken off)");
}

fn attention(own: f64, seconds: f64) {
    println!(
        "\n| attention, forward and backward | ms | GF/s | share of own products | Burn's module, ms |\n|---|---|---|---|---|"
    );
    for (lists, length, heads, width, causal, dropout) in [
        (LISTS, LENGTH, 2, WIDTH, true, 0.0),
        (LISTS, LENGTH, 2, WIDTH, true, 0.2),
        (LISTS, LENGTH, 2, WIDTH, false, 0.0),
        (1024, 8, 2, WIDTH, true, 0.0),
        (32, 128, 12, 384, false, 0.0),
        (4, 512, 12, 768, true, 0.0),
    ] {
        let ragged = Ragged::even(lists, length);
        let packed = table(3 * width, 2, lists * length);
        let reach = Reach::within(&ragged, causal);
        let options = AttentionOptions { dropout, ..AttentionOptions::new(heads) };
        let ours: Work =
            Box::new(|| both(&packed, |x| layer::self_attention(x, &reach, &options, &mut Pass::training(1, 1))));
        // the same from tensor operations: products, mask, softmax
        let theirs: Work = Box::new(|| {
            both(&packed, |x| {
                let split = |k: usize| {
                    let part = x.clone().narrow(1, k * width, width);
                    part.reshape([lists, length, heads, width / heads]).swap_dims(1, 2)
                };
                let scale = ((width / heads) as f64).sqrt().recip();
                let mut logits: Tensor<4> = split(0).matmul(split(1).transpose()) * scale;
                if causal {
                    let mask = Tensor::<2, burn::tensor::Bool>::tril_mask([length, length], 0, &x.device());
                    logits = logits.mask_fill(mask.unsqueeze::<4>(), -1e30);
                }
                activation::softmax(logits, 3).matmul(split(2)).swap_dims(1, 2).reshape([lists * length, width])
            })
        });
        let pairs = if causal { length * (length + 1) / 2 } else { length * length };
        let flops = 14.0 * (lists * pairs * width) as f64;
        let measured = in_turns(&[ours, theirs], seconds);
        let rate = 1e-9 * flops / measured[0].cpu_each();
        let what = format!(
            "{lists} x {length}, {heads} heads of {}{}{}",
            width / heads,
            if causal { ", causal" } else { "" },
            if dropout > 0.0 { ", dropout" } else { "" }
        );
        println!(
            "| {what} | {:.1} | {rate:.0} | {:.0} % | {:.1} |",
            1e3 * measured[0].cpu_each(),
            100.0 * rate / own,
            1e3 * measured[1].cpu_each()
        );
    }
}

/// A block of Burn's own layers.
struct BurnBlock {
    attention: MultiHeadAttention,
    norms: [BurnNorm; 2],
    maps: [BurnLinear; 2],
    dropout: Dropout,
}

impl BurnBlock {
    fn new(device: &Device) -> Self {
        let norm = || BurnNormConfig::new(WIDTH).init(device);
        let attention = MultiHeadAttentionConfig::new(WIDTH, 2).with_dropout(0.2).init(device);
        let maps =
            [(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)].map(|(from, to)| BurnLinearConfig::new(from, to).init(device));
        Self { attention, norms: [norm(), norm()], maps, dropout: DropoutConfig::new(0.2).init() }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let mask = burn::nn::attention::generate_autoregressive_mask(LISTS, LENGTH, &x.device());
        let attended = self.attention.forward(MhaInput::self_attn(x.clone()).mask_attn(mask)).context;
        let x = self.norms[0].forward(x + self.dropout.forward(attended));
        let fed = self.maps[1].forward(activation::gelu(self.maps[0].forward(x.clone())));
        self.norms[1].forward(x + self.dropout.forward(fed))
    }
}

fn step(own: f64, seconds: f64) {
    let device = Device::flex().autodiff();
    let config = TransformerConfig::sasrec(WIDTH, 2, 4 * WIDTH, 2).with_dropout(0.2).with_attention_dropout(0.2);
    let encoder = config.init(&mut ChaCha8Rng::seed_from_u64(1), &device).expect("settings");
    let blocks = [0, 1].map(|_| BurnBlock::new(&device));
    let lists = Ragged::even(LISTS, LENGTH);
    let x = table(WIDTH, 3, LISTS * LENGTH);
    let ours: Work = Box::new(|| both(&x, |x| encoder.forward(x, &lists, &mut Pass::training(1, 1))));
    let theirs: Work = Box::new(|| {
        both(&x, |x| {
            let x = x.reshape([LISTS, LENGTH, WIDTH]);
            blocks.iter().fold(x, |x, block| block.forward(x)).reshape([LISTS * LENGTH, WIDTH])
        })
    });
    let rows = (LISTS * LENGTH) as f64;
    let linear = 2.0 * 6.0 * rows * (12 * WIDTH * WIDTH) as f64;
    let attended = 2.0 * 14.0 * (LISTS * LENGTH * (LENGTH + 1) / 2 * WIDTH) as f64;
    let measured = in_turns(&[ours, theirs], 2.0 * seconds);
    let [ms, theirs] = [0, 1].map(|k| 1e3 * measured[k].cpu_each());
    let rate = 1e-6 * (linear + attended) / ms;
    println!(
        "\n| transformer step, {LISTS} x {LENGTH} x {WIDTH}, two blocks | CPU ms | MB | GF/s | share of own products |"
    );
    println!("|---|---|---|---|---|");
    println!(
        "| these layers | {ms:.0} | {:.0} | {rate:.0} | {:.0} % |",
        1e-6 * measured[0].bytes as f64,
        100.0 * rate / own
    );
    println!("| Burn's layers | {theirs:.0} | {:.0} | | |", 1e-6 * measured[1].bytes as f64);
}
