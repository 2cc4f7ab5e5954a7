//! One exchange: what was asked, and the answer.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;

/// What was asked; the body is there whole.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// As sent: begins with `/`, percent signs still in it.
    pub path: String,
    pub body: Bytes,
    /// Who asks; nothing if the connection is gone already.
    pub peer: Option<SocketAddr>,
    pub(super) headers: HeaderMap,
    pub(super) query: String,
    /// What the `{name}` parts of the pattern matched, decoded.
    pub(super) parameters: Vec<(&'static str, String)>,
}

impl Request {
    /// What the part `{name}` of the route's pattern matched; empty if the pattern has no such part.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value)
    }

    /// The parts of the path between its slashes, decoded; a slash at its end adds none.
    pub fn parts(&self) -> Vec<String> {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() { Vec::new() } else { path.split('/').map(decoded).collect() }
    }

    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first `name=value` of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(&key.replace('+', " ")) == name).then(|| decoded(&value.replace('+', " ")))
        })
    }

    /// Reads the body as JSON; the error is the answer 400, saying where it is wrong.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Response> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Response::error(
                StatusCode::BAD_REQUEST,
                format!("the body is not the JSON that was expected: {error}"),
            )
        })
    }
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: StatusCode,
    pub body: Bytes,
    content_type: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Response {
    /// Status 200 and a body of the given type, for example `text/html; charset=utf-8`.
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, body: body.into(), content_type, headers: Vec::new() }
    }

    /// Status 200 and plain text.
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self::new("text/plain; charset=utf-8", body)
    }

    /// Status 200 and `value` as JSON.
    pub fn json<T: Serialize>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::new("application/json", body),
            Err(error) => Self::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the answer cannot be written as JSON: {error}"),
            ),
        }
    }

    /// Status 302: the answer is at `place`.
    pub fn found(place: &'static str) -> Self {
        Self::text("")
            .with_status(StatusCode::FOUND)
            .with_header(LOCATION, HeaderValue::from_static(place))
    }

    /// `{"error": message}` with a status of 4xx or 5xx.
    pub fn error(status: StatusCode, message: impl AsRef<str>) -> Self {
        let body = serde_json::json!({ "error": message.as_ref() }).to_string();
        Self::new("application/json", body).with_status(status)
    }

    /// The same answer with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same answer with one more header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// 405, with the methods that the path does know.
    pub(super) fn method_not_allowed(request: &Request, allowed: &str) -> Self {
        let message = format!("{} takes {allowed}, not {}", request.path, request.method);
        let answer = Self::error(StatusCode::METHOD_NOT_ALLOWED, message);
        match HeaderValue::from_str(allowed) {
            Ok(value) => answer.with_header(ALLOW, value),
            Err(_) => answer,
        }
    }

    pub(super) fn into_hyper(self) -> hyper::Response<Full<Bytes>> {
        let mut response = hyper::Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response.headers_mut().extend(self.headers);
        response
    }
}

/// Lets a handler use `?` on what answers with an error.
impl From<Result<Self, Self>> for Response {
    fn from(result: Result<Self, Self>) -> Self {
        result.unwrap_or_else(|error| error)
    }
}

/// Undoes percent-encoding; a `%` without two hex digits stays as it is (RFC 3986 §2.1).
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                bytes.push(digit(*high) * 16 + digit(*low));
                rest = after;
            }
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(hex: u8) -> u8 {
    char::from(hex).to_digit(16).map_or(0, |value| value as u8)
}
