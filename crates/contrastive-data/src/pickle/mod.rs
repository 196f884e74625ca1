//! The part of Python's pickle format in which numpy and scipy write arrays and sparse matrices, and nothing more.
//!
//! A pickle is a program for a stack machine that may call anything. This one (protocols 0 to 5) knows the opcodes that occur in
//! such files; it calls nothing: the names it accepts become plain records of what was to be called with what. Small numbers
//! cost the four bytes of a reference, what is made is counted and bounded by a multiple of the file, no value is ever followed
//! into another (so depth costs nothing), and whatever else it meets is refused with its offset.

mod machine;
mod torch;
mod value;

use std::borrow::Cow;
use std::path::Path;

use super::error::FileError;
use super::lines::excerpt;
use super::npy::Array;
use super::place::Origin;
use super::sparse::{Compressed, Triplets};
pub(crate) use torch::Stored;
use value::{Class, Ref, Value};

/// A pickle that has been read.
#[derive(Debug)]
pub struct Pickle<'a> {
    path: &'a Path,
    /// Where messages say it is, if it is part of a file.
    part: Option<String>,
    bytes: &'a [u8],
    /// Texts that had to be decoded.
    decoded: Vec<u8>,
    values: Vec<Value>,
    /// Where in the file each value was made.
    made: Vec<u32>,
    root: Ref,
}

/// Whether bytes look like a pickle: they begin with a protocol of 2 to 5 and end with a stop. Pickles of protocols 0 and 1 have no mark.
pub fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, .., b'.'])
}

/// A node, its neighbours, and the byte of the file where they stand.
pub type Neighbours = (i64, Vec<i64>, usize);

impl<'a> Pickle<'a> {
    /// Reads a pickle.
    ///
    /// # Errors
    /// [`FileError::Malformed`] with the byte of the opcode, [`FileError::Limit`] for a pickle above 4 GiB or one made of more values
    /// than arrays and matrices need.
    pub fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<Self, FileError> {
        machine::run(path, None, bytes)
    }

    /// Reads a pickle that is a named part of a file.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_part(path: &'a Path, part: &str, bytes: &'a [u8]) -> Result<Self, FileError> {
        machine::run(path, Some(part.to_owned()), bytes)
    }

    fn origin(&self, id: Ref) -> Origin {
        let byte = id.index().map_or(0, |index| self.made[index] as usize);
        value::origin(self.path, self.part.as_deref(), byte)
    }

    fn value(&self, id: Ref) -> Value {
        id.inline().unwrap_or_else(|| self.values[id.index().expect("inline or stored")].clone())
    }

    fn unfit(&self, id: Ref, allowed: &str) -> FileError {
        let found = match self.value(id) {
            Value::Nothing => "None".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Bytes(start, length) => format!("text {:?}", excerpt(self.slice(start, length))),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Tuple(items) => format!("a tuple of {}", items.len()),
            Value::Dict(items) => format!("a dictionary of {}", items.len()),
            Value::Global(class) => class.name().to_owned(),
            Value::Object(object) => object.class.name().to_owned(),
        };
        self.origin(id).malformed(found, allowed)
    }

    /// Texts in the file, and behind its end those that were decoded.
    fn slice(&self, start: u32, length: u32) -> &[u8] {
        value::slice(self.bytes, &self.decoded, start, length)
    }

    fn tuple<const N: usize>(&self, id: Ref, allowed: &str) -> Result<[Ref; N], FileError> {
        match self.value(id) {
            Value::Tuple(items) => (*items).try_into().map_err(|_| self.unfit(id, allowed)),
            _ => Err(self.unfit(id, allowed)),
        }
    }

    /// A whole number: Python's, or one of numpy's scalars.
    fn integer(&self, id: Ref, allowed: &str) -> Result<i64, FileError> {
        match self.value(id) {
            Value::Int(value) => Ok(value),
            Value::Object(object) if object.class == Class::Scalar => {
                let [dtype, data] = self.tuple::<2>(object.arguments, allowed)?;
                let data = self.bytes_of(data, allowed)?;
                let array = Array::raw(&self.dtype(dtype)?, vec![1], data.into_owned(), self.origin(id))?;
                Ok(array.integers()?[0])
            }
            _ => Err(self.unfit(id, allowed)),
        }
    }

    fn text(&self, id: Ref, allowed: &str) -> Result<&[u8], FileError> {
        let Some(index) = id.index() else { return Err(self.unfit(id, allowed)) };
        match self.values[index] {
            Value::Bytes(start, length) => Ok(self.slice(start, length)),
            _ => Err(self.unfit(id, allowed)),
        }
    }

    /// Bytes: as they are, or as Python 3 writes them in protocols below 3, by `_codecs.encode(text, 'latin1')`.
    fn bytes_of(&self, id: Ref, allowed: &str) -> Result<Cow<'_, [u8]>, FileError> {
        match self.value(id) {
            Value::Object(object) if object.class == Class::Encode => {
                let [text, _] = self.tuple::<2>(object.arguments, allowed)?;
                let text = std::str::from_utf8(self.text(text, allowed)?).map_err(|_| self.unfit(id, allowed))?;
                let latin = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>();
                latin.map(Cow::Owned).ok_or_else(|| self.unfit(id, allowed))
            }
            Value::Object(object) if object.class == Class::ByteArray => {
                let [data] = self.tuple::<1>(object.arguments, allowed)?;
                self.bytes_of(data, allowed)
            }
            Value::Object(object) if object.class == Class::Bytes => match self.value(object.arguments) {
                Value::Tuple(items) if items.is_empty() => Ok(Cow::Borrowed(&[])),
                _ => Err(self.unfit(id, allowed)),
            },
            _ => self.text(id, allowed).map(Cow::Borrowed),
        }
    }

    /// The whole as a numpy array.
    ///
    /// # Errors
    /// [`FileError::Malformed`].
    pub fn array(&self) -> Result<Array, FileError> {
        self.array_at(self.root)
    }

    /// numpy's name of a dtype, with the byte order.
    fn dtype(&self, id: Ref) -> Result<String, FileError> {
        let Value::Object(object) = self.value(id) else { return Err(self.unfit(id, "a numpy dtype")) };
        let Value::Tuple(arguments) = self.value(object.arguments) else { return Err(self.unfit(id, "a numpy dtype")) };
        let (Class::Dtype, Some(&name)) = (object.class, arguments.first()) else {
            return Err(self.unfit(id, "a numpy dtype"));
        };
        let name = String::from_utf8_lossy(self.text(name, "the name of a dtype")?).into_owned();
        let Some(state) = object.state else { return Ok(name) };
        let Value::Tuple(state) = self.value(state) else { return Err(self.unfit(state, "the state of a dtype")) };
        let order = state.get(1).ok_or_else(|| self.unfit(id, "a dtype with its byte order"))?;
        let order = String::from_utf8_lossy(self.text(*order, "a byte order")?).into_owned();
        Ok(if name.starts_with(['<', '>', '|', '=']) { name } else { order + &name })
    }

    /// Sides from a tuple of them, or from one number.
    fn shape(&self, id: Ref) -> Result<Vec<usize>, FileError> {
        let sides = match self.value(id) {
            Value::Tuple(sides) if sides.len() <= 8 => sides.to_vec(),
            Value::Int(_) => vec![id],
            _ => return Err(self.unfit(id, "a shape of at most 8 sides")),
        };
        let side = |side: Ref| {
            let length = self.integer(side, "a length")?;
            usize::try_from(length).map_err(|_| self.unfit(side, "a length from 0 up"))
        };
        sides.into_iter().map(side).collect()
    }

    /// (shape, type, whether column-major, data) of an array.
    fn parts(&self, id: Ref) -> Result<(Vec<usize>, String, bool, Ref), FileError> {
        let allowed = "a numpy array with state (1, shape, dtype, order, bytes)";
        let Value::Object(object) = self.value(id) else { return Err(self.unfit(id, allowed)) };
        match (object.class, object.state) {
            (Class::Reconstruct, Some(state)) => {
                let [_, shape, dtype, fortran, data] = self.tuple::<5>(state, allowed)?;
                let fortran = !matches!(self.value(fortran), Value::Bool(false) | Value::Int(0));
                Ok((self.shape(shape)?, self.dtype(dtype)?, fortran, data))
            }
            // protocol 5: _frombuffer(bytes, dtype, shape, order)
            (Class::FromBuffer, _) => {
                let [data, dtype, shape, order] = self.tuple::<4>(object.arguments, allowed)?;
                let fortran = self.text(order, "an order, C or F")? == b"F";
                Ok((self.shape(shape)?, self.dtype(dtype)?, fortran, data))
            }
            _ => Err(self.unfit(id, allowed)),
        }
    }

    fn array_at(&self, id: Ref) -> Result<Array, FileError> {
        let (shape, dtype, fortran, data) = self.parts(id)?;
        if dtype.contains('O') {
            return Err(self.unfit(id, "an array of numbers or texts, not of objects"));
        }
        let data = self.bytes_of(data, "the bytes of an array")?.into_owned();
        let array = Array::raw(&dtype, shape, data, self.origin(id))?;
        Ok(if fortran { array.from_column_major() } else { array })
    }

    /// The elements of an array of objects or of a list as texts: texts and whole numbers only.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for other objects.
    pub fn tokens(&self) -> Result<Vec<String>, FileError> {
        let allowed = "texts and whole numbers";
        let items = match self.value(self.root) {
            Value::List(items) => items,
            Value::Object(_) => {
                let (shape, dtype, _, data) = self.parts(self.root)?;
                let Value::List(items) = self.value(data) else { return Err(self.unfit(data, allowed)) };
                if !dtype.contains('O') || shape.iter().product::<usize>() != items.len() {
                    return Err(self.unfit(self.root, "as many objects as the shape says"));
                }
                items
            }
            _ => return Err(self.unfit(self.root, allowed)),
        };
        let mut total = 0;
        let mut token = |&id: &Ref| {
            let text = match self.text(id, allowed) {
                Ok(text) => std::str::from_utf8(text).map_err(|_| self.unfit(id, allowed))?.to_owned(),
                Err(_) => self.integer(id, allowed)?.to_string(),
            };
            // one long text may be shared by all
            total += text.len();
            if total > 16 * self.bytes.len() {
                return Err(self.origin(self.root).limit(
                    "the size of all texts",
                    total as u64,
                    16 * self.bytes.len() as u64,
                ));
            }
            Ok(text)
        };
        items.iter().map(&mut token).collect()
    }

    /// The whole as a sparse matrix: scipy's csr, csc or coo (matrix or array), or a numpy array.
    ///
    /// # Errors
    /// [`FileError::Malformed`] and [`FileError::Limit`].
    pub fn matrix(&self) -> Result<Triplets, FileError> {
        let allowed = "a scipy csr, csc or coo matrix, or a numpy array";
        let packed = self.bytes.len();
        let Value::Object(object) = self.value(self.root) else { return Err(self.unfit(self.root, allowed)) };
        let class = object.class;
        if matches!(class, Class::Reconstruct | Class::FromBuffer) {
            return Triplets::full(&self.array()?, packed);
        }
        let (Class::Csr | Class::Csc | Class::Coo, Some(state)) = (class, object.state) else {
            return Err(self.unfit(self.root, allowed));
        };
        // scipy's own __setstate__ may get (None, dictionary)
        let state = match self.value(state) {
            Value::Tuple(items) if items.len() == 2 => items[1],
            _ => state,
        };
        let Value::Dict(entries) = self.value(state) else { return Err(self.unfit(state, allowed)) };
        let find = |key: &str| {
            let named = |entry: &&(Ref, Ref)| matches!(self.text(entry.0, ""), Ok(name) if name == key.as_bytes());
            entries.iter().find(named).map(|entry| entry.1)
        };
        let get = |key: &str| find(key).ok_or_else(|| self.unfit(self.root, &format!("a matrix with {key}")));
        let shape = find("_shape").map_or_else(|| get("shape"), Ok)?;
        let [rows, columns] = self.tuple::<2>(shape, "rows and columns")?;
        let mut sides = Vec::with_capacity(16);
        for side in [rows, columns] {
            sides.extend_from_slice(&self.integer(side, "a whole number")?.to_le_bytes());
        }
        let shape = Array::raw("i8", vec![2], sides, self.origin(shape))?;
        let values = self.array_at(get("data")?)?;
        if class == Class::Coo {
            let (row, column) = match find("coords") {
                Some(coordinates) => {
                    let [row, column] = self.tuple::<2>(coordinates, "coordinates of rows and columns")?;
                    (row, column)
                }
                None => (get("row")?, get("col")?),
            };
            return Triplets::coordinates(&shape, &self.array_at(row)?, &self.array_at(column)?, Some(&values), packed);
        }
        let side = if class == Class::Csr { Compressed::Rows } else { Compressed::Columns };
        let (starts, indices) = (self.array_at(get("indptr")?)?, self.array_at(get("indices")?)?);
        Triplets::compressed(side, &shape, &starts, &indices, Some(&values), packed)
    }

    /// The whole as a dictionary of lists of nodes: every node with its neighbours and its place in the file.
    ///
    /// Lists may be shared in a pickle; together they may not hold more than the file has bytes.
    ///
    /// # Errors
    /// [`FileError::Malformed`] and [`FileError::Limit`].
    pub fn adjacency(&self) -> Result<Vec<Neighbours>, FileError> {
        let allowed = "a dictionary of node: [neighbours]";
        let items = match self.value(self.root) {
            Value::Object(object) if matches!(object.class, Class::DefaultDict | Class::OrderedDict) => object.items,
            Value::Dict(items) => items,
            _ => return Err(self.unfit(self.root, allowed)),
        };
        let mut total = 0;
        let mut lists = Vec::with_capacity(items.len());
        for (node, neighbours) in items {
            let list = match self.value(neighbours) {
                Value::List(list) => list,
                Value::Tuple(list) => list.to_vec(),
                _ => return Err(self.unfit(neighbours, allowed)),
            };
            total += list.len();
            if total > self.bytes.len() {
                let (total, bytes) = (total as u64, self.bytes.len() as u64);
                return Err(Origin::file(self.path).limit("the number of neighbours", total, bytes));
            }
            let list = list.into_iter().map(|id| self.integer(id, "a node number")).collect::<Result<_, _>>()?;
            let place = neighbours.index().map_or(0, |index| self.made[index] as usize);
            lists.push((self.integer(node, "a node number")?, list, place));
        }
        Ok(lists)
    }
}
