//! Settings that CONFIG SET may change while the proxy runs.

use crate::config::Config;
use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The settings; read by all workers, written rarely.
#[derive(Debug)]
pub(crate) struct Live {
    password: ArcSwapOption<String>,
    clients_max: AtomicUsize,
    client_idle_max_s: AtomicU64,
    /// Microseconds; `u64::MAX`: nothing is slow.
    slow_us: AtomicU64,
    slow_len_max: AtomicUsize,
}

impl Live {
    pub(crate) fn new(config: &Config) -> Self {
        let slow_us = config.slow_log.slower_than.map_or(u64::MAX, |d| d.as_micros() as u64);
        Self {
            password: ArcSwapOption::from(
                config.client_password.clone().filter(|p| !p.is_empty()).map(Arc::new),
            ),
            clients_max: AtomicUsize::new(config.limits.clients_max),
            client_idle_max_s: AtomicU64::new(config.client_idle_max.as_secs()),
            slow_us: AtomicU64::new(slow_us),
            slow_len_max: AtomicUsize::new(config.slow_log.len_max),
        }
    }

    /// What clients must say in AUTH.
    pub(crate) fn password(&self) -> Option<Arc<String>> {
        self.password.load_full()
    }

    /// Whether clients must AUTH at all.
    pub(crate) fn asks_password(&self) -> bool {
        self.password.load().is_some()
    }

    pub(crate) fn set_password(&self, password: &str) {
        self.password.store((!password.is_empty()).then(|| Arc::new(password.to_owned())));
    }

    pub(crate) fn clients_max(&self) -> usize {
        self.clients_max.load(Relaxed)
    }

    pub(crate) fn set_clients_max(&self, max: usize) {
        self.clients_max.store(max, Relaxed);
    }

    pub(crate) fn client_idle_max(&self) -> Duration {
        Duration::from_secs(self.client_idle_max_s.load(Relaxed))
    }

    pub(crate) fn set_client_idle_max_s(&self, seconds: u64) {
        self.client_idle_max_s.store(seconds, Relaxed);
    }

    /// In microseconds; `u64::MAX`: nothing is slow.
    pub(crate) fn slow_us(&self) -> u64 {
        self.slow_us.load(Relaxed)
    }

    pub(crate) fn set_slow_us(&self, us: u64) {
        self.slow_us.store(us, Relaxed);
    }

    pub(crate) fn slow_len_max(&self) -> usize {
        self.slow_len_max.load(Relaxed)
    }

    pub(crate) fn set_slow_len_max(&self, len: usize) {
        self.slow_len_max.store(len, Relaxed);
    }
}
