//! Who looks for what, and at which ranks it is.

use super::report::{BothWaysReport, RetrievalReport};
use crate::error::{EvalError, check_labels, check_length};
use crate::ranking::ItemSets;
use crate::rows::check_numbers;
use crate::scores::check_sets;
use crate::similarity::{Scorer, Similarity, map_blocks};
use contrastive_kernels::Real;
use ndarray::ArrayView2;
use std::collections::HashMap;

/// A retrieval evaluation: the similarity that ranks, and the cutoffs of recall.
#[derive(Debug, Clone)]
pub struct Retrieval {
    similarity: Similarity,
    cutoffs: Vec<usize>,
}

impl Retrieval {
    /// Ranks by `similarity`; recall at these cutoffs, in any order.
    ///
    /// # Errors
    /// [`EvalError::Empty`] for no cutoff, [`EvalError::Setting`] for a cutoff of 0. A cutoff above the number of candidates takes all of them.
    pub fn new(similarity: Similarity, cutoffs: &[usize]) -> Result<Self, EvalError> {
        let mut cutoffs = cutoffs.to_vec();
        cutoffs.sort_unstable();
        cutoffs.dedup();
        match cutoffs.first() {
            None => Err(EvalError::Empty { what: "cutoffs" }),
            Some(0) => Err(EvalError::Setting { name: "a cutoff", value: 0.0, allowed: "at least 1" }),
            Some(_) => Ok(Self { similarity, cutoffs }),
        }
    }

    /// Every row of `x`, `[rows, D]`, ranks the others; those with its label are relevant. Rows whose label nobody shares are left out.
    ///
    /// # Errors
    /// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::BadNumber`], [`EvalError::NothingRelevant`].
    pub fn by_label<T: Real>(&self, x: ArrayView2<'_, T>, labels: &[u32]) -> Result<RetrievalReport, EvalError> {
        check_length("labels", labels.len(), "rows", x.nrows())?;
        let scorer = Scorer::within(self.similarity, x)?;
        let members = members(labels);
        let each = |query: usize, scores: &[f64]| ranks(scores, &members[&labels[query]], Some(query as u32));
        self.report(&scorer.map(each), x.nrows() - 1)
    }

    /// Every query, `[n, D]`, ranks all candidates, `[m, D]`; those with its label are relevant.
    ///
    /// # Errors
    /// As [`Retrieval::by_label`], and [`EvalError::WidthMismatch`].
    pub fn by_label_between<T: Real>(
        &self,
        queries: ArrayView2<'_, T>,
        query_labels: &[u32],
        candidates: ArrayView2<'_, T>,
        candidate_labels: &[u32],
    ) -> Result<RetrievalReport, EvalError> {
        check_length("labels", query_labels.len(), "queries", queries.nrows())?;
        check_length("labels", candidate_labels.len(), "candidates", candidates.nrows())?;
        let scorer = Scorer::between(self.similarity, queries, candidates)?;
        let members = members(candidate_labels);
        let each = |query: usize, scores: &[f64]| {
            members.get(&query_labels[query]).map_or_else(Vec::new, |relevant| ranks(scores, relevant, None))
        };
        self.report(&scorer.map(each), candidates.nrows())
    }

    /// Every query, `[n, D]`, ranks all candidates, `[m, D]`; those in its row of `relevant` are to be found.
    ///
    /// # Errors
    /// As [`Retrieval::by_label_between`], and [`EvalError::LabelOutOfRange`] for a relevant candidate that does not exist.
    pub fn by_sets<T: Real>(
        &self,
        queries: ArrayView2<'_, T>,
        candidates: ArrayView2<'_, T>,
        relevant: ItemSets<'_>,
    ) -> Result<RetrievalReport, EvalError> {
        check_length("sets of relevant candidates", relevant.rows(), "queries", queries.nrows())?;
        check_sets("sets of relevant candidates", relevant, candidates.nrows())?;
        let scorer = Scorer::between(self.similarity, queries, candidates)?;
        self.report(&scorer.map(|query, scores| ranks(scores, relevant.row(query), None)), candidates.nrows())
    }

    /// Images against captions and captions against images: `images` `[n, D]`, `captions` `[m, D]`, and for each caption its image.
    /// An image's rank is that of its best caption.
    ///
    /// # Errors
    /// As [`Retrieval::by_label_between`], and [`EvalError::LabelOutOfRange`] for an image that does not exist.
    pub fn both_ways<T: Real>(
        &self,
        images: ArrayView2<'_, T>,
        captions: ArrayView2<'_, T>,
        image_of: &[u32],
    ) -> Result<BothWaysReport, EvalError> {
        let captions_of = Owned::new(image_of, images.nrows(), captions.nrows())?;
        let forward = Scorer::between(self.similarity, images, captions)?;
        let forward = forward.map(|image, scores| ranks(scores, captions_of.row(image), None));
        let backward = Scorer::between(self.similarity, captions, images)?;
        let backward = backward.map(|caption, scores| ranks(scores, &image_of[caption..=caption], None));
        self.both(&forward, &backward)
    }

    /// [`Retrieval::both_ways`] from explicit scores, `[images, captions]` (of a cross-encoder, say).
    ///
    /// # Errors
    /// As [`Retrieval::both_ways`].
    pub fn both_ways_scores<T: Real>(
        &self,
        scores: ArrayView2<'_, T>,
        image_of: &[u32],
    ) -> Result<BothWaysReport, EvalError> {
        let (images, captions) = scores.dim();
        let captions_of = Owned::new(image_of, images, captions)?;
        for row in scores.rows() {
            check_numbers("scores", &row.to_vec(), 1)?;
        }
        let copy = |scores: ArrayView2<'_, T>, first: usize, block: &mut [f64]| {
            for (row, block) in block.chunks_exact_mut(scores.ncols()).enumerate() {
                block.iter_mut().zip(scores.row(first + row)).for_each(|(to, from)| *to = from.f64());
            }
        };
        let forward = map_blocks(
            images,
            captions,
            |first, block| copy(scores, first, block),
            |image, scores| ranks(scores, captions_of.row(image), None),
        );
        let backward = map_blocks(
            captions,
            images,
            |first, block| copy(scores.t(), first, block),
            |caption, scores| ranks(scores, &image_of[caption..=caption], None),
        );
        self.both(&forward, &backward)
    }

    fn both(&self, forward: &[Vec<u32>], backward: &[Vec<u32>]) -> Result<BothWaysReport, EvalError> {
        let (images, captions) = (forward.len(), backward.len());
        Ok(BothWaysReport { forward: self.report(forward, captions)?, backward: self.report(backward, images)? })
    }

    fn report(&self, ranks: &[Vec<u32>], candidates: usize) -> Result<RetrievalReport, EvalError> {
        RetrievalReport::new(ranks, candidates, &self.cutoffs)
    }
}

/// The captions of each image.
struct Owned {
    offsets: Vec<usize>,
    captions: Vec<u32>,
}

impl Owned {
    fn new(image_of: &[u32], images: usize, captions: usize) -> Result<Self, EvalError> {
        if captions == 0 || images == 0 {
            return Err(EvalError::Empty { what: if images == 0 { "images" } else { "captions" } });
        }
        check_length("images of captions", image_of.len(), "captions", captions)?;
        check_labels("captions", image_of, images)?;
        let mut order: Vec<u32> = (0..captions as u32).collect();
        order.sort_by_key(|&caption| image_of[caption as usize]);
        let ends = |image: usize| order.partition_point(|&caption| (image_of[caption as usize] as usize) < image);
        Ok(Self { offsets: (0..=images).map(ends).collect(), captions: order })
    }

    fn row(&self, image: usize) -> &[u32] {
        &self.captions[self.offsets[image]..self.offsets[image + 1]]
    }
}

/// The rows of each label.
fn members(labels: &[u32]) -> HashMap<u32, Vec<u32>> {
    let mut members: HashMap<u32, Vec<u32>> = HashMap::new();
    for (row, &label) in labels.iter().enumerate() {
        members.entry(label).or_default().push(row as u32);
    }
    members
}

/// Ranks of the relevant candidates, from 0, ascending; `own` takes no part.
fn ranks(scores: &[f64], relevant: &[u32], own: Option<u32>) -> Vec<u32> {
    let mut keys: Vec<(f64, u32)> =
        relevant.iter().filter(|&&j| Some(j) != own).map(|&j| (scores[j as usize], j)).collect();
    keys.sort_unstable_by(|a, b| b.0.partial_cmp(&a.0).expect("finite scores").then(a.1.cmp(&b.1)));
    // candidates between one key and the next, the next one included
    let mut between = vec![0u32; keys.len() + 1];
    for (j, &score) in (0u32..).zip(scores) {
        if Some(j) != own {
            between[keys.partition_point(|&(key, at)| key > score || key == score && at < j)] += 1;
        }
    }
    let mut sum = 0;
    between[..keys.len()]
        .iter()
        .map(|count| {
            sum += count;
            sum - 1
        })
        .collect()
}
