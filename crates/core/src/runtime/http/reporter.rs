//! The thread that tells HQ what is in force: what HQ is told never keeps a head waiting.

use super::client::Client;
use super::options::Pauses;
use crate::EngineId;
use crate::runtime::worker::Worker;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Sends what was reported last, again until HQ has it.
#[derive(Debug)]
pub(super) struct Reporter {
    client: Arc<Client>,
    path: String,
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    /// What is to be sent. What is reported later takes its place.
    unsent: Option<Vec<u8>>,
    running: bool,
    stop: bool,
}

impl Reporter {
    pub(super) fn new(client: Arc<Client>, engine: &EngineId) -> Self {
        let path = format!("/v1/engines/{engine}/status");
        Self { client, path, slot: Mutex::default(), changed: Condvar::new() }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has something sent, and returns.
    pub(super) fn send(self: &Arc<Self>, json: Vec<u8>) {
        let mut slot = self.slot();
        slot.unsent = Some(json);
        self.changed.notify_all();
        if !slot.running {
            let itself = self.clone();
            // Where there is no thread to be had, it is tried with the next report.
            slot.running = Worker::spawn("leasehold-report", move || itself.run()).is_ok();
        }
    }

    /// Ends the thread; a request that is under way ends by itself.
    pub(super) fn stop(&self) {
        self.slot().stop = true;
        self.changed.notify_all();
    }

    fn run(&self) {
        let mut pauses = Pauses::of(self.client.options().patience);
        loop {
            let slot = self.changed.wait_while(self.slot(), |slot| slot.unsent.is_none() && !slot.stop);
            let json = {
                let mut slot = slot.unwrap_or_else(PoisonError::into_inner);
                if slot.stop {
                    return;
                }
                slot.unsent.take()
            };
            let Some(json) = json else { continue };
            match self.client.post(&self.path, &json) {
                Err(failure) if failure.passing => {
                    let pause = pauses.next() + self.client.left_alone();
                    let mut slot = self.slot();
                    slot.unsent.get_or_insert(json);
                    drop(self.changed.wait_timeout_while(slot, pause, |slot| !slot.stop));
                }
                // What HQ refuses is not sent again.
                _ => pauses.reset(),
            }
        }
    }
}
