//! Damages files of every format and reads them: no panic, messages below 500 characters, and never more memory than four times the
//! files and 64 MiB. `cargo run --release -p contrastive-graph --example fuzz_readers -- [EXECUTIONS] [SEED]`.
//!
//! The files are those of `tests/cases`. Exits with 1 at the first reading that does not hold.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use contrastive_graph::node::data::{Cleaning, Dangling, Graph, ReadOptions};
use contrastive_graph::user_item::data::{Dataset, IdPolicy, LoadOptions, Split};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Counts what is held, and the greatest that was held at once.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(held, Relaxed);
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(place, layout) }
    }
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // both may be held while one is copied to the other
        took(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FREE: usize = 64 << 20;

const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r",
    b"\r\n",
    b"\t",
    b" ",
    b",",
    b"::",
    b"\"",
    b"#",
    b"%",
    b"-1",
    b"nan",
    b"1e999",
    b"007",
    b"4294967295",
    b"4194303",
    b"99999999999999999999",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b"e",
    b"u",
    b"R",
    b".",
    b"\x94",
    b"q\x01",
    b"h\x01",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"user",
    b"node",
    b":token",
    b"{'weight': 3}",
    b"2010-10-01T23:55:27Z",
];

/// One set of files: a folder of `tests/cases`.
struct Set {
    name: String,
    files: Vec<(String, Vec<u8>)>,
    /// Whether it is read as a graph, and as interactions.
    accepted: [bool; 2],
}

fn sets(folder: &Path, sets: &mut Vec<Set>) -> std::io::Result<()> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            self::sets(&path, sets)?;
        } else {
            files.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), std::fs::read(&path)?));
        }
    }
    if !files.is_empty() {
        let accepted = [Graph::read(folder).is_ok(), Dataset::open(folder, &LoadOptions::default()).is_ok()];
        sets.push(Set { name: folder.display().to_string(), files, accepted });
    }
    Ok(())
}

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

fn damaged(rng: &mut ChaCha8Rng, valid: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for _ in 0..=below(rng, 4) * below(rng, 2) {
        let at = below(rng, bytes.len() + 1);
        let end = (at + below(rng, 8)).min(bytes.len());
        match below(rng, 9) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << below(rng, 8),
            2 if at < bytes.len() => bytes[at] = rng.next_u32() as u8,
            3 | 4 => drop(bytes.splice(at..end, TOKENS[below(rng, TOKENS.len())].iter().copied())),
            5 => bytes.truncate(at),
            // four bytes that may be a length
            6 if at + 4 <= bytes.len() => {
                bytes[at..at + 4].copy_from_slice(&(rng.next_u32() >> below(rng, 32)).to_le_bytes())
            }
            7 => {
                let part = bytes[at..(at + below(rng, 64)).min(bytes.len())].to_vec();
                let times = 1 + below(rng, 200);
                drop(bytes.splice(at..at, part.repeat(times)));
            }
            _ => {
                let copy = bytes[at..end].to_vec();
                let to = below(rng, bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
        }
    }
    if below(rng, 12) == 0 {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        if packer.write_all(&bytes).is_ok() {
            bytes = packer.finish().unwrap_or(bytes);
        }
    }
    bytes
}

/// Reads a folder as a graph or as interactions; the message of a refusal.
fn read(rng: &mut ChaCha8Rng, path: &Path, graph: bool) -> Result<(), String> {
    let max_bytes = if below(rng, 4) == 0 { u64::MAX } else { 2 << 30 };
    if graph {
        let dangling = if below(rng, 2) == 0 { Dangling::Drop } else { Dangling::Refuse };
        let cleaning = Cleaning { dangling, strict: below(rng, 8) == 0, ..Cleaning::default() };
        let options = ReadOptions { max_bytes, ..cleaning.into() };
        return Graph::read_with(path, &options).map(drop).map_err(|error| error.to_string());
    }
    let policies = [IdPolicy::Auto, IdPolicy::Auto, IdPolicy::Tokens, IdPolicy::Relabel, IdPolicy::ZeroBased];
    let options = LoadOptions {
        max_bytes,
        strict: below(rng, 4) == 0,
        ids: policies[below(rng, policies.len())],
        min_rating: (below(rng, 4) == 0).then_some(2.0),
        split: [Split::None, Split::PerUser, Split::LeaveOneOut][below(rng, 3)],
        ..LoadOptions::default()
    };
    Dataset::open(path, &options).map(drop).map_err(|error| error.to_string())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let executions: usize = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let mut all = Vec::new();
    sets(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), &mut all)?;
    let folder = std::env::temp_dir().join(format!("contrastive-fuzz-{}", std::process::id()));
    std::panic::set_hook(Box::new(|_| ()));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut accepted, mut refused, mut greatest) = (0usize, 0usize, (0usize, String::new()));
    for execution in 0..executions {
        let set = &all[execution % all.len()];
        std::fs::create_dir_all(&folder)?;
        let chosen = below(&mut rng, set.files.len());
        let mut size = 0;
        for (at, (name, valid)) in set.files.iter().enumerate() {
            let bytes = if at == chosen { damaged(&mut rng, valid) } else { valid.clone() };
            size += bytes.len();
            std::fs::write(folder.join(name), bytes)?;
        }
        // mostly by the reader it is for
        let graph = match set.accepted {
            [true, false] => below(&mut rng, 10) != 0,
            [false, true] => below(&mut rng, 10) == 0,
            _ => below(&mut rng, 2) == 0,
        };
        let opened = if below(&mut rng, 4) != 0 { folder.clone() } else { folder.join(&set.files[chosen].0) };
        let before = HELD.load(Relaxed);
        PEAK.store(before, Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| read(&mut rng, &opened, graph)));
        let peak = PEAK.load(Relaxed).saturating_sub(before);
        let fault = match &outcome {
            Err(_) => Some("a panic".to_owned()),
            Ok(Err(message)) if message.chars().count() >= 500 => Some(format!("a message of {}", message.len())),
            Ok(_) if peak > 4 * size + FREE => Some(format!("{peak} bytes of memory for {size} bytes of files")),
            Ok(_) => None,
        };
        if let Some(fault) = fault {
            let what = if graph { "a graph" } else { "interactions" };
            println!(
                "execution {execution} (seed {seed}), {} as {what}: {fault}; the files are kept in {}",
                set.name,
                folder.display()
            );
            std::process::exit(1);
        }
        if peak > greatest.0 {
            greatest = (peak, format!("{} with {size} bytes", set.name));
        }
        match outcome {
            Ok(Ok(())) => accepted += 1,
            _ => refused += 1,
        }
        std::fs::remove_dir_all(&folder)?;
    }
    println!(
        "{executions} executions (seed {seed}) on {} sets of files: {accepted} accepted, {refused} refused, no panic; greatest memory {} KiB ({})",
        all.len(),
        greatest.0 >> 10,
        greatest.1
    );
    Ok(())
}
