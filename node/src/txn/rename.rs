//! A key under another name.

use super::{Direction, Flow, Span, Txn};
use crate::encoding::Kind;
use crate::engine::Family;
use crate::error::CommandError;

impl Txn<'_> {
    /// Gives the value of `from`, with its expiry, to `to`, whatever that was. `from` is there and is not `to`.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), CommandError> {
        let Some(meta) = self.meta(from)? else { return Ok(()) };
        if meta.kind == Kind::String {
            let value = self.any_string(from)?.map(<[u8]>::to_vec).unwrap_or_default();
            let old = self.meta(to)?;
            self.set_string(to, old.as_ref(), &value, meta.expire_ms)?;
        } else if let Some(source) = self.open(from, meta.kind)? {
            let mut target = self.replace(to, meta.kind)?;
            for family in [Family::Data, Family::Score] {
                if family == Family::Score && meta.kind != Kind::SortedSet {
                    continue;
                }
                let mut records = Vec::with_capacity(meta.count as usize);
                self.scan(&source, &Span::all(family, Direction::Forward), |element, value| {
                    records.push((element.to_vec(), value.to_vec()));
                    Flow::Continue
                })?;
                for (element, value) in records {
                    self.put_record(&target, family, &element, &value)?;
                }
            }
            target.meta = crate::encoding::Meta { version: target.meta.version, ..meta };
            self.save(&mut target)?;
        }
        self.delete_key(from)?;
        Ok(())
    }
}
