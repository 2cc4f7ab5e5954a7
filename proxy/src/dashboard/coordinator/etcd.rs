//! etcd as codis-proxy uses it: version 2 of its API, over HTTP. A server of 3.4 has it with `--enable-v2`; 3.6 has it no more.

use super::address::{Url, basic, percent};
use super::{CALL_TIME, CoordinatorError, Ephemeral};
use serde::Deserialize;
use service::http::{Client, ClientError, Method, StatusCode, header};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Errors of the API that mean something to us.
const KEY_NOT_FOUND: i64 = 100;
const TEST_FAILED: i64 = 101;
const NODE_EXISTS: i64 = 105;

/// Members of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Etcd {
    members: Vec<Client>,
    /// The one to ask first: the last that answered.
    first: Arc<AtomicUsize>,
    /// Whole seconds, at least one.
    ttl: u64,
}

/// An answer, good or bad.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    error_code: i64,
    message: String,
    cause: String,
    node: Option<Node>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Node {
    key: String,
    value: String,
    dir: bool,
    nodes: Vec<Node>,
    modified_index: u64,
}

impl Etcd {
    pub(super) fn new(
        addrs: &str,
        auth: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, CoordinatorError> {
        let mut members = Vec::new();
        for addr in addrs.split(',').map(str::trim).filter(|addr| !addr.is_empty()) {
            let url = Url::parse(addr).map_err(CoordinatorError::Setting)?;
            let form = "application/x-www-form-urlencoded";
            let mut client = Client::new(url.address, CALL_TIME).saying(header::CONTENT_TYPE, form);
            if let Some(auth) = auth {
                client = client.saying(header::AUTHORIZATION, basic(auth));
            }
            members.push(client);
        }
        if members.is_empty() {
            return Err(CoordinatorError::Setting("no etcd member is named".to_owned()));
        }
        let first = Arc::new(AtomicUsize::new(rand::random_range(0..members.len())));
        Ok(Self { members, first, ttl: timeout.as_secs().max(1) })
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, CoordinatorError> {
        match self.node(path).await? {
            Some(node) if node.dir => {
                Err(CoordinatorError::Refused(format!("etcd: {path} is a folder")))
            }
            node => Ok(node.map(|node| node.value.into_bytes())),
        }
    }

    pub(super) async fn list(&self, path: &str) -> Result<Vec<String>, CoordinatorError> {
        let nodes = self.node(path).await?.map(|node| node.nodes).unwrap_or_default();
        let name = |node: Node| node.key.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(nodes.into_iter().map(name).collect())
    }

    async fn node(&self, path: &str) -> Result<Option<Node>, CoordinatorError> {
        match self.call(Method::GET, &key(path, "quorum=true"), String::new()).await? {
            Ok(node) => Ok(Some(node)),
            Err((KEY_NOT_FOUND, _)) => Ok(None),
            Err((_, why)) => Err(CoordinatorError::Refused(why)),
        }
    }

    pub(super) async fn register(&self, node: &Ephemeral) -> Result<Held, CoordinatorError> {
        let mut held = Held { etcd: self.clone(), node: node.clone(), index: 0 };
        held.ensure().await?;
        Ok(held)
    }

    /// One exchange with the first member that answers; the inner error is etcd's.
    async fn call(
        &self,
        method: Method,
        path: &str,
        form: String,
    ) -> Result<Result<Node, (i64, String)>, CoordinatorError> {
        let first = self.first.load(Relaxed);
        let mut last = CoordinatorError::Setting("no etcd member is named".to_owned());
        for at in (0..self.members.len()).map(|at| (first + at) % self.members.len()) {
            let Some(member) = self.members.get(at) else { continue };
            match member.send(method.clone(), path, form.clone().into()).await {
                Ok((status, body)) => match understand(member.address(), status, &body) {
                    Ok(answer) => {
                        self.first.store(at, Relaxed);
                        return Ok(answer);
                    }
                    Err(error) => last = error,
                },
                Err(error) => last = unavailable(error),
            }
        }
        Err(last)
    }
}

/// Reads an answer; the inner error is etcd's own.
fn understand(
    address: &str,
    status: StatusCode,
    body: &[u8],
) -> Result<Result<Node, (i64, String)>, CoordinatorError> {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Err(CoordinatorError::Unavailable(if status == StatusCode::NOT_FOUND {
            format!("etcd at {address} has no version 2 of its API: start it with --enable-v2=true")
        } else {
            format!("what answers at {address} is no etcd: it says {status}")
        }));
    };
    let why = format!("etcd at {address}: {} ({status}) {}", answer.message, answer.cause);
    match answer {
        _ if status == StatusCode::UNAUTHORIZED => Err(CoordinatorError::Refused(format!(
            "etcd at {address}: the secret is refused: check the auth setting"
        ))),
        // It has no leader, or cannot reach it: another member may.
        Answer { error_code: 300..400, .. } => Err(CoordinatorError::Unavailable(why)),
        Answer { error_code: 0, node: Some(node), .. } if status.is_success() => Ok(Ok(node)),
        Answer { error_code: 0, .. } => Err(CoordinatorError::Unavailable(why)),
        Answer { error_code, .. } => Ok(Err((error_code, why))),
    }
}

fn unavailable(error: ClientError) -> CoordinatorError {
    CoordinatorError::Unavailable(match error {
        ClientError::Unreachable { address, reason } => {
            format!("etcd at {address} cannot be reached: {reason}")
        }
        ClientError::Unanswered { address, reason } => {
            format!("etcd at {address} did not answer: {reason}")
        }
        other => format!("etcd: {other}"),
    })
}

/// The path of a key in the API.
fn key(path: &str, query: &str) -> String {
    format!("/v2/keys{}?{query}", percent(path.as_bytes()))
}

/// A node, and what it was when we last wrote it.
#[derive(Debug)]
pub(super) struct Held {
    etcd: Etcd,
    node: Ephemeral,
    index: u64,
}

/// Somebody else may touch the node at the same moment; more than twice is a fight.
const TRIES: usize = 3;

impl Held {
    pub(super) async fn hold(&mut self) -> CoordinatorError {
        loop {
            tokio::time::sleep(Duration::from_millis(self.etcd.ttl * 500)).await;
            let kept = match self.refresh().await {
                Ok(Ok(())) => Ok(()),
                // It went, or somebody changed it.
                Ok(Err(why)) => {
                    tracing::warn!(path = self.node.path, why, "a node in etcd is not as it was");
                    self.ensure().await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = kept {
                return error;
            }
        }
    }

    /// Only what we wrote goes: another life of ours may have put its own in the place.
    pub(super) async fn remove(self) -> Result<(), CoordinatorError> {
        let path = key(&self.node.path, &format!("prevIndex={}", self.index));
        match self.etcd.call(Method::DELETE, &path, String::new()).await? {
            Ok(_) | Err((KEY_NOT_FOUND | TEST_FAILED, _)) => Ok(()),
            Err((_, why)) => Err(CoordinatorError::Refused(why)),
        }
    }

    async fn refresh(&mut self) -> Result<Result<(), String>, CoordinatorError> {
        let Self { etcd: Etcd { ttl, .. }, index, .. } = self;
        let form = format!("refresh=true&prevExist=true&prevIndex={index}&ttl={ttl}&value=");
        match self.put(form).await? {
            Ok(()) => Ok(Ok(())),
            Err((_, why)) => Ok(Err(why)),
        }
    }

    /// Makes the node what it shall be.
    async fn ensure(&mut self) -> Result<(), CoordinatorError> {
        let content = percent(&self.node.content);
        let content = format!("value={content}&ttl={}", self.etcd.ttl);
        for _ in 0..TRIES {
            let condition = match self.etcd.node(&self.node.path).await? {
                None => "prevExist=false".to_owned(),
                Some(found) if !found.dir && self.node.owns(found.value.as_bytes()) => {
                    format!("prevIndex={}", found.modified_index)
                }
                Some(_) => return Err(CoordinatorError::Taken(self.node.path.clone())),
            };
            match self.put(format!("{content}&{condition}")).await? {
                Ok(()) => {
                    tracing::info!(path = self.node.path, "made a node in etcd");
                    return Ok(());
                }
                Err((KEY_NOT_FOUND | TEST_FAILED | NODE_EXISTS, _)) => {}
                Err((_, why)) => return Err(CoordinatorError::Refused(why)),
            }
        }
        Err(CoordinatorError::Taken(self.node.path.clone()))
    }

    async fn put(&mut self, form: String) -> Result<Result<(), (i64, String)>, CoordinatorError> {
        // Without a question mark there is nothing beside the form.
        let path = format!("/v2/keys{}", percent(self.node.path.as_bytes()));
        Ok(match self.etcd.call(Method::PUT, &path, form).await? {
            Ok(node) => {
                self.index = node.modified_index;
                Ok(())
            }
            Err(error) => Err(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Result<Node, (i64, String)>, CoordinatorError> {
        understand("e:1", StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn answers_are_told_apart_by_what_to_do_next() {
        let node =
            answer(200, r#"{"action":"get","node":{"key":"/a","value":"v","modifiedIndex":7}}"#);
        assert_eq!(node.unwrap().unwrap().modified_index, 7);
        let missing =
            answer(404, r#"{"errorCode":100,"message":"Key not found","cause":"/a","index":3}"#);
        assert_eq!(missing.unwrap().unwrap_err().0, KEY_NOT_FOUND);
        let alone =
            answer(500, r#"{"errorCode":300,"message":"Raft Internal Error","cause":"timeout"}"#);
        assert!(matches!(alone, Err(CoordinatorError::Unavailable(_))));
        let error = answer(404, "404 page not found\n").unwrap_err();
        assert!(error.to_string().contains("--enable-v2"), "{error}");
        let error = answer(401, r#"{"message":"Insufficient credentials"}"#).unwrap_err();
        assert!(matches!(error, CoordinatorError::Refused(_)));
        for foreign in ["", "{}", "[]", "<html>"] {
            assert!(matches!(answer(200, foreign), Err(CoordinatorError::Unavailable(_))));
        }
    }
}
