//! Layers against golden values.

use crate::common::{constant, differences, gradients as backward, ids, noise, rows, shape, tracked, values};
use crate::golden::{cases, close, computed_in, golden, numbers};
use burn::module::Param;
use burn::tensor::{DType, Tensor};
use contrastive_nn::layer::{
    Attention, AttentionConfig, AttentionOptions, EmbeddingConfig, LayerNormConfig, Reach, RmsNormConfig,
    attention as attend, attention_biased, gelu, gelu_tanh, mean_rows, quick_gelu, silu,
};
use contrastive_nn::{Pass, Ragged, portable_bodies};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

const TYPES: [(DType, usize, [f64; 2]); 2] = [(DType::F64, 8, [1e-9, 1e-9]), (DType::F32, 4, [2e-5, 1e-4])];

/// Bounds of a case: stress cases are looser in f32.
fn bounds(name: &str, dtype: DType, [absolute, relative]: [f64; 2]) -> [f64; 2] {
    let loose = dtype == DType::F32 && (name.contains("stress") || name.contains("large"));
    if loose { [2e-3, 1e-3] } else { [absolute, relative] }
}

/// The sum of output times cotangent, whose gradients the golden files hold.
fn loss(output: &Tensor<2>, case: &Value, dtype: DType) -> Tensor<1> {
    let cotangent = constant(numbers(&case["inputs"]["cotangent"]), output.dims(), dtype);
    (output.clone() * cotangent).sum()
}

#[test]
fn golden_activations() {
    activations();
    portable_bodies(activations);
}

fn activations() {
    let Some(file) = golden("activations") else { return };
    for (dtype, bytes, at) in TYPES {
        computed_in(bytes);
        for case in cases(&file) {
            let name = case["name"].as_str().unwrap();
            let x = rows(&case["inputs"]["x"], dtype);
            let form = name.rsplit_once("_s").expect("a seed").0;
            let function = match form {
                "gelu_erf" => gelu,
                "gelu_tanh" => gelu_tanh,
                "silu" => silu,
                "quick_gelu" => quick_gelu,
                _ => panic!("an activation {form}"),
            };
            let output = function(x.clone());
            let gradients = loss(&output, case, dtype).backward();
            let expected = &case["expected"];
            close(name, &values(output), &numbers(&expected["output"]), at[0], at[1]);
            close(name, &values(x.grad(&gradients).unwrap()), &numbers(&expected["grads"]["x"]), at[0], at[1]);
        }
    }
}

fn golden_norm(file: &str, forward: impl Fn(Tensor<2>, Option<&Value>, Option<&Value>, f64, DType) -> NormOutput) {
    let Some(file) = golden(file) else { return };
    for (dtype, bytes, at) in TYPES {
        computed_in(bytes);
        for case in cases(&file) {
            let name = case["name"].as_str().unwrap();
            let [absolute, relative] = bounds(name, dtype, at);
            let x = rows(&case["inputs"]["x"], dtype);
            let epsilon = case["params"]["eps"].as_f64().unwrap();
            let (output, parameters) =
                forward(x.clone(), case["inputs"].get("weight"), case["inputs"].get("bias"), epsilon, dtype);
            let gradients = loss(&output, case, dtype).backward();
            let expected = &case["expected"];
            close(name, &values(output), &numbers(&expected["output"]), absolute, relative);
            for (what, parameter) in parameters {
                let got = values(parameter.grad(&gradients).unwrap());
                close(&format!("{name} {what}"), &got, &numbers(&expected["grads"][what]), absolute, relative);
            }
            // a constant row of an offset has a gradient of size 1 / sqrt(eps) before it cancels
            let skip = if name.starts_with("offset") && dtype == DType::F32 { x.dims()[1] } else { 0 };
            let got = values(x.grad(&gradients).unwrap());
            close(name, &got[skip..], &numbers(&expected["grads"]["x"])[skip..], absolute, relative);
        }
    }
}

type NormOutput = (Tensor<2>, Vec<(&'static str, Tensor<1>)>);

fn parameter(value: &Value, dtype: DType) -> Param<Tensor<1>> {
    let numbers = numbers(value);
    let width = numbers.len();
    Param::from_tensor(tracked(numbers, [width], dtype))
}

#[test]
fn golden_layer_norm() {
    layer_norm();
    portable_bodies(layer_norm);
}

fn layer_norm() {
    golden_norm("layer_norm", |x, weight, bias, epsilon, dtype| {
        let config = LayerNormConfig::new(x.dims()[1]).with_epsilon(epsilon).with_affine(weight.is_some());
        let mut norm = config.init((&crate::common::device(), dtype)).unwrap();
        norm.weight = weight.map(|weight| parameter(weight, dtype));
        norm.bias = bias.map(|bias| parameter(bias, dtype));
        let parameters = [("weight", &norm.weight), ("bias", &norm.bias)];
        let parameters = parameters.into_iter().filter_map(|(name, p)| Some((name, p.as_ref()?.val()))).collect();
        (norm.forward(x), parameters)
    });
}

#[test]
fn golden_rms_norm() {
    rms_norm();
    portable_bodies(rms_norm);
}

fn rms_norm() {
    golden_norm("rms_norm", |x, weight, _, epsilon, dtype| {
        let config = RmsNormConfig::new(x.dims()[1]).with_epsilon(epsilon).with_affine(weight.is_some());
        let mut norm = config.init((&crate::common::device(), dtype)).unwrap();
        norm.weight = weight.map(|weight| parameter(weight, dtype));
        let parameters = norm.weight.iter().map(|p| ("weight", p.val())).collect();
        (norm.forward(x), parameters)
    });
}

#[test]
fn golden_embedding() {
    embedding();
    portable_bodies(embedding);
}

fn embedding() {
    let Some(file) = golden("embedding") else { return };
    for (dtype, bytes, [absolute, relative]) in TYPES {
        computed_in(bytes);
        for case in cases(&file) {
            let name = case["name"].as_str().unwrap();
            let weight = rows(&case["inputs"]["weight"], dtype);
            let padding = case["params"].get("padding_row").map(|row| row.as_u64().unwrap() as usize);
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let config = EmbeddingConfig::new(weight.dims()[0], weight.dims()[1]).with_padding(padding);
            let mut table = config.init(&mut rng, (&crate::common::device(), dtype)).unwrap();
            table.weight = Param::from_tensor(weight.clone());
            let (ids, lines) = (ids(&case["inputs"]["ids"]), shape(&case["inputs"]["ids"]));
            let output = if name.starts_with("bag_mean") {
                // ids of padding are left out of their lists
                let kept = |line: &[u32]| line.iter().filter(|id| Some(**id as usize) != padding).count();
                let lists = Ragged::from_lengths(&ids.chunks(lines[1]).map(kept).collect::<Vec<_>>());
                let ids: Vec<u32> = ids.into_iter().filter(|id| Some(*id as usize) != padding).collect();
                mean_rows(table.forward(&ids), &lists)
            } else {
                table.forward(&ids)
            };
            let gradients = loss(&output, case, dtype).backward();
            close(name, &values(output), &numbers(&case["expected"]["output"]), absolute, relative);
            let got = values(table.weight.val().grad(&gradients).unwrap());
            close(name, &got, &numbers(&case["expected"]["grads"]["weight"]), absolute, relative);
        }
    }
}

/// `[batch, head, position, dimension]` as `[batch * position, head * dimension]`.
fn packed(value: &Value, dtype: DType) -> Tensor<2> {
    let [b, h, n, d] = shape(value).try_into().expect("four axes");
    let numbers = numbers(value);
    let at = |k: usize| {
        let (batch, position, head, column) = (k / (n * h * d), k / (h * d) % n, k / d % h, k % d);
        numbers[((batch * h + head) * n + position) * d + column]
    };
    tracked((0..numbers.len()).map(at).collect(), [b * n, h * d], dtype)
}

/// The rows of padded lists that are real.
fn real(lengths: &[usize], width: usize) -> Vec<u32> {
    let rows = lengths.iter().enumerate().flat_map(|(list, length)| list * width..list * width + length);
    rows.map(|row| row as u32).collect()
}

#[test]
fn golden_attention() {
    attention();
    portable_bodies(attention);
}

fn attention() {
    let Some(file) = golden("attention") else { return };
    for (dtype, bytes, at) in TYPES {
        computed_in(bytes);
        for case in cases(&file) {
            let name = case["name"].as_str().unwrap();
            let at = bounds(name, dtype, at);
            match name.starts_with("multihead") {
                true => multihead(case, dtype, at),
                false => dot_product(case, dtype, at),
            }
        }
    }
}

fn dot_product(case: &Value, dtype: DType, [absolute, relative]: [f64; 2]) {
    let (name, inputs, expected) = (case["name"].as_str().unwrap(), &case["inputs"], &case["expected"]);
    let [b, h, n, _] = shape(&inputs["q"]).try_into().expect("four axes");
    let keys = shape(&inputs["k"])[2];
    let scale = case["params"]["scale"].as_f64();
    let options = AttentionOptions { scale, ..AttentionOptions::new(h) };
    let [q, k, v] = ["q", "k", "v"].map(|what| packed(&inputs[what], dtype));
    let causal = name.contains("causal");
    let mut pass = Pass::evaluation();
    let gather = contrastive_core::linear::gather_rows;
    // rows of queries that are real, and the whole output
    let (rows, output, bias) = if let Some(lengths) = inputs.get("lengths") {
        let lengths: Vec<usize> = ids(lengths).into_iter().map(|n| n as usize).collect();
        let rows = real(&lengths, n);
        let reach = Reach::within(&Ragged::from_lengths(&lengths), causal);
        let [q, k, v] = [&q, &k, &v].map(|x| gather(x.clone(), &rows));
        (rows, attend(q, k, v, &reach, &options, &mut pass), None)
    } else if let Some(mask) = inputs.get("key_mask") {
        let mask: Vec<bool> =
            mask["data"].as_array().unwrap().iter().map(|x| x.as_bool().unwrap_or(x.as_f64() == Some(1.0))).collect();
        let kept: Vec<u32> = (0..mask.len()).filter(|&k| mask[k]).map(|k| k as u32).collect();
        let lengths: Vec<usize> = mask.chunks(keys).map(|line| line.iter().filter(|x| **x).count()).collect();
        let (queries, keys_of) = (Ragged::even(b, n), Ragged::from_lengths(&lengths));
        let [k, v] = [&k, &v].map(|x| gather(x.clone(), &kept));
        let reach = match causal {
            false => Reach::across(&queries, &keys_of),
            true => {
                let seen = |line: &[bool], at: usize| line[..=at].iter().filter(|x| **x).count() as u32;
                let visible = mask.chunks(keys).flat_map(|line| (0..n).map(move |at| seen(line, at)));
                Reach::first_keys(&queries, &keys_of, visible.collect())
            }
        };
        ((0..(b * n) as u32).collect(), attend(q.clone(), k, v, &reach, &options, &mut pass), None)
    } else {
        let (queries, keys) = (Ragged::even(b, n), Ragged::even(b, keys));
        let reach = if causal { Reach::latest(&queries, &keys) } else { Reach::across(&queries, &keys) };
        let rows = (0..(b * n) as u32).collect();
        let bias = inputs.get("bias").map(|bias| {
            let shape: [usize; 3] = shape(bias).try_into().expect("three axes");
            tracked(numbers(bias), shape, dtype)
        });
        let [q, k, v] = [&q, &k, &v].map(Clone::clone);
        let output = match &bias {
            None => attend(q, k, v, &reach, &options, &mut pass),
            Some(bias) => attention_biased(q, k, v, bias.clone(), &reach, &options, &mut pass),
        };
        (rows, output, bias)
    };
    let take = |x: Tensor<2>| values(gather(x, &rows));
    let cotangent = gather(packed(&inputs["cotangent"], dtype), &rows);
    let gradients = (output.clone() * cotangent).sum().backward();
    close(name, &values(output), &take(packed(&expected["output"], dtype)), absolute, relative);
    for (what, x) in [("q", &q), ("k", &k), ("v", &v)] {
        let want = values(packed(&expected["grads"][what], dtype));
        close(&format!("{name} {what}"), &values(x.grad(&gradients).unwrap()), &want, absolute, relative);
    }
    if let Some(bias) = bias {
        let got = values(bias.grad(&gradients).unwrap());
        close(name, &got, &numbers(&expected["grads"]["bias"]), absolute, relative);
    }
}

/// torch's multi-head module, its weights transposed.
fn module(inputs: &Value, heads: usize, dtype: DType) -> Attention {
    let weight = |value: &Value| rows(value, dtype).detach().transpose().require_grad();
    let width = shape(&inputs["out_proj.weight"])[0];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut layer = AttentionConfig::new(width, heads).init(&mut rng, (&crate::common::device(), dtype)).unwrap();
    layer.query_key_value.weight = Param::from_tensor(weight(&inputs["in_proj_weight"]));
    layer.query_key_value.bias = Some(parameter(&inputs["in_proj_bias"], dtype));
    let output = layer.output.as_mut().expect("an output map");
    output.weight = Param::from_tensor(weight(&inputs["out_proj.weight"]));
    output.bias = Some(parameter(&inputs["out_proj.bias"], dtype));
    layer
}

fn multihead(case: &Value, dtype: DType, [absolute, relative]: [f64; 2]) {
    let (name, inputs, expected) = (case["name"].as_str().unwrap(), &case["inputs"], &case["expected"]);
    let layer = module(inputs, case["params"]["heads"].as_u64().unwrap() as usize, dtype);
    let [_, n, _] = shape(&inputs["x"]).try_into().expect("three axes");
    let lengths: Vec<usize> = ids(&inputs["lengths"]).into_iter().map(|n| n as usize).collect();
    let (lists, rows_of) = (Ragged::from_lengths(&lengths), real(&lengths, n));
    let gather = |x: Tensor<2>| contrastive_core::linear::gather_rows(x, &rows_of);
    let x = rows(&inputs["x"], dtype);
    let reach = Reach::within(&lists, name.contains("causal"));
    let output = layer.forward(gather(x.clone()), &reach, &mut Pass::evaluation());
    let cotangent = gather(rows(&inputs["cotangent"], dtype));
    let gradients = (output.clone() * cotangent).sum().backward();
    let want = values(gather(rows(&expected["output"], dtype)));
    close(name, &values(output), &want, absolute, relative);
    let map = layer.output.as_ref().unwrap();
    let grads = &expected["grads"];
    close(name, &values(x.grad(&gradients).unwrap()), &numbers(&grads["x"]), absolute, relative);
    for (what, map) in [("in_proj_", &layer.query_key_value), ("out_proj.", map)] {
        let got = map.weight.val().grad(&gradients).unwrap().transpose();
        close(name, &values(got), &numbers(&grads[format!("{what}weight")]), absolute, relative);
        let got = map.bias.as_ref().unwrap().val().grad(&gradients).unwrap();
        close(name, &values(got), &numbers(&grads[format!("{what}bias")]), absolute, relative);
    }
}

/// Lists of several lengths, an empty one among them.
fn lists() -> Ragged {
    Ragged::from_lengths(&[3, 1, 0, 5])
}

#[test]
fn attention_agrees_with_finite_differences_dropout_included() {
    let (lists, heads, d) = (lists(), 2, 6);
    let n = lists.total();
    let tables: Vec<_> = (0..3).map(|k| (noise(n * d, k), [n, d])).collect();
    let cotangent = noise(n * d, 9);
    for causal in [false, true] {
        for dropout in [0.0, 0.4] {
            let f = |x: &[Tensor<2>]| {
                let options = AttentionOptions { dropout, ..AttentionOptions::new(heads) };
                let reach = Reach::within(&lists, causal);
                let [q, k, v] = [0, 1, 2].map(|i| x[i].clone());
                let out = attend(q, k, v, &reach, &options, &mut Pass::training(3, 5));
                (out * constant(cotangent.clone(), [n, d], DType::F64)).sum()
            };
            let (got, want) = (backward(&tables, DType::F64, f), differences(&tables, f));
            for (got, want) in got.iter().zip(&want) {
                close(&format!("causal {causal}, dropout {dropout}"), got, want, 1e-8, 1e-6);
            }
            let portable = portable_bodies(|| backward(&tables, DType::F64, f));
            for (got, want) in got.iter().zip(&portable) {
                close(&format!("causal {causal}, dropout {dropout}, portable"), got, want, 1e-12, 1e-12);
            }
        }
    }
}
