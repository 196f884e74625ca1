//! What the ranks of one run tell each other.

use crate::checkpoint::RunState;
use crate::error::TrainError;
use crate::files::{parse, serialise};
use crate::trainee::{Metrics, State};
use contrastive_core::distributed::{Communicator, Floats};
use std::collections::BTreeMap;
use std::path::Path;

const RUN: &str = "run";

/// The ranks of a run; `None` for a run in one process.
#[derive(Clone, Copy)]
pub(crate) struct Group<'c>(pub(crate) Option<&'c dyn Communicator>);

impl Group<'_> {
    /// Does this rank write the run folder and decide?
    pub(crate) fn leads(self) -> bool {
        self.0.is_none_or(|communicator| communicator.rank() == 0)
    }

    /// Is it true on any rank?
    pub(crate) fn any(self, here: bool) -> Result<bool, TrainError> {
        match self.0 {
            None => Ok(here),
            Some(communicator) => {
                let sum = communicator.all_reduce(Floats::F64(vec![f64::from(u8::from(here))]))?.into_f64();
                Ok(sum[0] > 0.0)
            }
        }
    }

    /// What the leader says, on every rank.
    fn said(self, here: impl FnOnce() -> Result<Vec<u8>, TrainError>) -> Result<Vec<u8>, TrainError> {
        let Some(communicator) = self.0 else { return here() };
        let own = if self.leads() { here()? } else { Vec::new() };
        // four bytes in a number: whole numbers pass any channel unchanged
        let (words, rest) = own.as_chunks::<4>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        let numbers = words.iter().chain([&last]).map(|word| f64::from(u32::from_le_bytes(*word)));
        let numbers = std::iter::once(own.len() as f64).chain(numbers).collect();
        let said = communicator.all_gather(Floats::F64(numbers))?.swap_remove(0).into_f64();
        let mut bytes: Vec<u8> = said[1..].iter().flat_map(|number| (*number as u32).to_le_bytes()).collect();
        bytes.truncate(said[0] as usize);
        Ok(bytes)
    }

    /// The leader's checkpoint, on every rank; `here` is called there alone.
    pub(crate) fn checkpoint(
        self,
        here: impl FnOnce() -> Result<Option<(RunState, State)>, TrainError>,
    ) -> Result<Option<(RunState, State)>, TrainError> {
        if self.0.is_none() {
            return here();
        }
        let place = Path::new("the checkpoint of rank 0");
        let bytes = self.said(|| match here()? {
            None => Ok(Vec::new()),
            Some((run, state)) => {
                let text = serde_json::to_string(&run).expect("a run's state is JSON");
                serialise(place, &state, &BTreeMap::from([(RUN.to_string(), text)]))
            }
        })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let (state, metadata) = parse(place, &bytes)?;
        let run = metadata.get(RUN).and_then(|text| serde_json::from_str(text).ok());
        let corrupt = || TrainError::Corrupt { path: place.into(), reason: "no record of a run".into() };
        Ok(Some((run.ok_or_else(corrupt)?, state)))
    }

    /// The leader's evaluation, on every rank; `here` is called there alone.
    pub(crate) fn metrics(
        self,
        here: impl FnOnce() -> Result<Option<Metrics>, TrainError>,
    ) -> Result<Option<Metrics>, TrainError> {
        if self.0.is_none() {
            return here();
        }
        // bits, since JSON has no NaN
        let bytes = self.said(|| {
            let metrics = here()?.map(|metrics| metrics.into_iter().map(|(name, x)| (name, x.to_bits())));
            let metrics: Option<BTreeMap<String, u64>> = metrics.map(Iterator::collect);
            Ok(serde_json::to_vec(&metrics).expect("names and numbers are JSON"))
        })?;
        let metrics: Option<BTreeMap<String, u64>> = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(metrics.map(|metrics| metrics.into_iter().map(|(name, bits)| (name, f64::from_bits(bits))).collect()))
    }
}
