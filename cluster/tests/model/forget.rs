//! What makes no difference any more is forgotten, so that histories which lead to the same future are one state.
//!
//! Each rule says why nothing can tell the difference.

use super::alphabet::{Id, Move, News};
use super::handoff::Handoff;
use super::world::{Gate, Message, OPS, Proxy, Reply, Resume, Stage, World};

impl Handoff {
    pub(crate) fn forget(&self, world: &mut World) {
        for op in 0..OPS {
            // What a read had to contain was checked when it was executed.
            if world.ops[op].is_over() {
                world.before[op] = 0;
            }
        }
        for p in 0..2 {
            if (0..OPS as u8).all(|op| !self.is_of(op, p) || world.ops[usize::from(op)].is_over()) {
                retire(world, p);
            }
        }
        self.forget_messages(world);
        forget_tombs(world);
        self.forget_faults(world);
    }

    fn is_of(&self, op: u8, p: usize) -> bool {
        self.client(op).is_some_and(|client| usize::from(client.proxy) == p)
    }

    /// A migration that nobody is in, nor can come to be in, has no use for its messages. (RESOLVE is answered by anybody.)
    fn forget_messages(&self, world: &mut World) {
        let current = match world.control.stage {
            Stage::Idle => None,
            Stage::Open(m) | Stage::Off(m) | Stage::Settled(m) => Some(m),
        };
        let in_it = |id: Id, m: Move| self.alphabet.view(id).migration == Some(m);
        let nodes = world.nodes;
        let late = world.late;
        let over = |m: Move| {
            current != Some(m)
                && !late.as_slice().iter().any(|word| word.migration() == m)
                && !nodes.iter().any(|node| {
                    in_it(node.slot, m) || node.log.as_slice().iter().any(|v| in_it(v.record, m))
                })
        };
        world
            .messages
            .retain(|message| matches!(message, Message::Resolve(_)) || !over(message.migration()));
    }

    /// Faults that can no longer happen.
    fn forget_faults(&self, world: &mut World) {
        if world.ops.iter().all(|op| op.is_over()) {
            world.left.resets = 0;
        }
        let last = world.control.started >= self.config.migrations || world.control.owner == 1;
        if world.control.stage == Stage::Idle
            && last
            && self.config.then == super::config::Then::Rest
        {
            world.left.control = 0;
            world.left.aborts = 0;
            world.left.late = 0;
        }
    }

    /// A token that nobody has: its number means nothing but that it differs.
    pub(crate) fn fresh_token(&self, world: &World) -> u8 {
        let mut used = 1_u32;
        let mut note = |token: u8| used |= 1 << token;
        for node in &world.nodes {
            note(self.alphabet.view(node.slot).token);
            node.log.as_slice().iter().for_each(|v| note(self.alphabet.view(v.record).token));
            node.ghosts.as_slice().iter().for_each(|r| note(of_resume(r.resume)));
        }
        for link in world.links.iter().flatten() {
            link.requests.as_slice().iter().for_each(|r| note(of_resume(r.resume)));
            link.replies.as_slice().iter().for_each(|r| note(of_reply(*r)));
        }
        world.proxies.iter().for_each(|p| note(p.route.token));
        for message in world.messages.as_slice() {
            if let Message::Ready(_, _, token) = message {
                note(*token);
            }
        }
        used.trailing_ones() as u8
    }
}

/// Nobody can speak of these any more.
fn forget_tombs(world: &mut World) {
    let late = world.late.as_slice().iter().fold(0_u8, |set, word| set | 1 << word.migration().0);
    let now = match world.control.stage {
        Stage::Idle => 0,
        Stage::Open(m) | Stage::Off(m) | Stage::Settled(m) => 1 << m.0,
    };
    world.nodes.iter_mut().for_each(|node| node.off &= late | now);
}

fn of_resume(resume: Resume) -> u8 {
    if let Resume::Token(token) = resume { token } else { 0 }
}

fn of_reply(reply: Reply) -> u8 {
    match reply {
        Reply::Moved(_, news) | Reply::Gone(news) => news.token,
        _ => 0,
    }
}

/// A proxy whose clients have all they wanted does nothing more, and nothing is done for it.
fn retire(world: &mut World, p: usize) {
    world.proxies[p] =
        Proxy { route: News { node: 0, epoch: 0, token: 0 }, gate: Gate::Open, resume: false };
    for link in &mut world.links[p] {
        link.sticky = false;
        link.replies.clear();
    }
}
