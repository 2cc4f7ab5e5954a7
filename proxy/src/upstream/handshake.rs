//! The first words on a connection to a node: password, who we are, protocol version, database; and what the node is.

mod kind;

use crate::config::{Config, Nodes};
use crate::dialect::Dialect;
use crate::metrics::Connect;
use protocol::frame::{Value, decode};
use protocol::reply::Version;
use protocol::request::encode_request;
use socket2::{SockRef, TcpKeepalive};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Protocol version and database of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flavour {
    pub(crate) version: Version,
    pub(crate) database: u32,
}

/// The pause between two signs of life of an idle connection, and how many may be missed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_RETRIES: u32 = 3;

/// The longest answer to a handshake.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Connects and introduces us; tells what the node is. The error is for people.
pub(crate) async fn connect(
    config: &Config,
    addr: &str,
    flavour: Flavour,
) -> Result<(TcpStream, Dialect), (Connect, String)> {
    let patience = config.upstream.connect_timeout;
    let late = || (Connect::Timeout, format!("no answer within {} ms", patience.as_millis()));
    timeout(patience, introduce(config, addr, flavour)).await.unwrap_or_else(|_| Err(late()))
}

async fn introduce(
    config: &Config,
    addr: &str,
    flavour: Flavour,
) -> Result<(TcpStream, Dialect), (Connect, String)> {
    let refused = |e: std::io::Error| (Connect::Refused, e.to_string());
    let mut stream = TcpStream::connect(addr).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    // A machine that is gone says nothing; a command that blocks would wait for it for ever.
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE)
        .with_interval(KEEP_ALIVE)
        .with_retries(KEEP_ALIVE_RETRIES);
    SockRef::from(&stream).set_tcp_keepalive(&keep_alive).map_err(refused)?;
    let words = words(config, flavour);
    let mut out = Vec::new();
    for (_, line) in &words {
        let line: Vec<&[u8]> = line.iter().map(String::as_bytes).collect();
        encode_request(&mut out, &line);
    }
    stream.write_all(&out).await.map_err(refused)?;
    let mut input = Vec::new();
    let failed = |why: String| (Connect::Handshake, why);
    let mut said = Said::Nothing;
    for (word, _) in &words {
        let answer = answer(&mut stream, &mut input).await.map_err(failed)?;
        match judge(config, *word, &answer).map_err(failed)? {
            Said::Nothing => {}
            news => said = news,
        }
    }
    let dialect = match said {
        Said::Nothing => Dialect::Plain,
        Said::Ours => Dialect::Slipway,
        Said::Stranger => kind::tell(&mut stream, &mut input).await.map_err(failed)?,
    };
    Ok((stream, dialect))
}

/// What an answer says of what the node is.
enum Said {
    Nothing,
    Ours,
    /// It does not know our words.
    Stranger,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Link,
    /// Anything that must be answered without an error.
    Other,
}

fn words(config: &Config, flavour: Flavour) -> Vec<(Word, Vec<String>)> {
    let line = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
    let mut words = Vec::new();
    if let Some(password) = &config.node_password {
        words.push((Word::Other, line(&["AUTH", password])));
    }
    if config.nodes != Nodes::Foreign {
        let cluster = config.cluster.as_deref().unwrap_or("-");
        let slots = config.slot_count.get().to_string();
        words
            .push((Word::Link, line(&["SLIPWAY", "LINK", "proxy", &config.name, cluster, &slots])));
    }
    if flavour.version == Version::Resp3 {
        words.push((Word::Other, line(&["HELLO", "3"])));
    }
    if flavour.database != 0 {
        words.push((Word::Other, line(&["SELECT", &flavour.database.to_string()])));
    }
    words
}

async fn answer(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<Value, String> {
    loop {
        if let Some((value, len)) = decode(input).map_err(|e| e.to_string())? {
            input.drain(..len);
            return Ok(value);
        }
        if input.len() > ANSWER_BYTES_MAX {
            return Err("the node's answer to the handshake is too long".to_owned());
        }
        match stream.read_buf(input).await {
            Ok(0) => return Err("the node closed the connection in the handshake".to_owned()),
            Ok(_) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// A node of another cluster, or with another number of slots, must not be used. The answer to LINK tells what the node is.
fn judge(config: &Config, word: Word, answer: &Value) -> Result<Said, String> {
    if let Some(line) = answer.as_error() {
        // Redis, codis-server and Pika say so each in their way.
        let is_unknown = line.to_ascii_lowercase().contains("unknown command");
        let may_be_strange = config.codis.is_some() || config.nodes == Nodes::Mixed;
        if word == Word::Link && may_be_strange && is_unknown {
            return Ok(Said::Stranger);
        }
        return Err(line.to_owned());
    }
    if word == Word::Other {
        return Ok(Said::Nothing);
    }
    let items = answer.as_items().ok_or("the node's answer to LINK is no array")?;
    let ours = i64::from(config.slot_count.get());
    match items.get(3).and_then(Value::as_int) {
        Some(theirs) if theirs == ours => {}
        theirs => {
            return Err(format!(
                "slot count differs: the node has {}, we have {ours}",
                theirs.unwrap_or(0)
            ));
        }
    }
    let theirs = items.get(2).and_then(Value::as_str).unwrap_or("-");
    match &config.cluster {
        Some(ours) if theirs != "-" && !theirs.is_empty() && theirs != ours => {
            Err(format!("the node belongs to cluster {theirs}, we to {ours}"))
        }
        _ => Ok(Said::Ours),
    }
}
