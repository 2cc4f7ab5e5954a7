//! `slipway load`: puts an open-loop load on a server and checks every reply and the final state of every key.
//!
//! It trusts nothing of the server: it has its own reader of the protocol and its own model of the commands. It decides nothing about
//! slots but which keys to use. Every client owns its keys, so each reply is known beforehand; where the fate of a write is unknown, all
//! states that are possible are kept until a reply tells.

mod args;
mod author;
mod belief;
mod client;
mod expect;
mod inquest;
mod ledger;
mod link;
mod mix;
mod model;
mod op;
mod pace;
mod reply;
mod report;
mod run;
mod schedule;
mod server;
mod tally;

#[cfg(test)]
mod tests;

pub(crate) use args::LoadArgs;

use args::Plan;
use link::Refusal;
use report::Report;
use std::io::Write;
use std::process::ExitCode;

/// Something was wrong.
const WRONG: u8 = 1;
/// The flags make no sense.
const USAGE: u8 = 2;
/// The server cannot be reached.
const UNREACHABLE: u8 = 4;

/// Runs the command, on a runtime of its own with one thread, and returns its exit status.
pub(crate) fn run(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let quiet = json || args.quiet;
    let plan = match Plan::new(args) {
        Ok(plan) => plan,
        Err(text) => return refuse(&text, USAGE),
    };
    if !quiet {
        writeln!(std::io::stderr().lock(), "{plan}")?;
    }
    let report = match execute(plan) {
        Ok(report) => report,
        Err(error) if error.is::<Refusal>() => return refuse(&error.to_string(), UNREACHABLE),
        Err(error) => return Err(error),
    };
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        writeln!(out, "{report}")?;
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(WRONG) })
}

fn execute(plan: Plan) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, run::execute(plan))
}

fn refuse(text: &str, status: u8) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stderr().lock(), "slipway load: {text}")?;
    Ok(ExitCode::from(status))
}
