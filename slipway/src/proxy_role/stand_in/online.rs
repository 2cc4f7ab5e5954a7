//! How a proxy that has just started gets its slots: it asks a dashboard, whose address is given or stands in a coordinator, or it reads a file.
//!
//! codis-proxy gives up after ten tries and exits; we try on for ever, with growing pauses. Only another product behind the address ends us.

use anyhow::{Context, Result, bail};
use codis::flags::Online;
use codis::model::{RemoteError, read_slots};
use codis::records::{TopomModel, api_path};
use proxy::dashboard::{Phase, Router, admin};
use service::http::{Client, Method};
use std::sync::Arc;
use std::time::Duration;

/// What there is to do.
#[derive(Debug)]
pub(super) struct Going {
    pub(super) router: Arc<Router>,
    pub(super) online: Online,
    pub(super) product: String,
    /// Where the dashboard shall find us.
    pub(super) own: String,
    pub(super) slots: i64,
}

/// Between the first tries, as codis-proxy has it; then longer.
const PAUSE: Duration = Duration::from_secs(3);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How many tries have the short pause.
const SHORT_TRIES: u32 = 10;

/// The dashboard fills all slots before it answers, and holds its lock; its own limit for us is a minute.
const ANSWER_TIME: Duration = Duration::from_secs(60);

impl Going {
    /// Returns once the proxy is online, or nothing is to be done. The error is one that trying again does not mend.
    pub(super) async fn go(self) -> Result<()> {
        match &self.online {
            Online::Waits => Ok(()),
            Online::File(path) => self.fill(path).await,
            Online::Dashboard(address) => self.ask(address).await,
            Online::Coordinator { .. } => bail!("coordinators are not read yet"),
        }
    }

    async fn fill(&self, path: &str) -> Result<()> {
        let text = tokio::fs::read(path).await.with_context(|| format!("cannot read {path}"))?;
        let slots = read_slots(&text, self.slots).with_context(|| path.to_owned())?;
        admin::fill(&self.router, slots).await.map_err(anyhow::Error::msg)?;
        self.router.start().map_err(anyhow::Error::msg)
    }

    async fn ask(&self, address: &str) -> Result<()> {
        let mut tries = 0_u32;
        while self.router.phase() == Phase::Waiting {
            tries += 1;
            match self.try_dashboard(address).await? {
                Ok(()) => {
                    tracing::warn!(dashboard = address, "rpc online proxy seems OK");
                    return Ok(());
                }
                Err(cause) => {
                    tracing::warn!(dashboard = address, tries, cause, "rpc online proxy failed")
                }
            }
            let longer = PAUSE * tries.saturating_sub(SHORT_TRIES - 1).max(1);
            tokio::time::sleep(longer.min(PAUSE_MAX)).await;
        }
        Ok(())
    }

    /// One try. The inner error may pass; the outer one does not.
    async fn try_dashboard(&self, address: &str) -> Result<Result<(), String>> {
        let client = Client::new(address, ANSWER_TIME);
        let model = match call(&client, Method::GET, "/topom/model").await {
            Ok(body) => body,
            Err(cause) => return Ok(Err(cause)),
        };
        let model: TopomModel = match serde_json::from_slice(&model) {
            Ok(model) => model,
            Err(error) => {
                return Ok(Err(format!("its answer is no model of a dashboard: {error}")));
            }
        };
        if model.product_name != self.product {
            bail!(
                "the dashboard at {address} is of product {}, this proxy is of {}: change --dashboard or product_name",
                model.product_name,
                self.product
            );
        }
        let path = api_path(&self.product, "proxy/online", &self.own);
        Ok(call(&client, Method::PUT, &path).await.map(|_| ()))
    }
}

/// One call of the dashboard's API.
async fn call(client: &Client, method: Method, path: &str) -> Result<Vec<u8>, String> {
    let (status, body) =
        client.send(method, path, Default::default()).await.map_err(|error| error.to_string())?;
    match RemoteError::read(status.as_u16(), &body) {
        Some(cause) => Err(cause),
        None if status.is_success() => Ok(body.to_vec()),
        None => Err(format!("status {status}")),
    }
}
