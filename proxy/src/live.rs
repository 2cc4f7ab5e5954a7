//! Settings that CONFIG SET and PCONFIG SET may change while the proxy runs.

use crate::config::Config;
use arc_swap::ArcSwapOption;
use codis::Flavour;
use parking_lot::Mutex;
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
    /// Where a codis-dashboard drives us. What stands in it of the settings above is what was said at the start: see [`Live::codis`].
    codis: ArcSwapOption<codis::config::Config>,
    /// Held by whoever changes `codis`.
    changing: Mutex<()>,
}

impl Live {
    pub(crate) fn new(config: &Config) -> Self {
        let slow_us = config.slow_log.slower_than.map_or(u64::MAX, |d| d.as_micros() as u64);
        let live = Self {
            password: ArcSwapOption::from(
                config.client_password.clone().filter(|p| !p.is_empty()).map(Arc::new),
            ),
            clients_max: AtomicUsize::new(config.limits.clients_max),
            client_idle_max_s: AtomicU64::new(config.client_idle_max.as_secs()),
            slow_us: AtomicU64::new(slow_us),
            slow_len_max: AtomicUsize::new(config.slow_log.len_max),
            codis: ArcSwapOption::from(config.codis.clone()),
            changing: Mutex::new(()),
        };
        if let Some(codis) = &config.codis {
            live.take_codis(codis);
        }
        live
    }

    /// What codis-proxy's file says of the settings here goes before what ours says.
    fn take_codis(&self, codis: &codis::config::Config) {
        self.set_password(&codis.session_auth);
        let idle = codis.session_recv_timeout.limit().unwrap_or_default();
        // Part of a second counts as one: zero would mean for ever.
        self.set_client_idle_max_s(idle.as_secs() + u64::from(idle.subsec_nanos() > 0));
        self.apply_codis(codis);
    }

    /// What PCONFIG SET may change of the settings here.
    fn apply_codis(&self, codis: &codis::config::Config) {
        self.set_clients_max(usize::try_from(codis.proxy_max_clients).unwrap_or(0));
        // Upstream has no slow log: ours has our own threshold then.
        if codis.flavour == Flavour::Fork {
            self.set_slow_us(u64::try_from(codis.slowlog_log_slower_than).unwrap_or(u64::MAX));
        }
    }

    /// What codis-proxy's file says, with all that was changed since.
    pub(crate) fn codis(&self) -> Option<codis::config::Config> {
        let mut codis = codis::config::Config::clone(self.codis.load().as_ref()?);
        codis.proxy_max_clients = i64::try_from(self.clients_max()).unwrap_or(i64::MAX);
        codis.slowlog_log_slower_than = i64::try_from(self.slow_us()).unwrap_or(i64::MAX);
        Some(codis)
    }

    /// Changes what [`Live::codis`] says; an error changes nothing.
    pub(crate) fn change_codis<E>(
        &self,
        change: impl FnOnce(&mut codis::config::Config) -> Result<(), E>,
    ) -> Result<(), E> {
        let _changing = self.changing.lock();
        let Some(before) = self.codis() else { return Ok(()) };
        let mut after = before.clone();
        change(&mut after)?;
        if after.slowlog_log_slower_than != before.slowlog_log_slower_than {
            after.flavour = Flavour::Fork;
        }
        self.apply_codis(&after);
        self.codis.store(Some(Arc::new(after)));
        Ok(())
    }

    /// Of the longest delay that the statistics tell.
    pub(crate) fn max_delay_period(&self) -> Duration {
        let period = self.codis.load().as_ref().map(|c| c.max_delay_refresh_time_interval);
        period.map_or(Duration::ZERO, |period| period.duration())
    }

    /// Whether a client is disconnected after an error of our own.
    pub(crate) fn breaks_on_failure(&self) -> bool {
        self.codis.load().as_ref().is_some_and(|codis| codis.session_break_on_failure)
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
