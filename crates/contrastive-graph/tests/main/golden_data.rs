//! Published data sets: shapes and counts. The numbers are those of the data sets' own pages and papers, recounted from
//! the files independently of this crate (line and field counts with standard text tools).

use std::path::PathBuf;

use contrastive_graph::user_item::data::{
    DataError, Dataset, Format, IdPolicy, Interactions, LoadOptions, NegativePolicy, Note, PairSampler, Side, Split,
    Triples, UniformUserSampler, adjacency,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A data set in the shared folder.
fn shared(path: &str) -> Option<PathBuf> {
    crate::common::present(crate::common::shared()?.join("data").join(path))
}

fn open(path: &str, options: &LoadOptions) -> Option<Dataset> {
    shared(path).map(|path| Dataset::open(path, options).unwrap_or_else(|error| panic!("{error}")))
}

fn shape(data: &Dataset) -> (usize, usize, usize, usize) {
    (data.num_users(), data.num_items(), data.train.len(), data.test.len())
}

fn assert_disjoint(train: &Interactions, test: &Interactions) {
    assert!(test.pairs().all(|(user, item)| !train.contains(user, item)));
}

#[test]
fn golden_gowalla_has_the_published_size() {
    let strict = LoadOptions { strict: true, ..Default::default() };
    let Some(data) = open("lightgcn-gowalla", &strict) else { return };
    assert_eq!(shape(&data), (29_858, 40_981, 810_128, 217_242));
    assert_eq!(data.notes, []);
    assert_eq!(data.name, "lightgcn-gowalla");
    assert_disjoint(&data.train, &data.test);
    // The lists beside the data: first rows `343 0` and `8975 0`.
    assert_eq!((data.user_label(0).as_str(), data.item_label(0).as_str()), ("343", "8975"));
    // The last line of train.txt.
    assert_eq!(data.train.items(29_857), [652, 674, 691, 882, 1851, 1853, 11757, 13182]);
    // The training file alone brings its test file along.
    let alone = open("lightgcn-gowalla/train.txt", &strict).unwrap();
    assert_eq!((alone.train, alone.test), (data.train, data.test));
}

#[test]
fn golden_gowalla_adjacency_has_the_singular_value_one() {
    let Some(data) = open("lightgcn-gowalla", &LoadOptions::default()) else { return };
    let matrix = adjacency::joint(&data.train);
    assert_eq!((matrix.rows, matrix.nnz()), (29_858 + 40_981, 2 * 810_128));
    // sqrt(degree) is an eigenvector of the normalised adjacency for the eigenvalue 1.
    let (users, items) = data.train.degrees();
    let root: Vec<f64> = users.iter().chain(&items).map(|&degree| f64::from(degree).sqrt()).collect();
    for row in 0..matrix.rows {
        let (columns, values) = matrix.row(row);
        let product: f64 = columns.iter().zip(values).map(|(&column, &value)| value * root[column as usize]).sum();
        assert!((product - root[row]).abs() < 1e-9 * (1.0 + root[row]), "row {row}: {product} and {}", root[row]);
    }
}

#[test]
fn golden_gowalla_epochs_are_complete_and_clean() {
    let Some(data) = open("lightgcn-gowalla", &LoadOptions::default()) else { return };
    let train = &data.train;
    let mut triples = Triples::default();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    PairSampler::new(train, NegativePolicy::Reject).unwrap().epoch(&mut rng, &mut triples);
    let mut pairs: Vec<(u32, u32)> = triples.users.iter().copied().zip(triples.positives.iter().copied()).collect();
    pairs.sort_unstable();
    assert!(train.pairs().eq(pairs), "every pair once");
    assert!(triples.users.iter().zip(&triples.negatives).all(|(&user, &item)| !train.contains(user, item)));
    UniformUserSampler::new(train, NegativePolicy::Reject).unwrap().epoch(&mut rng, &mut triples);
    assert_eq!(triples.len(), 810_128);
    for ((&user, &positive), &negative) in triples.users.iter().zip(&triples.positives).zip(&triples.negatives) {
        assert!(train.contains(user, positive) && !train.contains(user, negative));
    }
}

#[test]
fn golden_lastfm_has_the_published_size() {
    let Some(data) = open("lightgcn-lastfm", &LoadOptions::default()) else { return };
    assert_eq!(shape(&data), (1_892, 4_489, 42_135, 10_533));
    assert_disjoint(&data.train, &data.test);
    // Ids count from 1; the first line of data1.txt is `424 4076 993`.
    assert!(data.train.contains(423, 4075));
    assert_eq!(data.user_label(423), "424");
    // 12 of the 1,892 ids never occur.
    assert!(matches!(data.notes[0], Note::IdGap { side: Side::User, absent: 12, .. }), "{:?}", data.notes);
    // The sparse regime of the LightGCL specification.
    assert_eq!(data.with_train_fraction(0.3, 1).unwrap().train.len(), 12_640);
}

#[test]
fn golden_lastfm_is_refused_by_strict_reading_for_its_gaps() {
    let Some(path) = shared("lightgcn-lastfm") else { return };
    let error = Dataset::open(path, &LoadOptions { strict: true, ..Default::default() }).unwrap_err();
    assert!(matches!(error, DataError::IdGap { side: Side::User, absent: 12, largest: 1892, .. }), "{error}");
}

#[test]
fn golden_movielens_has_the_published_sizes() {
    let options = LoadOptions::default();
    let Some(folder) = open("ml-100k", &options) else { return };
    assert_eq!(shape(&folder), (943, 1_682, 80_000, 20_000));
    let ua = open("ml-100k/ua.base", &options).unwrap();
    assert_eq!(shape(&ua), (943, 1_682, 90_570, 9_430));
    let whole =
        open("ml-100k/u.data", &LoadOptions { split: Split::None, strict: true, ..Default::default() }).unwrap();
    assert_eq!(shape(&whole), (943, 1_682, 100_000, 0));
    // u1 is a split of u.data.
    assert!(
        whole.train.pairs().all(|(user, item)| folder.train.contains(user, item) != folder.test.contains(user, item))
    );
    // 55,375 of the ratings are 4 or 5.
    let liked = LoadOptions { min_rating: Some(4.0), split: Split::None, ..Default::default() };
    let liked = open("ml-100k/u.data", &liked).unwrap();
    assert_eq!(shape(&liked), (943, 1_682, 55_375, 0));
}

#[test]
fn golden_movielens_leave_one_out_holds_out_the_latest() {
    let options = LoadOptions { split: Split::LeaveOneOut, validation_fraction: 0.1, ..Default::default() };
    let Some(data) = open("ml-100k/u.data", &options) else { return };
    assert_eq!(shape(&data), (943, 1_682, 100_000 - 2 * 943, 943));
    assert_eq!(data.validation.as_ref().unwrap().len(), 943);
    // User 1's last rating in time: item 102 or one of those at the same second, 889751736 being the user's largest.
    let text = std::fs::read_to_string(shared("ml-100k/u.data").unwrap()).unwrap();
    let rows: Vec<Vec<u32>> = text.lines().map(|line| line.split('\t').map(|f| f.parse().unwrap()).collect()).collect();
    for user in [1u32, 196, 943] {
        let latest = rows.iter().filter(|row| row[0] == user).map(|row| row[3]).max().unwrap();
        let held = data.test.items(user - 1)[0] + 1;
        assert!(
            rows.iter().any(|row| row[0] == user && row[1] == held && row[3] == latest),
            "user {user}, item {held}"
        );
    }
}

#[test]
fn golden_recbole_reads_the_same_interactions_as_movielens() {
    let options = LoadOptions { split: Split::None, ..Default::default() };
    let Some(recbole) = open("recbole-ml-100k", &options) else { return };
    let plain = open("ml-100k/u.data", &options).unwrap();
    assert_eq!(shape(&recbole), (943, 1_682, 100_000, 0));
    assert_eq!(recbole.train, plain.train);
    assert_eq!(recbole.user_ids, plain.user_ids);
    let beauty = open("recbole-amazon-beauty", &options).unwrap();
    assert_eq!((beauty.num_users(), beauty.train.len()), (22_363, 198_502));
}

#[test]
fn golden_yelp_csv_brings_its_three_parts() {
    let options = LoadOptions { ids: IdPolicy::ZeroBased, format: Some(Format::Delimited), ..Default::default() };
    let Some(data) = open("sslrec-sparse-yelp/open", &options) else { return };
    assert_eq!(shape(&data), (42_712, 26_822, 182_357, 65_128));
    assert_eq!(data.validation.unwrap().len(), 13_025);
}

#[test]
fn golden_gowalla_subsets_and_splits_are_exact() {
    let Some(data) = open("lightgcn-gowalla", &LoadOptions::default()) else { return };
    assert_eq!(data.train.subsample(0.3, 7).unwrap().len(), 243_038);
    let (kept, held) = contrastive_graph::user_item::data::split::random(&data.train, 0.1, 7).unwrap();
    assert_eq!((kept.len(), held.len()), (810_128 - 81_012, 81_012));
}
