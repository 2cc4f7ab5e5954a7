//! The operator's tool: asks the controller over its admin port, and prints.

pub(crate) mod adopt;
pub(crate) mod check;
pub(crate) mod force_own;
pub(crate) mod human;
mod migrate;
mod progress;
mod show;

use crate::cli::{
    FAILED, ForgetProxyArgs, MigrateArgs, PaceArgs, ShowArgs, SlotsArgs, SlotsWord, UNREACHABLE,
    USAGE, WordArgs,
};
use crate::say;
use anyhow::Result;
use control::docs::{Pace, SlotsRequest};
use control::{Client, ClientError};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// How long one answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// How often the controller is asked.
const PERIOD: Duration = Duration::from_millis(200);

/// How long the controller may be away once it has been there: it may be restarted.
const AWAY_MAX: Duration = Duration::from_mins(1);

/// What can be said about moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Pause,
    Resume,
    Abort,
}

pub(crate) fn status(args: &ShowArgs) -> Result<ExitCode> {
    ask(args, async |client| {
        let status = client.status().await?;
        Ok(show::status(&status, args.json))
    })
}

pub(crate) fn slots(args: &SlotsArgs) -> Result<ExitCode> {
    if let Some(SlotsWord::ForceOwn(args)) = &args.word {
        return force_own::run(args);
    }
    let args = &args.show;
    ask(args, async |client| {
        show::slots(&client.slots().await?, args.json);
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn history(args: &ShowArgs) -> Result<ExitCode> {
    ask(args, async |client| {
        show::history(&client.history().await?, args.json);
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn forget_proxy(args: &ForgetProxyArgs) -> Result<ExitCode> {
    ask(&args.show, async |client| {
        let proxy = client.forget_proxy(&args.name).await?;
        show::forgotten(&proxy, args.show.json);
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn migrate(args: &MigrateArgs) -> Result<ExitCode> {
    ask(&args.show, async |client| migrate::run(&client, args).await)
}

pub(crate) fn word(word: Word, args: &WordArgs) -> Result<ExitCode> {
    ask(&args.show, async |client| {
        let request = SlotsRequest { slots: args.slots.as_ref().map(ToString::to_string) };
        let changed = match word {
            Word::Pause => until_answered(async || client.pause(&request).await).await?,
            Word::Resume => until_answered(async || client.resume(&request).await).await?,
            Word::Abort => until_answered(async || client.abort(&request).await).await?,
        };
        show::changed(word, &changed, args.show.json);
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn pace(args: &PaceArgs) -> Result<ExitCode> {
    ask(&args.show, async |client| {
        let pace = client.pace(Pace { bytes: args.bytes }).await?;
        show::pace(pace, args.show.json);
        Ok(ExitCode::SUCCESS)
    })
}

/// Asks until there is an answer: a controller that dies over a request may be restarted, and all our words may be said twice. That nobody
/// is there at first is an answer.
async fn until_answered<T>(
    ask: impl AsyncFn() -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let mut lost: Option<Instant> = None;
    loop {
        let error = match ask().await {
            Err(error @ ClientError::Unanswered(_)) => error,
            Err(error @ ClientError::Unreachable(_)) if lost.is_some() => error,
            result => return result,
        };
        let since = *lost.get_or_insert_with(|| {
            say::note(format_args!("{error}; asking again for up to {AWAY_MAX:?}"));
            Instant::now()
        });
        if since.elapsed() > AWAY_MAX {
            return Err(error);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Runs one conversation with the controller; its errors become exit statuses.
fn ask(
    args: &ShowArgs,
    talk: impl AsyncFnOnce(Client) -> Result<ExitCode, ClientError>,
) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(&args.admin, ANSWER_TIME);
    Ok(runtime.block_on(talk(client)).unwrap_or_else(|error| ExitCode::from(complain(&error))))
}

/// Says what went wrong and what to do; returns the exit status.
fn complain(error: &ClientError) -> u8 {
    say::error(error);
    let (status, what_to_do) = match error {
        ClientError::Unreachable(_) => (
            UNREACHABLE,
            "start it with `slipway up`, or name its admin address with --admin HOST:PORT",
        ),
        ClientError::Unanswered(_) => (
            UNREACHABLE,
            "it may have been restarted; what was asked may have happened: look at `slipway status`",
        ),
        ClientError::Refused(why) => (USAGE, why.what_to_do.as_str()),
        ClientError::Unable(why) => (FAILED, why.what_to_do.as_str()),
        ClientError::Foreign(_) => {
            (FAILED, "name the controller's admin address with --admin HOST:PORT")
        }
    };
    if !what_to_do.is_empty() {
        say::note(format_args!("  → {what_to_do}"));
    }
    status
}

/// Prints a document as one line of JSON.
fn json(document: &impl Serialize) {
    match serde_json::to_string(document) {
        Ok(text) => say::result(text),
        Err(error) => say::error(format_args!("the answer cannot be written as JSON: {error}")),
    }
}
