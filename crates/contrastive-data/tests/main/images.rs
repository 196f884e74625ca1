//! Readers of images: real sets, and files that are damaged.

use crate::doors::gzip;
use crate::golden;
use contrastive_data::image::*;
use contrastive_data::{FileError, Limits};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[track_caller]
fn says<T: Debug>(result: Result<T, FileError>, words: &[&str]) {
    let error = result.expect_err("an error").to_string();
    assert!(error.len() < 500, "{} characters", error.len());
    words.iter().for_each(|words| assert!(error.contains(words), "{words:?} is not in {error:?}"));
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn idx_images(sides: [u32; 3], bytes: &[u8]) -> Vec<u8> {
    let mut out = 2051u32.to_be_bytes().to_vec();
    sides.iter().for_each(|side| out.extend(side.to_be_bytes()));
    out.extend(bytes);
    out
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    [&2049u32.to_be_bytes()[..], &(labels.len() as u32).to_be_bytes(), labels].concat()
}

#[test]
fn idx_plain_and_packed() {
    let folder = TempDir::new().unwrap();
    let images = idx_images([2, 2, 3], &(0..12).collect::<Vec<_>>());
    let labels = put(&folder, "labels.gz", &gzip(&idx_labels(&[4, 1])));
    for (name, bytes) in [("a", images.clone()), ("a.gz", gzip(&images))] {
        let path = put(&folder, name, &bytes);
        let set = idx(&path, Some(&labels), &Limits::default()).unwrap();
        assert_eq!((set.len(), set.shape(), set.bytes(1)), (2, [1, 2, 3], &[6, 7, 8, 9, 10, 11][..]));
        assert_eq!((set.label(0), set.label(1), set.ids()[1].as_str()), (Some(4), Some(1), "1"));
        assert_eq!(set.picture::<f64>(0).data[5], 5.0 / 255.0);
        // without labels nothing reaches a probe
        let bare = idx(&path, None, &Limits::default()).unwrap();
        assert_eq!((bare.label(0), bare.labelled().0.len()), (None, 0));
    }
}

#[test]
fn damaged_idx_says_what() {
    let folder = TempDir::new().unwrap();
    let limits = Limits::default();
    let read = |bytes: &[u8]| idx(&put(&folder, "x.idx", bytes), None, &limits);
    let good = idx_images([2, 2, 3], &[1; 12]);
    says(read(&good[..20]), &["x.idx: 4 bytes behind a header of [2, 2, 3] images", "12 bytes"]);
    says(read(&[&good[..], &[0]].concat()), &["13 bytes behind", "neither more nor less"]);
    says(read(&idx_labels(&[1; 9])), &["2049", "allowed: 2051"]);
    says(read(&good[..7]), &["7 bytes", "header of 16 bytes"]);
    says(read(&idx_images([0, 2, 3], &[])), &["sides of 1 and more"]);
    says(read(&idx_images([u32::MAX; 3], &[1; 5])), &["5 bytes behind"]);
    let mut packed = gzip(&good);
    packed.truncate(packed.len() - 6);
    says(read(&packed), &["undamaged gzip"]);
    says(read(&gzip(&[&good[..], &[0]].concat())), &["13 bytes behind", "neither more nor less"]);
    says(read(&[&gzip(&good)[..], b"rest"].concat()), &["undamaged gzip"]);
    let labels = put(&folder, "y.idx", &idx_labels(&[1, 2, 3]));
    says(idx(&put(&folder, "x.idx", &good), Some(&labels), &limits), &["y.idx: 3 labels for the 2 images of x.idx"]);
}

#[test]
fn cifar_records() {
    let folder = TempDir::new().unwrap();
    let record = |class: u8| [vec![class], vec![class + 1; 1024], vec![2; 2048]].concat();
    let path = put(&folder, "b.bin", &[record(3), record(9)].concat());
    put(&folder, "batches.meta.txt", b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    let set = cifar(&path, Cifar::Ten, &Limits::default()).unwrap();
    assert_eq!((set.len(), set.label(1), set.classes()[9].as_str()), (2, Some(9), "j"));
    assert_eq!((set.bytes(0)[0], set.bytes(0)[1024]), (4, 2));
    put(&folder, "batches.meta.txt", b"only\n");
    let set = cifar(&path, Cifar::Ten, &Limits::default()).unwrap();
    assert!(set.notes()[0].to_string().contains("1 names for 10 classes") && set.classes()[9] == "9");
    let hundred = put(&folder, "c.bin", &[vec![1, 99], vec![7; 3072]].concat());
    assert_eq!(cifar(&hundred, Cifar::Hundred, &Limits::default()).unwrap().label(0), Some(99));
    says(cifar(&hundred, Cifar::Ten, &Limits::default()), &["3074 bytes", "records of 3073 bytes"]);
    let bad = put(&folder, "d.bin", &[record(3), record(10)].concat());
    says(cifar(&bad, Cifar::Ten, &Limits::default()), &["byte 3073", "class 10 in record 1", "0 to 9"]);
    let half = put(&folder, "e.bin", &record(3)[..3000]);
    says(cifar(&half, Cifar::Ten, &Limits::default()), &["e.bin", "3000 bytes", "records of 3073 bytes"]);
}

fn png(width: u32, height: u32, shade: u8) -> Vec<u8> {
    let set = ImageSet::new(Images {
        name: "x".into(),
        shape: [3, height as usize, width as usize],
        white: 255,
        pixels: vec![shade; 3 * (width * height) as usize],
        labels: vec![-1],
        ids: vec!["x".into()],
        ..Images::default()
    });
    set.unwrap().png(0)
}

#[test]
fn folders_of_images() {
    let folder = TempDir::new().unwrap();
    put(&folder, "dog/1.png", &png(4, 4, 10));
    put(&folder, "cat/1.png", &png(4, 4, 20));
    put(&folder, "cat/2.PNG", &png(4, 4, 30));
    put(&folder, "cat/.hidden.png", b"no image");
    put(&folder, "cat/notes.txt", b"no image");
    let set = image_folder(folder.path(), &FolderOptions::default()).unwrap();
    assert_eq!((set.classes(), set.len()), (&["cat".to_string(), "dog".into()][..], 3));
    assert_eq!((set.ids()[2].as_str(), set.label(2), set.bytes(2)[0]), ("dog/1.png", Some(1), 10));
    assert!(set.notes()[0].to_string().contains("1 hidden and 1 other files were left out"));
    // another size: refused with the file's name, unless all are brought to one
    put(&folder, "dog/2.png", &png(6, 8, 40));
    says(image_folder(folder.path(), &FolderOptions::default()), &["2.png", "8 x 6 pixels", "4 x 4, as the first one"]);
    let mut options = FolderOptions::default();
    options.decoding.size = Some([3, 3]);
    options.decoding.colour = Colour::Grey;
    let set = image_folder(folder.path(), &options).unwrap();
    assert_eq!((set.shape(), set.bytes(3)), ([1, 3, 3], &[40; 9][..]));
    // flat folders have no labels
    let set = image_folder(&folder.path().join("cat"), &FolderOptions::default()).unwrap();
    assert_eq!((set.len(), set.label(0)), (2, None));
    let one = TempDir::new().unwrap();
    put(&one, "cat/1.png", &png(4, 4, 20));
    let set = image_folder(one.path(), &FolderOptions::default()).unwrap();
    assert!(set.notes()[0].to_string().contains("one class"));
    let empty = TempDir::new().unwrap();
    says(image_folder(empty.path(), &FolderOptions::default()), &["no images here", "one folder for each class"]);
    says(image_folder(&empty.path().join("no"), &FolderOptions::default()), &["no such file"]);
    put(&one, "cat/2.png", b"\x89PNG\r\n\x1a\nrest");
    says(image_folder(one.path(), &FolderOptions::default()), &["2.png", "undamaged PNG, JPEG or GIF"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"a\xff.png")), png(2, 2, 1)).unwrap();
    says(image_folder(folder.path(), &FolderOptions::default()), &["file names in UTF-8"]);
}

#[test]
fn files_become_pixels() {
    let how = Decoding::default();
    let path = Path::new("a.png");
    let grey = image::GrayImage::from_raw(2, 1, vec![0, 200]).unwrap();
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 1, vec![0u16, 51400]).unwrap();
    let clear = image::RgbaImage::from_raw(2, 1, vec![10, 20, 30, 255, 10, 20, 30, 0]).unwrap();
    let written = |image: image::DynamicImage, format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let (pixels, shape, sixteen) = decode(path, &written(grey.clone().into(), image::ImageFormat::Png), &how).unwrap();
    assert_eq!((pixels, shape, sixteen), (vec![0, 200, 0, 200, 0, 200], [3, 1, 2], false));
    let (pixels, _, sixteen) = decode(path, &written(deep.into(), image::ImageFormat::Png), &how).unwrap();
    assert_eq!((&pixels[..2], sixteen), (&[0, 200][..], true));
    let bytes = written(clear.into(), image::ImageFormat::Png);
    assert_eq!(decode(path, &bytes, &how).unwrap().0, [10, 255, 20, 255, 30, 255]);
    let on = Decoding { background: Background::Rgb(1, 2, 3), ..how };
    assert_eq!(decode(path, &bytes, &on).unwrap().0, [10, 1, 20, 2, 30, 3]);
    let inverted = Decoding { colour: Colour::Grey, invert: true, ..how };
    assert_eq!(
        decode(
            path,
            &written(image::DynamicImage::from(grey.clone()).into_rgba8().into(), image::ImageFormat::Gif),
            &inverted
        )
        .unwrap()
        .0,
        [255, 55]
    );
    let flat = image::DynamicImage::from(image::GrayImage::from_pixel(16, 16, image::Luma([90])));
    let jpeg = decode(path, &written(flat, image::ImageFormat::Jpeg), &how).unwrap();
    assert!(jpeg.1 == [3, 16, 16] && jpeg.0.iter().all(|p| p.abs_diff(90) <= 2));
    // a header that claims more than is allowed costs nothing
    let small = Decoding { max_pixels: 1, ..how };
    says(decode(path, &bytes, &small), &["number of pixels is 2; allowed: at most 1"]);
    says(decode(path, b"plain text", &how), &["no image format"]);
    says(decode(path, &bytes[..40], &how), &["undamaged PNG"]);
}

#[test]
fn sets_that_do_not_fit_together_are_refused() {
    let good = || Images {
        name: "s".into(),
        shape: [1, 1, 2],
        white: 16,
        pixels: vec![0, 16, 3, 4],
        labels: vec![0, -1],
        classes: vec!["a".into()],
        ids: vec!["x".into(), "y".into()],
        notes: Vec::new(),
    };
    assert_eq!(ImageSet::new(good()).unwrap().labelled(), (vec![0], vec![0]));
    says(ImageSet::new(Images { ids: vec!["x".into(); 2], ..good() }), &["images 0 and 1 both have the id x"]);
    says(ImageSet::new(Images { labels: vec![0, 1], ..good() }), &["label 1 of image y", "0 to 0"]);
    says(ImageSet::new(Images { labels: vec![0], ..good() }), &["1 labels for 2 images"]);
    says(ImageSet::new(Images { pixels: vec![0, 17, 3, 4], ..good() }), &["a pixel of 17 in image x"]);
    says(ImageSet::new(Images { pixels: vec![0; 3], ..good() }), &["3 bytes for 2 images of 2"]);
    says(ImageSet::new(Images { shape: [2, 1, 1], ..good() }), &["1 or 3 channels"]);
    says(ImageSet::new(Images::default()), &["no image"]);
}

#[test]
fn digits_say_where() {
    let folder = TempDir::new().unwrap();
    let read = |text: &str| digits_csv(&put(&folder, "d.csv", text.as_bytes()), 16, &Limits::default());
    let set = read("0,1,2,16,7\n\n1,1,1,1,0\n").unwrap();
    assert_eq!((set.len(), set.shape(), set.label(0), set.picture::<f32>(0).data[3]), (2, [1, 2, 2], Some(7), 1.0));
    says(read("0,1,2,3,7\n0,1,2,3\n"), &["d.csv:2", "4 columns", "4 pixels and a class"]);
    says(read("0,1,2,17,7\n"), &["d.csv:1: column 4", "\"17\"", "0 to 16"]);
    says(read("0,1,2,3,10\n"), &["column 5", "0 to 9"]);
    says(read("0,1,2,x,1\n"), &["column 4"]);
    says(read("\n"), &["empty"]);
}

#[test]
fn golden_data_image_sets() {
    let Some(data) = golden::shared().and_then(|path| golden::present(path.join("data"))) else { return };
    let limits = Limits::default();
    let fashion = data.join("fashion-mnist");
    let test =
        idx(&fashion.join("t10k-images-idx3-ubyte.gz"), Some(&fashion.join("t10k-labels-idx1-ubyte.gz")), &limits);
    let test = test.unwrap();
    assert_eq!((test.len(), test.shape(), test.classes().len()), (10_000, [1, 28, 28], 10));
    let count = |set: &ImageSet, class| set.labelled().1.iter().filter(|label| **label == class).count();
    assert!((0..10).all(|class| count(&test, class) == 1000));
    let batch = fs::read_dir(data.join("cifar10-subset/cifar-10-batches-bin")).unwrap();
    let batch = batch.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "bin"));
    let cifar = cifar(&batch.unwrap(), Cifar::Ten, &limits).unwrap();
    assert_eq!(cifar.len(), 4000);
    assert_eq!([0, 1, 9].map(|class| count(&cifar, class)), [396, 366, 413]);
    assert_eq!(cifar.classes()[0], "airplane");
    let digits = digits_csv(&data.join("optdigits/optdigits.tra"), 16, &limits).unwrap();
    assert_eq!((digits.len(), digits.shape()), (3823, [1, 8, 8]));
    let background = omniglot(&data.join("omniglot/images_background_small1"), Some(28), &limits).unwrap();
    assert_eq!((background.len(), background.shape(), background.classes().len()), (2720, [1, 28, 28], 136));
    // strokes are few and 1
    assert!(background.rows().mean().unwrap() < 0.15);
    let runs = one_shot_runs(&data.join("omniglot/all_runs"), Some(28), &limits).unwrap();
    assert_eq!((runs.len(), runs[0].name.as_str()), (20, "run01"));
    assert!(runs.iter().all(|run| run.training.len() == 20 && run.test.len() == 20));
}

/// Damaged copies of good files through every reader: an error or images, never a panic.
fn damage(executions: usize) {
    let path = Path::new("f");
    let record = [vec![3u8], vec![9; 3072]].concat();
    let mut animated = std::io::Cursor::new(Vec::new());
    let picture = image::DynamicImage::from(image::GrayImage::from_pixel(5, 4, image::Luma([9])));
    picture.to_rgba8().write_to(&mut animated, image::ImageFormat::Gif).unwrap();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let seeds = [
        idx_images([2, 2, 3], &[1; 12]),
        idx_labels(&[1, 2, 3]),
        record,
        png(5, 4, 77),
        animated.into_inner(),
        jpeg.into_inner(),
        b"0,1,2,16,7\n1,1,1,1,0\n".to_vec(),
    ];
    let folder = TempDir::new().unwrap();
    let how = Decoding { max_pixels: 1 << 16, ..Decoding::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut accepted = [0; 5];
    for round in 0..executions {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..4) {
                0 => bytes[at] ^= 1 << rng.random_range(0..8),
                1 => bytes[at] = rng.random(),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, rng.random()),
            }
        }
        accepted[0] += usize::from(parse_idx_images(path, &bytes).is_ok());
        accepted[1] += usize::from(parse_idx_labels(path, &bytes).is_ok());
        accepted[2] += usize::from(parse_cifar(path, &bytes, Cifar::Ten).is_ok());
        accepted[3] += usize::from(decode(path, &bytes, &how).is_ok());
        if round % seeds.len() == 6 {
            accepted[4] += usize::from(digits_csv(&put(&folder, "d", &bytes), 16, &Limits::default()).is_ok());
        }
    }
    assert!(accepted.iter().all(|count| *count > 0 && *count < executions), "{accepted:?}");
    println!("{executions} executions, accepted {accepted:?}");
}

#[test]
fn damaged_images_never_panic() {
    damage(20_000);
}

#[test]
#[ignore = "a million executions: minutes"]
fn damaged_images_never_panic_a_million_times() {
    damage(1_000_000);
}
