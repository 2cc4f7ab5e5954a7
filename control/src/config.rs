//! What the controller is told at its start.

mod file;

pub use file::{ConfigError, File};

use cluster::{GroupId, Kind, SlotCount, SlotRanges};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A controller's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory of its store; made if missing.
    pub data: PathBuf,
    /// Slots of the cluster. Needed when it is made; afterwards it may only say the same.
    pub slot_count: Option<SlotCount>,
    /// All groups and where their nodes listen, `host:port`. Those the store does not know are added.
    pub groups: Vec<(GroupId, String)>,
    /// What the groups' nodes are; those that are not named are ours.
    pub kinds: BTreeMap<GroupId, Kind>,
    /// Which slots each group has when the cluster is made; if it is empty, they lie in equal runs.
    pub placement: BTreeMap<GroupId, SlotRanges>,
    /// What nodes want to hear with AUTH.
    pub password: Option<String>,
    pub limits: Limits,
}

/// The bounds of the controller's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Slots that may be under way between two groups at a time, per pair and direction.
    pub slots_moving_max: usize,
    /// How often nodes are asked for their migrations while something happens; twenty times less often while they only copy.
    pub poll_time: Duration,
    /// For a connection to a node, introduction included.
    pub connect_time: Duration,
    /// For a node to answer a batch of words.
    pub answer_time: Duration,
    /// How long a node may be away before the moves that need it are given up.
    pub node_away_max: Duration,
    /// How long the copies out of a node may stand still.
    pub copy_standing_max: Duration,
    /// How long a slot may be armed without being handed off.
    pub armed_max: Duration,
    /// Migrations opened for one wish before it is given up.
    pub tries_max: u32,
    /// The pause before the second migration of a wish; doubled each time, up to a minute.
    pub retry_pause: Duration,
    /// Slots of nodes which are not ours whose keys may be on their way at a time, for each pair of groups. Nothing can call them off then.
    pub foreign_slots_moving_max: usize,
    /// How long a slot of a node that is not ours may be locked: its clients wait.
    pub locked_max: Duration,
    /// A proxy that has not been heard of for so long is away.
    pub proxy_away_max: Duration,
    /// Requests to the controller's API that may wait.
    pub requests_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            slots_moving_max: 64,
            poll_time: Duration::from_millis(10),
            connect_time: Duration::from_secs(2),
            answer_time: Duration::from_secs(10),
            node_away_max: Duration::from_mins(1),
            copy_standing_max: Duration::from_mins(10),
            armed_max: Duration::from_mins(1),
            tries_max: 5,
            retry_pause: Duration::from_millis(500),
            foreign_slots_moving_max: 1,
            locked_max: Duration::from_secs(5),
            proxy_away_max: Duration::from_secs(5),
            requests_max: 64,
        }
    }
}

impl Config {
    /// The defaults for a store in `data`.
    pub fn new(data: impl Into<PathBuf>, groups: Vec<(GroupId, String)>) -> Self {
        Self {
            data: data.into(),
            slot_count: None,
            groups,
            kinds: BTreeMap::new(),
            placement: BTreeMap::new(),
            password: None,
            limits: Limits::default(),
        }
    }
}
