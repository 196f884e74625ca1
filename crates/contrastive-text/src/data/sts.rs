//! Pairs of sentences with a gold score: SemEval's folders, the STS Benchmark, SICK.

use super::{Note, TextDataError, bad_line, joined, lines_of};
use contrastive_data::{FileError, elided, file_name, listed};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pairs of sentences, and how similar people find them.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredPairs {
    /// Name, for tables.
    pub name: String,
    /// The pairs.
    pub pairs: Vec<[String; 2]>,
    /// The gold score of each, as the file has it.
    pub gold: Vec<f64>,
    /// Pairs without a score: good to learn from, not to evaluate on.
    pub unscored: Vec<[String; 2]>,
    /// What was in doubt.
    pub notes: Vec<Note>,
}

impl ScoredPairs {
    /// The sentences of all scored pairs, in their order.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().flatten().map(String::as_str)
    }

    /// The sentences of all pairs, those without a score last.
    pub fn all_sentences(&self) -> impl Iterator<Item = &str> {
        self.sentences().chain(self.unscored.iter().flatten().map(String::as_str))
    }

    /// Pairs whose score is at least this.
    pub fn at_least(&self, score: f64) -> Vec<[String; 2]> {
        let kept = self.pairs.iter().zip(&self.gold).filter(|(_, gold)| **gold >= score);
        kept.map(|(pair, _)| pair.clone()).collect()
    }
}

/// The subsets of one year of STS.
#[derive(Clone, Debug, PartialEq)]
pub struct StsSet {
    /// Name, for tables.
    pub name: String,
    /// The subsets, in the order of their names.
    pub subsets: Vec<ScoredPairs>,
}

impl StsSet {
    /// The sentences of the scored pairs of all subsets.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        self.subsets.iter().flat_map(ScoredPairs::sentences)
    }

    /// The scored pairs of all subsets.
    pub fn pairs(&self) -> usize {
        self.subsets.iter().map(|subset| subset.gold.len()).sum()
    }
}

/// Reads a folder with `STS.input.X.txt` (two sentences between tabs; further columns do not count; a quote is an ordinary character)
/// and `STS.gs.X.txt` (a score from 0 to 5 a line; an empty line: the pair is not scored and left out, with a note).
///
/// # Errors
/// When there is no such file, one of a pair is missing, they have different numbers of lines, a line holds fewer than two
/// sentences, or a score is not in range.
pub fn read_sts(folder: &Path) -> Result<StsSet, TextDataError> {
    let entries = std::fs::read_dir(folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            FileError::NotFound { path: folder.to_path_buf(), looked_for: "a folder with STS.input.*.txt".into() }
        }
        _ => FileError::Io { path: folder.to_path_buf(), source },
    })?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort_unstable();
    let part = |name: &str, kind: &str| Some(name.strip_prefix(kind)?.strip_suffix(".txt")?.to_string());
    let mut files = BTreeMap::<String, [Option<PathBuf>; 2]>::new();
    for name in &names {
        for (at, kind) in ["STS.input.", "STS.gs."].iter().enumerate() {
            if let Some(subset) = part(name, kind) {
                files.entry(subset).or_default()[at] = Some(folder.join(name));
            }
        }
    }
    if files.is_empty() {
        let looked_for = "STS.input.X.txt and STS.gs.X.txt".to_string();
        let (path, found) = (folder.to_path_buf(), listed(&names));
        return Err(FileError::Unrecognised { path, what: "STS set", found, looked_for }.into());
    }
    let subset = |(name, [input, gold]): (String, [Option<PathBuf>; 2])| match (input, gold) {
        (Some(input), Some(gold)) => subset(name, &input, &gold),
        (input, _) => {
            let missing = if input.is_some() { "STS.gs" } else { "STS.input" };
            let looked_for = "sentences and scores for every subset".to_string();
            Err(FileError::NotFound { path: folder.join(format!("{missing}.{name}.txt")), looked_for }.into())
        }
    };
    Ok(StsSet { name: file_name(folder), subsets: files.into_iter().map(subset).collect::<Result<_, _>>()? })
}

fn subset(name: String, input: &Path, gold: &Path) -> Result<ScoredPairs, TextDataError> {
    let (texts, mut notes) = lines_of(input)?;
    let (scores, more) = lines_of(gold)?;
    notes.extend(more);
    if texts.len() != scores.len() {
        let (first, second) = (input.to_path_buf(), gold.to_path_buf());
        return Err(TextDataError::UnequalFiles {
            first,
            first_lines: texts.len(),
            second,
            second_lines: scores.len(),
        });
    }
    let (mut pairs, mut kept, mut unscored) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (text, score)) in texts.iter().zip(&scores).enumerate() {
        let columns: Vec<&str> = text.split('\t').collect();
        let [first, second, ..] = columns[..] else {
            return Err(bad_line(
                input,
                at + 1,
                format!("{:?}", elided(text, 60)),
                "two sentences with a tab between them",
            ));
        };
        if score.trim().is_empty() {
            unscored.push([joined(first), joined(second)]);
            continue;
        }
        kept.push(scored(gold, at + 1, score, 0.0, 5.0)?);
        pairs.push([joined(first), joined(second)]);
    }
    if kept.is_empty() {
        return Err(TextDataError::nothing(name, "no pair has a score"));
    }
    if !unscored.is_empty() {
        notes.push(Note::Unscored { name: file_name(gold), count: unscored.len() });
    }
    Ok(ScoredPairs { name, pairs, gold: kept, unscored, notes })
}

fn scored(path: &Path, line: usize, text: &str, least: f64, most: f64) -> Result<f64, TextDataError> {
    let score = text.trim().parse::<f64>().ok().filter(|score| (least..=most).contains(score));
    score.ok_or_else(|| {
        bad_line(path, line, format!("score {:?}", elided(text.trim(), 40)), format!("a number from {least} to {most}"))
    })
}

/// Reads a part of the STS Benchmark: seven columns or more between tabs (genre, file, year, id, score from 0 to 5, two sentences),
/// without header; a quote is an ordinary character.
///
/// # Errors
/// When the file cannot be read, a line has fewer columns, or a score is not in range.
pub fn read_sts_benchmark(path: &Path) -> Result<ScoredPairs, TextDataError> {
    columns(path, false, 7, 4, [5, 6], (0.0, 5.0), "genre, file, year, id, score and two sentences between tabs")
}

/// Reads a part of SICK: a header, then pair id, two sentences, relatedness from 1 to 5 and judgement between tabs.
///
/// # Errors
/// As [`read_sts_benchmark`].
pub fn read_sick(path: &Path) -> Result<ScoredPairs, TextDataError> {
    columns(path, true, 5, 3, [1, 2], (1.0, 5.0), "pair id, two sentences, relatedness and judgement between tabs")
}

fn columns(
    path: &Path,
    header: bool,
    width: usize,
    score: usize,
    sentences: [usize; 2],
    (least, most): (f64, f64),
    allowed: &'static str,
) -> Result<ScoredPairs, TextDataError> {
    let (lines, notes) = lines_of(path)?;
    let (mut pairs, mut gold) = (Vec::new(), Vec::new());
    for (at, line) in lines.iter().enumerate().skip(usize::from(header)) {
        if line.trim().is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.split('\t').collect();
        if fields.len() < width {
            return Err(bad_line(path, at + 1, format!("{} columns", fields.len()), allowed));
        }
        gold.push(scored(path, at + 1, fields[score], least, most)?);
        pairs.push(sentences.map(|column| joined(fields[column])));
    }
    if gold.is_empty() {
        return Err(FileError::Empty { path: path.to_path_buf(), expected: allowed.into() }.into());
    }
    Ok(ScoredPairs { name: file_name(path), pairs, gold, unscored: Vec::new(), notes })
}
