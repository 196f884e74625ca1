//! What can be wrong, and what is said: the place, what was found, what is allowed, in fewer than 500 characters.

use crate::common::*;
use contrastive_eval::ranking::Seen;
use contrastive_seqrec::SeqRecError;
use contrastive_seqrec::augment::{EditsConfig, Operator};
use contrastive_seqrec::data::*;
use contrastive_seqrec::encoder::EncoderConfig;
use contrastive_seqrec::method::*;
use contrastive_train::{Budget, FitOptions, MethodConfig, TrainingConfig};

fn says(error: impl std::fmt::Display, parts: &[&str]) {
    let text = error.to_string();
    assert!(text.len() < 500, "{} characters: {text}", text.len());
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

fn read(name: &str, text: &str) -> Result<Sequences, SequenceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    if name.ends_with(".txt") { Sequences::read_lists(&path) } else { Sequences::read(&path) }
}

#[test]
fn files() {
    says(read("x.txt", "").unwrap_err(), &["x.txt"]);
    says(read("x.txt", "\n \n").unwrap_err(), &["x.txt", "empty"]);
    says(read("x.txt", "1 2 3\n2\n").unwrap_err(), &["x.txt:2", "user 2", "no items"]);
    for (bad, line) in
        [("1 2 0\n", 1), ("1 2\n2 -4 1\n", 2), ("1 2\n2 a\n", 2), ("1 99999999999\n", 1), ("1 4294967295\n", 1)]
    {
        says(read("x.txt", bad).unwrap_err(), &[&format!("x.txt:{line}"), "user", "from 1 to 4294967293"]);
    }
    says(read("x.txt", "1 2 3\n2 4\n1 5\n").unwrap_err(), &["x.txt:3", "user 1", "line 1"]);
    says(
        read("x.inter", "user_id:token\titem_id:token\ttimestamp:float\n1\t2\t3\n1\t3\tsoon\n").unwrap_err(),
        &["x.inter:3", "soon"],
    );
    says(read("x.inter", "user_id:token\trating:float\n1\t2\n").unwrap_err(), &["x.inter", "item"]);
    says(read("x.csv", "user,thing,time\n1,2,3\n4,5,6\n").unwrap_err(), &["x.csv", "item"]);
    says(read("x.csv", "user,item,time\n1,,3\n4,5,6\n").unwrap_err(), &["x.csv:2", "empty item"]);
    says(Sequences::read("/nowhere/x.txt").unwrap_err(), &["/nowhere/x.txt"]);
}

#[test]
fn lists_in_memory() {
    let from = |lists: &[Vec<u32>], items| Sequences::from_lists("mine", lists, items).unwrap_err();
    says(from(&[], 3), &["mine", "empty"]);
    says(from(&[vec![1], vec![]], 3), &["list 1", "no items"]);
    says(from(&[vec![1, 0]], 3), &["list 0", "\"0\"", "1 to 3"]);
    says(from(&[vec![1, 4]], 3), &["list 0", "\"4\"", "1 to 3"]);
    says(from(&[vec![1]], 0), &["items is 0"]);
    let sequences = Sequences::from_lists("mine", &[vec![1, 2, 3], vec![1, 2]], 3).unwrap();
    says(LeaveOneOut::new(&sequences, ShortUsers::Refuse).unwrap_err(), &["user 1", "2 events", "at least 3"]);
    let split = LeaveOneOut::new(&sequences, ShortUsers::Drop).unwrap();
    assert!(matches!(split.notes(), [Note::ShortUsers { count: 1, .. }]));
    says(sequences.k_core(9).unwrap_err(), &["9-core", "2 users"]);
    says(sequences.k_core(0).unwrap_err(), &["core is 0"]);
    let short = Sequences::from_lists("mine", &[vec![1, 2]], 3).unwrap();
    says(LeaveOneOut::new(&short, ShortUsers::Drop).unwrap_err(), &["three events"]);
    // three events leave one to learn from, and no target
    let few = LeaveOneOut::new(&Sequences::from_lists("mine", &[vec![1, 2, 3]], 3).unwrap(), ShortUsers::Drop).unwrap();
    says(small_base(0.0).build(&few, 1, &device()).map(|_| ()).unwrap_err(), &["mine", "no training sample"]);
}

fn refuses<C>(config: C, parts: &[&str])
where
    C: MethodConfig<Data = LeaveOneOut, Error = SeqRecError>,
{
    says(config.build(&small_split(), 1, &device()).map(|_| ()).unwrap_err(), parts);
}

#[test]
fn settings() {
    let encoder = |change: fn(EncoderConfig) -> EncoderConfig, parts: &[&str]| {
        refuses(small_base(0.0).with_encoder(change(small_encoder(0.0))), parts);
    };
    encoder(|c| c.with_max_len(0), &["max_len is 0", "1 or more"]);
    encoder(|c| c.with_heads(3), &["heads is 3", "divisor of dim, 8"]);
    encoder(|c| c.with_heads(0), &["heads is 0"]);
    encoder(|c| c.with_dim(0), &["dim is 0"]);
    encoder(|c| c.with_layers(0), &["layers is 0"]);
    encoder(|c| c.with_dropout(1.0), &["dropout is 1"]);
    encoder(|c| c.with_attention_dropout(f64::NAN), &["attention_dropout is NaN"]);
    refuses(small_base(0.0).with_training(TrainingConfig::new(Budget::Epochs(1), 0, 1e-3)), &["batch_size is 0"]);
    let edits = |change: fn(EditsConfig) -> EditsConfig, parts: &[&str]| {
        refuses(Cl4SRecConfig::new().with_base(small_base(0.0)).with_edits(change(EditsConfig::new())), parts);
    };
    edits(|c| c.with_crop(1.5), &["crop is 1.5", "0 to 1"]);
    edits(|c| c.with_mask(-0.1), &["mask is -0.1"]);
    edits(|c| c.with_reorder(f64::NAN), &["reorder is NaN"]);
    edits(|c| c.with_operators(vec![Operator::Crop]), &["operators", "two or more different"]);
    edits(|c| c.with_operators(vec![Operator::Crop, Operator::Crop]), &["operators"]);
    let cl4srec = || Cl4SRecConfig::new().with_base(small_base(0.0));
    refuses(cl4srec().with_temperature(0.0), &["cl4srec", "temperature is 0"]);
    refuses(cl4srec().with_contrast_weight(-1.0), &["contrast_weight is -1"]);
    let icsrec = || IcsRecConfig::new().with_base(small_base(0.0)).with_clusters(4);
    refuses(icsrec().with_coarse_weight(f64::NAN), &["coarse_weight is NaN"]);
    refuses(icsrec().with_fine_weight(-0.1), &["fine_weight is -0.1"]);
    refuses(icsrec().with_clusters(1_000_000), &["clusters is 1000000", "number of samples"]);
    refuses(icsrec().with_clusters(0), &["clusters is 0"]);
    refuses(icsrec().with_base(small_base(0.0).with_mode(Mode::PerPosition)), &["mode", "Prefix"]);
    let mclrec = || MclRecConfig::new().with_base(small_base(0.0));
    let odd = small_base(0.0).with_encoder(small_encoder(0.0).with_dim(6));
    refuses(mclrec().with_base(odd), &["mclrec", "dim is 6", "multiple of 4"]);
    refuses(mclrec().with_model_weight(-1.0), &["model_weight is -1"]);
    refuses(mclrec().with_band(f64::INFINITY), &["band is inf"]);
    refuses(DuoRecConfig::new().with_base(small_base(0.0)).with_contrast_weight(f64::NAN), &["duorec", "NaN"]);
}

#[test]
fn a_user_of_the_whole_catalogue_and_a_catalogue_of_one_item() {
    let all = split_of(&[vec![1, 2, 3, 1, 2], vec![1, 2, 3]], 3);
    says(
        small_base(0.0).with_loss(ItemLoss::Bce).build(&all, 1, &device()).map(|_| ()).unwrap_err(),
        &["list 0", "3 items"],
    );
    // one item: the softmax knows no other, the loss is 0, everybody's rank is 1
    let one = split_of(&[vec![1, 1, 1, 1, 1], vec![1, 1, 1, 1]], 1);
    let mut training = small_base(0.0).build(&one, 1, &device()).unwrap();
    assert!(training.train_epoch().unwrap()[0].1.abs() < 1e-6);
    let ranks = SequenceModel::of_training(&training).evaluate(&one, Part::Test, Seen::Exclude).unwrap();
    assert_eq!(ranks.ranks(), [1, 1]);
}

#[test]
fn models_and_checkpoints_of_other_catalogues() {
    let split = small_split();
    let (method, encoder) = small_base(0.0).parts(&split, 1, &device()).unwrap();
    let model = SequenceModel::new(&method, &encoder);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    let other = Sequences::from_lists("other", &[vec![1, 2, 3]], 7).unwrap();
    says(SequenceModel::load_for(&path, &other, &device()).unwrap_err(), &["model.safetensors", "30 items", "7 items"]);
    let junk = folder.path().join("junk.safetensors");
    std::fs::write(&junk, b"what").unwrap();
    says(SequenceModel::load(&junk, &device()).unwrap_err(), &["junk.safetensors"]);
    contrastive_train::write_safetensors(&junk, &Default::default(), &Default::default()).unwrap();
    says(SequenceModel::load(&junk, &device()).unwrap_err(), &["junk.safetensors", "format"]);
    says(model.encode(&[vec![1], vec![]]).unwrap_err(), &["list 1", "empty"]);
    says(model.encode(&[vec![31]]).unwrap_err(), &["list 0", "item 31", "1 to 30"]);
    says(model.recommend(&[vec![1]], 0, Seen::Keep).unwrap_err(), &["k is 0"]);
    says(model.recommend(&[vec![1]], 3, Seen::ZeroScore).unwrap_err(), &["seen", "keep or exclude"]);
    // a run of other data is not resumed
    let options = |epochs| FitOptions::new(&device()).progress(false).run_dir(folder.path().join("run")).epochs(epochs);
    small_base(0.0).fit(&split, &options(1)).map(|_| ()).unwrap();
    let lists: Vec<Vec<u32>> = split.sequences().lists().map(|list| list.iter().rev().copied().collect()).collect();
    let turned = split_of(&lists, 30);
    says(small_base(0.0).fit(&turned, &options(2).resume(true)).map(|_| ()).unwrap_err(), &["another run", "digest"]);
}
