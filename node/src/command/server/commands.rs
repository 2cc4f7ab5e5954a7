//! COMMAND: what is known of the commands that this node serves.

use super::super::{Outcome, Request, find};
use crate::session::Session;
use protocol::command::Command;

pub(super) fn command(session: &mut Session, request: Request<'_>) -> Outcome {
    protocol::command::answer(request.frame, request.args, serves, &mut session.reply());
    Ok(())
}

/// Words between our own parts are not for clients.
fn serves(command: &Command) -> bool {
    command.is_served() && find(command.id).is_some()
}
