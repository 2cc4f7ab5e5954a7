//! ZooKeeper as codis-proxy uses it: ephemeral nodes with a watch, digest secrets, parents that stay.
//!
//! The few operations are spoken here and not by a library: those that know digest secrets bring a second executor and second versions of a dozen
//! crates for seven small records.

use super::address::with_port;
use super::jute::{Access, Reader, Stat, Writer, code, op};
use super::session::Session;
use super::{CoordinatorError, Ephemeral};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const PORT: u16 = 2181;

/// Servers of one ensemble.
#[derive(Clone, Debug)]
pub(super) struct ZooKeeper {
    servers: Vec<String>,
    /// The one to ask first: the last that answered.
    first: Arc<AtomicUsize>,
    auth: Option<String>,
    timeout: Duration,
}

impl ZooKeeper {
    pub(super) fn new(
        addrs: &str,
        auth: Option<String>,
        timeout: Duration,
    ) -> Result<Self, CoordinatorError> {
        let servers: Vec<String> = addrs
            .split(',')
            .map(str::trim)
            .filter(|addr| !addr.is_empty())
            .map(|addr| with_port(addr, PORT))
            .collect();
        if servers.is_empty() {
            return Err(CoordinatorError::Setting("no zookeeper server is named".to_owned()));
        }
        // Proxies spread over the servers.
        let first = Arc::new(AtomicUsize::new(rand::random_range(0..servers.len())));
        Ok(Self { servers, first, auth, timeout })
    }

    async fn open(&self) -> Result<Session, CoordinatorError> {
        let first = self.first.load(Relaxed);
        let mut last = CoordinatorError::Setting("no zookeeper server is named".to_owned());
        for at in (0..self.servers.len()).map(|at| (first + at) % self.servers.len()) {
            let Some(server) = self.servers.get(at) else { continue };
            match Session::open(server, self.auth.as_deref(), self.timeout).await {
                Ok(session) => {
                    self.first.store(at, Relaxed);
                    return Ok(session);
                }
                Err(error @ CoordinatorError::Refused(_)) => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, CoordinatorError> {
        let mut session = self.open().await?;
        let found = get(&mut session, path, Watch::No).await?;
        session.close().await?;
        Ok(found.map(|(content, _)| content))
    }

    pub(super) async fn list(&self, path: &str) -> Result<Vec<String>, CoordinatorError> {
        let mut session = self.open().await?;
        let record = Writer::default().text(path).flag(false);
        let answer = session.call(op::CHILDREN, record).await?;
        let names = match session.or_none(answer)? {
            Some(body) => {
                let mut reader = Reader::new(&body);
                let names = reader.texts();
                session.whole(&reader, names)?
            }
            None => Vec::new(),
        };
        session.close().await?;
        Ok(names)
    }

    pub(super) async fn register(&self, node: &Ephemeral) -> Result<Held, CoordinatorError> {
        let session = self.open().await?;
        let access = if self.auth.is_some() { Access::Ours } else { Access::World };
        let mut held = Held { session, node: node.clone(), access };
        held.ensure().await?;
        Ok(held)
    }
}

#[derive(Clone, Copy)]
enum Watch {
    Yes,
    No,
}

async fn get(
    session: &mut Session,
    path: &str,
    watch: Watch,
) -> Result<Option<(Vec<u8>, Stat)>, CoordinatorError> {
    let record = Writer::default().text(path).flag(matches!(watch, Watch::Yes));
    let answer = session.call(op::GET, record).await?;
    let Some(body) = session.or_none(answer)? else { return Ok(None) };
    let mut reader = Reader::new(&body);
    let found = (reader.bytes().to_vec(), reader.stat());
    session.whole(&reader, Some(found))
}

/// A node, and the session it goes with.
#[derive(Debug)]
pub(super) struct Held {
    session: Session,
    node: Ephemeral,
    access: Access,
}

/// Somebody else may touch the node at the same moment; more than twice is a fight.
const TRIES: usize = 3;

impl Held {
    pub(super) async fn hold(&mut self) -> CoordinatorError {
        loop {
            if let Err(error) = self.session.changed().await {
                return error;
            }
            if let Err(error) = self.ensure().await {
                return error;
            }
        }
    }

    pub(super) async fn remove(self) -> Result<(), CoordinatorError> {
        self.session.close().await
    }

    /// Makes the node what it shall be, and watches it.
    async fn ensure(&mut self) -> Result<(), CoordinatorError> {
        for _ in 0..TRIES {
            let found = get(&mut self.session, &self.node.path, Watch::Yes).await?;
            let done = match found {
                Some((content, stat)) if stat.owner == self.session.id() => {
                    if content == self.node.content {
                        return Ok(());
                    }
                    self.replace(stat).await?
                }
                Some((content, stat)) if self.node.owns(&content) => self.replace(stat).await?,
                Some(_) => return Err(CoordinatorError::Taken(self.node.path.clone())),
                None => self.create().await?,
            };
            match done {
                // Once more, for the watch: a new node has none yet.
                Ok(()) => tracing::info!(path = self.node.path, "made a node in zookeeper"),
                Err(code) => tracing::debug!(path = self.node.path, code, "a node changed"),
            }
        }
        Err(CoordinatorError::Taken(self.node.path.clone()))
    }

    async fn create(&mut self) -> Result<Result<(), i32>, CoordinatorError> {
        self.make_parents().await?;
        let record = Writer::default().ephemeral(&self.node, self.access);
        match self.session.call(op::CREATE, record).await? {
            Ok(_) => Ok(Ok(())),
            Err(code::NODE_EXISTS) => Ok(Err(code::NODE_EXISTS)),
            Err(code) => Err(self.session.refused(code)),
        }
    }

    /// In one step: nobody ever finds no node.
    async fn replace(&mut self, found: Stat) -> Result<Result<(), i32>, CoordinatorError> {
        let record = Writer::default().replacement(&self.node, self.access, found.version);
        let answer = self.session.call(op::MULTI, record).await?;
        let body = answer.map_err(|code| self.session.refused(code))?;
        let mut reader = Reader::new(&body);
        let failure = reader.failure();
        self.session.whole(&reader, failure.map_or(Ok(()), Err))
    }

    async fn make_parents(&mut self) -> Result<(), CoordinatorError> {
        let path = self.node.path.clone();
        let ends: Vec<usize> = path.match_indices('/').map(|(at, _)| at).skip(1).collect();
        let mut missing = Vec::new();
        // From below: what is above what is there may be another's.
        for parent in ends.iter().rev().filter_map(|end| path.get(..*end)) {
            let record = Writer::default().text(parent).flag(false);
            let answer = self.session.call(op::EXISTS, record).await?;
            if self.session.or_none(answer)?.is_some() {
                break;
            }
            missing.push(parent);
        }
        for parent in missing.into_iter().rev() {
            let record = Writer::default().parent(parent, self.access);
            match self.session.call(op::CREATE, record).await? {
                Ok(_) | Err(code::NODE_EXISTS) => {}
                Err(code) => return Err(self.session.refused(code)),
            }
        }
        Ok(())
    }
}
