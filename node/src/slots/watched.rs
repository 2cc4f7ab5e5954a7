//! Versions of the keys that somebody watches in one slot.
//!
//! A key has a version only from when it is watched; every change of the key while it is watched gives it a new one. A version that is not
//! found any more counts as changed, so forgetting is safe: it makes an EXEC answer null, never succeed wrongly. For that a version is never
//! given twice.

use std::collections::HashMap;

/// Watched keys of one slot that nobody holds (those of links) are forgotten beyond this number.
const UNHELD_MAX: usize = 4096;

#[derive(Debug)]
struct Entry {
    version: u64,
    /// Sessions that will say when they stop watching.
    holders: u32,
    /// Others may watch it too.
    unheld: bool,
}

/// Watched keys, by database and key.
#[derive(Debug, Default)]
pub struct Watched {
    keys: HashMap<(u8, Vec<u8>), Entry>,
    last: u64,
}

/// Whether the watcher will call [`Watched::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Held,
    Unheld,
}

impl Watched {
    /// Whether nobody watches anything: then changes need not be told.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Begins to watch; returns the key's version.
    pub fn watch(&mut self, db: u8, key: &[u8], hold: Hold) -> u64 {
        if hold == Hold::Unheld && self.keys.len() >= UNHELD_MAX {
            self.keys.retain(|_, entry| entry.holders > 0);
            self.keys.values_mut().for_each(|entry| entry.unheld = false);
        }
        self.last += 1;
        let fresh = Entry { version: self.last, holders: 0, unheld: false };
        let entry = self.keys.entry((db, key.to_vec())).or_insert(fresh);
        match hold {
            Hold::Held => entry.holders += 1,
            Hold::Unheld => entry.unheld = true,
        }
        entry.version
    }

    /// A session stops watching.
    pub fn release(&mut self, db: u8, key: &[u8]) {
        let name = (db, key.to_vec());
        if let Some(entry) = self.keys.get_mut(&name) {
            entry.holders = entry.holders.saturating_sub(1);
            if entry.holders == 0 && !entry.unheld {
                self.keys.remove(&name);
            }
        }
    }

    /// Whether the key has not changed since it had this version.
    pub fn unchanged(&self, db: u8, key: &[u8], version: u64) -> bool {
        self.keys.get(&(db, key.to_vec())).is_some_and(|entry| entry.version == version)
    }

    /// The key has changed.
    pub fn changed(&mut self, db: u8, key: Vec<u8>) {
        if let Some(entry) = self.keys.get_mut(&(db, key)) {
            self.last += 1;
            entry.version = self.last;
        }
    }

    /// The keys of a database that are watched.
    pub fn of(&self, db: u8) -> Vec<Vec<u8>> {
        self.keys.keys().filter(|(d, _)| *d == db).map(|(_, key)| key.clone()).collect()
    }

    /// Everything counts as changed.
    pub fn clear(&mut self) {
        self.keys.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_noticed_and_a_key_nobody_watches_costs_nothing() {
        let mut watched = Watched::default();
        watched.changed(0, b"a".to_vec());
        assert!(watched.is_empty());
        let version = watched.watch(0, b"a", Hold::Held);
        assert!(watched.unchanged(0, b"a", version));
        assert!(!watched.unchanged(1, b"a", version), "another database");
        watched.changed(0, b"a".to_vec());
        assert!(!watched.unchanged(0, b"a", version));
    }

    #[test]
    fn a_version_forgotten_and_given_again_is_not_the_same() {
        let mut watched = Watched::default();
        let before = watched.watch(0, b"a", Hold::Held);
        watched.release(0, b"a");
        assert!(watched.is_empty());
        watched.watch(0, b"a", Hold::Unheld);
        assert!(!watched.unchanged(0, b"a", before));
    }

    #[test]
    fn watches_of_links_are_bounded() {
        let mut watched = Watched::default();
        let held = watched.watch(0, b"held", Hold::Held);
        for number in 0..2 * UNHELD_MAX {
            watched.watch(0, number.to_string().as_bytes(), Hold::Unheld);
        }
        assert!(watched.keys.len() <= UNHELD_MAX + 1);
        assert!(watched.unchanged(0, b"held", held));
    }
}
