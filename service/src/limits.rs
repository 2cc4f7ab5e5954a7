//! What the operating system grants a process.

/// Raises the number of files and sockets this process may have open to the most it may grant itself; returns that number.
///
/// Each connection is one. The log names the number, since a low one shows only much later, as refused connections.
pub fn raise_open_files() -> u64 {
    match rlimit::increase_nofile_limit(rlimit::INFINITY) {
        Ok(files) if files < FEW => {
            tracing::warn!(
                files,
                "few files and sockets may be open; raise LimitNOFILE or ulimit -Hn"
            );
            files
        }
        Ok(files) => {
            tracing::info!(files, "files and sockets that may be open");
            files
        }
        Err(error) => {
            tracing::warn!(%error, "cannot raise the number of open files; raise LimitNOFILE or ulimit -n");
            rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(0, |(soft, _)| soft)
        }
    }
}

/// Below this an ordinary day's clients may already be too many.
const FEW: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let (_, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap();
        // Low, but enough for the tests that run beside this one.
        let low = 2048.min(hard);
        rlimit::setrlimit(rlimit::Resource::NOFILE, low, hard).unwrap();
        let files = raise_open_files();
        let (soft, _) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap();
        assert_eq!(files, soft);
        assert!(soft > low || hard == low, "soft {soft}, hard {hard}");
    }
}
