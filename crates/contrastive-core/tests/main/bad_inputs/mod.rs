//! What bad input does to every objective. `docs/bad-inputs.md` holds the table of objectives, inputs and outcomes; this test
//! reads it, runs each objective with each input, and compares value and gradients with what is written there.
//!
//! Finite input never gives NaN: degenerate rows, classes and denominators have a defined value and gradient. Input that is
//! not finite gives a value that is not finite (objectives with memory refuse it), never a number that looks sound;
//! training stops at it with an error that names the step. Shapes and labels that do not fit panic with both. Settings
//! that cannot be are errors that say what is allowed.

mod cases;
mod document;
mod labelled;
mod others;
mod settings;
mod two_tables;

use crate::common::{tracked, values};
use burn::tensor::{DType, Tensor};
use contrastive_core::memory::Queue;
use document::{Want, documented};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The shape of a table of a batch of n samples.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// This many rows for each sample.
    Rows(usize),
    /// This many rows: proxies, a queue.
    Fixed(usize),
    /// As many rows as columns.
    Square,
    /// A number for each sample.
    Column,
    /// The same, which may be minus infinity.
    Density,
    /// This many numbers, all the same.
    Numbers(usize, f64),
    /// A number that must be finite: `cases` has what others do.
    Scale(f64),
}
use Shape::*;

type Loss = Box<dyn Fn(&[Tensor<2>], &[i64]) -> Result<Tensor<1>, String>>;
type Each = Box<dyn Fn(&Tensor<2>, &[i64]) -> Vec<f64>>;

/// A loss of tables and the labels of the samples.
pub(crate) struct Entry {
    name: &'static str,
    tables: Vec<(&'static str, Shape)>,
    /// Do labels say who belongs to whom?
    labelled: bool,
    loss: Loss,
    /// The value of each row, where there is one.
    each: Option<Each>,
}

pub(crate) fn entry(
    name: &'static str,
    tables: &[(&'static str, Shape)],
    loss: impl Fn(&[Tensor<2>], &[i64]) -> Result<Tensor<1>, String> + 'static,
) -> Entry {
    Entry { name, tables: tables.to_vec(), labelled: false, loss: Box::new(loss), each: None }
}

/// Of two tables of equal size.
pub(crate) fn pair(name: &'static str, loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1> + 'static) -> Entry {
    entry(name, &[("first", Rows(1)), ("second", Rows(1))], move |t, _| Ok(loss(t[0].clone(), t[1].clone())))
}

/// The message of an error.
pub(crate) fn text<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|e| e.to_string())
}

pub(crate) fn numbers(x: &Tensor<2>) -> Tensor<1> {
    let count: usize = x.dims().iter().product();
    x.clone().reshape([count])
}

pub(crate) fn queue(of: &Tensor<2>) -> Queue {
    let [n, d] = of.dims();
    let mut queue = Queue::new(n.max(1), d, (&of.device(), of.dtype())).unwrap();
    queue.push(of.clone());
    queue
}

fn entries() -> Vec<Entry> {
    [two_tables::entries(), labelled::entries(), others::entries()].into_iter().flatten().collect()
}

/// What goes into a loss.
#[derive(Clone)]
pub(crate) struct Batch {
    tables: Vec<(Vec<f64>, [usize; 2])>,
    labels: Vec<i64>,
}

/// n rows, all different.
pub(crate) fn rows(n: usize, width: usize, shift: f64) -> Vec<f64> {
    (0..n * width).map(|k| ((k as f64 + shift) * 1.7).sin()).collect()
}

/// Width of the rows.
const WIDTH: usize = 4;

impl Batch {
    fn new(entry: &Entry, labels: &[i64]) -> Self {
        Self::of(entry, labels.len(), labels)
    }

    fn of(entry: &Entry, n: usize, labels: &[i64]) -> Self {
        let table = |(t, (_, shape)): (usize, &(&str, Shape))| {
            let [count, width] = match *shape {
                Rows(each) => [n * each, WIDTH],
                Fixed(count) => [count, WIDTH],
                Square => [WIDTH; 2],
                Column | Density => [n, 1],
                Numbers(count, _) => [count, 1],
                Scale(_) => [1, 1],
            };
            let values = match *shape {
                Numbers(_, value) | Scale(value) => vec![value; count],
                _ => rows(count, width, 0.3 * t as f64),
            };
            (values, [count, width])
        };
        Self { tables: entry.tables.iter().enumerate().map(table).collect(), labels: labels.to_vec() }
    }

    fn row(&mut self, table: usize, row: usize) -> &mut [f64] {
        let width = self.tables[table].1[1];
        &mut self.tables[table].0[row * width..][..width]
    }

    fn map(mut self, tables: &[usize], f: impl Fn(f64) -> f64) -> Self {
        for t in tables {
            self.tables[*t].0.iter_mut().for_each(|x| *x = f(*x));
        }
        self
    }
}

/// What a loss did.
pub(crate) enum Seen {
    /// Value and gradients, all finite.
    Number {
        value: f64,
        slopes: Vec<Vec<f64>>,
    },
    /// The value is NaN or infinite.
    NoNumber,
    /// The value is finite, gradients are not.
    Broken(String),
    Error(String),
    Panic(String),
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number { value, slopes } => {
                let most = slopes.iter().flatten().fold(0f64, |most, g| most.max(g.abs()));
                write!(f, "{value} with gradients up to {most:e}")
            }
            Self::NoNumber => write!(f, "NaN"),
            Self::Broken(what) => write!(f, "BROKEN: {what}"),
            Self::Error(what) => write!(f, "error: {what}"),
            Self::Panic(what) => write!(f, "panic: {what}"),
        }
    }
}

/// The message of a panic.
pub(crate) fn panics<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default()
    })
}

fn run(entry: &Entry, batch: &Batch) -> Seen {
    seen(|| {
        let tables: Vec<Tensor<2>> =
            batch.tables.iter().map(|(v, shape)| tracked(v.clone(), *shape, DType::F32)).collect();
        Ok(((entry.loss)(&tables, &batch.labels)?, tables))
    })
}

/// What a loss of tables does.
pub(crate) fn seen(loss: impl FnOnce() -> Result<(Tensor<1>, Vec<Tensor<2>>), String>) -> Seen {
    let run = || -> Result<_, String> {
        let (value, tables) = loss()?;
        let number = values(&value)[0];
        let tape = value.is_tracked().then(|| value.backward());
        // an input without a gradient is a constant of the loss
        let slope = |x: &Tensor<2>| match tape.as_ref().and_then(|tape| x.grad(tape)) {
            Some(slope) => values(&slope),
            None => vec![0.0; x.dims().iter().product()],
        };
        Ok((number, tables.iter().map(slope).collect::<Vec<_>>()))
    };
    match panics(run) {
        Ok(Ok((value, _))) if !value.is_finite() => Seen::NoNumber,
        Ok(Ok((value, slopes))) => match slopes.iter().flatten().filter(|g| !g.is_finite()).count() {
            0 => Seen::Number { value, slopes },
            wrong => Seen::Broken(format!("value {value}, {wrong} gradients are not finite")),
        },
        Ok(Err(error)) => Seen::Error(error),
        Err(panic) => Seen::Panic(panic),
    }
}

const LABELS: [i64; 6] = [0, 0, 1, 1, 2, 2];

/// Inputs of a column of the document: the batch, and which (table, row) is not to have a gradient for `no pull`.
fn inputs(entry: &Entry, column: &str) -> Vec<(String, Batch, Vec<[usize; 2]>)> {
    let sound = Batch::new(entry, &LABELS);
    let named = |t: usize| entry.tables[t].0;
    let of_rows = |t: &usize| matches!(entry.tables[*t].1, Rows(_) | Fixed(_));
    let tables: Vec<usize> = (0..entry.tables.len()).filter(of_rows).collect();
    let all = |batch: &Batch| -> Vec<[usize; 2]> {
        tables.iter().flat_map(|&t| (0..batch.tables[t].1[0]).map(move |row| [t, row])).collect()
    };
    let with_labels = |labels: &[i64]| vec![(String::new(), Batch::new(entry, labels), Vec::new())];
    match column {
        "one row" => with_labels(&[0]),
        "a lone label" => with_labels(&[0, 0, 1, 1, 2]),
        "only lone labels" => with_labels(&[0, 1, 2, 3, 4, 5]),
        "one label" => with_labels(&[0; 6]),
        "no rows" => with_labels(&[]),
        "a row of zeros" => {
            let zero = |&t: &usize| {
                let mut batch = sound.clone();
                batch.row(t, 0).fill(0.0);
                (format!(" in {}", named(t)), batch, vec![[t, 0]])
            };
            tables.iter().map(zero).collect()
        }
        "large rows" => vec![(String::new(), sound.map(&tables[..tables.len().min(1)], |x| x * 1e3), Vec::new())],
        "only zeros" => {
            let batch = sound.clone().map(&tables, |_| 0.0);
            vec![(String::new(), batch.clone(), all(&batch))]
        }
        "length 1e20" => {
            let long = |&t: &usize| {
                let mut batch = sound.clone();
                batch.row(t, 0).iter_mut().for_each(|x| *x *= 1e20);
                (format!(" in {}", named(t)), batch, Vec::new())
            };
            tables.iter().map(long).collect()
        }
        "NaN entry" => {
            let mut found = Vec::new();
            for (t, (name, shape)) in entry.tables.iter().enumerate() {
                if matches!(shape, Scale(_)) {
                    continue;
                }
                for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    if bad == f64::NEG_INFINITY && matches!(shape, Density) {
                        continue;
                    }
                    let count = sound.tables[t].0.len();
                    let places = if count > 1 { vec![0, count - 2] } else { vec![0] };
                    for at in places {
                        let mut batch = sound.clone();
                        batch.tables[t].0[at] = bad;
                        found.push((format!(": {bad} at {at} of {name}"), batch, Vec::new()));
                    }
                }
            }
            found
        }
        _ => panic!("the document has a column {column:?}"),
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-5 * (1.0 + b.abs())
}

/// Does what was seen of a batch fit?
fn fits(entry: &Entry, batch: &Batch, idle: &[[usize; 2]], seen: &Seen, want: &Want) -> bool {
    let lone = || {
        let (values, shape) = &batch.tables[0];
        let each = entry.each.as_ref().unwrap_or_else(|| panic!("{} has no values of rows", entry.name));
        let each = each(&tracked(values.clone(), *shape, DType::F32), &batch.labels);
        let alone = *each.last().expect("a row");
        (alone, each.iter().sum::<f64>(), each.len() as f64)
    };
    match (seen, want) {
        (Seen::NoNumber, Want::NoNumber | Want::Any) => true,
        (Seen::Error(message), Want::Error(part)) | (Seen::Panic(message), Want::Panic(part)) => message.contains(part),
        (Seen::Number { value, slopes }, want) => {
            let still = slopes.iter().flatten().all(|g| *g == 0.0);
            match want {
                Want::Finite | Want::Any => true,
                Want::Zero => *value == 0.0 && still,
                Want::Rounding => value.abs() < 1e-5 && slopes.iter().flatten().all(|g| g.abs() < 1e-5),
                Want::Number => *value != 0.0 || !still,
                Want::Value(wanted) => close(*value, *wanted),
                Want::NoPull => idle.iter().all(|&[t, row]| {
                    let width = batch.tables[t].1[1];
                    slopes[t][row * width..][..width].iter().all(|g| *g == 0.0)
                }),
                Want::LeftOut => {
                    let (alone, sum, n) = lone();
                    alone == 0.0 && close(*value, sum / (n - 1.0))
                }
                Want::CountsAsZero => {
                    let (alone, sum, n) = lone();
                    alone == 0.0 && close(*value, sum / n)
                }
                Want::NoPart => lone().0 == 0.0,
                Want::Part => lone().0 != 0.0,
                Want::NoNumber | Want::Error(_) | Want::Panic(_) => false,
            }
        }
        _ => false,
    }
}

#[test]
fn objectives_do_what_the_document_says() {
    let (entries, table) = (entries(), documented());
    let mut wrong = Vec::new();
    for (name, column, _) in &table {
        if !entries.iter().any(|e| e.name == *name) {
            wrong.push(format!("{name}, {column}: no such objective in the test"));
        }
    }
    for entry in &entries {
        let own: Vec<_> = table.iter().filter(|(name, _, _)| *name == entry.name).collect();
        if own.is_empty() {
            wrong.push(format!("{}: not in the document", entry.name));
        }
        for (_, column, want) in own {
            for (what, batch, idle) in inputs(entry, column) {
                let seen = run(entry, &batch);
                if !fits(entry, &batch, &idle, &seen, want) {
                    wrong.push(format!("{}, {column}{what}: {seen:?} instead of {want:?}", entry.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells\n{}", wrong.len(), wrong.join("\n"));
}

/// What holds for all: finite rows give finite numbers.
#[test]
fn finite_rows_give_finite_numbers() {
    let (mut wrong, documented) = (Vec::new(), documented());
    for entry in entries() {
        let sound = Batch::new(&entry, &LABELS);
        let of_rows = |t: &usize| matches!(entry.tables[*t].1, Rows(_) | Fixed(_));
        let tables: Vec<usize> = (0..entry.tables.len()).filter(of_rows).collect();
        let mut same = sound.clone();
        for &t in &tables {
            let first = rows(1, WIDTH, 0.0);
            (0..same.tables[t].1[0]).for_each(|row| same.row(t, row).copy_from_slice(&first));
        }
        let last = &tables[tables.len().saturating_sub(1)..];
        let batches = [
            ("sound rows", sound.clone()),
            ("two rows", Batch::new(&entry, &[0, 0])),
            ("equal rows", same.clone()),
            ("opposite rows", same.map(last, |x| -x)),
            ("large rows", sound.clone().map(&tables[..tables.len().min(1)], |x| x * 1e3)),
            ("small rows", sound.map(&tables[..tables.len().min(1)], |x| x * 1e-8)),
        ];
        for (what, batch) in batches {
            // what the document says otherwise has its place there
            if documented.iter().any(|(name, column, _)| *name == entry.name && column == what) {
                continue;
            }
            let seen = run(&entry, &batch);
            let needs = matches!((what, &seen), ("two rows", Seen::Error(m)) if m.contains("at least 3"));
            if !needs && !matches!(seen, Seen::Number { .. }) {
                wrong.push(format!("{}, {what}: {seen:?}", entry.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tables that may be longer than the others: what is beyond are more negatives, or more samples.
const MORE: [(&str, &str); 8] = [
    ("InfoNCE of distances", "second"),
    ("InfoNCE with pair terms", "second"),
    ("InfoNCE with a scale", "second"),
    ("bilinear", "second"),
    ("hard contrastive", "second"),
    ("hard contrastive, simple", "second"),
    ("MECO", "data"),
    ("groups of InfoNCE", "candidates"),
];

/// What holds for all: shapes that do not fit panic with a message that shows them.
#[test]
fn shapes_that_do_not_fit_panic() {
    let mut wrong = Vec::new();
    let documented = documented();
    for entry in entries() {
        let mut expect = |what: String, batch: &Batch, parts: &[&str]| {
            let seen = run(&entry, batch);
            let message = match &seen {
                Seen::Panic(message) | Seen::Error(message) => Some(message),
                _ => None,
            };
            if !message.is_some_and(|m| parts.iter().all(|part| m.contains(part))) {
                wrong.push(format!("{}, {what}: {seen:?}", entry.name));
            }
        };
        if !documented.iter().any(|(name, column, _)| *name == entry.name && column == "no rows") {
            expect("no rows".to_string(), &Batch::new(&entry, &[]), &["[0, 4]"]);
        }
        let sound = Batch::new(&entry, &LABELS);
        if entry.labelled {
            expect("five labels of six rows".to_string(), &Batch::of(&entry, 6, &LABELS[..5]), &["5", "6"]);
            expect("seven labels of six rows".to_string(), &Batch::of(&entry, 6, &[0, 0, 1, 1, 2, 2, 0]), &["6", "7"]);
        }
        let wide: Vec<usize> =
            (0..entry.tables.len()).filter(|t| matches!(entry.tables[*t].1, Rows(_) | Fixed(_) | Square)).collect();
        // common and salient vectors may be of two widths
        for &t in wide.iter().filter(|_| wide.len() > 1 && entry.name != "joint entropy") {
            let mut batch = sound.clone();
            let count = batch.tables[t].1[0];
            batch.tables[t] = (rows(count, WIDTH + 1, 0.1), [count, WIDTH + 1]);
            expect(format!("{} of width 5", entry.tables[t].0), &batch, &["4", "5"]);
        }
        let each: Vec<usize> =
            (0..entry.tables.len()).filter(|t| matches!(entry.tables[*t].1, Rows(_) | Column | Density)).collect();
        let mut welcome = Vec::new();
        for &t in each.iter().filter(|_| each.len() > 1) {
            let mut batch = sound.clone();
            let [count, width] = batch.tables[t].1;
            // one sample more
            let more = count + count / LABELS.len();
            batch.tables[t] = (rows(more, width, 0.1), [more, width]);
            let name = entry.tables[t].0;
            match MORE.contains(&(entry.name, name)) {
                true => welcome.push((name, batch)),
                false => expect(format!("{name} of seven samples"), &batch, &[]),
            }
        }
        for (name, batch) in welcome {
            let seen = run(&entry, &batch);
            if !matches!(seen, Seen::Number { .. }) {
                wrong.push(format!("{}, {name} of seven samples: {seen:?}", entry.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tables of rows of two element types are one answer in all objectives: a panic that shows both.
#[test]
fn rows_of_two_element_types_are_refused() {
    let mut wrong = Vec::new();
    for entry in &entries() {
        let rows = |t: &usize| matches!(entry.tables[*t].1, Rows(_) | Fixed(_));
        for other in (1..entry.tables.len()).filter(rows) {
            let batch = Batch::new(entry, &LABELS);
            let seen = seen(|| {
                let table = |(t, (values, shape)): (usize, &(Vec<f64>, [usize; 2]))| {
                    tracked(values.clone(), *shape, if t == other { DType::F64 } else { DType::F32 })
                };
                let tables: Vec<Tensor<2>> = batch.tables.iter().enumerate().map(table).collect();
                Ok(((entry.loss)(&tables, &batch.labels)?, tables))
            });
            let said = matches!(&seen, Seen::Panic(text) | Seen::Error(text)
                if ["element types", "F32", "F64"].iter().all(|part| text.contains(part)));
            if !said {
                wrong.push(format!("{}, {} in f64: {seen:?}", entry.name, entry.tables[other].0));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
