//! `control.toml` as written, and everything that is refused in it. The file `config/control.toml` is the manual.

use super::{Config, Limits};
use cluster::{GroupId, Kind, SlotCount, SlotRanges};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// The file as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub data: PathBuf,
    pub listen: String,
    pub slots: Option<u32>,
    pub password: Option<String>,
    pub stop_grace_ms: Option<u64>,
    #[serde(default)]
    pub limits: FileLimits,
    #[serde(default, rename = "group")]
    pub groups: Vec<FileGroup>,
}

/// One group as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileGroup {
    pub id: u32,
    pub addr: String,
    #[serde(default)]
    pub kind: Kind,
    pub slots: Option<String>,
}

/// The limits as written; what is missing has its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileLimits {
    pub slots_moving_max: usize,
    pub poll_ms: u64,
    pub connect_ms_max: u64,
    pub answer_ms_max: u64,
    pub node_away_ms_max: u64,
    pub copy_standing_ms_max: u64,
    pub armed_ms_max: u64,
    pub tries_max: u32,
    pub retry_pause_ms: u64,
    pub foreign_slots_moving_max: usize,
    pub locked_ms_max: u64,
    pub proxy_away_ms_max: u64,
    pub requests_max: usize,
}

/// The file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Default for FileLimits {
    fn default() -> Self {
        let limits = Limits::default();
        let ms = |time: Duration| time.as_millis() as u64;
        Self {
            slots_moving_max: limits.slots_moving_max,
            poll_ms: ms(limits.poll_time),
            connect_ms_max: ms(limits.connect_time),
            answer_ms_max: ms(limits.answer_time),
            node_away_ms_max: ms(limits.node_away_max),
            copy_standing_ms_max: ms(limits.copy_standing_max),
            armed_ms_max: ms(limits.armed_max),
            tries_max: limits.tries_max,
            retry_pause_ms: ms(limits.retry_pause),
            foreign_slots_moving_max: limits.foreign_slots_moving_max,
            locked_ms_max: ms(limits.locked_max),
            proxy_away_ms_max: ms(limits.proxy_away_max),
            requests_max: limits.requests_max,
        }
    }
}

impl File {
    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e| ConfigError(e.to_string().trim_end().to_owned()))
    }

    /// How long requests under way may take to finish when the controller stops.
    pub fn stop_grace(&self) -> Duration {
        Duration::from_millis(self.stop_grace_ms.unwrap_or(5_000))
    }

    /// Refuses what cannot be, naming the key and what is allowed.
    pub fn check(&self) -> Result<Config, ConfigError> {
        let refuse = |text: String| Err(ConfigError(text));
        let slot_count = match self.slots {
            None => None,
            Some(n) => match SlotCount::new(n) {
                None => {
                    return refuse(format!("slots is {n}: 1 to {} are possible", SlotCount::MAX));
                }
                count => count,
            },
        };
        if self.groups.is_empty() {
            return refuse("there is no [[group]]: name at least one, with id and addr".to_owned());
        }
        let mut seen = BTreeSet::new();
        for group in &self.groups {
            if group.id == 0 || !seen.insert(group.id) {
                return refuse(format!(
                    "group id {} is 0 or used twice: number groups from 1",
                    group.id
                ));
            }
            if group
                .addr
                .rsplit_once(':')
                .is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
            {
                return refuse(format!(
                    "addr of group {} is \"{}\": write host:port",
                    group.id, group.addr
                ));
            }
        }
        let groups = self.groups.iter().map(|g| (GroupId(g.id), g.addr.clone())).collect();
        let kinds = self.groups.iter().map(|g| (GroupId(g.id), g.kind)).collect();
        let placement = self.placement()?;
        let (data, password) = (self.data.clone(), self.password.clone());
        let limits = self.limits.check()?;
        Ok(Config { data, slot_count, groups, kinds, placement, password, limits })
    }

    /// The slots that groups name; one that names none begins empty where another does.
    fn placement(&self) -> Result<BTreeMap<GroupId, SlotRanges>, ConfigError> {
        let named = self.groups.iter().filter_map(|g| Some((g.id, g.slots.as_deref()?)));
        let parsed = named.map(|(id, text)| {
            let wrong = |why| ConfigError(format!("slots of group {id} are \"{text}\": {why}"));
            Ok((GroupId(id), text.parse().map_err(wrong)?))
        });
        parsed.collect()
    }
}

impl FileLimits {
    fn check(&self) -> Result<Limits, ConfigError> {
        let within = |key: &str, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) {
                Ok(value)
            } else {
                Err(ConfigError(format!("limits.{key} is {value}: {min} to {max} are possible")))
            }
        };
        let ms = |key: &str, value: u64, min: u64, max: u64| {
            within(key, value, min, max).map(Duration::from_millis)
        };
        let hour = 3_600_000;
        Ok(Limits {
            slots_moving_max: within("slots_moving_max", self.slots_moving_max as u64, 1, 16_384)?
                as usize,
            poll_time: ms("poll_ms", self.poll_ms, 1, 1_000)?,
            connect_time: ms("connect_ms_max", self.connect_ms_max, 10, 60_000)?,
            answer_time: ms("answer_ms_max", self.answer_ms_max, 100, 600_000)?,
            node_away_max: ms("node_away_ms_max", self.node_away_ms_max, 100, 24 * hour)?,
            copy_standing_max: ms(
                "copy_standing_ms_max",
                self.copy_standing_ms_max,
                1_000,
                24 * hour,
            )?,
            armed_max: ms("armed_ms_max", self.armed_ms_max, 1_000, hour)?,
            tries_max: within("tries_max", u64::from(self.tries_max), 1, 1_000)? as u32,
            retry_pause: ms("retry_pause_ms", self.retry_pause_ms, 1, 60_000)?,
            foreign_slots_moving_max: within(
                "foreign_slots_moving_max",
                self.foreign_slots_moving_max as u64,
                1,
                1_024,
            )? as usize,
            locked_max: ms("locked_ms_max", self.locked_ms_max, 100, 60_000)?,
            proxy_away_max: ms("proxy_away_ms_max", self.proxy_away_ms_max, 1_500, hour)?,
            requests_max: within("requests_max", self.requests_max as u64, 1, 10_000)? as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL: &str = include_str!("../../../config/control.toml");

    #[test]
    fn the_manual_is_a_valid_file_with_the_defaults() {
        let file = File::parse(MANUAL).unwrap();
        let config = file.check().unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.groups.len(), 2);
    }

    #[test]
    fn the_manual_names_every_key() {
        let table: toml::Table = MANUAL.parse().unwrap();
        let limits = table["limits"].as_table().unwrap();
        let keys: Vec<_> = format!("{:?}", FileLimits::default())
            .split(['{', ',', '}'])
            .filter_map(|part| Some(part.split_once(':')?.0.trim().to_owned()))
            .collect();
        assert_eq!(keys.len(), 13);
        for key in keys {
            assert!(limits.contains_key(&key), "{key}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let base = "data = \"d\"\nlisten = \"127.0.0.1:1\"\n";
        let group = "[[group]]\nid = 1\naddr = \"127.0.0.1:7001\"\n";
        let refused = |text: String| {
            let error = File::parse(&text).and_then(|f| f.check().map(|_| ()));
            error.unwrap_err().to_string()
        };
        assert!(refused(format!("{base}slot = 7\n{group}")).contains("slot"));
        assert!(refused(format!("{base}slots = 0\n{group}")).contains("slots is 0"));
        assert!(refused(base.to_owned()).contains("[[group]]"));
        assert!(refused(format!("{base}{group}{group}")).contains("used twice"));
        assert!(
            refused(format!("{base}[[group]]\nid = 1\naddr = \"nowhere\"\n")).contains("host:port")
        );
        assert!(
            refused(format!("{base}[limits]\nslots_moving_max = 0\n{group}"))
                .contains("limits.slots_moving_max")
        );
    }
}
