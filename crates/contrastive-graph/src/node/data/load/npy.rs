//! Arrays in npy form and archives of them. An array is checked against the bytes that are there before anything is made
//! of it; members that nobody asks for are not even unpacked.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

use super::super::error::{GraphError, Origin};
use crate::user_item::data::excerpt;

/// The greatest header of an array that is read.
const MAX_HEADER: usize = 4096;

/// The element types that occur in graphs.
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

/// An array: its shape and its elements in row-major order, as they stand in the file.
#[derive(Debug)]
pub(super) struct Array {
    pub shape: Vec<usize>,
    kind: Kind,
    size: usize,
    data: Vec<u8>,
    pub origin: Origin,
}

impl Array {
    /// An array from the bytes of an npy file.
    pub fn parse(bytes: &[u8], origin: Origin) -> Result<Self, GraphError> {
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
            return Err(origin.limit("the length of an npy header", length as u64, MAX_HEADER as u64));
        }
        let header = bytes.get(start..start + length).ok_or_else(short)?;
        let data = &bytes[start + length..];
        let header = std::str::from_utf8(header).ok().and_then(Header::parse).ok_or_else(|| {
            wrong(format!("header {:?}", excerpt(header)), "{'descr': .., 'fortran_order': False, 'shape': (..), }")
        })?;
        let kinds = "little-endian floats of 4 or 8 bytes, integers of 1 to 8, booleans, S and U texts";
        let (kind, size) =
            element(&header.descr).ok_or_else(|| wrong(format!("element type {:?}", header.descr), kinds))?;
        let elements = header.shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        let needed = elements.and_then(|elements| elements.checked_mul(size));
        if needed != Some(data.len()) {
            let found = format!("shape {:?} of {:?} with {} bytes of elements", header.shape, header.descr, data.len());
            return Err(wrong(found, "as many bytes as the shape needs"));
        }
        let mut array = Self { shape: header.shape, kind, size, data: data.to_vec(), origin: origin.clone() };
        if header.fortran_order && array.shape.len() > 1 {
            array.transpose();
        }
        Ok(array)
    }

    /// An array of given element type from raw bytes; `numpy`'s name of the type without the byte order, as in `i4`.
    pub fn raw(name: &str, shape: Vec<usize>, data: &[u8], origin: Origin) -> Result<Self, GraphError> {
        let elements = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
        match element(&format!("<{name}")) {
            Some((kind, size)) if elements.and_then(|n| n.checked_mul(size)) == Some(data.len()) => {
                Ok(Self { shape, kind, size, data: data.to_vec(), origin })
            }
            _ => {
                let found = format!("an array of shape {shape:?} and type {name:?} with {} bytes", data.len());
                Err(origin.malformed(found, "as many bytes as the shape needs"))
            }
        }
    }

    /// Column-major order to row-major order, for matrices.
    fn transpose(&mut self) {
        let [rows, columns] = self.shape[..] else {
            return; // one side only: both orders are the same
        };
        if self.data.is_empty() {
            return;
        }
        let mut data = Vec::with_capacity(self.data.len());
        for row in 0..rows {
            for column in 0..columns {
                let at = (column * rows + row) * self.size;
                data.extend_from_slice(&self.data[at..at + self.size]);
            }
        }
        self.data = data;
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len().checked_div(self.size).unwrap_or(0)
    }

    fn elements(&self) -> impl Iterator<Item = &[u8]> {
        self.data.chunks_exact(self.size.max(1))
    }

    fn unfit(&self, what: &str) -> GraphError {
        let found = format!("an array of shape {:?} and element kind {:?}", self.shape, self.kind);
        self.origin.clone().malformed(found, what)
    }

    /// The elements as whole numbers.
    pub fn integers(&self) -> Result<Vec<i64>, GraphError> {
        let number = |bytes: &[u8]| -> Option<i64> {
            let mut wide = [0; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            let unsigned = u64::from_le_bytes(wide);
            match self.kind {
                Kind::Signed => {
                    let unused = 64 - 8 * bytes.len() as u32;
                    Some((unsigned << unused) as i64 >> unused)
                }
                Kind::Unsigned | Kind::Bool => i64::try_from(unsigned).ok(),
                Kind::Float => {
                    let value = float(bytes);
                    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
                }
                Kind::Bytes | Kind::Text => None,
            }
        };
        if matches!(self.kind, Kind::Bytes | Kind::Text) {
            return Err(self.unfit("whole numbers"));
        }
        self.elements().map(number).collect::<Option<_>>().ok_or_else(|| self.unfit("whole numbers"))
    }

    /// The elements as whole numbers from 0 up.
    pub fn indices(&self) -> Result<Vec<u64>, GraphError> {
        let natural = |value: i64| u64::try_from(value);
        let wrong = |_| self.unfit("whole numbers from 0 up");
        self.integers()?.into_iter().map(natural).collect::<Result<_, _>>().map_err(wrong)
    }

    /// The elements as numbers.
    pub fn floats(&self) -> Result<Vec<f64>, GraphError> {
        match self.kind {
            Kind::Float => Ok(self.elements().map(float).collect()),
            _ => Ok(self.integers()?.into_iter().map(|value| value as f64).collect()),
        }
    }

    /// The elements as texts.
    pub fn texts(&self) -> Result<Vec<String>, GraphError> {
        let decoded = |bytes: &[u8]| -> Option<String> {
            match self.kind {
                Kind::Bytes => String::from_utf8(bytes.to_vec()).ok(),
                Kind::Text => {
                    let (characters, _) = bytes.as_chunks::<4>();
                    characters.iter().map(|bytes| char::from_u32(u32::from_le_bytes(*bytes))).collect()
                }
                _ => None,
            }
        };
        let trimmed = |text: String| text.trim_end_matches('\0').to_owned();
        // elements of no bytes: as many empty texts as the shape says were bounded by nothing
        if self.size == 0 {
            return Err(self.unfit("texts that are not empty"));
        }
        self.elements()
            .map(decoded)
            .map(|text| text.map(trimmed))
            .collect::<Option<_>>()
            .ok_or_else(|| self.unfit("texts"))
    }
}

/// A little-endian float of 4 or 8 bytes.
fn float(bytes: &[u8]) -> f64 {
    match *bytes {
        [a, b, c, d] => f32::from_le_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("element sizes were checked"),
    }
}

/// Kind and size of an element.
fn element(descr: &str) -> Option<(Kind, usize)> {
    let (order, rest) = descr.split_at_checked(1)?;
    let (kind, size) = rest.split_at_checked(1)?;
    let size: usize = size.parse().ok()?;
    let ordered = order == "<" || (matches!(order, "|" | "=") && size <= 1);
    match (kind, size) {
        ("f", 4 | 8) if ordered => Some((Kind::Float, size)),
        ("i", 1 | 2 | 4 | 8) if ordered => Some((Kind::Signed, size)),
        ("u", 1 | 2 | 4 | 8) if ordered => Some((Kind::Unsigned, size)),
        ("b", 1) => Some((Kind::Bool, 1)),
        ("S", 0..=1_000_000) => Some((Kind::Bytes, size)),
        ("U", 0..=1_000_000) if order == "<" => Some((Kind::Text, 4 * size)),
        _ => None,
    }
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
        (shape.len() <= 2).then_some(Self { descr, fortran_order, shape })
    }
}

/// An archive of arrays.
pub(super) struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Bytes that may still be unpacked.
    left: u64,
}

impl<'a> Archive<'a> {
    /// Opens an archive; all its members together may unpack to `max_bytes`.
    pub fn open(path: &'a Path, bytes: &'a [u8], max_bytes: u64) -> Result<Self, GraphError> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| bad_zip(Origin::file(path), &error))?;
        Ok(Self { path, zip, left: max_bytes })
    }

    /// Names of all members, without `.npy`.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.zip.file_names().flatten().map(|name| name.trim_end_matches(".npy").to_owned()).collect();
        names.sort();
        names
    }

    /// Whether there is such a member.
    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{name}.npy")).is_some()
    }

    /// A member, if it is there.
    pub fn get(&mut self, name: &str) -> Result<Option<Array>, GraphError> {
        if !self.has(name) {
            return Ok(None);
        }
        let origin = Origin::part(self.path, name);
        let member = self.zip.by_name(&format!("{name}.npy")).map_err(|error| bad_zip(origin.clone(), &error))?;
        let mut bytes = Vec::new();
        // what is claimed is not trusted: memory grows with what arrives
        let read = member.take(self.left + 1).read_to_end(&mut bytes);
        read.map_err(|error| origin.clone().malformed(format!("cannot be unpacked: {error}"), "an undamaged member"))?;
        if bytes.len() as u64 > self.left {
            return Err(origin.limit("the unpacked size in bytes", bytes.len() as u64, self.left));
        }
        self.left -= bytes.len() as u64;
        Array::parse(&bytes, origin).map(Some)
    }

    /// A member that must be there.
    pub fn need(&mut self, name: &str) -> Result<Array, GraphError> {
        self.get(name)?.ok_or_else(|| {
            let found = format!("no member {name}; there are {}", self.names().join(", "));
            Origin::file(self.path).malformed(found, "an archive with this member")
        })
    }
}

fn bad_zip(origin: Origin, error: &zip::result::ZipError) -> GraphError {
    origin.malformed(format!("cannot be unpacked: {error}"), "an undamaged npz archive (zip of .npy)")
}
