//! Edits: what each keeps and changes, by its definition.

use contrastive_seqrec::augment::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::HashSet;
use std::sync::Arc;

fn edits(config: &EditsConfig) -> Edits {
    let neighbours = Neighbours::new([&[1u32, 2, 1, 2][..], &[3, 4]].into_iter(), 20);
    Edits::new(config, 20, 10, Some(Arc::new(neighbours))).unwrap()
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

#[test]
fn each_edit_does_what_it_says() {
    let list: Vec<u32> = (1..=9).collect();
    let all = edits(&EditsConfig::new());
    for seed in 0..200 {
        let of = |operator| all.apply(operator, &list, &mut rng(seed));
        let crop = of(Operator::Crop);
        assert_eq!(crop.len(), 5); // floor(0.6 * 9)
        assert!(crop.windows(2).all(|pair| pair[1] == pair[0] + 1));
        let mask = of(Operator::Mask);
        assert_eq!(mask.iter().filter(|item| **item == 21).count(), 2); // floor(0.3 * 9)
        assert!(mask.iter().zip(&list).all(|(a, b)| a == b || *a == 21));
        let reorder = of(Operator::Reorder);
        let mut sorted = reorder.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, list);
        let moved: Vec<usize> = (0..9).filter(|i| reorder[*i] != list[*i]).collect();
        assert!(moved.last().zip(moved.first()).is_none_or(|(last, first)| last - first < 5));
        let substitute = of(Operator::Substitute);
        assert!(substitute.iter().zip(&list).filter(|(a, b)| a != b).count() <= 1 && substitute.len() == 9);
        let insert = of(Operator::Insert);
        assert_eq!(insert.len(), 10);
    }
    // crops begin everywhere
    let starts: HashSet<u32> = (0..200).map(|seed| all.apply(Operator::Crop, &list, &mut rng(seed))[0]).collect();
    assert_eq!(starts, (1..=5).collect());
    let padded = edits(&EditsConfig::mclrec()).apply(Operator::Mask, &list, &mut rng(1));
    assert_eq!(padded.iter().filter(|item| **item == 0).count(), 4);
}

#[test]
fn neighbours_stand_near() {
    let neighbours = Neighbours::new([&[1u32, 2, 1, 2][..], &[3, 4]].into_iter(), 20);
    assert_eq!([1, 2, 3, 4, 9].map(|item| neighbours.of(item)), [2, 1, 4, 3, 9]);
}

#[test]
fn short_lists_survive_and_shares_of_nothing_change_nothing() {
    let all = edits(&EditsConfig::new().with_crop(0.0));
    for seed in 0..50 {
        assert_eq!(all.two_views(&[7], &mut rng(seed)), [vec![7], vec![7]]);
        // floor(0 n) is 0: one item is kept
        assert_eq!(all.apply(Operator::Crop, &[7, 8], &mut rng(seed)).len(), 1);
    }
    let same = edits(&EditsConfig::new().with_crop(1.0).with_mask(0.0).with_reorder(0.0));
    let list: Vec<u32> = (1..=9).collect();
    for seed in 0..50 {
        assert_eq!(same.two_views(&list, &mut rng(seed)), [list.clone(), list.clone()]);
    }
}

#[test]
fn two_views_have_two_different_edits() {
    // crop shortens, mask leaves a token, reorder neither: each view tells its edit
    let all = edits(&EditsConfig::new().with_reorder(1.0));
    let list: Vec<u32> = (1..=10).collect();
    let kind = |view: &Vec<u32>| match view {
        view if view.len() < 10 => Operator::Crop,
        view if view.contains(&21) => Operator::Mask,
        _ => Operator::Reorder,
    };
    let mut seen = HashSet::new();
    for seed in 0..300 {
        let [first, second] = all.two_views(&list, &mut rng(seed));
        let pair = [kind(&first), kind(&second)];
        assert_ne!(pair[0], pair[1]);
        seen.insert(format!("{pair:?}"));
    }
    assert_eq!(seen.len(), 6);
}
