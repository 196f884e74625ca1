//! A switch for tests: the portable bodies where native kernels exist, so that one machine can compare both.

use std::cell::Cell;

thread_local! {
    static PORTABLE: Cell<bool> = const { Cell::new(false) };
}

/// Until it is dropped, the objectives evaluated on this thread use the bodies that [`portable`] chose.
#[derive(Debug)]
#[must_use = "the switch goes back when this is dropped"]
pub struct Bodies {
    before: bool,
}

/// From now on, on this thread: tensor operations also where a native kernel exists (`true`), or what the device has (`false`).
pub fn portable(on: bool) -> Bodies {
    Bodies { before: PORTABLE.replace(on) }
}

/// Are the portable bodies asked for on this thread?
pub fn is_portable() -> bool {
    PORTABLE.get()
}

impl Drop for Bodies {
    fn drop(&mut self) {
        PORTABLE.set(self.before);
    }
}

/// What `f` gives with the portable bodies.
pub fn portably<R>(f: impl FnOnce() -> R) -> R {
    let _bodies = portable(true);
    f()
}
