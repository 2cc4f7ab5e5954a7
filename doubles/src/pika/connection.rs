//! What a connection says about itself: AUTH, SELECT, HELLO, CLIENT.

use super::data::Data;
use super::settings::Fault;
use crate::commands::{Refused, int};
use crate::store::Bytes;
use protocol::reply::{Reply, errors};

pub(crate) fn auth(data: &Data, words: &[Bytes], out: &mut Reply<'_>) -> Result<(), Refused> {
    let Some(given) = words.last().filter(|_| words.len() <= 3) else {
        return Err(errors::WRONG_PASS.into());
    };
    let password = &data.settings.password;
    if password.is_empty() {
        return Err("ERR Client sent AUTH, but no password is set".into());
    }
    if given != password.as_bytes() && !data.has(Fault::AnyPassword) {
        return Err(errors::WRONG_PASS.into());
    }
    out.ok();
    Ok(())
}

pub(crate) fn select(database: &[u8], out: &mut Reply<'_>) -> Result<(), Refused> {
    match int(database) {
        Some(0) => {
            out.ok();
            Ok(())
        }
        Some(_) => Err("ERR invalid DB index for 'select DB index is out of range'".into()),
        None => Err("ERR invalid DB index for 'select'".into()),
    }
}

/// The same for every version.
pub(crate) fn hello(out: &mut Reply<'_>) {
    out.array(8);
    out.bulk(b"server");
    out.bulk(b"redis");
    out.bulk(b"proto");
    out.int(2);
    out.bulk(b"mode");
    out.bulk(b"classic");
    out.bulk(b"role");
    out.bulk(b"master");
}

pub(crate) fn client(subcommand: &str, out: &mut Reply<'_>) -> Result<(), Refused> {
    match subcommand {
        "setname" | "kill" => out.ok(),
        "getname" => out.bulk(b""),
        "list" => out.bulk(b"addr=127.0.0.1:40000 fd=61 idle=0\n"),
        _ => {
            let line = "ERR Syntax error, try CLIENT (LIST [order by [addr|idle]| KILL ip:port)";
            return Err(line.into());
        }
    }
    Ok(())
}
