use super::*;
use bytes::Bytes;
use prometheus::{IntCounter, Registry};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(20);

/// A server on a port of its own.
struct Live {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl Live {
    fn start(limits: Limits) -> Self {
        Self::serve(routes(), limits)
    }

    fn serve(routes: Routes, limits: Limits) -> Self {
        let listener = crate::listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1, "--admin")
            .unwrap()
            .remove(0);
        let address = listener.local_addr().unwrap();
        let registry = Registry::new();
        registry
            .register(Box::new(IntCounter::new("slipway_test_total", "For this test.").unwrap()))
            .unwrap();
        let ready = Arc::new(AtomicBool::new(false));
        let is_ready = Arc::clone(&ready);
        let readiness: Readiness = Box::new(move || {
            if is_ready.load(Ordering::SeqCst) {
                Ok(())
            } else {
                Err("no slot table yet".to_owned())
            }
        });
        let server = Server::new(routes, &registry, readiness, limits).unwrap();
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let ended = tokio::spawn(async move { server.run(listener, stopping).await.unwrap() });
        Self { address, ready, stop, ended }
    }

    fn client(&self) -> Client {
        Client::new(self.address.to_string(), SOON)
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, body) = self.client().send(Method::GET, path, Bytes::new()).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// How often a limit has bitten.
    async fn refused(&self, reason: &str) -> u64 {
        let (_, text) = self.get("/metrics").await;
        let name = format!("slipway_http_refused_total{{reason=\"{reason}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }

    /// Waits until a limit has bitten.
    async fn until_refused(&self, reason: &str) {
        let wait = async {
            while self.refused(reason).await == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, wait).await.unwrap();
    }
}

/// Counts the long polls that are under way.
static POLLS: AtomicUsize = AtomicUsize::new(0);

fn routes() -> Routes {
    Routes::new()
        .get("/slots/{slot}", |request| async move {
            Response::json(&json!({ "slot": request.parameter("slot"), "verbose": request.query("verbose"), "name": request.query("n") }))
        })
        .post("/sum", |request| async move {
            let numbers: Vec<i64> = request.json()?;
            Ok::<_, Response>(Response::json(&numbers.iter().sum::<i64>()))
        })
        .on(Method::PUT, "/sum", |_| async { Response::error(StatusCode::CONFLICT, "the sum is what it is") })
        .get("/poll", |_| async {
            POLLS.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(300)).await;
            Response::text("news\n")
        })
        .get("/never", |_| std::future::pending::<Response>())
        .get("/big", |_| async { Response::text(vec![b'x'; 32 << 20]) })
}

/// Everything the server says until it closes.
async fn all_of(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset after the last byte is a close too: the server had bytes of ours it did not want.
    let _ = timeout(SOON, stream.read_to_end(&mut text)).await.unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn routes_get_their_parameters_query_and_body() {
    let live = Live::start(Limits::default());
    let client = live.client();
    let slot: Value = client.get("/slots/a%2Fb+c?verbose=1&n=x+y%21&n=2").await.unwrap();
    assert_eq!(slot, json!({ "slot": "a/b+c", "verbose": "1", "name": "x y!" }));
    let sum: i64 = client.post("/sum", &[1, 2, 39]).await.unwrap();
    assert_eq!(sum, 42);
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    let live = Live::start(Limits::default());
    let (status, text) = live.get("/slot/1").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(text.contains("there is no /slot/1; there are GET /slots/{slot}, POST /sum"), "{text}");
    let (status, text) = live.get("/sum").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(text, r#"{"error":"/sum takes POST, PUT, not GET"}"#);
    for path in ["/slots/", "/slots/1/2", "/livez/", "//livez"] {
        assert_eq!(live.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn who_takes_gzip_gets_large_answers_compressed() {
    let live = Live::start(Limits::default());
    let ask = async |path: &str, coding: &str| {
        let mut stream = live.socket().await;
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\naccept-encoding: {coding}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        (String::from_utf8(answer[..end].to_vec()).unwrap(), answer.split_off(end))
    };
    for coding in ["gzip", "br, gzip;q=0.5", "*"] {
        let (head, body) = ask("/big", coding).await;
        assert!(head.contains("content-encoding: gzip\r\nvary: Accept-Encoding\r\n"), "{head}");
        let mut plain = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(&body[..]), &mut plain).unwrap();
        assert!(plain == vec![b'x'; 32 << 20]);
    }
    for (path, coding) in [("/big", "gzip;q=0"), ("/big", "deflate"), ("/livez", "gzip")] {
        assert!(!ask(path, coding).await.0.contains("content-encoding"), "{path} {coding}");
    }
}

#[tokio::test]
async fn one_handler_may_have_all_the_rest_and_its_own_way_to_refuse() {
    let routes = Routes::new()
        .get("/known", |_| async { Response::text("known") })
        .refused_by(|status, message| Response::text(message).with_status(status))
        .otherwise(|request| async move {
            let is_local = request.peer.is_some_and(|peer| peer.ip().is_loopback());
            let told = request.header("content-type").unwrap_or_default();
            Response::text(format!("{} {:?} {is_local} {told}", request.method, request.parts()))
        });
    let live = Live::serve(routes, Limits { body_bytes: 10, ..Limits::default() });
    assert_eq!(live.get("/known").await.1, "known");
    assert_eq!(live.get("/livez").await.1, "ok\n");
    let all = live.get("/a%2Fb//c/").await.1;
    assert_eq!(all, "GET [\"a/b\", \"\", \"c\"] true application/json");
    assert_eq!(live.get("/").await.1, "GET [] true application/json");
    let put = async |body: &'static [u8]| {
        let answer = live.client().send(Method::PUT, "/known", body.into()).await;
        String::from_utf8(answer.unwrap().1.to_vec()).unwrap()
    };
    assert_eq!(put(b"").await, "PUT [\"known\"] true application/json");
    assert_eq!(put(&[b'x'; 11]).await, "the body is larger than 10 bytes");
}

#[tokio::test]
async fn errors_reach_the_client_as_they_were_written() {
    let live = Live::start(Limits::default());
    let error = live.client().post::<Value>("/sum", &"three").await.unwrap_err();
    let ClientError::Refused { status, message } = error else { panic!("{error:?}") };
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        message.starts_with("the body is not the JSON that was expected: invalid type"),
        "{message}"
    );
    let (status, body) = live.client().send(Method::PUT, "/sum", Bytes::new()).await.unwrap();
    assert_eq!(
        (status, &body[..]),
        (StatusCode::CONFLICT, &br#"{"error":"the sum is what it is"}"#[..])
    );
}

#[tokio::test]
async fn health_and_metrics_are_there_without_being_asked_for() {
    let live = Live::start(Limits::default());
    assert_eq!(live.get("/livez").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(
        live.get("/readyz").await,
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: no slot table yet\n".to_owned())
    );
    live.ready.store(true, Ordering::SeqCst);
    assert_eq!(live.get("/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    let (_, metrics) = live.get("/metrics").await;
    for line in [
        "slipway_test_total 0",
        "slipway_http_requests_total{code=\"503\"} 1",
        "slipway_http_refused_total{reason=\"body_bytes\"} 0",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    let mut socket = live.socket().await;
    socket
        .write_all(b"HEAD /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let text = all_of(&mut socket).await;
    assert!(text.starts_with("HTTP/1.1 200 OK") && !text.ends_with("ok\n"), "{text}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let live = Live::start(Limits { body_bytes: 1 << 20, ..Limits::default() });
    let mut socket = live.socket().await;
    socket
        .write_all(b"POST /sum HTTP/1.1\r\nhost: x\r\ncontent-length: 104857600\r\n\r\n")
        .await
        .unwrap();
    let text = all_of(&mut socket).await;
    assert!(
        text.starts_with("HTTP/1.1 413") && text.contains("the body is larger than 1048576 bytes"),
        "{text}"
    );
    assert_eq!(live.refused("body_bytes").await, 1);
}

#[tokio::test]
async fn a_hundred_megabytes_without_a_declared_length_are_cut_off() {
    let live = Live::start(Limits { body_bytes: 1 << 20, ..Limits::default() });
    let mut socket = live.socket().await;
    socket
        .write_all(b"POST /sum HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = [b"100000\r\n", &vec![b'1'; 1 << 20][..], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 100 && timeout(SOON, socket.write_all(&chunk)).await.unwrap().is_ok() {
        sent += 1;
    }
    assert!(sent < 100, "the server read all of it");
    assert_eq!(live.refused("body_bytes").await, 1);
}

#[tokio::test]
async fn garbage_is_answered_400_or_closed_and_the_server_lives() {
    let live = Live::start(Limits::default());
    for garbage in [
        &b"\x00\xff\xfe\x80\r\n\r\n"[..],
        b"*1\r\n$4\r\nPING\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: -1\r\nhost: x\r\n\r\n",
        b"POST /sum HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        &vec![b'A'; 100_000],
    ] {
        let mut socket = live.socket().await;
        let _ = socket.write_all(garbage).await;
        let text = all_of(&mut socket).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    assert_eq!(live.get("/livez").await.0, StatusCode::OK);
    live.until_refused("protocol").await;
}

#[tokio::test]
async fn a_header_that_never_ends_is_closed_in_time() {
    let live = Live::start(Limits { header_time: Duration::from_millis(200), ..Limits::default() });
    let mut loris = live.socket().await;
    let begun = Instant::now();
    loris.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    while loris.write_all(b"x: y\r\n").await.is_ok() && begun.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() < SOON, "still open");
    live.until_refused("protocol").await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_answered_408_in_time() {
    let live = Live::start(Limits { body_time: Duration::from_millis(200), ..Limits::default() });
    let mut socket = live.socket().await;
    socket
        .write_all(b"POST /sum HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n[1")
        .await
        .unwrap();
    let text = all_of(&mut socket).await;
    assert!(
        text.starts_with("HTTP/1.1 408") && text.contains("did not arrive within 200ms"),
        "{text}"
    );
    assert_eq!(live.refused("body_time").await, 1);
}

#[tokio::test]
async fn a_handler_that_never_answers_is_answered_for() {
    let live = Live::start(Limits { answer_time: Duration::from_millis(200), ..Limits::default() });
    let (status, text) = live.get("/never").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("no answer within 200ms"), "{text}");
    assert_eq!(live.refused("answer_time").await, 1);
}

#[tokio::test]
async fn a_client_that_takes_no_byte_of_its_answer_is_dropped() {
    let live = Live::start(Limits {
        write_time: Duration::from_millis(500),
        connections: 2,
        ..Limits::default()
    });
    let mut deaf = live.socket().await;
    deaf.write_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    live.until_refused("protocol").await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let live = Live::start(Limits { connections: 2, ..Limits::default() });
    let mut first = live.socket().await;
    let mut second = live.socket().await;
    for socket in [&mut first, &mut second] {
        socket.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut byte = [0];
        socket.read_exact(&mut byte).await.unwrap();
    }
    let mut third = live.socket().await;
    let text = all_of(&mut third).await;
    assert!(
        text.starts_with("HTTP/1.1 503") && text.contains("all 2 admin connections are in use"),
        "{text}"
    );
    drop(first);
    live.until_refused("connections").await;
    second.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert_eq!(all_of(&mut second).await.matches("ok\n").count(), 2);
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_bounds_what_does_not_end() {
    let live = Live::start(Limits { drain_time: Duration::from_secs(2), ..Limits::default() });
    let _idle = live.socket().await;
    let client = live.client();
    let before = POLLS.load(Ordering::SeqCst);
    let poll = tokio::spawn(async move { client.send(Method::GET, "/poll", Bytes::new()).await });
    let client = live.client();
    let never = tokio::spawn(async move { client.send(Method::GET, "/never", Bytes::new()).await });
    while POLLS.load(Ordering::SeqCst) == before {
        tokio::task::yield_now().await;
    }
    live.stop.cancel();
    timeout(SOON, live.ended).await.unwrap().unwrap();
    assert_eq!(poll.await.unwrap().unwrap().0, StatusCode::OK);
    assert!(matches!(
        never.await.unwrap(),
        Err(ClientError::Unanswered { .. } | ClientError::Unreachable { .. })
    ));
    let gone =
        Client::new(live.address.to_string(), SOON).get::<Value>("/livez").await.unwrap_err();
    assert!(gone.to_string().ends_with("is slipway running there?"), "{gone}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_connections_that_ask_nothing() {
    let live = Live::start(Limits { drain_time: Duration::from_hours(1), ..Limits::default() });
    let mut idle = live.socket().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    live.stop.cancel();
    timeout(SOON, live.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_is_silent_or_no_server_of_ours_is_told_apart() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(silent.local_addr().unwrap().to_string(), Duration::from_millis(200));
    let error = client.get::<Value>("/").await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Unanswered { reason, .. } if reason == "no answer within 200ms"),
        "{error}"
    );
    let live = Live::start(Limits::default());
    let error = live.client().get::<Value>("/livez").await.unwrap_err();
    assert!(matches!(error, ClientError::Foreign { .. }), "{error}");
    let error =
        live.client().within(Duration::from_millis(50)).get::<Value>("/poll").await.unwrap_err();
    assert!(matches!(error, ClientError::Unanswered { .. }), "{error}");
}
