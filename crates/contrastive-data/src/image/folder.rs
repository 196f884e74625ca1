//! Folders of image files.

use super::decode::{Decoding, decode};
use super::{ImageSet, Images};
use crate::{FileError, FileNote, Limits, Origin, file_name, read_bytes, shown};
use std::path::{Path, PathBuf};

/// How a folder is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// How files become pixels.
    pub decoding: Decoding,
    /// Bounds on each file.
    pub limits: Limits,
}

/// Names of what a folder holds, in order; hidden ones are left out.
pub(super) fn entries(path: &Path) -> Result<(Vec<PathBuf>, usize), FileError> {
    let io = |source| FileError::Io { path: path.to_path_buf(), source };
    if !path.exists() {
        return Err(FileError::NotFound { path: path.to_path_buf(), looked_for: "a folder of images".into() });
    }
    let (mut found, mut hidden) = (Vec::new(), 0);
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?.path();
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else {
            return Err(FileError::BadId {
                origin: Origin::file(path),
                what: "image",
                text: entry.file_name().unwrap_or_default().to_string_lossy().into(),
                allowed: "file names in UTF-8: they become ids".into(),
            });
        };
        match name.starts_with('.') {
            true => hidden += 1,
            false => found.push(entry),
        }
    }
    found.sort();
    Ok((found, hidden))
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    ["png", "jpg", "jpeg", "gif"].contains(&extension.as_str())
}

/// Reads a folder of PNG, JPEG and GIF files (by their extensions): one folder for each class, or all files in one, then without labels.
/// Hidden files and files of other kinds are left out, with a note. Ids are paths within the folder. Images of different sizes need
/// [`Decoding::size`].
///
/// # Errors
/// [`FileError`]: of a file, by its name; a folder without images; an image whose size is not that of the first; a name that is not
/// UTF-8.
pub fn image_folder(path: &Path, options: &FolderOptions) -> Result<ImageSet, FileError> {
    let (top, mut hidden) = entries(path)?;
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = top.into_iter().partition(|entry| entry.is_dir());
    let mut notes = Vec::new();
    let (mut classes, mut listed, mut others) = (Vec::new(), Vec::new(), 0);
    for folder in &folders {
        let (inside, more) = entries(folder)?;
        hidden += more;
        let images: Vec<PathBuf> = inside.iter().filter(|file| file.is_file() && is_image(file)).cloned().collect();
        others += inside.len() - images.len();
        if !images.is_empty() {
            listed.extend(images.into_iter().map(|file| (file, classes.len() as i32)));
            classes.push(file_name(folder));
        }
    }
    let flat: Vec<PathBuf> = files.iter().filter(|file| is_image(file)).cloned().collect();
    others += files.len() - flat.len();
    if listed.is_empty() {
        listed = flat.into_iter().map(|file| (file, -1)).collect();
    } else {
        others += flat.len();
    }
    let note = |taken: String| FileNote::Layout { file: file_name(path), taken };
    if hidden + others > 0 {
        notes.push(note(format!("{hidden} hidden and {others} other files were left out")));
    }
    if classes.len() == 1 {
        notes.push(note(format!("all images are of one class, {:?}: no probe can tell it from another", classes[0])));
    }
    if listed.is_empty() {
        return Err(FileError::Unrecognised {
            path: path.to_path_buf(),
            what: "images",
            found: format!("{} folders and {} files", folders.len(), files.len()),
            looked_for: "files that end with .png, .jpg, .jpeg or .gif, here or in one folder for each class".into(),
        });
    }
    read_files(path, listed, classes, options, notes)
}

/// Reads these files, of one shape.
pub(super) fn read_files(
    root: &Path,
    files: Vec<(PathBuf, i32)>,
    classes: Vec<String>,
    options: &FolderOptions,
    mut notes: Vec<FileNote>,
) -> Result<ImageSet, FileError> {
    let (mut pixels, mut labels, mut ids, mut deep) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut shape = None;
    for (file, label) in files {
        let bytes = read_bytes(&file, &options.limits)?;
        let (data, found, sixteen) = decode(&file, &bytes, &options.decoding)?;
        let first = *shape.get_or_insert(found);
        if first != found {
            let what = format!("an image of {} x {} pixels", found[1], found[2]);
            let allowed = format!("{} x {}, as the first one, or a size that all are brought to", first[1], first[2]);
            return Err(Origin::file(&file).malformed(what, allowed));
        }
        pixels.extend(data);
        labels.push(label);
        deep += usize::from(sixteen);
        ids.push(file.strip_prefix(root).map_or_else(|_| shown(&file), |inside| inside.to_string_lossy().into_owned()));
    }
    if deep > 0 {
        let taken = format!("{deep} images have 16 bits a channel; 8 are kept");
        notes.push(FileNote::Layout { file: file_name(root), taken });
    }
    let shape = shape.expect("at least one file");
    ImageSet::new(Images { name: file_name(root), shape, white: 255, pixels, labels, classes, ids, notes })
}
