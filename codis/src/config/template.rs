//! The file that `--default-config` prints: every key of a line with its default.

use super::{Config, KEYS};
use crate::Flavour;

/// The text; reading it gives the line's defaults.
pub fn default_text(flavour: Flavour) -> String {
    let config = Config::defaults(flavour);
    let mut text = HEAD.to_owned();
    let own = KEYS.iter().filter(|key| !key.about.is_empty() && key.name != "auto_set_slow_flag");
    for key in own.filter(|key| flavour == Flavour::Fork || key.line == Flavour::Upstream) {
        text.push_str(&format!("\n# {}\n{} = {}\n", key.about, key.name, config.toml(key.name)));
    }
    text
}

const HEAD: &str = "\
# One proxy of a Codis cluster. Every key with its default; a missing key has it, an unknown one is ignored.
# Sizes: 128kb, 1.5gb (base 1024). Durations: one of ns us ms s m h; without a unit, seconds.
";
