//! Generated interactions whose ground truth is known: for examples and tests where no data is at hand. Numbers measured
//! on them say nothing about a real catalogue.
//!
//! Every user and item belongs to one of `communities`; items have a popularity that falls as a power of their rank, users
//! an activity that varies by a factor. An interaction picks an item of the user's own community by popularity, or, with
//! probability `noise`, any item by popularity. What can be learnt is therefore the communities; what cannot is which of a
//! community's items a user has already picked.

use super::dataset::Dataset;
use super::error::DataError;
use super::interactions::Interactions;
use super::split;
use crate::draw::{below, shuffle, unit};
use contrastive_kernels::scalar::standard_normal;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Size and shape of a planted set.
#[derive(Clone, Debug, PartialEq)]
pub struct PlantedOptions {
    /// Number of users.
    pub users: usize,
    /// Number of items.
    pub items: usize,
    /// Number of communities, at most the number of items.
    pub communities: usize,
    /// Mean number of interactions of a user, train and test together.
    pub mean_degree: f64,
    /// An item of popularity rank r weighs `r^-exponent`.
    pub popularity_exponent: f64,
    /// Share of interactions that ignore communities, 0 to 1.
    pub noise: f64,
    /// Share of each user's interactions kept for testing, 0 to 1, 1 excluded.
    pub test_fraction: f64,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for PlantedOptions {
    fn default() -> Self {
        Self {
            users: 1500,
            items: 1200,
            communities: 60,
            mean_degree: 14.0,
            popularity_exponent: 0.7,
            noise: 0.25,
            test_fraction: 0.2,
            seed: 7,
        }
    }
}

/// A generated set and its ground truth.
#[derive(Clone, Debug)]
pub struct Planted {
    /// The interactions, split.
    pub dataset: Dataset,
    /// Community of each user.
    pub user_communities: Vec<u32>,
    /// Community of each item.
    pub item_communities: Vec<u32>,
}

/// Cumulative weights of some items.
struct Weighted {
    items: Vec<u32>,
    cumulative: Vec<f64>,
}

impl Weighted {
    fn new(items: Vec<u32>, weight: &[f64]) -> Self {
        let mut sum = 0.0;
        let cumulative = items.iter().map(|&i| {
            sum += weight[i as usize];
            sum
        });
        let cumulative = cumulative.collect();
        Self { items, cumulative }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> u32 {
        let total = self.cumulative[self.cumulative.len() - 1];
        let target = unit(rng) * total;
        let at = self.cumulative.partition_point(|&c| c <= target);
        self.items[at.min(self.items.len() - 1)]
    }
}

/// Generates interactions with planted communities and popularity skew.
///
/// A user's number of interactions is log-normal around `mean_degree` (standard deviation of the logarithm 0.6), at least 2
/// and at most half of the items; a user who keeps drawing repeats ends with fewer. Of each user's interactions,
/// `floor(test_fraction x number)` are held out at random. Equal options give equal data.
///
/// # Errors
/// [`DataError::Option`] when a size is 0 or beyond `u32`, there are more communities than items, the mean degree is not
/// above 0, the exponent is not finite, or a share is outside 0 to 1 (for `test_fraction`, 1 is outside).
pub fn planted(options: &PlantedOptions) -> Result<Planted, DataError> {
    let wrong = |name, value: String, allowed| Err(DataError::Option { name, value, allowed });
    let countable = 1..=u32::MAX as usize;
    if !countable.contains(&options.users) || !countable.contains(&options.items) {
        return wrong("users x items", format!("{} x {}", options.users, options.items), "1 to 4294967295 each");
    }
    if options.communities == 0 || options.communities > options.items {
        return wrong("communities", options.communities.to_string(), "1 to the number of items");
    }
    if !(options.mean_degree.is_finite() && options.mean_degree > 0.0) {
        return wrong("mean degree", options.mean_degree.to_string(), "a finite number above 0");
    }
    if !(0.0..=1.0).contains(&options.noise) {
        return wrong("noise", options.noise.to_string(), "0 to 1");
    }
    if !options.popularity_exponent.is_finite() {
        return wrong("popularity exponent", options.popularity_exponent.to_string(), "a finite number");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut item_communities: Vec<u32> = (0..options.items).map(|i| (i % options.communities) as u32).collect();
    shuffle(&mut rng, &mut item_communities);
    let user_communities: Vec<u32> = (0..options.users).map(|_| below(&mut rng, options.communities as u32)).collect();
    let mut ranks: Vec<usize> = (1..=options.items).collect();
    shuffle(&mut rng, &mut ranks);
    let weight: Vec<f64> = ranks.iter().map(|&r| (r as f64).powf(-options.popularity_exponent)).collect();
    let everything = Weighted::new((0..options.items as u32).collect(), &weight);
    let members = (0..options.communities as u32).map(|c| {
        let items = (0..options.items as u32).filter(|&i| item_communities[i as usize] == c).collect();
        Weighted::new(items, &weight)
    });
    let members: Vec<Weighted> = members.collect();
    let mut pairs = Vec::new();
    for user in 0..options.users as u32 {
        // log-normal activity with the wanted mean
        let activity = options.mean_degree * (0.6 * standard_normal(&mut rng) - 0.18).exp();
        let most = options.items.div_ceil(2);
        let wanted = (activity.round() as usize).clamp(2.min(most), most);
        let own = &members[user_communities[user as usize] as usize];
        let mut touched = std::collections::BTreeSet::new();
        // a user who has seen nearly all of a small community finds repeats: those draws are spent
        for _ in 0..4 * wanted {
            if touched.len() == wanted {
                break;
            }
            let from = if unit(&mut rng) < options.noise { &everything } else { own };
            touched.insert(from.draw(&mut rng));
        }
        pairs.extend(touched.into_iter().map(|item| (user, item)));
    }
    let all = Interactions::from_pairs(options.users, options.items, pairs)?;
    let (train, test) = split::per_user(&all, options.test_fraction, options.seed)?;
    let dataset = Dataset {
        name: "generated (planted communities)".into(),
        train,
        test,
        validation: None,
        user_ids: None,
        item_ids: None,
        notes: Vec::new(),
    };
    Ok(Planted { dataset, user_communities, item_communities })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_there_and_follow_the_seed() {
        let planted_set = planted(&PlantedOptions::default()).unwrap();
        let all = &planted_set.dataset.train;
        let inside = all
            .pairs()
            .filter(|&(u, i)| planted_set.user_communities[u as usize] == planted_set.item_communities[i as usize])
            .count();
        let share = inside as f64 / all.len() as f64;
        assert!((0.6..0.85).contains(&share), "{share}");
        assert_eq!(planted(&PlantedOptions::default()).unwrap().dataset.train, *all);
        assert_ne!(planted(&PlantedOptions { seed: 8, ..Default::default() }).unwrap().dataset.train, *all);
        let degrees = all.item_degrees();
        assert!(*degrees.iter().max().unwrap() as f64 > 5.0 * all.len() as f64 / degrees.len() as f64);
    }

    #[test]
    fn impossible_sizes_are_named() {
        for (options, name) in [
            (PlantedOptions { users: 0, ..Default::default() }, "users"),
            (PlantedOptions { communities: 5000, ..Default::default() }, "communities"),
            (PlantedOptions { items: 0, communities: 0, ..Default::default() }, "items"),
            (PlantedOptions { mean_degree: 0.0, ..Default::default() }, "mean degree"),
            (PlantedOptions { mean_degree: f64::INFINITY, ..Default::default() }, "mean degree"),
            (PlantedOptions { popularity_exponent: f64::NAN, ..Default::default() }, "popularity exponent"),
            (PlantedOptions { noise: 1.5, ..Default::default() }, "noise"),
            (PlantedOptions { test_fraction: 1.0, ..Default::default() }, "test_fraction"),
        ] {
            assert!(planted(&options).unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn the_smallest_sizes_work() {
        for items in 1..5 {
            let tiny = PlantedOptions { users: 3, items, communities: 1, mean_degree: 9.0, ..Default::default() };
            let set = planted(&tiny).unwrap().dataset;
            assert_eq!((set.num_users(), set.num_items()), (3, items));
            assert!(set.train.user_degrees().iter().all(|&degree| degree >= 1));
        }
    }
}
