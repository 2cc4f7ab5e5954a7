//! The target's side: SLOTSRESTORE, and SLOTSRESTORE-ASYNC with its acknowledgements.

use super::payload::{self, Bad};
use crate::commands::{Refused, int};
use crate::store::{Bytes, Hash, List, Set, Shape, Store, Value, Zset};
use protocol::reply::{Reply, errors};
use protocol::request::encode_request;

/// SLOTSRESTORE key ttl payload …: replaces.
pub(crate) fn restore(
    store: &mut Store,
    words: &[Bytes],
    out: &mut Reply<'_>,
) -> Result<(), Refused> {
    if words.len() % 3 != 1 {
        return Err(errors::arity("slotsrestore").into());
    }
    let mut values = Vec::new();
    for triple in words[1..].chunks_exact(3) {
        let ttl = int(&triple[1]).ok_or(Refused::from(errors::NOT_INTEGER))?;
        if ttl < 0 {
            return Err("ERR invalid ttl value, must be >= 0".into());
        }
        let value = payload::decode(&triple[2]).map_err(|bad| match bad {
            Bad::Checksum => "ERR dump payload version or checksum are wrong",
            Bad::Body => "ERR bad data format",
        })?;
        values.push((&triple[0], ttl, value));
    }
    for (key, ttl, value) in values {
        let ends = (ttl > 0).then(|| store.now_ms + ttl);
        store.remove(key);
        store.put_until(key, value, ends);
    }
    out.ok();
    Ok(())
}

/// An acknowledgement, which is a request to the source.
pub(crate) fn acknowledge(code: i64, text: &str, out: &mut Vec<u8>) {
    encode_request(out, &[b"SLOTSRESTORE-ASYNC-ACK", code.to_string().as_bytes(), text.as_bytes()]);
}

/// SLOTSRESTORE-ASYNC: the text of its acknowledgement; an error is one with code −1, and closes the connection.
pub(crate) fn restore_async(store: &mut Store, words: &[Bytes]) -> Result<String, String> {
    let text = |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).into_owned());
    let name = text(1).unwrap_or_default().to_lowercase();
    let misfit = || {
        Err(format!(
            "wrong number of arguments (argc={},cmd={})",
            words.len(),
            text(1).unwrap_or_default()
        ))
    };
    if words.len() < 3 || words.len() < 4 && name != "delete" {
        return misfit();
    }
    let key = &words[2];
    if name == "delete" {
        return Ok(i64::from(store.remove(key)).to_string());
    }
    let ttl = int(&words[3]).filter(|ttl| *ttl >= 0);
    let Some(ttl) = ttl else {
        return Err(format!("invalid TTL value (TTL={})", text(3).unwrap_or_default()));
    };
    let there = store.has(key);
    let shown = String::from_utf8_lossy(key).into_owned();
    let answer = match (name.as_str(), words.len()) {
        ("expire", 4) if there => "1".to_owned(),
        ("expire", 4) => return Err(format!("the specified key doesn't exist ({shown})")),
        ("string" | "object", 5) if there => {
            return Err(format!("the specified key already exists ({shown})"));
        }
        ("string", 5) => {
            store.put(key, Value::Text(words[4].clone()));
            "1".to_owned()
        }
        ("object", 5) => {
            let value = payload::decode(&words[4]).map_err(|bad| match bad {
                Bad::Checksum => "invalid payload checksum".to_owned(),
                Bad::Body => "invalid payload body".to_owned(),
            })?;
            store.put(key, value);
            "1".to_owned()
        }
        ("expire" | "string" | "object", _) | (_, 4) => return misfit(),
        _ => piece(store, &name, words)?,
    };
    store.end_at(key, (ttl > 0).then(|| store.now_ms + ttl));
    Ok(answer)
}

/// `list`, `hash`, `dict`, `zset`: key ttl hint elements …; how many elements there are now.
fn piece(store: &mut Store, name: &str, words: &[Bytes]) -> Result<String, String> {
    if int(&words[4]).is_none_or(|hint| hint < 0) {
        return Err(format!("invalid Hint value (Hint={})", String::from_utf8_lossy(&words[4])));
    }
    let (key, elements) = (&words[2], &words[5..]);
    if elements.is_empty() && !store.has(key) {
        return Err(format!("the specified key doesn't exist ({})", String::from_utf8_lossy(key)));
    }
    if matches!(name, "hash" | "zset") && elements.len() % 2 == 1 {
        return Err(format!("wrong number of arguments (argc={},cmd={name})", words.len()));
    }
    let len = match name {
        "list" => {
            let list = made::<List>(store, key)?;
            list.extend(elements.iter().cloned());
            list.len()
        }
        "hash" => {
            let hash = made::<Hash>(store, key)?;
            hash.extend(elements.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())));
            hash.len()
        }
        "dict" => {
            let set = made::<Set>(store, key)?;
            set.extend(elements.iter().cloned());
            set.len()
        }
        "zset" => {
            let scores = elements.chunks_exact(2).enumerate().map(|(at, pair)| {
                let bits: Option<[u8; 8]> = pair[1].as_slice().try_into().ok();
                let bits = bits.ok_or(format!("invalid zset score ([{at}]), bad raw bits"))?;
                Ok((&pair[0], f64::from_bits(u64::from_le_bytes(bits))))
            });
            let scores = scores.collect::<Result<Vec<_>, String>>()?;
            let zset = made::<Zset>(store, key)?;
            for (member, score) in scores {
                zset.set(member, score);
            }
            zset.len()
        }
        _ => return Err(format!("unknown command (argc={},cmd={name})", words.len())),
    };
    Ok(len.to_string())
}

fn made<'a, T: Shape>(store: &'a mut Store, key: &[u8]) -> Result<&'a mut T, String> {
    // The real one prints numbers of type and encoding.
    store.make::<T>(key).map_err(|_| "wrong type".to_owned())
}
