//! One life of a hash, list, set or sorted set within a transaction.

use super::{Direction, Flow, Span, Txn};
use crate::encoding::{Kind, Meta, life_key, score_bytes, successor};
use crate::engine::Family;
use crate::error::{CommandError, line};

/// A deleted collection of up to so many elements is deleted record by record; a larger one by range, which is one record, but every later
/// read near it has to look past.
const DELETED_ONE_BY_ONE: u64 = 64;

/// A collection, with its meta record as the command changes it. [`Txn::save`] keeps the changes of the meta record.
#[derive(Debug)]
pub struct Collection<'k> {
    pub key: &'k [u8],
    pub meta: Meta,
    pub(super) part: usize,
    /// The meta record as it is on disk.
    saved: Option<Meta>,
}

impl Txn<'_> {
    /// The collection with this key, if the key is there. A key of another kind is an error.
    pub fn open<'k>(
        &mut self,
        key: &'k [u8],
        kind: Kind,
    ) -> Result<Option<Collection<'k>>, CommandError> {
        let part = self.part(key)?;
        let Some(meta) = self.meta_of(part, key)? else { return Ok(None) };
        if meta.kind != kind {
            return Err(line::WRONG_TYPE.into());
        }
        Ok(Some(Collection { key, meta, part, saved: Some(meta) }))
    }

    /// The collection with this key, or a new one without elements.
    pub fn open_or_new<'k>(
        &mut self,
        key: &'k [u8],
        kind: Kind,
    ) -> Result<Collection<'k>, CommandError> {
        match self.open(key, kind)? {
            Some(collection) => Ok(collection),
            None => self.new_collection(key, kind),
        }
    }

    /// A new collection in the place of whatever the key was.
    pub fn replace<'k>(
        &mut self,
        key: &'k [u8],
        kind: Kind,
    ) -> Result<Collection<'k>, CommandError> {
        self.delete_key(key)?;
        self.new_collection(key, kind)
    }

    fn new_collection<'k>(
        &mut self,
        key: &'k [u8],
        kind: Kind,
    ) -> Result<Collection<'k>, CommandError> {
        let part = self.part(key)?;
        let meta = Meta::new(kind, self.new_version()?);
        Ok(Collection { key, meta, part, saved: None })
    }

    /// Keeps the collection's meta record; a collection without elements is no more.
    pub fn save(&mut self, collection: &mut Collection<'_>) -> Result<(), CommandError> {
        let Collection { meta, saved, .. } = *collection;
        let is_as_before = saved == Some(meta) || (saved.is_none() && meta.count == 0);
        if is_as_before { Ok(()) } else { self.save_anyway(collection) }
    }

    /// As [`Self::save`], but writes a collection that is as before too: for commands after which WATCH sees a change in any case.
    pub fn save_anyway(&mut self, collection: &mut Collection<'_>) -> Result<(), CommandError> {
        let Collection { key, meta, part, saved } = *collection;
        let there = (meta.count > 0, meta.count > 0 && meta.expire_ms != 0);
        self.touch(part, key);
        if meta.count == 0 {
            self.delete_meta(part, key)?;
        } else {
            let mut record = std::mem::take(&mut self.scratch.encoded);
            meta.encode(&mut record);
            let put = self.put_meta(part, key, &record);
            self.scratch.encoded = record;
            put?;
        }
        let had = saved.map_or((false, false), |saved| (true, saved.expire_ms != 0));
        self.count_change(part, had, there);
        collection.saved = (meta.count > 0).then_some(meta);
        Ok(())
    }

    /// Runs `run` with the key of an element's record.
    fn with_name<R>(
        &mut self,
        collection: &Collection<'_>,
        element: &[&[u8]],
        run: impl FnOnce(&mut Self, &[u8]) -> Result<R, CommandError>,
    ) -> Result<R, CommandError> {
        let mut name = std::mem::take(&mut self.scratch.key);
        life_key(
            &mut name,
            self.parts[collection.part].prefix,
            self.db,
            collection.key,
            collection.meta.version,
        );
        element.iter().for_each(|piece| name.extend_from_slice(piece));
        let result = run(self, &name);
        self.scratch.key = name;
        result
    }

    /// The value of an element: a hash's field, a list's index, a sorted set's member.
    pub fn element(
        &mut self,
        collection: &Collection<'_>,
        element: &[u8],
    ) -> Result<Option<&[u8]>, CommandError> {
        let name = &mut self.scratch.key;
        life_key(
            name,
            self.parts[collection.part].prefix,
            self.db,
            collection.key,
            collection.meta.version,
        );
        name.extend_from_slice(element);
        self.get_named(collection.part, Family::Data, &[])
    }

    /// Whether the element is there.
    pub fn has_element(
        &mut self,
        collection: &Collection<'_>,
        element: &[u8],
    ) -> Result<bool, CommandError> {
        Ok(self.element(collection, element)?.is_some())
    }

    /// Puts an element. The count is the caller's.
    pub fn put_element(
        &mut self,
        collection: &Collection<'_>,
        element: &[u8],
        value: &[u8],
    ) -> Result<(), CommandError> {
        self.touch(collection.part, collection.key);
        self.with_name(collection, &[element], |txn, name| {
            txn.put(collection.part, Family::Data, name, value)
        })
    }

    /// Puts any record of a collection, by the rest of its key.
    pub(super) fn put_record(
        &mut self,
        collection: &Collection<'_>,
        family: Family,
        rest: &[u8],
        value: &[u8],
    ) -> Result<(), CommandError> {
        self.touch(collection.part, collection.key);
        self.with_name(collection, &[rest], |txn, name| {
            txn.put(collection.part, family, name, value)
        })
    }

    /// Deletes an element. The count is the caller's.
    pub fn delete_element(
        &mut self,
        collection: &Collection<'_>,
        element: &[u8],
    ) -> Result<(), CommandError> {
        self.touch(collection.part, collection.key);
        self.with_name(collection, &[element], |txn, name| {
            txn.delete(collection.part, Family::Data, name)
        })
    }

    /// Deletes the `count` elements from `from` on, before `to`. The collection's count is the caller's.
    pub fn delete_elements(
        &mut self,
        collection: &Collection<'_>,
        from: &[u8],
        to: &[u8],
        count: u64,
    ) -> Result<(), CommandError> {
        self.touch(collection.part, collection.key);
        if count > DELETED_ONE_BY_ONE {
            let mut life = Vec::new();
            life_key(
                &mut life,
                self.parts[collection.part].prefix,
                self.db,
                collection.key,
                collection.meta.version,
            );
            let (begin, end) = ([&life, from].concat(), [&life, to].concat());
            return self.delete_range(collection.part, Family::Data, &begin, &end);
        }
        let mut elements = Vec::with_capacity(count as usize);
        if count == 1 {
            elements.push(from.to_vec());
        } else if count > 1 {
            let span =
                Span { family: Family::Data, from, to: Some(to), direction: Direction::Forward };
            self.scan(collection, &span, |element, _| {
                elements.push(element.to_vec());
                Flow::Continue
            })?;
        }
        elements.iter().try_for_each(|element| self.delete_element(collection, element))
    }

    /// Puts a member into a sorted set's order.
    pub fn put_score(
        &mut self,
        collection: &Collection<'_>,
        score: f64,
        member: &[u8],
    ) -> Result<(), CommandError> {
        self.touch(collection.part, collection.key);
        let score = score_bytes(score);
        self.with_name(collection, &[&score, member], |txn, name| {
            txn.put(collection.part, Family::Score, name, b"")
        })
    }

    /// Takes a member out of a sorted set's order.
    pub fn delete_score(
        &mut self,
        collection: &Collection<'_>,
        score: f64,
        member: &[u8],
    ) -> Result<(), CommandError> {
        self.touch(collection.part, collection.key);
        let score = score_bytes(score);
        self.with_name(collection, &[&score, member], |txn, name| {
            txn.delete(collection.part, Family::Score, name)
        })
    }

    /// Deletes the records of a collection, not its meta record.
    pub(super) fn remove_records(
        &mut self,
        part: usize,
        key: &[u8],
        meta: &Meta,
    ) -> Result<(), CommandError> {
        let collection = Collection { key, meta: *meta, part, saved: None };
        if meta.count > DELETED_ONE_BY_ONE {
            let mut begin = Vec::new();
            life_key(&mut begin, self.parts[part].prefix, self.db, key, meta.version);
            let end = successor(&begin);
            self.delete_range(part, Family::Data, &begin, &end)?;
            if meta.kind == Kind::SortedSet {
                self.delete_range(part, Family::Score, &begin, &end)?;
            }
            return Ok(());
        }
        let mut elements = Vec::with_capacity(meta.count as usize);
        self.scan(&collection, &Span::all(Family::Data, Direction::Forward), |element, value| {
            elements.push((element.to_vec(), value.to_vec()));
            Flow::Continue
        })?;
        for (element, value) in elements {
            self.delete_element(&collection, &element)?;
            if let (Kind::SortedSet, Ok(score)) = (meta.kind, value.as_slice().try_into()) {
                let score = f64::from_bits(u64::from_be_bytes(score));
                self.delete_score(&collection, score, &element)?;
            }
        }
        Ok(())
    }

    /// Deletes all elements of a collection, which then has none.
    pub fn clear(&mut self, collection: &mut Collection<'_>) -> Result<(), CommandError> {
        self.remove_records(collection.part, collection.key, &collection.meta)?;
        collection.meta.count = 0;
        Ok(())
    }
}
