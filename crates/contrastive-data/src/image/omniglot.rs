//! Omniglot (Lake, Salakhutdinov and Tenenbaum 2015).

use super::folder::{entries, read_files};
use super::{Colour, Decoding, FolderOptions, ImageSet};
use crate::{FileError, Limits, Origin, file_name, lines, read_text};
use std::path::{Path, PathBuf};

/// Strokes are 1 on 0, in one channel.
fn options(size: Option<usize>, limits: &Limits) -> FolderOptions {
    let size = size.map(|side| [side, side]);
    let decoding = Decoding { colour: Colour::Grey, size, invert: true, ..Decoding::default() };
    FolderOptions { decoding, limits: *limits }
}

/// Reads a folder of alphabets, each with a folder for each character: `alphabet/characterNN/ID_DRAWER.png`. The classes are
/// `alphabet/characterNN`; strokes are 1 on 0. `size`: the side all are scaled to (105 in the files).
///
/// # Errors
/// [`FileError`]: of a file, and for a folder without such images.
pub fn omniglot(path: &Path, size: Option<usize>, limits: &Limits) -> Result<ImageSet, FileError> {
    let (mut files, mut classes) = (Vec::new(), Vec::new());
    for alphabet in entries(path)?.0.into_iter().filter(|entry| entry.is_dir()) {
        for character in entries(&alphabet)?.0.into_iter().filter(|entry| entry.is_dir()) {
            let images = entries(&character)?.0;
            files.extend(images.into_iter().map(|file| (file, classes.len() as i32)));
            classes.push(format!("{}/{}", file_name(&alphabet), file_name(&character)));
        }
    }
    if files.is_empty() {
        return Err(FileError::Unrecognised {
            path: path.to_path_buf(),
            what: "Omniglot images",
            found: "no character with an image".into(),
            looked_for: "alphabet/characterNN/ID_DRAWER.png".into(),
        });
    }
    read_files(path, files, classes, &options(size, limits), Vec::new())
}

/// A one-shot task: which of the training images, one for each class, shows the character of each test image?
#[derive(Clone, Debug)]
pub struct OneShotRun {
    /// Its name: `run01`.
    pub name: String,
    /// One image for each class.
    pub training: ImageSet,
    /// The images to be classified.
    pub test: ImageSet,
    /// For each test image the position of its class in `training`.
    pub answers: Vec<usize>,
}

/// Reads the one-shot tasks below a folder, `runNN/class_labels.txt` with lines "test-image training-image", in order.
///
/// # Errors
/// [`FileError`]: of a file, of a line that is not two paths, and for a folder without tasks.
pub fn one_shot_runs(path: &Path, size: Option<usize>, limits: &Limits) -> Result<Vec<OneShotRun>, FileError> {
    let mut runs = Vec::new();
    for folder in entries(path)?.0.into_iter().filter(|entry| entry.join("class_labels.txt").is_file()) {
        let file = folder.join("class_labels.txt");
        let text = read_text(&file, limits)?;
        let (mut test, mut training, mut answers) = (Vec::new(), Vec::<PathBuf>::new(), Vec::new());
        for (number, line) in lines(&text) {
            let words: Vec<String> = String::from_utf8_lossy(line).split_whitespace().map(String::from).collect();
            let [asked, answer] = &words[..] else {
                let found = format!("{} words", words.len());
                return Err(Origin::line(&file, number).malformed(found, "a test image and a training image"));
            };
            let answer = path.join(answer);
            let place = training.iter().position(|known| *known == answer).unwrap_or_else(|| {
                training.push(answer);
                training.len() - 1
            });
            test.push((path.join(asked), -1));
            answers.push(place);
        }
        if test.is_empty() {
            return Err(FileError::Empty { path: file, expected: "a test image and a training image".into() });
        }
        let how = options(size, limits);
        let training = training.into_iter().map(|file| (file, -1)).collect();
        runs.push(OneShotRun {
            name: file_name(&folder),
            training: read_files(path, training, Vec::new(), &how, Vec::new())?,
            test: read_files(path, test, Vec::new(), &how, Vec::new())?,
            answers,
        });
    }
    if runs.is_empty() {
        return Err(FileError::Unrecognised {
            path: path.to_path_buf(),
            what: "one-shot runs",
            found: "no folder with class_labels.txt".into(),
            looked_for: "runNN/class_labels.txt".into(),
        });
    }
    Ok(runs)
}
