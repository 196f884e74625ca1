//! `contrastive neighbors`: exact search.

use super::{listed, open};
use crate::Answer;
use crate::args::NeighborsArgs;
use crate::failure::Failure;
use crate::table::Table;
use contrastive_kernels::top_k::{ItemSets, top_k};
use ndarray::{Array2, Axis};
use serde_json::json;

pub(crate) fn neighbors(args: &NeighborsArgs) -> Result<Answer, Failure> {
    let of_file = args.run.extension().is_some_and(|ending| ending == "npy");
    if of_file && (args.table.is_some() || !args.text.is_empty()) {
        return Err(Failure::usage("--table and --text need a run folder, not a .npy"));
    }
    let run = (!of_file).then(|| open(&args.run, &args.device)).transpose()?;
    let table = match &run {
        Some(run) => run.table(args.table.as_deref())?,
        None => Table::read(&args.run)?,
    };
    let own: Vec<usize> = args.ids.iter().map(|id| table.row(id)).collect::<Result<_, _>>()?;
    let queries = match &run {
        Some(run) if !args.text.is_empty() => run.method()?.domain.embed_texts(run, &args.text)?,
        _ => table.rows.select(Axis(0), &own),
    };
    let asked = if args.text.is_empty() { &args.ids } else { &args.text };
    let most = table.ids.len() - usize::from(!own.is_empty());
    if !(1..=most).contains(&args.k) {
        return Err(Failure::usage(format!("-k {}: allowed is 1 to {most}, the rows there are", args.k)));
    }
    if let Some(at) = table.rows.rows().into_iter().position(|row| row.iter().any(|x| !x.is_finite())) {
        return Err(Failure::new(format!("the row of {} holds a number that is not finite", table.ids[at])));
    }
    let found = nearest(&queries, &table.rows, args.k, &own, !args.inner_product);
    let (mut rows, mut answers) = (Vec::new(), Vec::new());
    for (query, near) in asked.iter().zip(&found) {
        let mut items = Vec::new();
        for (rank, (row, score)) in near.iter().enumerate() {
            let mut cells = vec![query.clone(), (rank + 1).to_string(), table.ids[*row].clone(), format!("{score:.6}")];
            cells.extend(table.texts.get(*row).cloned());
            rows.push(cells);
            items.push(json!({"id": table.ids[*row], "score": score, "text": table.texts.get(*row)}));
        }
        answers.push(json!({"query": query, "neighbors": items}));
    }
    let header: &[&str] = match table.texts.is_empty() {
        true => &["query", "rank", "id", "score"],
        false => &["query", "rank", "id", "score", "text"],
    };
    listed(header, &rows, args.out.as_deref(), json!({ "neighbors": answers }))
}

/// The `k` rows nearest to each query with their scores, best first; a query that is a row of the table is not its own neighbour.
fn nearest(
    queries: &Array2<f32>,
    table: &Array2<f32>,
    k: usize,
    own: &[usize],
    cosine: bool,
) -> Vec<Vec<(usize, f64)>> {
    let flat = |x: &Array2<f32>| {
        let mut x = x.as_standard_layout().into_owned();
        if cosine {
            for mut row in x.rows_mut() {
                let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(1e-30) as f32;
                row.iter_mut().for_each(|x| *x /= length);
            }
        }
        x.into_raw_vec_and_offset().0
    };
    let itself: Vec<u32> = own.iter().map(|row| *row as u32).collect();
    let offsets: Vec<usize> = (0..=own.len()).collect();
    let at: Vec<u32> = (0..own.len() as u32).collect();
    let sets = ItemSets::new(&offsets, &itself).expect("one row each");
    let seen = (!own.is_empty()).then_some((sets, at.as_slice()));
    let best = top_k(&flat(queries), &flat(table), table.ncols(), k, seen);
    let of = |query: usize| {
        let (rows, scores) = best.row(query);
        rows.iter().zip(scores).map(|(row, score)| (*row as usize, f64::from(*score))).collect()
    };
    (0..queries.nrows()).map(of).collect()
}
