//! Records of PhysioNet's WFDB: header, signals of the formats 212 and 16, annotations.

use super::error::{SeriesError, quoted};
use super::series::Series;
use super::text::{bytes_of, text_of};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a header says of one signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// The file of its samples.
    pub file: String,
    /// 212 or 16.
    pub format: u32,
    /// Units of the converter to one physical unit (mV, as a rule); 200 where the header has 0 or nothing.
    pub gain: f64,
    /// The value that stands for 0 physical units.
    pub baseline: f64,
    /// Its first sample.
    pub first: Option<i32>,
    /// The sum of its samples modulo 65,536, where the header has one.
    pub checksum: Option<i32>,
    /// Its name.
    pub name: String,
}

/// An annotation: a beat, or a change of rhythm.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// The sample it stands at.
    pub sample: usize,
    /// WFDB's code: 1 is a normal beat (N), 5 a premature ventricular one (V), 8 a premature atrial one (A), 28 a change of rhythm (+).
    pub code: u8,
    /// Text beside it.
    pub text: String,
}

impl Annotation {
    /// Whether it marks a beat.
    pub fn is_beat(&self) -> bool {
        matches!(self.code, 1..=13 | 25 | 30 | 34 | 35 | 38 | 41)
    }

    /// Whether it marks a beat that is not normal (N, left or right bundle branch block, and escape beats of the same kind count as normal
    /// only with the code 1).
    pub fn is_abnormal_beat(&self) -> bool {
        self.is_beat() && self.code != 1
    }
}

/// A record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Samples in physical units, one series of `[samples, signals]`.
    pub series: Series,
    /// Samples a second.
    pub rate: f64,
    /// What the header says of the signals.
    pub signals: Vec<Signal>,
    /// The samples as the converter gave them, `[samples, signals]`.
    pub digital: Array2<i32>,
}

fn header(path: &Path) -> Result<(f64, usize, Vec<Signal>), SeriesError> {
    let text = text_of(path)?;
    let mut lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, l)| !l.is_empty() && !l.starts_with('#'));
    let (line, record) = lines.next().ok_or_else(|| SeriesError::file(path, "an empty header"))?;
    let words: Vec<&str> = record.split_whitespace().collect();
    let wrong = |line, what: String| SeriesError::line(path, line, what);
    let [_, count, rate, samples, ..] = words[..] else {
        return Err(wrong(line, "a record line is \"name signals rate samples\"".into()));
    };
    let number = |word: &str| word.split(['/', '(', ':']).next().and_then(|w| w.parse::<f64>().ok());
    let bad = |line, what: &str, word: &str| wrong(line, format!("{what} {} is not a number", quoted(word)));
    let count: usize = count.parse().map_err(|_| bad(line, "the number of signals", count))?;
    let rate = number(rate).filter(|r| *r > 0.0).ok_or_else(|| bad(line, "the rate", rate))?;
    let samples: usize = samples.parse().map_err(|_| bad(line, "the number of samples", samples))?;
    let mut signals = Vec::new();
    for (line, text) in lines.by_ref().take(count) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [file, format, ..] = words[..] else {
            return Err(wrong(line, "a signal line is \"file format gain ...\"".into()));
        };
        let format = match format {
            "212" => 212,
            "16" => 16,
            _ => return Err(wrong(line, format!("format {}; 212 and 16 are read", quoted(format)))),
        };
        // gain(baseline)/units
        let gain_word = words.get(2).copied().unwrap_or("200");
        let gain = number(gain_word).ok_or_else(|| bad(line, "the gain", gain_word))?;
        let whole = |at: usize| words.get(at).and_then(|w| w.parse::<i32>().ok());
        let zero = f64::from(whole(4).unwrap_or(0));
        let inner = gain_word.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let baseline = inner.and_then(|(b, _)| b.parse().ok()).unwrap_or(zero);
        signals.push(Signal {
            file: file.to_string(),
            format,
            gain: if gain == 0.0 { 200.0 } else { gain },
            baseline,
            first: whole(5),
            checksum: whole(6),
            name: words.get(8..).map_or(String::new(), |rest| rest.join(" ")),
        });
    }
    if signals.len() != count || count == 0 {
        return Err(SeriesError::file(path, format!("{} signal lines for {count} signals", signals.len())));
    }
    Ok((rate, samples, signals))
}

/// The samples of one file, channels interleaved.
fn samples_of(path: &Path, format: u32, count: usize) -> Result<Vec<i32>, SeriesError> {
    let bytes = bytes_of(path)?;
    let needed = if format == 16 { 2 * count } else { (3 * count).div_ceil(2) };
    if bytes.len() < needed {
        let what = format!("{} bytes; {count} samples of format {format} are {needed}", bytes.len());
        return Err(SeriesError::file(path, what));
    }
    if format == 16 {
        return Ok(bytes.as_chunks::<2>().0.iter().take(count).map(|&b| i32::from(i16::from_le_bytes(b))).collect());
    }
    let mut out = Vec::with_capacity(count + 1);
    let signed = |v: i32| if v > 2047 { v - 4096 } else { v };
    for chunk in bytes[..needed].chunks(3) {
        let [a, b] = [0, 1].map(|i| i32::from(chunk.get(i).copied().unwrap_or(0)));
        out.push(signed(a | ((b & 15) << 8)));
        if let Some(&c) = chunk.get(2) {
            out.push(signed(i32::from(c) | ((b >> 4) << 8)));
        }
    }
    out.truncate(count);
    Ok(out)
}

/// The record of a header file `NAME.hea`, with the signal files that it names beside it.
///
/// # Errors
/// When a file is missing or short, a format is not 212 or 16, or a first sample or a checksum differs from the header's.
pub fn read_wfdb(path: impl AsRef<Path>) -> Result<Record, SeriesError> {
    let path = path.as_ref();
    let (rate, samples, signals) = header(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, signal) in signals.iter().enumerate() {
        files.entry(&signal.file).or_default().push(at);
    }
    if samples.checked_mul(signals.len()).is_none_or(|count| count >= 1 << 30) {
        return Err(SeriesError::file(
            path,
            format!("{samples} samples of {} signals; fewer than 2^30 in all are read", signals.len()),
        ));
    }
    let mut digital = Array2::zeros((samples, signals.len()));
    for (file, members) in files {
        // a name that leads elsewhere is not this record's
        if Path::new(file).components().count() != 1 {
            return Err(SeriesError::file(path, format!("signal file {} is not beside the header", quoted(file))));
        }
        let format = signals[members[0]].format;
        if members.iter().any(|&m| signals[m].format != format) {
            return Err(SeriesError::file(path, format!("{} has signals of two formats", quoted(file))));
        }
        let values = samples_of(&folder.join(file), format, samples * members.len())?;
        for (t, row) in values.chunks_exact(members.len()).enumerate() {
            members.iter().zip(row).for_each(|(&m, &value)| digital[[t, m]] = value);
        }
    }
    for (at, signal) in signals.iter().enumerate() {
        let column = digital.column(at);
        let sum = column.iter().fold(0i16, |sum, &v| sum.wrapping_add(v as i16));
        if let Some(expected) = signal.checksum.filter(|&expected| expected as i16 != sum) {
            let what = format!("signal {at} ({}): checksum {sum}, the header has {expected}", signal.name);
            return Err(SeriesError::file(path, what));
        }
        if let Some(expected) = signal.first.filter(|&first| column.first().is_some_and(|&v| v != first)) {
            let what = format!("signal {at} ({}): first sample {}, the header has {expected}", signal.name, column[0]);
            return Err(SeriesError::file(path, what));
        }
    }
    let physical = Array2::from_shape_fn(digital.dim(), |(t, c)| {
        ((f64::from(digital[[t, c]]) - signals[c].baseline) / signals[c].gain) as f32
    });
    let names = signals.iter().map(|s| s.name.clone()).collect();
    let series = Series::new(vec![physical]).map_err(|e| SeriesError::file(path, e))?.with_channel_names(names)?;
    Ok(Record { series, rate, signals, digital })
}

/// The annotations of a file such as `NAME.atr`, for a record of so many samples.
///
/// # Errors
/// When the file ends within an annotation, or one lies beyond the end of the record.
pub fn read_annotations(path: impl AsRef<Path>, samples: usize) -> Result<Vec<Annotation>, SeriesError> {
    let path: PathBuf = path.as_ref().into();
    let bytes = bytes_of(&path)?;
    let short = || SeriesError::file(&path, "the file ends within an annotation");
    let word = |at: usize| -> Result<u16, SeriesError> {
        bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]])).ok_or_else(short)
    };
    let (mut found, mut at, mut sample): (Vec<Annotation>, usize, i64) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let (code, step) = ((word(at)? >> 10) as u8, word(at)? & 1023);
        at += 2;
        match code {
            0 if step == 0 => return Ok(found),
            59 => {
                let skip = ((i64::from(word(at)?) << 16) | i64::from(word(at + 2)?)) as u32 as i32;
                sample += i64::from(skip);
                at += 4;
            }
            60..=62 => {}
            63 => {
                let length = usize::from(step);
                let text = bytes.get(at..at + length).ok_or_else(short)?;
                let text = String::from_utf8_lossy(text).trim_end_matches('\0').to_string();
                if let Some(last) = found.last_mut() {
                    last.text = text;
                }
                at += length + length % 2;
            }
            code => {
                sample += i64::from(step);
                let place = usize::try_from(sample).ok().filter(|&place| place < samples);
                let place = place.ok_or_else(|| {
                    let number = found.len();
                    SeriesError::file(&path, format!("annotation {number} at sample {sample} of a record of {samples}"))
                })?;
                found.push(Annotation { sample: place, code, text: String::new() });
            }
        }
    }
    Ok(found)
}
