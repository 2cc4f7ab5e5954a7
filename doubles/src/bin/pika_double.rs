//! `pika-double`: a double of Pika 4.0.1 as a process.

use clap::Parser;
use doubles::pika::{self, Fault, Settings};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for Pika 4.0.1 in tests, with its faults. It keeps nothing on disk.
#[derive(Debug, Parser)]
struct Flags {
    /// Where to listen; port 0 takes a free one. The address is the first line of standard output.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// requirepass
    #[arg(long, default_value = "")]
    password: String,
    /// slotmigrate: no (as by default in Pika it would be)
    #[arg(long)]
    no_slotmigrate: bool,
    /// slotmigrate-thread-num
    #[arg(long, default_value_t = 1)]
    senders: usize,
    /// Milliseconds the source needs for each key of a move.
    #[arg(long, default_value_t = 0)]
    pace_ms: u64,
    /// Milliseconds each data command waits before it runs.
    #[arg(long, default_value_t = 0)]
    stall_ms: u64,
    /// Milliseconds the migration thread needs to end.
    #[arg(long, default_value_t = 5)]
    ending_ms: u64,
    /// A fault to turn on.
    #[arg(long)]
    fault: Vec<Fault>,
    /// A fault to turn off.
    #[arg(long)]
    no_fault: Vec<Fault>,
}

impl Flags {
    fn settings(&self) -> Settings {
        let mut settings = Settings {
            password: self.password.clone(),
            slotmigrate: !self.no_slotmigrate,
            senders: self.senders.clamp(1, 24),
            pace: Duration::from_millis(self.pace_ms),
            stall: Duration::from_millis(self.stall_ms),
            ending: Duration::from_millis(self.ending_ms),
            ..Settings::default()
        };
        self.fault.iter().for_each(|fault| settings.faults.add(*fault));
        self.no_fault.iter().for_each(|fault| settings.faults.remove(*fault));
        settings
    }
}

/// The exit code of a segmentation fault, as a shell shows it.
const DIED: u8 = 139;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<ExitCode> {
    let flags = Flags::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let double = pika::start(TcpListener::bind(&flags.listen).await?, flags.settings())?;
    writeln!(std::io::stdout(), "{}", double.address())?;
    loop {
        tokio::select! {
            () = double.ended() => {}
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
            _ = terminate.recv() => {
                // A wedged Pika needs SIGKILL.
                if double.is_wedged() {
                    continue;
                }
                return Ok(ExitCode::SUCCESS);
            }
        }
        if let Some(word) = double.death() {
            writeln!(std::io::stderr(), "pika-double died: {word}")?;
            return Ok(ExitCode::from(DIED));
        }
    }
}
