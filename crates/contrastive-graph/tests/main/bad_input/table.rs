//! What a user may hand over, and the message that must come back.

use contrastive_graph::user_item::data::{Column, Columns, Format, IdPolicy, LoadOptions, Split};

/// One row of the table.
pub(super) struct Case {
    pub(super) what: &'static str,
    /// Name and content of the files in a fresh folder.
    pub(super) files: &'static [(&'static str, &'static [u8])],
    /// What is opened, relative to the folder.
    pub(super) open: &'static str,
    pub(super) options: LoadOptions,
    /// Parts of the message.
    pub(super) message: &'static [&'static str],
}

pub(super) fn lenient() -> LoadOptions {
    LoadOptions::default()
}

fn strict() -> LoadOptions {
    LoadOptions { strict: true, ..lenient() }
}

fn whole() -> LoadOptions {
    LoadOptions { split: Split::None, ..lenient() }
}

const SEVENTEENTH_IS_A_WORD: &[u8] =
    b"0 1\n1 0\n2 1\n3 0\n4 1\n5 0\n6 1\n7 0\n8 1\n9 0\n10 1\n11 0\n12 1\n13 0\n14 1\n15 0\n16 apple 1\n17 1\n";

pub(super) fn table() -> Vec<Case> {
    let column = |name: &str| Some(Column::Name(name.into()));
    vec![
        Case {
            what: "missing file",
            files: &[],
            open: "nowhere.txt",
            options: lenient(),
            message: &["nowhere.txt: no such file or directory", "train.txt and test.txt (LightGCN text)", ".inter"],
        },
        Case {
            what: "directory without data",
            files: &[("readme.md", b"hello"), ("notes.doc", b"hello")],
            open: "",
            options: lenient(),
            message: &["no supported interaction data here (found notes.doc, readme.md)", "looked for", "u.data"],
        },
        Case {
            what: "empty directory",
            files: &[],
            open: "",
            options: lenient(),
            message: &["(found nothing)", "looked for"],
        },
        Case {
            what: "training file without its test file",
            files: &[("train.txt", b"0 1 2\n")],
            open: "",
            options: lenient(),
            message: &["test.txt: no such file", "the test part that belongs to train.txt", "to split it"],
        },
        Case {
            what: "empty training file",
            files: &[("train.txt", b""), ("test.txt", b"0 1\n")],
            open: "",
            options: lenient(),
            message: &["train.txt: empty", "expected"],
        },
        Case {
            what: "blank lines only",
            files: &[("train.txt", b"\n \r\n\n"), ("test.txt", b"0 1\n")],
            open: "",
            options: lenient(),
            message: &["train.txt: empty", "expected"],
        },
        Case {
            what: "users, but no item",
            files: &[("train.txt", b"0\n1\n"), ("test.txt", b"0 1\n")],
            open: "",
            options: lenient(),
            message: &["train.txt: empty", "`0 12 845 31`"],
        },
        Case {
            what: "empty test file",
            files: &[("train.txt", b"0 1\n"), ("test.txt", b"")],
            open: "",
            options: lenient(),
            message: &["test.txt: empty", "expected"],
        },
        Case {
            what: "header without rows",
            files: &[("a.inter", b"user_id:token\titem_id:token\n")],
            open: "a.inter",
            options: lenient(),
            message: &["a.inter: empty", "user_id:token"],
        },
        Case {
            what: "non-numeric item at line 17",
            files: &[("train.txt", SEVENTEENTH_IS_A_WORD), ("test.txt", b"0 0\n")],
            open: "",
            options: lenient(),
            message: &["train.txt:17: item id \"apple\" is not valid", "allowed: a whole number from 0 up"],
        },
        Case {
            what: "fractional user",
            files: &[("u.data", b"1\t2\t3\n1.5\t2\t3\n")],
            open: "u.data",
            options: LoadOptions { ids: IdPolicy::ZeroBased, ..lenient() },
            message: &["u.data:2: user id \"1.5\" is not valid", "allowed: a whole number"],
        },
        Case {
            what: "id of twenty digits",
            files: &[("train.txt", b"0 1\n1 99999999999999999999\n")],
            open: "train.txt",
            options: lenient(),
            message: &["train.txt:2: item id \"99999999999999999999\"", "at most 19 digits"],
        },
        Case {
            what: "negative item, LightGCN text",
            files: &[("train.txt", b"0 1\n1 -4 2\n")],
            open: "train.txt",
            options: lenient(),
            message: &["train.txt:2: item id \"-4\" is negative", "allowed: ids from 0 up"],
        },
        Case {
            what: "negative user, ratings",
            files: &[("u.data", b"1\t2\t3\n-1\t2\t3\n")],
            open: "u.data",
            options: LoadOptions { ids: IdPolicy::ZeroBased, ..lenient() },
            message: &["u.data:2: user id \"-1\" is negative"],
        },
        Case {
            what: "negative item, RecBole",
            files: &[("a.inter", b"user_id:token\titem_id:token\n1\t4\n1\t-7\n")],
            open: "a.inter",
            options: LoadOptions { ids: IdPolicy::ZeroBased, ..lenient() },
            message: &["a.inter:3: item id \"-7\" is negative"],
        },
        Case {
            what: "negative user in the first row, CSV without header",
            files: &[("a.csv", b"-1,2\n3,4\n")],
            open: "a.csv",
            options: LoadOptions { ids: IdPolicy::ZeroBased, ..lenient() },
            message: &["a.csv:1: user id \"-1\" is negative"],
        },
        Case {
            what: "id 0 where ids count from 1",
            files: &[("u.data", b"1\t2\t3\n2\t1\t3\n2\t0\t3\n")],
            open: "u.data",
            options: LoadOptions { ids: IdPolicy::OneBased, ..lenient() },
            message: &["u.data:3: item id \"0\" is not valid", "allowed: ids from 1 up"],
        },
        Case {
            what: "user id gap, strict",
            files: &[("train.txt", b"0 0 1\n3 0\n1 1\n"), ("test.txt", b"0 2\n")],
            open: "",
            options: strict(),
            message: &["train.txt:2: user ids have gaps: id 2", "largest, 3", "IdPolicy::Relabel"],
        },
        Case {
            what: "item id gap in the test part, strict",
            files: &[("train.txt", b"0 0 1\n1 0\n"), ("test.txt", b"0 2\n1 5\n")],
            open: "",
            options: strict(),
            message: &["test.txt:2: item ids have gaps: id 3 and 1 more never occur", "largest, 5"],
        },
        Case {
            what: "stray huge id, lenient",
            files: &[("train.txt", b"0 0 1\n1 4000000000\n")],
            open: "train.txt",
            options: lenient(),
            message: &["train.txt:2: item ids have gaps", "largest, 4000000000"],
        },
        Case {
            what: "user without items, strict",
            files: &[("train.txt", b"0 0 1\n1\n2 1\n"), ("test.txt", b"0 2\n")],
            open: "",
            options: strict(),
            message: &["train.txt: user \"1\" has no training items", "at least one for every user", "(line 2)"],
        },
        Case {
            what: "user whom min_rating leaves without items, strict",
            files: &[("u.data", b"1\t1\t5\n2\t1\t2\n2\t2\t1\n")],
            open: "u.data",
            options: LoadOptions { min_rating: Some(3.0), ..strict() },
            message: &["u.data: user \"2\" has no training items"],
        },
        Case {
            what: "test user absent from train, strict",
            files: &[("train.txt", b"0 0 1\n1 2\n"), ("test.txt", b"0 2\n2 1\n")],
            open: "",
            options: strict(),
            message: &["test.txt:2: test user \"2\" is absent from the training data", "allowed in strict reading"],
        },
        Case {
            what: "duplicate pair inside a line, strict",
            files: &[("train.txt", b"0 0 1\n1 1 0 1\n"), ("test.txt", b"0 2\n")],
            open: "",
            options: strict(),
            message: &[
                "train.txt:2: duplicate pair: user \"1\", item \"1\" occurred at line 2 already",
                "each pair once",
            ],
        },
        Case {
            what: "duplicate pair, original ids, strict",
            files: &[("a.csv", b"user,item\nann,tea\nbob,tea\nann,jam\n\nann,tea\n")],
            open: "a.csv",
            options: strict(),
            message: &["a.csv:6: duplicate pair: user \"ann\", item \"tea\" occurred at line 2 already"],
        },
        Case {
            what: "test pair that is a training pair, strict",
            files: &[("train.txt", b"0 0 1\n1 2\n"), ("test.txt", b"1 0\n0 2 1\n")],
            open: "",
            options: strict(),
            message: &["test.txt:2: test pair user \"0\", item \"1\" is a training pair too", "disjoint"],
        },
        Case {
            what: "NaN rating",
            files: &[("u.data", b"1\t1\t5\n1\t2\tNaN\n")],
            open: "u.data",
            options: LoadOptions { min_rating: Some(1.0), ..lenient() },
            message: &["u.data:2: rating \"NaN\" is not a finite number", "allowed: numbers"],
        },
        Case {
            what: "infinite rating, RecBole",
            files: &[("a.inter", b"user_id:token\titem_id:token\trating:float\n1\t1\t5\n1\t2\tinf\n")],
            open: "a.inter",
            options: LoadOptions { min_rating: Some(1.0), ..lenient() },
            message: &["a.inter:3: rating \"inf\" is not a finite number"],
        },
        Case {
            what: "rating that is a word, CSV",
            files: &[("a.csv", b"user,item,rating\n1,1,5\n1,2,good\n")],
            open: "a.csv",
            options: LoadOptions { min_rating: Some(1.0), ..lenient() },
            message: &["a.csv:3: rating \"good\" is not a finite number"],
        },
        Case {
            what: "time that is a word, when times decide",
            files: &[("a.csv", b"user,item,time\n1,1,5\n1,2,noon\n")],
            open: "a.csv",
            options: LoadOptions { split: Split::LeaveOneOut, ..lenient() },
            message: &["a.csv:3: time \"noon\" is not a finite number"],
        },
        Case {
            what: "time among dates, when times decide",
            files: &[("a.csv", b"user,item,time\n1,1,2010-10-01\n1,2,12\n")],
            open: "a.csv",
            options: LoadOptions { split: Split::LeaveOneOut, ..lenient() },
            message: &["a.csv:3: time \"12\" is not a finite number or a date", "dates, as in the rows before"],
        },
        Case {
            what: "quote that is never closed",
            files: &[("a.csv", b"user,item\na,\"b\nc,d\n")],
            open: "a.csv",
            options: lenient(),
            message: &["a.csv:2: a quote that is opened and never closed", "allowed"],
        },
        Case {
            what: "NUL byte",
            files: &[("a.csv", b"user,item\na,b\nc,\0\n")],
            open: "a.csv",
            options: lenient(),
            message: &["a.csv:3: a NUL byte", "UTF-8 text"],
        },
        Case {
            what: "file above the limit",
            files: &[("a.csv", b"user,item\na,b\n")],
            open: "a.csv",
            options: LoadOptions { max_bytes: 5, ..lenient() },
            message: &["a.csv: the size in bytes is 14; allowed: at most 5"],
        },
        Case {
            what: "leading zeros where ids count",
            files: &[("train.txt", b"0 01\n1 2 3\n")],
            open: "train.txt",
            options: lenient(),
            message: &["train.txt:1: item id \"01\" is not valid", "without leading zeros", "--ids tokens"],
        },
        Case {
            what: "lists or ratings",
            files: &[("a.txt", b"0 13 4\n1 17 5\n2 20 1\n3 11 3\n")],
            open: "a.txt",
            options: lenient(),
            message: &["may be a user and two items, or a user, an item and a rating", "--format"],
        },
        Case {
            what: "row too short, ratings",
            files: &[("u.data", b"1\t1\t5\t9\n1\t2\n")],
            open: "u.data",
            options: lenient(),
            message: &["u.data:2: 2 columns, allowed: 4, as in the first row"],
        },
        Case {
            what: "one column only",
            files: &[("u.data", b"1\n2\n")],
            open: "u.data",
            options: lenient(),
            message: &["u.data:1: 1 columns, allowed: 2 to 4 (user, item, rating, time)"],
        },
        Case {
            what: "row too long, CSV",
            files: &[("a.csv", b"user,item\r\n1,1\r\n\r\n1,2,3\r\n")],
            open: "a.csv",
            options: lenient(),
            message: &["a.csv:4: 3 columns, allowed: 2, as in the first row, in \"1 2 3\""],
        },
        Case {
            what: "row too short, RecBole",
            files: &[("a.inter", b"user_id:token\titem_id:token\n1\t1\n2\n")],
            open: "a.inter",
            options: lenient(),
            message: &["a.inter:3: 1 columns, allowed: 2"],
        },
        Case {
            what: "empty id, CSV",
            files: &[("a.csv", b"user,item\n1,1\n,2\n")],
            open: "a.csv",
            options: lenient(),
            message: &["a.csv:3: user id \"\" is not valid", "not empty"],
        },
        Case {
            what: "no item column, CSV",
            files: &[("a.csv", b"user,thing\n1,1\n")],
            open: "a.csv",
            options: lenient(),
            message: &["a.csv: no item column; found user, thing", "LoadOptions::columns"],
        },
        Case {
            what: "named column that is not there",
            files: &[("a.csv", b"user,item\n1,1\n")],
            open: "a.csv",
            options: LoadOptions { columns: Columns { item: column("film"), ..Default::default() }, ..lenient() },
            message: &["a.csv: no item (\"film\") column; found user, item"],
        },
        Case {
            what: "column number that is not there",
            files: &[("u.data", b"1\t1\t5\n")],
            open: "u.data",
            options: LoadOptions {
                columns: Columns { rating: Some(Column::Index(3)), ..Default::default() },
                ..lenient()
            },
            message: &["u.data: no rating (number 3 (from 0)) column", "a position below 3"],
        },
        Case {
            what: "min_rating without ratings, LightGCN text",
            files: &[("train.txt", b"0 1\n")],
            open: "train.txt",
            options: LoadOptions { min_rating: Some(3.0), ..lenient() },
            message: &["train.txt: no rating column", "min_rating only with data that has ratings"],
        },
        Case {
            what: "min_rating without ratings, CSV",
            files: &[("a.csv", b"user,item\n1,1\n")],
            open: "a.csv",
            options: LoadOptions { min_rating: Some(3.0), ..lenient() },
            message: &["a.csv: no rating column; found user, item"],
        },
        Case {
            what: "min_rating above every rating",
            files: &[("u.data", b"1\t1\t5\n1\t2\t4\n")],
            open: "u.data",
            options: LoadOptions { min_rating: Some(5.5), ..lenient() },
            message: &["u.data: no training interaction is left", "min_rating = 5.5"],
        },
        Case {
            what: "untyped RecBole header",
            files: &[("a.inter", b"user_id\titem_id\n1\t1\n")],
            open: "a.inter",
            options: lenient(),
            message: &["a.inter:1: header field \"user_id\" is not valid", "name:type", "token"],
        },
        Case {
            what: "RecBole header without an item column",
            files: &[("a.inter", b"user_id:token\trating:float\n1\t1\n")],
            open: "a.inter",
            options: lenient(),
            message: &["a.inter: no item column; found user_id, rating"],
        },
        Case {
            what: "list of original ids with another header",
            files: &[("train.txt", b"0 0\n"), ("test.txt", b"0 1\n"), ("item_list.txt", b"item number\n7 0\n")],
            open: "",
            options: lenient(),
            message: &["item_list.txt:1: header field \"item number\"", "org_id remap_id"],
        },
        Case {
            what: "list of original ids, cut off",
            files: &[("train.txt", b"0 0\n"), ("test.txt", b"0 1\n"), ("item_list.txt", b"org_id remap_id\n7 0\n9\n")],
            open: "",
            options: lenient(),
            message: &["item_list.txt:3: 1 columns, allowed: 2"],
        },
        Case {
            what: "bytes that are not text, as ids",
            files: &[("a.csv", b"user,item\nann,tea\nbob,\xff\xfe\n")],
            open: "a.csv",
            options: lenient(),
            message: &["a.csv:3: not UTF-8 text"],
        },
        Case {
            what: "binary file",
            files: &[("train.npz", b"PK\x03\x04\x00\x00\x00")],
            open: "train.npz",
            options: lenient(),
            message: &["train.npz: no supported interaction data here (found binary data)"],
        },
        Case {
            what: "a directory where a file is due",
            files: &[("train.txt/inside.md", b""), ("test.txt", b"0 1\n")],
            open: "",
            options: LoadOptions { format: Some(Format::LightGcn), ..lenient() },
            message: &["no supported interaction data here (found test.txt, train.txt/)"],
        },
        Case {
            what: "test fraction of one",
            files: &[("u.data", b"1\t1\t5\n")],
            open: "u.data",
            options: LoadOptions { test_fraction: 1.0, ..lenient() },
            message: &["test_fraction = 1 is not valid", "0 to 1, 1 excluded"],
        },
        Case {
            what: "validation fraction that is not a number",
            files: &[("u.data", b"1\t1\t5\n")],
            open: "u.data",
            options: LoadOptions { validation_fraction: f64::NAN, ..lenient() },
            message: &["validation_fraction = NaN is not valid"],
        },
        Case {
            what: "minimum rating that is not a number",
            files: &[("u.data", b"1\t1\t5\n")],
            open: "u.data",
            options: LoadOptions { min_rating: Some(f64::NAN), ..whole() },
            message: &["min_rating = NaN is not valid", "a finite number"],
        },
    ]
}
