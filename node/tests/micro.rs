//! scratch
use crate::harness::Server;
use node::command::{Request, find};
use node::exec::{self, Call, Caller, Pace};
use node::txn::Scratch;
use protocol::command::lookup;
use protocol::reply::Version;
use protocol::slicer::{Args, Limits, slice_request};

fn cpu() -> f64 {
    let mut text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.truncate(text.find(' ').unwrap());
    text.parse::<f64>().unwrap()
}

#[test]
fn micro() {
    if std::env::var("MICRO").is_err() {
        return;
    }
    let server = Server::start_with(|c| c.memory_bytes = 256 << 20);
    let shared = &server.shared;
    let mut scratch = Scratch::default();
    let keys = 100_000;
    let frames: Vec<Vec<u8>> = (0..keys)
        .map(|n: u64| {
            let mut f = Vec::new();
            protocol::request::encode_request(
                &mut f,
                &[
                    b"SET",
                    format!("key:{:012}", n.wrapping_mul(2654435761) % keys).as_bytes(),
                    &[b'v'; 64],
                ],
            );
            f
        })
        .collect();
    let gets: Vec<Vec<u8>> = (0..keys)
        .map(|n: u64| {
            let mut f = Vec::new();
            protocol::request::encode_request(
                &mut f,
                &[b"GET", format!("key:{:012}", n.wrapping_mul(2654435761) % keys).as_bytes()],
            );
            f
        })
        .collect();
    for (name, frames, rounds) in [
        ("warm", &frames, 1),
        ("set", &frames, 6),
        ("get", &gets, 6),
        ("set", &frames, 6),
        ("get", &gets, 6),
    ] {
        let mut out = Vec::new();
        let mut args = Args::new();
        let begun = cpu();
        for _ in 0..rounds {
            for (i, frame) in frames.iter().enumerate() {
                slice_request(frame, &Limits::default(), &mut args).unwrap();
                let request = Request { frame, args: &args };
                let command = lookup(request.get(0)).unwrap();
                let run = find(command.id).unwrap();
                let slots = exec::slots_of(shared, command, request).unwrap();
                let caller = Caller { db: 0, version: Version::Resp2, link: None };
                exec::run(
                    shared,
                    &mut scratch,
                    caller,
                    Call { command, run, request },
                    (&slots, Pace::Short),
                    &mut out,
                );
                if i % 100 == 0 {
                    shared.wal.flush().unwrap();
                    out.clear();
                }
            }
        }
        println!("{name}: {:.0} ns", (cpu() - begun) / (rounds as f64 * frames.len() as f64));
    }
}
