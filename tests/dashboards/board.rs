//! The dashboard's file: its panels, and what is wrong with it.

use super::query::{self, Selector};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// What the whole is for; it comes first.
const FIRST: &str = "Errors that clients saw (wanted: 0)";

/// The types that Grafana 11 and later draw.
const TYPES: [&str; 9] = [
    "timeseries",
    "stat",
    "table",
    "heatmap",
    "bargauge",
    "state-timeline",
    "status-history",
    "piechart",
    "text",
];

/// A panel with its queries.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) queries: Vec<Query>,
}

#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) expr: String,
    pub(super) legend: String,
}

pub(super) fn read() -> Json {
    serde_json::from_str(&super::read("dashboards/slipway.json")).unwrap()
}

/// All panels in the order in which they are seen, without the titles of rows.
pub(super) fn panels(board: &Json) -> Vec<Panel> {
    let panel =
        |json: &Json| Panel { title: text(&json["title"]).to_owned(), queries: queries(json) };
    all(board).into_iter().filter(|json| json["type"] != "row").map(panel).collect()
}

/// Panels and rows, those within collapsed rows included.
fn all(board: &Json) -> Vec<&Json> {
    let own = board["panels"].as_array().into_iter().flatten();
    own.flat_map(|panel| [panel].into_iter().chain(all(panel))).collect()
}

fn queries(panel: &Json) -> Vec<Query> {
    let query = |target: &Json| Query {
        expr: text(&target["expr"]).to_owned(),
        legend: text(&target["legendFormat"]).to_owned(),
    };
    panel["targets"].as_array().into_iter().flatten().map(query).collect()
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

/// What is wrong with a dashboard, in words.
pub(super) fn faults(board: &Json) -> Vec<String> {
    let mut faults = Vec::new();
    of_the_whole(board, &mut faults);
    let mut ids = BTreeSet::new();
    for panel in all(board) {
        if !ids.insert(panel["id"].as_u64()) || panel["id"].is_null() {
            faults.push(format!("{}: its id is another's", panel["title"]));
        }
        if panel["type"] != "row" {
            of_panel(panel, &mut faults);
        }
    }
    overlaps(board, &mut faults);
    faults
}

fn of_the_whole(board: &Json, faults: &mut Vec<String>) {
    for (key, wanted) in
        [("uid", Json::from("slipway")), ("schemaVersion", 39.into()), ("editable", false.into())]
    {
        if board[key] != wanted {
            faults.push(format!("{key} is {} and not {wanted}", board[key]));
        }
    }
    let variables = &board["templating"]["list"];
    for (at, (name, kind)) in
        [("datasource", "datasource"), ("job", "query"), ("instance", "query")]
            .into_iter()
            .enumerate()
    {
        let variable = &variables[at];
        if variable["name"] != name || variable["type"] != kind {
            faults.push(format!("variable {name} is missing"));
        }
        if kind == "query"
            && (variable["refresh"] != 2
                || variable["allValue"] != ".+"
                || variable["multi"] != true)
        {
            faults.push(format!("variable {name} must be looked up when the time range changes, and allow several and all"));
        }
    }
    let first = panels(board).first().map(|panel| panel.title.clone()).unwrap_or_default();
    if first != FIRST {
        faults.push(format!("the first panel is {first:?} and not {FIRST:?}"));
    }
}

fn of_panel(panel: &Json, faults: &mut Vec<String>) {
    let title = text(&panel["title"]);
    let mut fault = |what: &str| faults.push(format!("{title}: {what}"));
    if title.is_empty() || text(&panel["description"]).is_empty() {
        fault("title or description is missing");
    }
    if !TYPES.contains(&text(&panel["type"])) {
        fault("its type is none that Grafana draws");
    }
    let defaults = &panel["fieldConfig"]["defaults"];
    if text(&defaults["unit"]).is_empty() {
        fault("its unit is missing");
    }
    let targets = panel["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    if targets.is_empty() {
        fault("it asks for nothing");
    }
    if [panel].into_iter().chain(targets).any(|part| part["datasource"]["uid"] != "${datasource}") {
        fault("it does not use the data source that is chosen");
    }
    let mut legends = BTreeSet::new();
    for query in queries(panel) {
        if query.legend.is_empty() || !legends.insert(query.legend.clone()) {
            fault("a legend is missing, or two queries have the same");
        }
        of_query(&query.expr, &mut fault);
    }
}

fn of_query(expr: &str, fault: &mut impl FnMut(&str)) {
    let selectors = query::selectors(expr);
    if selectors.is_empty() {
        fault("a query names no metric");
    }
    for Selector { text, range, function, .. } in &selectors {
        if !text.contains("job=~\"$job\"") || !text.contains("instance=~\"$instance\"") {
            fault(&format!("{text} must be of $job and $instance"));
        }
        if range.as_ref().is_some_and(|range| range != "$__rate_interval" && range != "$__range") {
            fault(&format!("{text} must be over $__rate_interval"));
        }
        let rated = matches!(function.as_deref(), Some("rate" | "increase")) && range.is_some();
        let is_counter =
            selectors.iter().any(|selector| selector.text == *text && selector.is_counter());
        if is_counter && !rated {
            fault(&format!(
                "{text} only grows: only in rate() or increase() does it say something"
            ));
        }
        if !is_counter && range.is_some() {
            fault(&format!("{text} is no counter: rate() of it says nothing"));
        }
    }
}

fn overlaps(board: &Json, faults: &mut Vec<String>) {
    let mut taken = BTreeSet::new();
    for panel in board["panels"].as_array().into_iter().flatten() {
        let number = |key: &str| panel["gridPos"][key].as_u64().unwrap_or(1000);
        let (x, y, w, h) = (number("x"), number("y"), number("w"), number("h"));
        if x + w > 24 {
            faults.push(format!("{}: it is outside of the 24 columns", panel["title"]));
            continue;
        }
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            if !taken.insert(cell) {
                faults.push(format!("{}: an overlap with another panel", panel["title"]));
                break;
            }
        }
    }
}
