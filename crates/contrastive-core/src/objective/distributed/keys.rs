//! Keys on their way to the anchors of other ranks, and gradients on their way back.

use super::{Exchange, Ranks};
use crate::distributed::{CommunicationError, Floats};
use burn::tensor::{Device, Tensor};

/// Keys of one rank, or of all.
#[derive(Clone)]
pub(super) struct Keys {
    /// The number of the first one among all.
    pub first: usize,
    /// `[m, d]`, as they are compared.
    pub rows: Tensor<2>,
    /// `[m]`: log-weights.
    pub bias: Option<Tensor<1>>,
    /// m labels, then m ids, where there are any.
    pub names: Vec<Vec<i64>>,
}

/// Gradients of keys.
#[derive(Clone, Default)]
pub(super) struct KeyGradients {
    /// `[m, d]`.
    pub rows: Option<Tensor<2>>,
    /// `[m]`.
    pub bias: Option<Tensor<1>>,
}

/// `a + b`.
pub(super) fn plus<const D: usize>(a: Option<Tensor<D>>, b: Option<Tensor<D>>) -> Option<Tensor<D>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

fn pack(rows: &Tensor<2>, bias: Option<&Tensor<1>>) -> Floats {
    let mut buffer = Floats::of(rows.clone());
    if let Some(bias) = bias {
        buffer.append(Floats::of(bias.clone()));
    }
    buffer
}

fn unpack(mut buffer: Floats, [m, d]: [usize; 2], biased: bool, device: &Device) -> (Tensor<2>, Option<Tensor<1>>) {
    let bias = buffer.split_off(m * d);
    (buffer.tensor([m, d], device), biased.then(|| bias.tensor([m], device)))
}

/// Integers as pairs of numbers that f64 holds exactly.
fn pack_names(names: &[Vec<i64>]) -> Floats {
    let halves = |v: &i64| [(v >> 32) as f64, (v & 0xffff_ffff) as f64];
    Floats::F64(names.iter().flatten().flat_map(halves).collect())
}

fn unpack_names(buffer: Floats, lists: usize) -> Vec<Vec<i64>> {
    let values: Vec<i64> = buffer.into_f64().chunks_exact(2).map(|h| ((h[0] as i64) << 32) | h[1] as i64).collect();
    let m = values.len() / lists.max(1);
    (0..lists).map(|k| values[k * m..(k + 1) * m].to_vec()).collect()
}

impl Keys {
    /// How many.
    pub fn len(&self) -> usize {
        self.rows.dims()[0]
    }

    /// To the next rank; what the previous one had. `owner` is whose those are.
    fn pass(self, ranks: &Ranks<'_>, owner: usize, starts: &[usize]) -> Result<Self, CommunicationError> {
        let (d, device) = (self.rows.dims()[1], self.rows.device());
        let (first, m) = (starts[owner], starts[owner + 1] - starts[owner]);
        let (biased, lists) = (self.bias.is_some(), self.names.len());
        let buffer = ranks.communicator.ring(pack(&self.rows, self.bias.as_ref()))?;
        let (rows, bias) = unpack(buffer, [m, d], biased, &device);
        let names = match lists {
            0 => Vec::new(),
            _ => unpack_names(ranks.communicator.ring(pack_names(&self.names))?, lists),
        };
        Ok(Self { first, rows, bias, names })
    }
}

impl Ranks<'_> {
    /// The keys of all ranks.
    fn gather(&self, own: &Keys, starts: &[usize]) -> Result<Keys, CommunicationError> {
        let (d, device) = (own.rows.dims()[1], own.rows.device());
        let (mut rows, mut bias): (Option<Floats>, Option<Floats>) = (None, None);
        let join = |all: &mut Option<Floats>, more: Floats| match all {
            Some(all) => all.append(more),
            None => *all = Some(more),
        };
        let buffers = self.communicator.all_gather(pack(&own.rows, own.bias.as_ref()))?;
        for (mut buffer, range) in buffers.into_iter().zip(starts.windows(2)) {
            let end = buffer.split_off((range[1] - range[0]) * d);
            join(&mut rows, buffer);
            join(&mut bias, end);
        }
        let total = starts[starts.len() - 1];
        let rows = rows.expect("at least one rank").tensor([total, d], &device);
        let bias = own.bias.as_ref().and(bias).map(|b| b.tensor([total], &device));
        let mut names = vec![Vec::new(); own.names.len()];
        if !names.is_empty() {
            for buffer in self.communicator.all_gather(pack_names(&own.names))? {
                names.iter_mut().zip(unpack_names(buffer, own.names.len())).for_each(|(all, more)| all.extend(more));
            }
        }
        Ok(Keys { first: 0, rows, bias, names })
    }

    /// Every key passes by, in blocks: `each` sees the number of the block and its keys.
    pub(super) fn visit<E: From<CommunicationError>>(
        &self,
        own: &Keys,
        starts: &[usize],
        mut each: impl FnMut(usize, &Keys) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit_back(own, starts, |k, keys| each(k, keys).map(|()| KeyGradients::default())).map(|_| ())
    }

    /// The same, where `each` gives gradients of the keys it sees, on all ranks the same ones; the sum of all ranks' gradients
    /// of this rank's keys.
    pub(super) fn visit_back<E: From<CommunicationError>>(
        &self,
        own: &Keys,
        starts: &[usize],
        mut each: impl FnMut(usize, &Keys) -> Result<KeyGradients, E>,
    ) -> Result<KeyGradients, E> {
        let (rank, world) = (self.rank(), self.world());
        if self.exchange == Exchange::AllGather {
            let all = self.gather(own, starts)?;
            let gradients = each(0, &all)?;
            return Ok(self.sum_to_owners(gradients, starts)?);
        }
        let mut keys = own.clone();
        let mut passed = KeyGradients::default();
        for step in 0..world {
            let owner = (rank + world - step) % world;
            let more = each(step, &keys)?;
            passed = KeyGradients { rows: plus(passed.rows, more.rows), bias: plus(passed.bias, more.bias) };
            let next = (owner + world - 1) % world;
            if world > 1 {
                passed = self.pass_gradients(passed, next, starts)?;
            }
            if step + 1 < world {
                keys = keys.pass(self, next, starts)?;
            }
        }
        Ok(passed)
    }

    /// To the next rank; what the previous one had: gradients of the keys of `owner`.
    fn pass_gradients(
        &self,
        gradients: KeyGradients,
        owner: usize,
        starts: &[usize],
    ) -> Result<KeyGradients, CommunicationError> {
        let m = starts[owner + 1] - starts[owner];
        match gradients {
            KeyGradients { rows: Some(rows), bias } => {
                let buffer = self.communicator.ring(pack(&rows, bias.as_ref()))?;
                let (rows, bias) = unpack(buffer, [m, rows.dims()[1]], bias.is_some(), &rows.device());
                Ok(KeyGradients { rows: Some(rows), bias })
            }
            KeyGradients { rows: None, bias: Some(bias) } => {
                let buffer = self.communicator.ring(Floats::of(bias.clone()))?;
                Ok(KeyGradients { rows: None, bias: Some(buffer.tensor([m], &bias.device())) })
            }
            nothing => Ok(nothing),
        }
    }

    /// Sums gradients of all keys to the ranks that own them: each owner's part sets out behind it and is added to on its way
    /// round.
    fn sum_to_owners(&self, all: KeyGradients, starts: &[usize]) -> Result<KeyGradients, CommunicationError> {
        let (rank, world) = (self.rank(), self.world());
        let part = |owner: usize| {
            let range = starts[owner]..starts[owner + 1];
            KeyGradients {
                rows: all.rows.as_ref().map(|x| x.clone().slice([range.clone()])),
                bias: all.bias.as_ref().map(|x| x.clone().slice([range.clone()])),
            }
        };
        let mut sum = part((rank + world - 1) % world);
        for step in 1..world {
            let owner = (rank + 2 * world - 1 - step) % world;
            let (got, own) = (self.pass_gradients(sum, owner, starts)?, part(owner));
            sum = KeyGradients { rows: plus(got.rows, own.rows), bias: plus(got.bias, own.bias) };
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_all_their_bits() {
        let names = vec![vec![i64::MIN, -1, 0], vec![i64::MAX, 1 << 40, -(1 << 33) - 7]];
        assert_eq!(unpack_names(pack_names(&names), 2), names);
    }
}
