//! What Codis keeps its records in: read by a proxy that looks for its dashboard, and written with one node, by which clients find the proxy.
//!
//! - [`Coordinator::read`], [`Coordinator::list`]: look.
//! - [`Coordinator::register`]: a node that lives as long as we do, and [`Registration::hold`], which keeps it.
//!
//! Layouts and rules: codis-proxy's, of all three kinds. Nothing else is ever written.

mod address;
mod etcd;
mod folder;
mod jute;
mod session;
mod zookeeper;

pub(crate) use address::{Url, basic, percent};

use codis::config::Coordinator as Kind;
use codis::records::{JodisNode, TopomModel, topom_path};
use etcd::Etcd;
use folder::Folder;
use std::time::Duration;
use zookeeper::ZooKeeper;

/// For one exchange with a server, its connection included.
pub const CALL_TIME: Duration = Duration::from_secs(5);

/// How long a node outlives us where no time is set: codis-proxy's.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A way to one coordinator. Holds no connection.
#[derive(Clone, Debug)]
pub struct Coordinator {
    kind: Way,
}

#[derive(Clone, Debug)]
enum Way {
    ZooKeeper(ZooKeeper),
    Etcd(Etcd),
    Folder(Folder),
}

/// Why a coordinator did not do it, by what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorError {
    /// Trying again does not help.
    #[error("{0}")]
    Setting(String),
    /// Try again later.
    #[error("{0}")]
    Unavailable(String),
    /// The server says no: it may be otherwise later.
    #[error("{0}")]
    Refused(String),
    /// The node is another's; a node without a life behind it goes by itself.
    #[error("node {0} is there and is not ours")]
    Taken(String),
}

/// A node that is there as long as we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemeral {
    pub path: String,
    pub content: Vec<u8>,
    /// Of the proxy: a node with another's token is not touched.
    pub token: String,
}

impl Ephemeral {
    /// Whether a node with this content was left by an earlier life of ours.
    fn owns(&self, content: &[u8]) -> bool {
        serde_json::from_slice::<JodisNode>(content).is_ok_and(|node| node.token == self.token)
    }
}

impl Coordinator {
    /// A coordinator at `addrs` (comma-separated; of a folder its path) with `auth` (`user:password`, or nothing). A node of ours outlives us
    /// by `timeout`.
    pub fn new(
        kind: Kind,
        addrs: &str,
        auth: &str,
        timeout: Duration,
    ) -> Result<Self, CoordinatorError> {
        let timeout = if timeout.is_zero() { TIMEOUT } else { timeout };
        let auth = match auth.split_once(':') {
            Some((user, _)) if !user.is_empty() => Some(auth.to_owned()),
            None if auth.is_empty() => None,
            _ => {
                return Err(CoordinatorError::Setting(
                    "the secret for the coordinator must be USER:PASSWORD".to_owned(),
                ));
            }
        };
        let kind = match kind {
            Kind::ZooKeeper => Way::ZooKeeper(ZooKeeper::new(addrs, auth, timeout)?),
            Kind::Etcd => Way::Etcd(Etcd::new(addrs, auth.as_deref(), timeout)?),
            Kind::Filesystem => Way::Folder(Folder::new(addrs)),
        };
        Ok(Self { kind })
    }

    /// The content of a node, if it is there.
    pub async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, CoordinatorError> {
        match &self.kind {
            Way::ZooKeeper(zookeeper) => zookeeper.read(path).await,
            Way::Etcd(etcd) => etcd.read(path).await,
            Way::Folder(folder) => folder.read(path).await,
        }
    }

    /// Where the dashboard of a product answers, if one is running or died without a word. [`CoordinatorError::Refused`] if its record cannot be
    /// understood.
    pub async fn dashboard(&self, product: &str) -> Result<Option<String>, CoordinatorError> {
        let path = topom_path(product);
        let Some(record) = self.read(&path).await? else { return Ok(None) };
        let model: TopomModel = serde_json::from_slice(&record).map_err(|error| {
            CoordinatorError::Refused(format!("{path} is no record of a dashboard: {error}"))
        })?;
        if model.admin_addr.is_empty() {
            return Err(CoordinatorError::Refused(format!("{path} tells no admin_addr")));
        }
        Ok(Some(model.admin_addr))
    }

    /// The names below a node, sorted; none where it is not there.
    pub async fn list(&self, path: &str) -> Result<Vec<String>, CoordinatorError> {
        let mut names = match &self.kind {
            Way::ZooKeeper(zookeeper) => zookeeper.list(path).await,
            Way::Etcd(etcd) => etcd.list(path).await,
            Way::Folder(folder) => folder.list(path).await,
        }?;
        names.sort();
        Ok(names)
    }

    /// Makes the node. One that an earlier life of ours left is replaced at once: nobody sees a gap.
    pub async fn register(&self, node: &Ephemeral) -> Result<Registration, CoordinatorError> {
        let hold = match &self.kind {
            Way::ZooKeeper(zookeeper) => Hold::ZooKeeper(Box::new(zookeeper.register(node).await?)),
            Way::Etcd(etcd) => Hold::Etcd(etcd.register(node).await?),
            Way::Folder(_) => {
                return Err(CoordinatorError::Setting(
                    "a folder cannot hold a node that goes when we do: use zookeeper or etcd"
                        .to_owned(),
                ));
            }
        };
        Ok(Registration { hold })
    }
}

/// A node of ours that is there.
#[derive(Debug)]
pub struct Registration {
    hold: Hold,
}

#[derive(Debug)]
enum Hold {
    ZooKeeper(Box<zookeeper::Held>),
    Etcd(etcd::Held),
}

impl Registration {
    /// Keeps the node alive as long as this is polled, and makes it anew if somebody removes or changes it. Returns when that is not possible
    /// any more: register again.
    ///
    /// # Cancel safety
    ///
    /// The registration may be removed; held again, it may miss a change of the node.
    pub async fn hold(&mut self) -> CoordinatorError {
        match &mut self.hold {
            Hold::ZooKeeper(held) => held.hold().await,
            Hold::Etcd(held) => held.hold().await,
        }
    }

    /// Removes the node, if it is still ours.
    pub async fn remove(self) -> Result<(), CoordinatorError> {
        match self.hold {
            Hold::ZooKeeper(held) => held.remove().await,
            Hold::Etcd(held) => held.remove().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_without_a_user_is_refused() {
        let made = |auth| Coordinator::new(Kind::ZooKeeper, "z:1", auth, TIMEOUT);
        assert!(made("").is_ok() && made("u:p:q").is_ok() && made("u:").is_ok());
        for auth in [":p", "user"] {
            assert!(matches!(made(auth), Err(CoordinatorError::Setting(_))), "{auth}");
        }
    }

    #[tokio::test]
    async fn a_dashboard_is_found_by_its_record() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("data/codis3/demo");
        std::fs::create_dir_all(&place).unwrap();
        let root = root.path().to_str().unwrap();
        let way = Coordinator::new(Kind::Filesystem, root, "", TIMEOUT).unwrap();
        assert_eq!(way.dashboard("demo").await, Ok(None));
        std::fs::write(place.join("topom"), r#"{"admin_addr": "10.0.0.2:18080"}"#).unwrap();
        assert_eq!(way.dashboard("demo").await, Ok(Some("10.0.0.2:18080".to_owned())));
        for bad in ["", "{}", "[]"] {
            std::fs::write(place.join("topom"), bad).unwrap();
            let found = way.dashboard("demo").await;
            assert!(matches!(found, Err(CoordinatorError::Refused(_))), "{found:?}");
        }
    }

    #[test]
    fn a_node_is_ours_by_its_token_alone() {
        let node = Ephemeral {
            path: "/jodis/demo/proxy-t".to_owned(),
            content: Vec::new(),
            token: "t".to_owned(),
        };
        assert!(node.owns(br#"{"token": "t", "start": "yesterday"}"#));
        for other in ["", "null", "[]", r#"{"token": "u"}"#, "t"] {
            assert!(!node.owns(other.as_bytes()), "{other}");
        }
    }
}
