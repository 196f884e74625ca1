//! `contrastive embed`.

use super::open;
use crate::Answer;
use crate::args::EmbedArgs;
use crate::failure::Failure;
use crate::reading::{Reading, Source};
use crate::table::FileKind;
use serde_json::json;

pub(crate) fn embed(args: &EmbedArgs) -> Result<Answer, Failure> {
    let kind = args.as_kind.map_or_else(|| FileKind::of(&args.out), Ok)?;
    let run = open(&args.run, &args.device)?;
    let table = match &args.data {
        None if args.reading != Reading::default() => {
            return Err(Failure::usage(
                "the reading flags are for --data; without it the embeddings of the run are written",
            ));
        }
        None => run.table(args.table.as_deref())?,
        Some(path) => {
            let source = Source { data: Some(path.clone()), reading: args.reading.clone() };
            run.method()?.domain.embed(&run, &source)?
        }
    };
    let files = table.write(&args.out, kind)?;
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let (rows, width) = table.rows.dim();
    let text = format!("{}: {rows} rows of {width} numbers to {}\n", table.name, names.join(", ids to "));
    Ok(Answer { text, json: json!({"table": table.name, "shape": [rows, width], "files": names}) })
}
