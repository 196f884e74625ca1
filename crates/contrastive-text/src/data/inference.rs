//! Pairs of premise and hypothesis with a judgement (SNLI).

use super::{Note, TextDataError, bad_line, joined, lines_of};
use contrastive_data::{elided, file_name};
use std::collections::HashMap;
use std::path::Path;

/// What a premise says of a hypothesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It follows.
    Entailment,
    /// It may be.
    Neutral,
    /// It cannot be.
    Contradiction,
}

/// Premises, hypotheses, judgements.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inference {
    /// Premise and hypothesis of each pair.
    pub pairs: Vec<[String; 2]>,
    /// The judgement of each.
    pub judgements: Vec<Judgement>,
    /// What was in doubt.
    pub notes: Vec<Note>,
}

impl Inference {
    /// With the pairs of another part.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.pairs.extend(other.pairs);
        self.judgements.extend(other.judgements);
        self.notes.extend(other.notes);
        self
    }

    /// Premises and what follows from them: SimCSE's supervised positives.
    pub fn entailments(&self) -> Vec<[String; 2]> {
        let all = self.pairs.iter().zip(&self.judgements);
        all.filter(|(_, judgement)| **judgement == Judgement::Entailment).map(|(pair, _)| pair.clone()).collect()
    }

    /// Premise, entailment, contradiction, the first of each: the hard negatives of SimCSE's supervised form. Premises that lack one
    /// give none.
    pub fn triples(&self) -> Vec<[String; 3]> {
        let mut firsts = HashMap::<&str, [Option<&String>; 2]>::new();
        let (mut order, all) = (Vec::new(), self.pairs.iter().zip(&self.judgements));
        for ([premise, hypothesis], judgement) in all {
            let place = match judgement {
                Judgement::Entailment => 0,
                Judgement::Contradiction => 1,
                Judgement::Neutral => continue,
            };
            let first = firsts.entry(premise).or_insert_with(|| {
                order.push(premise);
                [None; 2]
            });
            first[place].get_or_insert(hypothesis);
        }
        let triple = |premise: &String| {
            let [entailment, contradiction] = firsts[premise.as_str()];
            Some([premise.clone(), entailment?.clone(), contradiction?.clone()])
        };
        order.into_iter().filter_map(triple).collect()
    }
}

/// Reads `s1.PART`, `s2.PART` and `labels.PART` of a folder, line by line (InferSent's layout).
///
/// # Errors
/// When a file is missing, they have different numbers of lines, or a label is not entailment, neutral or contradiction.
pub fn read_inference(folder: &Path, part: &str) -> Result<Inference, TextDataError> {
    let paths = ["s1", "s2", "labels"].map(|kind| folder.join(format!("{kind}.{part}")));
    let [(premises, mut notes), (hypotheses, more), (labels, last)] =
        [lines_of(&paths[0])?, lines_of(&paths[1])?, lines_of(&paths[2])?];
    notes.extend(more.into_iter().chain(last));
    for (path, lines) in [(&paths[1], &hypotheses), (&paths[2], &labels)] {
        if lines.len() != premises.len() {
            return Err(TextDataError::UnequalFiles {
                first: paths[0].clone(),
                first_lines: premises.len(),
                second: path.clone(),
                second_lines: lines.len(),
            });
        }
    }
    if premises.is_empty() {
        return Err(TextDataError::nothing(file_name(&paths[0]), "no line"));
    }
    let judgement = |(at, label): (usize, &String)| match label.trim() {
        "entailment" => Ok(Judgement::Entailment),
        "neutral" => Ok(Judgement::Neutral),
        "contradiction" => Ok(Judgement::Contradiction),
        other => {
            let allowed = "entailment, neutral or contradiction";
            Err(bad_line(&paths[2], at + 1, format!("label {:?}", elided(other, 40)), allowed))
        }
    };
    let judgements = labels.iter().enumerate().map(judgement).collect::<Result<_, _>>()?;
    let pairs = premises.iter().zip(&hypotheses).map(|(a, b)| [joined(a), joined(b)]).collect();
    Ok(Inference { pairs, judgements, notes })
}
