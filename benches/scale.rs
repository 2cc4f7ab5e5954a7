//! What a request costs against the size of things: sessions, slots, groups, proxies (docs/SCALING.md).
//!
//! The rate stays the same while one thing grows, so that a request meets the same batches; what a proxy uses with nobody asking is measured
//! too. Rounds visit all sizes of one thing in turn.

use crate::case::KEYS;
use crate::cost::resident_mib;
use crate::load::{Fleet, NUMBER, Pace, Template, Traffic};
use crate::measure::{Bench, Values, fill, no_errors};
use crate::subject::{Ground, Subject, cluster_with_slots, proxy_before};
use anyhow::Result;
use harness::cluster::Cluster;
use std::time::{Duration, Instant};

/// The name of all these cases together, and what each begins with.
pub(crate) const NAME: &str = "scale";

/// Whose numbers they are: all of them the proxy's.
pub(crate) const SUBJECT: &str = "proxy";

/// What is told of them, in this order.
pub(crate) const VALUES: [&str; 6] =
    ["cpu_us", "behind_cpu_us", "p50_ms", "p99_ms", "rss_mib", "idle_cpu_us_per_s"];

/// Requests a second, half of them writes, whatever grows.
const RATE: f64 = 5_000.0;
const CLIENTS: usize = 50;

/// How long it is watched with nobody asking.
const IDLE: Duration = Duration::from_millis(500);

const SESSIONS: [usize; 5] = [10, 100, 1_000, 10_000, 18_000];
const SLOTS: [u16; 3] = [1_024, 4_096, 16_384];
const GROUPS: [usize; 5] = [2, 8, 32, 128, 512];
const PROXIES: [usize; 4] = [1, 2, 4, 8];

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Sessions,
    Proxies,
    Slots,
    Groups,
}

impl Thing {
    pub(crate) const ALL: [Self; 4] = [Self::Sessions, Self::Proxies, Self::Slots, Self::Groups];

    /// The name of its cases, without the size.
    pub(crate) fn name(self) -> String {
        let thing = match self {
            Self::Sessions => "sessions",
            Self::Proxies => "proxies",
            Self::Slots => "slots",
            Self::Groups => "groups",
        };
        format!("{NAME}-{thing}")
    }
}

/// One size of one thing.
struct Place {
    case: String,
    /// More than one when proxies are what grows: the rate is divided among them.
    subjects: Vec<Subject>,
    clients: usize,
    /// What must live as long.
    _ground: Option<Ground>,
    _cluster: Option<Cluster>,
}

impl Place {
    fn new(thing: Thing, size: usize, subjects: Vec<Subject>) -> Self {
        let case = format!("{}-{size}", thing.name());
        Self { case, subjects, clients: CLIENTS, _ground: None, _cluster: None }
    }
}

impl Bench {
    /// Measures what grows with each of these.
    pub(crate) fn scale(&mut self, wanted: impl Fn(Thing) -> bool) -> Result<()> {
        for thing in Thing::ALL.into_iter().filter(|thing| wanted(*thing)) {
            let places = match thing {
                Thing::Sessions => self.with_sessions(),
                Thing::Proxies => self.with_proxies(),
                Thing::Slots => Ok(self.with_slots()),
                Thing::Groups => self.with_groups(),
            };
            self.sizes(&places?)?;
        }
        Ok(())
    }

    fn with_sessions(&self) -> Result<Vec<Place>> {
        let places = SESSIONS.iter().map(|&clients| {
            let subjects = vec![proxy_before(&self.ground)?];
            Ok(Place { clients, ..Place::new(Thing::Sessions, clients, subjects) })
        });
        places.collect()
    }

    fn with_proxies(&self) -> Result<Vec<Place>> {
        let places = PROXIES.iter().map(|&proxies| {
            let subjects = (0..proxies).map(|_| proxy_before(&self.ground));
            Ok(Place::new(Thing::Proxies, proxies, subjects.collect::<Result<_>>()?))
        });
        places.collect()
    }

    fn with_slots(&self) -> Vec<Place> {
        let places = SLOTS.iter().map(|&slots| {
            let (cluster, subject) = cluster_with_slots(&self.ground, slots);
            let place = Place::new(Thing::Slots, slots.into(), vec![subject]);
            Place { _cluster: Some(cluster), ..place }
        });
        places.collect()
    }

    fn with_groups(&self) -> Result<Vec<Place>> {
        let places = GROUPS.iter().map(|&groups| {
            let ground = Ground::start(groups, self.ground.workers)?;
            let subject = proxy_before(&ground)?;
            Ok(Place { _ground: Some(ground), ..Place::new(Thing::Groups, groups, vec![subject]) })
        });
        places.collect()
    }

    /// Fills what is behind every place, and visits all of them in each round.
    fn sizes(&mut self, places: &[Place]) -> Result<()> {
        let words = ["SET".to_owned(), format!("short:{NUMBER}"), "v".repeat(64)];
        for place in places {
            fill(&place.subjects[0], &Traffic::each(Template::new(&words)), KEYS)?;
        }
        for round in 0..self.rounds {
            for place in places {
                match self.at_a_rate(&place.subjects, place.clients) {
                    Ok(values) => self.record.add(&place.case, SUBJECT, round, &values),
                    Err(why) => self.record.refuse(&place.case, SUBJECT, format!("{why:#}")),
                }
            }
        }
        Ok(())
    }

    /// The same rate over all subjects together, and then nothing.
    fn at_a_rate(&self, subjects: &[Subject], clients: usize) -> Result<Values> {
        let short = format!("short:{NUMBER}");
        let get = Template::new(&["GET".to_owned(), short.clone()]);
        let set = Template::new(&["SET".to_owned(), short, "v".repeat(64)]);
        let traffic = Traffic::random(vec![(1, get), (1, set)], KEYS);
        let share = |all: usize| all.div_ceil(subjects.len());
        let rate = RATE / subjects.len() as f64;
        let fleets = subjects.iter().map(|subject| self.fleet(subject, share(clients)));
        let mut fleets = fleets.collect::<Result<Vec<Fleet>>>()?;
        let mut run = |time: Duration| {
            std::thread::scope(|scope| {
                let pace = Pace::Open { rate, time };
                let traffic = &traffic;
                let running =
                    fleets.iter_mut().map(|fleet| scope.spawn(move || fleet.run(traffic, pace)));
                let running: Vec<_> = running.collect();
                let joined = running.into_iter().map(|thread| {
                    thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
                });
                joined.collect::<Result<Vec<_>>>()
            })
        };
        run(self.time)?;
        let (own, behind) = (cpu_micros(subjects)?, behind_micros(&subjects[0])?);
        let outcomes = run(self.time * 2)?;
        let (own, behind) = (cpu_micros(subjects)? - own, behind_micros(&subjects[0])? - behind);
        let mut all = outcomes[0].clone();
        for outcome in &outcomes[1..] {
            all.add(outcome)?;
        }
        no_errors(&all)?;
        let (idle, begin) = (cpu_micros(subjects)?, Instant::now());
        std::thread::sleep(IDLE);
        let idle = (cpu_micros(subjects)? - idle) / begin.elapsed().as_secs_f64();
        let mut rss = 0.0;
        for subject in subjects {
            rss += resident_mib(subject.processes())?[0];
        }
        let requests = all.requests as f64;
        Ok(vec![
            ("cpu_us", own / requests),
            ("behind_cpu_us", behind / requests),
            ("p50_ms", all.millis(0.5)),
            ("p99_ms", all.millis(0.99)),
            ("rss_mib", rss),
            ("idle_cpu_us_per_s", idle),
        ])
    }
}

fn cpu_micros(subjects: &[Subject]) -> Result<f64> {
    let mut micros = 0.0;
    for subject in subjects {
        micros += subject.cpu()?[0].micros();
    }
    Ok(micros)
}

/// All stand before the same servers.
fn behind_micros(subject: &Subject) -> Result<f64> {
    Ok(subject.cpu()?[1].micros())
}
