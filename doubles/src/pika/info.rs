//! INFO: the sections by which a Pika is known and its state is read (`pika-live.md` §8.7).

use super::Pika;
use super::data::now_ms;
use super::index;
use super::settings::Fault;

impl Pika {
    /// The text of a section, or of those Pika gives without a name.
    pub(super) fn info(&self, section: &str, argument: &str) -> String {
        let parts: Vec<String> = match section {
            "" | "all" | "default" => {
                let names =
                    ["server", "data", "clients", "stats", "cpu", "replication", "keyspace"];
                names.iter().filter_map(|name| self.section(name, argument)).collect()
            }
            one => self.section(one, argument).into_iter().collect(),
        };
        parts.join("\r\n")
    }

    fn section(&self, name: &str, argument: &str) -> Option<String> {
        let mut lines = match name {
            "server" => self.server(),
            "data" => {
                let keys = self.data().store.keys().count();
                vec![
                    "# Data".to_owned(),
                    format!("db_size:{}", keys * 64),
                    "compression:snappy".to_owned(),
                    "used_memory:201369600".to_owned(),
                ]
            }
            "clients" => vec!["# Clients".to_owned(), "connected_clients:1".to_owned()],
            "stats" => self.stats(),
            "cpu" => vec![
                "# CPU".to_owned(),
                "used_cpu_sys:0.28".to_owned(),
                "used_cpu_user:0.41".to_owned(),
            ],
            "replication" => replication(),
            "cache" => vec!["# Cache".to_owned(), format!("cache_status:{}", self.cache_status())],
            "keyspace" if argument == "1" => self.keyspace(),
            "keyspace" => vec!["# Keyspace".to_owned(), HINT.to_owned()],
            _ => return None,
        };
        lines.push(String::new());
        Some(lines.join("\r\n"))
    }

    fn server(&self) -> Vec<String> {
        let lines = [
            "# Server",
            // The tag v4.0.1 did not raise its number.
            "pika_version:4.0.0",
            "pika_git_sha:0",
            "pika_build_compile_date: 2026-11-22",
            "arch_bits:64",
        ];
        let mut lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        lines.push(format!("process_id:{}", std::process::id()));
        lines.push(format!("tcp_port:{}", self.port()));
        lines.push("thread_num:1".to_owned());
        lines.push("config_file:pika.conf".to_owned());
        lines.push("server_id:1".to_owned());
        lines.push(format!("run_id:{:040x}", u64::from(self.port())));
        lines
    }

    /// As it is shown, which a cleared cache is for some seconds longer than it is.
    fn cache_status(&self) -> &'static str {
        let data = self.data();
        let shown_ms = data.settings.cleared_shown.as_millis() as i64;
        match data.cleared_ms {
            _ if !data.has(Fault::CacheGhosts) => "Disable",
            Some(cleared) if now_ms() - cleared < shown_ms => "Clear",
            _ => "Ok",
        }
    }

    fn stats(&self) -> Vec<String> {
        let migrating = self.is_migrating();
        let data = self.data();
        let word = |runs: bool| if runs { "Yes" } else { "No" };
        let since = if migrating { now_ms() / 1000 } else { 0 };
        vec![
            "# Stats".to_owned(),
            // 4.0.1 counts from an uninitialised number.
            "total_connections_received:139682657874100".to_owned(),
            format!("total_commands_processed:{}", data.commands),
            format!("is_slots_reloading:{}, {}, 0", word(data.reload.runs), data.reload.started),
            format!("is_slots_cleaningup:{}, , 0", word(data.cleanup.runs)),
            format!("is_slots_migrating:{}, , {since}", word(migrating)),
        ]
    }

    fn keyspace(&self) -> Vec<String> {
        let data = &mut *self.data();
        data.tick();
        let mut counts = [0; 6];
        data.store.keys().for_each(|(_, entry)| counts[entry.value.kind() as usize] += 1);
        let names = ["Strings", "Hashes", "Sets", "Lists", "Zsets", "Streams"];
        let mut lines = vec![
            "# Keyspace".to_owned(),
            format!("# Time:{}", super::slots::stamp(now_ms() / 1000)),
        ];
        for (name, count) in names.iter().zip(counts) {
            lines.push(format!("db0 {name}_keys={count}, expires=0, invalid_keys=0"));
        }
        lines
    }

    /// DBSIZE: the value, or none for the error; and whether a second reply follows.
    pub(super) fn size_of_slots(&self) -> Option<usize> {
        let data = &mut *self.data();
        let slots = data.slots();
        slots.slots().map(|slot| index::count(&mut data.store, slot.0)).sum()
    }
}

const HINT: &str = "# Use \"info keyspace 1\" to do async statistics";

fn replication() -> Vec<String> {
    [
        "# Replication(MASTER)",
        "role:master",
        "ReplicationID:",
        "connected_slaves:0",
        "is_eligible_for_master_election:true",
        "db0:binlog_offset=0 0,safety_purge=none",
        "slave_repl_offset:0",
    ]
    .iter()
    .map(ToString::to_string)
    .collect()
}
