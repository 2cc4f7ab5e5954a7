//! Medians of the runs, as a table for people and as JSON for programs.

use crate::cost::Cost;
use anyhow::Result;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// All runs so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// By case, in the order of measuring; each with its runs by server.
    cases: Vec<(String, BTreeMap<&'static str, Vec<Cost>>)>,
}

/// The servers, as the columns stand.
const COLUMNS: [&str; 3] = ["redis-server", "node", "proxy"];

impl Report {
    pub(crate) fn add(&mut self, case: &str, server: &'static str, cost: Cost) {
        if self.cases.last().is_none_or(|(name, _)| name != case) {
            self.cases.push((case.to_owned(), BTreeMap::new()));
        }
        if let Some((_, runs)) = self.cases.last_mut() {
            runs.entry(server).or_default().push(cost);
        }
    }

    /// One line of the table; before the first, its head.
    pub(crate) fn show_case(&self, to: &mut impl Write, case: &str) -> Result<()> {
        if self.cases.len() == 1 {
            writeln!(
                to,
                "CPU in us a request (in the kernel) and thousands of requests a second; the ratios are of CPU, lowest to highest round"
            )?;
            write!(to, "{:12}", "case")?;
            COLUMNS.iter().try_for_each(|name| write!(to, " {name:>24}"))?;
            writeln!(to, " {:>24} {:>24}", "node / redis-server", "proxy / redis-server")?;
        }
        let Some((_, runs)) = self.cases.iter().find(|(name, _)| name == case) else {
            return Ok(());
        };
        write!(to, "{case:12}")?;
        for name in COLUMNS {
            let of = |part: fn(&Cost) -> f64| median(runs[name].iter().map(part).collect());
            let (micros, system, rate) =
                (of(|c| c.micros), of(|c| c.system_micros), of(|c| c.rate));
            write!(to, " {:>24}", format!("{micros:.2} ({system:.2}) {:.0}k/s", rate / 1000.0))?;
        }
        for name in ["node", "proxy"] {
            let ratios: Vec<f64> = runs[name]
                .iter()
                .zip(&runs["redis-server"])
                .map(|(a, b)| a.micros / b.micros)
                .collect();
            let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let high = ratios.iter().copied().fold(0.0, f64::max);
            write!(to, " {:>24}", format!("{:.2} ({low:.2} to {high:.2})", median(ratios)))?;
        }
        writeln!(to)?;
        to.flush()?;
        Ok(())
    }

    /// Every run, by case and server, as JSON.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let cases: BTreeMap<_, _> = self.cases.iter().map(|(name, runs)| (name, runs)).collect();
        std::fs::write(file, serde_json::to_vec_pretty(&cases)?)?;
        Ok(())
    }

    pub(crate) fn show_end(to: &mut impl Write, file: &Path) -> Result<()> {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        writeln!(
            to,
            "\n{cores} cores ({}), shared by load and servers",
            model.trim_start_matches(['\t', ' ', ':'])
        )?;
        writeln!(
            to,
            "the proxy's column is the proxy's own CPU, before two nodes; redis-server keeps nothing on disk, the node everything"
        )?;
        writeln!(to, "every run: {}", file.display())?;
        Ok(())
    }
}

/// The middle one; of an even number, the mean of the two in the middle.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match numbers.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => numbers[half],
        _ => f64::midpoint(numbers[half - 1], numbers[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
