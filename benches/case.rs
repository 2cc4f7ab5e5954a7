//! The cases: what is sent, how deep the pipelines are, what must be there before.

/// Keys are numbered below this.
pub(crate) const KEYS: u64 = 100_000;

/// redis-benchmark puts a number below [`KEYS`] here.
const NUMBER: &str = "__rand_int__";

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The request; one is counted as one, whatever it touches.
    pub(crate) words: Vec<String>,
    /// Requests that fill the keys this case reads.
    pub(crate) fill: Vec<Vec<String>>,
    pub(crate) pipeline: u64,
    /// What a server of this machine's size does at least, in requests a second: for the length of a run.
    rate: u64,
}

impl Case {
    /// How many requests make a run of about this length; whole pipelines.
    pub(crate) fn requests(&self, millis: u64) -> u64 {
        (self.rate * millis / 1000).next_multiple_of(self.pipeline).max(self.pipeline * 100)
    }
}

pub(crate) fn all() -> Vec<Case> {
    let (small, large) = ("v".repeat(64), "v".repeat(4096));
    let key = |kind: &str| format!("{kind}:{NUMBER}");
    let set = |value: &str| vec!["SET".to_owned(), key("key"), value.to_owned()];
    let get = vec!["GET".to_owned(), key("key")];
    let ten_keys: Vec<String> = std::iter::repeat_n(key("key"), 10).collect();
    let mget = [vec!["MGET".to_owned()], ten_keys.clone()].concat();
    let pairs = ten_keys.iter().flat_map(|key| [key.clone(), small.clone()]).collect();
    let mset = [vec!["MSET".to_owned()], pairs].concat();
    let hset = vec!["HSET".to_owned(), key("hash"), "field".to_owned(), small.clone()];
    let zadd = vec!["ZADD".to_owned(), key("zset"), NUMBER.to_owned(), format!("member:{NUMBER}")];
    let lpush = vec!["LPUSH".to_owned(), key("list"), small.clone()];

    let mut cases = Vec::new();
    let mut add = |name: &str, words: &Vec<String>, fill: &[Vec<String>], sizes: &[(u64, u64)]| {
        for &(pipeline, rate) in sizes {
            let (name, words, fill) = (format!("{name}-P{pipeline}"), words.clone(), fill.to_vec());
            cases.push(Case { name, words, fill, pipeline, rate });
        }
    };
    let each_pipeline = [(1, 40_000), (16, 250_000), (64, 350_000)];
    add("get64", &get, &[set(&small)], &each_pipeline);
    add("set64", &set(&small), &[], &each_pipeline);
    add("get4k", &get, &[set(&large)], &[(1, 40_000), (16, 120_000)]);
    add("set4k", &set(&large), &[], &[(1, 40_000), (16, 80_000)]);
    add("mget10", &mget, &[set(&small)], &[(1, 25_000), (16, 60_000)]);
    add("mset10", &mset, &[], &[(1, 25_000), (16, 50_000)]);
    add("hset", &hset, &[], &[(16, 150_000)]);
    add("zadd", &zadd, &[], &[(16, 100_000)]);
    add("lpush", &lpush, &[], &[(16, 150_000)]);
    cases
}

pub(crate) fn names() -> String {
    all().iter().map(|case| case.name.as_str()).collect::<Vec<_>>().join(" ")
}
