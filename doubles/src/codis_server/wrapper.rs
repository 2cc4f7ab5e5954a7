//! SLOTSMGRT-EXEC-WRAPPER (`codis-contract.md` §4.2).

use super::State;
use crate::commands::{self, Call, Flavour};
use crate::store::Bytes;
use protocol::reply::{Reply, Version};

/// SLOTSMGRT-EXEC-WRAPPER key command …: 0, the key is not here; 1, it is on its way and the command writes; 2 and the command's own reply;
/// −1, the command is malformed. Only the one key is looked at (wrong result E2).
pub(crate) fn answer(state: &mut State, database: i64, words: &[Bytes], out: &mut Vec<u8>) {
    let (key, command) = (&words[1], &words[2..]);
    let given = String::from_utf8_lossy(&command[0]).into_owned();
    let held = state.batches.get(&database).is_some_and(|batch| batch.holds(key));
    let there = state.store(database).has(key);
    let row = commands::lookup(&given.to_lowercase());
    let (code, line) = match row {
        None => (-1, format!("ERR invalid command specified ({given})")),
        Some(row) if !row.fits(command.len()) => {
            (-1, format!("ERR wrong number of arguments for command ({given})"))
        }
        Some(_) if !there => (0, "ERR the specified key doesn't exist".to_owned()),
        Some(row) if row.writes() && held => {
            (1, "ERR the specified key is being migrated".to_owned())
        }
        Some(row) => {
            out.extend_from_slice(b"*2\r\n:2\r\n");
            let call = Call { words: command, flavour: Flavour::Redis };
            let reply = &mut Reply::new(out, Version::Resp2);
            let _ = commands::run(row, state.store(database), call, reply);
            return;
        }
    };
    let reply = &mut Reply::new(out, Version::Resp2);
    reply.array(2);
    reply.int(code);
    reply.error(line);
}
