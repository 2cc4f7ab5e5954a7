//! How things are called in a counterexample.

use super::alphabet::{Move, News};
use super::handoff::Handoff;
use super::proxy::name;
use super::world::{Message, OPS, Op, Reply, Stage, Word, World};
use std::fmt;

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{}", self.0 + 1)
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} owns since epoch {}", name(usize::from(self.node)), self.epoch)?;
        if self.token == 0 { Ok(()) } else { write!(f, ", token {}", self.token) }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final(m, attempt, data) => {
                let writes: Vec<String> =
                    (0..8).filter(|op| data >> op & 1 == 1).map(|op| format!("w{op}")).collect();
                write!(f, "FINAL {m} attempt {attempt} with {{{}}}", writes.join(" "))
            }
            Self::Ready(m, attempt, token) => {
                write!(f, "READY {m} attempt {attempt} token {token}")
            }
            Self::Grant(m, attempt) => write!(f, "GRANT {m} attempt {attempt}"),
            Self::Resolve(m) => write!(f, "RESOLVE {m}"),
            Self::Resolved(m, true) => write!(f, "OWNED {m}"),
            Self::Resolved(m, false) => write!(f, "REFUSED {m}"),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Import(m) => write!(f, "IMPORT {m}"),
            Self::Export(m) => write!(f, "EXPORT {m}"),
            Self::Arm(m, _) => write!(f, "ARM {m}"),
            Self::Abort(m) => write!(f, "ABORT {m}"),
            Self::Drop(m) => write!(f, "DROP {m}"),
            Self::Clean(m) => write!(f, "CLEAN {m}"),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("idle"),
            Self::Open(m) => write!(f, "moves {m}"),
            Self::Off(m) => write!(f, "calls {m} off"),
            Self::Settled(m) => write!(f, "has settled {m}"),
        }
    }
}

impl Handoff {
    pub(crate) fn label(&self, op: u8) -> String {
        format!("{}{op}", if self.writes(op) { "w" } else { "r" })
    }

    pub(crate) fn reply_label(&self, reply: Reply) -> String {
        match reply {
            Reply::Done(op) => format!("{} is done", self.label(op)),
            Reply::Unsynced(op) => format!("{} waits for the disk", self.label(op)),
            Reply::Hold(op) => format!("XHOLD for {}", self.label(op)),
            Reply::Moved(op, news) => format!("XMOVED for {}: {news}", self.label(op)),
            Reply::Ask(op) => format!("XASK for {}", self.label(op)),
            Reply::Open => "push open".into(),
            Reply::Gone(news) => format!("push moved: {news}"),
        }
    }

    /// The nodes, and the operations that are not over.
    pub(crate) fn sketch(&self, world: &World) -> String {
        let nodes = [0, 1].map(|n| {
            let node = &world.nodes[n];
            let state = self.alphabet.state(node.slot).name();
            format!("{} {}{state}", name(n), if node.up { "" } else { "down, " })
        });
        let open = (0..OPS as u8).filter(|op| !world.ops[usize::from(*op)].is_over());
        let ops: Vec<String> = open.map(|op| self.op_label(world, op)).collect();
        let control = world.control;
        let ops = if ops.is_empty() { "nothing is open".into() } else { ops.join(", ") };
        format!(
            "{}; C {} and names {}; {ops}",
            nodes.join(", "),
            control.stage,
            name(control.owner.into())
        )
    }

    fn op_label(&self, world: &World, op: u8) -> String {
        let status = world.ops[usize::from(op)];
        let p = self.client(op).map_or(0, |c| usize::from(c.proxy));
        match status {
            Op::Held => format!(
                "{} held at proxy {p}, which believes: {}",
                self.label(op),
                world.proxies[p].route
            ),
            _ => format!("{} {status:?}", self.label(op)).to_lowercase(),
        }
    }
}
