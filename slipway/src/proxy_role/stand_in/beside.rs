//! What runs beside a proxy of a Codis cluster: its registration for clients, its reports, its ear for sentinels. Each by itself; none of them
//! holds up the proxy, or ends it.

use crate::daemon::Daemon;
use anyhow::Result;
use proxy::dashboard::admin::Parts;
use proxy::dashboard::jodis::Jodis;
use proxy::dashboard::report::Reports;
use std::sync::Arc;

/// Starts what the configuration asks for. The error names a setting that cannot be used.
pub(super) fn start(daemon: &Daemon, parts: &Parts) -> Result<()> {
    let (tasks, stop) = (daemon.shutdown.tasks(), daemon.shutdown.draining());
    if let Some(jodis) = Jodis::new(&parts.config, &parts.model)? {
        tasks.spawn(jodis.run(parts.router.phases(), stop.clone()));
    }
    let source = parts.clone();
    let reports = Reports::new(&parts.config, Arc::new(move || source.report()));
    tasks.spawn(reports.map_err(anyhow::Error::msg)?.run(stop.clone()));
    let (parts, stop) = (parts.clone(), stop.clone());
    tasks.spawn(async move {
        parts.sentinels.run(&parts.config.product_name, parts.router, stop).await;
    });
    Ok(())
}
