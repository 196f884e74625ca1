//! Renumbering users and items, for memory locality.

use super::interactions::Interactions;

/// A renumbering of `0..len()` and its inverse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permutation {
    new_of_old: Vec<u32>,
    old_of_new: Vec<u32>,
}

impl Permutation {
    /// The permutation that changes nothing.
    pub fn identity(len: usize) -> Self {
        let numbers: Vec<u32> = (0..len as u32).collect();
        Self { new_of_old: numbers.clone(), old_of_new: numbers }
    }

    /// Numbers by descending degree, equal degrees by old number: rows that many others point at lie together.
    pub fn by_descending_degree(degrees: &[u32]) -> Self {
        let mut old_of_new: Vec<u32> = (0..degrees.len() as u32).collect();
        old_of_new.sort_by_key(|&old| (std::cmp::Reverse(degrees[old as usize]), old));
        let mut new_of_old = vec![0u32; degrees.len()];
        for (new, &old) in old_of_new.iter().enumerate() {
            new_of_old[old as usize] = new as u32;
        }
        Self { new_of_old, old_of_new }
    }

    /// How many numbers are permuted.
    pub fn len(&self) -> usize {
        self.new_of_old.len()
    }

    /// Whether there is nothing to permute.
    pub fn is_empty(&self) -> bool {
        self.new_of_old.is_empty()
    }

    /// The new number of each old one.
    pub fn new_of_old(&self) -> &[u32] {
        &self.new_of_old
    }

    /// The old number of each new one.
    pub fn old_of_new(&self) -> &[u32] {
        &self.old_of_new
    }

    /// This permutation, followed by `other` on the numbers after it (joint nodes: users, then items).
    pub fn followed_by(&self, other: &Self) -> Self {
        let shift = self.len() as u32;
        let join =
            |first: &[u32], second: &[u32]| first.iter().copied().chain(second.iter().map(|&n| n + shift)).collect();
        Self {
            new_of_old: join(&self.new_of_old, &other.new_of_old),
            old_of_new: join(&self.old_of_new, &other.old_of_new),
        }
    }
}

/// New numbers for users and items. Users stay before items in joint node order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relabelling {
    /// New user numbers.
    pub users: Permutation,
    /// New item numbers.
    pub items: Permutation,
}

impl Relabelling {
    /// Numbers users and items by descending degree, which puts the rows that propagation reads most into few pages.
    pub fn by_degree(interactions: &Interactions) -> Self {
        Self {
            users: Permutation::by_descending_degree(&interactions.user_degrees()),
            items: Permutation::by_descending_degree(&interactions.item_degrees()),
        }
    }

    /// The permutation of joint nodes (users, then items).
    pub fn joint(&self) -> Permutation {
        self.users.followed_by(&self.items)
    }

    /// The interactions under their new numbers.
    ///
    /// # Panics
    /// When the shape differs from that of the interactions.
    pub fn apply(&self, interactions: &Interactions) -> Interactions {
        assert_eq!(
            (self.users.len(), self.items.len()),
            (interactions.num_users(), interactions.num_items()),
            "relabelling of (users, items) applied to interactions of another shape"
        );
        let mut indptr = Vec::with_capacity(self.users.len() + 1);
        let mut indices = Vec::with_capacity(interactions.len());
        indptr.push(0);
        for &old_user in self.users.old_of_new() {
            let start = indices.len();
            indices.extend(interactions.items(old_user).iter().map(|&item| self.items.new_of_old()[item as usize]));
            indices[start..].sort_unstable();
            indptr.push(indices.len());
        }
        Interactions::from_sorted_rows(interactions.num_items(), indptr, indices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relabelling_by_degree_sorts_degrees_and_keeps_pairs() {
        let old = Interactions::from_pairs(3, 4, [(0, 1), (1, 1), (1, 3), (1, 0), (2, 3), (2, 1)]).unwrap();
        let relabelling = Relabelling::by_degree(&old);
        let new = relabelling.apply(&old);
        assert_eq!(new.degrees(), (vec![3, 2, 1], vec![3, 2, 1, 0]));
        for (user, item) in new.pairs() {
            let (user, item) =
                (relabelling.users.old_of_new()[user as usize], relabelling.items.old_of_new()[item as usize]);
            assert!(old.contains(user, item));
        }
        assert_eq!(new.len(), old.len());
        let joint = relabelling.joint();
        for (new, &old) in joint.old_of_new().iter().enumerate() {
            assert_eq!(joint.new_of_old()[old as usize] as usize, new);
        }
        assert_eq!(joint.len(), 7);
        assert_eq!(Permutation::identity(3).followed_by(&Permutation::identity(4)), Permutation::identity(7));
    }
}
