//! Serves routes on a socket. Everything a client can do to it has a bound: connections, header, body, time.

use super::{Request, Response, Routes, gzip};
use crate::listener;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};
use socket2::SockRef;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a client may take. Each limit that bites counts in `slipway_http_refused_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; one more is answered 503 and closed.
    pub connections: usize,
    /// Bytes of request line and headers, at least 8 KiB; 431.
    pub header_bytes: usize,
    /// Bytes of a body; 413.
    pub body_bytes: usize,
    /// From the end of one request to the whole header of the next; the connection is closed.
    pub header_time: Duration,
    /// For the body of a request to arrive; 408.
    pub body_time: Duration,
    /// For a handler to answer, so at least a long poll; 503.
    pub answer_time: Duration,
    /// Without a byte of the answer being taken by the client; the connection is closed.
    pub write_time: Duration,
    /// For requests under way once the server is told to stop.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            header_bytes: 16 << 10,
            body_bytes: 8 << 20,
            header_time: Duration::from_secs(30),
            body_time: Duration::from_secs(30),
            answer_time: Duration::from_mins(2),
            write_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(5),
        }
    }
}

/// Says whether the daemon can do its work now; if not, why.
pub type Readiness = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The admin server of one daemon.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    routes: Routes,
    limits: Limits,
    answered: IntCounterVec,
    refused: Refused,
}

/// One counter for each limit.
#[derive(Clone, Debug)]
struct Refused {
    connections: IntCounter,
    body_bytes: IntCounter,
    body_time: IntCounter,
    answer_time: IntCounter,
    /// Header bytes, header time, write time, and bytes that are no HTTP.
    protocol: IntCounter,
}

impl Server {
    /// Serves `routes`, and besides them `/metrics` from `registry`, `/livez`, and `/readyz` from `readiness`.
    ///
    /// Its own counters go to `registry` too; the error is that they are there already.
    pub fn new(
        routes: Routes,
        registry: &Registry,
        readiness: Readiness,
        limits: Limits,
    ) -> Result<Self, prometheus::Error> {
        let answered = IntCounterVec::new(
            Opts::new("slipway_http_requests_total", "Requests answered, by status."),
            &["code"],
        )?;
        registry.register(Box::new(answered.clone()))?;
        let refused = Refused::new(registry)?;
        let routes = routes.and(pages(registry.clone(), readiness));
        Ok(Self { shared: Arc::new(Shared { routes, limits, answered, refused }) })
    }

    /// Serves until `stop` is cancelled, then finishes what is under way, at most [`Limits::drain_time`] long.
    ///
    /// A daemon cancels `stop` after its real work is drained, so that `/readyz` and `/metrics` answer until the end.
    pub async fn run(
        self,
        listener: std::net::TcpListener,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let places = Arc::new(Semaphore::new(self.shared.limits.connections));
        let connections = TaskTracker::new();
        let drop_all = CancellationToken::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                    Ok(place) => {
                        let connection =
                            connection(Arc::clone(&self.shared), stream, stop.clone(), place);
                        let dropped = drop_all.clone();
                        connections
                            .spawn(async move { dropped.run_until_cancelled(connection).await });
                    }
                    Err(_) => self.shared.refuse(&stream),
                },
                Err(error) => {
                    if let Some(pause) = listener::pause_after(&error) {
                        tracing::warn!(%error, "cannot accept a connection to the admin server");
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(self.shared.limits.drain_time, connections.wait()).await.is_err() {
            drop_all.cancel();
            connections.wait().await;
        }
        Ok(())
    }
}

impl Refused {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "slipway_http_refused_total",
            "Admin connections and requests turned away, by the limit that did it.",
        );
        let all = IntCounterVec::new(opts, &["reason"])?;
        registry.register(Box::new(all.clone()))?;
        Ok(Self {
            connections: all.with_label_values(&["connections"]),
            body_bytes: all.with_label_values(&["body_bytes"]),
            body_time: all.with_label_values(&["body_time"]),
            answer_time: all.with_label_values(&["answer_time"]),
            protocol: all.with_label_values(&["protocol"]),
        })
    }
}

/// The pages every daemon has.
fn pages(registry: Registry, readiness: Readiness) -> Routes {
    let readiness = Arc::new(readiness);
    Routes::new()
        .get("/livez", |_| async { Response::text("ok\n") })
        .get("/readyz", move |_| {
            let readiness = Arc::clone(&readiness);
            async move {
                match readiness() {
                    Ok(()) => Response::text("ready\n"),
                    Err(why) => Response::text(format!("not ready: {why}\n"))
                        .with_status(StatusCode::SERVICE_UNAVAILABLE),
                }
            }
        })
        .get("/metrics", move |_| {
            let registry = registry.clone();
            async move { metrics(&registry) }
        })
}

fn metrics(registry: &Registry) -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&registry.gather(), &mut text) {
        Ok(()) => Response::new("text/plain; version=0.0.4; charset=utf-8", text),
        Err(error) => Response::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the metrics cannot be written: {error}"),
        ),
    }
}

/// Serves one connection until it ends, or until `stop`; holds its place among the connections.
async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    let limits = shared.limits;
    listener::prepare(&stream);
    // The kernel gives up on a client that takes nothing (tcp(7), TCP_USER_TIMEOUT); hyper bounds only what it reads.
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(limits.write_time));
    let peer = stream.peer_addr().ok();
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request, peer).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes.max(8 << 10))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        shared.refused.protocol.inc();
        tracing::debug!(%error, "an admin connection ended early");
    }
}

impl Shared {
    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        peer: Option<SocketAddr>,
    ) -> hyper::Response<Full<Bytes>> {
        let (response, broken) = match self.read(request).await {
            Ok(request) => {
                let takes_gzip = gzip::is_taken(&request);
                let response = self.handle(Request { peer, ..request }).await;
                (if takes_gzip { gzip::compressed(response) } else { response }, false)
            }
            Err(refusal) => (refusal, true),
        };
        self.answered.with_label_values(&[response.status.as_str()]).inc();
        let mut response = response.into_hyper();
        if broken {
            // Part of the body is still on its way: the connection cannot carry another request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Reads the whole request; the error is the answer that refuses it.
    async fn read(&self, request: hyper::Request<Incoming>) -> Result<Request, Response> {
        let (head, body) = request.into_parts();
        let declared = head
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|bytes: u64| bytes > self.limits.body_bytes as u64) {
            return Err(self.too_large());
        }
        let body = Limited::new(body, self.limits.body_bytes).collect();
        let body = match tokio::time::timeout(self.limits.body_time, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(self.too_large()),
            Ok(Err(error)) => {
                let message = format!("the body cannot be read: {error}");
                return Err(self.routes.refuse(StatusCode::BAD_REQUEST, message));
            }
            Err(_) => {
                self.refused.body_time.inc();
                let message = format!("the body did not arrive within {:?}", self.limits.body_time);
                return Err(self.routes.refuse(StatusCode::REQUEST_TIMEOUT, message));
            }
        };
        Ok(Request {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body,
            peer: None,
            headers: head.headers,
            parameters: Vec::new(),
        })
    }

    async fn handle(&self, request: Request) -> Response {
        let answer = self.routes.answer(request);
        tokio::time::timeout(self.limits.answer_time, answer).await.unwrap_or_else(|_| {
            self.refused.answer_time.inc();
            let time = self.limits.answer_time;
            let message = format!("no answer within {time:?}; what was asked may still happen");
            self.routes.refuse(StatusCode::SERVICE_UNAVAILABLE, message)
        })
    }

    fn too_large(&self) -> Response {
        self.refused.body_bytes.inc();
        let message = format!("the body is larger than {} bytes", self.limits.body_bytes);
        self.routes.refuse(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// Says why and closes; whoever cannot take these few bytes at once sees only the close.
    fn refuse(&self, stream: &TcpStream) {
        self.refused.connections.inc();
        let body = format!(
            "{{\"error\":\"all {} admin connections are in use\"}}",
            self.limits.connections
        );
        let length = body.len();
        let head = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json";
        let _ = stream
            .try_write(format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes());
    }
}
