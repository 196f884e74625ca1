//! Input that is wrong: an error that says what, where, and what is allowed; and files of random bytes, which never panic.

use crate::data::Files;
use crate::generator;
use contrastive_timeseries::data::*;
use ndarray::{Array2, array};
use rand::RngExt;
use std::fmt::Debug;

#[track_caller]
fn says<T: Debug>(result: Result<T, SeriesError>, texts: &[&str]) {
    let error = result.unwrap_err().to_string();
    assert!(error.len() < 500, "{} characters", error.len());
    for text in texts {
        assert!(error.contains(text), "{text:?} is not in: {error}");
    }
}

#[test]
fn files_say_where() {
    let files = Files::new();
    let put = |name: &str, text: &str| files.put(name, text);
    says(read_ucr_tsv(put("a.tsv", "1\t2\tx3\n")), &["a.tsv, line 1", "\"x3\" is not a number"]);
    says(read_ucr_tsv(put("a.tsv", "1\t2\t3\n1\t2\n")), &["line 2", "1 values, where line 1 has 2"]);
    says(read_ucr_tsv(put("a.tsv", "1\t2\tinf\n")), &["line 1", "infinite"]);
    says(read_ucr_tsv(put("a.tsv", "1\tNaN\tNaN\n")), &["line 1", "a series without values"]);
    says(read_ucr_tsv(put("a.tsv", "")), &["no series"]);
    says(read_ucr_tsv(files.0.path().join("none.tsv")), &["none.tsv"]);
    says(read_ts(put("a.ts", "@problemName a\n@classLabel true a b\n1,2:a\n")), &["line 3", "before @data"]);
    says(read_ts(put("a.ts", "@problemName a\n")), &["no @data line"]);
    says(read_ts(put("a.ts", "@timeStamps true\n@data\n")), &["line 1", "time stamps"]);
    says(
        read_ts(put("a.ts", "@classLabel true a\n@data\n1,2:3,4:a\n1,2:a\n")),
        &["line 4", "1 channels, where the first series has 2"],
    );
    says(
        read_ts(put("a.ts", "@classLabel true a\n@data\n1,2:3:a\n")),
        &["line 3", "channel 1 has 1 values, channel 0 has 2"],
    );
    says(read_ts(put("a.ts", "@classLabel true a\n@data\n1,2:b\n")), &["class \"b\""]);
    says(
        read_arff(put("a.arff", "@relation a\n@attribute x string\n")),
        &["line 2", "not numeric, relational or a class"],
    );
    says(read_arff(put("a.arff", "@relation a\n@data\n1,2\n")), &["neither numeric attributes nor one relational"]);
    says(
        read_arff(put("a.arff", "@attribute x numeric\n@attribute c {a}\n@data\n1,2,a\n")),
        &["line 4", "2 values for 1 numeric attributes"],
    );
    let table = |text: &str| read_table(put("a.csv", text), &TableOptions::default());
    says(table("t,a\n2016-01-02,1\n2016-01-01,1\n"), &["line 3", "is not after that of the line before"]);
    says(table("t,a\n2016-01-02,1\n2016-01-02,1\n"), &["line 3", "is not after"]);
    says(table("t,a\n2016-01-32,1\n"), &["line 2", "is not a time"]);
    says(table("t,a\n2016-01-02,1,2\n"), &["line 2", "3 cells, where the first line has 2"]);
    says(
        read_table(put("a.csv", "a\n1\n"), &TableOptions { time: Some(3), ..TableOptions::default() }),
        &["the time is in column 3"],
    );
    says(read_hmp(put("h/Walk/none.txt", "").parent().unwrap().parent().unwrap()), &["-PERSON"]);
    says(
        read_hmp({
            put("g/Walk/a-f1.txt", "1 2 64\n");
            files.0.path().join("g")
        }),
        &["line 1", "not in 0..=63"],
    );
    says(read_wfdb(put("r.hea", "r 1 100 4\nr.dat 80 200\n")), &["line 2", "format \"80\""]);
    says(read_wfdb(put("r.hea", "r 1 100 4\nr.dat 16 200\n")), &["r.dat"]);
    says(read_wfdb(put("r.hea", "r 1 100 4\n../r.dat 16 200\n")), &["not beside the header"]);
    files.put("r.dat", [0, 0]);
    says(read_wfdb(put("r.hea", "r 1 100 4\nr.dat 16 200\n")), &["2 bytes; 4 samples of format 16 are 8"]);
    says(read_annotations(files.put("r.atr", [1, 4 << 2, 7]), 5), &["ends within an annotation"]);
}

#[test]
fn series_say_which() {
    let plain = || Series::new(vec![Array2::ones((4, 2)), Array2::zeros((3, 2))]).unwrap();
    says(Series::new(vec![]), &["no series"]);
    says(Series::new(vec![Array2::ones((3, 1)), Array2::ones((3, 2))]), &["series 1 has 2 channels, series 0 has 1"]);
    says(Series::new(vec![Array2::ones((3, 1)), Array2::ones((0, 1))]), &["series 1 has no time steps"]);
    says(plain().with_labels(Names::new(&["a"])), &["1 labels for 2 series"]);
    says(plain().with_times(vec![vec![1, 2, 3, 3], vec![1, 2, 3]]), &["series 0", "step 3 is not after"]);
    says(plain().with_times(vec![vec![1, 2], vec![1, 2, 3]]), &["not one for each step"]);
    says(plain().select(&[5]), &["series 5 is out of range; there are 2"]);
    says(plain().steps(2..4), &["steps 2..4"]);
    says(plain().equal_length("COMET"), &["COMET needs series of one length; there are 3 to 4 steps"]);
    let (train, test) =
        (plain().with_labels(Names::new(&["a", "b"])).unwrap(), plain().with_labels(Names::new(&["a", "c"])).unwrap());
    says(test.labelled_as(&train), &["class \"c\" has no training series"]);
    says(calendar_columns(&plain()), &["without times"]);
    says(
        Scaling::fit(&Series::new(vec![array![[1.0, 2.0], [1.0, 3.0]]]).unwrap(), Over::Channels),
        &["channel 0", "constant"],
    );
    let missing = Series::new(vec![array![[1.0, f32::NAN], [2.0, f32::NAN]]]).unwrap();
    says(Scaling::fit(&missing, Over::Channels), &["channel 1", "missing"]);
    says(
        Scaling::fit(&plain(), Over::Everything).unwrap().apply(&Series::new(vec![Array2::ones((2, 1))]).unwrap()),
        &["2 channels for series of 1"],
    );
    says(missing.without_missing("AutoTCL"), &["series 0, step 0, channel 1", "AutoTCL"]);
}

#[test]
fn files_of_random_bytes_are_errors_or_series() {
    let files = Files::new();
    let mut rng = generator(1);
    let seeds = [
        "1\t2\t3\n",
        "@classLabel true a\n@data\n1,2:a\n",
        "@attribute x numeric\n@attribute c {a}\n@data\n1,a\n",
        "t,a\n2016-01-02,1\n",
        "r 1 100 2\nr.dat 212 200 11 0 0 0 0 I\n",
        "\u{93}NUMPY",
    ];
    files.put("r.dat", [1, 2, 3]);
    for round in 0..400 {
        let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..=bytes.len());
            match rng.random_range(0..3) {
                0 if at < bytes.len() => bytes[at] = rng.random(),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\t,:\n@0-"[rng.random_range(0..7)]),
            }
        }
        let path = files.put("fuzz.hea", &bytes);
        let short = |error: Option<SeriesError>| assert!(error.is_none_or(|e| e.to_string().len() < 500));
        short(read_ucr_tsv(&path).err());
        short(read_ts(&path).err());
        short(read_arff(&path).err());
        short(read_table(&path, &TableOptions::default()).err());
        short(read_wfdb(&path).err());
        short(read_annotations(&path, 100).err());
        short(read_npy(&path, Axes::SeriesByTime).err());
    }
}
