//! The commands of Codis: what each line allows, what it does with them, and what we do.
//!
//! Redis' side of a command (arity, keys, flags) is in `protocol::command`; here is only what Codis adds or takes away.

mod decision;
mod lists;
mod mapping;
mod page;
mod table;
pub mod texts;

pub use decision::{Decision, decision, decisions, is_forwarded};
pub use lists::CommandLists;
pub use mapping::{slots_mapping, slots_mapping_all};
pub use page::page;
pub use table::{CodisCommand, Grade, Treatment, key_index, lookup, table, treatment};
