//! How a replica is asked whether it may be read, and what its answers mean.
//!
//! `INFO replication` tells whose replica it is and whether the link is up. Where data is loaded or too old to be told, Redis says so in the
//! answer to any command that reads, PING among them.

use crate::config::Config;
use crate::dialect::Dialect;
use crate::foreign::link::{Link, LinkError};
use crate::metrics::Unfit;
use protocol::frame::Value;
use std::sync::Arc;
use std::time::Duration;

/// Whether a reply to a read says that the replica must not be read now. Nothing was executed then.
pub(crate) fn is_refusal(reply: &[u8]) -> bool {
    reply.starts_with(b"-MASTERDOWN") || reply.starts_with(b"-LOADING")
}

/// Asks one replica, on a connection of its own.
pub(super) struct Checkup {
    config: Arc<Config>,
    addr: String,
    /// For one answer.
    patience: Duration,
    link: Option<Link>,
}

impl Checkup {
    pub(super) fn new(config: &Arc<Config>, addr: &str, patience: Duration) -> Self {
        Self { config: Arc::clone(config), addr: addr.to_owned(), patience, link: None }
    }

    /// Whether it may be read; if not, why.
    pub(super) async fn ask(&mut self) -> Result<(), Unfit> {
        match self.answers().await {
            Ok(answers) => judge(&answers),
            Err(error) => {
                tracing::debug!(node = self.addr, %error, "a replica could not be asked");
                self.link = None;
                Err(Unfit::Unreachable)
            }
        }
    }

    async fn answers(&mut self) -> Result<Answers, LinkError> {
        let link = match &mut self.link {
            Some(link) => link,
            None => {
                let link = Link::open(&self.config, &self.addr, self.patience).await?;
                self.link.insert(link)
            }
        };
        let questions: [&[&[u8]]; 2] = [&[b"PING"], &[b"INFO", b"replication"]];
        link.send(questions).await?;
        let dialect = link.dialect();
        Ok(Answers { dialect, ping: link.answer().await?, info: link.answer().await? })
    }
}

/// What a node said.
struct Answers {
    dialect: Dialect,
    ping: Value,
    info: Value,
}

fn judge(answers: &Answers) -> Result<(), Unfit> {
    // Nodes of ours own their slots: there is nobody whose replica one could be.
    if answers.dialect == Dialect::Slipway {
        return Err(Unfit::NoReplica);
    }
    match answers.ping.as_error() {
        Some(line) if line.starts_with("LOADING") => return Err(Unfit::Loading),
        Some(line) if line.starts_with("MASTERDOWN") => return Err(Unfit::LinkDown),
        _ => {}
    }
    let info = answers.info.as_str().ok_or(Unfit::Unreachable)?;
    let field = |name: &str| {
        info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
    };
    // Older Pikas may be both: `master&&slave`.
    if !field("role").is_some_and(|role| role.contains("slave") || role.contains("replica")) {
        return Err(Unfit::NoReplica);
    }
    match (field("master_link_status"), field("loading")) {
        (_, Some("1")) => Err(Unfit::Loading),
        (Some("up"), _) => Ok(()),
        _ => Err(Unfit::LinkDown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ping: Value, info: &str) -> Result<(), &'static str> {
        let info = Value::Bulk(info.to_owned().into());
        let verdict = judge(&Answers { dialect: Dialect::Plain, ping, info });
        verdict.map_err(|why| crate::metrics::UNFIT[why as usize])
    }

    #[test]
    fn only_a_linked_replica_is_fit() {
        let redis = "# Replication\r\nrole:slave\r\nmaster_host:h\r\nmaster_link_status:up\r\n";
        let pika = "# Replication(SLAVE)\r\nrole:slave\r\nmaster_link_status:up\r\n";
        let both = "role:master&&slave\r\nmaster_link_status:up\r\n";
        let down = redis.replace("status:up", "status:down");
        let loading = format!("{redis}loading:1\r\n");
        for (info, want) in [
            (redis, Ok(())),
            (pika, Ok(())),
            (both, Ok(())),
            (&down, Err("link_down")),
            (&loading, Err("loading")),
            ("role:slave\r\n", Err("link_down")),
            ("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n", Err("no_replica")),
            ("", Err("no_replica")),
        ] {
            assert_eq!(judged(Value::Simple("PONG".to_owned()), info), want, "{info}");
        }
        let error = |line: &str| Value::Error(line.to_owned());
        assert_eq!(judged(error("LOADING Redis is loading"), redis), Err("loading"));
        assert_eq!(judged(error("MASTERDOWN Link with MASTER is down"), redis), Err("link_down"));
    }

    #[test]
    fn a_node_of_ours_is_nobodys_replica() {
        let info = Value::Bulk("role:slave\r\nmaster_link_status:up\r\n".to_owned().into());
        let ping = Value::Simple("PONG".to_owned());
        assert!(judge(&Answers { dialect: Dialect::Slipway, ping, info }).is_err());
    }

    #[test]
    fn two_errors_are_refusals_and_no_value_is() {
        assert!(is_refusal(b"-MASTERDOWN Link with MASTER is down\r\n"));
        assert!(is_refusal(b"-LOADING Redis is loading the dataset in memory\r\n"));
        assert!(!is_refusal(b"-WRONGTYPE\r\n") && !is_refusal(b"$8\r\n-LOADING\r\n"));
    }
}
