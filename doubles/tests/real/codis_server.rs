//! The codis-server double: its replies as a table, and the two wrong results a migration between such servers can give.
//!
//! With CODIS_SOURCE and CODIS_TARGET set to two addresses the table goes to those, real codis-servers.

use crate::client::{self, Client, alike};
use doubles::Running;
use doubles::codis_server::{self, Settings};
use std::time::Duration;
use tokio::net::TcpListener;

async fn double(settings: Settings) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    codis_server::start(listener, settings).unwrap()
}

#[tokio::test]
async fn it_answers_as_codis_server() {
    let real = ["CODIS_SOURCE", "CODIS_TARGET"].map(|name| std::env::var(name).ok());
    let doubles = [double(Settings::default()).await, double(Settings::default()).await];
    let address = |at: usize| real[at].clone().unwrap_or_else(|| doubles[at].address().to_string());
    let port = |at: usize| address(at).rsplit(':').next().unwrap().to_owned();
    let (source, target) = (address(0), address(1));
    let (mut source, mut target) = (Client::connect(&source).await, Client::connect(&target).await);
    let mut wrong = Vec::new();
    for line in
        include_str!("codis_server/slots.replies").lines().filter(|line| !line.starts_with('#'))
    {
        if let Some(list) = line.strip_prefix("fill-list ") {
            let (key, count) = list.split_once(' ').unwrap();
            let values = "v ".repeat(count.parse().unwrap());
            source.ask(&format!("RPUSH {key} {}", values.trim_end())).await;
            continue;
        }
        let line = line.replace("{source}", &port(0)).replace("{target}", &port(1));
        let (command, wanted) = line.split_once(" -> ").unwrap();
        let got = if let Some(command) = command.strip_prefix("target ") {
            target.ask(command).await
        } else if let Some(command) = command.strip_prefix("both ") {
            target.ask(command).await;
            source.ask(command).await
        } else {
            source.ask(command).await
        };
        if !alike(wanted, &got) {
            wrong.push(format!("{command}\n  wanted {wanted}\n  got    {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Migration reference §4.1, E1: acknowledgements are lost, the client deletes, and the value is back.
#[tokio::test]
async fn a_deleted_key_comes_back_when_acknowledgements_were_lost() {
    let (a, b) = (
        double(Settings::default()).await,
        double(Settings { loses_acks: true, ..Settings::default() }).await,
    );
    let mut source = Client::connect(&a.address().to_string()).await;
    let mut target = Client::connect(&b.address().to_string()).await;
    source.ask("SET k old").await;
    let order = format!("SLOTSMGRTTAGONE-ASYNC 127.0.0.1 {} 200 200 1000000 k", b.address().port());
    assert_eq!(source.ask(&order).await, "-ERR interrupted: migration timeout\\r\\n");
    assert_eq!(source.ask("SLOTSMGRT-EXEC-WRAPPER k DEL k").await, "*2\\r\\n:2\\r\\n:1\\r\\n");
    let gone = source.ask("SLOTSMGRT-EXEC-WRAPPER k GET k").await;
    assert_eq!(gone, "*2\\r\\n:0\\r\\n-ERR the specified key doesn't exist\\r\\n");
    assert_eq!(target.ask("GET k").await, "$3\\r\\nold\\r\\n");
}

/// Migration reference §4.1, E2: the wrapper looks at the first key alone.
#[tokio::test]
async fn a_store_command_runs_at_the_target_without_its_inputs() {
    let (a, b) = (double(Settings::default()).await, double(Settings::default()).await);
    let mut source = Client::connect(&a.address().to_string()).await;
    let mut target = Client::connect(&b.address().to_string()).await;
    source.ask("SADD {t}src a b c").await;
    let wrapped = source.ask("SLOTSMGRT-EXEC-WRAPPER {t}dst SUNIONSTORE {t}dst {t}src").await;
    assert!(wrapped.starts_with("*2\\r\\n:0\\r\\n"), "{wrapped}");
    assert_eq!(target.ask("SUNIONSTORE {t}dst {t}src").await, ":0\\r\\n");
}

#[tokio::test]
async fn a_key_on_its_way_is_read_and_not_written_and_its_tag_mates_too() {
    let settings = Settings { pace: Duration::from_millis(100), ..Settings::default() };
    let (a, b) = (double(settings).await, double(Settings::default()).await);
    let address = a.address().to_string();
    let mut source = Client::connect(&address).await;
    let mut other = Client::connect(&address).await;
    source.ask("SET {t}k v").await;
    source.ask("SET {t}l v").await;
    source.ask("SET free v").await;
    let order =
        format!("SLOTSMGRTTAGSLOT-ASYNC 127.0.0.1 {} 1000 200 1000000 680 100", b.address().port());
    source.send(&order).await;
    client::until(
        &mut other,
        "SLOTSMGRT-EXEC-WRAPPER {t}k APPEND {t}k w",
        "*2\\r\\n:1\\r\\n-ERR the specified key is being migrated\\r\\n",
    )
    .await;
    assert_eq!(
        other.ask("SLOTSMGRT-EXEC-WRAPPER {t}l GET {t}l").await,
        "*2\\r\\n:2\\r\\n$1\\r\\nv\\r\\n"
    );
    assert_eq!(
        other.ask("SLOTSMGRT-EXEC-WRAPPER free APPEND free w").await,
        "*2\\r\\n:2\\r\\n:2\\r\\n"
    );
    assert_eq!(other.ask(&order).await, "-ERR the specified DB is being migrated\\r\\n");
    assert_eq!(other.ask("SLOTSMGRT-ASYNC-FENCE").await, source.reply().await);
    assert_eq!(other.ask("EXISTS {t}k {t}l").await, ":0\\r\\n");
}

#[tokio::test]
async fn a_batch_can_be_cancelled_and_its_keys_stay() {
    let settings = Settings { pace: Duration::from_millis(500), ..Settings::default() };
    let (a, b) = (double(settings).await, double(Settings::default()).await);
    let address = a.address().to_string();
    let mut source = Client::connect(&address).await;
    let mut other = Client::connect(&address).await;
    source.ask("SET k v").await;
    let order =
        format!("SLOTSMGRTTAGONE-ASYNC 127.0.0.1 {} 1000 200 1000000 k", b.address().port());
    source.send(&order).await;
    client::until(&mut other, "SLOTSMGRT-ASYNC-CANCEL", ":1\\r\\n").await;
    assert_eq!(source.reply().await, "-ERR interrupted: canceled\\r\\n");
    assert_eq!(other.ask("EXISTS k").await, ":1\\r\\n");
}

#[tokio::test]
async fn a_password_is_asked_for_and_sent_to_the_target() {
    let settings = Settings { password: "secret".to_owned(), ..Settings::default() };
    let (a, b) = (double(settings.clone()).await, double(settings).await);
    let mut source = Client::connect(&a.address().to_string()).await;
    assert_eq!(source.ask("GET k").await, "-NOAUTH Authentication required.\\r\\n");
    assert_eq!(source.ask("AUTH secret").await, "+OK\\r\\n");
    source.ask("SET k v").await;
    source.ask("SET l v").await;
    let port = b.address().port();
    assert_eq!(source.ask(&format!("SLOTSMGRTONE 127.0.0.1 {port} 1000 k")).await, ":1\\r\\n");
    let order = format!("SLOTSMGRTONE-ASYNC 127.0.0.1 {port} 1000 200 1000000 l");
    assert_eq!(source.ask(&order).await, ":1\\r\\n");
}

/// A connection is read on while what it asked to move is on its way: replies to what comes behind come first. Seen on codis-server 3.2.11.
#[tokio::test]
async fn what_comes_behind_a_move_on_its_connection_is_answered_first() {
    let (a, b) = (double(Settings::default()).await, double(Settings::default()).await);
    let real = ["CODIS_SOURCE", "CODIS_TARGET"].map(|name| std::env::var(name).ok());
    let [source, target] = [(0, &a), (1, &b)]
        .map(|(at, double)| real[at].clone().unwrap_or_else(|| double.address().to_string()));
    let mut client = Client::connect(&source).await;
    for key in ["first", "second"] {
        client.ask(&format!("SET {key} v")).await;
    }
    let port = target.rsplit(':').next().unwrap();
    let moved =
        |key: &str| format!("SLOTSMGRTTAGONE-ASYNC 127.0.0.1 {port} 1000 200 33554432 {key}");
    let packet = [moved("none"), moved("first"), moved("second"), "GET second".to_owned()];
    let answers = client.packet(&packet.each_ref().map(String::as_str)).await;
    assert_eq!(
        answers,
        ":0\\r\\n-ERR the specified DB is being migrated\\r\\n$1\\r\\nv\\r\\n:1\\r\\n"
    );
    assert_eq!(client.ask("GET first").await, "$-1\\r\\n");
}
