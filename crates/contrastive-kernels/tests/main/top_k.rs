//! Exact top-k against sorting all scores.

use contrastive_kernels::top_k::{ItemSets, ItemSetsError, NO_ITEM, Score, top_k, top_k_scores};

/// Numbers from a linear congruential generator: enough for tests, and no dependency.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// Multiples of 1/`grid` in [-2, 2): a coarse grid gives many equal scores.
    fn table<T: Score>(&mut self, len: usize, grid: usize) -> Vec<T> {
        (0..len).map(|_| T::of(self.below(4 * grid) as f64 / grid as f64 - 2.0)).collect()
    }

    fn sets(&mut self, rows: usize, items: usize, most: usize) -> (Vec<usize>, Vec<u32>) {
        let (mut offsets, mut flat) = (vec![0], Vec::new());
        for _ in 0..rows {
            let mut row: Vec<u32> = (0..self.below(most + 1)).map(|_| self.below(items) as u32).collect();
            row.sort_unstable();
            row.dedup();
            flat.extend(row);
            offsets.push(flat.len());
        }
        (offsets, flat)
    }
}

/// One fused multiply-add for each coordinate, in order: the score as the kernel defines it.
fn score<T: Score>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).fold(T::zero(), |sum, (&a, &b)| a.mul_add(b, sum))
}

/// NaN first, then the larger score, then the smaller index.
fn sorted<T: Score>(scores: &[T], seen: &[u32], k: usize) -> (Vec<u32>, Vec<T>) {
    let mut all: Vec<u32> = (0..scores.len() as u32).filter(|i| !seen.contains(i)).collect();
    let rank = |i: u32| if scores[i as usize].is_nan() { T::infinity() } else { scores[i as usize] };
    let nan = |i: u32| !scores[i as usize].is_nan();
    all.sort_by(|&a, &b| nan(a).cmp(&nan(b)).then(rank(b).partial_cmp(&rank(a)).unwrap()).then(a.cmp(&b)));
    all.truncate(k);
    let values = all.iter().map(|&i| scores[i as usize]).collect();
    (all, values)
}

fn agrees<T: Score>(n: usize, m: usize, width: usize, k: usize, grid: usize, seed: u64) {
    let mut numbers = Numbers(seed);
    let queries: Vec<T> = numbers.table(n * width, grid);
    let candidates: Vec<T> = numbers.table(m * width, grid);
    let (offsets, items) = numbers.sets(n + 3, m, m / 2);
    let sets = ItemSets::new(&offsets, &items).unwrap();
    let rows: Vec<u32> = (0..n).map(|_| numbers.below(n + 3) as u32).collect();
    let scores: Vec<T> =
        queries.chunks_exact(width).flat_map(|q| candidates.chunks_exact(width).map(move |c| score(q, c))).collect();
    for seen in [None, Some((sets, &rows[..]))] {
        let best = top_k(&queries, &candidates, width, k, seen);
        assert_eq!(best, top_k_scores(&scores, m, k, seen), "n {n} m {m} width {width} k {k}");
        assert_eq!((best.rows(), best.indices.len(), best.scores.len()), (n, n * k, n * k));
        for q in 0..n {
            let hidden = seen.map_or(&[][..], |(sets, rows)| sets.row(rows[q] as usize));
            let (want, values) = sorted(&scores[q * m..(q + 1) * m], hidden, k);
            assert_eq!(
                best.row(q),
                (&want[..], &values[..]),
                "query {q} of n {n} m {m} width {width} k {k} grid {grid}"
            );
            for filled in q * k + want.len()..(q + 1) * k {
                assert_eq!((best.indices[filled], best.scores[filled]), (NO_ITEM, T::neg_infinity()));
            }
        }
    }
}

#[test]
fn top_k_equals_sorting_all_scores() {
    let shapes = [
        (1, 1, 1, 1),
        (1, 64, 3, 5),
        (7, 63, 1, 2),
        (6, 65, 5, 64),
        (13, 200, 17, 1),
        (5, 30, 4, 50),
        (250, 129, 8, 10),
        (500, 700, 6, 20),
        (3, 3000, 2, 100),
    ];
    for (seed, (n, m, width, k)) in shapes.into_iter().enumerate() {
        for grid in [1, 2, 1000] {
            agrees::<f32>(n, m, width, k, grid, seed as u64);
            agrees::<f64>(n, m, width, k, grid, 100 + seed as u64);
        }
    }
}

#[test]
fn ascending_scores_replace_the_best_over_and_over() {
    let scores: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
    let best = top_k_scores(&scores, scores.len(), 3, None);
    assert_eq!(best.indices, [9999, 9998, 9997]);
    let best = top_k(&[1.0f32], &scores, 1, 3, None);
    assert_eq!(best.indices, [9999, 9998, 9997]);
}

#[test]
fn all_equal_gives_the_first() {
    let best = top_k(&[0.3f32; 10], &[0.7; 5000], 10, 4, None);
    assert_eq!(best.indices, [0, 1, 2, 3]);
    assert!(best.scores.iter().all(|&s| s == best.scores[0]));
}

#[test]
fn infinities_and_nan_have_a_place() {
    let inf = f32::INFINITY;
    let scores = [0.0, -inf, f32::NAN, inf, -0.0, -f32::NAN, 1.0];
    let best = top_k_scores(&scores, 7, 7, None);
    assert_eq!(best.indices, [2, 5, 3, 6, 0, 4, 1]);
    assert!(best.scores[0].is_nan() && best.scores[1].is_nan());
    // deep in a long table the threshold is long known when it comes
    let mut items = vec![1.0f32; 2 * 1000];
    items[2 * 900] = inf;
    items[2 * 900 + 1] = inf;
    let best = top_k(&[4.0f32, -4.0], &items, 2, 2, None);
    assert_eq!(best.indices[0], 900);
    assert!(best.scores[0].is_nan(), "{}", best.scores[0]);
    let hidden = ItemSets::new(&[0, 1], &[900]).unwrap();
    let best = top_k(&[4.0f32, -4.0], &items, 2, 2, Some((hidden, &[0])));
    assert_eq!(best.indices, [0, 1]);
}

#[test]
fn everything_seen_leaves_nothing() {
    let all: Vec<u32> = (0..100).collect();
    let sets = ItemSets::new(&[0, 100], &all).unwrap();
    let best = top_k(&[1.0f64], &vec![1.0; 100], 1, 3, Some((sets, &[0])));
    assert_eq!(best.row(0), (&[][..], &[][..]));
    assert_eq!(best.indices, [NO_ITEM; 3]);
}

#[test]
fn empty_shapes() {
    assert_eq!(top_k::<f32>(&[], &[1.0, 2.0], 2, 3, None).rows(), 0);
    assert_eq!(top_k::<f32>(&[1.0, 2.0], &[], 2, 3, None).row(0).0, [0u32; 0]);
    assert_eq!(top_k::<f32>(&[1.0, 2.0], &[3.0, 4.0], 2, 0, None).rows(), 0);
    assert_eq!(top_k_scores::<f32>(&[], 4, 3, None).rows(), 0);
}

/// The output is partitioned, so threads cannot change it.
#[test]
fn threads_do_not_change_the_result() {
    let mut numbers = Numbers(5);
    let queries: Vec<f32> = (0..400 * 16).map(|_| numbers.below(1 << 20) as f32 * 1e-6 - 0.5).collect();
    let candidates: Vec<f32> = (0..900 * 16).map(|_| numbers.below(1 << 20) as f32 * 1e-6 - 0.5).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| top_k(&queries, &candidates, 16, 12, None))
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(7));
}

#[test]
fn item_sets_are_checked() {
    let items = [1, 4, 4, 2];
    assert!(ItemSets::new(&[0, 2, 3, 4], &items).is_ok());
    let error = |offsets, items| ItemSets::new(offsets, items).unwrap_err();
    assert_eq!(error(&[], &[]), ItemSetsError::Ends { first: None, last: None, items: 0 });
    assert_eq!(error(&[1, 4], &items), ItemSetsError::Ends { first: Some(1), last: Some(4), items: 4 });
    assert_eq!(error(&[0, 3], &items), ItemSetsError::Ends { first: Some(0), last: Some(3), items: 4 });
    assert_eq!(error(&[0, 3, 2, 4], &items), ItemSetsError::DecreasingOffset { row: 1 });
    assert_eq!(error(&[0, 3, 4], &items), ItemSetsError::RepeatedItem { row: 0, item: 4 });
    assert_eq!(error(&[0, 2, 4], &items), ItemSetsError::UnsortedItems { row: 1, item: 2 });
    // decreasing beyond the end must not be sliced
    assert_eq!(error(&[0, 9, 4], &items), ItemSetsError::DecreasingOffset { row: 1 });
    for (offsets, items, words) in
        [(&[0usize, 3, 4][..], &items[..], "item 4 is twice in row 0"), (&[], &[], "no offsets")]
    {
        assert!(error(offsets, items).to_string().contains(words));
    }
    assert_eq!(ItemSets::empty(3).iter().map(<[u32]>::len).collect::<Vec<_>>(), [0, 0, 0]);
}

#[test]
#[should_panic(expected = "row 5 of 2 sets")]
fn a_missing_row_of_seen_items_panics() {
    top_k(&[1.0f32], &[1.0], 1, 1, Some((ItemSets::empty(2), &[5])));
}

#[test]
#[should_panic(expected = "5 query entries of width 2")]
fn a_ragged_table_panics() {
    top_k(&[1.0f32; 5], &[1.0; 4], 2, 1, None);
}
