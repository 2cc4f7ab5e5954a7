//! `slipway load` as a child process: open-loop writes whose every reply and final state are checked.

use crate::program;
use serde_json::Value;
use std::process::{Child, Command, Stdio};

/// A load under way; it ends with this, whatever a test comes to.
#[derive(Debug)]
pub struct Load(Option<Child>);

/// What it found.
#[derive(Debug)]
pub struct Outcome {
    pub success: bool,
    pub report: Value,
    pub words: String,
}

impl Load {
    /// Starts `slipway load --json` with these further words.
    pub fn start(addr: &str, words: &str) -> Self {
        let mut command = Command::new(program());
        command.args(["load", "--addr", addr, "--json"]).args(words.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    /// Ends the load early; what it wrote is checked as ever.
    pub fn end(self) -> Outcome {
        let id = self.0.as_ref().map(Child::id).unwrap();
        Command::new("kill").arg(id.to_string()).status().unwrap();
        self.finish()
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Outcome {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = serde_json::from_str(&text).unwrap_or(Value::Null);
        let words = format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
        Outcome { success: output.status.success(), report, words }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
