//! Tables of embeddings and their files.

use contrastive_cli::table::{FileKind, Table};
use ndarray::array;
use std::path::Path;

fn table() -> Table {
    let ids = ["007", "a,b", "say \"x\""].map(String::from).to_vec();
    Table::new("items", array![[0.1, -2.5], [3.0, 1e-7], [0.0, 4.0]], ids)
        .with_labels(["red", "", "blue"].map(String::from).to_vec())
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/items.npy");
    let files = table().write(&path, FileKind::of(&path).unwrap()).unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!(Table::read(&path).unwrap(), table());
    assert_eq!(table().classes(), (vec![1, -1, 0], vec!["blue".to_string(), "red".into()]));
}

#[test]
fn comma_separated_rows_have_their_ids_and_exact_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.csv");
    table().write(&path, FileKind::Csv).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "id,class,x0,x1\n007,red,0.1,-2.5\n\"a,b\",,3,0.0000001\n\"say \"\"x\"\"\",blue,0,4\n");
}

#[test]
fn safetensors_hold_the_ids_in_their_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.safetensors");
    table().write(&path, FileKind::Safetensors).unwrap();
    let (state, metadata) = contrastive_train::read_safetensors(&path).unwrap();
    assert_eq!(state["items"].iter::<f32>().collect::<Vec<_>>(), [0.1, -2.5, 3.0, 1e-7, 0.0, 4.0]);
    assert_eq!(serde_json::from_str::<Vec<String>>(&metadata["ids"]).unwrap(), table().ids);
}

#[test]
fn an_unknown_id_names_the_nearest_and_another_ending_is_refused() {
    assert!(table().row("07").unwrap_err().message.contains("the nearest is \"007\""));
    assert!(FileKind::of(Path::new("x.txt")).unwrap_err().message.contains(".npy, .safetensors, .csv or .parquet"));
}

/// Worked out by hand: by the cosine the length of a row does not count, by the inner product it does; a row is not its own neighbour.
#[test]
fn neighbours_are_the_others_by_cosine_or_inner_product() {
    let folder = tempfile::tempdir().unwrap();
    let rows = array![[1.0f32, 0.0], [10.0, 10.0], [0.9, 0.1], [-1.0, 0.0]];
    let table = Table::new("rows", rows, ["a", "b", "c", "d"].map(String::from).to_vec());
    table.write(&folder.path().join("rows.npy"), FileKind::Npy).unwrap();
    let order = |more: &[&str]| {
        let text = crate::done(folder.path(), &[&["neighbors", "rows.npy", "--id", "a", "-k", "3"], more].concat());
        text.lines().skip(1).map(|row| row.split(',').nth(2).unwrap().to_string()).collect::<String>()
    };
    assert_eq!(order(&[]), "cbd");
    assert_eq!(order(&["--inner-product"]), "bcd");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let failure = table().write(&folder.path().join("x.parquet"), FileKind::Parquet).unwrap_err();
    assert!(failure.message.contains("--features parquet"), "{failure}");
}

/// Read back by the crate's own reader of rows.
#[cfg(feature = "parquet")]
#[test]
fn parquet_holds_ids_classes_and_lists() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{ListAccessor, RowAccessor};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.parquet");
    table().write(&path, FileKind::of(&path).unwrap()).unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    for (row, k) in rows.iter().zip(0..) {
        let list = row.get_list(2).unwrap();
        assert_eq!((row.get_string(0).unwrap(), row.get_string(1).unwrap()), (&table().ids[k], &table().labels[k]));
        let numbers: Vec<f32> = (0..list.len()).map(|at| list.get_float(at).unwrap()).collect();
        assert_eq!(numbers, table().rows.row(k).to_vec());
    }
}

#[cfg(not(feature = "approximate"))]
#[test]
fn the_graph_of_near_rows_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    table().write(&folder.path().join("rows.npy"), FileKind::Npy).unwrap();
    let (_, failed) =
        crate::fails(folder.path(), &["neighbors", "rows.npy", "--id", "007", "-k", "1", "--approximate"]);
    assert!(failed.contains("--features approximate"), "{failed}");
}

/// On 600 rows the graph finds what all rows say, nearly; a row is not its own neighbour, and the note counts.
#[cfg(feature = "approximate")]
#[test]
fn the_graph_of_near_rows_leads_to_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let rows = ndarray::Array2::from_shape_fn((600, 8), |(i, k)| ((i * 37 + k * 101) as f32 * 0.7).sin());
    let ids = (0..600).map(|row| row.to_string()).collect();
    Table::new("rows", rows, ids).write(&folder.path().join("rows.npy"), FileKind::Npy).unwrap();
    let near = |more: &[&str]| {
        let text =
            crate::done(folder.path(), &[&["neighbors", "rows.npy", "--id", "3,500", "-k", "10"], more].concat());
        text.lines().skip(1).map(String::from).collect::<std::collections::BTreeSet<String>>()
    };
    let (exact, led) = (near(&[]), near(&["--approximate"]));
    assert!(led.len() == 20 && led.intersection(&exact).count() >= 19, "{led:?}\n{exact:?}");
    assert!(led.iter().all(|line| !line.starts_with("3,") || line.split(',').nth(2) != Some("3")));
}
