//! The users x items pattern.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::error::{DataError, Side};
use crate::draw::{keep_exactly, share_of};

/// Which user touched which item: an immutable sparse 0/1 matrix, users x items, in compressed rows.
///
/// Item ids of a user are ascending and unique. Users and items are `0..num_users()` and `0..num_items()`; either may be
/// without interactions. Cloning shares the memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Interactions {
    num_items: usize,
    indptr: Arc<[usize]>,
    indices: Arc<[u32]>,
}

impl std::fmt::Debug for Interactions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Interactions({} users x {} items, {} pairs)", self.num_users(), self.num_items, self.len())
    }
}

impl Interactions {
    /// Builds the pattern from pairs in any order; repeated pairs count once.
    ///
    /// # Errors
    /// [`DataError::OutOfRange`] for a user `>= num_users` or an item `>= num_items`, [`DataError::Option`] for a shape
    /// beyond `u32`.
    pub fn from_pairs(
        num_users: usize,
        num_items: usize,
        pairs: impl IntoIterator<Item = (u32, u32)>,
    ) -> Result<Self, DataError> {
        Self::from_pairs_counted(num_users, num_items, pairs).map(|(interactions, _)| interactions)
    }

    /// As [`from_pairs`](Self::from_pairs), and how many repeated pairs were dropped.
    ///
    /// # Errors
    /// As [`from_pairs`](Self::from_pairs).
    pub fn from_pairs_counted(
        num_users: usize,
        num_items: usize,
        pairs: impl IntoIterator<Item = (u32, u32)>,
    ) -> Result<(Self, usize), DataError> {
        for (name, count) in [("num_users", num_users), ("num_items", num_items)] {
            if count > u32::MAX as usize {
                return Err(DataError::Option { name, value: count.to_string(), allowed: "0..=4294967295" });
            }
        }
        let pairs: Vec<(u32, u32)> = pairs.into_iter().collect();
        let mut indptr = vec![0usize; num_users + 1];
        for (pair, &(user, item)) in pairs.iter().enumerate() {
            if user as usize >= num_users {
                return Err(DataError::OutOfRange { pair, side: Side::User, id: user, count: num_users });
            }
            if item as usize >= num_items {
                return Err(DataError::OutOfRange { pair, side: Side::Item, id: item, count: num_items });
            }
            indptr[user as usize + 1] += 1;
        }
        for user in 0..num_users {
            indptr[user + 1] += indptr[user];
        }
        let mut next = indptr.clone();
        let mut indices = vec![0u32; pairs.len()];
        for &(user, item) in &pairs {
            indices[next[user as usize]] = item;
            next[user as usize] += 1;
        }
        // Sort each row and close the holes that repeated items leave.
        let mut write = 0;
        let mut row_start = 0;
        for user in 0..num_users {
            let row_end = indptr[user + 1];
            indices[row_start..row_end].sort_unstable();
            indptr[user] = write;
            for read in row_start..row_end {
                if read == row_start || indices[read] != indices[read - 1] {
                    indices[write] = indices[read];
                    write += 1;
                }
            }
            row_start = row_end;
        }
        indptr[num_users] = write;
        let duplicates = indices.len() - write;
        indices.truncate(write);
        Ok((Self { num_items, indptr: indptr.into(), indices: indices.into() }, duplicates))
    }

    /// Takes rows whose items are known to be ascending, unique and in range.
    pub(super) fn from_sorted_rows(num_items: usize, indptr: Vec<usize>, indices: Vec<u32>) -> Self {
        debug_assert_eq!(indptr.last(), Some(&indices.len()));
        debug_assert!(indptr.windows(2).all(|row| indices[row[0]..row[1]].windows(2).all(|pair| pair[0] < pair[1])));
        debug_assert!(indices.iter().all(|&item| (item as usize) < num_items));
        Self { num_items, indptr: indptr.into(), indices: indices.into() }
    }

    /// Number of users (rows).
    pub fn num_users(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Number of items (columns).
    pub fn num_items(&self) -> usize {
        self.num_items
    }

    /// Number of user-item pairs.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no pair at all.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The items of a user, ascending.
    ///
    /// # Panics
    /// When `user >= num_users()`.
    #[inline]
    pub fn items(&self, user: u32) -> &[u32] {
        &self.indices[self.indptr[user as usize]..self.indptr[user as usize + 1]]
    }

    /// Row offsets, `num_users() + 1` of them: the items of user `u` are `indices()[indptr()[u]..indptr()[u + 1]]`.
    pub fn indptr(&self) -> &[usize] {
        &self.indptr
    }

    /// The item of every pair, user after user.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Whether the user touched the item (binary search).
    ///
    /// # Panics
    /// When `user >= num_users()`.
    #[inline]
    pub fn contains(&self, user: u32, item: u32) -> bool {
        self.items(user).binary_search(&item).is_ok()
    }

    /// Number of items of a user.
    ///
    /// # Panics
    /// When `user >= num_users()`.
    #[inline]
    pub fn degree(&self, user: u32) -> usize {
        self.indptr[user as usize + 1] - self.indptr[user as usize]
    }

    /// Number of items of every user.
    pub fn user_degrees(&self) -> Vec<u32> {
        self.indptr.windows(2).map(|row| (row[1] - row[0]) as u32).collect()
    }

    /// Number of users of every item: its popularity.
    pub fn item_degrees(&self) -> Vec<u32> {
        let mut degrees = vec![0u32; self.num_items];
        for &item in self.indices.iter() {
            degrees[item as usize] += 1;
        }
        degrees
    }

    /// Both degree lists: items per user, users per item.
    pub fn degrees(&self) -> (Vec<u32>, Vec<u32>) {
        (self.user_degrees(), self.item_degrees())
    }

    /// The items from most to least popular; equally popular ones by id.
    pub fn items_by_popularity(&self) -> Vec<u32> {
        let degrees = self.item_degrees();
        let mut items: Vec<u32> = (0..self.num_items as u32).collect();
        items.sort_by_key(|&item| (std::cmp::Reverse(degrees[item as usize]), item));
        items
    }

    /// A digest of the pattern (FNV-1a of 64 bits over shape, offsets and items): a checkpoint of other data is refused by it.
    pub fn digest(&self) -> u64 {
        let numbers = self.indptr.iter().map(|&at| at as u64).chain(self.indices.iter().map(|&item| u64::from(item)));
        let all = [self.num_items as u64].into_iter().chain(numbers);
        all.fold(0xcbf2_9ce4_8422_2325, |hash, number| (hash ^ number).wrapping_mul(0x100_0000_01b3))
    }

    /// All pairs `(user, item)`, by user, then by item.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0..self.num_users() as u32).flat_map(move |user| self.items(user).iter().map(move |&item| (user, item)))
    }

    /// The same pairs seen from the items: `num_items() x num_users()`.
    pub fn transpose(&self) -> Self {
        let mut indptr = vec![0usize; self.num_items + 1];
        for &item in self.indices.iter() {
            indptr[item as usize + 1] += 1;
        }
        for item in 0..self.num_items {
            indptr[item + 1] += indptr[item];
        }
        let mut next = indptr.clone();
        let mut indices = vec![0u32; self.len()];
        for (user, item) in self.pairs() {
            indices[next[item as usize]] = user;
            next[item as usize] += 1;
        }
        Self { num_items: self.num_users(), indptr: indptr.into(), indices: indices.into() }
    }

    /// Only the pairs (in the order of [`pairs`](Self::pairs)) whose mark is set; the shape stays.
    ///
    /// # Panics
    /// When `marks.len() != len()`.
    pub fn filtered(&self, marks: &[bool]) -> Self {
        assert_eq!(marks.len(), self.len(), "{} marks for {} pairs", marks.len(), self.len());
        let kept = marks.iter().filter(|&&mark| mark).count();
        let mut indptr = Vec::with_capacity(self.indptr.len());
        let mut indices = Vec::with_capacity(kept);
        indptr.push(0);
        for row in self.indptr.windows(2) {
            indices.extend((row[0]..row[1]).filter(|&pair| marks[pair]).map(|pair| self.indices[pair]));
            indptr.push(indices.len());
        }
        Self { num_items: self.num_items, indptr: indptr.into(), indices: indices.into() }
    }

    /// Splits by marks (in the order of [`pairs`](Self::pairs)): the unmarked pairs, then the marked ones.
    ///
    /// # Panics
    /// When `marks.len() != len()`.
    pub fn partition(&self, marks: &[bool]) -> (Self, Self) {
        let unmarked: Vec<bool> = marks.iter().map(|mark| !mark).collect();
        (self.filtered(&unmarked), self.filtered(marks))
    }

    /// A random subset of exactly `floor(len * fraction)` pairs, drawn without replacement; the shape stays.
    ///
    /// # Errors
    /// [`DataError::Option`] when `fraction` is outside `0..=1` or not a number.
    pub fn subsample(&self, fraction: f64, seed: u64) -> Result<Self, DataError> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(DataError::Option { name: "fraction", value: fraction.to_string(), allowed: "0 to 1" });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Ok(self.filtered(&keep_exactly(&mut rng, self.len(), share_of(self.len(), fraction))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toy() -> Interactions {
        Interactions::from_pairs(3, 4, [(2, 3), (0, 1), (0, 0), (2, 0), (2, 3)]).unwrap()
    }

    #[test]
    fn pairs_come_out_sorted_and_once() {
        let (toy, duplicates) =
            Interactions::from_pairs_counted(3, 4, [(2, 3), (0, 1), (0, 0), (2, 0), (2, 3)]).unwrap();
        assert_eq!(duplicates, 1);
        assert_eq!(toy.pairs().collect::<Vec<_>>(), [(0, 0), (0, 1), (2, 0), (2, 3)]);
        assert_eq!(toy.indptr(), [0, 2, 2, 4]);
        assert_eq!(toy.degrees(), (vec![2, 0, 2], vec![2, 1, 0, 1]));
        assert_eq!(toy.items_by_popularity(), [0, 1, 3, 2]);
        assert!(toy.contains(2, 3) && !toy.contains(1, 0));
    }

    #[test]
    fn transposing_twice_changes_nothing() {
        let toy = toy();
        assert_eq!(toy.transpose().pairs().collect::<Vec<_>>(), [(0, 0), (0, 2), (1, 0), (3, 2)]);
        assert_eq!(toy.transpose().transpose(), toy);
    }

    #[test]
    fn ids_out_of_range_are_refused() {
        let error = Interactions::from_pairs(2, 3, [(0, 0), (1, 3)]).unwrap_err();
        assert_eq!(error.to_string(), "pair number 1: item 3 is out of range; allowed: 0..3");
        let error = Interactions::from_pairs(2, 3, [(2, 0)]).unwrap_err();
        assert_eq!(error.to_string(), "pair number 0: user 2 is out of range; allowed: 0..2");
    }

    #[test]
    fn a_subsample_is_an_exact_deterministic_subset() {
        let all = Interactions::from_pairs(30, 30, (0..900).map(|n| (n / 30, n % 30))).unwrap();
        let some = all.subsample(0.29, 5).unwrap();
        assert_eq!(some.len(), 261);
        assert!(some.pairs().all(|(user, item)| all.contains(user, item)));
        assert_eq!(some, all.subsample(0.29, 5).unwrap());
        assert_ne!(some, all.subsample(0.29, 6).unwrap());
        assert!(all.subsample(f64::NAN, 1).is_err() && all.subsample(1.1, 1).is_err());
    }
}
