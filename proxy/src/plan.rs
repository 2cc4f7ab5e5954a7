//! What is to be done with a request: a function of the request alone. Hot path.

use crate::join::Rule;
use crate::split::KeySlots;
use cluster::{Slot, SlotCount};
use protocol::command::{Command, Join, Keys, RouteRule};
use protocol::number::parse_int;
use protocol::reply::errors;
use protocol::slicer::Args;

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// We answer it ourselves.
    Answer,
    /// It goes whole to the owner of a slot.
    Send(Slot),
    /// Its keys are in several slots: it is cut into parts.
    Split(Rule),
    /// It touches every slot.
    FanOut(Join),
    /// It blocks, and goes to the owner of a slot over a connection of its own.
    Private(Slot),
    /// MULTI, EXEC and what belongs to them.
    Transaction,
}

/// The error line that answers a request we do not serve.
pub(crate) type Refusal = Vec<u8>;

/// Decides. `slots` is left with the slot of each key where the plan is `Split`.
pub(crate) fn plan(
    command: &'static Command,
    request: Request<'_>,
    count: SlotCount,
    slots: &mut KeySlots,
) -> Result<Plan, Refusal> {
    let Request { frame, args } = request;
    if !command.check_arity(args.len()) {
        return Err(errors::arity(command.name).into_bytes());
    }
    match command.route {
        RouteRule::OneSlot => one_slot(command, request, count).map(Plan::Send),
        RouteRule::Local => Ok(Plan::Answer),
        RouteRule::Split(join) => {
            slots_of(command, request, count, slots)?;
            Ok(whole_or_split(
                slots,
                match join {
                    Join::Array => Rule::Array,
                    Join::Sum => Rule::Sum,
                    _ => Rule::Ok,
                },
            ))
        }
        RouteRule::FanOut(join) => Ok(Plan::FanOut(join)),
        RouteRule::Slots => {
            numbered_slots(command, request, count, slots)?;
            Ok(whole_or_split(slots, Rule::Array))
        }
        RouteRule::Private => one_slot(command, request, count).map(Plan::Private),
        RouteRule::Transaction => Ok(Plan::Transaction),
        RouteRule::Refused(why) => {
            let name = args.get(frame, 0).map(String::from_utf8_lossy).unwrap_or_default();
            Err(errors::refused(&name.to_ascii_lowercase(), why).into_bytes())
        }
    }
}

fn whole_or_split(slots: &[Slot], rule: Rule) -> Plan {
    let first = slots.first().copied().unwrap_or(Slot(0));
    if slots.iter().all(|&slot| slot == first) { Plan::Send(first) } else { Plan::Split(rule) }
}

/// The slots that a request names by number: the first argument of SLOTSSCAN, all of SLOTSDEL.
fn numbered_slots(
    command: &'static Command,
    request: Request<'_>,
    count: SlotCount,
    slots: &mut KeySlots,
) -> Result<(), Refusal> {
    let named = if command.name == "slotsscan" { 1 } else { usize::MAX };
    slots.clear();
    for arg in request.args.iter(request.frame).skip(1).take(named) {
        let number = parse_int(arg).ok_or(errors::NOT_INTEGER.as_bytes())?;
        let slot = u64::try_from(number).ok().and_then(|number| count.slot(number));
        slots.push(slot.ok_or_else(|| format!("ERR invalid slot number = {number}").into_bytes())?);
    }
    Ok(())
}

/// A request and where its arguments are.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) frame: &'a [u8],
    pub(crate) args: &'a Args,
}

/// The one slot of all keys; slot 0 if there is no key.
pub(crate) fn one_slot(
    command: &'static Command,
    request: Request<'_>,
    count: SlotCount,
) -> Result<Slot, Refusal> {
    if let Keys::Range { first: 1, last: 1, .. } = command.keys
        && let Some(key) = request.args.get(request.frame, 1)
    {
        return Ok(count.of(key));
    }
    let mut slots = KeySlots::new();
    slots_of(command, request, count, &mut slots)?;
    let first = slots.first().copied().unwrap_or(Slot(0));
    if slots.iter().any(|&slot| slot != first) {
        return Err(errors::CROSS_SLOT.as_bytes().to_vec());
    }
    Ok(first)
}

/// The slot of each key.
pub(crate) fn slots_of(
    command: &'static Command,
    request: Request<'_>,
    count: SlotCount,
    slots: &mut KeySlots,
) -> Result<(), Refusal> {
    let Request { frame, args } = request;
    let positions = command.key_positions(frame, args).map_err(|e| e.line())?;
    slots.clear();
    slots.extend(
        positions.iter().map(|&at| count.of(args.get(frame, at as usize).unwrap_or_default())),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::command::lookup;
    use protocol::request::encode_request;
    use protocol::slicer::{Limits, slice_request};

    fn planned(line: &str) -> Result<Plan, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut frame = Vec::new();
        encode_request(&mut frame, &words);
        let mut args = Args::new();
        slice_request(&frame, &Limits::default(), &mut args).unwrap();
        let command = lookup(words[0]).unwrap();
        plan(
            command,
            Request { frame: &frame, args: &args },
            SlotCount::DEFAULT,
            &mut KeySlots::new(),
        )
        .map_err(|line| String::from_utf8(line).unwrap())
    }

    #[test]
    fn every_kind_of_command_has_its_plan() {
        for (line, want) in [
            ("get foo", Plan::Send(Slot(289))),
            ("SET key1 v EX 10", Plan::Send(Slot(80))),
            ("mget foo foo", Plan::Send(Slot(289))),
            ("mget foo key1", Plan::Split(Rule::Array)),
            ("del foo key1", Plan::Split(Rule::Sum)),
            ("mset foo 1 key1 2", Plan::Split(Rule::Ok)),
            ("mset {k}foo 1 {k}key1 2", Plan::Send(SlotCount::DEFAULT.of(b"k"))),
            ("blpop foo 0", Plan::Private(Slot(289))),
            ("ping", Plan::Answer),
            ("multi", Plan::Transaction),
            ("keys *", Plan::FanOut(Join::Concat)),
            ("slotsdel 1 2", Plan::Split(Rule::Array)),
            ("slotsdel 7", Plan::Send(Slot(7))),
            ("slotsscan 9 0", Plan::Send(Slot(9))),
            ("zunionstore {a}d 2 {a}x {a}y", Plan::Send(SlotCount::DEFAULT.of(b"a"))),
            ("bitop and {a}d {a}x {a}y", Plan::Send(SlotCount::DEFAULT.of(b"a"))),
            ("setbit foo 1 1", Plan::Send(Slot(289))),
            ("pfcount foo", Plan::Send(Slot(289))),
            ("pfcount {a}x {a}y", Plan::Send(SlotCount::DEFAULT.of(b"a"))),
            ("pfmerge {a}d {a}x", Plan::Send(SlotCount::DEFAULT.of(b"a"))),
            ("copy foo foo db 1", Plan::Send(Slot(289))),
        ] {
            assert_eq!(planned(line), Ok(want), "{line}");
        }
    }

    #[test]
    fn what_is_refused_is_refused_by_name() {
        for (line, want) in [
            ("get", "ERR wrong number of arguments for 'get' command"),
            ("mset a 1 b", "ERR wrong number of arguments for 'mset' command"),
            ("rename foo key1", "CROSSSLOT"),
            ("zunionstore d 2 x y", "CROSSSLOT"),
            ("bitop or foo key1", "CROSSSLOT"),
            ("pfcount foo key1", "CROSSSLOT"),
            ("pfmerge foo key1", "CROSSSLOT"),
            ("copy foo key1", "CROSSSLOT"),
            ("zunionstore d 9 x y", "ERR syntax error"),
            ("slotsscan x 0", "ERR value is not an integer"),
            ("slotsdel 1 1024", "ERR invalid slot number = 1024"),
            ("slipway state", "ERR command 'slipway'"),
            ("replicaof no one", "ERR command 'replicaof'"),
        ] {
            let said = planned(line).unwrap_err();
            assert!(said.starts_with(want), "{line}: {said}");
        }
    }
}
