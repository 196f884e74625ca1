//! `contrastive train`.

use crate::Answer;
use crate::args::TrainArgs;
use crate::domain::Job;
use crate::failure::Failure;
use crate::reading::{Reading, Source};
use crate::registry::{self, Method};
use crate::run::{Record, Run};
use crate::settings::settings;
use contrastive_train::{FitOptions, parse_device};
use serde_json::json;
use std::path::{Path, PathBuf};

pub(crate) fn train(args: &TrainArgs) -> Result<Answer, Failure> {
    let folder = folder(args)?;
    let earlier = (args.resume && folder.join("command.json").is_file()).then(|| Record::read(&folder)).transpose()?;
    let (method, record) = record(args, earlier)?;
    let device = parse_device(&args.device)?;
    let mut options = FitOptions::new(&device)
        .seed(record.seed)
        .run_dir(&folder)
        .resume(args.resume)
        .overwrite(args.overwrite)
        .progress(!args.quiet)
        .evaluate_every(record.evaluate_every);
    if let Some(epochs) = record.epochs {
        options = options.epochs(epochs);
    }
    if let Some(steps) = record.steps {
        options = options.steps(steps);
    }
    if let Some((metric, patience)) = &record.patience {
        options = options.early_stopping(metric, *patience);
    }
    options = args.allow_change.iter().fold(options, |options, name| options.allow_change(name));
    // what a run is started with is there before it starts, so that a killed one can be resumed; a run that is there is not touched
    let mine = args.resume || args.overwrite || !occupied(&folder);
    if mine && (!args.resume || !folder.join("command.json").is_file()) {
        record.write(&folder)?;
    }
    let job = Job { source: record.source.clone(), options, folder: folder.clone() };
    let trained = (method.train)(&record.settings, &job)?;
    record.write(&folder)?;
    let run = Run { folder: folder.clone(), record, device };
    trained.tables.iter().try_for_each(|table| run.write_table(table))?;
    let report = &trained.report;
    report.notes.iter().for_each(|note| eprintln!("note: {note}"));
    let losses: Vec<String> = report.losses.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    let mut text =
        format!("{}: {} epochs, {} steps, {}\n", method.name, report.epochs, report.steps, losses.join(", "));
    if let Some(epochs) = report.resumed_from {
        text.push_str(&format!("went on from epoch {epochs}\n"));
    }
    if let Some(best) = &report.best {
        text.push_str(&format!("best {} {:.4}, of epoch {}\n", best.metric, best.value, best.epoch));
    }
    for table in &trained.tables {
        let (rows, width) = table.rows.dim();
        text.push_str(&format!(
            "{}: {rows} x {width}\n",
            folder.join("embeddings").join(format!("{}.npy", table.name)).display()
        ));
    }
    let tables: Vec<_> =
        trained.tables.iter().map(|table| json!({"name": table.name, "shape": table.rows.shape()})).collect();
    let json = json!({"method": method.name, "run": folder, "report": report, "tables": tables});
    Ok(Answer { text, json })
}

/// The run folder: the one asked for, or `runs/METHOD`.
fn folder(args: &TrainArgs) -> Result<PathBuf, Failure> {
    match (&args.run_dir, &args.method) {
        (Some(folder), _) => Ok(folder.clone()),
        (None, Some(method)) => Ok(Path::new("runs").join(method)),
        (None, None) => Err(Failure::usage("--resume needs --run-dir, or the method whose run folder is runs/METHOD")),
    }
}

fn occupied(folder: &Path) -> bool {
    ["checkpoint.safetensors", "model.safetensors", "command.json"].iter().any(|name| folder.join(name).exists())
}

/// What is asked for: in a resumed run, what it was started with and what the command line changes.
fn record(args: &TrainArgs, earlier: Option<Record>) -> Result<(Method, Record), Failure> {
    let name = match (&args.method, &earlier) {
        (Some(name), Some(earlier)) if *name != earlier.method => {
            return Err(Failure::usage(format!("the run is one of {}, not of {name}", earlier.method)));
        }
        (Some(name), _) => name.clone(),
        (None, Some(earlier)) => earlier.method.clone(),
        (None, None) => {
            return Err(Failure::usage(
                "there is no run to resume in this folder; name the method and the data to start one",
            ));
        }
    };
    let method = registry::method(&name)?;
    let file = args.config.as_ref().map(|path| {
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        Ok::<_, Failure>((path.display().to_string(), text))
    });
    let file = file.transpose()?;
    let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    let defaults = earlier.as_ref().map_or(&method.defaults, |earlier| &earlier.settings);
    let settings = settings(method.name, defaults, file, &args.sets, &|value| (method.check)(value))?;
    let own = || Source { data: args.data.clone(), reading: args.reading.clone() };
    let source = match &earlier {
        Some(earlier) if args.data.is_none() && !args.generated => {
            if args.reading != Reading::default() {
                return Err(Failure::usage(
                    "a resumed run reads its data as it did before: leave the reading flags out, or give --data as well",
                ));
            }
            earlier.source.clone()
        }
        Some(_) => own(),
        None if args.data.is_none() && !args.generated => {
            return Err(Failure::usage(
                "--data PATH is needed, or --generated: there is no run to resume in this folder",
            ));
        }
        None => own(),
    };
    let patience = match args.patience {
        Some(patience) => {
            let metric = args.metric.clone().or_else(|| method.domain.watched().map(String::from));
            let metric = metric.ok_or_else(|| {
                Failure::usage(format!(
                    "--patience needs --metric: training on {} has no metric of its own to watch",
                    method.domain.name()
                ))
            })?;
            Some((metric, patience))
        }
        None => earlier.as_ref().and_then(|earlier| earlier.patience.clone()),
    };
    let (mut epochs, mut steps) = (args.epochs, args.steps);
    if let (None, None, Some(earlier)) = (epochs, steps, &earlier) {
        (epochs, steps) = (earlier.epochs, earlier.steps);
    }
    let seed = args.seed.or(earlier.as_ref().map(|earlier| earlier.seed)).unwrap_or(7);
    let evaluate_every = args.evaluate_every.or(earlier.as_ref().map(|earlier| earlier.evaluate_every)).unwrap_or(1);
    let record = Record { method: name, source, settings, seed, epochs, steps, evaluate_every, patience };
    Ok((method, record))
}
