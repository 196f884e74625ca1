//! Objectives under their published names: `distributed_loss` of each against the loss of all rows in one process.

use crate::common::*;
use crate::distributed::support::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::distributed::{Communicator, DistributedError, Ranks, in_process};
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::similarity::Similarity;

/// What each rank brings: tables of the anchors' numbers of rows, times a factor; one with the candidates' number of rows; and what all
/// ranks have in common.
#[derive(Clone, Copy)]
struct Tables {
    factors: &'static [usize],
    candidates: bool,
    common: Option<[usize; 2]>,
}

const VIEWS: Tables = Tables { factors: &[1, 1], candidates: false, common: None };

impl Tables {
    fn of(self, problem: &Problem, part: Part) -> Vec<Tensor<2>> {
        let own = self.factors.iter().enumerate();
        let mut tables: Vec<_> =
            own.map(|(k, factor)| problem.rows(1 + k as u64, part.n.map(|n| n * factor), D)).collect();
        if self.candidates {
            tables.push(problem.rows(21, part.m, D));
        }
        if let Some(shape) = self.common {
            tables.push(tracked(
                normal(22, shape[0] * shape[1]).iter().map(|x| x.abs() + 1.0).collect(),
                shape,
                problem.dtype,
            ));
        }
        tables
    }

    /// Value and gradients of all tables over ranks and in one process.
    fn same(
        self,
        what: &str,
        counts: &[[usize; 2]],
        dtype: DType,
        one: impl Fn(Part, &[Tensor<2>]) -> Tensor<1>,
        over: impl Fn(&Ranks<'_>, Part, &[Tensor<2>]) -> Result<Tensor<1>, DistributedError> + Sync,
    ) {
        let problem = Problem::new(counts, dtype);
        let numbers = |loss: Tensor<1>, tables: &[Tensor<2>]| {
            let value = values(&loss);
            let gradients = (loss * 2.0).backward();
            let of = |x: &Tensor<2>| x.grad(&gradients).map_or(Vec::new(), |g| values(&(g * 0.5)));
            std::iter::once(value).chain(tables.iter().map(of)).collect::<Numbers>()
        };
        let all = self.of(&problem, problem.all());
        let want = numbers(one(problem.all(), &all), &all);
        let common = if self.common.is_some() { all.len() } else { usize::MAX };
        for exchange in EXCHANGES {
            let what = format!("{what}, {counts:?}, {exchange:?}, {dtype:?}");
            let ranks = in_process(counts.len(), |communicator| {
                let part = problem.parts()[communicator.rank()];
                let mine = self.of(&problem, part);
                let loss = over(&Ranks::new(communicator, exchange), part, &mine)?;
                Ok::<_, DistributedError>(numbers(loss, &mine))
            });
            let ranks = ranks.unwrap_or_else(|e| panic!("{what}: {e}"));
            for (k, want) in want.iter().enumerate() {
                let got = match k {
                    0 => ranks[0][0].clone(),
                    _ if k == common => {
                        let sum = |at| ranks.iter().map(|r| r[k][at]).sum();
                        (0..want.len()).map(sum).collect()
                    }
                    _ => ranks.iter().flat_map(|r| r[k].clone()).collect(),
                };
                let largest = want.iter().fold(1f64, |a, b| a.max(b.abs()));
                close(&format!("{what}, {k}"), &got, want, tolerance(dtype) * largest, 0.0);
            }
            assert!(ranks.iter().all(|r| r[0] == ranks[0][0]), "{what}: the values on different ranks");
        }
    }
}

/// Class of each row of a part.
fn labels(part: Part) -> Vec<i64> {
    (part.n[0]..part.n[1]).map(|i| (i as i64 * 7 + 2) % 3).collect()
}

#[test]
fn dcl_and_its_weights() {
    for_all(|counts, dtype| {
        let dcl = Dcl::new(0.3).unwrap();
        let weighted = Dcl::new(0.2).unwrap().with_weights(0.4).unwrap();
        let differentiated = weighted.clone().with_differentiated_weights(true);
        for (what, dcl) in [("DCL", dcl), ("DCLW", weighted), ("differentiated DCLW", differentiated)] {
            let one = |_: Part, t: &[Tensor<2>]| dcl.loss(t[0].clone(), t[1].clone());
            VIEWS.same(what, counts, dtype, one, |r, _, t| dcl.distributed_loss(r, t[0].clone(), t[1].clone()));
        }
    });
    let alone = in_process(1, |c| {
        let row = tracked::<2>(normal(1, D), [1, D], precisions()[0]);
        Dcl::new(0.3).unwrap().distributed_loss(&Ranks::ring(c), row.clone(), row)
    });
    assert_eq!(alone.unwrap_err().to_string(), "rank 0: DCL of 1 rows on 1 ranks: at least 2");
}

#[test]
fn debiased_and_hard_negatives() {
    for_all(|counts, dtype| {
        // the last one lets nearly all rows take the least value
        for (hidden, beta) in [(0.0, 0.0), (0.1, 0.0), (0.1, 1.0), (0.05, 0.5), (0.2, 1e-20), (0.9, 0.3)] {
            for portable in [false, true] {
                let _bodies = contrastive_core::testing::portable(portable);
                let debiased = DebiasedInfoNce::new(0.4, hidden).unwrap().with_hardness(beta).unwrap();
                let one = |_: Part, t: &[Tensor<2>]| debiased.loss(t[0].clone(), t[1].clone());
                let what = format!("debiased, tau+ {hidden}, beta {beta}, portable {portable}");
                VIEWS.same(&what, counts, dtype, one, |r, _, t| {
                    debiased.distributed_loss(r, t[0].clone(), t[1].clone())
                });
            }
        }
    });
    let one = &[[1, 1]];
    let debiased = DebiasedInfoNce::new(0.4, 0.1).unwrap().with_hardness(1.0).unwrap();
    VIEWS.same(
        "a single sample",
        one,
        precisions()[0],
        |_, t| debiased.loss(t[0].clone(), t[1].clone()),
        |r, _, t| debiased.distributed_loss(r, t[0].clone(), t[1].clone()),
    );
}

#[test]
fn multiple_negatives_ranking() {
    let new = || MultipleNegativesRanking::new(0.3).unwrap();
    let forms = [
        ("one way", new()),
        ("symmetric", new().with_both_directions()),
        ("joint", new().with_joint_denominator()),
        ("hardness", new().with_hardness(2.0).unwrap()),
    ];
    for_all(|counts, dtype| {
        for (what, ranking) in &forms {
            let one = |_: Part, t: &[Tensor<2>]| ranking.loss(t[0].clone(), t[1].clone());
            VIEWS.same(what, counts, dtype, one, |r, _, t| ranking.distributed_loss(r, t[0].clone(), t[1].clone()));
            for factors in [&[1, 1, 1][..], &[1, 1, 1, 1]] {
                let tables = Tables { factors, ..VIEWS };
                let negatives = |t: &[Tensor<2>]| Tensor::cat(t[2..].to_vec(), 0);
                tables.same(
                    &format!("{what}, {} hard negatives", factors.len() - 2),
                    counts,
                    dtype,
                    |_, t| ranking.loss_with_hard_negatives(t[0].clone(), t[1].clone(), negatives(t)),
                    |r, _, t| ranking.distributed_loss_with_hard_negatives(r, t[0].clone(), t[1].clone(), negatives(t)),
                );
            }
        }
    });
    // a single pair has no negatives; ranks with other numbers of hard negatives are told apart
    for (what, ranking) in &forms {
        let one = |_: Part, t: &[Tensor<2>]| ranking.loss(t[0].clone(), t[1].clone());
        VIEWS.same(what, &[[1, 1]], precisions()[0], one, |r, _, t| {
            ranking.distributed_loss(r, t[0].clone(), t[1].clone())
        });
    }
    let uneven = in_process(2, |c| {
        let rows = |n: usize| tracked::<2>(normal(1, n * D), [n, D], precisions()[0]);
        new().distributed_loss_with_hard_negatives(&Ranks::ring(c), rows(2), rows(2), rows(2 + 2 * c.rank()))
    });
    assert!(uneven.unwrap_err().to_string().contains("documents of each query: 3 on rank 1, 2 on rank 0"));
}

#[test]
fn one_to_k() {
    const K: usize = 3;
    let present = |part: Part| -> Vec<bool> {
        (part.n[0]..part.n[1]).flat_map(|j| (0..K).map(move |l| l == j % K || (j + 2 * l) % 4 != 0)).collect()
    };
    let versions = |t: &Tensor<2>| -> Tensor<3> { t.clone().reshape([t.dims()[0] / K, K, D]) };
    let scale = |t: &[Tensor<2>]| t.get(2).map(|s| s.clone().reshape([1]));
    for_all(|counts, dtype| {
        for choice in 0..8 {
            let (fixed, siblings, all) = (choice % 2 == 0, choice / 2 % 2 == 0, choice / 4 == 0);
            let objective = if fixed { OneToK::new(0.3).unwrap() } else { OneToK::with_input_scale() };
            let objective = objective.with_text_weight(0.4).unwrap();
            let objective = if siblings { objective } else { objective.without_siblings() };
            let tables = Tables { factors: &[1, K], common: (!fixed).then_some([1, 1]), ..VIEWS };
            let absent = |part| if all { None } else { Some(present(part)) };
            tables.same(
                &format!("1-to-K, choice {choice}"),
                counts,
                dtype,
                |part, t| objective.loss(t[0].clone(), versions(&t[1]), scale(t), absent(part).as_deref()).unwrap(),
                |r, part, t| {
                    objective.distributed_loss(r, t[0].clone(), versions(&t[1]), scale(t), absent(part).as_deref())
                },
            );
        }
    });
    // no rank waits for one whose instances have no version
    let heard = in_process(2, |c| {
        let rows = |n: usize| tracked::<2>(normal(1, n * D), [n, D], precisions()[0]);
        let present = [true, false, c.rank() == 0, false];
        let versions = rows(4).reshape([2, 2, D]);
        let loss = OneToK::new(0.3).unwrap().distributed_loss(&Ranks::ring(c), rows(2), versions, None, Some(&present));
        Ok::<_, DistributedError>(loss.unwrap_err().to_string())
    });
    let heard = heard.unwrap();
    assert!(heard[0].contains("another rank has no version") && heard[1].contains("instance 1 has no version"));
}

#[test]
fn relations_and_neighbourhoods() {
    for_all(|counts, dtype| {
        for similarity in [Similarity::Cosine, Similarity::Dot] {
            let relations = ReSsl::new(0.3, 0.2).unwrap().with_similarity(similarity);
            Tables { candidates: true, ..VIEWS }.same(
                "ReSSL",
                counts,
                dtype,
                |_, t| relations.loss_among(t[0].clone(), t[1].clone(), t[2].clone()),
                |r, _, t| relations.distributed_loss_among(r, t[0].clone(), t[1].clone(), t[2].clone()),
            );
        }
        let nca = Nca::new(0.7).unwrap();
        Tables { factors: &[1], ..VIEWS }.same(
            "NCA",
            counts,
            dtype,
            |part, t| nca.loss(t[0].clone(), &labels(part)),
            |r, part, t| nca.distributed_loss(r, t[0].clone(), &labels(part)),
        );
        Tables { factors: &[1], common: Some([4, D]), candidates: false }.same(
            "Proxy-NCA",
            counts,
            dtype,
            |part, t| nca.loss_with_proxies(t[0].clone(), &labels(part), t[1].clone()),
            |r, part, t| nca.distributed_loss_with_proxies(r, t[0].clone(), &labels(part), t[1].clone()),
        );
    });
    // each rank's queue is a part of the candidates
    let dtype = precisions()[0];
    let rows = |seed, n: usize| tracked::<2>(normal(seed, n * D), [n, D], dtype);
    let relations = ReSsl::new(0.3, 0.2).unwrap();
    let want = values(&relations.loss_among(
        Tensor::cat(vec![rows(1, 2), rows(3, 1)], 0),
        Tensor::cat(vec![rows(2, 2), rows(4, 1)], 0),
        Tensor::cat(vec![rows(5, 4), rows(6, 3)], 0),
    ));
    let got = in_process(2, |c| {
        let (n, m, first) = [(2, 4, 1), (1, 3, 3)][c.rank()];
        let mut queue = Queue::new(m, D, (&device(), dtype)).unwrap();
        queue.push(rows(5 + c.rank() as u64, m));
        relations.distributed_loss(&Ranks::ring(c), rows(first, n), rows(first + 1, n), &queue).map(|l| values(&l))
    });
    for got in got.unwrap() {
        close("queues", &got, &want, tolerance(dtype), 0.0);
    }
}

#[test]
fn log_sums() {
    for_all(|counts, dtype| {
        let mut problem = Problem::new(counts, dtype);
        problem.biased = true;
        let sums = || LogSums::new(0.5).unwrap();
        let weights = |part: Part| normal(9, part.n[1])[part.n[0]..].to_vec();
        for (what, sums) in [
            ("all", sums()),
            ("offset", sums().with_offset(0.2).unwrap()),
            ("distances", sums().with_similarity(Similarity::NegativeSquaredDistance)),
        ] {
            let result = |part: Part, ranks: Option<&Ranks<'_>>| -> Result<Numbers, DistributedError> {
                let inputs = problem.inputs(part);
                let (logs, e) = match ranks {
                    Some(ranks) => {
                        let e = sums.distributed_weighted(ranks, &inputs, weights(part), Wanted::ALL)?;
                        (sums.distributed_values(ranks, &inputs)?, e)
                    }
                    None => (sums.values(&inputs), sums.weighted(&inputs, weights(part), Wanted::ALL)),
                };
                let loss = match ranks {
                    Some(ranks) => sums.distributed_loss(ranks, &inputs, weights(part))?,
                    None => sums.loss(&inputs, weights(part)),
                };
                close(what, &values(&loss), &values(&e.value), 0.0, 0.0);
                let mut numbers = flat(&e);
                numbers[1] = logs;
                Ok(numbers)
            };
            let want = result(problem.all(), None).unwrap();
            for exchange in EXCHANGES {
                let got =
                    in_process(counts.len(), |c| result(problem.parts()[c.rank()], Some(&Ranks::new(c, exchange))));
                for (got, want) in together(got.unwrap(), true).iter().zip(&want) {
                    let largest = want.iter().fold(1f64, |a, b| a.max(b.abs()));
                    close(&format!("{what}, {counts:?}, {exchange:?}"), got, want, tolerance(dtype) * largest, 0.0);
                }
            }
        }
    });
    // whose only candidate is itself, or a row at a right angle
    for exchange in EXCHANGES {
        let alone = in_process(1, |c| {
            let row = tracked::<2>(vec![1.0; D], [1, D], precisions()[0]);
            let none = tracked::<2>(vec![0.0; D], [1, D], precisions()[0]);
            let ranks = Ranks::new(c, exchange);
            let sums = LogSums::new(0.5).unwrap();
            let itself = sums.distributed_values(&ranks, &Inputs::self_contrast(row.clone()))?;
            Ok::<_, DistributedError>([itself, sums.distributed_values(&ranks, &Inputs::new(row, none))?].concat())
        });
        assert_eq!(alone.unwrap()[0], [f64::NEG_INFINITY, 0.0]);
    }
}
