//! codis-proxy's command line, read as docopt reads it: options in any order, `--name value` or `--name=value`, `-cFILE` or `-c FILE`, and long
//! names cut short as far as they stay unique.

use crate::Error;
use crate::config::{Coordinator, Overrides};
use crate::gonumber;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    Run(Box<Flags>),
    /// Print the default file, exit 0.
    DefaultConfig,
    /// Print `version: …` and `compile: …`, exit 0.
    Version,
    /// Print [`USAGE`], exit 0.
    Help,
}

/// The options of a proxy that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Threads; codis-proxy's default is 4.
    pub ncpu: Option<u32>,
    /// Accepted: there is nothing that scales by itself.
    pub max_ncpu: Option<u32>,
    pub config: Option<String>,
    /// The path of the log, to which the date is added; standard error if missing.
    pub log: Option<String>,
    pub log_level: Option<LogLevel>,
    /// Refuse to start with fewer file descriptors.
    pub ulimit: Option<u64>,
    pub pidfile: Option<String>,
    /// Names, passwords and announced addresses that go over the file's.
    pub overrides: Overrides,
    pub online: Online,
}

/// Who fills the slots of a proxy that has just started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Online {
    /// An operator, some time.
    #[default]
    Waits,
    /// The dashboard at this address is asked to.
    Dashboard(String),
    /// The dashboard that the coordinator knows is asked to. `auth`: `user:password`.
    Coordinator { kind: Coordinator, addr: String, auth: Option<String> },
    /// This file says.
    File(String),
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    None,
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    /// Reads a level, in any case: on the command line and in the admin API.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "NONE" => Self::None,
            "ERROR" => Self::Error,
            "WARN" | "WARNING" => Self::Warn,
            "INFO" => Self::Info,
            "DEBUG" => Self::Debug,
            _ => return None,
        })
    }
}

/// What `--help` prints, and what goes with an error.
pub const USAGE: &str = "\
Usage:
    codis-proxy [--ncpu=N [--max-ncpu=MAX]] [--config=CONF] [--log=FILE] [--log-level=LEVEL]
                [--host-admin=ADDR] [--host-proxy=ADDR]
                [--dashboard=ADDR | --zookeeper=ADDR [--zookeeper-auth=USR:PWD] | --etcd=ADDR [--etcd-auth=USR:PWD]
                 | --filesystem=ROOT | --fillslots=FILE]
                [--ulimit=NLIMIT] [--pidfile=FILE] [--product_name=NAME] [--product_auth=AUTH] [--session_auth=AUTH]
    codis-proxy --default-config
    codis-proxy --version

Options:
    --ncpu=N                   threads
    --max-ncpu=MAX             accepted, and without effect
    -c CONF, --config=CONF     the configuration; all defaults without one
    -l FILE, --log=FILE        the log, one file a day; standard error without one
    --log-level=LEVEL          ERROR, WARN, INFO, DEBUG or NONE
    --host-admin=ADDR          the address the dashboard is told
    --host-proxy=ADDR          the address clients are told
    --dashboard=ADDR           ask this dashboard for the slots
    --zookeeper=ADDR           ask the dashboard that is registered there; also --etcd=ADDR, --filesystem=ROOT
    --fillslots=FILE           read the slots from a file
    --ulimit=NLIMIT            refuse to start with fewer file descriptors
    --pidfile=FILE             where the number of the process goes
    -h, --help                 this text
";

/// An option: its long name, its letter, and whether it takes a value.
struct Opt {
    name: &'static str,
    letter: Option<char>,
    takes: Takes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Value,
    Nothing,
}

const fn value(name: &'static str) -> Opt {
    Opt { name, letter: None, takes: Takes::Value }
}

const OPTIONS: [Opt; 20] = [
    value("ncpu"),
    value("max-ncpu"),
    Opt { letter: Some('c'), ..value("config") },
    Opt { letter: Some('l'), ..value("log") },
    value("log-level"),
    value("host-admin"),
    value("host-proxy"),
    value("dashboard"),
    value("zookeeper"),
    value("zookeeper-auth"),
    value("etcd"),
    value("etcd-auth"),
    value("filesystem"),
    value("fillslots"),
    value("ulimit"),
    value("pidfile"),
    value("product_name"),
    value("product_auth"),
    value("session_auth"),
    Opt { takes: Takes::Nothing, ..value("default-config") },
];
const ALONE: [Opt; 2] = [
    Opt { takes: Takes::Nothing, ..value("version") },
    Opt { letter: Some('h'), takes: Takes::Nothing, ..value("help") },
];

/// Only one of these.
const SOURCES: [&str; 5] = ["dashboard", "zookeeper", "etcd", "filesystem", "fillslots"];
/// The first only with the second.
const NEEDS: [(&str, &str); 3] =
    [("max-ncpu", "ncpu"), ("zookeeper-auth", "zookeeper"), ("etcd-auth", "etcd")];

/// Reads the arguments behind the program's name. An error goes to the terminal with [`USAGE`], and the exit code is 1.
pub fn parse(args: &[String]) -> Result<Invocation, Error> {
    let given = read(args).map_err(Error::Flags)?;
    let has = |name: &str| given.iter().any(|(other, _)| *other == name);
    if has("help") {
        return Ok(Invocation::Help);
    }
    for (name, invocation) in
        [("default-config", Invocation::DefaultConfig), ("version", Invocation::Version)]
    {
        if has(name) {
            return if given.len() == 1 {
                Ok(invocation)
            } else {
                Err(Error::Flags(format!("--{name} stands alone")))
            };
        }
    }
    let sources: Vec<_> = SOURCES.into_iter().filter(|name| has(name)).collect();
    if let [first, second, ..] = sources[..] {
        return Err(Error::Flags(format!("--{first} and --{second} exclude each other")));
    }
    if let Some((name, other)) = NEEDS.into_iter().find(|(name, other)| has(name) && !has(other)) {
        return Err(Error::Flags(format!("--{name} needs --{other}")));
    }
    flags(&given).map(|flags| Invocation::Run(Box::new(flags))).map_err(Error::Flags)
}

/// Options with their values, each at most once.
type Given = Vec<(&'static str, String)>;

fn read(args: &[String]) -> Result<Given, String> {
    let mut given = Given::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (option, attached) = if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = long
                .split_once('=')
                .map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
            (by_name(name)?, value)
        } else if let Some(letter) = arg.strip_prefix('-').and_then(|rest| rest.chars().next()) {
            let value = &arg[1 + letter.len_utf8()..];
            (by_letter(letter)?, (!value.is_empty()).then(|| value.to_owned()))
        } else {
            return Err(format!("unexpected argument {arg}"));
        };
        let value = match (option.takes, attached) {
            (Takes::Nothing, None) => String::new(),
            (Takes::Nothing, Some(_)) => return Err(format!("--{} takes no value", option.name)),
            (Takes::Value, Some(value)) => value,
            (Takes::Value, None) => {
                args.next().cloned().ok_or_else(|| format!("--{} needs a value", option.name))?
            }
        };
        if given.iter().any(|(name, _)| *name == option.name) {
            return Err(format!("--{} is there twice", option.name));
        }
        given.push((option.name, value));
    }
    Ok(given)
}

fn by_name(name: &str) -> Result<&'static Opt, String> {
    let all = || OPTIONS.iter().chain(&ALONE);
    if let Some(exact) = all().find(|option| option.name == name) {
        return Ok(exact);
    }
    let similar: Vec<_> =
        all().filter(|option| !name.is_empty() && option.name.starts_with(name)).collect();
    match similar[..] {
        [] => Err(format!("unknown option --{name}")),
        [one] => Ok(one),
        _ => {
            let names: Vec<_> = similar.iter().map(|option| format!("--{}", option.name)).collect();
            Err(format!("--{name} is not unique: it may be {}", names.join(", ")))
        }
    }
}

fn by_letter(letter: char) -> Result<&'static Opt, String> {
    let mut all = OPTIONS.iter().chain(&ALONE);
    all.find(|option| option.letter == Some(letter))
        .ok_or_else(|| format!("unknown option -{letter}"))
}

fn flags(given: &Given) -> Result<Flags, String> {
    let text =
        |name: &str| given.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone());
    let number = |name: &str| {
        let read = |value: String| {
            let number =
                gonumber::parse("Atoi", &value).map_err(|error| format!("--{name}: {error}"))?;
            u32::try_from(number)
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| format!("--{name} must be 1 to {}", u32::MAX))
        };
        text(name).map(read).transpose()
    };
    let level = |value: String| {
        LogLevel::parse(&value)
            .ok_or_else(|| format!("--log-level {value}: ERROR, WARN, INFO, DEBUG or NONE"))
    };
    let coordinator = |kind, name: &str, auth: &str| {
        text(name).map(|addr| Online::Coordinator { kind, addr, auth: text(auth) })
    };
    let online = [
        text("dashboard").map(Online::Dashboard),
        coordinator(Coordinator::ZooKeeper, "zookeeper", "zookeeper-auth"),
        coordinator(Coordinator::Etcd, "etcd", "etcd-auth"),
        coordinator(Coordinator::Filesystem, "filesystem", ""),
        text("fillslots").map(Online::File),
    ];
    Ok(Flags {
        ncpu: number("ncpu")?,
        max_ncpu: number("max-ncpu")?,
        config: text("config"),
        log: text("log"),
        log_level: text("log-level").map(level).transpose()?,
        ulimit: number("ulimit")?.map(u64::from),
        pidfile: text("pidfile"),
        overrides: Overrides {
            product_name: text("product_name"),
            product_auth: text("product_auth"),
            session_auth: text("session_auth"),
            host_admin: text("host-admin"),
            host_proxy: text("host-proxy"),
        },
        online: online.into_iter().flatten().next().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Result<Invocation, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&args).map_err(|error| error.to_string())
    }

    fn run(line: &str) -> Flags {
        match said(line) {
            Ok(Invocation::Run(flags)) => *flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_command_lines_of_shipped_deployments_are_read() {
        let script =
            run("--config=F --dashboard=A:1 --log=L --log-level=INFO --ncpu=4 --pidfile=P");
        assert_eq!(
            (script.config.as_deref(), script.log.as_deref(), script.ncpu),
            (Some("F"), Some("L"), Some(4))
        );
        assert_eq!(
            (script.log_level, script.online),
            (Some(LogLevel::Info), Online::Dashboard("A:1".to_owned()))
        );
        let kubernetes = run(
            "-l F -c F --host-admin 10.0.0.5:11080 --host-proxy 10.0.0.5:19000 --zookeeper Z --product_name N --pidfile F",
        );
        assert_eq!(kubernetes.overrides.host_proxy.as_deref(), Some("10.0.0.5:19000"));
        assert_eq!(kubernetes.overrides.product_name.as_deref(), Some("N"));
        let zookeeper =
            Online::Coordinator { kind: Coordinator::ZooKeeper, addr: "Z".to_owned(), auth: None };
        assert_eq!(kubernetes.online, zookeeper);
        let helm = run(
            "-l F -c F --host-admin A:1 --host-proxy A:2 --etcd E --etcd-auth u:p --log-level=DEBUG",
        );
        let etcd = Online::Coordinator {
            kind: Coordinator::Etcd,
            addr: "E".to_owned(),
            auth: Some("u:p".to_owned()),
        };
        assert_eq!((helm.online, helm.log_level), (etcd, Some(LogLevel::Debug)));
        let docker = run("-l F -c F --host-admin A:21080 --host-proxy A:29000");
        assert_eq!(docker.online, Online::Waits);
        let example = run("-cF --filesystem rootfs");
        assert_eq!(example.config.as_deref(), Some("F"));
        assert!(matches!(
            example.online,
            Online::Coordinator { kind: Coordinator::Filesystem, .. }
        ));
        assert_eq!(run(""), Flags::default());
        assert_eq!(
            run("--fillslots=F --ncpu=2 --max-ncpu=4 --ulimit=65536").online,
            Online::File("F".to_owned())
        );
    }

    #[test]
    fn names_may_be_cut_short_as_long_as_they_are_unique() {
        assert_eq!(run("--conf F").config.as_deref(), Some("F"));
        assert_eq!(run("--dash=A").online, Online::Dashboard("A".to_owned()));
        assert_eq!(run("--product_n x --log-l warning").log_level, Some(LogLevel::Warn));
        // A whole name is itself, though others begin with it.
        assert_eq!(run("--log F").log.as_deref(), Some("F"));
        assert_eq!(said("--vers"), Ok(Invocation::Version));
        assert_eq!(said("--def"), Ok(Invocation::DefaultConfig));
        let both = "--host is not unique: it may be --host-admin, --host-proxy";
        assert_eq!(said("--host A:1").unwrap_err(), both);
    }

    #[test]
    fn help_is_given_whatever_else_is_there() {
        for line in ["-h", "--help", "--config F --he", "--version --help"] {
            assert_eq!(said(line), Ok(Invocation::Help), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, want) in [
            ("--nosuch", "unknown option --nosuch"),
            ("-x", "unknown option -x"),
            ("--", "unknown option --"),
            ("start", "unexpected argument start"),
            ("--config", "--config needs a value"),
            ("--version=1", "--version takes no value"),
            ("--version --config F", "--version stands alone"),
            ("-c F --config F", "--config is there twice"),
            ("--dashboard A --etcd E", "--dashboard and --etcd exclude each other"),
            ("--zookeeper Z --fillslots F", "--zookeeper and --fillslots exclude each other"),
            ("--etcd-auth u:p", "--etcd-auth needs --etcd"),
            ("--max-ncpu 4", "--max-ncpu needs --ncpu"),
            ("--ncpu x", "--ncpu: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("--ncpu 0", "--ncpu must be 1 to 4294967295"),
            ("--log-level loud", "--log-level loud: ERROR, WARN, INFO, DEBUG or NONE"),
        ] {
            assert_eq!(said(line).unwrap_err(), want, "{line}");
        }
    }

    #[test]
    fn the_usage_names_every_option() {
        for option in OPTIONS.iter().chain(&ALONE) {
            assert!(USAGE.contains(&format!("--{}", option.name)), "{}", option.name);
        }
    }
}
