//! Negatives that count by a small network (AdaMEOW, Yu et al., TKDE 2024).

use crate::attach::attach;
use crate::error::ObjectiveError;
use crate::objective::{PairObjective, check_types};
use crate::similarity::unit_rows;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// `g_ij = sigmoid( w2 . tanh( W1 (v_i + u_j) + b1 ) + b2 )`.
#[derive(Module, Debug)]
pub struct WeightNetwork {
    /// `[d, hidden]`.
    pub w1: Param<Tensor<2>>,
    /// `[1, hidden]`.
    pub b1: Param<Tensor<2>>,
    /// `[1, hidden]`.
    pub w2: Param<Tensor<2>>,
    /// `[1, 1]`.
    pub b2: Param<Tensor<2>>,
}

impl WeightNetwork {
    /// Weights and biases uniform within one over the root of the number of inputs, as a linear layer of PyTorch starts.
    pub fn new(width: usize, hidden: usize, rng: &mut ChaCha8Rng, device: &Device) -> Self {
        let mut uniform = |shape: [usize; 2], inputs: usize| {
            let bound = 1.0 / (inputs as f64).sqrt();
            let draw = |_| ((2.0 * rng.random::<f64>() - 1.0) * bound) as f32;
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(draw).collect();
            Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
        };
        let (w1, b1) = (uniform([width, hidden], width), uniform([1, hidden], width));
        Self { w1, b1, w2: uniform([1, hidden], hidden), b2: uniform([1, 1], hidden) }
    }

    fn tensors(&self) -> [Tensor<2>; 4] {
        [&self.w1, &self.b1, &self.w2, &self.b2].map(Param::val)
    }
}

/// ```text
/// L = -mean_i [ v_i . u_i / tau - log sum_j g_ij e^{v_i . u_j / tau} ]
/// ```
///
/// Cosines; the own row is among the candidates. As it stands the loss is unbounded below, since all weights may fall to 0 together, so by
/// default each row's sum is divided by the mean of its weights; [`raw`](Self::raw) leaves that out. Gradients go into both tables and the
/// network. `W1` meets each row once: a pair costs its hidden layer alone, `tanh(p + q) = 1 - 2 / (1 + e^{2p} e^{2q})`, no exponential.
/// Held are a block of rows x candidates and its gradient.
#[derive(Clone, Debug)]
pub struct LearnedNegatives {
    temperature: f64,
    divided: bool,
    block: usize,
}

/// Rows of a block of similarities.
const BLOCK: usize = 256;
/// Rows of a task: sums of the candidates' gradients are kept for each task, so that they do not depend on the threads.
const TASK: usize = 64;
/// `e^{2p}` of larger numbers is not formed.
const LARGEST: f64 = 40.0;

impl LearnedNegatives {
    /// At this temperature, divided by the mean of each row's weights.
    ///
    /// # Errors
    /// When it is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        PairObjective::new(temperature)?;
        Ok(Self { temperature, divided: true, block: BLOCK })
    }

    /// Without the division, as released: unbounded below.
    pub fn raw(self) -> Self {
        Self { divided: false, ..self }
    }

    /// With blocks of another number of rows; the value does not depend on it.
    ///
    /// # Panics
    /// When it is 0.
    pub fn with_block(self, block: usize) -> Self {
        assert!(block > 0, "blocks of 0 rows");
        Self { block, ..self }
    }

    /// The loss `[1]`, differentiable in both tables and the network.
    ///
    /// # Shapes
    /// - v: `[n, d]`, the anchors
    /// - u: `[n, d]`, the candidates; row i is the positive of anchor i
    ///
    /// # Panics
    /// When shapes do not fit.
    pub fn loss(&self, v: &Tensor<2>, u: &Tensor<2>, network: &WeightNetwork) -> Tensor<1> {
        assert_eq!(v.dims(), u.dims(), "the shapes of anchors and candidates");
        check_types(&[("anchors", v.dtype()), ("candidates", u.dtype())]);
        let n = v.dims()[0];
        let (v, u) = (unit_rows(v.clone()), unit_rows(u.clone()));
        let [w1, b1, w2, b2] = network.tensors();
        let (p, q) = (v.clone().matmul(w1.clone()), u.clone().matmul(w1) + b1);
        let inputs = [&v, &u, &p, &q, &w2, &b2];
        let (value, gradients) = self.swept(inputs.map(|x| x.clone().inner()));
        let device = v.device();
        let value = Tensor::<1>::from_data(TensorData::new(vec![value / n as f64], [1]), (&device.inner(), v.dtype()));
        let scale = 1.0 / n as f64;
        inputs.into_iter().zip(gradients).fold(value, |value, (input, gradient)| {
            if input.is_tracked() { attach(value, input, gradient * scale) } else { value }
        })
    }

    /// The same with the n x n x hidden pairs written out: the definition, and the oracle of the tests.
    ///
    /// # Panics
    /// When shapes do not fit.
    pub fn dense(&self, v: &Tensor<2>, u: &Tensor<2>, network: &WeightNetwork) -> Tensor<1> {
        let ([n, d], [w1, b1, w2, b2]) = (v.dims(), network.tensors());
        let (v, u) = (unit_rows(v.clone()), unit_rows(u.clone()));
        let h = w1.dims()[1];
        let pairs: Tensor<3> =
            v.clone().reshape([n, 1, d]).expand([n, n, d]) + u.clone().reshape([1, n, d]).expand([n, n, d]);
        let hidden = (pairs.reshape([n * n, d]).matmul(w1) + b1).tanh();
        let logits = (hidden * w2.reshape([1, h])).sum_dim(1) + b2;
        let g: Tensor<2> = (logits * -1.0).exp().add_scalar(1.0).recip().reshape([n, n]);
        let s = v.clone().matmul(u.clone().transpose()) * (1.0 / self.temperature);
        let sums = (s.exp() * g.clone()).sum_dim(1).log();
        let sums = if self.divided { sums - g.mean_dim(1).log() } else { sums };
        sums.mean() - (v * u).sum_dim(1).mean() * (1.0 / self.temperature)
    }

    /// The sum over rows, and its gradients in the order of the inputs: v, u, p, q, w2, b2.
    fn swept(&self, inputs: [Tensor<2>; 6]) -> (f64, Vec<Tensor<2>>) {
        let [v, u, p, q, w2, b2] = inputs;
        let ([n, d], h) = (v.dims(), w2.dims()[1]);
        let host = |x: &Tensor<2>| x.clone().into_data().iter::<f64>().collect::<Vec<f64>>();
        let grown = |x: &Tensor<2>| -> Vec<f64> {
            host(x).into_iter().map(|x| (2.0 * x.clamp(-LARGEST, LARGEST)).exp()).collect()
        };
        let net = Net {
            h,
            n,
            ep: grown(&p),
            eq: transposed(&grown(&q), n, h),
            w2: host(&w2),
            b2: host(&b2)[0],
            divided: self.divided,
        };
        let mut value = 0.0;
        let (mut dv, mut du) = (Vec::new(), u.zeros_like());
        let (mut dp, mut dq, mut dw, mut db) = (Vec::new(), vec![0.0; h * n], vec![0.0; h], 0.0);
        for start in (0..n).step_by(self.block) {
            let rows = self.block.min(n - start);
            let own = v.clone().slice([start..start + rows, 0..d]);
            let s = host(&(own.clone().matmul(u.clone().transpose()) * (1.0 / self.temperature)));
            let firsts: Vec<usize> = (0..rows).step_by(TASK).collect();
            let tasks: Vec<Task> = firsts
                .into_par_iter()
                .map(|first| net.task(start + first, &s[first * n..(first + TASK).min(rows) * n]))
                .collect();
            let mut ds: Vec<f64> = Vec::with_capacity(rows * n);
            for task in tasks {
                value += task.value;
                ds.extend(task.ds);
                dp.extend(task.dp);
                dq.iter_mut().zip(&task.dq).for_each(|(sum, x)| *sum += x);
                dw.iter_mut().zip(&task.dw).for_each(|(sum, x)| *sum += x);
                db += task.db;
            }
            let ds = tensor(ds, [rows, n], &v) * (1.0 / self.temperature);
            dv.push(ds.clone().matmul(u.clone()));
            du = du + ds.transpose().matmul(own);
        }
        let dq = transposed(&dq, h, n);
        let (dp, dq) = (tensor(dp, [n, h], &v), tensor(dq, [n, h], &v));
        (value, vec![Tensor::cat(dv, 0), du, dp, dq, tensor(dw, [1, h], &v), tensor(vec![db], [1, 1], &v)])
    }
}

fn tensor(values: Vec<f64>, shape: [usize; 2], like: &Tensor<2>) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), (&like.device(), like.dtype()))
}

/// `[a, b]` as `[b, a]`.
fn transposed(x: &[f64], a: usize, b: usize) -> Vec<f64> {
    let mut out = vec![0.0; a * b];
    for i in 0..a {
        for j in 0..b {
            out[j * a + i] = x[i * b + j];
        }
    }
    out
}

/// What every row needs: `e^{2p}` by rows `[n, h]`, `e^{2q}` by hidden numbers `[h, n]`.
struct Net {
    h: usize,
    n: usize,
    ep: Vec<f64>,
    eq: Vec<f64>,
    w2: Vec<f64>,
    b2: f64,
    divided: bool,
}

/// What a task of rows gives.
struct Task {
    value: f64,
    ds: Vec<f64>,
    dp: Vec<f64>,
    dq: Vec<f64>,
    dw: Vec<f64>,
    db: f64,
}

impl Net {
    /// Rows from `first` on, whose similarities over the temperature are `s`.
    fn task(&self, first: usize, s: &[f64]) -> Task {
        let (n, h) = (self.n, self.h);
        let rows = s.len() / n;
        let mut task = Task {
            value: 0.0,
            ds: Vec::with_capacity(rows * n),
            dp: Vec::with_capacity(rows * h),
            dq: vec![0.0; h * n],
            dw: vec![0.0; h],
            db: 0.0,
        };
        let (mut z, mut a, mut g, mut da) = (vec![0.0; h * n], vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for (row, s) in s.chunks(n).enumerate() {
            let i = first + row;
            a.fill(self.b2);
            for k in 0..h {
                let (e, w) = (self.ep[i * h + k], self.w2[k]);
                let (z, eq) = (&mut z[k * n..(k + 1) * n], &self.eq[k * n..(k + 1) * n]);
                for ((z, a), q) in z.iter_mut().zip(&mut a).zip(eq) {
                    *z = 1.0 - 2.0 / (1.0 + e * q);
                    *a += w * *z;
                }
            }
            let top = s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (mut sum, mut mean) = (0.0, 0.0);
            for ((g, a), (s, da)) in g.iter_mut().zip(&a).zip(s.iter().zip(&mut da)) {
                *g = 1.0 / (1.0 + (-a).exp());
                // the share of the sum, before it is divided
                *da = *g * (s - top).exp();
                sum += *da;
                mean += *g;
            }
            task.value += sum.ln() + top - s[i];
            if self.divided {
                task.value -= (mean / n as f64).ln();
            }
            let start = task.ds.len();
            task.ds.extend(da.iter().map(|share| share / sum));
            for ((da, share), g) in da.iter_mut().zip(&task.ds[start..]).zip(&g) {
                let less = if self.divided { g / mean } else { 0.0 };
                *da = (share - less) * (1.0 - g);
                task.db += *da;
            }
            task.ds[start + i] -= 1.0;
            for k in 0..h {
                let (w, z) = (self.w2[k], &z[k * n..(k + 1) * n]);
                let (mut along, mut own) = (0.0, 0.0);
                for ((z, da), dq) in z.iter().zip(&da).zip(&mut task.dq[k * n..(k + 1) * n]) {
                    let inner = w * da * (1.0 - z * z);
                    along += da * z;
                    own += inner;
                    *dq += inner;
                }
                task.dw[k] += along;
                task.dp.push(own);
            }
        }
        task
    }
}
