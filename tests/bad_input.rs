//! Bad input: a clear error that says what to do; no panic, no hang, no lost data, and the cluster goes on serving.

mod admin;
mod disk;
mod start;
mod tool;
mod wire;

use harness::cluster::Cluster;
use harness::eventually;
use harness::resp::Client;
use std::time::Duration;

/// A cluster that is treated badly, with something in it that must survive.
fn treated() -> Cluster {
    let cluster = Cluster::start();
    let mut client = Client::connect(&cluster.proxy).unwrap();
    for i in 0..100 {
        let ok = client.command(&format!("SET kept:{i} {i}")).unwrap();
        assert_eq!(ok.as_str(), Some("OK"));
    }
    cluster
}

/// It serves, it has what it had, and nobody has panicked.
fn serves_on(cluster: &mut Cluster) {
    let mut client = Client::connect(&cluster.proxy).unwrap();
    for i in 0..100 {
        let value = client.command(&format!("GET kept:{i}")).unwrap();
        assert_eq!(value.as_str(), Some(i.to_string().as_str()));
    }
    // A quick test ends before the controller has met both nodes.
    eventually("all is well", Duration::from_secs(30), || cluster.tool("status").map(drop));
    cluster.assert_all_run();
}

/// What was said contains each of these words.
fn says(said: &str, words: &[&str], input: &str) {
    for word in words {
        assert!(said.contains(word), "{input}\nsays {said:?}\nand not {word:?}");
    }
    assert!(!said.contains("panicked"), "{input}\nsays {said}");
}
