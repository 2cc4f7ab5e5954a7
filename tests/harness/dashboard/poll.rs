//! Asks all proxies how they are, every second with a second's limit, and brings those online that say they are not.

use super::{Dashboard, call};
use codis::identity::proxy_xauth;
use codis::model::Stats;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(1);
const STATS_MAX: Duration = Duration::from_secs(1);

/// What one look found: as the console would paint it.
#[derive(Clone, Debug, Default)]
pub struct Red {
    /// By token: the last statistics, or why there are none.
    pub last: BTreeMap<String, Result<Stats, String>>,
    /// All failures so far, with the address.
    pub failures: Vec<String>,
    pub rounds: usize,
    /// How often a proxy had to be brought online.
    pub onlines: usize,
}

/// The polling; it ends with this.
#[derive(Debug)]
pub struct Poller {
    found: Arc<Mutex<Red>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Begins.
    pub fn start(dashboard: &Arc<Dashboard>) -> Self {
        let (found, stop) =
            (Arc::new(Mutex::new(Red::default())), Arc::new(AtomicBool::new(false)));
        let parts = (Arc::clone(dashboard), Arc::clone(&found), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let (dashboard, found, stop) = parts;
            while !stop.load(Ordering::Relaxed) {
                dashboard.look(&found);
                std::thread::sleep(PAUSE);
            }
        });
        Self { found, stop, thread: Some(thread) }
    }

    /// What it has found so far.
    pub fn found(&self) -> Red {
        self.found.lock().unwrap().clone()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Dashboard {
    /// Asks one proxy.
    pub fn stats(&self, model: &codis::model::Model) -> Result<Stats, String> {
        let xauth = proxy_xauth(&self.settings.product, &self.settings.auth, &model.token);
        let path = format!("/api/proxy/stats/{xauth}");
        let stats = call(&model.admin_addr, "GET", &path, b"", STATS_MAX)?;
        serde_json::from_value(stats).map_err(|e| e.to_string())
    }

    fn look(&self, found: &Mutex<Red>) {
        let models: Vec<_> = self.store.records().proxies.values().cloned().collect();
        let mut onlines = 0;
        for model in &models {
            let stats = self.stats(model);
            if stats.as_ref().is_ok_and(|stats| !stats.closed && !stats.online) {
                onlines += usize::from(self.online_proxy(&model.admin_addr).is_ok());
            }
            let mut found = found.lock().unwrap();
            if let Err(why) = &stats {
                found.failures.push(format!("{}: {why}", model.admin_addr));
            }
            found.last.insert(model.token.clone(), stats);
        }
        let mut found = found.lock().unwrap();
        found.rounds += 1;
        found.onlines += onlines;
    }
}
