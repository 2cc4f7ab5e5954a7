//! `slipway slots force-own`: the operator decides that a node owns slots whose owner is gone for good.

use super::check::server::Conversation;
use crate::cli::FAILED;
use crate::say;
use anyhow::Result;
use clap::Args;
use cluster::SlotRanges;
use protocol::frame::Value;
use std::process::ExitCode;

/// The flags of `slipway slots force-own`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ForceOwnArgs {
    /// The node that shall own them
    #[arg(long, value_name = "HOST:PORT")]
    node: String,
    /// Which slots, for example 0-99,512
    #[arg(long, value_name = "A-B[,C-D…]")]
    slots: SlotRanges,
    /// Where only a part of a slot has come in: drop that part, and own the slot without any key
    #[arg(long)]
    empty: bool,
    /// What the node wants to hear with AUTH
    #[arg(long, value_name = "PASSWORD", env = "SLIPWAY_NODE_PASSWORD", hide_env_values = true)]
    password: Option<String>,
}

pub(crate) fn run(args: &ForceOwnArgs) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(force(args)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(why) => {
            say::error(format_args!("{}: {why}", args.node));
            Ok(ExitCode::from(FAILED))
        }
    }
}

async fn force(args: &ForceOwnArgs) -> Result<(), String> {
    let mut node = Conversation::open(&args.node, args.password.as_deref()).await?;
    for slot in args.slots.iter() {
        let number = slot.to_string();
        let mut words = vec!["SLIPWAY", "FORCEOWN", &number];
        if args.empty {
            words.push("EMPTY");
        }
        let answer = node.ask(&words).await?;
        let numbers = answer.as_items().map(|items| items.iter().map(Value::as_int).collect());
        match (answer.as_error(), numbers.unwrap_or_else(Vec::new).as_slice()) {
            (Some(why), _) => return Err(why.to_owned()),
            (None, [Some(epoch), Some(keys)]) => say::result(format_args!(
                "slot {slot}: owned by {} from epoch {epoch} on, with {keys} keys",
                args.node
            )),
            _ => return Err("its answer makes no sense: is it a node of ours?".to_owned()),
        }
    }
    Ok(())
}
