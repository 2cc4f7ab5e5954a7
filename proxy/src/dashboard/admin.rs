//! codis-proxy's admin API: what dashboards, `codis-admin`, the console and people ask of a proxy, and what they tell it to do.
//!
//! It answers from state that no fill can block, and does nothing itself: slots are filled by the [`Router`], numbers come from [`Statistics`],
//! and what concerns the whole process is asked of a [`Process`].

mod call;

use super::sentinels::Sentinels;
use super::{Detail, Phase, Router, Statistics};
use call::{Call, Verb};
use codis::Flavour;
use codis::commands::texts::{CLOSED_PROXY, INVALID_LOG_LEVEL, MISSING_LOG_LEVEL};
use codis::config::Config;
use codis::flags::LogLevel;
use codis::identity::check_xauth;
use codis::json::pretty;
use codis::model::{
    Model, Overview, RemoteError, SentinelStats, Slot, Stats, StatsFlags, read_sentinels,
    read_slots,
};
use serde::Serialize;
use service::http::{Method, Request, Response, Routes, StatusCode};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Bytes of a body that are taken; a fill of 16384 slots with replicas is some ten million.
pub const BODY_BYTES_MAX: usize = 64 << 20;

const JSON: &str = "application/json; charset=utf-8";

/// What the API needs of the process it is in.
pub trait Process: Send + Sync + fmt::Debug {
    /// Logs so much from now on.
    fn set_log_level(&self, level: LogLevel) -> Result<(), String>;
    /// Ends the process in order, and soon. Returns at once.
    fn shut_down(&self);
}

/// The admin API of one proxy.
#[derive(Debug)]
pub struct Admin {
    parts: Parts,
    /// It was told to end.
    is_closing: AtomicBool,
    fills: TaskTracker,
}

/// What the admin API is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub router: Arc<Router>,
    pub statistics: Statistics,
    /// As it was at the start; the overview shows what has become of it.
    pub config: Arc<Config>,
    pub model: Arc<Model>,
    /// The secret of [`codis::identity::proxy_xauth`].
    pub xauth: String,
    pub sentinels: Arc<Sentinels>,
    pub process: Arc<dyn Process>,
    /// Fills run here: who hangs up does not leave one half done.
    pub fills: TaskTracker,
}

impl Admin {
    pub fn new(parts: Parts) -> Self {
        Self { is_closing: AtomicBool::new(false), fills: parts.fills.clone(), parts }
    }

    /// The API as routes: whatever is no other route is its own.
    pub fn routes(self) -> Routes {
        let admin = Arc::new(self);
        Routes::new().refused_by(|_, message| failure(message)).otherwise(move |request| {
            let admin = Arc::clone(&admin);
            async move { admin.answer(request).await }
        })
    }

    async fn answer(&self, request: Request) -> Response {
        audit(&request);
        let Some(call) = Call::read(&request) else {
            return Response::text("404 page not found\n").with_status(StatusCode::NOT_FOUND);
        };
        if let Some(xauth) = &call.xauth {
            if self.is_closed() {
                return failure(CLOSED_PROXY);
            }
            if let Err(why) = check_xauth(xauth, &self.parts.xauth) {
                return failure(why);
            }
        }
        match self.carry_out(call.verb, &request).await {
            Ok(answer) => answer,
            Err(cause) => {
                tracing::warn!(path = hidden(&request.path), cause, "an admin call failed");
                failure(cause)
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed) || self.parts.router.phase() == Phase::Closed
    }

    async fn carry_out(&self, verb: Verb, request: &Request) -> Result<Response, String> {
        let Parts { router, statistics, process, sentinels, .. } = &self.parts;
        let done = match verb {
            Verb::Home => return Ok(Response::found("/proxy")),
            Verb::Overview => return Ok(success(&self.parts.overview())),
            Verb::Model => return Ok(success(&*self.parts.model)),
            Verb::Stats(flags) => return self.stats(flags.as_deref()),
            Verb::Slots => return Ok(success(&*router.slots())),
            Verb::CmdInfo(interval) => {
                let seconds = codis::gonumber::parse("ParseInt", &interval)?;
                return Ok(success(&statistics.cmd_info(u64::try_from(seconds).unwrap_or(1))));
            }
            Verb::Ping => Ok(()),
            Verb::Start => router.start(),
            Verb::ResetStats => {
                statistics.reset();
                Ok(())
            }
            Verb::ForceGc => {
                tracing::info!(
                    "forcegc: there is nothing to collect here, freed memory goes back by itself"
                );
                Ok(())
            }
            Verb::Shutdown => {
                self.is_closing.store(true, Ordering::Relaxed);
                process.shut_down();
                Ok(())
            }
            Verb::LogLevel(level) if level.is_empty() => Err(MISSING_LOG_LEVEL.to_owned()),
            Verb::LogLevel(level) => {
                process.set_log_level(LogLevel::parse(&level).ok_or(INVALID_LOG_LEVEL)?)
            }
            Verb::FillSlots => self.fill(request).await,
            Verb::Sentinels => {
                let list = read_sentinels(&request.body).map_err(|error| error.to_string())?;
                sentinels.set(list.servers, list.out_of_sync);
                Ok(())
            }
            Verb::Rewatch => {
                sentinels.rewatch();
                Ok(())
            }
        };
        done.map(|()| success("OK"))
    }

    fn stats(&self, flags: Option<&str>) -> Result<Response, String> {
        let flags = flags.map_or(Ok(StatsFlags::default()), StatsFlags::parse)?;
        Ok(success(&self.parts.stats(flags)))
    }

    async fn fill(&self, request: &Request) -> Result<(), String> {
        let slots = read_slots(&request.body, self.parts.config.max_slot_num)
            .map_err(|error| error.to_string())?;
        let router = Arc::clone(&self.parts.router);
        let task = self.fills.spawn(async move { fill(&router, slots).await });
        task.await.map_err(|error| format!("the fill ended early: {error}"))?
    }
}

impl Parts {
    /// Everything: `GET /proxy`.
    pub fn overview(&self) -> Overview {
        Overview { slots: Vec::clone(&self.router.slots()), ..self.report() }
    }

    /// Everything but the slots: what is sent to those who do not ask.
    pub fn report(&self) -> Overview {
        Overview {
            version: format!("slipway {}", service::telemetry::VERSION),
            compile: service::telemetry::COMMIT.unwrap_or("unknown").to_owned(),
            config: self.statistics.config(),
            model: Some(Model::clone(&self.model)),
            stats: Some(self.stats(StatsFlags::ALL)),
            slots: Vec::new(),
        }
    }

    fn stats(&self, flags: StatsFlags) -> Stats {
        // The fork tells of commands whether it was asked or not.
        let is_fork = self.config.flavour == Flavour::Fork;
        let detail = Detail { commands: flags.commands() || is_fork, runtime: flags.runtime() };
        let switched = self.router.switched();
        let sentinels = SentinelStats { switched, ..self.sentinels.stats() };
        Stats { sentinels, ..self.statistics.stats(detail) }
    }
}

/// Fills slots and says in the log what came of it.
pub async fn fill(router: &Router, slots: Vec<Slot>) -> Result<(), String> {
    let (start, count) = (Instant::now(), slots.len());
    let ends = slots.first().zip(slots.last()).map(|(first, last)| (first.id, last.id));
    let (first, last) = ends.unwrap_or_default();
    let locked = slots.iter().filter(|slot| slot.locked).count();
    let result = router.fill(slots).await;
    let ms = start.elapsed().as_millis();
    match &result {
        // What a fill has changed, the router says; the fork's dashboard repeats fills that change nothing every two seconds.
        Ok(()) => tracing::debug!(count, first, last, locked, ms, "slots filled"),
        Err(cause) => tracing::warn!(count, first, last, ms, cause, "slots not filled"),
    }
    result
}

fn success<T: Serialize + ?Sized>(value: &T) -> Response {
    Response::new(JSON, pretty(value))
}

/// Status 800: the one whose text Codis' programs show.
fn failure(cause: impl Into<String>) -> Response {
    let status = StatusCode::from_u16(RemoteError::STATUS);
    Response::new(JSON, pretty(&RemoteError::new(cause)))
        .with_status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Everybody who changes something, or tries to, stands in the log.
fn audit(request: &Request) {
    if request.method == Method::GET || !request.path.starts_with("/api/") {
        return;
    }
    let peer = |peer: SocketAddr| SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let peer = request.peer.map_or_else(|| "unknown".to_owned(), |from| peer(from).to_string());
    let real = request.header("x-real-ip").or_else(|| request.header("x-forwarded-for"));
    let path = hidden(&request.path);
    tracing::warn!("API call {} {path} from {peer} [{}]", request.method, real.unwrap_or_default());
}

/// The path without the secret that is part of it.
fn hidden(path: &str) -> String {
    let is_secret = |part: &str| part.len() == 32 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts = path.split('/').map(|part| if is_secret(part) { "…" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
