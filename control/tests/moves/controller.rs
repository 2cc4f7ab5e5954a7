//! A controller in a runtime of its own, which can be killed.

use cluster::{GroupId, SlotCount};
use control::docs::{MovePlanned, MoveRequest, PlanView, Status};
use control::state::PlanId;
use control::{Client, Config, Error};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The longest any test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running controller.
pub(crate) struct Controller {
    runtime: Option<Runtime>,
    pub(crate) client: Client,
    pub(crate) address: String,
}

/// What most tests want: short pauses.
pub(crate) fn config(dir: &Path, slots: u32, addrs: &[String]) -> Config {
    let groups = addrs.iter().zip(1..).map(|(addr, id)| (GroupId(id), addr.clone())).collect();
    let mut config = Config::new(dir, groups);
    config.slot_count = SlotCount::new(slots);
    config.limits.retry_pause = Duration::from_millis(10);
    config.limits.answer_time = Duration::from_secs(5);
    config
}

impl Controller {
    pub(crate) fn start(config: &Config) -> Self {
        Self::try_start(config).unwrap()
    }

    /// Like `start`; a killed controller's lock may take a moment to go.
    pub(crate) fn try_start(config: &Config) -> Result<Self, Error> {
        let begun = Instant::now();
        loop {
            match Self::once(config) {
                Err(Error::InUse { .. }) if begun.elapsed() < Duration::from_secs(5) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                result => return result,
            }
        }
    }

    fn once(config: &Config) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = service::listener::bind(address, 1, "--admin").unwrap().remove(0);
        let address = listener.local_addr().unwrap().to_string();
        let client = Client::new(&address, Duration::from_secs(10));
        let shutdown = service::shutdown::Shutdown::new(Duration::from_secs(1));
        let registry = prometheus::Registry::new();
        let started = {
            let _guard = runtime.enter();
            control::Controller::start(config, &registry, &shutdown)
        };
        let started = match started {
            Ok(started) => started,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let limits = service::http::Limits::default();
        let server =
            service::http::Server::new(started.routes, &registry, started.readiness, limits)
                .unwrap();
        runtime.spawn(async move { server.run(listener, shutdown.draining().clone()).await });
        Ok(Self { runtime: Some(runtime), client, address })
    }

    /// As kill -9, as far as that can be had in one process: no task gets another turn.
    pub(crate) fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) async fn migrate(&self, slots: &str, to: u32) -> PlanId {
        self.plan(slots, to).await.plan.unwrap()
    }

    pub(crate) async fn plan(&self, slots: &str, to: u32) -> MovePlanned {
        let request = MoveRequest { slots: slots.to_owned(), to: GroupId(to), dry_run: false };
        self.client.plan(&request).await.unwrap()
    }

    pub(crate) async fn view(&self, plan: PlanId) -> PlanView {
        self.client.moves(Some(plan)).await.unwrap().plans.remove(0)
    }

    /// Waits until the plan has ended.
    pub(crate) async fn ended(&self, plan: PlanId) -> PlanView {
        let mut last = None;
        let view = eventually(async || {
            let view = self.view(plan).await;
            let ended = view.ended.then(|| view.clone());
            last = Some(view);
            ended
        })
        .await;
        view.unwrap_or_else(|| panic!("the plan does not end: {last:#?}"))
    }

    pub(crate) async fn status(&self) -> Status {
        self.client.status().await.unwrap()
    }

    /// A page of the admin port as text.
    pub(crate) async fn page(&self, path: &str) -> String {
        let http = service::http::Client::new(&self.address, Duration::from_secs(5));
        let (_, body) =
            http.send(service::http::Method::GET, path, Vec::new().into()).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let status = eventually(async || Some(self.status().await).filter(&wanted)).await;
        match status {
            Some(status) => status,
            None => panic!("{what} does not come: {:#?}", self.status().await),
        }
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Asks again until there is an answer, or patience ends.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}
