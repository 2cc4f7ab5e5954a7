//! `slipway adopt`: a product of Codis gets our controller in the dashboard's place, or goes back.
//!
//! - [`plan`]: whether it can be, and the state our controller begins with. Pure.
//! - `back`: the way back.
//!
//! Nothing moves and no client notices: nodes go on serving what they own. It may be killed and repeated at any point: what is done is found
//! done. The order is: the store, then node after node is freed from the dashboard and claimed; on the way back the nodes, then the dashboard's
//! records.

mod back;
mod plan;

use super::check::look::{self, Product};
use super::check::server::Conversation;
use super::check::{CodisArgs, nobody};
use super::json;
use crate::cli::{DEGRADED, FAILED};
use crate::say;
use anyhow::Result;
use clap::Args;
use control::state::State;
use control::store::Store;
use plan::Adoption;
use protocol::frame::Value;
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The flags of `slipway adopt`.
#[derive(Args, Clone, Debug)]
pub(crate) struct AdoptArgs {
    #[command(flatten)]
    product: CodisArgs,
    /// The data directory of our controller, which must not run; on the way in it is a new one
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Give the product back to its dashboard
    #[arg(long)]
    back: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Nothing,
    All,
}

/// The document of `--json`.
#[derive(Debug, Default, Serialize)]
struct Report {
    product: String,
    ok: bool,
    /// What stands in the way; nothing was changed.
    refused: Vec<String>,
    cluster: String,
    groups: Vec<control::state::Group>,
    slots: usize,
}

pub(crate) fn run(args: &AdoptArgs) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let product = match runtime.block_on(look::product(&args.product)) {
        Ok(product) => product,
        Err(why) => return Ok(nobody(&why)),
    };
    let extent = if args.dry_run { Extent::Nothing } else { Extent::All };
    if args.back {
        return runtime.block_on(back::run(&product, args, extent));
    }
    runtime.block_on(take_over(&product, args, extent))
}

async fn take_over(product: &Product, args: &AdoptArgs, extent: Extent) -> Result<ExitCode> {
    let adoption = plan::adoption(product, kept_cluster(&args.data)?);
    let adoption = match adoption {
        Ok(adoption) => adoption,
        Err(reasons) => return Ok(refuse(product, args, reasons)),
    };
    if extent == Extent::All {
        let state = adoption.state.clone();
        let store = Store::open(&args.data, || Ok(state))?;
        for (group, addr) in adoption.nodes() {
            if let Err(why) = claim(addr, args, store.state(), group).await {
                say::error(format_args!("the node of group {group} at {addr}: {why}"));
                say::note("  → see to it and run the same command again: what is done stays done");
                return Ok(ExitCode::from(FAILED));
            }
        }
    }
    report(product, args, &adoption.state);
    if !args.product.json {
        let would = if extent == Extent::Nothing { "would be" } else { "is" };
        say::result(told(&adoption, args, would));
    }
    Ok(ExitCode::SUCCESS)
}

/// The cluster that an earlier run has founded there; an error if the state cannot be read, or a controller runs on it.
fn kept_cluster(data: &Path) -> Result<Option<String>, control::Error> {
    if !data.join(control::store::FILE).exists() {
        return Ok(None);
    }
    let gone = || control::Error::Mismatch("the state has vanished".to_owned());
    let store = Store::open(data, || Err(gone()))?;
    Ok(Some(store.state().cluster.clone()))
}

/// The dashboard's word counts no more at this node, the controller's does.
async fn claim(
    addr: &str,
    args: &AdoptArgs,
    state: &State,
    group: cluster::GroupId,
) -> Result<(), String> {
    let mut node = Conversation::open(addr, args.product.auth.as_deref()).await?;
    let count = state.slot_count.get().to_string();
    let group = group.to_string();
    // Freed only from a dashboard: what another controller drives is not ours to free.
    let driver = good(node.ask(&["SLIPWAY", "DRIVER"]).await?)?;
    if driver.as_str() == Some("codis") {
        good(node.ask(&["SLIPWAY", "DRIVER", "none"]).await?)?;
    }
    good(node.ask(&["SLIPWAY", "LINK", "control", "adopt", "-", &count]).await?)?;
    good(node.ask(&["SLIPWAY", "CLAIM", &state.cluster, &group]).await?)?;
    Ok(())
}

fn good(reply: Value) -> Result<Value, String> {
    match reply {
        Value::Error(why) => Err(why),
        other => Ok(other),
    }
}

fn refuse(product: &Product, args: &AdoptArgs, refused: Vec<String>) -> ExitCode {
    if args.product.json {
        json(&Report { product: product.name().to_owned(), refused, ..Report::default() });
    } else {
        say::error(format_args!(
            "product {} cannot be taken over as it is; nothing was changed",
            product.name()
        ));
        refused.iter().for_each(|reason| say::note(format_args!("! {reason}")));
    }
    ExitCode::from(DEGRADED)
}

fn report(product: &Product, args: &AdoptArgs, state: &State) {
    if args.product.json {
        json(&Report {
            product: product.name().to_owned(),
            ok: true,
            refused: Vec::new(),
            cluster: state.cluster.clone(),
            groups: state.groups.clone(),
            slots: state.slots.len(),
        });
    }
}

/// What was done, and what the operator does next.
fn told(adoption: &Adoption, args: &AdoptArgs, would: &str) -> String {
    let mut text = format!(
        "{} slots in {} groups: the product {would} our controller's\n  1. shut the dashboard down; its moves are refused from now on\n  \
         2. start `slipway control --config control.toml` with this in the file:\n\n     data = \"{}\"\n     listen = \"0.0.0.0:11081\"\n",
        adoption.state.slots.len(),
        adoption.state.groups.len(),
        args.data.display()
    );
    for control::state::Group { id, addr, kind, .. } in &adoption.state.groups {
        let _ = write!(text, "     [[group]]\n     id = {id}\n     addr = \"{addr}\"\n");
        if !kind.is_ours() {
            let kind = serde_json::to_value(kind).unwrap_or_default();
            let _ = writeln!(text, "     kind = {kind}");
        }
    }
    text.push_str("\n  3. restart the proxies, one after the other, with our own proxy.toml and its `controller`; until then they go on as they are\n");
    if adoption.has_strangers() {
        text.push_str("  4. when no proxy of before runs any more: `slipway resume`; until then nothing moves\n");
    }
    text.push_str(
        "back: stop the controller, start the dashboard, and run the same command with --back",
    );
    text
}
