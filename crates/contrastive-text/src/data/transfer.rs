//! Labelled sentences: the transfer tasks of SentEval.

use super::{Note, TextDataError, bad_line, joined, lines_of};
use contrastive_data::elided;
use std::path::Path;

/// A transfer task of SentEval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Movie reviews: `MR/rt-polarity.{neg,pos}`, no parts.
    Mr,
    /// Product reviews: `CR/custrev.{neg,pos}`, no parts.
    Cr,
    /// Six kinds of questions: `TREC/train_5500.label`, `TREC_10.label`.
    Trec,
    /// Movie reviews and phrases, two classes: `SST/Binary/sentiment-{train,dev,test}`.
    Sst2,
    /// Five classes: `SST/Fine-Grained/sentiment-{train,dev,test}`.
    Sst5,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Mr, Self::Cr, Self::Trec, Self::Sst2, Self::Sst5];

    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mr => "MR",
            Self::Cr => "CR",
            Self::Trec => "TREC",
            Self::Sst2 => "SST-2",
            Self::Sst5 => "SST-5",
        }
    }
}

/// Sentences with a class each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// The sentences.
    pub texts: Vec<String>,
    /// The class of each, from 0.
    pub labels: Vec<u32>,
}

/// A task: its parts, and the names of its classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// Which.
    pub task: Task,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// To learn from; everything where the task has no parts.
    pub train: Labelled,
    /// To choose settings by, where there is such a part.
    pub validation: Option<Labelled>,
    /// To test on, where there is such a part.
    pub test: Option<Labelled>,
    /// What was in doubt.
    pub notes: Vec<Note>,
}

/// Label and sentence of a line, or what is allowed.
type Read = dyn Fn(&str) -> Result<(u32, String), String>;

/// Reads a task from the folder that holds `MR`, `CR`, `TREC` and `SST`.
///
/// # Errors
/// When a file is missing, or a line is not as the task's format has it.
pub fn read_transfer(folder: &Path, task: Task) -> Result<Transfer, TextDataError> {
    let mut notes = Vec::new();
    // SentEval counts them, where a line is nothing but a sentence
    let keep_blank = matches!(task, Task::Mr | Task::Cr);
    let mut part = |path: &str, read: &Read| {
        let path = folder.join(path);
        let (lines, more) = lines_of(&path)?;
        notes.extend(more);
        let mut part = Labelled::default();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| keep_blank || !line.trim().is_empty()) {
            let (label, text) =
                read(line).map_err(|allowed| bad_line(&path, at + 1, format!("{:?}", elided(line, 60)), allowed))?;
            part.texts.push(joined(&text));
            part.labels.push(label);
        }
        match part.texts.is_empty() {
            true => Err(TextDataError::nothing(contrastive_data::file_name(&path), "no line")),
            false => Ok(part),
        }
    };
    let (classes, train, validation, test): (&[&str], _, _, _) = match task {
        Task::Mr | Task::Cr => {
            let stem = if task == Task::Mr { "MR/rt-polarity" } else { "CR/custrev" };
            let mut all = part(&format!("{stem}.neg"), &|line| Ok((0, line.into())))?;
            let positive = part(&format!("{stem}.pos"), &|line| Ok((1, line.into())))?;
            all.texts.extend(positive.texts);
            all.labels.extend(positive.labels);
            (&["negative", "positive"], all, None, None)
        }
        Task::Trec => {
            let kinds: &[&str] = &["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"];
            let read = |line: &str| {
                let found = line.split_once(':').and_then(|(kind, rest)| {
                    let label = kinds.iter().position(|name| *name == kind)? as u32;
                    Some((label, rest.split_once(' ')?.1.to_string()))
                });
                found.ok_or_else(|| format!("KIND:kind question, KIND one of {}", kinds.join(", ")))
            };
            let train = part("TREC/train_5500.label", &read)?;
            (kinds, train, None, Some(part("TREC/TREC_10.label", &read)?))
        }
        Task::Sst2 => {
            let read = |line: &str| match line.rsplit_once('\t') {
                Some((text, "0")) => Ok((0, text.to_string())),
                Some((text, "1")) => Ok((1, text.to_string())),
                _ => Err("a sentence, a tab, and 0 or 1".to_string()),
            };
            let mut of = |name: &str| part(&format!("SST/Binary/sentiment-{name}"), &read);
            (&["negative", "positive"], of("train")?, Some(of("dev")?), Some(of("test")?))
        }
        Task::Sst5 => {
            let read = |line: &str| {
                let found = line.split_once(' ').and_then(|(label, text)| Some((label.parse::<u32>().ok()?, text)));
                let found = found.filter(|(label, _)| *label < 5);
                let found = found.map(|(label, text)| (label, text.to_string()));
                found.ok_or_else(|| "a number from 0 to 4, a blank, and a sentence".to_string())
            };
            let mut of = |name: &str| part(&format!("SST/Fine-Grained/sentiment-{name}"), &read);
            let classes = &["very negative", "negative", "neutral", "positive", "very positive"];
            (classes, of("train")?, Some(of("dev")?), Some(of("test")?))
        }
    };
    let classes = classes.iter().map(|class| class.to_string()).collect();
    Ok(Transfer { task, classes, train, validation, test, notes })
}
