//! Ranks of one target: the definition in loops, ties, policies, and agreement with the list protocol where there are no ties.

use contrastive_eval::ndarray::{Array2, array};
use contrastive_eval::ranking::{ItemSets, Protocol, RankingError, Seen, TargetRanks};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Problem {
    queries: Array2<f64>,
    items: Array2<f64>,
    targets: Vec<u32>,
    offsets: Vec<usize>,
    taken: Vec<u32>,
}

fn problem(queries: usize, items: usize, width: usize, seed: u64) -> Problem {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut table = |rows| Array2::from_shape_simple_fn((rows, width), || rng.random::<f64>() - 0.5);
    let (q, table) = (table(queries), table(items));
    let targets = (0..queries).map(|_| rng.random_range(0..items as u32)).collect();
    let (mut offsets, mut taken) = (vec![0], Vec::new());
    for _ in 0..queries {
        taken.extend((0..items as u32).filter(|_| rng.random::<f64>() < 0.1));
        offsets.push(taken.len());
    }
    Problem { queries: q, items: table, targets, offsets, taken }
}

impl Problem {
    fn sets(&self) -> ItemSets<'_> {
        ItemSets::new(&self.offsets, &self.taken).unwrap()
    }

    fn ranks(&self, seen: Seen) -> TargetRanks {
        TargetRanks::of_embeddings(self.queries.view(), self.items.view(), &self.targets, self.sets(), seen).unwrap()
    }

    /// Oracle: the definition.
    fn plain(&self, seen: Seen) -> Vec<u32> {
        let scores = self.queries.dot(&self.items.t());
        let rank = |(q, &target): (usize, &u32)| {
            let taken = self.sets().row(q);
            let score = |v: u32| match (seen, taken.contains(&v)) {
                (Seen::ZeroScore, true) => 0.0,
                _ => scores[[q, v as usize]],
            };
            let others = (0..self.items.nrows() as u32).filter(|v| *v != target);
            let others = others.filter(|v| seen != Seen::Exclude || !taken.contains(v));
            1 + others.filter(|v| score(*v) >= score(target)).count() as u32
        };
        self.targets.iter().enumerate().map(rank).collect()
    }
}

#[test]
fn ranks_are_the_definition_under_every_policy() {
    let problem = problem(150, 9000, 7, 1);
    for seen in [Seen::Keep, Seen::Exclude, Seen::ZeroScore] {
        assert_eq!(problem.ranks(seen).ranks(), problem.plain(seen), "{seen}");
    }
    let kept: Vec<u32> = problem.ranks(Seen::Keep).ranks().to_vec();
    assert!(problem.ranks(Seen::Exclude).ranks().iter().zip(&kept).all(|(less, more)| less <= more));
}

#[test]
fn without_ties_the_list_protocol_says_the_same() {
    let mut problem = problem(80, 400, 5, 2);
    // the list protocol never ranks a training item, so no target is one
    let (mut offsets, mut taken) = (vec![0], Vec::new());
    for (q, target) in problem.targets.iter().enumerate() {
        taken.extend(problem.sets().row(q).iter().filter(|v| *v != target));
        offsets.push(taken.len());
    }
    (problem.offsets, problem.taken) = (offsets, taken);
    let ranks = problem.ranks(Seen::Exclude);
    let starts: Vec<usize> = (0..=problem.targets.len()).collect();
    let test = ItemSets::new(&starts, &problem.targets).unwrap();
    let lists = Protocol::new(problem.sets(), test, &[5, 10, 20]).unwrap();
    let report = lists.embeddings(problem.queries.view(), problem.items.view()).unwrap().mean();
    for (name, value) in ranks.metrics(&[5, 10, 20]).unwrap() {
        assert!((report.get(&name).unwrap() - value).abs() < 1e-12, "{name}");
    }
}

#[test]
fn a_target_above_all_finds_everything_and_constant_scores_nothing() {
    let sets = ItemSets::empty(3);
    let best = TargetRanks::of_scores(50, &[7, 8, 9], sets, Seen::Keep, |q, scores: &mut [f32]| {
        scores.fill(0.0);
        scores[7 + q] = 1.0;
    });
    let best = best.unwrap();
    assert!(best.metrics(&[1, 5]).unwrap().values().all(|v| *v == 1.0));
    let constant = TargetRanks::of_embeddings(
        Array2::<f32>::ones((3, 4)).view(),
        Array2::ones((50, 4)).view(),
        &[7, 8, 9],
        sets,
        Seen::Exclude,
    );
    assert!(constant.unwrap().metrics(&[1, 5, 20]).unwrap().values().all(|v| *v == 0.0));
}

#[test]
fn other_numbers_of_items_change_nothing() {
    let problem = problem(40, 300, 6, 3);
    let turned = |v: u32| (v * 7 + 11) % 300;
    let mut items = problem.items.clone();
    let (mut offsets, mut taken) = (vec![0], Vec::new());
    for v in 0..300 {
        items.row_mut(turned(v) as usize).assign(&problem.items.row(v as usize));
    }
    for q in 0..40 {
        let mut own: Vec<u32> = problem.sets().row(q).iter().map(|v| turned(*v)).collect();
        own.sort_unstable();
        taken.extend(own);
        offsets.push(taken.len());
    }
    let targets = problem.targets.iter().map(|v| turned(*v)).collect();
    let other = Problem { queries: problem.queries.clone(), items, targets, offsets, taken };
    assert_eq!(problem.ranks(Seen::Exclude), other.ranks(Seen::Exclude));
}

#[test]
fn what_does_not_fit_is_named() {
    let (queries, items) = (array![[1.0f32, 2.0]], array![[1.0f32, 2.0], [0.0, 1.0]]);
    let rank =
        |targets: &[u32], sets| TargetRanks::of_embeddings(queries.view(), items.view(), targets, sets, Seen::Keep);
    assert_eq!(rank(&[], ItemSets::empty(0)), Err(RankingError::NoTestUser));
    assert!(rank(&[2], ItemSets::empty(1)).unwrap_err().to_string().contains("item 2 of user 0"));
    assert!(rank(&[0, 1], ItemSets::empty(2)).unwrap_err().to_string().contains("1 rows"));
    let ranks = rank(&[0], ItemSets::empty(1)).unwrap();
    assert_eq!(ranks.metrics(&[]), Err(RankingError::NoCutoff));
    assert_eq!(ranks.metrics(&[0]), Err(RankingError::ZeroCutoff));
    let nan = TargetRanks::of_scores(2, &[0], ItemSets::empty(1), Seen::Keep, |_, s: &mut [f64]| s[1] = f64::NAN);
    assert_eq!(nan, Err(RankingError::NanScore { user: 0, item: 1 }));
}
