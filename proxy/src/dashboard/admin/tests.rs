use super::*;
use bytes::Bytes;
use cluster::SlotCount;
use codis::config::Overrides;
use codis::identity::proxy_xauth;
use parking_lot::Mutex;
use prometheus::Registry;
use serde_json::{Value, json};
use service::http::{Client, Limits, Server};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "15fba3007f3c6ee0887749681cb82307";
const XAUTH: &str = "fcf2eb4261ad9fe7cfb518835e185c64";

#[derive(Debug, Default)]
struct Host {
    levels: Mutex<Vec<LogLevel>>,
    stopped: Mutex<u32>,
}

impl Process for Host {
    fn set_log_level(&self, level: LogLevel) -> Result<(), String> {
        self.levels.lock().push(level);
        Ok(())
    }

    fn shut_down(&self) {
        *self.stopped.lock() += 1;
    }
}

/// A proxy's admin API on a port of its own.
struct Api {
    address: SocketAddr,
    router: Arc<Router>,
    host: Arc<Host>,
    sentinels: Arc<Sentinels>,
    _stop: tokio_util::sync::DropGuard,
}

impl Api {
    fn start() -> Self {
        Self::with("")
    }

    fn with(file: &str) -> Self {
        let secret = Overrides { product_auth: Some("secret".to_owned()), ..Overrides::default() };
        let config = Arc::new(Config::load(file).unwrap().config.with(&secret).unwrap());
        let count = SlotCount::new(u32::try_from(config.max_slot_num).unwrap()).unwrap();
        let proxy = crate::Proxy::new(crate::Config {
            workers: 1,
            slot_count: count,
            codis: Some(Arc::clone(&config)),
            ..crate::Config::default()
        });
        let proxy = proxy.unwrap();
        let (router, host) = (proxy.router().unwrap(), Arc::new(Host::default()));
        let sentinels = Arc::new(Sentinels::new());
        let xauth = proxy_xauth(&config.product_name, &config.product_auth, TOKEN);
        let routes = Admin::new(Parts {
            router: Arc::clone(&router),
            statistics: proxy.statistics().unwrap(),
            model: Arc::new(Model { token: TOKEN.to_owned(), pid: 7, ..Model::default() }),
            config,
            xauth,
            sentinels: Arc::clone(&sentinels),
            process: Arc::clone(&host) as Arc<dyn Process>,
            fills: TaskTracker::new(),
        })
        .routes();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = service::listener::bind(any, 1, "admin_addr").unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let limits = Limits { body_bytes: 1 << 20, ..Limits::default() };
        let ready = Box::new(|| Ok(()));
        let server = Server::new(routes, &Registry::new(), ready, limits).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(server.run(listener, stop.clone()));
        let listeners = service::listener::bind(any, 1, "proxy_addr").unwrap();
        let (tables, source) = crate::TableSource::of_nobody(count);
        let running = stop.clone();
        tokio::spawn(async move {
            let _tables = tables;
            proxy.run(listeners, source, running).await
        });
        Self { address, router, host, sentinels, _stop: stop.drop_guard() }
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, String) {
        let client = Client::new(self.address.to_string(), Duration::from_secs(10));
        let body = Bytes::copy_from_slice(body.as_bytes());
        let (status, body) = client.send(method, path, body).await.unwrap();
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(Method::GET, path, "").await
    }

    /// A call that changes something, with the right secret at the `*`.
    async fn put(&self, path: &str, body: &str) -> (u16, String) {
        self.ask(Method::PUT, &path.replace('*', XAUTH), body).await
    }

    /// One exchange as the bytes on the wire.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

fn refused(cause: &str) -> (u16, String) {
    (800, pretty(&RemoteError::new(cause)))
}

fn ok() -> (u16, String) {
    (200, "\"OK\"".to_owned())
}

fn json_of((status, body): (u16, String)) -> Value {
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

const MISSING: &str = "missing xauth, please check product name & auth";
const INVALID: &str = "invalid xauth, please check product name & auth";

#[tokio::test]
async fn every_route_of_both_lines_answers() {
    let api = Api::start();
    for path in [
        "/proxy",
        "/proxy/model",
        "/proxy/stats",
        "/proxy/slots",
        "/proxy/cmdinfo/1",
        "/api/proxy/model",
    ] {
        assert_eq!(api.get(path).await.0, 200, "{path}");
        let slash = format!("{path}/");
        assert_eq!(api.get(&slash).await.0, 200, "{slash}");
    }
    for path in ["xping/*", "stats/*", "stats/*/7", "slots/*", "cmdinfo/*/60"] {
        let path = format!("/api/proxy/{}", path.replace('*', XAUTH));
        assert_eq!(api.get(&path).await.0, 200, "{path}");
    }
    for path in [
        "start/*",
        "stats/reset/*",
        "forcegc/*",
        "loglevel/*/warn",
        "fillslots/*",
        "sentinels/*",
        "sentinels/*/rewatch",
    ] {
        let body = if path.starts_with("fill") { "[]" } else { "{}" };
        assert_eq!(api.put(&format!("/api/proxy/{path}"), body).await, ok(), "{path}");
    }
}

#[tokio::test]
async fn what_is_no_route_is_not_found_whatever_the_method() {
    let api = Api::start();
    for (method, path) in [
        (Method::GET, "/nosuch"),
        (Method::GET, "/debug/vars"),
        (Method::GET, "/debug/pprof/"),
        (Method::POST, "/proxy"),
        (Method::DELETE, "/api/proxy/model"),
        (Method::GET, "/api/proxy/xping"),
        (Method::PUT, "/api/proxy/xping/*"),
        (Method::GET, "/api/proxy/start/*"),
        (Method::POST, "/api/proxy/fillslots/*"),
    ] {
        let (status, body) = api.ask(method.clone(), &path.replace('*', XAUTH), "").await;
        assert_eq!((status, body.as_str()), (404, "404 page not found\n"), "{method} {path}");
    }
}

#[tokio::test]
async fn the_secret_is_asked_of_who_is_not_only_looking() {
    let api = Api::start();
    let wrong = "0123456789abcdef0123456789abcdef";
    for (method, path) in [
        (Method::GET, "xping/*"),
        (Method::GET, "stats/*"),
        (Method::GET, "stats/*/x"),
        (Method::GET, "slots/*"),
        (Method::GET, "cmdinfo/*/1"),
        (Method::PUT, "start/*"),
        (Method::PUT, "stats/reset/*"),
        (Method::PUT, "forcegc/*"),
        (Method::PUT, "shutdown/*"),
        (Method::PUT, "loglevel/*/nosuch"),
        (Method::PUT, "fillslots/*"),
        (Method::PUT, "sentinels/*"),
        (Method::PUT, "sentinels/*/rewatch"),
    ] {
        let path = format!("/api/proxy/{path}").replace('*', wrong);
        assert_eq!(api.ask(method, &path, "nonsense").await, refused(INVALID), "{path}");
    }
    assert_eq!(api.get("/api/proxy/xping/").await.0, 404);
    assert_eq!(api.get("/api/proxy/xping//").await, refused(MISSING));
    // As in any path, letters may be written by their numbers.
    let coded = format!("/api/proxy/xping/%66{}", &XAUTH[1..]);
    assert_eq!(api.get(&coded).await, ok());
    assert_eq!((api.router.phase(), *api.host.stopped.lock()), (Phase::Waiting, 0));
}

#[tokio::test]
async fn a_dashboard_fills_starts_and_stops_the_proxy() {
    let api = Api::start();
    let stats = json_of(api.get(&format!("/api/proxy/stats/{XAUTH}")).await);
    assert_eq!((&stats["online"], &stats["closed"]), (&json!(false), &json!(false)));
    let slots =
        r#"[{"id":579,"locked":true,"backend_addr":"127.0.0.1:1","backend_addr_group_id":1}]"#;
    assert_eq!(api.put("/api/proxy/fillslots/*", slots).await, ok());
    assert_eq!(api.put("/api/proxy/start/*", "").await, ok());
    assert_eq!(api.put("/api/proxy/start/*", "").await, ok());
    let stats = json_of(api.get(&format!("/api/proxy/stats/{XAUTH}")).await);
    assert_eq!(stats["online"], json!(true));
    let told = json_of(api.get(&format!("/api/proxy/slots/{XAUTH}")).await);
    assert_eq!(told.as_array().map(Vec::len), Some(1024));
    let want: Value = serde_json::from_str(slots).unwrap();
    assert_eq!(told[579], want[0]);
    assert_eq!(api.put("/api/proxy/shutdown/*", "").await, ok());
    assert_eq!(*api.host.stopped.lock(), 1);
    assert_eq!(api.put("/api/proxy/start/*", "").await, refused(CLOSED_PROXY));
    assert_eq!(api.get("/api/proxy/xping/bad").await, refused(CLOSED_PROXY));
    assert_eq!(api.get("/proxy/model").await.0, 200);
}

#[tokio::test]
async fn a_fill_that_makes_no_sense_changes_nothing_and_says_why() {
    let api = Api::start();
    let before = api.get("/proxy/slots").await;
    for (body, want) in [
        ("", "the body is no JSON array of slots"),
        (
            "[{\"id\":1,\"backend_addr\":\"a:1\"},null]",
            "element 1 of the slots: it must be an object",
        ),
        ("[{\"id\":1,\"backend_addr\":\"a:1\"},{\"id\":1024}]", "use of invalid slot id"),
        ("[{\"id\":1,\"forward_method\":9}]", "use of invalid forwarder method"),
        ("[{\"id\":1,\"backend_addr\":", "the body is no JSON array of slots"),
    ] {
        let (status, answer) = api.put("/api/proxy/fillslots/*", body).await;
        let cause = RemoteError::read(status, answer.as_bytes()).unwrap();
        assert!(cause.starts_with(want), "{body}: {cause}");
    }
    assert_eq!(api.get("/proxy/slots").await, before);
    let huge = format!("[{}]", " ".repeat(2 << 20));
    let (status, answer) = api.put("/api/proxy/fillslots/*", &huge).await;
    let cause = RemoteError::read(status, answer.as_bytes()).unwrap();
    assert_eq!(cause, "the body is larger than 1048576 bytes");
    const { assert!(BODY_BYTES_MAX >= 16 << 20) };
}

#[tokio::test]
async fn levels_flags_and_intervals_are_read() {
    let api = Api::start();
    for level in ["ERROR", "warn", "Warning", "info", "DEBUG", "none"] {
        assert_eq!(api.put(&format!("/api/proxy/loglevel/*/{level}"), "").await, ok());
    }
    use LogLevel::{Debug, Error, Info, None, Warn};
    assert_eq!(*api.host.levels.lock(), [Error, Warn, Warn, Info, Debug, None]);
    assert_eq!(api.put("/api/proxy/loglevel/*/loud", "").await, refused("invalid loglevel"));
    assert_eq!(api.put("/api/proxy/loglevel/*", "").await, refused("missing loglevel"));
    let flags = |flags: &str| format!("/api/proxy/stats/{XAUTH}/{flags}");
    let no_number = refused("strconv.ParseInt: parsing \"x\": invalid syntax");
    assert_eq!(api.get(&flags("x")).await, no_number);
    let parts = |stats: &Value| (stats["ops"].get("cmd").is_some(), stats.get("runtime").is_some());
    let _ = parts(&json_of(api.get(&flags("0")).await));
}

#[tokio::test]
async fn the_list_of_sentinels_is_handed_on() {
    let api = Api::start();
    let mut follower = api.sentinels.list().subscribe();
    let body = r#"{"servers":["10.0.0.1:26379"],"out_of_sync":true}"#;
    assert_eq!(api.put("/api/proxy/sentinels/*", body).await, ok());
    assert!(follower.has_changed().unwrap());
    assert_eq!(follower.borrow_and_update().servers, ["10.0.0.1:26379"]);
    let stats = json_of(api.get("/proxy/stats").await);
    assert_eq!(stats["sentinels"], json!({"servers": ["10.0.0.1:26379"]}));
    assert_eq!(api.put("/api/proxy/sentinels/*/rewatch", "").await, ok());
    assert!(follower.has_changed().unwrap());
    assert_eq!(follower.borrow_and_update().servers, ["10.0.0.1:26379"]);
    assert_eq!(api.put("/api/proxy/sentinels/*", "[").await.0, 800);
    assert!(!follower.has_changed().unwrap());
}

#[tokio::test]
async fn the_overview_shows_everything_but_secrets() {
    let api = Api::with(
        "max_slot_num = 16\njodis_name = \"zk\"\njodis_addr = \"z:1\"\njodis_auth = \"u:hidden\"\n",
    );
    let (_, text) = api.get("/proxy").await;
    assert!(!text.contains("secret") && !text.contains("u:hidden"), "{text}");
    let overview: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(overview["config"]["backend_recv_timeout"], json!("30s"));
    assert_eq!(overview["model"]["token"], json!(TOKEN));
    assert_eq!(overview["slots"].as_array().map(Vec::len), Some(16));
    assert_eq!(overview["stats"]["online"], json!(false));
    assert!(overview["version"].is_string() && overview["compile"].is_string());
}

#[tokio::test]
async fn answers_look_as_codis_answers() {
    let api = Api::start();
    let get = api.raw("GET /api/proxy/xping/x HTTP/1.1\r\nHost: p\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n").await;
    assert!(get.starts_with("HTTP/1.1 800 "), "{get}");
    assert!(get.contains("content-type: application/json; charset=utf-8\r\n"), "{get}");
    assert!(get.ends_with("\r\n\r\n{\n    \"Cause\": \"invalid xauth, please check product name \\u0026 auth\",\n    \"Stack\": null\n}"), "{get}");
    let head = api.raw("HEAD /proxy/model HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let home = api.raw("GET / HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n").await;
    assert!(home.starts_with("HTTP/1.1 302 ") && home.contains("location: /proxy\r\n"), "{home}");
}

#[test]
fn the_log_does_not_tell_the_secret() {
    let path = format!("/api/proxy/loglevel/{XAUTH}/warn");
    assert_eq!(hidden(&path), "/api/proxy/loglevel/…/warn");
    assert_eq!(hidden("/api/proxy/start/abc"), "/api/proxy/start/abc");
}
