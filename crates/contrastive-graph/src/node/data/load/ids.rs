//! Node ids as they stand in files, and the numbers they get; classes likewise.

use std::collections::HashMap;
use std::path::Path;

use super::super::clean::{Cleaning, Dangling, Edges, Places, Tally};
use super::super::error::{GraphError, Origin};
use super::super::features::Labels;
use super::super::note::GraphNote;
use crate::user_item::data::{excerpt, integer};

/// The nodes of a file. Ids that are whole numbers are numbered in ascending order, others by first occurrence; memory
/// follows the number of ids, not the greatest.
pub(super) struct Nodes<'a> {
    by_number: HashMap<u64, u32>,
    by_text: HashMap<&'a [u8], u32>,
    /// The ids by number, where they are not the numbers themselves.
    pub ids: Option<Vec<String>>,
    pub count: usize,
}

impl<'a> Nodes<'a> {
    /// Numbers all ids that occur, given with their lines.
    pub fn of(path: &Path, tokens: impl Iterator<Item = (usize, &'a [u8])>) -> Result<Self, GraphError> {
        let (mut numbers, mut texts): (Vec<u64>, Vec<&[u8]>) = (Vec::new(), Vec::new());
        let (mut by_number, mut by_text) = (HashMap::new(), HashMap::new());
        let mut count = 0u32;
        for (line, token) in tokens {
            let number = integer(token);
            let wrong =
                |allowed: &str| Origin::line(path, line).malformed(format!("node id {:?}", excerpt(token)), allowed);
            let negative = token.strip_prefix(b"-").is_some_and(|digits| integer(digits).is_some());
            if token.is_empty() || negative || std::str::from_utf8(token).is_err() {
                return Err(wrong("whole numbers from 0 up, or names in UTF-8"));
            }
            match number {
                Some(_) if !texts.is_empty() => return Err(wrong("names, like the ids before it")),
                None if !numbers.is_empty() => {
                    return Err(wrong("whole numbers of at most 19 digits, like the ids before it"));
                }
                Some(number) => {
                    by_number.entry(number).or_insert_with(|| numbers.push(number));
                }
                None => {
                    by_text.entry(token).or_insert_with(|| {
                        texts.push(token);
                        count += 1;
                        count - 1
                    });
                }
            }
        }
        if numbers.is_empty() {
            let ids: Vec<String> = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
            return Ok(Self { by_number: HashMap::new(), by_text, count: ids.len(), ids: Some(ids) });
        }
        numbers.sort_unstable();
        let plain = numbers[numbers.len() - 1] == numbers.len() as u64 - 1;
        let ids = (!plain).then(|| numbers.iter().map(u64::to_string).collect());
        let count = numbers.len();
        Ok(Self { by_number: numbers.into_iter().zip(0..).collect(), by_text, ids, count })
    }

    /// The number of an id, if it is one of the nodes.
    pub fn get(&self, token: &[u8]) -> Option<u32> {
        match integer(token) {
            Some(number) if self.by_text.is_empty() => self.by_number.get(&number).copied(),
            _ => self.by_text.get(token).copied(),
        }
    }
}

/// An edge as it stands in a file.
pub(super) struct RawEdge<'a> {
    pub line: usize,
    pub from: &'a [u8],
    pub to: &'a [u8],
    pub weight: Option<f64>,
}

/// Edges between known nodes; the others as the cleaning says.
pub(super) fn edges(
    path: &Path,
    raw: &[RawEdge<'_>],
    nodes: &Nodes<'_>,
    cleaning: &Cleaning,
    notes: &mut Vec<GraphNote>,
) -> Result<Edges, GraphError> {
    let mut dangling = Tally::default();
    let (mut pairs, mut weights, mut lines) = (Vec::with_capacity(raw.len()), Vec::new(), Vec::new());
    for edge in raw {
        let unknown = match (nodes.get(edge.from), nodes.get(edge.to)) {
            (Some(from), Some(to)) => {
                pairs.push((from, to));
                weights.extend(edge.weight);
                lines.push(edge.line as u32);
                continue;
            }
            (None, _) => edge.from,
            (Some(_), None) => edge.to,
        };
        if cleaning.dangling == Dangling::Refuse {
            let (origin, allowed) =
                (Origin::line(path, edge.line), format!("the {} nodes listed beside it", nodes.count));
            return Err(GraphError::DanglingEdge { origin, node: excerpt(unknown), allowed });
        }
        dangling.add(|| excerpt(unknown));
    }
    notes.extend(dangling.note(|count, first| GraphNote::DanglingEdges { count, first }));
    Ok(Edges { pairs, weights, places: Places::Lines(path.to_path_buf(), lines), unordered: false })
}

/// Rows about nodes that are not in the graph: refused in strict reading, otherwise counted.
pub(super) struct Strangers {
    what: &'static str,
    strict: bool,
    tally: Tally,
}

impl Strangers {
    pub fn new(what: &'static str, cleaning: &Cleaning) -> Self {
        Self { what, strict: cleaning.strict, tally: Tally::default() }
    }

    /// The node of an id; `None` for one that is left out.
    pub fn find(&mut self, nodes: &Nodes<'_>, id: &[u8], origin: Origin) -> Result<Option<u32>, GraphError> {
        let found = nodes.get(id);
        if found.is_none() {
            if self.strict {
                let found = format!("{} of an unknown node {:?}", self.what, excerpt(id));
                return Err(origin.malformed(found, "in strict reading: rows of the graph's nodes"));
            }
            self.tally.add(|| excerpt(id));
        }
        Ok(found)
    }

    pub fn note(self, notes: &mut Vec<GraphNote>) {
        let what = self.what;
        notes.extend(self.tally.note(|count, first| GraphNote::UnknownNodes { what, count, first }));
    }
}

/// Classes from (node, class as it stands in the file). Whole numbers are put in ascending order, and -1 means none; other
/// names in the order of the alphabet.
pub(super) fn classes_of<'a>(
    nodes: usize,
    tokens: impl Iterator<Item = (u32, &'a [u8])>,
    path: &Path,
) -> Result<Labels, GraphError> {
    let tokens: Vec<(u32, &[u8])> = tokens.collect();
    let signed = |token: &[u8]| match token.strip_prefix(b"-") {
        Some(digits) => integer(digits).and_then(|number| i64::try_from(number).ok()).map(|number| -number),
        None => integer(token).and_then(|number| i64::try_from(number).ok()),
    };
    let numbers: Option<Vec<i64>> = tokens.iter().map(|(_, token)| signed(token)).collect();
    let mut of_node = vec![Vec::new(); nodes];
    let names: Vec<String> = match numbers {
        Some(numbers) => {
            let mut distinct: Vec<i64> = numbers.iter().copied().filter(|&number| number != -1).collect();
            distinct.sort_unstable();
            distinct.dedup();
            for (&(node, _), number) in tokens.iter().zip(numbers) {
                if let Ok(class) = distinct.binary_search(&number) {
                    of_node[node as usize].push(class as u32);
                }
            }
            distinct.iter().map(i64::to_string).collect()
        }
        None => {
            let mut distinct: Vec<&[u8]> = tokens.iter().map(|token| token.1).collect();
            distinct.sort_unstable();
            distinct.dedup();
            for &(node, token) in &tokens {
                of_node[node as usize].push(distinct.binary_search(&token).expect("one of them") as u32);
            }
            let name = |name: &&[u8]| {
                let wrong = |_| Origin::file(path).malformed(format!("class {:?}", excerpt(name)), "names in UTF-8");
                std::str::from_utf8(name).map(str::to_owned).map_err(wrong)
            };
            distinct.iter().map(name).collect::<Result<_, _>>()?
        }
    };
    Ok(Labels::multi(&of_node).with_names(names))
}
