//! From the text of a file to a configuration, with warnings; and whose file it is.

use super::keys::Place;
use super::{Config, KEYS, Key, Kind, Size, Span};
use crate::{Error, Flavour};
use std::collections::BTreeMap;
use std::fmt;
use toml::{Table, Value};

/// A configuration, and what the operator should hear about its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Warning>,
}

/// What codis-proxy would pass over in silence, or stop at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    UnknownKey(String),
    /// The same key twice, in different cases: this one is passed over.
    Repeated(String),
    /// A key of Codis 3.0 that means nothing any more.
    Retired(&'static str),
    /// More quick connections than there may be: fewer are used.
    Clamped {
        key: &'static str,
        from: i64,
        to: i64,
    },
    /// `jodis_addr` without `jodis_name`: ZooKeeper, as in Codis 3.0.
    JodisIsZooKeeper,
}

impl fmt::Display for Warning {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey(key) => write!(to, "unknown key {key} is ignored"),
            Self::Repeated(key) => {
                write!(to, "key {key} is there twice, in different cases; this one is ignored")
            }
            Self::Retired(key) => write!(to, "key {key} means nothing since codis 3.1"),
            Self::Clamped { key, from, to: less } => {
                write!(
                    to,
                    "{key} = {from} must be less than the connections it is taken from; {less} is used"
                )
            }
            Self::JodisIsZooKeeper => {
                to.write_str("jodis_addr without jodis_name is taken for zookeeper")
            }
        }
    }
}

impl Config {
    /// Reads a file's text.
    pub fn load(text: &str) -> Result<Loaded, Error> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            Error::Config(error.to_string().trim_end().to_owned())
        })?;
        let mut warnings = Vec::new();
        let mut found: Vec<(&'static Key, &Value)> = Vec::new();
        // In one order, whatever the reader of TOML keeps.
        let sorted: BTreeMap<&String, &Value> = table.iter().collect();
        for (name, value) in sorted {
            match Key::find(name) {
                // Another program's own, in the same file.
                None if name.starts_with("slipway_") => {}
                None => warnings.push(Warning::UnknownKey(name.clone())),
                Some(key) if key.name != name && stands_for_more(&table, key, name) => {
                    warnings.push(Warning::Repeated(name.clone()));
                }
                Some(key) => found.push((key, value)),
            }
        }
        let is_fork = found.iter().any(|(key, _)| key.line == Flavour::Fork);
        let mut config = Self::defaults(if is_fork { Flavour::Fork } else { Flavour::Upstream });
        for (key, value) in found {
            config.set(key, value)?;
            if key.about.is_empty() {
                warnings.push(Warning::Retired(key.name));
            }
        }
        config.clamp(&mut warnings);
        config.check().map_err(Error::Config)?;
        if config.jodis_name.is_empty() && config.jodis().is_some() {
            warnings.push(Warning::JodisIsZooKeeper);
        }
        Ok(Loaded { config, warnings })
    }

    fn set(&mut self, key: &Key, value: &Value) -> Result<(), Error> {
        let wrong = |what: &str| Error::Config(format!("invalid {}: {what}", key.name));
        let literal = literal(value);
        match (self.place(key.name), value) {
            (Place::Text(place), Value::String(text)) => place.clone_from(text),
            (Place::Bool(place), Value::Boolean(is)) => *place = *is,
            (Place::Int(place), Value::Integer(number)) => {
                if key.kind == Kind::Int32 && i32::try_from(*number).is_err() {
                    return Err(wrong("out of range"));
                }
                *place = *number;
            }
            (Place::Size(place), _) => {
                let text = literal.ok_or_else(|| wrong("it takes a size, such as \"128kb\""))?;
                *place = Size::parse(&text).map_err(wrong)?;
            }
            (Place::Span(place), _) => {
                let text = literal.ok_or_else(|| wrong("it takes a duration, such as \"30s\""))?;
                *place = Span::parse(&text).map_err(wrong)?;
            }
            (Place::Nowhere, _) => {}
            (place, _) => {
                let kind = match place {
                    Place::Text(_) => "a string",
                    Place::Bool(_) => "true or false",
                    _ => "an integer",
                };
                return Err(wrong(&format!("it takes {kind}")));
            }
        }
        Ok(())
    }

    /// An upstream file has one connection to a primary, and the fork's default takes one of them away: codis-proxy refuses to start.
    fn clamp(&mut self, warnings: &mut Vec<Warning>) {
        let (primary, replica) =
            (self.primary_parallel() as i64 - 1, self.replica_parallel() as i64 - 1);
        for (key, quick, most) in [
            ("backend_primary_quick", &mut self.backend_primary_quick, primary),
            ("backend_replica_quick", &mut self.backend_replica_quick, replica),
        ] {
            if *quick > most {
                warnings.push(Warning::Clamped { key, from: *quick, to: most });
                *quick = most;
            }
        }
    }
}

/// Whether the table has the key in its own letters too, or another way of writing it that comes first.
fn stands_for_more(table: &Table, key: &Key, name: &str) -> bool {
    table.contains_key(key.name)
        || table
            .keys()
            .filter(|other| other.eq_ignore_ascii_case(key.name))
            .min()
            .is_some_and(|first| first != name)
}

/// A value where a text is wanted: Codis takes numbers and booleans by their text.
fn literal(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:.6}"),
        Value::Boolean(is) => is.to_string(),
        _ => return None,
    })
}

/// Keys that only our own `proxy.toml` has at its top.
const OURS: [&str; 7] =
    ["listen", "admin", "controller", "workers", "slots", "client_password", "node_password"];

/// Whether a file is codis-proxy's rather than our own. A file without any key is codis-proxy's: there all keys have a default.
pub fn is_codis(text: &str) -> bool {
    let names: Vec<String> = match text.parse::<Table>() {
        Ok(table) => {
            if table.values().any(Value::is_table) {
                return false;
            }
            table.keys().cloned().collect()
        }
        // Whoever owns it must say what is wrong with it.
        Err(_) => text
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
            .collect(),
    };
    let is_known = |name: &String| KEYS.iter().any(|key| key.name.eq_ignore_ascii_case(name));
    !names.iter().any(|name| OURS.contains(&name.as_str()))
        && (names.is_empty() || names.iter().any(is_known))
}
