//! One group's node as the driver knows it.

use super::job::Job;
use crate::contact::Order;
use crate::link::Hello;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// One group's node.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: String,
    orders: mpsc::Sender<Order>,
    generation: u64,
    pub(super) status: Status,
    /// Since when the node cannot be worked with.
    not_up_since: Option<Instant>,
    /// What was last said about it in the log.
    complaint: Option<String>,
    /// What was asked and is not answered yet: one batch at a time.
    pub(super) job: Option<Job>,
    /// The operator has set another pace since the node was told.
    pub(super) pace_is_new: bool,
    /// It is not ours: nothing is said to it.
    is_stranger: bool,
    /// Slots have come from nodes that are not ours, or gone to such, since the node was told.
    pub(super) slots_are_new: bool,
    pub(super) polled_at: Instant,
    /// When anything copied out of this node has last come on.
    pub(super) progress_at: Instant,
}

/// Whether the node can be worked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// No link.
    Away {
        why: String,
    },
    /// There is a link, and the node has said who it is.
    Greeting(Hello),
    /// It is being told its cluster and its slots.
    Claiming(Hello),
    Up,
    /// There is a link, and we will not use it.
    Unwanted {
        why: String,
    },
}

impl Peer {
    pub(super) fn new(addr: String, orders: mpsc::Sender<Order>, now: Instant) -> Self {
        let status = Status::Away { why: "not reached yet".to_owned() };
        Self {
            addr,
            orders,
            generation: 0,
            status,
            not_up_since: Some(now),
            complaint: None,
            job: None,
            pace_is_new: false,
            is_stranger: false,
            slots_are_new: false,
            polled_at: now,
            progress_at: now,
        }
    }

    pub(super) fn linked(&mut self, generation: u64, hello: Hello) {
        self.generation = generation;
        self.job = None;
        self.status = Status::Greeting(hello);
    }

    /// A node that is not ours is there.
    pub(super) fn known(&mut self) {
        self.is_stranger = true;
        self.up();
    }

    /// The link is gone.
    pub(super) fn lost(&mut self, why: String, now: Instant) {
        self.job = None;
        self.not_up_since.get_or_insert(now);
        self.status = Status::Away { why };
    }

    /// The node knows whose it is.
    pub(super) fn up(&mut self) {
        self.not_up_since = None;
        self.complaint = None;
        self.status = Status::Up;
    }

    /// Whether this has not been said of the node before; a node that keeps failing would fill the log.
    pub(super) fn is_news(&mut self, complaint: &str) -> bool {
        let news = self.complaint.as_deref() != Some(complaint);
        self.complaint = Some(complaint.to_owned());
        news
    }

    /// The node is none that we can work with.
    pub(super) fn refuse(&mut self, why: String, now: Instant) {
        self.job = None;
        self.not_up_since.get_or_insert(now);
        self.status = Status::Unwanted { why };
        // The contact may have lost the link meanwhile; it says so itself.
        let _ = self.orders.try_send(Order::Leave { generation: self.generation });
    }

    /// Sends a batch; the answer comes as an event.
    pub(super) fn send(&mut self, job: Job) {
        let requests = job.requests.clone();
        // A full queue means that the contact has not taken the batch before: then its link is breaking, and that is an event too.
        if self.orders.try_send(Order::Call { generation: self.generation, requests }).is_ok() {
            self.job = Some(job);
        }
    }

    pub(super) fn new_pace(&mut self) {
        self.pace_is_new = true;
    }

    /// Whether it has heard all there is to say of slots that are elsewhere.
    pub(super) fn is_told(&self) -> bool {
        self.is_stranger || self.job.is_none() && !self.slots_are_new
    }

    pub(super) fn is_free(&self) -> bool {
        !self.is_stranger && self.status == Status::Up && self.job.is_none()
    }

    /// Since when the node cannot be worked with, and why; nothing if it can, or nearly.
    pub(super) fn trouble(&self) -> Option<(Instant, &str)> {
        match &self.status {
            Status::Away { why } | Status::Unwanted { why } => Some((self.not_up_since?, why)),
            Status::Greeting(_) | Status::Claiming(_) | Status::Up => None,
        }
    }
}
