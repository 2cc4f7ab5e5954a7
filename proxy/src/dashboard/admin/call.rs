//! What is asked of the admin API, by method and path: the routes of upstream and of Pika's fork together. Decides nothing, answers nothing.

use service::http::{Method, Request};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The secret in the path, where the path has one.
    pub(super) xauth: Option<String>,
    pub(super) verb: Verb,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Leads to the overview.
    Home,
    Overview,
    Model,
    /// With the flags as they stand in the path; without any, `None`.
    Stats(Option<String>),
    Slots,
    /// With the interval as it stands in the path.
    CmdInfo(String),
    Ping,
    Start,
    ResetStats,
    ForceGc,
    Shutdown,
    LogLevel(String),
    FillSlots,
    Sentinels,
    Rewatch,
}

/// Flags of the pages for people.
const ALL_FLAGS: &str = "7";

impl Call {
    /// What a request asks for; nothing where codis-proxy has no route, which is also so for a known path with another method.
    pub(super) fn read(request: &Request) -> Option<Self> {
        let parts = request.parts();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if let ["api", "proxy", rest @ ..] = parts.as_slice() {
            return match request.method {
                Method::GET | Method::HEAD if *rest == ["model"] => Some(Self::open(Verb::Model)),
                Method::GET | Method::HEAD => Self::question(rest),
                Method::PUT => Self::order(rest),
                _ => None,
            };
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return None;
        }
        Some(Self::open(match parts[..] {
            [] => Verb::Home,
            ["proxy"] => Verb::Overview,
            ["proxy", "model"] => Verb::Model,
            ["proxy", "stats"] => Verb::Stats(Some(ALL_FLAGS.to_owned())),
            ["proxy", "slots"] => Verb::Slots,
            // The number is there, and means nothing.
            ["proxy", "cmdinfo", _] => Verb::CmdInfo("1".to_owned()),
            _ => return None,
        }))
    }

    fn open(verb: Verb) -> Self {
        Self { xauth: None, verb }
    }

    fn question(parts: &[&str]) -> Option<Self> {
        let (xauth, verb) = match *parts {
            ["xping", xauth] => (xauth, Verb::Ping),
            ["stats", xauth] => (xauth, Verb::Stats(None)),
            ["stats", xauth, flags] => (xauth, Verb::Stats(Some(flags.to_owned()))),
            ["slots", xauth] => (xauth, Verb::Slots),
            ["cmdinfo", xauth, interval] => (xauth, Verb::CmdInfo(interval.to_owned())),
            _ => return None,
        };
        Some(Self { xauth: Some(xauth.to_owned()), verb })
    }

    fn order(parts: &[&str]) -> Option<Self> {
        let (xauth, verb) = match *parts {
            ["start", xauth] => (xauth, Verb::Start),
            ["stats", "reset", xauth] => (xauth, Verb::ResetStats),
            ["forcegc", xauth] => (xauth, Verb::ForceGc),
            ["shutdown", xauth] => (xauth, Verb::Shutdown),
            ["loglevel", xauth] => (xauth, Verb::LogLevel(String::new())),
            ["loglevel", xauth, level] => (xauth, Verb::LogLevel(level.to_owned())),
            ["fillslots", xauth] => (xauth, Verb::FillSlots),
            ["sentinels", xauth] => (xauth, Verb::Sentinels),
            ["sentinels", xauth, "rewatch"] => (xauth, Verb::Rewatch),
            _ => return None,
        };
        Some(Self { xauth: Some(xauth.to_owned()), verb })
    }
}
