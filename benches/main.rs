//! What a request costs: CPU time of the proxy and of the node, beside redis-server in the same run.
//!
//! Every case is sent by Debian's redis-benchmark to each server in turn, round after round, so that whatever else the machine does meets all
//! of them alike. What counts is the CPU time of the server's processes for each request; the requests per second are the ceiling of this
//! machine, which client and servers share.

mod case;
mod cost;
mod report;
mod server;

use anyhow::{Context, Result, bail};
use case::Case;
use clap::Parser;
use cost::Cost;
use report::Report;
use server::Server;
use std::path::PathBuf;
use std::process::Command;

/// CPU per request of proxy and node beside redis-server.
#[derive(Debug, Parser)]
struct Args {
    /// How many times each case is sent to each server; the median is shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only cases whose name contains this
    #[arg(long, default_value = "")]
    case: String,
    /// Connections of the load
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// How long one run takes, about, in milliseconds
    #[arg(long, default_value_t = 1000)]
    millis: u64,
    /// Where the numbers are written too, as JSON
    #[arg(long, default_value = "target/bench/cpu.json")]
    json: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let cases: Vec<_> =
        case::all().into_iter().filter(|case| case.name.contains(&args.case)).collect();
    if cases.is_empty() || args.rounds == 0 {
        bail!("nothing to measure: the cases are {}", case::names());
    }
    let mut servers = server::start_all()?;
    let mut report = Report::default();
    for case in &cases {
        for server in &mut servers {
            prepare(case, server)?;
        }
        for _ in 0..args.rounds {
            for server in &servers {
                report.add(&case.name, server.name, run(&args, case, server)?);
            }
        }
        report.show_case(&mut std::io::stdout(), &case.name)?;
    }
    report.write(&args.json)?;
    Report::show_end(&mut std::io::stdout(), &args.json)?;
    Ok(())
}

/// Writes what the case reads, so that it finds all its keys.
fn prepare(case: &Case, server: &Server) -> Result<()> {
    for fill in &case.fill {
        load(server, fill, 16, 16, case::KEYS * 4)?;
    }
    Ok(())
}

/// Sends one case to one server once.
fn run(args: &Args, case: &Case, server: &Server) -> Result<Cost> {
    let requests = case.requests(args.millis);
    let before = server.cpu()?;
    let seconds = load(server, &case.words, args.clients, case.pipeline, requests)?;
    Ok(server.cpu()?.since(&before).per_request(requests, seconds))
}

/// Runs redis-benchmark; returns how many seconds the requests took.
fn load(
    server: &Server,
    words: &[String],
    clients: usize,
    pipeline: u64,
    requests: u64,
) -> Result<f64> {
    let [host, port] = server.addr();
    // Without an answer it would wait for ever.
    let mut command = Command::new("timeout");
    command.args(["120", "redis-benchmark"]);
    command.args(["-h", &host, "-p", &port, "--csv", "-c", &clients.to_string()]);
    command.args(["-P", &pipeline.to_string(), "-n", &requests.to_string()]);
    command.args(["-r", &case::KEYS.to_string()]).args(words);
    let output =
        command.output().context("redis-benchmark does not start: `make setup` installs it")?;
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The second column of the last line: requests per second.
    let rate = out.lines().last().and_then(|line| line.rsplit("\",\"").nth(6)?.parse::<f64>().ok());
    match rate {
        Some(rate)
            if output.status.success() && !err.contains("Error") && !out.contains("Error") =>
        {
            Ok(requests as f64 / rate)
        }
        _ => bail!("{} with {words:?}: redis-benchmark says {out} {err}", server.name),
    }
}
