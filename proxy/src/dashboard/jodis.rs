//! The node by which clients find the proxy: there while it is online, and the first thing to go when it ends.
//!
//! It is put in the coordinator that `jodis_addr` names, and put there again whenever it is lost, for as long as the proxy lives.

use super::Phase;
use super::coordinator::{Coordinator, CoordinatorError, Ephemeral, Registration};
use codis::config::Config;
use codis::json::pretty;
use codis::model::Model;
use codis::records::{JodisNode, jodis_path};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between tries, but for the first: 1, 2, 4 … 30 seconds.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// For removing the node at the end; after it the coordinator does so by itself.
pub const REMOVE_TIME: Duration = Duration::from_secs(5);

/// Keeps the node of one proxy.
#[derive(Debug)]
pub struct Jodis {
    coordinator: Coordinator,
    node: Ephemeral,
    state: watch::Sender<State>,
}

/// How it stands with the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The proxy is not online yet.
    Waiting,
    Registered {
        since: SystemTime,
    },
    /// Tried again after a pause.
    Failing {
        since: SystemTime,
        tries: u64,
        error: CoordinatorError,
    },
    /// Removed, or left to go by itself.
    Left,
}

/// Where the node of a proxy is, as its model tells it; empty where clients are not told.
pub fn path(config: &Config, token: &str) -> String {
    if config.jodis().is_none() {
        return String::new();
    }
    jodis_path(&config.product_name, token, config.jodis_compatible.into())
}

impl Jodis {
    /// The keeper for a proxy of this model; nothing where no `jodis_addr` is set.
    pub fn new(config: &Config, model: &Model) -> Result<Option<Self>, CoordinatorError> {
        let Some(kind) = config.jodis() else { return Ok(None) };
        let timeout = config.jodis_timeout.limit().unwrap_or_default();
        let coordinator = Coordinator::new(kind, &config.jodis_addr, &config.jodis_auth, timeout)?;
        let node = Ephemeral {
            path: path(config, &model.token),
            content: pretty(&JodisNode::online(model)).into_bytes(),
            token: model.token.clone(),
        };
        Ok(Some(Self { coordinator, node, state: watch::Sender::new(State::Waiting) }))
    }

    /// For statistics.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Keeps the node from the moment the proxy is online until it is closed or `leaving`. When this returns, the node is gone, or the
    /// coordinator did not answer in time.
    pub async fn run(self, mut phases: watch::Receiver<Phase>, leaving: CancellationToken) {
        let over = over(phases.clone(), leaving.clone());
        let begun = leaving
            .run_until_cancelled(async {
                let phase = phases.wait_for(|phase| *phase != Phase::Waiting).await;
                phase.is_ok_and(|phase| *phase == Phase::Online)
            })
            .await;
        if begun == Some(true) {
            self.keep(over).await;
        }
        self.state.send_replace(State::Left);
    }

    async fn keep(&self, over: impl Future<Output = ()>) {
        tokio::pin!(over);
        let (mut pause, mut tries) = (PAUSE_MIN, 0);
        loop {
            let begin = Instant::now();
            let registering = self.coordinator.register(&self.node);
            tokio::pin!(registering);
            let error = tokio::select! {
                registered = &mut registering => match registered {
                    Ok(mut registration) => {
                        self.registered();
                        tokio::select! {
                            lost = registration.hold() => lost,
                            () = &mut over => return self.remove(registration).await,
                        }
                    }
                    Err(error) => error,
                },
                () = &mut over => {
                    // It may be there by now.
                    if let Ok(Ok(registration)) = timeout(REMOVE_TIME, registering).await {
                        self.remove(registration).await;
                    }
                    return;
                }
            };
            if begin.elapsed() > PAUSE_MAX {
                (pause, tries) = (PAUSE_MIN, 0);
            }
            tries += 1;
            tracing::warn!(path = self.node.path, tries, %error, "jodis watch node failed");
            self.fail(error, tries);
            // A node that was lost is missed by clients: the first try comes at once.
            if tries > 1 {
                tokio::select! {
                    () = sleep(pause) => {}
                    () = &mut over => return,
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }

    fn registered(&self) {
        tracing::warn!(path = self.node.path, "jodis create node");
        self.state.send_replace(State::Registered { since: SystemTime::now() });
    }

    fn fail(&self, error: CoordinatorError, tries: u64) {
        self.state.send_modify(|state| {
            let since = match state {
                State::Failing { since, .. } => *since,
                _ => SystemTime::now(),
            };
            *state = State::Failing { since, tries, error };
        });
    }

    async fn remove(&self, registration: Registration) {
        let path = &self.node.path;
        match timeout(REMOVE_TIME, registration.remove()).await {
            Ok(Ok(())) => tracing::warn!(path, "jodis remove node"),
            Ok(Err(error)) => tracing::warn!(path, %error, "jodis remove node failed"),
            Err(_) => tracing::warn!(path, "jodis remove node failed: no answer in time"),
        }
    }
}

/// Until the proxy is closed, or told to leave.
async fn over(mut phases: watch::Receiver<Phase>, leaving: CancellationToken) {
    tokio::select! {
        // Nobody to tell us any more is an end too.
        _ = phases.wait_for(|phase| *phase == Phase::Closed) => {}
        () = leaving.cancelled() => {}
    }
}
