//! Bad interaction data: a table of what a user may hand over and the message that must come back. Every message is
//! checked for the place (file and line), the offending text, and what is allowed.

mod table;

use std::fs;
use std::path::Path;

use contrastive_graph::user_item::augment;
use contrastive_graph::user_item::data::{
    DataError, Dataset, FileError, Interactions, NegativePolicy, PairSampler, UniformUserSampler, generate,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use table::{lenient, table};
use tempfile::TempDir;

fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

#[test]
fn every_kind_of_bad_data_is_refused_with_its_place_and_what_is_allowed() {
    let mut failures = Vec::new();
    for case in table() {
        let folder = TempDir::new().unwrap();
        write(folder.path(), case.files);
        match Dataset::open(folder.path().join(case.open), &case.options) {
            Ok(data) => failures.push(format!("{}: accepted as {data:?}", case.what)),
            Err(error) => {
                let message = error.to_string();
                let absent: Vec<_> = case.message.iter().filter(|part| !message.contains(**part)).collect();
                if message.chars().count() >= 500 {
                    failures.push(format!("{}: a message of {} characters", case.what, message.len()));
                }
                if !absent.is_empty() {
                    failures.push(format!("{}: {absent:?} not in {message:?}", case.what));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The findings that strict reading refuses are read otherwise: the same table rows, without `strict`.
#[test]
fn what_only_strict_reading_refuses_is_otherwise_noted() {
    let mut checked = 0;
    for mut case in table().into_iter().filter(|case| case.options.strict) {
        let folder = TempDir::new().unwrap();
        write(folder.path(), case.files);
        case.options.strict = false;
        let data = Dataset::open(folder.path().join(case.open), &case.options)
            .unwrap_or_else(|error| panic!("{}: {error}", case.what));
        assert!(!data.notes.is_empty(), "{}: nothing noted", case.what);
        checked += 1;
    }
    assert!(checked >= 8);
}

#[test]
fn an_unreadable_file_gives_the_reason_of_the_operating_system() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("u.data")).unwrap();
    let error = Dataset::from_files(folder.path().join("u.data"), None, None, &lenient()).unwrap_err();
    assert!(matches!(error, DataError::File(FileError::Directory { .. })), "{error}");
    assert!(error.to_string().contains("u.data: a directory; allowed: a file"), "{error}");
    let missing = folder.path().join("test.txt");
    write(folder.path(), &[("a.csv", b"user,item\n1,1\n")]);
    let error = Dataset::from_files(folder.path().join("a.csv"), None, Some(&missing), &lenient()).unwrap_err();
    assert!(error.to_string().contains("test.txt: no such file"), "{error}");
}

#[test]
fn bad_data_in_memory_is_refused() {
    let refused = |error: DataError, parts: &[&str]| {
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?} not in {message:?}");
    };
    refused(Interactions::from_pairs(2, 2, [(0, 0), (0, 2)]).unwrap_err(), &["pair number 1", "item 2", "0..2"]);
    refused(Interactions::from_pairs(usize::MAX, 2, []).unwrap_err(), &["num_users", "4294967295"]);
    let full = Interactions::from_pairs(2, 2, [(0, 0), (1, 0), (1, 1)]).unwrap();
    let everything = &["user 1 has consumed all 2 items", "NegativePolicy::Unchecked"];
    refused(PairSampler::new(&full, NegativePolicy::Reject).unwrap_err(), everything);
    refused(UniformUserSampler::new(&full, NegativePolicy::Reject).unwrap_err(), everything);
    let empty = Interactions::from_pairs(2, 2, []).unwrap();
    refused(PairSampler::new(&empty, NegativePolicy::Unchecked).unwrap_err(), &["no training interaction"]);
    refused(full.subsample(-0.5, 1).unwrap_err(), &["fraction = -0.5", "0 to 1"]);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    refused(augment::edge_dropout(&full, 1.0, &mut rng).unwrap_err(), &["drop ratio = 1", "1 excluded"]);
    let none = generate::PlantedOptions { communities: 0, ..Default::default() };
    refused(generate::planted(&none).unwrap_err(), &["communities = 0", "1 to the number of items"]);
}
