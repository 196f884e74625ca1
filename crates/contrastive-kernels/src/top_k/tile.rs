//! Tiles of scores that never leave the vector registers unless something in them is worth keeping.

use super::lanes::Lanes;
use super::select::Selection;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Candidates of a panel.
pub const PANEL: usize = 64;

/// Queries of a tile. With 4 vectors of candidates a tile takes 24 of 32 registers, with 2 vectors 12 of 16.
pub const QUERIES: usize = 6;

/// One coordinate of the 64 candidates of a panel.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Coordinate<T>([T; PANEL]);

/// A candidate table, cut into panels of 64 candidates; a panel holds one coordinate of all of them after the other.
pub struct Panels<T> {
    width: usize,
    candidates: usize,
    coordinates: Vec<Coordinate<T>>,
}

impl<T: Lanes> Panels<T> {
    /// Copies a row-major table; the last panel is filled up with zeros.
    pub fn new(candidates: &[T], width: usize) -> Self {
        let mut coordinates = vec![Coordinate([T::zero(); PANEL]); (candidates.len() / width).div_ceil(PANEL) * width];
        coordinates.par_chunks_mut(width).zip(candidates.par_chunks(PANEL * width)).for_each(|(panel, rows)| {
            for (c, row) in rows.chunks_exact(width).enumerate() {
                for (coordinate, &value) in panel.iter_mut().zip(row) {
                    coordinate.0[c] = value;
                }
            }
        });
        Self { width, candidates: candidates.len() / width, coordinates }
    }

    /// Offers every candidate to every one of `rows` queries, as [`pack_queries`] left them.
    pub fn select(&self, queries: &[[T; QUERIES]], rows: usize, selection: &mut Selection<'_, T>) {
        Arch::new().dispatch(SelectProducts { panels: self, queries, rows, selection });
    }
}

/// Groups of 6 queries, coordinate by coordinate; the last group is filled up with zeros.
pub fn pack_queries<T: Lanes>(queries: &[T], width: usize, packed: &mut Vec<[T; QUERIES]>) {
    packed.clear();
    packed.resize((queries.len() / width).div_ceil(QUERIES) * width, [T::zero(); QUERIES]);
    for (group, rows) in packed.chunks_exact_mut(width).zip(queries.chunks(QUERIES * width)) {
        for (q, row) in rows.chunks_exact(width).enumerate() {
            for (coordinate, &value) in group.iter_mut().zip(row) {
                coordinate[q] = value;
            }
        }
    }
}

struct SelectProducts<'s, 'a, T: Lanes> {
    panels: &'s Panels<T>,
    queries: &'s [[T; QUERIES]],
    rows: usize,
    selection: &'s mut Selection<'a, T>,
}

impl<T: Lanes> WithSimd for SelectProducts<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if const { S::REGISTER_COUNT >= 32 } { self.run::<S, 4>(simd) } else { self.run::<S, 2>(simd) }
    }
}

impl<T: Lanes> SelectProducts<'_, '_, T> {
    /// A panel stays in the first-level cache while all queries of the block pass it.
    #[inline(always)]
    fn run<S: Simd, const VECTORS: usize>(self, simd: S) {
        let Self { panels, queries, rows, selection } = self;
        let lanes = PANEL / T::vectors::<S>(&[T::zero(); PANEL]).len();
        let columns = VECTORS * lanes;
        for (p, panel) in panels.coordinates.chunks_exact(panels.width).enumerate() {
            for (g, group) in queries.chunks_exact(panels.width).enumerate() {
                for column in (0..PANEL).step_by(columns) {
                    let first = p * PANEL + column;
                    let tile = products::<T, S, VECTORS>(simd, panel, group, column / lanes);
                    for q in 0..QUERIES {
                        let row = g * QUERIES + q;
                        if row == rows {
                            break;
                        }
                        let threshold = T::splat(simd, selection.threshold(row));
                        let mut better = T::not_at_most(simd, tile[q][0], threshold);
                        for v in 1..VECTORS {
                            better = T::or(simd, better, T::not_at_most(simd, tile[q][v], threshold));
                        }
                        if T::any::<S>(better) {
                            let mut scores = [T::zero(); PANEL];
                            T::vectors_mut::<S>(&mut scores)[..VECTORS].copy_from_slice(&tile[q]);
                            let known = columns.min(panels.candidates.saturating_sub(first));
                            let bits = better_than(&scores, selection.threshold(row)) & first_lanes(known);
                            selection.offer(row, first, &scores, bits);
                        }
                    }
                }
            }
        }
    }
}

/// The inner products of 6 queries with `VECTORS` vectors of candidates, from the vector `column` of the panel on.
#[inline(always)]
fn products<T: Lanes, S: Simd, const VECTORS: usize>(
    simd: S,
    panel: &[Coordinate<T>],
    queries: &[[T; QUERIES]],
    column: usize,
) -> [[T::Vector<S>; VECTORS]; QUERIES] {
    let mut tile = [[T::splat(simd, T::zero()); VECTORS]; QUERIES];
    for (candidates, query) in panel.iter().zip(queries) {
        let candidates = &T::vectors::<S>(&candidates.0)[column..column + VECTORS];
        for q in 0..QUERIES {
            let query = T::splat(simd, query[q]);
            for v in 0..VECTORS {
                tile[q][v] = T::fused(simd, query, candidates[v], tile[q][v]);
            }
        }
    }
    tile
}

/// A bit for each score that is not at most the threshold.
#[inline(always)]
fn better_than<T: Lanes>(scores: &[T; PANEL], threshold: T) -> u64 {
    let mut bits = 0;
    for (lane, &score) in scores.iter().enumerate() {
        let at_most = score <= threshold;
        bits |= u64::from(!at_most) << lane;
    }
    bits
}

/// The lowest `count` bits, at most 64.
fn first_lanes(count: usize) -> u64 {
    if count < 64 { !(u64::MAX << count) } else { u64::MAX }
}

/// Offers all scores of one row.
pub fn select_scores<T: Lanes>(scores: &[T], row: usize, selection: &mut Selection<'_, T>) {
    struct Kernel<'s, 'a, T: Lanes>(&'s [T], usize, &'s mut Selection<'a, T>);
    impl<T: Lanes> WithSimd for Kernel<'_, '_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(scores, row, selection) = self;
            let (panels, rest) = scores.as_chunks::<PANEL>();
            for (p, panel) in panels.iter().enumerate() {
                let bits = better_than(panel, selection.threshold(row));
                if bits != 0 {
                    selection.offer(row, p * PANEL, panel, bits);
                }
            }
            if !rest.is_empty() {
                let mut panel = [T::zero(); PANEL];
                panel[..rest.len()].copy_from_slice(rest);
                let bits = better_than(&panel, selection.threshold(row)) & first_lanes(rest.len());
                selection.offer(row, panels.len() * PANEL, &panel, bits);
            }
        }
    }
    Arch::new().dispatch(Kernel(scores, row, selection));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Best candidates and scores of 13 queries among 333 candidates, with the given instruction set.
    fn select<T: Lanes, S: Simd>(simd: S) -> (Vec<u32>, Vec<T>) {
        let (width, rows, k) = (9, 13, 10);
        let table = |rows: usize, step: usize| -> Vec<T> {
            (0..rows * width).map(|i| T::of(((i * step + 11) % 1009) as f64 / 504.0 - 1.0)).collect()
        };
        let (queries, candidates) = (table(rows, 613), table(333, 389));
        let mut packed = Vec::new();
        pack_queries(&queries, width, &mut packed);
        let mut selection = Selection::new(rows, k, 333);
        selection.begin(rows, |row| &[3, 70, 200][..row % 4]);
        let panels = Panels::new(&candidates, width);
        simd.vectorize(SelectProducts { panels: &panels, queries: &packed, rows, selection: &mut selection });
        let (mut indices, mut scores) = (vec![0; rows * k], vec![T::zero(); rows * k]);
        selection.finish(&mut indices, &mut scores);
        (indices, scores)
    }

    fn instruction_sets_agree<T: Lanes>() {
        let scalar = select::<T, _>(pulp::Scalar::new());
        assert!(scalar.0.iter().all(|&i| i < 333));
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(v3) = pulp::x86::V3::try_new() {
                assert_eq!(select::<T, _>(v3), scalar);
            }
            if let Some(v4) = pulp::x86::V4::try_new() {
                assert_eq!(select::<T, _>(v4), scalar);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(neon) = pulp::aarch64::Neon::try_new() {
            assert_eq!(select::<T, _>(neon), scalar);
        }
    }

    #[test]
    fn instruction_sets_agree_to_the_last_bit() {
        instruction_sets_agree::<f32>();
        instruction_sets_agree::<f64>();
    }
}
