//! Pika, with its own defaults but for the places of its files.

use super::{Alone, Ground, Started};
use anyhow::Result;
use std::path::Path;

pub(super) fn start(ground: &Ground, program: &Path) -> Result<Started> {
    let alone = Alone::new()?;
    let folder = alone.directory.path().display().to_string();
    let mut text = format!(
        "port : {}\nthread-num : {}\nnetwork-interface : lo\ndaemonize : no\nmaxclients : 15000\ntimeout : 0\n\
         pidfile : {folder}/pika.pid\n",
        alone.port, ground.workers
    );
    for key in ["log", "db", "dump", "db-sync"] {
        text += &format!("{key}-path : {folder}/{key}/\n");
    }
    let file = alone.write("pika.conf", &text)?;
    Ok(alone.run(program, &["-c", &file], None))
}
