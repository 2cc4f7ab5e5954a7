//! `slipway check`: what stands in the way of a move, or of swapping proxies, in a product that a codis-dashboard drives. Only looks.
//!
//! - [`look`]: asks the dashboard, each proxy and each server.
//! - [`judge`]: what is wrong with that, each with its remedy. Pure.
//! - [`keys`]: keys of Pikas that cannot move.

pub(super) mod judge;
mod keys;
pub(super) mod look;
pub(super) mod server;

use super::json;
use crate::cli::{DEGRADED, UNREACHABLE};
use crate::say;
use anyhow::Result;
use clap::{Args, Subcommand};
use cluster::SlotCount;
use judge::Finding;
use serde::Serialize;
use std::process::ExitCode;

/// The flags of `slipway check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// A product of Codis: what stands in the way of a move, or of proxies of ours in the place of codis-proxy
    Codis(CodisArgs),
}

/// Where a product is, and how to print.
#[derive(Args, Clone, Debug)]
pub(crate) struct CodisArgs {
    /// The admin address of its codis-dashboard
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) dashboard: String,
    /// The product's password, product_auth
    #[arg(long, value_name = "PASSWORD", env = "SLIPWAY_PRODUCT_AUTH", hide_env_values = true)]
    pub(crate) auth: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    product: String,
    /// Whether nothing was found.
    ok: bool,
    findings: Vec<Finding>,
}

pub(crate) fn run(args: &CheckArgs) -> Result<ExitCode> {
    let What::Codis(args) = &args.what;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let product = match runtime.block_on(look::product(args)) {
        Ok(product) => product,
        Err(why) => return Ok(nobody(&why)),
    };
    let mut findings = judge::findings(&product);
    findings.extend(runtime.block_on(keys_of(&product, args)));
    let ok = findings.is_empty();
    if args.json {
        json(&Report { product: product.name().to_owned(), ok, findings });
    } else {
        print(&product, &findings);
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(DEGRADED) })
}

/// What the keys of each group's primary say, where that is a Pika which can move slots.
async fn keys_of(product: &look::Product, args: &CodisArgs) -> Vec<Finding> {
    let Some(slots) = u32::try_from(product.topom.slots()).ok().and_then(SlotCount::new) else {
        return Vec::new();
    };
    let all_ours = product.proxies.values().flatten().all(look::Overview::is_ours);
    let mut findings = Vec::new();
    for group in &product.topom.stats.group.models {
        let Some(addr) = group.servers.first().map(|server| server.server.clone()) else {
            continue;
        };
        let Some(Ok(server)) = product.servers.get(&addr) else { continue };
        if server.kind != server::Kind::Pika || server.slotmigrate.as_deref() != Some("yes") {
            continue;
        }
        let password = args.auth.clone().filter(|_| server.has_password);
        let firsts = product.topom.stats.group.models.iter();
        let firsts = firsts.filter_map(|other| Some(other.servers.first()?.server.clone()));
        let others = firsts.filter(|other| *other != addr).collect();
        let asked = keys::Asked { addr: addr.clone(), password, slots, all_ours, others };
        findings.extend(keys::look(&asked).await.unwrap_or_else(|why| {
            let (of, remedy) = (format!("server {addr}"), "try again".to_owned());
            vec![Finding {
                what: format!("the keys of {of} could not be looked at: {why}"),
                of,
                remedy,
            }]
        }));
    }
    findings
}

/// Says that there is no dashboard.
pub(super) fn nobody(why: &str) -> ExitCode {
    say::error(why);
    say::note(
        "  → name the admin address of a codis-dashboard that runs with --dashboard HOST:PORT",
    );
    ExitCode::from(UNREACHABLE)
}

fn print(product: &look::Product, findings: &[Finding]) {
    let counts = product.counts();
    let found = match findings.len() {
        0 => "nothing stands in the way".to_owned(),
        1 => "1 finding".to_owned(),
        n => format!("{n} findings"),
    };
    say::result(format_args!("product {}: {counts}; {found}", product.name()));
    for finding in findings {
        say::result(format_args!("! {}\n  → {}", finding.what, finding.remedy));
    }
}
