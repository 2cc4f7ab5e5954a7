//! The looks, each at a double of Pika 4.0.1 that has what is to be found.

use super::*;
use doubles::Running;
use doubles::pika::{self, Settings};
use tokio::net::TcpListener;

/// A Pika and what it is asked for.
struct Pika {
    running: Running,
    asked: Asked,
}

impl Pika {
    async fn start(password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings { password: password.to_owned(), ..Settings::default() };
        let running = pika::start(listener, settings).unwrap();
        let asked = Asked {
            addr: running.address().to_string(),
            password: Some(password.to_owned()).filter(|word| !word.is_empty()),
            slots: SlotCount::DEFAULT,
            all_ours: false,
            others: Vec::new(),
        };
        Self { running, asked }
    }

    /// One that was told these things.
    async fn told(commands: &[&str]) -> Self {
        let pika = Self::start("").await;
        pika.tell(commands).await;
        pika
    }

    async fn tell(&self, commands: &[&str]) {
        let mut link =
            Link::open(&config(&self.asked), &self.asked.addr, ANSWER_TIME).await.unwrap();
        for command in commands {
            let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            let answer = link.ask(&words).await.unwrap();
            assert_eq!(answer.as_error(), None, "{command}");
        }
    }

    #[track_caller]
    fn finds(&self, found: &[Finding], what: &[&str], remedy: &str) {
        let [one] = found else { panic!("one finding is due: {found:#?}") };
        assert_eq!(one.of, format!("server {}", self.asked.addr));
        assert!(what.iter().all(|what| one.what.contains(what)), "{what:?}: {one:?}");
        assert!(one.remedy.contains(remedy), "{remedy}: {one:?}");
    }
}

#[tokio::test]
async fn keys_that_can_all_move_are_nothing_to_be_found() {
    let pika = Pika::told(&[
        "SET a 1",
        "HSET {tag}h f v",
        "RPUSH {tag}l a b",
        "SADD s a",
        "ZADD z 0.5 a 3 b",
    ]);
    assert_eq!(look(&pika.await.asked).await, Ok(vec![]));
}

#[tokio::test]
async fn a_stream_is_found_by_its_name() {
    let pika = Pika::told(&["XADD events 1-1 field value", "SET a 1"]).await;
    let found = look(&pika.asked).await.unwrap();
    pika.finds(&found, &["events", "is a stream"], "DEL it");
}

#[tokio::test]
async fn a_hyperloglog_is_found_by_its_name() {
    // PFADD lists nothing.
    let pika = Pika::told(&["PFADD visitors a b", "SETRANGE x 0 a", "SLOTSRELOAD"]).await;
    let found = until(&pika, |found| found.iter().any(|f| f.what.contains("HyperLogLog"))).await;
    pika.finds(&found, &["visitors", "HyperLogLog"], "delete it");
}

/// What is found when it is as said, which it is once keys have got on their lists.
async fn until(pika: &Pika, is_due: impl Fn(&[Finding]) -> bool) -> Vec<Finding> {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let found = look(&pika.asked).await.unwrap();
        if is_due(&found) {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "{found:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_score_that_would_be_rounded_is_found_with_its_member() {
    let pika = Pika::told(&["ZADD ranks 1 first 0.1234567 second"]).await;
    let found = look(&pika.asked).await.unwrap();
    pika.finds(&found, &["ranks", "0.1234567", "second", "0.123457"], "round it");
}

#[tokio::test]
async fn what_rpoplpush_has_left_behind_is_found() {
    let pika = Pika::told(&["RPUSH {q}from a b", "RPOPLPUSH {q}from {q}to"]).await;
    let found = look(&pika.asked).await.unwrap();
    let letter = found.iter().find(|finding| finding.what.contains("says k of {q}to"));
    let letter = letter.unwrap_or_else(|| panic!("{found:#?}"));
    assert!(letter.what.contains("a list"), "{letter:?}");
    assert!(letter.remedy.contains("cure it when the slot moves"), "{letter:?}");
}

#[tokio::test]
async fn keys_that_are_on_no_list_are_found_and_counted() {
    let pika = Pika::told(&[
        "SET listed 1",
        "PSETEX lost 1000000 1",
        "GEOADD place 13 38 Palermo",
        "SADD s a",
        "SUNIONSTORE u s",
    ]);
    let pika = pika.await;
    let found = look(&pika.asked).await.unwrap();
    pika.finds(&found, &["3 of 5 keys", "not listed"], "SLOTSRELOAD at");
    pika.tell(&["SLOTSRELOAD"]).await;
    until(&pika, <[Finding]>::is_empty).await;
}

/// The lists are sets like any other to the cache, which is not told when a key is listed.
#[tokio::test]
async fn lists_that_the_read_cache_has_as_they_were_do_not_deceive() {
    let pika = Pika::told(&["SET {t}a 1"]).await;
    let list = format!("_internal:slotkey:4migrate:{}", SlotCount::DEFAULT.of(b"{t}a"));
    pika.tell(&[&format!("SMEMBERS {list}"), "SET {t}b 1"]).await;
    assert_eq!(look(&pika.asked).await, Ok(vec![]));
    pika.tell(&[&format!("SREM {list} k{{t}}b")]).await;
    let found = look(&pika.asked).await.unwrap();
    pika.finds(&found, &["1 of 2 keys", "{t}b"], "SLOTSRELOAD");
}

#[tokio::test]
async fn capitals_are_found_where_a_codis_proxy_is_in_the_way() {
    let mut pika = Pika::told(&["SET Account:1 1", "SET account:2 2"]).await;
    let found = look(&pika.asked).await.unwrap();
    pika.finds(&found, &["1 of 2 keys", "capitals"], "migration_method = \"sync\"");
    pika.asked.all_ours = true;
    assert_eq!(look(&pika.asked).await, Ok(vec![]));
}

#[tokio::test]
async fn what_has_moved_and_is_still_in_the_read_cache_is_found() {
    let (mut pika, other) =
        (Pika::told(&["HSET moved f v", "HSET stays f v"]).await, Pika::told(&[]).await);
    let to = other.running.address().port();
    let slot = SlotCount::DEFAULT.of(b"moved");
    // The read has it cached; the move does not take it out.
    pika.tell(&[
        "HGETALL moved",
        "HGETALL stays",
        &format!("SLOTSMGRTTAGSLOT 127.0.0.1 {to} 1000 {slot}"),
    ])
    .await;
    assert_eq!(look(&pika.asked).await, Ok(vec![]), "nobody has told of the other");
    pika.asked.others = vec![other.asked.addr.clone()];
    let found = look(&pika.asked).await.unwrap();
    pika.finds(&found, &["1 of 1 keys", "moved", "read cache"], "CLEARCACHE at");
    pika.asked.all_ours = true;
    assert_eq!(look(&pika.asked).await, Ok(vec![]), "proxies of ours see to it");
    pika.asked.all_ours = false;
    pika.tell(&["CLEARCACHE"]).await;
    assert_eq!(look(&pika.asked).await, Ok(vec![]));
}

#[tokio::test]
async fn a_password_is_told_to_every_node() {
    let (mut pika, other) = (Pika::start("secret").await, Pika::start("secret").await);
    pika.tell(&["XADD events 1-1 field value"]).await;
    other.tell(&["SET a 1"]).await;
    pika.asked.others = vec![other.asked.addr.clone()];
    let found = look(&pika.asked).await.unwrap();
    pika.finds(&found, &["events"], "DEL it");
}

#[tokio::test]
async fn of_many_streams_the_first_are_named() {
    let adds: Vec<String> = (0..9).map(|n| format!("XADD {{slot}}{n} 1-1 f v")).collect();
    let pika = Pika::told(&adds.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(look(&pika.asked).await.unwrap().len(), FINDINGS_OF_SLOT);
}

#[tokio::test]
async fn a_node_that_is_gone_is_the_reason() {
    let pika = Pika::start("").await;
    let asked = pika.asked.clone();
    drop(pika);
    assert!(look(&asked).await.is_err_and(|why| why.contains(&asked.addr)));
}
