//! `slipway proxy`: one proxy in a process of its own. Its file says which kind it is: our own, or codis-proxy's.

mod own;
mod stand_in;

use crate::cli::{RoleArgs, USAGE};
use crate::say;
use anyhow::{Context, Result};
use clap::Args;
use codis::config::is_codis;
use codis::flags::{self, Invocation};
use std::path::PathBuf;
use std::process::ExitCode;

/// The flags of `slipway proxy`: our own and all of codis-proxy.
#[derive(Args, Clone, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct ProxyArgs {
    /// --config FILE [--check], and with a file of codis-proxy all its flags: see --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    pub(crate) flags: Vec<String>,
}

/// The name under which the program is codis-proxy.
pub(crate) const CODIS_NAME: &str = "codis-proxy";

/// How we were called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// `slipway proxy`
    Slipway,
    /// `codis-proxy`, by a link of that name.
    Codis,
}

/// What we have beside codis-proxy's flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Extra {
    check: bool,
    token: Option<String>,
}

pub(crate) fn run(flags: &[String], name: Name) -> Result<ExitCode> {
    let wrong = match name {
        Name::Slipway => USAGE,
        // As codis-proxy ends.
        Name::Codis => crate::cli::FAILED,
    };
    if flags.is_empty() && name == Name::Slipway {
        say::error(
            "what shall it do? write --config FILE; config/ and config/codis/ explain every key",
        );
        return Ok(ExitCode::from(wrong));
    }
    let read = Extra::take(flags)
        .and_then(|(extra, rest)| Ok((extra, flags::parse(&rest).map_err(|e| e.to_string())?)));
    let (extra, invocation) = match read {
        Ok(read) => read,
        Err(error) => {
            say::error(error);
            say::note(usage());
            return Ok(ExitCode::from(wrong));
        }
    };
    let flags = match invocation {
        Invocation::Help => {
            say::result(usage());
            return Ok(ExitCode::SUCCESS);
        }
        Invocation::DefaultConfig => {
            say::result(codis::config::default_text(codis::Flavour::Upstream).trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        Invocation::Version => {
            say::result(format_args!("version: {}", service::telemetry::VERSION));
            say::result(format_args!(
                "compile: {}",
                service::telemetry::COMMIT.unwrap_or("unknown")
            ));
            return Ok(ExitCode::SUCCESS);
        }
        Invocation::Run(flags) => *flags,
    };
    let text = match &flags.config {
        None => String::new(),
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?
        }
    };
    if !is_codis(&text) {
        return run_own(flags, &extra);
    }
    stand_in::run(stand_in::Start { text, flags, check: extra.check, token: extra.token })
}

fn run_own(flags: flags::Flags, extra: &Extra) -> Result<ExitCode> {
    let config = flags.config.clone().unwrap_or_default();
    let only_config = flags::Flags { config: Some(config.clone()), ..Default::default() };
    if flags != only_config || extra.token.is_some() {
        say::error(format_args!(
            "{config} is a file of slipway's own, with which only --config and --check go; \
             the other flags go with a proxy.toml of codis-proxy"
        ));
        return Ok(ExitCode::from(USAGE));
    }
    own::run(&RoleArgs { config: PathBuf::from(config), check: extra.check })
}

impl Extra {
    /// Takes our own flags out of the others.
    fn take(flags: &[String]) -> Result<(Self, Vec<String>), String> {
        let mut extra = Self::default();
        let mut rest = Vec::new();
        let mut flags = flags.iter();
        while let Some(flag) = flags.next() {
            if flag == "--check" {
                extra.check = true;
            } else if flag == "--token" {
                let token = flags.next().ok_or("--token needs a value")?;
                extra.token = Some(token.clone());
            } else if let Some(token) = flag.strip_prefix("--token=") {
                extra.token = Some(token.to_owned());
            } else {
                rest.push(flag.clone());
            }
        }
        Ok((extra, rest))
    }
}

fn usage() -> String {
    format!(
        "{}    --version                  who we are\n\n\
         Of slipway alone:\n    \
         --check                    check the configuration and do nothing else\n    \
         --token=TOKEN              the proxy's name in the dashboard, instead of one made of its network interfaces\n\n\
         With a proxy.toml of slipway's own there are --config and --check only.",
        flags::USAGE
    )
}

/// What the kernel says of the machine.
fn kernel(what: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/kernel/{what}"));
    text.unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn our_own_flags_are_taken_out_of_codis() {
        let (extra, rest) = Extra::take(&words("-c F --token=T --check -l L")).unwrap();
        assert_eq!(extra, Extra { check: true, token: Some("T".to_owned()) });
        assert_eq!(rest, words("-c F -l L"));
        let (extra, rest) = Extra::take(&words("--token T")).unwrap();
        assert_eq!((extra.token.as_deref(), rest.len()), (Some("T"), 0));
        assert!(Extra::take(&words("--token")).is_err());
    }

    #[test]
    fn the_usage_names_what_is_ours_too() {
        for flag in ["--check", "--token", "--dashboard", "--version"] {
            assert!(usage().contains(flag), "{flag}");
        }
    }
}
