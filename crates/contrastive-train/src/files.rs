//! Files that are either as before or complete: every write goes to a temporary file in the same folder, is flushed to
//! the disk, and is renamed.

use crate::error::TrainError;
use crate::trainee::State;
use burn::tensor::{BoolStore, Bytes, DType, TensorData};
use ndarray_npy::{WritableElement, WriteNpyError, WriteNpyExt};
use safetensors::tensor::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(target_endian = "big")]
compile_error!("tensor files are little-endian and are written without conversion");

/// Prefix of temporary files: what a killed process leaves behind is removed when its run folder is opened again.
pub(crate) const TEMPORARY: &str = ".contrastive-";

/// The one key of a safetensors header that holds our metadata, as a JSON object.
const HEADER: &str = "contrastive";
const CHECKSUM: &str = "checksum";

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Makes renames within `folder` durable, where the system allows it.
pub(crate) fn sync_folder(folder: &Path) {
    // Some systems do not open folders as files; the rename is atomic there as well, only later on the disk.
    if let Ok(folder) = File::open(folder) {
        folder.sync_all().ok();
    }
}

/// A complete, flushed temporary file next to its target; removed when dropped without [`Self::rename`].
pub(crate) struct Temporary {
    path: PathBuf,
    target: PathBuf,
    renamed: bool,
}

impl Temporary {
    pub(crate) fn write(
        target: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Self, TrainError> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let failed = TrainError::write(target);
        let (path, file) = loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder_of(target).join(format!("{TEMPORARY}{}-{number}.tmp", std::process::id()));
            match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                // left by a killed process that had the same id
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        };
        let temporary = Self { path, target: target.to_path_buf(), renamed: false };
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let done = write(&mut out).and_then(|()| out.flush()).and_then(|()| out.get_ref().sync_all());
        // Without this the writer would try once more to write what is left in its buffer.
        drop(out.into_parts());
        done.map(|()| temporary).map_err(failed)
    }

    pub(crate) fn rename(mut self) -> Result<(), TrainError> {
        fs::rename(&self.path, &self.target).map_err(TrainError::write(&self.target))?;
        self.renamed = true;
        sync_folder(&folder_of(&self.target));
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Writes a file so that `path` is at every moment either as it was or complete, also when the process is killed or the
/// disk is full.
///
/// # Errors
/// [`TrainError::Write`] naming `path`; nothing has changed then.
pub fn atomic_write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), TrainError> {
    Temporary::write(path, write)?.rename()
}

/// Writes a matrix or vector as `.npy` (NumPy's format), atomically.
///
/// # Errors
/// [`TrainError::Write`] naming `path`.
pub fn write_npy<A: WritableElement, D: ndarray::Dimension>(
    path: &Path,
    array: &ndarray::Array<A, D>,
) -> Result<(), TrainError> {
    atomic_write(path, |out| {
        array.write_npy(out).map_err(|error| match error {
            WriteNpyError::Io(error) => error,
            other => io::Error::other(other),
        })
    })
}

/// A digest of 64 bits. Each step is a bijection of its state, so that any change of one word changes the result.
pub(crate) struct Digest(u64);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    pub(crate) fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}

fn checksum(state: &State, metadata: &BTreeMap<String, String>) -> String {
    let mut digest = Digest::new();
    for (key, value) in metadata {
        digest.bytes(key.as_bytes());
        digest.bytes(value.as_bytes());
    }
    for (name, data) in state {
        digest.bytes(name.as_bytes());
        digest.bytes(format!("{:?} {:?}", data.dtype(), data.shape()).as_bytes());
        digest.bytes(data.as_bytes());
    }
    digest.hex()
}

struct HostTensor<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: &'a [u8],
}

impl View for HostTensor<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

const TYPES: [(DType, Dtype); 13] = [
    (DType::F64, Dtype::F64),
    (DType::F32, Dtype::F32),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::I64, Dtype::I64),
    (DType::I32, Dtype::I32),
    (DType::I16, Dtype::I16),
    (DType::I8, Dtype::I8),
    (DType::U64, Dtype::U64),
    (DType::U32, Dtype::U32),
    (DType::U16, Dtype::U16),
    (DType::U8, Dtype::U8),
    (DType::Bool(BoolStore::Native), Dtype::BOOL),
];

/// Prepares a safetensors file in a temporary file beside `path`.
pub(crate) fn prepare_safetensors(
    path: &Path,
    state: &State,
    metadata: &BTreeMap<String, String>,
) -> Result<Temporary, TrainError> {
    let bytes = serialise(path, state, metadata)?;
    Temporary::write(path, |out| out.write_all(&bytes))
}

/// The bytes of a safetensors file; `path` is for messages.
pub(crate) fn serialise(
    path: &Path,
    state: &State,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, TrainError> {
    let mut tensors = Vec::with_capacity(state.len());
    for (name, data) in state {
        let dtype = TYPES.iter().find(|(burn, _)| *burn == data.dtype()).ok_or_else(|| TrainError::State {
            name: name.clone(),
            problem: format!("element type {:?} cannot be saved", data.dtype()),
        })?;
        let shape = data.shape().iter().copied().collect();
        tensors.push((name, HostTensor { dtype: dtype.1, shape, bytes: data.as_bytes() }));
    }
    // One key only: the header is a hash map, and equal states shall give equal files.
    let mut all = metadata.clone();
    all.insert(CHECKSUM.into(), checksum(state, metadata));
    let header = serde_json::to_string(&all).expect("a map of strings is JSON");
    safetensors::serialize(tensors, Some(HashMap::from([(HEADER.into(), header)])))
        .map_err(|error| TrainError::write(path)(io::Error::other(error)))
}

/// Writes named tensors and metadata as `.safetensors`, atomically, with a checksum over both. Equal contents give equal
/// bytes.
///
/// # Errors
/// [`TrainError::Write`] naming `path`; [`TrainError::State`] for an element type the format does not have.
pub fn write_safetensors(path: &Path, state: &State, metadata: &BTreeMap<String, String>) -> Result<(), TrainError> {
    prepare_safetensors(path, state, metadata)?.rename()
}

/// Reads a `.safetensors` file: named tensors and metadata. Files of other programs are read as well, without a checksum; in our
/// own it is verified. Ours is a file with our metadata key, or one like it, or with our checksum under another key.
///
/// # Errors
/// [`TrainError::Read`] when the file cannot be read, [`TrainError::Corrupt`] when its contents are not what was written: it names
/// the key that is damaged or missing, or both checksums.
pub fn read_safetensors(path: &Path) -> Result<(State, BTreeMap<String, String>), TrainError> {
    parse(path, &fs::read(path).map_err(TrainError::read(path))?)
}

/// The same bytes, but for one or two: a damaged key rather than another program's.
fn resembles(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.len() == wanted.len() && bytes.iter().zip(wanted).filter(|(a, b)| a != b).count() <= 2
}

/// Does a metadata value, whole or damaged, hold what [`serialise`] writes of a checksum?
fn holds_checksum(value: &str) -> bool {
    let name = format!("\"{CHECKSUM}\":\"");
    let digits = |digest: &[u8]| digest[..16].iter().all(u8::is_ascii_hexdigit) && digest[16] == b'"';
    let held = |window: &[u8]| resembles(&window[..name.len()], name.as_bytes()) && digits(&window[name.len()..]);
    value.as_bytes().windows(name.len() + 17).any(held)
}

/// What [`serialise`] has made; `path` is for messages.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<(State, BTreeMap<String, String>), TrainError> {
    let corrupt = |reason: String| TrainError::Corrupt { path: path.to_path_buf(), reason };
    let unreadable = |e: safetensors::SafeTensorError| corrupt(format!("{e} ({} bytes)", bytes.len()));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
    let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
    let mut metadata = BTreeMap::new();
    let mut ours_at_all = false;
    for (key, value) in header.metadata().iter().flatten() {
        if key == HEADER {
            let ours: BTreeMap<String, String> =
                serde_json::from_str(value).map_err(|e| corrupt(format!("metadata: {e}")))?;
            metadata.extend(ours);
            ours_at_all = true;
        } else {
            // a damaged key must not switch the checksum off
            if resembles(key.as_bytes(), HEADER.as_bytes()) || holds_checksum(value) {
                return Err(corrupt(format!("the key {key:?} of its metadata should be {HEADER:?}")));
            }
            metadata.insert(key.clone(), value.clone());
        }
    }
    let mut state = State::new();
    for (name, tensor) in file.iter() {
        let dtype = TYPES
            .iter()
            .find(|(_, theirs)| *theirs == tensor.dtype())
            .ok_or_else(|| corrupt(format!("tensor {name:?} has element type {:?}", tensor.dtype())))?;
        let shape: Vec<usize> = tensor.shape().to_vec();
        state.insert(name.to_string(), TensorData::from_bytes(aligned(tensor.data(), dtype.0), shape, dtype.0));
    }
    if ours_at_all {
        let missing = || corrupt(format!("the key {CHECKSUM:?} is missing in its metadata"));
        let expected = metadata.remove(CHECKSUM).ok_or_else(missing)?;
        let found = checksum(&state, &metadata);
        if found != expected {
            return Err(corrupt(format!("checksum {found}, recorded is {expected}")));
        }
    }
    Ok((state, metadata))
}

/// A copy with the alignment of its element type.
fn aligned(bytes: &[u8], dtype: DType) -> Bytes {
    match dtype.size() {
        8 => Bytes::from_elems(bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect::<Vec<_>>()),
        4 => Bytes::from_elems(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect::<Vec<_>>()),
        2 => Bytes::from_elems(bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect::<Vec<_>>()),
        _ => Bytes::from_elems(bytes.to_vec()),
    }
}
