//! A real Prometheus that watches the processes of a test, with the configuration and the rules of the repository.

use super::board::{Panel, Query};
use super::query;
use harness::process::free_port;
use harness::{Process, eventually};
use serde_json::Value as Json;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much of the past a panel shows, in seconds.
const SHOWN_SECONDS: u64 = 60;

pub(super) struct Watcher {
    addr: String,
    _process: Process,
}

impl Watcher {
    /// Starts it, and waits until it has seen all of these admin addresses, by role.
    pub(super) fn start(directory: &Path, admins: &[(&str, Vec<&String>)]) -> Self {
        let directory = directory.join("prometheus");
        fs::create_dir_all(directory.join("targets")).unwrap();
        // Once a second, and without the process that `slipway up` would be.
        let config =
            super::read("dashboards/prometheus.yaml").replace("[\"127.0.0.1:11080\"]", "[]");
        let config =
            config.replace("interval: 5s", "interval: 1s").replace("timeout: 4s", "timeout: 1s");
        fs::write(directory.join("prometheus.yaml"), config).unwrap();
        fs::write(directory.join("alerts.yaml"), super::read("dashboards/alerts.yaml")).unwrap();
        for (role, addrs) in admins {
            fs::write(
                directory.join(format!("targets/{role}.yaml")),
                format!("- targets: {addrs:?}\n"),
            )
            .unwrap();
        }
        let addr = format!("127.0.0.1:{}", free_port());
        let (config, data) = (directory.join("prometheus.yaml"), directory.join("data"));
        let args = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", data.display()),
            format!("--web.listen-address={addr}"),
        ];
        let args = args.each_ref().map(String::as_str);
        let mut process = Process::new("prometheus", "prometheus".into(), &args, &directory);
        process.start("");
        let watcher = Self { addr, _process: process };
        let wanted = admins.iter().map(|(_, addrs)| addrs.len()).sum::<usize>() as f64;
        eventually("Prometheus has scraped everything", Duration::from_secs(60), || {
            let up = watcher.ask("/api/v1/query?query=sum(up)")?["result"][0]["value"][1]
                .as_str()
                .map(str::to_owned);
            if up.as_deref().and_then(|up| up.parse().ok()) == Some(wanted) {
                Ok(())
            } else {
                Err(format!("up: {up:?}"))
            }
        });
        watcher
    }

    /// GETs an answer of its API.
    fn ask(&self, path: &str) -> Result<Json, String> {
        let mut stream = TcpStream::connect(&self.addr).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(|e| e.to_string())?;
        // HTTP/1.0: the answer comes in one piece.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.addr);
        stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(|e| e.to_string())?;
        let (_, body) = text.split_once("\r\n\r\n").ok_or("no whole answer")?;
        let answer: Json = serde_json::from_str(body).map_err(|e| format!("{e} in {text}"))?;
        if answer["status"] == "success" {
            Ok(answer["data"].clone())
        } else {
            Err(answer["error"].to_string())
        }
    }

    /// The value of an expression that has one.
    pub(super) fn value(&self, expr: &str) -> Option<f64> {
        let data = self
            .ask(&format!("/api/v1/query?query={}", encoded(expr)))
            .unwrap_or_else(|e| panic!("{expr}: {e}"));
        let result = data["result"].as_array().unwrap();
        assert!(result.len() <= 1, "{expr} has more than one value: {data}");
        result.first()?["value"][1].as_str()?.parse().ok()
    }

    /// Alerts that fire or are about to: name, state and labels.
    pub(super) fn alerts(&self) -> Vec<String> {
        let data = self.ask("/api/v1/alerts").unwrap();
        let alerts = data["alerts"].as_array().unwrap().iter();
        let word = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        alerts
            .map(|a| {
                format!("{} {} {}", word(&a["labels"]["alertname"]), word(&a["state"]), a["labels"])
            })
            .collect()
    }

    /// The numbers a query gives, and the labels of the series.
    fn shown(&self, query: &Query) -> Result<Vec<(Json, Vec<f64>)>, String> {
        let expr = query::expand(&query.expr);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (from, expr) = (now - SHOWN_SECONDS, encoded(&expr));
        let data =
            self.ask(&format!("/api/v1/query_range?query={expr}&start={from}&end={now}&step=1"))?;
        let series = data["result"].as_array().ok_or("no result")?.iter().map(|series| {
            let values = series["values"].as_array().into_iter().flatten();
            let numbers = values
                .filter_map(|pair| pair[1].as_str()?.parse::<f64>().ok())
                .filter(|n| !n.is_nan());
            (series["metric"].clone(), numbers.collect())
        });
        Ok(series.collect())
    }

    /// What a viewer would miss in a panel, if anything.
    pub(super) fn fault_of(&self, panel: &Panel) -> Option<String> {
        panel.queries.iter().find_map(|query| {
            let fault = |what: &str| Some(format!("{}: {what}: {}", panel.title, query.expr));
            let series = match self.shown(query) {
                Ok(series) => series,
                Err(error) => return fault(&error),
            };
            if series.iter().all(|(_, numbers)| numbers.is_empty()) {
                return fault("empty");
            }
            // A label that the series do not have would leave a hole in the legend; constants put in for quiet times have none at all.
            let mut labelled = series
                .iter()
                .filter(|(labels, _)| labels.as_object().is_some_and(|l| !l.is_empty()));
            let lacks = |label: &str| labelled.clone().all(|(labels, _)| labels[label].is_null());
            let legend = query.legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
            let missing: Vec<_> =
                legend.map(|(label, _)| label).filter(|label| lacks(label)).collect();
            if labelled.next().is_some() && !missing.is_empty() {
                return fault(&format!("its legend names {missing:?}, which no series has"));
            }
            None
        })
    }

    /// The highest number a panel shows.
    pub(super) fn highest(&self, panel: &Panel) -> Option<f64> {
        let series = panel.queries.iter().flat_map(|query| self.shown(query).unwrap_or_default());
        series.flat_map(|(_, numbers)| numbers).max_by(f64::total_cmp)
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    encoded
}
