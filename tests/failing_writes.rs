//! A disk that refuses: what was sent in one pipeline is answered with errors, nothing of it is there, and the next writes work.

use harness::cluster::{Cluster, Role, Settings};
use harness::resp::Client;
use protocol::frame::Value;
use protocol::request::encode_request;

/// Pipelines that are sent, and writes in each.
const PIPELINES: usize = 40;
const WRITES: usize = 8;

/// Which of the node's writes fails: later than those it needs to begin with.
const FAILS: &str = "node.write=error@20";

#[test]
fn a_pipeline_whose_batch_cannot_be_written_is_refused_as_a_whole() {
    let settings = Settings { fail: &[(Role::Source, FAILS)], ..Settings::default() };
    let mut cluster = Cluster::start_with(settings);
    cluster.tool_json("migrate --slots 0-1023 --to 1").unwrap();
    // Whatever the first writes were for, INCR must not count what was refused.
    let mut client = Client::connect(&cluster.nodes[0]).unwrap();
    let mut refused = Vec::new();
    for pipeline in 0..PIPELINES {
        let mut requests = Vec::new();
        for write in 0..WRITES {
            encode_request(&mut requests, &[b"INCR", key(pipeline, write).as_bytes()]);
        }
        client.send(&requests).unwrap();
        for write in 0..WRITES {
            match client.reply().unwrap() {
                Value::Int(1) => {}
                Value::Error(text) => {
                    assert!(text.contains("refuses writes"), "{text}");
                    refused.push((pipeline, write));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(refused.len(), WRITES, "one batch, all of it: {refused:?}");
    assert!(refused.iter().all(|(pipeline, _)| *pipeline == refused[0].0), "{refused:?}");
    for pipeline in 0..PIPELINES {
        for write in 0..WRITES {
            let expected = if refused.contains(&(pipeline, write)) { 1 } else { 2 };
            let count = client.call(&[b"INCR", key(pipeline, write).as_bytes()]).unwrap();
            assert_eq!(count, Value::Int(expected), "{}", key(pipeline, write));
        }
    }
    cluster.assert_all_run();
}

fn key(pipeline: usize, write: usize) -> String {
    format!("key:{pipeline}:{write}")
}
