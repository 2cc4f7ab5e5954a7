//! Documents of the controller, printed.

use super::{Word, human, json};
use crate::cli::DEGRADED;
use crate::say;
use cluster::Kind;
use control::docs::{HistoryLine, NodeState, Pace, Proxy, SlotRun, SlotsChanged, Stage, Status};
use std::process::ExitCode;

/// Prints the state of the cluster; the exit status says whether all is well.
pub(super) fn status(status: &Status, as_json: bool) -> ExitCode {
    if as_json {
        json(status);
    } else {
        say::result(verdict(status));
        say::result("");
        table(
            &["group", "node", "state", "slots", "in", "out"],
            status.groups.iter().map(|g| {
                let state = match g.state {
                    NodeState::Up => "up",
                    NodeState::Greeting => "starting",
                    NodeState::Away => "away",
                    NodeState::Unwanted => "refused",
                };
                let state = match g.kind {
                    Kind::Slipway => state.to_owned(),
                    Kind::Pika => format!("{state} (Pika)"),
                    Kind::CodisServer => format!("{state} (codis-server)"),
                };
                [
                    g.id.to_string(),
                    g.addr.clone(),
                    state,
                    g.slots.to_string(),
                    g.arriving.to_string(),
                    g.leaving.to_string(),
                ]
            }),
        );
        for proxy in &status.proxies {
            let state = if proxy.is_away { "away" } else { "up" };
            say::result(format_args!("proxy {}: {state}", proxy.name));
        }
        for trouble in &status.troubles {
            say::result(format_args!("! {trouble}"));
        }
    }
    if status.troubles.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DEGRADED) }
}

/// One sentence.
fn verdict(status: &Status) -> String {
    let stages: Vec<String> = status
        .slots
        .named()
        .into_iter()
        .filter(|(name, count)| *count > 0 && *name != "settled")
        .map(|(name, count)| format!("{count} {}", name.replace('_', " ")))
        .collect();
    let moving = if stages.is_empty() { "none moves".to_owned() } else { stages.join(", ") };
    let health = match status.troubles.len() {
        0 => "all is well".to_owned(),
        1 => "1 trouble".to_owned(),
        n => format!("{n} troubles"),
    };
    let paused = if status.paused { "; PAUSED" } else { "" };
    let pace = match status.pace_bytes {
        0 => String::new(),
        bytes => format!("; copying at most {}/s out of each node", human::bytes(bytes)),
    };
    format!("{health}: {} slots, {moving}{paused}{pace}", human::count(status.slot_count.into()))
}

pub(super) fn forgotten(proxy: &Proxy, as_json: bool) {
    if as_json {
        return json(proxy);
    }
    say::result(format_args!("forgotten: {}", proxy.name));
}

pub(super) fn slots(runs: &[SlotRun], as_json: bool) {
    if as_json {
        return json(&runs);
    }
    table(
        &["slots", "group", "epoch", "state", "to", ""],
        runs.iter().map(|run| {
            let to = run.to.map(|g| g.to_string()).unwrap_or_default();
            let error = run.error.clone().unwrap_or_default();
            [
                run.slots.clone(),
                run.group.to_string(),
                run.epoch.to_string(),
                stage(run.stage).into(),
                to,
                error,
            ]
        }),
    );
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Settled => "settled",
        Stage::Waiting => "waiting",
        Stage::Paused => "paused",
        Stage::Failed => "failed",
        Stage::Copying => "copying",
        Stage::HandingOff => "handing off",
        Stage::Cleaning => "cleaning up",
        Stage::Undoing => "being called off",
    }
}

pub(super) fn changed(word: Word, changed: &SlotsChanged, as_json: bool) {
    if as_json {
        return json(changed);
    }
    let done = match word {
        Word::Pause => "paused",
        Word::Resume => "resumed",
        Word::Abort => "called off",
    };
    let about = match (changed.count, word) {
        (0, Word::Pause | Word::Resume) => "no slot waits or moves".to_owned(),
        (0, Word::Abort) => "nothing to call off".to_owned(),
        (count, _) => format!("{count} slots ({})", changed.slots),
    };
    say::result(format_args!("{done}: {about}"));
    if !changed.note.is_empty() {
        say::note(&changed.note);
    }
}

pub(super) fn pace(pace: Pace, as_json: bool) {
    match (as_json, pace.bytes) {
        (true, _) => json(&pace),
        (false, 0) => say::result("nodes copy slots as fast as they can"),
        (false, bytes) => {
            say::result(format_args!("nodes copy slots at most at {}/s each", human::bytes(bytes)))
        }
    }
}

pub(super) fn history(lines: &[HistoryLine], as_json: bool) {
    if as_json {
        return json(&lines);
    }
    table(
        &["time (UTC)", "what", "slots", "from", "to", ""],
        lines.iter().map(|line| {
            let kind = serde_json::to_value(line.kind)
                .ok()
                .and_then(|v| v.as_str().map(|s| s.replace('_', " ")));
            let group = |g: Option<cluster::GroupId>| g.map(|g| g.to_string()).unwrap_or_default();
            let detail = line.detail.clone();
            [
                clock(line.at_ms),
                kind.unwrap_or_default(),
                line.slots.clone(),
                group(line.from),
                group(line.to),
                detail,
            ]
        }),
    );
}

/// Milliseconds since 1970 as `2026-11-22 15:31:07.250` (the civil calendar of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn clock(ms: u64) -> String {
    let (days, rest) = ((ms / 86_400_000) as i64, ms % 86_400_000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{:03}", ms % 1000)
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(header: &[&str; N], rows: impl Iterator<Item = [String; N]>) {
    let rows: Vec<[String; N]> = rows.collect();
    let width = |i: usize| {
        rows.iter().map(|r| r[i].chars().count()).chain([header[i].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: &[&str]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    say::result(line(header));
    for row in &rows {
        say::result(line(&row.each_ref().map(String::as_str)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        assert_eq!(clock(0), "1970-01-01 00:00:00.000");
        assert_eq!(clock(951_782_400_000), "2000-02-29 00:00:00.000");
        assert_eq!(clock(1_795_361_467_250), "2026-11-22 15:31:07.250");
    }
}
