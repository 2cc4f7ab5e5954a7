//! `codis-server-double`: a double of codis-server as a process.

use clap::Parser;
use doubles::codis_server::{self, Settings};
use std::io::Write;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for codis-server (Redis 3.2.11) in tests. It keeps nothing on disk.
#[derive(Debug, Parser)]
struct Flags {
    /// Where to listen; port 0 takes a free one. The address is the first line of standard output.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// requirepass, and what it logs in with at targets
    #[arg(long, default_value = "")]
    password: String,
    /// Milliseconds the source needs for each message of a batch.
    #[arg(long, default_value_t = 0)]
    pace_ms: u64,
    /// As a target: apply what comes and never acknowledge it.
    #[arg(long)]
    lose_acks: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let flags = Flags::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let settings = Settings {
        password: flags.password,
        pace: Duration::from_millis(flags.pace_ms),
        loses_acks: flags.lose_acks,
    };
    let double = codis_server::start(TcpListener::bind(&flags.listen).await?, settings)?;
    writeln!(std::io::stdout(), "{}", double.address())?;
    tokio::select! {
        () = double.ended() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
