//! Opening: gzip, line ends, limits, and what is refused.

use std::fs;
use std::io::Write;

use contrastive_data::{Archive, Limits, UNPACKED_FREE, UNPACKED_TIMES, all_lines, read_bytes, read_text};
use tempfile::TempDir;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn message(bytes: &[u8], limits: &Limits) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.txt");
    fs::write(&path, bytes).unwrap();
    let message = read_text(&path, limits).unwrap_err().to_string();
    assert!(message.contains("a.txt") && message.len() < 500, "{message}");
    message
}

#[test]
fn the_same_text_comes_out_of_every_packing() {
    let folder = TempDir::new().unwrap();
    let plain = b"a,b\n1,2\n".to_vec();
    let marked = [b"\xef\xbb\xbf".as_slice(), &plain].concat();
    let twice = [gzip(b"a,b\n"), gzip(b"1,2\n")].concat();
    for bytes in [&plain, &marked, &gzip(&plain), &gzip(&marked), &twice] {
        let path = folder.path().join("a.csv");
        fs::write(&path, bytes).unwrap();
        assert_eq!(read_text(&path, &Limits::default()).unwrap(), plain);
        assert_eq!(read_text(&path, &Limits::new(u64::MAX)).unwrap(), plain);
    }
}

#[test]
fn what_cannot_be_text_is_refused_with_its_place() {
    let limits = Limits::default();
    assert!(message(b"1 2\n3 \x004\n", &limits).contains("a.txt:2: a NUL byte"));
    assert!(message(b"1 2\r3 \x004\r", &limits).contains("a.txt:2: a NUL byte"));
    assert!(message(b"\xff\xfe1\x00", &limits).contains("UTF-16"));
    let mut damaged = gzip(&[b'x'; 500]);
    damaged.truncate(damaged.len() - 9);
    assert!(message(&damaged, &limits).contains("undamaged gzip data"));
    assert!(message(b"1234", &Limits::new(3)).contains("size in bytes is 4; allowed: at most 3"));
    let folder = TempDir::new().unwrap();
    let directory = read_bytes(folder.path(), &limits).unwrap_err().to_string();
    assert!(directory.ends_with("a directory; allowed: a file"), "{directory}");
    let absent = read_bytes(&folder.path().join("no"), &limits).unwrap_err().to_string();
    assert!(absent.contains("no such file"), "{absent}");
}

#[test]
fn gzip_that_unpacks_to_too_much_is_refused_by_its_size() {
    let most = |packed: usize| UNPACKED_FREE + UNPACKED_TIMES * packed as u64;
    let bomb = gzip(&vec![b'1'; 40 << 20]);
    assert!(40 << 20 > most(bomb.len()));
    assert!(message(&bomb, &Limits::default()).contains(&format!("at most {}", most(bomb.len()))));
    // within the ratio, but above what the caller allows
    assert!(
        message(&gzip(&[b'1'; 1000]), &Limits::new(999))
            .contains("unpacked size in bytes is 1000; allowed: at most 999")
    );
}

#[test]
fn archives_are_opened_only_with_an_undamaged_directory() {
    let path = std::path::Path::new("a.npz");
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for name in ["labels.npy", "x.npy"] {
        writer.start_file(name, options).unwrap();
        writer.write_all(b"\x93NUMPY").unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(Archive::open(path, &bytes, &Limits::default()).unwrap().names(), ["labels", "x"]);
    let places: Vec<usize> = (0..bytes.len() - 6).filter(|&at| bytes[at..].starts_with(b"labels")).collect();
    assert_eq!(places.len(), 2, "a name at the member and one in the directory");
    for place in places {
        let mut damaged = bytes.clone();
        damaged[place] = b'm';
        let message = Archive::open(path, &damaged, &Limits::default()).err().unwrap().to_string();
        assert!(message.contains("in the directory and"), "{message}");
    }
}

#[test]
fn line_numbers_count_every_kind_of_line_end() {
    let numbers: Vec<usize> =
        all_lines(b"a\r\nb\rc\n\nd").filter(|(_, line)| !line.is_empty()).map(|(n, _)| n).collect();
    assert_eq!(numbers, [1, 2, 3, 5]);
}

#[test]
fn the_start_of_a_file_is_unpacked() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    let text = [b"\xef\xbb\xbf{\"links\": [".as_slice(), &[b' '; 100_000]].concat();
    for bytes in [text.clone(), gzip(&text)] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(contrastive_data::read_start(&path, 9).unwrap(), b"{\"links\":");
    }
}

/// Files below `/sys` claim a page and hold a line: what a file looks like that shrinks after it was opened.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_shrinks_while_it_is_read_is_refused() {
    let path = std::path::Path::new("/sys/kernel/mm/transparent_hugepage/enabled");
    if !path.is_file() {
        eprintln!("no {}: nothing compared", path.display());
        return;
    }
    let error = read_bytes(path, &Limits::default()).unwrap_err();
    assert!(matches!(error, contrastive_data::FileError::Changed { expected: 4096, .. }), "{error}");
}
