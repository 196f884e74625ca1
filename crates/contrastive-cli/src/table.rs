//! Embeddings with the ids of their rows, and the files that hold them.

use crate::failure::Failure;
use contrastive_data::{Array, Limits};
use contrastive_train::{State, atomic_write, write_npy, write_safetensors};
use ndarray::{Array2, Ix2};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows of numbers, each with an id of the user's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Such as `users` or `nodes`.
    pub name: String,
    /// `[rows, width]`.
    pub rows: Array2<f32>,
    /// One for each row, as in the data.
    pub ids: Vec<String>,
    /// The class of each row, empty for a row without one; none at all for a table without classes.
    pub labels: Vec<String>,
    /// The text of each row; none for a table of other things.
    pub texts: Vec<String>,
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FileKind {
    /// NumPy's array, with the ids in a CSV beside it.
    Npy,
    /// safetensors: the table under its name, the ids in the metadata.
    Safetensors,
    /// A line for each row: id, class and text where there are some, then the numbers.
    Csv,
    /// Parquet: a column of ids, of classes and texts where there are some, and one of lists of numbers, `embedding`.
    Parquet,
}

impl FileKind {
    /// What the ending of a path asks for.
    ///
    /// # Errors
    /// For any other ending than `.npy`, `.safetensors`, `.csv` and `.parquet`.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("safetensors") => Ok(Self::Safetensors),
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Failure::usage(format!(
                "{}: the ending says what is written: .npy, .safetensors, .csv or .parquet (or give --format)",
                path.display()
            ))),
        }
    }
}

impl Table {
    /// A table without classes and texts.
    ///
    /// # Panics
    /// When there is not one id for each row.
    pub fn new(name: &str, rows: Array2<f32>, ids: Vec<String>) -> Self {
        assert_eq!(rows.nrows(), ids.len(), "rows and ids");
        Self { name: name.into(), rows, ids, labels: Vec::new(), texts: Vec::new() }
    }

    /// With the class of each row.
    #[must_use]
    pub fn with_labels(mut self, labels: Vec<String>) -> Self {
        self.labels = labels;
        self
    }

    /// The row of an id.
    ///
    /// # Errors
    /// With the nearest id, where there is no such row.
    pub fn row(&self, id: &str) -> Result<usize, Failure> {
        self.ids.iter().position(|own| own == id).ok_or_else(|| {
            let nearest = crate::settings::nearest(id, self.ids.iter().map(String::as_str)).unwrap_or_default();
            Failure::new(format!(
                "{} has no id {id:?} among its {}; the nearest is {nearest:?}",
                self.name,
                self.ids.len()
            ))
        })
    }

    /// What names the row for a person: its text, else its id.
    pub fn shown(&self, row: usize) -> &str {
        self.texts.get(row).unwrap_or(&self.ids[row])
    }

    /// Classes by number, -1 for a row without one, and their names.
    pub fn classes(&self) -> (Vec<i32>, Vec<String>) {
        let mut names: Vec<String> = self.labels.iter().filter(|label| !label.is_empty()).cloned().collect();
        names.sort();
        names.dedup();
        let number = |label: &String| names.binary_search(label).map_or(-1, |at| at as i32);
        let numbers = match self.labels.is_empty() {
            true => vec![-1; self.ids.len()],
            false => self.labels.iter().map(number).collect(),
        };
        (numbers, names)
    }

    fn header(&self) -> Vec<String> {
        let beside = [("class", &self.labels), ("text", &self.texts)];
        let beside = beside.iter().filter(|(_, all)| !all.is_empty()).map(|(name, _)| name.to_string());
        std::iter::once("id".to_string()).chain(beside).collect()
    }

    fn cells(&self, row: usize) -> Vec<String> {
        let beside = [&self.labels, &self.texts].into_iter().filter_map(|all| all.get(row).cloned());
        std::iter::once(self.ids[row].clone()).chain(beside).collect()
    }

    /// Writes the ids, with classes and texts, a line for each row.
    fn write_ids(&self, path: &Path) -> Result<(), Failure> {
        let rows = (0..self.ids.len()).map(|row| self.cells(row));
        write_csv(path, &self.header(), rows)
    }

    /// Writes the table; a `.npy` has its ids beside it, in the `.csv` of the same name. Returns the files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, path: &Path, kind: FileKind) -> Result<Vec<PathBuf>, Failure> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        }
        match kind {
            FileKind::Npy => {
                let beside = path.with_extension("csv");
                write_npy(path, &self.rows)?;
                self.write_ids(&beside)?;
                return Ok(vec![path.into(), beside]);
            }
            FileKind::Safetensors => {
                let (n, d) = self.rows.dim();
                let data = burn::tensor::TensorData::new(self.rows.iter().copied().collect::<Vec<f32>>(), [n, d]);
                let ids = serde_json::to_string(&self.ids).expect("ids are JSON");
                write_safetensors(
                    path,
                    &State::from([(self.name.clone(), data)]),
                    &BTreeMap::from([("ids".to_string(), ids)]),
                )?;
            }
            FileKind::Parquet => write_parquet(self, path)?,
            FileKind::Csv => {
                let numbers = (0..self.rows.ncols()).map(|column| format!("x{column}"));
                let header: Vec<String> = self.header().into_iter().chain(numbers).collect();
                let line = |row: usize| {
                    self.cells(row).into_iter().chain(self.rows.row(row).iter().map(f32::to_string).collect::<Vec<_>>())
                };
                write_csv(path, &header, (0..self.ids.len()).map(|row| line(row).collect()))?;
            }
        }
        Ok(vec![path.into()])
    }

    /// Reads a table that [`write`](Self::write) wrote as `.npy` with its ids beside it.
    ///
    /// # Errors
    /// When a file is absent or damaged, or ids and rows differ in number.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let rows = Array::read(path, &Limits::default())?.to_f32()?;
        let rows =
            rows.into_dimensionality::<Ix2>().map_err(|_| Failure::new(format!("{}: not a matrix", path.display())))?;
        let beside = path.with_extension("csv");
        let wrong = |problem: String| Failure::new(format!("{}: {problem}", beside.display()));
        let mut reader = csv::Reader::from_path(&beside).map_err(|error| wrong(error.to_string()))?;
        let header = reader.headers().map_err(|error| wrong(error.to_string()))?.clone();
        let column = |name: &str| header.iter().position(|own| own == name);
        let Some(id) = column("id") else { return Err(wrong("it has no column id".into())) };
        let (class, text) = (column("class"), column("text"));
        let (mut ids, mut labels, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(|error| wrong(error.to_string()))?;
            let cell = |at: usize| record.get(at).unwrap_or_default().to_string();
            ids.push(cell(id));
            labels.extend(class.map(cell));
            texts.extend(text.map(cell));
        }
        if ids.len() != rows.nrows() {
            return Err(wrong(format!("{} ids for the {} rows of {}", ids.len(), rows.nrows(), path.display())));
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, rows, ids, labels, texts })
    }
}

#[cfg(not(feature = "parquet"))]
fn write_parquet(_table: &Table, path: &Path) -> Result<(), Failure> {
    Err(Failure::usage(format!(
        "{}: this command was built without Parquet; `cargo install --path crates/contrastive-cli --features parquet` builds one with it",
        path.display()
    )))
}

#[cfg(feature = "parquet")]
fn write_parquet(table: &Table, path: &Path) -> Result<(), Failure> {
    use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
    use parquet::file::writer::SerializedFileWriter;
    let (rows, width) = table.rows.dim();
    let header = table.header();
    let text = header.iter().map(|name| format!("required binary {name} (UTF8); ")).collect::<String>();
    let schema = format!(
        "message embeddings {{ {text}required group embedding (LIST) {{ repeated group list {{ required float element; }} }} }}"
    );
    let bytes = || -> parquet::errors::Result<Vec<u8>> {
        let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(&schema)?);
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Default::default())?;
        let mut group = writer.next_row_group()?;
        for cell in 0..header.len() {
            let values: Vec<ByteArray> = (0..rows).map(|row| table.cells(row)[cell].as_str().into()).collect();
            let mut column = group.next_column()?.expect("a column of text");
            column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
            column.close()?;
        }
        let values: Vec<f32> = table.rows.iter().copied().collect();
        // a list begins where the repetition level is 0; every element is there
        let begins: Vec<i16> = (0..rows * width).map(|at| i16::from(at % width != 0)).collect();
        let mut column = group.next_column()?.expect("the column of lists");
        column.typed::<FloatType>().write_batch(&values, Some(&vec![1; rows * width]), Some(&begins))?;
        column.close()?;
        group.close()?;
        writer.into_inner()
    };
    let bytes = bytes().map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(atomic_write(path, |out| out.write_all(&bytes))?)
}

/// Writes comma-separated text, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write_csv(path: &Path, header: &[String], rows: impl Iterator<Item = Vec<String>>) -> Result<(), Failure> {
    let text = csv_text(header, rows);
    Ok(atomic_write(path, |out| out.write_all(text.as_bytes()))?)
}

/// Comma-separated text with quotes where they are needed.
pub fn csv_text(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let wrote = "memory takes what is written";
    writer.write_record(header).expect(wrote);
    rows.for_each(|row| writer.write_record(&row).expect(wrote));
    String::from_utf8(writer.into_inner().expect(wrote)).expect("text in, text out")
}
