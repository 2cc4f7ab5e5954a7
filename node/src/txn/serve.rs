//! Serves those who wait for keys that a transaction has changed, before it lets go of their slots (see [`crate::waiting`]).
//!
//! Each is served by a commit of its own, in the order of the places; what a served command pushes elsewhere is served in turn. Every step ends
//! a wait or leaves a key behind, so it comes to an end.

use super::{Guard, Txn};
use crate::command::{Ctx, Found};
use crate::error::CommandError;
use crate::transfer::records::Payload;
use crate::waiting::{Claim, Fate, Waiter};
use protocol::reply::Reply;
use std::collections::VecDeque;
use std::sync::Arc;

/// A key that somebody waits for and that has changed.
pub(super) type Ready = (u8, Vec<u8>);

impl Txn<'_> {
    /// The changed keys for which somebody waits.
    pub(super) fn ready(&self) -> VecDeque<Ready> {
        let mut ready = VecDeque::new();
        for part in &self.parts {
            let waiters = &part.cell.waiters;
            if waiters.is_empty() || !matches!(part.guard, Guard::Exclusive(_)) {
                continue;
            }
            let changed = part.changed.iter().flatten();
            ready.extend(changed.filter(|(db, key)| waiters.has(*db, key)).cloned());
        }
        ready
    }

    /// Serves whoever waits for these keys, as far as there are elements. Called after a commit, with its locks still held.
    #[cold]
    pub(super) fn serve(&mut self, mut ready: VecDeque<Ready>) {
        while let Some((db, key)) = ready.pop_front() {
            if let Err(error) = self.serve_key(db, &key, &mut ready) {
                tracing::warn!(error = %error.line(), "a client that waits for a key could not be served");
                self.forget_caches();
            }
        }
    }

    fn serve_key(
        &mut self,
        db: u8,
        key: &[u8],
        ready: &mut VecDeque<Ready>,
    ) -> Result<(), CommandError> {
        let part = self.part(key)?;
        let cell = self.parts[part].cell;
        let mut behind = None;
        while let Some(waiter) = cell.waiters.next(db, key, behind) {
            self.begin_again(db);
            let Some(meta) = self.meta_of(part, key)? else {
                // If it had expired just now, it is deleted.
                return self.commit_inner().map(drop);
            };
            if meta.kind != waiter.wish.kind() {
                behind = Some(waiter.place);
                continue;
            }
            cell.waiters.leave(key, &waiter);
            if let Some(claim) = waiter.claim() {
                ready.extend(self.serve_one(&waiter, claim, key));
            }
        }
        Ok(())
    }

    /// Runs the command for its session; returns for which keys somebody waits that it has changed.
    fn serve_one(&mut self, waiter: &Arc<Waiter>, claim: Claim<'_>, key: &[u8]) -> VecDeque<Ready> {
        let Some(at) = waiter.argument_of(key).filter(|_| self.has_slots_of(waiter)) else {
            claim.decide(Fate::Again);
            return VecDeque::new();
        };
        let mut out = Vec::new();
        let result = {
            let reply = Reply::new(&mut out, waiter.version);
            let (command, args, shared) = (waiter.command, waiter.request(), self.shared);
            waiter.wish.take_from(&mut Ctx { shared, command, args, txn: self, reply }, at)
        };
        let result = result.and_then(|found| match found {
            Found::Taken => self.commit_inner(),
            Found::Nothing => {
                Err("ERR internal error: a key was empty that was not; please report it".into())
            }
        });
        let ready = result.unwrap_or_else(|error| {
            self.forget_caches();
            out.clear();
            Reply::new(&mut out, waiter.version).error(error.line().as_bytes());
            VecDeque::new()
        });
        claim.decide(Fate::Served(out));
        ready
    }

    /// Whether the slots of all keys of the command, not only of those it waits for, are held.
    fn has_slots_of(&self, waiter: &Waiter) -> bool {
        let Ok(slots) = crate::exec::slots_of(self.shared, waiter.command, waiter.request()) else {
            return false;
        };
        // One is enough for a pop: it takes from the one key that has something.
        let needed = if waiter.wish.is_move() { slots.as_slice() } else { &[] };
        needed.iter().all(|slot| {
            self.parts
                .binary_search_by_key(slot, |part| part.slot)
                .is_ok_and(|at| matches!(self.parts[at].guard, Guard::Exclusive(_)))
        })
    }

    /// Forgets what is committed: a transaction over the same slots begins.
    fn begin_again(&mut self, db: u8) {
        self.scratch.batch.clear();
        self.overlay = None;
        self.changes = 0;
        self.db = db;
        for part in &mut self.parts {
            let Guard::Exclusive(inner) = &part.guard else { continue };
            part.counts.clear();
            part.captured = inner.capture.is_some().then(Payload::default);
            part.changed = Some(Vec::new());
        }
    }
}
