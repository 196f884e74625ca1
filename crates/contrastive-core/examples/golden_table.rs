//! A table of the comparisons with golden values, from the report of a test run: see `.ci/goldens`.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

/// The comparisons of one golden file in one type: the largest of each.
#[derive(Default)]
struct Compared {
    count: usize,
    worst: f64,
    part: f64,
    absolute: f64,
    relative: f64,
}

impl Compared {
    /// Adds the numbers of a line of the report.
    fn add(&mut self, [worst, part, absolute, relative]: [f64; 4]) {
        self.count += 1;
        self.worst = self.worst.max(worst);
        self.part = self.part.max(part);
        self.absolute = self.absolute.max(absolute);
        self.relative = self.relative.max(relative);
    }

    fn cells(&self) -> String {
        let tolerance = match [self.absolute, self.relative] {
            [absolute, 0.0] => format!("{absolute:.0e}"),
            [0.0, relative] => format!("{relative:.0e} x"),
            [absolute, relative] => format!("{absolute:.0e} + {relative:.0e} x"),
        };
        format!("{} | {:.1e} | {tolerance} | {:.0} %", self.count, self.worst, 100.0 * self.part)
    }
}

/// The crates that read a golden file, and their comparisons by the bits of the numbers.
#[derive(Default)]
struct Read {
    crates: BTreeSet<String>,
    bits: BTreeMap<String, Compared>,
}

fn report(path: &str) -> Result<BTreeMap<String, Read>, Box<dyn Error>> {
    let mut files: BTreeMap<String, Read> = BTreeMap::new();
    for (number, line) in std::fs::read_to_string(path)?.lines().enumerate() {
        let wrong = || format!("{path}:{}: not `FILE CRATE BITS ERROR PART ABSOLUTE RELATIVE`: {line}", number + 1);
        let [file, package, bits, numbers @ ..] = &*line.split(' ').collect::<Vec<_>>() else {
            return Err(wrong().into());
        };
        let numbers: Vec<f64> = numbers.iter().map(|n| n.parse()).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let read = files.entry(file.to_string()).or_default();
        read.crates.insert(package.trim_start_matches("contrastive-").to_string());
        read.bits.entry(bits.to_string()).or_default().add(numbers.try_into().map_err(|_| wrong())?);
    }
    Ok(files)
}

/// What a golden file was computed with, in a few words.
fn oracle(name: &str) -> &str {
    match name.find(" official code") {
        _ if name.contains("by hand") => "by hand",
        Some(at) => &name[..at + " official code".len()],
        None => name.split(' ').next().unwrap_or(name),
    }
}

const WORDS: &str = "# Golden values

Values and gradients of the reference libraries, compared by the tests of the crates named; written by `.ci/goldens`. An error
is relative to the larger of 1 and the number itself. Of the comparisons of a file, each column shows the largest: the error,
the tolerance (x is the number's size), and the part of its tolerance that an error used. `f32` means that the rows are f32;
evaluation computes from them in f64; elliptical bonuses and singular values are computed in f64 alone. Indices, permutations and rankings
must be equal and are not counted.

Tolerances are those of the golden files' description but for: `bpr` (its form with 1e-10 inside the logarithm, which here is none), `sentence_losses`
(triplets without the 1e-6 that torch adds to differences, which here are), `knn` (rows of length 1 to f32's precision only, which cosines bring to
length 1), `whitening` in f32 (inverse roots: the rounding of the covariance counts as many times over as its eigenvalues lie apart), `diffsort`,
`metric_learning` and `multi_similarity` in f32 (slopes of 10 a comparator; a cosine is rounded before the steep parts, circle's with a sharpness of 80),
circle in f64 (the reference's softplus is x itself from 20 on, where `log(1 + e^x)` is up to 2.1e-9 above: recomputed with 50 digits, ours is the definition),
CoSENT and AnglE of `sentence_losses` in f32 (scores times 20), `sogclr` in f32 (a moving average carries the rounding of a logit on to later steps),
`svd` (a randomised search meets a matrix of more columns than it draws), and a temperature below 0.01, where gradients are of its inverse's size.
";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, folder] = arguments.as_slice() else { return Err("golden_table REPORT GOLDEN_FOLDER".into()) };
    let files = report(path)?;
    let mut names: BTreeSet<String> = files.keys().cloned().collect();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".json").map(str::to_string));
    }
    println!("{WORDS}");
    let columns = ["compared", "worst error", "tolerance", "used"];
    let titles = ["f64", "f32"].map(|kind| columns.map(|column| format!("{kind} {column}")).join(" | "));
    println!("| golden file | oracle | cases | read by | {} |", titles.join(" | "));
    println!("|{}", "---|".repeat(4 + 2 * columns.len()));
    for name in names {
        let path = Path::new(folder).join(&name).with_extension("json");
        let value: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let cases = value["cases"].as_array().map_or(0, Vec::len);
        let oracles: BTreeSet<&str> =
            value["oracle"].as_array().into_iter().flatten().filter_map(Value::as_str).map(oracle).collect();
        let oracles = Vec::from_iter(oracles).join(", ");
        let Some(read) = files.get(&name) else {
            println!(
                "| {name} | {oracles} | {cases} | not read: domain crate to come{}",
                " | ".repeat(2 * columns.len() + 1)
            );
            continue;
        };
        let crates = Vec::from_iter(read.crates.iter().map(String::as_str)).join(", ");
        let cells = ["64", "32"].map(|bits| read.bits.get(bits).map_or(["-"; 4].join(" | "), Compared::cells));
        println!("| {name} | {oracles} | {cases} | {crates} | {} |", cells.join(" | "));
    }
    Ok(())
}
