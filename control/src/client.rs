//! Asks a controller over HTTP: the operator's tool, and proxies in processes of their own.

use crate::docs::{
    HistoryLine, MovePlanned, MoveRequest, Moves, Pace, Proxy, ProxyForget, ProxyHeard,
    ProxyReport, Refusal, SlotRun, SlotsChanged, SlotsRequest, Status,
};
use crate::state::PlanId;
use bytes::Bytes;
use cluster::Table;
use serde::Serialize;
use serde::de::DeserializeOwned;
use service::http::{Client as Http, ClientError as HttpError, Method, StatusCode};
use std::time::Duration;

/// A client of the controller at one admin address.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http,
}

/// Why there is no answer, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers, and nothing was asked: try again later.
    #[error("{0}")]
    Unreachable(String),
    /// The controller was there and did not answer: what was asked may have happened.
    #[error("{0}")]
    Unanswered(String),
    /// The controller says no; nothing was changed.
    #[error("{}", .0.error)]
    Refused(Refusal),
    /// The controller cannot now.
    #[error("{}", .0.error)]
    Unable(Refusal),
    /// What answers is no controller of this version.
    #[error("{0}")]
    Foreign(String),
}

impl Client {
    /// Asks the controller at `address` (`HOST:PORT`); each exchange takes at most `time`.
    pub fn new(address: impl Into<String>, time: Duration) -> Self {
        Self { http: Http::new(address, time) }
    }

    /// Where this client asks.
    pub fn address(&self) -> &str {
        self.http.address()
    }

    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/api/v1/status").await
    }

    pub async fn slots(&self) -> Result<Vec<SlotRun>, ClientError> {
        self.get("/api/v1/slots").await
    }

    pub async fn history(&self) -> Result<Vec<HistoryLine>, ClientError> {
        self.get("/api/v1/history").await
    }

    /// All plans and moves, or one plan's.
    pub async fn moves(&self, plan: Option<PlanId>) -> Result<Moves, ClientError> {
        match plan {
            Some(plan) => self.get(&format!("/api/v1/moves?plan={plan}")).await,
            None => self.get("/api/v1/moves").await,
        }
    }

    pub async fn plan(&self, request: &MoveRequest) -> Result<MovePlanned, ClientError> {
        self.post("/api/v1/moves", request).await
    }

    pub async fn pause(&self, request: &SlotsRequest) -> Result<SlotsChanged, ClientError> {
        self.post("/api/v1/pause", request).await
    }

    pub async fn resume(&self, request: &SlotsRequest) -> Result<SlotsChanged, ClientError> {
        self.post("/api/v1/resume", request).await
    }

    pub async fn abort(&self, request: &SlotsRequest) -> Result<SlotsChanged, ClientError> {
        self.post("/api/v1/abort", request).await
    }

    pub async fn pace(&self, pace: Pace) -> Result<Pace, ClientError> {
        self.post("/api/v1/pace", &pace).await
    }

    /// A proxy's word.
    pub async fn report_proxy(&self, report: &ProxyReport) -> Result<ProxyHeard, ClientError> {
        self.post("/api/v1/proxies", report).await
    }

    /// A proxy is gone for good. Returns what is known of it.
    pub async fn forget_proxy(&self, name: &str) -> Result<Proxy, ClientError> {
        self.post("/api/v1/proxies/forget", &ProxyForget { name: name.to_owned() }).await
    }

    /// The slot table; nothing if within `wait` no other than version `since` came.
    pub async fn table(
        &self,
        since: Option<u64>,
        wait: Duration,
    ) -> Result<Option<Table>, ClientError> {
        let since = since.map(|version| format!("&since={version}")).unwrap_or_default();
        let path = format!("/api/v1/table?wait_ms={}{since}", wait.as_millis());
        // The server answers within `wait`; the exchange itself has its own time.
        let http = self.http.within(wait + TABLE_TIME);
        let (status, body) =
            http.send(Method::GET, &path, Bytes::new()).await.map_err(refused_by_nobody)?;
        if status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let table: Table = self.understand(status, &body)?;
        table.check().map_err(ClientError::Foreign)?;
        Ok(Some(table))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let (status, body) =
            self.http.send(Method::GET, path, Bytes::new()).await.map_err(refused_by_nobody)?;
        self.understand(status, &body)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::Foreign(e.to_string()))?;
        let (status, body) =
            self.http.send(Method::POST, path, body.into()).await.map_err(refused_by_nobody)?;
        self.understand(status, &body)
    }

    fn understand<T: DeserializeOwned>(
        &self,
        status: StatusCode,
        body: &[u8],
    ) -> Result<T, ClientError> {
        let address = self.address();
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|error| {
                ClientError::Foreign(format!(
                    "what answers at {address} is no controller of this version: {error}"
                ))
            });
        }
        match serde_json::from_slice::<Refusal>(body) {
            // The admin port of another daemon of ours: it has no such page, and no advice.
            Ok(why) if status == StatusCode::NOT_FOUND && why.what_to_do.is_empty() => {
                Err(ClientError::Foreign(format!(
                    "what answers at {address} is no controller: {}",
                    why.error
                )))
            }
            Ok(why) if status.is_server_error() => Err(ClientError::Unable(why)),
            Ok(why) => Err(ClientError::Refused(why)),
            Err(_) => Err(ClientError::Foreign(format!(
                "what answers at {address} is no controller: it says {status}"
            ))),
        }
    }
}

/// What an exchange may take beside the waiting it asks for.
const TABLE_TIME: Duration = Duration::from_secs(5);

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused_by_nobody(error: HttpError) -> ClientError {
    match error {
        HttpError::Unreachable { .. } => ClientError::Unreachable(error.to_string()),
        HttpError::Unanswered { .. } => ClientError::Unanswered(error.to_string()),
        HttpError::Refused { .. } | HttpError::Foreign { .. } => {
            ClientError::Foreign(error.to_string())
        }
    }
}
