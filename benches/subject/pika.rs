//! Pika with the configuration that it is delivered with, but for ports, threads, clients and the places of its files.

use super::{Alone, Ground, Started};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where the delivered configuration is, if it does not lie beside the program as `pika.conf`.
const CONF: &str = "PIKA_CONF";

/// Its other ports, so much above the first: for replicas, and for their full copies (`include/pika_define.h`).
const PORTS: [u16; 2] = [2_000, 10_001];

pub(super) fn start(ground: &Ground, program: &Path) -> Result<Started> {
    let alone = Alone::with_ports_above(&PORTS)?;
    let folder = alone.directory.path().display().to_string();
    let ours = [
        ("port", alone.port.to_string()),
        ("thread-num", ground.workers.to_string()),
        ("network-interface", "lo".to_owned()),
        ("daemonize", "no".to_owned()),
        ("maxclients", "15000".to_owned()),
        ("timeout", "0".to_owned()),
    ];
    let delivered =
        std::env::var_os(CONF).map_or(program.with_file_name("pika.conf"), PathBuf::from);
    let text = std::fs::read_to_string(&delivered).with_context(|| {
        format!("Pika's pika.conf is not at {} ({CONF} says where)", delivered.display())
    })?;
    let file = alone.write("pika.conf", &with(&text, &ours, &folder))?;
    Ok(alone.run(program, &["-c", &file], None))
}

/// These settings in place of those of the same name, and every relative path in this folder.
fn with(delivered: &str, ours: &[(&str, String)], folder: &str) -> String {
    let other = |line: &str| {
        let (key, value) = line.split_once(':')?;
        let (key, value) = (key.trim(), value.trim());
        let is_other = !key.starts_with('#') && ours.iter().all(|(name, _)| *name != key);
        let value =
            value.strip_prefix("./").map_or(value.to_owned(), |path| format!("{folder}/{path}"));
        is_other.then(|| (key.to_owned(), value))
    };
    let ours = ours.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    delivered.lines().filter_map(other).chain(ours).fold(String::new(), |mut text, (key, value)| {
        text += &key;
        text += " : ";
        text += &value;
        text.push('\n');
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_stands_once_and_paths_are_in_the_folder() {
        let delivered = "# port : 1\nport : 9221\ndb-path : ./db/\nmaster-run-id :\n";
        let ours = [("port", "7".to_owned())];
        let text = with(delivered, &ours, "/there");
        assert_eq!(text, "db-path : /there/db/\nmaster-run-id : \nport : 7\n");
    }
}
