//! What a PromQL expression names. Not a parser: enough to find names, and Prometheus itself says whether the rest is right.

/// Keywords, functions and aggregations aside, every word of our expressions that no bracket follows is a metric or a label.
const KEYWORDS: [&str; 13] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "offset",
    "bool",
    "inf",
    "nan",
];

/// A metric with its matchers, as it stands in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) text: String,
    pub(super) metric: String,
    /// The names of its matchers.
    pub(super) labels: Vec<String>,
    /// What stands before it, if that is a function's bracket: `rate`.
    pub(super) function: Option<String>,
    /// What stands behind it in square brackets: `5m`.
    pub(super) range: Option<String>,
}

impl Selector {
    /// Whether the series are counters, or parts of a histogram.
    pub(super) fn is_counter(&self) -> bool {
        ["_total", "_bucket", "_count", "_sum"].iter().any(|end| self.metric.ends_with(end))
    }

    /// Whether a healthy cluster has such series. What is compared with `!` may leave none.
    pub(super) fn must_match(&self) -> bool {
        !self.text.contains('!')
    }
}

/// Puts in what Grafana would for its variables.
pub(super) fn expand(expr: &str) -> String {
    let whole = expr.replace("$job", ".+").replace("$instance", ".+");
    // Several scrapes, also when this machine is busy.
    whole.replace("$__rate_interval", "15s").replace("$__range", "15m")
}

/// The metrics an expression names.
pub(super) fn selectors(expr: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    for word in words(expr) {
        let rest = expr[word.end..].trim_start();
        let before = expr[..word.start].trim_end();
        let is_aggregation =
            rest.split_whitespace().next().is_some_and(|next| next == "by" || next == "without");
        let is_call = rest.starts_with('(') || is_aggregation;
        if is_call || KEYWORDS.contains(&word.text) || in_label_list(before) {
            continue;
        }
        let matchers = rest.strip_prefix('{').and_then(up_to_the_end);
        let text =
            matchers.map_or_else(|| word.text.to_owned(), |m| format!("{}{{{m}}}", word.text));
        let rest = matchers.map_or(rest, |matchers| &rest[matchers.len() + 2..]);
        let range = rest
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map(|(range, _)| range.to_owned());
        let function = before.strip_suffix('(').map(|before| last_word(before).to_owned());
        let labels = matchers.map_or_else(Vec::new, |m| {
            words(m).into_iter().map(|word| word.text.to_owned()).collect()
        });
        found.push(Selector { text, metric: word.text.to_owned(), labels, function, range });
    }
    found
}

/// The labels an expression groups or joins by.
pub(super) fn grouped_by(expr: &str) -> Vec<String> {
    let lists = ["by", "on", "group_left"].map(|keyword| format!("{keyword} ("));
    let behind = lists.iter().flat_map(|list| expr.split(list.as_str()).skip(1));
    let labels =
        behind.filter_map(|rest| rest.split_once(')')).flat_map(|(labels, _)| labels.split(','));
    labels.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect()
}

struct Word<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

/// Names outside of strings, matchers and ranges.
fn words(expr: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let (mut quoted, mut depth, mut start) = (false, 0, None);
    for (at, c) in expr.char_indices().chain([(expr.len(), ' ')]) {
        let part = !quoted && depth == 0 && (c.is_ascii_alphanumeric() || c == '_' || c == ':');
        match (part, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                let text = &expr[from..at];
                if !text.starts_with(|c: char| c.is_ascii_digit()) {
                    found.push(Word { text, start: from, end: at });
                }
                start = None;
            }
            _ => {}
        }
        match c {
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            _ => {}
        }
    }
    found
}

/// Matchers, up to the bracket that ends them.
fn up_to_the_end(rest: &str) -> Option<&str> {
    let mut quoted = false;
    let end = rest.find(|c| {
        quoted ^= c == '"';
        c == '}' && !quoted
    });
    end.map(|end| &rest[..end])
}

/// Whether the text ends within the brackets behind `by`, `on` and the like.
fn in_label_list(before: &str) -> bool {
    let Some((outside, inside)) = before.rsplit_once('(') else { return false };
    let keyword = last_word(outside.trim_end());
    !inside.contains(')')
        && KEYWORDS.contains(&keyword)
        && !["and", "or", "unless"].contains(&keyword)
}

fn last_word(text: &str) -> &str {
    let start =
        text.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
    &text[start..]
}

#[test]
fn what_an_expression_names_is_found() {
    let expr = r#"sum by (job, le) (rate(a_bucket{job=~"x{1}.*",result="y"}[5m])) > 0.5 and on (job) max(b{k!="v"} offset 2m) / c > 100"#;
    let found = selectors(expr);
    let metrics: Vec<_> = found.iter().map(|selector| selector.metric.as_str()).collect();
    assert_eq!(metrics, ["a_bucket", "b", "c"]);
    assert_eq!(
        (found[0].function.as_deref(), found[0].range.as_deref()),
        (Some("rate"), Some("5m"))
    );
    assert_eq!(found[1].text, r#"b{k!="v"}"#);
    assert_eq!((found[0].is_counter(), found[1].is_counter()), (true, false));
    assert!(found[0].must_match() && !found[1].must_match());
    assert_eq!(grouped_by(expr), ["job", "le", "job"]);
}
