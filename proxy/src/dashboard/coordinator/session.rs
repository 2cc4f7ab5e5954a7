//! A session with one ZooKeeper server: one connection, one exchange at a time.
//!
//! A session that loses its connection is given up: whoever held a node by it registers again, and replaces the node in one step. So nothing is
//! kept across connections, and nothing runs in the background: a session lives as long as somebody asks or [`Session::changed`] is polled.

use super::jute::{Reader, Writer, code, meaning, op};
use super::{CALL_TIME, CoordinatorError};
use bytes::{Buf, BytesMut};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// A server's answer; ZooKeeper itself allows a mebibyte (`jute.maxbuffer`).
const FRAME_BYTES_MAX: usize = 4 << 20;

const XID_EVENT: i32 = -1;
const XID_PING: i32 = -2;
const XID_AUTH: i32 = -4;

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    address: String,
    stream: TcpStream,
    input: BytesMut,
    /// What is still to be sent of a ping that was dropped half-way.
    output: BytesMut,
    id: i64,
    /// After so long without a word from us the server ends the session.
    timeout: Duration,
    xid: i32,
    heard: Instant,
    pinged: Instant,
    /// A node that is watched has changed.
    has_changed: bool,
}

impl Session {
    /// Opens a session and says the secret.
    pub(super) async fn open(
        address: &str,
        auth: Option<&str>,
        time: Duration,
    ) -> Result<Self, CoordinatorError> {
        let opened = timeout(CALL_TIME, Self::begin(address, auth, time)).await;
        opened.unwrap_or_else(|_| Err(silent(address)))
    }

    async fn begin(
        address: &str,
        auth: Option<&str>,
        time: Duration,
    ) -> Result<Self, CoordinatorError> {
        let failed = |error: std::io::Error| {
            CoordinatorError::Unavailable(format!("zookeeper at {address}: {error}"))
        };
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let now = Instant::now();
        let mut session = Self {
            address: address.to_owned(),
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            id: 0,
            timeout: time,
            xid: 0,
            heard: now,
            pinged: now,
            has_changed: false,
        };
        let wanted = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let hello =
            Writer::default().int(0).long(0).int(wanted).long(0).bytes(&[0; 16]).flag(false);
        session.send(&hello.0).await?;
        let frame = session.frame().await?;
        let mut reader = Reader::new(&frame);
        let (_, granted, id) = (reader.int(), reader.int(), reader.long());
        if !reader.is_whole() || granted <= 0 {
            return Err(session.error("it grants no session"));
        }
        session.id = id;
        session.timeout = Duration::from_millis(u64::from(granted.unsigned_abs()));
        if let Some(auth) = auth {
            let record = Writer::default().int(0).text("digest").text(auth);
            session.ask(XID_AUTH, op::AUTH, record).await?.map_err(|code| session.refused(code))?;
        }
        Ok(session)
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// One operation; the inner error is the server's.
    pub(super) async fn call(
        &mut self,
        operation: i32,
        record: Writer,
    ) -> Result<Result<Vec<u8>, i32>, CoordinatorError> {
        self.xid = self.xid.wrapping_add(1).max(1);
        let asked = timeout(CALL_TIME, self.ask(self.xid, operation, record)).await;
        asked.unwrap_or_else(|_| Err(silent(&self.address)))
    }

    async fn ask(
        &mut self,
        xid: i32,
        operation: i32,
        record: Writer,
    ) -> Result<Result<Vec<u8>, i32>, CoordinatorError> {
        let mut request = Writer::default().int(xid).int(operation);
        request.0.extend_from_slice(&record.0);
        self.send(&request.0).await?;
        loop {
            let frame = self.frame().await?;
            if let Some((answered, code, body)) = self.understand(&frame)?
                && answered == xid
            {
                return Ok(if code == 0 { Ok(body) } else { Err(code) });
            }
        }
    }

    /// Ends the session, and with it its nodes.
    pub(super) async fn close(mut self) -> Result<(), CoordinatorError> {
        self.call(op::CLOSE, Writer::default()).await?.map(drop).map_err(|code| self.refused(code))
    }

    /// Keeps the session alive until a node that is watched changes, or the session is lost.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn changed(&mut self) -> Result<(), CoordinatorError> {
        loop {
            if std::mem::take(&mut self.has_changed) {
                return Ok(());
            }
            self.flush().await?;
            let lost = self.heard + self.timeout * 2 / 3;
            let ping = self.pinged + self.timeout / 3;
            match timeout_at(lost.min(ping), self.frame()).await {
                Ok(frame) => _ = self.understand(&frame?)?,
                Err(_) if Instant::now() >= lost => return Err(silent(&self.address)),
                Err(_) => {
                    self.pinged = Instant::now();
                    self.put(&Writer::default().int(XID_PING).int(op::PING).0);
                }
            }
        }
    }

    /// Notes events; of an answer its number, its error and its body.
    fn understand(
        &mut self,
        frame: &[u8],
    ) -> Result<Option<(i32, i32, Vec<u8>)>, CoordinatorError> {
        let mut reader = Reader::new(frame);
        let (xid, _, code) = (reader.int(), reader.long(), reader.int());
        if !reader.is_whole() {
            return Err(self.error("its answer is cut off"));
        }
        match xid {
            XID_EVENT => self.has_changed = true,
            XID_PING => {}
            _ => return Ok(Some((xid, code, frame.get(16..).unwrap_or_default().to_vec()))),
        }
        Ok(None)
    }

    fn put(&mut self, record: &[u8]) {
        // Records of ours are a few hundred bytes long.
        self.output.extend_from_slice(&(record.len() as u32).to_be_bytes());
        self.output.extend_from_slice(record);
    }

    async fn send(&mut self, record: &[u8]) -> Result<(), CoordinatorError> {
        self.put(record);
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), CoordinatorError> {
        while !self.output.is_empty() {
            let written = timeout(CALL_TIME, self.stream.write_buf(&mut self.output)).await;
            match written.map_err(|_| silent(&self.address))? {
                Ok(0) => return Err(self.error("the connection has ended")),
                Ok(_) => self.pinged = Instant::now(),
                Err(error) => return Err(self.error(&error.to_string())),
            }
        }
        Ok(())
    }

    /// The next frame, without its length. Safe to drop half-way.
    async fn frame(&mut self) -> Result<Vec<u8>, CoordinatorError> {
        loop {
            if let Some(head) = self.input.first_chunk::<4>() {
                let len = u32::from_be_bytes(*head) as usize;
                if len > FRAME_BYTES_MAX {
                    return Err(self.error("its answer is too large, or it is no zookeeper"));
                }
                if self.input.len() >= 4 + len {
                    self.input.advance(4);
                    self.heard = Instant::now();
                    return Ok(self.input.split_to(len).to_vec());
                }
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return Err(self.error("the connection has ended")),
                Ok(_) => {}
                Err(error) => return Err(self.error(&error.to_string())),
            }
        }
    }

    fn error(&self, what: &str) -> CoordinatorError {
        CoordinatorError::Unavailable(format!("zookeeper at {}: {what}", self.address))
    }

    /// What the server's error means to the caller.
    pub(super) fn refused(&self, code: i32) -> CoordinatorError {
        CoordinatorError::Refused(format!("zookeeper at {}: {}", self.address, meaning(code)))
    }

    /// Takes "there is no such node" for an answer.
    pub(super) fn or_none(
        &self,
        answer: Result<Vec<u8>, i32>,
    ) -> Result<Option<Vec<u8>>, CoordinatorError> {
        match answer {
            Ok(body) => Ok(Some(body)),
            Err(code::NO_NODE) => Ok(None),
            Err(code) => Err(self.refused(code)),
        }
    }

    /// The same for what was read, if it was whole.
    pub(super) fn whole<T>(&self, reader: &Reader<'_>, value: T) -> Result<T, CoordinatorError> {
        if reader.is_whole() { Ok(value) } else { Err(self.error("its answer is cut off")) }
    }
}

fn silent(address: &str) -> CoordinatorError {
    CoordinatorError::Unavailable(format!("zookeeper at {address} does not answer"))
}
