//! What Pika's slot index does not know of moves all the same, whenever it was written.

use super::world::{Parts, World, names, ok};
use harness::http::metric;
use harness::resp::Client;
use protocol::frame::Value;

const SLOT: u16 = 11;
/// Written during one move.
const TAGS_MAX: usize = 40;

/// What is written once, by commands of which Pika files no key or the wrong one, and what reads it. Not HyperLogLogs: they cannot move. Words that begin with `@` are names of
/// keys in one slot and of one hash tag.
const WRITES: [(&[&str], &str); 10] = [
    (&["PSETEX @ps 1000000 value"], "GET @ps"),
    (&["DECR @dec"], "GET @dec"),
    (&["GEOADD @geo 13.3 38.1 Palermo"], "ZCARD @geo"),
    (&["SADD @s1 a b", "SUNIONSTORE @s2 @s1"], "SCARD @s2"),
    (&["SADD @s3 a b", "SINTERSTORE @s4 @s3"], "SCARD @s4"),
    (&["SADD @s5 a b", "SDIFFSTORE @s6 @s5"], "SCARD @s6"),
    (&["SADD @s7 a b", "SMOVE @s7 @s8 a"], "SISMEMBER @s8 a"),
    (&["ZADD @z1 1 a", "ZINTERSTORE @z2 1 @z1"], "ZCARD @z2"),
    (&["SET @b1 abc", "BITOP NOT @b2 @b1"], "STRLEN @b2"),
    (&["RPUSH @l1 a b", "RPOPLPUSH @l1 @l2"], "LRANGE @l2 0 -1"),
];

/// The hash tag of a round: another name in the same slot each time.
fn tags() -> impl Iterator<Item = String> {
    names("Tag", SLOT)
}

fn with_tag(words: &str, tag: &str) -> String {
    let word = |word: &str| match word.strip_prefix('@') {
        Some(name) => format!("{name}{{{tag}}}"),
        None => word.to_owned(),
    };
    words.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// A read with the answer it had when it was written.
type Written = (String, Value);

/// Writes all that is not refused by name.
fn write(client: &mut Client, tag: &str) -> Vec<Written> {
    let mut written = Vec::new();
    'each: for (commands, read) in WRITES {
        for command in commands {
            let command = with_tag(command, tag);
            if let Value::Error(why) = client.command(&command).unwrap() {
                let name = command.split(' ').next().unwrap();
                assert!(why.contains(name) && why.contains("not allowed"), "{command}: {why}");
                continue 'each;
            }
        }
        let read = with_tag(read, tag);
        let answer = ok(client, &read);
        assert!(!matches!(answer, Value::Null | Value::Int(0)), "{read}: {answer:?}");
        written.push((read, answer));
    }
    assert!(written.len() >= 6, "only {written:?}");
    written
}

fn all_are_there(client: &mut Client, written: &[Written]) {
    for (read, answer) in written {
        assert_eq!(&ok(client, read), answer, "{read}");
    }
}

#[test]
fn what_was_written_before_the_move_is_there_after_it() {
    let world = World::start(Parts::default());
    let mut client = world.client();
    let written: Vec<Written> = tags().take(3).flat_map(|tag| write(&mut client, &tag)).collect();
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    assert_eq!(world.run(), 1);
    all_are_there(&mut client, &written);
}

/// Before there was a proxy of ours.
#[test]
fn what_was_written_before_the_proxy_came_is_there_after_the_move() {
    let tag = tags().next().unwrap();
    let mut written = Vec::new();
    let world = World::start_after(Parts::default(), |source| {
        let mut client = source.client();
        // A list of RPOPLPUSH cannot be moved, and is refused: see there.
        for (commands, read) in WRITES.iter().filter(|(_, read)| !read.contains("@l2")) {
            commands.iter().for_each(|command| _ = ok(&mut client, &with_tag(command, &tag)));
            let read = with_tag(read, &tag);
            written.push((read.clone(), ok(&mut client, &read)));
        }
    });
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    assert_eq!(world.run(), 1);
    all_are_there(&mut world.client(), &written);
}

#[test]
fn what_is_written_during_moves_is_there_after_them() {
    let world = World::start(Parts::default());
    let mut client = world.client();
    let mut written = Vec::new();
    let mut tags = tags();
    for group in [2, 1, 2] {
        world.dashboard.create_action(SLOT.into(), group).unwrap();
        std::thread::scope(|scope| {
            let moved = scope.spawn(|| world.run());
            // Bounded: all of it is to be listed while the slot is locked, within the time there is for that.
            for tag in tags.by_ref().take(TAGS_MAX) {
                if moved.is_finished() {
                    break;
                }
                written.extend(write(&mut client, &tag));
            }
            assert_eq!(moved.join().unwrap(), 1);
        });
        all_are_there(&mut client, &written);
    }
}

/// They are listed before the slot is locked: its clients wait for what came since alone.
#[test]
fn thousands_of_keys_that_are_on_no_list_are_listed_while_clients_go_on() {
    const KEYS: usize = 5000;
    let world = World::start(Parts::default());
    let mut client = world.client();
    let tag = tags().next().unwrap();
    let members: Vec<String> = (0..KEYS).map(|n| n.to_string()).collect();
    members.chunks(500).for_each(|some| {
        ok(&mut client, &format!("SADD {{{tag}}}all {}", some.join(" ")));
    });
    for member in &members {
        ok(&mut client, &format!("SMOVE {{{tag}}}all {{{tag}}}{member} {member}"));
    }
    world.dashboard.create_action(SLOT.into(), 2).unwrap();
    assert_eq!(world.run(), 1);
    for member in &members {
        let there = format!("SISMEMBER {{{tag}}}{member} {member}");
        assert_eq!(ok(&mut client, &there), Value::Int(1), "{member}");
    }
    let listed = |when: &str| {
        let name = format!("slipway_proxy_foreign_noted_keys_listed{when}_total");
        metric(&world.proxies[0].admin, &name, "") as usize
    };
    // Some are listed by the SLOTSRELOAD that the proxy begins with.
    assert!(listed("") > KEYS / 2, "{}", listed(""));
    assert_eq!(listed("_locked"), 0);
}
