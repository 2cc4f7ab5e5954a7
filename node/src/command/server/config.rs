//! CONFIG.

use super::super::{Outcome, Request, subcommand};
use crate::session::Session;
use protocol::help;
use protocol::reply::errors;

pub(super) fn config(session: &mut Session, request: Request<'_>) -> Outcome {
    match subcommand("config", request)? {
        "get" => {
            let patterns: Vec<&[u8]> = request.from(2).collect();
            let found = session.shared.settings.find(&patterns);
            let mut reply = session.reply();
            reply.map(found.len());
            for (name, value) in found {
                reply.bulk(name.as_bytes());
                reply.bulk(value.as_bytes());
            }
        }
        "set" => {
            if !request.len().is_multiple_of(2) {
                return Err(errors::SYNTAX.into());
            }
            let pairs: Vec<(&[u8], &[u8])> = (2..request.len())
                .step_by(2)
                .map(|at| (request.get(at), request.get(at + 1)))
                .collect();
            session.shared.settings.set(&pairs)?;
            session.reply().ok();
        }
        "resetstat" => {
            session.shared.stats.reset();
            session.reply().ok();
        }
        "rewrite" => {
            let Some(file) = &session.shared.config.file else {
                return Err("ERR The server is running without a config file".into());
            };
            if let Err(error) = session.shared.settings.rewrite(file) {
                tracing::error!(file = %file.display(), %error, "CONFIG REWRITE has written nothing");
                return Err(format!("ERR Rewriting config file: {error}").into());
            }
            session.reply().ok();
        }
        _ => session.reply().help("CONFIG", help::CONFIG),
    }
    Ok(())
}
