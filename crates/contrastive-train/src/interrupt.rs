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
    crate::progress::say("\ninterrupted: finishing this step (once more exits at once)");
}

/// Installs the handler for the signals that are at their default. What the starter of the program had it ignore stays ignored:
/// SIGHUP under `nohup`, SIGINT behind a shell script's `&`. A handler that the program itself has stays, too.
fn install() -> bool {
    let ignored = Ignored::set_aside();
    let installed = ctrlc::try_set_handler(on_signal).is_ok();
    ignored.put_back();
    installed
}

/// Signals that were ignored when the program started; `ctrlc` takes them for handlers, and installs none.
#[cfg(unix)]
struct Ignored(Vec<libc::c_int>);

#[cfg(unix)]
impl Ignored {
    fn set_aside() -> Self {
        let mut ignored = vec![libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
        ignored.retain(|&signal| {
            // SAFETY: an all-zero sigaction is one; a null action only asks for the present one, which fits into `present`.
            let present = unsafe {
                let mut present: libc::sigaction = std::mem::zeroed();
                let answer = libc::sigaction(signal, std::ptr::null(), &raw mut present);
                (answer == 0).then_some(present.sa_sigaction)
            };
            present == Some(libc::SIG_IGN)
        });
        for &signal in &ignored {
            // SAFETY: no function is installed.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Self(ignored)
    }

    fn put_back(self) {
        for signal in self.0 {
            // SAFETY: no function is installed.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
}

#[cfg(not(unix))]
struct Ignored;

#[cfg(not(unix))]
impl Ignored {
    fn set_aside() -> Self {
        Self
    }

    fn put_back(self) {}
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
            HANDLER.get_or_init(install);
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
