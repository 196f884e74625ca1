//! A table of the comparisons with golden values, from the report of a test run: see `.ci/goldens`.

use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// The comparisons of one golden file in one type.
#[derive(Default)]
struct Compared {
    count: usize,
    worst: f64,
    part: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [report, golden] = arguments.as_slice() else {
        return Err("golden_table REPORT GOLDEN_FOLDER".into());
    };
    let mut files: BTreeMap<String, BTreeMap<String, Compared>> = BTreeMap::new();
    for (number, line) in std::fs::read_to_string(report)?.lines().enumerate() {
        let wrong = || format!("{report}:{}: not `FILE TYPE ERROR PART`: {line}", number + 1);
        let [file, kind, worst, part] = *line.split(' ').collect::<Vec<_>>() else { return Err(wrong().into()) };
        let entry = files.entry(file.to_string()).or_default().entry(kind.to_string()).or_default();
        let number = |text: &str| text.parse::<f64>().map_err(|_| wrong());
        entry.count += 1;
        entry.worst = entry.worst.max(number(worst)?);
        entry.part = entry.part.max(number(part)?);
    }
    println!("# Golden values\n");
    println!(
        "Values and gradients of the reference libraries, compared by the tests; written by `.ci/goldens`. An error is relative to"
    );
    println!(
        "the larger of 1 and the number itself; \"of allowed\" is the largest error as a part of its tolerance. Where the tolerance of a"
    );
    println!("file is 1e-7 and above throughout, its f64 runs count as f32 here.\n");
    println!("| golden file | oracle | cases | f64: comparisons, worst error, of allowed | f32: the same |");
    println!("|---|---|---|---|---|");
    for (file, kinds) in &files {
        let path = Path::new(golden).join(file).with_extension("json");
        let value: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let cases = value["cases"].as_array().map_or(0, Vec::len);
        let words = value["oracle"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut oracles: Vec<&str> = words
            .map(|o| if o.starts_with("by hand") { "by hand" } else { o.split(' ').next().unwrap_or(o) })
            .collect();
        oracles.dedup();
        let cell = |kind: &str| {
            kinds
                .get(kind)
                .map_or("-".to_string(), |c| format!("{}, {:.1e}, {:.0} %", c.count, c.worst, 100.0 * c.part))
        };
        println!("| {file} | {} | {cases} | {} | {} |", oracles.join(", "), cell("f64"), cell("f32"));
    }
    Ok(())
}
