//! What we do with each command in place of a codis-proxy, decided by name.

use super::table::{Treatment, table, treatment};
use crate::Flavour;
use protocol::command::{Join, Keys, RouteRule};

/// What we do with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// What Codis does, of whichever line allows it.
    AsCodis,
    /// Something that Codis refuses, or gets wrong: how.
    Better(&'static str),
    /// Refused: why.
    Refused(&'static str),
}

use Decision::{AsCodis, Better, Refused};

const MOVES: &str = "it moves slots, which is the dashboard's";
const ONE_SLOT: &str = "by all of its keys, which must share a slot";
const ELSEWHERE: &str =
    "by its keys, which must share a slot, to nodes that have it; ours do not yet";
const REAL_KEY: &str = "by its key, which is not where Codis looks";

/// Names that Redis' table does not have, and names about which more is to be said than follows from it.
const SPOKEN: [(&str, Decision); 57] = [
    ("AUTH", Better("the form with a user's name too")),
    (
        "CODIS.INFO",
        Better("answered: version, build, admin address and start; Pika's fork always refuses it"),
    ),
    ("DEL", Better("one request a connection instead of one a key")),
    ("EXISTS", Better("counts a key as often as it is named, one request a connection")),
    ("HOST:", Better("answered as HTTP with 400, and the connection is closed")),
    (
        "INFO",
        Better("about the proxy, with sections; of a node with its address before the section"),
    ),
    ("MGET", Better("one request a connection instead of one a key; a node's error text is kept")),
    ("MSET", Better("one request a connection instead of one a pair")),
    ("PCONFIG", Better("without passwords in clear")),
    ("PING", Better("with a message; of a node with its address")),
    ("POST", Better("answered as HTTP with 400, and the connection is closed")),
    ("SLOTSCHECK", Refused("it is a node's, for operators")),
    ("SLOTSINFO", Better("of a node with its address, else of the whole cluster")),
    ("SLOTSMAPPING", AsCodis),
    ("SLOTSMGRT-ASYNC-CANCEL", Refused(MOVES)),
    ("SLOTSMGRT-ASYNC-FENCE", Refused(MOVES)),
    ("SLOTSMGRT-ASYNC-STATUS", Refused(MOVES)),
    ("SLOTSMGRT-EXEC-WRAPPER", Refused(MOVES)),
    ("SLOTSMGRTONE", Refused(MOVES)),
    ("SLOTSMGRTONE-ASYNC", Refused(MOVES)),
    ("SLOTSMGRTSLOT", Refused(MOVES)),
    ("SLOTSMGRTSLOT-ASYNC", Refused(MOVES)),
    ("SLOTSMGRTTAGONE", Refused(MOVES)),
    ("SLOTSMGRTTAGONE-ASYNC", Refused(MOVES)),
    ("SLOTSMGRTTAGSLOT", Refused(MOVES)),
    ("SLOTSMGRTTAGSLOT-ASYNC", Refused(MOVES)),
    ("SLOTSRESTORE", Refused("it writes serialised values past every check")),
    ("SLOTSRESTORE-ASYNC", Refused(MOVES)),
    ("SLOTSRESTORE-ASYNC-ACK", Refused(MOVES)),
    ("SLOTSRESTORE-ASYNC-AUTH", Refused(MOVES)),
    ("TOUCH", Better("Codis sends all keys to the first one's")),
    ("UNLINK", Better("Codis sends all keys to the first one's")),
    ("HELLO", Better("answered for this client alone; Codis changes the connection of all")),
    ("RESET", Better("answered for this client alone")),
    ("SCAN", Better("over the whole cluster, with a cursor that can be resumed")),
    // Pika's own commands for operators: codis-proxy forwards them to whatever node the first argument leads to.
    ("CACHE", Refused(PIKA)),
    ("CLEARCACHE", Refused(PIKA)),
    ("CLEARREPLICATIONID", Refused(PIKA)),
    ("COMPACT", Refused(PIKA)),
    ("COMPACTRANGE", Refused(PIKA)),
    ("DBSLAVEOF", Refused(PIKA)),
    ("DELBACKUP", Refused(PIKA)),
    ("DELVX", Refused(PIKA)),
    ("DISABLEWAL", Refused(PIKA)),
    ("DISKRECOVERY", Refused(PIKA)),
    ("PADDING", Refused(PIKA)),
    ("PKPATTERNMATCHDEL", Refused(PIKA)),
    ("PURGELOGSTO", Refused(PIKA)),
    ("SLOTSCLEANUP", Refused(PIKA)),
    ("SLOTSCLEANUPOFF", Refused(PIKA)),
    ("SLOTSRELOAD", Refused(PIKA)),
    ("SLOTSRELOADOFF", Refused(PIKA)),
    ("SCANX", Refused(ONE_NODE)),
    ("PKSCANRANGE", Refused(ONE_NODE)),
    ("PKRSCANRANGE", Refused(ONE_NODE)),
    ("PKHSCANRANGE", Refused(ONE_NODE)),
    ("PKHRSCANRANGE", Refused(ONE_NODE)),
];

/// What our nodes do not have and other nodes may: sent to them by its keys.
const FORWARDED: [&str; 31] = [
    "DUMP",
    "EVAL",
    "EVALSHA",
    "EVALSHA_RO",
    "EVAL_RO",
    "GEOADD",
    "GEODIST",
    "GEOHASH",
    "GEOPOS",
    "GEORADIUS",
    "GEORADIUSBYMEMBER",
    "GEORADIUSBYMEMBER_RO",
    "GEORADIUS_RO",
    "GEOSEARCH",
    "GEOSEARCHSTORE",
    "LCS",
    "SORT",
    "SORT_RO",
    "XACK",
    "XADD",
    "XAUTOCLAIM",
    "XCLAIM",
    "XDEL",
    "XGROUP",
    "XINFO",
    "XLEN",
    "XPENDING",
    "XRANGE",
    "XREVRANGE",
    "XSETID",
    "XTRIM",
];

/// Whether a proxy behind a codis-dashboard sends the command to the node of its keys although no node of ours has it: codis-proxy does, and
/// what is behind may be a Redis or a Pika. All keys must share a slot.
pub fn is_forwarded(name: &str) -> bool {
    FORWARDED.iter().any(|other| other.eq_ignore_ascii_case(name))
}

const ONE_NODE: &str = "it sees one node only; SCAN sees all";
const PIKA: &str = "it is for operators of a Pika, and goes to the node itself";

/// What is to be said of a name beyond what follows from the tables.
pub(super) fn spoken(name: &str) -> Option<Decision> {
    SPOKEN.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, decision)| *decision)
}

/// What we do with a command of this name, in any case; nothing if nobody knows the name, and then it is refused as unknown.
pub fn decision(name: &str) -> Option<Decision> {
    if let Some(spoken) = spoken(name) {
        return Some(spoken);
    }
    let ours = protocol::command::lookup(name.as_bytes())?;
    let codis = [Flavour::Upstream, Flavour::Fork].map(|line| treatment(name, line));
    let is_right = matches!(ours.keys, Keys::Range { first: 1, last: 1, .. });
    Some(match ours.route {
        RouteRule::Refused(_) if is_forwarded(name) => Better(ELSEWHERE),
        RouteRule::Refused(why) => Refused(why),
        _ if codis.contains(&Treatment::Answered) => AsCodis,
        RouteRule::OneSlot
            if is_right
                && codis
                    .iter()
                    .any(|t| matches!(t, Treatment::BySlotOf(1) | Treatment::Unlisted(1))) =>
        {
            AsCodis
        }
        RouteRule::OneSlot if is_right => Better("Codis refuses it"),
        RouteRule::OneSlot if matches!(ours.keys, Keys::Range { first, last, .. } if last == first as i16) => {
            Better(REAL_KEY)
        }
        RouteRule::OneSlot => Better(ONE_SLOT),
        RouteRule::Local => Better("answered by the proxy"),
        RouteRule::Split(_) => Better("split by slot"),
        RouteRule::FanOut(Join::Scan) => Better("over the whole cluster"),
        RouteRule::FanOut(_) => Better("asked of every node, and the answers joined"),
        RouteRule::Slots => Better("to the nodes of the slots it names"),
        RouteRule::Private => Better("on a connection of its own, so that nobody else waits"),
        RouteRule::Transaction => Better("when all keys share a slot"),
    })
}

/// Every name that Redis, a line of Codis or this page knows, upper case and sorted, with what we do.
pub fn decisions() -> Vec<(String, Decision)> {
    let redis = protocol::command::table().iter().map(|command| command.name.to_ascii_uppercase());
    let codis = table().map(|command| command.name.to_owned());
    let spoken = SPOKEN.iter().map(|(name, _)| (*name).to_owned());
    let mut names: Vec<String> =
        redis.chain(codis).chain(spoken).filter(|name| name != "SLIPWAY").collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter_map(|name| decision(&name).map(|decision| (name, decision))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::command::lookup;

    #[test]
    fn what_is_decided_is_done() {
        for (name, decision) in decisions() {
            let is_served = is_forwarded(&name)
                || lookup(name.as_bytes()).is_some_and(|command| command.is_served());
            let closes = matches!(name.as_str(), "HOST:" | "POST");
            assert_eq!(
                is_served || closes,
                !matches!(decision, Refused(_)),
                "{name}: {decision:?}"
            );
        }
    }

    #[test]
    fn every_command_of_codis_has_a_decision() {
        for command in table() {
            assert!(decision(command.name).is_some(), "{}", command.name);
        }
        assert_eq!(decision("nosuch"), None);
    }

    #[test]
    fn no_name_is_spoken_of_twice() {
        let mut names: Vec<_> = SPOKEN.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SPOKEN.len());
    }

    #[test]
    fn what_would_harm_a_shared_connection_or_move_slots_is_never_forwarded() {
        for name in [
            "REPLICAOF",
            "MONITOR",
            "SSUBSCRIBE",
            "SYNC",
            "SHUTDOWN",
            "SLOTSMGRT-EXEC-WRAPPER",
            "slotsmgrttagslot-async",
            "RESTORE-ASKING",
        ] {
            assert!(matches!(decision(name), Some(Refused(_))), "{name}");
        }
        for command in table().filter(|c| {
            matches!(treatment(c.name, Flavour::Upstream), Treatment::RefusedOnPaper(_))
        }) {
            assert!(matches!(decision(command.name), Some(Refused(_))), "{}", command.name);
        }
    }
}
