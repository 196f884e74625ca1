//! Encoders with the weights of other libraries against golden values, in f64 and f32.

use crate::common::{constant, device, ids, rows, shape, tracked, values};
use crate::golden::{cases, close, computed_in, golden, numbers, shared};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Gradients, Tensor, activation};
use contrastive_core::linear::gather_rows;
use contrastive_nn::encoder::{Cache, ImagePool, TokenEncoder, TokenEncoderConfig, TransformerConfig, Vit, VitConfig};
use contrastive_nn::init::constant as parameter;
use contrastive_nn::layer::{
    Activation, ActivationLayer, LayerNorm, LayerNormConfig, Linear, LinearConfig, first_rows, max_rows, mean_rows,
};
use contrastive_nn::weights::{KeyMap, Weights};
use contrastive_nn::{Pass, Ragged, portable_bodies};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

pub(crate) type Bounds = [f64; 2];
const TYPES: [(DType, usize, Bounds); 2] = [(DType::F64, 8, [1e-9, 1e-9]), (DType::F32, 4, [1e-4, 1e-3])];

pub(crate) fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

/// Runs every case of a file in both types.
pub(crate) fn every_case(file: &str, check: impl Fn(&Value, DType, Bounds)) {
    let Some(file) = golden(file) else { return };
    for (dtype, bytes, bounds) in TYPES {
        computed_in(bytes);
        cases(&file).iter().for_each(|case| check(case, dtype, bounds));
        portable_bodies(|| cases(&file).iter().for_each(|case| check(case, dtype, bounds)));
    }
}

pub(crate) fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap()
}

pub(crate) fn size(value: &Value, key: &str) -> usize {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} of {value}")) as usize
}

/// The case's weights in a module.
pub(crate) fn loaded<M: Module>(module: M, keys: &KeyMap, case: &Value) -> M {
    let file = shared().unwrap().join("golden").join(case["params"]["weights"].as_str().unwrap());
    Weights::read(&file).unwrap().load(module, keys).unwrap()
}

/// The module whose parameters are their gradients.
struct OfGradients<'a>(&'a Gradients);

impl ModuleMapper for OfGradients<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let gradients = self.0;
        param.map(|x| {
            let zeros = x.clone().inner().zeros_like();
            Tensor::from_inner(x.grad(gradients).unwrap_or(zeros))
        })
    }
}

/// Compares the gradients of the parameters, under the names of the file.
pub(crate) fn same_gradients<M: Module>(
    case: &Value,
    module: M,
    keys: &KeyMap,
    gradients: &Gradients,
    [absolute, relative]: Bounds,
) {
    let got = Weights::of(&module.map(&mut OfGradients(gradients)), keys);
    let prefix = case["params"]["prefix"].as_str().unwrap_or("");
    let (expected, name_of) = (&case["expected"], name(case));
    let of = |name: &str| {
        let array = got.get(name).or_else(|| got.get(name.strip_prefix(prefix).unwrap_or(name)));
        Some(array?.values.doubles())
    };
    for (key, want) in expected["param_grads"].as_object().expect("gradients of parameters") {
        match of(key) {
            Some(got) => close(&format!("{name_of} {key}"), &got, &numbers(want), absolute, relative),
            // of a head that the case does not use
            None => assert!(numbers(want).iter().all(|x| *x == 0.0), "{name_of}: a gradient of {key}"),
        }
    }
    for (what, number) in [("param_grad_sum", sum as fn(&[f64]) -> f64), ("param_grad_length", length)] {
        let Some(list) = expected.get(what).and_then(Value::as_object) else { continue };
        for (key, want) in list {
            let Some(got) = of(key).map(|x| number(&x)) else { panic!("{name_of}: a gradient of {key}") };
            close(&format!("{name_of} {what} {key}"), &[got], &[want.as_f64().unwrap()], absolute * 10.0, relative);
        }
    }
}

pub(crate) fn sum(x: &[f64]) -> f64 {
    x.iter().sum()
}

pub(crate) fn length(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The real positions of a padded batch: lists, rows of the padded table, ids, positions, types.
struct Batch {
    lists: Ragged,
    rows: Vec<u32>,
    ids: Vec<u32>,
    positions: Vec<u32>,
    types: Option<Vec<u32>>,
}

/// `keep` says which positions are real; all without.
fn batch(inputs: &Value, ids_of: &str, keep: Option<Vec<bool>>) -> Batch {
    let [lists, width] = shape(&inputs[ids_of]).try_into().expect("two axes");
    let keep = keep.unwrap_or(vec![true; lists * width]);
    let rows: Vec<u32> = (0..lists * width).filter(|&k| keep[k]).map(|k| k as u32).collect();
    let lengths: Vec<usize> = keep.chunks(width).map(|line| line.iter().filter(|k| **k).count()).collect();
    let lists = Ragged::from_lengths(&lengths);
    let take = |value: &Value| {
        let all = ids(value);
        rows.iter().map(|&row| all[row as usize]).collect::<Vec<_>>()
    };
    let (ids, types) = (take(&inputs[ids_of]), inputs.get("token_type_ids").map(take));
    Batch { positions: lists.positions(), lists, ids, types, rows }
}

fn masked(inputs: &Value) -> Option<Vec<bool>> {
    inputs.get("attention_mask").map(|mask| numbers(mask).into_iter().map(|x| x == 1.0).collect())
}

/// The rows of a golden table that are real.
fn real(value: &Value, batch: &Batch, dtype: DType) -> Tensor<2> {
    gather_rows(rows(value, dtype).detach(), &batch.rows)
}

/// BERT with the heads of the golden files.
#[derive(Module, Debug)]
struct Bert {
    encoder: TokenEncoder,
    pooler: Option<Linear>,
    dense: Option<Linear>,
    activation: ActivationLayer,
    norm: Option<LayerNorm>,
    bias: Option<Param<Tensor<1>>>,
}

fn bert(case: &Value, roberta: bool, dtype: DType) -> (Bert, KeyMap) {
    let config = &case["params"]["config"];
    let [vocabulary, width, layers, heads, inner, positions] = [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    ]
    .map(|key| size(config, key));
    let on = (&device(), dtype);
    let blocks = match roberta {
        false => TransformerConfig::bert(width, heads, inner, layers),
        true => TransformerConfig::roberta(width, heads, inner, layers),
    };
    let epsilon = config["layer_norm_eps"].as_f64().unwrap();
    let activation = match config["hidden_act"].as_str().unwrap() {
        "gelu" => Activation::Gelu,
        "gelu_new" => Activation::GeluTanh,
        other => panic!("an activation {other}"),
    };
    let blocks = blocks.with_epsilon(epsilon).with_activation(activation);
    let encoder = match roberta {
        false => TokenEncoderConfig::bert(vocabulary, positions, blocks),
        true => TokenEncoderConfig::roberta(vocabulary, positions, blocks),
    };
    let encoder = encoder.init(&mut rng(), on).unwrap();
    let dense = || LinearConfig::new(width, width).init(&mut rng(), on).unwrap();
    let pooler = name(case).contains("cls_tanh").then(dense);
    let lm = name(case).contains("masked_lm");
    let norm = lm.then(|| LayerNormConfig::new(width).with_epsilon(epsilon).init(on).unwrap());
    let bias = lm.then(|| parameter(0.0, [vocabulary], on));
    let mut keys = KeyMap::bert().inside("encoder");
    keys = match pooler.is_some() {
        true => keys.with("pooler", &["pooler.dense"]),
        false => keys.ignoring("pooler."),
    };
    keys = match lm {
        true => keys
            .with("dense", &["cls.predictions.transform.dense"])
            .with("norm", &["cls.predictions.transform.LayerNorm"])
            .with("bias", &["cls.predictions.bias"]),
        false => keys.ignoring("cls."),
    };
    let module = Bert { encoder, pooler, dense: lm.then(dense), activation: activation.init(on), norm, bias };
    (loaded(module, &keys, case), keys)
}

/// One row a list, by the pooler that the case is called after.
fn pooled(case: &Value, bert: &Bert, embedded: Tensor<2>, layers: &[Tensor<2>], lists: &Ragged) -> Tensor<2> {
    let last = layers.last().unwrap().clone();
    let half = |other: Tensor<2>| mean_rows((other + last.clone()) * 0.5, lists);
    match name(case).rsplit_once("_s").unwrap().0 {
        "pool_cls" => first_rows(last, lists),
        "pool_cls_tanh" => bert.pooler.as_ref().unwrap().forward(first_rows(last, lists)).tanh(),
        "pool_mean" => mean_rows(last, lists),
        "pool_max" => max_rows(last, lists),
        "pool_first_last_mean" => half(layers[0].clone()),
        "pool_embeddings_last_mean" => half(embedded.clone()),
        // before the only block are the embeddings
        "pool_last_two_mean" => half(layers.iter().rev().nth(1).unwrap_or(&embedded).clone()),
        other => panic!("a pooler {other}"),
    }
}

fn bert_case(case: &Value, roberta: bool, dtype: DType, at: Bounds) {
    let (bert, keys) = bert(case, roberta, dtype);
    let (inputs, expected) = (&case["inputs"], &case["expected"]);
    let batch = batch(inputs, "input_ids", masked(inputs));
    let mut pass = Pass::evaluation();
    let embedded = bert.encoder.embedding.forward(&batch.ids, &batch.positions, batch.types.as_deref(), &mut pass);
    let layers = bert.encoder.transformer.forward_layers(embedded.clone(), &batch.lists, &mut pass);
    let last = layers.last().unwrap().clone();
    let loss = if let Some(dense) = &bert.dense {
        let hidden = bert.norm.as_ref().unwrap().forward(bert.activation.forward(dense.forward(last)));
        let table = bert.encoder.embedding.token.weight.val();
        let logits = hidden.matmul(table.transpose()) + bert.bias.as_ref().unwrap().val().unsqueeze::<2>();
        let want = values(real(&expected["logits"], &batch, dtype));
        close(name(case), &values(logits.clone()), &want, at[0], at[1]);
        let labels = numbers(&inputs["labels"]);
        let labels: Vec<f64> = batch.rows.iter().map(|&row| labels[row as usize]).collect();
        cross_entropy(logits, &labels, dtype)
    } else if name(case).starts_with("pool") {
        let output = pooled(case, &bert, embedded, &layers, &batch.lists);
        close(name(case), &values(output.clone()), &numbers(&expected["output"]), at[0], at[1]);
        (output * rows(&inputs["cotangent"], dtype).detach()).sum()
    } else {
        close(name(case), &values(last.clone()), &values(real(&expected["output"], &batch, dtype)), at[0], at[1]);
        (last * real(&inputs["cotangent"], &batch, dtype)).sum()
    };
    close(name(case), &values(loss.clone()), &[expected["loss"].as_f64().unwrap()], at[0], at[1]);
    same_gradients(case, bert, &keys, &loss.backward(), at);
}

/// The mean over the rows whose label is not below 0.
fn cross_entropy(logits: Tensor<2>, labels: &[f64], dtype: DType) -> Tensor<1> {
    let [n, classes] = logits.dims();
    let counted = labels.iter().filter(|label| **label >= 0.0).count() as f64;
    let hot =
        labels.iter().flat_map(|&label| (0..classes).map(move |class| f64::from(u8::from(class as f64 == label))));
    let hot = constant(hot.collect(), [n, classes], dtype);
    (activation::log_softmax(logits, 1) * hot).sum() * (-1.0 / counted)
}

#[test]
fn golden_bert_tiny() {
    every_case("bert_tiny", |case, dtype, at| bert_case(case, false, dtype, at));
}

#[test]
fn golden_roberta_tiny() {
    every_case("roberta_tiny", |case, dtype, at| bert_case(case, true, dtype, at));
}

fn gpt2(case: &Value, dtype: DType) -> (TokenEncoder, KeyMap) {
    let config = &case["params"]["config"];
    let [vocabulary, positions, width, layers, heads] =
        ["vocab_size", "n_positions", "n_embd", "n_layer", "n_head"].map(|key| size(config, key));
    let config = TokenEncoderConfig::gpt2(vocabulary, positions, TransformerConfig::gpt2(width, heads, layers));
    (loaded(config.init(&mut rng(), (&device(), dtype)).unwrap(), &KeyMap::gpt2(), case), KeyMap::gpt2())
}

#[test]
fn golden_gpt2_tiny() {
    every_case("gpt2_tiny", |case, dtype, at| {
        let (model, keys) = gpt2(case, dtype);
        let head = |hidden: Tensor<2>| hidden.matmul(model.embedding.token.weight.val().transpose());
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        if let Some(steps) = expected.get("steps") {
            return cached(case, &model, head, steps, dtype, at);
        }
        let batch = batch(inputs, "input_ids", masked(inputs));
        let hidden = model.forward(&batch.ids, &batch.lists, &mut Pass::evaluation());
        let logits = head(hidden.clone());
        let loss = if name(case).starts_with("language_loss") {
            let length = batch.lists.longest();
            let next = |k: usize| if (k + 1).is_multiple_of(length) { -1.0 } else { f64::from(batch.ids[k + 1]) };
            cross_entropy(logits, &(0..batch.ids.len()).map(next).collect::<Vec<_>>(), dtype)
        } else {
            for (what, got) in [("logits", &logits), ("last_hidden", &hidden)] {
                let want = values(real(&expected[what], &batch, dtype));
                close(name(case), &values(got.clone()), &want, at[0], at[1]);
            }
            let [of_logits, of_hidden] =
                ["cotangent_logits", "cotangent_last_hidden"].map(|what| real(&inputs[what], &batch, dtype));
            (logits * of_logits).sum() + (hidden * of_hidden).sum()
        };
        close(name(case), &values(loss.clone()), &[expected["loss"].as_f64().unwrap()], at[0], at[1]);
        same_gradients(case, model, &keys, &loss.backward(), at);
    });
}

/// Step by step with the keys and values of earlier steps.
fn cached(
    case: &Value,
    model: &TokenEncoder,
    head: impl Fn(Tensor<2>) -> Tensor<2>,
    steps: &Value,
    dtype: DType,
    at: Bounds,
) {
    let mut cache: Option<Cache> = None;
    for step in steps.as_array().unwrap() {
        let batch = batch(step, "input_ids", None);
        let cache = cache.get_or_insert_with(|| Cache::new(batch.lists.len()));
        let hidden = model.forward_cached(&batch.ids, &batch.lists, cache);
        for (what, got) in [("logits", head(hidden.clone())), ("last_hidden", hidden)] {
            let want = values(real(&step[what], &batch, dtype));
            close(name(case), &values(got), &want, at[0], at[1]);
        }
        // lists in another order and back are the same lists
        let back: Vec<usize> = (0..batch.lists.len()).rev().collect();
        *cache = cache.select(&back).select(&back);
    }
}

fn sasrec(case: &Value, dtype: DType) -> (TokenEncoder, KeyMap) {
    let params = &case["params"];
    let file = shared().unwrap().join("golden").join(params["weights"].as_str().unwrap());
    let weights = Weights::read(&file).unwrap();
    let table = |names: [&str; 2]| names.iter().find_map(|name| weights.get(name)).unwrap().shape.clone();
    let (items, positions) = (
        table(["item_embedding.weight", "item_emb.weight"]),
        table(["position_embedding.weight", "pos_emb.weight"])[0],
    );
    let [width, heads] = [items[1], size(params, "heads")];
    let on = (&device(), dtype);
    let (mut config, keys) = match name(case) {
        name if name.starts_with("post_norm") => {
            let blocks = TransformerConfig::sasrec(width, heads, size(params, "inner"), size(params, "layers"));
            (TokenEncoderConfig::sasrec(items[0], positions, blocks), KeyMap::recbole())
        }
        name if name.starts_with("pre_norm_original") => {
            let blocks = TransformerConfig::sasrec_original(width, heads, size(params, "blocks"));
            (TokenEncoderConfig::sasrec_original(items[0], positions, blocks), KeyMap::sasrec_original())
        }
        _ => {
            let blocks = TransformerConfig::sasrec_port(width, heads, size(params, "blocks"));
            (TokenEncoderConfig::sasrec_original(items[0], positions, blocks), KeyMap::sasrec_port())
        }
    };
    config.embedding.padded_positions = name(case).contains("port");
    (weights.load(config.init(&mut rng(), on).unwrap(), &keys).unwrap(), keys)
}

#[test]
fn golden_sasrec_block() {
    every_case("sasrec_block", |case, dtype, at| {
        let (model, keys) = sasrec(case, dtype);
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        let mut pass = Pass::evaluation();
        let items = |keep: bool| {
            let real = numbers(&inputs["item_seq"]).into_iter().map(|id| !keep || id != 0.0).collect();
            batch(inputs, "item_seq", Some(real))
        };
        if name(case).starts_with("post_norm_blocks") {
            let [lists, width, _] = shape(&inputs["x"]).try_into().expect("three axes");
            let mask = inputs["mask"]["data"].as_array().unwrap();
            let mask: Vec<bool> = mask.iter().map(|x| x.as_bool().unwrap_or(x.as_f64() == Some(1.0))).collect();
            let real_rows: Vec<u32> = (0..lists * width).filter(|&k| mask[k]).map(|k| k as u32).collect();
            let lengths: Vec<usize> = mask.chunks(width).map(|line| line.iter().filter(|k| **k).count()).collect();
            let lists = Ragged::from_lengths(&lengths);
            let x = rows(&inputs["x"], dtype);
            let take = |value: &Value| gather_rows(rows(value, dtype).detach(), &real_rows);
            let layers = model.transformer.forward_layers(gather_rows(x.clone(), &real_rows), &lists, &mut pass);
            let output = layers.last().unwrap().clone();
            if let Some(first) = expected.get("layer_0") {
                close(name(case), &values(layers[0].clone()), &values(take(first)), at[0], at[1]);
            }
            close(name(case), &values(output.clone()), &values(take(&expected["output"])), at[0], at[1]);
            let gradients = (output * take(&inputs["cotangent"])).sum().backward();
            close(name(case), &values(x.grad(&gradients).unwrap()), &numbers(&expected["grads"]["x"]), at[0], at[1]);
            same_gradients(case, model, &keys, &gradients, at);
            return;
        }
        let padded_rows_are_read = name(case).contains("port");
        let mut batch = items(!padded_rows_are_read);
        let width = shape(&inputs["item_seq"])[1];
        let post = name(case).starts_with("post_norm");
        if padded_rows_are_read {
            let positions = batch.positions.iter().zip(&batch.ids);
            batch.positions = positions.map(|(at, id)| if *id == 0 { 0 } else { at + 1 }).collect();
        } else if !post {
            batch.positions = batch.lists.positions_ending_at(width);
        }
        let x = model.embedding.forward(&batch.ids, &batch.positions, None, &mut pass);
        let hidden = model.transformer.forward(x.clone(), &batch.lists, &mut pass);
        let loss = if post {
            close(name(case), &values(hidden), &values(real(&expected["hidden"], &batch, dtype)), at[0], at[1]);
            // only the last rows are read
            let output = model.transformer.forward_at(x, &batch.lists, &batch.lists.last_rows(), &mut pass);
            close(name(case), &values(output.clone()), &numbers(&expected["output"]), at[0], at[1]);
            (output * rows(&inputs["cotangent"], dtype).detach()).sum()
        } else {
            // padded rows that are read have an output that counts for nothing
            let items: Vec<u32> = (0..batch.ids.len()).filter(|&k| batch.ids[k] != 0).map(|k| k as u32).collect();
            let [hidden, want, cotangent] =
                [hidden, real(&expected["output"], &batch, dtype), real(&inputs["cotangent"], &batch, dtype)]
                    .map(|x| gather_rows(x, &items));
            close(name(case), &values(hidden.clone()), &values(want), at[0], at[1]);
            (hidden * cotangent).sum()
        };
        same_gradients(case, model, &keys, &loss.backward(), at);
    });
}

#[test]
fn the_output_at_some_rows_is_that_of_all_rows() {
    let layouts = [
        TransformerConfig::sasrec(8, 2, 12, 2),
        TransformerConfig::gpt2(8, 2, 2),
        TransformerConfig::bert(8, 2, 12, 2),
        TransformerConfig::sasrec_original(8, 2, 2),
    ];
    let lists = Ragged::from_lengths(&[4, 0, 1, 3]);
    let x = || constant(crate::common::noise(8 * 8, 4), [8, 8], DType::F64);
    for config in layouts {
        let model =
            config.with_initial(contrastive_nn::init::Initial::Normal(0.5)).init(&mut rng(), (&device(), DType::F64));
        let (model, some) = (model.unwrap(), [1, 3, 6]);
        let all = gather_rows(model.forward(x(), &lists, &mut Pass::evaluation()), &some);
        let at = model.forward_at(x(), &lists, &some, &mut Pass::evaluation());
        close("rows", &values(at), &values(all), 1e-12, 1e-12);
    }
}

#[derive(Module, Debug)]
struct Classifier {
    vit: Vit,
    head: Linear,
}

#[test]
fn golden_vit_tiny() {
    every_case("vit_tiny", |case, dtype, at| {
        let (params, inputs, expected) = (&case["params"], &case["inputs"], &case["expected"]);
        let [image, patch, dim, depth, heads, ratio, classes] =
            ["image", "patch", "dim", "depth", "heads", "mlp_ratio", "classes"].map(|key| size(params, key));
        let mean = params["pool"].as_str().unwrap().starts_with("mean");
        let blocks = TransformerConfig::vit(dim, heads, ratio * dim, depth).with_final_norm(!mean);
        let pool = if mean { ImagePool::Mean } else { ImagePool::ClassToken };
        let config = VitConfig::new(image, shape(&inputs["x"])[1], patch, blocks).with_pool(pool);
        let on = (&device(), dtype);
        let head = LinearConfig::new(dim, classes).init(&mut rng(), on).unwrap();
        let keys = KeyMap::vit().inside("vit");
        let model = Classifier { vit: config.init(&mut rng(), on).unwrap(), head };
        let model = loaded(model, &keys, case);
        let x: Tensor<4> = tracked(numbers(&inputs["x"]), shape(&inputs["x"]).try_into().unwrap(), dtype);
        let tokens = model.vit.forward_rows(x.clone(), &mut Pass::evaluation());
        let pooled = model.vit.pooled(tokens.clone());
        let logits = model.head.forward(pooled.clone());
        close(name(case), &values(tokens.clone()), &numbers(&expected["tokens"]), at[0], at[1]);
        close(name(case), &values(pooled), &numbers(&expected["pooled"]), at[0], at[1]);
        close(name(case), &values(logits.clone()), &numbers(&expected["logits"]), at[0], at[1]);
        let of_tokens = constant(numbers(&inputs["cotangent_tokens"]), tokens.dims(), dtype);
        let of_logits = rows(&inputs["cotangent_logits"], dtype).detach();
        let gradients = ((tokens * of_tokens).sum() + (logits * of_logits).sum()).backward();
        close(name(case), &values(x.grad(&gradients).unwrap()), &numbers(&expected["grads"]["x"]), at[0], at[1]);
        same_gradients(case, model, &keys, &gradients, at);
    });
}
