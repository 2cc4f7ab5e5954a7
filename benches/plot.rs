//! What was measured, as SVG for the documents: bars, and intervals beside a line. Plain elements, no scripts, no fonts of its own.

use crate::memory;
use crate::record::Record;
use crate::statistics::Estimate;
use crate::subject::{Kind, RECIPES};
use anyhow::Result;
use std::fmt::Write;
use std::path::Path;

/// A colour for each subject, told apart by people who do not see all colours (Okabe and Ito).
const COLOURS: [&str; RECIPES.len()] = [
    "#000000", "#009e73", "#999999", "#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#cc79a7",
    "#f0e442",
];

/// Of whoever is attached.
const ATTACHED: &str = "#774411";

const WIDTH: f64 = 900.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 64.0;
const ROW: f64 = 13.0;
const GAP: f64 = 9.0;

/// One bar or interval.
struct Mark {
    colour: &'static str,
    estimate: Estimate,
    text: String,
}

/// What stands beside one label.
struct Group {
    label: String,
    marks: Vec<Mark>,
}

/// Writes every plot there are numbers for into a folder.
pub(crate) fn write_all(folder: &Path, record: &Record) -> Result<()> {
    let cases = record.cases();
    let closed: Vec<&str> = cases.iter().copied().filter(|case| case.contains("-P")).collect();
    let open: Vec<&str> = cases.iter().copied().filter(|case| case.starts_with("mixed")).collect();
    let cost = groups(record, &closed, "cpu_us", 2);
    write_one(
        folder,
        "cpu.svg",
        bars(record, "CPU of a request, microseconds (less is better)", &cost),
    )?;
    let latency = groups(record, &open, "p99_ms", 2);
    write_one(
        folder,
        "latency.svg",
        bars(record, "p99 at a fixed rate, milliseconds (less is better)", &latency),
    )?;
    let memory = groups(record, &[memory::CLIENTS], "rss_10000_used_mib", 0);
    let title = "Resident memory with 10,000 clients that were used once, MiB (less is better)";
    write_one(folder, "memory.svg", bars(record, title, &memory))?;
    write_one(folder, "ratios.svg", ratios(record, &closed))
}

fn write_one(folder: &Path, name: &str, svg: Option<String>) -> Result<()> {
    if let Some(svg) = svg {
        std::fs::write(folder.join(name), svg)?;
    }
    Ok(())
}

/// The same in every plot, whoever else is in it.
fn colour(subject: &str) -> &'static str {
    let place = RECIPES.iter().position(|recipe| recipe.name == subject);
    place.map_or(ATTACHED, |place| COLOURS[place])
}

fn groups(record: &Record, cases: &[&str], value: &str, digits: usize) -> Vec<Group> {
    let group = |case: &&str| {
        let mark = |subject: &str| {
            let estimate = record.estimate(case, subject, value)?;
            let text = format!("{:.digits$}", estimate.median);
            Some(Mark { colour: colour(subject), estimate, text })
        };
        let marks = record.subjects.iter().filter_map(|s| mark(&s.name)).collect();
        Group { label: (*case).to_owned(), marks }
    };
    cases.iter().map(group).filter(|group| !group.marks.is_empty()).collect()
}

/// The CPU of our proxy over that of each peer, with intervals; below 1, ours is cheaper.
fn ratios(record: &Record, cases: &[&str]) -> Option<String> {
    let peers: Vec<&str> = record
        .subjects
        .iter()
        .filter(|s| s.kind == Kind::Proxy && !s.name.starts_with("proxy"))
        .map(|s| s.name.as_str())
        .collect();
    let group = |case: &&str| {
        let mark = |peer: &&str| {
            let of = |subject| record.values(case, subject, "cpu_us");
            let estimate = Estimate::of_pairs(&of("proxy"), &of(peer), |a, b| a / b)?;
            let text = format!("{:.2}", estimate.median);
            Some(Mark { colour: colour(peer), estimate, text })
        };
        Group { label: (*case).to_owned(), marks: peers.iter().filter_map(mark).collect() }
    };
    let groups: Vec<Group> = cases.iter().map(group).filter(|g| !g.marks.is_empty()).collect();
    let title =
        "CPU of our proxy / CPU of the peer, 95 % intervals (left of the line ours is cheaper)";
    let mut plot = Plot::new(record, title, &groups)?;
    plot.line_at(1.0);
    plot.draw(&groups, |plot, mark, y| {
        let (low, high) = (plot.x(mark.estimate.low), plot.x(mark.estimate.high));
        let middle = y + ROW / 2.0 - 1.0;
        let colour = mark.colour;
        plot.add(&format!(
            r#"<line x1="{low:.1}" x2="{high:.1}" y1="{middle:.1}" y2="{middle:.1}" stroke="{colour}" stroke-width="2"/>"#
        ));
        let x = plot.x(mark.estimate.median);
        plot.add(&format!(r#"<circle cx="{x:.1}" cy="{middle:.1}" r="3.5" fill="{colour}"/>"#));
    });
    Some(plot.finish())
}

fn bars(record: &Record, title: &str, groups: &[Group]) -> Option<String> {
    let mut plot = Plot::new(record, title, groups)?;
    plot.draw(groups, |plot, mark, y| {
        let (start, end) = (plot.x(0.0), plot.x(mark.estimate.median));
        let (width, height, colour) = (end - start, ROW - 3.0, mark.colour);
        plot.add(&format!(
            r#"<rect x="{start:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
        ));
        let (low, high) = (plot.x(mark.estimate.low), plot.x(mark.estimate.high));
        let middle = y + height / 2.0;
        plot.add(&format!(
            r##"<line x1="{low:.1}" x2="{high:.1}" y1="{middle:.1}" y2="{middle:.1}" stroke="#555555" stroke-width="1"/>"##
        ));
    });
    Some(plot.finish())
}

/// A drawing that begins at zero on the left.
struct Plot {
    svg: String,
    height: f64,
    /// What stands at the right edge.
    most: f64,
}

impl Plot {
    /// Title and legend; nothing if there is nothing to draw.
    fn new(record: &Record, title: &str, groups: &[Group]) -> Option<Self> {
        let marks = || groups.iter().flat_map(|group| &group.marks);
        let most = marks().map(|mark| mark.estimate.high).fold(0.0, f64::max);
        if most <= 0.0 {
            return None;
        }
        let rows = marks().count() as f64;
        let height = TOP + rows * ROW + groups.len() as f64 * GAP + 12.0;
        let mut plot = Self { svg: String::new(), height, most };
        plot.add(&format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" font-family="sans-serif" font-size="11">"#
        ));
        plot.add(&format!(r##"<rect width="{WIDTH}" height="{height:.0}" fill="#ffffff"/>"##));
        plot.text(12.0, 20.0, 14, title);
        let mut x = 12.0;
        for subject in &record.subjects {
            let colour = colour(&subject.name);
            if marks().any(|mark| mark.colour == colour) {
                plot.add(&format!(
                    r#"<rect x="{x}" y="34" width="10" height="10" fill="{colour}"/>"#
                ));
                plot.text(x + 14.0, 43.0, 11, &subject.name);
                x += 28.0 + subject.name.len() as f64 * 6.5;
            }
        }
        Some(plot)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + value / self.most * (WIDTH - LEFT - RIGHT)
    }

    fn add(&mut self, element: &str) {
        self.svg.push_str(element);
        self.svg.push('\n');
    }

    fn text(&mut self, x: f64, y: f64, size: u32, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ =
            writeln!(self.svg, r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}">{text}</text>"#);
    }

    fn line_at(&mut self, value: f64) {
        let (x, bottom) = (self.x(value), self.height);
        self.add(&format!(
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom:.0}" stroke="#bbbbbb" stroke-width="1"/>"##
        ));
    }

    fn draw(&mut self, groups: &[Group], mark_at: impl Fn(&mut Self, &Mark, f64)) {
        let mut y = TOP;
        for group in groups {
            self.text(12.0, y + ROW - 4.0, 11, &group.label);
            for mark in &group.marks {
                mark_at(self, mark, y);
                let end = self.x(mark.estimate.high.max(mark.estimate.median)) + 8.0;
                self.text(end, y + ROW - 4.0, 10, &mark.text);
                y += ROW;
            }
            y += GAP;
        }
    }

    fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}
