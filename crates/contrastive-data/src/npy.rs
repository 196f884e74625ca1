//! Arrays in numpy's npy form. An array is checked against the bytes that are there before anything is made of it.

use std::path::Path;

use ndarray::{ArrayD, IxDyn};

use super::error::FileError;
use super::lines::excerpt;
use super::open::{Limits, read_bytes};
use super::place::Origin;

/// The greatest header of an array that is read.
pub(crate) const MAX_HEADER: usize = 4096;

/// The greatest number of sides of an array.
const MAX_SIDES: usize = 8;

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
    Bool,
    /// Zero-padded bytes.
    Bytes,
    /// UCS-4.
    Text,
}

/// An array of numbers, booleans or short texts: its shape, and its elements in row-major order as they stand in the file.
///
/// ```
/// use contrastive_data::{Array, Origin};
/// use std::path::Path;
///
/// let origin = Origin::file(Path::new("a.npy"));
/// let array = Array::raw("i2", vec![2], vec![7, 0, 255, 255], origin)?;
/// assert_eq!(array.integers()?, [7, -1]);
/// # Ok::<(), contrastive_data::FileError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Array {
    shape: Vec<usize>,
    kind: Kind,
    size: usize,
    big_endian: bool,
    data: Vec<u8>,
    /// Where the elements begin in `data`.
    start: usize,
    origin: Origin,
}

impl Array {
    /// Reads an npy file.
    ///
    /// # Errors
    /// As [`read_bytes`](super::read_bytes) and [`parse`](Self::parse).
    pub fn read(path: &Path, limits: &Limits) -> Result<Self, FileError> {
        Self::parse(read_bytes(path, limits)?, Origin::file(path))
    }

    /// An array from the bytes of an npy file, which it keeps.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for what is no npy array of numbers, booleans or texts, or holds another number of bytes than its
    /// shape needs; [`FileError::Limit`] for a header above 4096 bytes.
    pub fn parse(bytes: Vec<u8>, origin: Origin) -> Result<Self, FileError> {
        let (header, start) = header(&bytes, &origin)?;
        let kinds = "floats of 2, 4 or 8 bytes, integers of 1 to 8, booleans, S and U texts";
        let (kind, size, big_endian) = element(&header.descr).ok_or_else(|| {
            origin.clone().malformed(format!("element type {:?}", excerpt(header.descr.as_bytes())), kinds)
        })?;
        let mut array = Self { shape: header.shape, kind, size, big_endian, data: bytes, start, origin };
        array.check(&header.descr)?;
        if header.fortran_order {
            array.transpose();
        }
        Ok(array)
    }

    /// Element type and shape by the header, without a look at the elements.
    pub(crate) fn peek(bytes: &[u8], origin: &Origin) -> Result<(String, Vec<usize>), FileError> {
        header(bytes, origin).map(|(header, _)| (header.descr, header.shape))
    }

    /// The pickle in which the elements of an npy file of objects (element type `|O`) stand.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for another element type.
    pub fn pickled(bytes: &[u8], origin: Origin) -> Result<&[u8], FileError> {
        let (header, start) = header(bytes, &origin)?;
        match header.descr.contains('O') {
            true => Ok(&bytes[start..]),
            false => Err(origin.malformed(format!("element type {:?}", excerpt(header.descr.as_bytes())), "\"|O\"")),
        }
    }

    /// An array of a given element type from raw row-major bytes; `numpy`'s name of the type, as in `i4`, `<f8` or `>u2` (little-endian
    /// without an order).
    ///
    /// # Errors
    /// [`FileError::Malformed`] for an unknown type, and for another number of bytes than the shape needs.
    pub fn raw(name: &str, shape: Vec<usize>, data: Vec<u8>, origin: Origin) -> Result<Self, FileError> {
        let named = if name.starts_with(['<', '>', '|', '=']) { name.to_owned() } else { format!("<{name}") };
        let Some((kind, size, big_endian)) = element(&named) else {
            return Err(origin.malformed(format!("element type {name:?}"), "floats, integers, booleans, texts"));
        };
        let array = Self { shape, kind, size, big_endian, data, start: 0, origin };
        array.check(name)?;
        Ok(array)
    }

    /// The same elements, taken as column-major ones.
    pub fn from_column_major(mut self) -> Self {
        self.transpose();
        self
    }

    /// Whether there are as many bytes as the shape needs.
    fn check(&self, descr: &str) -> Result<(), FileError> {
        let elements = self.shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        let given = self.data.len() - self.start;
        if self.shape.len() <= MAX_SIDES && elements.and_then(|elements| elements.checked_mul(self.size)) == Some(given)
        {
            return Ok(());
        }
        let shape = excerpt(format!("{:?}", self.shape).as_bytes());
        let found = format!("shape {shape} of {:?} with {given} bytes of elements", excerpt(descr.as_bytes()));
        Err(self.origin.clone().malformed(found, "as many bytes as the shape needs, at most 8 sides"))
    }

    /// Column-major order to row-major order.
    fn transpose(&mut self) {
        let elements = self.len();
        if self.shape.len() < 2 || elements == 0 || self.size == 0 {
            return;
        }
        let mut data = Vec::with_capacity(elements * self.size);
        let mut place = vec![0; self.shape.len()];
        let strides: Vec<usize> = self
            .shape
            .iter()
            .scan(1, |stride, side| {
                let own = *stride;
                *stride *= side;
                Some(own)
            })
            .collect();
        for _ in 0..elements {
            let at: usize = place.iter().zip(&strides).map(|(index, stride)| index * stride).sum();
            let at = self.start + at * self.size;
            data.extend_from_slice(&self.data[at..at + self.size]);
            for side in (0..place.len()).rev() {
                place[side] += 1;
                if place[side] < self.shape[side] {
                    break;
                }
                place[side] = 0;
            }
        }
        (self.data, self.start) = (data, 0);
    }

    /// The sides.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        (self.data.len() - self.start).checked_div(self.size).unwrap_or(0)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the elements are texts.
    pub fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Bytes | Kind::Text)
    }

    /// Whether the elements are floating-point numbers.
    pub fn is_float(&self) -> bool {
        self.kind == Kind::Float
    }

    fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.data[self.start..].chunks_exact(self.size.max(1))
    }

    fn unfit(&self, what: &str) -> FileError {
        let found = format!("an array of shape {:?} and element kind {:?}", self.shape, self.kind);
        self.origin.clone().malformed(found, what)
    }

    /// The elements as whole numbers, one by one; `None` for one that is none. Floats without a fraction are whole numbers.
    fn whole(&self) -> impl Iterator<Item = Option<i64>> {
        self.elements().map(|bytes| {
            let unsigned = wide(bytes, self.big_endian);
            match self.kind {
                Kind::Signed => {
                    let unused = 64 - 8 * bytes.len() as u32;
                    Some((unsigned << unused) as i64 >> unused)
                }
                Kind::Unsigned | Kind::Bool => i64::try_from(unsigned).ok(),
                Kind::Float => {
                    let value = float(unsigned, bytes.len());
                    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
                }
                Kind::Bytes | Kind::Text => None,
            }
        })
    }

    /// The elements as whole numbers.
    ///
    /// # Errors
    /// [`FileError::Malformed`] when one is none.
    pub fn integers(&self) -> Result<Vec<i64>, FileError> {
        if self.is_text() {
            return Err(self.unfit("whole numbers"));
        }
        self.whole().collect::<Option<_>>().ok_or_else(|| self.unfit("whole numbers"))
    }

    /// The elements as whole numbers from 0 up.
    ///
    /// # Errors
    /// [`FileError::Malformed`] when one is none.
    pub fn indices(&self) -> Result<Vec<u64>, FileError> {
        let all =
            (!self.is_text()).then(|| self.whole().map(|value| value.and_then(|value| u64::try_from(value).ok())));
        all.and_then(|all| all.collect::<Option<_>>()).ok_or_else(|| self.unfit("whole numbers from 0 up"))
    }

    /// The elements as whole numbers below `count`, at most 2^32 of them.
    ///
    /// # Errors
    /// [`FileError::Malformed`] when one is none, or too large.
    pub fn below(&self, count: u64) -> Result<Vec<u32>, FileError> {
        let mut numbers = Vec::with_capacity(self.len());
        for value in self.whole() {
            match value.map(u64::try_from) {
                _ if self.is_text() => return Err(self.unfit("whole numbers from 0 up")),
                Some(Ok(value)) if value < count && value <= u64::from(u32::MAX) => numbers.push(value as u32),
                Some(Ok(value)) => return Err(self.origin.clone().malformed(value.to_string(), format!("0..{count}"))),
                _ => return Err(self.unfit("whole numbers from 0 up")),
            }
        }
        Ok(numbers)
    }

    /// The elements as marks: what is not 0.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for texts.
    pub fn marks(&self) -> Result<Vec<bool>, FileError> {
        if self.is_text() {
            return Err(self.unfit("booleans or numbers"));
        }
        let nonzero = |bytes: &[u8]| match self.kind {
            Kind::Float => float(wide(bytes, self.big_endian), bytes.len()) != 0.0,
            _ => bytes.iter().any(|&byte| byte != 0),
        };
        Ok(self.elements().map(nonzero).collect())
    }

    /// Number of elements that are not 0.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for texts.
    pub fn count_nonzero(&self) -> Result<u64, FileError> {
        Ok(self.iter_f64()?.filter(|value| *value != 0.0).count() as u64)
    }

    /// The elements as numbers, one by one.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for texts.
    pub fn iter_f64(&self) -> Result<impl Iterator<Item = f64>, FileError> {
        if self.is_text() {
            return Err(self.unfit("numbers"));
        }
        Ok(self.elements().map(|bytes| {
            let unsigned = wide(bytes, self.big_endian);
            match self.kind {
                Kind::Float => float(unsigned, bytes.len()),
                Kind::Signed => {
                    let unused = 64 - 8 * bytes.len() as u32;
                    ((unsigned << unused) as i64 >> unused) as f64
                }
                _ => unsigned as f64,
            }
        }))
    }

    /// The elements as numbers.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for texts.
    pub fn floats(&self) -> Result<Vec<f64>, FileError> {
        Ok(self.iter_f64()?.collect())
    }

    /// The array as numbers in single precision, in its shape. NaN and infinite values stay.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for texts.
    pub fn to_f32(&self) -> Result<ArrayD<f32>, FileError> {
        let values: Vec<f32> = self.iter_f64()?.map(|value| value as f32).collect();
        ArrayD::from_shape_vec(IxDyn(&self.shape), values)
            .map_err(|_| self.unfit("as many elements as the shape needs"))
    }

    /// The elements as texts, without the zeros that fill them up.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for other kinds of element, and for texts that are not UTF-8.
    pub fn texts(&self) -> Result<Vec<String>, FileError> {
        let decoded = |bytes: &[u8]| -> Option<String> {
            match self.kind {
                Kind::Bytes => std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\0').to_owned()),
                Kind::Text => {
                    let (characters, _) = bytes.as_chunks::<4>();
                    let code = |bytes: &[u8; 4]| wide(bytes, self.big_endian) as u32;
                    let filled = characters.iter().rposition(|bytes| code(bytes) != 0).map_or(0, |last| last + 1);
                    characters[..filled].iter().map(|bytes| char::from_u32(code(bytes))).collect()
                }
                _ => None,
            }
        };
        // elements of no bytes: as many empty texts as the shape says were bounded by nothing
        if self.size == 0 || !self.is_text() {
            return Err(self.unfit("texts that are not empty"));
        }
        self.elements().map(decoded).collect::<Option<_>>().ok_or_else(|| self.unfit("texts in UTF-8"))
    }
}

/// At most eight bytes as a number.
fn wide(bytes: &[u8], big_endian: bool) -> u64 {
    let mut wide = [0; 8];
    if bytes.len() > 8 {
        return 0; // texts, which are not read as numbers
    }
    wide[..bytes.len()].copy_from_slice(bytes);
    if big_endian {
        wide[..bytes.len()].reverse();
    }
    u64::from_le_bytes(wide)
}

/// A float of 2, 4 or 8 bytes from its bits.
fn float(bits: u64, size: usize) -> f64 {
    match size {
        2 => half(bits as u16),
        4 => f32::from_bits(bits as u32).into(),
        _ => f64::from_bits(bits),
    }
}

/// A number in half precision (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// Kind and size of an element, and whether its bytes stand in big-endian order.
fn element(descr: &str) -> Option<(Kind, usize, bool)> {
    let (order, rest) = descr.split_at_checked(1)?;
    let (kind, size) = rest.split_at_checked(1)?;
    let size: usize = size.parse().ok()?;
    let big = order == ">";
    let ordered = matches!(order, "<" | ">") || (matches!(order, "|" | "=") && size <= 1);
    match (kind, size) {
        ("f", 2 | 4 | 8) if ordered => Some((Kind::Float, size, big)),
        ("i", 1 | 2 | 4 | 8) if ordered => Some((Kind::Signed, size, big)),
        ("u", 1 | 2 | 4 | 8) if ordered => Some((Kind::Unsigned, size, big)),
        ("b", 1) => Some((Kind::Bool, 1, false)),
        ("S", 0..=1_000_000) => Some((Kind::Bytes, size, false)),
        ("U", 0..=1_000_000) if matches!(order, "<" | ">") => Some((Kind::Text, 4 * size, big)),
        _ => None,
    }
}

/// The header of an npy file, and where the elements begin.
fn header(bytes: &[u8], origin: &Origin) -> Result<(Header, usize), FileError> {
    let wrong = |found: String, allowed: &str| origin.clone().malformed(found, allowed);
    let short = || wrong(format!("{} bytes", bytes.len()), "an npy array: its header, then its elements");
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(wrong(format!("starts with {:?}", excerpt(&bytes[..bytes.len().min(6)])), "an npy array"));
    }
    let (start, length) = match (bytes.get(6), bytes.get(8..10), bytes.get(8..12)) {
        (Some(1), Some(length), _) => (10, u32::from(u16::from_le_bytes([length[0], length[1]]))),
        (Some(2 | 3), _, Some(length)) => (12, u32::from_le_bytes([length[0], length[1], length[2], length[3]])),
        (Some(&version), _, Some(_)) => return Err(wrong(format!("npy version {version}"), "1 to 3")),
        _ => return Err(short()),
    };
    let length = length as usize;
    if length > MAX_HEADER {
        return Err(origin.clone().limit("the length of an npy header", length as u64, MAX_HEADER as u64));
    }
    let text = bytes.get(start..start + length).ok_or_else(short)?;
    let header = std::str::from_utf8(text).ok().and_then(Header::parse).ok_or_else(|| {
        wrong(format!("header {:?}", excerpt(text)), "{'descr': .., 'fortran_order': False, 'shape': (..), }")
    })?;
    Ok((header, start + length))
}

/// The dictionary at the head of an npy file.
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Option<Self> {
        let body = text.trim().strip_prefix('{')?.strip_suffix('}')?;
        let value = |key: &str| {
            let at = body.find(&format!("'{key}'"))? + key.len() + 2;
            body[at..].trim_start().strip_prefix(':').map(str::trim_start)
        };
        let descr = value("descr")?.strip_prefix('\'')?.split_once('\'')?.0.to_owned();
        let order = value("fortran_order")?;
        let fortran_order = order.starts_with("True");
        if !fortran_order && !order.starts_with("False") {
            return None;
        }
        let sides = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let sides = sides.split(',').map(str::trim).filter(|side| !side.is_empty());
        let shape: Vec<usize> = sides.map(|side| side.trim_end_matches('L').parse().ok()).collect::<Option<_>>()?;
        (shape.len() <= MAX_SIDES).then_some(Self { descr, fortran_order, shape })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Result<Array, FileError> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        Array::parse(bytes, Origin::file(Path::new("a.npy")))
    }

    /// Expected values by `numpy.frombuffer`.
    #[test]
    fn every_type_and_byte_order_gives_its_numbers() {
        assert_eq!(
            npy(">i4", "False", "(2,)", &[0, 0, 1, 2, 255, 255, 255, 255]).unwrap().integers().unwrap(),
            [258, -1]
        );
        assert_eq!(
            npy("<f2", "False", "(4,)", &[0, 0x3c, 0, 0xc0, 1, 0, 0, 0x7c]).unwrap().floats().unwrap(),
            [1.0, -2.0, 2f64.powi(-24), f64::INFINITY]
        );
        assert_eq!(npy("|b1", "False", "(2, 1)", &[1, 0]).unwrap().marks().unwrap(), [true, false]);
        assert_eq!(npy("|S3", "False", "(2,)", b"ab\0xyz").unwrap().texts().unwrap(), ["ab", "xyz"]);
        assert_eq!(npy(">U2", "False", "(1,)", &[0, 0, 0, 97, 0, 0, 0, 0]).unwrap().texts().unwrap(), ["a"]);
        assert_eq!(npy("<u8", "False", "(1,)", &[255; 8]).unwrap().floats().unwrap(), [u64::MAX as f64]);
        assert!(npy("<u8", "False", "(1,)", &[255; 8]).unwrap().integers().is_err());
    }

    #[test]
    fn column_major_arrays_of_three_sides_are_turned() {
        let given: Vec<u8> = (0..24).collect();
        let array = npy("|u1", "True", "(2, 3, 4)", &given).unwrap().to_f32().unwrap();
        for (i, j, k) in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 2, 3), (0, 2, 1)] {
            assert_eq!(array[[i, j, k]], (i + 2 * j + 6 * k) as f32);
        }
    }

    #[test]
    fn shapes_that_promise_more_than_there_is_are_refused() {
        for shape in ["(1152921504606846976,)", "(4294967296, 4294967297)", "(3,)", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"] {
            assert!(npy("<f8", "False", shape, &[0; 16]).unwrap_err().to_string().len() < 500);
        }
        assert!(npy("|O", "False", "(1,)", b"x").unwrap_err().to_string().contains("element type \"|O\""));
    }
}
