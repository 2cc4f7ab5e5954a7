//! A proxy in front of nodes that are not ours follows our controller's table: what the table says of a slot that leaves such a node is done step by
//! step, and each step is told ([`Follow::words`]). The controller goes on when every proxy has told it (`docs/FOREIGN.md`, "Under our own
//! controller").
//!
//! One step at a time, so that no slot is locked for as long as others need; what has begun to move comes first. Looking at slots, and waiting for
//! their arrival, happen beside it.

use crate::config::Config;
use crate::dashboard::{Obstacle, Router};
use crate::foreign::carry::Errand;
use crate::foreign::examine::Copier;
use cluster::table::{Leaving, LeavingStage};
use cluster::{GroupId, MigrationId, Table};
use codis::model::{ForwardMethod, Slot};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The pause before what could not be done is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// How far a slot is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Not there yet.
    Wait,
    /// It can leave.
    Ready,
    /// It is locked, and nothing of it is on its way.
    Locked,
    /// As the copier: what the source cannot send is at the target.
    Copied,
    /// As the copier: none of that is at the target.
    Withdrawn,
    /// As the copier: none of that is at the source any more.
    Cleared,
    /// The source has nothing of it any more, and it is routed to the target alone.
    Arrived,
    /// It cannot leave, and stays as it was.
    Refused,
}

/// What is said of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub id: MigrationId,
    pub says: Says,
    /// Keys that the sweep has moved.
    pub keys: u64,
    /// It has keys which the copier must copy.
    pub needs_copier: bool,
    /// Why it does not come on, for people.
    pub why: Option<String>,
}

/// A follower of tables.
#[derive(Debug)]
pub struct Follow {
    router: Arc<Router>,
    config: Arc<Config>,
    steps: Mutex<BTreeMap<MigrationId, Step>>,
    /// There is something new to say.
    pub told: Notify,
    /// The name of this process: the controller names copiers by it.
    pub boot: String,
    /// Held by whoever carries keys: what was begun in a stage before has ended.
    carrying: tokio::sync::Mutex<()>,
}

/// How far one slot is.
#[derive(Clone, Debug)]
struct Step {
    slot: i64,
    stage: LeavingStage,
    says: Says,
    why: Option<String>,
}

/// What became of an errand.
#[derive(Debug)]
enum Carried {
    Done,
    /// It cannot be done.
    Refused(String),
    /// Another stage has begun.
    NotWanted,
}

impl Follow {
    pub(crate) fn new(router: Arc<Router>, config: Arc<Config>) -> Self {
        let boot = format!("{:032x}", rand::random::<u128>());
        let (steps, told, carrying) = (Mutex::default(), Notify::new(), Default::default());
        Self { router, config, steps, told, boot, carrying }
    }

    /// All there is to say.
    pub fn words(&self) -> Vec<Word> {
        let word = |(id, step): (&MigrationId, &Step)| {
            let (keys, trouble) = self.router.progress(step.slot);
            let is_before = matches!(step.says, Says::Ready | Says::Locked);
            let needs_copier = is_before && self.router.needs_copier(step.slot);
            Word { id: *id, says: step.says, keys, needs_copier, why: step.why.clone().or(trouble) }
        };
        self.steps.lock().iter().map(word).collect()
    }

    /// Follows tables from version `first` on, until there are no more. Older ones are from before the controller knew of this proxy.
    pub async fn run(self: &Arc<Self>, mut tables: watch::Receiver<Arc<Table>>, first: u64) {
        if tables.wait_for(|table| table.version >= first).await.is_err() {
            return;
        }
        // Dropped with this, and so ended.
        let mut beside = JoinSet::new();
        loop {
            let table = tables.borrow_and_update().clone();
            self.forget(&table);
            let done = self.settle(&table).await;
            let let_go = self.let_go(&table, &mut beside).await;
            self.look(&table, &mut beside);
            self.carry(&table, &mut beside);
            let _ = self.router.start();
            let locked = self.lock_one(&table).await;
            while beside.try_join_next().is_some() {}
            let changed = match (done.and(let_go), locked) {
                (Ok(()), false) => tables.changed().await,
                (Ok(()), true) => continue,
                (Err(why), _) => {
                    tracing::warn!(why, "the table cannot be followed yet");
                    timeout(PAUSE, tables.changed()).await.unwrap_or(Ok(()))
                }
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Migrations that are over.
    fn forget(&self, table: &Table) {
        self.steps.lock().retain(|id, _| table.leaving.iter().any(|leaving| leaving.id == *id));
    }

    /// Slots that are where they are, and those that may still stay.
    async fn settle(&self, table: &Table) -> Result<(), String> {
        let filled = self.router.slots();
        let leaving = |id: i64| table.leaving.iter().find(|l| i64::from(l.slot.0) == id);
        let as_it_is = |slot: Slot| match leaving(slot.id).map(|l| l.stage) {
            None | Some(LeavingStage::Examine) => Some(slot),
            // It was never filled here.
            Some(LeavingStage::Prepare) => is_offline(&filled, slot.id).then_some(slot),
            // Nor here, and some of its keys may be at the target already.
            Some(LeavingStage::Copy | LeavingStage::Withdraw | LeavingStage::Clear) => {
                is_offline(&filled, slot.id).then_some(Slot { locked: true, ..slot })
            }
            Some(LeavingStage::Migrate) => None,
        };
        let settled = (0..).zip(&table.slots).filter_map(|(id, owner)| at(table, id, owner.group));
        let news: Vec<Slot> =
            settled.filter_map(as_it_is).filter(|slot| !is_filled(&filled, slot)).collect();
        if news.is_empty() {
            return Ok(());
        }
        self.router.fill(news).await
    }

    /// Requests of these slots follow their keys from now on.
    async fn let_go(
        self: &Arc<Self>,
        table: &Table,
        beside: &mut JoinSet<()>,
    ) -> Result<(), String> {
        let mut result = Ok(());
        for leaving in of_stage(table, LeavingStage::Migrate) {
            let Some(slot) = self.on_its_way(table, leaving) else { continue };
            if self.is_begun(leaving) {
                continue;
            }
            match self.router.let_go(slot.clone()).await {
                Ok(()) => {
                    self.say(leaving, Says::Wait, None);
                    let (follow, leaving) = (Arc::clone(self), leaving.clone());
                    beside.spawn(async move { follow.await_arrival(&leaving).await });
                }
                Err(why) => result = result.and(Err(why)),
            }
        }
        result
    }

    async fn await_arrival(&self, leaving: &Leaving) {
        let slot = i64::from(leaving.slot.0);
        while let Err(why) = self.router.await_arrival(slot).await {
            if !self.is_begun(leaving) {
                return;
            }
            tracing::info!(slot, why, "a slot is not empty yet");
            sleep(PAUSE / 10).await;
        }
        self.say(leaving, Says::Arrived, None);
    }

    fn look(self: &Arc<Self>, table: &Table, beside: &mut JoinSet<()>) {
        for leaving in of_stage(table, LeavingStage::Examine) {
            let Some(slot) = self.on_its_way(table, leaving) else { continue };
            if self.is_begun(leaving) {
                continue;
            }
            self.say(leaving, Says::Wait, None);
            let (follow, leaving) = (Arc::clone(self), leaving.clone());
            beside.spawn(async move { follow.look_at(&leaving, &slot).await });
        }
    }

    /// Looks until there is an answer that stands.
    async fn look_at(&self, leaving: &Leaving, slot: &Slot) {
        let copier = copier(leaving);
        while let Err(Obstacle { why, is_passing }) = self.router.look(slot, copier).await {
            let why = format!("slot {}: {why}; the slot stays where it is", slot.id);
            if !self.is_begun(leaving) {
                return;
            }
            if !is_passing {
                tracing::warn!(slot = slot.id, why, "a slot cannot leave its node");
                return self.say(leaving, Says::Refused, Some(why));
            }
            self.say(leaving, Says::Wait, Some(why));
            sleep(PAUSE).await;
        }
        self.say(leaving, Says::Ready, None);
    }

    /// Locks the next slot; returns whether there was one.
    async fn lock_one(&self, table: &Table) -> bool {
        let mut due = of_stage(table, LeavingStage::Prepare).filter(|l| !self.is_begun(l));
        let Some(leaving) = due.next() else { return false };
        let Some(slot) = self.on_its_way(table, leaving) else { return false };
        match self.router.lock(slot, copier(leaving)).await {
            Ok(()) => self.say(leaving, Says::Locked, None),
            Err(why) => self.say(leaving, Says::Refused, Some(why)),
        }
        true
    }

    /// Where this proxy is the copier.
    fn carry(self: &Arc<Self>, table: &Table, beside: &mut JoinSet<()>) {
        for leaving in &table.leaving {
            let (errand, done) = match leaving.stage {
                LeavingStage::Copy => (Errand::Copy, Says::Copied),
                LeavingStage::Withdraw => (Errand::Withdraw, Says::Withdrawn),
                LeavingStage::Clear => (Errand::Clear, Says::Cleared),
                LeavingStage::Examine | LeavingStage::Prepare | LeavingStage::Migrate => continue,
            };
            let is_ours = leaving.copier.as_ref() == Some(&self.boot);
            if !is_ours || self.is_begun(leaving) {
                continue;
            }
            let Some(slot) = self.on_its_way(table, leaving) else { continue };
            self.say(leaving, Says::Wait, None);
            let (follow, leaving) = (Arc::clone(self), leaving.clone());
            beside.spawn(async move {
                match follow.carry_out(&leaving, &slot, errand).await {
                    Carried::Done => follow.say(&leaving, done, None),
                    Carried::Refused(why) => follow.say(&leaving, Says::Refused, Some(why)),
                    Carried::NotWanted => {}
                }
            });
        }
    }

    /// Tries until it is done, or another stage has begun.
    async fn carry_out(&self, leaving: &Leaving, slot: &Slot, errand: Errand) -> Carried {
        let _alone = self.carrying.lock().await;
        let is_wanted = || self.is_begun(leaving);
        while let Err(trouble) = self.router.carry(slot, errand, is_wanted).await {
            let why = format!("slot {}: {trouble}", slot.id);
            if !is_wanted() {
                return Carried::NotWanted;
            }
            tracing::warn!(slot = slot.id, why, ?errand, "keys could not be carried");
            if errand == Errand::Copy && !trouble.is_passing() {
                return Carried::Refused(why);
            }
            self.say(leaving, Says::Wait, Some(why));
            sleep(PAUSE).await;
        }
        Carried::Done
    }

    /// Whether this stage of a migration has begun here.
    fn is_begun(&self, leaving: &Leaving) -> bool {
        self.steps.lock().get(&leaving.id).is_some_and(|step| step.stage == leaving.stage)
    }

    /// A word of a stage that is past is not said any more.
    fn say(&self, leaving: &Leaving, says: Says, why: Option<String>) {
        let step = Step { slot: leaving.slot.0.into(), stage: leaving.stage, says, why };
        let mut steps = self.steps.lock();
        if steps.get(&leaving.id).is_some_and(|known| known.stage > leaving.stage) {
            return;
        }
        steps.insert(leaving.id, step);
        drop(steps);
        self.told.notify_one();
    }

    /// A slot that leaves its owner.
    fn on_its_way(&self, table: &Table, leaving: &Leaving) -> Option<Slot> {
        let owner = table.owner(leaving.slot)?.group;
        let source = table.group(owner)?;
        let target = at(table, leaving.slot.0.into(), leaving.to)?;
        // What Pika moves at our word it sends without a password.
        let has_password = self.config.node_password.is_some();
        Some(Slot {
            migrate_from: source.addr.clone(),
            migrate_from_group_id: owner.0.into(),
            forward_method: if has_password {
                ForwardMethod::SemiAsync
            } else {
                ForwardMethod::Sync
            },
            ..target
        })
    }

    /// The settings of the proxy.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

fn copier(leaving: &Leaving) -> Copier {
    if leaving.copier.is_some() { Copier::Named } else { Copier::None }
}

fn of_stage(table: &Table, stage: LeavingStage) -> impl Iterator<Item = &Leaving> {
    table.leaving.iter().filter(move |leaving| leaving.stage == stage)
}

/// A slot that is at a group.
fn at(table: &Table, id: i64, group: GroupId) -> Option<Slot> {
    let backend_addr = table.group(group)?.addr.clone();
    Some(Slot { id, backend_addr, backend_addr_group_id: group.0.into(), ..Slot::default() })
}

fn is_filled(filled: &[Slot], slot: &Slot) -> bool {
    let same = |known: &Slot| {
        (&known.backend_addr, &known.migrate_from, known.locked)
            == (&slot.backend_addr, &slot.migrate_from, slot.locked)
    };
    usize::try_from(slot.id).ok().and_then(|id| filled.get(id)).is_some_and(same)
}

fn is_offline(filled: &[Slot], id: i64) -> bool {
    usize::try_from(id).ok().and_then(|id| filled.get(id)).is_none_or(|s| s.backend_addr.is_empty())
}
