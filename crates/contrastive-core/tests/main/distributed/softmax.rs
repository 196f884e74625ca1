//! The softmax family: every choice, gathered and round the ring.

use crate::common::*;
use crate::distributed::support::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::distributed::{Communicator, Ranks, in_process};
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use std::sync::Arc;

fn names(seed: i64, [from, to]: [usize; 2], kinds: i64) -> Vec<i64> {
    (from..to).map(|i| ((i as i64 * 7 + seed) % kinds) * 1_000_000_007 - 3).collect()
}

/// Lists of the anchors of `part` among `m` candidates, with weights: every anchor but each fourth has one to three.
fn lists(seed: usize, part: Part, m: usize) -> PairLists {
    let (mut offsets, mut columns, mut weights) = (vec![0], Vec::new(), Vec::new());
    for i in part.n[0]..part.n[1] {
        let mut row: Vec<u32> = (0..i % 4).map(|k| ((i * 5 + k * 3 + seed) % m) as u32).collect();
        row.sort_unstable();
        row.dedup();
        weights.extend(row.iter().map(|j| 0.25 + f64::from((*j + i as u32) % 3)));
        columns.extend(row);
        offsets.push(columns.len());
    }
    PairLists::new(offsets, columns, Some(weights)).unwrap()
}

fn per_anchor(seed: u64, part: Part) -> Arc<Vec<f64>> {
    Arc::new(normal(seed, part.n[1])[part.n[0]..].iter().map(|x| x.abs() + 0.1).collect())
}

/// The exclusions number `k` of a rank, or of all.
fn exclusions(k: usize, part: Part, m: usize) -> Exclusions {
    match k {
        0 => Exclusions::none(),
        1 => Exclusions::same_ids(&names(2, part.n, 4), &names(5, part.m, 4)),
        _ => Exclusions::lists(lists(4, part, m)),
    }
}

#[test]
fn every_choice_of_one_direction() {
    let base = || PairObjective::new(0.4).unwrap();
    let mut tried = 0;
    for_all(|counts, dtype| {
        for choice in 0..3 * 2 * 4 * 4 * 3 {
            let (denominator, rest) = (choice % 3, choice / 3);
            let (inside, rest) = (rest % 2 == 1, rest / 2);
            let (pairs, rest) = (rest % 4, rest / 4);
            let (weights, excluded) = (rest % 4, rest / 4);
            let mut problem = Problem::new(counts, dtype);
            problem.paired = pairs == 3;
            problem.biased = choice % 5 < 2;
            problem.scales = [None, Some(1), Some(problem.all().n[1])][choice % 7 % 3];
            let m = problem.all().m[1];
            let objective = |part: Part, diagonal: Pairs| {
                let mut objective = if problem.scales.is_some() { PairObjective::with_input_scale() } else { base() };
                objective = objective
                    .with_denominator(
                        [Denominator::WithPositives, Denominator::NegativesOnly, Denominator::OwnPositive][denominator],
                    )
                    .with_placement(if inside { Placement::Inside } else { Placement::Outside })
                    .with_similarity([Similarity::Cosine, Similarity::Dot][choice % 2])
                    .with_exclusions(exclusions(excluded, part, m))
                    .with_pairs(match pairs {
                        0 => diagonal,
                        1 => Pairs::labels_between(&names(0, part.n, 3), &names(1, part.m, 3)),
                        2 => Pairs::Lists(Arc::new(lists(0, part, m))),
                        _ => Pairs::Beside,
                    })
                    .with_positive_weights(match weights {
                        0 => PositiveWeights::Mean,
                        1 => PositiveWeights::Sum,
                        2 => PositiveWeights::PerAnchor(per_anchor(8, part)),
                        _ => PositiveWeights::Listed,
                    })
                    .with_reduction(match choice % 5 {
                        0 => Reduction::Mean,
                        1 => Reduction::MeanWithPositives,
                        2 => Reduction::MeanOverPairs,
                        3 => Reduction::Sum,
                        _ => Reduction::Weighted(per_anchor(9, part)),
                    });
                if choice % 4 == 1 && denominator != 2 {
                    objective = objective.with_denominator_offset(0.3).unwrap();
                }
                if choice % 3 == 0 && !inside {
                    objective = objective.with_positive_clamp(0.8).unwrap();
                }
                if choice % 11 == 0 && !inside && denominator != 2 {
                    objective = objective.with_denominator_weights(per_anchor(10, part));
                }
                objective
            };
            let global = objective(problem.all(), diagonals(&problem));
            if global.validate().is_err() {
                continue;
            }
            tried += 1;
            same(&format!("choice {choice}: {global:?}"), &problem, &global, &|part| objective(part, Pairs::Diagonal));
        }
    });
    println!("{tried} comparisons of one direction, each gathered and round the ring");
    assert!(tried > 1000);
}

#[test]
fn a_table_with_itself() {
    for_all(|counts, dtype| {
        let doubled: Vec<_> = square(counts).iter().map(|c| c.map(|n| 2 * n)).collect();
        let mut problem = Problem::new(&doubled, dtype);
        problem.itself = true;
        let views = |problem: &Problem| {
            let half = |p: &Part| (p.n[1] - p.n[0]) / 2;
            let other = |p: &Part, i: usize| if i < p.n[0] + half(p) { i + half(p) } else { i - half(p) };
            Pairs::one_each(problem.parts().iter().flat_map(|p| (p.n[0]..p.n[1]).map(|i| other(p, i) as u32)).collect())
        };
        let nt_xent = NtXent::new(0.3).unwrap().objective().clone();
        let global = nt_xent.clone().with_pairs(views(&problem));
        same("NT-Xent", &problem, &global, &|_| nt_xent.clone());
        let dcl = Dcl::new(0.3).unwrap().objective().clone();
        same("DCL", &problem, &dcl.clone().with_pairs(views(&problem)), &|_| dcl.clone());
        let sup_con = SupCon::new(0.2).unwrap();
        let labels = |part: Part| names(3, part.n, 4);
        same("SupCon", &problem, &sup_con.objective(&labels(problem.all())), &|p| sup_con.objective(&labels(p)));
        for (denominator, placement) in
            [(Denominator::OwnPositive, Placement::Outside), (Denominator::WithPositives, Placement::Inside)]
        {
            let objective = |p| {
                let objective = sup_con.objective(&labels(p)).with_denominator(denominator).with_placement(placement);
                objective.with_positive_weights(PositiveWeights::Sum).with_reduction(Reduction::MeanOverPairs)
            };
            same("labels", &problem, &objective(problem.all()), &objective);
        }
    });
}

#[test]
fn both_directions() {
    for_all(|counts, dtype| {
        let mut problem = Problem::new(&square(counts), dtype);
        problem.scales = Some(1);
        let clip = Clip::with_logit_scale().objective().clone();
        same("CLIP", &problem, &clip, &|_| clip.clone());
        contrastive_core::testing::portably(|| same("CLIP, portable", &problem, &clip, &|_| clip.clone()));
        let mut problem = Problem::new(counts, dtype);
        let m = problem.all().m[1];
        let both = PairObjective::new(0.3).unwrap().with_direction(Direction::Both);
        let listed = |p| {
            let pairs = Pairs::Lists(Arc::new(lists(1, p, m)));
            both.clone()
                .with_pairs(pairs)
                .with_positive_weights(PositiveWeights::Listed)
                .with_reduction(Reduction::MeanWithPositives)
        };
        same("lists in both directions", &problem, &listed(problem.all()), &listed);
        problem.scales = Some(1);
        let labelled = |p: Part| {
            let objective = PairObjective::with_input_scale().with_direction(Direction::Both);
            let objective = objective.with_pairs(Pairs::labels_between(&names(0, p.n, 3), &names(1, p.m, 3)));
            objective.with_denominator(Denominator::OwnPositive).with_reduction(Reduction::Sum)
        };
        same("labels in both directions", &problem, &labelled(problem.all()), &labelled);
    });
}

#[test]
fn candidates_of_weight_zero_and_anchors_without_any() {
    // rank 0 has one anchor and nothing but its positive, rank 1 candidates of weight 0 beside the positives
    let mut problem = Problem::new(&[[1, 1], [2, 4]], precisions()[0]);
    problem.biased = true;
    let objective = InfoNce::new(0.5).unwrap().objective().clone().with_denominator(Denominator::NegativesOnly);
    let inputs = |part: Part| {
        let bias = [0.3, 0.1, -0.2, f64::NEG_INFINITY, f64::NEG_INFINITY][part.m[0]..part.m[1]].to_vec();
        let bias =
            Tensor::from_data(burn::tensor::TensorData::new(bias, [part.m[1] - part.m[0]]), (&device(), problem.dtype));
        problem.inputs(part).with_bias(bias)
    };
    let global = objective.clone().with_pairs(diagonals(&problem));
    let want = flat(&global.evaluate(&inputs(problem.all()), Wanted::ALL));
    for exchange in EXCHANGES {
        let got = in_process(2, |c| {
            let part = problem.parts()[c.rank()];
            objective.distributed_evaluate(&Ranks::new(c, exchange), &inputs(part), Wanted::ALL).map(|e| flat(&e))
        });
        for (k, (got, want)) in together(got.unwrap(), true).iter().zip(&want).enumerate() {
            close(&format!("{exchange:?} {k}"), got, want, tolerance(problem.dtype), 0.0);
        }
    }
}

#[test]
fn squared_distances() {
    // f32 rounds differently when distances are measured from elsewhere
    for counts in WORLDS.iter().filter(|_| has_f64()) {
        let base = || PairObjective::new(0.7).unwrap().with_similarity(Similarity::NegativeSquaredDistance);
        let mut problem = Problem::new(counts, DType::F64);
        for choice in 0..2 * 3 * 3 {
            let (biased, rest) = (choice % 2 == 0, choice / 2);
            let (pairs, kind) = (rest % 3, rest / 3);
            problem.biased = biased;
            problem.paired = pairs == 2;
            let objective = |part: Part, diagonal: Pairs| {
                let objective = base().with_pairs(match pairs {
                    0 => diagonal,
                    1 => Pairs::labels_between(&names(0, part.n, 3), &names(1, part.m, 3)),
                    _ => Pairs::Beside,
                });
                match kind {
                    0 => objective,
                    1 => objective.with_placement(Placement::Inside).with_denominator_offset(0.3).unwrap(),
                    _ => objective.with_denominator(Denominator::OwnPositive).with_positive_clamp(2.0).unwrap(),
                }
            };
            let global = objective(problem.all(), diagonals(&problem));
            same("distances", &problem, &global, &|part| objective(part, Pairs::Diagonal));
        }
        let mut problem = Problem::new(counts, DType::F64);
        problem.scales = Some(1);
        let both = |part: Part| {
            let objective = PairObjective::with_input_scale().with_similarity(Similarity::NegativeSquaredDistance);
            objective
                .with_direction(Direction::Both)
                .with_pairs(Pairs::labels_between(&names(0, part.n, 3), &names(1, part.m, 3)))
        };
        same("distances in both directions", &problem, &both(problem.all()), &both);
        let mut problem = Problem::new(counts, DType::F64);
        problem.itself = true;
        for (placement, clamp) in [(Placement::Inside, false), (Placement::Outside, false), (Placement::Outside, true)]
        {
            let labelled = |part: Part| {
                let objective = base().with_pairs(Pairs::labels(&names(3, part.n, 3))).with_placement(placement);
                if clamp { objective.with_positive_clamp(2.0).unwrap() } else { objective }
            };
            same("distances of a table from itself", &problem, &labelled(problem.all()), &labelled);
        }
        // far from the origin, and not around it on any rank
        let far = |part: Part| Inputs::self_contrast(problem.rows(1, part.n, D) + 1e4);
        let objective = |part: Part| base().with_pairs(Pairs::labels(&names(3, part.n, 3)));
        let want = values(&objective(problem.all()).loss(&far(problem.all())));
        for exchange in EXCHANGES {
            let got = in_process(counts.len(), |c| {
                let part = problem.parts()[c.rank()];
                objective(part).distributed_loss(&Ranks::new(c, exchange), &far(part)).map(|l| values(&l))
            });
            got.unwrap().iter().for_each(|got| close("far away", got, &want, 1e-9, 0.0));
        }
    }
}

#[test]
fn exclusions_hold_in_both_directions() {
    for_all(|counts, dtype| {
        let both = || PairObjective::new(0.3).unwrap().with_direction(Direction::Both);
        let labels = |p: Part| Pairs::labels_between(&names(0, p.n, 3), &names(1, p.m, 3));
        let mut problem = Problem::new(counts, dtype);
        let m = problem.all().m[1];
        let ids = |p: Part| Exclusions::same_ids(&names(2, p.n, 4), &names(5, p.m, 4));
        let listed = |p: Part| Exclusions::lists(lists(4, p, m));
        for (what, exclusions) in [("ids", &ids as &(dyn Fn(Part) -> Exclusions + Sync)), ("lists", &listed)] {
            for denominator in [Denominator::WithPositives, Denominator::NegativesOnly, Denominator::OwnPositive] {
                let labelled =
                    |p: Part| both().with_pairs(labels(p)).with_exclusions(exclusions(p)).with_denominator(denominator);
                same(what, &problem, &labelled(problem.all()), &labelled);
                let with_lists = |p: Part| {
                    let objective = both().with_exclusions(exclusions(p)).with_denominator(denominator);
                    objective
                        .with_pairs(Pairs::Lists(Arc::new(lists(1, p, m))))
                        .with_reduction(Reduction::MeanWithPositives)
                };
                same(&format!("{what} and lists"), &problem, &with_lists(problem.all()), &with_lists);
            }
        }
        problem = Problem::new(&square(counts), dtype);
        let without = |p: Part| both().with_pairs(labels(p)).with_exclusions(Exclusions::own_row(0));
        same("own rows", &problem, &without(problem.all()), &without);
        let ids = |p: Part| both().with_pairs(labels(p)).with_exclusions(ids(p).with_own_row(0));
        same("ids and own rows", &problem, &ids(problem.all()), &ids);
    });
}

#[test]
fn what_is_no_number_reaches_every_rank() {
    let dtype = precisions()[0];
    let problem = Problem::new(&[[3, 3], [2, 2], [4, 4]], dtype);
    // a row of the anchors and one of the keys, on the second rank
    for broken in 0..2 {
        let inputs = |part: Part| {
            let row = |rows: [usize; 2], table: usize| {
                let of = |i| if table == broken && i == 4 { f64::NAN } else { 0.0 };
                let values: Vec<f64> = (rows[0]..rows[1]).map(of).collect();
                let len = values.len();
                Tensor::<2>::from_data(burn::tensor::TensorData::new(values, [len, 1]), (&device(), dtype))
            };
            let plain = |seed, rows| problem.rows(seed, rows, D).inner();
            Inputs::new(plain(1, part.n) + row(part.n, 0), plain(2, part.m) + row(part.m, 1))
        };
        let base = || PairObjective::new(0.3).unwrap();
        let labels = |p: Part| Pairs::labels_between(&names(0, p.n, 3), &names(1, p.m, 3));
        for kind in 0..7 {
            let objective = |p: Part, diagonal: Pairs| match kind {
                0 => base().with_pairs(diagonal),
                1 => base().with_pairs(diagonal).with_denominator(Denominator::NegativesOnly),
                2 => base().with_pairs(labels(p)).with_denominator(Denominator::OwnPositive),
                3 => base().with_pairs(labels(p)).with_placement(Placement::Inside),
                4 => base().with_pairs(diagonal).with_direction(Direction::Both),
                5 => base().with_pairs(labels(p)).with_positive_clamp(0.8).unwrap(),
                _ => base().with_pairs(labels(p)).with_similarity(Similarity::NegativeSquaredDistance),
            };
            let global = objective(problem.all(), diagonals(&problem));
            // value, rows, columns, and gradients of anchors and candidates
            let numbers = |e: &Evaluation| flat(e)[..5].to_vec();
            let want = numbers(&global.evaluate(&inputs(problem.all()), Wanted::ALL));
            assert!(want[0][0].is_nan(), "kind {kind}");
            for exchange in EXCHANGES {
                let got = in_process(3, |c| {
                    let part = problem.parts()[c.rank()];
                    let objective = objective(part, Pairs::Diagonal);
                    objective
                        .distributed_evaluate(&Ranks::new(c, exchange), &inputs(part), Wanted::ALL)
                        .map(|e| numbers(&e))
                });
                let got = got.unwrap();
                assert!(got.iter().all(|rank| rank[0][0].is_nan()), "kind {kind}, broken {broken}, {exchange:?}");
                for k in 1..5 {
                    let got = got.iter().flat_map(|rank| rank[k].iter().map(|x| x.is_nan()));
                    let want = want[k].iter().map(|x| x.is_nan());
                    assert!(got.eq(want), "kind {kind}, broken {broken}, {exchange:?}, numbers {k}");
                }
            }
        }
    }
}
