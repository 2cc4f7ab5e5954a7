//! What a Pika double is started with, and which of Pika's faults it has.

use cluster::SlotCount;
use std::time::Duration;

/// How a double is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `requirepass`; empty: none.
    pub password: String,
    /// `slotmigrate`: keep the slot sets and allow migration.
    pub slotmigrate: bool,
    /// `slotmigrate-thread-num`: senders of the migration thread, 1 to 24.
    pub senders: usize,
    /// `thread-migrate-keys-num`: keys of one exchange of a sender.
    pub keys_per_exchange: usize,
    /// `default-slot-num`.
    pub slots: SlotCount,
    /// What the source needs for one key of a move, besides the exchange with the target.
    pub pace: Duration,
    /// How long the migration thread takes to end when its slot is empty. Orders for another slot are refused meanwhile.
    pub ending: Duration,
    /// How long SLOTSRELOAD and SLOTSCLEANUP work.
    pub background: Duration,
    /// How long INFO calls a cache cleared that CLEARCACHE has emptied.
    pub cleared_shown: Duration,
    /// How long each data command waits before it runs: a slow target.
    pub stall: Duration,
    /// The faults it has.
    pub faults: Faults,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            password: String::new(),
            slotmigrate: true,
            senders: 1,
            keys_per_exchange: 64,
            slots: SlotCount::DEFAULT,
            pace: Duration::ZERO,
            ending: Duration::from_millis(5),
            background: Duration::from_millis(20),
            cleared_shown: Duration::from_secs(5),
            stall: Duration::ZERO,
            faults: Faults::default(),
        }
    }
}

/// A fault of Pika. Where the sources are: `pika-live.md` (§), `migration-state-of-the-art.md` §4.2 (P1 to P9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EXEC-WRAPPER lower-cases the key (§2 C, P1).
    LowerCase,
    /// EXEC-WRAPPER answers −1 for a key of another slot than the one the thread is set to (§2, P2). Without: 1.
    OtherSlot,
    /// EXEC-WRAPPER answers 1 for ever for absent and moved keys and queues them, by which moved lists are deleted (§4.1, 4.2). Without: 0.
    AbsentQueued,
    /// Scores are sent with 6 decimals (§4.9, P3).
    SixDecimals,
    /// A stream is sent as one XADD whose reply counts as a failure (§4.3, P4).
    Streams,
    /// Commands that do not fill the slot index, or with the wrong letter (§4.4, P5).
    Untracked,
    /// A moved key stays in the read cache; a cached hash or list has its TTL 1000 times too long (§4.5, contract §1.6).
    CacheGhosts,
    /// CANCEL, then EXEC-WRAPPER: migrating for ever (§4.6).
    CancelWedges,
    /// Malformed lines end the process (§4.7).
    Crashes,
    /// DBSIZE fails or answers twice (§4.8).
    Dbsize,
    /// The synchronous path sends no AUTH (contract §2.4).
    SyncWithoutAuth,
    /// With a password, AUTH accepts any word (contract §1.6).
    AnyPassword,
    /// The loser of two SLOTSMGRTTAGONE for one key gets an error instead of 0 (P7). Off: 4.0.1 answers 0, as its type look-up never fails.
    LoserRefused,
    /// The older 3.5 line: a queued key's command also runs at the source at once, reply 2 (P8). Off.
    RunsToo,
    /// A crash between the removal from the index and the deletion of the key, at the next key (P9). Off; it goes off by itself.
    CrashBehindIndex,
}

/// Each fault with the name a flag or `DOUBLE FAULT` has for it, and whether 4.0.1 has it.
pub(crate) const FAULTS: &[(Fault, &str, bool)] = &[
    (Fault::LowerCase, "lower-case", true),
    (Fault::OtherSlot, "other-slot", true),
    (Fault::AbsentQueued, "absent-queued", true),
    (Fault::SixDecimals, "six-decimals", true),
    (Fault::Streams, "streams", true),
    (Fault::Untracked, "untracked", true),
    (Fault::CacheGhosts, "cache-ghosts", true),
    (Fault::CancelWedges, "cancel-wedges", true),
    (Fault::Crashes, "crashes", true),
    (Fault::Dbsize, "dbsize", true),
    (Fault::SyncWithoutAuth, "sync-without-auth", true),
    (Fault::AnyPassword, "any-password", true),
    (Fault::LoserRefused, "loser-refused", false),
    (Fault::RunsToo, "runs-too", false),
    (Fault::CrashBehindIndex, "crash-behind-index", false),
];

/// A set of faults; by default those of 4.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults(u32);

impl Default for Faults {
    fn default() -> Self {
        let mut faults = Self(0);
        FAULTS.iter().filter(|(.., real)| *real).for_each(|(fault, ..)| faults.add(*fault));
        faults
    }
}

impl Faults {
    /// Whether it has this one.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & 1 << fault as u32 != 0
    }

    /// Turns one on.
    pub fn add(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u32;
    }

    /// Turns one off.
    pub fn remove(&mut self, fault: Fault) {
        self.0 &= !(1 << fault as u32);
    }
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = FAULTS.iter().find(|(_, known, _)| *known == name).map(|(fault, ..)| *fault);
        let names: Vec<&str> = FAULTS.iter().map(|(_, name, _)| *name).collect();
        found.ok_or_else(|| format!("no fault {name}; there are {}", names.join(", ")))
    }
}
