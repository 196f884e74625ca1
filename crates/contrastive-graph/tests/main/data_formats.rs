//! What the readers accept, and what they make of it.

use std::fs;

use contrastive_graph::user_item::data::{Column, Columns, Dataset, Format, IdPolicy, LoadOptions, Note, Side, Split};
use tempfile::TempDir;

fn whole() -> LoadOptions {
    LoadOptions { split: Split::None, ..Default::default() }
}

fn read(files: &[(&str, &str)], open: &str, options: &LoadOptions) -> Dataset {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    Dataset::open(folder.path().join(open), options).unwrap_or_else(|error| panic!("{error}"))
}

fn pairs(data: &Dataset) -> Vec<(u32, u32)> {
    data.train.pairs().collect()
}

/// Pairs under their original ids.
fn labels(data: &Dataset) -> Vec<(String, String)> {
    data.train.pairs().map(|(user, item)| (data.user_label(user), data.item_label(item))).collect()
}

fn text(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(user, item)| (user.to_string(), item.to_string())).collect()
}

#[test]
fn lightgcn_text_tolerates_order_blanks_bare_users_and_windows_line_ends() {
    let train = "\u{feff}1 3 0 \r\n0  2\t1\r\n\r\n2\r\n0 0\r\n";
    let data = read(&[("train.txt", train), ("test.txt", "1 2\n0 3\n")], "", &LoadOptions::default());
    assert_eq!(pairs(&data), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 3)]);
    assert_eq!(data.test.pairs().collect::<Vec<_>>(), [(0, 3), (1, 2)]);
    assert_eq!((data.num_users(), data.num_items()), (3, 4));
    assert_eq!(data.notes, [Note::UsersWithoutTrainItems { count: 1, first: "2".into() }]);
    assert_eq!((&data.user_ids, data.item_label(3).as_str()), (&None, "3"));
}

#[test]
fn lists_beside_lightgcn_text_give_original_ids_and_the_full_catalogue() {
    let files = [
        ("train.txt", "0 0\n1 1\n"),
        ("test.txt", "0 1\n"),
        ("user_list.txt", "org_id remap_id\nann 0\nbob 1\n"),
        ("item_list.txt", "org_id remap_id freebase\ntea 0 m.1\njam 1 m.2\nnever 2 m.3\n"),
    ];
    let data = read(&files, "", &LoadOptions { strict: true, ..Default::default() });
    assert_eq!(labels(&data), text(&[("ann", "tea"), ("bob", "jam")]));
    assert_eq!((data.num_items(), data.item_label(2).as_str()), (3, "never"));
}

#[test]
fn a_validation_part_is_found_by_name() {
    let data =
        read(&[("train.txt", "0 0 1\n"), ("test.txt", "0 2\n"), ("valid.txt", "0 3\n")], "", &LoadOptions::default());
    assert_eq!(data.validation.unwrap().items(0), [3]);
}

#[test]
fn ratings_count_from_the_base_that_occurs() {
    let one = read(&[("u.data", "1\t2\t5\n3\t1\t4\n2\t2\t1\n")], "u.data", &whole());
    assert_eq!(pairs(&one), [(0, 1), (1, 1), (2, 0)]);
    assert_eq!(one.user_label(2), "3");
    let zero = read(&[("u.data", "1\t2\t5\n0\t1\t4\n2\t0\t1\n")], "u.data", &whole());
    assert_eq!(pairs(&zero), [(0, 1), (1, 2), (2, 0)]);
    assert_eq!(zero.user_ids, None);
}

#[test]
fn every_separator_of_ratings_reads_alike() {
    let expected = [(0, 1), (1, 0)];
    for separator in ["\t", "::", ",", ";", "|", " ", "   "] {
        let content = ["1", "2", "3.5e0", "881250949"].join(separator) + "\r\n" + &["2", "1", "1", "5"].join(separator);
        let options = LoadOptions { format: Some(Format::Ratings), ..whole() };
        let data = read(&[("some", &content)], "some", &options);
        assert_eq!(pairs(&data), expected, "separator {separator:?}");
    }
}

#[test]
fn sparse_ratings_ids_are_renumbered_in_ascending_order_with_a_note() {
    let data = read(&[("ratings.dat", "1::900000::5\n2::17::4\n1::5::3\n")], "ratings.dat", &whole());
    assert_eq!(data.item_ids.as_deref().unwrap(), ["5", "17", "900000"]);
    assert_eq!(pairs(&data), [(0, 0), (0, 2), (1, 1)]);
    assert_eq!(data.notes, [Note::Relabelled { side: Side::Item, ids: 3, largest: 900_000 }]);
}

#[test]
fn a_minimum_rating_keeps_the_catalogue_and_says_what_it_left_out() {
    let options = LoadOptions { min_rating: Some(4.0), ..whole() };
    let data = read(&[("u.data", "1\t1\t5\n1\t2\t3\n2\t3\t4\n3\t1\t3.9\n")], "u.data", &options);
    assert_eq!(pairs(&data), [(0, 0), (1, 2)]);
    assert_eq!((data.num_users(), data.num_items()), (3, 3));
    assert_eq!(data.notes[0], Note::BelowMinRating { file: "u.data".into(), rows: 2 });
    assert_eq!(data.notes[1], Note::UsersWithoutTrainItems { count: 1, first: "3".into() });
}

#[test]
fn recbole_columns_may_stand_anywhere() {
    let content = "rating:float\titem_id:token\ttags:token_seq\tuser_id:token\n5\tx9\ta b\tu7\n2\tx1\tc\tu7\n";
    let data = read(&[("set.inter", content)], "", &whole());
    assert_eq!(labels(&data), text(&[("u7", "x9"), ("u7", "x1")]));
    let liked = read(&[("set.inter", content)], "", &LoadOptions { min_rating: Some(3.0), ..whole() });
    assert_eq!(labels(&liked), text(&[("u7", "x9")]));
}

#[test]
fn recbole_parts_belong_together() {
    let row = |rows: &str| format!("user_id:token\titem_id:token\n{rows}");
    let (train, valid, test) = (row("a\tx\nb\ty\n"), row("a\ty\n"), row("b\tx\nb\tz\n"));
    let files = [("s.train.inter", train.as_str()), ("s.valid.inter", &valid), ("s.test.inter", &test)];
    let data = read(&files, "", &LoadOptions::default());
    assert_eq!((data.train.len(), data.validation.as_ref().unwrap().len(), data.test.len()), (2, 1, 2));
    assert_eq!(data.item_ids.unwrap(), ["x", "y", "z"]);
}

#[test]
fn csv_headers_quotes_and_usual_names_are_understood() {
    let content = "\"User ID\",note,movieId,Stars\n\"Ann, A.\",\"two\nlines\",tea,5\nbob,,\"ja\"\"m\",4\n";
    let data = read(&[("log.csv", content)], "", &whole());
    assert_eq!(labels(&data), text(&[("Ann, A.", "tea"), ("bob", "ja\"m")]));
}

#[test]
fn csv_columns_can_be_named_or_counted() {
    let content = "who;what;when\n7;30;3\n5;20;1\n5;30;2\n";
    let name = |name: &str| Some(Column::Name(name.into()));
    let columns = Columns { user: name("who"), item: name("what"), time: name("when"), rating: None };
    let by_name = read(&[("log.csv", content)], "log.csv", &LoadOptions { columns, ..whole() });
    assert_eq!(labels(&by_name), text(&[("5", "20"), ("5", "30"), ("7", "30")]));
    let index = |index| Some(Column::Index(index));
    let columns = Columns { user: index(0), item: index(1), ..Default::default() };
    let by_index = read(&[("log.csv", content)], "log.csv", &LoadOptions { columns: columns.clone(), ..whole() });
    assert_eq!(by_index.train, by_name.train);
    let bare = content.split_once('\n').unwrap().1;
    let without = LoadOptions { columns, header: Some(false), ..whole() };
    assert_eq!(read(&[("log.csv", bare)], "log.csv", &without).train, by_name.train);
    assert_eq!(read(&[("log.csv", bare)], "log.csv", &whole()).train, by_name.train);
}

#[test]
fn text_ids_are_numbered_by_first_occurrence_and_integers_by_size() {
    let words = read(&[("a.csv", "user,item\nzoe,10\nann,9\nzoe,9\n")], "a.csv", &whole());
    assert_eq!(words.user_ids.unwrap(), ["zoe", "ann"]);
    assert_eq!(words.item_ids.unwrap(), ["9", "10"]);
    let tokens = LoadOptions { ids: IdPolicy::Tokens, ..whole() };
    let mixed = read(&[("a.csv", "user,item\n7,10\n07,B1\n")], "a.csv", &tokens);
    assert_eq!(
        (mixed.user_ids.unwrap(), mixed.item_ids.unwrap()),
        (vec!["7".into(), "07".into()], vec!["10".to_string(), "B1".into()])
    );
}

#[test]
fn ids_can_be_kept_or_renumbered_at_will() {
    let files = [("a.csv", "user,item\n4,3\n1,5\n")];
    let kept = read(&files, "a.csv", &LoadOptions { ids: IdPolicy::ZeroBased, ..whole() });
    assert_eq!((kept.num_users(), kept.num_items(), pairs(&kept)), (5, 6, vec![(1, 5), (4, 3)]));
    assert_eq!(kept.notes[0], Note::IdGap { side: Side::User, absent: 3, first: 0 });
    let files = [("train.txt", "8 3\n1 5\n")];
    let relabelled = read(&files, "train.txt", &LoadOptions { ids: IdPolicy::Relabel, ..whole() });
    assert_eq!(pairs(&relabelled), [(0, 1), (1, 0)]);
    assert_eq!(relabelled.user_ids.unwrap(), ["1", "8"]);
}

#[test]
fn duplicates_and_shared_pairs_are_dropped_with_a_note() {
    let files = [("train.txt", "0 0 1 0\n1 2\n0 1\n"), ("test.txt", "0 1 2\n1 1\n")];
    let data = read(&files, "", &LoadOptions::default());
    assert_eq!(pairs(&data), [(0, 0), (0, 1), (1, 2)]);
    assert_eq!(data.test.pairs().collect::<Vec<_>>(), [(0, 2), (1, 1)]);
    assert_eq!(
        data.notes,
        [
            Note::DuplicatePairs { file: "train.txt".into(), dropped: 2, line: 1 },
            Note::HeldOutPairsInTrain { file: "test.txt".into(), count: 1 },
        ]
    );
}

#[test]
fn a_file_without_test_part_is_split_as_asked() {
    let rows: String =
        (0..10).flat_map(|user| (0..10).map(move |item| format!("{user},{item},5,{}\n", (item * 7) % 10))).collect();
    let content = format!("user,item,rating,time\n{rows}");
    let files = [("a.csv", content.as_str())];
    let with = |split, validation_fraction| LoadOptions {
        split,
        validation_fraction,
        test_fraction: 0.3,
        ..Default::default()
    };
    let data = read(&files, "", &with(Split::PerUser, 0.5));
    assert_eq!(data.test.user_degrees(), [3; 10]);
    assert_eq!(data.validation.as_ref().unwrap().user_degrees(), [3; 10]);
    assert_eq!(data.train.user_degrees(), [4; 10]);
    let data = read(&files, "", &with(Split::Random, 0.0));
    assert_eq!((data.train.len(), data.test.len(), data.validation.is_none()), (70, 30, true));
    // Time 9 is item 7, time 8 is item 4.
    let data = read(&files, "", &with(Split::LeaveOneOut, 0.1));
    assert!((0..10).all(|user| data.test.items(user) == [7] && data.validation.as_ref().unwrap().items(user) == [4]));
    // Without times the order of the lines decides.
    let untimed = read(&[("a.csv", "user,item\n1,9\n1,3\n1,5\n2,4\n")], "", &with(Split::LeaveOneOut, 0.0));
    assert_eq!((untimed.test.len(), untimed.item_label(untimed.test.items(0)[0]).as_str()), (1, "5"));
    let seeded = |seed| read(&files, "", &LoadOptions { seed, ..with(Split::PerUser, 0.0) }).test;
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
}

#[test]
fn given_files_are_read_whatever_their_names() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("one"), "0 1 2\n1 0\n").unwrap();
    fs::write(path("two"), "0 0\n").unwrap();
    let data = Dataset::from_files(path("one"), None, Some(&path("two")), &LoadOptions::default()).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.name.as_str()), (3, 1, "one"));
}
