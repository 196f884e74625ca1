//! Damaged files: random bytes changed, cut out or put in must give a data set or an error, never a panic, and a data
//! set that is given must be consistent.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use contrastive_graph::user_item::data::{Dataset, Format, IdPolicy, LoadOptions, Split};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

const DAMAGE: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"-",
    b"-1",
    b"\"",
    b",",
    b"::",
    b"nan",
    b"1e999",
    b"99999999999999999999",
    b"18446744073709551615",
    b"4294967295",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"user",
    b":token",
    b"",
];

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

fn damaged(rng: &mut ChaCha8Rng, valid: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for _ in 0..=below(rng, 4) {
        let at = below(rng, bytes.len() + 1);
        let end = (at + below(rng, 6)).min(bytes.len());
        match below(rng, 4) {
            0 if at < bytes.len() => bytes[at] = rng.next_u32() as u8,
            1 => drop(bytes.splice(at..end, DAMAGE[below(rng, DAMAGE.len())].iter().copied())),
            2 => bytes.truncate(at),
            _ => {
                let copy = bytes[at..end].to_vec();
                let to = below(rng, bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
        }
    }
    bytes
}

fn assert_consistent(data: &Dataset) {
    for part in [Some(&data.train), Some(&data.test), data.validation.as_ref()].into_iter().flatten() {
        assert_eq!((part.num_users(), part.num_items()), (data.num_users(), data.num_items()));
        assert_eq!(part.indptr().len(), part.num_users() + 1);
        for user in 0..part.num_users() as u32 {
            assert!(part.items(user).windows(2).all(|pair| pair[0] < pair[1]));
            assert!(part.items(user).iter().all(|&item| (item as usize) < part.num_items()));
        }
    }
    assert!(data.test.pairs().all(|(user, item)| !data.train.contains(user, item)));
    assert!(data.user_ids.as_ref().is_none_or(|ids| ids.len() == data.num_users()));
    assert!(data.item_ids.as_ref().is_none_or(|ids| ids.len() == data.num_items()));
}

#[test]
fn damaged_files_never_panic() {
    let light_gcn: String = (0..20).map(|u| format!("{u} {} {} {}\n", u % 7, 7 + u % 5, 12 + u % 3)).collect();
    let ratings: String = (1..40).map(|n| format!("{}\t{}\t{}\t88125{n}\n", 1 + n % 9, 1 + n / 3, 1 + n % 5)).collect();
    let recbole = format!("user_id:token\titem_id:token\trating:float\ttimestamp:float\n{ratings}");
    let csv: String = (0..30).map(|n| format!("u{},\"i,{}\",{}\n", n % 6, n % 11, n % 5)).collect();
    let csv = format!("user,item,rating\n{csv}");
    let list = "org_id remap_id\na 0\nb 1\nc 2\n";
    let sets: [(&str, &str, Option<Format>); 6] = [
        ("train.txt", &light_gcn, None),
        ("u.data", &ratings, None),
        ("a.inter", &recbole, None),
        ("a.csv", &csv, None),
        ("unnamed", &ratings, None),
        ("unnamed", &csv, Some(Format::LightGcn)),
    ];
    let folder = TempDir::new().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2024);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..3_000 {
        let (name, valid, format) = sets[round % sets.len()];
        let policies = [IdPolicy::Auto, IdPolicy::Auto, IdPolicy::Relabel, IdPolicy::Tokens, IdPolicy::OneBased];
        let splits = [Split::PerUser, Split::Random, Split::LeaveOneOut, Split::None];
        let options = LoadOptions {
            strict: below(&mut rng, 3) == 0,
            format,
            ids: policies[below(&mut rng, policies.len())],
            min_rating: (below(&mut rng, 4) == 0).then_some(2.0),
            split: splits[below(&mut rng, splits.len())],
            validation_fraction: if below(&mut rng, 3) == 0 { 0.2 } else { 0.0 },
            ..Default::default()
        };
        let bytes = damaged(&mut rng, valid.as_bytes());
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        let beside = folder.path().join("item_list.txt");
        if below(&mut rng, 4) == 0 {
            fs::write(&beside, damaged(&mut rng, list.as_bytes())).unwrap();
        } else {
            let _ = fs::remove_file(&beside);
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| match Dataset::open(&path, &options) {
            Ok(data) => {
                assert_consistent(&data);
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }));
        match outcome {
            Ok(true) => accepted += 1,
            Ok(false) => refused += 1,
            Err(_) => {
                panic!("round {round}: {name} with {options:?} panicked on {:?}", String::from_utf8_lossy(&bytes))
            }
        }
    }
    // Both happen often, or the damage tests nothing.
    assert!(accepted > 300 && refused > 300, "{accepted} accepted, {refused} refused");
}
