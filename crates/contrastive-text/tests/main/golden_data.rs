//! The published files: counts, and a short training on them.

use crate::golden::{present, shared};
use contrastive_text::data::*;
use std::path::PathBuf;

fn data(name: &str) -> Option<PathBuf> {
    present(shared()?.join("data").join(name))
}

#[test]
fn golden_data_counts() {
    let Some(sts) = data("sts") else { return };
    for (year, subsets, pairs) in [("12", 5, 3108), ("13", 3, 1500), ("14", 6, 3750), ("15", 5, 3000)] {
        let set = read_sts(&sts.join(format!("STS{year}-en-test"))).unwrap();
        assert_eq!((set.subsets.len(), set.pairs()), (subsets, pairs), "STS{year}");
    }
    for (part, pairs) in [("train", 5749), ("dev", 1500), ("test", 1379)] {
        let read = read_sts_benchmark(&sts.join(format!("STSBenchmark/sts-{part}.csv"))).unwrap();
        assert_eq!(read.gold.len(), pairs, "STS-B {part}");
    }
    let train = read_sts_benchmark(&sts.join("STSBenchmark/sts-train.csv")).unwrap();
    assert_eq!(train.at_least(4.0).len(), 1406);
    let Some(sick) = data("sick") else { return };
    for (file, pairs) in [("SICK_train", 4500), ("SICK_trial", 500), ("SICK_test_annotated", 4927)] {
        assert_eq!(read_sick(&sick.join(format!("{file}.txt"))).unwrap().gold.len(), pairs, "{file}");
    }
    let Some(snli) = data("snli-dev-test") else { return };
    let both = read_inference(&snli, "dev").unwrap().with(read_inference(&snli, "test").unwrap());
    assert_eq!((both.pairs.len(), both.entailments().len()), (9842 + 9824, 6697));
    assert_eq!(both.triples().len(), 5863);
    let Some(transfer) = data("senteval-transfer") else { return };
    let of = |task| read_transfer(&transfer, task).unwrap();
    let counts = |task| {
        let task = of(task);
        let length = |part: Option<Labelled>| part.map_or(0, |part| part.texts.len());
        (task.train.texts.len(), length(task.validation), length(task.test))
    };
    assert_eq!(counts(Task::Mr), (10662, 0, 0));
    assert_eq!(counts(Task::Cr), (3775, 0, 0));
    assert_eq!(counts(Task::Trec), (5452, 0, 500));
    assert_eq!(counts(Task::Sst2), (67349, 872, 1821));
    assert_eq!(counts(Task::Sst5), (8544, 1101, 2210));
}
