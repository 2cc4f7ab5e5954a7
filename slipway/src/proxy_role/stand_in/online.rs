//! How a proxy that has just started gets its slots: it asks a dashboard, whose address is given or stands in a coordinator, or it reads a file.
//!
//! codis-proxy gives up after ten tries and exits; we try on for ever, with growing pauses. Only another product behind the address ends us.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use codis::flags::Online;
use codis::model::{RemoteError, read_slots};
use codis::records::{TopomModel, api_path, topom_path};
use proxy::dashboard::coordinator::Coordinator;
use proxy::dashboard::{Phase, Router, admin};
use service::http::{Client, ClientError, Method};
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

/// Who is asked.
#[derive(Debug)]
enum Whom {
    Dashboard(String),
    /// The one that is registered there.
    Registered(Coordinator),
}

/// Of a session with a coordinator that only reads.
const SESSION_TIME: Duration = Duration::from_secs(60);

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
            Online::Dashboard(address) => self.ask(&Whom::Dashboard(address.clone())).await,
            Online::Coordinator { kind, addr, auth } => {
                let auth = auth.as_deref().unwrap_or_default();
                let coordinator = Coordinator::new(*kind, addr, auth, SESSION_TIME)?;
                self.ask(&Whom::Registered(coordinator)).await
            }
        }
    }

    async fn fill(&self, path: &str) -> Result<()> {
        let text = tokio::fs::read(path).await.with_context(|| format!("cannot read {path}"))?;
        let slots = read_slots(&text, self.slots).with_context(|| path.to_owned())?;
        admin::fill(&self.router, slots).await.map_err(anyhow::Error::msg)?;
        self.router.start().map_err(anyhow::Error::msg)
    }

    async fn ask(&self, whom: &Whom) -> Result<()> {
        let mut tries = 0_u32;
        while self.router.phase() == Phase::Waiting {
            tries += 1;
            let tried = match self.address(whom).await {
                Ok(address) => self.try_dashboard(&address).await?,
                Err(cause) => Err(cause),
            };
            match tried {
                Ok(()) => {
                    tracing::warn!("rpc online proxy seems OK");
                    return Ok(());
                }
                Err(cause) => tracing::warn!(tries, cause, "rpc online proxy failed"),
            }
            tokio::time::sleep(pause_after(tries)).await;
        }
        Ok(())
    }

    /// Where the dashboard is; a registered one may have moved since the last try.
    async fn address(&self, whom: &Whom) -> Result<String, String> {
        let coordinator = match whom {
            Whom::Dashboard(address) => return Ok(address.clone()),
            Whom::Registered(coordinator) => coordinator,
        };
        let path = topom_path(&self.product);
        let record = coordinator.read(&path).await.map_err(|error| error.to_string())?;
        let record =
            record.ok_or_else(|| format!("no dashboard is registered: there is no {path}"))?;
        let model: TopomModel = serde_json::from_slice(&record)
            .map_err(|error| format!("{path} is no record of a dashboard: {error}"))?;
        Ok(model.admin_addr)
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

fn pause_after(tries: u32) -> Duration {
    (PAUSE * tries.saturating_sub(SHORT_TRIES - 1).max(1)).min(PAUSE_MAX)
}

/// One call of the dashboard's API.
async fn call(client: &Client, method: Method, path: &str) -> Result<Vec<u8>, String> {
    let told = |error| match error {
        ClientError::Unreachable { address, reason } => {
            format!("nobody answers at {address} ({reason})")
        }
        other => other.to_string(),
    };
    let (status, body) = client.send(method, path, Bytes::new()).await.map_err(told)?;
    match RemoteError::read(status.as_u16(), &body) {
        Some(cause) => Err(cause),
        None if status.is_success() => Ok(body.to_vec()),
        None => Err(format!("status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::SlotCount;
    use codis::config::Config;
    use codis::json::pretty;
    use parking_lot::Mutex;
    use service::http::{Limits, Response, Routes, Server, StatusCode};
    use std::net::SocketAddr;
    use tokio_util::sync::{CancellationToken, DropGuard};

    const OWN: &str = "10.0.0.5:11080";

    /// A dashboard of `codis-demo` that answers the call to come online with what it is given.
    fn dashboard(answers: Vec<Response>) -> (String, Arc<Mutex<Vec<Response>>>, DropGuard) {
        let answers = Arc::new(Mutex::new(answers));
        let left = Arc::clone(&answers);
        let model = r#"{"product_name":"codis-demo","admin_addr":"d:18080"}"#;
        let path = "/api/topom/proxy/online/95b62887719520f17e312eaa76d28f2b/10.0.0.5:11080";
        let routes = Routes::new()
            .get("/topom/model", move |_| async move { Response::text(model) })
            .on(Method::PUT, path, move |_| {
                let answer = left.lock().pop().expect("asked too often");
                async move { answer }
            });
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = service::listener::bind(any, 1, "dashboard").unwrap().remove(0);
        let address = listener.local_addr().unwrap().to_string();
        let registry = prometheus::Registry::new();
        let server = Server::new(routes, &registry, Box::new(|| Ok(())), Limits::default());
        let stop = CancellationToken::new();
        tokio::spawn(server.unwrap().run(listener, stop.clone()));
        (address, answers, stop.drop_guard())
    }

    /// A proxy of 8 slots that runs as long as its runtime.
    fn going(online: Online, product: &str) -> Going {
        let slot_count = SlotCount::new(8).unwrap();
        let codis = Config::load("max_slot_num = 8").unwrap().config;
        let codis = Some(Arc::new(codis));
        let config = proxy::Config { codis, slot_count, workers: 1, ..proxy::Config::default() };
        let proxy = proxy::Proxy::new(config).unwrap();
        let router = proxy.router().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = service::listener::bind(any, 1, "proxy_addr").unwrap();
        tokio::spawn(async move {
            let (_tables, source) = proxy::TableSource::of_nobody(slot_count);
            let stop = CancellationToken::new();
            let _end = stop.clone().drop_guard();
            proxy.run(listeners, source, stop).await
        });
        Going { router, online, product: product.to_owned(), own: OWN.to_owned(), slots: 8 }
    }

    #[tokio::test]
    async fn a_dashboard_is_asked_until_it_says_yes() {
        let refusal = Response::text(pretty(&RemoteError::new("proxy is not found")))
            .with_status(StatusCode::from_u16(800).unwrap());
        let (address, left, _stop) = dashboard(vec![Response::text("\"OK\""), refusal]);
        let going = going(Online::Waits, "codis-demo");
        let first = going.try_dashboard(&address).await.unwrap();
        assert_eq!(first, Err("proxy is not found".to_owned()));
        assert_eq!(going.try_dashboard(&address).await.unwrap(), Ok(()));
        assert_eq!(left.lock().len(), 0);
        let nobody = going.try_dashboard("127.0.0.1:1").await.unwrap().unwrap_err();
        assert!(nobody.contains("127.0.0.1:1"), "{nobody}");
    }

    #[tokio::test]
    async fn a_dashboard_of_another_product_ends_us() {
        let (address, _left, _stop) = dashboard(Vec::new());
        let error = going(Online::Dashboard(address), "other").go().await.unwrap_err();
        assert!(error.to_string().contains("of product codis-demo"), "{error}");
    }

    #[tokio::test]
    async fn the_dashboard_that_a_coordinator_knows_is_asked() {
        let (address, left, _stop) = dashboard(vec![Response::text("\"OK\"")]);
        let root = tempfile::tempdir().unwrap();
        let online = Online::Coordinator {
            kind: codis::config::Coordinator::Filesystem,
            addr: root.path().to_str().unwrap().to_owned(),
            auth: None,
        };
        let going = going(online, "codis-demo");
        let addr = root.path().to_str().unwrap();
        let kind = codis::config::Coordinator::Filesystem;
        let whom = Whom::Registered(Coordinator::new(kind, addr, "", SESSION_TIME).unwrap());
        let nobody = going.address(&whom).await.unwrap_err();
        assert!(nobody.contains("/codis3/codis-demo/topom"), "{nobody}");
        let record = root.path().join("data/codis3/codis-demo");
        std::fs::create_dir_all(&record).unwrap();
        let model = TopomModel { admin_addr: address, ..TopomModel::default() };
        std::fs::write(record.join("topom"), pretty(&model)).unwrap();
        going.go().await.unwrap();
        assert_eq!(left.lock().len(), 0);
    }

    #[tokio::test]
    async fn a_proxy_that_is_online_already_asks_nobody() {
        let going = going(Online::Dashboard("127.0.0.1:1".to_owned()), "codis-demo");
        going.router.start().unwrap();
        going.go().await.unwrap();
    }

    #[tokio::test]
    async fn slots_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slots.json");
        let file = |text: &str| {
            std::fs::write(&path, text).unwrap();
            going(Online::File(path.to_str().unwrap().to_owned()), "codis-demo")
        };
        let good = file(r#"[{"id":3,"backend_addr":"127.0.0.1:1"}]"#);
        let router = Arc::clone(&good.router);
        good.go().await.unwrap();
        assert_eq!(router.phase(), Phase::Online);
        assert_eq!(router.slots()[3].backend_addr, "127.0.0.1:1");
        let error = file(r#"[{"id":8}]"#).go().await.unwrap_err();
        assert!(format!("{error:#}").contains("use of invalid slot id"), "{error:#}");
    }

    #[test]
    fn pauses_grow_when_it_takes_long() {
        let pauses = [1, 10, 11, 19, 1000].map(|tries| pause_after(tries).as_secs());
        assert_eq!(pauses, [3, 3, 6, 30, 30]);
    }
}
