//! A thread that need not be waited for.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread of ours. Whoever lets it go says before that it is to end.
#[derive(Debug)]
pub(super) struct Worker {
    thread: JoinHandle<()>,
    /// Its other end goes when the thread ends, whichever way it does.
    end: Mutex<Receiver<()>>,
}

impl Worker {
    pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (alive, end) = channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _alive = alive;
            work();
        })?;
        Ok(Self { thread, end: Mutex::new(end) })
    }

    /// Waits until it has ended.
    pub(super) fn join(self) {
        // A thread that panicked has nothing more to say.
        let _ = self.thread.join();
    }

    /// Waits until it has ended, but no longer than this: later it ends by itself.
    pub(super) fn join_within(self, patience: Duration) {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = end.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
        drop(end);
        if ended {
            self.join();
        }
    }
}
