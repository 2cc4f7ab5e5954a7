//! The JSON documents of the admin API, as the controller writes and its clients read them.

use crate::state::{EventKind, PlanId, Spread};
use cluster::{Epoch, GroupId, Kind, MigrationId, Slot};
use serde::{Deserialize, Serialize};

/// `GET /api/v1/status`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub cluster: String,
    pub slot_count: u32,
    pub table_version: u64,
    pub paused: bool,
    /// The ceiling for copying out of each node, bytes a second; 0 for none.
    pub pace_bytes: u64,
    /// What is not as it should be, for people. Empty: all is well.
    pub troubles: Vec<String>,
    pub groups: Vec<Group>,
    /// In front of nodes that are not ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<Proxy>,
    pub slots: Stages,
    /// Plans that have not ended.
    pub plans: Vec<PlanId>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: GroupId,
    pub addr: String,
    /// The node's id, once it was reached.
    pub node: Option<String>,
    #[serde(default, skip_serializing_if = "Kind::is_ours")]
    pub kind: Kind,
    pub state: NodeState,
    /// Why it is not up.
    pub error: Option<String>,
    /// Slots it owns.
    pub slots: usize,
    /// Slots on their way in and out.
    pub arriving: usize,
    pub leaving: usize,
}

/// Whether a group's node can be worked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    Up,
    Greeting,
    Away,
    /// Another node than the group had, or another cluster's.
    Unwanted,
}

/// Slots by what happens to them; the sum is the number of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    pub settled: usize,
    /// Wanted elsewhere, not begun.
    pub waiting: usize,
    /// Wanted elsewhere, paused by the operator.
    pub paused: usize,
    /// Wanted elsewhere, given up.
    pub failed: usize,
    pub copying: usize,
    pub handing_off: usize,
    /// Owned by the target; the old copy is being removed.
    pub cleaning: usize,
    /// Being called off.
    pub undoing: usize,
}

/// What happens to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Settled,
    Waiting,
    Paused,
    Failed,
    Copying,
    HandingOff,
    Cleaning,
    Undoing,
}

/// `GET /api/v1/slots`: equal neighbours are one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRun {
    /// `0-511`
    pub slots: String,
    pub group: GroupId,
    pub epoch: Epoch,
    pub stage: Stage,
    pub to: Option<GroupId>,
    pub error: Option<String>,
}

/// `GET /api/v1/moves`, `?plan=N` for one plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    pub plans: Vec<PlanView>,
    /// Migrations under way.
    pub moving: Vec<MoveView>,
}

/// One plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    pub id: PlanId,
    pub to: GroupId,
    pub ended: bool,
    pub paused: bool,
    /// From the plan's making to its end or now.
    pub elapsed_ms: u64,
    pub slots: usize,
    /// At the target, recorded, durable, the old copy gone.
    pub arrived: usize,
    pub aborted: usize,
    pub failed: Vec<Failure>,
    pub stages: Stages,
    /// Copied so far, ended and running migrations together.
    pub keys: u64,
    pub bytes: u64,
    /// How much of the work is done, in thousandths, running copies included.
    pub done_permille: u32,
    pub stall_write_us: Spread,
    pub stall_read_us: Spread,
    /// What keeps slots from moving, for people.
    pub notes: Vec<String>,
}

/// Slots that failed for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub slots: String,
    pub reason: String,
}

/// One migration under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveView {
    pub slot: Slot,
    pub id: MigrationId,
    pub from: GroupId,
    pub to: GroupId,
    pub epoch: Epoch,
    pub stage: Stage,
    /// What is awaited, for people.
    pub awaited: String,
    pub elapsed_ms: u64,
    pub keys: u64,
    pub keys_estimated: u64,
    pub bytes: u64,
    pub bytes_estimated: u64,
    pub lag_bytes: u64,
    pub attempt: u32,
    pub error: Option<String>,
}

/// `GET /api/v1/history`: the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLine {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    pub kind: EventKind,
    pub slots: String,
    pub from: Option<GroupId>,
    pub to: Option<GroupId>,
    pub detail: String,
}

/// `POST /api/v1/moves`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// `0-99,512`
    pub slots: String,
    pub to: GroupId,
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovePlanned {
    /// Nothing in a dry run.
    pub plan: Option<PlanId>,
    pub to: GroupId,
    /// Slots that are at the target already.
    pub there: String,
    /// Slots that will move, by the group that owns them now.
    pub from: Vec<Leaving>,
    /// Slots that are on their way to the target already.
    pub under_way: String,
    pub slots: usize,
}

/// Slots that will leave a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    pub group: GroupId,
    pub slots: String,
    pub count: usize,
}

/// `POST /api/v1/pause`, `/resume`, `/abort`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotsRequest {
    /// Nothing: everything.
    #[serde(default)]
    pub slots: Option<String>,
}

/// The answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotsChanged {
    /// Slots the word is about.
    pub slots: String,
    pub count: usize,
    /// What happens now, for people.
    pub note: String,
}

/// `POST /api/v1/pace`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// The ceiling for copying out of each node, bytes a second; 0 for none.
    pub bytes: u64,
}

/// `POST /api/v1/proxies`: a proxy says that it routes by our table, and how far the slots are that leave nodes which are not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyReport {
    /// Where it runs and listens.
    pub name: String,
    /// New at each start.
    pub boot: String,
    /// It serves nobody any more.
    #[serde(default)]
    pub is_gone: bool,
    /// All that it has to say.
    #[serde(default)]
    pub words: Vec<ProxyWord>,
}

/// What a proxy says of one slot that leaves a node which is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyWord {
    pub id: MigrationId,
    pub what: ProxySays,
    /// Keys that its sweep has moved.
    #[serde(default)]
    pub keys: u64,
    /// Of a slot that is looked at or locked: it has keys which the copier must copy. Said only where the table names a copier.
    #[serde(default, skip_serializing_if = "is_false")]
    pub needs_copier: bool,
    /// Why it does not come on, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How far a slot is at a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxySays {
    /// Not there yet; `why` may say what is in the way.
    Wait,
    /// It can leave.
    Ready,
    /// It is locked, and nothing of it is on its way.
    Locked,
    /// Of the copier: what the nodes cannot move is at the target, and equal there.
    Copied,
    /// Of the copier: none of that is at the target.
    Withdrawn,
    /// Of the copier: none of that is at the source any more.
    Cleared,
    /// The source has nothing of it any more, and it is routed to the target alone.
    Arrived,
    /// It cannot leave, and stays as it was.
    Refused,
}

/// The answer to it: a table of this version or a later one is to be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyHeard {
    pub table_version: u64,
}

/// `POST /api/v1/proxies/forget`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyForget {
    pub name: String,
}

/// A proxy in front of nodes that are not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    pub name: String,
    /// Since when nothing was heard of it; it is away if that is too long.
    pub silent_ms: u64,
    pub is_away: bool,
}

/// Every answer of status 4xx and 5xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub error: String,
    #[serde(default)]
    pub what_to_do: String,
}

impl Stages {
    /// Adds one slot.
    pub fn count(&mut self, stage: Stage) {
        *match stage {
            Stage::Settled => &mut self.settled,
            Stage::Waiting => &mut self.waiting,
            Stage::Paused => &mut self.paused,
            Stage::Failed => &mut self.failed,
            Stage::Copying => &mut self.copying,
            Stage::HandingOff => &mut self.handing_off,
            Stage::Cleaning => &mut self.cleaning,
            Stage::Undoing => &mut self.undoing,
        } += 1;
    }

    /// Each stage with its name and count.
    pub fn named(&self) -> [(&'static str, usize); 8] {
        [
            ("settled", self.settled),
            ("waiting", self.waiting),
            ("paused", self.paused),
            ("failed", self.failed),
            ("copying", self.copying),
            ("handing_off", self.handing_off),
            ("cleaning", self.cleaning),
            ("undoing", self.undoing),
        ]
    }
}
