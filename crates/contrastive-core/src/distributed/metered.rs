//! How much was sent.

use super::{CommunicationError, Communicator, Floats};
use std::cell::Cell;

/// A communicator that counts the bytes this rank sends.
///
/// The payload alone, as the usual ring algorithms send it: a gather passes every buffer but the next rank's on, a sum sends
/// `2 (world - 1) / world` of the buffer. What a library really does may differ.
#[derive(Debug)]
pub struct Metered<C> {
    inner: C,
    sent: Cell<u64>,
}

impl<C: Communicator> Metered<C> {
    /// Counts what goes through `inner`, from 0.
    pub fn new(inner: C) -> Self {
        Self { inner, sent: Cell::new(0) }
    }

    /// Bytes sent by this rank.
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    fn count(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }
}

impl<C: Communicator> Communicator for Metered<C> {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn world(&self) -> usize {
        self.inner.world()
    }

    fn all_gather(&self, own: Floats) -> Result<Vec<Floats>, CommunicationError> {
        let all = self.inner.all_gather(own)?;
        let next = (self.rank() + 1) % self.world();
        self.count(all.iter().enumerate().filter(|(r, _)| *r != next).map(|(_, f)| f.bytes()).sum());
        Ok(all)
    }

    fn all_reduce(&self, own: Floats) -> Result<Floats, CommunicationError> {
        self.count(2 * own.bytes() * (self.world() - 1) / self.world());
        self.inner.all_reduce(own)
    }

    fn ring(&self, own: Floats) -> Result<Floats, CommunicationError> {
        self.count(if self.world() > 1 { own.bytes() } else { 0 });
        self.inner.ring(own)
    }
}

impl<C: Communicator + ?Sized> Communicator for &C {
    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn world(&self) -> usize {
        (**self).world()
    }

    fn all_gather(&self, own: Floats) -> Result<Vec<Floats>, CommunicationError> {
        (**self).all_gather(own)
    }

    fn all_reduce(&self, own: Floats) -> Result<Floats, CommunicationError> {
        (**self).all_reduce(own)
    }

    fn ring(&self, own: Floats) -> Result<Floats, CommunicationError> {
        (**self).ring(own)
    }
}
