//! The folder that stands in for a coordinator where everything runs on one machine: files below `data`, and a lock beside it.

use super::CoordinatorError;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

/// No record of Codis is near this.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// A folder with Codis' records.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &str) -> Self {
        Self { root: PathBuf::from(root.trim()) }
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, CoordinatorError> {
        self.locked(path, |place| {
            match fs::metadata(place) {
                Ok(found) if found.len() > RECORD_BYTES_MAX => {
                    return Err(format!("{} is no record: too large", place.display()));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                _ => {}
            }
            fs::read(place).map(Some).map_err(|error| told(place, &error))
        })
        .await
    }

    pub(super) async fn list(&self, path: &str) -> Result<Vec<String>, CoordinatorError> {
        self.locked(path, |place| {
            let entries = match fs::read_dir(place) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries.map_err(|error| told(place, &error))?,
            };
            let name = |entry: std::io::Result<fs::DirEntry>| match entry {
                Ok(entry) => Ok(entry.file_name().to_string_lossy().into_owned()),
                Err(error) => Err(told(place, &error)),
            };
            entries.map(name).collect()
        })
        .await
    }

    /// Does it under the lock of the folder. Who holds the lock does so for a moment, yet waiting is the caller's.
    async fn locked<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(&Path) -> Result<T, String> + Send + 'static,
    ) -> Result<T, CoordinatorError> {
        let lock = self.root.join("data.lck");
        let place = self.place(path)?;
        let work = move || {
            let file = File::options().write(true).create(true).truncate(false).open(&lock);
            let mut file = file.map_err(|error| told(&lock, &error))?;
            file.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => format!("{} is held by another", lock.display()),
                TryLockError::Error(error) => told(&lock, &error),
            })?;
            let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
            // What stands in the file is for people.
            let said = serde_json::json!({"now": format!("{now} s since 1970"), "pid": std::process::id()});
            _ = file.set_len(0).and_then(|()| write!(file, "{said}"));
            let done = work(&place);
            _ = file.set_len(0);
            done
        };
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|error| CoordinatorError::Unavailable(error.to_string()))?;
        done.map_err(CoordinatorError::Unavailable)
    }

    fn place(&self, path: &str) -> Result<PathBuf, CoordinatorError> {
        let mut place = self.root.join("data");
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) => place.push(name),
                Component::RootDir | Component::CurDir => {}
                _ => return Err(CoordinatorError::Refused(format!("{path} leads elsewhere"))),
            }
        }
        Ok(place)
    }
}

fn told(place: &Path, error: &std::io::Error) -> String {
    format!("cannot read {}: {error}", place.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_are_read_under_the_lock_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().to_str().unwrap());
        assert_eq!(folder.read("/codis3/demo/topom").await, Ok(None));
        fs::create_dir_all(root.path().join("data/codis3/demo")).unwrap();
        fs::write(root.path().join("data/codis3/demo/topom"), "{}").unwrap();
        assert_eq!(folder.read("/codis3/demo/topom").await, Ok(Some(b"{}".to_vec())));
        assert_eq!(folder.list("/codis3").await, Ok(vec!["demo".to_owned()]));
        assert_eq!(folder.list("/none").await, Ok(Vec::new()));
        let lock = File::options().write(true).open(root.path().join("data.lck")).unwrap();
        lock.lock().unwrap();
        assert!(matches!(folder.read("/codis3").await, Err(CoordinatorError::Unavailable(_))));
        lock.unlock().unwrap();
        assert_eq!(fs::read(root.path().join("data.lck")).unwrap(), b"");
        assert!(matches!(folder.read("/../x").await, Err(CoordinatorError::Refused(_))));
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_an_error_and_not_an_empty_one() {
        let read = Folder::new("/nonexistent/rootfs").read("/codis3").await;
        assert!(matches!(read, Err(CoordinatorError::Unavailable(_))), "{read:?}");
    }
}
