//! Node ids as they stand in files, and the numbers they get; classes likewise.

use std::path::Path;

use contrastive_data::{FileError, IdMap, Origin, canonical_integer, excerpt};

use super::super::clean::{Cleaning, Tally};
use super::super::error::GraphError;
use super::super::features::Labels;
use super::super::note::GraphNote;

/// The nodes of a file. Ids are text unless every one is a canonical whole number. Whole numbers are numbered in ascending
/// order, text by first occurrence; memory follows the number of ids, not the greatest.
pub(super) struct Nodes {
    map: IdMap,
    /// The number of each code.
    pub of_code: Vec<u32>,
    /// The ids by number, where they are not the numbers themselves.
    pub ids: Option<Vec<String>>,
    pub count: usize,
}

impl Nodes {
    /// Numbers all ids that occurred.
    pub fn of(map: IdMap, notes: &mut Vec<GraphNote>) -> Self {
        notes.extend(map.note().map(GraphNote::File));
        let relabelled = map.relabel();
        let plain = map
            .numbers()
            .is_some_and(|numbers| numbers.iter().max().map_or(0, |&greatest| greatest + 1) == numbers.len() as u64);
        let count = relabelled.labels.len();
        Self { map, of_code: relabelled.of_code, ids: (!plain).then_some(relabelled.labels), count }
    }

    /// Numbers ids given with their lines.
    pub fn listed<'a>(
        path: &Path,
        tokens: impl Iterator<Item = (usize, &'a [u8])>,
        notes: &mut Vec<GraphNote>,
    ) -> Result<Self, FileError> {
        let mut map = IdMap::new("node");
        for (line, token) in tokens {
            map.code(token, path, line)?;
        }
        Ok(Self::of(map, notes))
    }

    /// The number of an id, if it is one of the nodes.
    pub fn get(&self, token: &[u8]) -> Option<u32> {
        self.map.get(token).map(|code| self.of_code[code as usize])
    }
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
    pub fn find(&mut self, nodes: &Nodes, id: &[u8], origin: Origin) -> Result<Option<u32>, FileError> {
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

/// Classes from (node, class as it stands in the file). Whole numbers are put in ascending order, and -1 means none, as an empty
/// field does; other names in the order of the alphabet.
pub(super) fn classes_of<'a>(
    nodes: usize,
    tokens: impl Iterator<Item = (u32, &'a [u8])>,
    path: &Path,
) -> Result<Labels, GraphError> {
    let tokens: Vec<(u32, &[u8])> = tokens.filter(|(_, token)| !token.is_empty()).collect();
    let natural = |token: &[u8]| canonical_integer(token).and_then(|number| i64::try_from(number).ok());
    let signed = |token: &[u8]| match token.strip_prefix(b"-") {
        Some(digits) => natural(digits).map(|number| -number),
        None => natural(token),
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
