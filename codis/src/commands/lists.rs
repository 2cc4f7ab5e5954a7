//! The fork's lists of quick and slow commands. Here they are checked and shown; they never change the order of a client's commands.

use super::table::{lookup, table};
use crate::Flavour;
use std::collections::BTreeSet;

/// `quick_cmd_list` and `slow_cmd_list`, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLists {
    /// Upper case.
    pub quick: BTreeSet<String>,
    pub slow: BTreeSet<String>,
}

impl CommandLists {
    /// Reads both lists: names that the fork knows, each in one of the two. The error is the fork's text.
    pub fn new(quick: &str, slow: &str) -> Result<Self, String> {
        let names = |list: &str| {
            let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
            names
                .map(str::to_ascii_uppercase)
                .map(|name| {
                    let known = lookup(&name).and_then(|command| command.grade(Flavour::Fork));
                    known
                        .map(|_| name.clone())
                        .ok_or_else(|| format!("err：can not find [{name}] command.."))
                })
                .collect::<Result<BTreeSet<_>, _>>()
        };
        let lists = Self { quick: names(quick)?, slow: names(slow)? };
        match lists.quick.intersection(&lists.slow).next() {
            Some(both) => Err(format!("err：cmd[{both}] is FlagQuick command..")),
            None => Ok(lists),
        }
    }

    /// What PCONFIG shows of them: `GET : Flag[16], FlagQuick`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |name: &'static str, bits: u8| match (
            self.quick.contains(name),
            self.slow.contains(name),
        ) {
            (true, _) => Some(format!("{name} : Flag[{}], FlagQuick", bits | 16)),
            (_, true) => Some(format!("{name} : Flag[{}], FlagSlow", bits | 32)),
            _ => None,
        };
        table().filter_map(|command| line(command.name, command.fork?.bits())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_are_read() {
        let lists = CommandLists::new("get,set", "mget, mset,").unwrap();
        assert!(lists.quick.contains("GET") && lists.slow.contains("MSET"));
        assert_eq!(
            lists.lines(),
            [
                "GET : Flag[16], FlagQuick",
                "MGET : Flag[32], FlagSlow",
                "MSET : Flag[33], FlagSlow",
                "SET : Flag[17], FlagQuick"
            ]
        );
        assert_eq!(CommandLists::new("", " ").unwrap(), CommandLists::default());
    }

    #[test]
    fn unknown_and_doubled_names_are_refused_in_the_forks_words() {
        assert_eq!(
            CommandLists::new("unlink", "").unwrap_err(),
            "err：can not find [UNLINK] command.."
        );
        assert_eq!(
            CommandLists::new("get", "GET").unwrap_err(),
            "err：cmd[GET] is FlagQuick command.."
        );
    }
}
