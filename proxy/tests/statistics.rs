//! What a codis-dashboard, a console and an exporter are told of a proxy.

use crate::cluster::{Cluster, until};
use crate::codis::{fork, start, upstream};
use crate::fake::Manner;
use codis::config::Config as Codis;
use codis::model::{CommandStats, Stats};
use proxy::dashboard::Detail;
use std::time::{Duration, Instant};

const ALL: Detail = Detail { commands: true, runtime: true };

fn stats(c: &Cluster) -> Stats {
    c.statistics.as_ref().unwrap().stats(ALL)
}

fn of(stats: &Stats, name: &str) -> CommandStats {
    let commands = stats.ops.cmd.as_ref().unwrap();
    commands.iter().find(|command| command.opstr == name).cloned().unwrap_or_default()
}

#[tokio::test]
async fn requests_are_counted_by_command_refused_ones_too() {
    let c = start(upstream()).await;
    let mut client = c.client().await;
    client
        .send_all(&[
            "set k v",
            "get k",
            "GET k",
            "nosuch",
            "monitor",
            "mget a b c",
            "incr k",
            "ping",
            "compact",
            "made-up",
        ])
        .await;
    client.replies(10).await;
    let stats = stats(&c);
    assert!(stats.online && !stats.closed);
    // INCR is an error of the fake node's.
    assert_eq!((stats.ops.total, stats.ops.redis.errors, stats.ops.fails), (10, 5, 0));
    assert_eq!((stats.sessions.total, stats.sessions.alive), (1, 1));
    let names: Vec<_> = stats.ops.cmd.as_ref().unwrap().iter().map(|c| c.opstr.as_str()).collect();
    assert_eq!(names, ["ALL", "GET", "INCR", "MGET", "MONITOR", "PING", "SET", "UNKNOWN"]);
    assert_eq!((of(&stats, "GET").calls, of(&stats, "GET").redis_errtype), (2, 0));
    assert_eq!((of(&stats, "UNKNOWN").calls, of(&stats, "UNKNOWN").redis_errtype), (3, 3));
    assert_eq!((of(&stats, "ALL").calls, of(&stats, "ALL").redis_errtype), (10, 5));
    let mget = of(&stats, "MGET");
    assert_eq!((mget.calls, mget.usecs_percall, mget.interval), (1, mget.usecs, 1));
    // A poll that does not ask for commands gets none.
    let short = c.statistics.as_ref().unwrap().stats(Detail::default());
    assert!(short.ops.cmd.is_none() && short.runtime.is_none());
}

#[tokio::test]
async fn whoever_polls_gets_what_everybody_gets() {
    let c = start(fork()).await;
    let mut client = c.client().await;
    client.ask("exists k").await;
    c.statistics.as_ref().unwrap().reset();
    c.nodes[0].behave(Manner::Mute);
    client.send("get k").await;
    until("it is executed", || c.nodes[0].executed().len() == 2).await;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_millis(60)).await;
    c.nodes[0].behave(Manner::Good);
    client.reply().await;
    let took_ms = i64::try_from(began.elapsed().as_millis()).unwrap();
    let statistics = c.statistics.as_ref().unwrap();
    until("the second is over", || of(&stats(&c), "GET").total_calls == 1).await;
    let (one, other) = (stats(&c), stats(&c));
    assert_eq!(one, other, "reading takes nothing away");
    let get = of(&one, "GET");
    assert_eq!((get.calls, get.qps, get.delay50ms, get.delay3s), (1, 1, 1, 0));
    assert!((60..=took_ms + 100).contains(&get.tp100), "{get:?}");
    assert!(get.tp90 == get.tp100 && get.tp9999 == get.tp100 && get.max_delay >= 60_000, "{get:?}");
    assert_eq!(one.ops.qps, 1);
    // The longer windows remember.
    until("the second is forgotten", || stats(&c).ops.qps == 0).await;
    for seconds in [10, 60, 600, 3600] {
        let info = statistics.cmd_info(seconds);
        let all = info.cmd.iter().find(|command| command.opstr == "ALL").unwrap();
        assert_eq!((all.interval, all.total_calls, all.calls), (seconds as i64, 1, 1));
        assert!(all.tp100 >= 60 && all.total_usecs >= 60_000);
    }
    assert_eq!(statistics.cmd_info(7).cmd[0].interval, 1);
}

#[tokio::test]
async fn a_reset_counts_anew_and_forgets_no_client() {
    let c = start(upstream()).await;
    let (mut client, second) = (c.client().await, c.client().await);
    client.send_all(&["get k", "get k", "nosuch"]).await;
    client.replies(3).await;
    until("both are in", || stats(&c).sessions.alive == 2).await;
    drop(second);
    until("one is gone", || stats(&c).sessions.alive == 1).await;
    c.statistics.as_ref().unwrap().reset();
    let after = stats(&c);
    assert_eq!((after.ops.total, after.ops.redis.errors), (0, 0));
    assert_eq!((after.sessions.total, after.sessions.alive), (1, 1));
    assert_eq!(of(&after, "GET").total_calls, 0);
    client.ask("get k").await;
    assert_eq!((stats(&c).ops.total, of(&stats(&c), "GET").calls), (1, 1));
}

#[tokio::test]
async fn failures_are_clients_refused_and_replies_nobody_gets() {
    let c = start(Codis { proxy_max_clients: 1, ..upstream() }).await;
    let mut client = c.client().await;
    client.ask("ping").await;
    let mut second = c.client().await;
    assert!(second.reply().await.as_error().is_some());
    assert_eq!((stats(&c).ops.fails, stats(&c).sessions.total), (1, 2));
    client.ask("exists k").await;
    c.nodes[0].behave(Manner::Mute);
    client.send_all(&["get a", "get b", "set c 1"]).await;
    until("all are executed", || c.nodes[0].executed().len() == 4).await;
    // The client resets the connection: nobody waits for the replies.
    socket2::SockRef::from(&*client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    until("they are failures", || stats(&c).ops.fails == 4).await;
    let stats = stats(&c);
    assert_eq!(
        (of(&stats, "GET").fails, of(&stats, "SET").fails, of(&stats, "ALL").fails),
        (2, 1, 3)
    );
}

#[tokio::test]
async fn slow_requests_are_counted_and_what_the_process_uses_is_told() {
    let c = start(Codis { slowlog_log_slower_than: 0, ..fork() }).await;
    let mut client = c.client().await;
    client.send_all(&["set k v", "get k"]).await;
    client.replies(2).await;
    let stats = stats(&c);
    assert_eq!(stats.slow_cmd_count, 2);
    let raw = stats.rusage.raw.unwrap();
    assert!(stats.rusage.mem > 0 && raw.vm_size > raw.vm_rss && raw.num_threads > 0, "{raw:?}");
    assert!(stats.rusage.now.ends_with(" +0000 UTC"));
    assert_eq!(stats.runtime.unwrap().num_procs, 1);
}

#[tokio::test]
async fn nothing_that_is_stuck_keeps_the_answer() {
    let c = start(upstream()).await;
    c.nodes[0].behave(Manner::Deaf);
    let mut clients = Vec::new();
    for i in 0..50 {
        let mut client = c.client().await;
        client.send(&format!("set k{i} v")).await;
        clients.push(client);
    }
    let began = Instant::now();
    for _ in 0..100 {
        assert!(stats(&c).online);
    }
    assert!(began.elapsed() < Duration::from_secs(1), "10 ms each: {:?}", began.elapsed());
}
