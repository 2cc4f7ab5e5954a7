//! The admin API: HTTP in front of the driver.
//!
//! ```text
//!   GET  /api/v1/status  /api/v1/slots  /api/v1/moves[?plan=N]  /api/v1/history
//!   GET  /api/v1/table[?since=VERSION&wait_ms=N]    304 if nothing newer came
//!   POST /api/v1/moves   {"slots":"0-99","to":2,"dry_run":false}
//!   POST /api/v1/pause   /api/v1/resume  /api/v1/abort   {"slots":"0-99"} or {}
//!   POST /api/v1/pace    {"bytes":50000000}
//!   POST /api/v1/proxies {"name":…,"boot":…,"words":[…]}    /api/v1/proxies/forget {"name":…}
//! ```
//!
//! Every refusal is `{"error":…,"what_to_do":…}`: 400 the request makes no sense, 404 there is no such thing, 503 not now.

use crate::docs::Refusal;
use crate::driver::{Ask, Asked, Denied};
use crate::metrics::Metrics;
use crate::planner::refusal;
use crate::state::PlanId;
use cluster::Table;
use serde::de::DeserializeOwned;
use service::http::{Request, Response, Routes, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// The longest a long poll waits.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// How long the driver may take; a store on a slow disk is part of it.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What handlers need.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) asked: mpsc::Sender<Asked>,
    pub(crate) table: watch::Receiver<Arc<Table>>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Api {
    pub(crate) fn routes(self) -> Routes {
        let table = self.table.clone();
        Routes::new()
            .get("/api/v1/status", self.get(|_| Ok(Ask::Status)))
            .get("/api/v1/slots", self.get(|_| Ok(Ask::Slots)))
            .get("/api/v1/moves", self.get(|request| Ok(Ask::Moves(plan(request)?))))
            .get("/api/v1/history", self.get(|_| Ok(Ask::History)))
            .get("/api/v1/table", move |request| newer(table.clone(), request))
            .post("/api/v1/moves", self.get(|request| Ok(Ask::Move(body(request)?))))
            .post("/api/v1/pause", self.get(|request| Ok(Ask::Pause(body(request)?))))
            .post("/api/v1/resume", self.get(|request| Ok(Ask::Resume(body(request)?))))
            .post("/api/v1/abort", self.get(|request| Ok(Ask::Abort(body(request)?))))
            .post("/api/v1/proxies", self.get(|request| Ok(Ask::Proxy(body(request)?))))
            .post("/api/v1/proxies/forget", self.get(|request| Ok(Ask::Forget(body(request)?))))
            .post("/api/v1/pace", self.get(|request| Ok(Ask::Pace(body(request)?))))
    }

    /// A handler that asks the driver.
    fn get(
        &self,
        read: fn(&Request) -> Result<Ask, Response>,
    ) -> impl Fn(Request) -> Answer + Send + Sync + 'static {
        let api = self.clone();
        move |request| {
            let api = api.clone();
            Box::pin(async move {
                match read(&request) {
                    Ok(ask) => api.ask(ask).await,
                    Err(response) => response,
                }
            })
        }
    }

    async fn ask(&self, ask: Ask) -> Response {
        let (answer, answered) = oneshot::channel();
        if self.asked.try_send(Asked { ask, answer }).is_err() {
            self.metrics.requests_refused.inc();
            let text = "the controller is busy with other requests, or is stopping";
            return refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                &refusal(text, "try again in a moment"),
            );
        }
        match tokio::time::timeout(ANSWER_MAX, answered).await {
            Ok(Ok(Ok(document))) => Response::json(&document),
            Ok(Ok(Err(Denied::Wrong(why)))) => refuse(StatusCode::BAD_REQUEST, &why),
            Ok(Ok(Err(Denied::Missing(why)))) => refuse(StatusCode::NOT_FOUND, &why),
            Ok(Ok(Err(Denied::Unable(why)))) => refuse(StatusCode::SERVICE_UNAVAILABLE, &why),
            Ok(Err(_)) => {
                let why = refusal(
                    "the controller is stopping",
                    "start it again; running migrations go on then",
                );
                refuse(StatusCode::SERVICE_UNAVAILABLE, &why)
            }
            Err(_) => {
                let text = format!(
                    "no answer from the controller within {ANSWER_MAX:?}; what was asked may still happen"
                );
                refuse(StatusCode::SERVICE_UNAVAILABLE, &refusal(text, "look at `slipway status`"))
            }
        }
    }
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

/// The long poll for the slot table.
async fn newer(mut table: watch::Receiver<Arc<Table>>, request: Request) -> Response {
    let (since, wait) = match (number(&request, "since"), number(&request, "wait_ms")) {
        (Ok(since), Ok(wait)) => (since, Duration::from_millis(wait.unwrap_or(0)).min(WAIT_MAX)),
        (Err(response), _) | (_, Err(response)) => return response,
    };
    // Any other version counts as newer: a state that was put back from a backup has a lower one.
    let is_news = |table: &Arc<Table>| since != Some(table.version);
    match tokio::time::timeout(wait, table.wait_for(is_news)).await {
        Ok(Ok(table)) => Response::json(&**table),
        Ok(Err(_)) => {
            let why = refusal("the controller is stopping", "ask again when it is back");
            refuse(StatusCode::SERVICE_UNAVAILABLE, &why)
        }
        Err(_) => Response::text("").with_status(StatusCode::NOT_MODIFIED),
    }
}

fn plan(request: &Request) -> Result<Option<PlanId>, Response> {
    Ok(number(request, "plan")?.map(PlanId))
}

fn number(request: &Request, name: &str) -> Result<Option<u64>, Response> {
    let Some(text) = request.query(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let why = refusal(format!("{name}={text} is no number"), "write for example ?plan=3");
        refuse(StatusCode::BAD_REQUEST, &why)
    })
}

/// An empty body is an empty object.
fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Response> {
    let bytes: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    serde_json::from_slice(bytes).map_err(|error| {
        let why = refusal(
            format!("the body is not what was expected: {error}"),
            "send JSON as the documentation shows",
        );
        refuse(StatusCode::BAD_REQUEST, &why)
    })
}

fn refuse(status: StatusCode, why: &Refusal) -> Response {
    Response::json(why).with_status(status)
}
