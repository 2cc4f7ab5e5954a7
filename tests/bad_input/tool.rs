//! The operator's tool: what makes no sense is status 2, who does not answer is status 4.

use super::{says, serves_on, treated};
use harness::process::{free_port, program};
use std::process::Command;

/// A line, its exit status, and what must be said. `ADMIN` is the controller, `PROXY` where clients connect, `NOBODY` an address where nobody is.
const LINES: &[(&str, i32, &[&str])] = &[
    ("", 2, &["Usage", "migrate"]),
    ("mirgate", 2, &["mirgate", "migrate"]),
    ("status --admin", 2, &["--admin"]),
    ("status --loud", 2, &["--loud"]),
    ("migrate --to 2", 2, &["--slots"]),
    ("migrate --slots 0-1", 2, &["--to"]),
    ("migrate --slots 9-1 --to 2", 2, &["runs backwards", "1-9"]),
    ("migrate --slots 1-2-3 --to 2", 2, &["no slot or range", "0-99,512"]),
    ("migrate --slots ,, --to 2", 2, &["no slot or range"]),
    ("migrate --slots 99999 --to 2", 2, &["no slot or range"]),
    ("migrate --slots 0 --to two", 2, &["two"]),
    (
        "migrate --slots 1024 --to 2 --admin ADMIN",
        2,
        &["slot 1024 does not exist", "0 to 1023", "slipway slots"],
    ),
    ("migrate --slots 0 --to 9 --admin ADMIN", 2, &["group 9 does not exist", "1, 2"]),
    ("abort --slots 5000 --admin ADMIN", 2, &["slot 5000 does not exist"]),
    ("pace 1 --admin ADMIN", 2, &["too few", "65536"]),
    ("pace fast --admin ADMIN", 2, &["fast"]),
    ("status --admin NOBODY", 4, &["nobody answers at", "slipway up", "--admin"]),
    ("migrate --slots 0 --to 2 --admin NOBODY", 4, &["nobody answers at", "slipway up"]),
    ("status --admin nowhere", 4, &["nowhere", "--admin"]),
    ("migrate --slots 0 --to 2 --admin PROXYADMIN", 1, &["no controller", "--admin"]),
    ("load --rate 0", 2, &["--rate"]),
    ("load --seconds -1", 2, &["-1"]),
    ("load --keys 1 --clients 2", 2, &["--keys must be at least one a client"]),
    ("load --slots 2000", 2, &["slot 2000 does not exist"]),
    ("load --mix all=1", 2, &["all"]),
    ("load --addr NOBODY", 4, &["nothing answers at", "--addr"]),
    ("node", 2, &["--config"]),
    ("up --groups 0", 2, &["--groups"]),
    ("up --slots 99999999", 2, &["--slots"]),
];

#[test]
fn what_the_tool_cannot_do_is_said_with_what_to_do_and_the_documented_status() {
    let mut cluster = treated();
    let nobody = format!("127.0.0.1:{}", free_port());
    for (line, status, words) in LINES {
        let line = line
            .replace("PROXYADMIN", &cluster.proxy_admin)
            .replace("ADMIN", &cluster.admin)
            .replace("NOBODY", &nobody);
        let output = Command::new(program()).args(line.split_whitespace()).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        says(&said, words, &line);
        assert_eq!(output.status.code(), Some(*status), "slipway {line}\n{said}");
    }
    serves_on(&mut cluster);
}

#[test]
fn a_wish_that_crosses_another_is_refused_and_overlapping_ranges_are_one() {
    let mut cluster = treated();
    cluster.tool("pause").unwrap();
    let planned = cluster.tool_json("migrate --slots 0-9,5-19,7 --to 2 --detach").unwrap();
    assert_eq!(planned["slots"], 20);
    let refused = cluster.tool("migrate --slots 10-11 --to 1").unwrap_err();
    says(&refused, &["slots 10-11 are on their way", "slipway abort --slots 10-11"], "crossing");
    cluster.tool("abort").unwrap();
    cluster.tool("resume").unwrap();
    serves_on(&mut cluster);
}
