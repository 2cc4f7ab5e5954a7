//! COMMAND: what is known of commands.

use super::super::{Outcome, Request, find, subcommand};
use crate::session::Session;
use protocol::command::{Command, command_docs, command_info, getkeys, lookup, table};
use protocol::reply::Reply;

pub(super) fn command(session: &mut Session, request: Request<'_>) -> Outcome {
    if request.len() == 1 {
        all(&mut session.reply());
        return Ok(());
    }
    match subcommand("command", request)? {
        "count" => session.reply().int(served().count() as i64),
        "info" if request.len() == 2 => all(&mut session.reply()),
        "info" => {
            let mut reply = session.reply();
            reply.array(request.len() - 2);
            for name in request.from(2) {
                match lookup(name).filter(|command| find(command.id).is_some()) {
                    Some(command) => command_info(command, &mut reply),
                    None => reply.null_array(),
                }
            }
        }
        "docs" => {
            let wanted: Vec<&Command> = if request.len() == 2 {
                served().collect()
            } else {
                request.from(2).filter_map(lookup).collect()
            };
            let mut reply = session.reply();
            reply.map(wanted.len());
            wanted.iter().for_each(|command| command_docs(command, &mut reply));
        }
        "list" => {
            let mut reply = session.reply();
            reply.array(served().count());
            served().for_each(|command| reply.bulk(command.name.as_bytes()));
        }
        "getkeys" => getkeys(request.frame, request.args, &mut session.reply()),
        other => {
            return Err(protocol::reply::errors::refused(
                &format!("command|{other}"),
                "this node does not know it",
            )
            .into());
        }
    }
    Ok(())
}

fn served() -> impl Iterator<Item = &'static Command> {
    table().iter().filter(|command| find(command.id).is_some())
}

fn all(reply: &mut Reply<'_>) {
    reply.array(served().count());
    served().for_each(|command| command_info(command, reply));
}
