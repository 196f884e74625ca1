//! `contrastive report`: one page of one or several runs.

use crate::Answer;
use crate::args::ReportArgs;
use crate::failure::Failure;
use crate::run::Run;
use crate::table::Table;
use burn::tensor::Device;
use contrastive_eval::page::{Curve, Drawing, Page, RunCurves};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Rows whose neighbours are shown, and how many neighbours.
const SHOWN: usize = 8;
const NEAR: usize = 6;

pub(crate) fn report(args: &ReportArgs) -> Result<Answer, Failure> {
    let runs: Vec<Option<Run>> = args.runs.iter().map(|folder| open(folder)).collect::<Result<_, _>>()?;
    let curves: Vec<RunCurves> = args.runs.iter().map(|folder| RunCurves::read(folder)).collect::<Result<_, _>>()?;
    let names = names(&args.runs);
    let mut page = Page::new(&format!("Runs: {}", names.join(", ")));
    let rows: Vec<Vec<String>> =
        names.iter().zip(&runs).zip(&curves).map(|((name, run), curves)| summary(name, run.as_ref(), curves)).collect();
    page.table("Runs", &["run", "method", "data", "seed", "epochs", "seconds", "last loss", "last metrics"], &rows);
    type Pick = fn(&RunCurves) -> &BTreeMap<String, Vec<[f64; 2]>>;
    let kinds: [(&str, Pick); 2] = [("Loss", |curves| &curves.losses), ("Metric", |curves| &curves.metrics)];
    for (kind, pick) in kinds {
        for quantity in quantities(&curves, pick) {
            let of = names
                .iter()
                .zip(&curves)
                .filter_map(|(name, curves)| Some((name.as_str(), pick(curves).get(&quantity)?.clone())));
            page.curves(&format!("{kind}: {quantity}"), "epoch", &of.collect::<Vec<Curve<'_>>>());
        }
    }
    let seconds: Vec<Curve<'_>> =
        names.iter().zip(&curves).map(|(name, curves)| (name.as_str(), curves.seconds.clone())).collect();
    page.curves("Seconds an epoch", "epoch", &seconds);
    for (name, run) in names.iter().zip(&runs).filter_map(|(name, run)| Some((name, run.as_ref()?))) {
        for table in run.table_names() {
            add_table(&mut page, name, &run.table(Some(&table))?)?;
        }
    }
    page.write(&args.out).map_err(|error| Failure::new(format!("{}: {error}", args.out.display())))?;
    let text = format!("{} of {}\n", args.out.display(), names.join(", "));
    Ok(Answer { text, json: json!({"page": args.out, "runs": args.runs}) })
}

/// A run of `train`; of a training by the library there are the curves alone.
fn open(folder: &Path) -> Result<Option<Run>, Failure> {
    let curves_alone = folder.join("metrics.jsonl").is_file() && !folder.join("command.json").exists();
    if curves_alone {
        return Ok(None);
    }
    Run::open(folder, &Device::default()).map(Some)
}

/// Runs by their folders' names, or by their paths where two have the same.
fn names(folders: &[std::path::PathBuf]) -> Vec<String> {
    let short = |folder: &Path| folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let all: Vec<Option<String>> = folders.iter().map(|folder| short(folder)).collect();
    let unique = |name: &Option<String>| name.is_some() && all.iter().filter(|other| *other == name).count() == 1;
    let named = |(name, folder): (&Option<String>, &std::path::PathBuf)| match unique(name) {
        true => name.clone().unwrap_or_default(),
        false => folder.display().to_string(),
    };
    all.iter().zip(folders).map(named).collect()
}

fn quantities(curves: &[RunCurves], pick: impl Fn(&RunCurves) -> &BTreeMap<String, Vec<[f64; 2]>>) -> Vec<String> {
    let mut all: Vec<String> = curves.iter().flat_map(|curves| pick(curves).keys().cloned()).collect();
    all.sort();
    all.dedup();
    all
}

fn summary(name: &str, run: Option<&Run>, curves: &RunCurves) -> Vec<String> {
    let last = |of: &BTreeMap<String, Vec<[f64; 2]>>| {
        let each = of.iter().filter_map(|(name, points)| Some(format!("{name} {:.4}", points.last()?[1])));
        each.collect::<Vec<_>>().join(", ")
    };
    let seconds: f64 = curves.seconds.iter().map(|point| point[1]).sum();
    let told = |of: fn(&Run) -> String| run.map_or_else(|| "by the library".to_string(), of);
    vec![
        name.into(),
        told(|run| run.record.method.clone()),
        told(|run| run.record.source.shown()),
        told(|run| run.record.seed.to_string()),
        curves.seconds.len().to_string(),
        format!("{seconds:.1}"),
        last(&curves.losses),
        last(&curves.metrics),
    ]
}

/// The map of a table, coloured by class where there are some, and the neighbours of rows all over it.
fn add_table(page: &mut Page, run: &str, table: &Table) -> Result<(), Failure> {
    let rows = table.ids.len();
    if rows < 2 {
        return Ok(());
    }
    let drawer = |row: usize| Drawing::Text(table.shown(row).into());
    let (labels, classes) = table.classes();
    let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
    page.map(&format!("{run}: map of {}", table.name), table.rows.view(), &labels, &classes, &drawer)?;
    let asked: Vec<usize> = (0..rows).step_by(rows.div_ceil(SHOWN)).collect();
    let k = NEAR.min(rows - 1);
    page.neighbours(&format!("{run}: nearest of {}", table.name), table.rows.view(), &asked, k, &drawer)?;
    Ok(())
}
