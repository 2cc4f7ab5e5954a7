//! WATCH and EXEC as one word each (docs/WIRE.md §6): the proxy keeps the queue and the watched versions.

use super::super::{Outcome, Request, find};
use crate::error::CommandError;
use crate::session::{Queued, Session, Watch, Watches, watch_key};
use crate::shared::Shared;
use crate::slots::watched::Hold;
use protocol::command::{Flags, lookup};
use protocol::number::parse_int;
use protocol::reply::errors;
use protocol::request::encode_request;

/// `WATCH key…`: a version a key.
pub(super) fn watch(session: &mut Session, request: Request<'_>) -> Outcome {
    let count = session.shared.slot_count();
    let slots: Vec<_> = request.from(2).map(|key| count.of(key)).collect();
    if session.turn_away_readers(&slots) {
        return Ok(());
    }
    let watches = request
        .from(2)
        .zip(slots)
        .map(|(key, slot)| watch_key(&session.shared, slot, session.db, key, Hold::Unheld));
    let versions: Vec<String> =
        watches.map(|watch| version(&session.shared.boot_id, &watch)).collect();
    let mut reply = session.reply();
    reply.array(versions.len());
    versions.iter().for_each(|version| reply.bulk(version.as_bytes()));
    Ok(())
}

/// `boot-id:db:number`; the number's lowest bit says whether the key had expired already.
fn version(boot: &str, watch: &Watch) -> String {
    format!("{boot}:{}:{}", watch.db, watch.version << 1 | u64::from(watch.was_expired))
}

/// What a version says of a key; of another life of this node, that the key has changed.
fn understood(shared: &Shared, key: &[u8], text: &[u8]) -> Option<Watch> {
    let mut parts = std::str::from_utf8(text).ok()?.rsplitn(3, ':');
    let (number, db): (u64, u8) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let is_of_this_life = parts.next()? == shared.boot_id;
    Some(Watch {
        slot: shared.slot_count().of(key),
        db: Some(db).filter(|db| *db < shared.config.databases)?,
        key: key.to_vec(),
        version: if is_of_this_life { number >> 1 } else { u64::MAX },
        was_expired: is_of_this_life && number & 1 == 1,
    })
}

/// `EXEC n watch-count {key version}… {argc arg…}…`
pub(super) fn exec(session: &mut Session, request: Request<'_>) -> Outcome {
    let mut words = Words { request, at: 2 };
    let (commands, watched) = (words.number()?, words.number()?);
    let mut watches = Watches::new(session.shared.clone(), Hold::Unheld);
    for _ in 0..watched {
        let (key, text) = (words.next()?, words.next()?);
        let watch = understood(&session.shared, key, text);
        watches.list.push(watch.ok_or("ERR that is no version of a key")?);
    }
    let queued =
        (0..commands).map(|_| words.command()).collect::<Result<Vec<_>, CommandError>>()?;
    if words.at != request.len() {
        return Err("ERR there are more words than commands".into());
    }
    let exec = session.prepare(queued, watches);
    session.start(exec);
    Ok(())
}

/// Reads arguments one after another.
struct Words<'a> {
    request: Request<'a>,
    at: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Result<&'a [u8], CommandError> {
        if self.at >= self.request.len() {
            return Err("ERR an argument is missing".into());
        }
        self.at += 1;
        Ok(self.request.get(self.at - 1))
    }

    /// A count of things that follow, so at most as many as there are arguments.
    fn number(&mut self) -> Result<usize, CommandError> {
        let number = parse_int(self.next()?).and_then(|n| usize::try_from(n).ok());
        number
            .filter(|&n| n <= self.request.len())
            .ok_or_else(|| "ERR a count is out of range".into())
    }

    fn command(&mut self) -> Result<Queued, CommandError> {
        let count = self.number()?;
        let args = (0..count).map(|_| self.next()).collect::<Result<Vec<_>, _>>()?;
        let name = args.first().copied().unwrap_or_default();
        let command = lookup(name).filter(|command| find(command.id).is_some());
        let command = command.ok_or_else(|| {
            let text = errors::unknown_command(name, args.iter().skip(1).copied());
            CommandError::from(String::from_utf8_lossy(&text).into_owned())
        })?;
        if !command.check_arity(count) {
            return Err(errors::arity(command.name).into());
        }
        if command.flags.contains(Flags::NO_MULTI)
            || matches!(command.name, "slipway" | "multi" | "exec" | "watch")
        {
            return Err("ERR Command not allowed inside a transaction".into());
        }
        let mut frame = Vec::new();
        encode_request(&mut frame, &args);
        Ok(Queued { command, frame })
    }
}
