//! COMMAND: what is known of the commands that this node serves.

use super::super::{Outcome, Request, find};
use crate::session::Session;
use protocol::command::answer;

pub(super) fn command(session: &mut Session, request: Request<'_>) -> Outcome {
    let serves = |command: &protocol::command::Command| find(command.id).is_some();
    answer(request.frame, request.args, serves, &mut session.reply());
    Ok(())
}
