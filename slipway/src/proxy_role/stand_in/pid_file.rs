//! The file with the number of the process, for whoever wants to stop it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file that goes when this is dropped.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes it: decimal, without a line end, mode 0644, as scripts around codis-proxy read it. A failure is said, and no reason not to run.
    pub(super) fn write(path: &str) -> Option<Self> {
        let written = || {
            // The working directory may change; the file does not move.
            let path = std::path::absolute(Path::new(path))?;
            fs::write(&path, std::process::id().to_string())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
            Ok::<_, std::io::Error>(path)
        };
        match written() {
            Ok(path) => Some(Self(path)),
            Err(error) => {
                tracing::warn!(%error, path, "cannot write the pid file");
                None
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot remove the pid file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_as_long_as_we_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.pid");
        let file = PidFile::write(path.to_str().unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        drop(file);
        assert!(!path.exists());
        assert!(PidFile::write(folder.path().join("no/proxy.pid").to_str().unwrap()).is_none());
    }
}
