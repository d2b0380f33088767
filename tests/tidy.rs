//! The rules of this house, executed: who may import whom, sizes, stories, words.
//!
//! The rules themselves are told in ARCHITECTURE.md and CONTRIBUTING.md; here they can't be
//! broken quietly. Each failure names the file and the line.

use std::fs;
use std::path::{Path, PathBuf};

const LINE_CHARS_MAX: usize = 100;
const TEXT_LINE_CHARS_MAX: usize = 120;
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const PARAMETERS_MAX: usize = 5;

/// A layer, and what it may never import.
const LAYERS: &[(&str, &[&str])] = &[
    ("src/store", &["chat", "auth", "hub", "http", "ws", "cli", "app", "server"]),
    ("src/bus", &["chat", "auth", "hub", "http", "ws", "cli", "app", "server"]),
    ("src/hub", &["chat", "auth", "http", "ws", "cli", "app", "server"]),
    ("src/chat", &["auth", "http", "ws", "cli", "app", "server"]),
    ("src/auth", &["chat", "hub", "bus", "http", "ws", "cli", "app", "server"]),
    ("src/moving", &["hub", "bus", "http", "ws", "cli", "app", "server"]),
    ("src/http", &["store", "hub", "bus", "ws", "cli", "server"]),
    ("src/ws", &["store", "bus", "http", "cli", "server"]),
];

/// A crate, and where alone it may be named.
const CRATES: &[(&str, &[&str])] = &[
    ("rusqlite", &["src/store/sqlite"]),
    ("tokio_postgres", &["src/store/postgres", "src/bus/notify.rs"]),
    ("deadpool_postgres", &["src/store/postgres"]),
    ("rustls", &["src/store/postgres"]),
    ("async_nats", &["src/bus/nats"]),
    ("axum", &["src/http", "src/ws", "src/server.rs", "src/refusal.rs"]),
    ("jsonwebtoken", &["src/auth"]),
    ("argon2", &["src/auth"]),
    ("bcrypt", &["src/auth"]),
    ("indicatif", &["src/cli"]),
    ("zxcvbn", &["src/auth"]),
    ("clap", &["src/cli", "src/config", "src/main.rs"]),
];

/// Names that say nothing.
const EMPTY_WORDS: &[&str] = &["Manager", "Service", "Helper", "Util", "utils", "common"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of ours: its path below the root and its text.
struct Source {
    path: String,
    text: String,
}

fn sources(below: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for start in below {
        collect(&root().join(start), &mut found);
    }
    assert!(found.len() > 5, "there is something to look at");
    found
}

fn collect(path: &Path, found: &mut Vec<Source>) {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(path).expect("a folder").map(|entry| entry.expect("one").path()).collect();
        entries.sort();
        for entry in entries {
            if !entry.ends_with("node_modules") && !entry.ends_with("target") {
                collect(&entry, found);
            }
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let name = path.strip_prefix(root()).expect("below the root");
        let text = fs::read_to_string(path).expect("text");
        found.push(Source { path: name.to_string_lossy().into_owned(), text });
    }
}

const EVERYTHING: &[&str] = &["src", "crates", "tests", "bench"];

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Whether that line of code names `crate::layer`, also within a list of imports.
fn imports(line: &str, layer: &str) -> bool {
    line.contains(&format!("crate::{layer}::"))
        || line.contains(&format!("crate::{layer};"))
        || (line.contains("use crate::{")
            && line.split(['{', ',', '}']).any(|part| {
                let part = part.trim();
                part == layer || part.starts_with(&format!("{layer}::"))
            }))
}

#[test]
fn an_arrow_goes_down_never_up() {
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        for (layer, forbidden) in LAYERS {
            if !source.path.starts_with(layer) || source.path.contains("test") {
                continue;
            }
            for (number, line) in code_lines(&source.text) {
                for upper in *forbidden {
                    if imports(line, upper) {
                        faults.push(format!("{}:{number} imports {upper}", source.path));
                    }
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn each_library_is_seen_in_its_place_alone() {
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        for (library, places) in CRATES {
            if places.iter().any(|place| source.path.starts_with(place)) {
                continue;
            }
            for (number, line) in code_lines(&source.text) {
                if line.contains(&format!("{library}::")) {
                    faults.push(format!("{}:{number} names {library}", source.path));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn the_hub_never_waits_and_only_the_app_names_a_backend() {
    let mut faults = Vec::new();
    for source in sources(&["src"]) {
        let is_hub = source.path.starts_with("src/hub");
        let may_name = ["src/app.rs", "src/store", "src/cli/backup.rs", "src/bus/notify.rs"];
        let may_name = may_name.iter().any(|place| source.path.starts_with(place));
        for (number, line) in code_lines(&source.text) {
            if is_hub && line.contains("async fn") {
                faults.push(format!("{}:{number} waits in the hub", source.path));
            }
            if !may_name && (line.contains("sqlite::") || line.contains("postgres::")) {
                faults.push(format!("{}:{number} names a concrete backend", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn files_and_lines_stay_within_a_screen() {
    let mut faults = Vec::new();
    for source in sources(EVERYTHING) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{} has {lines} lines", source.path));
        }
        for (index, line) in source.text.lines().enumerate() {
            // A text is not torn for the margin's sake, within reason.
            let bound = if line.contains('"') { TEXT_LINE_CHARS_MAX } else { LINE_CHARS_MAX };
            if line.chars().count() > bound {
                faults.push(format!("{}:{} is too long", source.path, index + 1));
            }
        }
    }
    report(&faults);
}

#[test]
fn a_function_fits_on_a_screen_and_takes_five_things() {
    let mut faults = Vec::new();
    for source in sources(EVERYTHING) {
        for function in functions(&source.text) {
            if function.lines > FUNCTION_LINES_MAX {
                let Function { name, lines, .. } = &function;
                faults.push(format!("{}: {name} has {lines} lines", source.path));
            }
            if function.parameters > PARAMETERS_MAX {
                let Function { name, parameters, .. } = &function;
                faults.push(format!("{}: {name} takes {parameters} things", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn every_module_begins_with_its_story() {
    let mut faults = Vec::new();
    for source in sources(EVERYTHING) {
        if !source.text.starts_with("//! ") {
            faults.push(format!("{} begins without its story", source.path));
        }
    }
    report(&faults);
}

#[test]
fn names_say_something() {
    let mut faults = Vec::new();
    for source in sources(&["src", "crates"]) {
        let stem = Path::new(&source.path).file_stem().expect("a name").to_string_lossy();
        if ["utils", "common", "types", "helpers", "misc"].contains(&stem.as_ref()) {
            faults.push(format!("{} is a drawer", source.path));
        }
        for (number, line) in code_lines(&source.text) {
            let Some(name) = declared(line) else { continue };
            if EMPTY_WORDS.iter().any(|word| name.ends_with(word)) {
                faults.push(format!("{}:{number} declares {name}", source.path));
            }
        }
    }
    report(&faults);
}

#[test]
fn the_map_shows_every_room() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("src")).expect("src") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if !map.contains(&format!("`src/{name}")) {
            faults.push(format!("ARCHITECTURE.md does not show `src/{name}`"));
        }
    }
    for name in map.split('`').filter(|name| name.starts_with("src/")) {
        if !root().join(name.trim_end_matches('/')).exists() {
            faults.push(format!("ARCHITECTURE.md shows `{name}`, which is not there"));
        }
    }
    report(&faults);
}

#[test]
fn what_the_readme_names_is_there() {
    for name in [
        "README.md",
        "LICENSE",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/protocol.md",
        "docs/errors.md",
        "docs/operations.md",
        "docs/testing.md",
    ] {
        assert!(root().join(name).is_file(), "{name} is missing");
    }
    let errors = fs::read_to_string(root().join("docs/errors.md")).expect("docs/errors.md");
    for code in protocol::ErrorCode::ALL {
        let name = format!("`{}`", code.code());
        assert!(errors.contains(&name), "docs/errors.md does not tell {name}");
    }
}

/// Lines of code with their numbers, up to the tests at the end of the file.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end]
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.starts_with("//"))
}

fn declared(line: &str) -> Option<&str> {
    let words: Vec<_> = line.split_whitespace().collect();
    let at = words.iter().position(|word| ["struct", "enum", "trait", "mod"].contains(word))?;
    let name = words.get(at + 1)?;
    name.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

struct Function {
    name: String,
    lines: usize,
    parameters: usize,
}

/// Functions by indentation: rustfmt puts the closing brace below the `fn`.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(at) = line.find("fn ") else { continue };
        let before = line[..at].trim();
        let is_head = before
            .split_whitespace()
            .all(|word| ["pub", "pub(super)", "pub(crate)", "async", "const"].contains(&word));
        if !is_head || line.trim_end().ends_with(';') {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let close = format!("{}}}", " ".repeat(indent));
        let Some(length) = lines[start..].iter().position(|line| *line == close) else { continue };
        let name = line[at + 3..].split(['(', '<']).next().unwrap_or_default().to_owned();
        let parameters = parameters(&lines[start..].join(" ")[at..]);
        found.push(Function { name, lines: length + 1, parameters });
    }
    found
}

/// Counts what a function takes beside `self`.
fn parameters(head: &str) -> usize {
    let Some(open) = head.find('(') else { return 0 };
    let (mut depth, mut names, mut text) = (0_i32, 0, String::new());
    for c in head[open..].chars() {
        match c {
            '(' | '<' | '[' | '{' => depth += 1,
            ')' | '>' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            names += usize::from(text.contains(':') && !text.contains("self:"));
            text.clear();
            if depth == 0 {
                break;
            }
        } else {
            text.push(c);
        }
    }
    names
}
