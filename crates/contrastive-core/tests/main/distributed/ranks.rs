//! What is sent, and what happens when ranks fail, leave or disagree.

use crate::common::*;
use crate::distributed::support::*;
use burn::tensor::DType;
use contrastive_core::distributed::{
    Cause, CommunicationError, Communicator, DistributedError, Exchange, Floats, InProcess, Metered, Ranks, in_process,
};
use contrastive_core::objective::*;
use contrastive_core::pairs::Exclusions;

#[test]
fn the_ring_sends_less_than_all_keys_need() {
    let objective = InfoNce::new(0.3).unwrap().objective().clone();
    let problem = Problem::new(&[[4, 4]; 4], DType::F32);
    let sent = |exchange| {
        let all = in_process(4, |c| {
            let (part, metered) = (problem.parts()[c.rank()], Metered::new(c));
            objective.distributed_evaluate(&Ranks::new(&metered, exchange), &problem.inputs(part), Wanted::ALL)?;
            Ok::<_, DistributedError>(metered.sent())
        });
        all.unwrap()
    };
    let block = (4 * D * 4) as u64;
    // gathered: 3 blocks of keys out, 3 of gradients back; ring: twice 3 of keys and 4 of gradients; and a few numbers
    for (exchange, blocks) in [(Exchange::AllGather, 6), (Exchange::Ring, 10)] {
        for bytes in sent(exchange) {
            assert!((blocks * block..blocks * block + 300).contains(&bytes), "{exchange:?}: {bytes} bytes");
        }
    }
}

#[test]
fn a_rank_that_panics_ends_all() {
    for exchange in EXCHANGES {
        let problem = Problem::new(&[[2, 2]; 4], DType::F32);
        let heard = std::sync::Mutex::new(Vec::new());
        let result = in_process(4, |c| {
            if c.rank() == 2 {
                panic!("out of luck");
            }
            let part = problem.parts()[c.rank()];
            let objective = InfoNce::new(0.3).unwrap().objective().clone();
            let result = objective.distributed_evaluate(&Ranks::new(c, exchange), &problem.inputs(part), Wanted::ALL);
            heard.lock().unwrap().push(result.as_ref().map(|_| ()).map_err(ToString::to_string));
            result.map(|_| ())
        });
        let failure = result.unwrap_err();
        assert_eq!(failure.rank, 2);
        assert!(matches!(&failure.cause, Cause::Panic(m) if m == "out of luck"), "{failure}");
        let heard = heard.into_inner().unwrap();
        assert_eq!(heard.len(), 3);
        for error in heard {
            assert!(error.unwrap_err().contains("rank 2 is gone: it panicked: out of luck"));
        }
    }
}

#[test]
fn a_rank_that_fails_or_leaves_ends_those_who_wait() {
    // in the middle of the ring, after one exchange
    let result = in_process(3, |c| {
        c.ring(Floats::F32(vec![c.rank() as f32]))?;
        if c.rank() == 1 {
            return Err(CommunicationError::TooLong { operation: "test", len: 1, most: 0 });
        }
        loop {
            c.ring(Floats::F32(vec![0.0; 8]))?;
        }
        #[allow(unreachable_code)]
        Ok(())
    });
    assert_eq!(result.unwrap_err().to_string(), "rank 1: test: 1 values; at most 0 in one message");
    for gather in [true, false] {
        let result = in_process(3, |c| match (c.rank(), gather) {
            (1, _) => Ok(()),
            (_, true) => c.all_gather(Floats::F64(vec![1.0])).map(|_| ()),
            (_, false) => c.ring(Floats::F64(vec![1.0])).and_then(|_| c.ring(Floats::F64(vec![1.0]))).map(|_| ()),
        });
        assert!(result.unwrap_err().to_string().contains("is gone"));
    }
    // dropped without a runner around it
    let mut group = InProcess::group(2);
    drop(group.pop());
    let error = group[0].all_reduce(Floats::F32(vec![1.0])).unwrap_err();
    assert_eq!(error.to_string(), "rank 0 in all_reduce: rank 1 is gone: it has finished");
}

#[test]
fn what_was_sent_before_leaving_still_arrives() {
    let got = in_process(3, |c| {
        let all = c.all_gather(Floats::F64(vec![c.rank() as f64; c.rank()]))?;
        let sum = c.all_reduce(Floats::F32(vec![1.0, c.rank() as f32]))?;
        let from = c.ring(Floats::F64(vec![c.rank() as f64]))?;
        Ok::<_, CommunicationError>((all.iter().map(Floats::len).sum::<usize>(), sum, from.into_f64()[0]))
    });
    for (rank, (len, sum, from)) in got.unwrap().into_iter().enumerate() {
        assert_eq!((len, sum, from as usize), (3, Floats::F32(vec![3.0, 3.0]), (rank + 2) % 3));
    }
}

#[test]
fn disagreements_are_named() {
    let fails = |inputs: &(dyn Fn(usize) -> (PairObjective, Inputs, Exchange) + Sync)| {
        let result = in_process(2, |c| {
            let (objective, inputs, exchange) = inputs(c.rank());
            objective.distributed_evaluate(&Ranks::new(c, exchange), &inputs, Wanted::ALL).map(|_| ())
        });
        result.unwrap_err().to_string()
    };
    let objective = InfoNce::new(0.3).unwrap().objective().clone();
    let table = |width: usize, dtype| tracked::<2>(normal(1, 2 * width), [2, width], dtype);
    let plain = |width, dtype| Inputs::new(table(width, dtype), table(width, dtype));
    let error = fails(&|r| (objective.clone(), plain(3 + r, DType::F32), Exchange::Ring));
    assert!(
        error.ends_with("width of the rows: 4 on rank 1, 3 on rank 0; it must be the same on all ranks"),
        "{error}"
    );
    let exchanges = |r| (objective.clone(), plain(3, DType::F32), EXCHANGES[r]);
    assert!(fails(&exchanges).contains("exchange of keys"));
    let choices = |r| (InfoNce::new(0.3 + r as f64).unwrap().objective().clone(), plain(3, DType::F32), Exchange::Ring);
    assert!(fails(&choices).contains("its choices"));
    if has_f64() {
        let types = |r| (objective.clone(), plain(3, [DType::F32, DType::F64][r]), Exchange::Ring);
        assert!(fails(&types).contains("f64 rather than f32: 1 on rank 1"));
    }
    let beyond = |_| (objective.clone().with_exclusions(Exclusions::own_row(1)), plain(3, DType::F32), Exchange::Ring);
    assert!(fails(&beyond).contains("must be among the candidates of the same rank"));
    let contradiction = |_| {
        let objective = objective.clone().with_placement(Placement::Inside).with_denominator(Denominator::OwnPositive);
        (objective, plain(3, DType::F32), Exchange::Ring)
    };
    assert!(fails(&contradiction).contains("no sum inside the logarithm"));
    let local = |_| {
        let objective = objective.clone().with_reduction(Reduction::MeanNonZero);
        (objective, plain(3, DType::F32), Exchange::Ring)
    };
    assert!(fails(&local).contains("over ranks there are no counts of pairs"));
    let few = in_process(1, |c| {
        VicReg::default().distributed_loss(
            &Ranks::ring(c),
            table(3, DType::F32).slice_dim(0, 0..1),
            table(3, DType::F32).slice_dim(0, 0..1),
        )
    });
    assert_eq!(few.unwrap_err().to_string(), "rank 0: VICReg of 1 rows on 1 ranks: at least 2");
    let sums = in_process(2, |c| c.all_reduce(Floats::F32(vec![0.0; 1 + c.rank()])).map(|_| ()));
    assert!(sums.unwrap_err().to_string().contains("all_reduce: rank 1 brings 2 f32, rank 0 1 f32"));
}
