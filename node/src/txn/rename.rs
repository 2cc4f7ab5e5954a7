//! A key under another name, or twice.

use super::{Direction, Flow, Span, Txn};
use crate::encoding::{Kind, Meta};
use crate::engine::Family;
use crate::error::CommandError;

impl Txn<'_> {
    /// Gives the value of `from`, with its expiry, to `to`, whatever that was. `from` is there and is not `to`.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), CommandError> {
        self.copy(from, to, self.db)?;
        self.delete_key(from)?;
        Ok(())
    }

    /// Makes `to` in database `db` what `from` is here, expiry included, whatever it was. It is not `from` itself.
    pub fn copy(&mut self, from: &[u8], to: &[u8], db: u8) -> Result<(), CommandError> {
        let here = self.db;
        let copied = self.copy_between(from, to, (here, db));
        self.db = here;
        copied
    }

    fn copy_between(
        &mut self,
        from: &[u8],
        to: &[u8],
        (here, there): (u8, u8),
    ) -> Result<(), CommandError> {
        let Some(meta) = self.meta(from)? else { return Ok(()) };
        if meta.kind == Kind::String {
            let value = self.any_string(from)?.map(<[u8]>::to_vec).unwrap_or_default();
            self.db = there;
            let old = self.meta(to)?;
            return self.set_string(to, old.as_ref(), &value, meta.expire_ms);
        }
        let Some(source) = self.open(from, meta.kind)? else { return Ok(()) };
        self.db = there;
        let mut target = self.replace(to, meta.kind)?;
        for family in [Family::Data, Family::Score] {
            if family == Family::Score && meta.kind != Kind::SortedSet {
                continue;
            }
            let mut records = Vec::with_capacity(meta.count as usize);
            self.db = here;
            self.scan(&source, &Span::all(family, Direction::Forward), |element, value| {
                records.push((element.to_vec(), value.to_vec()));
                Flow::Continue
            })?;
            self.db = there;
            for (element, value) in records {
                self.put_record(&target, family, &element, &value)?;
            }
        }
        target.meta = Meta { version: target.meta.version, ..meta };
        self.save(&mut target)
    }
}
