//! Single layers against torch_geometric's, values and gradients.

use super::*;
use crate::common::{golden, numbers};
use serde_json::Value;

/// Values and gradients of the golden README.
fn tolerances(dtype: DType) -> [f64; 3] {
    if dtype == DType::F64 { [1e-10, 1e-9, 1e-9] } else { [1e-5, 1e-5, 1e-4] }
}

fn shape(tensor: &Value) -> [usize; 2] {
    let dims: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).unwrap();
    [dims[dims.len() - 2], dims[dims.len() - 1]]
}

fn transposed(values: &[f64], [rows, cols]: [usize; 2]) -> Vec<f64> {
    (0..rows * cols).map(|k| values[(k % rows) * cols + k / rows]).collect()
}

/// The golden weight, out x in, as the parameter in x out.
fn weight(tensor: &Value, dtype: DType) -> Param<Tensor<2>> {
    let [output, input] = shape(tensor);
    Param::from_tensor(tracked(transposed(&numbers(tensor), [output, input]), [input, output], dtype))
}

fn list(values: Vec<f64>, dtype: DType) -> Param<Tensor<1>> {
    let count = values.len();
    Param::from_tensor(tracked(values, [1, count], dtype).reshape([count]).detach())
}

fn linear(weight: Param<Tensor<2>>, bias: Option<Param<Tensor<1>>>) -> Linear {
    Linear { weight, bias }
}

/// Reads the gradient of one parameter.
type Reader = Box<dyn Fn(&Gradients) -> Vec<f64>>;
type Checked = (Tensor<2>, Vec<(&'static str, Reader)>);

fn table(leaf: &Param<Tensor<2>>, transpose: bool) -> Reader {
    let leaf = leaf.val();
    Box::new(move |g| {
        let grad = leaf.grad(g).expect("a gradient");
        values(&if transpose { grad.transpose() } else { grad })
    })
}

fn row(leaf: &Param<Tensor<1>>) -> Reader {
    let leaf = leaf.val();
    Box::new(move |g| values(&leaf.grad(g).expect("a gradient")))
}

/// The layer of a golden case on an input, with the parameters whose gradients the case lists.
fn golden_layer(case: &Value, adjacency: &Csr<f64>, input: &NodeInput, dtype: DType) -> Checked {
    let name = case["name"].as_str().unwrap().split("_s").next().unwrap();
    let given = &case["inputs"];
    let bias = || list(numbers(&given["bias"]), dtype);
    match name {
        "GCNConv" => {
            let layer = Gcn { map: linear(weight(&given["weight"], dtype), Some(bias())) };
            let output = layer.forward(&SparseOperator::new(gcn_normalised(adjacency, true)), input);
            let bias = layer.map.bias.as_ref().unwrap();
            (output, vec![("weight", table(&layer.map.weight, true)), ("bias", row(bias))])
        }
        "SAGEConv" => {
            let neighbours = linear(weight(&given["weight_neigh"], dtype), Some(bias()));
            let layer = Sage { neighbours, own: linear(weight(&given["weight_root"], dtype), None) };
            let output = layer.forward(&SparseOperator::new(row_normalised(adjacency)), input);
            let leaves = vec![
                ("weight_neigh", table(&layer.neighbours.weight, true)),
                ("weight_root", table(&layer.own.weight, true)),
                ("bias", row(layer.neighbours.bias.as_ref().unwrap())),
            ];
            (output, leaves)
        }
        "GINConv" => {
            let [output, inner] = shape(&given["weight"]);
            let config = GinConfig::new(MlpConfig::new(vec![inner, output]));
            let mut layer = config.init(&mut rng(0), &Device::default().autodiff()).unwrap();
            layer.network.maps[0] = linear(weight(&given["weight"], dtype), Some(bias()));
            layer.own = list(vec![1.0 + case["params"]["eps"].as_f64().unwrap()], dtype);
            let output = layer.forward(&SparseOperator::new(adjacency.clone()), input);
            let map = &layer.network.maps[0];
            (output, vec![("weight", table(&map.weight, true)), ("bias", row(map.bias.as_ref().unwrap()))])
        }
        "GATConv" => {
            let [output, inner] = shape(&given["weight"]);
            let config = GatConfig::new(inner, output)
                .with_heads(case["params"]["heads"].as_u64().unwrap() as usize)
                .with_negative_slope(case["params"]["negative_slope"].as_f64().unwrap());
            let mut layer = config.init(&mut rng(0), &Device::default().autodiff()).unwrap();
            layer.map = linear(weight(&given["weight"], dtype), None);
            let attention = |name: &str| Param::from_tensor(tracked(numbers(&given[name]), shape(&given[name]), dtype));
            (layer.source, layer.target) = (attention("att_src"), attention("att_dst"));
            layer.bias = Some(bias());
            let output = layer.forward(&SparsePattern::new(&with_self_loops(adjacency)), input);
            let leaves = vec![
                ("weight", table(&layer.map.weight, true)),
                ("att_src", table(&layer.source, false)),
                ("att_dst", table(&layer.target, false)),
                ("bias", row(layer.bias.as_ref().unwrap())),
            ];
            (output, leaves)
        }
        "LGConv_x3" => {
            let NodeFeatures::Dense(x) = input.features() else { panic!("LightGCN takes a table") };
            let operator = SparseOperator::new(gcn_normalised(adjacency, false));
            (light_propagation(&operator, x.clone(), 3), Vec::new())
        }
        other => panic!("unknown golden layer {other}"),
    }
}

#[test]
fn golden_graph_layers() {
    let Some(file) = golden("graph_layers.json") else { return };
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let (given, expected) = (&case["inputs"], &case["expected"]);
        let dims = shape(&given["x"]);
        let edges = numbers(&given["edge_index"]);
        let (sources, targets) = edges.split_at(edges.len() / 2);
        let entries: Vec<_> = targets.iter().zip(sources).map(|(&t, &s)| (t as u32, s as u32, 1.0)).collect();
        let adjacency = Csr::from_triplets(dims[0], dims[0], &entries).unwrap();
        for dtype in types() {
            let [value, absolute, relative] = tolerances(dtype);
            let x = tracked(numbers(&given["x"]), dims, dtype);
            let flat: Vec<_> = (0..dims[0] * dims[1])
                .map(|k| ((k / dims[1]) as u32, (k % dims[1]) as u32, numbers(&given["x"])[k]))
                .collect();
            let sparse = NodeInput::from(Csr::from_triplets(dims[0], dims[1], &flat).unwrap());
            let both = [(true, NodeInput::from(x.clone())), (false, sparse)];
            for (is_dense, input) in both.into_iter().take(if name.starts_with("LGConv") { 1 } else { 2 }) {
                let what = format!("{name} {dtype:?}, dense {is_dense}");
                let (output, leaves) = golden_layer(case, &adjacency, &input, dtype);
                let size = [output.dims()[0], output.dims()[1]];
                close(&what, &values(&output), &numbers(&expected["output"]), value, value);
                let loss = (output * tracked(numbers(&given["cotangent"]), size, dtype).detach()).sum();
                close(&what, &values(&loss), &[expected["loss"].as_f64().unwrap()], 0.0, value);
                let gradients = loss.backward();
                let wanted = expected["grads"].as_object().unwrap();
                assert_eq!(leaves.len() + 1, wanted.len(), "{what}: gradients");
                for (leaf, gradient) in &leaves {
                    close(
                        &format!("{what} {leaf}"),
                        &gradient(&gradients),
                        &numbers(&wanted[*leaf]),
                        absolute,
                        relative,
                    );
                }
                if is_dense {
                    let got = values(&x.grad(&gradients).expect("a gradient"));
                    close(&format!("{what} x"), &got, &numbers(&wanted["x"]), absolute, relative);
                }
            }
        }
    }
}
