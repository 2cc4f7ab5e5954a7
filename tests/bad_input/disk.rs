//! A disk without room: writes are refused by name, reads and deletions go on, nothing is lost.

use super::says;
use harness::cluster::{Cluster, Role};
use harness::eventually;
use harness::resp::Client;
use std::time::Duration;

#[test]
fn without_room_writes_are_refused_through_the_proxy_and_come_back_with_the_room() {
    let mut cluster = Cluster::start();
    let mut client = Client::connect(&cluster.proxy).unwrap();
    // One key a node: slots 0-511 are the source's.
    let keys: Vec<String> = (0..20).map(|i| format!("kept:{i}")).collect();
    for key in &keys {
        assert_eq!(client.command(&format!("SET {key} v")).unwrap().as_str(), Some("OK"));
    }
    let file = cluster.directory.path().join("node1.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("disk_reserve_bytes = {}\n{settings}", u64::MAX >> 2)).unwrap();
    cluster.process(Role::Source).kill();
    cluster.process(Role::Source).start("");
    let refused = eventually("a write is refused", Duration::from_secs(30), || {
        keys.iter()
            .filter_map(|key| {
                Some(client.command(&format!("SET {key} w")).ok()?.as_error()?.to_owned())
            })
            .find(|error| error.contains("disk"))
            .ok_or_else(|| "all are taken".to_owned())
    });
    says(&refused, &["disk", "free"], "SET without room");
    for key in &keys {
        let value = client.command(&format!("GET {key}")).unwrap();
        assert!(matches!(value.as_str(), Some("v" | "w")), "{value:?}");
    }
    std::fs::write(&file, settings).unwrap();
    cluster.process(Role::Source).kill();
    cluster.process(Role::Source).start("");
    eventually("all are taken again", Duration::from_secs(30), || {
        for key in &keys {
            let reply = client.command(&format!("SET {key} x"))?;
            if reply.as_str() != Some("OK") {
                return Err(format!("{reply:?}"));
            }
        }
        Ok(())
    });
    cluster.assert_all_run();
}
