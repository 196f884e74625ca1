//! Trainings: resume, what stays as it is, learning, recommendations.

use crate::common::*;
use contrastive_eval::ranking::Seen;
use contrastive_seqrec::SeqRecError;
use contrastive_seqrec::data::generate::{GenerateOptions, markov_intents};
use contrastive_seqrec::data::{LeaveOneOut, Mode, Part, ShortUsers};
use contrastive_seqrec::encoder::EncoderConfig;
use contrastive_seqrec::evaluate::{Popularity, Successors};
use contrastive_seqrec::method::*;
use contrastive_train::{Budget, FitOptions, MethodConfig, TrainingConfig};

/// Two epochs, then two more from the checkpoint, against four at once.
fn resumes<C>(config: C)
where
    C: MethodConfig<Data = LeaveOneOut, Error = SeqRecError>,
    C::Method: SequenceMethod,
{
    let split = small_split();
    let folder = tempfile::tempdir().unwrap();
    let options = |name: &str| FitOptions::new(&device()).seed(4).progress(false).run_dir(folder.path().join(name));
    let whole = config.fit(&split, &options("whole").epochs(4)).unwrap();
    config.fit(&split, &options("parts").epochs(2)).unwrap();
    let parts = config.fit(&split, &options("parts").epochs(4).resume(true)).unwrap();
    assert_eq!(parts.report.resumed_from, Some(2));
    let of = |trained| SequenceModel::of_trained(trained);
    assert_eq!(of(&whole).item_embeddings(), of(&parts).item_embeddings());
    let lists = [vec![1, 2, 3], vec![7]];
    assert_eq!(of(&whole).encode(&lists).unwrap(), of(&parts).encode(&lists).unwrap());
    // without weight decay or a gradient, padding stays zero
    let table: Vec<f64> = values(&of(&whole).encoder().table());
    assert!(table[..8].iter().all(|v| *v == 0.0));
    assert!(whole.report.metrics.unwrap().contains_key("ndcg@10"));
}

#[test]
fn resumed_runs_equal_uninterrupted_ones() {
    resumes(small_base(0.3));
    resumes(small_base(0.3).with_mode(Mode::PerPosition).with_loss(ItemLoss::Bce));
    resumes(Cl4SRecConfig::new().with_base(small_base(0.3)));
    resumes(DuoRecConfig::new().with_base(small_base(0.3)));
    resumes(IcsRecConfig::new().with_base(small_base(0.3)).with_clusters(8).with_fine_warm_up(1));
    resumes(MclRecConfig::new().with_base(small_base(0.3)).with_model_weight(0.1));
}

#[test]
fn equal_seeds_give_equal_runs_and_others_do_not() {
    let split = small_split();
    let run = |seed: u64| {
        let mut training =
            IcsRecConfig::new().with_base(small_base(0.3)).with_clusters(8).build(&split, seed, &device()).unwrap();
        training.train_epoch().unwrap()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn sasrec_learns_what_the_last_item_does_not_tell() {
    let generated = markov_intents(&GenerateOptions {
        users: 1200,
        items: 60,
        intents: 3,
        length: (12, 20),
        noise: 0.05,
        ..GenerateOptions::default()
    })
    .unwrap();
    let split = LeaveOneOut::new(&generated.sequences, ShortUsers::Refuse).unwrap();
    let encoder = EncoderConfig::small().with_dropout(0.1).with_attention_dropout(0.1);
    let training = TrainingConfig::new(Budget::Epochs(12), 64, 3e-3);
    let config = SasRecConfig::new().with_encoder(encoder).with_mode(Mode::PerPosition).with_training(training);
    let mut training = config.build(&split, 1, &device()).unwrap();
    (0..12).for_each(|_| drop(training.train_epoch().unwrap()));
    let hit = SequenceModel::of_training(&training).evaluate(&split, Part::Test, Seen::Keep).unwrap().hit_rate(5);
    let popularity = Popularity::new(&split).rank(&split, Part::Test, Seen::Keep).unwrap().hit_rate(5);
    let successors = Successors::new(&split).rank(&split, Part::Test, Seen::Keep).unwrap().hit_rate(5);
    let best = generated.best_hit_rate(split.inputs(Part::Test), 5);
    println!("HR@5: popularity {popularity:.3}, successors {successors:.3}, SASRec {hit:.3}, best possible {best:.3}");
    assert!(hit > 3.0 * popularity && hit > 0.8 * successors && hit < best + 0.04);
}

#[test]
fn recommendations_come_in_labels_and_leave_out_what_was_taken() {
    let split = small_split();
    let (method, encoder) = small_base(0.0).parts(&split, 1, &device()).unwrap();
    let model = SequenceModel::new(&method, &encoder);
    let best = model.recommend(&[vec![3, 4, 5], vec![9]], 30, Seen::Exclude).unwrap();
    assert_eq!((best[0].len(), best[1].len()), (27, 29));
    assert!(best[0].iter().all(|(item, _)| ![3, 4, 5].contains(item)));
    assert!(best[0].windows(2).all(|pair| pair[0].1 >= pair[1].1));
    // oracle: the inner products
    let (query, items) = (model.encode(&[vec![9]]).unwrap(), model.item_embeddings());
    for (item, score) in &best[1] {
        let want: f32 = query.row(0).dot(&items.row(*item as usize - 1));
        assert!((score - want).abs() < 1e-4, "{score} and {want}");
    }
    let named = model.recommend_labels(&["9", "what", "42"], 3, Seen::Keep).unwrap();
    assert_eq!(named.unknown, ["what", "42"]);
    assert_eq!(named.items.len(), 3);
    assert!(model.recommend_labels(&["what"], 3, Seen::Keep).unwrap_err().to_string().contains("\"what\""));
}
