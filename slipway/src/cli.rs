//! The command line: what can be asked, and the exit status.
//!
//! 0 done, 1 failed, 2 wrong usage, 3 done but something is not as it should be, 4 nobody answers.

use crate::{control_role, load, operate, proxy_role, say};
use clap::{Args, Parser, Subcommand};
use cluster::SlotRanges;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// It failed.
pub(crate) const FAILED: u8 = 1;
/// The command makes no sense.
pub(crate) const USAGE: u8 = 2;
/// It was done, and something is not as it should be.
pub(crate) const DEGRADED: u8 = 3;
/// Nobody answers.
pub(crate) const UNREACHABLE: u8 = 4;

/// A cluster of Redis-protocol nodes behind a proxy, whose slots move under live traffic and no client notices
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 3 done but something is not as it should be, 4 nobody answers.
#[derive(Debug, Parser)]
#[command(name = "slipway", version = service::telemetry::VERSION, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a whole cluster in one process: controller, groups of one node, proxy
    #[cfg(feature = "node")]
    Up(crate::up::UpArgs),
    /// Run one storage node
    #[cfg(feature = "node")]
    Node(RoleArgs),
    /// Run one proxy, with our own proxy.toml or with codis-proxy's and its flags
    #[command(disable_help_flag = true)]
    Proxy(proxy_role::ProxyArgs),
    /// Run the controller
    Control(RoleArgs),
    /// Say how the cluster is; exit status 3 if something is not as it should be
    Status(ShowArgs),
    /// List the slots: who owns them, and which are on their way
    Slots(SlotsArgs),
    /// Move slots to a group, and watch until they have arrived
    Migrate(MigrateArgs),
    /// Let nothing begin and no slot change hands, until `resume`
    Pause(WordArgs),
    /// Go on, and take up again what had failed
    Resume(WordArgs),
    /// Call moves off: the slots stay whole where they are
    Abort(WordArgs),
    /// Limit how fast nodes copy slots
    Pace(PaceArgs),
    /// Say what happened, the oldest first
    History(ShowArgs),
    /// Say that a proxy is gone for good, so that slots may leave nodes that are not ours without its word
    ForgetProxy(ForgetProxyArgs),
    /// Say what stands in the way of moves in a product of Codis; exit status 3 if something does
    Check(operate::check::CheckArgs),
    /// Take a product of Codis over whose servers are nodes of ours, or give it back to its dashboard
    Adopt(Box<operate::adopt::AdoptArgs>),
    /// Put load on a server, and check every reply and the final state of every key
    Load(Box<load::LoadArgs>),
}

/// The flags of a role in a process of its own.
#[derive(Args, Clone, Debug)]
pub(crate) struct RoleArgs {
    /// Its settings; the files in config/ explain every key
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Check the file and do nothing else
    #[arg(long)]
    pub(crate) check: bool,
}

/// Where the controller is, and how to print.
#[derive(Args, Clone, Debug)]
pub(crate) struct ShowArgs {
    /// The controller's admin address
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_ADMIN, env = "SLIPWAY_ADMIN")]
    pub(crate) admin: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags of `slipway slots`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SlotsArgs {
    #[command(subcommand)]
    pub(crate) word: Option<SlotsWord>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// What else can be done with slots.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SlotsWord {
    /// Make a node the owner of slots whose owner is gone for good: what only the lost owner had is lost
    ForceOwn(operate::force_own::ForceOwnArgs),
}

/// Where `slipway up` has its controller unless it is told otherwise.
pub(crate) const DEFAULT_ADMIN: &str = "127.0.0.1:11080";

/// The flags of `slipway migrate`.
#[derive(Args, Clone, Debug)]
pub(crate) struct MigrateArgs {
    /// Which slots, for example 0-99,512
    #[arg(long, value_name = "A-B[,C-D…]")]
    pub(crate) slots: SlotRanges,
    /// The group that shall own them
    #[arg(long, value_name = "GROUP")]
    pub(crate) to: u32,
    /// Say what would move, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not wait
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// The flags of `slipway pause`, `resume` and `abort`.
#[derive(Args, Clone, Debug)]
pub(crate) struct WordArgs {
    /// Only these slots, for example 0-99,512 [default: everything]
    #[arg(long, value_name = "A-B[,C-D…]")]
    pub(crate) slots: Option<SlotRanges>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// The flags of `slipway pace`.
#[derive(Args, Clone, Debug)]
pub(crate) struct PaceArgs {
    /// Bytes a second out of each node, for example 50M; 0 for no limit
    #[arg(value_name = "BYTES", value_parser = operate::human::parse_bytes)]
    pub(crate) bytes: u64,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// The flags of `slipway forget-proxy`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ForgetProxyArgs {
    /// As `slipway status` names it
    #[arg(value_name = "PROXY")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> ExitCode {
    if let Some(flags) = as_codis_proxy(std::env::args_os()) {
        return ended(proxy_role::run(&flags, proxy_role::Name::Codis));
    }
    ended(match Cli::parse().command {
        #[cfg(feature = "node")]
        Command::Up(args) => crate::up::run(&args),
        #[cfg(feature = "node")]
        Command::Node(args) => crate::node_role::run(&args),
        Command::Proxy(args) => proxy_role::run(&args.flags, proxy_role::Name::Slipway),
        Command::Control(args) => control_role::run(&args),
        Command::Status(args) => operate::status(&args),
        Command::Slots(args) => operate::slots(&args),
        Command::Migrate(args) => operate::migrate(&args),
        Command::Pause(args) => operate::word(operate::Word::Pause, &args),
        Command::Resume(args) => operate::word(operate::Word::Resume, &args),
        Command::Abort(args) => operate::word(operate::Word::Abort, &args),
        Command::Pace(args) => operate::pace(&args),
        Command::History(args) => operate::history(&args),
        Command::ForgetProxy(args) => operate::forget_proxy(&args),
        Command::Check(args) => operate::check::run(&args),
        Command::Adopt(args) => operate::adopt::run(&args),
        Command::Load(args) => load::run(*args),
    })
}

/// The flags, if the program was called by a link named codis-proxy.
fn as_codis_proxy(mut args: impl Iterator<Item = OsString>) -> Option<Vec<String>> {
    let program = args.next()?;
    let is_codis = Path::new(&program).file_name()? == proxy_role::CODIS_NAME;
    is_codis.then(|| args.map(|arg| arg.to_string_lossy().into_owned()).collect())
}

fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        say::error(format_args!("{error:#}"));
        ExitCode::from(FAILED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn migrate_takes_ranges_and_a_group() {
        let Ok(Command::Migrate(args)) = parse("slipway migrate --slots 0-9,12 --to 2 --json")
        else {
            panic!("not understood")
        };
        assert_eq!((args.slots.to_string().as_str(), args.to, args.show.json), ("0-9,12", 2, true));
        assert_eq!(args.show.admin, DEFAULT_ADMIN);
    }

    #[test]
    fn wrong_usage_names_what_is_wrong() {
        for (line, what) in [
            ("slipway migrate --slots 9-1 --to 2", "runs backwards"),
            ("slipway migrate --slots x --to 2", "no slot or range"),
            ("slipway migrate --slots 1", "--to"),
            ("slipway migrate --slots 1 --to 2 --dry-run --detach", "cannot be used with"),
            ("slipway pace fast", "fast"),
            ("slipway control", "--config"),
        ] {
            let error = parse(line).map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(USAGE), "{line}");
            assert!(error.to_string().contains(what), "{line}: {error}");
        }
    }

    #[test]
    fn flags_of_a_proxy_are_codis_proxys() {
        let line = "slipway proxy -c F --host-admin A:1 --ncpu=4 --help";
        let Ok(Command::Proxy(args)) = parse(line) else { panic!("not understood") };
        assert_eq!(args.flags.join(" "), "-c F --host-admin A:1 --ncpu=4 --help");
        let called = |line: &str| as_codis_proxy(line.split(' ').map(OsString::from));
        assert_eq!(called("/usr/bin/codis-proxy -c F"), Some(vec!["-c".into(), "F".into()]));
        assert_eq!(called("./slipway proxy -c F"), None);
    }

    #[cfg(feature = "node")]
    #[test]
    fn up_needs_no_flags() {
        assert!(matches!(parse("slipway up"), Ok(Command::Up(_))));
        assert!(parse("slipway up --slots 0").is_err());
        assert!(parse("slipway up --groups 0").is_err());
    }
}
