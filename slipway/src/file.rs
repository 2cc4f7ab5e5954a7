//! What the configuration files of several roles have in common. Each role's own file is beside its role.

use proxy::config::FractionalScores;
use serde::Deserialize;
use std::time::Duration;

/// A duration as files have it: a number of milliseconds.
pub(crate) fn ms(number: Option<u64>) -> Option<Duration> {
    number.map(Duration::from_millis)
}

/// What a file says; what it does not say stays as it is.
pub(crate) fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// The section `request`: how large a request of a client may be.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the keys of the file")]
pub(crate) struct Request {
    frame_bytes_max: Option<usize>,
    bulk_bytes_max: Option<usize>,
    args_max: Option<usize>,
    inline_bytes_max: Option<usize>,
}

impl Request {
    pub(crate) fn into(self, limits: &mut protocol::slicer::Limits) {
        set(&mut limits.frame_bytes_max, self.frame_bytes_max);
        set(&mut limits.bulk_bytes_max, self.bulk_bytes_max);
        set(&mut limits.args_max, self.args_max);
        set(&mut limits.inline_bytes_max, self.inline_bytes_max);
    }
}

/// What becomes of a slot with scores that Pika would round, as files have it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scores {
    Refuse,
    Round,
}

impl From<Scores> for FractionalScores {
    fn from(scores: Scores) -> Self {
        match scores {
            Scores::Refuse => Self::Refuse,
            Scores::Round => Self::Round,
        }
    }
}
