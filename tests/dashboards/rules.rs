//! The alert rules, and their tests, which are tested too: each alert must have a case that fires and one that does not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// What stands before a rule's name, and before the line of its expression.
const NAME: &str = "      - alert: ";
const EXPR: &str = "        expr: |";

/// One rule.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) expr: String,
}

/// The rules of dashboards/alerts.yaml, which is read by the form it has.
pub(super) fn alerts() -> Vec<Alert> {
    let text = super::read("dashboards/alerts.yaml");
    let rules = text.split(NAME).skip(1).map(|rule| {
        let (name, rest) = rule.split_once('\n').unwrap();
        let (_, rest) = rest
            .split_once(&format!("{EXPR}\n"))
            .unwrap_or_else(|| panic!("{name}: its expr is no block"));
        let lines = rest.lines().take_while(|line| line.starts_with("          "));
        let severity = ["critical", "warning", "info"]
            .iter()
            .any(|s| rest.contains(&format!("severity: {s}\n")));
        assert!(severity, "{name}: how severe is it?");
        for part in [
            "summary: ",
            "description: ",
            &format!("runbook: docs/RUNBOOK.md#{}\n", name.to_lowercase()),
        ] {
            assert!(rule.contains(part), "{name}: no {part}");
        }
        Alert { name: name.to_owned(), expr: lines.map(str::trim).collect::<Vec<_>>().join(" ") }
    });
    rules.collect()
}

/// The same rules with one expression for all of them.
fn with_expression(text: &str, expr: &str) -> String {
    let mut changed = String::new();
    let mut within = false;
    for line in text.lines() {
        if within && !line.starts_with("          ") {
            within = false;
        }
        if !within {
            changed += line;
            changed += "\n";
        }
        if line == EXPR {
            within = true;
            changed += &format!("          {expr}\n");
        }
    }
    changed
}

/// Runs promtool in a directory; whether it is content, and what it says.
fn promtool(directory: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new("promtool").args(args).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("promtool: {error}; .ci/setup installs it"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

/// The cases that fail when every rule has this expression.
fn failing_with(expr: &str) -> BTreeSet<String> {
    let directory = TempDir::new().unwrap();
    let rules = with_expression(&super::read("dashboards/alerts.yaml"), expr);
    fs::write(directory.path().join("alerts.yaml"), rules).unwrap();
    fs::write(
        directory.path().join("alerts_test.yaml"),
        super::read("dashboards/alerts_test.yaml"),
    )
    .unwrap();
    let (_, said) = promtool(directory.path(), &["test", "rules", "alerts_test.yaml"]);
    let names = said.lines().filter_map(|line| line.trim().strip_prefix("name: "));
    names.map(|name| name.trim_end_matches(',').to_owned()).collect()
}

pub(super) fn check() {
    let directory = super::file("dashboards");
    for args in [
        &["check", "config", "prometheus.yaml"][..],
        &["check", "rules", "alerts.yaml"],
        &["test", "rules", "alerts_test.yaml"],
    ] {
        let (content, said) = promtool(&directory, args);
        assert!(content, "promtool {args:?}: {said}");
    }
    let (never, always) = (failing_with("vector(1) > 2"), failing_with("vector(1)"));
    for Alert { name, .. } in alerts() {
        assert!(
            never.contains(&format!("{name} fires")),
            "no case of alerts_test.yaml needs {name} to fire"
        );
        let quiet = format!("{name} does not fire");
        assert!(
            always.iter().any(|case| case.starts_with(&quiet)),
            "no case of alerts_test.yaml needs {name} not to fire"
        );
    }
}
