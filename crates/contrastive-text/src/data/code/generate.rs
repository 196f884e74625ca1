//! Functions from templates, for examples without data.

use super::{CodePair, Language};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Python functions of six acts on six things, each with a description that names one act by another word, and with one of 400 names that stands in
/// both: what can be learnt is which words belong together. They say nothing about real code.
pub fn generated_functions(count: usize, seed: u64) -> Vec<CodePair> {
    let things = ["file", "list", "user", "date", "graph", "image"];
    let acts = ["read", "write", "sort", "count", "find", "merge"];
    let says = ["load", "store", "order", "number", "search", "join"];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pair = |number| {
        let [act, thing, then] = [(); 3].map(|()| rng.random_range(0..6));
        let (name, other) = (rng.random_range(0..400), rng.random_range(0..400));
        let [act_word, thing, then_word] = [acts[act], things[thing], acts[then]];
        let code = format!("def {act_word}_{thing}(x_{name}):\n    return {then_word}(x_{name}, k{other})");
        let query = format!("{} the {thing} x {name}, then {}", says[act], says[then]);
        CodePair { code, query, language: Language::Python, number }
    };
    (0..count).map(pair).collect()
}
