//! The runs: what must hold, and what must be found when a rule is removed.

use super::config::{
    BASE, Begin, Client, Config, Crash, Does, Driver, Losses, Ownership, Pushes, Stale, Then,
    Writes,
};
use super::rules::Rule;

/// How much time there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// Seconds, also without optimisation.
    Quick,
    /// Less than a minute.
    Normal,
    /// Minutes.
    Big,
}

type Ops = [Option<Client>; 4];

const W0: Option<Client> = Some(Client { proxy: 0, does: Does::Write, behind: None });
/// Of the same session, pipelined.
const W1: Option<Client> = Some(Client { proxy: 0, does: Does::Write, behind: Some(0) });
const R1: Option<Client> = Some(Client { proxy: 0, does: Does::Read, behind: Some(0) });
/// Of another session, by another proxy.
const W2: Option<Client> = Some(Client { proxy: 1, does: Does::Write, behind: None });
const R3: Option<Client> = Some(Client { proxy: 1, does: Does::Read, behind: None });

pub(crate) const ONE: Ops = [W0, None, None, None];
const ORDER: Ops = [W0, W1, None, None];
const OWN_READ: Ops = [W0, R1, None, None];
const WRITERS: Ops = [W0, None, W2, None];
const FRESH: Ops = [W0, None, None, R3];
const ALL: Ops = [W0, W1, W2, R3];

/// Nodes push, messages get lost.
const LOUD: Config = Config { pushes: Pushes::Some, losses: Losses::Some, ..BASE };
/// From the controller's first word; if the migration comes to nothing, a second one.
const WHOLE: Config = Config { begin: Begin::Settled, migrations: 2, ..BASE };
const POWER: Config = Config { crash: Crash::Power, ..BASE };
/// Without a controller, under a codis-dashboard; a source that dies forgets, so there is a migration for each death.
const SELF: Config =
    Config { begin: Begin::Settled, migrations: 3, driver: Driver::Source, ..BASE };
/// The slot comes back.
const BACK: Config = Config { migrations: 2, then: Then::Back, ..BASE };
const SLOW_WRITES: Config = Config { writes: Writes::TwoSteps, ..BASE };
/// The second proxy has an old table, and the target knows of an owner, or of none.
const STALE: Config = Config { stale: Stale::Hinted, ..BASE };
const LOST: Config = Config { stale: Stale::Lost, ..BASE };

const fn rides(config: Config) -> Config {
    Config { ownership: Ownership::WithTheFirstWrite, ..config }
}

/// Everything must hold in these. `crashes` are those of source and target.
pub(crate) fn holding() -> Vec<(Size, &'static str, Config)> {
    let (quick, normal, big) = (Size::Quick, Size::Normal, Size::Big);
    let once = WHOLE.crashes(1, 1).control(1).resets(1).doubles(1).aborts(1);
    vec![
        (normal, "four operations, no faults", BASE.ops(ALL)),
        (big, "four operations: S and T crash", BASE.ops(ALL).attempts(1).crashes(1, 1)),
        // Pushes and losses.
        (quick, "loud, order", LOUD.ops(ORDER)),
        (normal, "loud, order: S and T crash, double", LOUD.ops(ORDER).crashes(1, 1).doubles(1)),
        (
            quick,
            "loud, writers, 1 attempt: S and T crash, double",
            LOUD.ops(WRITERS).attempts(1).crashes(1, 1).doubles(1),
        ),
        (big, "loud, writers: S and T crash", LOUD.ops(WRITERS).crashes(1, 1)),
        // From the first word of the controller to the last.
        (normal, "whole: each fault once", once),
        (big, "whole, 1 attempt: each fault once, 1 late word", once.attempts(1).late(1)),
        (
            quick,
            "whole, 1 attempt: C crash, abort, 1 late word",
            WHOLE.attempts(1).control(1).aborts(1).late(1),
        ),
        (normal, "whole, 1 attempt, 1 migration: S, T, C crash, abort, 2 late words", {
            WHOLE.attempts(1).migrations(1).crashes(1, 1).control(1).aborts(1).late(2)
        }),
        (big, "whole: C crash, abort, 2 late words", WHOLE.control(1).aborts(1).late(2)),
        (
            big,
            "whole, 1 attempt: S and T crash, abort, 2 late words",
            WHOLE.attempts(1).crashes(1, 1).aborts(1).late(2),
        ),
        (big, "whole, 1 attempt, 1 migration: S and T power, abort, 2 late words", {
            WHOLE.power().attempts(1).migrations(1).crashes(1, 1).aborts(1).late(2)
        }),
        // Power losses: a suffix of a node's log is gone.
        (quick, "power, 1 attempt: S and T twice", POWER.attempts(1).crashes(2, 2)),
        (
            normal,
            "power, 1 attempt: S and T, abort, 2 migrations",
            POWER.attempts(1).migrations(2).crashes(1, 1).aborts(1),
        ),
        (big, "power: S and T, abort, 2 migrations", POWER.migrations(2).crashes(1, 1).aborts(1)),
        (big, "power: S and T twice, 2 migrations", POWER.migrations(2).crashes(2, 2)),
        (normal, "power, whole, order, 1 attempt, 1 migration: S and T", {
            WHOLE.power().ops(ORDER).attempts(1).migrations(1).crashes(1, 1)
        }),
        (
            big,
            "power, whole, order: S and T, abort",
            WHOLE.power().ops(ORDER).crashes(1, 1).aborts(1),
        ),
        (
            normal,
            "power, writers, 1 attempt: S and T",
            POWER.ops(WRITERS).attempts(1).crashes(1, 1),
        ),
        (big, "power, writers: S and T", POWER.ops(WRITERS).crashes(1, 1)),
        (
            normal,
            "power, freshness, 1 attempt: S and T",
            POWER.ops(FRESH).attempts(1).crashes(1, 1),
        ),
        (quick, "power, ownership rides: S and T", rides(POWER).crashes(1, 1)),
        // Without a controller.
        (quick, "by itself, 1 attempt: S crashes", SELF.attempts(1).crashes(1, 0)),
        (quick, "by itself, order, 1 attempt: abort", SELF.ops(ORDER).attempts(1).aborts(1)),
        (normal, "by itself, 1 attempt: S and T crash", SELF.attempts(1).crashes(1, 1)),
        (
            normal,
            "by itself, writers, 1 attempt: S crashes, abort",
            SELF.ops(WRITERS).attempts(1).crashes(1, 0).aborts(1),
        ),
        (normal, "by itself, power, 1 attempt: S and T", SELF.power().attempts(1).crashes(1, 1)),
        (big, "by itself, 1 attempt: S twice, T crash, abort", {
            SELF.migrations(4).attempts(1).crashes(2, 1).aborts(1)
        }),
        // There and back.
        (quick, "back, writers", BACK.ops(WRITERS)),
        (
            normal,
            "back, writers, 1 attempt: S and T crash",
            BACK.ops(WRITERS).attempts(1).crashes(1, 1),
        ),
        (quick, "back, 1 attempt: S and T power", BACK.power().attempts(1).crashes(1, 1)),
        (big, "back and there again, 1 attempt: S and T power, abort", {
            BACK.power().attempts(1).migrations(3).crashes(1, 1).aborts(1)
        }),
        (big, "back, order, 1 attempt: S, T, C crash, reset, abort", {
            BACK.ops(ORDER).attempts(1).crashes(1, 1).control(1).resets(1).aborts(1)
        }),
        // Sessions and freshness.
        (
            normal,
            "order: S and T crash, reset, abort",
            BASE.ops(ORDER).crashes(1, 1).resets(1).aborts(1),
        ),
        (big, "order: S and T crash, 2 resets, abort, 2 migrations", {
            BASE.ops(ORDER).migrations(2).crashes(1, 1).resets(2).aborts(1)
        }),
        (
            normal,
            "own read: S crash, reset, abort",
            BASE.ops(OWN_READ).crashes(1, 0).resets(1).aborts(1),
        ),
        (big, "own read: S and T crash, reset, abort, 2 migrations", {
            BASE.ops(OWN_READ).migrations(2).crashes(1, 1).resets(1).aborts(1)
        }),
        (normal, "freshness: S and T crash, abort", BASE.ops(FRESH).crashes(1, 1).aborts(1)),
        (normal, "writers: S and T crash, abort", BASE.ops(WRITERS).crashes(1, 1).aborts(1)),
        (big, "writers, 1 attempt: S and T crash twice, reset, abort, 2 migrations", {
            BASE.ops(WRITERS).attempts(1).migrations(2).crashes(2, 2).resets(1).aborts(1)
        }),
        // A proxy that begins with an old table.
        (
            normal,
            "stale, writers: S crash, abort, 2 migrations",
            STALE.ops(WRITERS).migrations(2).crashes(1, 0).aborts(1),
        ),
        (
            normal,
            "lost, freshness: T and C crash, abort",
            LOST.ops(FRESH).crashes(0, 1).control(1).aborts(1),
        ),
        (
            big,
            "lost, writers, 1 attempt: S and T power, abort",
            LOST.power().ops(WRITERS).attempts(1).crashes(1, 1).aborts(1),
        ),
        // Writes that take time; ownership that rides with the first write.
        (
            quick,
            "slow writes, writers: S crash, abort",
            SLOW_WRITES.ops(WRITERS).crashes(1, 0).aborts(1),
        ),
        (
            normal,
            "slow writes, order: S and T crash, reset, abort",
            SLOW_WRITES.ops(ORDER).crashes(1, 1).resets(1).aborts(1),
        ),
        (quick, "ownership rides, writers: S and T crash", rides(BASE).ops(WRITERS).crashes(1, 1)),
    ]
}

/// One rule is removed in each; what its absence must be caught by.
pub(crate) fn broken() -> Vec<(&'static str, Config, &'static str)> {
    let two = "two nodes execute writes";
    let lost = "an acknowledged write is lost";
    let order = "operations of one session are out of order";
    let stuck = "stuck";
    let from_the_start = WHOLE.migrations(1);
    vec![
        ("grant needed", STALE.ops(WRITERS).without(Rule::GrantNeeded), two),
        (
            "grant survives the source's crash",
            from_the_start.crashes(1, 0).without(Rule::GrantSurvives),
            two,
        ),
        ("armed and crashed is in doubt", POWER.crashes(1, 0).without(Rule::ArmedIsDoubt), two),
        ("refusal binds the target", POWER.crashes(1, 0).without(Rule::RefusalBinds), two),
        ("attempts numbered", BASE.without(Rule::AttemptsNumbered), lost),
        (
            "ownership persisted before the acknowledgement",
            POWER.crashes(1, 1).without(Rule::OwnershipLogged),
            lost,
        ),
        ("no resume by timeout after the grant", BASE.without(Rule::NoResumeByTime), two),
        ("sticky bounce", BASE.ops(ORDER).without(Rule::StickyBounce), order),
        (
            "order at the gate: new requests wait behind the held",
            BASE.ops(ORDER).without(Rule::GateKeepsOrder),
            order,
        ),
        (
            "order at the gate: what is outstanding is awaited",
            LOUD.ops(ORDER).without(Rule::GateAwaits),
            order,
        ),
        ("the seal waits for writers inside", SLOW_WRITES.without(Rule::SealDrains), lost),
        (
            "the target syncs at ARM",
            from_the_start.power().crashes(0, 1).without(Rule::TargetArmed),
            stuck,
        ),
        (
            "the target is durable before the source cleans",
            POWER.crashes(0, 1).without(Rule::CleanWaits),
            stuck,
        ),
        (
            "the target is durable before the record names it",
            POWER.crashes(1, 1).without(Rule::DurableFirst),
            stuck,
        ),
        (
            "a target that lost its READY asks the source",
            POWER.crashes(0, 1).without(Rule::TargetAsks),
            stuck,
        ),
        (
            "FINAL again for a target that fell back an attempt",
            POWER.crashes(0, 1).without(Rule::FinalAgain),
            stuck,
        ),
        ("CLEAN and DROP are synced", POWER.crashes(1, 0).without(Rule::EndsSynced), stuck),
        (
            "a migration let go of is not opened again",
            from_the_start.late(2).aborts(1).without(Rule::OffIsOff),
            lost,
        ),
        (
            "a proxy believes its route's node that denies",
            POWER.crashes(1, 0).without(Rule::DenialCounts),
            stuck,
        ),
    ]
}
