//! Compares all data of the two servers: each key's type, value and time to live, in each database that rounds write to.

use super::{Duel, Pair, Request, Stop};
use crate::differential::compare::mismatches;
use crate::differential::wire::{Reply, words};

const DATABASES: [u8; 4] = [0, 1, 2, 15];

impl Duel<'_> {
    pub(super) fn compare_data(&self, control: &mut Pair) -> Result<(), Stop> {
        let compared =
            DATABASES.into_iter().try_for_each(|database| self.compare_database(control, database));
        compared.map_err(|stop| Stop { in_data: true, ..stop })
    }

    fn compare_database(&self, control: &mut Pair, database: u8) -> Result<(), Stop> {
        let begin = [words(&format!("SELECT {database}")), words("KEYS *"), words("DBSIZE")];
        let replies = self.ask(control, &begin)?;
        let keys: Vec<_> =
            replies[1].items().unwrap_or_default().iter().filter_map(Reply::bulk).collect();
        let types: Vec<Request> =
            keys.iter().map(|key| vec![b"TYPE".to_vec(), key.to_vec()]).collect();
        let types = self.ask(control, &types)?;
        let values = keys.iter().zip(types).flat_map(|(key, kind)| {
            let key = key.to_vec();
            let read = match &kind {
                Reply::Line(line) => match line.as_slice() {
                    b"+string" => vec![b"GET".to_vec(), key.clone()],
                    b"+hash" => vec![b"HGETALL".to_vec(), key.clone()],
                    b"+set" => vec![b"SMEMBERS".to_vec(), key.clone()],
                    b"+list" => [vec![b"LRANGE".to_vec(), key.clone()], words("0 -1")].concat(),
                    b"+zset" => {
                        [vec![b"ZRANGE".to_vec(), key.clone()], words("0 -1 WITHSCORES")].concat()
                    }
                    _ => vec![b"TYPE".to_vec(), key.clone()],
                },
                _ => vec![b"TYPE".to_vec(), key.clone()],
            };
            [read, vec![b"PTTL".to_vec(), key]]
        });
        self.ask(control, &values.collect::<Vec<_>>()).map(drop)
    }

    /// Sends requests to both; the replies of Redis, if the other ones are the same.
    fn ask(&self, control: &mut Pair, requests: &[Request]) -> Result<Vec<Reply>, Stop> {
        let redis = control.redis.pipeline(requests);
        let slipway = control.slipway.pipeline(requests);
        for (request, (redis, slipway)) in requests.iter().zip(redis.iter().zip(slipway)) {
            for mismatch in mismatches(request, &[], redis, &slipway) {
                if !self.allowed.has(&mismatch) {
                    return Err(Stop { mismatch, in_data: true });
                }
            }
        }
        Ok(redis)
    }
}
