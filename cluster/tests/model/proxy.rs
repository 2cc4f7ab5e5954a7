//! The clients and the proxies: requests go to where the slot is believed to be; what is turned away waits at the gate, in order.

use super::alphabet::News;
use super::explore::Steps;
use super::handoff::Handoff;
use super::rules::Rule;
use super::world::{Answer, Gate, OPS, Op, Reply, Request, Resume, World};

impl Handoff {
    /// A client sends its next operation.
    pub(crate) fn clients(&mut self, world: &World, steps: &mut Steps<World>) {
        for op in 0..OPS as u8 {
            let Some(client) = self.client(op) else { continue };
            let early =
                client.behind.is_some_and(|first| world.ops[usize::from(first)] == Op::Idle);
            if world.ops[usize::from(op)] != Op::Idle || early {
                continue;
            }
            let mut next = *world;
            next.before[usize::from(op)] =
                if self.writes(op) { 0 } else { self.acknowledged(world) };
            self.arrive(&mut next, usize::from(client.proxy), op);
            steps.work(next, || {
                format!("a client sends {} to proxy {}", self.label(op), client.proxy)
            });
        }
    }

    fn arrive(&self, world: &mut World, p: usize, op: u8) {
        let proxy = world.proxies[p];
        let overtakes = self.config.removed == Some(Rule::GateKeepsOrder);
        let reachable = world.nodes[usize::from(proxy.route.node)].up;
        if reachable && (proxy.gate == Gate::Open || overtakes) {
            send(world, p, op);
            return;
        }
        world.ops[usize::from(op)] = Op::Held;
        if proxy.gate == Gate::Open {
            world.proxies[p].gate = Gate::Go;
            world.proxies[p].resume = true;
        }
    }

    pub(crate) fn proxies(&mut self, world: &World, steps: &mut Steps<World>) {
        for p in 0..2 {
            for n in 0..2 {
                self.receive(world, p, n, steps);
            }
            self.release(world, p, steps);
            self.ask(world, p, steps);
            self.look_up(world, p, steps);
        }
    }

    /// The next reply or push of a link.
    fn receive(&mut self, world: &World, p: usize, n: usize, steps: &mut Steps<World>) {
        let Some(reply) = world.links[p][n].replies.first() else { return };
        if matches!(reply, Reply::Unsynced(_)) {
            return;
        }
        let mut next = *world;
        next.links[p][n].replies.remove(0);
        if matches!(reply, Reply::Open | Reply::Gone(_)) {
            let mut lost = next;
            self.settle(&mut lost, p);
            steps.fault(lost, || format!("a push of {} to proxy {p} is lost", name(n)));
        }
        match reply {
            Reply::Done(op) => next.ops[usize::from(op)] = Op::Done,
            Reply::Hold(op) => turned_away(&mut next, p, op),
            Reply::Ask(op) => {
                turned_away(&mut next, p, op);
                self.learn(&mut next, p, n, in_table(world));
            }
            Reply::Moved(op, news) => {
                turned_away(&mut next, p, op);
                self.learn(&mut next, p, n, news);
            }
            Reply::Open => opened(&mut next, p, n),
            Reply::Gone(news) => {
                self.learn(&mut next, p, n, news);
            }
            Reply::Unsynced(_) => {}
        }
        self.settle(&mut next, p);
        steps
            .work(next, || format!("proxy {p} gets from {}: {}", name(n), self.reply_label(reply)));
    }

    /// A gate that holds nothing and awaits nothing is open.
    pub(crate) fn settle(&self, world: &mut World, p: usize) {
        let busy = self.ops_of(world, p).any(|(_, op)| matches!(op, Op::Held | Op::Sent));
        if !busy && world.proxies[p].gate != Gate::Open {
            world.proxies[p].gate = Gate::Open;
        }
    }

    fn ops_of(&self, world: &World, p: usize) -> impl Iterator<Item = (u8, Op)> {
        let ops = world.ops;
        let clients = self.config.ops;
        (0..OPS as u8).filter_map(move |op| {
            let client = clients[usize::from(op)]?;
            (usize::from(client.proxy) == p).then_some((op, ops[usize::from(op)]))
        })
    }

    /// RESUME and what was held, in its order, to where the slot is now believed to be.
    fn release(&mut self, world: &World, p: usize, steps: &mut Steps<World>) {
        let proxy = world.proxies[p];
        let outstanding = self.ops_of(world, p).any(|(_, op)| op == Op::Sent);
        let may = !outstanding || self.config.removed == Some(Rule::GateAwaits);
        let held = self.ops_of(world, p).filter(|(_, op)| *op == Op::Held).map(|(op, _)| op);
        let mut next = *world;
        let mut count = 0;
        for op in held {
            send(&mut next, p, op);
            count += 1;
        }
        if proxy.gate == Gate::Go
            && may
            && count > 0
            && world.nodes[usize::from(proxy.route.node)].up
        {
            next.proxies[p].gate = Gate::Open;
            let to = usize::from(proxy.route.node);
            let token = if proxy.route.token == 0 { "" } else { " and the token" };
            steps.work(next, || {
                format!("proxy {p} sends RESUME{token} and {count} held to {}", name(to))
            });
        }
    }

    /// WHERE, when nothing is outstanding and no push has come. Question and answer are one step: what the proxy does with an old answer,
    /// it does later.
    fn ask(&mut self, world: &World, p: usize, steps: &mut Steps<World>) {
        let proxy = world.proxies[p];
        let n = usize::from(proxy.route.node);
        let outstanding = self.ops_of(world, p).any(|(_, op)| op == Op::Sent);
        if proxy.gate != Gate::Wait || outstanding || !world.nodes[n].up {
            return;
        }
        let mut next = *world;
        let answer = self.place(world, n);
        match answer {
            Answer::Here => next.proxies[p].gate = Gate::Go,
            Answer::Elsewhere(news) if self.learn(&mut next, p, n, news) => {}
            Answer::Unknown if self.learn(&mut next, p, n, in_table(world)) => {}
            _ => return,
        }
        steps.work(next, || {
            format!(
                "proxy {p} asks {} WHERE: {}",
                name(n),
                if answer == Answer::Here { "here" } else { "elsewhere" }
            )
        });
    }

    /// The table, when a hold lasts or the node cannot be reached.
    fn look_up(&mut self, world: &World, p: usize, steps: &mut Steps<World>) {
        let proxy = world.proxies[p];
        let cut = !world.nodes[usize::from(proxy.route.node)].up;
        if proxy.gate == Gate::Wait || (cut && proxy.gate == Gate::Go) {
            let mut next = *world;
            let news = in_table(world);
            if self.learn(&mut next, p, NOBODY, news) {
                steps.work(next, || format!("proxy {p} reads in the table: {news}"));
            }
        }
    }

    /// The real rules for news from a node or from the table. What changes the route closes the gate until nothing is outstanding by the
    /// old one.
    fn learn(&self, world: &mut World, p: usize, by: usize, news: News) -> bool {
        let proxy = &mut world.proxies[p];
        let mut known = proxy.route.route();
        let from_a_node = by != NOBODY && self.config.removed != Some(Rule::DenialCounts);
        let changed = if from_a_node {
            known.denied(by as u8, news.route())
        } else {
            known.learn(news.route())
        };
        if changed {
            proxy.route = News::of(known);
            proxy.resume = true;
            proxy.gate = Gate::Go;
        }
        changed
    }
}

/// Appends a request to the link of the proxy's route.
fn send(world: &mut World, p: usize, op: u8) {
    let proxy = &mut world.proxies[p];
    let resume = match (proxy.resume, proxy.route.token) {
        (false, _) => Resume::No,
        (true, 0) => Resume::Plain,
        (true, token) => Resume::Token(token),
    };
    proxy.resume = false;
    let n = usize::from(proxy.route.node);
    world.links[p][n].requests.push(Request { op, resume });
    world.ops[usize::from(op)] = Op::Sent;
}

fn turned_away(world: &mut World, p: usize, op: u8) {
    world.ops[usize::from(op)] = Op::Held;
    let proxy = &mut world.proxies[p];
    proxy.resume = true;
    if proxy.gate == Gate::Open {
        proxy.gate = Gate::Wait;
    }
}

fn opened(world: &mut World, p: usize, n: usize) {
    let proxy = &mut world.proxies[p];
    if usize::from(proxy.route.node) == n && proxy.gate == Gate::Wait {
        proxy.gate = Gate::Go;
    }
}

/// The table speaks.
const NOBODY: usize = 2;

fn in_table(world: &World) -> News {
    News { node: world.control.owner, epoch: world.control.epoch, token: 0 }
}

pub(crate) fn name(n: usize) -> &'static str {
    if n == 0 { "S" } else { "T" }
}
