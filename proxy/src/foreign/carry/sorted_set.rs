//! Sorted sets with scores that six decimals do not hold. Pika keeps them exactly and shows them with 17 digits; it only sends them rounded.

use super::{Ends, Trouble, done, left_ms};
use crate::foreign::examine::{Refusal, rounded, shown};
use crate::foreign::link::{Link, LinkError};
use protocol::frame::Value;

/// The letter of the type in a slot's list.
pub(super) const LETTER: u8 = b'z';

/// Members of one question, and of one ZADD.
const MEMBERS_A_PAGE: usize = 1024;

/// What a member costs beside its bytes, in bytes: its score, and what is sent around both.
const MEMBER_COST: u64 = 64;

/// A member and its score, as the node shows it.
type Member = (Vec<u8>, Vec<u8>);

/// What a sorted set is.
pub(super) enum Look {
    /// Pika can send it.
    Exact,
    Inexact {
        bytes: u64,
    },
    /// It has infinite scores beside inexact ones. With -inf Pika shows members of other sets.
    Infinite(Refusal),
}

/// Looks at all of its scores.
pub(super) async fn look(source: &mut Link, key: &[u8]) -> Result<Look, LinkError> {
    let (mut bytes, mut inexact, mut has_infinite, mut from) = (0, None, false, 0);
    let last_page = loop {
        let page = page(source, key, from).await?;
        for (member, score) in &page {
            bytes += member.len() as u64 + MEMBER_COST;
            let text = String::from_utf8_lossy(score);
            has_infinite |= text.parse().is_ok_and(|score: f64| score.is_infinite());
            if inexact.is_none()
                && let Some(rounded) = rounded(&text)
            {
                let (key, member, score) = (shown(key), shown(member), text.into_owned());
                inexact = Some(Refusal::Score { key, member, score, rounded });
            }
        }
        if page.len() < MEMBERS_A_PAGE {
            break page.len();
        }
        from += page.len();
    };
    let members = (from + last_page) as u64;
    if inexact.is_some() {
        // A member with -inf is in no range of scores.
        let all = count(source, key).await?;
        has_infinite |= all != Some(members);
    }
    Ok(match inexact {
        None => Look::Exact,
        Some(refusal) if has_infinite => Look::Infinite(refusal),
        Some(_) => Look::Inexact { bytes },
    })
}

/// Puts it at the target, in place of what is there.
pub(super) async fn copy(ends: &mut Ends<'_>, key: &[u8]) -> Result<(), Trouble> {
    let node = ends.moved.target;
    done(node, "DEL", &ends.target.ask(&[b"DEL", key]).await?)?;
    let mut from = 0;
    loop {
        let page = page(&mut ends.source, key, from).await?;
        if !page.is_empty() {
            let mut words: Vec<&[u8]> = vec![b"ZADD", key];
            words.extend(page.iter().flat_map(|(member, score)| [&score[..], &member[..]]));
            done(node, "ZADD", &ends.target.ask(&words).await?)?;
        }
        if page.len() < MEMBERS_A_PAGE {
            break;
        }
        from += page.len();
    }
    if let Some(left_ms) = left_ms(&mut ends.source, key).await? {
        let seconds = left_ms.div_ceil(1000).max(1).to_string();
        done(node, "EXPIRE", &ends.target.ask(&[b"EXPIRE", key, seconds.as_bytes()]).await?)?;
    }
    Ok(())
}

/// Whether both sides have the same members with the same scores, to the last bit, and both an end of life or none.
pub(super) async fn is_equal(ends: &mut Ends<'_>, key: &[u8]) -> Result<bool, Trouble> {
    let mut from = 0;
    loop {
        let here = page(&mut ends.source, key, from).await?;
        let there = page(&mut ends.target, key, from).await?;
        let same = |(one, two): (&Member, &Member)| one.0 == two.0 && bits(&one.1) == bits(&two.1);
        if here.len() != there.len() || !here.iter().zip(&there).all(same) {
            return Ok(false);
        }
        if here.len() < MEMBERS_A_PAGE {
            break;
        }
        from += here.len();
    }
    let ends_here = left_ms(&mut ends.source, key).await?.is_some();
    Ok(ends_here == left_ms(&mut ends.target, key).await?.is_some())
}

fn bits(score: &[u8]) -> Option<u64> {
    let score: f64 = std::str::from_utf8(score).ok()?.parse().ok()?;
    // Minus zero is zero.
    Some((score + 0.0).to_bits())
}

/// Members from a rank on, lowest first. Not by ZRANGE, which Pika answers from a read cache that is not told of every write.
async fn page(link: &mut Link, key: &[u8], from: usize) -> Result<Vec<Member>, LinkError> {
    let (from, count) = (from.to_string(), MEMBERS_A_PAGE.to_string());
    let (from, count) = (from.as_bytes(), count.as_bytes());
    let range: [&[u8]; 5] = [b"ZRANGEBYSCORE", key, b"-inf", b"+inf", b"WITHSCORES"];
    let answer = link.ask(&[&range[..], &[b"LIMIT", from, count]].concat()).await?;
    // What is listed as a sorted set may be something else by now.
    let texts: Vec<&[u8]> =
        answer.as_items().unwrap_or_default().iter().filter_map(Value::as_bytes).collect();
    Ok(texts.chunks_exact(2).map(|pair| (pair[0].to_vec(), pair[1].to_vec())).collect())
}

/// How many members there are, past the read cache.
async fn count(link: &mut Link, key: &[u8]) -> Result<Option<u64>, LinkError> {
    let count = link.ask(&[b"ZLEXCOUNT", key, b"-", b"+"]).await?.as_int();
    Ok(count.and_then(|count| u64::try_from(count).ok()))
}
