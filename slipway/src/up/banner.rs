//! What `slipway up` says when it is up: where everything is, and the command that moves slots.

use super::UpArgs;
use crate::cli::DEFAULT_ADMIN;
use crate::say;
use control::docs::Status;

pub(super) fn print(args: &UpArgs, status: &Status) {
    say::result(text(args, status, &program()));
    for trouble in &status.troubles {
        say::note(format_args!("not well: {trouble}"));
    }
}

/// The program as it was called, so that the printed commands can be copied.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "slipway".to_owned())
}

fn text(args: &UpArgs, status: &Status, program: &str) -> String {
    let UpArgs { listen, admin, data, .. } = args;
    let (host, port) = listen.rsplit_once(':').unwrap_or(("127.0.0.1", listen));
    let host = if matches!(host, "127.0.0.1" | "localhost" | "0.0.0.0" | "[::]") {
        String::new()
    } else {
        format!("-h {host} ")
    };
    let other = if admin == DEFAULT_ADMIN { String::new() } else { format!(" --admin {admin}") };
    let load =
        if listen == "127.0.0.1:19000" { String::new() } else { format!(" --addr {listen}") };
    let groups = status.groups.len();
    let plural = if groups == 1 { "" } else { "s" };
    let (slots, to) = example(status);
    format!(
        "slipway is up: {groups} group{plural}, {} slots, data in {}

  clients    {listen}          redis-cli {host}-p {port}
  admin      http://{admin}/api/v1/status
  metrics    http://{admin}/metrics

  put load on it      {program} load{load}
  move slots          {program} migrate --slots {slots} --to {to}{other}
  see how it is       {program} status{other}

Ctrl-C stops it. The next start goes on where it was.
",
        status.slot_count,
        data.display(),
    )
}

/// A move that moves something: the slots of the group that has most, to the one that has fewest.
fn example(status: &Status) -> (String, u32) {
    let most = status.groups.iter().max_by_key(|g| (g.slots, std::cmp::Reverse(g.id)));
    let fewest = status
        .groups
        .iter()
        .filter(|g| Some(g.id) != most.map(|m| m.id))
        .min_by_key(|g| (g.slots, g.id));
    let count = status.slot_count;
    match (most, fewest) {
        (Some(most), Some(fewest)) if most.slots == count as usize => {
            (format!("0-{}", count - 1), fewest.id.0)
        }
        (Some(_), Some(_)) => (format!("0-{}", (count / 2).max(1) - 1), 2),
        _ => ("0".to_owned(), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{GroupId, Kind};
    use control::docs::{Group, NodeState, Stages};

    fn status(slots: &[usize]) -> Status {
        let group = |(slots, id): (&usize, u32)| Group {
            id: GroupId(id),
            addr: "a:1".to_owned(),
            node: None,
            kind: Kind::default(),
            state: NodeState::Up,
            error: None,
            slots: *slots,
            arriving: 0,
            leaving: 0,
        };
        Status {
            cluster: "c".to_owned(),
            slot_count: 1024,
            table_version: 1,
            paused: false,
            pace_bytes: 0,
            troubles: Vec::new(),
            groups: slots.iter().zip(1..).map(group).collect(),
            proxies: Vec::new(),
            slots: Stages::default(),
            plans: Vec::new(),
        }
    }

    fn args(listen: &str, admin: &str) -> UpArgs {
        let (listen, admin) = (listen.to_owned(), admin.to_owned());
        UpArgs { data: "./d".into(), listen, admin, groups: None, slots: None }
    }

    #[test]
    fn the_commands_can_be_copied() {
        let text = text(
            &args("127.0.0.1:19000", DEFAULT_ADMIN),
            &status(&[512, 512]),
            "target/release/slipway",
        );
        for line in [
            "redis-cli -p 19000",
            "target/release/slipway migrate --slots 0-511 --to 2\n",
            "data in ./d",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn other_ports_and_other_owners_are_in_the_commands() {
        let text = text(&args("10.0.0.1:7", "127.0.0.1:8"), &status(&[0, 1024]), "slipway");
        for line in [
            "redis-cli -h 10.0.0.1 -p 7",
            "migrate --slots 0-1023 --to 1 --admin 127.0.0.1:8",
            "load --addr 10.0.0.1:7",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
