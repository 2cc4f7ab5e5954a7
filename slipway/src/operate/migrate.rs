//! `slipway migrate`: asks for the move, watches it, and says how it went.

use super::progress::Progress;
use super::{AWAY_MAX, PERIOD, human, json, until_answered};
use crate::cli::{FAILED, MigrateArgs, UNREACHABLE};
use crate::say;
use cluster::GroupId;
use control::docs::{Failure, MovePlanned, MoveRequest, PlanView};
use control::state::{PlanId, Spread};
use control::{Client, ClientError};
use serde::Serialize;
use std::process::ExitCode;
use tokio::time::Instant;

/// The exit status of a program that Ctrl-C ended, as shells report it.
const INTERRUPTED: u8 = 130;

/// How it went: the document of `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    plan: PlanId,
    to: GroupId,
    /// Whether every slot arrived.
    ok: bool,
    slots: usize,
    arrived: usize,
    /// Slots that were called off.
    aborted: usize,
    /// Slots that could not be moved, with the reason; each is whole where it was.
    failed: Vec<Failure>,
    keys: u64,
    bytes: u64,
    /// From the command to the end.
    seconds: f64,
    /// How long writes of a slot waited for its handoff, as the nodes measured, in microseconds.
    stall_write_us: Spread,
    /// How long its reads waited.
    stall_read_us: Spread,
}

pub(super) async fn run(client: &Client, args: &MigrateArgs) -> Result<ExitCode, ClientError> {
    let (slots, to) = (args.slots.to_string(), GroupId(args.to));
    let request = MoveRequest { slots, to, dry_run: args.dry_run };
    let planned = until_answered(async || client.plan(&request).await).await?;
    let as_json = args.show.json;
    let Some(plan) = planned.plan.filter(|_| !args.detach) else {
        if as_json {
            json(&planned);
        } else {
            explain(&planned, args.dry_run);
            if args.detach {
                say::result(format_args!(
                    "plan {} goes on by itself\n{}",
                    name(&planned),
                    commands(client)
                ));
            }
        }
        return Ok(ExitCode::SUCCESS);
    };
    if !as_json {
        explain(&planned, false);
    }
    tokio::select! {
        ended = watch(client, plan, as_json) => match ended? {
            Some(view) => Ok(finish(&view, as_json)),
            None => Ok(ExitCode::from(UNREACHABLE)),
        },
        _ = tokio::signal::ctrl_c() => {
            say::note(format_args!("\nplan {plan} goes on by itself\n{}", commands(client)));
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Watches until the plan has ended; nothing if the controller stays away.
async fn watch(
    client: &Client,
    plan: PlanId,
    quiet: bool,
) -> Result<Option<PlanView>, ClientError> {
    let mut progress = Progress::new(quiet);
    let mut answered = Instant::now();
    loop {
        match client.moves(Some(plan)).await {
            Ok(moves) => {
                answered = Instant::now();
                if let Some(view) = moves.plans.into_iter().next() {
                    progress.show(&view);
                    if view.ended {
                        progress.close();
                        return Ok(Some(view));
                    }
                }
            }
            Err(
                error @ (ClientError::Unreachable(_)
                | ClientError::Unanswered(_)
                | ClientError::Unable(_)),
            ) => {
                if answered.elapsed() > AWAY_MAX {
                    progress.close();
                    say::error(format_args!(
                        "{error}; given up after {AWAY_MAX:?}, running handoffs go on without it"
                    ));
                    say::note(format_args!(
                        "plan {plan} goes on when the controller is back\n{}",
                        commands(client)
                    ));
                    return Ok(None);
                }
                progress.away(&error);
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// What will move.
fn explain(planned: &MovePlanned, dry_run: bool) {
    let would = if dry_run { "would move" } else { "moving" };
    for leaving in &planned.from {
        say::note(format_args!(
            "{would} {} slots ({}) from group {} to group {}",
            leaving.count, leaving.slots, leaving.group, planned.to
        ));
    }
    if !planned.under_way.is_empty() {
        say::note(format_args!("on their way already: {}", planned.under_way));
    }
    if !planned.there.is_empty() {
        say::note(format_args!("there already: {}", planned.there));
    }
}

/// The commands for a plan that goes on by itself.
fn commands(client: &Client) -> String {
    let admin = client.address();
    let other = if admin == crate::cli::DEFAULT_ADMIN {
        String::new()
    } else {
        format!(" --admin {admin}")
    };
    format!(
        "  watch it    slipway status{other}\n  pause it    slipway pause{other}\n  abort it    slipway abort{other}"
    )
}

fn name(planned: &MovePlanned) -> String {
    planned.plan.map(|p| p.to_string()).unwrap_or_default()
}

fn finish(view: &PlanView, as_json: bool) -> ExitCode {
    let ok = view.arrived == view.slots;
    if as_json {
        json(&Summary {
            plan: view.id,
            to: view.to,
            ok,
            slots: view.slots,
            arrived: view.arrived,
            aborted: view.aborted,
            failed: view.failed.clone(),
            keys: view.keys,
            bytes: view.bytes,
            seconds: view.elapsed_ms as f64 / 1e3,
            stall_write_us: view.stall_write_us,
            stall_read_us: view.stall_read_us,
        });
    } else {
        say::result(summary(view));
        if !view.failed.is_empty() {
            say::note(
                "  → the slots are whole where they were; `slipway resume` tries again, `slipway abort` forgets the wish",
            );
        }
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// How it went, in a few lines.
fn summary(view: &PlanView) -> String {
    let seconds = view.elapsed_ms as f64 / 1e3;
    let mut lines = vec![format!(
        "{} of {} slots arrived in group {} in {seconds:.1} s: {} keys, {}",
        human::count(view.arrived as u64),
        human::count(view.slots as u64),
        view.to,
        human::count(view.keys),
        human::bytes(view.bytes),
    )];
    for (what, spread) in [("writes", view.stall_write_us), ("reads", view.stall_read_us)] {
        if spread.count > 0 {
            let (p50, p99, max) =
                (human::micros(spread.p50), human::micros(spread.p99), human::micros(spread.max));
            lines.push(format!(
                "handoff stall of {what}: p50 {p50}, p99 {p99}, max {max}, over {} slots",
                spread.count
            ));
        }
    }
    if view.aborted > 0 {
        lines.push(format!("called off: {} slots", view.aborted));
    }
    lines.extend(view.failed.iter().map(|f| format!("failed: slots {}: {}", f.slots, f.reason)));
    lines.join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::docs::Stages;

    #[test]
    fn the_summary_says_what_arrived_what_it_cost_and_what_did_not() {
        let view = PlanView {
            id: PlanId(1),
            to: GroupId(2),
            ended: true,
            paused: false,
            elapsed_ms: 2_500,
            slots: 1024,
            arrived: 1023,
            aborted: 0,
            failed: vec![Failure { slots: "7".to_owned(), reason: "no room".to_owned() }],
            stages: Stages::default(),
            keys: 12_345,
            bytes: 3 << 20,
            done_permille: 1000,
            stall_write_us: Spread { p50: 900, p99: 4_000, max: 8_100, count: 1023 },
            stall_read_us: Spread::default(),
            notes: Vec::new(),
        };
        let text = summary(&view);
        for part in [
            "1,023 of 1,024 slots arrived in group 2 in 2.5 s",
            "12,345 keys, 3.0 MiB",
            "p99 4.0 ms, max 8.1 ms",
            "slots 7: no room",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("reads"));
    }
}
