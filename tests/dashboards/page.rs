//! Pages of metrics, as Prometheus reads them.

use super::query;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The sections of the document: what a metric's name begins with, and what is said of it.
const SECTIONS: [(&str, &str, &str); 4] = [
    ("slipway_proxy_", "Proxy", "Summed over the workers when the page is asked for."),
    (
        "slipway_node_",
        "Node",
        "`node` is the address others reach the node at, `group` the group it is in (empty until the controller has taken it in): in `slipway up` \
         several nodes share one page.",
    ),
    ("slipway_control_", "Controller", "`group` is the group's number."),
    ("", "Every process", ""),
];

/// One metric.
#[derive(Clone, Debug, Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// The metrics of some pages, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages(BTreeMap<String, Family>);

impl Pages {
    pub(super) fn of<'a>(pages: impl IntoIterator<Item = &'a str>) -> Self {
        let mut families = BTreeMap::<String, Family>::new();
        for line in pages.into_iter().flat_map(str::lines) {
            if let Some((name, help)) =
                line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
            {
                help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
            } else if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            {
                kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
            } else {
                let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
                for selector in query::selectors(series) {
                    let name = name_of(&families, &selector.metric).to_owned();
                    let labels = selector.labels.into_iter().filter(|label| label != "le");
                    families.entry(name).or_default().labels.extend(labels);
                }
            }
        }
        Self(families)
    }

    /// Names in an expression that no page has.
    pub(super) fn faults_of(&self, expr: &str) -> Vec<String> {
        let mut faults = Vec::new();
        // What Prometheus adds to every series, and its own metric.
        let mut labels = BTreeSet::from(["job", "instance", "le"].map(str::to_owned));
        for selector in query::selectors(expr) {
            if selector.metric == "up" {
                continue;
            }
            let Some(family) = self.0.get(name_of(&self.0, &selector.metric)) else {
                faults.push(format!("no page has {}", selector.metric));
                continue;
            };
            labels.extend(family.labels.iter().cloned());
            let unknown = selector.labels.iter().filter(|label| !labels.contains(*label));
            faults.extend(unknown.map(|label| format!("{} has no label {label}", selector.metric)));
        }
        let unknown = query::grouped_by(expr).into_iter().filter(|label| !labels.contains(label));
        faults.extend(unknown.map(|label| format!("there is no label {label} in {expr}")));
        faults
    }

    /// docs/METRICS.md.
    pub(super) fn document(&self) -> String {
        let mut text = "# Metrics\n\nEvery metric on the pages `http://ADMIN/metrics`, as the programs say themselves: a test compares this page with \
                        theirs.\nAll series exist from the start, at zero, but for the latency of commands that nobody has sent yet.\n"
            .to_owned();
        let mut rest = self.0.clone();
        for (prefix, title, words) in SECTIONS {
            write!(text, "\n## {title}\n\n").unwrap();
            if !words.is_empty() {
                write!(text, "{words}\n\n").unwrap();
            }
            text.push_str("| name | type | labels | meaning |\n|---|---|---|---|\n");
            let (section, others) =
                rest.into_iter().partition(|(name, _)| name.starts_with(prefix));
            rest = others;
            for (name, Family { kind, help, labels }) in &section as &BTreeMap<String, Family> {
                let labels =
                    labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
                writeln!(text, "| `{name}` | {kind} | {labels} | {} |", help.replace('|', "\\|"))
                    .unwrap();
            }
        }
        text
    }
}

/// The metric that a series belongs to: histograms have three kinds of series.
fn name_of<'a>(families: &BTreeMap<String, Family>, series: &'a str) -> &'a str {
    let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
    histogram
        .filter(|name| families.get(*name).is_some_and(|family| family.kind == "histogram"))
        .unwrap_or(series)
}

/// Names, units and help texts are as Prometheus' conventions want them.
pub(super) fn check_with_promtool(page: &str) {
    let mut command = Command::new("promtool");
    command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("promtool: {error}; .ci/setup installs it"));
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn what_no_page_has_is_found() {
    let pages = Pages::of([
        "# HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_bucket{k=\"v\",le=\"1\"} 2\na_seconds_sum 1\n",
    ]);
    assert!(
        pages
            .faults_of("sum by (k, le) (rate(a_seconds_bucket{job=\"x\",k=\"v\"}[5m]))")
            .is_empty()
    );
    assert_eq!(
        pages.faults_of("sum by (other) (b)"),
        ["no page has b", "there is no label other in sum by (other) (b)"]
    );
    assert_eq!(pages.faults_of("a_seconds_count{q=\"\"}"), ["a_seconds_count has no label q"]);
}
