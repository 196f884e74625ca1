//! Ranks that are threads of one process.

use super::{CommunicationError, Communicator, Floats};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// One rank of a group of threads. A rank that is dropped is gone: whoever waits for it gets an error.
#[derive(Debug)]
pub struct InProcess {
    rank: usize,
    group: Arc<Group>,
}

#[derive(Debug)]
struct Group {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// What became of each rank, and the order in which they went; those that failed stop all.
    gone: Vec<Option<Gone>>,
    /// Number of gatherings that are complete.
    round: u64,
    /// What each rank brought to the present gathering.
    brought: Vec<Option<Floats>>,
    /// What the last gathering gave, and how many have not taken it yet.
    gathered: Arc<Vec<Floats>>,
    waiting: usize,
    /// What each rank has been sent round the ring.
    mail: Vec<VecDeque<Floats>>,
}

#[derive(Clone, Debug)]
struct Gone {
    failed: bool,
    reason: String,
}

impl InProcess {
    /// The `world` ranks of a new group.
    ///
    /// # Panics
    /// When `world` is 0.
    pub fn group(world: usize) -> Vec<Self> {
        assert!(world > 0, "a group of no ranks");
        let state = State {
            gone: vec![None; world],
            round: 0,
            brought: vec![None; world],
            gathered: Arc::default(),
            waiting: 0,
            mail: vec![VecDeque::new(); world],
        };
        let group = Arc::new(Group { state: Mutex::new(state), changed: Condvar::new() });
        (0..world).map(|rank| Self { rank, group: group.clone() }).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.group.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`; an error as soon as a rank has failed, or one is gone that `needs` says is waited for.
    fn wait<'a>(
        &self,
        operation: &'static str,
        mut state: MutexGuard<'a, State>,
        needs: impl Fn(&State, usize) -> bool,
        ready: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'a, State>, CommunicationError> {
        while !ready(&state) {
            let gone = state.gone.iter().enumerate().filter_map(|(r, g)| g.as_ref().map(|g| (r, g)));
            let failed = gone.clone().find(|(_, g)| g.failed);
            if let Some((gone, g)) = failed.or(gone.clone().find(|(r, _)| needs(&state, *r))) {
                let reason = g.reason.clone();
                return Err(CommunicationError::Lost { rank: self.rank, operation, gone, reason });
            }
            state = self.group.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(state)
    }

    fn gather(&self, operation: &'static str, own: Floats) -> Result<Arc<Vec<Floats>>, CommunicationError> {
        let mut state = self.wait(operation, self.state(), |_, _| false, |s| s.waiting == 0)?;
        let round = state.round;
        state.brought[self.rank] = Some(own);
        if state.brought.iter().all(Option::is_some) {
            let all = state.brought.iter_mut().filter_map(Option::take).collect();
            state.gathered = Arc::new(all);
            state.waiting = state.gone.len();
            state.round += 1;
            self.group.changed.notify_all();
        }
        let missing = |s: &State, r: usize| s.brought[r].is_none();
        let mut state = self.wait(operation, state, missing, |s| s.round > round)?;
        let all = state.gathered.clone();
        state.waiting -= 1;
        if state.waiting == 0 {
            state.gathered = Arc::default();
            self.group.changed.notify_all();
        }
        Ok(all)
    }

    fn leave(&self, failed: bool, reason: String) {
        let mut state = self.state();
        if state.gone[self.rank].is_none() {
            state.gone[self.rank] = Some(Gone { failed, reason });
            self.group.changed.notify_all();
        }
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => self.leave(true, "it panicked".into()),
            false => self.leave(false, "it has finished".into()),
        }
    }
}

impl Communicator for InProcess {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.state().gone.len()
    }

    fn all_gather(&self, own: Floats) -> Result<Vec<Floats>, CommunicationError> {
        let all = self.gather("all_gather", own)?;
        let kinds: Vec<_> = all.iter().map(|f| (f.kind(), f.len())).collect();
        CommunicationError::check_alike("all_gather", &kinds, false)?;
        Ok(Arc::unwrap_or_clone(all))
    }

    fn all_reduce(&self, own: Floats) -> Result<Floats, CommunicationError> {
        let all = self.gather("all_reduce", own)?;
        let kinds: Vec<_> = all.iter().map(|f| (f.kind(), f.len())).collect();
        CommunicationError::check_alike("all_reduce", &kinds, true)?;
        let mut sum = all[0].clone();
        all[1..].iter().for_each(|more| sum.add(more));
        Ok(sum)
    }

    fn ring(&self, own: Floats) -> Result<Floats, CommunicationError> {
        let mut state = self.state();
        let world = state.gone.len();
        let (next, previous) = ((self.rank + 1) % world, (self.rank + world - 1) % world);
        state.mail[next].push_back(own);
        self.group.changed.notify_all();
        let me = self.rank;
        let mut state = self.wait("ring", state, |_, r| r == previous, |s| !s.mail[me].is_empty())?;
        Ok(state.mail[me].pop_front().expect("what was waited for"))
    }
}

/// What ended a rank.
#[derive(Debug)]
pub enum Cause<E> {
    /// It returned this.
    Error(E),
    /// It panicked with this message.
    Panic(String),
}

/// The rank that failed first, and how.
#[derive(Debug)]
pub struct RankFailure<E> {
    /// The rank.
    pub rank: usize,
    /// What ended it.
    pub cause: Cause<E>,
}

impl<E: fmt::Display> fmt::Display for RankFailure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Error(error) => write!(f, "rank {}: {error}", self.rank),
            Cause::Panic(message) => write!(f, "rank {} panicked: {message}", self.rank),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> std::error::Error for RankFailure<E> {}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

/// Runs `rank` on `world` threads; what each returned, by rank.
///
/// # Errors
/// When a rank returns an error or panics: the first one that did. The others get a [`CommunicationError`] from
/// whatever they are waiting in, so that no rank waits for ever.
///
/// # Panics
/// When `world` is 0.
pub fn in_process<T: Send, E: Send + fmt::Display>(
    world: usize,
    rank: impl Fn(&InProcess) -> Result<T, E> + Sync,
) -> Result<Vec<T>, RankFailure<E>> {
    let first_failure = Mutex::new(None);
    let failed = |communicator: &InProcess, reason: String, cause: Cause<E>| {
        let mut first = first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(RankFailure { rank: communicator.rank, cause });
        drop(first);
        communicator.leave(true, reason);
    };
    let run = &|communicator: InProcess| match catch_unwind(AssertUnwindSafe(|| rank(&communicator))) {
        Ok(Ok(result)) => Some(result),
        Ok(Err(error)) => {
            failed(&communicator, format!("it returned an error: {error}"), Cause::Error(error));
            None
        }
        Err(panic) => {
            let message = message(panic.as_ref());
            failed(&communicator, format!("it panicked: {message}"), Cause::Panic(message));
            None
        }
    };
    let results: Vec<Option<T>> = std::thread::scope(|scope| {
        let portable = crate::testing::is_portable();
        let spawn = |communicator| {
            scope.spawn(move || {
                let _bodies = crate::testing::portable(portable);
                run(communicator)
            })
        };
        let threads: Vec<_> = InProcess::group(world).into_iter().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().expect("panics are caught inside")).collect()
    });
    match first_failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(results.into_iter().flatten().collect()),
    }
}
