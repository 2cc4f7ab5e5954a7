//! A line, PASS, FAIL or NOT CHECKED, for each pass line of a run that has been written down (`tests/accept/performance.sh`).
//!
//! Whatever is not shown to be on the good side fails: also what is too uncertain to be told.

use anyhow::{Context, Result};
use serde_json::Value as Json;
use std::path::Path;

/// The lines of a `bench.json`.
pub(crate) fn lines(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let run: Json = serde_json::from_slice(&text)?;
    let verdicts = run["verdicts"].as_array().context("no verdicts: not a file of the bench")?;
    Ok(verdicts.iter().map(|verdict| line(verdict, &run["record"])).collect())
}

fn line(verdict: &Json, record: &Json) -> String {
    let word = |name: &str| verdict[name].as_str().unwrap_or("?");
    let (case, subject) = (word("case"), word("subject"));
    let bar = bar(verdict);
    let against = match bar {
        "added-to" => format!(" above {}", word("against")),
        "itself" | "at-least" => String::new(),
        _ => format!(" / {}", verdict["against"].as_str().unwrap_or("the best peer")),
    };
    let sign = if bar == "at-least" { ">=" } else { "<=" };
    let what =
        format!("{case}: {} of {subject}{against} {sign} {}", word("value"), verdict["pass"]);
    let found = &verdict["found"];
    let number = |name: &str| found[name].as_f64().unwrap_or(f64::NAN);
    let found = format!("{:.2} ({:.2} to {:.2})", number("median"), number("low"), number("high"));
    match word("standing") {
        "pass" => format!("PASS {what}: {found}"),
        "open" => format!("FAIL {what}: {found}, too uncertain: more rounds, or a calmer machine"),
        "fail" => format!("FAIL {what}: {found}"),
        _ => match record["refused"][case][subject].as_str() {
            Some(why) => format!("FAIL {what}: {why}"),
            None if lacks_peer(verdict, record) => {
                format!("NOT CHECKED {what}: there is nobody to compare with")
            }
            None => format!("FAIL {what}: not measured"),
        },
    }
}

/// Its name; who is compared with stands beside it, if it is always the same.
fn bar(verdict: &Json) -> &str {
    let bar = &verdict["bar"];
    let named = || bar.as_object().and_then(|object| object.keys().next()).map(String::as_str);
    bar.as_str().or_else(named).unwrap_or("?")
}

/// Whether the one to compare with was not found.
fn lacks_peer(verdict: &Json, record: &Json) -> bool {
    let bar = &verdict["bar"];
    let peer = bar.as_object().and_then(|object| object.values().next());
    let is_there = |peer: &Json| {
        record["subjects"].as_array().is_some_and(|all| all.iter().any(|one| &one["name"] == peer))
    };
    match peer {
        Some(peer) => !is_there(peer),
        None => bar == "ratio-to-the-best" && verdict["against"].is_null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Bar;
    use serde_json::json;

    fn verdict(standing: &str) -> Json {
        json!({
            "case": "get64-P1-c50", "subject": "proxy", "value": "cpu_us", "bar": Bar::RatioTo("predixy"), "pass": 1.0,
            "against": "predixy", "found": { "median": 0.95, "low": 0.9, "high": 1.04 }, "standing": standing,
        })
    }

    #[test]
    fn each_kind_of_line_is_named_as_it_is_written_down() {
        let nothing = json!({ "refused": {} });
        let with = |bar: Bar| {
            let mut verdict = verdict("pass");
            verdict["bar"] = json!(bar);
            line(&verdict, &nothing)
        };
        assert!(with(Bar::AddedTo("predixy")).contains("cpu_us of proxy above predixy <= 1.0"));
        assert!(with(Bar::RatioToTheBest).contains("cpu_us of proxy / predixy <= 1.0"));
        assert!(with(Bar::Itself).contains("cpu_us of proxy <= 1.0"));
        assert!(with(Bar::AtLeast).contains("cpu_us of proxy >= 1.0"));
    }

    #[test]
    fn only_what_is_surely_better_passes() {
        let nothing = json!({ "refused": {} });
        let start = |standing| line(&verdict(standing), &nothing);
        assert_eq!(
            start("pass"),
            "PASS get64-P1-c50: cpu_us of proxy / predixy <= 1.0: 0.95 (0.90 to 1.04)"
        );
        assert!(start("open").starts_with("FAIL"));
        assert!(start("fail").starts_with("FAIL"));
        assert!(start("missing").starts_with("NOT CHECKED"));
        let there = json!({ "refused": {}, "subjects": [{ "name": "predixy" }] });
        assert!(line(&verdict("missing"), &there).starts_with("FAIL"), "it could have been");
        let mut alone = verdict("missing");
        alone["bar"] = json!(Bar::Itself);
        assert!(line(&alone, &nothing).starts_with("FAIL"), "nobody else is needed");
        let refused = json!({ "refused": { "get64-P1-c50": { "proxy": "it has ended" } } });
        let line = line(&verdict("missing"), &refused);
        assert!(line.starts_with("FAIL") && line.ends_with("it has ended"), "{line}");
    }
}
