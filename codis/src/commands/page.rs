//! The page `docs/COMMANDS.md`: every command, and what Redis, both lines of Codis and we do with it.

use super::decision::{Decision, decisions, spoken};
use super::table::{Treatment, treatment};
use crate::Flavour;
use protocol::command::{RouteRule, lookup};

/// The page's text. Ours is what the proxy's own table says, so that the page tells what is, and not what is meant.
pub fn page() -> String {
    let mut text = HEAD.to_owned();
    for (name, decision) in decisions() {
        let [codis, fork] = [Flavour::Upstream, Flavour::Fork].map(|line| of_codis(&name, line));
        text.push_str(&format!(
            "| `{name}` | {} | {codis} | {fork} | {} |\n",
            of_redis(&name),
            ours(&name, decision)
        ));
    }
    text
}

const HEAD: &str = "\
# Commands

What becomes of each command at Redis, at codis-proxy (CodisLabs 3.2), at Pika's fork of it, and at a Slipway proxy. A command that is
not here is refused by name; both lines of Codis forward it, unlooked at, to the slot of its first argument. This page is generated from the
tables in `protocol` and `codis`; `UPDATE_PAGES=1 cargo test -p slipway-codis page` writes it anew.

*Ours* is a proxy that a codis-dashboard drives. One behind our own controller says the same but in Redis' words, and refuses `CODIS.INFO`,
`PCONFIG`, `SLOTSMAPPING` and whatever its nodes do not have. Transactions need nodes of ours behind.

*arg n*: to the slot of that argument, whatever it is · *unlisted*: the same, because the table does not know the name · *on paper*: the table
refuses it, and it is forwarded all the same, because a name with a hyphen is never looked up · *one slot*: all keys must share a slot ·
*own connection*: nobody else waits behind it.

| command | Redis | codis | pika-codis | ours |
|---|---|---|---|---|
";

fn of_redis(name: &str) -> String {
    match lookup(name.as_bytes()) {
        Some(command) if command.group != "slots" => command.since.to_owned(),
        _ => "–".to_owned(),
    }
}

fn of_codis(name: &str, line: Flavour) -> String {
    match treatment(name, line) {
        Treatment::Answered if name == "CODIS.INFO" => "always an error".to_owned(),
        Treatment::Answered => "answered".to_owned(),
        Treatment::AnySlot => "any slot, or an address".to_owned(),
        Treatment::SplitByKey => "one request a key".to_owned(),
        Treatment::BySlotOf(at) => format!("arg {at}"),
        Treatment::NamedSlot => "the slot named".to_owned(),
        Treatment::Refused => "refused".to_owned(),
        Treatment::Unlisted(at) => format!("unlisted, arg {at}"),
        Treatment::RefusedOnPaper(at) => format!("on paper, arg {at}"),
    }
}

fn ours(name: &str, decision: Decision) -> String {
    let done = lookup(name.as_bytes()).map(|command| match command.route {
        RouteRule::Local => "answered",
        RouteRule::OneSlot => "one slot",
        RouteRule::Split(_) => "split by slot",
        RouteRule::FanOut(_) => "every node",
        RouteRule::Slots => "the slots named",
        RouteRule::Private => "own connection, one slot",
        RouteRule::Transaction => "one slot",
        RouteRule::Refused(_) => "refused",
    });
    match (done, decision, spoken(name)) {
        (Some("refused"), Decision::Better(how), _) => format!("one slot: {how}"),
        (None, Decision::Better(how), _) if matches!(name, "HOST:" | "POST") => how.to_owned(),
        (None | Some("refused"), Decision::Refused(why), _) => format!("refused: {why}"),
        (None, ..) => "refused".to_owned(),
        (Some(done), _, Some(Decision::Better(how))) => format!("{done}: {how}"),
        (Some(done), ..) => done.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_page_is_what_the_tables_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/COMMANDS.md");
        if std::env::var_os("UPDATE_PAGES").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(
            committed == page(),
            "docs/COMMANDS.md is old: UPDATE_PAGES=1 cargo test -p slipway-codis page"
        );
    }
}
