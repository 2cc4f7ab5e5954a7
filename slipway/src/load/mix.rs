//! What the load is made of: the shares of its activities, as people write them, `strings=4,lists=2`.

use super::ledger::Kind;
use rand::Rng;
use rand::rngs::SmallRng;
use std::fmt;
use std::str::FromStr;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Strings,
    Counters,
    Hashes,
    Lists,
    Sets,
    Sorted,
    /// Keys with times to live.
    Ttl,
    /// Commands over several keys and slots.
    Multi,
    /// Reads of keys that do not exist.
    Missing,
}

/// All activities with their names and default shares.
const ACTIVITIES: [(Activity, &str, u32); 9] = [
    (Activity::Strings, "strings", 4),
    (Activity::Counters, "counters", 2),
    (Activity::Hashes, "hashes", 3),
    (Activity::Lists, "lists", 3),
    (Activity::Sets, "sets", 2),
    (Activity::Sorted, "zsets", 2),
    (Activity::Ttl, "ttl", 2),
    (Activity::Multi, "multi", 2),
    (Activity::Missing, "missing", 1),
];

/// The share of each activity; their sum is not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    shares: [u32; ACTIVITIES.len()],
}

impl Mix {
    /// Chooses an activity.
    pub(crate) fn choose(&self, rng: &mut SmallRng) -> Activity {
        let mut left = rng.random_range(0..self.shares.iter().sum());
        for ((activity, _, _), share) in ACTIVITIES.iter().zip(self.shares) {
            if left < share {
                return *activity;
            }
            left -= share;
        }
        Activity::Missing
    }

    /// How many of `keys` keys are of each kind: at least one of each kind that is used, and always one that is missing.
    pub(crate) fn keys(&self, keys: usize) -> Vec<(Kind, usize)> {
        let share = |wanted: &[Activity]| -> usize {
            ACTIVITIES
                .iter()
                .zip(self.shares)
                .filter(|((a, _, _), _)| wanted.contains(a))
                .map(|(_, s)| s as usize)
                .sum()
        };
        let kinds = [
            (Kind::Text, share(&[Activity::Strings, Activity::Multi])),
            (Kind::Counter, share(&[Activity::Counters])),
            (Kind::Hash, share(&[Activity::Hashes])),
            (Kind::List, share(&[Activity::Lists])),
            (Kind::Set, share(&[Activity::Sets])),
            (Kind::Sorted, share(&[Activity::Sorted])),
            (Kind::Mortal, share(&[Activity::Ttl])),
            (Kind::Missing, share(&[Activity::Missing])),
        ];
        let all: usize = kinds.iter().map(|(_, share)| share).sum();
        let (mut used, mut left) = (all, keys);
        let mut counts = Vec::new();
        for (kind, share) in kinds {
            // Rounded so that the counts add up to the keys.
            let count = (left * share).checked_div(used).unwrap_or(0);
            (used, left) = (used - share, left - count);
            counts.push((kind, count.max(usize::from(share > 0 || kind == Kind::Missing))));
        }
        counts
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { shares: ACTIVITIES.map(|(_, _, share)| share) }
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const SHARE_MAX: u32 = 1000;
        let mut shares = [0; ACTIVITIES.len()];
        for part in text.split(',').map(str::trim) {
            let (name, share) = part.split_once('=').unwrap_or((part, "1"));
            let Some(at) = ACTIVITIES.iter().position(|(_, known, _)| *known == name) else {
                let known = ACTIVITIES.map(|(_, known, _)| known).join(", ");
                return Err(format!("\"{name}\" is no part of a mix: choose from {known}"));
            };
            let share = share.parse().ok().filter(|&share: &u32| share <= SHARE_MAX);
            shares[at] = share
                .ok_or_else(|| format!("\"{part}\": a share is a number from 0 to {SHARE_MAX}"))?;
        }
        if shares.iter().all(|&share| share == 0) {
            return Err("all shares are 0: give at least one part more".into());
        }
        Ok(Self { shares })
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = ACTIVITIES
            .iter()
            .zip(self.shares)
            .filter(|(_, share)| *share > 0)
            .map(|((_, name, _), share)| format!("{name}={share}"))
            .collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_and_printed_and_a_bad_one_is_refused() {
        assert_eq!(
            "strings=4, lists".parse::<Mix>().map(|m| m.to_string()),
            Ok("strings=4,lists=1".into())
        );
        assert_eq!(Mix::default().to_string().parse(), Ok(Mix::default()));
        for bad in ["", "streams=1", "lists=x", "lists=0", "lists=100000"] {
            assert!(bad.parse::<Mix>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_shared_out_as_the_activities_are() {
        let mix: Mix = "strings=3,lists=1".parse().unwrap();
        let keys = mix.keys(100);
        assert!(
            keys.contains(&(Kind::Text, 75))
                && keys.contains(&(Kind::List, 25))
                && keys.contains(&(Kind::Missing, 1))
        );
        assert!(keys.contains(&(Kind::Hash, 0)));
        let all: usize = Mix::default().keys(1003).iter().map(|(_, count)| count).sum();
        assert_eq!(all, 1003);
    }
}
