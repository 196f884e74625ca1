//! Files of tensors that `torch.save` wrote since PyTorch 1.6: a zip archive of one pickle and the numbers.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

use super::error::FileError;
use super::open::Limits;
use super::pickle::{Pickle, Stored};
use super::place::Origin;

/// The numbers of a tensor, row-major. Half precision is read as single.
#[derive(Clone, Debug, PartialEq)]
pub enum TorchValues {
    /// Of a float, half or bfloat16 tensor.
    F32(Vec<f32>),
    /// Of a double tensor.
    F64(Vec<f64>),
}

/// A tensor with its name: those of the dictionaries it is in, with dots between, and its own.
#[derive(Clone, Debug, PartialEq)]
pub struct TorchTensor {
    /// `model.0.weight`, say.
    pub name: String,
    /// Its shape; empty for a single number.
    pub shape: Vec<usize>,
    /// As many numbers as the shape says.
    pub values: TorchValues,
}

/// Whether bytes look like a zip archive.
pub fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// The tensors of floats of a file, in its order. Nothing in its pickle is run: it may name only what tensors and dictionaries are made
/// of. Tensors of whole numbers and other values of a checkpoint are passed over.
///
/// # Errors
/// [`FileError::Malformed`] for what is no such archive, a pickle that names anything else, and a tensor that reaches outside of its
/// numbers; [`FileError::Limit`] when tensors are larger than what is allowed to be unpacked.
pub fn torch_tensors(path: &Path, bytes: &[u8], limits: &Limits) -> Result<Vec<TorchTensor>, FileError> {
    let allowed = "a file that torch.save wrote (a zip archive with a data.pkl)";
    let bad = |error: zip::result::ZipError| Origin::file(path).malformed(error.to_string(), allowed);
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(bad)?;
    let mut names = zip.file_names().flatten().map(|name| name.to_string());
    let Some(pickle) = names.find(|name| name == "data.pkl" || name.ends_with("/data.pkl")) else {
        return Err(Origin::file(path).malformed("an archive without data.pkl", allowed));
    };
    drop(names);
    let folder = pickle.trim_end_matches("data.pkl").to_owned();
    let mut left = limits.unpacked(bytes.len());
    let program = member(path, &mut zip, &pickle, &mut left)?;
    let stored = Pickle::parse_part(path, &pickle, &program)?.tensors()?;
    let mut storages: HashMap<String, Vec<u8>> = HashMap::new();
    let mut tensors = Vec::with_capacity(stored.len());
    for tensor in stored {
        let Some(size) = size_of_one(tensor.storage) else { continue };
        if !storages.contains_key(&tensor.key) {
            let name = format!("{folder}data/{}", tensor.key);
            storages.insert(tensor.key.clone(), member(path, &mut zip, &name, &mut left)?);
        }
        // views of one storage may be many: what they become counts as well
        let count = tensor.shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
        let bytes = count.and_then(|count| count.checked_mul(size)).map_or(u64::MAX, |bytes| bytes as u64);
        if bytes > left {
            return Err(tensor.origin.limit("the size of all tensors in bytes", bytes, left));
        }
        left -= bytes;
        tensors.push(gather(tensor, &storages, size)?);
    }
    Ok(tensors)
}

fn member(path: &Path, zip: &mut ZipArchive<Cursor<&[u8]>>, name: &str, left: &mut u64) -> Result<Vec<u8>, FileError> {
    let origin = Origin::part(path, name);
    let allowed = "an undamaged member of the archive";
    let file = match zip.by_name(name) {
        Ok(file) => file,
        Err(error) => return Err(origin.malformed(error.to_string(), allowed)),
    };
    let mut bytes = Vec::new();
    if let Err(error) = file.take(*left + 1).read_to_end(&mut bytes) {
        return Err(origin.malformed(error.to_string(), allowed));
    }
    let size = bytes.len() as u64;
    if size > *left {
        return Err(origin.limit("the size in bytes", size, *left));
    }
    *left -= size;
    Ok(bytes)
}

/// Bytes of a number, of those types that are floats.
fn size_of_one(storage: &str) -> Option<usize> {
    match storage {
        "HalfStorage" | "BFloat16Storage" => Some(2),
        "FloatStorage" => Some(4),
        "DoubleStorage" => Some(8),
        _ => None,
    }
}

fn gather(tensor: Stored, storages: &HashMap<String, Vec<u8>>, size: usize) -> Result<TorchTensor, FileError> {
    let Stored { name, key, storage, offset, shape, strides, origin } = tensor;
    let bytes = &storages[&key];
    let count: usize = shape.iter().product();
    let mut axes = shape.iter().zip(&strides);
    let last =
        axes.try_fold(offset, |last, (side, stride)| last.checked_add(side.saturating_sub(1).checked_mul(*stride)?));
    if count > 0 && last.is_none_or(|last| last >= bytes.len() / size) {
        let found =
            format!("a tensor {shape:?} with strides {strides:?} at {offset} of {} numbers", bytes.len() / size);
        return Err(origin.malformed(found, "a tensor within its numbers"));
    }
    // the places of all numbers, row-major
    let place = |k: usize| {
        let axes = shape.iter().zip(&strides).rev();
        axes.fold((k, offset), |(k, at), (side, stride)| (k / side, at + k % side * stride)).1
    };
    let at = |k: usize| &bytes[place(k) * size..][..size];
    let values = match storage {
        "DoubleStorage" => {
            TorchValues::F64((0..count).map(|k| f64::from_le_bytes(at(k).try_into().expect("8 bytes"))).collect())
        }
        "FloatStorage" => {
            TorchValues::F32((0..count).map(|k| f32::from_le_bytes(at(k).try_into().expect("4 bytes"))).collect())
        }
        kind => {
            let half = kind == "HalfStorage";
            let number = |bits: u16| if half { half_precision(bits) } else { f32::from_bits(u32::from(bits) << 16) };
            let bits = |k: usize| u16::from_le_bytes(at(k).try_into().expect("2 bytes"));
            TorchValues::F32((0..count).map(|k| number(bits(k))).collect())
        }
    };
    Ok(TorchTensor { name, shape, values })
}

/// A number of half precision (IEEE 754 binary16).
pub fn half_precision(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15) << 31, u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    let magnitude = match exponent {
        // below the smallest normal number: multiples of 2^-24
        0 => fraction as f32 * 2f32.powi(-24),
        31 => f32::from_bits(0x7f80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// What Python 3.11 pickles (protocol 2) for `OrderedDict(model={"a.weight": 2 x 3 floats, transposed}, step=3, b=Parameter)`, with
    /// stand-ins for torch's classes and persistent ids, as `torch.save` does.
    const PICKLE: &[u8] = include_bytes!("torch/state.pkl");

    fn archive(pickle: &[u8], numbers: &[f32]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let numbers: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        for (name, bytes) in [("x/data.pkl", pickle), ("x/data/0", &numbers), ("x/version", b"3\n")] {
            zip.start_file(name, stored).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn tensors_have_their_names_shapes_and_strides() {
        let (path, numbers) = (Path::new("state.pt"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        let tensors = torch_tensors(path, &archive(PICKLE, &numbers), &Limits::default()).unwrap();
        let of = |name: &str, shape: &[usize], values: &[f32]| TorchTensor {
            name: name.into(),
            shape: shape.to_vec(),
            values: TorchValues::F32(values.to_vec()),
        };
        let weight = of("model.a.weight", &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        names.sort();
        assert_eq!(names, ["b", "model.a.weight"]);
        assert!(tensors.contains(&weight) && tensors.contains(&of("b", &[2], &[6.0, 7.0])), "{tensors:?}");
    }

    #[test]
    fn tensors_outside_of_their_numbers_and_other_archives_are_refused() {
        let path = Path::new("state.pt");
        let short = torch_tensors(path, &archive(PICKLE, &[0.0; 7]), &Limits::default()).unwrap_err();
        assert!(short.to_string().contains("within its numbers"), "{short}");
        let none = torch_tensors(path, b"PK\x03\x04 and nothing more", &Limits::default()).unwrap_err();
        assert!(matches!(none, FileError::Malformed { .. }), "{none}");
        let system = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.";
        let named = torch_tensors(path, &archive(system, &[]), &Limits::default()).unwrap_err();
        assert!(named.to_string().contains("os system"), "{named}");
    }

    #[test]
    fn half_precision_is_what_ieee_754_says() {
        // 1, -2, largest, smallest normal, smallest, infinity, -0
        let bits = [0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x7c00, 0x8000];
        let want = [1.0, -2.0, 65504.0, 2f32.powi(-14), 2f32.powi(-24), f32::INFINITY, -0.0];
        assert_eq!(bits.map(half_precision).map(f32::to_bits), want.map(f32::to_bits));
        assert!(half_precision(0x7e00).is_nan());
    }
}
