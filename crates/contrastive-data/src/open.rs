//! The one door to a file: bounded, unpacked, and checked for what it claims.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::error::FileError;
use super::lines::all_lines;
use super::place::Origin;

/// What every file may unpack to beside [`UNPACKED_TIMES`] its size, in bytes.
pub const UNPACKED_FREE: u64 = 1 << 20;

/// How many times its size a file may unpack to, beside [`UNPACKED_FREE`].
pub const UNPACKED_TIMES: u64 = 150;

/// Bounds on what a file may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The greatest size of a file in bytes, also after unpacking. `u64::MAX` means none. Default 2 GiB.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 2 << 30 }
    }
}

impl Limits {
    /// At most so many bytes.
    pub fn new(max_bytes: u64) -> Self {
        Self { max_bytes }
    }

    /// The bytes that a file of `packed` bytes may unpack to: at most [`max_bytes`](Self::max_bytes), and at most
    /// [`UNPACKED_FREE`] and [`UNPACKED_TIMES`] its size.
    pub fn unpacked(&self, packed: usize) -> u64 {
        self.max_bytes.min((packed as u64).saturating_mul(UNPACKED_TIMES).saturating_add(UNPACKED_FREE))
    }

    /// How many things (nodes, entries of a matrix, rows) a file of `packed` bytes may claim where each costs memory, however
    /// well it is packed: 1,048,576, and four for each byte.
    pub fn things(packed: usize) -> u64 {
        (1 << 20) + 4 * packed as u64
    }
}

/// The bytes of a file; a gzip file (by its content, whatever its name) is unpacked.
///
/// Memory grows with what is there, not with what is claimed: at most the file and [`Limits::unpacked`].
///
/// # Errors
/// [`FileError::NotFound`], [`FileError::Io`], [`FileError::Directory`], [`FileError::Limit`] for a file above
/// [`Limits::max_bytes`] or one that unpacks to too much, [`FileError::Changed`] when the file shrinks or grows while it is read,
/// and [`FileError::Malformed`] for damaged gzip data.
pub fn read_bytes(path: &Path, limits: &Limits) -> Result<Vec<u8>, FileError> {
    let bytes = whole(path, limits)?;
    if bytes.starts_with(b"\x1f\x8b") { unpack(path, &bytes, limits) } else { Ok(bytes) }
}

/// The bytes of a text file: as [`read_bytes`], without a byte order mark.
///
/// # Errors
/// As [`read_bytes`]; [`FileError::NotText`] for UTF-16 and for a NUL byte. Whether the rest is UTF-8 is checked where it is used,
/// so that a column nobody asks for may hold anything.
pub fn read_text(path: &Path, limits: &Limits) -> Result<Vec<u8>, FileError> {
    let mut bytes = read_bytes(path, limits)?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(FileError::NotText { origin: Origin::file(path), found: "UTF-16 text (by its byte order mark)" });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    if bytes.contains(&0) {
        let line = all_lines(&bytes).find(|(_, line)| line.contains(&0)).map_or(1, |(line, _)| line);
        return Err(FileError::NotText { origin: Origin::line(path, line), found: "a NUL byte" });
    }
    Ok(bytes)
}

/// The first bytes of a file, unpacked and without a byte order mark: enough to see what it is.
///
/// # Errors
/// As [`read_bytes`]; damaged gzip data gives what comes before the damage.
pub fn read_start(path: &Path, count: usize) -> Result<Vec<u8>, FileError> {
    let io = |source: std::io::Error| FileError::Io { path: path.to_path_buf(), source };
    if path.is_dir() {
        return Err(FileError::Directory { path: path.to_path_buf() });
    }
    let mut start = Vec::new();
    File::open(path).map_err(io)?.take(count as u64 + 4096).read_to_end(&mut start).map_err(io)?;
    if start.starts_with(b"\x1f\x8b") {
        let mut unpacked = Vec::new();
        let _ = MultiGzDecoder::new(&start[..]).take(count as u64 + 3).read_to_end(&mut unpacked);
        start = unpacked;
    }
    if start.starts_with(b"\xef\xbb\xbf") {
        start.drain(..3);
    }
    start.truncate(count);
    Ok(start)
}

/// The file as it lies on the disk.
fn whole(path: &Path, limits: &Limits) -> Result<Vec<u8>, FileError> {
    let io = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => FileError::NotFound { path: path.to_path_buf(), looked_for: "this file".into() },
        ErrorKind::IsADirectory => FileError::Directory { path: path.to_path_buf() },
        _ => FileError::Io { path: path.to_path_buf(), source },
    };
    let mut file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return Err(FileError::Directory { path: path.to_path_buf() });
    }
    let size = metadata.len();
    let too_large = |size| Err(Origin::file(path).limit("the size in bytes", size, limits.max_bytes));
    if size > limits.max_bytes {
        return too_large(size);
    }
    let bytes = drain(&mut file, size, limits.max_bytes).map_err(io)?;
    let found = bytes.len() as u64;
    if found > limits.max_bytes {
        return too_large(found);
    }
    if metadata.is_file() && found != size {
        return Err(FileError::Changed { path: path.to_path_buf(), expected: size, found });
    }
    Ok(bytes)
}

/// All bytes of a reader that is said to hold `size`, but at most one more than `most`.
fn drain(reader: &mut impl Read, size: u64, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // one more than announced, so that the end is seen without doubling
    bytes.try_reserve_exact(usize::try_from(size.saturating_add(1)).unwrap_or(usize::MAX))?;
    reader.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Unpacks gzip data. It is unpacked twice: first only to count, so that data which unpacks to too much costs no memory.
fn unpack(path: &Path, packed: &[u8], limits: &Limits) -> Result<Vec<u8>, FileError> {
    let damaged = |error: std::io::Error| {
        Origin::file(path).malformed(format!("cannot be unpacked: {error}"), "undamaged gzip data")
    };
    let most = limits.unpacked(packed.len());
    let mut counted = MultiGzDecoder::new(packed).take(most.saturating_add(1));
    let size = std::io::copy(&mut counted, &mut std::io::sink()).map_err(damaged)?;
    if size > most {
        return Err(Origin::file(path).limit("the unpacked size in bytes", size, most));
    }
    drain(&mut MultiGzDecoder::new(packed), size, most).map_err(damaged)
}
