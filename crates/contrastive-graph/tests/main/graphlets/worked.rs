//! The worked examples of the specification; keys that are not listed are empty.

use super::*;

/// The entries of a key as (row, column, count).
type Listed<'a> = (Orbit, &'a [(u32, u32, u64)]);

/// Every key that is not listed is empty.
fn expect(graphlets: &Graphlets, listed: &[Listed<'_>]) {
    for asked in Orbit::BASE {
        let wanted = listed.iter().find(|(key, _)| *key == asked).map_or(&[][..], |(_, entries)| entries);
        let wanted: HashMap<_, _> = wanted.iter().map(|&(i, j, count)| ((i, j), count)).collect();
        assert_eq!(entries(&graphlets.orbit(asked)), wanted, "{asked}");
    }
}

fn both(pairs: &[(u32, u32, u64)]) -> Vec<(u32, u32, u64)> {
    pairs.iter().flat_map(|&(i, j, count)| [(i, j, count), (j, i, count)]).collect()
}

#[test]
fn worked_examples() {
    let triangle = both(&[(0, 1, 1), (0, 2, 1), (1, 2, 1)]);
    expect(&graphlets(3, &[(0, 1), (0, 2), (1, 2)]), &[(key(1, 0, 0), &triangle), (key(1, 3, 3), &triangle)]);
    let path = both(&[(0, 1, 1), (1, 2, 1), (2, 3, 1)]);
    expect(
        &graphlets(4, &[(0, 1), (1, 2), (2, 3)]),
        &[
            (key(1, 0, 0), &path),
            (key(1, 1, 2), &[(0, 1, 1), (1, 2, 1), (2, 1, 1), (3, 2, 1)]),
            (key(2, 1, 1), &both(&[(0, 2, 1), (1, 3, 1)])),
            (key(1, 4, 5), &[(0, 1, 1), (3, 2, 1)]),
            (key(2, 4, 5), &[(0, 2, 1), (3, 1, 1)]),
            (key(1, 5, 5), &both(&[(1, 2, 1)])),
            (key(3, 4, 4), &both(&[(0, 3, 1)])),
        ],
    );
    let leaves = both(&[(1, 2, 1), (1, 3, 1), (2, 3, 1)]);
    expect(
        &graphlets(4, &[(0, 1), (0, 2), (0, 3)]),
        &[
            (key(1, 0, 0), &both(&[(0, 1, 1), (0, 2, 1), (0, 3, 1)])),
            (key(1, 1, 2), &[(1, 0, 2), (2, 0, 2), (3, 0, 2)]),
            (key(1, 6, 7), &[(1, 0, 1), (2, 0, 1), (3, 0, 1)]),
            (key(2, 1, 1), &leaves),
            (key(2, 6, 6), &leaves),
        ],
    );
    let cycle = both(&[(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 0, 1)]);
    expect(
        &graphlets(4, &[(0, 1), (1, 2), (2, 3), (3, 0)]),
        &[
            (key(1, 0, 0), &cycle),
            (key(1, 1, 2), &cycle),
            (key(1, 8, 8), &cycle),
            (key(2, 1, 1), &both(&[(0, 2, 2), (1, 3, 2)])),
            (key(2, 8, 8), &both(&[(0, 2, 1), (1, 3, 1)])),
        ],
    );
    expect(
        &graphlets(4, &[(0, 1), (1, 2), (1, 3), (2, 3)]),
        &[
            (key(1, 0, 0), &both(&[(0, 1, 1), (1, 2, 1), (1, 3, 1), (2, 3, 1)])),
            (key(1, 1, 2), &[(0, 1, 2), (2, 1, 1), (3, 1, 1)]),
            (key(1, 3, 3), &both(&[(1, 2, 1), (1, 3, 1), (2, 3, 1)])),
            (key(2, 1, 1), &both(&[(0, 2, 1), (0, 3, 1)])),
            (key(1, 9, 11), &[(0, 1, 1)]),
            (key(2, 9, 10), &[(0, 2, 1), (0, 3, 1)]),
            (key(1, 10, 10), &both(&[(2, 3, 1)])),
            (key(1, 10, 11), &[(2, 1, 1), (3, 1, 1)]),
        ],
    );
    let rims = [(1, 0, 1), (1, 2, 1), (3, 0, 1), (3, 2, 1)];
    expect(
        &graphlets(4, &[(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]),
        &[
            (key(1, 0, 0), &both(&[(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 0, 1), (0, 2, 1)])),
            (key(1, 1, 2), &rims),
            (key(1, 12, 13), &rims),
            (key(1, 3, 3), &both(&[(0, 1, 1), (0, 2, 2), (0, 3, 1), (1, 2, 1), (2, 3, 1)])),
            (key(1, 13, 13), &both(&[(0, 2, 1)])),
            (key(2, 1, 1), &both(&[(1, 3, 2)])),
            (key(2, 12, 12), &both(&[(1, 3, 1)])),
        ],
    );
    let four: Vec<_> = (0..4).flat_map(|i| (i + 1..4).map(move |j| (i, j))).collect();
    let all = both(&four.iter().map(|&(i, j)| (i, j, 1)).collect::<Vec<_>>());
    let twice: Vec<_> = all.iter().map(|&(i, j, _)| (i, j, 2)).collect();
    expect(&graphlets(4, &four), &[(key(1, 0, 0), &all), (key(1, 3, 3), &twice), (key(1, 14, 14), &all)]);
}
