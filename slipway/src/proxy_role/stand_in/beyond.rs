//! Settings of ours in a file of codis-proxy: keys that begin with `slipway_`, which codis-proxy passes over. `docs/CODIS.md` has them as a table.

use crate::file::{Scores, ms, set};
use anyhow::{Context, Result};
use proxy::Config;
use serde::Deserialize;
use toml::Table;

/// What their names begin with.
const PREFIX: &str = "slipway_";

/// What is missing has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beyond {
    hold_requests_per_slot_max: Option<usize>,
    hold_bytes_max: Option<usize>,
    hold_soft_ms: Option<u64>,
    hold_timeout_ms: Option<u64>,
    hold_node_down_ms: Option<u64>,
    foreign_fill_wait_ms: Option<u64>,
    foreign_move_timeout_ms: Option<u64>,
    foreign_sweep_in_flight_max: Option<usize>,
    foreign_gone_keys_max: Option<usize>,
    foreign_asks_in_flight_max: Option<usize>,
    foreign_probed_keys_max: Option<u64>,
    foreign_examine_timeout_ms: Option<u64>,
    foreign_examine_keys_max: Option<usize>,
    foreign_noted_keys_max: Option<usize>,
    foreign_fractional_scores: Option<Scores>,
}

/// Applies what a file that has been read says beyond codis-proxy. The error names the key.
pub(super) fn apply(text: &str, to: &mut Config) -> Result<()> {
    let table: Table = text.parse()?;
    let ours =
        |(name, value): (String, toml::Value)| Some((name.strip_prefix(PREFIX)?.to_owned(), value));
    let ours: Table = table.into_iter().filter_map(ours).collect();
    let said: Beyond = ours.try_into().with_context(|| format!("keys that begin with {PREFIX}"))?;
    let hold = &mut to.hold;
    set(&mut hold.requests_per_slot_max, said.hold_requests_per_slot_max);
    set(&mut hold.bytes_max, said.hold_bytes_max);
    set(&mut hold.soft, ms(said.hold_soft_ms));
    set(&mut hold.timeout, ms(said.hold_timeout_ms));
    set(&mut hold.node_down, ms(said.hold_node_down_ms));
    let foreign = &mut to.foreign;
    set(&mut foreign.fill_wait, ms(said.foreign_fill_wait_ms));
    set(&mut foreign.move_timeout, ms(said.foreign_move_timeout_ms));
    set(&mut foreign.sweep_in_flight_max, said.foreign_sweep_in_flight_max);
    set(&mut foreign.gone_keys_max, said.foreign_gone_keys_max);
    set(&mut foreign.asks_in_flight_max, said.foreign_asks_in_flight_max);
    set(&mut foreign.probed_keys_max, said.foreign_probed_keys_max);
    set(&mut foreign.examine_timeout, ms(said.foreign_examine_timeout_ms));
    set(&mut foreign.examine_keys_max, said.foreign_examine_keys_max);
    set(&mut foreign.noted_keys_max, said.foreign_noted_keys_max);
    set(&mut foreign.fractional_scores, said.foreign_fractional_scores.map(Scores::into));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_is_said_beyond_codis_holds_and_what_is_not_known_is_refused() {
        let mut config = Config::default();
        let text = "proxy_addr = \"0.0.0.0:19000\"\nslipway_hold_timeout_ms = 7000\n\
                    slipway_foreign_fill_wait_ms = 1500\nslipway_foreign_fractional_scores = \"round\"\n";
        apply(text, &mut config).unwrap();
        assert_eq!(config.hold.timeout, Duration::from_secs(7));
        assert_eq!(config.foreign.fill_wait, Duration::from_millis(1500));
        assert_eq!(config.foreign.fractional_scores, proxy::config::FractionalScores::Round);
        for (text, named) in [
            ("slipway_hold_timeout = 1\n", "hold_timeout"),
            ("slipway_foreign_gone_keys_max = -1\n", "foreign_gone_keys_max"),
            ("slipway_foreign_fractional_scores = \"cut\"\n", "fractional_scores"),
        ] {
            let why = format!("{:#}", apply(text, &mut config).unwrap_err());
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn the_page_names_every_one_of_them() {
        let page = include_str!("../../../../docs/CODIS.md");
        let source = include_str!("beyond.rs");
        let fields = source.lines().filter_map(|line| line.trim().split_once(": Option<"));
        let names: Vec<&str> = fields.map(|(name, _)| name).filter(|n| !n.contains(' ')).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            assert!(page.contains(&format!("`{PREFIX}{name}`")), "{name} is not in docs/CODIS.md");
        }
    }
}
