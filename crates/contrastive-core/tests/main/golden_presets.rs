//! Presets with a queue, joined candidates or several log-sum-exps against the reference values, in f64 and f32.

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;
use contrastive_core::similarity::Similarity;
use serde_json::Value;

fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

/// Runs every case in every type and says how far off the worst numbers were.
fn each(name: &str, mut test: impl FnMut(&mut Case)) {
    let Some(file) = golden(name) else { return };
    for dtype in types() {
        let (mut compared, mut loss, mut gradient) = (0, 0f64, 0f64);
        for case in cases(&file) {
            let mut case = Case { case, dtype, loss: 0.0, gradient: 0.0, compared: 0 };
            test(&mut case);
            compared += case.compared;
            (loss, gradient) = (loss.max(case.loss), gradient.max(case.gradient));
        }
        assert!(compared > 0, "{name}: no case was compared");
        println!("{name} {dtype:?}: {compared} comparisons, worst loss {loss:.1e} relative, gradient {gradient:.1e}");
    }
}

struct Case<'a> {
    case: &'a Value,
    dtype: DType,
    loss: f64,
    gradient: f64,
    compared: usize,
}

impl Case<'_> {
    fn is(&self, start: &str) -> bool {
        self.case["name"].as_str().unwrap().starts_with(start)
    }

    fn input(&self, name: &str) -> Tensor<2> {
        matrix(&self.case["inputs"][name], self.dtype)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.case["params"][name].as_f64()
    }

    fn queue(&self, name: &str) -> Queue {
        let rows = self.input(name);
        let [m, d] = rows.dims();
        let mut queue = Queue::new(m, d, (&device(), self.dtype)).unwrap();
        queue.push(rows);
        queue
    }

    /// The relative tolerance of a loss; the absolute and relative ones of other numbers.
    fn tolerances(&self) -> (f64, f64, f64) {
        if self.dtype == DType::F64 { (1e-10, 1e-9, 1e-9) } else { (1e-5, 1e-5, 1e-4) }
    }

    /// Compares the loss and the gradients of the named inputs.
    fn check(&mut self, loss: Tensor<1>, inputs: &[(&str, &Tensor<2>)]) {
        let (l, a, r) = self.tolerances();
        let what = |part: &str| format!("{} {:?} {part}", self.case["name"], self.dtype);
        let expected = self.case["expected"]["loss"].as_f64().unwrap();
        let got = values(&loss);
        close(&what("loss"), &got, &[expected], 0.0, l);
        self.loss = self.loss.max(((got[0] - expected) / expected).abs());
        let wanted = self.case["expected"]["grads"].as_object().unwrap();
        assert_eq!(wanted.len(), inputs.len(), "{}", what("gradients"));
        let gradients = (loss * 2.0).backward();
        for (input, tensor) in inputs {
            let g = tensor.grad(&gradients).unwrap_or_else(|| panic!("{}: no gradient", what(input)));
            let (got, expected) = (values(&(g * 0.5)), numbers(&wanted[*input]));
            close(&what(input), &got, &expected, a, r);
            let worst = got.iter().zip(&expected).map(|(g, e)| (g - e).abs()).fold(0.0, f64::max);
            self.gradient = self.gradient.max(worst);
        }
        self.compared += 1;
    }
}

#[test]
fn golden_moco() {
    each("moco", |case| {
        if !case.is("moco_loss") {
            return;
        }
        let (q, k) = (case.input("query"), case.input("key"));
        let moco = Moco::new(case.number("temperature").unwrap()).unwrap().with_similarity(Similarity::Dot);
        let negatives = case.input("queue");
        let loss = moco.loss_among(q.clone(), k.clone(), negatives.clone());
        case.check(loss, &[("query", &q), ("key", &k), ("queue", &negatives)]);
        // a queue holds constants: the same loss and the same gradients of the rest
        let loss = moco.loss(q.clone(), k.clone(), &case.queue("queue"));
        let (l, a, r) = case.tolerances();
        close("loss against a queue", &values(&loss), &[case.case["expected"]["loss"].as_f64().unwrap()], 0.0, l);
        let gradient = values(&q.grad(&loss.backward()).unwrap());
        close("query", &gradient, &numbers(&case.case["expected"]["grads"]["query"]), a, r);
    });
}

#[test]
fn golden_moco_memory_bank() {
    // the bank of the reference drops what does not fit; until then (and where the batch divides the bank) they agree
    let Some(file) = golden("moco") else { return };
    let mut agreed = 0;
    let banks = cases(&file).iter().filter(|c| c["name"].as_str().unwrap().starts_with("memory_bank"));
    for (case, dtype) in banks.flat_map(|case| types().into_iter().map(move |dtype| (case.clone(), dtype))) {
        let bank = |name: &str| matrix(&case["inputs"][name], dtype).inner();
        let size = case["params"]["size"].as_u64().unwrap() as usize;
        let exact = if dtype == DType::F64 { 1e-15 } else { 1e-7 };
        let mut queue = Queue::new(size, bank("initial_bank").dims()[1], (&device(), dtype)).unwrap();
        queue.push(bank("initial_bank"));
        for (step, expected) in case["expected"]["steps"].as_array().unwrap().iter().enumerate() {
            let batch = bank(&format!("batch_{step}"));
            let fits = (step + 1) * batch.dims()[0] <= size || size.is_multiple_of(batch.dims()[0]);
            close("seen", &values(&queue.rows().unwrap()), &numbers(&expected["negatives_seen"]), exact, 0.0);
            queue.push(batch);
            if !fits {
                break;
            }
            close("after", &values(&queue.rows().unwrap()), &numbers(&expected["bank_after"]), exact, 0.0);
            agreed += 1;
        }
    }
    assert!(agreed > 0, "no step compared");
}

#[test]
fn golden_nnclr() {
    each("nnclr", |case| {
        let (z, p) = (case.input("z"), case.input("p"));
        let bank = case.queue("bank");
        let nearest = nearest_rows(z.clone(), bank.rows().unwrap(), Similarity::Cosine);
        let nearest: Vec<i64> = nearest.into_data().iter::<i64>().collect();
        assert_eq!(nearest, integers(&case.case["expected"]["neighbour_index"]));
        let objective = NnClr::new(case.number("temperature").unwrap()).unwrap();
        let rows = values(&objective.neighbours(z.clone(), &bank));
        let rounding = if case.dtype == DType::F64 { 1e-15 } else { 1e-7 };
        close("neighbours", &rows, &numbers(&case.case["expected"]["neighbours"]), rounding, 0.0);
        let loss = || objective.loss(z.clone(), p.clone(), &bank);
        assert!(z.grad(&loss().backward()).is_none(), "no gradient reaches the rows that pick neighbours");
        case.check(loss(), &[("p", &p)]);
        let both = objective.symmetric_loss([z.clone(), z.clone()], [p.clone(), p.clone()], &bank);
        case.check(both, &[("p", &p)]);
    });
}

#[test]
fn golden_bilinear_infonce() {
    each("bilinear_infonce", |case| {
        let (a, p, w) = (case.input("anchor"), case.input("positive"), case.input("weight"));
        let loss = BilinearInfoNce::new().loss(a.clone(), p.clone(), w.clone());
        case.check(loss, &[("anchor", &a), ("positive", &p), ("weight", &w)]);
    });
}

#[test]
fn golden_in_batch_ranking() {
    each("in_batch_ranking", |case| {
        let ranking = MultipleNegativesRanking::new(case.number("temperature").unwrap()).unwrap();
        let ranking = match case.number("hardness_strength") {
            Some(alpha) => ranking.with_hardness(alpha).unwrap(),
            None if case.is("gte_joint") => ranking.with_joint_denominator(),
            None if case.is("symmetric") => ranking.with_both_directions(),
            None => ranking,
        };
        let (a, p) = (case.input("anchor"), case.input("positive"));
        if case.case["inputs"].get("negative").is_some() {
            let n = case.input("negative");
            let loss = ranking.loss_with_hard_negatives(a.clone(), p.clone(), n.clone());
            return case.check(loss, &[("anchor", &a), ("positive", &p), ("negative", &n)]);
        }
        case.check(ranking.loss(a.clone(), p.clone()), &[("anchor", &a), ("positive", &p)]);
    });
}

#[test]
fn golden_grace() {
    each("grace", |case| {
        let (a, b) = (case.input("z0"), case.input("z1"));
        let Some(t) = case.number("temperature") else { return };
        let grace = Grace::new(t).unwrap();
        let loss = match () {
            () if case.is("grace") => grace.loss(a.clone(), b.clone()),
            () if case.is("pygcl_no_intraview") => grace.with_inter_view_only().loss(a.clone(), b.clone()),
            // the library's reading: each row is also a negative of itself
            () => {
                let both = Tensor::cat(vec![a.clone(), b.clone()], 0);
                grace.objective().loss(&Inputs::new(both.clone(), both))
            }
        };
        case.check(loss, &[("z0", &a), ("z1", &b)]);
    });
}

#[test]
fn golden_ressl() {
    each("ressl", |case| {
        let (q, k) = (case.input("query"), case.input("key"));
        let (student, teacher) = (case.number("temperature_q").unwrap(), case.number("temperature_k").unwrap());
        let ressl = ReSsl::new(student, teacher).unwrap().with_similarity(Similarity::Dot);
        let loss = || ressl.loss(q.clone(), k.clone(), &case.queue("queue"));
        assert!(k.grad(&loss().backward()).is_none(), "no gradient reaches the teacher");
        case.check(loss(), &[("query", &q)]);
    });
}

#[test]
fn golden_hard_debiased_infonce() {
    each("hard_debiased_infonce", |case| {
        let (a, b) = (case.input("z0"), case.input("z1"));
        let (t, hidden) = (case.number("temperature").unwrap(), case.number("tau_plus").unwrap());
        let objective = DebiasedInfoNce::new(t, hidden).unwrap();
        let objective = objective.with_hardness(case.number("beta").unwrap_or(0.0)).unwrap();
        case.check(objective.loss(a.clone(), b.clone()), &[("z0", &a), ("z1", &b)]);
    });
}

#[test]
fn golden_cross_batch_memory() {
    let Some(file) = golden("cross_batch_memory") else { return };
    for dtype in types() {
        let (mut steps, mut worst) = (0, [0f64; 2]);
        for case in cases(&file) {
            let number = |name: &str| case["params"][name].as_f64().unwrap();
            let objective = PairContrastive::of_similarities(number("pos_margin"), number("neg_margin")).unwrap();
            let rows = |step: usize| matrix(&case["inputs"][format!("embeddings_{step}")], dtype);
            let size = number("memory_size") as usize;
            let mut memory = Queue::labelled(size, rows(0).dims()[1], (&device(), dtype)).unwrap();
            for (step, expected) in case["expected"]["steps"].as_array().unwrap().iter().enumerate() {
                let (x, labels) = (rows(step), integers(&case["inputs"][format!("labels_{step}")]));
                let batch = CrossBatch::new(x.clone(), &labels, &mut memory);
                assert_eq!(Value::from(memory.is_full()), expected["full"]);
                let objective = objective.clone().with_pairs(batch.pairs).with_exclusions(batch.exclusions);
                let loss = objective.loss(&batch.inputs);
                let (l, a, r) = if dtype == DType::F64 { (1e-10, 1e-9, 1e-9) } else { (1e-5, 1e-5, 1e-4) };
                let (got, want) = (values(&loss), expected["loss"].as_f64().unwrap());
                close("loss", &got, &[want], 0.0, l);
                let (g, grad) = (values(&x.grad(&loss.backward()).unwrap()), numbers(&expected["grad"]));
                close("embeddings", &g, &grad, a, r);
                worst[0] = worst[0].max(((got[0] - want) / want).abs());
                worst[1] = g.iter().zip(&grad).map(|(g, w)| (g - w).abs()).fold(worst[1], f64::max);
                steps += 1;
            }
        }
        println!("cross_batch_memory {dtype:?}: {steps} steps, worst loss {:.1e}, gradient {:.1e}", worst[0], worst[1]);
    }
}

#[test]
fn golden_pair_contrastive() {
    each("metric_learning", |case| {
        if !case.is("contrastive") {
            return;
        }
        let x = case.input("embeddings");
        let labels = Pairs::labels(&integers(&case.case["inputs"]["labels"]));
        let (positive, negative) = (case.number("pos_margin").unwrap(), case.number("neg_margin").unwrap());
        let objective = PairContrastive::of_distances(positive, negative).unwrap().with_pairs(labels);
        case.check(objective.loss(&Inputs::self_contrast(x.clone())), &[("embeddings", &x)]);
    });
}
