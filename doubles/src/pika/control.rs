//! `DOUBLE …`: what a test says to a double and to no Pika.

use super::Pika;
use super::settings::{FAULTS, Fault};
use crate::commands::{Refused, int};
use crate::store::Bytes;
use crate::wire::After;
use protocol::reply::{Reply, errors};
use std::sync::Arc;
use std::time::Duration;

impl Pika {
    /// `DOUBLE …`, which no Pika has: a test turns faults on and off, changes the pace, or lets the process crash.
    pub(super) fn control(
        self: &Arc<Self>,
        words: &[Bytes],
        out: &mut Reply<'_>,
    ) -> Result<After, Refused> {
        let text =
            |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).to_lowercase());
        let ms = || text(2).and_then(|ms| int(ms.as_bytes())).unwrap_or(0).unsigned_abs();
        match text(1).unwrap_or_default().as_str() {
            "restart" => {
                let pika = Arc::clone(self);
                tokio::spawn(async move { pika.restart().await });
            }
            "die" => return Ok(After::Die("asked to".to_owned())),
            "pace" => self.data().settings.pace = Duration::from_millis(ms()),
            "stall" => self.data().settings.stall = Duration::from_millis(ms()),
            "ending" => self.data().settings.ending = Duration::from_millis(ms()),
            "fault" => {
                let fault = text(2).unwrap_or_default().parse::<Fault>();
                let fault = fault.map_err(|error| format!("ERR {error}"))?;
                let faults = &mut self.data().settings.faults;
                match text(3).as_deref() {
                    Some("off") => faults.remove(fault),
                    _ => faults.add(fault),
                }
            }
            "faults" => {
                let faults = self.data().settings.faults;
                let on: Vec<_> = FAULTS.iter().filter(|(fault, ..)| faults.has(*fault)).collect();
                out.array(on.len());
                on.iter().for_each(|(_, name, _)| out.bulk(name.as_bytes()));
                return Ok(After::Go);
            }
            _ => return Err(errors::SYNTAX.into()),
        }
        out.ok();
        Ok(After::Go)
    }
}
