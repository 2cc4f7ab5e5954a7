//! AUTH and HELLO.

use super::{Answer, Asks, REDIS_VERSION};
use protocol::number::parse_int;
use protocol::reply::{Reply, Version, errors};

/// `AUTH [user] password`
pub(super) fn auth(asks: &Asks<'_>, reply: &mut Reply<'_>) -> Answer {
    match asks.count() {
        2 if !asks.worker.shared.live.asks_password() => return Err(errors::NO_PASSWORD.into()),
        2 => check(asks, b"default", asks.arg(1).unwrap_or_default())?,
        3 => check(asks, asks.arg(1).unwrap_or_default(), asks.arg(2).unwrap_or_default())?,
        _ => return Err(errors::SYNTAX.into()),
    }
    reply.ok();
    Ok(())
}

pub(super) fn check(asks: &Asks<'_>, user: &[u8], said: &[u8]) -> Answer {
    let password = asks.worker.shared.live.password();
    let known = user == b"default"
        && password.as_ref().is_none_or(|password| same(password.as_bytes(), said));
    if !known {
        return Err(errors::WRONG_PASS.into());
    }
    asks.session.state.borrow_mut().authenticated = true;
    Ok(())
}

/// Takes the same time wherever the two differ.
fn same(password: &[u8], said: &[u8]) -> bool {
    let differ = password.iter().zip(said).fold(0, |differ, (a, b)| differ | (a ^ b));
    password.len() == said.len() && differ == 0
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
pub(super) fn hello(asks: &Asks<'_>, out: &mut Vec<u8>) -> Answer {
    let mut version = asks.session.version.get();
    if let Some(number) = asks.arg(1) {
        version = match parse_int(number)
            .ok_or(&b"ERR Protocol version is not an integer or out of range"[..])?
        {
            2 => Version::Resp2,
            3 => Version::Resp3,
            _ => return Err(errors::NO_PROTO.into()),
        };
    }
    let mut at = 2;
    while let Some(word) = asks.arg(at) {
        match (word.to_ascii_lowercase().as_slice(), asks.arg(at + 1), asks.arg(at + 2)) {
            (b"auth", Some(user), Some(password)) => {
                check(asks, user, password)?;
                at += 3;
            }
            (b"setname", Some(wanted), _) => {
                // At once, as Redis does, whatever is wrong behind it.
                let name = super::client::checked_name(wanted)?;
                asks.session.card.says.lock().name = name;
                at += 2;
            }
            _ => {
                let word = String::from_utf8_lossy(word);
                return Err(format!("ERR Syntax error in HELLO option '{word}'").into_bytes());
            }
        }
    }
    if !asks.session.state.borrow().authenticated {
        return Err(NO_AUTH.into());
    }
    asks.session.speak(version);
    let mut reply = Reply::new(out, version);
    reply.map(7);
    let pairs = [("server", "redis"), ("version", REDIS_VERSION)];
    for (key, value) in pairs {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.int(if version == Version::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(asks.session.id as i64);
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

const NO_AUTH: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
                       option can be used to authenticate the client and select the RESP protocol version at the same time";
