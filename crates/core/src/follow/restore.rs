//! Beginning with what was kept, or with a pack.

use super::follower::{Doing, Moment, Subject, Unpersisted};
use super::gathering::{Gathering, missing};
use super::{Action, Follower};
use crate::snapshot::Origin;
use crate::wire::{Chunk, Fault, FaultCode, Mark, Pack, SignedHead, Stage};
use crate::{Hash, Timestamp};
use std::collections::HashMap;

/// What a host kept from the last run.
pub struct Kept<'k> {
    /// The last head, or slice, that was answered from.
    pub head: Option<Vec<u8>>,
    /// The highest head that was seen.
    pub seen: Option<Vec<u8>>,
    /// Finds a content by its hash.
    pub find: &'k dyn Fn(Hash) -> Option<Chunk>,
}

impl std::fmt::Debug for Kept<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("head", &self.head.is_some()).field("seen", &self.seen.is_some()).finish()
    }
}

impl Follower {
    /// Begins with what was kept from the last run: the same checks as for anything that arrives, but for being newer
    /// than what was seen. What cannot be used is a fault, and the source will be asked for everything.
    pub fn restore(&mut self, kept: Kept<'_>, now: Timestamp) -> Vec<Action> {
        let mut moment = Moment { now, random: 0, actions: Vec::new() };
        // What was asked for before is not what is begun with.
        self.doing = Doing::Nothing;
        // A head was seen even where its contents are lost. Whichever is higher: one was written before the other.
        for document in kept.seen.iter().chain(&kept.head) {
            match self.verify(document) {
                Ok(head) => {
                    let order = |mark: &Mark| (mark.epoch, mark.revision, mark.issued_at);
                    self.mark = self.mark.take().into_iter().chain([head.mark()]).max_by_key(order);
                }
                Err(fault) => self.note(not_restored(&fault), &moment),
            }
        }
        if let Some(head) = kept.head {
            match self.take_whole(&head, kept.find, &mut moment) {
                // It is on disk already.
                Ok(()) => self.unpersisted = Unpersisted::default(),
                Err(fault) => self.note(not_restored(&fault), &moment),
            }
            moment.actions.retain(|action| matches!(action, Action::Swap(_)));
        }
        moment.actions
    }

    /// Begins with a pack that came with the program, where that is newer than what is in force. Everything in it must
    /// be named by its head.
    ///
    /// # Errors
    /// Why it was refused; what was in force still is.
    pub fn open(&mut self, pack: Pack, now: Timestamp) -> Result<Vec<Action>, Fault> {
        let opened = self.open_newer(pack, now);
        if let Err(fault) = &opened
            && !matches!(fault.fault_code(), FaultCode::OlderRevision | FaultCode::NotNewer)
        {
            let moment = Moment { now, random: 0, actions: Vec::new() };
            self.note(fault.clone(), &moment);
        }
        opened
    }

    fn open_newer(&mut self, pack: Pack, now: Timestamp) -> Result<Vec<Action>, Fault> {
        let mut moment = Moment { now, random: 0, actions: Vec::new() };
        let head = self.verify(&pack.head)?;
        self.admit(&head)?;
        let mark = head.mark();
        if let Subject::Slice { .. } = self.subject {
            self.hold_slice(&pack.head, head, Origin::Pack, &mut moment)?;
        } else {
            let gathered = self.gather_whole(head, &|hash| pack.chunks.get(&hash).cloned())?;
            if let Some(hash) = pack.chunks.keys().find(|hash| !gathered.fetched.contains_key(hash)) {
                return Err(Fault::new(Stage::Parse, FaultCode::UnexpectedChunk, hash.to_string(), "nothing names it"));
            }
            self.put_in_force(gathered, Origin::Pack, &mut moment)?;
        }
        self.mark = Some(mark);
        // What was asked for before may be older.
        self.doing = Doing::Nothing;
        Ok(moment.actions)
    }

    /// Takes a head that was kept with all its contents.
    fn take_whole(
        &mut self,
        document: &[u8],
        find: &dyn Fn(Hash) -> Option<Chunk>,
        moment: &mut Moment,
    ) -> Result<(), Fault> {
        let head = self.verify(document)?;
        if let Subject::Slice { .. } = self.subject {
            self.hold_slice(document, head, Origin::LastKnownGood, moment)?;
        } else {
            let gathered = self.gather_whole(head, find)?;
            self.put_in_force(gathered, Origin::LastKnownGood, moment)?;
        }
        Ok(())
    }

    /// Gathers all that a head names, even what runs already.
    fn gather_whole(&mut self, head: SignedHead, find: &dyn Fn(Hash) -> Option<Chunk>) -> Result<Gathering, Fault> {
        let mut gathering = Gathering::new(head, HashMap::new());
        while let Subject::Stream { engine, .. } = &self.subject {
            let wanted = gathering.advance(None, engine.as_ref(), &mut self.opener)?;
            if wanted.is_empty() {
                break;
            }
            for reference in wanted {
                let chunk = find(reference.hash).ok_or_else(|| missing(reference.hash))?;
                gathering.take_unopened(reference, chunk, &mut self.opener)?;
            }
        }
        gathering.open_unused(&mut self.opener)?;
        Ok(gathering)
    }
}

fn not_restored(fault: &Fault) -> Fault {
    let message = format!("{fault} [{}]", fault.code());
    Fault::new(fault.stage(), FaultCode::NotRestored, "last known good", message)
}
