//! Facts about the repository, as tests: not taste, and nothing that a compiler or a linter says already.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Larger files belong elsewhere, or are a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The output of a command in the repository.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Every file that is committed or about to be.
fn files() -> Vec<PathBuf> {
    let listed = output(
        "git",
        &["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"],
    );
    listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect()
}

/// The files with one of these extensions, and their text.
fn texts(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let wanted =
        |path: &PathBuf| path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x));
    let read = |path: PathBuf| fs::read_to_string(root().join(&path)).ok().map(|text| (path, text));
    files().into_iter().filter(wanted).filter_map(read).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn assert_none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn every_module_opens_with_its_duty() {
    // What tests say of themselves is their names.
    let is_tests = |path: &Path| {
        path.ends_with("tests.rs") || path.iter().skip(1).any(|folder| folder == "tests")
    };
    let silent = texts(&["rs"])
        .into_iter()
        .filter(|(path, text)| !is_tests(path) && !text.starts_with("//!"));
    let silent: Vec<_> = silent.map(|(path, _)| path.display().to_string()).collect();
    assert_none(&silent, "begin each file with //! and its duty in one sentence");
}

#[test]
fn file_names_are_nouns_that_a_search_finds() {
    let vague = ["mod", "utils", "util", "common", "helpers", "helper", "misc", "manager"];
    let is_vague = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "rs")
            && path.file_stem().is_some_and(|s| vague.iter().any(|v| s == *v))
    };
    let found: Vec<_> =
        files().into_iter().filter(is_vague).map(|path| path.display().to_string()).collect();
    assert_none(&found, "a file is one noun, and x.rs stands beside x/");
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    // In pieces, so that this file is not its own first finding.
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
        concat!("dbg", "!("),
    ];
    let mut found = Vec::new();
    for (path, text) in texts(&["rs"]) {
        for (number, line) in text.lines().enumerate() {
            found.extend(
                words
                    .iter()
                    .filter(|w| line.contains(**w))
                    .map(|w| format!("{}:{}: {w}", path.display(), number + 1)),
            );
        }
    }
    assert_none(&found, "finish it, or write it down as an issue");
}

#[test]
fn no_file_names_a_machine_or_a_package_host() {
    let hosts = [
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("pypi", ".org"),
        concat!("files.", "pythonhosted"),
        concat!("registry.", "npmjs"),
        concat!("deb.", "debian.org"),
        concat!("security.", "debian.org"),
        concat!("proxy.", "golang"),
    ];
    let folders = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
    let mut found = Vec::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            let is_bad = hosts.iter().any(|host| lower.contains(host))
                || folders.iter().any(|folder| stands_alone(line, folder));
            if is_bad && path != Path::new("Cargo.lock") {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none(&found, "mirrors and folders differ from machine to machine");
}

/// Whether `folder` begins a path in `line`, rather than standing inside a longer one.
fn stands_alone(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-}".contains(before))
    })
}

#[test]
fn no_file_is_larger_than_a_mebibyte() {
    let size = |path: &PathBuf| fs::metadata(root().join(path)).map_or(0, |data| data.len());
    let large: Vec<_> = files()
        .into_iter()
        .filter(|p| size(p) > FILE_BYTES_MAX)
        .map(|p| p.display().to_string())
        .collect();
    assert_none(&large, "make it when it is needed, or fetch it");
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let allowed = BTreeMap::from([
        ("slipway-cluster", vec![]),
        ("slipway-protocol", vec!["slipway-cluster"]),
        ("slipway-service", vec![]),
        (
            "slipway-proxy",
            vec!["slipway-cluster", "slipway-protocol", "slipway-service", "slipway-codis"],
        ),
        ("slipway-node", vec!["slipway-cluster", "slipway-protocol", "slipway-service"]),
        ("slipway-control", vec!["slipway-cluster", "slipway-protocol", "slipway-service"]),
        ("slipway-codis", vec!["slipway-protocol"]),
        ("slipway-doubles", vec!["slipway-cluster", "slipway-protocol"]),
    ]);
    let mut found = Vec::new();
    for (package, uses) in dependencies() {
        let Some(allowed) = allowed.get(package.as_str()) else { continue };
        let ours = uses.iter().filter(|name| name.starts_with("slipway-"));
        found.extend(
            ours.filter(|name| !allowed.contains(&name.as_str()))
                .map(|name| format!("{package} uses {name}")),
        );
    }
    assert_none(&found, "the arrows are in ARCHITECTURE.md");
}

#[test]
fn crates_cannot_do_what_they_promise_not_to() {
    let forbidden = [
        ("slipway-cluster", vec!["tokio", "mio", "socket2", "hyper", "rand", "rust-rocksdb"]),
        ("slipway-protocol", vec!["tokio", "mio", "socket2", "hyper", "rust-rocksdb"]),
        ("slipway-service", vec!["redis-protocol", "rust-rocksdb"]),
        ("slipway-proxy", vec!["rust-rocksdb"]),
        ("slipway-control", vec!["rust-rocksdb"]),
        (
            "slipway-codis",
            vec!["tokio", "mio", "socket2", "hyper", "rand", "rustix", "rust-rocksdb"],
        ),
        ("slipway-doubles", vec!["hyper", "rust-rocksdb"]),
    ];
    let dependencies = dependencies();
    let mut found = Vec::new();
    for (package, names) in forbidden {
        let uses = &dependencies[package];
        found.extend(
            names
                .into_iter()
                .filter(|name| uses.contains(*name))
                .map(|name| format!("{package} uses {name}")),
        );
    }
    assert_none(&found, "a crate is a promise about what it cannot do");
}

/// What each crate of ours depends on, tests left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata =
        output("cargo", &["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|d| d["kind"].is_null()).map(|d| text(&d["name"])).collect()
    };
    packages.map(|package| (text(&package["name"]), normal(package))).collect()
}

#[test]
fn every_link_and_path_in_the_documents_leads_somewhere() {
    let mut found = Vec::new();
    for (path, text) in texts(&["md"]) {
        let folder = root().join(&path).parent().unwrap().to_path_buf();
        for target in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !folder.join(file).exists() {
                found.push(format!("{}: {target}", path.display()));
            }
        }
    }
    for path in quoted_paths(&read("ARCHITECTURE.md")) {
        if !root().join(&path).exists() {
            found.push(format!("ARCHITECTURE.md: {path}"));
        }
    }
    assert_none(&found, "a document that leads nowhere is wrong");
}

/// The targets of Markdown links outside code.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if !in_code {
            let targets = line.split("](").skip(1).filter_map(|part| part.split_once(')'));
            found.extend(targets.map(|(target, _)| target.trim().to_owned()));
        }
    }
    found
}

/// The `paths/like/this.rs` or `folders/` that a text quotes.
fn quoted_paths(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        let ends =
            [".rs", ".md", ".toml", ".json", ".yaml", "/"].iter().any(|end| text.ends_with(end));
        ends && !text.starts_with('/') && !text.contains([' ', '*', '{', '<', '…'])
    };
    quoted.filter(is_path).map(str::to_owned).collect()
}

#[test]
fn every_decision_is_listed_and_every_listed_one_exists() {
    let notes =
        files().into_iter().filter(|path| path.parent() == Some(Path::new("docs/decisions")));
    let notes = notes
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "README.md");
    let listed: Vec<_> = links(&read("docs/decisions/README.md")).into_iter().collect();
    assert_eq!(notes.collect::<BTreeSet<_>>(), listed.into_iter().collect::<BTreeSet<_>>());
}

#[test]
fn every_command_of_make_says_what_it_is_for() {
    let makefile = read("Makefile");
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).unwrap();
    for target in phony.split_whitespace() {
        assert!(
            makefile
                .lines()
                .any(|line| line.starts_with(&format!("{target}:")) && line.contains(" ## ")),
            "make {target}"
        );
    }
}

#[test]
fn the_rust_version_is_the_same_everywhere() {
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
        .unwrap();
    assert!(
        read("Dockerfile").contains(&format!("ARG RUST={version}\n")),
        "the Dockerfile builds with another Rust than {version}"
    );
    let least = version.rsplit_once('.').unwrap().0;
    assert!(
        read("Cargo.toml").contains(&format!("rust-version = \"{least}\"")),
        "Cargo.toml asks for another Rust than {least}"
    );
}

#[test]
fn scripts_stop_at_the_first_error() {
    for path in files() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        if text.starts_with("#!")
            && text.lines().next().is_some_and(|first| first.ends_with("bash"))
        {
            assert!(text.contains("\nset -euo pipefail\n"), "{}", path.display());
        }
    }
}

/// Never fails: `cargo test -p slipway-tests --release -- --nocapture the_longest` shows where to look again.
#[test]
fn the_longest_files_and_functions_are_shown() {
    let sources = texts(&["rs"]);
    let files =
        sources.iter().map(|(path, text)| (text.lines().count(), path.display().to_string()));
    show("lines  file", files.collect());
    let functions = sources.iter().flat_map(|(path, text)| {
        functions(text).map(move |(lines, name)| (lines, format!("{name} in {}", path.display())))
    });
    show("lines  function", functions.collect());
}

#[expect(clippy::print_stdout, reason = "showing is all it does")]
fn show(title: &str, mut rows: Vec<(usize, String)>) {
    rows.sort_unstable_by(|a, b| b.cmp(a));
    println!("{title}");
    for (lines, name) in rows.iter().take(10) {
        println!("{lines:5}  {name}");
    }
}

/// The functions of a formatted file: from a line with `fn` to the brace at the same depth.
fn functions(text: &str) -> impl Iterator<Item = (usize, String)> {
    let lines: Vec<_> = text.lines().collect();
    let name = |line: &str| Some(line.split_once("fn ")?.1.split(['(', '<']).next()?.to_owned());
    let is_start = |line: &str| {
        let code = line.trim_start();
        code.starts_with("fn ")
            || (code.starts_with("pub") || code.starts_with("async")) && code.contains(" fn ")
    };
    let starts = lines.iter().enumerate().filter(|(_, line)| is_start(line));
    let measured = starts.filter_map(|(start, line)| {
        let close = format!("{}}}", " ".repeat(line.len() - line.trim_start().len()));
        let length = lines[start..].iter().position(|line| *line == close)?;
        Some((length + 1, name(line)?))
    });
    measured.collect::<Vec<_>>().into_iter()
}
