//! Archives of arrays. Members that nobody asks for are not even unpacked, but their names are checked.

use std::io::{Cursor, Read};
use std::path::Path;

use zip::ZipArchive;

use super::error::FileError;
use super::lines::{excerpt, listed};
use super::npy::Array;
use super::open::Limits;
use super::place::Origin;

/// An npz archive.
///
/// ```no_run
/// use contrastive_data::{Archive, Limits, read_bytes};
/// use std::path::Path;
///
/// let (path, limits) = (Path::new("a.npz"), Limits::default());
/// let bytes = read_bytes(path, &limits)?;
/// let values = Archive::open(path, &bytes, &limits)?.need("x")?.to_f32()?;
/// println!("{:?}", values.shape());
/// # Ok::<(), contrastive_data::FileError>(())
/// ```
pub struct Archive<'a> {
    path: &'a Path,
    packed: usize,
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Bytes that may still be unpacked.
    left: u64,
}

impl<'a> Archive<'a> {
    /// Opens an archive; all its members together may unpack to what [`Limits::unpacked`] says.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for what is no zip archive, and for a directory in which a name is damaged: one that differs from
    /// the name at the member itself, or occurs twice.
    pub fn open(path: &'a Path, bytes: &'a [u8], limits: &Limits) -> Result<Self, FileError> {
        let bad = |error: &zip::result::ZipError| bad_zip(Origin::file(path), error);
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| bad(&error))?;
        for member in 0..zip.len() {
            let file = zip.by_index_raw(member).map_err(|error| bad(&error))?;
            let (name, start) = (file.name_raw(), usize::try_from(file.header_start()).unwrap_or(usize::MAX));
            let field = |at: usize| bytes.get(start.saturating_add(at)..).unwrap_or(&[]);
            let length = field(26).first_chunk::<2>().map_or(0, |length| u16::from_le_bytes(*length).into());
            let own = field(30).get(..length).unwrap_or(&[]);
            if own != name {
                let found =
                    format!("a member named {:?} in the directory and {:?} itself", excerpt(name), excerpt(own));
                return Err(Origin::file(path).malformed(found, "an undamaged npz archive (zip of .npy)"));
            }
        }
        let left = limits.unpacked(bytes.len());
        let archive = Self { path, packed: bytes.len(), zip, left };
        let names = archive.names();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let found = format!("two members named {:?}", excerpt(pair[0].as_bytes()));
            return Err(Origin::file(path).malformed(found, "each member once"));
        }
        Ok(archive)
    }

    /// Names of all members, without `.npy`, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.zip.file_names().flatten().map(|name| name.trim_end_matches(".npy").to_owned()).collect();
        names.sort();
        names
    }

    /// Size of the archive in bytes.
    pub fn packed(&self) -> usize {
        self.packed
    }

    /// Whether there is such a member.
    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{name}.npy")).is_some()
    }

    /// A member, if it is there.
    ///
    /// # Errors
    /// [`FileError::Limit`] when it unpacks to more than is left, [`FileError::Malformed`] when it is damaged or no array of numbers
    /// or texts.
    pub fn get(&mut self, name: &str) -> Result<Option<Array>, FileError> {
        let origin = Origin::part(self.path, name);
        Ok(match self.bytes(name)? {
            Some(bytes) => Some(Array::parse(bytes, origin)?),
            None => None,
        })
    }

    /// The unpacked bytes of a member, if it is there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, FileError> {
        if !self.has(name) {
            return Ok(None);
        }
        let origin = Origin::part(self.path, name);
        let left = self.left;
        let member = self.zip.by_name(&format!("{name}.npy")).map_err(|error| bad_zip(origin.clone(), &error))?;
        let claimed = member.size();
        let too_much = |size| origin.clone().limit("the unpacked size in bytes", size, left);
        if claimed > left {
            return Err(too_much(claimed));
        }
        let mut bytes = Vec::new();
        // the claim is within the limit; what arrives is bounded all the same
        let reserved = bytes.try_reserve_exact(claimed as usize + 1);
        reserved.map_err(|_| too_much(claimed))?;
        let read = member.take(left.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| origin.clone().malformed(format!("cannot be unpacked: {error}"), "an undamaged member"))?;
        if bytes.len() as u64 > left {
            return Err(too_much(bytes.len() as u64));
        }
        self.left -= bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// The start of a member, if it is there: enough for its header.
    fn start(&mut self, name: &str) -> Result<Option<Vec<u8>>, FileError> {
        if !self.has(name) {
            return Ok(None);
        }
        let origin = Origin::part(self.path, name);
        let member = self.zip.by_name(&format!("{name}.npy")).map_err(|error| bad_zip(origin.clone(), &error))?;
        let mut bytes = Vec::new();
        let read = member.take(super::npy::MAX_HEADER as u64 + 12).read_to_end(&mut bytes);
        read.map_err(|error| origin.malformed(format!("cannot be unpacked: {error}"), "an undamaged member"))?;
        Ok(Some(bytes))
    }

    /// The shape that the header of a member states, if it is there. Its elements are not unpacked.
    ///
    /// # Errors
    /// [`FileError::Malformed`] for a damaged member or header.
    pub fn peek_shape(&mut self, name: &str) -> Result<Option<Vec<usize>>, FileError> {
        let origin = Origin::part(self.path, name);
        self.start(name)?.map(|bytes| Array::peek(&bytes, &origin).map(|header| header.1)).transpose()
    }

    /// numpy's name of the elements of a member, if it is there: `|O` for objects.
    ///
    /// # Errors
    /// As [`peek_shape`](Self::peek_shape).
    pub fn descr(&mut self, name: &str) -> Result<Option<String>, FileError> {
        let origin = Origin::part(self.path, name);
        self.start(name)?.map(|bytes| Array::peek(&bytes, &origin).map(|header| header.0)).transpose()
    }

    /// A member that must be there.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`FileError::Malformed`] when it is not there.
    pub fn need(&mut self, name: &str) -> Result<Array, FileError> {
        self.get(name)?.ok_or_else(|| {
            let found = format!("no member {name}; there are {}", listed(&self.names()));
            Origin::file(self.path).malformed(found, "an archive with this member")
        })
    }

    /// The first of these members that is there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn first(&mut self, names: &[&str]) -> Result<Option<Array>, FileError> {
        match names.iter().find(|name| self.has(name)) {
            Some(name) => self.get(name),
            None => Ok(None),
        }
    }
}

fn bad_zip(origin: Origin, error: &zip::result::ZipError) -> FileError {
    origin.malformed(format!("cannot be unpacked: {error}"), "an undamaged npz archive (zip of .npy)")
}
