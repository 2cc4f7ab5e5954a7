//! Every route of the admin API, and the replies of the contract's vectors.

use codis::identity::proxy_xauth;
use codis::model::{CmdInfo, Model, Stats};
use harness::http::ask;
use harness::product::{Kind, Parts, Product, Proxy};
use protocol::frame::Value;
use serde_json::Value as Json;
use tempfile::TempDir;

#[test]
fn every_route_answers_as_codis_proxy() {
    let product = Product::start(Parts { kind: Kind::Redis, ..Parts::default() });
    let (admin, model) = (&product.proxies[0].admin, &product.models[0]);
    let xauth = proxy_xauth("codis-demo", "", &model.token);
    let get = |path: &str| json(admin, &format!("GET {path}"));
    for path in ["/proxy/model", "/api/proxy/model", "/api/proxy/model/"] {
        let found: Model = serde_json::from_value(get(path)).unwrap();
        assert_eq!((&found.token, &found.admin_addr), (&model.token, admin));
    }
    for path in [
        "/proxy/stats".to_owned(),
        format!("/api/proxy/stats/{xauth}"),
        format!("/api/proxy/stats/{xauth}/7"),
    ] {
        let found: Stats = serde_json::from_value(get(&path)).unwrap();
        assert!(found.online && !found.closed, "{path}");
    }
    for path in ["/proxy/cmdinfo/1".to_owned(), format!("/api/proxy/cmdinfo/{xauth}/60")] {
        serde_json::from_value::<CmdInfo>(get(&path)).unwrap();
    }
    for path in ["/proxy/slots".to_owned(), format!("/api/proxy/slots/{xauth}")] {
        assert_eq!(get(&path).as_array().unwrap().len(), 1024, "{path}");
    }
    let overview = get("/proxy");
    for part in ["version", "compile", "config", "model", "stats", "slots"] {
        assert!(!overview[part].is_null(), "{part}");
    }
    assert!(overview["config"]["product_auth"].is_null());
    for (method, what) in [
        ("GET", "xping/X"),
        ("PUT", "start/X"),
        ("PUT", "stats/reset/X"),
        ("PUT", "forcegc/X"),
        ("PUT", "loglevel/X/warn"),
        ("PUT", "sentinels/X/rewatch"),
    ] {
        let path = what.replace('X', &xauth);
        assert_eq!(json(admin, &format!("{method} /api/proxy/{path}")), "OK", "{what}");
    }
    assert_eq!(ask(admin, "GET /", b"").unwrap().0, 302);
    for missing in ["GET /debug/vars", "GET /nowhere", "PUT /proxy", "POST /api/proxy/model"] {
        assert_eq!(ask(admin, missing, b"").unwrap().0, 404, "{missing}");
    }
}

fn json(admin: &str, head: &str) -> Json {
    let (status, answer) = ask(admin, head, b"").unwrap();
    assert_eq!(status, 200, "{head}: {answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn refusals_have_status_800_and_the_texts_of_codis() {
    let product = Product::start(Parts { kind: Kind::Redis, ..Parts::default() });
    let (admin, model) = (&product.proxies[0].admin, &product.models[0]);
    let xauth = proxy_xauth("codis-demo", "", &model.token);
    for (head, body, cause) in [
        ("GET xping/0123", "", "invalid xauth, please check product name & auth"),
        ("PUT fillslots/0123", "[]", "invalid xauth, please check product name & auth"),
        ("PUT fillslots/X", "[{\"id\":1024}]", "use of invalid slot id"),
        ("PUT fillslots/X", "[{\"id\":1,\"forward_method\":7}]", "use of invalid forwarder method"),
        ("PUT loglevel/X/loud", "", "invalid loglevel"),
        ("PUT fillslots/X", "[null]", ""),
        ("PUT fillslots/X", "[{\"id\":1", ""),
        ("PUT sentinels/X", "[", ""),
        ("GET stats/X/many", "", ""),
    ] {
        let (method, path) = head.split_once(' ').unwrap();
        let path = path.replace('X', &xauth);
        let (status, answer) =
            ask(admin, &format!("{method} /api/proxy/{path}"), body.as_bytes()).unwrap();
        let error: Json = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(status, 800, "{head} {body}: {answer}");
        let said = error["Cause"].as_str().unwrap();
        assert!(
            if cause.is_empty() { !said.is_empty() } else { said == cause },
            "{head} {body}: {said}"
        );
    }
    assert_eq!(product.dashboard.slots_of(model).unwrap()[1].backend_addr, product.servers[0].addr);
}

#[test]
fn replies_are_those_of_the_contract() {
    let more = "backend_number_databases = 16";
    let product = Product::start(Parts { kind: Kind::Redis, proxy: more, ..Parts::default() });
    product.dashboard.assign(289..=289, 0).unwrap();
    let long = "x".repeat(65);
    let server = &product.servers[0].addr;
    for (words, want) in [
        ("AUTH x", "-ERR Client sent AUTH, but no password is set"),
        ("SELECT 16", "-ERR invalid DB index, only accept DB [0,16)"),
        ("SELECT a", "-ERR invalid DB index"),
        ("GET foo", "-ERR handle request, slot is not ready, may be offline"),
        ("MGET", "-ERR wrong number of arguments for 'MGET' command"),
        ("MSET a", "-ERR wrong number of arguments for 'MSET' command"),
        ("SLOTSMAPPING 1024", "-ERR parse slotnum '1024' failed, out of range"),
        (long.as_str(), "-ERR handle request, bad command length, too short or too long"),
        (
            "SLOTSMGRT-EXEC-WRAPPER a GET a",
            "-ERR handle request, command 'SLOTSMGRT-EXEC-WRAPPER' is not allowed",
        ),
        ("sLaVeOf NO ONE", "-ERR handle request, command 'SLAVEOF' is not allowed"),
        ("PCONFIG GET nosuch", "-unsupported key: nosuch"),
    ] {
        let reply = product.proxies[0].client().command(words).unwrap();
        assert_eq!(text(&reply), want, "{words}");
    }
    let reply = product.proxies[0].client().command("SLOTSMAPPING 579").unwrap();
    let Value::Array(four) = reply else { panic!("{reply:?}") };
    assert_eq!(four[..3].iter().map(text).collect::<Vec<_>>(), ["579", server, ""]);
    assert_eq!(four[3], Value::Null);
}

fn text(value: &Value) -> String {
    match value {
        Value::Error(why) => format!("-{why}"),
        other => other.as_str().map_or_else(|| format!("{other:?}"), str::to_owned),
    }
}

#[test]
fn passwords_are_asked_for_as_codis_asks() {
    let more = "session_auth = \"secret\"";
    let product = Product::start(Parts { kind: Kind::Redis, proxy: more, ..Parts::default() });
    let mut client = product.proxies[0].client();
    for (words, want) in [
        ("GET k", "-NOAUTH Authentication required"),
        ("AUTH wrong", "-ERR invalid password"),
        ("GET k", "-NOAUTH Authentication required"),
        ("AUTH secret", "OK"),
        ("SET k 1", "OK"),
    ] {
        assert_eq!(text(&client.command(words).unwrap()), want, "{words}");
    }
}

#[test]
fn before_it_is_started_clients_are_told_so() {
    let directory = TempDir::new().unwrap();
    let proxy = Proxy::start("proxy", directory.path(), "", &[]);
    let reply = proxy.client().command("GET a").unwrap();
    assert_eq!(text(&reply), "-ERR router is not online");
}
