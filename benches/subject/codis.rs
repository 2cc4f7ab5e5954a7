//! codis-proxy without a dashboard: its own default configuration but for addresses and the limit of clients, slots filled from a file.

use super::{Alone, Ground, Started};
use anyhow::{Context, Result, ensure};
use harness::process::free_port;
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// Slots of Codis.
const SLOTS: usize = 1024;

pub(super) fn start(ground: &Ground, program: &Path) -> Result<Started> {
    start_as(ground, program, &[])
}

/// Starts a program that is a codis-proxy after these words.
pub(super) fn start_as(ground: &Ground, program: &Path, words: &[&str]) -> Result<Started> {
    let alone = Alone::new()?;
    let output = Command::new(program)
        .args(words)
        .arg("--default-config")
        .output()
        .context("ask it for its default configuration")?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.contains("proxy_addr"), "--default-config says no proxy_addr");
    let file = alone.write("proxy.toml", &settings(&text, &alone.addr()))?;
    let slots = alone.write("slots.json", &slots(&ground.addrs()))?;
    let flags = [
        format!("--ncpu={}", ground.workers),
        format!("--config={file}"),
        format!("--fillslots={slots}"),
        "--log-level=WARN".to_owned(),
    ];
    let args = [words, &flags.each_ref().map(String::as_str)].concat();
    Ok(alone.run(program, &args, Some(ground)))
}

/// The default configuration with other values for some keys.
fn settings(defaults: &str, addr: &str) -> String {
    let admin = format!("127.0.0.1:{}", free_port());
    let ours = [
        ("proxy_addr", format!("\"{addr}\"")),
        ("admin_addr", format!("\"{admin}\"")),
        ("proxy_max_clients", "19000".to_owned()),
    ];
    let line = |line: &str| match ours.iter().find(|(key, _)| {
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    }) {
        Some((key, value)) => format!("{key} = {value}\n"),
        None => format!("{line}\n"),
    };
    defaults.lines().map(line).collect()
}

/// The slots in equal runs over these stores.
fn slots(stores: &[String]) -> String {
    let slot = |id: usize| json!({ "id": id, "backend_addr": stores[id * stores.len() / SLOTS] });
    json!((0..SLOTS).map(slot).collect::<Vec<_>>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_ours_are_replaced_and_others_stay() {
        let text = settings("# proxy_addr\nproxy_addr = \"x\"\nproxy_addr_more = 1", "h:1");
        assert_eq!(text, "# proxy_addr\nproxy_addr = \"h:1\"\nproxy_addr_more = 1\n");
    }

    #[test]
    fn every_store_gets_its_share_of_the_slots() {
        let text = slots(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(text.matches("\"a\"").count(), 512);
        assert_eq!(text.matches("\"b\"").count(), 512);
    }
}
