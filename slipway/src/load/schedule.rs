//! When each request is meant to be sent: an open loop, that does not wait for replies.
//!
//! A batch of requests is due every `pipeline / rate` seconds and the clients take turns, so the load is even. The latency of a request
//! counts from this moment, whatever kept it from being sent then.

use std::cell::Cell;

/// The plan of a run.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// When the first batch is due, in microseconds of the run's clock.
    start: u64,
    /// Requests a second.
    rate: u64,
    /// Requests a batch.
    pipeline: u64,
    clients: u64,
    requests: u64,
    /// How many batches there are; less once the run was ended early.
    batches: Cell<u64>,
}

/// A batch that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// When it is meant to be sent, in microseconds of the run's clock.
    pub(crate) intended: u64,
    pub(crate) requests: u64,
}

/// The size of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Volume {
    pub(crate) rate: u64,
    pub(crate) seconds: f64,
    pub(crate) clients: u64,
    pub(crate) pipeline: u64,
}

impl Schedule {
    /// A plan that begins at `start`.
    pub(crate) fn new(start: u64, volume: Volume) -> Self {
        let requests = ((volume.rate as f64 * volume.seconds).round() as u64).max(1);
        Self {
            start,
            rate: volume.rate,
            pipeline: volume.pipeline,
            clients: volume.clients,
            requests,
            batches: Cell::new(requests.div_ceil(volume.pipeline)),
        }
    }

    /// The first moment.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// When the last batch is due.
    pub(crate) fn end(&self) -> u64 {
        self.intended(self.batches.get())
    }

    /// How many requests are planned.
    pub(crate) fn requests(&self) -> u64 {
        (self.batches.get() * self.pipeline).min(self.requests)
    }

    /// How many batches there are for all clients.
    pub(crate) fn batches(&self) -> u64 {
        self.batches.get()
    }

    /// When the batch `number` of all clients is due.
    pub(crate) fn intended(&self, number: u64) -> u64 {
        self.start + (u128::from(number * self.pipeline) * 1_000_000 / u128::from(self.rate)) as u64
    }

    /// Whose batch it is.
    pub(crate) fn client(&self, number: u64) -> u64 {
        number % self.clients
    }

    /// The `turn`th batch of a client, if the plan has so many.
    pub(crate) fn batch(&self, client: u64, turn: u64) -> Option<Batch> {
        let number = client + turn * self.clients;
        (number < self.batches.get()).then(|| Batch {
            intended: self.intended(number),
            requests: self.pipeline.min(self.requests - number * self.pipeline),
        })
    }

    /// Ends the plan: nothing that is due after `now` is sent.
    pub(crate) fn end_early(&self, now: u64) {
        let due = (u128::from(now.saturating_sub(self.start)) * u128::from(self.rate) / 1_000_000)
            as u64
            / self.pipeline
            + 1;
        self.batches.set(self.batches.get().min(due));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUME: Volume = Volume { rate: 5000, seconds: 2.0, clients: 3, pipeline: 16 };

    #[test]
    fn every_request_has_its_moment_and_none_is_left_out() {
        let schedule = Schedule::new(1_000_000, VOLUME);
        let mut all: Vec<Batch> = (0..3)
            .flat_map(|client| {
                (0..)
                    .map_while(move |turn| Some((client, turn)))
                    .map_while(|(client, turn)| schedule.batch(client, turn))
                    .collect::<Vec<_>>()
            })
            .collect();
        all.sort_by_key(|batch| batch.intended);
        assert_eq!(all.iter().map(|batch| batch.requests).sum::<u64>(), 10_000);
        assert_eq!(all.len() as u64, schedule.batches());
        assert!(all.windows(2).all(|pair| pair[1].intended - pair[0].intended == 3200));
        assert_eq!((all[0].intended, schedule.end()), (1_000_000, 3_000_000));
    }

    #[test]
    fn a_plan_that_ends_early_keeps_what_was_due() {
        let schedule = Schedule::new(1_000_000, VOLUME);
        schedule.end_early(1_000_000 + 32_000);
        assert_eq!(schedule.batches(), 11);
        assert_eq!(schedule.requests(), 176);
        schedule.end_early(9_000_000);
        assert_eq!(schedule.batches(), 11, "it does not grow again");
    }
}
