//! Units of rows are packed so that no two units of a pack have the same key.

use super::Remainder;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::BinaryHeap;

/// The rows of a class in random order, in units of `size`. An incomplete last unit is dropped, or filled with other rows of
/// the class: with different ones where the class is large enough.
pub(super) fn units(rows: &[usize], size: usize, remainder: Remainder, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut order = rows.to_vec();
    order.shuffle(rng);
    let mut units: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
    let Some(last) = units.last_mut().filter(|unit| unit.len() < size) else { return units };
    match remainder {
        Remainder::Drop => {
            units.pop();
        }
        Remainder::Cover => {
            // rows of earlier units first; a class that is too small repeats itself
            let mut fill = order[..order.len() - last.len()].to_vec();
            fill.shuffle(rng);
            fill.extend_from_slice(&last.clone());
            let missing = size - last.len();
            last.extend(fill.iter().cycle().take(missing));
        }
    }
    units
}

/// Packs of `per` units with different keys, `groups[key]` being the units of a key. The keys with the most units left go
/// first, ties in random order: no other order makes more full packs. What is left of fewer than `per` keys is dropped, or
/// filled with units of other keys.
///
/// # Panics
/// When there are fewer than `per` keys with units and the rest is to be covered.
pub(super) fn packs(
    groups: &[Vec<Vec<usize>>],
    per: usize,
    remainder: Remainder,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = groups.iter().map(Vec::len).collect();
    let mut heap: BinaryHeap<(usize, u32, usize)> = BinaryHeap::new();
    for (key, &units) in left.iter().enumerate().filter(|(_, units)| **units > 0) {
        heap.push((units, rng.random(), key));
    }
    let mut packs = Vec::new();
    while heap.len() >= per || (remainder == Remainder::Cover && !heap.is_empty()) {
        let mut keys: Vec<usize> = (0..per).map_while(|_| heap.pop()).map(|(_, _, key)| key).collect();
        let mut chosen: Vec<&Vec<usize>> = Vec::with_capacity(per);
        for &key in &keys {
            left[key] -= 1;
            chosen.push(&groups[key][left[key]]);
            if left[key] > 0 {
                heap.push((left[key], rng.random(), key));
            }
        }
        if keys.len() < per {
            let mut others: Vec<usize> =
                (0..groups.len()).filter(|key| !groups[*key].is_empty() && !keys.contains(key)).collect();
            others.shuffle(rng);
            others.truncate(per - keys.len());
            keys.extend(&others);
            assert_eq!(keys.len(), per, "keys with units, and keys of a pack");
            chosen.extend(others.iter().map(|&key| groups[key].choose(rng).expect("a key with units")));
        }
        chosen.shuffle(rng);
        packs.push(chosen.into_iter().flatten().copied().collect());
    }
    packs.shuffle(rng);
    packs
}
