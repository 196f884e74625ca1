//! `contrastive neighbors`: exact search, or along a graph of near rows.

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
    let found = match args.approximate {
        true => approximate(&queries, &table.rows, args.k, &own)?,
        false => nearest(&queries, &table.rows, args.k, &own, !args.inner_product),
    };
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

#[cfg(not(feature = "approximate"))]
fn approximate(_: &Array2<f32>, _: &Array2<f32>, _: usize, _: &[usize]) -> Result<Vec<Vec<(usize, f64)>>, Failure> {
    Err(Failure::usage(
        "--approximate: this command was built without it; `cargo install --path crates/contrastive-cli --features approximate` builds one with it",
    ))
}

/// As [`nearest`] by the cosine, of what a graph of near rows leads to; up to 100 queries are searched exactly as well, and the share of
/// their neighbours that the graph led to is said.
#[cfg(feature = "approximate")]
fn approximate(
    queries: &Array2<f32>,
    table: &Array2<f32>,
    k: usize,
    own: &[usize],
) -> Result<Vec<Vec<(usize, f64)>>, Failure> {
    use hnsw_rs::prelude::{DistL2, Hnsw};
    let (rows, width) = table.dim();
    let (asked, all) = (unit_rows(queries), unit_rows(table));
    let graph: Hnsw<'_, f32, DistL2> = Hnsw::new(24, rows, 16, 200, DistL2 {});
    // one after the other: in parallel the graph would depend on the threads
    all.chunks_exact(width).enumerate().for_each(|(row, values)| graph.insert((values, row)));
    let led = |(query, values): (usize, &[f32])| {
        let itself = own.get(query);
        let near = graph.search(values, k + usize::from(itself.is_some()), 200.max(2 * k));
        let scored = near.into_iter().map(|point| point.d_id).filter(|row| itself != Some(row)).map(|row| {
            let of_row = &all[row * width..(row + 1) * width];
            (row, values.iter().zip(of_row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
        });
        scored.take(k).collect::<Vec<(usize, f64)>>()
    };
    let found: Vec<_> = asked.chunks_exact(width).enumerate().map(led).collect();
    let some = queries.nrows().min(100);
    let exact =
        nearest(&queries.slice(ndarray::s![..some, ..]).to_owned(), table, k, &own[..own.len().min(some)], true);
    let both =
        found.iter().zip(&exact).map(|(a, b)| b.iter().filter(|(row, _)| a.iter().any(|(own, _)| own == row)).count());
    let share = both.sum::<usize>() as f64 / (some * k) as f64;
    eprintln!("note: the graph led to {:.1} % of the {k} nearest of {some} queries", 100.0 * share);
    Ok(found)
}

/// Rows brought to length 1, one after the other.
fn unit_rows(x: &Array2<f32>) -> Vec<f32> {
    let mut x = x.as_standard_layout().into_owned();
    for mut row in x.rows_mut() {
        let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(1e-30) as f32;
        row.iter_mut().for_each(|x| *x /= length);
    }
    x.into_raw_vec_and_offset().0
}

/// The `k` rows nearest to each query with their scores, best first; a query that is a row of the table is not its own neighbour.
fn nearest(
    queries: &Array2<f32>,
    table: &Array2<f32>,
    k: usize,
    own: &[usize],
    cosine: bool,
) -> Vec<Vec<(usize, f64)>> {
    let flat = |x: &Array2<f32>| match cosine {
        true => unit_rows(x),
        false => x.as_standard_layout().into_owned().into_raw_vec_and_offset().0,
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
