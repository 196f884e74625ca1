//! What a pickle is made of.

use std::path::Path;

use super::super::place::{Origin, Place};

/// A reference to a value: small whole numbers and constants stand in the reference itself, everything else at an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ref(u32);

const INLINE: u32 = 1 << 31;
const LEAST: i64 = -(1 << 20);
const GREATEST: i64 = (1 << 30) - 1;
const NOTHING: u32 = u32::MAX;
const TRUE: u32 = u32::MAX - 1;
const FALSE: u32 = u32::MAX - 2;

impl Ref {
    pub const NOTHING: Self = Self(NOTHING);
    pub const TRUE: Self = Self(TRUE);
    pub const FALSE: Self = Self(FALSE);

    /// The value at an index.
    pub fn at(index: usize) -> Option<Self> {
        u32::try_from(index).ok().filter(|&index| index < INLINE).map(Self)
    }

    /// A whole number, if it is small.
    pub fn int(value: i64) -> Option<Self> {
        (LEAST..=GREATEST).contains(&value).then(|| Self(INLINE + (value - LEAST) as u32))
    }

    /// Where the value is stored, if it is.
    pub fn index(self) -> Option<usize> {
        (self.0 < INLINE).then_some(self.0 as usize)
    }

    /// The value, if it is not stored.
    pub fn inline(self) -> Option<Value> {
        Some(match self.0 {
            NOTHING => Value::Nothing,
            TRUE => Value::Bool(true),
            FALSE => Value::Bool(false),
            small if small >= INLINE => Value::Int(i64::from(small - INLINE) + LEAST),
            _ => return None,
        })
    }
}

/// A value; what it consists of is elsewhere among all values.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Nothing,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A place in the file and a length; places beyond the end of the file are among the decoded texts.
    Bytes(u32, u32),
    List(Vec<Ref>),
    Tuple(Box<[Ref]>),
    Dict(Vec<(Ref, Ref)>),
    Global(Class),
    Object(Box<Object>),
}

/// What a name was called with, the state it was given, and its items.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub class: Class,
    pub arguments: Ref,
    pub state: Option<Ref>,
    pub items: Vec<(Ref, Ref)>,
}

/// The only things a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Csr,
    Csc,
    Coo,
    Reconstruct,
    Scalar,
    FromBuffer,
    NdArray,
    Dtype,
    DefaultDict,
    OrderedDict,
    List,
    Encode,
    Bytes,
    ByteArray,
    Reconstructor,
    Object,
    Tensor,
    Parameter,
    /// A type of torch's storages.
    Storage(&'static str),
    /// What a persistent id stands for.
    Persistent,
}

/// Modules and names as Python 2, Python 3, old and new numpy and scipy write them.
const NAMES: &[(&str, &str, Class)] = &[
    ("scipy.sparse.csr", "csr_matrix", Class::Csr),
    ("scipy.sparse._csr", "csr_matrix", Class::Csr),
    ("scipy.sparse._csr", "csr_array", Class::Csr),
    ("scipy.sparse.csc", "csc_matrix", Class::Csc),
    ("scipy.sparse._csc", "csc_matrix", Class::Csc),
    ("scipy.sparse._csc", "csc_array", Class::Csc),
    ("scipy.sparse.coo", "coo_matrix", Class::Coo),
    ("scipy.sparse._coo", "coo_matrix", Class::Coo),
    ("scipy.sparse._coo", "coo_array", Class::Coo),
    ("numpy.core.multiarray", "_reconstruct", Class::Reconstruct),
    ("numpy._core.multiarray", "_reconstruct", Class::Reconstruct),
    ("numpy.core.multiarray", "scalar", Class::Scalar),
    ("numpy._core.multiarray", "scalar", Class::Scalar),
    ("numpy.core.numeric", "_frombuffer", Class::FromBuffer),
    ("numpy._core.numeric", "_frombuffer", Class::FromBuffer),
    ("numpy", "ndarray", Class::NdArray),
    ("numpy", "dtype", Class::Dtype),
    ("collections", "defaultdict", Class::DefaultDict),
    ("collections", "OrderedDict", Class::OrderedDict),
    ("__builtin__", "list", Class::List),
    ("builtins", "list", Class::List),
    ("_codecs", "encode", Class::Encode),
    ("__builtin__", "bytes", Class::Bytes),
    ("builtins", "bytes", Class::Bytes),
    ("__builtin__", "bytearray", Class::ByteArray),
    ("builtins", "bytearray", Class::ByteArray),
    ("copy_reg", "_reconstructor", Class::Reconstructor),
    ("copyreg", "_reconstructor", Class::Reconstructor),
    ("__builtin__", "object", Class::Object),
    ("builtins", "object", Class::Object),
    ("torch._utils", "_rebuild_tensor_v2", Class::Tensor),
    ("torch._utils", "_rebuild_parameter", Class::Parameter),
    ("torch", "FloatStorage", Class::Storage("FloatStorage")),
    ("torch", "DoubleStorage", Class::Storage("DoubleStorage")),
    ("torch", "HalfStorage", Class::Storage("HalfStorage")),
    ("torch", "BFloat16Storage", Class::Storage("BFloat16Storage")),
    ("torch", "LongStorage", Class::Storage("LongStorage")),
    ("torch", "IntStorage", Class::Storage("IntStorage")),
    ("torch", "ShortStorage", Class::Storage("ShortStorage")),
    ("torch", "CharStorage", Class::Storage("CharStorage")),
    ("torch", "ByteStorage", Class::Storage("ByteStorage")),
    ("torch", "BoolStorage", Class::Storage("BoolStorage")),
];

impl Class {
    /// The class of a name, if a pickle may name it.
    pub fn of(module: &[u8], name: &[u8]) -> Option<Self> {
        let known = NAMES.iter().find(|known| known.0.as_bytes() == module && known.1.as_bytes() == name);
        known.map(|known| known.2)
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|known| known.2 == self).map_or("a persistent id", |known| known.1)
    }
}

/// A place in a pickle.
pub(super) fn origin(path: &Path, part: Option<&str>, byte: usize) -> Origin {
    match part {
        Some(part) => Origin::at(path, Place::Part(format!("{part}, byte {byte} of its pickle"))),
        None => Origin::byte(path, byte),
    }
}

/// A text in the file, or behind its end among the decoded ones.
pub(super) fn slice<'s>(bytes: &'s [u8], decoded: &'s [u8], start: u32, length: u32) -> &'s [u8] {
    let (start, length) = (start as usize, length as usize);
    match start.checked_sub(bytes.len()) {
        Some(start) => &decoded[start..start + length],
        None => &bytes[start..start + length],
    }
}
