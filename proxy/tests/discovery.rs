//! Registration of proxies in real coordinators, and looking into them.

use crate::codis::upstream;
use crate::programs::{Program, becomes, etcd, zookeeper};
use codis::config::{Coordinator as Kind, Span};
use codis::model::Model;
use proxy::dashboard::Phase;
use proxy::dashboard::coordinator::{Coordinator, CoordinatorError, Ephemeral};
use proxy::dashboard::jodis::{Jodis, State};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long a node outlives its proxy here.
const TIMEOUT: Duration = Duration::from_secs(4);
const PATH: &str = "/jodis/demo/proxy-t0ken";

fn way(kind: Kind, addr: &str) -> Coordinator {
    Coordinator::new(kind, addr, "", TIMEOUT).unwrap()
}

fn node(path: &str, start: &str) -> Ephemeral {
    let content = format!(r#"{{"token": "t0ken", "start": "{start}"}}"#).into_bytes();
    Ephemeral { path: path.to_owned(), content, token: "t0ken".to_owned() }
}

async fn start(kind: Kind) -> Program {
    if kind == Kind::Etcd { etcd().await } else { zookeeper().await }
}

/// A proxy's part that registers.
struct Registering {
    phases: watch::Sender<Phase>,
    leaving: CancellationToken,
    state: watch::Receiver<State>,
    running: JoinHandle<()>,
}

impl Registering {
    fn begin(kind: Kind, addr: &str, start: &str) -> Self {
        let mut config = upstream();
        config.jodis_name = if kind == Kind::Etcd { "etcd" } else { "zookeeper" }.to_owned();
        config.jodis_addr = addr.to_owned();
        config.jodis_timeout = Span::seconds(TIMEOUT.as_secs().cast_signed());
        config.product_name = "demo".to_owned();
        let model = Model {
            token: "t0ken".to_owned(),
            start_time: start.to_owned(),
            proxy_addr: "10.0.0.5:19000".to_owned(),
            ..Model::default()
        };
        let jodis = Jodis::new(&config, &model).unwrap().unwrap();
        let (phases, seen) = watch::channel(Phase::Waiting);
        let (leaving, state) = (CancellationToken::new(), jodis.state());
        let running = tokio::spawn(jodis.run(seen, leaving.clone()));
        Self { phases, leaving, state, running }
    }

    async fn registered(&mut self) {
        let is = |state: &State| matches!(state, State::Registered { .. });
        timeout(PATIENCE, self.state.wait_for(is)).await.unwrap().unwrap();
    }
}

async fn content(way: &Coordinator) -> Option<String> {
    way.read(PATH).await.unwrap().map(|content| String::from_utf8(content).unwrap())
}

/// From online to closed, with a death in between.
async fn lives(kind: Kind) {
    let program = start(kind).await;
    let way = way(kind, &program.addr());
    let mut first = Registering::begin(kind, &program.addr(), "first");
    assert_eq!(content(&way).await, None, "a proxy that is not online");
    first.phases.send_replace(Phase::Online);
    first.registered().await;
    let said = content(&way).await.unwrap();
    assert!(
        said.contains("\"start\": \"first\"") && said.contains("\"state\": \"online\""),
        "{said}"
    );
    assert_eq!(way.list("/jodis/demo").await.unwrap(), ["proxy-t0ken"]);
    // As kill -9 does it: the node stays, and nobody is behind it.
    first.running.abort();
    assert!(content(&way).await.is_some());
    let mut second = Registering::begin(kind, &program.addr(), "second");
    second.phases.send_replace(Phase::Online);
    let mut gaps = 0;
    while !matches!(&*second.state.borrow_and_update(), State::Registered { .. }) {
        gaps += usize::from(content(&way).await.is_none());
    }
    assert_eq!(gaps, 0, "clients saw no proxy");
    // The first one's end does not take the second's node along.
    tokio::time::sleep(TIMEOUT * 2).await;
    assert!(content(&way).await.unwrap().contains("second"));
    second.phases.send_replace(Phase::Closed);
    timeout(PATIENCE, second.running).await.unwrap().unwrap();
    assert_eq!(content(&way).await, None);
    assert_eq!(*second.state.borrow(), State::Left);
}

#[tokio::test]
async fn a_killed_proxy_that_is_back_at_once_is_never_missed_in_zookeeper() {
    lives(Kind::ZooKeeper).await;
}

#[tokio::test]
async fn a_killed_proxy_that_is_back_at_once_is_never_missed_in_etcd() {
    lives(Kind::Etcd).await;
}

/// A node that somebody removes or overwrites comes back.
async fn comes_back(kind: Kind) {
    let program = start(kind).await;
    let way = way(kind, &program.addr());
    let mut proxy = Registering::begin(kind, &program.addr(), "mine");
    proxy.phases.send_replace(Phase::Online);
    proxy.registered().await;
    // Another life with the same token takes the node, and does nothing more.
    // The first may be so quick to take it back that the other does not even get to see that it had it: then once more.
    let wanted = node(PATH, "other");
    let taking = async {
        loop {
            match way.register(&wanted).await {
                Err(CoordinatorError::Taken(_)) => {}
                other => return other,
            }
        }
    };
    let other = timeout(PATIENCE, taking).await.unwrap().unwrap();
    becomes("the node is the first's again", async || {
        content(&way).await.is_some_and(|said| said.contains("mine"))
    })
    .await;
    drop(other);
    assert!(matches!(&*proxy.state.borrow(), State::Registered { .. }));
    proxy.leaving.cancel();
    timeout(PATIENCE, proxy.running).await.unwrap().unwrap();
    assert_eq!(content(&way).await, None);
}

#[tokio::test]
async fn a_node_in_zookeeper_that_somebody_takes_is_taken_back() {
    comes_back(Kind::ZooKeeper).await;
}

#[tokio::test]
async fn a_node_in_etcd_that_somebody_takes_is_taken_back() {
    comes_back(Kind::Etcd).await;
}

/// A server that hangs for longer than the node lives.
async fn outlives_a_pause(kind: Kind) {
    let program = start(kind).await;
    let way = way(kind, &program.addr());
    let mut proxy = Registering::begin(kind, &program.addr(), "mine");
    proxy.phases.send_replace(Phase::Online);
    proxy.registered().await;
    program.pause();
    let is = |state: &State| matches!(state, State::Failing { .. });
    timeout(PATIENCE, proxy.state.wait_for(is)).await.unwrap().unwrap();
    program.resume();
    proxy.registered().await;
    assert!(content(&way).await.unwrap().contains("mine"));
}

#[tokio::test]
async fn a_session_lost_by_a_zookeeper_that_hangs_is_followed_by_another() {
    outlives_a_pause(Kind::ZooKeeper).await;
}

#[tokio::test]
async fn a_node_lost_by_an_etcd_that_hangs_is_made_anew() {
    outlives_a_pause(Kind::Etcd).await;
}

#[tokio::test]
async fn a_node_of_another_is_left_alone() {
    for kind in [Kind::ZooKeeper, Kind::Etcd] {
        let program = start(kind).await;
        let way = way(kind, &program.addr());
        let theirs = Ephemeral { content: b"theirs".to_vec(), ..node(PATH, "") };
        let held = way.register(&theirs).await.unwrap();
        let ours = way.register(&node(PATH, "ours")).await;
        assert_eq!(ours.unwrap_err(), CoordinatorError::Taken(PATH.to_owned()), "{kind:?}");
        held.remove().await.unwrap();
        assert_eq!(content(&way).await, None);
        way.register(&node(PATH, "ours")).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_secret_made_in_zookeeper_is_open_to_that_secret_alone() {
    let program = zookeeper().await;
    let with = |auth| Coordinator::new(Kind::ZooKeeper, &program.addr(), auth, TIMEOUT).unwrap();
    let held = with("user:secret").register(&node(PATH, "ours")).await.unwrap();
    assert!(with("user:secret").read(PATH).await.unwrap().is_some());
    for other in ["", "user:wrong"] {
        let read = with(other).read(PATH).await;
        assert!(matches!(&read, Err(CoordinatorError::Refused(_))), "{read:?}");
        let made = with(other).register(&node("/jodis/demo/proxy-u", "x")).await;
        assert!(matches!(&made, Err(CoordinatorError::Refused(_))), "{made:?}");
    }
    held.remove().await.unwrap();
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_is_gone() {
    for kind in [Kind::ZooKeeper, Kind::Etcd] {
        let program = start(kind).await;
        let addrs = format!("127.0.0.1:1, {},127.0.0.1:2", program.addr());
        let way = way(kind, &addrs);
        assert_eq!(way.read("/codis3/demo/topom").await, Ok(None));
        assert_eq!(way.list("/codis3").await, Ok(Vec::new()));
    }
    let nobody = way(Kind::Etcd, "127.0.0.1:1").read("/codis3").await.unwrap_err();
    assert!(matches!(nobody, CoordinatorError::Unavailable(_)), "{nobody}");
}

#[tokio::test]
async fn a_folder_cannot_be_registered_in() {
    let made = way(Kind::Filesystem, "/tmp").register(&node(PATH, "x")).await.unwrap_err();
    assert!(matches!(made, CoordinatorError::Setting(_)), "{made}");
}
