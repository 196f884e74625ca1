//! Files of code and descriptions: CodeSearchNet's lines, CoSQA, CONCODE.

use super::Language;
use contrastive_data::{FileError, Limits, Origin, elided, lines, read_text};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

/// A function and what describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct CodePair {
    /// The function.
    pub code: String,
    /// Its description.
    pub query: String,
    /// Its language.
    pub language: Language,
    /// Its number in the file, or the line's from 0 where the file has none.
    pub number: usize,
}

/// Pairs of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct CodePairs {
    /// The file's name.
    pub name: String,
    /// At least one.
    pub pairs: Vec<CodePair>,
}

impl CodePairs {
    /// Only the first pair of those with the same code, or the same description; and how many were dropped. Equal ones would be negatives
    /// of each other.
    pub fn without_duplicates(mut self) -> (Self, usize) {
        let (mut codes, mut queries) = (std::collections::HashSet::new(), std::collections::HashSet::new());
        let before = self.pairs.len();
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.pairs.retain(|pair| {
            let (code, query) = (squeezed(&pair.code), squeezed(&pair.query));
            let known = codes.contains(&code) || queries.contains(&query);
            if !known {
                codes.insert(code);
                queries.insert(query);
            }
            !known
        });
        let dropped = before - self.pairs.len();
        (self, dropped)
    }
}

/// A JSON object, and its line.
type Object = (usize, Map<String, Value>);

/// JSON objects of a file, one a line.
fn objects(path: &Path, bytes: &[u8]) -> Result<Vec<Object>, FileError> {
    let parse = |(line, text): (usize, &[u8])| match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok((line, object)),
        Ok(_) => Err(Origin::line(path, line).malformed("JSON, but not an object", "a JSON object in each line")),
        Err(error) => {
            let found = format!("not JSON: {error}");
            Err(Origin::line(path, line).malformed(found, "a JSON object in each line"))
        }
    };
    let objects: Vec<_> = lines(bytes).map(parse).collect::<Result<_, _>>()?;
    match objects.is_empty() {
        true => Err(FileError::Empty { path: path.to_path_buf(), expected: "a JSON object in each line".into() }),
        false => Ok(objects),
    }
}

/// A text that must be there and hold more than blanks.
fn text<'a>(at: impl FnOnce() -> Origin, object: &'a Map<String, Value>, keys: &[&str]) -> Result<&'a str, FileError> {
    let allowed = || format!("a text that is not blank under {}", keys.join(" or "));
    let Some((key, value)) = keys.iter().find_map(|key| Some((key, object.get(*key)?))) else {
        let there: Vec<&str> = object.keys().map(String::as_str).collect();
        return Err(at().malformed(format!("no {:?}; there are {}", keys[0], there.join(", ")), allowed()));
    };
    match value.as_str() {
        Some(text) if !text.trim().is_empty() => Ok(text),
        Some(_) => Err(at().malformed(format!("{key:?} is blank"), allowed())),
        None => Err(at().malformed(format!("{key:?} is {}", elided(&value.to_string(), 60)), allowed())),
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// CodeSearchNet's format: a JSON object a line with `code` (or `original_string`), `language`, and `summary`, or `docstring` of which
/// the first paragraph counts. A docstring within the code is still there: [`lex`](super::lex) makes a comment of it.
///
/// # Errors
/// When the file cannot be read, a line is not such an object, a text is missing or blank, or the language is not known.
pub fn read_code_search_net(path: &Path) -> Result<CodePairs, FileError> {
    let bytes = read_text(path, &Limits::default())?;
    let pair = |(at, (line, object)): (usize, &Object)| {
        let here = || Origin::line(path, *line);
        let code = text(here, object, &["code", "original_string"])?;
        let query = text(here, object, &["summary", "docstring"])?;
        let paragraph = query.trim_start().split("\n\n").next().unwrap_or(query);
        let language = match object.get("language").and_then(Value::as_str) {
            Some(name) => name.parse().map_err(|problem: String| here().malformed(problem, "python or java"))?,
            None => return Err(here().malformed("no \"language\"", "python or java under \"language\"")),
        };
        let number = object.get("idx").and_then(Value::as_u64).map_or(at, |number| number as usize);
        Ok(CodePair { code: code.into(), query: paragraph.into(), language, number })
    };
    let pairs = objects(path, &bytes)?.iter().enumerate().map(pair).collect::<Result<_, _>>()?;
    Ok(CodePairs { name: name_of(path), pairs })
}

/// CONCODE (Iyer et al., 2018): a JSON object a line with `code` (Java, its tokens between blanks) and `nl`, of which the comment before the
/// first `concode_field_sep` counts.
///
/// # Errors
/// When the file cannot be read, a line is not such an object, or a text is missing or blank.
pub fn read_concode(path: &Path) -> Result<CodePairs, FileError> {
    let bytes = read_text(path, &Limits::default())?;
    let pair = |(at, (line, object)): (usize, &Object)| {
        let here = || Origin::line(path, *line);
        let code = text(here, object, &["code"])?;
        let comment = text(here, object, &["nl"])?.split("concode_field_sep").next().unwrap_or_default().trim();
        if comment.is_empty() {
            return Err(here().malformed("nothing before concode_field_sep in \"nl\"", "a comment there"));
        }
        Ok(CodePair { code: code.into(), query: comment.into(), language: Language::Java, number: at })
    };
    let pairs = objects(path, &bytes)?.iter().enumerate().map(pair).collect::<Result<_, _>>()?;
    Ok(CodePairs { name: name_of(path), pairs })
}

/// Queries that people typed, and the code that answers each, by its number in the codebase.
#[derive(Clone, Debug, PartialEq)]
pub struct WebQueries {
    /// The queries.
    pub queries: Vec<String>,
    /// The number of each one's code.
    pub codes: Vec<u32>,
}

/// CoSQA's retrieval task (Huang et al., ACL 2021): a codebase, and web queries in a development and a test part.
#[derive(Clone, Debug, PartialEq)]
pub struct CosqaFolder {
    /// Functions by number, with their docstrings.
    pub codebase: Vec<String>,
    /// `cosqa-retrieval-dev-500.json`.
    pub dev: WebQueries,
    /// `cosqa-retrieval-test-500.json`.
    pub test: WebQueries,
}

impl CosqaFolder {
    /// Reads the folder.
    ///
    /// # Errors
    /// When a file is missing or not in its format, the numbers of the codebase are not 0 and on, or a query's code is not in it.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join("code_idx_map.txt");
        let Value::Object(map) = json(&path)? else {
            return Err(
                Origin::file(&path).malformed("JSON, but not an object", "an object of codes and their numbers")
            );
        };
        let mut codebase = vec![None; map.len()];
        for (code, number) in &map {
            let allowed = || format!("each number below {} once", map.len());
            let slot = number.as_u64().and_then(|number| codebase.get_mut(number as usize));
            match slot {
                Some(slot) if slot.is_none() => *slot = Some(code.clone()),
                _ => return Err(Origin::part(&path, &elided(code, 40)).malformed(number.to_string(), allowed())),
            }
        }
        let codebase: Vec<String> = codebase.into_iter().flatten().collect();
        let numbers: HashMap<&str, u32> = codebase.iter().map(String::as_str).zip(0..).collect();
        let part = |name: &str| web_queries(&folder.join(name), codebase.len(), &numbers);
        let (dev, test) = (part("cosqa-retrieval-dev-500.json")?, part("cosqa-retrieval-test-500.json")?);
        Ok(Self { codebase, dev, test })
    }
}

fn json(path: &Path) -> Result<Value, FileError> {
    let bytes = read_text(path, &Limits::default())?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Origin::line(path, error.line().max(1)).malformed(format!("not JSON: {error}"), "JSON"))
}

fn web_queries(path: &Path, codes: usize, numbers: &HashMap<&str, u32>) -> Result<WebQueries, FileError> {
    let Value::Array(list) = json(path)? else {
        return Err(Origin::file(path).malformed("JSON, but not a list", "a list of objects"));
    };
    let mut all = WebQueries { queries: Vec::with_capacity(list.len()), codes: Vec::with_capacity(list.len()) };
    for (at, entry) in list.iter().enumerate() {
        let here = || Origin::part(path, &format!("entry {at}"));
        let Value::Object(object) = entry else { return Err(here().malformed("not an object", "objects")) };
        let query = text(here, object, &["doc"])?;
        let number = object.get("retrieval_idx").and_then(Value::as_u64).filter(|number| (*number as usize) < codes);
        let Some(number) = number else {
            let found = object.get("retrieval_idx").map_or("no code".into(), Value::to_string);
            return Err(here().malformed(format!("\"retrieval_idx\": {found}"), format!("a code: 0 to {}", codes - 1)));
        };
        let named = object.get("code").and_then(Value::as_str).and_then(|code| numbers.get(code));
        if named.is_some_and(|named| u64::from(*named) != number) {
            let found =
                format!("the code is number {} of the codebase, \"retrieval_idx\" {number}", named.unwrap_or(&0));
            return Err(here().malformed(found, "the same for both"));
        }
        all.queries.push(query.into());
        all.codes.push(number as u32);
    }
    match all.queries.is_empty() {
        true => {
            Err(FileError::Empty { path: path.to_path_buf(), expected: "objects with a query and its code".into() })
        }
        false => Ok(all),
    }
}
