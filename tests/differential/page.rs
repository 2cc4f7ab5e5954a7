//! docs/DIFFERENCES.md, written from the list of allowed differences and from the table of commands: what users read is what is tested.

use super::allowed::{Allowed, Place, loose};
use protocol::command::{RouteRule, table};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/DIFFERENCES.md");

const HEAD: &str = "# Differences from Redis

What an application that knew Redis 7.0.15 may notice. A test sends generated commands to a redis-server, to a node and to a proxy before two
nodes, and fails on any difference that is not on this page; the page is written from the list that the test reads,
`tests/differential/allowed.toml`.

Texts in `code` are requests and replies as redis-cli would take and a connection would show them; `*` stands for anything.

";

#[test]
fn the_page_of_differences_says_what_the_list_says() {
    let written = document();
    if std::env::var_os("SLIPWAY_WRITE_DOCS").is_some() {
        fs::write(FILE, &written).unwrap();
    }
    let kept = fs::read_to_string(FILE).unwrap_or_default();
    let differs = kept.lines().zip(written.lines()).find(|(kept, written)| kept != written);
    assert!(
        kept == written,
        "docs/DIFFERENCES.md is not what allowed.toml says: run the test with SLIPWAY_WRITE_DOCS=1 and commit it; first at {differs:?}"
    );
}

fn document() -> String {
    let mut page = HEAD.to_owned();
    refusals(&mut page);
    differences(&mut page);
    unpromised(&mut page);
    unserved(&mut page);
    page
}

fn refusals(page: &mut String) {
    page.push_str("## What a proxy refuses\n\nA slot is on one node, and a request that needs two of them at once has nowhere to run. Keys with the same `{tag}` are in one slot.\n\n");
    page.push_str("| requests | but not | refused | the reply | why |\n|---|---|---|---|---|\n");
    for line in &Allowed::whole().refusal {
        let when = serde_json::to_string(&line.when).unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            codes(&line.commands),
            codes(&line.but),
            when.trim_matches('"'),
            codes(&line.slipway),
            line.why
        );
    }
    page.push('\n');
}

fn differences(page: &mut String) {
    page.push_str(
        "## Other replies\n\n| request | at | Redis | Slipway | why |\n|---|---|---|---|---|\n",
    );
    for line in &Allowed::whole().difference {
        let at = match line.at {
            Place::Node => "node",
            Place::Proxy => "proxy",
            Place::Both => "both",
        };
        let _ = writeln!(
            page,
            "| {} | {at} | {} | {} | {} |",
            code(&line.command),
            code(&line.redis),
            code(&line.slipway),
            line.why
        );
    }
    page.push('\n');
}

fn unpromised(page: &mut String) {
    page.push_str("## What Redis does not promise either\n\nOf these replies only a part is compared, and the rest may differ.\n\n");
    page.push_str("| commands | compared | why |\n|---|---|---|\n");
    for line in loose() {
        let what = serde_json::to_string(&line.compared).unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            codes(&line.commands),
            what.trim_matches('"'),
            line.why
        );
    }
    page.push_str(
        "\nA score of -0 is one of 0: Redis keeps the sign in large sorted sets only.\n\n",
    );
}

fn unserved(page: &mut String) {
    page.push_str("## Commands that a proxy does not serve\n\nThe reply is `-ERR command '…' is not served: ` and the reason.\n\n| reason | commands |\n|---|---|\n");
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for command in table() {
        if let RouteRule::Refused(why) = command.route {
            by_reason.entry(why).or_default().push(command.name.to_uppercase());
        }
    }
    for (why, mut names) in by_reason {
        names.sort();
        let _ = writeln!(page, "| {why} | {} |", codes(&names));
    }
}

fn codes(texts: &[String]) -> String {
    texts.iter().map(|text| code(text)).collect::<Vec<_>>().join(", ")
}

/// As code within a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}
