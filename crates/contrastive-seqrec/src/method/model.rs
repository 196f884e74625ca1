//! What a training leaves: an encoder and the catalogue it knows.

use super::{SasRecConfig, SequenceMethod};
use crate::SeqRecError;
use crate::data::{LeaveOneOut, Part, Sequences, Taken};
use crate::encoder::{EncoderConfig, SequenceEncoder};
use crate::evaluate::{rank_targets, same_target_cosine_gap};
use burn::module::Module;
use burn::tensor::Device;
use contrastive_eval::ranking::{Seen, TargetRanks};
use contrastive_kernels::top_k::top_k;
use contrastive_train::{
    State, Trained, Training, load_module, read_safetensors, save_module, write_npy, write_safetensors,
};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Prefix of the encoder's tensors in a file.
const PREFIX: &str = "encoder";
/// The version of the file's layout.
const FORMAT: &str = "contrastive-seqrec 1";

/// An encoder after training, outside of autodiff, with the labels of its items: evaluates, recommends, is saved and loaded. Whatever else
/// trained it (MCLRec's augmenters, ICSRec's clusters) is not part of it.
#[derive(Clone, Debug)]
pub struct SequenceModel {
    method: String,
    encoder: SequenceEncoder,
    settings: EncoderConfig,
    mask_token: bool,
    labels: Vec<String>,
}

/// What to recommend after a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation {
    /// Labels and scores, best first.
    pub items: Vec<(String, f32)>,
    /// Labels of the list that the model does not know, and passed over.
    pub unknown: Vec<String>,
}

impl SequenceModel {
    /// Of a training as it is now.
    pub fn of_training<M: SequenceMethod>(training: &Training<M>) -> Self {
        Self::new(training.method(), training.model())
    }

    /// Of a training that is complete.
    pub fn of_trained<M: SequenceMethod>(trained: &Trained<M>) -> Self {
        Self::new(&trained.method, &trained.model)
    }

    /// Of a method and a model in training or after it.
    pub fn new<M: SequenceMethod>(method: &M, model: &M::Model) -> Self {
        let (encoder, base): (_, &SasRecConfig) = (M::encoder(model).valid(), method.base().settings());
        let labels = method.base().samples().split().sequences().item_labels().to_vec();
        let mask_token = encoder.table().dims()[0] > labels.len() + 1;
        Self { method: method.name().into(), encoder, settings: base.encoder.clone(), mask_token, labels }
    }

    /// The method that trained it.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The encoder.
    pub fn encoder(&self) -> &SequenceEncoder {
        &self.encoder
    }

    /// The labels of items 1 to V.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Ranks of a part's targets.
    ///
    /// # Errors
    /// When the data has another number of items, or rows are not finite.
    pub fn evaluate(&self, data: &LeaveOneOut, part: Part, seen: Seen) -> Result<TargetRanks, SeqRecError> {
        let queries = self.encoder.encode_lists(data.inputs(part));
        Ok(rank_targets(data, part, queries.view(), self.item_embeddings().view(), seen)?)
    }

    /// How much closer inputs of a part are that lead to the same item than any two, by cosine.
    pub fn same_target_gap(&self, data: &LeaveOneOut, part: Part) -> f64 {
        same_target_cosine_gap(data, part, self.encoder.encode_lists(data.inputs(part)).view())
    }

    /// `[V, d]`: the rows of items 1 to V.
    pub fn item_embeddings(&self) -> Array2<f32> {
        self.encoder.item_rows()
    }

    /// `[lists, d]`: what lists of items 1 to V are encoded to.
    ///
    /// # Errors
    /// When a list is empty, or holds another item.
    pub fn encode<L: AsRef<[u32]>>(&self, lists: &[L]) -> Result<Array2<f32>, SeqRecError> {
        for (at, list) in lists.iter().enumerate() {
            let list = list.as_ref();
            let problem = match list.iter().find(|item| **item == 0 || **item as usize > self.labels.len()) {
                _ if list.is_empty() => "is empty; at least one item is needed".to_string(),
                Some(item) => format!("item {item}; allowed are 1 to {}", self.labels.len()),
                None => continue,
            };
            return Err(SeqRecError::List { list: at, problem });
        }
        Ok(self.encoder.encode_lists(lists.iter().map(AsRef::as_ref)))
    }

    /// The `k` best items after each list, best first, with their scores; without those of the list under [`Seen::Exclude`].
    ///
    /// # Errors
    /// As [`encode`](Self::encode); [`Seen::ZeroScore`] is for evaluation alone.
    pub fn recommend<L: AsRef<[u32]>>(
        &self,
        lists: &[L],
        k: usize,
        seen: Seen,
    ) -> Result<Vec<Vec<(u32, f32)>>, SeqRecError> {
        let check = contrastive_train::Check::new("recommend");
        check.count("k", k)?;
        check.that(seen != Seen::ZeroScore, "seen", seen, "keep or exclude")?;
        if lists.is_empty() {
            return Ok(Vec::new());
        }
        let queries = self.encode(lists)?;
        let items = self.item_embeddings();
        let rows: Vec<u32> = (0..lists.len() as u32).collect();
        let taken = Taken::new(lists.iter().map(AsRef::as_ref));
        let taken = (seen == Seen::Exclude).then(|| (taken.sets(), rows.as_slice()));
        let flat = |x: &Array2<f32>| x.as_slice().expect("standard layout").to_vec();
        let best = top_k(&flat(&queries), &flat(&items), items.ncols(), k.min(self.labels.len()), taken);
        let of = |row: usize| {
            let (items, scores) = best.row(row);
            items.iter().zip(scores).map(|(item, score)| (item + 1, *score)).collect()
        };
        Ok((0..lists.len()).map(of).collect())
    }

    /// The `k` best items after a list of labels that need not have been seen in training. Labels that the model does not know are named
    /// in the answer; the rest is answered.
    ///
    /// # Errors
    /// When no label is known, or as [`recommend`](Self::recommend).
    pub fn recommend_labels<L: AsRef<str>>(
        &self,
        list: &[L],
        k: usize,
        seen: Seen,
    ) -> Result<Recommendation, SeqRecError> {
        let numbers: HashMap<&str, u32> = (1u32..).zip(&self.labels).map(|(n, label)| (label.as_str(), n)).collect();
        let (mut items, mut unknown) = (Vec::new(), Vec::new());
        for label in list.iter().map(AsRef::as_ref) {
            match numbers.get(label) {
                Some(number) => items.push(*number),
                None => unknown.push(label.to_string()),
            }
        }
        if items.is_empty() {
            let shown: Vec<String> = unknown.iter().take(5).map(|label| format!("{label:?}")).collect();
            let problem = format!("none of its {} labels is known: {}", list.len(), shown.join(", "));
            return Err(SeqRecError::List { list: 0, problem });
        }
        let best = self.recommend(&[items], k, seen)?.swap_remove(0);
        let items = best.into_iter().map(|(item, score)| (self.labels[item as usize - 1].clone(), score)).collect();
        Ok(Recommendation { items, unknown })
    }

    /// Writes the model as safetensors: the encoder's tensors; settings and labels in its metadata.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SeqRecError> {
        let mut state = State::new();
        save_module(&self.encoder, PREFIX, &mut state);
        let metadata = BTreeMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("method".to_string(), self.method.clone()),
            ("mask_token".to_string(), self.mask_token.to_string()),
            ("encoder".to_string(), serde_json::to_string(&self.settings).expect("settings are JSON")),
            ("items".to_string(), serde_json::to_string(&self.labels).expect("labels are JSON")),
        ]);
        Ok(write_safetensors(path.as_ref(), &state, &metadata)?)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is not a model of this crate.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, SeqRecError> {
        let path = path.as_ref();
        let (mut state, metadata) = read_safetensors(path)?;
        let wrong = |problem: String| SeqRecError::NotAModel { path: path.to_path_buf(), problem };
        let text = |key: &str| metadata.get(key).ok_or_else(|| wrong(format!("no {key:?} in its metadata")));
        if text("format")? != FORMAT {
            return Err(wrong(format!("its format is {:?}, expected {FORMAT:?}", text("format")?)));
        }
        let parse = |key: &str, error: serde_json::Error| wrong(format!("{key}: {error}"));
        let settings: EncoderConfig = serde_json::from_str(text("encoder")?).map_err(|e| parse("encoder", e))?;
        let labels: Vec<String> = serde_json::from_str(text("items")?).map_err(|e| parse("items", e))?;
        let mask_token = text("mask_token")? == "true";
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let encoder = settings.init(labels.len(), mask_token, &mut rng, device)?;
        let encoder = load_module(encoder, PREFIX, &mut state)?;
        Ok(Self { method: text("method")?.clone(), encoder, settings, mask_token, labels })
    }

    /// The same, for the catalogue of these sequences.
    ///
    /// # Errors
    /// As [`load`](Self::load); when the model's items are not those of the sequences.
    pub fn load_for(path: impl AsRef<Path>, sequences: &Sequences, device: &Device) -> Result<Self, SeqRecError> {
        let model = Self::load(&path, device)?;
        let wanted = sequences.item_labels();
        if model.labels != wanted {
            let first = |labels: &[String]| labels.first().cloned().unwrap_or_default();
            return Err(SeqRecError::OtherCatalogue {
                path: path.as_ref().to_path_buf(),
                found: model.labels.len(),
                first: first(&model.labels),
                expected: wanted.len(),
                wanted: first(wanted),
            });
        }
        Ok(model)
    }

    /// Writes the rows of items 1 to V, `[V, d]`, as npy.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_item_embeddings(&self, path: impl AsRef<Path>) -> Result<(), SeqRecError> {
        Ok(write_npy(path.as_ref(), &self.item_embeddings())?)
    }
}
