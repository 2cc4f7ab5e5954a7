//! The cases of a saturating load: what is sent, how deep the pipelines are, by how many clients, and what must be there before.

use crate::load::{NUMBER, Template, Traffic};

/// Keys are numbered below this.
pub(crate) const KEYS: u64 = 100_000;

/// One kind of request, sent as fast as the answers come.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The request; one is counted as one, whatever it touches.
    words: Vec<String>,
    /// The request that writes a key this case needs; sent once for each number, so that no case meets an empty store.
    fill: Vec<String>,
    pub(crate) pipeline: usize,
    pub(crate) clients: usize,
}

impl Case {
    /// Requests for random keys.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic::random(vec![(1, Template::new(&self.words))], KEYS)
    }

    /// Requests that write every key this case needs, once.
    pub(crate) fn fill(&self) -> Traffic {
        Traffic::each(Template::new(&self.fill))
    }

    /// One request of the case, to see whether a server takes it.
    pub(crate) fn probe(&self) -> Vec<u8> {
        Template::new(&self.words).zeroes()
    }

    /// Cases with the same need the same keys.
    pub(crate) fn family(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Size {
    /// What has a pass line, for a few minutes.
    Small,
    /// Every case with every pipeline and number of clients: an hour or two.
    Full,
}

/// The cases, in the order of measuring.
pub(crate) fn all(size: Size) -> Vec<Case> {
    let pipelines = |small: &'static [usize]| match size {
        Size::Small => small,
        Size::Full => &[1, 16, 64],
    };
    let clients: &[usize] = match size {
        Size::Small => &[50],
        Size::Full => &[50, 1000],
    };
    let mut cases = Vec::new();
    for (name, words, fill, small) in requests() {
        for &pipeline in pipelines(small) {
            for &clients in clients {
                let name = format!("{name}-P{pipeline}-c{clients}");
                let (words, fill) = (words.clone(), fill.clone());
                cases.push(Case { name, words, fill, pipeline, clients });
            }
        }
    }
    cases
}

/// Name, request, what fills its keys, and the pipelines of a short run.
type Request = (&'static str, Vec<String>, Vec<String>, &'static [usize]);

fn requests() -> Vec<Request> {
    let (short, long) = ("v".repeat(64), "v".repeat(4096));
    let key = |kind: &str| format!("{kind}:{NUMBER}");
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let set = words(&["SET", &key("short"), &short]);
    let set_long = words(&["SET", &key("long"), &long]);
    let ten_keys: Vec<String> = std::iter::repeat_n(key("short"), 10).collect();
    let pairs = ten_keys.iter().flat_map(|key| [key.clone(), short.clone()]).collect();
    let mget = [words(&["MGET"]), ten_keys.clone()].concat();
    let mset = [words(&["MSET"]), pairs].concat();
    let hset = words(&["HSET", &key("hash"), "field", &short]);
    let zadd = words(&["ZADD", &key("zset"), NUMBER, &key("member")]);
    let lpush = words(&["LPUSH", &key("list"), &short]);
    vec![
        ("get64", words(&["GET", &key("short")]), set.clone(), &[1, 16, 64]),
        ("set64", set.clone(), set.clone(), &[1, 16, 64]),
        ("mget10", mget, set.clone(), &[1, 16]),
        ("mset10", mset, set, &[1, 16]),
        ("get4k", words(&["GET", &key("long")]), set_long.clone(), &[1, 16]),
        ("set4k", set_long.clone(), set_long, &[16]),
        ("hset", hset.clone(), hset, &[16]),
        ("zadd", zadd.clone(), zadd, &[16]),
        ("lpush", lpush.clone(), lpush, &[16]),
    ]
}

/// What is sent at a fixed rate: as an application mixes it.
pub(crate) fn mixed() -> Traffic {
    let short = "v".repeat(64);
    let (key, hash, zset) =
        (format!("short:{NUMBER}"), format!("hash:{NUMBER}"), format!("zset:{NUMBER}"));
    let parts: [(u32, &[&str]); 6] = [
        (42, &["GET", &key]),
        (42, &["SET", &key, &short]),
        (6, &["HGET", &hash, "field"]),
        (6, &["HSET", &hash, "field", &short]),
        (2, &["ZSCORE", &zset, "member"]),
        (2, &["ZADD", &zset, NUMBER, "member"]),
    ];
    let template =
        |words: &[&str]| Template::new(&words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>());
    Traffic::random(parts.map(|(weight, words)| (weight, template(words))).into(), KEYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_has_all_that_a_short_one_has() {
        let full: Vec<_> = all(Size::Full).into_iter().map(|case| case.name).collect();
        assert_eq!(full.len(), 9 * 3 * 2);
        for case in all(Size::Small) {
            assert!(full.contains(&case.name), "{}", case.name);
        }
    }
}
