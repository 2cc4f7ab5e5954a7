//! What is to be done next for one migration: a function of what the store says and what its two nodes are seen to say.
//!
//! ```text
//!  store     target        source                    what is done
//!
//!  Open      unknown                                 IMPORT to the target
//!            importing     unknown                   EXPORT to the source
//!            importing     copying                   wait
//!            importing     copied                    store Armed
//!  Armed     importing     copied                    ARM to the target, then ARM to the source
//!            importing…    armed, sealed, granted    wait: the nodes hand off by themselves
//!  any       owned                                   DURABLE to the target, then store Settled: the new owner
//!  Settled                                           CLEAN to the source, then store the end
//!  Open,     refused, failed, too long               store Undo
//!  Armed
//!  Undo                                              ABORT to the source; it owns the slot → store Whole; it has granted → back to Armed
//! ```
//!
//! Nothing is remembered but what the store has: every word may be repeated, so whatever was forgotten by a restart is seen or said again.
//! Invariants: the target is told to drop its copy only after the source has said that it owns the slot; the source is told to drop its own only
//! after the target's was durable and the store had named the target.

use crate::report::{NodePhase, Whereabouts};
use crate::state::{Moving, Phase};

/// What is seen of one migration.
#[derive(Clone, Debug)]
pub struct Picture<'a> {
    pub moving: &'a Moving,
    pub source: View<'a>,
    pub target: View<'a>,
    pub heard: &'a Heard,
    pub time: Time,
}

/// What is seen of a migration at one of its nodes.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub sight: Sight,
    /// What the node answered when it was asked about the slot itself.
    pub whereabouts: Option<&'a Whereabouts>,
    /// What the node says is wrong.
    pub error: Option<&'a str>,
    /// Why the node has not been reachable for too long, if that is so.
    pub lost: Option<&'a str>,
}

/// What a node is known to say of a migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// The node is not reachable, or has not been asked since it came back.
    #[default]
    Dark,
    Seen(NodePhase),
}

/// What nodes have answered to our words in the migration's present phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub target_armed: bool,
    pub durable: bool,
    pub cleaned: bool,
    pub aborted: bool,
    /// The last word that was answered with an error, and the error.
    pub refused: Option<(Word, String)>,
}

/// Which bounds the migration has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// The operator has paused it.
    pub paused: bool,
    /// The copy has not come on for too long.
    pub standing: bool,
    /// It has been armed for too long.
    pub armed_long: bool,
    /// The source has had its time to tell the final figures.
    pub settled_long: bool,
}

/// One of the two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Source,
    Target,
}

/// A word for one of the two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Import,
    Export,
    Arm(Role),
    Durable,
    Clean,
    Abort,
    /// WHERE: what about the slot itself?
    Where(Role),
}

/// What the store shall be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Of a slot that leaves a node which is not ours.
    Locked,
    Copying,
    Copied,
    Withdrawn,
    LeftBehind,
    Armed,
    Settled,
    Moved,
    CalledOff(String),
    GrantedAfterAll,
    Whole,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing; for people, what is awaited.
    Wait(&'static str),
    Say(Word),
    Store(Mark),
}

impl Word {
    /// The node it is for.
    pub fn role(self) -> Role {
        match self {
            Self::Import | Self::Durable => Role::Target,
            Self::Export | Self::Clean | Self::Abort => Role::Source,
            Self::Arm(role) | Self::Where(role) => role,
        }
    }
}

/// Decides.
pub fn next(picture: &Picture<'_>) -> Step {
    match &picture.moving.phase {
        // Of a node that is not ours: its moves are decided elsewhere.
        Phase::Locked | Phase::Copying | Phase::Copied | Phase::Withdrawing { .. } => {
            Step::Wait("the proxies lock it")
        }
        Phase::Settled => settled(picture),
        _ if picture.target_owns() => owned(picture),
        Phase::Open => open(picture),
        Phase::Armed => armed(picture),
        Phase::Undo { .. } => undo(picture),
    }
}

/// The target's word is the truth, whatever was wanted.
fn owned(p: &Picture<'_>) -> Step {
    match p.heard.refused {
        _ if p.heard.durable => Step::Store(Mark::Settled),
        Some((Word::Durable, _)) => Step::Wait("the target's copy is not durable yet"),
        _ => Step::Say(Word::Durable),
    }
}

fn open(p: &Picture<'_>) -> Step {
    use NodePhase as N;
    if let Some(reason) = p.over() {
        return call_off(reason);
    }
    let (Sight::Seen(source), Sight::Seen(target)) = (p.source.sight, p.target.sight) else {
        return p.dark();
    };
    match (source, target) {
        // The store is older than the nodes: it was put back from a backup.
        (N::Armed | N::Sealed | N::Granted | N::Owned, _) => Step::Store(Mark::Armed),
        (_, N::Unknown) => Step::Say(Word::Import),
        (N::Unknown, _) => Step::Say(Word::Export),
        (N::Copied, _) if p.time.paused => Step::Wait("paused: copied, not handed over"),
        (N::Copied, _) => Step::Store(Mark::Armed),
        (N::Doubt, _) => Step::Wait("the source asks the target who owns the slot"),
        _ if p.time.standing => call_off(p.source.error.unwrap_or("the copy does not come on")),
        _ => Step::Wait("copying"),
    }
}

fn armed(p: &Picture<'_>) -> Step {
    use NodePhase as N;
    let granted = matches!(p.source.sight, Sight::Seen(N::Granted | N::Owned));
    if granted && matches!(p.target.sight, Sight::Seen(N::Importing | N::Ready) | Sight::Dark) {
        return Step::Wait("the source has granted the slot: the target takes over");
    }
    if p.target.sight == Sight::Seen(N::Unknown) {
        return target_forgot(p, granted);
    }
    if granted {
        return Step::Wait(
            "the source has granted a slot that the target refuses: look at both nodes' logs",
        );
    }
    if let Some(reason) = p.over() {
        return call_off(reason);
    }
    let (Sight::Seen(source), Sight::Seen(_)) = (p.source.sight, p.target.sight) else {
        return p.dark();
    };
    match source {
        N::Unknown => Step::Say(Word::Export),
        N::Copied if !p.heard.target_armed => Step::Say(Word::Arm(Role::Target)),
        N::Copied => Step::Say(Word::Arm(Role::Source)),
        N::Doubt => Step::Wait("the source asks the target who owns the slot"),
        _ if p.time.armed_long => call_off(p.source.error.unwrap_or("no handoff came about")),
        N::Copying if p.time.standing => {
            call_off(p.source.error.unwrap_or("the copy does not come on"))
        }
        N::Copying => Step::Wait("copying"),
        _ => Step::Wait("handing off"),
    }
}

/// An owner that was restarted does not know the migration any more, but knows that it owns the slot.
fn target_forgot(p: &Picture<'_>, granted: bool) -> Step {
    match p.target.whereabouts {
        None => Step::Say(Word::Where(Role::Target)),
        Some(_) if granted => Step::Wait(
            "the source has granted a slot that the target does not know: look at both nodes' logs",
        ),
        Some(_) => call_off("the target has lost its copy"),
    }
}

fn settled(p: &Picture<'_>) -> Step {
    if p.heard.cleaned {
        return Step::Store(Mark::Moved);
    }
    let Sight::Seen(source) = p.source.sight else {
        return Step::Wait("waiting for the source's node");
    };
    if matches!(p.heard.refused, Some((Word::Clean, _))) {
        return match p.source.whereabouts {
            None => Step::Say(Word::Where(Role::Source)),
            Some(place) if place.absent_since(p.moving.epoch) => Step::Store(Mark::Moved),
            Some(_) => Step::Wait("the source does not clean up"),
        };
    }
    // The source's last report has the figures of the handoff, which go with its copy.
    if matches!(source, NodePhase::Owned | NodePhase::Unknown) || p.time.settled_long {
        return Step::Say(Word::Clean);
    }
    Step::Wait("the source notes the end")
}

fn undo(p: &Picture<'_>) -> Step {
    if p.source.sight == Sight::Dark {
        return Step::Wait("called off: waiting for the source, which decides");
    }
    if p.heard.aborted {
        return match p.source.whereabouts {
            None => Step::Say(Word::Where(Role::Source)),
            Some(place) if place.epoch >= p.moving.epoch => Step::Store(Mark::GrantedAfterAll),
            Some(place) if matches!(place.state.as_str(), "owned" | "unclaimed") => {
                Step::Store(Mark::Whole)
            }
            Some(_) => Step::Wait("called off: the source is not sure yet"),
        };
    }
    match &p.heard.refused {
        Some((Word::Abort, text)) if text.contains("granted") => Step::Store(Mark::GrantedAfterAll),
        Some((Word::Abort, _)) => Step::Wait("called off: the source is not sure yet"),
        _ => Step::Say(Word::Abort),
    }
}

impl Picture<'_> {
    fn target_owns(&self) -> bool {
        match self.target.sight {
            Sight::Seen(NodePhase::Owned) => true,
            Sight::Seen(NodePhase::Unknown) => {
                self.target.whereabouts.is_some_and(|place| place.owned_since(self.moving.epoch))
            }
            _ => false,
        }
    }

    /// Why the migration can come to nothing any more, if that is so.
    fn over(&self) -> Option<&str> {
        if let Some((Word::Import | Word::Export | Word::Arm(_), text)) = &self.heard.refused {
            return Some(text);
        }
        if let Sight::Seen(NodePhase::Failed | NodePhase::Refused) = self.source.sight {
            return Some(self.source.error.unwrap_or("the source has given the migration up"));
        }
        if self.target.sight == Sight::Seen(NodePhase::Refused) {
            return Some(
                "the target has refused the migration: the source was restarted while it was armed",
            );
        }
        self.target.lost.or(self.source.lost)
    }

    fn dark(&self) -> Step {
        if self.target.sight == Sight::Dark {
            Step::Wait("waiting for the target's node")
        } else {
            Step::Wait("waiting for the source's node")
        }
    }
}

fn call_off(reason: &str) -> Step {
    Step::Store(Mark::CalledOff(reason.to_owned()))
}

#[cfg(test)]
mod tests;
