//! Asks a product's dashboard, and then everybody it names, at once.

use super::CodisArgs;
use super::server::{self, Server};
use bytes::Bytes;
use codis::model::{Slot, Stats};
use codis::records::Topom;
use serde::Deserialize;
use service::http::{Client, Method, StatusCode};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long any answer may take: a dashboard that is stuck in a fill is worth waiting for.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// A product as it was found.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) dashboard: String,
    pub(crate) topom: Topom,
    /// By token: what each registered proxy says of itself, or why it says nothing.
    pub(crate) proxies: BTreeMap<String, Result<Overview, String>>,
    /// By address.
    pub(crate) servers: BTreeMap<String, Result<Server, String>>,
}

/// `GET /proxy`, as far as it matters here. Fields that we do not know are passed over.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Overview {
    pub(crate) version: String,
    pub(crate) compile: String,
    pub(crate) config: Config,
    pub(crate) stats: Stats,
    pub(crate) slots: Vec<Slot>,
}

/// The settings of a proxy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// The fork's; zero for upstream, which has 1024.
    pub(crate) max_slot_num: i64,
}

impl Overview {
    /// Whether it is a proxy of ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.version.starts_with("slipway")
    }
}

impl Product {
    pub(crate) fn name(&self) -> &str {
        &self.topom.model.product_name
    }

    /// What it consists of, in words.
    pub(crate) fn counts(&self) -> String {
        let groups = self.topom.stats.group.models.len();
        let servers = self.servers.len();
        format!(
            "{} slots, {groups} groups, {servers} servers, {} proxies",
            self.topom.slots(),
            self.proxies.len()
        )
    }
}

/// Looks at everything; the reason if the dashboard cannot be asked.
pub(crate) async fn product(args: &CodisArgs) -> Result<Product, String> {
    let body = get(&args.dashboard, "/topom").await?;
    let topom = Topom::read(&body).map_err(|error| format!("{}: {error}", args.dashboard))?;
    let models = topom.stats.proxy.models.iter();
    let asked = models.map(|model| {
        let (token, addr) = (model.token.clone(), model.admin_addr.clone());
        tokio::spawn(async move { (token, overview(&addr).await) })
    });
    let asked: Vec<_> = asked.collect();
    let groups = topom.stats.group.models.iter();
    let addrs = groups.flat_map(|group| &group.servers).map(|server| server.server.clone());
    let served: Vec<_> = addrs
        .map(|addr| {
            let auth = args.auth.clone();
            tokio::spawn(async move { (addr.clone(), server::look(&addr, auth.as_deref()).await) })
        })
        .collect();
    Ok(Product {
        dashboard: args.dashboard.clone(),
        topom,
        proxies: all(asked).await?,
        servers: all(served).await?,
    })
}

async fn all<T>(
    tasks: Vec<tokio::task::JoinHandle<(String, T)>>,
) -> Result<BTreeMap<String, T>, String> {
    let mut found = BTreeMap::new();
    for task in tasks {
        let (name, value) = task.await.map_err(|error| error.to_string())?;
        found.insert(name, value);
    }
    Ok(found)
}

async fn overview(addr: &str) -> Result<Overview, String> {
    let body = get(addr, "/proxy").await?;
    serde_json::from_slice(&body).map_err(|error| format!("its answer is not a proxy's: {error}"))
}

async fn get(addr: &str, path: &str) -> Result<Bytes, String> {
    let client = Client::new(addr, ANSWER_TIME);
    let sent = client.send(Method::GET, path, Bytes::new()).await;
    match sent.map_err(|error| reason(&error))? {
        (StatusCode::OK, body) => Ok(body),
        (status, body) => Err(codis::model::RemoteError::read(status.as_u16(), &body)
            .unwrap_or_else(|| format!("{addr} answers {path} with status {status}"))),
    }
}

/// Without the advice that is for our own daemons.
pub(crate) fn reason(error: &service::http::ClientError) -> String {
    use service::http::ClientError as E;
    match error {
        E::Unreachable { address, reason } => format!("nobody answers at {address}: {reason}"),
        E::Unanswered { address, reason } => format!("no whole answer from {address}: {reason}"),
        E::Refused { message, .. } => message.clone(),
        E::Foreign { address, reason } => format!("{address} cannot be understood: {reason}"),
    }
}
