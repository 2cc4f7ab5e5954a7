//! The dashboard's own HTTP API, as far as proxies and our tools ask it: who it is, what the product is like, and online-proxy.

use super::{Dashboard, Red};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The listener; it ends with this.
#[derive(Debug)]
pub struct Server {
    /// Where it is.
    pub addr: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// What the last poll found, for `/topom`.
    pub found: Arc<Mutex<Red>>,
}

impl Server {
    /// Serves a dashboard at a port of its own.
    pub fn start(dashboard: &Arc<Dashboard>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let (stop, found) =
            (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Red::default())));
        let parts = (Arc::clone(dashboard), Arc::clone(&stop), Arc::clone(&found), addr.clone());
        let thread = std::thread::spawn(move || {
            let (dashboard, stop, found, addr) = parts;
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let parts = (Arc::clone(&dashboard), Arc::clone(&found), addr.clone());
                std::thread::spawn(move || answer(stream.unwrap(), &parts.0, &parts.1, &parts.2));
            }
        });
        Self { addr, stop, thread: Some(thread), found }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.addr);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream, dashboard: &Dashboard, found: &Mutex<Red>, addr: &str) {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let mut length = 0;
    let mut header = String::new();
    while reader.read_line(&mut header).is_ok_and(|n| n > 2) {
        if let Some(told) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().unwrap_or(0);
        }
        header.clear();
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match page(dashboard, found, addr, path, &body) {
        Ok(body) => (200, body),
        Err(why) => (800, json!({"Cause": why, "Stack": null})),
    };
    let body = codis::json::pretty(&body);
    let head = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + &body).as_bytes());
}

fn page(
    dashboard: &Dashboard,
    found: &Mutex<Red>,
    addr: &str,
    path: &str,
    body: &[u8],
) -> Result<Json, String> {
    let xauth = codis::identity::dashboard_xauth(&dashboard.settings.product);
    let online = format!("/api/topom/proxy/online/{xauth}/");
    let path = path.trim_end_matches('/');
    match path {
        "/api/topom/model" | "/topom/model" => Ok(model(dashboard, addr)),
        "/topom" => Ok(json!({
            "version": "script", "compile": "script", "config": config(dashboard),
            "model": model(dashboard, addr), "stats": stats(dashboard, &found.lock().unwrap()),
        })),
        "/topom/stats" => Ok(stats(dashboard, &found.lock().unwrap())),
        _ if path == format!("/api/topom/slots/assign/{xauth}") => {
            let slots = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            dashboard.assign_slots(slots).map(|()| json!("OK"))
        }
        path => match path.strip_prefix(&online) {
            Some(proxy) => dashboard.online_proxy(proxy).map(|_| json!("OK")),
            None => Err(format!("{path} is not scripted")),
        },
    }
}

fn model(dashboard: &Dashboard, addr: &str) -> Json {
    json!({"token": "script", "start_time": "", "admin_addr": addr, "product_name": dashboard.settings.product,
        "pid": std::process::id(), "pwd": "/", "sys": ""})
}

fn config(dashboard: &Dashboard) -> Json {
    let method = match dashboard.settings.method {
        codis::model::ForwardMethod::SemiAsync => "semi-async",
        _ => "sync",
    };
    json!({"coordinator_name": "filesystem", "coordinator_addr": "/nowhere", "product_name": dashboard.settings.product,
        "migration_method": method, "migration_parallel_slots": dashboard.settings.parallel,
        "max_slot_num": dashboard.settings.slots})
}

/// The state of the product; a proxy's statistics are as last polled, asked for now if nobody polls.
fn stats(dashboard: &Dashboard, found: &Red) -> Json {
    let records = dashboard.store.records().clone();
    let polled = |token: &String| {
        let now = || dashboard.stats(&records.proxies[token]);
        match found.last.get(token).cloned().unwrap_or_else(now) {
            Ok(stats) => json!({"stats": stats, "unixtime": 1}),
            Err(why) => json!({"error": {"Cause": why, "Stack": null}, "unixtime": 1}),
        }
    };
    let proxies: serde_json::Map<String, Json> =
        records.proxies.keys().map(|token| (token.clone(), polled(token))).collect();
    let slots: Vec<_> = (0..dashboard.settings.slots).map(|id| records.slot(id)).collect();
    let groups: Vec<_> = records.groups.values().collect();
    let models: Vec<_> = records.proxies.values().collect();
    json!({"closed": false, "slots": slots, "group": {"models": groups, "stats": {}},
        "proxy": {"models": models, "stats": proxies},
        "slot_action": {"interval": 0, "disabled": false, "progress": {"status": ""}, "executor": 0}})
}
