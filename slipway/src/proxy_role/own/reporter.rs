//! Tells the controller, once a second and whenever there is news, how far this proxy is with slots that leave nodes which are not ours.
//!
//! It tells before the proxy takes any table: from then on the controller waits for its word. A proxy that was started when all nodes were ours
//! knows nothing of such slots: it says so as soon as the table has other nodes, and no slot moves by the proxies while it runs.

use crate::proxy_role::kernel;
use cluster::Table;
use cluster::table::Leaving;
use control::Client;
use control::docs::{ProxyReport, ProxySays, ProxyWord};
use proxy::follow::{Follow, Says};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Between two words; the controller takes a proxy for away after some of them.
const PERIOD: Duration = Duration::from_secs(1);

/// The pause after a word that was not heard.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a proxy that ends tries to say so.
const LEAVE_TIME: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Reporter {
    client: Client,
    name: String,
    boot: String,
    voice: Voice,
}

/// Who speaks.
#[derive(Clone)]
pub(super) enum Voice {
    /// A proxy that follows tables.
    Follows(Arc<Follow>),
    /// One that cannot.
    Ignorant(watch::Receiver<Arc<Table>>),
}

impl Voice {
    fn words(&self) -> Vec<ProxyWord> {
        match self {
            Self::Follows(follow) => follow.words().into_iter().map(word).collect(),
            Self::Ignorant(tables) => tables.borrow().leaving.iter().map(refusal).collect(),
        }
    }

    /// Waits until there may be something new to say.
    async fn news(&self) {
        let _ = match self {
            Self::Follows(follow) => timeout(PERIOD, follow.told.notified()).await,
            Self::Ignorant(tables) => {
                let mut tables = tables.clone();
                tables.mark_unchanged();
                timeout(PERIOD, async move { _ = tables.changed().await }).await
            }
        };
    }
}

impl Reporter {
    /// The reporter of a proxy that listens there.
    pub(super) fn new(client: Client, listen: &str, voice: Voice) -> Self {
        let name = format!("{}/{listen}", kernel("hostname"));
        let boot = match &voice {
            Voice::Follows(follow) => follow.boot.clone(),
            Voice::Ignorant(_) => format!("{:032x}", rand::random::<u128>()),
        };
        Self { client, name, boot, voice }
    }

    /// Whether the proxy cannot follow.
    pub(super) fn is_ignorant(&self) -> bool {
        matches!(self.voice, Voice::Ignorant(_))
    }

    /// Joins, follows the tables, and reports, for ever.
    pub(super) async fn run(self, tables: watch::Receiver<Arc<Table>>) {
        let first = self.tell().await;
        match &self.voice {
            Voice::Follows(follow) => _ = tokio::join!(follow.run(tables, first), self.report()),
            Voice::Ignorant(_) => self.report().await,
        }
    }

    async fn report(&self) {
        loop {
            self.voice.news().await;
            self.tell().await;
        }
    }

    /// Says all there is to say until it is heard; returns the version of the controller's table.
    async fn tell(&self) -> u64 {
        let mut complained = false;
        loop {
            let report = ProxyReport {
                name: self.name.clone(),
                boot: self.boot.clone(),
                is_gone: false,
                words: self.voice.words(),
            };
            match self.client.report_proxy(&report).await {
                Ok(heard) => return heard.table_version,
                Err(error) if !complained => {
                    complained = true;
                    tracing::warn!(%error, "the controller does not hear this proxy; trying again");
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
        }
    }

    /// This proxy serves nobody any more.
    pub(super) async fn take_leave(&self) {
        let (name, boot) = (self.name.clone(), self.boot.clone());
        let report = ProxyReport { name, boot, is_gone: true, words: Vec::new() };
        let told = timeout(LEAVE_TIME, self.client.report_proxy(&report)).await;
        if !matches!(told, Ok(Ok(_))) {
            tracing::warn!(
                proxy = self.name,
                "the controller was not told that this proxy ends: it waits for it until it is started again, or `slipway forget-proxy`"
            );
        }
    }
}

/// Of a proxy that cannot follow.
fn refusal(leaving: &Leaving) -> ProxyWord {
    let why = format!(
        "slot {}: a proxy was started before the cluster had nodes that are not ours, and cannot follow: start it anew",
        leaving.slot
    );
    let (what, why) = (ProxySays::Refused, Some(why));
    ProxyWord { id: leaving.id, what, keys: 0, needs_copier: false, why }
}

fn word(word: proxy::follow::Word) -> ProxyWord {
    let what = match word.says {
        Says::Wait => ProxySays::Wait,
        Says::Ready => ProxySays::Ready,
        Says::Locked => ProxySays::Locked,
        Says::Copied => ProxySays::Copied,
        Says::Withdrawn => ProxySays::Withdrawn,
        Says::Cleared => ProxySays::Cleared,
        Says::Arrived => ProxySays::Arrived,
        Says::Refused => ProxySays::Refused,
    };
    let (keys, needs_copier) = (word.keys, word.needs_copier);
    ProxyWord { id: word.id, what, keys, needs_copier, why: word.why }
}
