//! Keeps in contact with one node: connects, connects again, runs one batch of words at a time.
//!
//! It decides nothing: who answered, what was answered and why there is no answer goes to the driver as an event.

use crate::link::{Hello, Introduction, Link, LinkError};
use cluster::{GroupId, Kind};
use protocol::frame::Value;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The pause before the next try to connect: doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long an idle link is not looked at. A node that went away is noticed then at the latest.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// What happened at one group's node.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) group: GroupId,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum What {
    /// Link number `generation` is there; nothing but the introduction was said yet.
    Linked { generation: u64, hello: Hello },
    /// A node that is not ours is what it is said to be.
    Known,
    /// There is no link, or there is none any more. What was under way may have been executed.
    Down(LinkError),
    /// A reply for each request of the batch.
    Answered(Vec<Value>),
}

/// What a contact is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Requests for the link of this number; if it is gone they are dropped.
    Call { generation: u64, requests: Vec<Vec<String>> },
    /// Let go of the link and make a new one after the longest pause: the node is not the one we want.
    Leave { generation: u64 },
}

/// One contact; it ends with `stop`, or when the driver is gone.
#[derive(Debug)]
pub(crate) struct Contact {
    pub(crate) group: GroupId,
    pub(crate) addr: String,
    pub(crate) kind: Kind,
    pub(crate) introduction: Introduction,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) stop: CancellationToken,
}

impl Contact {
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&mut self) {
        let mut pause = PAUSE_MIN;
        for generation in 1.. {
            match self.open(generation).await {
                Ok((link, linked)) => {
                    let unwanted = self.serve(link, generation, linked).await;
                    pause = if unwanted { PAUSE_MAX } else { PAUSE_MIN };
                }
                Err(error) => {
                    if !self.tell(What::Down(error)).await {
                        return;
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.75..1.0))).await;
            if self.orders.is_closed() {
                return;
            }
        }
    }

    async fn open(&self, generation: u64) -> Result<(Link, What), LinkError> {
        if !self.kind.is_ours() {
            let link = Link::open_to_stranger(&self.addr, self.kind, &self.introduction).await?;
            return Ok((link, What::Known));
        }
        let (link, hello) = Link::open(&self.addr, &self.introduction).await?;
        Ok((link, What::Linked { generation, hello }))
    }

    /// Serves one link until it breaks; returns whether the driver did not want it.
    async fn serve(&mut self, mut link: Link, generation: u64, linked: What) -> bool {
        if !self.tell(linked).await {
            return false;
        }
        loop {
            let order = match tokio::time::timeout(QUIET_MAX, self.orders.recv()).await {
                Ok(Some(order)) => order,
                Ok(None) => return false,
                Err(_) => match link.call(&[vec!["PING".to_owned()]]).await {
                    Ok(_) => continue,
                    Err(error) => {
                        self.tell(What::Down(error)).await;
                        return false;
                    }
                },
            };
            let requests = match order {
                Order::Call { generation: g, requests } if g == generation => requests,
                Order::Leave { generation: g } if g == generation => return true,
                // Ordered before the driver knew that another link had broken.
                Order::Call { .. } | Order::Leave { .. } => continue,
            };
            let result = link.call(&requests).await;
            let failed = result.is_err();
            self.tell(result.map_or_else(What::Down, What::Answered)).await;
            if failed {
                return false;
            }
        }
    }

    async fn tell(&self, what: What) -> bool {
        self.events.send(Event { group: self.group, what }).await.is_ok()
    }
}
