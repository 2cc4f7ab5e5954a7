//! What was measured, as tables for people.

use crate::record::Record;
use crate::statistics::Estimate;
use crate::verdict::{Bar, Standing, Verdict};
use crate::{large, memory, moves, scale, stall, steady};
use anyhow::Result;
use std::io::Write;

/// What a table shows of a subject in a case: value names and how they are written.
type Cell = fn(&Record, &str, &str) -> Option<String>;

/// What is written where there is nothing.
const NOTHING: &str = "-";

/// Who is measured and what is left out.
pub(crate) fn show_head(to: &mut impl Write, record: &Record) -> Result<()> {
    writeln!(to, "{}", record.machine.line())?;
    for subject in &record.subjects {
        writeln!(to, "  {:18} {}", subject.name, subject.version)?;
    }
    for line in &record.left_out {
        writeln!(to, "left out: {line}")?;
    }
    to.flush()?;
    Ok(())
}

/// One line for a case that has just been measured.
pub(crate) fn show_case(to: &mut impl Write, record: &Record, case: &str) -> Result<()> {
    write!(to, "{case:26}")?;
    for subject in &record.subjects {
        let micros = record.median(case, &subject.name, "cpu_us");
        let rate = record.median(case, &subject.name, "requests_per_s");
        let text = match (micros, rate) {
            (Some(micros), Some(rate)) => format!("{micros:.2} us {:.0}k/s", rate / 1000.0),
            _ => NOTHING.to_owned(),
        };
        write!(to, "  {} {text}", subject.name)?;
    }
    writeln!(to)?;
    to.flush()?;
    Ok(())
}

/// All tables.
pub(crate) fn show(to: &mut impl Write, record: &Record, verdicts: &[Verdict]) -> Result<()> {
    let cases = record.cases();
    let closed: Vec<&str> = cases.iter().copied().filter(|case| case.contains("-P")).collect();
    let others = |wanted: &[&str]| -> Vec<&str> {
        cases.iter().copied().filter(|case| wanted.contains(case)).collect()
    };
    table(to, record, "CPU of a request, us: median (of it in the kernel)", &closed, cost)?;
    let behind = "CPU of a request in what stands behind it, us";
    table(to, record, behind, &closed, |r, c, s| number(r, c, s, "behind_cpu_us", 2))?;
    table(to, record, "Thousands of requests a second", &closed, rate)?;
    let calls = "System calls a request";
    table(to, record, calls, &closed, |r, c, s| number(r, c, s, "syscalls", 3))?;
    table(to, record, "Instructions a request, user + kernel", &closed, instructions)?;
    let saturated = "Latency at saturation, ms: p50 / p99 / p99.9";
    table(to, record, saturated, &closed, latency)?;
    let rates: Vec<String> = crate::RATES.iter().map(|&rate| steady::name(rate)).collect();
    let rates: Vec<&str> = rates.iter().map(String::as_str).collect();
    let fixed = "Latency at a fixed rate, ms: p50 / p99 / p99.9, from the moment a request was due";
    table(to, record, fixed, &others(&rates), latency)?;
    table(to, record, "CPU at a fixed rate, us", &others(&rates), cost)?;
    let beside = stall::Disturbance::ALL.map(stall::Disturbance::name);
    let noticed = "What others notice of one client, ms: p99 before -> p99 / max beside it";
    table(to, record, noticed, &others(&beside), disturbed)?;
    let idle = "Memory for idle clients, MiB";
    values(to, record, idle, (memory::CLIENTS, &memory::CLIENTS_VALUES))?;
    let unread = "200,000 GETs in one pipeline, unread for 3 s";
    values(to, record, unread, (memory::BACKLOG, &memory::BACKLOG_VALUES))?;
    let large = "Data larger than a node's memory: 1 KiB values, half reads and half writes at a fixed rate";
    values(to, record, large, (large::NAME, &large::VALUES))?;
    moved(to, record)?;
    scaled(to, record)?;
    refusals(to, record)?;
    writeln!(to)?;
    for line in &record.left_out {
        writeln!(to, "left out: {line}")?;
    }
    for (case, (subjects, rounds)) in &record.second_looks {
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        let subjects = subjects.join(", ");
        writeln!(to, "{case}: a pass line was open; {rounds} new rounds of {subjects}")?;
    }
    show_verdicts(to, verdicts)
}

fn cost(record: &Record, case: &str, subject: &str) -> Option<String> {
    let micros = record.median(case, subject, "cpu_us")?;
    let system = record.median(case, subject, "cpu_system_us")?;
    Some(format!("{micros:.2} ({system:.2})"))
}

fn rate(record: &Record, case: &str, subject: &str) -> Option<String> {
    Some(format!("{:.1}", record.median(case, subject, "requests_per_s")? / 1000.0))
}

fn instructions(record: &Record, case: &str, subject: &str) -> Option<String> {
    let user = record.median(case, subject, "instructions_user")?;
    let kernel = record.median(case, subject, "instructions_kernel")?;
    Some(format!("{user:.0} + {kernel:.0}"))
}

fn latency(record: &Record, case: &str, subject: &str) -> Option<String> {
    let of = |value| record.median(case, subject, value);
    Some(format!("{:.2} / {:.2} / {:.2}", of("p50_ms")?, of("p99_ms")?, of("p999_ms")?))
}

fn disturbed(record: &Record, case: &str, subject: &str) -> Option<String> {
    let of = |value| record.median(case, subject, value);
    Some(format!("{:.2} -> {:.2} / {:.1}", of("quiet_p99_ms")?, of("p99_ms")?, of("max_ms")?))
}

fn number(r: &Record, case: &str, subject: &str, value: &str, digits: usize) -> Option<String> {
    Some(format!("{:.digits$}", r.median(case, subject, value)?))
}

/// A line a case, a column a subject; nothing at all if no cell says anything.
fn table(
    to: &mut impl Write,
    record: &Record,
    title: &str,
    cases: &[&str],
    cell: Cell,
) -> Result<()> {
    let names: Vec<&str> = record.subjects.iter().map(|subject| subject.name.as_str()).collect();
    let mut rows =
        vec![[vec!["case"], names.clone()].concat().into_iter().map(str::to_owned).collect()];
    for case in cases {
        let cells: Vec<Option<String>> =
            names.iter().map(|name| cell(record, case, name)).collect();
        if cells.iter().any(Option::is_some) {
            let written = cells.into_iter().map(|cell| cell.unwrap_or_else(|| NOTHING.to_owned()));
            rows.push(std::iter::once((*case).to_owned()).chain(written).collect());
        }
    }
    write_rows(to, title, &rows)
}

/// A line a value of one case, a column a subject.
fn values(
    to: &mut impl Write,
    record: &Record,
    title: &str,
    (case, names): (&str, &[&str]),
) -> Result<()> {
    let subjects = || record.subjects.iter().map(|subject| subject.name.as_str());
    let mut rows: Vec<Vec<String>> =
        vec![std::iter::once("value").chain(subjects()).map(str::to_owned).collect()];
    for name in names {
        let cells: Vec<_> =
            subjects().map(|subject| number(record, case, subject, name, 1)).collect();
        if cells.iter().any(Option::is_some) {
            let written = cells.into_iter().map(|cell| cell.unwrap_or_else(|| NOTHING.to_owned()));
            rows.push(std::iter::once((*name).to_owned()).chain(written).collect());
        }
    }
    write_rows(to, title, &rows)
}

/// A line a value, a column a case of moves.
fn moved(to: &mut impl Write, record: &Record) -> Result<()> {
    let cases: Vec<&str> =
        record.cases().into_iter().filter(|case| moves::ALL.contains(case)).collect();
    let head = std::iter::once("value").chain(cases.iter().copied());
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).collect()];
    for name in moves::VALUES {
        let cells: Vec<Option<f64>> =
            cases.iter().map(|case| record.median(case, moves::SUBJECT, name)).collect();
        if cells.iter().any(Option::is_some) {
            let written =
                cells.into_iter().map(|cell| cell.map_or_else(|| NOTHING.to_owned(), short));
            rows.push(std::iter::once(name.to_owned()).chain(written).collect());
        }
    }
    write_rows(to, "Slots that move from node to node and back, medians of the ways", &rows)
}

/// A line a size, a column a value.
fn scaled(to: &mut impl Write, record: &Record) -> Result<()> {
    let head = std::iter::once("size").chain(scale::VALUES).map(str::to_owned).collect();
    let mut rows: Vec<Vec<String>> = vec![head];
    for case in record.cases().into_iter().filter(|case| case.starts_with(scale::NAME)) {
        let cell =
            |value| record.median(case, scale::SUBJECT, value).map_or(NOTHING.to_owned(), short);
        rows.push(std::iter::once(case.to_owned()).chain(scale::VALUES.map(cell)).collect());
    }
    write_rows(to, "What grows with what: the proxy at 5,000 requests a second", &rows)
}

/// A number with as many digits as say something.
fn short(number: f64) -> String {
    let digits = if number.abs() < 10.0 { 2 } else { 0 };
    format!("{number:.digits$}")
}

/// Writes rows as a Markdown table whose columns stand one below the other.
fn write_rows(to: &mut impl Write, title: &str, rows: &[Vec<String>]) -> Result<()> {
    let [head, body @ ..] = rows else { return Ok(()) };
    if body.is_empty() {
        return Ok(());
    }
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    writeln!(to, "\n{title}\n")?;
    let mut line = |cells: &[String]| -> Result<()> {
        for (cell, width) in cells.iter().zip(&widths) {
            write!(to, "| {cell:width$} ")?;
        }
        writeln!(to, "|")?;
        Ok(())
    };
    line(head)?;
    line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>())?;
    body.iter().try_for_each(|row| line(row))
}

fn refusals(to: &mut impl Write, record: &Record) -> Result<()> {
    let row = |case: &String, subject: &String, why: &String| {
        vec![case.clone(), subject.clone(), why.clone()]
    };
    let body = record
        .refused
        .iter()
        .flat_map(|(case, all)| all.iter().map(move |(subject, why)| row(case, subject, why)));
    let head = ["case", "subject", "why"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    write_rows(to, "Not measured", &rows)
}

/// How the record stands to every pass line.
fn show_verdicts(to: &mut impl Write, verdicts: &[Verdict]) -> Result<()> {
    let head = ["standing", "case", "what", "found (95 %)", "pass line", "stretch"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let missing = verdicts.iter().filter(|v| v.standing == Standing::Missing).count();
    for Verdict { line, against, found, standing } in verdicts {
        let against = against.as_deref().unwrap_or("any peer");
        let what = match line.bar {
            Bar::RatioTo(_) => format!("{} of {} / {against}", line.value, line.subject),
            Bar::RatioToTheBest => format!("{} of {} / best ({against})", line.value, line.subject),
            Bar::AddedTo(_) => format!("{} of {} - {against}", line.value, line.subject),
            Bar::Itself | Bar::AtLeast => format!("{} of {}", line.value, line.subject),
        };
        let sign = if line.bar == Bar::AtLeast { ">=" } else { "<=" };
        let standing = match standing {
            Standing::Pass => "pass",
            Standing::Open => "open",
            Standing::Fail => "FAIL",
            Standing::Missing => continue,
        };
        rows.push(vec![
            standing.to_owned(),
            line.case.clone(),
            what,
            found.map_or_else(|| NOTHING.to_owned(), interval),
            format!("{sign} {}", line.pass),
            format!("{sign} {}", line.stretch),
        ]);
    }
    write_rows(to, "Against the pass lines", &rows)?;
    if missing > 0 {
        writeln!(
            to,
            "\n{missing} pass lines have no numbers: their cases or peers were not measured"
        )?;
    }
    Ok(())
}

/// A median and its interval, in words.
pub(crate) fn interval(found: Estimate) -> String {
    let Estimate { median, low, high } = found;
    let digits = if median.abs() < 10.0 { 2 } else { 0 };
    format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_an_empty_table_says_nothing() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let mut out = Vec::new();
        write_rows(&mut out, "T", &[row(["case", "a"]), row(["x", "12.5"])]).unwrap();
        let expected = "\nT\n\n| case | a    |\n| ---- | ---- |\n| x    | 12.5 |\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        write_rows(&mut out, "T", &[row(["case", "a"])]).unwrap();
        assert!(out.is_empty());
    }
}
