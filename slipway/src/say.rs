//! What is printed for people and scripts: results on stdout, everything else on stderr.
//!
//! A reader that has gone (`| head`) is no error of ours.

use std::io::Write;

/// A line of the result.
pub(crate) fn result(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line about what is going on.
pub(crate) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Why the program ends.
pub(crate) fn error(text: impl std::fmt::Display) {
    note(format_args!("slipway: {text}"));
}
