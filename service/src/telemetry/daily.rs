//! A log in files: a new one each day, named after it, `PATH.YYYY-MM-DD`. The days are those of this machine's time zone.
//!
//! Files are appended to, and never deleted.

use crate::local_time::{self, Date};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The stream; the first write of a day opens its file.
#[derive(Debug)]
pub(super) struct Daily {
    path: PathBuf,
    open: Option<(String, File)>,
    today: fn() -> Date,
}

impl Daily {
    /// Opens today's file at once, so that a wrong path is known at the start.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::with_clock(path, || local_time::ZONE.date(local_time::now().0))
    }

    fn with_clock(path: &Path, today: fn() -> Date) -> io::Result<Self> {
        let mut daily = Self { path: std::path::absolute(path)?, open: None, today };
        daily.file()?;
        Ok(daily)
    }

    fn file(&mut self) -> io::Result<&mut File> {
        let Date { year, month, day, .. } = (self.today)();
        let today = format!("{year:04}-{month:02}-{day:02}");
        if self.open.as_ref().is_none_or(|(day, _)| *day != today) {
            let mut path = self.path.clone().into_os_string();
            path.push(format!(".{today}"));
            if let Some(folder) = self.path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = File::options().append(true).create(true).open(path)?;
            self.open = Some((today, file));
        }
        self.open.as_mut().map(|(_, file)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Write for Daily {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    static DAY: AtomicU8 = AtomicU8::new(30);

    fn clock() -> Date {
        let day = DAY.load(Ordering::SeqCst);
        Date { year: 2026, month: 11, day, hour: 0, minute: 0, second: 0 }
    }

    #[test]
    fn the_first_line_of_a_day_opens_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/deep/proxy.log");
        let file = |day: &str| fs::read_to_string(format!("{}.{day}", path.display()));
        let mut log = Daily::with_clock(&path, clock).unwrap();
        log.write_all(b"one\n").unwrap();
        assert_eq!(file("2026-11-30").unwrap(), "one\n");
        DAY.store(29, Ordering::SeqCst);
        log.write_all(b"two\n").unwrap();
        assert_eq!(file("2026-11-29").unwrap(), "two\n");
        drop(log);
        // A restart appends.
        let mut log = Daily::with_clock(&path, clock).unwrap();
        log.write_all(b"three\n").unwrap();
        assert_eq!(file("2026-11-29").unwrap(), "two\nthree\n");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
    }

    #[test]
    fn a_path_that_cannot_be_is_known_at_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(Daily::open(&folder.path().join("file/proxy.log")).is_err());
    }
}
