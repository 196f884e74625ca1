//! Ctrl-C. One handler a process, installed by the first run that asks for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static REQUESTS: AtomicUsize = AtomicUsize::new(0);
static ENTRY: Mutex<()> = Mutex::new(());
static HANDLER: OnceLock<bool> = OnceLock::new();

/// What a shell reports for a process ended by SIGINT.
const EXIT: i32 = 130;

fn on_signal() {
    if RUNNING.load(Ordering::SeqCst) == 0 || REQUESTS.fetch_add(1, Ordering::SeqCst) > 0 {
        std::process::exit(EXIT);
    }
    eprintln!("\ninterrupted: finishing this step (once more exits at once)");
}

/// Asks every run in progress in this process to stop after its present step, as the first Ctrl-C does: for programs
/// with a handler of their own. Without effect on runs that start later.
pub fn request_stop() {
    REQUESTS.fetch_max(1, Ordering::SeqCst);
}

/// A run in progress.
pub(crate) struct Running(());

impl Running {
    /// Enters a run; `handler` installs the signal handler unless the program already has one.
    pub(crate) fn enter(handler: bool) -> Self {
        let _entry = ENTRY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if RUNNING.load(Ordering::SeqCst) == 0 {
            REQUESTS.store(0, Ordering::SeqCst);
        }
        RUNNING.fetch_add(1, Ordering::SeqCst);
        if handler {
            HANDLER.get_or_init(|| ctrlc::try_set_handler(on_signal).is_ok());
        }
        Self(())
    }

    /// Has someone asked to stop?
    pub(crate) fn stop(&self) -> bool {
        REQUESTS.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}
