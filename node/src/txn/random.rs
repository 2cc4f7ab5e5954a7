//! Random elements of a collection.
//!
//! A small collection is walked, so that every element is as likely as any other. In a large one a random place between its first and its last
//! element is looked up and a few random steps are taken from there: no element is left out, but those behind a gap are likelier.

use super::{Collection, Direction, Flow, Span, Txn};
use crate::engine::Family;
use crate::error::CommandError;
use rand::Rng;
use std::collections::HashMap;

/// A collection of up to so many elements is walked.
const WALKED: u64 = 1024;

/// Random steps from a random place.
const STEPS: usize = 16;

/// Elements that one command may ask for with repetitions.
const REPEATED_MAX: u64 = 1 << 24;

/// How many elements are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picks {
    /// So many different ones, or all.
    Different(u64),
    /// So many, each picked from all.
    Repeated(u64),
}

type Element = (Vec<u8>, Vec<u8>);

impl Picks {
    /// As a count whose sign has a meaning says it.
    pub fn of(count: i64) -> Result<Self, CommandError> {
        match u64::try_from(count) {
            Ok(count) => Ok(Self::Different(count)),
            Err(_) if count.unsigned_abs() <= REPEATED_MAX => {
                Ok(Self::Repeated(count.unsigned_abs()))
            }
            Err(_) => Err("ERR value is out of range".into()),
        }
    }
}

impl Txn<'_> {
    /// Random elements with their values.
    pub fn pick(
        &mut self,
        collection: &Collection<'_>,
        picks: Picks,
    ) -> Result<Vec<Element>, CommandError> {
        let count = collection.meta.count;
        match picks {
            Picks::Different(0) | Picks::Repeated(0) => Ok(Vec::new()),
            Picks::Different(wanted) if wanted >= count => self.all(collection),
            Picks::Different(wanted) if count <= WALKED || wanted > count / 4 => {
                self.sample(collection, wanted as usize)
            }
            Picks::Different(wanted) => self.probe_different(collection, wanted as usize),
            Picks::Repeated(wanted) if count <= WALKED || wanted >= count => {
                let all = self.all(collection)?;
                let mut random = rand::rng();
                let one = |_| all.get(random.random_range(0..all.len().max(1))).cloned();
                Ok((0..wanted).filter_map(one).collect())
            }
            Picks::Repeated(wanted) => {
                let ends = self.ends(collection)?;
                (0..wanted).filter_map(|_| self.probe(collection, &ends).transpose()).collect()
            }
        }
    }

    fn all(&mut self, collection: &Collection<'_>) -> Result<Vec<Element>, CommandError> {
        let mut all = Vec::with_capacity(collection.meta.count as usize);
        self.scan(collection, &Span::all(Family::Data, Direction::Forward), |element, value| {
            all.push((element.to_vec(), value.to_vec()));
            Flow::Continue
        })?;
        Ok(all)
    }

    /// Walks over all; each is as likely to be kept as any other (algorithm R).
    fn sample(
        &mut self,
        collection: &Collection<'_>,
        wanted: usize,
    ) -> Result<Vec<Element>, CommandError> {
        let mut random = rand::rng();
        let (mut kept, mut seen) = (Vec::with_capacity(wanted), 0);
        self.scan(collection, &Span::all(Family::Data, Direction::Forward), |element, value| {
            seen += 1;
            if kept.len() < wanted {
                kept.push((element.to_vec(), value.to_vec()));
            } else {
                let place = random.random_range(0..seen);
                if let Some(kept) = kept.get_mut(place) {
                    *kept = (element.to_vec(), value.to_vec());
                }
            }
            Flow::Continue
        })?;
        Ok(kept)
    }

    fn probe_different(
        &mut self,
        collection: &Collection<'_>,
        wanted: usize,
    ) -> Result<Vec<Element>, CommandError> {
        let ends = self.ends(collection)?;
        let mut found = HashMap::with_capacity(wanted);
        for _ in 0..wanted.saturating_mul(8) {
            if found.len() == wanted {
                break;
            }
            found.extend(self.probe(collection, &ends)?);
        }
        if found.len() < wanted {
            self.sample(collection, wanted)
        } else {
            Ok(found.into_iter().collect())
        }
    }

    fn ends(&mut self, collection: &Collection<'_>) -> Result<(Vec<u8>, Vec<u8>), CommandError> {
        let mut end = |direction| -> Result<Vec<u8>, CommandError> {
            let mut found = Vec::new();
            self.scan(collection, &Span::all(Family::Data, direction), |element, _| {
                found = element.to_vec();
                Flow::Stop
            })?;
            Ok(found)
        };
        Ok((end(Direction::Forward)?, end(Direction::Backward)?))
    }

    /// One element near a random place between the ends.
    fn probe(
        &mut self,
        collection: &Collection<'_>,
        (first, last): &(Vec<u8>, Vec<u8>),
    ) -> Result<Option<Element>, CommandError> {
        let mut random = rand::rng();
        let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let number = |element: &[u8]| {
            let mut bytes = [0; 8];
            let rest = element.get(common..).unwrap_or_default();
            let length = rest.len().min(8);
            bytes[..length].copy_from_slice(&rest[..length]);
            u64::from_be_bytes(bytes)
        };
        let place = random.random_range(number(first)..=number(last).max(number(first)));
        let from = [&last[..common], &place.to_be_bytes()].concat();
        let mut steps = random.random_range(0..STEPS);
        let mut found = None;
        let mut visit = |element: &[u8], value: &[u8]| {
            found = Some((element.to_vec(), value.to_vec()));
            if steps == 0 {
                return Flow::Stop;
            }
            steps -= 1;
            Flow::Continue
        };
        self.scan(
            collection,
            &Span { family: Family::Data, from: &from, to: None, direction: Direction::Forward },
            &mut visit,
        )?;
        if found.is_none() {
            // Behind the last: as likely as the gap before the first.
            self.scan(
                collection,
                &Span::all(Family::Data, Direction::Forward),
                |element, value| {
                    found = Some((element.to_vec(), value.to_vec()));
                    Flow::Stop
                },
            )?;
        }
        Ok(found)
    }
}
