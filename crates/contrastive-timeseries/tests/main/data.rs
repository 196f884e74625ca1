//! Readers, windows, scaling: small files by hand, the real sets where they are.

use crate::reference::{present, shared};
use contrastive_timeseries::data::*;
use ndarray::{Array2, array};
use std::path::{Path, PathBuf};

pub struct Files(pub tempfile::TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn real(name: &str) -> Option<PathBuf> {
    present(shared()?.join("data").join(name))
}

#[test]
fn tsv_maps_labels_and_cuts_padding() {
    let files = Files::new();
    let path = files.put("a.tsv", "-1\t1.5\t2\tNaN\n1\t3\tNaN\t4\n10\t5\t6\t7\n");
    let series = read_ucr_tsv(path).unwrap();
    assert_eq!((series.len(), series.of(0).nrows(), series.of(1).nrows()), (3, 2, 3));
    assert!(series.of(1)[[1, 0]].is_nan());
    let labels = series.labels().unwrap();
    assert_eq!((labels.ids.as_slice(), labels.names.join(" ")), (&[0, 1, 2][..], "-1 1 10".to_string()));
}

#[test]
fn ts_and_arff_of_the_same_cases_are_equal() {
    let files = Files::new();
    let ts = files.put(
        "a.ts",
        "# a comment\n@problemName a\n@classLabel true low high\n@data\n1,2,3:4,5,?:low\n6,7,8:9,10,11:high\n",
    );
    let arff = files.put(
        "a.arff",
        "% comment\n@relation a\n@attribute x relational\n  @attribute t0 numeric\n  @attribute t1 numeric\n  @attribute t2 numeric\n@end x\n@attribute class {low,high}\n@data\n'1,2,3\\n4,5,?',low\n'6,7,8\\n9,10,11',high\n",
    );
    let (a, b) = (read_ts(ts).unwrap(), read_arff(arff).unwrap());
    assert_eq!(a.of(1), array![[6.0, 9.0], [7.0, 10.0], [8.0, 11.0]]);
    assert_eq!(a.of(1), b.of(1));
    assert!(a.of(0)[[2, 1]].is_nan() && b.of(0)[[2, 1]].is_nan());
    assert_eq!(a.labels().unwrap(), b.labels().unwrap());
    let plain = files.put(
        "u.arff",
        "@relation u\n@attribute a numeric\n@attribute b real\n@attribute c {-1,1}\n@data\n0.5,1,-1\n2,3,1\n",
    );
    let u = read_arff(plain).unwrap();
    assert_eq!(u.of(1), array![[2.0], [3.0]]);
}

#[test]
fn tables_have_times_names_and_missing_cells() {
    let files = Files::new();
    let text = "date,a,b\n2016-07-01 00:00:00,1,\n2016-07-01 01:00:00,2,4\n";
    let plain = read_table(files.put("a.csv", text), &TableOptions::default()).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    let gz = read_table(files.put("a.csv.gz", packed.finish().unwrap()), &TableOptions::default()).unwrap();
    assert_eq!(plain.channel_names(), ["a", "b"]);
    assert_eq!(plain.times().unwrap()[0], [1_467_331_200, 1_467_334_800]);
    assert!(plain.of(0)[[0, 1]].is_nan() && plain.of(0)[[1, 1]] == 4.0);
    assert_eq!(gz.times().unwrap(), plain.times().unwrap());
    let calendar = calendar_columns(&plain).unwrap();
    assert_eq!(calendar[0].row(1).to_vec(), [0.0, 1.0, 4.0, 1.0, 183.0, 7.0, 26.0]);
    let wide = plain.beside(&calendar, &CALENDAR.map(str::to_string)).unwrap();
    assert_eq!((wide.channels(), wide.channel_names()[8].as_str()), (9, "week"));
}

#[test]
fn windows_carry_what_their_series_had() {
    let series = Series::new(vec![
        Array2::from_shape_fn((10, 1), |(t, _)| t as f32),
        Array2::zeros((3, 1)),
        Array2::ones((7, 1)),
    ])
    .unwrap();
    let series =
        series.with_labels(Names::new(&["b", "a", "b"])).unwrap().with_persons(Names::new(&["x", "y", "x"])).unwrap();
    let cut = windows(&series, 4, 0.5, Short::Drop).unwrap();
    assert_eq!((cut.series.len(), cut.dropped), (6, 1));
    assert_eq!(cut.origins, [[0, 0], [0, 2], [0, 4], [0, 6], [2, 0], [2, 2]]);
    assert_eq!(cut.series.of(1).column(0).to_vec(), [2.0, 3.0, 4.0, 5.0]);
    assert_eq!(cut.series.recordings().unwrap().ids, [0, 0, 0, 0, 2, 2]);
    assert_eq!(cut.series.labels().unwrap().ids, [1; 6]);
    let says = |result: Result<Windows, SeriesError>, text: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    says(windows(&series, 4, 0.5, Short::Refuse), "series 1 has 3 steps, and a window 4");
    says(windows(&series, 4, 1.0, Short::Drop), "overlap is 1");
    says(windows(&series, 0, 0.0, Short::Drop), "length is 0");
    says(windows(&series, 11, 0.0, Short::Drop), "no series has the 11 steps");
}

#[test]
fn scaling_knows_the_training_part_alone() {
    let train = Series::new(vec![array![[1.0, 10.0], [3.0, f32::NAN]], array![[5.0, 30.0]]]).unwrap();
    let test = Series::new(vec![array![[7.0, 20.0]]]).unwrap();
    let scaling = Scaling::fit(&train, Over::Channels).unwrap();
    let moments: Vec<[f64; 2]> = scaling.moments().collect();
    assert!((moments[0][0] - 3.0).abs() < 1e-12 && (moments[0][1] - (8f64 / 3.0).sqrt()).abs() < 1e-12);
    assert_eq!(moments[1], [20.0, 10.0]);
    let scaled = scaling.apply(&test).unwrap();
    assert!((scaled.of(0)[[0, 0]] - 4.0 / (8f32 / 3.0).sqrt()).abs() < 1e-6 && scaled.of(0)[[0, 1]] == 0.0);
    let all = Scaling::fit(&train, Over::Everything).unwrap().moments().next().unwrap();
    assert!((all[0] - 9.8).abs() < 1e-6, "one mean of all values: {}", all[0]);
    let each = standardise_each(&train);
    assert_eq!(each.of(0).column(0).to_vec(), [-1.0, 1.0]);
    assert_eq!(each.of(1), array![[0.0, 0.0]], "a constant channel of a recording becomes 0");
}

#[test]
fn wfdb_reads_both_formats_and_annotations() {
    let files = Files::new();
    // 212: samples 100, -3 | 2047, -2048 of two signals
    let pair = |a: i32, b: i32| [(a & 255) as u8, ((a >> 8 & 15) | (b >> 8 & 15) << 4) as u8, (b & 255) as u8];
    files.put("r.dat", [pair(100, -3), pair(2047, -2048)].concat());
    let header = |sum: i32| {
        format!("# c\nr 2 360 2\nr.dat 212 200 11 1024 100 {sum} 0 I\nr.dat 212 100(-3)/mV 12 0 -3 -2051 0 II\n")
    };
    let record = read_wfdb(files.put("r.hea", header(2147))).unwrap();
    assert_eq!(record.digital, array![[100, -3], [2047, -2048]]);
    assert!((record.series.of(0)[[0, 0]] - (100.0 - 1024.0) / 200.0).abs() < 1e-6);
    assert_eq!(record.series.of(0)[[0, 1]], 0.0, "the baseline in parentheses");
    assert_eq!((record.rate, record.series.channel_names()[1].as_str()), (360.0, "II"));
    let error = read_wfdb(files.put("r.hea", header(2148))).unwrap_err().to_string();
    assert!(error.contains("checksum 2147, the header has 2148"), "{error}");
    files.put("s.dat", [5i16, -7, 9, 11].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    let record =
        read_wfdb(files.put("s.hea", "s 2 100 2\ns.dat 16 10 16 0 5 14 0 a\ns.dat 16 0 16 0 -7 4 0 b\n")).unwrap();
    assert_eq!(record.digital, array![[5, -7], [9, 11]]);
    assert_eq!(record.signals[1].gain, 200.0);
    let word = |code: u16, step: u16| (code << 10 | step).to_le_bytes().to_vec();
    let atr = [
        word(28, 3),
        word(63, 4),
        b"(N\0\0".to_vec(),
        word(1, 10),
        word(59, 0),
        vec![1, 0, 0, 0],
        word(5, 2),
        word(0, 0),
    ]
    .concat();
    let beats = read_annotations(files.put("r.atr", &atr), 70_000).unwrap();
    assert_eq!(beats.iter().map(|a| (a.sample, a.code)).collect::<Vec<_>>(), [(3, 28), (13, 1), (65_551, 5)]);
    assert_eq!(beats[0].text, "(N");
    assert!(!beats[0].is_beat() && beats[2].is_abnormal_beat() && !beats[1].is_abnormal_beat());
    let error = read_annotations(files.put("r.atr", &atr), 60_000).unwrap_err().to_string();
    assert!(error.contains("annotation 2 at sample 65551 of a record of 60000"), "{error}");
}

#[test]
fn hmp_takes_class_person_and_recording_from_paths() {
    let files = Files::new();
    files.put("Walk/Accelerometer-2011-walk-f1.txt", "0 63 31.5\n1 2 3\n");
    files.put("Climb/Accelerometer-2012-climb-m2.txt", "5 5 5\n");
    files.put("Walk_MODEL/Accelerometer-2013-walk-f1.txt", "5 5 5\n");
    let series = read_hmp(files.0.path()).unwrap();
    assert_eq!((series.len(), series.labels().unwrap().names.join(" ")), (2, "Climb Walk".into()));
    let walk = series.of(1);
    assert!((walk[[0, 0]] + 14.709).abs() < 1e-5 && (walk[[0, 1]] - 14.709).abs() < 1e-4 && walk[[0, 2]].abs() < 1e-4);
    assert_eq!(series.persons().unwrap().names, ["f1", "m2"]);
}

#[test]
fn arrays_of_numpy_read() {
    let files = Files::new();
    let path = files.0.path().join("a.npy");
    ndarray_npy::write_npy(&path, &array![[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.0]]).unwrap();
    let by_series = read_npy(&path, Axes::SeriesByTime).unwrap();
    assert_eq!((by_series.len(), by_series.longest(), by_series.channels()), (2, 3, 1));
    let one = read_npy(&path, Axes::TimeByChannel).unwrap();
    assert_eq!((one.len(), one.longest(), one.channels()), (1, 2, 3));
    assert!(read_npy(files.put("b.npy", "no array"), Axes::SeriesByTime).is_err());
}

fn shape(path: &Path) -> [usize; 6] {
    let (train, test) = read_archive(path).unwrap();
    [train.len(), test.len(), train.shortest(), train.longest(), train.channels(), train.labels().unwrap().names.len()]
}

#[test]
fn golden_data_of_the_archive() {
    let table = [
        ("ucr/ArrowHead", [36, 175, 251, 251, 1, 3]),
        ("ucr/CBF", [30, 900, 128, 128, 1, 3]),
        ("ucr/Coffee", [28, 28, 286, 286, 1, 2]),
        ("ucr/ECG200", [100, 100, 96, 96, 1, 2]),
        ("ucr/ECGFiveDays", [23, 861, 136, 136, 1, 2]),
        ("ucr/GunPoint", [50, 150, 150, 150, 1, 2]),
        ("ucr/ItalyPowerDemand", [67, 1029, 24, 24, 1, 2]),
        ("ucr/SyntheticControl", [300, 300, 60, 60, 1, 6]),
        ("ucr/Trace", [100, 100, 275, 275, 1, 4]),
        ("uea/BasicMotions", [40, 40, 100, 100, 6, 4]),
        ("uea/NATOPS", [180, 180, 51, 51, 24, 6]),
    ];
    for (name, want) in table {
        let Some(path) = real(name) else { return };
        assert_eq!(shape(&path), want, "{name}");
    }
    let vowels = real("uea/JapaneseVowels").unwrap();
    let got = shape(&vowels);
    assert_eq!([got[0], got[1], got[4], got[5]], [270, 370, 12, 9]);
    // the same set in two formats, value for value
    let folder = real("ucr/ECG200").unwrap();
    let (tsv, arff) =
        (read_ucr_tsv(folder.join("ECG200_TRAIN.tsv")).unwrap(), read_arff(folder.join("ECG200_TRAIN.arff")).unwrap());
    assert!(tsv.iter().zip(arff.iter()).all(|(a, b)| a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5)));
    let folder = real("uea/BasicMotions").unwrap();
    let (ts, arff) = (
        read_ts(folder.join("BasicMotions_TRAIN.ts")).unwrap(),
        read_arff(folder.join("BasicMotions_TRAIN.arff")).unwrap(),
    );
    assert!(ts.iter().zip(arff.iter()).all(|(a, b)| a == b));
}

#[test]
fn golden_data_of_recordings() {
    let Some(path) = real("wfdb-ecg/100.hea") else { return };
    let record = read_wfdb(&path).unwrap();
    assert_eq!(record.digital.dim(), (650_000, 2));
    assert_eq!(record.digital.row(0).to_vec(), [995, 1011]);
    let beats = read_annotations(path.with_extension("atr"), 650_000).unwrap();
    assert_eq!(beats.len(), 2274);
    assert_eq!(beats.iter().filter(|b| b.is_beat()).count(), 2273);
    assert_eq!(beats.iter().filter(|b| b.is_abnormal_beat()).count(), 34);
    assert_eq!(beats.iter().find(|b| b.is_beat()).unwrap().sample, 77);
    let ptb = read_wfdb(path.with_file_name("s0010_re.hea")).unwrap();
    assert_eq!(ptb.digital.dim(), (38_400, 15));
    let hmp = read_hmp(real("hmp-adl").unwrap()).unwrap();
    assert_eq!((hmp.len(), hmp.persons().unwrap().names.len()), (839, 16));
    let table = read_table(real("ett/ETTh1.csv").unwrap(), &TableOptions::default()).unwrap();
    assert_eq!((table.longest(), table.channels()), (17_420, 7));
    let rates = TableOptions { header: false, time: None, ..TableOptions::default() };
    let rates = read_table(real("exchange-rate/exchange_rate.txt.gz").unwrap(), &rates).unwrap();
    assert_eq!((rates.longest(), rates.channels()), (7588, 8));
}
