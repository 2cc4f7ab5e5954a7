//! Cuts the steps of a round into what is sent in one go.

use crate::differential::generator::Step;
use std::time::Duration;

/// What is done next.
pub(super) enum Item<'a> {
    Wait(Duration, usize),
    Batch {
        connection: usize,
        requests: Vec<&'a Vec<Vec<u8>>>,
        last: usize,
    },
    /// A request whose reply decides what is asked next.
    Alone {
        connection: usize,
        request: &'a Vec<Vec<u8>>,
        last: usize,
    },
}

impl Item<'_> {
    /// The place of its last step.
    pub(super) fn last(&self) -> usize {
        match self {
            Self::Wait(_, last) | Self::Batch { last, .. } | Self::Alone { last, .. } => *last,
        }
    }
}

/// The items of a round, in order.
pub(super) fn items(steps: &[Step]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    let mut in_transaction = [false; 2];
    let mut open = false;
    for (at, step) in steps.iter().enumerate() {
        let (connection, request, ends_batch) = match step {
            Step::Wait(time) => {
                items.push(Item::Wait(*time, at));
                open = false;
                continue;
            }
            Step::Send { connection, request, ends_batch } => (*connection, request, *ends_batch),
        };
        let name = request[0].to_ascii_uppercase();
        match (name.as_slice(), request.len()) {
            (b"MULTI", 1) => in_transaction[connection] = true,
            (b"EXEC" | b"DISCARD" | b"RESET", 1) => in_transaction[connection] = false,
            _ => {}
        }
        if !in_transaction[connection] && stands_alone(&name) {
            items.push(Item::Alone { connection, request, last: at });
            open = false;
            continue;
        }
        match items.last_mut() {
            Some(Item::Batch { connection: same, requests, last })
                if open && *same == connection =>
            {
                requests.push(request);
                *last = at;
            }
            _ => items.push(Item::Batch { connection, requests: vec![request], last: at }),
        }
        open = !ends_batch;
    }
    items
}

fn stands_alone(name: &[u8]) -> bool {
    matches!(
        name,
        b"SCAN"
            | b"SSCAN"
            | b"HSCAN"
            | b"ZSCAN"
            | b"SPOP"
            | b"SRANDMEMBER"
            | b"HRANDFIELD"
            | b"ZRANDMEMBER"
            | b"RANDOMKEY"
    )
}
