//! How a proxy is, in Codis' own form, from what the workers count. Reading changes nothing and waits for nothing.

use super::{Phase, Router};
use crate::shared::Shared;
use codis::model::{CmdInfo, Stats};
use std::sync::Arc;

/// What to tell beside what is always told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// `ops.cmd`; Pika's fork has it always.
    pub commands: bool,
    /// What Go's runtime would say.
    pub runtime: bool,
}

/// Reads what the workers of one proxy count.
#[derive(Clone, Debug)]
pub struct Statistics {
    #[expect(dead_code, reason = "the counts are read from here")]
    shared: Arc<Shared>,
    router: Arc<Router>,
}

impl Statistics {
    pub(crate) fn new(shared: Arc<Shared>, router: Arc<Router>) -> Self {
        Self { shared, router }
    }

    /// `GET /proxy/stats` and its relatives.
    pub fn stats(&self, _detail: Detail) -> Stats {
        let phase = self.router.phase();
        Stats { online: phase == Phase::Online, closed: phase == Phase::Closed, ..Stats::default() }
    }

    /// `GET /proxy/cmdinfo/…`: over the last 1, 10, 60, 600 or 3600 seconds; other numbers are taken for 1.
    pub fn cmd_info(&self, _seconds: u64) -> CmdInfo {
        CmdInfo::default()
    }

    /// Counts anew from now on.
    pub fn reset(&self) {}
}
