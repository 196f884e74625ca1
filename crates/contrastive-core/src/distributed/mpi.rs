//! Ranks that are processes under `mpirun`.

use super::{CommunicationError, Communicator, Floats};
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Threading;
use mpi::request::scope;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, *};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use thiserror::Error;

/// This process among all that `mpirun` started. Made by [`mpi_ranks`].
pub struct Mpi {
    world: SimpleCommunicator,
}

/// MPI could not be started.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum MpiError {
    /// It runs already, or did.
    #[error("MPI has been started before in this process; it starts once")]
    Started,
    /// The library cannot live beside threads.
    #[error("the MPI library does not allow other threads in the process ({0})")]
    Threads(String),
}

/// Most values of one message.
const MOST: usize = i32::MAX as usize;
/// Tags tell the types apart.
const TAGS: [(&str, i32); 2] = [("f32", 1), ("f64", 2)];

/// Starts MPI, runs `rank`, and ends MPI. When `rank` returns an error or panics, this rank says so on the standard error
/// output and aborts the run, so that no other rank waits for it; a rank that exits or is killed is noticed by `mpirun`, which
/// ends the others.
///
/// MPI is called from this thread only; `rank` may use other threads for its own work.
///
/// # Errors
/// When MPI does not start.
pub fn mpi_ranks<T, E: Display>(rank: impl FnOnce(&Mpi) -> Result<T, E>) -> Result<T, MpiError> {
    let (universe, threading) = mpi::initialize_with_threading(Threading::Funneled).ok_or(MpiError::Started)?;
    if threading < Threading::Funneled {
        return Err(MpiError::Threads(format!("{threading:?}")));
    }
    let communicator = Mpi { world: universe.world() };
    let failed = |what: String| -> ! {
        eprintln!("rank {} of {}: {what}", communicator.rank(), communicator.world());
        communicator.world.abort(1)
    };
    match catch_unwind(AssertUnwindSafe(|| rank(&communicator))) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => failed(error.to_string()),
        Err(_) => failed("panicked (the message is above)".into()),
    }
}

impl Mpi {
    /// Everyone's type and number of values, checked.
    fn announce(
        &self,
        operation: &'static str,
        own: &Floats,
        same_length: bool,
    ) -> Result<Vec<usize>, CommunicationError> {
        let mine = [TAGS.iter().position(|t| t.0 == own.kind()).expect("one of two types") as u64, own.len() as u64];
        let mut all = vec![0u64; 2 * self.world()];
        self.world.all_gather_into(&mine[..], &mut all[..]);
        let kinds: Vec<_> = all.chunks_exact(2).map(|one| (TAGS[one[0] as usize].0, one[1] as usize)).collect();
        CommunicationError::check_alike(operation, &kinds, same_length)?;
        let len = kinds.iter().map(|k| k.1).sum::<usize>();
        // of sums, one buffer has to be counted; of gatherings, all together
        let counted = if same_length { own.len() } else { len };
        match counted > MOST {
            true => Err(CommunicationError::TooLong { operation, len: counted, most: MOST }),
            false => Ok(kinds.into_iter().map(|k| k.1).collect()),
        }
    }

    fn gathered<T: Equivalence + Copy + Default>(&self, own: &[T], lengths: &[usize]) -> Vec<Vec<T>> {
        let counts: Vec<i32> = lengths.iter().map(|&n| n as i32).collect();
        let starts: Vec<i32> = counts.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
        let mut all = vec![T::default(); lengths.iter().sum()];
        self.world.all_gather_varcount_into(own, &mut PartitionMut::new(&mut all[..], counts, starts));
        let mut rest = all.as_slice();
        let cut = lengths.iter().map(|&n| {
            let (one, more) = rest.split_at(n);
            rest = more;
            one.to_vec()
        });
        cut.collect()
    }

    fn summed<T: Equivalence + Copy + Default>(&self, own: &[T]) -> Vec<T> {
        let mut sum = vec![T::default(); own.len()];
        self.world.all_reduce_into(own, &mut sum[..], SystemOperation::sum());
        sum
    }

    fn passed<T: Equivalence>(&self, own: &[T], tag: i32) -> Floats {
        let (me, world) = (self.world.rank(), self.world.size());
        let (next, previous) = ((me + 1) % world, (me + world - 1) % world);
        scope(|scope| {
            let request = self.world.process_at_rank(next).immediate_send_with_tag(scope, own, tag);
            let message = self.world.process_at_rank(previous).matched_probe();
            let got = match message.1.tag() == TAGS[0].1 {
                true => Floats::F32(message.matched_receive_vec().0),
                false => Floats::F64(message.matched_receive_vec().0),
            };
            request.wait();
            got
        })
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn world(&self) -> usize {
        self.world.size() as usize
    }

    fn all_gather(&self, own: Floats) -> Result<Vec<Floats>, CommunicationError> {
        let lengths = self.announce("all_gather", &own, false)?;
        Ok(match own {
            Floats::F32(own) => self.gathered(&own, &lengths).into_iter().map(Floats::F32).collect(),
            Floats::F64(own) => self.gathered(&own, &lengths).into_iter().map(Floats::F64).collect(),
        })
    }

    fn all_reduce(&self, own: Floats) -> Result<Floats, CommunicationError> {
        self.announce("all_reduce", &own, true)?;
        Ok(match own {
            Floats::F32(own) => Floats::F32(self.summed(&own)),
            Floats::F64(own) => Floats::F64(self.summed(&own)),
        })
    }

    fn ring(&self, own: Floats) -> Result<Floats, CommunicationError> {
        if own.len() > MOST {
            return Err(CommunicationError::TooLong { operation: "ring", len: own.len(), most: MOST });
        }
        Ok(match own {
            Floats::F32(own) => self.passed(&own, TAGS[0].1),
            Floats::F64(own) => self.passed(&own, TAGS[1].1),
        })
    }
}
