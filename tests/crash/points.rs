//! Where each party dies: the runs, one for each fail point of the code. docs/HANDOFF.md has the same as a table.

use harness::cluster::Role::{self, Control, Proxy, Source, Target};

/// What goes on when somebody dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A quarter of all slots moves.
    Move,
    /// The same move is called off while it copies.
    CallOff,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) who: Role,
    /// What is armed in the process, one life after the other; each ends at its point.
    pub(super) lives: &'static [&'static str],
    /// What is armed in another process; if it is a kill, that one dies too.
    pub(super) beside: Option<(Role, &'static str)>,
    pub(super) deed: Deed,
    pub(super) when: When,
}

/// How often there is time for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Each time: one run for each decision that a crash can put in doubt.
    Always,
    /// In the full size only.
    Full,
}

const fn dies(who: Role, lives: &'static [&'static str]) -> Run {
    Run { who, lives, beside: None, deed: Deed::Move, when: When::Full }
}

impl Run {
    const fn always(self) -> Self {
        Self { when: When::Always, ..self }
    }

    const fn beside(self, who: Role, spec: &'static str) -> Self {
        Self { beside: Some((who, spec)), ..self }
    }

    const fn called_off(self) -> Self {
        Self { deed: Deed::CallOff, ..self }
    }
}

/// READY comes too late for the first attempt.
const LATE: &str = "target.ready=slow:20ms@1";
/// A granted slot is told of late: proxies wait, and show the token before the source has said GRANT.
const TOLD_LATE: &str = "source.granted=slow:30ms";
/// The target refuses, and the controller must call the migration off.
const FAILS: &str = "source.sealed=kill@3";

pub(super) const RUNS: &[Run] = &[
    dies(Source, &["source.exported=kill@5"]),
    dies(Source, &["source.chunk=kill@2"]).always(),
    dies(Source, &["source.copied=kill@3"]),
    dies(Source, &["source.armed=kill@2"]),
    dies(Source, &["source.sealed=kill@3"]).always(),
    dies(Source, &["source.unsealed=kill@1"]).beside(Target, LATE),
    dies(Source, &["source.ready=kill@3"]),
    dies(Source, &["source.granted=kill@3"]).always(),
    dies(Source, &["source.owned=kill@3"]),
    dies(Source, &["source.cleaned=kill@3"]),
    dies(Source, &["source.sealed=kill@3", "source.resolved=kill@1"]),
    dies(Source, &["source.aborted=kill@2"]).called_off(),
    dies(Target, &["target.import=kill@3"]),
    dies(Target, &["target.applied=kill@3"]).always(),
    dies(Target, &["target.reset=kill@1"]).beside(Source, "source.chunk=kill@3"),
    dies(Target, &["target.armed=kill@2"]),
    dies(Target, &["target.ready=kill@3"]).always(),
    dies(Target, &["target.ready=kill@3", "target.confirmed=kill@1"]),
    dies(Target, &["target.owner=kill@3"]).always(),
    dies(Target, &["target.presented=kill@1"]).beside(Source, TOLD_LATE),
    dies(Target, &["target.resolved=kill@1"]).beside(Source, FAILS),
    dies(Target, &["target.dropped=kill@2"]).called_off(),
    dies(Control, &["control.planned.before=kill@1"]),
    dies(Control, &["control.planned.after=kill@1"]).always(),
    dies(Control, &["control.opened.before=kill@1"]),
    dies(Control, &["control.opened.after=kill@2"]),
    dies(Control, &["control.import=kill@5"]),
    dies(Control, &["control.export=kill@5"]),
    dies(Control, &["control.armed.before=kill@2"]),
    dies(Control, &["control.armed.after=kill@2"]),
    dies(Control, &["control.arm_target=kill@2"]),
    dies(Control, &["control.arm_source=kill@2"]).always(),
    dies(Control, &["control.durable=kill@2"]),
    dies(Control, &["control.settled.before=kill@2"]),
    dies(Control, &["control.settled.after=kill@2"]).always(),
    dies(Control, &["control.clean=kill@2"]),
    dies(Control, &["control.moved.before=kill@2"]),
    dies(Control, &["control.moved.after=kill@2"]),
    dies(Control, &["control.called_off.before=kill@1"]).beside(Source, FAILS),
    dies(Control, &["control.called_off.after=kill@1"]).beside(Source, FAILS),
    dies(Control, &["control.aborted.before=kill@1"]).called_off(),
    dies(Control, &["control.aborted.after=kill@1"]).called_off().always(),
    dies(Control, &["control.abort=kill@2"]).called_off(),
    dies(Control, &["control.where=kill@2"]).called_off(),
    dies(Control, &["control.whole.before=kill@2"]).called_off(),
    dies(Control, &["control.whole.after=kill@2"]).called_off(),
    dies(Control, &["control.drop=kill@2"]).called_off(),
    dies(Proxy, &["proxy.bounced=kill@3"]).always(),
    dies(Proxy, &["proxy.moved=kill@3"]),
    dies(Proxy, &["proxy.held=kill@2"]),
    dies(Proxy, &["proxy.released=kill@3"]),
    dies(Proxy, &["proxy.resumed=kill@3"]).always(),
    dies(Proxy, &["proxy.table=kill@3"]),
];

/// The fail points that kill somebody in some run.
pub(super) fn deadly() -> impl Iterator<Item = &'static str> {
    RUNS.iter().flat_map(|run| {
        let others = run.beside.map(|(_, spec)| spec).filter(|spec| spec.contains("=kill"));
        run.lives.iter().copied().chain(others).map(|spec| spec.split_once('=').unwrap().0)
    })
}
