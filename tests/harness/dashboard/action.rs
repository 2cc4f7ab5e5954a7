//! Moves of slots, step by step: pending, preparing, prepared, migrating, finished.
//!
//! | from → to | what comes first |
//! |---|---|
//! | pending → preparing | the record |
//! | preparing → prepared | the fill, locked; rolled back if one proxy fails |
//! | prepared → migrating | the fill, unlocked; repeated if one fails |
//! | migrating → finished | the record, once the source says that it has no keys left |
//! | finished → none | the fill; repeated if one fails |

use super::Dashboard;
use crate::resp::Client;
use codis::model::ForwardMethod;
use codis::records::{SlotAction, SlotRecord, SlotState};
use protocol::frame::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Between two rounds of slots.
const ROUND_PAUSE: Duration = Duration::from_millis(10);

/// Where the dashboard dies, of its next slot that comes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Before the step to this state.
    Before(SlotState),
    /// Its fills are out, and nothing is stored.
    Filled(SlotState),
    /// One proxy has its fill, the others have not.
    HalfFilled(SlotState),
    /// In the middle of the calls to the source.
    Executing,
}

/// At each step of a slot.
pub const DEATHS: [Death; 12] = [
    Death::Before(SlotState::Preparing),
    Death::Before(SlotState::Prepared),
    Death::HalfFilled(SlotState::Prepared),
    Death::Filled(SlotState::Prepared),
    Death::Before(SlotState::Migrating),
    Death::HalfFilled(SlotState::Migrating),
    Death::Filled(SlotState::Migrating),
    Death::Before(SlotState::Finished),
    Death::Executing,
    Death::Before(SlotState::None),
    Death::HalfFilled(SlotState::Finished),
    Death::Filled(SlotState::Finished),
];

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    pub done: usize,
    /// Rounds that failed and were tried again.
    pub failures: usize,
}

/// What a dead dashboard says.
const DEAD: &str = "the dashboard has died";

impl Dashboard {
    /// slot-action create.
    pub fn create_action(&self, slot: i64, to: i64) -> Result<(), String> {
        let mut records = self.store.records();
        let record = records.slot(slot);
        if record.action.state != SlotState::None {
            return Err(format!("slot-[{slot}] action already exists"));
        }
        if record.group_id == to {
            return Err(format!("slot-[{slot}] already in group-[{to}]"));
        }
        let index = records.slots.values().map(|slot| slot.action.index).max().unwrap_or(0) + 1;
        let action = SlotAction { index, state: SlotState::Pending, target_id: to };
        records.slots.insert(slot, SlotRecord { action, ..record });
        Ok(())
    }

    /// slot-action create-range.
    pub fn create_range(
        &self,
        slots: std::ops::RangeInclusive<i64>,
        to: i64,
    ) -> Result<(), String> {
        slots.into_iter().try_for_each(|slot| self.create_action(slot, to))
    }

    /// slot-action create-some: the first idle slots of a group.
    pub fn create_some(&self, from: i64, to: i64, count: usize) -> Result<(), String> {
        let records = self.store.records().clone();
        let idle =
            |slot: &&SlotRecord| slot.group_id == from && slot.action.state == SlotState::None;
        let some: Vec<i64> =
            records.slots.values().filter(idle).take(count).map(|slot| slot.id).collect();
        some.into_iter().try_for_each(|slot| self.create_action(slot, to))
    }

    /// slot-action remove: only what has not begun.
    pub fn remove_action(&self, slot: i64) -> Result<(), String> {
        let mut records = self.store.records();
        let record = records.slot(slot);
        if record.action.state != SlotState::Pending {
            return Err(format!("slot-[{slot}] action isn't pending"));
        }
        records.slots.insert(slot, SlotRecord { action: SlotAction::default(), ..record });
        Ok(())
    }

    /// What an operator does with a move that cannot go on: the record is reset, and the slot filled as before.
    pub fn give_up(&self, slot: i64) -> Result<(), String> {
        let records = self.change(|records| {
            let kept = records.slots.get_mut(&slot).unwrap();
            kept.action = SlotAction::default();
        });
        self.fill(&records, &[slot])
    }

    /// slot-action interval, in microseconds.
    pub fn set_interval(&self, us: u64) {
        *self.interval.lock().unwrap() = us;
    }

    /// It dies there.
    pub fn die_at(&self, death: Death) {
        *self.death.lock().unwrap() = Some(death);
    }

    /// Moves all that is to be moved, rounds that fail are tried again after a while, as long as `limit` lasts.
    pub fn run(&self, limit: Duration) -> Result<Moves, String> {
        let begin = Instant::now();
        let mut moves = Moves::default();
        loop {
            match self.run_round() {
                Ok(0) => return Ok(moves),
                Ok(n) => {
                    moves.done += n;
                    std::thread::sleep(ROUND_PAUSE);
                }
                Err(why) if why == DEAD => return Err(why),
                Err(why) if begin.elapsed() > limit => return Err(why),
                Err(_) => {
                    moves.failures += 1;
                    std::thread::sleep(self.settings.failure_pause);
                }
            }
            if begin.elapsed() > limit {
                return Err(format!("after {limit:?}, {moves:?}"));
            }
        }
    }

    /// One round: as many slots as may move at once.
    fn run_round(&self) -> Result<usize, String> {
        let plan = self.plan();
        std::thread::scope(|scope| {
            let slots: Vec<_> =
                plan.iter().map(|&slot| scope.spawn(move || self.finish(slot))).collect();
            slots.into_iter().try_for_each(|slot| slot.join().unwrap())
        })?;
        Ok(plan.len())
    }

    /// The lowest index first, what has begun before what has not, and no group twice.
    fn plan(&self) -> Vec<i64> {
        let records = self.store.records();
        let mut todo: Vec<&SlotRecord> =
            records.slots.values().filter(|slot| slot.action.state != SlotState::None).collect();
        todo.sort_by_key(|slot| (slot.action.state == SlotState::Pending, slot.action.index));
        let mut taken = BTreeSet::new();
        let mut free = |slot: &&SlotRecord| {
            let groups = [slot.group_id, slot.action.target_id];
            let free = !groups.iter().any(|group| taken.contains(group));
            if free {
                taken.extend(groups.into_iter().filter(|&group| group != 0));
            }
            free
        };
        todo.into_iter()
            .filter(|slot| free(slot))
            .take(self.settings.parallel)
            .map(|s| s.id)
            .collect()
    }

    /// Moves one slot to its end.
    pub fn finish(&self, slot: i64) -> Result<(), String> {
        while self.advance(slot)? != SlotState::None {}
        Ok(())
    }

    /// Does one step of a slot, and returns where it is then.
    pub fn advance(&self, slot: i64) -> Result<SlotState, String> {
        let record = self.store.records().slot(slot);
        let next = match record.action.state {
            SlotState::None => return Ok(SlotState::None),
            SlotState::Pending => SlotState::Preparing,
            SlotState::Preparing => SlotState::Prepared,
            SlotState::Prepared => SlotState::Migrating,
            SlotState::Migrating => SlotState::Finished,
            SlotState::Finished => SlotState::None,
        };
        self.dies(Death::Before(next))?;
        match next {
            SlotState::Prepared => {
                if let Err(why) = self.fill_in_state(slot, SlotState::Prepared) {
                    if why != DEAD {
                        let _ = self.fill_in_state(slot, SlotState::Preparing);
                    }
                    return Err(why);
                }
            }
            SlotState::Migrating => self.fill_in_state(slot, next)?,
            SlotState::Finished => self.execute(&record)?,
            SlotState::None => self.fill_in_state(slot, SlotState::Finished)?,
            SlotState::Preparing | SlotState::Pending => {}
        }
        self.change(|records| {
            let kept = records.slots.get_mut(&slot).unwrap();
            kept.action.state = next;
            if next == SlotState::None {
                *kept = SlotRecord {
                    id: slot,
                    group_id: record.action.target_id,
                    action: SlotAction::default(),
                };
            }
        });
        Ok(next)
    }

    /// Fills a slot at all proxies as if the record were in this state.
    fn fill_in_state(&self, slot: i64, state: SlotState) -> Result<(), String> {
        let mut records = self.store.records().clone();
        records.slots.get_mut(&slot).unwrap().action.state = state;
        if self.dies(Death::HalfFilled(state)).is_err() {
            if let Some(model) = records.proxies.values().next() {
                self.fill_one(&records, model, &[slot])?;
            }
            return Err(DEAD.to_owned());
        }
        self.fill(&records, &[slot])?;
        self.dies(Death::Filled(state))
    }

    /// Once it has died it stays dead.
    fn dies(&self, here: Death) -> Result<(), String> {
        let dies = *self.death.lock().unwrap() == Some(here);
        if dies { Err(DEAD.to_owned()) } else { Ok(()) }
    }

    /// Asks the source again and again until nothing is left in any database.
    fn execute(&self, record: &SlotRecord) -> Result<(), String> {
        let primary = |group: i64| {
            let records = self.store.records();
            let servers = records.groups.get(&group).map(|group| group.servers.clone());
            servers.and_then(|servers| Some(servers.first()?.server.clone())).unwrap_or_default()
        };
        let (source, target) = (primary(record.group_id), primary(record.action.target_id));
        if source.is_empty() {
            return Ok(());
        }
        let mut client = self.client(&source)?;
        let mut database = Some(0);
        while let Some(db) = database {
            good(client.command(&format!("SELECT {db}"))?)?;
            let left = left(client.command(&self.order(&target, record.id))?)?;
            self.dies(Death::Executing)?;
            if left == 0 {
                database = databases(&mut client)?.into_iter().find(|&next| next > db);
            } else {
                std::thread::sleep(Duration::from_micros(*self.interval.lock().unwrap()));
            }
        }
        Ok(())
    }

    /// A connection to a server, logged in.
    pub(super) fn client(&self, server: &str) -> Result<Client, String> {
        let mut client = Client::connect(server)?;
        if !self.settings.auth.is_empty() {
            good(client.command(&format!("AUTH {}", self.settings.auth))?)?;
        }
        Ok(client)
    }

    /// What the source is told.
    fn order(&self, target: &str, slot: i64) -> String {
        let (host, port) = target.rsplit_once(':').unwrap_or((target, ""));
        match self.settings.method {
            ForwardMethod::SemiAsync => {
                format!("SLOTSMGRTTAGSLOT-ASYNC {host} {port} 5000 200 33554432 {slot} 500")
            }
            _ => format!("SLOTSMGRTTAGSLOT {host} {port} 30000 {slot}"),
        }
    }
}

fn good(reply: Value) -> Result<Value, String> {
    match reply {
        Value::Error(why) => Err(why),
        other => Ok(other),
    }
}

/// The second of two numbers: how many keys are left.
fn left(reply: Value) -> Result<i64, String> {
    match good(reply)? {
        Value::Array(two) => match two.as_slice() {
            [Value::Int(_), Value::Int(left)] => Ok(*left),
            _ => Err(format!("two numbers are due, not {two:?}")),
        },
        other => Err(format!("two numbers are due, not {other:?}")),
    }
}

/// The databases that have keys, as INFO says.
fn databases(client: &mut Client) -> Result<Vec<u32>, String> {
    let info = good(client.command("INFO keyspace")?)?;
    let text = info.as_str().ok_or_else(|| format!("INFO answers {info:?}"))?.to_owned();
    let fields: BTreeMap<u32, &str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("db")?.split_once(':'))
        .filter_map(|(db, rest)| Some((db.parse().ok()?, rest)))
        .collect();
    Ok(fields.into_keys().collect())
}
