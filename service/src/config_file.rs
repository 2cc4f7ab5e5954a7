//! Writes single settings into a configuration file, for CONFIG REWRITE. Comments, order and all other keys stay as they are.
//!
//! The file is replaced whole: whoever reads it, also after a crash, finds the old one or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, value};

/// A setting and what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The key goes, and its default holds again.
    Default,
    Integer(i64),
    Text(String),
}

/// Why the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no TOML any more: {0}")]
    NotToml(#[from] toml_edit::TomlError),
    #[error("{0} is not a table there")]
    NotATable(String),
}

/// Writes settings into the file at `path`. A key is `key` or `table.key`. Blocks until the disk has it.
pub fn rewrite(path: &Path, settings: &[(&str, Setting)]) -> Result<(), RewriteError> {
    let mut document: DocumentMut = fs::read_to_string(path)?.parse()?;
    for (key, setting) in settings {
        let (table, key) = match key.rsplit_once('.') {
            None => (document.as_table_mut(), *key),
            Some((name, key)) => {
                let table = document.entry(name).or_insert(Item::Table(Table::new()));
                let table = table.as_table_mut();
                (table.ok_or_else(|| RewriteError::NotATable(name.to_owned()))?, key)
            }
        };
        let new = match setting {
            Setting::Default => {
                table.remove(key);
                continue;
            }
            Setting::Integer(number) => value(*number),
            Setting::Text(text) => value(text),
        };
        // A comment behind the value stays.
        let mut new = new;
        if let (Some(old), Some(new)) =
            (table.get(key).and_then(Item::as_value), new.as_value_mut())
        {
            *new.decor_mut() = old.decor().clone();
        }
        table.insert(key, new);
    }
    replace(path, document.to_string().as_bytes())
}

/// Writes a file anew. Blocks until the disk has it.
pub fn replace(path: &Path, text: &[u8]) -> Result<(), RewriteError> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path)?;
    let mut name = path.clone().into_os_string();
    name.push(".new");
    let result = (|| {
        let mut file = File::create(&name)?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&name, &path)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    })();
    if result.is_err() {
        let _ = fs::remove_file(&name);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# The file.\nlisten = \"a:1\"\nidle = 5 # seconds\npassword = \"x\"\n\n[limits]\nclients = 3\n";

    fn rewritten(before: &str, settings: &[(&str, Setting)]) -> Result<String, RewriteError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.toml");
        fs::write(&path, before).unwrap();
        let result = rewrite(&path, settings);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
        let after = fs::read_to_string(&path).unwrap();
        if result.is_err() {
            assert_eq!(after, before);
        }
        result.map(|()| after)
    }

    #[test]
    fn only_what_is_set_changes() {
        let after = rewritten(
            BEFORE,
            &[
                ("idle", Setting::Integer(7)),
                ("password", Setting::Default),
                ("limits.clients", Setting::Integer(4)),
                ("slow_log.len_max", Setting::Integer(9)),
                ("name", Setting::Text("a \"b\"".to_owned())),
            ],
        );
        assert_eq!(
            after.unwrap(),
            "# The file.\nlisten = \"a:1\"\nidle = 7 # seconds\nname = 'a \"b\"'\n\n[limits]\nclients = 4\n\n[slow_log]\nlen_max = 9\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_understood_stays() {
        let set = [("limits.clients", Setting::Integer(1))];
        assert!(matches!(rewritten("x = = 1", &set), Err(RewriteError::NotToml(_))));
        assert!(matches!(rewritten("limits = 1", &set), Err(RewriteError::NotATable(_))));
    }
}
