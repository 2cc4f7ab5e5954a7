//! What a node is that does not know our word LINK, by what it says of itself and which commands it has.
//!
//! Both must fit together, or the node is [`Dialect::Plain`], which is told nothing but commands. Asked: `INFO server` and `SLOTSHASHKEY`, which
//! need no state of the node; of what is no Pika and has slots also `SLOTSMGRT-ASYNC-STATUS`, which a Pika would answer only when its
//! migration thread lets it. All of them are complete: Pika dies of some that are not.

use super::answer;
use crate::dialect::Dialect;
use protocol::frame::Value;
use protocol::request::encode_request;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The Pikas whose moves are known (`docs/FOREIGN.md`).
const PIKAS: [&str; 2] = ["3.5.", "4.0."];

/// A codis-server is this Redis. Those of Codis 2 have a 2.8 and cannot move without blocking.
const CODIS_SERVER: &str = "3.2.";

/// Asks the node what it is. The error is for people.
pub(super) async fn tell(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<Dialect, String> {
    let mut out = Vec::new();
    encode_request(&mut out, &[b"INFO", b"server"]);
    encode_request(&mut out, &[b"SLOTSHASHKEY", b"a"]);
    stream.write_all(&out).await.map_err(|e| e.to_string())?;
    let (info, hashes) = (answer(stream, input).await?, answer(stream, input).await?);
    if is_loading(&hashes) {
        return Err(LOADING.to_owned());
    }
    if !has_slots(&hashes) {
        return Ok(Dialect::Plain);
    }
    let info = info.as_str().unwrap_or_default();
    if let Some(version) = line(info, "pika_version:") {
        let is_known = PIKAS.iter().any(|known| version.starts_with(known));
        return Ok(if is_known { Dialect::Pika } else { Dialect::Plain });
    }
    if line(info, "redis_version:").is_none_or(|version| !version.starts_with(CODIS_SERVER)) {
        return Ok(Dialect::Plain);
    }
    out.clear();
    encode_request(&mut out, &[b"SLOTSMGRT-ASYNC-STATUS"]);
    stream.write_all(&out).await.map_err(|e| e.to_string())?;
    let status = answer(stream, input).await?;
    if is_loading(&status) {
        return Err(LOADING.to_owned());
    }
    Ok(if status.as_error().is_none() { Dialect::CodisServer } else { Dialect::Plain })
}

/// What it is cannot be told before it has read its data.
const LOADING: &str = "the node is loading its data";

fn is_loading(answer: &Value) -> bool {
    answer.as_error().is_some_and(|line| line.starts_with("LOADING"))
}

/// One key was asked for: one number, whichever it is.
fn has_slots(hashes: &Value) -> bool {
    matches!(hashes.as_items(), Some([Value::Int(slot)]) if *slot >= 0)
}

/// What stands behind the name in an answer to INFO.
fn line<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::frame::decode;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// A node that says these things, one after the other, to whatever it is asked.
    async fn said(answers: &[&str]) -> Result<Dialect, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        let node = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut input, mut left) = (Vec::new(), answers.into_iter());
            while stream.read_buf(&mut input).await.unwrap() > 0 {
                while let Some((_, len)) = decode(&input).unwrap() {
                    input.drain(..len);
                    let Some(answer) = left.next() else { return };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let told = tell(&mut stream, &mut Vec::new()).await;
        drop(stream);
        node.await.unwrap();
        told
    }

    fn bulk(text: &str) -> String {
        format!("${}\r\n{text}\r\n", text.len())
    }

    #[tokio::test]
    async fn a_node_is_taken_for_what_both_its_name_and_its_commands_say() {
        let info = |line: &str| bulk(&format!("# Server\r\n{line}\r\nos:Linux\r\n"));
        let (slot, none) = ("*1\r\n:579\r\n", "-ERR unknown command 'SLOTSHASHKEY'\r\n");
        for (line, hashes, status, dialect) in [
            ("pika_version:4.0.0", slot, "", Dialect::Pika),
            ("pika_version:3.5.5", slot, "", Dialect::Pika),
            ("pika_version:5.0.0", slot, "", Dialect::Plain),
            ("pika_version:3.3.6", none, "", Dialect::Plain),
            ("redis_version:3.2.11", slot, "*-1\r\n", Dialect::CodisServer),
            ("redis_version:3.2.9", slot, "-ERR unknown command\r\n", Dialect::Plain),
            ("redis_version:3.2.11", none, "", Dialect::Plain),
            ("redis_version:2.8.21", slot, "", Dialect::Plain),
            ("redis_version:7.0.15", none, "", Dialect::Plain),
            ("redis_version:7.0.15", slot, "", Dialect::Plain),
            ("valkey_version:8.0.1", slot, "", Dialect::Plain),
            ("redis_mode:standalone", slot, "", Dialect::Plain),
            ("executable:/opt/pika_version:4.0.1/pika", slot, "", Dialect::Plain),
        ] {
            let told = said(&[&info(line), hashes, status]).await;
            assert_eq!(told, Ok(dialect), "{line} {hashes} {status}");
        }
    }

    #[tokio::test]
    async fn a_node_that_may_not_be_asked_is_plain() {
        let refused = "-NOPERM this user has no permissions to run the 'info' command\r\n";
        assert_eq!(said(&[refused, "*1\r\n:579\r\n"]).await, Ok(Dialect::Plain));
    }

    #[tokio::test]
    async fn a_node_that_loads_its_data_is_asked_again_later() {
        let loading = "-LOADING Redis is loading the dataset in memory\r\n";
        let info = bulk("# Server\r\nredis_version:3.2.11\r\n");
        assert!(said(&[&info, loading]).await.is_err());
        assert!(said(&[&info, "*1\r\n:579\r\n", loading]).await.is_err());
    }
}
