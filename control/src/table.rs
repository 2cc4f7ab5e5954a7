//! The newest slot table, for proxies: in the controller's process, or polled over HTTP.

use crate::client::{Client, ClientError};
use cluster::Table;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long one long poll waits.
const POLL_TIME: Duration = Duration::from_secs(20);

/// The pause after a poll that failed: doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The newest slot table.
#[derive(Clone, Debug)]
pub struct TableWatch {
    pub tables: watch::Receiver<Arc<Table>>,
    /// Poked by a reader that has learnt that its table is old.
    pub refresh: Arc<Notify>,
}

/// Polls the controller at `client` until `stop`; returns when the first table is there. The last table stays valid while the controller is
/// away.
pub async fn follow(
    client: Client,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Option<TableWatch> {
    let mut follower = Follower { client, refresh: Arc::new(Notify::new()), pause: PAUSE_MIN };
    let first = stop.run_until_cancelled(follower.next(None)).await?;
    let (sender, tables) = watch::channel(Arc::new(first));
    let watch = TableWatch { tables, refresh: Arc::clone(&follower.refresh) };
    tasks.spawn(async move { stop.run_until_cancelled(follower.run(sender)).await });
    Some(watch)
}

struct Follower {
    client: Client,
    refresh: Arc<Notify>,
    pause: Duration,
}

impl Follower {
    async fn run(mut self, sender: watch::Sender<Arc<Table>>) {
        while !sender.is_closed() {
            let known = sender.borrow().version;
            let table = self.next(Some(known)).await;
            tracing::debug!(version = table.version, "a new slot table");
            sender.send_replace(Arc::new(table));
        }
    }

    /// Asks until there is another table than the known one.
    async fn next(&mut self, known: Option<u64>) -> Table {
        let mut complained = false;
        loop {
            match self.client.table(known, POLL_TIME).await {
                Ok(table) => {
                    self.pause = PAUSE_MIN;
                    if complained {
                        tracing::info!(
                            controller = self.client.address(),
                            "the controller answers again"
                        );
                        complained = false;
                    }
                    if let Some(table) = table {
                        return table;
                    }
                }
                Err(error) => {
                    self.complain(&error, &mut complained);
                    let poked = self.refresh.notified();
                    let _ = tokio::time::timeout(self.pause, poked).await;
                    // A poke shortens the pause, but not to nothing.
                    tokio::time::sleep(PAUSE_MIN).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn complain(&self, error: &ClientError, complained: &mut bool) {
        if !*complained {
            tracing::warn!(controller = self.client.address(), %error, "no slot table; asking again");
            *complained = true;
        }
    }
}
