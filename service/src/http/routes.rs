//! Which path is answered by what.

use super::message::decoded;
use super::{Request, Response};
use hyper::{Method, StatusCode};
use std::fmt;
use std::pin::Pin;

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
type Handler = Box<dyn Fn(Request) -> Answer + Send + Sync>;

/// How a refusal of the server itself is told: its status and what is wrong.
type Refusal = fn(StatusCode, String) -> Response;

/// A list of patterns with their handlers. The first that fits answers.
#[derive(Default)]
pub struct Routes {
    routes: Vec<Route>,
    otherwise: Option<Handler>,
    refusal: Option<Refusal>,
}

struct Route {
    method: Method,
    pattern: &'static str,
    handler: Handler,
}

impl Routes {
    /// No routes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for `method` on `pattern`: a path whose parts match themselves, or anything where a part is `{name}`.
    ///
    /// The handler gives a [`Response`], or a `Result<Response, Response>` so that it can use `?`.
    pub fn on<F, Fut>(mut self, method: Method, pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Response: From<Fut::Output>,
    {
        self.routes.push(Route { method, pattern, handler: boxed(handler) });
        self
    }

    /// Has `handler` answer whatever no route does, instead of 404 and 405.
    pub fn otherwise<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Response: From<Fut::Output>,
    {
        self.otherwise = Some(boxed(handler));
        self
    }

    /// Has `refusal` write what the server itself refuses: a body that is too large, an answer that takes too long.
    pub fn refused_by(mut self, refusal: fn(StatusCode, String) -> Response) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// Adds a handler for GET (and HEAD).
    pub fn get<F, Fut>(self, pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Response: From<Fut::Output>,
    {
        self.on(Method::GET, pattern, handler)
    }

    /// Adds a handler for POST.
    pub fn post<F, Fut>(self, pattern: &'static str, handler: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Response: From<Fut::Output>,
    {
        self.on(Method::POST, pattern, handler)
    }

    /// All of these and all of `others`; these come first.
    pub fn and(mut self, others: Self) -> Self {
        self.routes.extend(others.routes);
        self.otherwise = self.otherwise.or(others.otherwise);
        self.refusal = self.refusal.or(others.refusal);
        self
    }

    /// The answer to what the server itself refuses.
    pub(super) fn refuse(&self, status: StatusCode, message: String) -> Response {
        match self.refusal {
            Some(refusal) => refusal(status, message),
            None => Response::error(status, message),
        }
    }

    /// Answers `request`: 404 for a path nobody knows, 405 for one that knows other methods only.
    pub(super) async fn answer(&self, mut request: Request) -> Response {
        // A HEAD is a GET whose body the connection leaves out.
        let method =
            if request.method == Method::HEAD { Method::GET } else { request.method.clone() };
        let mut allowed: Vec<&str> = Vec::new();
        for route in &self.routes {
            let Some(parameters) = matched(route.pattern, &request.path) else { continue };
            if route.method == method {
                request.parameters = parameters;
                return (route.handler)(request).await;
            }
            allowed.push(route.method.as_str());
        }
        if let Some(handler) = &self.otherwise {
            handler(request).await
        } else if allowed.is_empty() {
            self.not_found(&request)
        } else {
            Response::method_not_allowed(&request, &allowed.join(", "))
        }
    }

    fn not_found(&self, request: &Request) -> Response {
        let known = self.routes.iter().map(|route| format!("{} {}", route.method, route.pattern));
        let known = known.collect::<Vec<_>>().join(", ");
        Response::error(
            StatusCode::NOT_FOUND,
            format!("there is no {}; there are {known}", request.path),
        )
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.routes.iter().map(|route| (&route.method, route.pattern)))
            .finish()
    }
}

fn boxed<F, Fut>(handler: F) -> Handler
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Response: From<Fut::Output>,
{
    Box::new(move |request| {
        let answer = handler(request);
        Box::pin(async move { Response::from(answer.await) })
    })
}

/// Returns what the `{name}` parts of `pattern` stand for in `path`, if it fits.
fn matched(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut parts = path.split('/');
    let mut parameters = Vec::new();
    for expected in pattern.split('/') {
        let part = parts.next()?;
        match expected.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !part.is_empty() => parameters.push((name, decoded(part))),
            None if part == expected => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(parameters)
}
