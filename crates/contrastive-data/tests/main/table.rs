//! Delimited text: delimiters, headers, comments, quotes, and atomic files.

use std::path::Path;

use contrastive_data::{
    Atomic, Column, Delimiter, Doubt, FieldType, FileError, FileNote, Row, Table, TableOptions, is_atomic,
};

type Read = (Vec<(usize, Vec<String>)>, Option<Vec<String>>, Vec<FileNote>);

fn read_with(text: &str, options: &TableOptions<'_>) -> Result<Read, FileError> {
    let table = Table::parse(Path::new("a.csv"), text.as_bytes(), options)?;
    collect(&table)
}

fn collect(table: &Table<'_>) -> Result<Read, FileError> {
    let (mut rows, mut row, mut all) = (table.rows(), Row::default(), Vec::new());
    while rows.read(&mut row)? {
        all.push((row.line, row.fields.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect()));
    }
    let notes = table.notes().iter().cloned().chain(rows.note()).collect();
    Ok((all, table.header().map(<[String]>::to_vec), notes))
}

fn read(text: &str) -> Read {
    read_with(text, &TableOptions::default()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn rows(text: &str) -> Vec<Vec<String>> {
    read(text).0.into_iter().map(|row| row.1).collect()
}

fn message(text: &str) -> String {
    read_with(text, &TableOptions::default()).unwrap_err().to_string()
}

#[test]
fn every_delimiter_is_found() {
    for delimiter in ["\t", ",", ";", "|", "::", " ", "   "] {
        let text = [["1", "2", "3.5"], ["4", "5", "1"]].map(|row| row.join(delimiter)).join("\n");
        assert_eq!(rows(&text), [["1", "2", "3.5"], ["4", "5", "1"]], "{delimiter:?}");
    }
    // decimal commas, dates with blanks, and texts with commas do not mislead
    assert_eq!(rows("1;2;3,5\n4;5;1,0\n"), [["1", "2", "3,5"], ["4", "5", "1,0"]]);
    assert_eq!(rows("1\t2\t2010-10-01 23:55:27\n3\t4\t2010-10-02 03:01:00\n")[1][2], "2010-10-02 03:01:00");
    assert_eq!(
        rows("7::One, Two (1995)::Comedy|Drama\n8::Three (1996)::Drama\n")[0],
        ["7", "One, Two (1995)", "Comedy|Drama"]
    );
    assert_eq!(rows("New York,ann lee\nRome,bob\n"), [["New York", "ann lee"], ["Rome", "bob"]]);
}

#[test]
fn a_delimiter_in_doubt_is_noted() {
    let (rows, _, notes) = read("1\t2,3\n4\t5,6\n");
    assert_eq!(rows[0].1, ["1", "2,3"]);
    assert_eq!(notes, [FileNote::Delimiter { file: "a.csv".into(), taken: Delimiter::Tab, other: Delimiter::Comma }]);
    assert_eq!(read("1,2\n3,4\n").2, []);
}

#[test]
fn a_header_is_what_cannot_be_data() {
    let header = |text: &str| read(text).1.is_some();
    assert!(
        header("node_1,node_2\n0,1\n1,2\n")
            && header("whatever else\n0 1\n1 2\n")
            && header("a,b,when\nx,y,2010-10-01\n")
    );
    assert!(!header("u v\nv w\nw x\n") && !header("B00,5\n17,5\n18,4\n"));
    assert!(!header("1,2\n3,4\n") && !header("anna,tea\n"));
    assert_eq!(read("what,ever\n0,1\n").2.len(), 1, "names nobody knows are noted");
    let known = TableOptions { names: &["user", "item"], doubt: Doubt::Names, ..Default::default() };
    let (rows, header, notes) = read_with("User,item\nanna,tea\n", &known).unwrap();
    assert_eq!((rows.len(), header.is_some(), notes.len()), (1, true, 0));
    assert_eq!(read_with("anna,tea\nbert,milk\n", &known).unwrap().0.len(), 2);
    let given = |header| TableOptions { header: Some(header), ..Default::default() };
    assert_eq!(read_with("0,1\n2,3\n", &given(true)).unwrap().0.len(), 1);
    assert_eq!(read_with("a,b\n2,3\n", &given(false)).unwrap().0.len(), 2);
}

#[test]
fn comments_stand_before_the_data_only() {
    let (rows, _, notes) = read("# a remark\n#\n% another, one\n0,1\n1,2\n");
    assert_eq!((rows.len(), rows[0].0, notes.len()), (2, 4, 0));
    assert_eq!(self::rows("src,dst\n#rust,#burn\n#burn,ml\nml,#rust\n").len(), 4);
    assert_eq!(self::rows("#rust,#burn\n#burn,ml\nml,#rust\n").len(), 3);
    let (rows, _, notes) = read("#1,2\n3,4\n");
    assert_eq!((rows.len(), &notes[..]), (1, &[FileNote::Comments { file: "a.csv".into(), count: 1, line: 1 }][..]));
    let (rows, _, notes) = read("1 2\n# the rest\n3 4\n# x\n");
    assert_eq!((rows.len(), &notes[..]), (2, &[FileNote::Comments { file: "a.csv".into(), count: 2, line: 2 }][..]));
}

#[test]
fn quotes_hold_delimiters_lines_and_quotes() {
    let (rows, _, _) = read("1,\"a, b\",x\n2,\"two\r\nlines\",y\n3, \"ja\"\"m\" ,z\n4,5\" pipe,\n");
    let second: Vec<&str> = rows.iter().map(|row| &row.1[1][..]).collect();
    assert_eq!(second, ["a, b", "two\r\nlines", "ja\"m", "5\" pipe"]);
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 4, 5]);
}

#[test]
fn quotes_in_the_wrong_place_are_errors_with_their_line() {
    assert!(message("user,item\na,\"b\nc,d\ne,f\ng,h\n").contains("a.csv:2: a quote that is opened and never closed"));
    assert!(message("1,2,\"Foo\n3,4,x\n5,6,\"Bar\"\n7,8,y\n").contains("a.csv:1: text after a closing quote"));
    let far: String = (0..5000).map(|n| format!("{n},1,x\n")).collect();
    assert!(message(&format!("{far}9,9,\"Foo\n3,4,x\n")).contains("a.csv:5001: a quote that is opened"));
    assert_eq!(rows("1::\"x::2\n").len(), 1);
}

#[test]
fn rows_of_another_width_are_errors_with_their_line() {
    assert!(message("1,2\n\n3,4,5\n").contains("a.csv:3: 3 columns, allowed: 2, as in the first row"));
    // blanks that divide all rows alike do not win over commas of which one is missing
    assert!(message("1,2010-10-01 10:00\n2,2010-10-02 10:00\n3 2010-10-02 10:00\n").contains("a.csv:3: 1 columns"));
    // a delimiter at the end of the lines is no column; an empty last field is one
    assert_eq!(rows("a\tb\n1\t2\t\n3\t4\t\n"), [["1", "2"], ["3", "4"]]);
    assert_eq!(rows("1\t2\t\n3\t4\t5\n"), [["1", "2", ""], ["3", "4", "5"]]);
}

#[test]
fn columns_are_found_by_name_and_position() {
    let table = Table::parse(Path::new("a.csv"), b"User_ID,parent asin,x\n1,2,3\n", &TableOptions::default()).unwrap();
    assert_eq!((table.find(&["item", "parentasin"]), table.find(&["rating"])), (Some(1), None));
    let at = |text: &str| table.position(&text.parse::<Column>().unwrap(), "item");
    assert_eq!((at("x").unwrap(), at("2").unwrap(), at("userid").unwrap()), (2, 2, 0));
    assert!(
        at("3").unwrap_err().to_string().contains("no item (number 3 (from 0)) column; found User_ID, parent asin, x")
    );
}

#[test]
fn atomic_files_have_types_and_empty_fields() {
    let text = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n0\t\"0\t4\t\n#1\t2\t\t9\n";
    assert!(is_atomic(text.as_bytes()) && !is_atomic(b"user:token,item:token\n"));
    let atomic = Atomic::parse(Path::new("d.inter"), text.as_bytes()).unwrap();
    assert_eq!(atomic.types[1..3], [FieldType::Token, FieldType::Float]);
    let (rows, header, _) = collect(&atomic.table).unwrap();
    assert_eq!(header.unwrap()[3], "timestamp");
    assert_eq!(
        rows,
        [
            (2, vec!["0".into(), "\"0".into(), "4".into(), "".into()]),
            (3, vec!["#1".to_string(), "2".into(), "".into(), "9".into()])
        ]
    );
    let error = Atomic::parse(Path::new("d.inter"), b"user_id\titem_id:token\n").unwrap_err().to_string();
    assert!(error.contains("d.inter:1: header field \"user_id\"") && error.contains("name:type"), "{error}");
}

#[test]
fn a_file_without_rows_is_a_table_of_no_width() {
    for text in ["", "\n\r\n", "# only remarks\n"] {
        let table = Table::parse(Path::new("a.csv"), text.as_bytes(), &TableOptions::default()).unwrap();
        assert_eq!((table.width(), collect(&table).unwrap().0.len()), (0, 0));
    }
}
