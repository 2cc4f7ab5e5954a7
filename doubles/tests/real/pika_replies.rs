//! The Pika double against what real Pika 4.0.1 answered, byte for byte.
//!
//! A line of `pika/*.replies` is `command -> reply`, to the source unless it begins with `target` or `both`; `until` repeats it until the
//! reply comes; `packet a + b` sends two in one packet; `fill slot n prefix` makes keys of a slot; `{n}` stands for digits, `{any}` for
//! anything. With PIKA_SOURCE and PIKA_TARGET set to two addresses the same lines go to those, real Pikas, instead of doubles: what is
//! written here can be seen to be true.

use crate::client::{Client, PATIENCE, alike};
use doubles::Running;
use doubles::pika::{self, Settings};
use std::collections::HashMap;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// Two nodes, and the keys that were made.
struct World {
    source: Client,
    target: Client,
    ports: [String; 2],
    keys: HashMap<String, Vec<String>>,
    real: bool,
    _doubles: Vec<Running>,
}

impl World {
    async fn new() -> Self {
        let real = ["PIKA_SOURCE", "PIKA_TARGET"].map(|name| std::env::var(name).ok());
        let (mut addresses, mut doubles) = (Vec::new(), Vec::new());
        for address in &real {
            if let Some(address) = address {
                addresses.push(address.clone());
            } else {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let double = pika::start(listener, Settings::default()).unwrap();
                addresses.push(double.address().to_string());
                doubles.push(double);
            }
        }
        Self {
            source: Client::connect(&addresses[0]).await,
            target: Client::connect(&addresses[1]).await,
            ports: [0, 1].map(|at| addresses[at].rsplit(':').next().unwrap().to_owned()),
            keys: HashMap::new(),
            real: real[0].is_some(),
            _doubles: doubles,
        }
    }

    /// Puts ports and made keys in.
    fn with_names(&self, line: &str) -> String {
        let mut line = line.replace("{source}", &self.ports[0]).replace("{target}", &self.ports[1]);
        for (prefix, keys) in &self.keys {
            for (place, key) in [
                ("first", &keys[0]),
                ("middle", &keys[keys.len() / 2]),
                ("last", &keys[keys.len() - 1]),
            ] {
                line = line.replace(&format!("{{{place}:{prefix}}}"), key);
            }
        }
        line
    }

    async fn fill(&mut self, slot: u16, count: usize, prefix: &str) {
        let slots = cluster::SlotCount::DEFAULT;
        let names = (0..).map(|n| format!("{prefix}{n}"));
        let names = names.filter(|name| slots.of(name.as_bytes()).0 == slot && name != "ak1626");
        let mut keys: Vec<String> = names.take(count).collect();
        for key in &keys {
            self.source.send(&format!("SET {key} v")).await;
        }
        for _ in &keys {
            assert_eq!(self.source.reply().await, "+OK\\r\\n");
        }
        keys.sort();
        self.keys.insert(prefix.to_owned(), keys);
    }

    /// Runs a line of a table; what was wrong with it.
    async fn play(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "fill" => {
                self.fill(words[1].parse().unwrap(), words[2].parse().unwrap(), words[3]).await;
                return Ok(());
            }
            // Real Pika fills its cache in the background.
            "pause" if self.real => sleep(Duration::from_millis(300)).await,
            "pause" => {}
            "fresh" if self.real => {}
            "filed" | "filed2" => return self.filed(line).await,
            _ => {
                let (command, wanted) = line.split_once(" -> ").expect("a reply");
                let (command, wanted) = (self.with_names(command), self.with_names(wanted));
                return self.expect(&command, &wanted).await;
            }
        }
        Ok(())
    }

    async fn expect(&mut self, command: &str, wanted: &str) -> Result<(), String> {
        let command = command.strip_prefix("fresh ").unwrap_or(command);
        let (until, command) = match command.strip_prefix("until ") {
            Some(command) => (true, command),
            None => (false, command),
        };
        let began = Instant::now();
        loop {
            let got = self.answer(command).await;
            if alike(wanted, &got) {
                return Ok(());
            }
            if !until || began.elapsed() > PATIENCE {
                return Err(format!("{command}\n  wanted {wanted}\n  got    {got}"));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn answer(&mut self, command: &str) -> String {
        if let Some(command) = command.strip_prefix("target ") {
            self.target.ask(command).await
        } else if let Some(command) = command.strip_prefix("both ") {
            self.target.ask(command).await;
            self.source.ask(command).await
        } else if let Some(two) = command.strip_prefix("packet ") {
            self.source.packet(&two.split(" + ").collect::<Vec<_>>()).await
        } else {
            self.source.ask(command).await
        }
    }

    /// `filed command -> member`: the member of its key (its second for `filed2`'s commands) in the index, or `-`.
    async fn filed(&mut self, line: &str) -> Result<(), String> {
        let (command, member) = line.split_once(" -> ").unwrap();
        let (kind, command) = command.split_once(' ').unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        let key = words[if kind == "filed" { 1 } else { 2 }];
        let reply = self.source.ask(command).await;
        if reply.starts_with('-') || self.source.ask(&format!("EXISTS {key}")).await != ":1\\r\\n" {
            return Err(format!("{command}: {reply}, and there is no key"));
        }
        let slot = cluster::SlotCount::DEFAULT.of(key.as_bytes()).0;
        let index = self.source.ask(&format!("SLOTSSCAN {slot} 0 MATCH *{key}")).await;
        let there = index.contains(&format!("\\r\\n{member}\\r\\n"));
        if there == (member != "-") && (there || !index.contains(key)) {
            return Ok(());
        }
        Err(format!("{command}: wanted {member}, the index has {index}"))
    }
}

async fn replay(table: &str) {
    let mut world = World::new().await;
    let mut wrong = Vec::new();
    for (number, line) in table.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(why) = world.play(line).await {
            wrong.push(format!("line {}: {why}", number + 1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn synchronous_moves_answer_as_real_pika() {
    replay(include_str!("pika/sync.replies")).await;
}

#[tokio::test]
async fn the_migration_thread_answers_as_real_pika() {
    replay(include_str!("pika/async.replies")).await;
}

#[tokio::test]
async fn the_faults_are_those_of_real_pika() {
    replay(include_str!("pika/faults.replies")).await;
}

#[tokio::test]
async fn cache_index_and_server_commands_answer_as_real_pika() {
    replay(include_str!("pika/upkeep.replies")).await;
}

#[tokio::test]
async fn commands_file_their_keys_as_in_real_pika() {
    replay(include_str!("pika/filed.replies")).await;
}

#[tokio::test]
async fn cancel_and_a_wrapper_wedge_it_as_they_wedge_real_pika() {
    replay(include_str!("pika/wedged.replies")).await;
}
