//! What a request costs: proxy and node beside every peer that is found, the same cases in one interleaved run.
//!
//! Each round visits every subject in turn, so that whatever else the machine does meets all of them alike. What counts is the CPU time of
//! a subject's processes for each request, and its ratio to a peer's in the same round; requests per second are the ceiling of a machine that
//! load and servers share. `docs/BENCH.md` says how to run it and how to read it.

mod acceptance;
mod case;
mod cost;
mod counter;
mod large;
mod load;
mod machine;
mod measure;
mod memory;
mod moves;
mod plot;
mod record;
mod report;
mod saturate;
mod scale;
mod stall;
mod statistics;
mod steady;
mod subject;
mod verdict;

use anyhow::{Context, Result, bail, ensure};
use case::Size;
use clap::Parser;
use machine::Machine;
use measure::Bench;
use record::{Measured, Record};
use scale::Thing;
use serde_json::json;
use std::io::stdout;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use subject::{Attached, Ground, Kind, RECIPES, Recipe};

/// Requests a second of the cases with a fixed rate.
pub(crate) const RATES: [u32; 2] = [10_000, 2_000];

/// Proxy and node beside the peers that are found; docs/BENCH.md says more.
#[derive(Debug, Parser)]
struct Args {
    /// small: what has a pass line, for minutes; full: everything, for an hour or two
    #[arg(long, env = "BENCH_SIZE", value_enum, default_value_t = Size::Small)]
    size: Size,
    /// Only cases whose name contains one of these (comma between them)
    #[arg(long, env = "BENCH_CASES", value_delimiter = ',')]
    cases: Vec<String>,
    /// Only these subjects (comma between them)
    #[arg(long, env = "BENCH_SUBJECTS", value_delimiter = ',')]
    subjects: Vec<String>,
    /// How often each case is sent to each subject
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Where a pass line stays open, those concerned are measured anew in so many rounds, and only these count
    #[arg(long, default_value_t = 0)]
    second_look: usize,
    /// How long one measurement takes, in milliseconds; 300 if small, 1000 if full
    #[arg(long)]
    millis: Option<u64>,
    /// Threads that serve clients, of each subject that can be told
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// redis-servers behind every proxy
    #[arg(long, default_value_t = 2)]
    stores: usize,
    /// Threads of the load
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// A server that runs already: NAME=HOST:PORT,PROCESS[,PROCESS…]
    #[arg(long)]
    attach: Vec<Attached>,
    /// Keys of 64 bytes that move from node to node; 1,000,000 if small, 10,000,000 if full
    #[arg(long)]
    move_keys: Option<u64>,
    /// Where the numbers (bench.json) and the plots go
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// No case begins after so many minutes; what is left out is said
    #[arg(long, env = "BENCH_MINUTES", default_value_t = 240)]
    minutes: u64,
    /// Name the cases and the subjects, and measure nothing
    #[arg(long)]
    list: bool,
    /// Measure nothing: a line, PASS, FAIL or NOT CHECKED, for each pass line of an earlier run's bench.json
    #[arg(long)]
    read: Option<PathBuf>,
    #[arg(skip = Instant::now())]
    begin: Instant,
}

fn main() -> Result<()> {
    let mut args = Args::parse();
    // What make passes on is empty when nothing was chosen.
    args.cases.retain(|name| !name.is_empty());
    args.subjects.retain(|name| !name.is_empty());
    if args.list {
        return list(&args);
    }
    if let Some(file) = &args.read {
        return acceptance::lines(file)?.iter().try_for_each(|line| say(line));
    }
    let mut bench = args.bench()?;
    report::show_head(&mut stdout(), &bench.record)?;
    run(&args, &mut bench)?;
    bench.record.machine.at_the_end();
    let verdicts = verdict::judge(&bench.record);
    report::show(&mut stdout(), &bench.record, &verdicts)?;
    write(&args.out, &bench.record)?;
    plot::write_all(&args.out, &bench.record)?;
    say(&format!("\nevery number: {0}/bench.json; plots: {0}/*.svg", args.out.display()))
}

/// Measures everything that is asked for, as far as the time allows.
fn run(args: &Args, bench: &mut Bench) -> Result<()> {
    let mut family = String::new();
    for case in case::all(args.size).iter().filter(|case| args.wants(&case.name)) {
        if bench.is_late(args, &case.name) {
            continue;
        }
        bench.saturate(case, &mut family)?;
        report::show_case(&mut stdout(), &bench.record, &case.name)?;
        write(&args.out, &bench.record)?;
    }
    let rates = if args.size == Size::Full { &RATES[..] } else { &RATES[..1] };
    for &rate in rates.iter().filter(|rate| args.wants(&steady::name(**rate))) {
        if bench.is_late(args, &steady::name(rate)) {
            continue;
        }
        bench.steady(rate)?;
        report::show_case(&mut stdout(), &bench.record, &steady::name(rate))?;
        write(&args.out, &bench.record)?;
    }
    for disturbance in stall::Disturbance::ALL {
        if args.wants(disturbance.name()) && !bench.is_late(args, disturbance.name()) {
            bench.stall(disturbance)?;
            say(&format!("{} is measured", disturbance.name()))?;
            write(&args.out, &bench.record)?;
        }
    }
    // What is started afresh needs the memory of the others.
    bench.subjects.clear();
    bench.ground.clear()?;
    run_afresh(args, bench)
}

/// The cases that start what they measure themselves.
fn run_afresh(args: &Args, bench: &mut Bench) -> Result<()> {
    type Measure = fn(&mut Bench, &Args) -> Result<()>;
    let on_nodes = args.wants_subject("node");
    let scale = Thing::ALL.into_iter().any(|thing| args.wants_scale(thing));
    let cases: [(&str, bool, Measure); 5] = [
        (memory::CLIENTS, args.wants(memory::CLIENTS), |bench, _| bench.idle_clients()),
        (moves::NAME, on_nodes && moves::ALL.iter().any(|case| args.wants(case)), |bench, args| {
            bench.moves(args.goods(), |case| args.wants(case))
        }),
        (large::NAME, on_nodes && args.wants(large::NAME), |bench, args| {
            bench.larger_than_memory(if args.size == Size::Full { 1 << 30 } else { 256 << 20 })
        }),
        (memory::BACKLOG, args.wants(memory::BACKLOG), |bench, _| bench.unread_pipeline()),
        (scale::NAME, scale, |bench, args| bench.scale(|thing| args.wants_scale(thing))),
    ];
    for (name, wanted, measure) in cases {
        if wanted && !bench.is_late(args, name) {
            measure(bench, args)?;
            say(&format!("{name} is measured"))?;
            write(&args.out, &bench.record)?;
        }
    }
    Ok(())
}

impl Bench {
    /// Whether the time is up; a case that is left out for it is noted.
    fn is_late(&mut self, args: &Args, case: &str) -> bool {
        let late = args.begin.elapsed() > Duration::from_secs(60 * args.minutes);
        if late {
            let why = format!("{case} is not measured: {} minutes were over", args.minutes);
            self.record.left_out.push(why);
        }
        late
    }
}

impl Args {
    fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|part| case.contains(part.as_str()))
    }

    /// Many processes: when it is asked for by the beginning of its name, or everything is.
    fn wants_scale(&self, thing: Thing) -> bool {
        let named = self
            .cases
            .iter()
            .any(|part| part.starts_with(scale::NAME) && thing.name().starts_with(part));
        named || (self.cases.is_empty() && self.size == Size::Full)
    }

    fn wants_subject(&self, name: &str) -> bool {
        self.subjects.is_empty() || self.subjects.iter().any(|wanted| wanted == name)
    }

    fn chosen(&self) -> Result<Vec<&'static Recipe>> {
        let names: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
        for name in &self.subjects {
            ensure!(
                names.contains(&name.as_str()),
                "no subject is named {name}: {}",
                names.join(" ")
            );
        }
        let is_wanted = |recipe: &&Recipe| {
            self.subjects.is_empty() || self.subjects.iter().any(|name| name == recipe.name)
        };
        Ok(RECIPES.iter().filter(is_wanted).collect())
    }

    /// What moves from node to node.
    fn goods(&self) -> moves::Goods {
        let (keys, large_bytes) = match self.size {
            Size::Small => (1_000_000, 256 << 20),
            Size::Full => (10_000_000, 1 << 30),
        };
        moves::Goods { keys: self.move_keys.unwrap_or(keys), large_bytes }
    }

    /// Starts everything.
    fn bench(&self) -> Result<Bench> {
        ensure!(self.rounds > 0 && self.workers > 0 && self.stores > 0, "nothing to measure with");
        raise_open_files()?;
        let mut record = Record::of(Machine::here());
        let ground = Ground::start(self.stores, self.workers)?;
        let (mut recipes, mut subjects) = (Vec::new(), Vec::new());
        for recipe in self.chosen()? {
            let Some(program) = recipe.found() else {
                record.left_out.push(format!("{} is not found: {}", recipe.name, recipe.hint()));
                continue;
            };
            let version = recipe.version(&program);
            record.subjects.push(Measured {
                name: recipe.name.to_owned(),
                kind: recipe.kind,
                version,
            });
            subjects.push(recipe.start(&ground, &program)?);
            recipes.push((recipe, program));
        }
        for attached in &self.attach {
            let subject = attached.subject();
            let version = format!("runs at {}", subject.addr());
            record.subjects.push(Measured {
                name: subject.name.clone(),
                kind: Kind::Proxy,
                version,
            });
            subjects.push(subject);
        }
        if subjects.is_empty() {
            bail!("none of the subjects is found: {}", record.left_out.join("; "));
        }
        let countable = counter::countable();
        let missing = counter::missing(&countable);
        if !missing.is_empty() {
            record.left_out.push(format!("perf does not count {} here", missing.join(", ")));
        }
        let usual = if self.size == Size::Full { 1000 } else { 300 };
        let time = Duration::from_millis(self.millis.unwrap_or(usual));
        let (rounds, second_look, threads) = (self.rounds, self.second_look, self.threads);
        Ok(Bench {
            ground,
            recipes,
            subjects,
            rounds,
            second_look,
            time,
            threads,
            countable,
            record,
        })
    }
}

/// Ten thousand clients need as many files, here and in the servers that inherit the limit.
fn raise_open_files() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raise the limit of open files")
}

fn list(args: &Args) -> Result<()> {
    let closed = case::all(args.size).into_iter().map(|case| case.name);
    let beside = stall::Disturbance::ALL.map(|disturbance| disturbance.name().to_owned());
    let fresh = [memory::CLIENTS, large::NAME, memory::BACKLOG].map(str::to_owned);
    let moves = moves::ALL.map(str::to_owned);
    let open = RATES
        .map(steady::name)
        .into_iter()
        .chain(beside)
        .chain(fresh)
        .chain(moves)
        .chain(Thing::ALL.map(Thing::name));
    let cases: Vec<String> = closed.chain(open).collect();
    let subjects: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
    say(&format!("cases: {}\nsubjects: {}", cases.join(" "), subjects.join(" ")))
}

/// Keeps every number; after each case, so that what stops one of them costs no other.
fn write(folder: &Path, record: &Record) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let all = json!({ "record": record, "verdicts": verdict::judge(record) });
    Ok(std::fs::write(folder.join("bench.json"), serde_json::to_vec_pretty(&all)?)?)
}

fn say(text: &str) -> Result<()> {
    use std::io::Write;
    writeln!(stdout(), "{text}")?;
    Ok(())
}
