//! What is asked over the API: documents, and the operator's words.

use super::{Driver, Peer};
use crate::docs::{MoveRequest, Pace, ProxyForget, ProxyReport, Refusal, SlotsRequest};
use crate::planner::{self, refusal};
use crate::state::{Change, PlanId};
use cluster::SlotRanges;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;

/// Something that is asked of the controller.
#[derive(Debug)]
pub(crate) enum Ask {
    Status,
    Slots,
    Moves(Option<PlanId>),
    History,
    Move(MoveRequest),
    Pause(SlotsRequest),
    Resume(SlotsRequest),
    Abort(SlotsRequest),
    Pace(Pace),
    Proxy(ProxyReport),
    Forget(ProxyForget),
}

/// What is asked, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) answer: oneshot::Sender<Result<Value, Denied>>,
}

/// Why there is no answer, by who is to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The request makes no sense here.
    Wrong(Refusal),
    /// There is no such thing.
    Missing(Refusal),
    /// The controller cannot do it now.
    Unable(Refusal),
}

impl Driver {
    pub(super) async fn answer(&mut self, asked: Asked) {
        let answer = self.reply(asked.ask).await;
        // Whoever asked may have gone meanwhile.
        let _ = asked.answer.send(answer);
    }

    async fn reply(&mut self, ask: Ask) -> Result<Value, Denied> {
        match ask {
            Ask::Status => json(&self.status()),
            Ask::Slots => json(&self.slots()),
            Ask::Moves(plan) => json(&self.moves(plan)?),
            Ask::History => json(&self.history()),
            Ask::Move(request) => self.plan(&request).await,
            Ask::Pause(request) => {
                let slots = ranges(&request)?;
                let (done, change) =
                    planner::pause(&self.state, slots.as_ref()).map_err(Denied::Wrong)?;
                self.obey(change).await?;
                json(&done)
            }
            Ask::Resume(request) => {
                let slots = ranges(&request)?;
                let (done, change) =
                    planner::resume(&self.state, slots.as_ref()).map_err(Denied::Wrong)?;
                self.obey(change).await?;
                self.retry_at.clear();
                json(&done)
            }
            Ask::Abort(request) => {
                let slots = ranges(&request)?;
                let (done, change) =
                    planner::abort(&self.state, slots.as_ref()).map_err(Denied::Wrong)?;
                self.obey(change).await?;
                json(&done)
            }
            Ask::Proxy(report) => json(&self.heard_proxy(report).await?),
            Ask::Forget(request) => json(&self.forget_proxy(&request).await?),
            Ask::Pace(pace) => {
                self.obey(planner::pace(pace.bytes).map_err(Denied::Wrong)?).await?;
                self.peers.values_mut().for_each(Peer::new_pace);
                json(&pace)
            }
        }
    }

    async fn plan(&mut self, request: &MoveRequest) -> Result<Value, Denied> {
        let slots: SlotRanges = request.slots.parse().map_err(|error: String| {
            Denied::Wrong(refusal(error, "name slots as in --slots 0-99,512"))
        })?;
        let (mut planned, change) =
            planner::plan(&self.state, &slots, request.to).map_err(Denied::Wrong)?;
        if request.dry_run {
            planned.plan = None;
        } else {
            self.obey(change).await?;
        }
        json(&planned)
    }

    pub(super) async fn obey(&mut self, change: Change) -> Result<(), Denied> {
        self.apply(vec![change]).await.map_err(|error| {
            Denied::Unable(refusal(
                error,
                "nothing was changed; repair the disk and repeat the command",
            ))
        })
    }
}

fn ranges(request: &SlotsRequest) -> Result<Option<SlotRanges>, Denied> {
    let Some(text) = &request.slots else { return Ok(None) };
    let parsed = text.parse().map(Some);
    parsed
        .map_err(|error: String| Denied::Wrong(refusal(error, "name slots as in --slots 0-99,512")))
}

fn json(document: &impl Serialize) -> Result<Value, Denied> {
    serde_json::to_value(document).map_err(|e| {
        Denied::Unable(refusal(format!("the answer is no JSON: {e}"), "please report this bug"))
    })
}
