//! What CONFIG SET changes and CONFIG REWRITE keeps.

use harness::cluster::{Cluster, Role};
use harness::eventually;
use harness::resp::Client;
use protocol::frame::Value;
use std::time::Duration;

#[test]
fn settings_that_were_rewritten_hold_after_a_restart() {
    let mut cluster = Cluster::start();
    let roles = [
        (Role::Source, cluster.nodes[0].clone(), "node1"),
        (Role::Proxy, cluster.proxy.clone(), "proxy"),
    ];
    for (role, addr, name) in roles {
        let file = cluster.directory.path().join(format!("{name}.toml"));
        let before = format!("# A comment.\n{}", std::fs::read_to_string(&file).unwrap());
        std::fs::write(&file, &before).unwrap();
        let mut client = Client::connect(&addr).unwrap();
        let mut say = |words: &str| client.command(words).unwrap();
        let ok = Value::Simple("OK".into());
        assert_eq!(say("CONFIG SET slowlog-max-len 7 timeout 600 slowlog-log-slower-than -1"), ok);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "not before it is asked for");
        assert_eq!(say("CONFIG REWRITE"), ok);
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("# A comment.\n"));

        let process = cluster.process(role);
        process.stop();
        process.start("");
        let shown = eventually("it is back", Duration::from_secs(30), || {
            let mut client = Client::connect(&addr)?;
            client.command("CONFIG GET slowlog-max-len timeout slowlog-log-slower-than")
        });
        let mut shown: Vec<_> =
            shown.as_items().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
        shown.sort();
        let wanted = ["-1", "600", "7", "slowlog-log-slower-than", "slowlog-max-len", "timeout"];
        assert_eq!(shown, wanted, "{name}");
    }
}
