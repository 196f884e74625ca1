//! Beyond one process: what ranks say to each other, and objectives over the rows of all of them.
//!
//! A [`Communicator`] is one rank's end of a group: it gathers, sums, and passes round a ring. [`InProcess`] connects threads of
//! one process; `Mpi` (feature `mpi`) processes and machines. There is no network protocol here: between machines, MPI's is used.
//!
//! [`Ranks`] says how keys exchange. With it the objectives have a second form, `distributed_loss`: each rank brings its own rows, the
//! value is that of the union of all rows, and each rank's rows get their gradient. Parameters that all ranks share (an
//! encoder's, a temperature) get this rank's *share* of the gradient; [`sum_gradients`] adds the shares up.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use contrastive_core::distributed::{Communicator, DistributedError, Ranks, in_process};
//! use contrastive_core::objective::{InfoNce, Inputs};
//!
//! let losses = in_process(2, |communicator| {
//!     let device = Device::default();
//!     let mine = communicator.rank() as f32;
//!     let queries = Tensor::<2>::from_data([[1.0, mine], [mine, 1.0]], &device);
//!     let keys = Tensor::<2>::from_data([[0.9, mine], [mine, 0.8]], &device);
//!     let objective = InfoNce::new(0.1).expect("a temperature above 0").objective().clone();
//!     let loss = objective.distributed_loss(&Ranks::ring(communicator), &Inputs::new(queries, keys))?;
//!     Ok::<f32, DistributedError>(loss.into_scalar())
//! })
//! .unwrap();
//! assert_eq!(losses[0], losses[1]);
//! ```

mod floats;
mod gradients;
mod in_process;
mod metered;
#[cfg(feature = "mpi")]
mod mpi;

pub use crate::objective::distributed::{DistributedError, Exchange, Ranks};
pub use floats::Floats;
pub use gradients::{average_gradients, sum_gradients};
pub use in_process::{Cause, InProcess, RankFailure, in_process};
pub use metered::Metered;
#[cfg(feature = "mpi")]
pub use mpi::{Mpi, MpiError, mpi_ranks};

use thiserror::Error;

/// One rank's end of a group of `world` ranks.
///
/// All ranks make the same calls in the same order. Results are the same on every rank to the last bit, and do not depend on
/// timing.
pub trait Communicator {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn world(&self) -> usize;

    /// Everyone's buffer, by rank; they may differ in length.
    ///
    /// # Errors
    /// When a rank is gone, or ranks bring different types.
    fn all_gather(&self, own: Floats) -> Result<Vec<Floats>, CommunicationError>;

    /// The sum of all ranks' buffers, elementwise.
    ///
    /// # Errors
    /// When a rank is gone, or ranks bring different types or lengths.
    fn all_reduce(&self, own: Floats) -> Result<Floats, CommunicationError>;

    /// Sends to the next rank (the last one to rank 0), and returns what the previous rank sent.
    ///
    /// # Errors
    /// When a rank is gone.
    fn ring(&self, own: Floats) -> Result<Floats, CommunicationError>;
}

/// Why ranks could not talk to each other.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CommunicationError {
    /// A rank that is waited for is gone.
    #[error("rank {rank} in {operation}: rank {gone} is gone: {reason}")]
    Lost {
        /// The rank that noticed.
        rank: usize,
        /// What it was doing.
        operation: &'static str,
        /// The rank that is gone.
        gone: usize,
        /// What became of it.
        reason: String,
    },
    /// Buffers that should be alike are not.
    #[error("{operation}: rank {rank} brings {there}, rank 0 {first}")]
    Mismatch {
        /// What was done.
        operation: &'static str,
        /// The first rank that differs from rank 0.
        rank: usize,
        /// What that rank brought: number and type.
        there: String,
        /// What rank 0 brought.
        first: String,
    },
    /// A buffer that the communication library cannot count.
    #[error("{operation}: {len} values; at most {most} in one message")]
    TooLong {
        /// What was done.
        operation: &'static str,
        /// Number of values.
        len: usize,
        /// What is allowed.
        most: usize,
    },
}

impl CommunicationError {
    /// Are the buffers of one type, and, if that is wanted, of one length?
    fn check_alike(operation: &'static str, all: &[(&'static str, usize)], lengths: bool) -> Result<(), Self> {
        let name = |(kind, len): (&str, usize)| format!("{len} {kind}");
        let odd = all.iter().position(|one| one.0 != all[0].0 || (lengths && one.1 != all[0].1));
        match odd {
            Some(rank) => Err(Self::Mismatch { operation, rank, there: name(all[rank]), first: name(all[0]) }),
            None => Ok(()),
        }
    }
}
