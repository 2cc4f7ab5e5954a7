//! Writing changed values into the text of a file, and leaving all else as it is: comments, order, keys we do not know.

use super::{Config, KEYS};
use crate::Error;

/// The file's text with the values of `config`. Only lines whose value differs are touched; what the file does not have and differs from its
/// default is added at the end. Fails where a value cannot be written in its place, and then nothing should be written.
pub fn rewrite(text: &str, config: &Config) -> Result<String, Error> {
    // A first key of the fork's changes the defaults of others: they are written by the second pass.
    let after = changed(&changed(text, config)?, config)?;
    let said = Config::load(&after)?.config;
    match KEYS.iter().find(|key| said.toml(key.name) != config.toml(key.name)) {
        None => Ok(after),
        Some(key) => Err(Error::Config(format!(
            "{} cannot be changed in its place in the file; do it by hand",
            key.name
        ))),
    }
}

fn changed(text: &str, config: &Config) -> Result<String, Error> {
    let before = Config::load(text)?.config;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for key in &KEYS {
        let value = config.toml(key.name);
        if value == before.toml(key.name) {
            continue;
        }
        let own = |line: &&mut String| {
            key_of(line).is_some_and(|name| name.eq_ignore_ascii_case(key.name))
        };
        let line = format!("{} = {value}", key.name);
        match lines.iter_mut().find(own) {
            Some(place) => *place = line + comment_of(place),
            None => lines.push(line),
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// The name before `=`.
fn key_of(line: &str) -> Option<&str> {
    let name = line.split_once('=')?.0.trim();
    Some(name.trim_matches('"').trim_matches('\'')).filter(|name| !name.starts_with('#'))
}

/// The comment behind a value, with the space before it. A `#` within quotes is none.
fn comment_of(line: &str) -> &str {
    let mut quote = None;
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') => return &line[line[..at].trim_end().len()..],
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flavour;

    fn load(text: &str) -> Config {
        Config::load(text).unwrap_or_else(|error| panic!("{text}: {error}")).config
    }

    #[test]
    fn a_rewrite_touches_what_has_changed_and_nothing_else() {
        let text =
            "# head\n\nProduct_Name = \"a#b\" # name\nproxy_max_clients=10 # many\nnosuch = 1\n"
                .replace("a#b", "ab");
        let mut config = load(&text);
        assert_eq!(rewrite(&text, &config).unwrap(), text);
        config.proxy_max_clients = 20;
        config.session_auth = "it's #\"1\"".to_owned();
        let after = rewrite(&text, &config).unwrap();
        assert!(after.starts_with("# head\n\nProduct_Name = \"ab\" # name\nproxy_max_clients = 20 # many\nnosuch = 1\nsession_auth = "), "{after}");
        assert_eq!(load(&after), config);
        let mut again = load(&after);
        again.session_auth = String::new();
        assert_eq!(load(&rewrite(&after, &again).unwrap()).session_auth, "");
    }

    #[test]
    fn a_rewrite_that_makes_a_file_the_forks_keeps_the_other_values() {
        let mut config = Config::defaults(Flavour::Upstream);
        config.pconfig_set("slowlog_log_slower_than", "5").unwrap();
        let after = rewrite("", &config).unwrap();
        assert_eq!(load(&after), Config { flavour: Flavour::Fork, ..config });
        assert!(
            after.contains("slowlog_log_slower_than = 5\n")
                && after.contains("backend_primary_parallel = 1\n"),
            "{after}"
        );
    }

    #[test]
    fn a_rewrite_that_would_not_be_read_back_fails() {
        let text = "product_name = \"\"\"\na\"\"\"\n";
        let mut config = load(text);
        config.product_name = "b".to_owned();
        assert!(rewrite(text, &config).is_err());
        // At the end of this file a key would belong to the table.
        let said = rewrite("[x]\n", &config).map_err(|error| error.to_string());
        assert_eq!(
            said,
            Err("product_name cannot be changed in its place in the file; do it by hand".to_owned())
        );
    }
}
