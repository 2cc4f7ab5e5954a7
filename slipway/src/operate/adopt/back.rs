//! The way back: the nodes obey the dashboard again, and its records say where the slots have come to be.

use super::{AdoptArgs, Extent, good, refuse, report};
use crate::cli::FAILED;
use crate::say;
use anyhow::Result;
use bytes::Bytes;
use codis::records::{SlotRecord, api_path};
use control::state::State;
use control::store::Store;
use service::http::{Client, Method, StatusCode};
use std::process::ExitCode;
use std::time::Duration;

use super::super::check::look::{Product, reason};
use super::super::check::server::Conversation;

/// What an assignment may take: the dashboard fills all proxies within it.
const ASSIGN_TIME: Duration = Duration::from_mins(1);

pub(super) async fn run(product: &Product, args: &AdoptArgs, extent: Extent) -> Result<ExitCode> {
    let none = || {
        control::Error::Mismatch(format!(
            "{} has no controller's state: name the data directory of the controller that drives the nodes",
            args.data.display()
        ))
    };
    let store = Store::open(&args.data, || Err(none()))?;
    let state = store.state();
    let reasons = reasons(product, state);
    if !reasons.is_empty() {
        return Ok(refuse(product, args, reasons));
    }
    let moved = moved(product, state);
    if extent == Extent::All {
        for group in state.groups.iter().filter(|group| group.kind.is_ours()) {
            if let Err(why) = free(&group.addr, args).await {
                return Ok(stopped(&format!(
                    "the node of group {} at {}: {why}",
                    group.id, group.addr
                )));
            }
        }
        if let Err(why) = assign(product, &moved).await {
            return Ok(stopped(&format!("the dashboard at {}: {why}", product.dashboard)));
        }
    }
    report(product, args, state);
    if !args.product.json {
        let would = if extent == Extent::Nothing { "would be" } else { "are" };
        say::result(format_args!(
            "the nodes {would} the dashboard's again; {} slots {would} assigned to the groups they have moved to",
            moved.len()
        ));
        say::result("  → keep the controller stopped; its data directory is of no use any more");
    }
    Ok(ExitCode::SUCCESS)
}

fn stopped(why: &str) -> ExitCode {
    say::error(why);
    say::note("  → see to it and run the same command again: what is done stays done");
    ExitCode::from(FAILED)
}

/// What stands in the way.
fn reasons(product: &Product, state: &State) -> Vec<String> {
    let mut reasons = Vec::new();
    let moving = state.slots.iter().filter(|slot| slot.moving.is_some() || slot.want.is_some());
    match moving.count() {
        0 => {}
        n => reasons.push(format!(
            "{n} slots are on their way: start the controller and wait, or `slipway abort`"
        )),
    }
    for group in &state.groups {
        let models = product.topom.stats.group.models.iter();
        let record = models.into_iter().find(|model| model.id == i64::from(group.id.0));
        let primary = record.and_then(|model| model.servers.first());
        if primary.is_none_or(|server| server.server != group.addr) {
            reasons.push(format!(
                "the dashboard has no group {} with {}: create it there first",
                group.id, group.addr
            ));
        }
    }
    if product.topom.slots() != i64::from(state.slot_count.get()) {
        reasons.push("the dashboard has another number of slots".to_owned());
    }
    reasons
}

/// The slots that the dashboard has elsewhere, as they are.
fn moved(product: &Product, state: &State) -> Vec<SlotRecord> {
    let groups = state.slots.iter().map(|slot| i64::from(slot.group.0));
    let is = (0..).zip(groups).map(|(id, group_id)| SlotRecord {
        id,
        group_id,
        ..SlotRecord::default()
    });
    let records = &product.topom.stats.slots;
    is.filter(|is| !records.iter().any(|has| has.id == is.id && has.group_id == is.group_id))
        .collect()
}

async fn free(addr: &str, args: &AdoptArgs) -> Result<(), String> {
    let mut node = Conversation::open(addr, args.product.auth.as_deref()).await?;
    good(node.ask(&["SLIPWAY", "DRIVER", "codis"]).await?).map(|_| ())
}

async fn assign(product: &Product, moved: &[SlotRecord]) -> Result<(), String> {
    if moved.is_empty() {
        return Ok(());
    }
    let path = api_path(product.name(), "slots/assign", "");
    let body = Bytes::from(codis::json::pretty(moved));
    let client = Client::new(&product.dashboard, ASSIGN_TIME);
    let sent = client.send(Method::PUT, &path, body).await.map_err(|error| reason(&error))?;
    match sent {
        (StatusCode::OK, _) => Ok(()),
        (status, body) => Err(codis::model::RemoteError::read(status.as_u16(), &body)
            .unwrap_or_else(|| format!("it answers the assignment with status {status}"))),
    }
}
