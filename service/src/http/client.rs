//! Asks an admin server. One connection a request: a poll every few seconds, a click of an operator; no pool to go stale.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{self, HeaderName};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpStream;

/// Bytes of an answer we are ready to hold.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A client of the server at one address.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    time: Duration,
    /// Beside what each request has; also instead of its content type.
    headers: Vec<(HeaderName, String)>,
}

/// Why there is no answer, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing was asked: nobody listens there. Try again later, or elsewhere.
    #[error("nobody answers at {address} ({reason}): is slipway running there?")]
    Unreachable { address: String, reason: String },
    /// The request may have been carried out: ask for the state before repeating it.
    #[error("no whole answer from {address}: {reason}")]
    Unanswered { address: String, reason: String },
    /// The server says no, and why.
    #[error("{message}")]
    Refused { status: StatusCode, message: String },
    /// The answer is not what this version expects: another program, or another version.
    #[error(
        "{address} gave an answer that cannot be understood ({reason}): is it the admin address of a slipway of this version?"
    )]
    Foreign { address: String, reason: String },
}

impl Client {
    /// Asks the server at `address` (`HOST:PORT`); each exchange takes at most `time`.
    pub fn new(address: impl Into<String>, time: Duration) -> Self {
        Self { address: address.into(), time, headers: Vec::new() }
    }

    /// The same client with another bound, for example for a long poll.
    pub fn within(&self, time: Duration) -> Self {
        Self { time, ..self.clone() }
    }

    /// The same client, which says this with every request: for servers that are not ours.
    pub fn saying(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Where this client asks.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// GET `path` (with its query), and read the answer as JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let (status, body) = self.send(Method::GET, path, Bytes::new()).await?;
        self.understand(status, &body)
    }

    /// POST `body` as JSON to `path`, and read the answer as JSON.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.foreign(&error))?;
        let (status, body) = self.send(Method::POST, path, body.into()).await?;
        self.understand(status, &body)
    }

    /// One exchange, any status: the answer as it came.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let end = tokio::time::Instant::now() + self.time;
        let stream = match tokio::time::timeout_at(end, TcpStream::connect(&self.address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(self.unreachable(error.to_string())),
            Err(_) => return Err(self.unreachable(format!("no connection within {:?}", self.time))),
        };
        crate::listener::prepare(&stream);
        match tokio::time::timeout_at(end, self.exchange(stream, method, path, body)).await {
            Ok(result) => result,
            Err(_) => Err(self.unanswered(format!("no answer within {:?}", self.time))),
        }
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::CONNECTION, "close");
        if !self.headers.iter().any(|(name, _)| name == header::CONTENT_TYPE) {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| self.foreign(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unanswered(error.to_string()))?;
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| self.unanswered(error.to_string()))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|error| self.unanswered(error.to_string()))?.to_bytes()))
        };
        tokio::pin!(answer, connection);
        tokio::select! {
            answer = &mut answer => answer,
            // The connection has ended; what it read, and its error, wait in `answer`.
            _ = &mut connection => answer.await,
        }
    }

    fn understand<T: DeserializeOwned>(
        &self,
        status: StatusCode,
        body: &[u8],
    ) -> Result<T, ClientError> {
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|error| self.foreign(&error));
        }
        let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let message = json.as_ref().and_then(|json| json.get("error")?.as_str()).map(str::to_owned);
        let message = message.unwrap_or_else(|| format!("{} answered {status}", self.address));
        Err(ClientError::Refused { status, message })
    }

    fn unreachable(&self, reason: String) -> ClientError {
        ClientError::Unreachable { address: self.address.clone(), reason }
    }

    fn unanswered(&self, reason: String) -> ClientError {
        ClientError::Unanswered { address: self.address.clone(), reason }
    }

    fn foreign(&self, error: &impl std::fmt::Display) -> ClientError {
        ClientError::Foreign { address: self.address.clone(), reason: error.to_string() }
    }
}
